"""Which number of updates explains a published table."""

import math
from dataclasses import dataclass

import numpy as np

from gridscape.analysis.curves import CurveBand, curve_band, interpolate
from gridscape.analysis.published import PublishedTable, finder
from gridscape.analysis.statistics import LEVEL, Interval, mean
from gridscape.grid.axes import Cell
from gridscape.landscape import Landscape


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
