"""Scripts as users run them, each in a process of its own, where a warning is an error."""

import atexit
import io
import os
import runpy
import signal
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Sequence
from pathlib import Path

import forks
from forks import ROOT

LONGEST_SECONDS = 600


def run_python(arguments: Sequence[str], folder: Path, paths: Sequence[Path] = (ROOT,)) -> str:
    """What ``python ARGUMENTS`` prints in a folder: a file, ``-c`` and code, ``-m`` and a module.

    paths: where it finds modules, as by PYTHONPATH.
    """
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place) / "out", Path(place) / "err"
        files = str(folder), [str(path) for path in paths], str(out), str(err)
        process = forks.process(_run, (list(arguments), *files, dict(os.environ)))
        process.start()
        process.join(LONGEST_SECONDS)
        is_late = process.exitcode is None
        if is_late:
            process.kill()
            process.join()
        told = err.read_text() if err.exists() else ""
        assert not is_late, f"not done after {LONGEST_SECONDS} s: {told}"
        assert process.exitcode == 0, f"status {process.exitcode}: {told}"
        return out.read_text(encoding="utf-8")


def _run(
    arguments: list[str],
    folder: str,
    paths: list[str],
    out: str,
    err: str,
    environment: dict[str, str],
) -> None:
    """The body of the process: what Python does with these arguments."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("error")
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb"), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb"), encoding="utf-8", line_buffering=True)
    os.environ.clear()
    os.environ.update(environment, PYTHONPATH=os.pathsep.join(paths))
    os.chdir(folder)
    try:
        assert "forks_preload" in sys.modules, "the libraries were not imported ahead"
        status = _status(arguments, paths)
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.exit(status)


def _status(arguments: list[str], paths: list[str]) -> int:
    kind, rest = arguments[0], arguments[1:]
    try:
        if kind == "-c":
            sys.argv, sys.path[:0] = ["-c", *rest[1:]], ["", *paths]
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(rest[0], "<string>", "exec"), main.__dict__)
        elif kind == "-m":
            sys.argv, sys.path[:0] = rest, [os.getcwd(), *paths]
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[:0] = arguments, [str(Path(kind).parent), *paths]
            runpy.run_path(kind, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
