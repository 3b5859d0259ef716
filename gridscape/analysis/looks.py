"""Looking several times at the same statement while replicates are added, without a higher error.

Who tests at 5 % after every few replicates, and stops at the first verdict, errs in some 20 % of
cases. Here each look has a part of the error.

The part of a look grows as the 1.5th power of its number of replicates, a member of the power
family of spending functions (Kim and DeMets 1987, Biometrika 74): little is spent on the first
looks, which can decide only what is plain, and most at the last. Looks share their data, so that
they err together: parts that add up to 7 % err in 5 % of cases at any of them. By how much they may
be larger is read from the joint distribution of Student's t over the looks, drawn with a fixed seed
(with a normal distribution instead, as group-sequential designs usually take it, few replicates
would err more often than they say). Whatever is less alike from look to look than that is a test
of its own kind; benchmarks/statistics.py simulates them.

A statement that several tests could decide falsely gives each a part of the error. So small parts
are seldom spent at two looks at once; there it comes close to parts that add up to the whole (Slud
and Wei 1982, JASA 77), which hold for every test.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import takewhile

import numpy as np

from gridscape.analysis.statistics import LEVEL
from gridscape.base import special
from gridscape.errors import UsageError

FEWEST = 3  # replicates at the first look: fewer decide nothing
POWER = 1.5
N_DRAWS = 200_000


@dataclass(frozen=True)
class Level:
    """The two-sided level at which a statement is tested, once.

    >>> f"{Level().each():.3f}, {Level().each(of=5):.3f}"
    '0.050, 0.010'
    """

    alpha: float = 1 - LEVEL

    def each(self, of: int = 1) -> float:
        """The level of each of several tests, any of which may be false (Bonferroni)."""
        return self.alpha / of


ONCE = Level()


@dataclass(frozen=True)
class LookLevel(Level):
    """The level at one of several looks. share: the part of the error that is spent at it."""

    numbers: tuple[int, ...] = ()
    share: float = 1.0

    def each(self, of: int = 1) -> float:
        """See Level."""
        return self.share * _jointly(self.numbers, self.alpha / of)


@dataclass(frozen=True)
class Looks:
    """The numbers of replicates, ascending, at which a statement is looked at; ``alpha`` in all.

    >>> looks = Looks.up_to(20)
    >>> looks.numbers
    (3, 5, 8, 12, 16, 20)
    >>> [f"{looks.level(n).each():.3f}" for n in looks.numbers]
    ['0.002', '0.003', '0.007', '0.013', '0.020', '0.027']
    """

    numbers: tuple[int, ...]
    alpha: float = 1 - LEVEL

    @classmethod
    def up_to(cls, most: int, first: int = FEWEST) -> "Looks":
        """The looks from ``first`` replicates, which are there already, to at most ``most``.

        Raises UsageError where there is no room for a look.
        """
        if most < FEWEST:
            raise UsageError(
                "too few replicates to decide anything", expected=f"at least {FEWEST}", found=most
            )
        if most < first:
            raise UsageError(
                "fewer replicates than there are", expected=f"at least {first}", found=most
            )
        first = max(first, FEWEST)
        between = takewhile(lambda n: n < most, _schedule())
        return cls((*sorted({first, most, *(n for n in between if n > first)}),))

    def level(self, number: int) -> Level:
        """The level of the look at so many replicates."""
        share = number**POWER / sum(n**POWER for n in self.numbers)
        return LookLevel(self.alpha, self.numbers, share)


def _jointly(numbers: tuple[int, ...], alpha: float) -> float:
    """The sum of levels of which one or more are met by chance in ``alpha`` of cases.

    Two standard errors of the simulation below its estimate, and at least ``alpha``.
    """
    place = math.floor(N_DRAWS * alpha - 2 * math.sqrt(N_DRAWS * alpha))
    return max(alpha, float(_smallest(numbers)[place])) if place > 0 else alpha


@cache
def _smallest(numbers: tuple[int, ...]) -> np.ndarray:
    """(N_DRAWS,) sorted: the smallest p value over all looks, each in shares of its look.

    Of Student's t of one mean at truth 0. Its sum and squares grow by those of the new replicates,
    whose mean and scatter are drawn.
    """
    rng = np.random.default_rng(0)
    total, squares, before = np.zeros(N_DRAWS), np.zeros(N_DRAWS), 0
    smallest = np.full(N_DRAWS, np.inf)
    shares = np.array(numbers) ** POWER / sum(n**POWER for n in numbers)
    for n, share in zip(numbers, shares, strict=True):
        new = n - before
        mean = rng.standard_normal(N_DRAWS) / math.sqrt(new)
        total += new * mean
        squares += new * mean**2 + (rng.chisquare(new - 1, N_DRAWS) if new > 1 else 0)
        error = np.sqrt((squares - total**2 / n) / (n - 1) / n)
        p = 2 * special.stdtr(n - 1, -np.abs(total / n) / error)
        smallest = np.minimum(smallest, p / share)
        before = n
    return np.sort(smallest)


def _schedule() -> Iterator[int]:
    """3, 5, 8, 12, 16, 20, and from there on a quarter more each time."""
    yield from (3, 5, 8, 12, 16)
    number = 20
    while True:
        yield number
        number += number // 4
