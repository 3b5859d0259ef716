"""The executor of this process: a worker for each core, or one for all devices."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from gridscape.engine.machine import Machine
from gridscape.errors import UsageError
from gridscape.execution.executors import Event, Finished, Room, Saved, Snapshot, Work
from gridscape.execution.lanes import Lanes
from gridscape.execution.planner import Costs
from gridscape.execution.sole import Sole
from gridscape.grid.trials import Trial
from gridscape.study.study import ResolvedStudy


class Local:
    """The executor of this process. limit_bytes: of memory, instead of what is free."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes
        self._opened: Lanes | Sole | None = None

    def open(self, resolved: ResolvedStudy, data_dir: str | Path | None = None) -> None:
        """See Executor; the study is trained as it is, with objects of Python."""
        kind = Lanes if Machine.local().trains_apart else Sole
        self._opened = kind(self.limit_bytes)
        self._opened.open(resolved, data_dir)

    @property
    def _here(self) -> Lanes | Sole:
        if self._opened is None:
            raise UsageError("the executor is not open", where="Local")
        return self._opened

    @property
    def devices(self) -> tuple[str, ...]:
        """What trains beside each other, by name."""
        return self._here.devices

    def room(self) -> Room:
        """See Executor."""
        return self._here.room()

    def costs(self, trials: Sequence[Trial], timed: bool) -> Costs:
        """See Executor."""
        return self._here.costs(trials, timed)

    def begin(self, works: Sequence[Work]) -> None:
        """Have the programs of works compiled that are to come, and wait for none of them."""
        self._here.begin(works)

    def submit(self, work: Work, saved: Saved) -> None:
        """See Executor."""
        self._here.submit(work, saved)

    def events(self) -> Iterator[Event]:
        """See Executor."""
        return self._here.events()

    def snapshots(self, work: int) -> Iterator[Snapshot]:
        """See Executor."""
        return self._here.snapshots(work)

    def results(self) -> Iterator[Finished]:
        """Of trials that have ended, what ``events`` has not told yet."""
        return self._here.results()

    def cancel(self, work: int) -> None:
        """See Executor."""
        self._here.cancel(work)

    def close(self) -> None:
        """See Executor."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
