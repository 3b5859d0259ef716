"""Two cells of a results folder, compared example by example on the test set that they share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gridscape.analysis.examples import PairedCounts, mcnemar_p_value, paired_difference
from gridscape.analysis.statistics import Interval
from gridscape.base.data import Split
from gridscape.base.task import Task
from gridscape.base.types import Array
from gridscape.engine.machine import Machine
from gridscape.errors import StoreError, UsageError, check_known
from gridscape.execution.planner import Planner
from gridscape.execution.replay import Trained, recovered
from gridscape.grid.axes import Cell, Value
from gridscape.grid.trials import SEMANTICS, Status, Trial, TrialResult
from gridscape.inspection._chunks import over_chunks
from gridscape.kernels.cores import require_addresses
from gridscape.store.imported import require_own
from gridscape.store.store import Store
from gridscape.study.study import ResolvedStudy, Study


@dataclass(frozen=True)
class PairedReplicate:
    """One replicate of two cells on the same test examples.

    difference: the share that ``a`` gets right minus that of ``b``, over ``n`` examples. p_value:
    of McNemar's exact test, two-sided. identical: whether what was trained again for it, if
    anything, gave the stored parameters bit for bit.
    """

    replicate: int
    counts: PairedCounts
    difference: Interval
    p_value: float
    identical: bool


@dataclass(frozen=True)
class PairedCells:
    """Two cells, and their replicates one by one.

    metric: what says that an example is right. left_out: the replicates that both cells have, but
    did not finish in both.
    """

    a: Cell
    b: Cell
    metric: str
    replicates: tuple[PairedReplicate, ...]
    left_out: tuple[int, ...]


def mcnemar(
    directory: str | Path,
    a: Mapping[str, Value],
    b: Mapping[str, Value],
    *,
    replicate: int | None = None,
    metric: str | None = None,
    data_dir: str | Path | None = None,
    study: Study | None = None,
    trust: bool = False,
) -> PairedCells:
    """Compare two cells by the test examples that only one of them gets right.

    replicate: all that finished in both cells by default. metric: a metric that is 1 where an
    example is right and 0 where not; the main one by default. Parameters that were not kept are
    trained again. The other arguments are those of ``trained``.

    Raises UsageError for the same cell twice, a metric that is more than right or wrong and test
    examples that differ, StoreError where no replicate finished in both, and what ``trained``
    raises.
    """
    require_addresses()
    with Store.read(directory) as store:
        require_own(store.study, store.directory)
        own = study or Study.from_record(store.study, trust=trust, where=store.directory)
        resolved = own.override(keep_parameters="all").resolve(data_dir)
        cells = (own.grid.find(**a), own.grid.find(**b))
        if cells[0] == cells[1]:
            raise UsageError("the same cell twice", where="mcnemar", found=cells[0])
        wanted = range(own.replicates) if replicate is None else [replicate]
        check_known("replicate", str(wanted[0]), [str(k) for k in range(own.replicates)])
        pairs = {number: _stored(store, resolved, cells, number) for number in wanted}
    finished = {number: pair for number, pair in pairs.items() if _have_finished(pair)}
    if not finished:
        raise StoreError(
            "no replicate has finished in both cells",
            where=directory,
            expected=f"{cells[0]} and {cells[1]}",
            hint="gridscape run trains what is missing; gridscape show tells how trials ended",
        )
    with Planner(resolved, Machine.local()) as planner:
        found = tuple(_compared(planner, finished, metric))
    name = _right_or_wrong(resolved.task_of(cells[0]), metric)
    return PairedCells(*cells, name, found, tuple(n for n in pairs if n not in finished))


Pair = Sequence[tuple[Trial, TrialResult | None]]


def _stored(
    store: Store, resolved: ResolvedStudy, cells: Sequence[Cell], replicate: int
) -> list[tuple[Trial, TrialResult | None]]:
    """A replicate of each cell, with what the folder holds of it."""
    written, known = store.study.get("semantics", SEMANTICS), store.statuses()
    trials = {(t.cell, t.replicate): t for t in resolved.trials(semantics=written)}
    chosen = [trials[cell, replicate] for cell in cells]
    return [(trial, store.get(trial.key) if trial.key in known else None) for trial in chosen]


def _have_finished(pair: Pair) -> bool:
    return all(stored is not None and stored.status is Status.FINISHED for _, stored in pair)


def _compared(
    planner: Planner, pairs: Mapping[int, Pair], metric: str | None
) -> Iterator[PairedReplicate]:
    for number, pair in pairs.items():
        networks = [recovered(planner, trial, stored) for trial, stored in pair if stored]
        _require_same_examples(networks)
        right_a, right_b = (is_right(network, metric) for network in networks)
        counts = PairedCounts(
            both=int((right_a & right_b).sum()),
            only_a=int((right_a & ~right_b).sum()),
            only_b=int((~right_a & right_b).sum()),
            neither=int((~right_a & ~right_b).sum()),
        )
        yield PairedReplicate(
            replicate=number,
            counts=counts,
            difference=paired_difference(counts),
            p_value=mcnemar_p_value(counts.only_a, counts.only_b),
            identical=all(network.identical for network in networks),
        )


def is_right(network: Trained, metric: str | None = None) -> np.ndarray:
    """Which test examples a network gets right: booleans, (N,).

    metric: as of ``mcnemar``, whose errors it raises.
    """
    task, recipe = network.task, network.recipe
    name = _right_or_wrong(task, metric)
    measured = task.measured[name]
    if measured.of_mean or measured.of_set:
        raise UsageError(
            f"metric {name} is made of the whole set",
            where="mcnemar",
            expected="1 or 0 for each example",
            hint="name another with metric, or compare means: gridscape show",
        )
    function = measured.function

    def look(batch: Split) -> Array:
        outputs = recipe.model.apply(network.end, task.prepare(batch.inputs), None, recipe.hyper)
        return function(outputs, batch.targets)

    values = np.concatenate([np.asarray(part) for part in over_chunks(look, task)])
    if not np.isin(values, (0, 1)).all():
        raise UsageError(
            f"metric {name} says more than right or wrong",
            where="mcnemar",
            expected="1 or 0 for each example",
            found=f"{values[~np.isin(values, (0, 1))][0]:.3g}",
            hint="name another with metric, or compare means: gridscape show",
        )
    return np.asarray(values == 1)


def _right_or_wrong(task: Task, metric: str | None) -> str:
    """The name of the metric; UnknownNameError, or UsageError for a task without any."""
    if metric is not None:
        check_known("metric", metric, task.metrics)
        return metric
    if not task.metrics:
        raise UsageError("no metric tells right from wrong", where=f"task {task.name}")
    return next(iter(task.metrics))


def _require_same_examples(networks: Sequence[Trained]) -> None:
    first, second = (jax.tree.leaves(network.task.test) for network in networks)
    if len(first) != len(second) or not all(map(_equal, first, second)):
        raise UsageError(
            "the cells are tested on different examples",
            where="mcnemar",
            found=f"{networks[0].trial.cell} and {networks[1].trial.cell}",
            hint="gridscape show compares their means",
        )


def _equal(a: Any, b: Any) -> bool:
    return np.array_equal(np.asarray(a), np.asarray(b))
