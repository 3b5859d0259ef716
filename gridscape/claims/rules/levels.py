"""Rules on how high the metric is.

A bound is one of the typical run: most runs lie above it, or below it, which is tested exactly. The
mean would need no more than one run that fails, unseen by five others, to lie elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gridscape.analysis.best import MOST_RUNS
from gridscape.analysis.cells import CellSummary, learned
from gridscape.analysis.differences import Comparison, Difference
from gridscape.analysis.fractions import fraction_test
from gridscape.claims.checks import Check, within
from gridscape.claims.evidence import Evidence, Region
from gridscape.claims.pairs import exactly, heights, learns, reach
from gridscape.claims.rules.registry import MAIN, Finding, rule
from gridscape.errors import UsageError


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
    """Of cells up to ``keeps_to`` most runs end above a bound, of those from ``fails_from`` fail.

    Failing is an end below ``fails_below``, or divergence.
    """
    groups = [
        ({"to": keeps_to}, "above", keeps_above),
        ({"from": fails_from}, "below", fails_below),
    ]
    checks: list[Check] = []
    lacks = []
    for values, side, bound in groups:
        cells, lacking = evidence.settled_in({**at, axis: values}, metric)
        evidence.use(cells)
        checks += [level(s, side, bound) for s in cells]
        lacks += [lacking] if lacking else []
    return Finding(checks, {}, lacks="; ".join(lacks))


def level(cell: CellSummary, side: str, bound: float, *, exact: bool = False) -> Check:
    """Holds where most runs of a cell end "above" or "below" a bound; divergence is worst."""
    found, sign = heights(cell), {"above": ">", "below": "<"}[side]
    does = np.where(np.isnan(found), np.nan, found > bound if side == "above" else found < bound)
    name = f"share of the runs with {cell.metric} {sign} {bound:g} at {cell.cell}"
    check = reach([cell], name, does)
    if exact:
        return exactly(check, does)
    if cell.at_edge:
        return check
    # Away from the edge the mean of runs that agree speaks against it as well: the better of both.
    mean = Comparison([cell]).combination([cell], [1.0])
    against = mean.p_below(bound) if side == "above" else mean.p_above(bound)
    p_fails = min(1.0, 2 * float(np.fmin(check.p_fails, against)))
    return replace(check, p_fails=p_fails) if check.p_fails <= MOST_RUNS else check


Part = Mapping[str, Any]  # where, and one of: above; below; near and within


@rule
def levels(
    evidence: Evidence, parts: Sequence[Part], metric: str = MAIN, exact: bool = False
) -> Finding:
    """In every cell of each part most runs end above or below a number, or their mean is near it.

    parts: tables of ``where``, a region, and of ``above`` or ``below``, a bound of most runs, or
        ``near`` and ``within``: two one-sided tests of the distance of the mean of those that
        learn, and where a run failed, or beside such a cell, that most learn.
    exact: nothing in these runs is random, so that one decides whether it lies above or below.
    A run that diverged is worse than any bound.
    """
    checks: list[Check] = []
    lacks = []
    for part in parts:
        cells, lacking = evidence.settled_in(part["where"], metric)
        evidence.use(cells)
        checks += [check for s in cells for check in _checks_of_part(s, part, exact)]
        lacks += [lacking] if lacking else []
    return Finding(checks, {}, lacks="; ".join(lacks))


def _checks_of_part(cell: CellSummary, part: Part, exact: bool) -> list[Check]:
    asked = sorted(set(part) - {"where"})
    if asked == ["near", "within"]:
        near = _near(cell, part["near"], part["within"])
        return [near, learns(cell)] if cell.at_edge else [near]
    if asked not in (["above"], ["below"]):
        expected = "above, or below, or near and within"
        raise UsageError("not a level", where="parts", expected=expected, found=", ".join(asked))
    (side,) = asked
    return [level(cell, side, part[side], exact=exact)]


def _near(cell: CellSummary, number: float, margin: float) -> Check:
    name = f"{cell.metric} at {cell.cell} minus {number:g}"
    found = Comparison([cell]).combination([cell], [1.0])
    distance: Difference = replace(found, mean=found.mean - number)
    check = replace(within(name, cell.meaning.unit or "", distance, margin), cells=(cell.cell,))
    if cell.n_examples is None or not 0 <= cell.estimate.mean <= 1:
        return check
    # Near 0 and 1 a mean of fractions is tested as its interval is formed.
    low, mean, high = number - margin, cell.estimate.mean, number + margin
    p_low, p_high = (fraction_test(learned(cell), end, cell.n_examples) for end in (low, high))
    if low < mean < high:
        return replace(check, p_holds=max(p_low, p_high), p_fails=1.0)
    return replace(check, p_holds=1.0, p_fails=p_low if mean <= low else p_high)


@rule
def fails_in_most(
    evidence: Evidence,
    where: Region,
    below: float,
    share: float = 0.5,
    metric: str = MAIN,
) -> Finding:
    """In most replicates more than a share of the cells of a region fail.

    They diverge, or end below a level.
    """
    cells, lacking = evidence.settled_in(where, metric)
    if not cells:
        return Finding([], {}, lacks=lacking)
    evidence.use(cells)
    found = np.array([heights(s) for s in cells])
    failing = np.where(np.isnan(found), np.nan, found < below).mean(axis=0)
    does = np.where(np.isnan(failing), np.nan, failing > share)
    name = f"share of the replicates in which over {share:g} of the cells stay below {below:g}"
    numbers = {"trials that diverged": float(sum(s.n_diverged for s in cells))}
    return Finding([reach(cells, name, does)], numbers, lacks=lacking)
