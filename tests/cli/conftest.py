"""The surroundings of a command: a place of its own, its own kept programs, no terminal."""

import subprocess
import sys

import jax
import pytest
from calls import DEADLINE_SECONDS, TINY, environment
from jax.experimental.compilation_cache import compilation_cache

from gridscape.cli import commands


@pytest.fixture(scope="module", autouse=True)
def kept_programs(tmp_path_factory):
    """The command line keeps compiled programs; here in a folder of these tests only."""
    folder = tmp_path_factory.mktemp("programs")
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: jax.config.values[name] for name in names}
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    yield folder
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


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


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The results of a tiny study, the output of its run, and its report's path."""
    folder = tmp_path_factory.mktemp("results") / "tiny"
    command = ["run", "quickstart", *TINY, "--replicates", "2", "--dir", str(folder)]
    out = subprocess.run(
        [sys.executable, "-m", "gridscape", *command],
        env=environment(tmp_path_factory.mktemp("cache")),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert out.returncode == 0, out.stderr
    return folder, out
