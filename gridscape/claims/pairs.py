"""Whether the metric of one cell is above that of another, also where runs of them fail."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gridscape.analysis.cells import CellSummary
from gridscape.analysis.differences import Comparison
from gridscape.analysis.statistics import share_p_value
from gridscape.claims.checks import Check, above, most
from gridscape.claims.records import Outcome
from gridscape.grid.trials import Status


def exceeds(
    name: str, upper: CellSummary, lower: CellSummary, by: float, among: Comparison
) -> Check:
    """Holds where the metric of ``upper`` is above that of ``lower`` by more than ``by``.

    Of the means of the runs that learn; and where a run of the better one failed, most of its runs
    must learn. A cell of which most runs fail is worse than one of which most learn, whatever
    those that are left reach; two such cells are not told apart.
    """
    unit, cells = upper.meaning.unit or "", (upper.cell, lower.cell)
    good, bad = (upper, lower) if upper.meaning.is_higher_better else (lower, upper)
    if _fails_mostly(good) or _fails_mostly(bad):
        return replace(_by_failing(name, good, bad), cells=cells)
    check = replace(above(name, unit, among.difference(upper, lower), by), cells=cells)
    if all_learn(good):
        return check
    return replace(check, p_holds=max(check.p_holds, learns(good).p_holds))


def _by_failing(name: str, good: CellSummary, bad: CellSummary) -> Check:
    """Holds where most runs of one cell learn and most of the other fail; shown is what fails."""
    if _fails_mostly(good) and _fails_mostly(bad):
        untested = "most runs of both fail, which does not tell them apart"
        return replace(most(name, 0, 0), asks="in most runs", untested=untested)
    failing, rest = (bad, good) if _fails_mostly(bad) else (good, bad)
    n, n_rest = failing.share.n, rest.share.n
    found = most(f"{name} (runs that fail at {failing.cell})", n - failing.n_told, n)
    p = max(found.p_holds, share_p_value(rest.n_told, n_rest, 0.5))
    p_holds, p_fails = (p, 1.0) if failing is bad else (1.0, p)
    return replace(found, p_holds=p_holds, p_fails=p_fails)


def _fails_mostly(summary: CellSummary) -> bool:
    return 2 * summary.n_told < summary.share.n


def better(name: str, best: CellSummary, other: CellSummary, among: Comparison) -> Check:
    """Holds where one cell is better than another."""
    pair = (best, other) if best.meaning.is_higher_better else (other, best)
    return exceeds(name, *pair, 0.0, among)


def gains(upper: CellSummary, lower: CellSummary, by: float) -> np.ndarray:
    """(R,) 1 where a run of one cell is above that of another by more than ``by``, else 0.

    NaN where one did not end, or both diverged.
    """
    with np.errstate(invalid="ignore"):  # inf - inf
        gain = heights(upper) - heights(lower)
    return np.where(np.isnan(gain), np.nan, gain > by)


def heights(summary: CellSummary) -> np.ndarray:
    """(R,) the metric, infinitely bad where a run diverged, NaN where it did not end."""
    diverged = np.array(summary.statuses) == Status.DIVERGED.value
    return np.where(diverged, -summary.meaning.sign * np.inf, np.array(summary.values))


def reach(cells: Sequence[CellSummary], name: str, does: np.ndarray) -> Check:
    """Holds where most of the runs do something: (R,) 1 and 0, NaN where one did not end."""
    known = np.isfinite(does)
    check = most(name, int(does[known].sum()), int(known.sum()))
    return replace(check, cells=tuple(s.cell for s in cells))


def exactly(check: Check, does: np.ndarray) -> Check:
    """The check where nothing is random: runs that agree decide, be it one."""
    known = does[np.isfinite(does)]
    if not len(known) or known.min() != known.max():
        return check
    return replace(check, says=Outcome.HOLDS if known.all() else Outcome.FAILS)


def learns(summary: CellSummary) -> Check:
    """Holds where most runs of a cell learn."""
    does = np.where(np.isnan(heights(summary)), np.nan, np.array(summary.learns, float))
    name = f"share of the runs that learn at {summary.cell}"
    return replace(reach([summary], name, does), is_detail=True)


def all_learn(summary: CellSummary) -> bool:
    """Whether every run that ended learns, or, of a cell that never does, finished."""
    ended = ~np.isnan(heights(summary))
    finished = np.isfinite(heights(summary))
    learns = np.array(summary.learns, bool)
    return bool((learns == ended).all() or (not learns.any() and (finished == ended).all()))
