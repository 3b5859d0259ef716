"""The progress of a run in Python: a line in a terminal or a notebook, and where the page is."""

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gridscape.errors import GridscapeError
from gridscape.execution.executors import Finished
from gridscape.report.words import duration, plural
from gridscape.sweep import Event, Started, Stopping

TELL_SECONDS = 0.5


def following(quiet: bool) -> "Following":
    """Who listens to a run in Python, and tells nothing where it is quiet or nobody looks on."""
    return Following(None if quiet else _shower())


class Following:
    """Tells how far a run is, in one line that is replaced; ``show`` is None where nobody looks."""

    def __init__(self, show: Callable[[str], None] | None) -> None:
        self._show = show
        self._begun = self._planned = self._told = time.perf_counter()
        self._n_todo = self._n_ended = self._n_since = 0  # the last since it was planned

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Started):
            self._n_todo, self._n_since = len(event.todo), 0
            self._planned = time.perf_counter()
            self._tell(f"training {plural(self._n_todo, 'network')} into {event.directory}")
        elif isinstance(event, Stopping):
            self._tell("stopping after this segment; again stops at once")
        elif isinstance(event, Finished):
            self._n_ended += 1
            self._n_since += 1
            if time.perf_counter() - self._told >= TELL_SECONDS:
                self._tell(self._so_far())

    def _so_far(self) -> str:
        spent = time.perf_counter() - self._planned
        left = spent / self._n_since * (self._n_todo - self._n_since)
        return f"{self._n_since:,} of {plural(self._n_todo, 'network')}, {duration(left)} left"

    def _tell(self, line: str) -> None:
        self._told = time.perf_counter()
        if self._show is not None:
            self._show(line)

    def ended(self, directory: Path) -> None:
        """Write the page, and tell where it is; where somebody looks."""
        if self._show is None:
            return
        from gridscape.report.html import write

        spent = duration(time.perf_counter() - self._begun)
        done = f"trained {plural(self._n_ended, 'network')} in {spent}"
        try:
            self._tell(f"{done}; the page: {write(directory)}\n")
        except GridscapeError as error:
            self._tell(f"{done}; {error}\n")


def _shower() -> Callable[[str], None] | None:
    """What shows a line: of a notebook or a terminal; None where there is neither."""
    if shell := _notebook():
        return shell
    if not sys.stderr.isatty():
        return None

    def show(line: str) -> None:
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()

    return show


def _notebook() -> Callable[[str], None] | None:
    """What shows a line in the notebook that this runs in; None outside of one."""
    if "IPython" not in sys.modules:
        return None
    notebook = importlib.import_module("IPython")
    shell = notebook.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    handle: Any = None

    def show(line: str) -> None:
        nonlocal handle
        content = {"text/plain": line.strip()}
        if handle is None:
            handle = notebook.display.display(content, raw=True, display_id=True)
        else:
            handle.update(content, raw=True)

    return show
