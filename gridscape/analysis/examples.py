"""Two networks on the same test examples: McNemar's exact test, and how far apart they are.

It speaks of these two networks on new examples of the same kind. Whether networks trained anew
would differ is another question, which replicates answer.
"""

import math
from dataclasses import dataclass

from gridscape.analysis.statistics import LEVEL, Interval
from gridscape.base import special


@dataclass(frozen=True)
class PairedCounts:
    """How many test examples both networks get right, only ``a``, only ``b``, or neither."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def n_examples(self) -> int:
        """All of them."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def share_a(self) -> float:
        """The share that ``a`` gets right."""
        return (self.both + self.only_a) / self.n_examples

    @property
    def share_b(self) -> float:
        """The share that ``b`` gets right."""
        return (self.both + self.only_b) / self.n_examples


def mcnemar_p_value(only_a: int, only_b: int) -> float:
    """Two-sided p value of "either is as often the only one that is right" (McNemar 1947), exact.

    The examples that tell the networks apart are tosses of a fair coin then; 1 where there is none.

    >>> f"{mcnemar_p_value(12, 2):.4f}", mcnemar_p_value(0, 0)
    ('0.0129', 1.0)
    """
    if only_a == only_b:
        return 1.0
    return min(1.0, float(2 * special.bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def paired_difference(counts: PairedCounts, level: float = LEVEL) -> Interval:
    """The share that ``a`` gets right minus that of ``b``, with its interval; ``n`` examples.

    Newcombe 1998, method 10: Wilson's intervals of both shares, joined by their correlation with a
    continuity correction. It reaches to 0 where the exact test does not tell the two apart, so that
    test and interval never contradict each other.

    >>> found = paired_difference(PairedCounts(36, 12, 2, 0))
    >>> f"{found.mean:.2f} in [{found.low:.4f}, {found.high:.4f}]"
    '0.20 in [0.0569, 0.3404]'
    """
    n, difference = counts.n_examples, counts.share_a - counts.share_b
    low_a, high_a = _wilson(counts.both + counts.only_a, n, level)
    low_b, high_b = _wilson(counts.both + counts.only_b, n, level)
    correlation = _correlation(counts)

    def reach(first: float, second: float) -> float:
        return math.sqrt(max(first**2 - 2 * correlation * first * second + second**2, 0.0))

    low = difference - reach(counts.share_a - low_a, high_b - counts.share_b)
    high = difference + reach(counts.share_b - low_b, high_a - counts.share_a)
    if mcnemar_p_value(counts.only_a, counts.only_b) >= 1 - level:
        low, high = min(low, 0.0), max(high, 0.0)
    return Interval(difference, low, high, n, level)


def _correlation(counts: PairedCounts) -> float:
    """Of being right, between the two networks, moved towards 0 by half an example."""
    n, product = counts.n_examples, counts.both * counts.neither - counts.only_a * counts.only_b
    rights = (counts.both + counts.only_a, counts.both + counts.only_b)
    spread = math.sqrt(math.prod(right * (n - right) for right in rights))
    corrected = max(product - n / 2, 0.0) if product > 0 else float(product)
    return corrected / spread if spread else 0.0


def _wilson(count: int, n: int, level: float) -> tuple[float, float]:
    """The interval of a share, count of n (Wilson 1927)."""
    z, share = float(special.ndtri((1 + level) / 2)), count / n
    middle, scale = share + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return (middle - half) / scale, (middle + half) / scale
