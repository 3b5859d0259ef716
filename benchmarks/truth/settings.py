"""A setting: a world, a question to Gridscape, and whether its answer is true."""

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from gridscape.analysis import CellSummary

REPLICATES = (3, 5, 10)

# What is true depends on what is stated. Where a cell is told by one number, its mean is that of
# all runs that finished, and a level is one of this mean. Where it is told by two, they are the
# share of the runs that learn and the mean of these; a level is one that most runs reach, and where
# runs fail the better of two cells is the one that is better in most replicates.
TWO_NUMBERS = "share" in CellSummary.__dataclass_fields__

Answers = Mapping[str, float]  # by measure; NaN where nothing was said
Once = Callable[[np.random.Generator], Answers]


class Kind(StrEnum):
    """What is wanted of a number."""

    HOLDS = "holds"  # how often an interval or a set holds the truth: at least 95 %
    FALSE = "false"  # how often a false statement is made: at most 5 %, 2.5 % a side
    POWER = "power"  # how often a true statement is made: not less than before
    SEEN = "seen"  # how often something happens: no target
    TOLD = "told"  # a size or a bias: no target
    MOST = "most"  # what four landscapes of five stay within: no target


TARGET = {Kind.HOLDS: 0.95, Kind.FALSE: 0.05}
WANTED = {Kind.HOLDS: ">= 95", Kind.FALSE: "<= 5", Kind.POWER: "power"}


class NotSaidError(Exception):
    """This version of Gridscape makes no such statement."""


@dataclass(frozen=True)
class Setting:
    """A row of a table, or several that are measured together.

    measures: what is counted, by name; "" is the only one.
    play: from a number of replicates to a function that draws one landscape, asks, and compares.
        Raises NotSaidError where this version makes no such statement.
    replicates: those that it is played at.
    """

    part: str
    name: str
    measures: Mapping[str, Kind]
    play: Callable[[int], Once]
    replicates: Sequence[int] = REPLICATES

    def rng(self, n: int) -> np.random.Generator:
        """The same numbers for every version, whichever settings are played beside it."""
        return np.random.default_rng(zlib.crc32(f"{self.part}: {self.name}, {n}".encode()))


@dataclass(frozen=True)
class Count:
    """A measure over all landscapes: its mean and Monte Carlo error over those that said it.

    said: the share of the landscapes in which there was anything to count.
    """

    value: float
    error: float
    said: float

    def misses(self, kind: Kind) -> bool:
        """Whether it is beyond its target by more than two standard errors."""
        if kind is Kind.HOLDS:
            return self.value + 2 * self.error < TARGET[kind]
        return kind is Kind.FALSE and self.value - 2 * self.error > TARGET[kind]


def count(numbers: Sequence[float]) -> Count:
    """The mean of what was said; the error of a share is at least that of one case in all."""
    said = np.asarray(numbers, float)
    said = said[np.isfinite(said)]
    if not len(said):
        return Count(math.nan, math.nan, 0.0)
    error = float(said.std()) / math.sqrt(len(said))
    if error == 0 and said[0] in (0.0, 1.0):  # a share: as if one of them were otherwise
        error = 1 / len(said)
    return Count(float(said.mean()), error, len(said) / len(numbers))


def most(numbers: Sequence[float]) -> Count:
    """What four of five stay within; the error is that of the rank."""
    ranks = 0.8 + np.array([-1, 0, 1]) * math.sqrt(0.8 * 0.2 / len(numbers))
    low, middle, high = np.quantile(np.asarray(numbers, float), np.clip(ranks, 0, 1))
    return Count(float(middle), float(high - low) / 2, 1.0)


def played(setting: Setting, n: int, landscapes: int) -> dict[str, Count]:
    """All measures of a setting at ``n`` replicates. Raises NotSaidError."""
    once, rng = setting.play(n), setting.rng(n)
    answers = [once(rng) for _ in range(landscapes)]
    return {
        name: (most if kind is Kind.MOST else count)([a.get(name, math.nan) for a in answers])
        for name, kind in setting.measures.items()
    }


def holds(low: float, truth: float, high: float) -> float:
    """Whether an interval holds the truth; NaN where its ends are unknown."""
    return math.nan if math.isnan(low) or math.isnan(high) else float(low <= truth <= high)


def gathered(*parts: Callable[[], Iterator[Setting]]) -> list[Setting]:
    """The settings of all parts; two of one name would share their random numbers."""
    found = [setting for part in parts for setting in part()]
    names = [(setting.part, setting.name) for setting in found]
    assert len(set(names)) == len(names), "two settings of one name"
    return found
