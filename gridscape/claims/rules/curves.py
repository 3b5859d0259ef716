"""Rules on what curves say between start and end."""

import math

import numpy as np

from gridscape.analysis.budgets import fit_budget
from gridscape.analysis.cells import CellState, CellSummary
from gridscape.analysis.curves import curve_band
from gridscape.analysis.statistics import Interval, mean
from gridscape.claims.checks import Check, above, certain, listed
from gridscape.claims.evidence import Evidence, Region, in_words
from gridscape.claims.records import Outcome
from gridscape.claims.rules.registry import MAIN, Finding, rule
from gridscape.claims.tables import published


@rule
def budget_fit(evidence: Evidence, table: str, fraction: float, give_or_take: float) -> Finding:
    """The number of updates that explains a published table is a fraction of ours, give or take.

    The numbers say how well: root mean square differences at that number, at the full budget, and
    of one run of our own.
    """
    fit = fit_budget(evidence.land, published(table))
    if fit is None:
        return Finding([], {}, lacks="a published cell with a finished replicate and its curve")
    evidence.exclude(fit.excluded, "not run, or without a finished replicate")
    evidence.use(s for cell in fit.used for s in evidence.fit_in(dict(cell), fit.table.metric))
    share = Interval(
        fit.updates.mean / fit.budget,
        fit.updates.low / fit.budget,
        fit.updates.high / fit.budget,
        fit.updates.n,
    )
    numbers = {
        "best number of updates": fit.updates.mean,
        "full budget in updates": float(fit.budget),
        "RMSE at the best number": fit.rmse,
        "RMSE at the full budget": fit.rmse_at_budget,
        "RMSE of one run of our own": fit.rmse_of_one_run,
    }
    check = Check(
        f"best number of updates for {table}",
        "fraction of the budget",
        f"within {fraction:g} +- {give_or_take:g}",
        share,
        math.nan,
        math.nan,
        says=_inside_zone(share, fraction - give_or_take, fraction + give_or_take),
    )
    few = "six published cells to fit by" if len(fit.used) < 6 else ""
    return Finding([check], numbers, lacks=few)


def _inside_zone(interval: Interval, low: float, high: float) -> Outcome:
    if interval.known and low <= interval.low and interval.high <= high:
        return Outcome.HOLDS
    if interval.known and (interval.high < low or interval.low > high):
        return Outcome.FAILS
    return Outcome.UNDECIDED


@rule
def smoother(
    evidence: Evidence,
    a: Region,
    b: Region,
    curve: str = "test_loss",
    metric: str = MAIN,
) -> Finding:
    """The curve of cell ``a`` rises less than that of ``b``, all its rises added up.

    Of a loss: a descent that never overshoots has no rises, and where ``b`` has none, it does not
    overshoot. The points are those of the curve. A cell that diverged rises without end.
    """
    steady, rough = (evidence.the_one(region, metric) for region in (a, b))
    if steady is None or rough is None:
        missing = [in_words(r) for r, s in ((a, steady), (b, rough)) if s is None]
        return Finding([], {}, lacks=f"a result of {listed(missing)}")
    evidence.use([steady, rough])
    name = f"sum of the rises of {curve} at {rough.cell} minus {steady.cell}"
    if CellState.DIVERGED in (steady.state, rough.state):
        says = Outcome.FAILS if steady.state is CellState.DIVERGED else Outcome.HOLDS
        return Finding([certain(f"{name} (diverged)", "> 0", says)], {})
    first, second = _rises(evidence, steady, curve), _rises(evidence, rough, curve)
    numbers = {
        f"sum of the rises at {cell.cell}": mean(rises)
        for cell, rises in ((steady, first), (rough, second))
    }
    if np.isfinite(second).sum() >= 2 and not np.nansum(second):
        return Finding([certain(f"{name} (neither rises)", "> 0", Outcome.FAILS)], numbers)
    return Finding([above(name, evidence.meaning(curve).unit, second - first, 0.0)], numbers)


def _rises(evidence: Evidence, cell: CellSummary, curve: str) -> np.ndarray:
    """(R,) the sum of all rises of a cell's curve; NaN where a replicate did not finish."""
    band = curve_band(evidence.land, cell.cell, curve)
    steps = np.diff(np.array(band.per_replicate), axis=-1)
    rises = np.where(steps > 0, steps, 0.0).sum(axis=-1)
    return np.where(np.array(band.finished), rises, np.nan)
