"""Rules on what curves say between start and end."""

import math
from dataclasses import replace

import numpy as np

from gridscape.analysis.budgets import fit_budget
from gridscape.analysis.cells import CellSummary
from gridscape.analysis.curves import curve_band
from gridscape.analysis.few import FEWEST
from gridscape.analysis.statistics import LEVEL, Interval, mean
from gridscape.base import special
from gridscape.claims.checks import Check, listed
from gridscape.claims.evidence import Evidence, Region, in_words
from gridscape.claims.pairs import heights, reach
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
    evidence.use(
        s for cell in fit.used for s in evidence.finished_in(dict(cell), fit.table.metric)[0]
    )
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
        cells=fit.used,
        says=_inside_zone(share, fraction - give_or_take, fraction + give_or_take),
    )
    lacks = "six published cells to fit by" if len(fit.used) < 6 else ""
    return Finding([check], numbers, lacks=lacks)


def _inside_zone(interval: Interval, low: float, high: float) -> Outcome:
    is_known = interval.known and interval.n >= FEWEST
    if is_known and low <= interval.low and interval.high <= high:
        return Outcome.HOLDS
    if is_known and (interval.high < low or interval.low > high):
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
    """The curve of cell ``a`` overshoots less than that of ``b``, in most of the replicates.

    Of a loss: how far it rises above its own running minimum, less what the noise of its
    evaluations makes of a level curve. Where neither overshoots the first is not the smoother,
    unless that noise could hide it. The points are those of the curve. A run that diverged
    overshoots without end.
    """
    steady, rough = (evidence.the_one(region, metric) for region in (a, b))
    if steady is None or rough is None:
        missing = [in_words(r) for r, s in ((a, steady), (b, rough)) if s is None]
        return Finding([], {}, lacks=f"a result of {listed(missing)}")
    evidence.use([steady, rough])
    first, second = (_overshoots(evidence, cell, curve) for cell in (steady, rough))
    pair = f"at {rough.cell} than at {steady.cell}"
    name = f"share of the runs in which {curve} overshoots more {pair}"
    known = ~np.isnan(first) & ~np.isnan(second) & ~(np.isinf(first) & np.isinf(second))
    does = np.where(known, np.where(second > first, 1.0, 0.0), np.nan)
    numbers = {
        f"overshoot at {cell.cell}": mean(found)
        for cell, found in ((steady, first), (rough, second))
    }
    n_hidden = int((np.isnan(first) | np.isnan(second)).sum())
    hidden = f"noise could hide an overshoot, or a run did not end, in {n_hidden} of {len(does)}"
    check = replace(reach([steady, rough], name, does), untested=hidden if n_hidden else "")
    return Finding([check], numbers)


HIDDEN = 0.1  # of its descent: noise of a curve that could hide an overshoot


def _overshoots(evidence: Evidence, cell: CellSummary, curve: str) -> np.ndarray:
    """(R,) how far each curve of a cell rises above its running minimum, beyond its noise.

    Infinite where a run diverged, NaN where it did not end, or where noise could hide what it is.
    """
    band = curve_band(evidence.land, cell.cell, curve)
    lines = np.array(band.per_replicate)
    between = _noise_between(lines[np.array(band.finished)])
    rises = np.array([_overshoot(line[np.isfinite(line)], between) for line in lines])
    return np.where(np.isinf(heights(cell)), np.inf, np.where(band.finished, rises, np.nan))


def _noise_between(lines: np.ndarray) -> float:
    """The deviation of curves (R, points) from their common course, each up to its own shift."""
    known = lines[:, np.isfinite(lines).all(axis=0)]
    n, points = known.shape
    if n < 2 or points < 2:
        return math.inf
    rest = known - known.mean(axis=0) - known.mean(axis=1, keepdims=True) + known.mean()
    return math.sqrt(float((rest**2).sum()) / ((n - 1) * (points - 1)))


def _overshoot(line: np.ndarray, between: float) -> float:
    """The largest rise of a curve above its running minimum, beyond the range of level noise.

    The noise is that between replicates, or, where that is less, between neighboring points (the
    median size of a step, which few large ones do not move). Its range is twice what the largest of
    as many normal numbers stays within, exceeded by chance in less than one curve of 20.
    """
    if len(line) < 3:
        return math.nan
    rise = float((line - np.minimum.accumulate(line)).max())
    steps = np.diff(line)
    noise = float(np.median(np.abs(steps - np.median(steps)))) * 1.4826 / math.sqrt(2)
    reach_of_noise = (
        -2 * min(noise, between) * float(special.ndtri((1 - LEVEL ** (1 / len(line))) / 2))
    )
    if rise <= reach_of_noise:
        return 0.0 if reach_of_noise < HIDDEN * float(np.ptp(line)) else math.nan
    return rise - reach_of_noise
