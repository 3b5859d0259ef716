"""Estimates with intervals, and tests: Student t over replicates, Holm's correction."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

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
    from scipy import special

    return special.stdtrit(df, (1 + level) / 2)


def t_p_value(t: float, df: int) -> float:
    """How often Student's t of ``df`` degrees of freedom is at least as far from 0 as ``t``.

    >>> f"{t_p_value(4.303, 2):.3f}"
    '0.050'
    """
    from scipy import special

    return float(2 * special.stdtr(df, -abs(t)))


def t_test(values: Iterable[float], against: float = 0.0) -> float:
    """Two-sided p value of "the mean is ``against``", Student t; NaN for fewer than two values.

    Values without any scatter decide at once: 1 where they equal ``against``, else 0.
    """
    x = finite(values)
    if len(x) < 2:
        return math.nan
    distance, error = abs(x.mean() - against), x.std(ddof=1) / math.sqrt(len(x))
    if error == 0:
        return 1.0 if distance == 0 else 0.0
    return t_p_value(distance / error, len(x) - 1)


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
