"""Looking several times at the same statement while replicates are added, without a higher error.

Who tests at 5 % after every few replicates, and stops at the first verdict, errs in some 20 % of
cases. Here each look has a part of the error, and the parts add up to the whole.

The part of a look grows as the 1.5th power of its number of replicates, a member of the power
family of spending functions (Kim and DeMets 1987, Biometrika 74): little is spent on the first
looks, which can decide only what is plain, and most at the last. That the parts are *added up*
(Slud and Wei 1982, JASA 77, partition the error in this way) costs power where looks share their
data: the bound of the joint distribution of one Student t would be half again as wide. But it holds
for every test that is valid at a look of its own: t tests with one spread or with each cell's own,
exact tests of shares, tests corrected for their number (whose own levels are so small that little
is left to gain), and whichever cells the data chose to look at again. No number in it was tuned to
a distribution.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from gridscape.analysis.statistics import LEVEL
from gridscape.errors import UsageError

FEWEST = 3  # replicates at the first look: fewer decide nothing
POWER = 1.5


@dataclass(frozen=True)
class Looks:
    """The numbers of replicates, ascending, at which a statement is looked at; ``alpha`` in all.

    >>> looks = Looks.up_to(20)
    >>> looks.numbers
    (3, 5, 8, 12, 16, 20)
    >>> [f"{looks.level(n):.4f}" for n in looks.numbers]
    ['0.0011', '0.0024', '0.0048', '0.0089', '0.0137', '0.0191']
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

    def level(self, number: int) -> float:
        """The two-sided level of the look at so many replicates."""
        return self.alpha * number**POWER / sum(n**POWER for n in self.numbers)


def _schedule() -> Iterator[int]:
    """3, 5, 8, 12, 16, 20, and from there on a quarter more each time."""
    yield from (3, 5, 8, 12, 16)
    number = 20
    while True:
        yield number
        number += number // 4
