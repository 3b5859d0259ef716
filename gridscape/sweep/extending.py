"""A results folder grows by single cells: further replicates, or new values, of these alone."""

import math
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gridscape.errors import UnknownNameError, UsageError
from gridscape.execution.executors import Executor, find_executor
from gridscape.execution.interrupt import Interrupt
from gridscape.grid.asked import GRIDS, OTHERS, Asked, asked_more, grid_of, tables_of
from gridscape.grid.axes import Axis, Cell, Value, show
from gridscape.grid.trials import Trial
from gridscape.kernels.cores import require_addresses
from gridscape.landscape import Landscape
from gridscape.store.imported import require_own
from gridscape.store.store import Store
from gridscape.study import reach
from gridscape.study.study import ResolvedStudy, Study
from gridscape.sweep import Listener, Sweep, done_of, require_same_conditions

MOST = 10_000  # replicates of a cell, as of a study
DIGITS = 12  # of a number in an axis, as in a study


def extend(
    directory: str | Path,
    replicates: Mapping[Cell, int],
    *,
    study: Study | None = None,
    trust: bool = False,
    data_dir: str | Path | None = None,
    executor: str | Executor = "local",
    listener: Listener = lambda event: None,
) -> Landscape:
    """Train these cells of a results folder up to so many replicates each, and nothing else.

    replicates: by cell, which names every axis of the folder's study; a value that an axis lacks
    joins it, for this cell alone. study: where its task or model are Python objects, which a
    folder cannot hold. trust: run code that the folder's study names, whoever made it.

    What is asked for is noted first: interrupted, the same call goes on. Cells that other calls
    asked for stay. Raises UsageError for a cell or a number that cannot be, GridscapeError.
    """
    with Extender(
        directory, study=study, trust=trust, data_dir=data_dir, executor=executor, listener=listener
    ) as extender:
        return extender.extend(replicates)


class Extender:
    """A results folder held open for writing, to train more of it again and again.

    Takes the arguments of ``extend``; ``with Extender(...)`` opens it. Nobody else may write
    there meanwhile: raises StoreLockedError where somebody does.
    """

    store: Store
    resolved: ResolvedStudy

    def __init__(
        self,
        directory: str | Path,
        *,
        study: Study | None = None,
        trust: bool = False,
        data_dir: str | Path | None = None,
        executor: str | Executor = "local",
        listener: Listener = lambda event: None,
    ) -> None:
        self.directory, self.data_dir, self.listener = Path(directory), data_dir, listener
        self.executor = find_executor(executor)
        self._given, self._trust = study, trust
        self._resources, self._interrupt = ExitStack(), Interrupt(at_once=True)

    def __enter__(self) -> Self:
        require_addresses()
        with Store.read(self.directory) as store:
            record = store.study
        require_own(record, self.directory)
        self._study = self._given or Study.from_record(
            record, trust=self._trust, where=self.directory
        )
        resolved = self._resolve(record)
        asked = {**resolved.record(), **_grid_of_record(record)}
        with ExitStack() as resources:
            resources.enter_context(self._interrupt)
            resources.enter_context(closing(self.executor))
            self.store = resources.enter_context(Store.create(self.directory, asked))
            self._open(resolved if _same_axes(self.store.study, record) else self._resolve())
            require_same_conditions(self.store, self.resolved.trials(self._asked()))
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._resources.close()

    @property
    def land(self) -> Landscape:
        """The landscape as it is now."""
        return Landscape.of(self.store.study, self.store.results())

    def cell(self, values: Mapping[str, Value]) -> Cell:
        """The cell with these values, in the study's order; a value near one of the axis is it.

        Raises UsageError where an axis is not named, UnknownNameError where one is unknown.
        """
        axes = self.store.study["axes"]
        for name in values:
            if name not in axes:
                raise UnknownNameError("axis", name, axes)
        unnamed = {name: own for name, own in axes.items() if name not in values}
        if lacking := [n for n, own in unnamed.items() if len(own) > 1 and None not in own]:
            raise UsageError(
                "a cell needs a value of each axis", where=str(dict(values)), found=lacking
            )
        alone: dict[str, Any] = {
            name: None if None in own else own[0] for name, own in unnamed.items()
        }
        return Cell(tuple((n, _near(n, own, {**alone, **values}[n])) for n, own in axes.items()))

    def todo(self, replicates: Mapping[Cell, int]) -> int:
        """How many trials ``extend`` would train."""
        done, n_left = self._by_cell(), 0
        for cell, number in replicates.items():
            n_left += len(set(range(number)) - done.get(cell, set()))
        return n_left

    def unfinished(self) -> dict[Cell, int]:
        """Cells that were asked for and not trained so far, with their number of replicates."""
        done = self._by_cell()
        return {
            cell: number
            for cell, number in self._numbers().items()
            if not set(range(number)) <= done.get(cell, set())
        }

    def extend(self, replicates: Mapping[Cell, int]) -> Landscape:
        """See the function of this name."""
        more = {self.cell(cell): _number(number) for cell, number in replicates.items()}
        before = self.store.study
        known = reach.is_known(before)
        if not _same_axes(asked_more(before, more), before):
            # What cannot be trained is refused before the folder asks for it.
            self._open(self._resolve(asked_more(before, more)))
        elif max(more.values(), default=0) > self.resolved.study.replicates:
            # The listener needs room for every replicate there may be.
            wider = self.resolved.study.override(replicates=max(more.values()))
            self.resolved = replace(self.resolved, study=wider)
        self.store.ask(more)
        if known:
            reach.remember(self.store.study, self.store.study, before)
        trials = self.resolved.trials({cell: range(number) for cell, number in more.items()})
        self.train(trials)
        return self.land

    def train(self, trials: Iterable[Trial]) -> None:
        """Train these trials where they are not stored."""
        self._interrupt.raise_if_asked()
        sweep = Sweep(self.store, self.resolved, self.executor, self.listener, tuple(trials))
        sweep.run()
        # Ctrl-C in the last segment left nothing to train; it ends the rounds to come all the same.
        sweep.interrupt.raise_if_asked()
        self._interrupt.raise_if_asked()

    def _open(self, resolved: ResolvedStudy) -> None:
        self.executor.close()
        self.resolved = resolved
        self.executor.open(resolved, self.data_dir)

    def _resolve(self, record: Mapping[str, Any] | None = None) -> ResolvedStudy:
        record = record or self.store.study
        most = Asked(record).most
        wanted = self._study.override(record["axes"], replicates=most, grids=tables_of(record))
        return wanted.resolve(self.data_dir)

    def _numbers(self) -> dict[Cell, int]:
        asked = Asked(self.store.study)
        return {cell: asked.of(cell) for cell in grid_of(self.store.study["axes"]).cells()}

    def _asked(self) -> dict[Cell, range]:
        return {cell: range(number) for cell, number in self._numbers().items()}

    def _by_cell(self) -> dict[Cell, set[int]]:
        """The replicates of each cell that need no training."""
        done, found = done_of(self.store), dict[Cell, set[int]]()
        for trial in self.store.trials():
            if trial.key in done:
                found.setdefault(trial.cell, set()).add(trial.replicate)
        return found


def _grid_of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("axes", "replicates", OTHERS, GRIDS) if name in record}


def _same_axes(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one["axes"] == other["axes"])


def _near(name: str, values: list[Value], value: Value) -> Value:
    """The value of an axis that is the same, else the value itself as a study keeps it."""
    place = Axis(name, tuple(values)).place(value)
    if place is not None:
        return values[place]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UsageError("not a value of an axis", where=f"axis {name}", found=show(value))
        return float(f"{value:.{DIGITS}g}")
    return value


def _number(number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST:
        raise UsageError("not a number of replicates", expected=f"1 to {MOST:,}", found=number)
    return number
