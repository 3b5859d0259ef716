"""What fewer than three replicates allow: numbers, but no interval and no verdict.

Two replicates have an interval on paper. It is six times as wide as the two lie apart, holds the
truth hardly more often than it says something, and makes every comparison a draw.
"""

import math
from dataclasses import replace

import numpy as np

from gridscape.analysis.best import BestPerRow
from gridscape.analysis.cells import CellSummary, Estimates
from gridscape.analysis.statistics import Interval
from gridscape.landscape import Landscape

FEWEST = 3  # replicates that tell an interval


def has_few(land: Landscape) -> bool:
    """Whether the study has too few replicates for any interval or verdict."""
    return land.n_replicates < FEWEST


def told(estimate: Interval) -> Interval:
    """The estimate as it may be shown: without ends where too few replicates made them."""
    if estimate.n >= FEWEST or not estimate.known:
        return estimate
    return Interval(estimate.mean, math.nan, math.nan, estimate.n, estimate.level)


def all_told(found: Estimates) -> Estimates:
    """The same of many."""
    low, high = (np.where(found.n >= FEWEST, end, np.nan) for end in (found.low, found.high))
    return replace(found, low=low, high=high)


def told_cell(summary: CellSummary) -> CellSummary:
    """A cell as it may be shown."""
    estimate = told(summary.estimate)
    return summary if estimate is summary.estimate else replace(summary, estimate=estimate)


def told_row(row: BestPerRow) -> BestPerRow:
    """A best value as it may be shown: without the set of those that may be as good."""
    if row.best is None or row.best.estimate.n >= FEWEST:
        return row
    note = f"fewer than {FEWEST} replicates finished: not compared"
    optimum = replace(row.optimum, low=math.nan, high=math.nan)
    return replace(row, equivalent=(), low=None, high=None, optimum=optimum, note=note)
