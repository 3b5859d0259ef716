"""What one number says of a statement, and what several say together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gridscape.analysis.statistics import LEVEL, Interval, holm, t_interval, t_test
from gridscape.claims.records import Estimate, Outcome


@dataclass(frozen=True)
class Check:
    """One number of a rule, tested in both directions.

    p_holds, p_fails: p values of the null hypotheses that evidence for and against the statement
    must reject; NaN where replicates are too few for a test. A ``guard`` can only speak against
    the statement. ``says`` is given where something else than p values decides.
    """

    name: str
    unit: str
    asks: str
    interval: Interval
    p_holds: float
    p_fails: float
    guard: bool = False
    says: Outcome | None = None


def _p_above(values: np.ndarray, bound: float) -> float:
    """p value for "the mean is above ``bound``" of the two-sided t test; 1 on the other side."""
    p = t_test(values, bound)
    return p if math.isnan(p) or np.nanmean(values) > bound else 1.0


def above(name: str, unit: str, values: np.ndarray, bound: float, *, guard: bool = False) -> Check:
    """Holds where the mean of the values, one per replicate, is above ``bound``."""
    p_holds, p_fails = _p_above(values, bound), _p_above(-values, -bound)
    p_holds = 0.0 if guard else p_holds
    return Check(name, unit, f"> {bound:g}", t_interval(values), p_holds, p_fails, guard)


def below(name: str, unit: str, values: np.ndarray, bound: float) -> Check:
    """Holds where the mean of the values, one per replicate, is below ``bound``."""
    p_holds, p_fails = _p_above(-values, -bound), _p_above(values, bound)
    return Check(name, unit, f"< {bound:g}", t_interval(values), p_holds, p_fails)


def within(name: str, unit: str, values: np.ndarray, margin: float) -> Check:
    """Holds where the mean lies in (-margin, margin): two one-sided tests (Schuirmann 1987)."""
    p_holds = max(_p_above(values, -margin), _p_above(-values, -margin))
    p_fails = min(_p_above(values, margin), _p_above(-values, margin))
    return Check(name, unit, f"within +-{margin:g}", t_interval(values), p_holds, p_fails)


def certain(name: str, asks: str, says: Outcome) -> Check:
    """What needs no test: a cell that diverged has no accuracy, yet it surely failed."""
    unknown = Interval(math.nan, math.nan, math.nan, 0)
    holds = says is Outcome.HOLDS
    return Check(name, "", asks, unknown, 0.0 if holds else 1.0, 1.0 if holds else 0.0)


def decide(tests: Sequence[Check]) -> tuple[Outcome, tuple[Estimate, ...], str]:
    """Every test must hold; one that fails is enough to fail. Guards show only when they fail."""
    p_holds, p_fails = holm([t.p_holds for t in tests]), holm([t.p_fails for t in tests])
    said = [
        test.says or _says(test, yes, no)
        for test, yes, no in zip(tests, p_holds, p_fails, strict=True)
    ]
    estimates = tuple(
        Estimate(t.name, t.interval, t.unit, t.asks, says, float(np.fmin(yes, no)))
        for t, yes, no, says in zip(tests, p_holds, p_fails, said, strict=True)
        if not t.guard or says is Outcome.FAILS
    )
    if Outcome.FAILS in said:
        return Outcome.FAILS, estimates, ""
    if said and all(says is Outcome.HOLDS for says in said):
        return Outcome.HOLDS, estimates, ""
    return Outcome.UNDECIDED, estimates, _why_undecided(tests, said)


def _says(test: Check, p_holds: float, p_fails: float) -> Outcome:
    if p_fails <= 1 - LEVEL:
        return Outcome.FAILS
    if test.guard or p_holds <= 1 - LEVEL:
        return Outcome.HOLDS
    return Outcome.UNDECIDED


def _why_undecided(tests: Sequence[Check], said: Sequence[Outcome]) -> str:
    open_ = [t for t, says in zip(tests, said, strict=True) if says is Outcome.UNDECIDED]
    few = [t.name for t in open_ if t.interval.n < 2]
    both = [t.name for t in open_ if t.interval.n >= 2]
    reasons = []
    if few:
        reasons.append(f"fewer than two replicates to test with: {listed(few)}")
    if both:
        reasons.append(f"the replicates do not settle: {listed(both)}")
    return "; ".join(reasons)


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names in words, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
