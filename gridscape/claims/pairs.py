"""Whether the metric of one cell is above that of another, also where runs of them fail."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gridscape.analysis.cells import CellSummary
from gridscape.analysis.differences import Comparison
from gridscape.claims.checks import Check, above, most
from gridscape.claims.records import Outcome
from gridscape.grid.trials import Status


def exceeds(
    name: str, upper: CellSummary, lower: CellSummary, by: float, among: Comparison
) -> Check:
    """Holds where the metric of ``upper`` is above that of ``lower`` by more than ``by``.

    Of their means where every run of both learns. Where one does not, in most of the replicates: a
    run that diverged is worse than any number, two such are not told apart.
    """
    if all_learn(upper) and all_learn(lower):
        check = above(name, upper.meaning.unit or "", among.difference(upper, lower), by)
        return replace(check, cells=(upper.cell, lower.cell))
    does = gains(upper, lower, by)
    return reach([upper, lower], f"share of the runs with {name}", f"> {by:g} in most", does)


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


def reach(cells: Sequence[CellSummary], name: str, asks: str, does: np.ndarray) -> Check:
    """Holds where most of the runs do something: (R,) 1 and 0, NaN where one did not end."""
    known = np.isfinite(does)
    check = most(name, asks, int(does[known].sum()), int(known.sum()))
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
    return replace(reach([summary], name, "> 1/2", does), is_detail=True)


def all_learn(summary: CellSummary) -> bool:
    """Whether every run that ended learns, or, of a cell that never does, finished."""
    ended = ~np.isnan(heights(summary))
    finished = np.isfinite(heights(summary))
    learns = np.array(summary.learns, bool)
    return bool((learns == ended).all() or (not learns.any() and (finished == ended).all()))
