"""Works one after the other, each on all devices of this process."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from gridscape.errors import UsageError
from gridscape.execution.executors import Event, Finished, Room, Saved, Snapshot, Work
from gridscape.execution.planner import PROGRAMS_AHEAD, Costs
from gridscape.execution.worker import Worker
from gridscape.grid.trials import Trial
from gridscape.study.study import ResolvedStudy


class Sole:
    """One worker in this thread. limit_bytes: of memory, instead of what is free."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes
        self._queue: deque[tuple[Work, Saved]] = deque()
        self._opened: Worker | None = None

    def open(self, resolved: ResolvedStudy, data_dir: str | Path | None = None) -> None:
        """See Executor; the study is trained as it is, with objects of Python."""
        self._opened = Worker.of_all_devices(resolved, self.limit_bytes)

    @property
    def _worker(self) -> Worker:
        if self._opened is None:
            raise UsageError("the executor is not open", where="Local")
        return self._opened

    @property
    def devices(self) -> tuple[str, ...]:
        """What trains beside each other, by name."""
        return self._worker.planner.devices

    def room(self) -> Room:
        """See Executor."""
        return self._worker.room()

    def costs(self, trials: Sequence[Trial], timed: bool) -> Costs:
        """See Executor."""
        return self._worker.costs(trials, timed)

    def begin(self, works: Sequence[Work]) -> None:
        """Have the programs of works compiled that are to come, and wait for none of them."""
        self._worker.begin(works)

    def submit(self, work: Work, saved: Saved) -> None:
        """See Executor."""
        self._queue.append((work, saved))

    def events(self) -> Iterator[Event]:
        """See Executor; what the next works need is compiled while one trains."""
        while self._queue:
            work, saved = self._queue.popleft()
            coming = [next_work for next_work, _ in islice(self._queue, PROGRAMS_AHEAD)]
            yield from self._worker.run(work, saved, coming)

    def snapshots(self, work: int) -> Iterator[Snapshot]:
        """See Executor."""
        return self._worker.snapshots(work)

    def results(self) -> Iterator[Finished]:
        """Of trials that have ended, what ``events`` has not told yet: it tells all at once."""
        yield from ()

    def cancel(self, work: int) -> None:
        """See Executor."""
        self._worker.cancel(work)

    def close(self) -> None:
        """See Executor."""
        self._queue.clear()
        if self._opened is not None:
            self._opened.close()
            self._opened = None
