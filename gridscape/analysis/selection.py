"""What is chosen on one set is shown on another: records of choices with the numbers of the test.

``Landscape.selection_metric`` chooses. A validation number of the chosen one is too good, since the
luckiest is chosen; its test number is not. Where there is only a test set, the two are the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from gridscape.analysis.best import BestPerRow, best_per
from gridscape.analysis.cells import CellSummary, candidates, score, summarize, top_cell
from gridscape.analysis.costs import Pareto, SmallestEquivalent, by_cost, smallest_network
from gridscape.grid.axes import Cell
from gridscape.landscape import Landscape

C = TypeVar("C", bound=str)  # the name of a cost
Summaries = Iterable[CellSummary] | Mapping[Cell, CellSummary]  # of very many: by their cells


def top(land: Landscape, shown: Summaries) -> CellSummary | None:
    """The best cell by the selection metric, as ``shown`` has it; None where there is none.

    shown: every cell by the metric of which the chosen is told.
    """
    best = top_cell(summarize(land, land.selection_metric))
    return None if best is None else _by_cell(shown)[best.cell]


def best_rows(land: Landscape, axis: str, shown: Summaries) -> tuple[BestPerRow, ...]:
    """``best_per`` by the selection metric; ``best`` of each row is a summary of ``shown``."""
    of = _by_cell(shown)
    rows = best_per(land, axis, metric=land.selection_metric)
    return tuple(replace(row, best=row.best and of[row.best.cell]) for row in rows)


def fronts(land: Landscape, costs: Iterable[C], shown: Summaries) -> dict[C, Pareto]:
    """``pareto`` of each cost by the selection metric; its points are summaries of ``shown``."""
    of = _by_cell(shown)
    fit, excluded = candidates(summarize(land, land.selection_metric))
    scores, told = np.array([score(s) for s in fit]), [of[s.cell] for s in fit]
    one = next(iter(of.values()))
    return {
        cost: Pareto(cost, one.metric, one.meaning, by_cost(cost, told, scores), excluded)
        for cost in costs
    }


def smallest(land: Landscape, shown: Summaries) -> SmallestEquivalent | None:
    """``smallest_network`` by the selection metric; its cells are summaries of ``shown``.

    The difference stays that of the selection metric, by which it was judged.
    """
    of, found = _by_cell(shown), smallest_network(land, land.selection_metric)
    if found is None:
        return None
    return replace(
        found,
        best=of[found.best.cell],
        cell=of[found.cell.cell],
        smallest_by_means=of[found.smallest_by_means.cell],
    )


def _by_cell(summaries: Summaries) -> Mapping[Cell, CellSummary]:
    return summaries if isinstance(summaries, Mapping) else {s.cell: s for s in summaries}
