"""How fast a run is, and how long it will still take."""

from collections import deque
from collections.abc import Callable, Iterable

import numpy as np

from gridscape.base.foreign import of_others
from gridscape.engine.cohorts import Cohort
from gridscape.engine.flops import update_flops
from gridscape.grid.trials import Trial

FEWEST_SECONDS = 0.5  # of training before its speed is told
WINDOW_SECONDS = 5.0  # over which updates per second are averaged


class TimeLeft:
    """An estimate from the operations that are left and the speed so far.

    All arrays have one entry per trial. flops: of one update. program: a number for each program.
    left: updates that the trial still needs.

    Until the run in flight has shown its own speed, that of the run before is taken; every program
    that has not begun yet is expected to take as long to get ready as those before.
    """

    def __init__(
        self, flops: np.ndarray, program: np.ndarray, left: np.ndarray, now: float
    ) -> None:
        self.flops, self.program, self.left = flops, program, left.astype(float)
        self.work_per_second: float | None = None
        self.updates_per_second: float | None = None
        self._ready_seconds: list[float] = []
        self._idle_since: float | None = now
        self._begun: set[int] = set()
        self._recent: deque[tuple[float, float, float]] = deque()  # time, updates, work
        self._whole = float(left @ flops)

    @classmethod
    def of(
        cls, cohorts: Iterable[Cohort], number: Callable[[Trial], int], n_trials: int, now: float
    ) -> "TimeLeft":
        """Of these cohorts, of a run of so many trials, each of which has its number."""
        flops, left = np.zeros(n_trials), np.zeros(n_trials)
        program = np.full(n_trials, -1)
        for place, cohort in enumerate(cohorts):
            trials = [number(trial) for trial in cohort.trials]
            flops[trials], left[trials] = _update_flops(cohort), cohort.recipe.updates
            program[trials] = place
        return cls(flops, program, left, now)

    def advance(self, trials: np.ndarray, left: float, alive: np.ndarray, now: float) -> None:
        """These trials have so many updates left; those not alive need no more."""
        first = self._idle_since is not None
        done = np.where(alive, self.left[trials] - left, 0.0)
        self.left[trials] = np.where(alive, left, 0.0)
        if first:
            self._note_ready(trials, now)
            self._recent = deque([(now, 0.0, 0.0)])
            self.updates_per_second = None
            return
        self._begun |= set(self.program[trials].tolist())
        _, updates, work = self._recent[-1]
        work += float(done @ self.flops[trials])
        self._recent.append((now, updates + float(done.sum()), work))
        self._measure()

    def _note_ready(self, trials: np.ndarray, now: float) -> None:
        programs = set(self.program[trials].tolist())
        if self._idle_since is not None and not programs <= self._begun:
            self._ready_seconds.append(now - self._idle_since)
        self._begun |= programs
        self._idle_since = None

    def _measure(self) -> None:
        while self._recent[-1][0] - self._recent[1][0] > WINDOW_SECONDS:
            self._recent.popleft()
        (begin, updates, work), (end, updates_now, work_now) = self._recent[0], self._recent[-1]
        if end - begin >= FEWEST_SECONDS and work_now > work:
            self.updates_per_second = (updates_now - updates) / (end - begin)
            self.work_per_second = (work_now - work) / (end - begin)

    def end(self, trial: int, now: float, is_idle: bool = True) -> None:
        """A trial has ended. is_idle: whether no other is in training meanwhile."""
        self.left[trial] = 0.0
        if is_idle:
            self._idle_since = now

    def seconds(self, now: float) -> float | None:
        """Seconds still to go; None while there is nothing to tell it by."""
        if self.work_per_second is None:
            return None
        to_come = set(self.program[self.left > 0].tolist()) - self._begun
        ready = float(np.mean(self._ready_seconds)) if self._ready_seconds else 0.0
        waited = now - self._idle_since if self._idle_since is not None and to_come else 0.0
        work = float(self.left @ self.flops)
        return work / self.work_per_second + max(len(to_come) * ready - waited, 0.0)

    @property
    def share_done(self) -> float:
        """The share of all operations that is behind."""
        return 1 - float(self.left @ self.flops) / self._whole if self._whole else 1.0


def _update_flops(cohort: Cohort) -> float:
    """Operations of an update; none where a user's model raises: its trials end with that error."""
    try:
        with of_others():
            return update_flops(cohort.recipe, cohort.task)
    except Exception:
        return 0.0
