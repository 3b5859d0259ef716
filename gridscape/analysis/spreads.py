"""How much the metric varies over an axis, its noise left out.

The standard deviation of noisy means holds the noise. The product of two different replicates does
not: averaged over all pairs it estimates the variance of the true means without bias.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gridscape.analysis.cells import CellSummary, candidates, rows_of, summarize
from gridscape.analysis.differences import Difference
from gridscape.analysis.statistics import LEVEL, Interval, variance
from gridscape.grid.axes import Cell
from gridscape.landscape import Landscape, row_axes


@dataclass(frozen=True)
class Spread:
    """How much the metric varies over ``axis`` in one row, the other axes fixed.

    standard_deviation: of the cells' true means over the values of the axis (it does not grow with
    their number); its interval is that of the variance by the jackknife, and begins at 0 where the
    replicates do not show that anything varies. used: the cells. excluded: no candidates.
    """

    axis: str
    row: Cell
    metric: str
    standard_deviation: Interval
    used: tuple[Cell, ...]
    excluded: tuple[Cell, ...]


@dataclass(frozen=True)
class Variances:
    """The mean variances along two axes, and the difference of the first and the second."""

    first: float
    second: float
    difference: Difference


def spread(land: Landscape, axis: str, metric: str | None = None) -> tuple[Spread, ...]:
    """How much the metric varies over ``axis`` in each row (all other axes fixed)."""
    metric = metric or land.main_metric
    rows = rows_of(summarize(land, metric), row_axes(land, axis, None))
    return tuple(_spread_of_row(axis, row, members, metric) for row, members in rows)


def mean_variances(summaries: Sequence[CellSummary], axis: str, than: str) -> Variances | None:
    """The variances along two axes, each averaged over its rows; None where no row has two values.

    Over the replicates that finished in all of these cells.
    """
    values = np.array([s.values for s in summaries])
    complete = values[:, np.isfinite(values).all(axis=0)] if len(summaries) else values
    blocks = [_blocks(summaries, complete, name) for name in (axis, than)]
    if not all(blocks) or not complete.size:
        return None
    first, second = (_products(rows) for rows in blocks)
    difference = _jackknife(first - second)
    return Variances(_mean_of_pairs(first), _mean_of_pairs(second), difference)


def _blocks(summaries: Sequence[CellSummary], values: np.ndarray, axis: str) -> list[np.ndarray]:
    """The values (cells, R) of each row along an axis that has two cells or more."""
    place = {s.cell: i for i, s in enumerate(summaries)}
    others = tuple(name for name in summaries[0].cell if name != axis) if summaries else ()
    rows = rows_of(summaries, others)
    return [values[[place[s.cell] for s in row]] for _, row in rows if len(row) >= 2]


def _products(rows: Sequence[np.ndarray]) -> np.ndarray:
    """(R, R): for each pair of replicates, their covariance along a row, averaged over the rows."""
    total = sum(np.cov(row.T, ddof=1).reshape(row.shape[1], -1) for row in rows)
    return np.asarray(total) / len(rows)


def _mean_of_pairs(products: np.ndarray) -> float:
    """The mean over pairs of different replicates."""
    n = len(products)
    return float((products.sum() - np.trace(products)) / (n * (n - 1))) if n > 1 else math.nan


def _jackknife(products: np.ndarray) -> Difference:
    """The mean over pairs; its error leaves out one replicate at a time (Efron, Stein 1981)."""
    n = len(products)
    mean = _mean_of_pairs(products)
    if n < 3:
        return Difference(mean, math.nan, math.nan, n)
    left_out = [_mean_of_pairs(np.delete(np.delete(products, r, 0), r, 1)) for r in range(n)]
    scatter = variance(np.array(left_out), float(np.abs(products).max()))
    error = math.sqrt((n - 1) ** 2 / n * scatter)
    return Difference(mean, error, n - 1, n)


def _spread_of_row(axis: str, row: Cell, members: list[CellSummary], metric: str) -> Spread:
    fit, excluded = candidates(members)
    values = np.array([s.values for s in fit])
    complete = values[:, np.isfinite(values).all(axis=0)] if len(fit) else np.empty((0, 0))
    nothing = Interval(math.nan, math.nan, math.nan, 0)
    return Spread(
        axis=axis,
        row=row,
        metric=metric,
        standard_deviation=_deviation(complete) if len(fit) >= 2 else nothing,
        used=tuple(s.cell for s in fit),
        excluded=excluded,
    )


def _deviation(values: np.ndarray) -> Interval:
    """The standard deviation over cells (cells, R), as the root of the variance and its ends."""
    n = values.shape[1]
    if n < 2:
        return Interval(
            float(values.mean(axis=1).std(ddof=1)) if n else math.nan, math.nan, math.nan, n
        )
    squared = _jackknife(_products([values])).interval(LEVEL)
    mean, low, high = (
        math.sqrt(max(x, 0.0)) if x == x else math.nan
        for x in (squared.mean, squared.low, squared.high)
    )
    return Interval(mean, low, high, n)
