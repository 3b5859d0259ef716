"""Rules that compare cells with one another."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from gridscape.analysis.cells import CellState, CellSummary, learned, summarize
from gridscape.analysis.differences import Comparison, welch
from gridscape.analysis.statistics import Interval
from gridscape.claims.checks import Check, above, always, below, listed, within
from gridscape.claims.evidence import Evidence, Region, in_words, rows_of
from gridscape.claims.pairs import (
    all_learn,
    better,
    exactly,
    exceeds,
    gains,
    heights,
    learns,
    reach,
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
    ours, other = (_learning(evidence, cell, metric) for cell in (a, b))
    if ours is None or other is None:
        missing = [str(Cell.of(**c)) for c, found in ((a, ours), (b, other)) if found is None]
        return Finding([], {}, lacks=f"a result of the cell {' and of the cell '.join(missing)}")
    evidence.use([ours, other])
    cells = (ours.cell, other.cell)
    difference = Comparison([ours, other]).difference(ours, other)
    equal = within(
        f"{metric} at {ours.cell} minus {other.cell}",
        evidence.meaning(metric).unit or "",
        difference,
        margin,
    )
    failing = [learns(s) for s in (ours, other) if s.at_edge]
    costs = [evidence.summaries(cost)[s.cell] for s in (ours, other)]
    return Finding(
        [
            replace(equal, cells=cells),
            replace(_cheaper(cost, costs, at_most), cells=cells),
            *failing,
        ],
        {f"{cost} at {s.cell}": s.estimate.mean for s in costs},
    )


def _learning(evidence: Evidence, region: Region, metric: str) -> CellSummary | None:
    """The one cell of a region, None where no more than half of its runs learn."""
    found = evidence.the_one(region, metric)
    if found is not None and not found.is_candidate:
        evidence.exclude([found.cell], "no more than half of its runs learn")
        return None
    return found


def _cheaper(cost: str, costs: Sequence[CellSummary], at_most: float) -> Check:
    """The ratio of two costs is below a bound; seconds by their different timings.

    All replicates that were trained together have one timing: that of one is told and settles
    nothing.
    """
    first, second = (np.unique(s.values) for s in costs)
    first, second = (x[np.isfinite(x)] for x in (first, second))
    name = f"ratio of {cost}"
    if cost != "seconds":
        ratio = float(first.mean() / second.mean())
        says = Outcome.HOLDS if ratio < at_most else Outcome.FAILS
        only = Interval(ratio, math.nan, math.nan, 1)
        return Check(name, "", f"< {at_most:g}", only, math.nan, math.nan, says=says)
    logs = welch(np.log(first), np.log(second))
    check = below(name, "", logs, math.log(at_most))
    timings = f"timed {len(first)} and {len(second)} times: what trains together is timed once"
    interval, asks = _exp(check.interval), f"< {at_most:g}"
    return replace(check, interval=interval, asks=asks, outlook=always(timings), untested=timings)


def _exp(log: Interval) -> Interval:
    return Interval(math.exp(log.mean), math.exp(log.low), math.exp(log.high), log.n)


@rule
def ordered(
    evidence: Evidence,
    cells: Sequence[Region],
    at: Region = MappingProxyType({}),
    by: float = 0.0,
    metric: str = MAIN,
    exact: bool = False,
) -> Finding:
    """The metric grows from each of the cells to the next by more than ``by``, in every row ``at``.

    cells: what tells the cells of a row apart; a row adds the values that they share. A cell of
    which most runs fail is worse than one of which most learn.
    exact: nothing in these runs is random, so that one decides.
    """
    checks, missing = [], []
    for place in rows_of(at):
        row = [{**place, **cell} for cell in cells]
        found = [evidence.the_one(region, metric) for region in row]
        there = [summary for summary in found if summary is not None]
        missing += [in_words(r) for r, summary in zip(row, found, strict=True) if summary is None]
        if len(there) == len(row):
            evidence.use(there)
            among = Comparison(there)
            steps = [(a, b, _step(a, b, by, among)) for a, b in itertools.pairwise(there)]
            checks += [exactly(step, gains(b, a, by)) if exact else step for a, b, step in steps]
    return Finding(checks, {}, lacks=f"a result of {listed(missing)}" if missing else "")


def _step(lower: CellSummary, upper: CellSummary, by: float, among: Comparison) -> Check:
    """The metric of one cell is above that of another by more than a number."""
    name = f"{lower.metric} at {upper.cell} minus {lower.cell}"
    return exceeds(name, upper, lower, by, among)


def _better(best: CellSummary, other: CellSummary, among: Comparison) -> Check:
    """One cell is better than another."""
    first, second = (best, other) if best.meaning.is_higher_better else (other, best)
    return better(f"{best.metric} at {first.cell} minus {second.cell}", best, other, among)


@rule
def best_is(
    evidence: Evidence,
    cell: Region,
    at: Region = MappingProxyType({}),
    metric: str = MAIN,
) -> Finding:
    """A cell is better than every other cell of its row, in every row ``at``.

    The differences are paired by replicate. A cell of which most runs fail is worse than one of
    which most learn.
    """
    checks, lacks = [], []
    for row in rows_of(at):
        best = evidence.the_one({**row, **cell}, metric)
        cells, lacking = evidence.settled_in(row, metric)
        lacks += [lacking] if lacking else []
        if best is not None:
            evidence.use(cells)
            among = Comparison(cells)
            checks += [_better(best, s, among) for s in cells if s is not best]
    return Finding(checks, {}, lacks="; ".join(lacks))


@rule
def comparable(
    evidence: Evidence,
    where: Region,
    margin: float,
    worse: Region | None = None,
    metric: str = MAIN,
) -> Finding:
    """Each cell of a region lies within a margin of the mean of its others; another's lie below.

    Within each replicate the mean is taken; two one-sided tests for each cell. Of a cell of which a
    run failed, or beside it, most runs must learn.
    worse: a region whose cells are worse than the region's mean by more than the margin.
    """
    group, lacking = evidence.settled_in(where, metric)
    rest, too = evidence.settled_in(worse, metric) if worse is not None else ([], "")
    evidence.use([*group, *rest])
    among = Comparison(group)
    pairs = [(s, [x for x in group if x is not s]) for s in group]
    alike = [_near_others(s, others, margin, among) for s, others in pairs if others]
    failing = [learns(s) for s in group if s.at_edge]
    apart = [_worse_than_mean(s, group, margin) for s in rest] if group else []
    alone = "a second cell of the region" if len(group) == 1 else ""
    lacks = "; ".join(filter(None, (lacking, too, alone)))
    return Finding([*alike, *failing, *apart], {}, lacks=lacks)


def _near_others(
    cell: CellSummary, others: Sequence[CellSummary], margin: float, among: Comparison
) -> Check:
    found = among.combination([cell, *others], [1.0, *[-1 / len(others)] * len(others)])
    name = f"{cell.metric} at {cell.cell} minus the mean of the others"
    check = within(name, cell.meaning.unit or "", found, margin)
    return replace(check, cells=(cell.cell, *(s.cell for s in others)))


def _worse_than_mean(cell: CellSummary, group: Sequence[CellSummary], margin: float) -> Check:
    """In most replicates a cell is worse than the mean of a group by more than a margin.

    Of means, where every run of the cell and of the group learns.
    """
    name = f"{cell.metric} at {cell.cell} minus the mean of the others"
    sign = cell.meaning.sign
    cells = (cell.cell, *(s.cell for s in group))
    if not any(s.at_edge for s in (cell, *group)):
        found = Comparison([cell, *group]).combination(
            [cell, *group], [1.0, *[-1 / len(group)] * len(group)]
        )
        bound = below if sign > 0 else above
        return replace(bound(name, cell.meaning.unit or "", found, -sign * margin), cells=cells)
    own, others = heights(cell), np.array([heights(s) for s in group])
    lag = sign * (np.where(np.isfinite(others), others, np.nan).mean(axis=0) - own)
    does = np.where(np.isnan(lag), np.nan, lag > margin)
    return replace(reach([cell], f"share of the runs with {name}", does), cells=cells)


@rule
def beats_study(evidence: Evidence, cell: Region, other: str, metric: str = MAIN) -> Finding:
    """A cell is better than every cell of another study, whose results lie beside these.

    The two do not share random numbers: their means are compared by Welch's test (1947), the cells
    named in the verdict are the other's.
    """
    best = evidence.the_one(cell, metric)
    if best is None:
        return Finding([], {}, lacks=f"a result of {in_words(cell)}")
    try:
        land = evidence.beside(other)
    except StoreError as error:
        return Finding([], {}, lacks=f"the results of {other} ({error})")
    ended = [s for s in summarize(land, metric) if s.share.n and s.state is not CellState.FAILED]
    if not ended:
        return Finding([], {}, lacks=f"a finished cell of {other}")
    evidence.use([best, *ended])
    checks = [_better_apart(best, s) for s in ended]
    left = len(land.grid.cells()) - len(ended)
    return Finding(checks, {}, lacks=f"{left} cells of {other}" if left else "")


def _better_apart(best: CellSummary, other: CellSummary) -> Check:
    """One cell is better than one of another study; where runs fail, most pairs of runs say so."""
    sign = best.meaning.sign
    name = f"{best.metric} at {best.cell} minus {other.cell} of the other study"
    if all_learn(best) and all_learn(other):
        unit = best.meaning.unit or ""
        apart = welch(learned(best), learned(other))
        bound = above if sign > 0 else below
        return replace(bound(name, unit, apart, 0.0), cells=(best.cell,))
    n = min(best.share.n, other.share.n)
    ours, theirs = (x[~np.isnan(x)][:n] for x in (heights(best), heights(other)))
    with np.errstate(invalid="ignore"):  # two that diverged: inf - inf is NaN, and does not count
        gain = sign * (ours - theirs)
    does = np.where(np.isnan(gain), np.nan, gain > 0)
    return reach([best], f"share of the runs with {name}", does)
