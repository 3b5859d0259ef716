"""Claims and verdicts: frozen records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gridscape.analysis.statistics import Interval
from gridscape.grid.axes import Axis, Cell, Value
from gridscape.study.conditions import Conditions

# What is asked of a share of runs, which is tested at the whole level (``checks.most``).
MOST_RUNS = "> 1/2"


class Outcome(StrEnum):
    """What our results say of a statement."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    NOT_COMPARABLE = "not comparable"  # our run has other conditions than the statement


@dataclass(frozen=True)
class Claim:
    """A published statement and the rule that judges it.

    id: "a"; source: title of the report; rule: name of a registered rule; parameters: its
    arguments; rule_in_words: what the rule asks for; axes: the grid the statement was made on.
    along: further axes by name and values, at which results are read: "update" of the curves, or
    the kind by which the task tells its test examples apart (``analysis.along``).
    conditions: what the study of the statement fixed; None where nobody says.
    """

    id: str
    statement: str
    source: str
    rule: str
    parameters: Mapping[str, Any]
    rule_in_words: str
    axes: tuple[Axis, ...]
    along: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    conditions: Conditions | None = None


@dataclass(frozen=True)
class Estimate:
    """One number of a verdict with its interval, and what it alone says of the statement.

    name: what is estimated, "slope of test_accuracy at learning_rate=1e-05"; unit: "fraction per
    doubling of hidden_size"; asks: what the statement needs, "> 0". p_value: of the test that
    decided or came nearest to it, corrected where it speaks against the statement; NaN where there
    is no test. cells: those it rests on. outlook: of an undecided one, in words, what these
    replicates can show and how many are needed.
    """

    name: str
    interval: Interval
    unit: str
    asks: str
    says: Outcome
    p_value: float
    cells: tuple[Cell, ...] = ()
    outlook: str = ""


@dataclass(frozen=True)
class Exclusion:
    """A cell that a verdict could not use, and why."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Look:
    """When a verdict fell while replicates were added: ``gridscape decide``.

    look: replicates; level: two-sided, of that look; date: ISO 8601.
    """

    look: int
    level: float
    date: str


@dataclass(frozen=True)
class Verdict:
    """The outcome of a claim with everything it rests on.

    rule: the rule in words. estimates: with intervals, the first one is the one to show.
    numbers: further plain numbers by name. note: why it is undecided or not
    comparable, or what to keep in mind. lacks: what no further replicate would bring. decided: the
    look at which ``outcome`` fell, which then stays; None where no look decided it.
    """

    claim: Claim
    outcome: Outcome
    rule: str
    estimates: tuple[Estimate, ...]
    numbers: Mapping[str, float]
    used: tuple[Cell, ...]
    excluded: tuple[Exclusion, ...]
    note: str
    lacks: str = ""
    decided: Look | None = None

    def __repr__(self) -> str:
        return f"<claim {self.claim.id}: {self.outcome.value}>"
