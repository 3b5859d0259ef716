"""Which number of updates explains a published table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gridscape.analysis.curves import CurveBand, curve_band, interpolate
from gridscape.analysis.published import PublishedTable, finder
from gridscape.analysis.statistics import LEVEL, Interval, mean, t_quantile
from gridscape.grid.axes import Cell
from gridscape.landscape import Landscape


@dataclass(frozen=True)
class BudgetFit:
    """The number of updates at which our own curves lie nearest to a published table.

    updates: that number, and its interval (Interval.n is the number of replicates): how far the
    same fit misses when each of our own replicates stands for the published run. budget: the last
    update of our curves. rmse, rmse_at_budget: root mean square difference to the table, in the
    metric's unit, at the best number and at the budget.
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


def fit_budget(land: Landscape, table: PublishedTable) -> BudgetFit | None:
    """Which one number of updates, for all cells, explains a published table best.

    Between evaluation points our curves are interpolated linearly. Least squares on the plain
    scale: the remaining error reads in the unit of the table, while on a logit scale the cells near
    1 or at chance, which hardly depend on the number of updates, would weigh most.
    The published table is one run, with a pace of its own. So each of our replicates in turn is
    handed to the fit as if it were the table, its numbers at the best number, and the others'
    curves explain it; the scatter of the logarithms of what comes out, and that of leaving out a
    cell of the table, give a t interval. With one replicate it is unknown. None where no published
    cell has a finished replicate with a curve. Raises as ``compare_published``, and
    UnknownNameError where the metric has no curve.
    """
    lines, at, used, excluded = _published_curves(land, table)
    if not used:
        return None
    published = np.array([value for cell, value in table.values if cell in used])
    n_cells, n_replicates, _ = lines.shape
    n_whole = int(np.isfinite(lines).all(axis=(0, 2)).sum())  # replicates with a curve of each cell
    fit = _misfit(lines, published, np.ones(n_replicates), np.ones(n_cells))
    best = int(fit.argmin())
    low, high = _interval(lines, published, at, best)
    return BudgetFit(
        table=table,
        updates=Interval(float(at[best]), float(low), float(high), n_whole),
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
    find = finder(land, table)
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
    lines = interpolate(np.array(band.updates), np.array(band.per_replicate), at)
    return np.where(np.array(band.finished)[:, None], lines, np.nan)


def _interval(
    lines: np.ndarray, published: np.ndarray, at: np.ndarray, best: int
) -> tuple[float, float]:
    """The ends of the t interval of the best number, formed on its logarithm."""
    ran = [r for r in range(lines.shape[1]) if np.isfinite(lines[:, r, best]).any()]
    if len(ran) < 2 or at[best] <= 0:
        return math.nan, math.nan
    variance = _of_replicates(lines, at, best, ran) + _of_cells(lines, published, at)
    half = float(t_quantile(LEVEL, len(ran) - 1)) * math.sqrt(variance)
    return float(at[best] * math.exp(-half)), float(at[best] * math.exp(half))


def _of_replicates(lines: np.ndarray, at: np.ndarray, best: int, ran: Sequence[int]) -> float:
    """The variance of the logarithm by the pace of one run: ours stand for the published one."""
    misses = []
    for r in ran:
        table = lines[:, r, best]
        cells = np.isfinite(table).astype(float)
        others = np.ones(lines.shape[1])
        others[r] = 0
        misfit = _misfit(lines, np.where(cells > 0, table, 0.0), others, cells)
        misses.append(math.log(max(at[int(misfit.argmin())], 1) / at[best]))
    n = len(ran)
    # Each missed by its own pace and that of the mean of n - 1 others; the table by its and ours.
    of_one = float(np.square(misses).sum()) / (n - 1) / (1 + 1 / (n - 1))
    return of_one * (1 + 1 / n)


def _of_cells(lines: np.ndarray, published: np.ndarray, at: np.ndarray) -> float:
    """The variance of the logarithm by cells that no number explains: one is left out at a time."""
    n_cells, n, _ = lines.shape
    found = []
    for left_out in range(n_cells if n_cells > 1 else 0):
        cells = np.ones(n_cells)
        cells[left_out] = 0
        misfit = _misfit(lines, published, np.ones(n), cells)
        found.append(math.log(max(at[int(misfit.argmin())], 1)))
    return (n_cells - 1) * float(np.var(found)) if found else 0.0


def _misfit(
    lines: np.ndarray, published: np.ndarray, replicates: np.ndarray, cells: np.ndarray
) -> np.ndarray:
    """Root mean square difference at each point, replicates and cells counted by their weights.

    Infinite at points where no cell has a value.
    """
    known = np.isfinite(lines)
    weight = np.einsum("r,crp->cp", replicates, known)
    total = np.einsum("r,crp->cp", replicates, np.where(known, lines, 0.0))
    ours = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    counts = cells[:, None] * (weight > 0)
    squares = (counts * (ours - published[:, None]) ** 2).sum(axis=0)
    n = counts.sum(axis=0)
    mean_square = np.divide(squares, n, out=np.full(len(n), np.inf), where=n > 0)
    return np.asarray(np.sqrt(mean_square))


def _rmse_of_one_run(values: np.ndarray) -> float:
    """Of one new run against our means, by the scatter of (cells, R); NaN with one replicate."""
    known = [row[np.isfinite(row)] for row in values]
    return math.sqrt(mean(x.var(ddof=1) * (1 + 1 / len(x)) for x in known if len(x) >= 2))
