"""The best value of an axis in each row of the grid, with those that are not shown to be worse."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gridscape.analysis.cells import CellSummary, candidates, rows_of, score, summarize
from gridscape.analysis.differences import Comparison
from gridscape.analysis.statistics import LEVEL, Interval, share_p_value
from gridscape.grid.axes import Axis, Cell, Value, show
from gridscape.landscape import Landscape, row_axes

# A cell fails, or learns, in most of its runs where so many of them do that chance would bring it
# in so few cases: all of three runs, 8 of 10.
MOST_RUNS = 0.125


@dataclass(frozen=True)
class BestPerRow:
    """The best value of ``axis`` within one row of the grid.

    row: the values of the axes that name the row. best: the best cell of it, None where the row
        has no candidate; ``value`` is its value of the axis.
    equivalent: the values of the axis that are not shown to be worse than another, in the axis'
        order, the best included: with probability 95 % the true best is among them, in each row for
        itself. Empty where nothing could be tested.
    untested: values that too few runs compare with the best; they are not excluded.
    low, high: the ends of ``equivalent`` (None where unknown or where the axis is no number);
        values between them may be excluded.
    optimum: where on the axis the best value lies. It is the vertex of a parabola through the best
        mean and its two neighbors (on the logarithm of a logarithmic axis), and the best value
        itself where a neighbor is missing or failed. Its interval reaches half a step beyond
        ``equivalent``, and without end where that reaches the end of the axis.
    at_end: the best value is the first or last that was tried: the true one may lie beyond.
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
    optimum: Interval
    at_end: bool
    untested: tuple[Value, ...]
    excluded: tuple[Cell, ...]
    note: str

    def __repr__(self) -> str:
        best = "none" if self.value is None else show(self.value)
        return f"<{self.row}: best {self.axis} {best}, optimum {self.optimum!r}>"

    @property
    def known(self) -> bool:
        """Whether the replicates allow an interval on the best value."""
        return bool(self.equivalent)


def best_per(
    land: Landscape,
    axis: str = "learning_rate",
    per: str | Sequence[str] | None = None,
    metric: str | None = None,
) -> tuple[BestPerRow, ...]:
    """The best value of ``axis`` in each row, with the values that are not shown to be worse.

    A row holds the cells that share their values of ``per`` (default: of all other axes). The best
    cell is the candidate that ranks first by its mean of the metric (default: the main one).
    Comparisons with the best (Hsu 1984): a value is excluded where the best of those that learn in
    most of their runs is shown to be better, one-sided and corrected for the number of values, or
    where it is shown to fail in most of its runs. So the true best stays in with probability 95 %.
    With one replicate nothing can be tested: the set is unknown and the note says so.
    """
    metric = metric or land.main_metric
    rows = rows_of(summarize(land, metric), row_axes(land, axis, per))
    best = land.best_of_rows(axis, per, metric)
    target = land.axis(axis)
    return tuple(best_among(target, of_row, row=row, best=best[row]) for row, of_row in rows)


def best_among(
    axis: Axis,
    members: Sequence[CellSummary],
    level: float = LEVEL,
    *,
    row: Cell | None = None,
    best: Cell | None = None,
) -> BestPerRow:
    """The best value of ``axis`` among the cells of one row.

    best: the cell that is called best, by default the candidate that ranks first.
    """
    fit, excluded = candidates(members)
    row, metric = row if row is not None else Cell(()), members[0].metric
    by_mean = max(fit, key=score, default=None)
    chosen = next((s for s in fit if s.cell == best), by_mean)
    if chosen is None:
        note = "no cell of the row is a candidate: none learns in most of its replicates"
        nowhere = Interval(math.nan, math.nan, math.nan, 0, level)
        nothing = (None, None, (), None, None, nowhere, False, ())
        return BestPerRow(axis.name, row, metric, *nothing, excluded, note)
    tied, untested = _not_worse(members, level)
    untested = [s for s in untested if s is not chosen]
    others = [s for s in fit if s is not chosen]
    unknown = _all_in(others, untested)
    equivalent = () if unknown else _values_of(axis, [chosen, *tied])
    ends = _ends(axis, equivalent)
    return BestPerRow(
        axis=axis.name,
        row=row,
        metric=metric,
        best=chosen,
        value=chosen.cell[axis.name],
        equivalent=equivalent,
        low=ends[0],
        high=ends[1],
        optimum=_optimum(axis, members, fit, chosen, equivalent, level),
        at_end=_is_at_end(axis, members, chosen),
        untested=_values_of(axis, untested),
        excluded=excluded,
        note=_best_note(others, untested),
    )


def _all_in(some: Sequence[CellSummary], others: Sequence[CellSummary]) -> bool:
    """Whether there are some, and all of them are among the others."""
    return bool(some) and set(map(id, some)) <= set(map(id, others))


def _not_worse(
    members: Sequence[CellSummary], level: float
) -> tuple[list[CellSummary], list[CellSummary]]:
    """The cells that are not shown to be worse than another, and the untested ones of them."""
    trained = [s for s in members if s.share.n and math.isfinite(s.estimate.mean)]
    able = [s for s in trained if not _in_most(s.share.n - s.n_told, s.share.n)]
    sure = [s for s in able if _in_most(s.n_told, s.share.n)]
    if not sure:
        return able, able
    top = max(sure, key=score)
    others = [s for s in able if s is not top]
    lags = Comparison(members).lags(top, others)
    p_values = [(d if s.meaning.is_higher_better else -d).p_above(0.0)
                for s, d in zip(others, lags, strict=True)]  # fmt: skip
    bound = 2 * (1 - level) / max(len(others), 1)
    stays = [s for s, p in zip(others, p_values, strict=True) if not p <= bound]
    untested = [s for s, p in zip(others, p_values, strict=True) if math.isnan(p)]
    return [top, *stays], untested


def _in_most(k: int, n: int) -> bool:
    return share_p_value(k, n, 0.5) <= MOST_RUNS


def _best_note(others: list[CellSummary], untested: list[CellSummary]) -> str:
    if not others:
        return "the only candidate of its row: nothing to compare it with"
    if not untested:
        return ""
    which = "none of the other cells" if _all_in(others, untested) else f"{len(untested)} cells not"
    return f"{which} tested: three runs that learn are needed, two of them shared with the best"


def _optimum(
    axis: Axis,
    members: Sequence[CellSummary],
    fit: Sequence[CellSummary],
    best: CellSummary,
    equivalent: tuple[Value, ...],
    level: float,
) -> Interval:
    """Where the best value lies on an axis of numbers; NaN on an axis of names.

    fit: the candidates among the members.
    """
    if axis.scale == "category" or not equivalent:
        return Interval(math.nan, math.nan, math.nan, best.n_learns, level)
    is_log = axis.scale == "log"
    values = _tried(axis, members)
    heights = np.log(values) if is_log else np.array(values)
    back = math.exp if is_log else float
    place_of = {value: place for place, value in enumerate(values)}
    inside = [place_of[float(v)] for v in equivalent]
    first, last = min(inside), max(inside)
    low = -math.inf if first == 0 else (heights[first - 1] + heights[first]) / 2
    high = math.inf if last == len(values) - 1 else (heights[last] + heights[last + 1]) / 2
    at = place_of[float(best.cell[axis.name])]
    scores = {place_of[float(s.cell[axis.name])]: score(s) for s in fit}
    place = _vertex(heights, scores, at)
    return Interval(back(place), back(low), back(high), best.n_learns, level)


def _vertex(heights: np.ndarray, scores: dict[int, float], at: int) -> float:
    """The top of the parabola through a value and its neighbors, at most half a step off."""
    if at - 1 not in scores or at + 1 not in scores:
        return float(heights[at])
    x = heights[at - 1 : at + 2] - heights[at]
    a, b, _ = np.polyfit(x, [scores[at + i] for i in (-1, 0, 1)], 2)
    if a >= 0:
        return float(heights[at])
    return float(heights[at] + np.clip(-b / (2 * a), x[0] / 2, x[2] / 2))


def _tried(axis: Axis, members: Sequence[CellSummary]) -> list[float]:
    """The numbers of an axis that a row was asked for, ascending; none on an axis of names."""
    if axis.scale == "category":
        return []
    return sorted(float(s.cell[axis.name]) for s in members if s.n_ended + s.n_missing)


def _is_at_end(axis: Axis, members: Sequence[CellSummary], best: CellSummary) -> bool:
    tried = _tried(axis, members)
    return len(tried) > 1 and float(best.cell[axis.name]) in (tried[0], tried[-1])


def _values_of(axis: Axis, summaries: Iterable[CellSummary]) -> tuple[Value, ...]:
    """The values of the axis that these cells have, in the axis' order."""
    have = {summary.cell[axis.name] for summary in summaries}
    return tuple(value for value in axis.values if value in have)


def _ends(axis: Axis, values: Iterable[Value]) -> tuple[float | None, float | None]:
    numbers = [float(v) for v in values] if axis.scale != "category" else []
    return (min(numbers), max(numbers)) if numbers else (None, None)
