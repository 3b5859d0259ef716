"""Rules on how high the metric is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gridscape.analysis.cells import CellState, CellSummary
from gridscape.claims.checks import Check, above, below, certain, within
from gridscape.claims.evidence import LOST, Evidence, Region
from gridscape.claims.records import Outcome
from gridscape.claims.rules.registry import MAIN, Finding, rule
from gridscape.errors import UsageError
from gridscape.grid.trials import Status


@rule
def splits_at(
    evidence: Evidence,
    axis: str,
    at: Region,
    keeps_to: float,
    keeps_above: float,
    fails_from: float,
    fails_below: float,
    metric: str = MAIN,
) -> Finding:
    """Cells up to ``keeps_to`` keep a mean above a bound, those from ``fails_from`` fail.

    Failing is a mean below ``fails_below``, or divergence in at least half of the replicates.
    """
    small = evidence.all_in({**at, axis: {"to": keeps_to}}, metric)
    large = evidence.all_in({**at, axis: {"from": fails_from}}, metric)
    groups = [
        (small, above, keeps_above, Outcome.FAILS),
        (large, below, fails_below, Outcome.HOLDS),
    ]
    checks: list[Check] = []
    missing = []
    for group, bound, threshold, when_diverged in groups:
        decided = [s for s in group if s.state is not CellState.FAILED]
        lost = [s.cell for s in group if s.state is CellState.FAILED]
        evidence.exclude(lost, LOST)
        evidence.use(decided)
        checks += [_level(s, bound, threshold, when_diverged, metric) for s in decided]
        if not decided:
            reach = f"from {fails_from:g}" if group is large else f"up to {keeps_to:g}"
            missing.append(f"a cell with {axis} {reach}")
    return Finding(checks, {}, lacks=" and ".join(missing))


def _level(
    summary: CellSummary, bound: Any, threshold: float, when_diverged: Outcome, metric: str
) -> Check:
    name = f"{metric} at {summary.cell}"
    if summary.state is CellState.DIVERGED:
        asks = f"{'>' if bound is above else '<'} {threshold:g}"
        return certain(f"{name} (diverged)", asks, when_diverged)
    check: Check = bound(name, summary.meaning.unit, np.array(summary.values), threshold)
    return check


Part = Mapping[str, Any]  # where, and one of: above; below; near and within


@rule
def levels(evidence: Evidence, parts: Sequence[Part], metric: str = MAIN) -> Finding:
    """Every cell of each part has a mean above, below or near a number.

    parts: tables of ``where``, a region, and of ``above`` or ``below``, a bound of the mean, or
        ``near`` and ``within``: two one-sided tests of the mean's distance.
    A cell that diverged in at least half of its replicates is worse than any bound.
    """
    checks, lacks = [], []
    for part in parts:
        cells, lacking = evidence.settled_in(part["where"], metric)
        evidence.use(cells)
        checks += [_check_of_part(s, part, metric) for s in cells]
        lacks += [lacking] if lacking else []
    return Finding(checks, {}, lacks="; ".join(lacks))


def _check_of_part(cell: CellSummary, part: Part, metric: str) -> Check:
    asked = sorted(set(part) - {"where"})
    if asked == ["near", "within"]:
        return _near(cell, part["near"], part["within"], metric)
    if asked not in (["above"], ["below"]):
        expected = "above, or below, or near and within"
        raise UsageError("not a level", where="parts", expected=expected, found=", ".join(asked))
    (side,) = asked
    is_worse = (side == "below") == cell.meaning.is_higher_better
    when_diverged = Outcome.HOLDS if is_worse else Outcome.FAILS
    return _level(cell, above if side == "above" else below, part[side], when_diverged, metric)


def _near(cell: CellSummary, number: float, margin: float, metric: str) -> Check:
    name = f"{metric} at {cell.cell} minus {number:g}"
    if cell.state is CellState.DIVERGED:
        return certain(f"{name} (diverged)", f"within +-{margin:g}", Outcome.FAILS)
    return within(name, cell.meaning.unit, np.array(cell.values) - number, margin)


@rule
def fails_in_most(
    evidence: Evidence,
    where: Region,
    below: float,
    share: float = 0.5,
    metric: str = MAIN,
) -> Finding:
    """More than a share of the cells of a region fail: they diverge, or end below a level.

    The share is formed within each replicate; the test is over replicates.
    """
    cells, lacking = evidence.settled_in(where, metric)
    evidence.use(cells)
    rows = np.array([_fails(s, below) for s in cells])
    name = f"share of the cells that diverge or stay below {below:g}"
    checks = [above(name, "fraction", rows.mean(axis=0), share)] if cells else []
    n_diverged = sum(s.n_diverged for s in cells)
    return Finding(checks, {"trials that diverged": float(n_diverged)}, lacks=lacking)


def _fails(cell: CellSummary, below: float) -> np.ndarray:
    """(R,) 1 where a replicate diverged or ended below a level, else 0; NaN where neither."""
    values, diverged = np.array(cell.values), np.array(cell.statuses) == Status.DIVERGED.value
    failing = (diverged | (values < below)).astype(float)
    return np.where(diverged | np.isfinite(values), failing, np.nan)
