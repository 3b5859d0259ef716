"""The best cell of a landscape without its luck.

Of many cells that are equally good, one comes out first by luck; its own mean and interval flatter
it. What remains is told in two ways: an interval that holds for every cell at once, and a score
shrunken towards the mean of the cells. A number to quote needs fresh replicates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from gridscape.analysis.cells import CellSummary, candidates, learned, score, summarize
from gridscape.analysis.differences import common_spread
from gridscape.analysis.statistics import LEVEL, Interval, possible
from gridscape.landscape import Landscape


@dataclass(frozen=True)
class Winner:
    """The best cell of a landscape.

    best: the candidate with the best mean, with its plain interval. n_cells: the candidates that it
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
    fit, _ = candidates(summarize(land, metric or land.main_metric))
    if not fit:
        return None
    best = max(fit, key=score)
    spread = common_spread(fit)
    n = best.estimate.n
    variance, df = (float(np.nanvar(learned(best), ddof=1)), n - 1.0) if n >= 2 else (math.nan, 0.0)
    own = variance
    if spread is not None and not best.at_edge and not own > 2 * spread.variance:
        variance, df = max(spread.variance, 0.0), spread.df
    level = LEVEL ** (1 / len(fit))
    half = _reach(level, df) * math.sqrt(variance / n) if n >= 2 else math.nan
    mean = best.estimate.mean
    simultaneous = Interval(mean, mean - half, mean + half, n)
    plain = best.estimate
    if plain.known:  # a fraction's own interval leans to one side, and may be the wider one
        simultaneous = Interval(
            mean, min(plain.low, simultaneous.low), max(plain.high, simultaneous.high), n
        )
    return Winner(
        best=best,
        n_cells=len(fit),
        simultaneous=possible(simultaneous, best.meaning.unit),
        shrunken=_shrunken(fit, best),
        one_spread=df != n - 1,
    )


def _reach(level: float, df: float) -> float:
    return float(special.stdtrit(df, (1 + level) / 2))


def _shrunken(fit: Sequence[CellSummary], best: CellSummary) -> float:
    """The mean of the best cell, moved to its rivals by the share of their variance that is luck.

    Its rivals are the cells about as good as it: those far below say nothing of its luck.
    """
    means = np.array([s.estimate.mean for s in fit])
    errors = np.array([np.nanvar(learned(s), ddof=1) / s.estimate.n if s.estimate.n >= 2 else np.nan
                       for s in fit])  # fmt: skip
    noise = float(np.nanmedian(errors)) if np.isfinite(errors).any() else math.nan
    if not noise > 0:
        return best.estimate.mean
    near = means[np.abs(means - best.estimate.mean) <= 4 * math.sqrt(2 * noise)]
    if len(near) < 4:
        return best.estimate.mean
    total = float(near.var(ddof=1))
    luck = min(1.0, (len(near) - 3) / (len(near) - 1) * noise / total) if total else 1.0
    return float(best.estimate.mean + luck * (near.mean() - best.estimate.mean))
