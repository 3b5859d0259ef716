"""The best value of an axis in each row of the grid, with those that cannot be told from it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gridscape.analysis.cells import CellSummary, candidates, paired, rows_of, summarize
from gridscape.analysis.statistics import LEVEL, holm
from gridscape.grid.axes import Axis, Cell, Value
from gridscape.landscape import Landscape, row_axes


@dataclass(frozen=True)
class BestPerRow:
    """The best value of ``axis`` within one row of the grid.

    row: the values of the axes that name the row. best: the best cell of it, None where the row
        has no candidate; ``value`` is its value of the axis.
    equivalent: the values of the axis that cannot be told from the best one, in the axis' order,
        the best included: the interval of the best value. Empty where it is unknown.
    untested: values with a candidate that shares fewer than two replicates with the best.
    low, high: the ends of ``equivalent`` (None where unknown or where the axis is no number).
    excluded: cells of the row that are no candidates.
    note: in words, what is unknown and why; "" where nothing is.
    """

    axis: str
    row: Cell
    metric: str
    best: CellSummary | None
    value: Value | None
    equivalent: tuple[Value, ...]
    low: float | None
    high: float | None
    untested: tuple[Value, ...]
    excluded: tuple[Cell, ...]
    note: str

    @property
    def known(self) -> bool:
        """Whether the replicates allow an interval on the best value."""
        return bool(self.equivalent)


def best_per(
    land: Landscape,
    axis: str = "learning_rate",
    per: str | Sequence[str] | None = None,
    metric: str | None = None,
) -> tuple[BestPerRow, ...]:
    """The best value of ``axis`` in each row, with the values that cannot be told from it.

    A row holds the cells that share their values of ``per`` (default: of all other axes). The best
    cell is the candidate with the best mean of the metric (default: the main one). Every other
    candidate is compared with it by a paired t test over the replicates that finished in both; the
    p values of a row are Holm-corrected.
    The interval of the best value are the values with a cell that differs with p > 1 - LEVEL.
    The best is picked from the same data, so the tests lean towards a shorter interval.
    With one replicate nothing can be tested: the interval is unknown and the note says so.
    """
    metric = metric or land.main_metric
    rows = rows_of(summarize(land, metric), row_axes(land, axis, per))
    best = land.best_of_rows(axis, per, metric)
    return tuple(_best_of_row(land.axis(axis), row, best[row], of_row) for row, of_row in rows)


def is_at_end(row: BestPerRow, asked: Iterable[Cell]) -> bool:
    """Whether the best value is the first or last number of its axis that its row was asked for."""
    if row.value is None or isinstance(row.value, str | bool):
        return False
    values = [cell[row.axis] for cell in asked if row.row.items() <= cell.items()]
    numbers = [v for v in values if isinstance(v, int | float)]
    return len(values) > 1 and row.value in (min(numbers), max(numbers))


def _best_of_row(
    axis: Axis, row: Cell, best_cell: Cell | None, members: list[CellSummary]
) -> BestPerRow:
    fit, excluded = candidates(members)
    metric = members[0].metric
    best = next((s for s in fit if s.cell == best_cell), None)
    if best is None:
        note = "no cell of the row is a candidate: none finished in most of its replicates"
        return BestPerRow(axis.name, row, metric, None, None, (), None, None, (), excluded, note)
    others = [s for s in fit if s is not best]
    adjusted = holm([paired(s, best).p_value for s in others])
    tied = [s for s, p in zip(others, adjusted, strict=True) if p > 1 - LEVEL]
    unclear = [s for s, p in zip(others, adjusted, strict=True) if math.isnan(p)]
    unknown = bool(others) and len(unclear) == len(others)
    equivalent = () if unknown else _values_of(axis, [best, *tied])
    ends = _ends(axis, equivalent)
    return BestPerRow(
        axis=axis.name,
        row=row,
        metric=metric,
        best=best,
        value=best.cell[axis.name],
        equivalent=equivalent,
        low=ends[0],
        high=ends[1],
        untested=_values_of(axis, unclear),
        excluded=excluded,
        note=_best_note(others, unclear),
    )


def _best_note(others: list[CellSummary], unclear: list[CellSummary]) -> str:
    if not others:
        return "the only candidate of its row: nothing to compare it with"
    if not unclear:
        return ""
    which = "every other cell" if len(unclear) == len(others) else f"{len(unclear)} cells"
    return f"{which} shares fewer than two finished replicates with the best: not tested"


def _values_of(axis: Axis, summaries: Iterable[CellSummary]) -> tuple[Value, ...]:
    """The values of the axis that these cells have, in the axis' order."""
    have = {summary.cell[axis.name] for summary in summaries}
    return tuple(value for value in axis.values if value in have)


def _ends(axis: Axis, values: Iterable[Value]) -> tuple[float | None, float | None]:
    numbers = [float(v) for v in values] if axis.scale != "category" else []
    return (min(numbers), max(numbers)) if numbers else (None, None)
