"""Ctrl-C once stops a run where nothing is lost; twice, at once. SIGTERM counts as Ctrl-C."""

import signal
import threading
from collections.abc import Callable
from typing import Any, Self

# What a terminal sends, and what a machine sends that is needed for something else: schedulers of
# clusters, containers, preemptible machines.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Turns Ctrl-C into a request that is met after the segment, when all can be kept.

    A second Ctrl-C interrupts at once; with ``at_once`` the first one does. What Python raises
    within a callback, such as that of the garbage collector, is lost: ``raise_if_asked`` still
    knows. Outside the main thread, where Python allows no signal handlers, Ctrl-C is left as it is.
    """

    def __init__(self, tell: Callable[[], None] = lambda: None, *, at_once: bool = False) -> None:
        self.asked, self._tell, self._at_once = False, tell, at_once
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._ask) for each in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for each, before in self._before.items():
            signal.signal(each, before)

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
