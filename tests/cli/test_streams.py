"""Standard output that is full, closed or not read: the work is done, and one line tells."""

import io
import os
import subprocess
import sys

import pytest
from calls import ROOT, environment

from gridscape.cli._streams import Output
from gridscape.errors import GridscapeError

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


def test_a_stream_as_any_other():
    stream = io.StringIO()
    output = Output(stream)
    print("a line", file=output)
    output.end()
    assert stream.getvalue() == "a line\n"
    assert not output.isatty()


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
