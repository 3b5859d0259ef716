"""Rules that compare cells with one another."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from gridscape.analysis.cells import CellState, CellSummary, ended_values, summarize
from gridscape.analysis.statistics import Interval, mean
from gridscape.claims.checks import Check, above, below, certain, listed, within
from gridscape.claims.evidence import (
    Evidence,
    Region,
    complete,
    differences,
    in_words,
    rows_of,
)
from gridscape.claims.records import Outcome
from gridscape.claims.rules.registry import MAIN, Finding, rule
from gridscape.errors import StoreError
from gridscape.grid.axes import Cell, Value


@rule
def equal_at_lower_cost(
    evidence: Evidence,
    a: Mapping[str, Value],
    b: Mapping[str, Value],
    margin: float,
    cost: str,
    at_most: float,
    metric: str = MAIN,
) -> Finding:
    """Cell ``a`` equals cell ``b`` within a margin at no more than a share of its cost.

    cost: "seconds", "flops", "n_parameters" or "memory_bytes"; its ratio is tested on the log.
    """
    first, second = (evidence.fit_in(cell, metric) for cell in (a, b))
    missing = [str(Cell.of(**c)) for c, found in ((a, first), (b, second)) if not found]
    if missing:
        return Finding([], {}, lacks=f"a result of the cell {' and of the cell '.join(missing)}")
    ours, other = first[0], second[0]
    evidence.use([ours, other])
    costs = [evidence.summaries(cost)[s.cell] for s in (ours, other)]
    first_cost, second_cost = complete(costs)
    cheaper = below(f"ratio of {cost}", "", np.log(first_cost / second_cost), math.log(at_most))
    difference = f"{metric} at {ours.cell} minus {other.cell}"
    return Finding(
        [
            within(difference, evidence.meaning(metric).unit, differences(ours, other), margin),
            replace(cheaper, interval=_exp(cheaper.interval), asks=f"< {at_most:g}"),
        ],
        {f"{cost} at {s.cell}": s.estimate.mean for s in costs},
    )


def _exp(log: Interval) -> Interval:
    return Interval(math.exp(log.mean), math.exp(log.low), math.exp(log.high), log.n)


@rule
def ordered(
    evidence: Evidence,
    cells: Sequence[Region],
    at: Region = MappingProxyType({}),
    by: float = 0.0,
    metric: str = MAIN,
) -> Finding:
    """The metric grows from each of the cells to the next by more than ``by``, in every row ``at``.

    cells: what tells the cells of a row apart; a row adds the values that they share. A cell that
    diverged in at least half of its replicates is worse than any other.
    """
    checks, missing = [], []
    for place in rows_of(at):
        row = [{**place, **cell} for cell in cells]
        found = [evidence.the_one(region, metric) for region in row]
        there = [summary for summary in found if summary is not None]
        missing += [in_words(r) for r, summary in zip(row, found, strict=True) if summary is None]
        if len(there) == len(row):
            evidence.use(there)
            checks += [_step(a, b, by) for a, b in itertools.pairwise(there)]
    return Finding(checks, {}, lacks=f"a result of {listed(missing)}" if missing else "")


def _better(best: CellSummary, other: CellSummary) -> Check:
    """One cell is better than another."""
    pair = (other, best) if best.meaning.is_higher_better else (best, other)
    return _step(*pair, 0.0)


def _step(lower: CellSummary, upper: CellSummary, by: float) -> Check:
    """The metric of one cell is above that of another by more than a number."""
    name = f"{lower.metric} at {upper.cell} minus {lower.cell}"
    if (settled := _without_numbers(lower, upper)) is not None:
        return certain(f"{name} (diverged)", f"> {by:g}", settled)
    return above(name, lower.meaning.unit, differences(upper, lower), by)


def _without_numbers(lower: CellSummary, upper: CellSummary) -> Outcome | None:
    """Whether ``upper`` is the higher one where one of them diverged; None where neither did.

    One that diverged has the lowest accuracy and the highest loss; two are not told apart.
    """
    diverged = [s.state is CellState.DIVERGED for s in (lower, upper)]
    if diverged == [False, False]:
        return None
    lowest = diverged if lower.meaning.is_higher_better else diverged[::-1]
    return Outcome.HOLDS if lowest == [True, False] else Outcome.FAILS


@rule
def best_is(
    evidence: Evidence,
    cell: Region,
    at: Region = MappingProxyType({}),
    metric: str = MAIN,
) -> Finding:
    """A cell is better than every other cell of its row, in every row ``at``.

    The differences are paired by replicate. Others that diverged in at least half of their
    replicates are surely worse.
    """
    checks, lacks = [], []
    for row in rows_of(at):
        best = evidence.the_one({**row, **cell}, metric)
        cells, lacking = evidence.settled_in(row, metric)
        lacks += [lacking] if lacking else []
        if best is not None:
            evidence.use(cells)
            checks += [_better(best, s) for s in cells if s is not best]
    return Finding(checks, {}, lacks="; ".join(lacks))


@rule
def comparable(
    evidence: Evidence,
    where: Region,
    margin: float,
    worse: Region | None = None,
    metric: str = MAIN,
) -> Finding:
    """The cells of a region lie within a margin of their mean; those of another lie below it.

    Within each replicate the mean is taken over the region; two one-sided tests for each cell.
    worse: a region whose cells are worse than that mean by more than the margin.
    """
    group, lacking = evidence.settled_in(where, metric)
    rest, too = evidence.settled_in(worse, metric) if worse is not None else ([], "")
    evidence.use([*group, *rest])
    alike = [_near_mean(s, group, margin) for s in group]
    apart = [_worse_than_mean(s, group, margin) for s in rest]
    return Finding([*alike, *apart], {}, lacks="; ".join(filter(None, (lacking, too))))


def _near_mean(cell: CellSummary, group: Sequence[CellSummary], margin: float) -> Check:
    name = f"{cell.metric} at {cell.cell} minus the mean"
    if cell.state is CellState.DIVERGED:
        return certain(f"{name} (diverged)", f"within +-{margin:g}", Outcome.FAILS)
    return within(name, cell.meaning.unit, _minus_mean(cell, group), margin)


def _worse_than_mean(cell: CellSummary, group: Sequence[CellSummary], margin: float) -> Check:
    name = f"{cell.metric} at {cell.cell} minus the mean of the others"
    bound, limit = (below, -margin) if cell.meaning.is_higher_better else (above, margin)
    if cell.state is CellState.DIVERGED:
        return certain(f"{name} (diverged)", f"beyond {limit:g}", Outcome.HOLDS)
    return bound(name, cell.meaning.unit, _minus_mean(cell, group), limit)


def _minus_mean(cell: CellSummary, group: Sequence[CellSummary]) -> np.ndarray:
    """(R',) a cell minus the mean of those of a group that finished, within each replicate."""
    own, *others = ended_values([cell, *group])
    return np.asarray(own - [mean(column) for column in np.transpose(others)])


@rule
def beats_study(evidence: Evidence, cell: Region, other: str, metric: str = MAIN) -> Finding:
    """A cell is better than every cell of another study, whose results lie beside these.

    Replicates of the same number are compared; the cells named in the verdict are the other's.
    """
    best = evidence.the_one(cell, metric)
    if best is None:
        return Finding([], {}, lacks=f"a result of {in_words(cell)}")
    try:
        land = evidence.beside(other)
    except StoreError as error:
        return Finding([], {}, lacks=f"the results of {other} ({error})")
    ended = [s for s in summarize(land, metric) if s.n_ended and s.state is not CellState.FAILED]
    if not ended:
        return Finding([], {}, lacks=f"a finished cell of {other}")
    evidence.use([best, *ended])
    checks = [_better(*_common_replicates(best, s)) for s in ended]
    left = len(land.grid.cells()) - len(ended)
    return Finding(checks, {}, lacks=f"{left} cells of {other}" if left else "")


def _common_replicates(a: CellSummary, b: CellSummary) -> tuple[CellSummary, CellSummary]:
    n = min(len(a.values), len(b.values))
    return replace(a, values=a.values[:n]), replace(b, values=b.values[:n])
