"""Means of fractions over replicates: of accuracies near 1, and of runs that do not differ at all.

Student's t takes a spread from the replicates alone. Of a fraction more is known. It was measured
on a finite number of examples, whose noise no spread falls below. And near 0 or 1 its distribution
leans to one side: there the interval is formed on the logit as well, and the wider end of both is
taken.
"""

import math
from typing import Any

import numpy as np

from gridscape.analysis.statistics import LEVEL, t_quantile
from gridscape.base import special

MOST_EXAMPLES = 20_000  # above it a fraction is as good as continuous
FLOAT32_ERROR = 6e-8
CONTINUOUS = 1_000_000
FEW_EXAMPLES = 100


def resolution(values: np.ndarray) -> int:
    """The number of examples on which these fractions were measured: they are multiples of 1 / N.

    Fewer where the values do not tell more, but FEW_EXAMPLES at least; CONTINUOUS where they are no
    such multiples.

    >>> resolution(np.array([359 / 360, 0.9, 1.0]))
    360
    """
    different = np.unique(values[np.isfinite(values) & (values > 0) & (values < 1)])
    if not len(different):
        return FEW_EXAMPLES
    n = np.arange(1, MOST_EXAMPLES + 1)
    for value in different[:: max(1, len(different) // 8)]:
        counts = value * n
        n = n[np.abs(counts - counts.round()) <= FLOAT32_ERROR * n]
    return int(n[0]) * -(-FEW_EXAMPLES // int(n[0])) if len(n) else CONTINUOUS


def noise_variance(mean: Any, n_examples: int) -> Any:
    """The least variance of a fraction that was measured on so many examples.

    a (1 - a) / N with a = (k + 1) / (N + 2), so that a fraction of 1 is not free of noise.
    """
    a = (np.clip(mean, 0, 1) * n_examples + 1) / (n_examples + 2)
    return a * (1 - a) / n_examples


def fraction_intervals(
    values: np.ndarray, n_examples: int, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high ends of the means of fractions (..., R), NaN entries left out: (...).

    The t interval with its spread at least the examples' noise, and that of the logit around the
    mean; the wider end of both. NaN where fewer than two are finite.
    """
    n, mean = _counted(values)
    reach = t_quantile(level, np.maximum(n, 2) - 1) / np.sqrt(np.maximum(n, 2))
    plain = reach * _plain_deviation(values, mean, n_examples)
    center, deviation = _logit(values, mean, n_examples)
    low = np.minimum(mean - plain, special.expit(center - reach * deviation))
    high = np.maximum(mean + plain, special.expit(center + reach * deviation))
    return np.where(n >= 2, np.clip(low, 0, 1), np.nan), np.where(
        n >= 2, np.clip(high, 0, 1), np.nan
    )


def fraction_test(values: np.ndarray, against: float, n_examples: int) -> float:
    """Two-sided p value of "the mean of these fractions is ``against``"; NaN below two values.

    The larger one of the plain and of the logit's: rejected is what ``fraction_intervals``
    excludes.
    """
    n, mean = _counted(values)
    if n < 2:
        return math.nan
    root = math.sqrt(n)
    plain = (mean - against) * root / _plain_deviation(values, mean, n_examples)
    center, deviation = _logit(values, mean, n_examples)
    if not 0 < against < 1:
        return float(2 * special.stdtr(n - 1, -abs(plain)))
    on_logit = (center - special.logit(against)) * root / deviation
    return float(2 * special.stdtr(n - 1, -min(abs(plain), abs(on_logit))))


def _counted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many are finite, and their mean."""
    known = np.isfinite(values)
    n = known.sum(axis=-1)
    return n, np.where(known, values, 0.0).sum(axis=-1) / np.where(n, n, np.nan)


def _deviation(values: np.ndarray) -> np.ndarray:
    """Standard deviation of the finite values; 0 of fewer than two."""
    n, mean = _counted(values)
    squares = np.where(np.isfinite(values), (values - np.expand_dims(mean, -1)) ** 2, 0.0)
    return np.asarray(np.sqrt(squares.sum(axis=-1) / np.maximum(n - 1, 1)))


def _plain_deviation(values: np.ndarray, mean: np.ndarray, n_examples: int) -> np.ndarray:
    return np.asarray(np.maximum(_deviation(values), np.sqrt(noise_variance(mean, n_examples))))


def _logit(values: np.ndarray, mean: np.ndarray, n_examples: int) -> tuple[np.ndarray, np.ndarray]:
    """The logit of the mean, and the deviation of the logits, at least that of the examples' noise.

    Half an example is added on both sides, so that 0 and 1 have logits (Haldane 1956, Anscombe
    1956).
    """
    counts = np.clip(values, 0, 1) * n_examples
    logits = np.log((counts + 0.5) / (n_examples - counts + 0.5))
    a = (np.clip(mean, 0, 1) * n_examples + 0.5) / (n_examples + 1)
    noise = 1 / np.sqrt(n_examples * a * (1 - a) + 0.5)
    return special.logit(a), np.maximum(_deviation(logits), noise)
