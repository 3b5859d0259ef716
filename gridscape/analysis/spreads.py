"""How much the metric varies over an axis."""

from dataclasses import dataclass

import numpy as np

from gridscape.analysis.cells import CellSummary, candidates, ended_values, rows_of, summarize
from gridscape.analysis.statistics import Interval, t_interval
from gridscape.grid.axes import Cell
from gridscape.landscape import Landscape, row_axes


@dataclass(frozen=True)
class Spread:
    """How much the metric varies over ``axis`` in one row, the other axes fixed.

    range: largest minus smallest value; standard_deviation: over the values of the axis (it does
    not grow with their number). Each is formed within a replicate, over what finished there, and
    the interval is over the replicates that ended in every cell used. excluded: no candidates.
    """

    axis: str
    row: Cell
    metric: str
    range: Interval
    standard_deviation: Interval
    used: tuple[Cell, ...]
    excluded: tuple[Cell, ...]


def spread(land: Landscape, axis: str, metric: str = "test_accuracy") -> tuple[Spread, ...]:
    """How much the metric varies over ``axis`` in each row (all other axes fixed)."""
    rows = rows_of(summarize(land, metric), row_axes(land, axis, None))
    return tuple(_spread_of_row(axis, row, members, metric) for row, members in rows)


def _spread_of_row(axis: str, row: Cell, members: list[CellSummary], metric: str) -> Spread:
    fit, excluded = candidates(members)
    per_replicate = [column[np.isfinite(column)] for column in ended_values(fit).T]
    columns = [column for column in per_replicate if len(column) >= 2]
    return Spread(
        axis=axis,
        row=row,
        metric=metric,
        range=t_interval(np.ptp(column) for column in columns),
        standard_deviation=t_interval(column.std(ddof=1) for column in columns),
        used=tuple(s.cell for s in fit),
        excluded=excluded,
    )
