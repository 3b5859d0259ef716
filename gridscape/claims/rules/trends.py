"""Rules on how the metric, or its best place, changes along an axis."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from gridscape.analysis.best import BestPerRow, best_among
from gridscape.analysis.cells import CellSummary
from gridscape.analysis.differences import Comparison
from gridscape.analysis.statistics import Interval
from gridscape.claims.checks import Check, above, always, any_of, below, listed
from gridscape.claims.evidence import (
    Evidence,
    Region,
    grouped,
    per_step,
    rows_of,
    ruler_of,
    slope_weights,
)
from gridscape.claims.pairs import better, exceeds
from gridscape.claims.rules.registry import MAIN, Finding, rule
from gridscape.errors import UnknownNameError
from gridscape.grid.axes import Axis, Value, same, show


@rule
def monotone_in(
    evidence: Evidence,
    axis: str,
    at: Region,
    direction: str,
    tolerance: float,
    metric: str = MAIN,
) -> Finding:
    """The metric "rises" or "falls" along ``axis`` in each row that ``at`` names.

    The least-squares slope has that sign, and each step to the next value is shown not to go the
    other way by more than ``tolerance``. A cell of which most runs fail is worse than one of which
    most learn.
    """
    if direction not in ("rises", "falls"):
        raise UnknownNameError("direction", direction, ("rises", "falls"))
    sign, bound = (1, above) if direction == "rises" else (-1, below)
    ruler = ruler_of(evidence.land.axis(axis), 2)
    unit = f"{evidence.meaning(metric).unit} {per_step(evidence.land.axis(axis))}"
    slopes, steps, lacks = [], [], []
    numbers: dict[str, float] = {}
    for row in rows_of(at):
        members, lacking = evidence.settled_in({**at, **row}, metric)
        lacks += [lacking] if lacking else []
        if len(members) < 2:
            continue
        evidence.use(members)
        members.sort(key=lambda s: float(s.cell[axis]))
        among = Comparison(members)
        weights = slope_weights([ruler(s.cell[axis]) for s in members])
        trend = among.combination(members, weights.tolist())
        cells = tuple(s.cell for s in members)
        slopes.append(replace(bound(f"slope of {metric} at {row}", unit, trend, 0.0), cells=cells))
        of_row = steps_of(members, sign, tolerance, among)
        numbers[f"smallest step at {row}"] = min(step.interval.mean for step in of_row)
        steps += of_row
    return Finding([*slopes, *steps], numbers, "; ".join(lacks))


def steps_of(
    members: Sequence[CellSummary], sign: int, tolerance: float, among: Comparison
) -> list[Check]:
    """Hold where a step to the next cell does not go against ``sign`` by more than a tolerance."""
    pairs = [(b, a) if sign > 0 else (a, b) for a, b in itertools.pairwise(members)]
    return [
        replace(
            exceeds(
                f"{upper.metric} at {upper.cell} minus {lower.cell}",
                upper,
                lower,
                -tolerance,
                among,
            ),
            is_detail=True,
        )
        for upper, lower in pairs
    ]


@rule
def goldilocks(
    evidence: Evidence,
    axis: str,
    per: str,
    low: float,
    high: float,
    tolerance: float,
    metric: str = MAIN,
) -> Finding:
    """Along ``axis`` the metric rises from ``low`` to ``high`` and is lower again at the end.

    Of a metric of which less is better, it falls and is higher again. Judged in every row ``per``
    that the statement speaks of; a row that lacks a cell is not shown. The end is the largest value
    of the landscape. No step on the way goes the other way by more than ``tolerance``.
    """
    rises, falls, steps = [], [], []
    rows, lacks = list[str](), list[str]()  # those without an end of the way, and all others
    sign = evidence.meaning(metric).sign
    up, down = ("rise", "fall")[::sign]
    end = max(evidence.land.axis(axis).values, key=float)
    wanted = next((a.values for a in evidence.axes if a.name == per), ())
    for value in dict.fromkeys((*wanted, *evidence.land.axis(per).values)):
        where = f"{per}={show(value)}"
        members, lacking = evidence.settled_in({per: value}, metric)
        members.sort(key=lambda s: float(s.cell[axis]))
        start, top, last = (_at(members, axis, v) for v in (low, high, end))
        if start is None or top is None or last is None or last is top:
            evidence.exclude([s.cell for s in members], f"its row lacks {low:g}, {high:g} or more")
            rows.append(where)
            continue
        lacks += [lacking] if lacking else []
        evidence.use(members)
        among = Comparison(members)
        way = members[members.index(start) : members.index(top) + 1]
        rises.append(better(f"{up} to {axis} {show(high)} at {where}", top, start, among))
        name = f"{down} from the best to the largest {axis} at {where}"
        # One that fails is compared with one cell: for many, signs would need more replicates.
        others = [top] if last.n_learns < last.share.n else [s for s in members if s is not last]
        falls.append(any_of(name, [better(name, s, last, among) for s in others]))
        steps += steps_of(way, sign, tolerance, among)
    if rows:
        lacks.insert(0, f"{axis} {show(low)}, {show(high)} and a larger value at {listed(rows)}")
    return Finding([*rises, *falls, *steps], {}, "; ".join(lacks))


def _at(row: Iterable[CellSummary], axis: str, wanted: Value) -> CellSummary | None:
    return next((s for s in row if same(s.cell[axis], wanted)), None)


@rule
def best_shrinks(evidence: Evidence, axis: str, along: str, metric: str = MAIN) -> Finding:
    """The best value of ``axis`` falls as ``along`` grows.

    In each row the best value is known to lie among those that no other is shown to beat, and
    between the values of the grid: half a step beyond them, without end where they reach the end of
    the axis. Holds where every line through these intervals falls, fails where every one rises or
    is level. All rows are right at once (Bonferroni), so the verdict is wrong as seldom as one of
    them is.
    """
    cells, lacking = evidence.settled_in({}, metric)
    rows = {v: members for v, members in grouped(cells, along).items() if len(members) >= 2}
    target = evidence.land.axis(axis)
    if len(rows) < 2 or target.scale == "category":
        return Finding([], {}, lacks=f"two values of {along} with two of {axis} each")
    evidence.use(s for members in rows.values() for s in members)
    level = 1 - evidence.level.each(len(rows))
    best = {value: best_among(target, members, level) for value, members in rows.items()}
    place = ruler_of(evidence.land.axis(along), 2)
    unit = f"{'log10' if target.scale == 'log' else 'units'} {per_step(evidence.land.axis(along))}"
    # A value at which most runs fail takes no replicates from those that are compared.
    n = min(max(s.estimate.n for s in members) for members in rows.values())
    heights = [_heights(target, found) for found in best.values()]
    slope = _slope([place(v) for v in rows], heights, n)
    check = Check(
        f"slope of the best {axis}",
        unit,
        "< 0",
        slope,
        p_holds=evidence.level.each() if slope.high < 0 else 1.0,
        p_fails=evidence.level.each() if slope.low > 0 else 1.0,
        cells=tuple(s.cell for members in rows.values() for s in members),
        outlook=always("the intervals of the best values are too wide"),
    )
    numbers = {
        f"best {axis} at {along}={show(value)}": float(found.value)
        for value, found in best.items()
        if found.value is not None
    }
    return Finding([check], numbers, lacks=lacking)


def _heights(axis: Axis, found: BestPerRow) -> tuple[float, float, float]:
    """The best value and its interval on the axis' ruler, log10 of a logarithmic one."""
    ruler = ruler_of(axis, 10)
    if not found.known or found.value is None:
        return math.nan, -math.inf, math.inf
    low, high = found.optimum.low, found.optimum.high
    ends = (ruler(low) if low > 0 or axis.scale != "log" else -math.inf, high)
    return ruler(found.value), ends[0], ruler(ends[1]) if math.isfinite(ends[1]) else math.inf


def _slope(x: Sequence[float], heights: Sequence[tuple[float, float, float]], n: int) -> Interval:
    """The slope of the best values, and the least and largest of lines through their intervals."""
    weights = slope_weights(x)
    middle, low, high = np.transpose(heights)
    middle, low, high, weights = (x[weights != 0] for x in (middle, low, high, weights))
    least = float((weights * np.where(weights > 0, low, high)).sum())
    most = float((weights * np.where(weights > 0, high, low)).sum())
    ends = (least, most) if math.isfinite(least) or math.isfinite(most) else (math.nan, math.nan)
    return Interval(float((weights * middle).sum()), *ends, n)
