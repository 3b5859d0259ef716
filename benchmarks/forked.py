"""Commands of Gridscape in processes forked from one that has imported the libraries.

Each begins in a fraction of the time; what happens while it imports is not met.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

LIBRARIES = ("jax", "optax", "scipy.stats", "gridscape.cli.commands", "gridscape.sweep")

context = multiprocessing.get_context("forkserver")


def import_libraries() -> None:
    """Have the process that is forked import them; only before it begins."""
    context.set_forkserver_preload([*LIBRARIES])


class Forked:
    """A command that runs, with the part of subprocess.Popen's interface that faults need.

    before: called first in the new process. path: a folder with a sitecustomize.py, or nothing.
    """

    def __init__(
        self, command: Sequence[str], told: Path, before: Callable[[], None] | None, path: str
    ) -> None:
        self.told = told
        files = str(told), path
        given = list(command), *files, before, dict(os.environ)
        self.process = context.Process(target=_run, args=given)
        self.process.start()
        self.pid = self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def poll(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it has ended
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Standard output, which is not kept, and standard error."""
        self.process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired("gridscape", timeout)
        return "", self.told.read_text() if self.told.exists() else ""


def _run(
    command: list[str],
    told: str,
    path: str,
    before: Callable[[], None] | None,
    environment: dict[str, str],
) -> None:
    """The body of the process: what ``python -m gridscape`` does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    warnings.resetwarnings()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    # Those of this process are of before the files were exchanged, or kept by the server.
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    assert "gridscape.sweep" in sys.modules, "the libraries were not imported ahead"
    if path:
        runpy.run_path(str(Path(path, "sitecustomize.py")))
    if before is not None:
        before()
    sys.argv = ["gridscape", *command]
    try:
        runpy.run_module("gridscape", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
