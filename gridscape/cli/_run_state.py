"""What every trial of a run is at, from the events of a sweep. It asks the engine for nothing."""

import time
from enum import IntEnum

import numpy as np

from gridscape.analysis.states import has_not_started
from gridscape.engine.cohorts import Cohort, partition
from gridscape.execution.executors import Cut, Finished, Progress
from gridscape.execution.time_left import TimeLeft
from gridscape.grid.axes import Axis, Cell
from gridscape.grid.meanings import meaning_of
from gridscape.grid.names import ANSWER_SPREAD, TOP_SHARE, Variable, is_one_answer
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.store.store import Store
from gridscape.study.conditions import altered
from gridscape.sweep import Started


class State(IntEnum):
    """What a trial is at."""

    WAITING = 0
    TRAINING = 1
    FINISHED = 2
    COLLAPSED = 3
    DIVERGED = 4
    FAILED = 5
    NOT_STARTED = 6
    STOPPED = 7


STATES = {
    Status.FINISHED: State.FINISHED,
    Status.DIVERGED: State.DIVERGED,
    Status.STOPPED: State.STOPPED,
}


class RunState:
    """A listener of one run.

    Trials are numbered cell by cell, replicates fastest: ``numbers`` has the shape (*axes, R).
    value: the metric of each trial so far (the task's first one), NaN where there is none. state:
    a State each. stored: whether it was there before. asked: whether the study has it; others are
    holes of its grid. cohorts: those to train, in their order.
    training: how far each run is that is in training, by its work and the first of its trials, in
    the order in which they began.
    """

    def __init__(self, started: Started) -> None:
        study = started.resolved.study
        self.title = study.title or study.name
        self.altered = altered(started.resolved.record())
        self.axes: tuple[Axis, ...] = study.grid.axes
        self.metric = next(iter(started.resolved.meanings), "loss")
        self.meaning = meaning_of(self.metric, started.resolved.meanings)
        self.n_replicates = study.replicates
        self._cell = {self._place(cell): i for i, cell in enumerate(study.grid.cells())}
        n_trials = len(self._cell) * study.replicates
        self.numbers = np.arange(n_trials).reshape([*study.grid.shape, study.replicates])
        self.value = np.full(n_trials, np.nan)
        self.state = np.full(n_trials, State.WAITING, np.int8)
        self.stored = np.zeros(n_trials, bool)
        self.asked = np.zeros(n_trials, bool)
        own = [self._cell[self._place(cell)] for cell in study.cells()]
        self.asked.reshape(-1, study.replicates)[own] = True
        self.cohorts = partition(started.resolved, started.todo)
        self.training: dict[tuple[int, str], Progress] = {}
        self.begin = time.perf_counter()
        self.time_left = TimeLeft.of(self.cohorts, self.number, len(self.value), self.begin)
        if started.n_stored:
            self._note_stored(started)

    def __call__(self, event: Started | Progress | Finished | Cut) -> None:
        """Take note of an event."""
        now = time.perf_counter()
        if isinstance(event, Progress):
            trials = np.array([self.number(trial) for trial in event.trials])
            self.value[trials] = event.accuracy
            self.state[trials] = np.where(event.alive, State.TRAINING, State.DIVERGED)
            n_left = event.updates - event.update
            self.time_left.advance(trials, n_left, event.alive, now)
            self._note_training(event)
        elif isinstance(event, Finished):
            self._note(self.number(event.trial), event.result)
            self._drop_ended()
            self.time_left.end(self.number(event.trial), now, is_idle=not self.training)
        elif isinstance(event, Cut):
            self.training.pop((event.work, event.trials[0].key), None)

    def number(self, trial: Trial) -> int:
        """The number of a trial of the study's grid."""
        return self._cell[self._place(trial.cell)] * self.n_replicates + trial.replicate

    @property
    def n_ended(self) -> int:
        """Trials that have ended, in this run or before; one that diverged early counts.

        One that was stopped does not.
        """
        return int(((self.state >= State.FINISHED) & (self.state != State.STOPPED)).sum())

    def next_cohort(self) -> Cohort | None:
        """The first cohort of which nothing has begun."""
        for cohort in self.cohorts:
            if self.state[self.number(cohort.trials[0])] == State.WAITING:
                return cohort
        return None

    def _note_training(self, event: Progress) -> None:
        """A run is in training, instead of one with the same trials whose process died."""
        run, trials = (event.work, event.trials[0].key), set(event.trials)
        if run not in self.training:
            others = [other for other, p in self.training.items() if trials & {*p.trials}]
            for other in others:
                del self.training[other]
        self.training[run] = event

    def _drop_ended(self) -> None:
        """Forget the runs of which every trial has ended."""
        for run, progress in list(self.training.items()):
            if (self.state[[self.number(t) for t in progress.trials]] >= State.FINISHED).all():
                del self.training[run]

    def _place(self, cell: Cell) -> tuple[object, ...]:
        return tuple(cell[axis.name] for axis in self.axes)

    def _note_stored(self, started: Started) -> None:
        todo = {self.number(trial) for trial in started.todo}
        with Store.read(started.directory) as store:
            for trial, result in store.results():
                # The folder may hold a larger grid than the one of this run.
                if self._place(trial.cell) in self._cell and trial.replicate < self.n_replicates:
                    number = self.number(trial)
                    if number not in todo:
                        self._note(number, result)
                        self.stored[number] = True

    def _note(self, number: int, result: TrialResult) -> None:
        state = STATES.get(result.status, State.FAILED)
        share, spread = (result.metrics.get(name, np.nan) for name in (TOP_SHARE, ANSWER_SPREAD))
        if state is State.FINISHED and is_one_answer(share, spread):
            state = State.NOT_STARTED if has_not_started(result) else State.COLLAPSED
        finished = result.status is Status.FINISHED
        self.value[number] = (
            result.metrics.get(str(Variable("test", self.metric)), np.nan) if finished else np.nan
        )
        self.state[number] = state
