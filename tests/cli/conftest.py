"""The surroundings of a command: a place of its own, no terminal, one tiny study for all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from calls import DEADLINE_SECONDS, TINY, environment

from gridscape.cli import commands


@pytest.fixture(scope="session")
def kept_programs():
    """Where processes of the command line keep what they compiled, one for all of these tests.

    In this process, the command line finds that the tests keep theirs, and leaves it so.
    """
    return Path(os.environ["JAX_COMPILATION_CACHE_DIR"]) / "of-processes"


@pytest.fixture(autouse=True)
def quiet_place(tmp_path_factory, monkeypatch):
    """An empty working directory, no data sets, no terminal."""
    place = tmp_path_factory.mktemp("place")
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("GRIDSCAPE_DATA", str(place / "no-data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    return place


@pytest.fixture
def call(capsys):
    """Runs a command in this process: (status, standard output, standard error)."""

    def run(*arguments):
        capsys.readouterr()
        status = commands.exit_status([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def study(tmp_path_factory, kept_programs):
    """The results of a tiny study, the output of its run, and its report's path."""
    folder = tmp_path_factory.mktemp("results") / "tiny"
    command = ["run", "quickstart", *TINY, "--replicates", "2", "--dir", str(folder)]
    out = subprocess.run(
        [sys.executable, "-m", "gridscape", *command],
        env=environment(kept_programs),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert out.returncode == 0, out.stderr
    return folder, out
