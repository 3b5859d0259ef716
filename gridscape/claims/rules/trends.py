"""Rules on how the metric, or its best place, changes along an axis."""

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np

from gridscape.analysis.cells import CellState, CellSummary, score
from gridscape.analysis.statistics import LEVEL, Interval, mean, t_p_value, t_quantile
from gridscape.claims.checks import Check, above, below, certain, listed
from gridscape.claims.evidence import (
    Evidence,
    Region,
    complete,
    differences,
    ended_by_cell,
    grouped,
    per_step,
    rows_at,
    ruler_of,
    slopes_of,
)
from gridscape.claims.records import Outcome
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

    The least-squares slope within each replicate has that sign, and no step to the next value goes
    the other way by significantly more than ``tolerance``.
    """
    if direction not in ("rises", "falls"):
        raise UnknownNameError("direction", direction, ("rises", "falls"))
    sign, bound = (1, above) if direction == "rises" else (-1, below)
    ruler = ruler_of(evidence.land.axis(axis), 2)
    unit = f"{evidence.meaning(metric).unit} {per_step(evidence.land.axis(axis))}"
    slopes, guards, lacking = [], [], []
    numbers: dict[str, float] = {}
    for where, members in rows_at(evidence.fit_in(at, metric), at).items():
        members.sort(key=lambda s: float(s.cell[axis]))
        if len(members) < 2:
            lacking.append(where)
            continue
        evidence.use(members)
        trend = slopes_of([ruler(s.cell[axis]) for s in members], complete(members))
        slopes.append(bound(f"slope of {metric} at {where}", unit, trend, 0.0))
        steps = guards_of(members, sign, tolerance)
        numbers[f"smallest step at {where}"] = min(step.interval.mean for step in steps)
        guards += steps
    lacks = f"two values of {axis} at {listed(lacking)}" if lacking else ""
    return Finding([*slopes, *guards], numbers, lacks)


def guards_of(members: Sequence[CellSummary], sign: int, tolerance: float) -> list[Check]:
    """Speak up where a step to the next cell goes against ``sign`` by more than a tolerance."""
    return [
        above(
            f"{'rise' if sign > 0 else 'fall'} from {a.cell} to {b.cell}",
            a.meaning.unit,
            sign * differences(b, a),
            -tolerance,
            guard=True,
        )
        for a, b in itertools.pairwise(members)
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

    Of a metric of which less is better, it falls and is higher again. Judged in every row ``per``.
    The end is the largest value of the landscape; where it diverged in at least half of its
    replicates it counts as worse.
    """
    rises, falls, guards = [], [], []
    sign = evidence.meaning(metric).sign
    up, down = ("rise", "fall")[::sign]
    end = max(evidence.land.axis(axis).values, key=float)
    fit = {s.cell for s in evidence.fit_in({}, metric)}
    trained = [s for s in evidence.summaries(metric).values() if s.n_ended]
    for value, row in grouped(trained, per).items():
        where = f"{per}={show(value)}"
        members = sorted((s for s in row if s.cell in fit), key=lambda s: float(s.cell[axis]))
        start, top, last = _at(members, axis, low), _at(members, axis, high), _at(row, axis, end)
        if start is None or top is None or last is None or last is top:
            evidence.exclude([s.cell for s in row], f"its row lacks {low:g}, {high:g} or more")
            continue
        evidence.use([*members, last])
        way = members[members.index(start) : members.index(top) + 1]
        rise = sign * differences(top, start)
        rises.append(above(f"{up} to {axis} {show(high)} at {where}", top.meaning.unit, rise, 0.0))
        falls.append(_fall(f"{down} from the best to the largest {axis} at {where}", members, last))
        guards += guards_of(way, sign, tolerance)
    lacks = "" if rises else f"a row with {axis} {show(low)}, {show(high)} and a larger value"
    return Finding([*rises, *falls, *guards], {}, lacks)


def _at(row: Iterable[CellSummary], axis: str, wanted: Value) -> CellSummary | None:
    return next((s for s in row if same(s.cell[axis], wanted)), None)


def _fall(name: str, members: list[CellSummary], last: CellSummary) -> Check:
    """The best of the smaller values is better than the last; one that diverged is surely worse."""
    if last.state is CellState.DIVERGED:
        return certain(name, "> 0", Outcome.HOLDS)
    best = max((s for s in members if s is not last), key=score)
    return above(name, last.meaning.unit, best.meaning.sign * differences(best, last), 0.0)


@rule
def best_shrinks(evidence: Evidence, axis: str, along: str, metric: str = MAIN) -> Finding:
    """The best value of ``axis`` falls as ``along`` grows.

    Within each replicate the best value of each row is taken from the cells that finished; the test
    is on the slope of its log10 on log2 of ``along``. An optimum known to the step d of a grid has
    a variance of its own, d^2 / 12, that does not shrink with replicates and is added.
    """
    fit = evidence.fit_in({}, metric)
    rows = {v: members for v, members in grouped(fit, along).items() if len(members) >= 2}
    if len(rows) < 2:
        return Finding([], {}, lacks=f"two values of {along} with two of {axis} each")
    used = [s for members in rows.values() for s in members]
    evidence.use(used)
    values = ended_by_cell(used)
    target = evidence.land.axis(axis)
    height, place = ruler_of(target, 10), ruler_of(evidence.land.axis(along), 2)
    best = np.array(
        [
            _best_places(
                [height(s.cell[axis]) for s in members],
                [s.meaning.sign * values[s.cell] for s in members],
            )
            for members in rows.values()
        ]
    )
    best = best[:, np.isfinite(best).all(axis=0)]
    step = float(np.mean(np.diff(sorted(height(v) for v in target.values))))
    unit = f"{'log10' if target.scale == 'log' else 'units'} {per_step(evidence.land.axis(along))}"
    name = f"slope of the best {axis}"
    check = _slope_of_steps(name, unit, best, [place(value) for value in rows], step)
    numbers = {
        f"best {axis} at {along}={show(value)}": _back(target, line.mean())
        for value, line in zip(rows, best, strict=True)
        if len(line)
    }
    return Finding([check], numbers)


def _back(axis: Axis, height: float) -> float:
    """The value at a place of an axis whose ruler is log10."""
    return float(10**height if axis.scale == "log" else height)


def _best_places(heights: Sequence[float], values: Sequence[np.ndarray]) -> np.ndarray:
    """(R',) the height of the largest finite value of each replicate; NaN where there is none."""
    columns = np.array(values)
    known = np.isfinite(columns)
    best = np.asarray(heights)[np.where(known, columns, -np.inf).argmax(axis=0)]
    return np.where(known.any(axis=0), best, np.nan)


def _slope_of_steps(
    name: str, unit: str, best: np.ndarray, places: Sequence[float], step: float
) -> Check:
    """Tests a mean slope < 0 of optima (rows, R') that are known to within a step of the grid only.

    The error joins the scatter over replicates and the steps' own, which all replicates share. The
    degrees of freedom stay those of the replicates, so the test errs towards undecided.
    """
    slopes, asks = slopes_of(places, best), "< 0"
    n = len(slopes)
    if n < 2:
        unknown = Interval(mean(slopes), math.nan, math.nan, n)
        return Check(name, unit, asks, unknown, math.nan, math.nan)
    scatter = float(slopes.var(ddof=1)) / n
    steps = step**2 / 12 / float(((np.asarray(places) - np.mean(places)) ** 2).sum())
    error, slope = math.sqrt(scatter + steps), float(slopes.mean())
    half = float(t_quantile(LEVEL, n - 1)) * error
    p = t_p_value(slope / error, n - 1)
    interval = Interval(slope, slope - half, slope + half, n)
    return Check(name, unit, asks, interval, p if slope < 0 else 1.0, p if slope > 0 else 1.0)
