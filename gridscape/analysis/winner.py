"""The best cell of a landscape without its luck.

Of many cells that are equally good, one comes out first by luck; its own mean and interval flatter
it. What remains is told in two ways: an interval that holds for every cell at once, and a score
shrunken towards the mean of the cells. A number to quote needs fresh replicates.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gridscape.analysis.cells import CellSummary, candidates, learned, score, summarize
from gridscape.analysis.differences import common_spread, noise_of
from gridscape.analysis.statistics import LEVEL, Interval, finite, possible, t_quantile
from gridscape.base import special
from gridscape.landscape import Landscape


@dataclass(frozen=True)
class Winner:
    """The best cell of a landscape.

    best: the candidate that ranks first, with its plain interval. n_cells: the candidates that it
        was chosen from. simultaneous: an interval that holds for all of them at once (Sidak 1967),
        so for the chosen one as well. shrunken: its mean, moved towards that of all candidates by
        the share of their variance that is luck (James and Stein 1961). one_spread: whether the
        scatter was taken from all of them.
    """

    best: CellSummary
    n_cells: int
    simultaneous: Interval
    shrunken: float
    one_spread: bool


def winner(land: Landscape, metric: str | None = None) -> Winner | None:
    """The best cell and what its luck may be (default: of the main metric); None without one."""
    return winner_of(summarize(land, metric or land.main_metric))


def winner_of(cells: Iterable[CellSummary]) -> Winner | None:
    """The best of these cells and what its luck may be; None where none is a candidate."""
    fit, _ = candidates(cells)
    if not fit:
        return None
    best = max(fit, key=score)
    found, one_spread = _simultaneous(fit, best)
    return Winner(
        best=best,
        n_cells=len(fit),
        simultaneous=possible(found, best.meaning.unit),
        shrunken=_shrunken(fit, best),
        one_spread=one_spread,
    )


def _simultaneous(fit: Sequence[CellSummary], best: CellSummary) -> tuple[Interval, bool]:
    """An interval of the best cell that holds for all cells, and whether they have one spread.

    A best cell at the edge, or that scatters much more than the others, keeps its own spread.
    """
    plain, spread = best.estimate, common_spread(fit)
    n, variance, df = plain.n, _variance(best), plain.n - 1.0
    if not plain.known:
        return plain, False
    one_spread = spread is not None and not best.at_edge and variance <= 2 * spread.variance
    if spread is not None and one_spread:
        variance, df = spread.variance, spread.df
    level = LEVEL ** (1 / len(fit))
    half = float(t_quantile(level, df)) * math.sqrt(max(variance, noise_of(best)) / n)
    # A fraction's own interval leans to one side, and may be the wider one.
    low, high = min(plain.low, plain.mean - half), max(plain.high, plain.mean + half)
    return Interval(plain.mean, low, high, n), one_spread


def _variance(summary: CellSummary) -> float:
    """The variance of the values that the estimate is made of; NaN of fewer than two."""
    values = finite(learned(summary))
    return float(values.var(ddof=1)) if len(values) >= 2 else math.nan


def _shrunken(fit: Sequence[CellSummary], best: CellSummary) -> float:
    """The mean of the best cell, moved to its rivals by the share of their variance that is luck.

    Its rivals are the cells about as good as it: those far below say nothing of its luck.
    """
    mean = best.estimate.mean
    noise = _noise(fit)
    if not noise > 0:
        return mean
    means = np.array([s.estimate.mean for s in fit])
    near = means[np.abs(means - mean) <= 4 * math.sqrt(2 * noise)]
    if len(near) < 4:
        return mean
    total = float(near.var(ddof=1))
    luck = min(1.0, (len(near) - 3) / (len(near) - 1) * noise / total) if total else 1.0
    return float(mean + luck * (near.mean() - mean))


def _noise(fit: Sequence[CellSummary]) -> float:
    """The variance of the mean of a typical cell: a median, which few wild cells do not move.

    That of normal values has a median below its mean, by which it is divided.
    """
    known = [(_variance(s) / s.estimate.n, s.estimate.n - 1) for s in fit if s.estimate.n >= 2]
    unbiased = [variance * df / (2 * special.gammaincinv(df / 2, 0.5)) for variance, df in known]
    return float(np.median(unbiased)) if unbiased else math.nan
