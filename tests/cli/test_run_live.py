"""``gridscape run --live``: the page beside the run that opens it."""

import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest
from runs import environment, stored
from watched import ask, post

from gridscape.cli import watching
from gridscape.grid.trials import Status

pytest.importorskip("uvicorn")
STUDY = ["quickstart", "--set", "hidden_size=4", "--set", "learning_rate=0.01,0.1"]
UPDATES = 2_000_000  # more than anybody waits for
SECONDS = 120


def run(folder, *arguments):
    command = [sys.executable, "-m", "gridscape", "run", *STUDY, "--updates", str(UPDATES)]
    return subprocess.Popen(
        [*command, "--replicates", "1", "--dir", str(folder), "--live", *arguments],
        env=environment() | {"BROWSER": "true"},  # which opens nothing
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def address_of(process):
    line = process.stderr.readline()
    assert line.startswith("Live page: "), line
    parts = urlsplit(line.split()[-1])
    return parts.port, parts.path.split("/")[1]


@pytest.mark.slow
@pytest.mark.parametrize("control", [True, False])
def test_its_page_acts_only_where_it_was_asked_for(tmp_path, control):
    process = run(tmp_path / "digits", *["--control"][:control])
    try:
        port, token = address_of(process)
        end = time.monotonic() + SECONDS
        while ask(port, f"/{token}/study/digits/")[0] != 200:  # the folder is about to be made
            assert time.monotonic() < end
            time.sleep(0.1)
        status, said = post(port, f"/{token}/study/digits/acts", {"kind": "stop", "where": {}})
        assert status == (200 if control else 403), said
        if control:
            assert process.wait(SECONDS) == 0
            found = {result.status for result in stored(tmp_path / "digits").values()}
            assert found == {Status.STOPPED}
    finally:
        process.kill()
        process.communicate(timeout=60)


def test_control_is_of_the_page(call):
    status, _, told = call("run", "quickstart", "--control")
    assert status == 2
    assert "--live" in told


def test_a_page_that_cannot_be_served_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(watching, "SERVE", "raise SystemExit")
    with watching.beside(tmp_path):
        assert "no live page; once the run has begun" in capsys.readouterr().err
