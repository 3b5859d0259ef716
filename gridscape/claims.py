"""Published statements, checked against our own results.

A claim is data (``data/claims/<study>.toml``): a statement, its source, and the name and parameters
of a rule. A rule is a registered function of a landscape that returns a verdict with the numbers it
rests on. A verdict is *undecided* where replicates are too few, cells are missing, or intervals
hold both answers; its note says which.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gridscape.analysis import Interval
from gridscape.grid import Cell


class Outcome(StrEnum):
    """What our results say of a statement."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """A published statement and the rule that judges it.

    id: "a"; source: title of the report; rule: name of a registered rule; parameters: its
    arguments; rule_in_words: what the rule asks for, one sentence.
    """

    id: str
    statement: str
    source: str
    rule: str
    parameters: Mapping[str, Any]
    rule_in_words: str


@dataclass(frozen=True)
class Estimate:
    """One number of a verdict with its interval, and what it alone says of the statement.

    name: what is estimated, "slope of test accuracy per doubling of hidden_size at
    learning_rate=1e-05"; unit: "fraction per doubling".
    """

    name: str
    interval: Interval
    unit: str
    says: Outcome


@dataclass(frozen=True)
class Exclusion:
    """A cell that a verdict could not use, and why."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Verdict:
    """The outcome of a claim with everything it rests on.

    rule: the rule in words. estimates: with intervals, the first one is the one to show.
    numbers: further plain numbers by name. note: why it is undecided, or what to keep in mind.
    """

    claim: Claim
    outcome: Outcome
    rule: str
    estimates: tuple[Estimate, ...]
    numbers: Mapping[str, float]
    used: tuple[Cell, ...]
    excluded: tuple[Exclusion, ...]
    note: str
