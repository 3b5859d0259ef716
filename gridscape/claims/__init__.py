"""Published statements, checked against our own results.

A claim is data (``statements/<study>.toml``): a statement, its source, and the name and parameters
of a rule. A rule is a registered function that turns a landscape into checks, each of which says by
its own numbers that the statement holds, fails, or cannot be decided; ``judge`` joins them. A
verdict is *undecided* where replicates are too few, cells are missing, or intervals hold both
answers; its note says which. It is *not comparable* where the run differs from the conditions of
the statement: fewer updates, another task, another optimizer.
"""

from gridscape.claims.checks import Check, above, below, most, within
from gridscape.claims.evidence import Evidence, Region
from gridscape.claims.files import load_claims
from gridscape.claims.judging import judge, verdicts
from gridscape.claims.records import Claim, Estimate, Exclusion, Outcome, Verdict
from gridscape.claims.rules.registry import RULES, Finding, rule
from gridscape.claims.tables import published

__all__ = [
    "RULES",
    "Check",
    "Claim",
    "Estimate",
    "Evidence",
    "Exclusion",
    "Finding",
    "Outcome",
    "Region",
    "Verdict",
    "above",
    "below",
    "judge",
    "load_claims",
    "most",
    "published",
    "rule",
    "verdicts",
    "within",
]
