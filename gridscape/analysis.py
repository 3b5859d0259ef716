"""What a landscape says: pure functions of a ``Landscape`` that return frozen records.

No pictures, no files. The rules that hold everywhere:

- Means and intervals are over the *finished* replicates of a cell; diverged, failed and missing
  ones are left out and counted. A collapsed replicate finished: it is part of the mean.
- Intervals are Student t over replicates. One replicate has no interval: its ends are NaN.
- Replicates share their random numbers between cells, so differences of cells are *paired*.
- A cell of which at least half of the ended replicates diverged or failed is no candidate for best.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import xarray as xr
from scipy import stats

from gridscape.base import Status
from gridscape.errors import UnknownNameError, UsageError
from gridscape.grid import Axis, Cell, Value, same
from gridscape.landscape import Landscape, higher_is_better, is_candidate, row_axes

LEVEL = 0.95  # of every interval; 1 - LEVEL is the significance level of every test


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval: Student t over ``n`` replicates unless its owner says else.

    ``low`` and ``high`` are NaN where fewer than two replicates exist: one has no interval, which
    is not the same as an interval of no width.
    """

    mean: float
    low: float
    high: float
    n: int
    level: float = 0.95

    @property
    def known(self) -> bool:
        """Whether there are replicates enough for an interval."""
        return self.low == self.low and self.high == self.high

    def excludes(self, value: float) -> bool:
        """Whether the interval is known and does not hold ``value``."""
        return self.known and not self.low <= value <= self.high


class CellState(StrEnum):
    """What most of a cell's replicates did; a figure marks a cell by it.

    MISSING: none ended. FAILED: at least half of the ended ones failed or ran out of memory.
    DIVERGED: at least half of the ended ones diverged (or diverged and failed together).
    COLLAPSED: at least half of the finished ones answer one class. FINISHED: all else.
    """

    FINISHED = "finished"
    COLLAPSED = "collapsed"
    DIVERGED = "diverged"
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True)
class CellSummary:
    """One cell over its replicates.

    values, statuses, collapsed, keys, first_bad_updates: one entry per replicate, in the
        landscape's order; values are NaN where the replicate did not finish, first_bad_updates None
        where it did not diverge, keys "" and statuses "missing" where it was not trained.
    n_failed counts failed and out_of_memory; n_collapsed is a part of n_finished.
    seconds, flops, memory_bytes: means over the finished replicates (over the ended ones where
        none finished); NaN where none ended. n_parameters: NaN likewise.
    """

    cell: Cell
    metric: str
    estimate: Interval
    values: tuple[float, ...]
    statuses: tuple[str, ...]
    collapsed: tuple[bool, ...]
    keys: tuple[str, ...]
    first_bad_updates: tuple[int | None, ...]
    n_finished: int
    n_diverged: int
    n_collapsed: int
    n_failed: int
    n_missing: int
    n_parameters: float
    flops: float
    seconds: float
    memory_bytes: float

    @property
    def n_ended(self) -> int:
        """Replicates that ended in any way."""
        return self.n_finished + self.n_diverged + self.n_failed

    @property
    def is_candidate(self) -> bool:
        """Whether the cell may be called best: more than half of the ended replicates finished."""
        return bool(is_candidate(self.n_finished, self.n_ended))

    @property
    def state(self) -> CellState:
        """What most of the replicates did."""
        if not self.n_ended:
            return CellState.MISSING
        if not self.is_candidate:
            failed_most = self.n_failed > self.n_diverged
            return CellState.FAILED if failed_most else CellState.DIVERGED
        return (
            CellState.COLLAPSED if 2 * self.n_collapsed >= self.n_finished else CellState.FINISHED
        )


@dataclass(frozen=True)
class PairedDifference:
    """Metric of ``a`` minus metric of ``b`` over the replicates that finished in both.

    p_value: two-sided paired t test of "no difference"; NaN with fewer than two replicates.
    """

    a: Cell
    b: Cell
    metric: str
    estimate: Interval
    differences: tuple[float, ...]
    replicates: tuple[int, ...]
    p_value: float


@dataclass(frozen=True)
class BestPerRow:
    """The best value of ``axis`` within one row of the grid.

    row: the values of the axes that name the row. best: the best cell of it, None where the row
        has no candidate; ``value`` is its value of the axis.
    equivalent: the values of the axis that cannot be told from the best one, in the axis' order,
        the best included: the interval of the best value. Empty where it is unknown.
    untested: values with a candidate that shares fewer than two replicates with the best.
    low, high: the ends of ``equivalent`` (None where unknown or where the axis is no number).
    excluded: cells of the row that are no candidates.
    note: in words, what is unknown and why; "" where nothing is.
    """

    axis: str
    row: Cell
    metric: str
    best: CellSummary | None
    value: Value | None
    equivalent: tuple[Value, ...]
    low: float | None
    high: float | None
    untested: tuple[Value, ...]
    excluded: tuple[Cell, ...]
    note: str

    @property
    def known(self) -> bool:
        """Whether the replicates allow an interval on the best value."""
        return bool(self.equivalent)


@dataclass(frozen=True)
class Boundary:
    """The largest value of ``axis`` at which one row of the grid still learns.

    A trial learns when it finished, is not collapsed, and its metric reaches ``threshold``.
    learns: per replicate in use, the largest value at which it learns (None: at no value).
    fails: per replicate in use, the next larger value (None: it learns up to the axis' end).
    estimate: the boundary lies somewhere between the two; its mean (geometric where ``scale`` is
        "log") takes the middle, its ends are the t interval's lower end of ``learns`` and upper end
        of ``fails``. An end beyond the grid is infinite (0 below a log axis) and its mean is NaN.
    replicates: those in use; others lack a trial that would decide.
    """

    axis: str
    row: Cell
    metric: str
    threshold: float
    scale: str
    estimate: Interval
    learns: tuple[float | None, ...]
    fails: tuple[float | None, ...]
    replicates: tuple[int, ...]
    note: str


@dataclass(frozen=True)
class ParetoPoint:
    """A candidate cell, its mean cost, and whether no other cell is at once cheaper and better."""

    summary: CellSummary
    cost: float
    on_front: bool


@dataclass(frozen=True)
class Pareto:
    """Metric against cost, points by rising cost. excluded: cells that are no candidates."""

    cost: str
    metric: str
    points: tuple[ParetoPoint, ...]
    excluded: tuple[Cell, ...]

    @property
    def front(self) -> tuple[ParetoPoint, ...]:
        """The points that no other beats, by rising cost."""
        return tuple(point for point in self.points if point.on_front)


@dataclass(frozen=True)
class SmallestEquivalent:
    """The smallest network that is not worse than the best cell by ``margin`` or more.

    cell: the best cell of the network with the fewest parameters for which this is shown: by the
        interval of the paired difference where ``by_interval``, else (replicates do not allow an
        interval) by the means.
    difference: cell minus best, signed so that negative is worse, paired.
    smallest_by_means: the smallest network within the margin by means alone; where it is smaller
        than ``cell``, more replicates may settle it.
    saves_*: 1 - cell / best, a fraction; 0 where the cell is the best itself.
    """

    metric: str
    margin: float
    best: CellSummary
    cell: CellSummary
    smallest_by_means: CellSummary
    difference: Interval
    by_interval: bool
    saves_parameters: float
    saves_flops: float
    saves_seconds: float
    note: str


@dataclass(frozen=True)
class Spread:
    """How much the metric varies over ``axis`` in one row, the other axes fixed.

    range: largest minus smallest value; standard_deviation: over the values of the axis (it does
    not grow with their number). Each is formed within a replicate, over what finished there, and
    the interval is over the replicates that ended in every cell used. excluded: no candidates.
    """

    axis: str
    row: Cell
    metric: str
    range: Interval
    standard_deviation: Interval
    used: tuple[Cell, ...]
    excluded: tuple[Cell, ...]


@dataclass(frozen=True)
class CurveBand:
    """One curve of a cell over its finished replicates: all tuples run along ``updates``.

    updates: updates done, wherever any replicate has a point. mean, low, high, n: over the finished
    replicates with a value there. per_replicate: (R, len(updates)), NaN where there is no value;
    diverged replicates are here, up to where they diverged, but not in the band. finished: (R,).
    """

    cell: Cell
    curve: str
    updates: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: tuple[int, ...]
    per_replicate: tuple[tuple[float, ...], ...]
    finished: tuple[bool, ...]


@dataclass(frozen=True)
class PublishedTable:
    """A published sweep, one run per cell. ``values`` holds NaN where nothing was published."""

    name: str
    source: str
    metric: str
    values: tuple[tuple[Cell, float], ...]


class Agreement(StrEnum):
    """How a published number lies to ours."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"  # fewer than two finished replicates: no prediction interval
    NOT_RUN = "not run"
    NOT_PUBLISHED = "not published"


@dataclass(frozen=True)
class PublishedCell:
    """A published number beside ours.

    ours: our mean and its interval. difference: published minus our mean.
    prediction_low, prediction_high: where ONE new run would lie with probability ``ours.level``,
        mean -+ t sd sqrt(1 + 1/n): the interval to judge one published run by, not the mean's.
    """

    cell: Cell
    published: float
    ours: Interval
    prediction_low: float
    prediction_high: float
    difference: float
    agreement: Agreement


@dataclass(frozen=True)
class PublishedComparison:
    """A published table beside ours, cell by cell, in the table's order.

    mean_difference: published minus ours; rmse: root mean square of it; both over the cells that
    both have, NaN where there are none.
    """

    table: PublishedTable
    cells: tuple[PublishedCell, ...]
    mean_difference: float
    rmse: float

    def count(self, agreement: Agreement) -> int:
        """The number of cells with this agreement."""
        return sum(cell.agreement is agreement for cell in self.cells)


@dataclass(frozen=True)
class BudgetFit:
    """The number of updates at which our own curves lie nearest to a published table.

    updates: that number, and its bootstrap interval over replicates and cells (Interval.n is the
    number of replicates). budget: the last update of our curves. rmse, rmse_at_budget: root mean
    square difference to the table, in the metric's unit, at the best number and at the budget.
    rmse_of_one_run: what a run of our own would have on average, by our scatter: no fit can be
    expected below it. at, rmse_curve: the fit at every number tried. excluded: published cells that
    we cannot compare, since they were not run or did not finish.
    """

    table: PublishedTable
    updates: Interval
    budget: int
    rmse: float
    rmse_at_budget: float
    rmse_of_one_run: float
    at: tuple[int, ...]
    rmse_curve: tuple[float, ...]
    used: tuple[Cell, ...]
    excluded: tuple[Cell, ...]


# ---- statistics -------------------------------------------------------------------------------


def t_interval(values: Iterable[float], level: float = LEVEL) -> Interval:
    """Mean and Student t interval of independent values; NaN entries are left out.

    >>> interval = t_interval([0.9, 0.92, 0.94])
    >>> f"{interval.mean:.3f} in [{interval.low:.3f}, {interval.high:.3f}]"
    '0.920 in [0.870, 0.970]'
    """
    x = _finite(values)
    if len(x) < 2:
        return Interval(float(x[0]) if len(x) else math.nan, math.nan, math.nan, len(x), level)
    half = stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x))
    return Interval(float(x.mean()), float(x.mean() - half), float(x.mean() + half), len(x), level)


def t_test(values: Iterable[float], against: float = 0.0) -> float:
    """Two-sided p value of "the mean is ``against``", Student t; NaN for fewer than two values.

    Values without any scatter decide at once: 1 where they equal ``against``, else 0.
    """
    x = _finite(values)
    if len(x) < 2:
        return math.nan
    distance, error = abs(x.mean() - against), x.std(ddof=1) / math.sqrt(len(x))
    if error == 0:
        return 1.0 if distance == 0 else 0.0
    return float(2 * stats.t.sf(distance / error, len(x) - 1))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p values corrected for their number (Holm 1979); NaN entries stay NaN and do not count.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(np.asarray(p_values)[known], kind="stable")]
    scaled = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return tuple(float(p) for p in adjusted)


def _finite(values: Iterable[float]) -> np.ndarray:
    x: np.ndarray = np.asarray(list(values), dtype=float)
    return x.compress(np.isfinite(x))


# ---- cells ------------------------------------------------------------------------------------


def summarize(land: Landscape, metric: str = "test_accuracy") -> tuple[CellSummary, ...]:
    """Every cell of the grid over its replicates, the last axis fastest.

    Raises UnknownNameError for a metric that the landscape does not have.
    """
    values = _by_cell(land, land.values(metric))
    facts = {name: _by_cell(land, land.data[name]) for name in _FACTS}
    return tuple(
        _summary(cell, metric, values[i], {name: fact[i] for name, fact in facts.items()})
        for i, cell in enumerate(land.grid.cells())
    )


_COSTS = ("n_parameters", "flops", "seconds", "memory_bytes")
_FACTS = (*_COSTS, "status", "collapsed", "key", "first_bad_update")


def _by_cell(land: Landscape, array: xr.DataArray) -> np.ndarray:
    """(*axes, replicate) as (cells, R), in the order of ``Grid.cells``."""
    flat: np.ndarray = array.transpose(*land.data["status"].dims).values
    by_cell: np.ndarray = flat.reshape(-1, flat.shape[-1])
    return by_cell


def _summary(
    cell: Cell, metric: str, values: np.ndarray, facts: Mapping[str, np.ndarray]
) -> CellSummary:
    status = facts["status"]
    finished, missing = status == Status.FINISHED.value, status == Status.MISSING.value
    diverged = status == Status.DIVERGED.value
    costs = finished if finished.any() else ~missing
    bad = facts["first_bad_update"]
    return CellSummary(
        cell=cell,
        metric=metric,
        estimate=t_interval(values),
        values=tuple(values.tolist()),
        statuses=tuple(status.tolist()),
        collapsed=tuple(facts["collapsed"].tolist()),
        keys=tuple(facts["key"].tolist()),
        first_bad_updates=tuple(None if np.isnan(at) else int(at) for at in bad),
        n_finished=int(finished.sum()),
        n_diverged=int(diverged.sum()),
        n_collapsed=int(facts["collapsed"].sum()),
        n_failed=int((~finished & ~missing & ~diverged).sum()),
        n_missing=int(missing.sum()),
        **{name: _mean(facts[name][costs]) for name in _COSTS},
    )


def _mean(values: Iterable[float]) -> float:
    x = _finite(values)
    return float(x.mean()) if len(x) else math.nan


def paired_difference(
    land: Landscape, a: Cell, b: Cell, metric: str = "test_accuracy"
) -> PairedDifference:
    """Metric of cell ``a`` minus cell ``b``, paired by replicate (they share random numbers).

    Raises UsageError for a cell that the grid does not have.
    """
    found = {s.cell: s for s in summarize(land, metric)}
    return _paired(found[land.grid.find(**a)], found[land.grid.find(**b)])


def _paired(a: CellSummary, b: CellSummary) -> PairedDifference:
    differences = np.subtract(a.values, b.values)
    common = np.flatnonzero(np.isfinite(differences))
    shared = tuple(differences[common].tolist())
    return PairedDifference(
        a=a.cell,
        b=b.cell,
        metric=a.metric,
        estimate=t_interval(shared),
        differences=shared,
        replicates=tuple(common.tolist()),
        p_value=t_test(shared),
    )


def _rows(
    summaries: Iterable[CellSummary], per: tuple[str, ...]
) -> list[tuple[Cell, list[CellSummary]]]:
    """The cells that share their values of the axes ``per``, rows in the order of the grid."""
    rows: dict[Cell, list[CellSummary]] = {}
    for summary in summaries:
        row = Cell(tuple((name, summary.cell[name]) for name in per))
        rows.setdefault(row, []).append(summary)
    return list(rows.items())


def _score(summary: CellSummary) -> float:
    """The estimate, signed so that larger is better."""
    return summary.estimate.mean * (1 if higher_is_better(summary.metric) else -1)


def _candidates(
    summaries: Iterable[CellSummary],
) -> tuple[list[CellSummary], tuple[Cell, ...]]:
    """Those that may be called best, and the cells of the others."""
    summaries = list(summaries)
    fit = [s for s in summaries if s.is_candidate and math.isfinite(s.estimate.mean)]
    return fit, tuple(s.cell for s in summaries if s not in fit)


# ---- what the landscape says ------------------------------------------------------------------


def best_per(
    land: Landscape,
    axis: str = "learning_rate",
    per: str | Sequence[str] | None = None,
    metric: str = "test_accuracy",
) -> tuple[BestPerRow, ...]:
    """The best value of ``axis`` in each row, with the values that cannot be told from it.

    A row holds the cells that share their values of ``per`` (default: of all other axes). The best
    cell is the candidate with the best mean. Every other candidate is compared with it by a paired
    t test over the replicates that finished in both; the p values of a row are Holm-corrected.
    The interval of the best value are the values with a cell that differs with p > 1 - LEVEL.
    The best is picked from the same data, so the tests lean towards a shorter interval.
    With one replicate nothing can be tested: the interval is unknown and the note says so.
    """
    rows = _rows(summarize(land, metric), row_axes(land, axis, per))
    return tuple(_best_of_row(land.axis(axis), row, members, metric) for row, members in rows)


def _best_of_row(axis: Axis, row: Cell, members: list[CellSummary], metric: str) -> BestPerRow:
    fit, excluded = _candidates(members)
    if not fit:
        note = "no cell of the row is a candidate: none finished in most of its replicates"
        return BestPerRow(axis.name, row, metric, None, None, (), None, None, (), excluded, note)
    best = max(fit, key=_score)
    others = [s for s in fit if s is not best]
    adjusted = holm([_paired(s, best).p_value for s in others])
    tied = [s for s, p in zip(others, adjusted, strict=True) if p > 1 - LEVEL]
    unclear = [s for s, p in zip(others, adjusted, strict=True) if math.isnan(p)]
    unknown = bool(others) and len(unclear) == len(others)
    equivalent = () if unknown else _values_of(axis, [best, *tied])
    ends = _ends(axis, equivalent)
    return BestPerRow(
        axis=axis.name,
        row=row,
        metric=metric,
        best=best,
        value=best.cell[axis.name],
        equivalent=equivalent,
        low=ends[0],
        high=ends[1],
        untested=_values_of(axis, unclear),
        excluded=excluded,
        note=_best_note(others, unclear),
    )


def _best_note(others: list[CellSummary], unclear: list[CellSummary]) -> str:
    if not others:
        return "the only candidate of its row: nothing to compare it with"
    if not unclear:
        return ""
    which = "every other cell" if len(unclear) == len(others) else f"{len(unclear)} cells"
    return f"{which} shares fewer than two finished replicates with the best: not tested"


def _values_of(axis: Axis, summaries: Iterable[CellSummary]) -> tuple[Value, ...]:
    """The values of the axis that these cells have, in the axis' order."""
    have = {summary.cell[axis.name] for summary in summaries}
    return tuple(value for value in axis.values if value in have)


def _ends(axis: Axis, values: Iterable[Value]) -> tuple[float | None, float | None]:
    numbers = [float(v) for v in values] if axis.scale != "category" else []
    return (min(numbers), max(numbers)) if numbers else (None, None)


def boundary(
    land: Landscape,
    axis: str = "learning_rate",
    metric: str = "test_accuracy",
    threshold: float = 0.5,
) -> tuple[Boundary, ...]:
    """The largest value of ``axis`` at which each row (all other axes) still learns.

    A trial learns when it finished, does not answer one class only, and reaches ``threshold`` (at
    most, for a loss). A diverged trial does not learn; a failed or missing one leaves its replicate
    out unless the replicate learns at a larger value. Raises UsageError for an axis of names.
    """
    found = land.axis(axis)
    if found.scale == "category":
        raise UsageError("a boundary needs an axis of numbers", where=f"axis {axis}")
    rows = _rows(summarize(land, metric), row_axes(land, axis, None))
    return tuple(_boundary_of_row(found, row, members, threshold) for row, members in rows)


def _boundary_of_row(
    axis: Axis, row: Cell, members: list[CellSummary], threshold: float
) -> Boundary:
    members = sorted(members, key=lambda s: float(s.cell[axis.name]))
    brackets = {
        replicate: bracket
        for replicate in range(len(members[0].values))
        if (bracket := _bracket(axis, members, replicate, threshold)) is not None
    }
    learns = tuple(low for low, _ in brackets.values())
    fails = tuple(high for _, high in brackets.values())
    left_out = len(members[0].values) - len(brackets)
    return Boundary(
        axis=axis.name,
        row=row,
        metric=members[0].metric,
        threshold=threshold,
        scale=axis.scale,
        estimate=_bracketed_interval(learns, fails, log=axis.scale == "log"),
        learns=learns,
        fails=fails,
        replicates=tuple(brackets),
        note=f"{left_out} replicates lack a trial that would decide" if left_out else "",
    )


def _bracket(
    axis: Axis, members: list[CellSummary], replicate: int, threshold: float
) -> tuple[float | None, float | None] | None:
    """The largest value at which a replicate learns and the next one; None: not decided."""
    fails = None
    for summary in reversed(members):
        learns = _learns(summary, replicate, threshold)
        if learns is None:
            return None
        value = float(summary.cell[axis.name])
        if learns:
            return value, fails
        fails = value
    return None, fails


def _learns(summary: CellSummary, replicate: int, threshold: float) -> bool | None:
    status = summary.statuses[replicate]
    if status == Status.DIVERGED:
        return False
    if status != Status.FINISHED:
        return None
    sign = 1 if higher_is_better(summary.metric) else -1
    reached = sign * summary.values[replicate] >= sign * threshold
    return reached and not summary.collapsed[replicate]


def _bracketed_interval(
    lows: Sequence[float | None], highs: Sequence[float | None], *, log: bool
) -> Interval:
    """The mean of numbers that are known to lie between ``lows`` and ``highs``."""
    forward: Callable[[float], float] = math.log if log else float
    back: Callable[[float], float] = math.exp if log else float
    low = t_interval(forward(v) for v in lows if v is not None)
    high = t_interval(forward(v) for v in highs if v is not None)
    open_low, open_high = None in lows, None in highs
    if len(lows) < 2:
        ends = (math.nan, math.nan)
    else:
        ends = (
            back(-math.inf) if open_low else back(low.low),
            back(math.inf) if open_high else back(high.high),
        )
    middle = math.nan if open_low or open_high else back((low.mean + high.mean) / 2)
    return Interval(middle, *ends, n=len(lows))


def pareto(land: Landscape, cost: str = "flops", metric: str = "test_accuracy") -> Pareto:
    """Mean metric against mean cost: "flops", "seconds", "n_parameters" or "memory_bytes".

    A cell is on the front when no other is at most as costly and at least as good, and better in
    one of the two. Raises UnknownNameError for another cost.
    """
    if cost not in _COSTS:
        raise UnknownNameError("cost", cost, _COSTS)
    fit, excluded = _candidates(summarize(land, metric))
    costs = np.array([getattr(s, cost) for s in fit])
    scores = np.array([_score(s) for s in fit])
    no_worse = (costs <= costs[:, None]) & (scores >= scores[:, None])
    better = (costs < costs[:, None]) | (scores > scores[:, None])
    beaten = (no_worse & better).any(axis=-1).reshape(len(fit))
    points = [ParetoPoint(s, float(c), not b) for s, c, b in zip(fit, costs, beaten, strict=True)]
    return Pareto(cost, metric, tuple(sorted(points, key=lambda p: p.cost)), excluded)


def smallest_equivalent(
    land: Landscape, margin: float = 0.005, metric: str = "test_accuracy"
) -> SmallestEquivalent | None:
    """The smallest network whose best cell is worse than the best cell by less than ``margin``.

    Networks are the cells of equal number of parameters. Non-inferiority: the lower end of the
    paired interval of (its best cell - the best cell) lies above -margin; the networks are tried
    from the smallest, each by its own interval. With one replicate the means decide, and
    ``by_interval`` is False. None where the landscape has no candidate.
    """
    fit, _ = _candidates(summarize(land, metric))
    if not fit:
        return None
    best = max(fit, key=_score)
    by_size = sorted(fit, key=lambda s: s.n_parameters)
    networks = [
        max(members, key=_score)
        for _, members in itertools.groupby(by_size, key=lambda s: s.n_parameters)
    ]
    gaps = {s.cell: _signed_difference(s, best) for s in networks}
    within = next(s for s in networks if s is best or gaps[s.cell].mean > -margin)
    shown = next(s for s in networks if s is best or gaps[s.cell].low > -margin)
    by_interval = best.estimate.known
    cell = shown if by_interval else within
    return SmallestEquivalent(
        metric=metric,
        margin=margin,
        best=best,
        cell=cell,
        smallest_by_means=within,
        difference=gaps[cell.cell],
        by_interval=by_interval,
        saves_parameters=1 - cell.n_parameters / best.n_parameters,
        saves_flops=1 - cell.flops / best.flops,
        saves_seconds=1 - cell.seconds / best.seconds,
        note=_equivalent_note(cell, within, by_interval),
    )


def _signed_difference(a: CellSummary, b: CellSummary) -> Interval:
    """Paired difference a - b, negative where ``a`` is worse."""
    sign = 1 if higher_is_better(a.metric) else -1
    return t_interval(sign * d for d in _paired(a, b).differences)


def _equivalent_note(cell: CellSummary, within: CellSummary, by_interval: bool) -> str:
    if not by_interval:
        return "fewer than two replicates: judged by the means alone"
    if cell.cell != within.cell:
        return f"by the means alone {within.cell} would do; more replicates may settle it"
    return ""


def spread(land: Landscape, axis: str, metric: str = "test_accuracy") -> tuple[Spread, ...]:
    """How much the metric varies over ``axis`` in each row (all other axes fixed)."""
    rows = _rows(summarize(land, metric), row_axes(land, axis, None))
    return tuple(_spread_of_row(axis, row, members, metric) for row, members in rows)


def _spread_of_row(axis: str, row: Cell, members: list[CellSummary], metric: str) -> Spread:
    fit, excluded = _candidates(members)
    per_replicate = [column[np.isfinite(column)] for column in ended_values(fit).T]
    columns = [column for column in per_replicate if len(column) >= 2]
    return Spread(
        axis=axis,
        row=row,
        metric=metric,
        range=t_interval(np.ptp(column) for column in columns),
        standard_deviation=t_interval(column.std(ddof=1) for column in columns),
        used=tuple(s.cell for s in fit),
        excluded=excluded,
    )


def ended_values(summaries: Sequence[CellSummary]) -> np.ndarray:
    """(cells, R'): the values of the replicates that ended in every one of these cells.

    NaN where such a replicate diverged or failed. A replicate that is still missing somewhere would
    compare different sets of cells, so it is left out.
    """
    if not summaries:
        return np.empty((0, 0))
    values = np.array([s.values for s in summaries])
    missing = np.array([[st == Status.MISSING for st in s.statuses] for s in summaries])
    return values[:, ~missing.any(axis=0)]


def curve_band(land: Landscape, cell: Cell, curve: str = "test_accuracy") -> CurveBand:
    """A curve of a cell over its replicates: "train_loss", "train_accuracy", "test_loss", ...

    Raises UnknownNameError for another curve, UsageError for a cell that the grid does not have.
    """
    known = [str(n).removeprefix("curve_") for n in land.data if str(n).startswith("curve_")]
    if curve not in known:
        raise UnknownNameError("curve", curve, known)
    place = dict(land.grid.find(**cell))
    array = land.data[f"curve_{curve}"].sel(place)
    clock = next(str(name) for name in array.dims if name != "replicate")
    lines = array.transpose("replicate", clock).values
    there = np.isfinite(lines).any(axis=0)
    finished = (land.data["status"].sel(place) == Status.FINISHED.value).values
    lines = lines[:, there]
    mean, low, high, n = _band(lines[finished])
    return CurveBand(
        cell=Cell(tuple(place.items())),
        curve=curve,
        updates=tuple(land.data[clock].values[there].tolist()),
        mean=tuple(mean.tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        n=tuple(n.tolist()),
        per_replicate=tuple(tuple(line) for line in lines.tolist()),
        finished=tuple(finished.tolist()),
    )


def _band(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, ends of the t interval, and number of finite values of each column."""
    n = np.isfinite(lines).sum(axis=0)
    total = np.where(np.isfinite(lines), lines, 0.0).sum(axis=0)
    mean = np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
    squares = np.where(np.isfinite(lines), (lines - mean) ** 2, 0.0).sum(axis=0)
    enough = np.maximum(n, 2)
    error = np.sqrt(squares / (enough - 1) / enough)
    half = np.where(n >= 2, stats.t.ppf((1 + LEVEL) / 2, enough - 1) * error, np.nan)
    return mean, mean - half, mean + half, n


# ---- published tables -------------------------------------------------------------------------


def compare_published(land: Landscape, table: PublishedTable) -> PublishedComparison:
    """A published table beside ours; each published number is taken for one run.

    A published number is inside where it lies in the prediction interval of one new run: our mean
    -+ t sd sqrt(1 + 1/n) at LEVEL. Raises UsageError where the landscape lacks an axis of the
    table, or has a further axis of several values.
    """
    ours = {s.cell: s for s in summarize(land, table.metric)}
    find = _finder(land, table)
    cells = tuple(
        _published_cell(cell, value, ours[own] if (own := find(cell)) else None)
        for cell, value in table.values
    )
    both = _finite(c.difference for c in cells)
    return PublishedComparison(
        table=table,
        cells=cells,
        mean_difference=_mean(both),
        rmse=float(np.sqrt((both**2).mean())) if len(both) else math.nan,
    )


def _finder(land: Landscape, table: PublishedTable) -> Callable[[Cell], Cell | None]:
    """Finds the cell of the landscape that a cell of the table speaks of; None: not in the grid."""
    names = list(dict.fromkeys(name for cell, _ in table.values for name in cell))
    for name in names:
        land.axis(name)
    for axis in land.axes:
        if axis.name not in names and len(axis.values) > 1:
            raise UsageError(
                "the published table does not say which value it has",
                where=f"axis {axis.name}",
                hint=f"select one first: Landscape(land.data.sel({axis.name}=[...]))",
            )
    cells = land.grid.cells()

    def find(wanted: Cell) -> Cell | None:
        fits = (c for c in cells if all(same(c[name], wanted[name]) for name in wanted))
        return next(fits, None)

    return find


def _published_cell(cell: Cell, published: float, ours: CellSummary | None) -> PublishedCell:
    estimate = ours.estimate if ours else t_interval([])
    low, high = prediction_interval(ours.values if ours else ())
    if math.isnan(published):
        agreement = Agreement.NOT_PUBLISHED
    elif ours is None or not ours.n_ended:
        agreement = Agreement.NOT_RUN
    elif math.isnan(low):
        agreement = Agreement.UNKNOWN
    else:
        agreement = Agreement.INSIDE if low <= published <= high else Agreement.OUTSIDE
    return PublishedCell(cell, published, estimate, low, high, published - estimate.mean, agreement)


def prediction_interval(values: Iterable[float], level: float = LEVEL) -> tuple[float, float]:
    """Where one new value lies with probability ``level``: mean -+ t sd sqrt(1 + 1/n).

    NaN for fewer than two values.
    """
    x = _finite(values)
    if len(x) < 2:
        return math.nan, math.nan
    half = stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) * math.sqrt(1 + 1 / len(x))
    return float(x.mean() - half), float(x.mean() + half)


def fit_budget(
    land: Landscape, table: PublishedTable, *, n_bootstrap: int = 1000, seed: int = 0
) -> BudgetFit | None:
    """Which one number of updates, for all cells, explains a published table best.

    Between evaluation points our curves are interpolated linearly. Least squares on the plain
    scale: the remaining error reads in the unit of the table, while on a logit scale the cells near
    1 or at chance, which hardly depend on the number of updates, would weigh most. The bootstrap
    draws replicates (the same for all cells: they share their random numbers) and cells; with one
    replicate the interval is unknown. None where no published cell has a finished replicate with a
    curve. Raises as ``compare_published``, and UnknownNameError where the metric has no curve.
    """
    lines, at, used, excluded = _published_curves(land, table)
    if not used:
        return None
    published = np.array([value for cell, value in table.values if cell in used])
    n_cells, n_replicates, _ = lines.shape
    fit = _misfit(lines, published, np.ones(n_replicates), np.ones(n_cells))
    best = int(fit.argmin())
    rng = np.random.default_rng(seed)
    draws = [
        at[_misfit(lines, published, _drawn(rng, n_replicates), _drawn(rng, n_cells)).argmin()]
        for _ in range(n_bootstrap if n_replicates >= 2 else 0)
    ]
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(draws, tails) if draws else (math.nan, math.nan)
    return BudgetFit(
        table=table,
        updates=Interval(float(at[best]), float(low), float(high), n_replicates),
        budget=int(at[-1]),
        rmse=float(fit[best]),
        rmse_at_budget=float(fit[-1]),
        rmse_of_one_run=_rmse_of_one_run(lines[:, :, best]),
        at=tuple(at.tolist()),
        rmse_curve=tuple(fit.tolist()),
        used=used,
        excluded=excluded,
    )


def _published_curves(
    land: Landscape, table: PublishedTable
) -> tuple[np.ndarray, np.ndarray, tuple[Cell, ...], tuple[Cell, ...]]:
    """Our curves (cells, R, points), the points, and the published cells used and excluded."""
    find = _finder(land, table)
    wanted = [cell for cell, value in table.values if not math.isnan(value)]
    ours = {cell: own for cell in wanted if (own := find(cell)) is not None}
    bands = {cell: curve_band(land, own, table.metric) for cell, own in ours.items()}
    used = tuple(cell for cell, band in bands.items() if any(band.n))
    excluded = tuple(cell for cell in wanted if cell not in used)
    updates = {update for cell in used for update in bands[cell].updates}
    if not updates:
        return np.empty((0, 0, 0)), np.empty(0), (), excluded
    at = np.unique(np.linspace(min(updates), max(updates), 400).round().astype(int))
    return np.array([_interpolated(bands[cell], at) for cell in used]), at, used, excluded


def _interpolated(band: CurveBand, at: np.ndarray) -> np.ndarray:
    """(R, points): the curves of the finished replicates, NaN for others and outside the curve."""
    lines = np.full((len(band.per_replicate), len(at)), np.nan)
    for line, values, finished in zip(lines, band.per_replicate, band.finished, strict=True):
        known = np.isfinite(values)
        if finished and known.any():
            x, y = np.array(band.updates)[known], np.array(values)[known]
            line[:] = np.interp(at, x, y, left=np.nan, right=np.nan)
    return lines


def _drawn(rng: np.random.Generator, n: int) -> np.ndarray:
    """How often each of ``n`` things is in a sample of ``n`` with replacement."""
    counts: np.ndarray = np.bincount(rng.integers(n, size=n), minlength=n)
    return counts


def _misfit(
    lines: np.ndarray, published: np.ndarray, replicates: np.ndarray, cells: np.ndarray
) -> np.ndarray:
    """Root mean square difference at each point, replicates and cells counted by their weights.

    Infinite at points where no cell has a value.
    """
    known = np.isfinite(lines)
    weight = np.einsum("r,crp->cp", replicates, known)
    total = np.einsum("r,crp->cp", replicates, np.where(known, lines, 0.0))
    mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    counts = cells[:, None] * (weight > 0)
    squares = (counts * (mean - published[:, None]) ** 2).sum(axis=0)
    n = counts.sum(axis=0)
    mean_square = np.divide(squares, n, out=np.full(len(n), np.inf), where=n > 0)
    return np.asarray(np.sqrt(mean_square))


def _rmse_of_one_run(values: np.ndarray) -> float:
    """Of one new run against our means, by the scatter of (cells, R); NaN with one replicate."""
    known = [row[np.isfinite(row)] for row in values]
    return math.sqrt(_mean(x.var(ddof=1) * (1 + 1 / len(x)) for x in known if len(x) >= 2))
