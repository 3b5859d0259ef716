"""Ctrl-C once stops a run where nothing is lost; twice, at once."""

import signal
import threading
from collections.abc import Callable
from typing import Any, Self


class Interrupt:
    """Turns Ctrl-C into a request that is met after the segment, when all can be kept.

    A second Ctrl-C interrupts at once; with ``at_once`` the first one does. What Python raises
    within a callback, such as that of the garbage collector, is lost: ``raise_if_asked`` still
    knows. Outside the main thread, where Python allows no signal handlers, Ctrl-C is left as it is.
    """

    def __init__(self, tell: Callable[[], None] = lambda: None, *, at_once: bool = False) -> None:
        self.asked, self._tell, self._at_once = False, tell, at_once
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, *_: object) -> None:
        if self.asked or self._at_once:
            self.asked = True
            raise KeyboardInterrupt
        self.asked = True
        self._tell()

    def raise_if_asked(self) -> None:
        """Raise KeyboardInterrupt when Ctrl-C was pressed."""
        if self.asked:
            raise KeyboardInterrupt
