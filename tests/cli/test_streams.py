"""Standard output that is full, closed or not read: the work is done, and one line tells."""

import io
import os
import subprocess
import sys

import pytest
from calls import ROOT, environment

from gridscape.cli import interrupted
from gridscape.cli._streams import Output, complain, stand_in
from gridscape.cli.tables import console
from gridscape.errors import LONGEST, GridscapeError

SHOW = "import sys; from gridscape.cli import main; main(['--version'])"


class Full(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


def test_what_cannot_be_written_is_told_at_the_end():
    output = Output(Full(OSError(28, "No space left on device")))
    print("the first line", file=output)
    output.flush()
    with pytest.raises(GridscapeError, match=r"cannot write.*\(found No space left on device\)"):
        output.end()


def test_a_reader_that_has_gone_is_no_error_of_its_own():
    output = Output(Full(BrokenPipeError()))
    print("the first line", file=output)
    with pytest.raises(BrokenPipeError):
        output.end()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), BrokenPipeError()])
def test_a_terminal_that_is_closed_ends_no_command(monkeypatch, error):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Full(error))
    stand_in()
    for stream in (sys.stdout, sys.stderr):
        print("a line", file=stream, flush=True)
    console(stderr=True).print("a table")


def test_a_stream_as_any_other():
    stream = io.StringIO()
    output = Output(stream)
    print("a line", file=output)
    output.end()
    assert stream.getvalue() == "a line\n"
    assert not output.isatty()


def test_one_line_of_at_most_300_characters_whatever_is_told(capsys):
    for text in ("a\nb", "a\x1b[2Jb", "long " * 100, "/".join(["folder"] * 99)):
        complain(text)
        line = capsys.readouterr().err.removeprefix("gridscape: ").removesuffix("\n")
        assert line.isprintable()
        assert line[:1] == text[:1]
        assert len(line) <= LONGEST


@pytest.mark.parametrize("long", ["learning_rate=" + ",".join(["0.1"] * 99), "two\nlines"])
def test_a_command_too_long_for_a_line_is_not_repeated(long):
    told = interrupted(["run", "--set", "learning_rate=0.1"])
    assert told.endswith("; to go on: gridscape run --set learning_rate=0.1")
    for kept in ("and that is kept", "and all is kept in " + "a/" * 300):
        told = interrupted(["run", "--set", long], kept)
        assert told.endswith("; to go on: the same command")
        assert len(told) <= LONGEST
        assert told.isprintable()


def test_what_a_folder_holds_moves_no_cursor(capsys):
    console().print("a title\x1b]0;of the window\x07")
    assert capsys.readouterr().out == "a title?]0;of the window\n"


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
@pytest.mark.parametrize("where", [">/dev/full", ">&-", ">/dev/full 2>/dev/full", "2>&-"])
def test_of_a_process(tmp_path, where):
    done = subprocess.run(
        ["bash", "-c", f'exec "$0" -c "$1" {where}', sys.executable, SHOW],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = done.stderr.splitlines()
    assert len(told) == (1 if where in (">/dev/full", ">&-") else 0)
    assert all(line.startswith("gridscape: cannot write to standard output") for line in told)
    assert done.returncode == (0 if where == "2>&-" else 1)
