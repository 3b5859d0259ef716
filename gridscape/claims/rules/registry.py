"""Rules by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gridscape.claims.checks import Check


@dataclass(frozen=True)
class Finding:
    """What a rule returns: its checks and further numbers.

    lacks: what the statement speaks of and the landscape does not have: it can then fail, not hold.
    """

    checks: Sequence[Check]
    numbers: Mapping[str, float]
    lacks: str = ""


Rule = Callable[..., Finding]

# What a parameter stands for that a claim does not give: the landscape's main metric.
MAIN, MAIN_OF_TRAIN = "test: main metric", "train: main metric"


RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Registers a rule under its name; its first argument is the Evidence."""
    RULES[function.__name__] = function
    return function
