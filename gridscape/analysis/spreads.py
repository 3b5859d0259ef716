"""How much the metric varies over an axis."""

import math
from collections.abc import Sequence
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


def spread(land: Landscape, axis: str, metric: str | None = None) -> tuple[Spread, ...]:
    """How much the metric varies over ``axis`` in each row (all other axes fixed)."""
    metric = metric or land.main_metric
    rows = rows_of(summarize(land, metric), row_axes(land, axis, None))
    return tuple(_spread_of_row(axis, row, members, metric) for row, members in rows)


def deviations(summaries: Sequence[CellSummary], axis: str) -> np.ndarray:
    """(rows, R'): the standard deviation over ``axis`` in each row (all other axes fixed).

    Each is formed within a replicate, over what finished there; NaN of fewer than two numbers. R':
    the replicates that ended in every one of these cells. Rows of a single cell are left out.
    """
    values = dict(zip((s.cell for s in summaries), ended_values(summaries), strict=True))
    others = tuple(name for name in (summaries[0].cell if summaries else ()) if name != axis)
    rows = [members for _, members in rows_of(summaries, others) if len(members) >= 2]
    return np.array([_column_deviations([values[s.cell] for s in members]) for members in rows])


def _column_deviations(row: Sequence[np.ndarray]) -> list[float]:
    columns = [column[np.isfinite(column)] for column in np.transpose(row)]
    return [float(c.std(ddof=1)) if len(c) >= 2 else math.nan for c in columns]


def _spread_of_row(axis: str, row: Cell, members: list[CellSummary], metric: str) -> Spread:
    fit, excluded = candidates(members)
    per_replicate = [column[np.isfinite(column)] for column in ended_values(fit).T]
    columns = [column for column in per_replicate if len(column) >= 2]
    return Spread(
        axis=axis,
        row=row,
        metric=metric,
        range=t_interval(np.ptp(column) for column in columns),
        standard_deviation=t_interval(deviations(fit, axis).ravel()),
        used=tuple(s.cell for s in fit),
        excluded=excluded,
    )
