"""Estimates with intervals, and tests: Student t, exact shares, corrections for many."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from gridscape.base import special

LEVEL = 0.95  # of every interval; 1 - LEVEL is the significance level of every test
# Scatter below this share of the numbers is that of their arithmetic, and none.
ROUNDING = 1e-12


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

    def __repr__(self) -> str:
        ends = f" ({self.low:.4g} to {self.high:.4g})" if self.known else ""
        return f"{self.mean:.4g}{ends}"

    @property
    def known(self) -> bool:
        """Whether there are replicates enough for an interval."""
        return self.low == self.low and self.high == self.high

    @property
    def reach(self) -> float:
        """How far the interval goes from the mean, on its longer side; NaN where it is unknown."""
        return max(self.mean - self.low, self.high - self.mean)

    def excludes(self, value: float) -> bool:
        """Whether the interval is known and does not hold ``value``."""
        return self.known and not self.low <= value <= self.high


def t_interval(values: Iterable[float], level: float = LEVEL) -> Interval:
    """Mean and Student t interval of independent values; NaN entries are left out.

    >>> interval = t_interval([0.9, 0.92, 0.94])
    >>> f"{interval.mean:.3f} in [{interval.low:.3f}, {interval.high:.3f}]"
    '0.920 in [0.870, 0.970]'
    """
    x = finite(values)
    if len(x) < 2:
        return Interval(float(x[0]) if len(x) else math.nan, math.nan, math.nan, len(x), level)
    half = t_quantile(level, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x))
    return Interval(float(x.mean()), float(x.mean() - half), float(x.mean() + half), len(x), level)


def possible(interval: Interval, unit: str | None) -> Interval:
    """The part of an interval that can be: of a fraction, what lies in [0, 1].

    It holds the true mean as often as the whole does. The mean may then lie nearer to one end. A
    mean outside [0, 1] is of something else; its interval stays whole.

    >>> wide = possible(t_interval([0.9, 1.0, 0.4]), "fraction")
    >>> f"{wide.mean:.3f} in [{wide.low:.3f}, {wide.high:.3f}]"
    '0.767 in [0.000, 1.000]'
    """
    if unit != "fraction" or not interval.known or not 0 <= interval.mean <= 1:
        return interval
    return replace(interval, low=max(interval.low, 0.0), high=min(interval.high, 1.0))


def t_quantile(level: float, df: Any) -> Any:
    """What Student's t of ``df`` degrees of freedom stays within, on both sides, by ``level``.

    By scipy.special, which is there at once; scipy.stats takes half a second to import.

    >>> f"{t_quantile(0.95, 2):.3f}"
    '4.303'
    """
    return special.stdtrit(df, (1 + level) / 2)


def t_p_value(t: float, df: float) -> float:
    """How often Student's t of ``df`` degrees of freedom is at least as far from 0 as ``t``.

    >>> f"{t_p_value(4.303, 2):.3f}"
    '0.050'
    """
    return float(2 * special.stdtr(df, -abs(t)))


def t_test(values: Iterable[float], against: float = 0.0) -> float:
    """Two-sided p value of "the mean is ``against``", Student t; NaN for fewer than two values.

    NaN as well where the values do not differ: they say nothing of their scatter.
    """
    x = finite(values)
    error = math.sqrt(variance(x) / len(x)) if len(x) >= 2 else 0.0
    if error == 0:
        return math.nan
    return t_p_value((x.mean() - against) / error, len(x) - 1)


def variance(values: np.ndarray, size: float | None = None) -> float:
    """Of two values or more, as an estimate; 0.0 where they differ by rounding alone.

    size: of the numbers that they were computed from (default: their own).

    >>> variance(np.array([0.1, 0.1, 0.1])), variance(np.array([0.0, 2.0]))
    (0.0, 2.0)
    """
    found = float(values.var(ddof=1))
    size = float(np.abs(values).max()) if size is None else size
    return found if found > (ROUNDING * size) ** 2 else 0.0


@lru_cache(maxsize=4096)  # cells have few different numbers of runs
def share_interval(k: int, n: int, level: float = LEVEL) -> Interval:
    """A share of which ``k`` of ``n`` independent runs were seen; its exact interval.

    Clopper and Pearson 1934. Of no run at all nothing is known.

    >>> share = share_interval(5, 5)
    >>> f"{share.mean:.2f} in [{share.low:.2f}, {share.high:.2f}]"
    '1.00 in [0.48, 1.00]'
    """
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0, level)
    tail = (1 - level) / 2
    low = float(special.betaincinv(k, n - k + 1, tail)) if k else 0.0
    high = float(special.betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return Interval(k / n, low, high, n, level)


@lru_cache(maxsize=4096)
def share_p_value(k: int, n: int, share: float) -> float:
    """How often at least ``k`` of ``n`` runs would be seen if each had the probability ``share``.

    The exact one-sided p value of "the share is above ``share``"; NaN for no run.

    >>> f"{share_p_value(5, 5, 0.5):.3f}"
    '0.031'
    """
    if not n:
        return math.nan
    return float(special.betainc(k, n - k + 1, share)) if k else 1.0


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p values corrected for their number (Holm 1979); NaN entries stay NaN and do not count.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    return _stepwise(p_values, np.maximum.accumulate)


def hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """p values corrected for their number by stepping up (Hochberg 1988); NaN as in ``holm``.

    Sharper than Holm's, and right for tests that are independent or lean the same way, as those of
    cells do that share their random numbers (Sarkar 1998).

    >>> hochberg([0.01, 0.04, 0.03])
    (0.03, 0.04, 0.04)
    """
    return _stepwise(p_values, lambda scaled: np.minimum.accumulate(scaled[::-1])[::-1])


def _stepwise(
    p_values: Sequence[float], steps: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, ...]:
    """p values, ascending, times how many are left at each, made monotone by ``steps``."""
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(np.asarray(p_values)[known], kind="stable")]
    scaled = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(steps(scaled), 1.0)
    return tuple(float(p) for p in adjusted)


def prediction_interval(values: Iterable[float], level: float = LEVEL) -> tuple[float, float]:
    """Where one new value lies with probability ``level``: mean -+ t sd sqrt(1 + 1/n).

    NaN for fewer than two values.
    """
    x = finite(values)
    if len(x) < 2:
        return math.nan, math.nan
    half = t_quantile(level, len(x) - 1) * x.std(ddof=1) * math.sqrt(1 + 1 / len(x))
    return float(x.mean() - half), float(x.mean() + half)


def finite(values: Iterable[float]) -> np.ndarray:
    """The values as an array, without those that are not finite."""
    x: np.ndarray = np.asarray(list(values), dtype=float)
    return x.compress(np.isfinite(x))


def mean(values: Iterable[float]) -> float:
    """The mean of the finite values; NaN where there are none."""
    x = finite(values)
    return float(x.mean()) if len(x) else math.nan
