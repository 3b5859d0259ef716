"""Works on the cores of this process, a worker for each in a thread of its own.

A cohort of five trials would leave one of two cores idle for a sixth of the time, and eleven of
sixteen for all of it. So each core trains parts of works by itself, and waits for no other one.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path

from gridscape.engine.cohorts import Cohort, partition
from gridscape.engine.compilers import TRAINING
from gridscape.engine.flops import cohort_flops
from gridscape.engine.machine import Machine
from gridscape.errors import UsageError
from gridscape.execution.crew import Crew, Member, Out
from gridscape.execution.executors import Care, Event, Finished, Room, Saved, Snapshot, Work
from gridscape.execution.mailbox import Mailbox, bytes_of
from gridscape.execution.memory import free_memory_bytes
from gridscape.execution.parts import Part, Parts, Seat
from gridscape.execution.planner import Cost, Costs, Planner
from gridscape.execution.worker import Worker
from gridscape.grid.trials import Trial
from gridscape.kernels.cores import n_cores
from gridscape.kernels.library import as_here
from gridscape.study.study import ResolvedStudy

HERE = "here"  # the node of all seats
PARTING_SECONDS = 2.0  # for which an executor that is closed waits; segments are shorter


Mail = Mailbox[tuple["Lane", Event | BaseException]]


class Lane(Member):
    """A worker, in a thread of its own."""

    def __init__(self, seat: Seat, worker: Worker, mail: Mail) -> None:
        super().__init__(seat=seat)
        self.worker, self._mail = worker, mail
        # Unlike a thread by itself, one of these is waited for when the process ends.
        self._thread = ThreadPoolExecutor(1, TRAINING)
        self._task: Future[None] | None = None

    def begin(self, work: Work, saved: Saved | None, coming: Sequence[Work]) -> None:
        """Train this; what happens goes to the mailbox."""
        self._task = self._thread.submit(as_here(partial(self._train, work, saved, coming)))

    def costs(self, trials: Sequence[Trial], timed: bool) -> Future[Costs]:
        """See Executor."""
        return self._thread.submit(as_here(partial(self.worker.costs, trials, timed)))

    def join(self) -> None:
        """Wait for the thread, where it has nothing more to do."""
        self._thread.shutdown(wait=self._task is None or self._task.done())

    def leave(self) -> Future[None] | None:
        """End after the segment, or when all is compiled; what is in a segment now."""
        if self.part is not None:
            self.worker.cancel(self.part.work.id)
        self.worker.close()
        self._thread.shutdown(wait=False, cancel_futures=True)
        return self._task if self.run else None

    def _train(self, work: Work, saved: Saved | None, coming: Sequence[Work]) -> None:
        try:
            for event in self.worker.run(work, saved, coming):
                self._mail.put((self, event))
        except BaseException as error:  # for who fetches the mail
            self._mail.put((self, error))


class Lanes(Crew[Lane, Out]):
    """A worker for each core. limit_bytes: of memory, instead of what is free.

    While one thread reads events, others may ask for snapshots and cancel.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        super().__init__(Out)
        self.limit_bytes = limit_bytes
        self._lock = threading.RLock()  # of who has what

    def _clear(self) -> None:
        super()._clear()
        self._parts = Parts(begins_cheap=True)

    def open(self, resolved: ResolvedStudy, data_dir: str | Path | None = None) -> None:
        """See Executor; the study is trained as it is, with objects of Python."""
        self.close()
        self._resolved, n_lanes = resolved, n_cores()
        self._machine = Machine(Machine.local().devices[:1])
        limit = self.limit_bytes and self.limit_bytes // n_lanes
        planner = Planner(resolved, self._machine, limit, n_lanes)
        self._mail = Mail(lambda word: bytes_of(word[1]))
        self._hands = [
            Lane(Seat(number, HERE), Worker(planner), self._mail) for number in range(n_lanes)
        ]

    @property
    def _lanes(self) -> list[Lane]:
        if not self._hands:
            raise UsageError("the executor is not open", where="Local")
        return self._hands

    @property
    def devices(self) -> tuple[str, ...]:
        """What trains beside each other, by name."""
        return tuple(f"core {number}" for number in range(1, len(self._lanes) + 1))

    def room(self) -> Room:
        """See Executor."""
        n_lanes, limit = len(self._lanes), self.limit_bytes
        return Room(n_lanes, free_memory_bytes(self._machine) if limit is None else limit)

    def costs(self, trials: Sequence[Trial], timed: bool) -> Costs:
        """See Executor: measured by all workers at once, as they will train."""
        cohorts = partition(self._resolved, trials)
        works = [Work(number, cohort.trials) for number, cohort in enumerate(cohorts)]
        some = [trial for work in self._first_parts(works) for trial in work.trials]
        measuring = [lane.costs(some, timed) for lane in self._lanes[: max(len(trials), 1)]]
        found = [costs.result() for costs in measuring]
        programs = zip(cohorts, *(each.programs for each in found), strict=True)
        n_idle = len(self._lanes) - len(measuring)
        whole = (
            _whole(cohort, costs, n_idle * self._shared(cohort)) for cohort, *costs in programs
        )
        return Costs(self.devices, tuple(whole))

    def _shared(self, cohort: Cohort) -> int:
        """Bytes of data that each worker counts for itself, whether it trains or not."""
        planner = self._lanes[0].worker.planner
        return planner.data_bytes(cohort) if cohort.split is None else 0

    def begin(self, works: Sequence[Work]) -> None:
        """Have the programs of works compiled that are to come, and wait for none of them."""
        planner = self._lanes[0].worker.planner
        # Each by itself, as it will be submitted.
        wanted = [self._first_parts([work])[0] for work in works if work.ahead]
        planner.begin(work.cohort(self._resolved) for work in wanted)

    def _first_parts(self, works: Sequence[Work]) -> list[Work]:
        """Of each work one of the parts that it will be trained in."""
        parts = Parts()
        for work in works:
            parts.add_cohort(work.cohort(self._resolved), work, self._resolved.study)
        sizes = parts.sizes(self._lanes[0].seat, len(self._lanes))
        return [replace(w, trials=w.trials[: sizes[w.id]], n_sharing=sizes[w.id]) for w in works]

    def submit(self, work: Work, saved: Saved) -> None:
        """See Executor."""
        with self._lock:
            self._add(self._resolved, work, saved)

    def events(self) -> Iterator[Event]:
        """See Executor."""
        troubles: list[BaseException] = []
        while True:
            self._hand_out()  # who has nothing to do does not wait until all told is stored
            while self._told:
                yield self._told.popleft()
            if troubles:  # when all that has ended was told
                raise troubles[0]
            with self._lock:
                if not self._out and not self._told:
                    return
            self._hand_out()
            if not any(lane.part for lane in self._hands):
                return  # nobody would ever bring a word
            for lane, word in self._mail.take():
                if isinstance(word, BaseException):
                    troubles.append(word)
                else:
                    with self._lock:
                        self._note(lane, word)

    def snapshots(self, work: int) -> Iterator[Snapshot]:
        """See Executor."""
        with self._lock:
            # Who still compiles has none, and would keep all others waiting.
            members = [(lane, part) for lane, part in self._members(work) if lane.run]
        if not members:
            return
        # All at once, as each is waited for until its segment ends; and each whole, as a lane
        # trains no further as long as somebody looks at its snapshots.
        with ThreadPoolExecutor(len(members)) as threads:
            for found in threads.map(_snapshots_of, *zip(*members, strict=True)):
                yield from found

    def results(self) -> Iterator[Finished]:
        """Of trials that have ended, what ``events`` has not told yet."""
        waiting = [*self._told, *(word for _, word in self._mail.take(0))]
        yield from (word for word in waiting if isinstance(word, Finished))

    def cancel(self, work: int) -> None:
        """See Executor."""
        with self._lock:
            super().cancel(work)

    def _cancel(self, members: Sequence[tuple[Lane, Part]]) -> None:
        for lane, part in members:
            lane.worker.cancel(part.work.id)

    def close(self) -> None:
        """See Executor; waits a little for segments that are in training."""
        lanes = self._hands
        if lanes:
            self._mail.close()
        tasks = [task for lane in lanes if (task := lane.leave()) is not None]
        self._clear()
        wait(tasks, PARTING_SECONDS)
        for lane in lanes:
            lane.join()

    # ---- who trains what ----

    def _hand_out(self) -> None:
        """Give every worker that has nothing to do a part to train."""
        with self._lock:
            for lane in self._lanes:
                if lane.part is not None or self._is_alone():
                    continue
                if taken := self._parts.take(lane.seat, len(self._hands)):
                    self._begin(lane, *taken)

    def _begin(self, lane: Lane, part: Part, reserve: Part | None) -> None:
        if part.work.care >= Care.ALONE and any(each.part for each in self._hands):
            self._parts.leave(lane.seat)
            self._parts.again(part)  # when the others have come to their ends
            return
        out, keys = self._out[part.of], [trial.key for trial in part.work.trials]
        saved = out.saved(keys).of if part.work.start else None
        coming = [reserve.work] if reserve is not None and reserve.is_plain else []
        lane.part, lane.run = part, ()
        out.training += 1
        lane.begin(part.work, saved, coming)

    def _is_alone(self) -> bool:
        """Whether a part is in training that nothing may train beside."""
        return any(lane.part and lane.part.work.care >= Care.ALONE for lane in self._hands)


def _snapshots_of(lane: Lane, part: Part) -> list[Snapshot]:
    return list(lane.worker.snapshots(part.work.id))


def _whole(cohort: Cohort, costs: Sequence[Cost], idle_bytes: int) -> Cost:
    """What a cohort takes, of which each worker has measured one and the same part.

    idle_bytes: shares of the data that fall to workers for which there is no trial.
    """
    first, n_trials = costs[0], len(cohort.trials)
    largest = max(first.sizes, default=0)
    n_measured = sum(first.sizes)
    sizes = tuple(len(run.trials) for run in cohort.cut(largest)) if largest else ()
    seconds = [cost.seconds for cost in costs if cost.seconds is not None]
    mean = sum(seconds) / len(seconds) if seconds else None
    return Cost(
        sizes=sizes,
        n_microbatches=first.n_microbatches,
        memory_bytes=sum(cost.memory_bytes for cost in costs) + idle_bytes,
        flops=cohort_flops(cohort),
        compile_seconds=max(cost.compile_seconds for cost in costs),
        seconds=None if mean is None else mean * n_trials / n_measured / len(costs),
    )
