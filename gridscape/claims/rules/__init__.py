"""Rules by name: functions that turn evidence into checks.

``RULES`` holds those of the modules imported here; ``rule`` registers a further one.
"""

from gridscape.claims.rules import comparisons, curves, gaps, levels, momentum, spreads, trends
from gridscape.claims.rules.registry import RULES, Finding, Rule, rule

__all__ = [
    "RULES",
    "Finding",
    "Rule",
    "comparisons",
    "curves",
    "gaps",
    "levels",
    "momentum",
    "rule",
    "spreads",
    "trends",
]
