"""Ctrl-C once stops a run where nothing is lost; twice, at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from gridscape.executors import Finished, Progress
from gridscape.sweep import Cut, Started


class Stop:
    """A listener that ends a run, once it was asked to, where nothing is lost.

    That is after any segment, when the sweep writes a checkpoint, but not between the last one of
    a cohort and its last result.
    """

    def __init__(self) -> None:
        self.asked = False
        self._n_results_to_come = 0

    def __call__(self, event: Started | Progress | Finished | Cut) -> None:
        """Raises KeyboardInterrupt where a stop was asked for and nothing is lost by it."""
        if isinstance(event, Progress):
            ended = event.update == event.cohort.recipe.updates
            self._n_results_to_come = len(event.cohort.trials) if ended else 0
        elif isinstance(event, Finished):
            self._n_results_to_come = max(self._n_results_to_come - 1, 0)
        if self.asked and not self._n_results_to_come:
            raise KeyboardInterrupt

    @contextmanager
    def on_ctrl_c(self, tell: Callable[[], None]) -> Iterator[None]:
        """Ask for the stop at the first Ctrl-C, and ``tell`` the user; the second interrupts."""

        def ask(signum: int, frame: FrameType | None) -> None:
            self.asked = True
            signal.signal(signal.SIGINT, signal.default_int_handler)
            tell()

        before = signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
