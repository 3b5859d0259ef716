"""Published tables beside our own results."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from gridscape.analysis.cells import CellSummary, summarize
from gridscape.analysis.conditions import at_published, differences
from gridscape.analysis.few import FEWEST
from gridscape.analysis.readings import UPDATE, along
from gridscape.analysis.statistics import (
    Interval,
    finite,
    mean,
    possible,
    prediction_interval,
    t_interval,
)
from gridscape.errors import UsageError
from gridscape.grid.axes import Cell, Value
from gridscape.grid.meanings import Meaning
from gridscape.landscape import Landscape
from gridscape.study.conditions import Conditions, in_words

WIDEST = 0.1  # a prediction interval that says something; of fractions: 10 points


@dataclass(frozen=True)
class PublishedTable:
    """A published sweep, one run per cell.

    values: each number with its place: values of axes, and after them the update of a curve
        ("update") or the kind of test example ("length") where it is not a final metric; NaN where
        nothing was published. at: the values of further axes, the same for all numbers.
    conditions: what the published study fixed; None where nobody says.
    """

    name: str
    source: str
    metric: str
    values: tuple[tuple[Cell, float], ...]
    at: Cell = field(default_factory=Cell.of)
    conditions: Conditions | None = None


class Agreement(StrEnum):
    """How a published number lies to ours."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"  # no prediction interval, or one that is too wide to say anything
    NOT_RUN = "not run"
    NOT_REACHED = "not trained that far"
    FAILED = "ours failed"
    NOT_PUBLISHED = "not published"
    NOT_COMPARABLE = "not comparable"  # trained under other conditions than published


@dataclass(frozen=True)
class PublishedCell:
    """A published number beside ours.

    ours: our mean and its interval. difference: published minus our mean.
    prediction_low, prediction_high: where ONE new run that learns would lie with probability
        ``ours.level``, mean -+ t sd sqrt(1 + 1/n): the interval to judge one published run by, not
        the mean's.
    note: in words, why there is no number of ours; "" where there is one.
    """

    cell: Cell
    published: float
    ours: Interval
    prediction_low: float
    prediction_high: float
    difference: float
    agreement: Agreement
    note: str = ""


@dataclass(frozen=True)
class PublishedComparison:
    """A published table beside ours, cell by cell, in the table's order.

    meaning: whether more of the metric is better, and its unit.
    mean_difference: published minus ours; rmse: root mean square of it; both over the comparable
    cells that both have, NaN where there are none. note: what our run has otherwise than published.
    """

    table: PublishedTable
    meaning: Meaning
    cells: tuple[PublishedCell, ...]
    mean_difference: float
    rmse: float
    note: str = ""

    def count(self, agreement: Agreement) -> int:
        """The number of cells with this agreement."""
        return sum(cell.agreement is agreement for cell in self.cells)


def compare_published(land: Landscape, table: PublishedTable) -> PublishedComparison:
    """A published table beside ours; each published number is taken for one run.

    A published number is inside where it lies in the prediction interval of one new run that
    learns: our mean -+ t sd sqrt(1 + 1/n) at LEVEL, of a fraction the part in [0, 1]. To lie in an
    interval that is too wide (``tells``) says nothing, and fewer than three finished replicates
    judge nothing.
    Numbers of a curve or of a kind of test example are compared with ours read at the same place.
    Under other conditions than published, numbers stand beside each other and are not judged; but
    those read off a curve are, up to where ours was trained. Raises UsageError where the landscape
    lacks an axis of the table, or has a further axis of several values.
    """
    told = differences(land, table.conditions)
    whole = land = at_published(land, table.conditions)
    land = along(land, _places(land, table))
    ours = {s.cell: s for s in summarize(land, table.metric)}
    find = finder(land, table)
    cells = tuple(
        _published_cell(
            (cell, value),
            ours[own] if (own := find(cell)) else None,
            land,
            table.metric,
            _is_comparable(whole, table, cell),
        )
        for cell, value in table.values
    )
    judged = [c for c in cells if c.agreement is not Agreement.NOT_COMPARABLE]
    both = finite(c.difference for c in judged)
    return PublishedComparison(
        table=table,
        meaning=land.meaning(table.metric),
        cells=cells,
        mean_difference=mean(both),
        rmse=float(np.sqrt((both**2).mean())) if len(both) else math.nan,
        note=in_words(told),
    )


def _places(land: Landscape, table: PublishedTable) -> dict[str, list[Value]]:
    """Where the table speaks of more than final metrics: by name, its values."""
    axes = {axis.name for axis in land.axes}
    further = [(name, cell[name]) for cell, _ in table.values for name in cell if name not in axes]
    return {name: [v for n, v in dict.fromkeys(further) if n == name] for name, _ in further}


def finder(land: Landscape, table: PublishedTable) -> Callable[[Cell], Cell | None]:
    """Finds the cell of the landscape that a cell of the table speaks of; None: not in the grid."""
    names = {*table.at, *(name for cell, _ in table.values for name in cell)}
    for name in names:
        land.axis(name)
    for axis in land.axes:
        if axis.name not in names and len(axis.values) > 1:
            raise UsageError(
                "the published table does not say which value it has",
                where=f"axis {axis.name}",
                hint=f"select one first: Landscape(land.data.sel({axis.name}=[...]))",
            )
    return lambda place: land.grid.look_up({**table.at, **place})


def _is_comparable(land: Landscape, table: PublishedTable, cell: Cell) -> bool:
    reads = [float(cell[UPDATE])] if UPDATE in cell else []
    return not any(found.matters for found in differences(land, table.conditions, reads))


def _published_cell(
    place: tuple[Cell, float],
    ours: CellSummary | None,
    land: Landscape,
    metric: str,
    comparable: bool,
) -> PublishedCell:
    cell, published = place
    estimate = ours.estimate if ours else t_interval([])
    ends = prediction_interval(ours.values if ours else ())
    new_run = possible(Interval(estimate.mean, *ends, n=estimate.n), land.meaning(metric).unit)
    low, high = new_run.low, new_run.high
    if math.isnan(published):
        agreement = Agreement.NOT_PUBLISHED
    elif ours is None or not ours.n_ended:
        agreement = Agreement.NOT_RUN
    elif not ours.n_finished:
        agreement = Agreement.FAILED
    elif math.isnan(estimate.mean) and UPDATE in ours.cell:
        agreement = Agreement.NOT_REACHED
    elif not comparable:
        agreement = Agreement.NOT_COMPARABLE
    elif math.isnan(low) or estimate.n < FEWEST:
        agreement = Agreement.UNKNOWN
    elif not low <= published <= high:
        agreement = Agreement.OUTSIDE
    else:
        agreement = Agreement.INSIDE if tells(low, high, ours.meaning) else Agreement.UNKNOWN
    note = _note(agreement, ours, land)
    difference = published - estimate.mean
    return PublishedCell(cell, published, estimate, low, high, difference, agreement, note)


def tells(low: float, high: float, meaning: Meaning) -> bool:
    """Whether a prediction interval is narrow enough that lying inside says something.

    Narrower than ``WIDEST``: of fractions 10 points; of losses and other numbers as a share of the
    middle of the interval.

    >>> fraction = Meaning("higher", "fraction")
    >>> tells(0.93, 0.98, fraction), tells(0.5, 0.9, fraction), tells(2.0, 2.1, Meaning("lower"))
    (True, False, True)
    """
    scale = 1.0 if meaning.is_fraction else abs(low + high) / 2
    return high - low < WIDEST * scale


def _note(agreement: Agreement, ours: CellSummary | None, land: Landscape) -> str:
    if agreement is not Agreement.NOT_REACHED or ours is None:
        return {Agreement.NOT_RUN: "not asked for, or not trained yet"}.get(agreement, "")
    updates = land.array("updates")[land.grid.places(ours.cell)]
    return f"not trained that far: {np.nanmax(updates):,.0f} of {ours.cell[UPDATE]:,} updates"
