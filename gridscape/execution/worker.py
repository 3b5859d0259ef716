"""Works of one study on the devices of this process, wherever that is: planned, cut, trained.

All that needs devices is here: planning, cutting for memory, halving where that was not enough,
compiling. An executor carries works to workers, and what they yield to the sweep.
"""

import gc
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from gridscape.engine.cohorts import Cohort
from gridscape.engine.machine import Machine
from gridscape.errors import OutOfMemoryError
from gridscape.execution.cohort_run import CohortRun, unfinished
from gridscape.execution.executors import (
    Begun,
    Care,
    Cut,
    Done,
    Event,
    Finished,
    Room,
    Saved,
    Snapshot,
    Taken,
    Work,
)
from gridscape.execution.planner import Costs, Planner, microbatch_counts
from gridscape.grid.trials import Status, Trial
from gridscape.study.study import ResolvedStudy


class Worker:
    """Trains the works of a study, one at a time, as ``planner`` has it.

    One thread trains; others may ask for snapshots and cancel meanwhile.
    """

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        # Who trains, and who takes a snapshot, has the room; who waits for it keeps the door, so
        # that the other one does not come in again before.
        self._door, self._room = threading.Lock(), threading.Lock()
        self._cohorts: dict[int, Cohort] = {}
        self._cancelled = set[int]()
        self._running: CohortRun | None = None

    def room(self) -> Room:
        """The devices here, and the memory that is free now."""
        n_devices = len(self.planner.machine.devices)
        return Room(n_devices, self.planner.room_bytes(share=1.0), n_copies=n_devices)

    def costs(self, trials: Sequence[Trial], timed: bool) -> Costs:
        """What these trials would take here."""
        return self.planner.costs(trials, timed)

    def run(
        self, work: Work, saved: Saved | None = None, coming: Iterable[Work] = ()
    ) -> Iterator[Event]:
        """All that happens to a work, from Taken to Done.

        saved: where its trials go on, if not at the beginning. coming: works whose programs are
        compiled meanwhile, where they may be. Raises GridscapeError for what is no outcome of
        trials.
        """
        with closing(self._events(work, saved, coming)) as events:
            while work.id not in self._cancelled and (event := self._next(events)):
                yield event
        self._running = None
        # The next sweep may have a work of the same number.
        self._cancelled.discard(work.id)
        self._cohorts.pop(work.id, None)
        yield Done(work.id)

    @classmethod
    def of_all_devices(cls, resolved: ResolvedStudy, limit_bytes: int | None = None) -> "Worker":
        """A worker of all devices of this process; ``limit_bytes`` instead of the free memory."""
        return cls(Planner(resolved, Machine.local(), limit_bytes))

    def snapshots(self, work: int) -> Iterator[Snapshot]:
        """See Executor; after the segment that the work is in."""
        with self._door, self._room:
            running = self._running
            if running is not None and running.work == work:
                yield from running.snapshots()

    def begin(self, works: Iterable[Work]) -> None:
        """Have the programs of works compiled, where they may be, and wait for none of them."""
        self.planner.begin(self._cohort(work) for work in works if work.ahead)

    def cancel(self, work: int) -> None:
        """Let ``run`` end before its next event."""
        self._cancelled.add(work)

    def close(self) -> None:
        """Compile no more."""
        self.planner.close()

    def _events(
        self, work: Work, saved: Saved | None, coming: Iterable[Work]
    ) -> Generator[Event, None, None]:
        yield Taken(work.id)
        self.begin((work, *coming))
        cohort, queue, trouble = self._cohort(work), deque[Cohort](), ""
        try:
            queue.extend(self._runs(cohort, work.care))
        except OutOfMemoryError as error:  # no trial fits, which is the outcome then
            trouble = str(error)
        if trouble:
            yield from _given_up(cohort, trouble)
        while queue:
            yield from self._run(work, queue, saved)

    def _next(self, events: Iterator[Event]) -> Event | None:
        with self._door:
            pass
        with self._room:
            return next(events, None)

    def _cohort(self, work: Work) -> Cohort:
        """A work with the functions that train it."""
        if work.id not in self._cohorts:
            self._cohorts[work.id] = work.cohort(self.planner.resolved)
        return self._cohorts[work.id]

    def _runs(self, cohort: Cohort, care: Care) -> list[Cohort]:
        """The runs that the planner cuts a cohort into, or smaller ones."""
        runs = list(self.planner.runs(cohort))
        if care > Care.NONE:
            most = len(self.planner.machine.devices) if care is Care.FEW else 1
            runs = [part for run in runs for part in run.cut(most)]
        if care is Care.IN_MICROBATCHES:
            runs = [in_small_microbatches(run) for run in runs]
        return runs

    def _run(self, work: Work, queue: deque[Cohort], saved: Saved | None) -> Iterator[Event]:
        """The next run of the queue; where it does not fit, the queue gets smaller ones."""
        run, trouble = queue.popleft(), ""
        yield Begun(work.id, run.trials, self.planner.state_bytes(run))
        keys = [trial.key for trial in run.trials]
        restored = saved(keys) if saved and work.start else None
        self._running = CohortRun(self.planner, run, work.id)
        try:
            yield from self._running.events(restored)
        except OutOfMemoryError as error:
            trouble = str(error)
        self._running = restored = None
        if trouble:
            gc.collect()  # arrays of the failed attempt may hang in cycles
            smaller = _smaller(run)
            n_microbatches = smaller[0].n_microbatches if smaller else run.n_microbatches
            yield Cut(work.id, run.trials, len(smaller), n_microbatches)
            queue.extendleft(reversed(smaller))
            if not smaller:
                yield from _given_up(run, trouble)


def _given_up(cohort: Cohort, reason: str) -> Iterator[Finished]:
    """Trials that do not fit even alone: that is the outcome."""
    for trial in cohort.trials:
        yield Finished(trial, unfinished(trial, Status.OUT_OF_MEMORY, reason))


def _smaller(cohort: Cohort) -> tuple[Cohort, ...]:
    """What to try instead of a cohort that did not fit: halves, then more microbatches."""
    if len(cohort.trials) > 1:
        return tuple(cohort.cut(-(-len(cohort.trials) // 2)))
    if cohort.n_sharing > 1:
        return (replace(cohort, n_sharing=0),)
    return tuple(
        replace(cohort, n_microbatches=n_microbatches)
        for n_microbatches in microbatch_counts(cohort)[:1]
    )


def in_small_microbatches(cohort: Cohort) -> Cohort:
    """The cohort with batches in some 16 microbatches: what grows with the batch is small then."""
    counts = [cohort.n_microbatches, *microbatch_counts(cohort)]
    return replace(cohort, n_microbatches=counts[:5][-1])
