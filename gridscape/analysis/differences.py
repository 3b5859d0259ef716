"""Differences between cells: paired by replicate, with one spread for all where that is allowed.

Replicates are blocks: they share their random numbers between cells. Where every run of some cells
learns and their spreads look alike, the spread of one trial is estimated from all of them (a
two-way fit of cells and replicates). That decides with far fewer replicates than each pair's own
spread.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gridscape.analysis.cells import CellSummary, all_learned, learned
from gridscape.analysis.contrasts import contrast
from gridscape.analysis.fractions import noise_variance
from gridscape.analysis.statistics import LEVEL, ROUNDING, Interval, t_p_value, t_quantile, variance
from gridscape.base import special
from gridscape.grid.axes import Cell

# Spreads count as alike where Cochran's test of the largest variance finds this p value or more.
# Not .05: with three replicates a test that lenient misses a spread of three times the others', and
# 10 % of the verdicts err. With this one, and half of the weight on the own spread of a pair that
# scatters more, 4.4 % at most do (three replicates, one of six cells scatters three times as much).
ALIKE = 0.25


@dataclass(frozen=True)
class Difference:
    """An estimated difference: its standard error, and the degrees of freedom of that.

    n: replicates that it rests on. one_spread: whether the error is taken from many cells together.
    The error is NaN where the replicates do not tell it.
    """

    mean: float
    error: float
    df: float
    n: int
    one_spread: bool = False

    def interval(self, level: float = LEVEL) -> Interval:
        """The t interval."""
        if not self.error > 0:
            return Interval(self.mean, math.nan, math.nan, self.n, level)
        half = float(t_quantile(level, self.df)) * self.error
        return Interval(self.mean, self.mean - half, self.mean + half, self.n, level)

    def p_above(self, bound: float) -> float:
        """p value for "it is above ``bound``", of the two-sided t test; 1 on the other side."""
        if not self.error > 0:
            return math.nan
        distance = self.mean - bound
        return t_p_value(distance / self.error, self.df) if distance > 0 else 1.0

    def p_below(self, bound: float) -> float:
        """p value for "it is below ``bound``"; as ``p_above``."""
        return (-self).p_above(-bound)

    def __neg__(self) -> "Difference":
        return Difference(-self.mean, self.error, self.df, self.n, self.one_spread)


@dataclass(frozen=True)
class CommonSpread:
    """One variance of a trial within its cell and replicate, and its degrees of freedom."""

    variance: float
    df: float


def common_spread(cells: Sequence[CellSummary]) -> CommonSpread | None:
    """The variance that these cells share; None where they do not seem to share one.

    Cells where a run failed, or beside such a cell, have spreads of their own and do not enter. The
    others are fitted by least squares as cell + replicate, and Cochran's test (1941) compares the
    largest variance with their sum.
    """
    inside = [s for s in cells if not s.at_edge]
    values = all_learned(inside) if len(inside) >= 3 else np.empty((0, 0))
    known = np.isfinite(values)
    enough = known.sum(axis=1) >= 2
    values, known = values[enough], known[enough]
    if len(values) < 3:
        return None
    rest = _residuals(values, known)
    n = known.sum(axis=1)
    df = known.sum() - len(values) - (known.sum(axis=0) > 0).sum() + 1
    squares = (rest**2).sum(axis=1) / (n - 1)
    if df < 1 or squares.sum() <= (ROUNDING * np.nanmax(np.abs(values))) ** 2:
        return None
    largest = float(squares.max() / squares.sum())
    per_cell = float(n.mean() - 1) / 2
    tail = 1 - special.betainc(per_cell, (len(values) - 1) * per_cell, largest)
    alike = len(values) * tail >= ALIKE
    return CommonSpread(float((rest**2).sum() / df), float(df)) if alike else None


def _residuals(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What a least-squares fit of cell + replicate leaves, 0 where a value is missing."""
    filled, n = np.where(known, values, 0.0), known.sum(axis=1)
    of_cell = filled.sum(axis=1) / n
    centered = np.where(known, values - of_cell[:, None], 0.0)
    normal = np.diag(known.sum(axis=0).astype(float)) - (known / n[:, None]).T @ known
    effects = np.linalg.lstsq(normal, centered.sum(axis=0), rcond=None)[0]
    shift = known @ effects / n
    return np.asarray(np.where(known, centered - effects + shift[:, None], 0.0))


class Comparison:
    """Differences among some cells, over the replicates that learn in both of a pair.

    The spread is the pair's own, or where it is allowed that of all these cells. A pair that
    scatters more than the others takes the mean of both variances (moderated: Smyth 2004).
    """

    def __init__(self, cells: Iterable[CellSummary]) -> None:
        self.spread = common_spread(list(cells))

    def difference(self, a: CellSummary, b: CellSummary) -> Difference:
        """Mean of ``a`` minus mean of ``b``."""
        return self.combination([a, b], [1.0, -1.0])

    def lags(self, best: CellSummary, others: Sequence[CellSummary]) -> list[Difference]:
        """``difference(best, s)`` of each of the others, all at once."""
        if not others:
            return []
        own, rows = learned(best), all_learned(others)
        values = own - rows
        shared = np.isfinite(values)
        means, variances = _moments(values)
        largest = np.maximum(np.abs(own).max(), np.abs(rows).max(axis=1))
        alone = np.where(shared, values, 0.0).sum(axis=1).tolist()  # of one: that one
        found = []
        for i, (n, other) in enumerate(zip(shared.sum(axis=1).tolist(), others, strict=True)):
            if n < 2:
                found.append(Difference(alone[i] if n else math.nan, math.nan, math.nan, n))
            elif n < len(own):
                found.append(self.difference(best, other))
            else:
                own_variance = 0.0 if variances[i] <= (ROUNDING * largest[i]) ** 2 else variances[i]
                floor = noise_of(best) + noise_of(other)
                at_edge = best.at_edge or other.at_edge
                own_squared = own_variance / n
                found.append(
                    self._told(means[i], own_squared, n - 1, n, floor / n, 2.0 / n, at_edge)
                )
        return found

    def combination(self, cells: Sequence[CellSummary], weights: Sequence[float]) -> Difference:
        """The sum of the means of cells times weights that add up to 0.

        Of three cells and more, a replicate that lacks some tells of the others: ``contrast``.
        """
        rows, factors = all_learned(cells), np.asarray(weights, float)
        whole = np.isfinite(rows).all(axis=0)
        floor = float(sum(f**2 * noise_of(s) for f, s in zip(factors, cells, strict=True)))
        squares = float((factors**2).sum())
        alone = any(s.at_edge for s in cells)
        if len(cells) > 2 and not whole.all():
            found = contrast(rows, factors)
            floor *= found.squares / squares  # the noise of a value, as often as it counts
            own = found.error**2
            return self._told(found.mean, own, found.df, found.n, floor, found.squares, alone)
        values = factors @ rows[:, whole]
        n = len(values)
        if n < 2:
            return Difference(float(values[0]) if n else math.nan, math.nan, math.nan, n)
        own = variance(values, float(np.abs(rows[:, whole]).max()))
        return self._told(float(values.mean()), own / n, n - 1, n, floor / n, squares / n, alone)

    def _told(
        self, mean: float, own: float, df: float, n: int, floor: float, squares: float, alone: bool
    ) -> Difference:
        """own: the squared error by the spread of these cells; squares: that of one spread of 1.

        alone: whether a cell is at the edge, and its spread its own.
        """
        if self.spread is not None and not alone:
            pooled = self.spread.variance * squares
            is_more = own > pooled
            squared = (own + pooled) / 2 if is_more else pooled
            df = min(2.0 * df, self.spread.df) if is_more else self.spread.df
            return Difference(mean, math.sqrt(max(squared, floor)), df, n, one_spread=True)
        return Difference(mean, math.sqrt(max(own, floor)), df, n)


def _moments(values: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and variance of each row; of fewer than two values there is no variance."""
    if values.shape[1] < 2:
        return values.ravel().tolist(), [math.nan] * len(values)
    return values.mean(axis=1).tolist(), values.var(axis=1, ddof=1).tolist()


def against(cells: Sequence[CellSummary], one: CellSummary) -> dict[Cell, Interval]:
    """Each cell minus ``one`` of them; all these intervals together hold in 95 %.

    Also where ``one`` was chosen as the best of them by these numbers: Bonferroni over all pairs,
    since any of them could have been asked for.
    """
    lags = Comparison(cells).lags(one, cells)
    level = 1 - (1 - LEVEL) / max(math.comb(len(cells), 2), 1)
    return {s.cell: (-lag).interval(level) for s, lag in zip(cells, lags, strict=True)}


def noise_of(summary: CellSummary) -> float:
    """The least variance of a trial, by the number of its examples; 0 of what is no fraction."""
    if summary.n_examples is None or not 0 <= summary.estimate.mean <= 1:
        return 0.0
    return float(noise_variance(summary.estimate.mean, summary.n_examples))


def mean_of(values: np.ndarray, floor: float = 0.0) -> Difference:
    """The mean of independent values, NaN entries left out, as a difference from 0.

    floor: the least variance of one of them.
    """
    x = values[np.isfinite(values)]
    if len(x) < 2:
        return Difference(float(x[0]) if len(x) else math.nan, math.nan, math.nan, len(x))
    error = math.sqrt(max(variance(x), floor) / len(x))
    return Difference(float(x.mean()), error, len(x) - 1, len(x))


def welch(a: np.ndarray, b: np.ndarray, floors: tuple[float, float] = (0.0, 0.0)) -> Difference:
    """Mean of ``a`` minus mean of ``b``, independent of one another (Welch 1947).

    floors: the least variances of one of ``a`` and one of ``b``.
    """
    x, y = a[np.isfinite(a)], b[np.isfinite(b)]
    mean = float(x.mean() - y.mean()) if len(x) and len(y) else math.nan
    n = min(len(x), len(y))
    if n < 2:
        return Difference(mean, math.nan, math.nan, n)
    sides = zip((x, y), floors, strict=True)
    parts = [max(variance(v), floor) / len(v) for v, floor in sides]
    total = sum(parts)
    if not total:
        return Difference(mean, math.nan, math.nan, n)
    df = total**2 / sum(p**2 / (len(v) - 1) for p, v in zip(parts, (x, y), strict=True))
    return Difference(mean, math.sqrt(total), df, n)
