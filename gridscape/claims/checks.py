"""What one number says of a statement, and what several say together.

A statement holds where everything it asks for is shown: each number by a test of its own, without
correction (intersection-union, Berger 1982). It fails where one of them is shown to be otherwise,
and there Hochberg's procedure (1988) corrects for the number of those that are not shown to hold.
All else is undecided: what was not refuted is not thereby shown.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from gridscape.analysis.differences import Difference, mean_of
from gridscape.analysis.few import FEWEST
from gridscape.analysis.looks import ONCE, Level
from gridscape.analysis.statistics import (
    Interval,
    hochberg,
    share_interval,
    share_p_value,
    t_quantile,
)
from gridscape.base import special
from gridscape.claims.records import MOST_RUNS, Estimate, Outcome
from gridscape.grid.axes import Cell
from gridscape.grid.meanings import digits

NOWHERE = (math.nan, math.nan)  # the ends of an interval that is not known
POWER = 0.8  # of the smallest difference that is told beside an undecided verdict


@dataclass(frozen=True)
class Check:
    """One number of a rule, tested in both directions.

    p_holds, p_fails: p values of the evidence for and against the statement, as of a two-sided
    test; NaN where replicates are too few for one. of: the tests of which p_holds is the best one,
    times their number. cells: those it rests on. is_detail: told only where it does not hold. says:
    where something else than p values decides. outlook: of an undecided one, in words, what these
    replicates can show by a test at the level that it is given, and how many are needed. untested:
    why there is no test, where that is not for lack of replicates.
    """

    name: str
    unit: str
    asks: str
    interval: Interval
    p_holds: float
    p_fails: float
    cells: tuple[Cell, ...] = ()
    is_detail: bool = False
    says: Outcome | None = None
    outlook: Callable[[float], str] = lambda level: ""
    of: int = 1
    untested: str = ""

    @property
    def has_few(self) -> bool:
        """Whether it tests fewer replicates than allow a verdict; an exact number is no test."""
        return self.says is None and self.interval.n < FEWEST


Numbers = Difference | np.ndarray  # or (R,), one per replicate: their mean is meant


def above(name: str, unit: str, numbers: Numbers, bound: float) -> Check:
    """Holds where a difference, or the mean of one number per replicate, is above ``bound``."""
    found = average(numbers)
    p_holds, p_fails = found.p_above(bound), found.p_below(bound)
    outlook = partial(_outlook, found, bound, unit)
    return Check(name, unit, f"> {bound:g}", found.interval(), p_holds, p_fails, outlook=outlook)


def below(name: str, unit: str, numbers: Numbers, bound: float) -> Check:
    """Holds where a difference, or the mean of one number per replicate, is below ``bound``."""
    found = average(numbers)
    opposite = above(name, unit, -found, -bound)
    return replace(opposite, asks=f"< {bound:g}", interval=found.interval())


def within(name: str, unit: str, numbers: Numbers, margin: float) -> Check:
    """Holds where it lies in (-margin, margin): two one-sided tests (Schuirmann 1987)."""
    found = average(numbers)
    p_holds = max(found.p_above(-margin), found.p_below(margin))
    p_fails = min(found.p_above(margin), found.p_below(-margin))
    nearest = math.copysign(margin, found.mean) if found.mean == found.mean else margin
    asks, outlook = f"within +-{margin:g}", partial(_outlook, found, nearest, unit)
    return Check(name, unit, asks, found.interval(), p_holds, p_fails, outlook=outlook)


def most(name: str, k: int, n: int) -> Check:
    """Holds where more than half of the runs do something, of which ``k`` of ``n`` did; exact.

    One-sided at the whole level: at a share of one half, 3.1 % of five runs all do it by chance.
    """
    p_holds, p_fails = share_p_value(k, n, 0.5), share_p_value(n - k, n, 0.5)
    outlook = always(f"{k} of {n} runs; 5 that agree are the fewest that show it")
    share = share_interval(k, n) if n >= 2 else Interval(k / n if n else math.nan, *NOWHERE, n)
    return Check(name, "fraction", MOST_RUNS, share, p_holds, p_fails, outlook=outlook)


def always(text: str) -> Callable[[float], str]:
    """An outlook that is the same at each level."""
    return lambda level: text


def average(numbers: Numbers) -> Difference:
    """The mean of one number per replicate; a difference as it is."""
    return numbers if isinstance(numbers, Difference) else mean_of(np.asarray(numbers, float))


def any_of(name: str, checks: Sequence[Check]) -> Check:
    """Holds where one of several does, whichever it is; fails where all of them fail.

    The smallest p value counts times their number; shown is the number that has it.
    """
    known = [check for check in checks if check.p_holds == check.p_holds]
    if not known:
        return Check(name, "", "of one", Interval(math.nan, *NOWHERE, 0), math.nan, math.nan)
    nearest = min(known, key=lambda c: (c.p_holds, -c.interval.mean))
    p_fails = max(c.p_fails for c in checks) if len(known) == len(checks) else math.nan
    cells = tuple(dict.fromkeys(cell for check in checks for cell in check.cells))
    p_holds = min(1.0, nearest.p_holds * len(checks))
    return replace(
        nearest, name=name, p_holds=p_holds, p_fails=p_fails, cells=cells, of=len(checks)
    )


def decide(
    tests: Sequence[Check], level: Level = ONCE
) -> tuple[Outcome, tuple[Estimate, ...], str]:
    """Everything must be shown to hold; one number that is shown to be otherwise is enough to fail.

    level: of each two-sided test. Details stand among the estimates where they do not hold.
    """
    levels = [level.each(t.of) for t in tests]
    holds = [t.p_holds <= t.of * each for t, each in zip(tests, levels, strict=True)]
    p_fails, n_open = _corrected(tests, holds), max(holds.count(False), 1)
    bound = n_open * level.each(n_open)
    said = [
        Outcome.UNDECIDED if t.has_few else t.says or _says(is_shown, p <= bound)
        for t, is_shown, p in zip(tests, holds, p_fails, strict=True)
    ]
    estimates = tuple(
        Estimate(
            t.name,
            t.interval,
            t.unit,
            t.asks,
            says,
            float(np.fmin(t.p_holds, p)),
            cells=t.cells,
            outlook=t.outlook(each) if says is Outcome.UNDECIDED and t.interval.n >= 2 else "",
        )
        for t, p, each, says in zip(tests, p_fails, levels, said, strict=True)
        if not t.is_detail or says is not Outcome.HOLDS
    )
    if Outcome.FAILS in said:
        return Outcome.FAILS, estimates, ""
    if said and all(says is Outcome.HOLDS for says in said):
        return Outcome.HOLDS, estimates, ""
    return Outcome.UNDECIDED, estimates, _why_undecided(tests, said)


def _corrected(tests: Sequence[Check], holds: Sequence[bool]) -> list[float]:
    """p values against the statement; those of numbers that are shown to hold are as they are."""
    open_ = [i for i, is_shown in enumerate(holds) if not is_shown]
    corrected = dict(zip(open_, hochberg([tests[i].p_fails for i in open_]), strict=True))
    return [corrected.get(i, t.p_fails) for i, t in enumerate(tests)]


def _says(holds: bool, fails: bool) -> Outcome:
    if fails:
        return Outcome.FAILS
    return Outcome.HOLDS if holds else Outcome.UNDECIDED


def _why_undecided(tests: Sequence[Check], said: Sequence[Outcome]) -> str:
    open_ = [t for t, says in zip(tests, said, strict=True) if says is Outcome.UNDECIDED]
    untested = [t for t in open_ if t.interval.n < FEWEST]
    few = [t.name for t in untested if not t.untested]
    n_both = len(open_) - len(untested)
    reasons = [f"{t.name}: {t.untested}" for t in untested if t.untested]
    if few:
        reasons.append(f"fewer than {FEWEST} replicates to test with: {listed(few)}")
    if n_both:  # which, and what it takes, stands with the estimates
        of = f"{n_both} of {len(tests)} numbers" if len(tests) > 1 else "it"
        reasons.append(f"the replicates do not settle {of}")
    return "; ".join(reasons)


def _outlook(found: Difference, bound: float, unit: str, level: float) -> str:
    """The smallest difference that these replicates can show, and how many the one seen needs.

    By a normal approximation of the noncentral t: what a two-sided test at ``level`` shows in
    POWER of the cases.
    """
    if not found.error > 0:
        return "no scatter between replicates to test by" if found.n >= 2 else ""
    shown = (t_quantile(1 - level, found.df) + special.stdtrit(found.df, POWER)) * found.error
    seen = abs(found.mean - bound)
    normal = special.ndtri(1 - level / 2) + special.ndtri(POWER)
    needs = found.n * (normal * found.error / seen) ** 2 + 2 if seen else math.inf
    n, seen_words = found.n, _distance(seen, unit)
    text = f"{n} replicates can show {_distance(shown, unit)} from the bound, seen is {seen_words}"
    return f"{text}, which needs about {needs:.0f} replicates" if needs <= 1000 else text


def _distance(value: float, unit: str) -> str:
    """A difference in its unit; of fractions in points.

    >>> _distance(0.0123, "fraction per doubling of hidden_size"), _distance(0.5, "nats")
    ('1.2 points per doubling of hidden_size', '0.5 nats')
    """
    first, _, rest = unit.partition(" ")
    if first == "fraction" and rest != "squared":
        return f"{digits(float(f'{100 * value:.2g}'))} points {rest}".strip()
    return f"{digits(float(f'{value:.2g}'))} {unit}".strip()


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names in words, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
