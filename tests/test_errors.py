"""The error tree: one base, one line each, exit statuses, and that errors survive a pickle."""

import copy
import inspect
import pickle
import subprocess
import sys

import pytest

from gridscape import errors
from gridscape.errors import (
    DataError,
    GridscapeError,
    ModelError,
    OutOfMemoryError,
    StoreError,
    StudyFileError,
    UnknownNameError,
    UsageError,
    is_out_of_memory,
)

CLASSES = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, Exception)]


@pytest.mark.parametrize("kind", CLASSES)
def test_one_base_and_an_exit_status(kind):
    assert issubclass(kind, GridscapeError)
    assert kind.exit_status == (2 if issubclass(kind, UsageError) else 1)


def test_the_tree_in_the_docstring_is_the_tree():
    lines = errors.__doc__.splitlines()
    drawn = [line for line in lines if "Error " in line and "`str" not in line]
    depth_of = {line.split("Error")[0].split()[-1] + "Error": line for line in drawn}
    assert set(depth_of) == {c.__name__ for c in CLASSES}
    for c in CLASSES:
        drawn_depth = (depth_of[c.__name__].index(c.__name__) - 4) // 4
        assert drawn_depth == len(c.__mro__) - len(GridscapeError.__mro__)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (GridscapeError("it broke"), "it broke"),
        (GridscapeError("it broke", where="here"), "here: it broke"),
        (
            GridscapeError("out of range", where="x", expected="from 1", found=0, hint="set x"),
            "x: out of range (expected from 1, found 0); set x",
        ),
        (GridscapeError("bad", found=False), "bad (found False)"),
        (ModelError("two\nlines", found="a\n\tb"), "two lines (found a b)"),
        (UnknownNameError("axis", "hiden", ["hidden", "rate"]), "unknown axis 'hiden'; did you"),
        (UnknownNameError("axis", "qq", ["b", "a"]), "unknown axis 'qq'; known: a, b"),
        (UnknownNameError("axis", "qq", []), "unknown axis 'qq'; known: none"),
        (
            UnknownNameError("axis", "qq", [c * 40 for c in "abcdef"]),
            f"unknown axis 'qq'; known: {'a' * 40}, {'b' * 40}, {'c' * 40} and 3 more",
        ),
        (
            UnknownNameError("axis", "q", ["a" * 200, "b"]),
            f"unknown axis 'q'; known: {'a' * 200} and",
        ),
        (UnknownNameError("axis", "q", iter(["a"]), where="f"), "f: unknown axis 'q'; known: a"),
        (StudyFileError("a.toml", ["x: bad"]), "a.toml: x: bad"),
        (StudyFileError("a.toml", ["x: bad", "y: worse"]), "a.toml: 2 mistakes: x: bad; y: worse"),
    ],
)
def test_an_error_reads_as_one_line(error, line):
    assert str(error).startswith(line)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("out of memory", found="RESOURCE_EXHAUSTED"),
        StoreError("locked", where="runs/x", hint="wait"),
        DataError("gone", expected=3, found=2),
        UnknownNameError("task", "digit", ["digits"], where="study x"),
        StudyFileError("a.toml", ["x: bad", "y: bad"]),
    ],
)
@pytest.mark.parametrize("through", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
def test_an_error_survives_a_copy_and_the_way_between_processes(error, through):
    again = through(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_the_first_mistake_and_the_known_names_can_be_read_by_programs():
    error = UnknownNameError("task", "digit", ["mnist", "digits"])
    assert (error.kind, error.name, error.known) == ("task", "digit", ["digits", "mnist"])
    assert StudyFileError("f", ["a", "b"]).mistakes == ["a", "b"]


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("can't do it"), False),
        (ImportError("a.so: failed to map segment from shared object"), True),
        (caused(ImportError("initialization failed"), MemoryError()), True),
        (caused(ImportError("initialization failed"), ValueError()), False),
    ],
)
def test_what_lacks_memory_is_known_by_what_it_raises(error, expected):
    assert is_out_of_memory(error) is expected


def test_errors_need_nothing_but_the_standard_library():
    code = "import sys; import gridscape.errors; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=300)
    assert not {"jax", "numpy", "pydantic", "typer"} & set(loaded.split())


@pytest.mark.parametrize("part", ["what", "where", "expected", "found", "hint"])
def test_what_others_have_named_moves_no_cursor(part):
    given = {"what": "wrong", "where": "here", part: "a\x1b]0;title\x07 \ud800\u202e"}
    assert "a?]0;title? ??" in str(GridscapeError(given.pop("what"), **given))
