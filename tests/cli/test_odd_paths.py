"""Paths that cannot be used, and arguments of no form: one line each, never "unexpected"."""

import errno
from pathlib import Path

import pytest

from gridscape.cli import commands
from gridscape.errors import LONGEST

LONG = "n" * 300


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["show", LONG], 1, "cannot be used (found File name too long)"),
        (["live", LONG], 1, "cannot be used (found File name too long)"),
        (["run", ""], 2, "unknown study ''"),
        (["run", "/"], 2, "unknown study '/'"),
        (["show", "a", "b", "c"], 2, "too many arguments: b c; see gridscape show --help"),
        (["show", *["b" * 60] * 20], 2, "too many arguments: bb"),
    ],
)
def test_in_one_line(call, arguments, status, told):
    found, out, err = call(*arguments)
    assert (found, out) == (status, "")
    assert told in err
    assert err.count("\n") == 1
    assert len(err) <= len("gridscape: \n") + LONGEST
    assert "unexpected" not in err


@pytest.mark.parametrize("command", ["show", "export", "claims", "report"])
def test_a_folder_that_may_not_be_entered(call, monkeypatch, command):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)  # as root may enter any
    status, _, err = call(command, "closed")
    line = "gridscape: closed/study.json: cannot be used (found Permission denied)\n"
    assert (status, err) == (1, line)


def test_what_names_no_path_stays_unexpected():
    line, status = commands._told(OSError(errno.EIO, "Input/output error"))
    assert (line, status) == (
        f"unexpected OSError: [Errno {errno.EIO}] Input/output error; --debug shows the trace",
        1,
    )
