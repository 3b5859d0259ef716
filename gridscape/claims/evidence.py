"""The cells that a rule may use, and what it may do with their values."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gridscape.analysis.cells import CellState, CellSummary, all_learned, summarize
from gridscape.analysis.looks import ONCE, Level
from gridscape.analysis.statistics import t_interval
from gridscape.claims.records import Exclusion
from gridscape.errors import StoreError, UsageError
from gridscape.grid.axes import Axis, Cell, Grid, Value, same, show
from gridscape.grid.balance import balanced_means
from gridscape.grid.meanings import Meaning
from gridscape.landscape import Landscape

Region = Mapping[str, Any]  # axis -> a value, a list of values, or {from = ..., to = ...}
MINUS = " - "  # a metric may be the difference of two
LOST = "failed or ran out of memory in most of its replicates"
NOT_REACHED = "not trained that far"
NOT_ASKED = "not asked for"


class Evidence:
    """A landscape as a rule sees it; it notes which cells were used and which could not be."""

    def __init__(
        self,
        land: Landscape,
        axes: tuple[Axis, ...],
        folder: Path | None = None,
        level: Level = ONCE,
    ) -> None:
        self.land, self.axes, self.folder, self.level = land, axes, folder, level
        self._used: dict[Cell, None] = {}
        self._excluded: dict[Cell, str] = {}
        self._summaries: dict[str, dict[Cell, CellSummary]] = {}

    def summaries(self, metric: str) -> dict[Cell, CellSummary]:
        """Every cell of the landscape; a metric may be a difference, "test_loss - train_loss"."""
        if metric not in self._summaries:
            self._summaries[metric] = {s.cell: s for s in _summaries(self.land, metric)}
        return self._summaries[metric]

    def meaning(self, metric: str) -> Meaning:
        """Which side of a metric is better, and its unit; of a difference, those of its first."""
        return self.land.meaning(metric.partition(MINUS)[0])

    def chance(self, metric: str) -> float | None:
        """What guessing gives by a metric; None where that is not known, as of a difference."""
        return None if MINUS in metric else self.land.chance(metric)

    def all_in(self, region: Region, metric: str) -> list[CellSummary]:
        """Every cell of the region that was trained; the others are noted as excluded."""
        summaries = self.summaries(metric)
        found = [summaries[cell] for cell in cells_in(self.land.axes, region)]
        self.exclude(self._lacking(region, found), NOT_ASKED)
        self.exclude([s.cell for s in found if s.state is CellState.STOPPED], "stopped")
        open_ = [s.cell for s in found if not s.n_ended and s.state is not CellState.STOPPED]
        self.exclude(open_, "not trained yet")
        return [s for s in found if s.n_ended]

    def finished_in(self, region: Region, metric: str) -> tuple[list[CellSummary], str]:
        """The cells of the region of which most replicates finished, whether they learn or not.

        With them, in words, how many of the region's cells are not among them; "" for none.
        """
        trained = self.all_in(region, metric)
        fit = [s for s in trained if _finishes(s)]
        lost = [s.cell for s in trained if not _finishes(s)]
        self.exclude(lost, "no number: diverged, failed or not trained that far")
        return fit, self._lacks(region, fit)

    def settled_in(self, region: Region, metric: str) -> tuple[list[CellSummary], str]:
        """The cells of a region of which a run finished or diverged, and most did not fail.

        With them, in words, how many of the region's cells the landscape lacks; "" for none.
        """
        trained = self.all_in(region, metric)
        settled = [s for s in trained if _is_settled(s)]
        self._exclude_lost(trained)
        return settled, self._lacks(region, settled)

    def _exclude_lost(self, trained: Iterable[CellSummary]) -> None:
        """Notes those that are not settled; what finished lacks a number only later on."""
        for summary in trained:
            if not _is_settled(summary):
                self.exclude([summary.cell], NOT_REACHED if summary.is_candidate else LOST)

    def _lacks(self, region: Region, found: Sequence[CellSummary]) -> str:
        """How many of a region's cells are not among these, in words; "" for none."""
        n_wanted, n = len(cells_in(self.axes, region)), len(self._lacking(region, found))
        where = f" at {in_words(region)}" if region else ""
        return f"{n} of {n_wanted} cells{where}" if n or not found else ""

    def _lacking(self, region: Region, summaries: Iterable[CellSummary]) -> list[Cell]:
        """The published cells of a region that none of these summaries is of."""
        there = {summary.cell for summary in summaries}
        wanted = cells_in(self.axes, region)
        return [cell for cell in wanted if self.land.grid.look_up(cell) not in there]

    def the_one(self, region: Region, metric: str) -> CellSummary | None:
        """The one cell that a region names; None, and noted, where it has not ended.

        Raises UsageError where the region names more than one.
        """
        found = self.all_in(region, metric)
        if len(found) > 1:
            raise UsageError(
                "this names more than one cell",
                where=in_words(region),
                hint="name more of its axes",
            )
        self._exclude_lost(found)
        return found[0] if found and _is_settled(found[0]) else None

    def beside(self, study: str) -> Landscape:
        """The landscape of another study, from the folder of that name beside this one.

        Raises StoreError where there is none.
        """
        if self.folder is None:
            raise StoreError("nobody said where these results lie", hint="judge(..., folder=...)")
        return Landscape.read(self.folder.resolve().parent / study)

    def use(self, summaries: Iterable[CellSummary]) -> None:
        """Notes that the verdict rests on these cells."""
        self._used.update((s.cell, None) for s in summaries)

    def exclude(self, cells: Iterable[Cell], reason: str) -> None:
        """Notes that the verdict could not use these cells; the first reason stays."""
        for cell in cells:
            self._excluded.setdefault(cell, reason)

    @property
    def used(self) -> tuple[Cell, ...]:
        """The cells that the verdict rests on."""
        return tuple(self._used)

    @property
    def excluded(self) -> tuple[Exclusion, ...]:
        """The cells that it could not use."""
        rest = self._excluded.items()
        return tuple(Exclusion(cell, why) for cell, why in rest if cell not in self._used)


def rows_at(summaries: Sequence[CellSummary], at: Region) -> dict[str, list[CellSummary]]:
    """Cells by their values of the axes of ``at``; a row that has no cell is there, empty."""
    rows: dict[Cell | None, list[CellSummary]] = {}
    for summary in summaries:
        row = Cell(tuple((axis, summary.cell[axis]) for axis in at))
        rows.setdefault(row, []).append(summary)
    values = {axis: tuple({row[axis]: None for row in rows if row is not None}) for axis in at}
    own = Grid(tuple(Axis(*item) for item in values.items()) if rows else ())
    return {str(row): rows.get(own.look_up(row), []) for row in rows_of(at)}


def rows_of(at: Region) -> list[Cell]:
    """The rows that ``at`` names: every choice of one of the values of each of its axes."""
    values = [_listed(wanted) for wanted in at.values()]
    return [Cell(tuple(zip(at, point, strict=True))) for point in itertools.product(*values)]


def _summaries(land: Landscape, metric: str) -> list[CellSummary]:
    first, minus, second = metric.partition(MINUS)
    if not minus:
        return list(summarize(land, metric))
    pairs = list(zip(summarize(land, first), summarize(land, second), strict=True))
    found = [_minus(metric, a, b) for a, b in pairs]
    steady = np.array([s.n_learns == s.n_ended for s in found])
    ranks = balanced_means(all_learned(found), steady).tolist()
    return [replace(s, balanced=mean) for s, mean in zip(found, ranks, strict=True)]


def _minus(metric: str, a: CellSummary, b: CellSummary) -> CellSummary:
    values = np.subtract(a.values, b.values)
    told = np.where(a.learns, values, np.nan) if any(a.learns) else values
    estimate = t_interval(told)
    return replace(
        a, metric=metric, values=tuple(values.tolist()), estimate=estimate, n_examples=None
    )


def _finishes(summary: CellSummary) -> bool:
    """Whether more than half of the replicates of a cell finished, with a number."""
    return 2 * summary.n_finished > summary.n_ended and math.isfinite(summary.estimate.mean)


def _is_settled(summary: CellSummary) -> bool:
    """Whether some run of a cell finished or diverged, and no more failed for another reason."""
    return bool(summary.share.n) and summary.state is not CellState.FAILED


def in_words(region: Region) -> str:
    """A region as a reader writes it.

    >>> in_words({"cell": ["gru", "lstm"], "learning_rate": {"to": 0.1}})
    'cell=gru or lstm, learning_rate to 0.1'
    """
    return ", ".join(
        f"{name} {' '.join(f'{end} {show(value)}' for end, value in wanted.items())}"
        if isinstance(wanted, Mapping)
        else f"{name}={' or '.join(map(show, _listed(wanted)))}"
        for name, wanted in region.items()
    )


def _listed(wanted: Any) -> list[Value]:
    return list(wanted) if isinstance(wanted, list | tuple) else [wanted]


def cells_in(axes: Sequence[Axis], region: Region) -> list[Cell]:
    """The cells of a grid that lie in a region; axes that it does not have do not count."""
    allowed = [
        [v for v in axis.values if axis.name not in region or _allows(region[axis.name], v)]
        for axis in axes
    ]
    names = [axis.name for axis in axes]
    return [Cell(tuple(zip(names, point, strict=True))) for point in itertools.product(*allowed)]


def _allows(wanted: Any, value: Value) -> bool:
    if isinstance(wanted, Mapping):
        return bool(wanted.get("from", -math.inf) <= value <= wanted.get("to", math.inf))
    return any(same(value, other) for other in _listed(wanted))


def grouped(summaries: Iterable[CellSummary], axis: str) -> dict[Value, list[CellSummary]]:
    """Cells by their value of an axis, values ascending."""
    groups: dict[Value, list[CellSummary]] = {}
    for summary in summaries:
        groups.setdefault(summary.cell[axis], []).append(summary)
    return dict(sorted(groups.items()))


def ruler_of(axis: Axis, base: float) -> Callable[[Value], float]:
    """Where a value lies on its axis: its logarithm where the axis is logarithmic."""
    return (lambda v: math.log(float(v), base)) if axis.scale == "log" else float


def per_step(axis: Axis) -> str:
    """The unit of a slope along an axis."""
    return f"per {'doubling' if axis.scale == 'log' else 'unit'} of {axis.name}"


def slope_weights(x: Sequence[float]) -> np.ndarray:
    """What each value counts in the least-squares slope on ``x``; they add up to 0.

    >>> slope_weights([0.0, 1.0, 2.0]).tolist()
    [-0.5, 0.0, 0.5]
    """
    centered = np.asarray(x) - np.mean(x)
    return np.asarray(centered / (centered**2).sum())
