"""Fresh replicates of the finalists of a search, beside the numbers of the search itself."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gridscape.analysis.cells import CellSummary, candidates, score, summarize
from gridscape.analysis.statistics import Interval
from gridscape.grid.axes import Cell
from gridscape.grid.meanings import Meaning
from gridscape.landscape import Landscape

FOLDER = "confirmed"  # within that of the search


@dataclass(frozen=True)
class Finalist:
    """A cell as the search saw it, and over its fresh replicates: the number to quote.

    learns: of the fresh replicates that ended, those that finished and did not collapse.
    """

    cell: Cell
    searched: Interval
    fresh: Interval
    n_fresh: int
    n_learns: int

    @property
    def luck(self) -> float:
        """How much higher the search's mean is than that of fresh replicates."""
        return self.searched.mean - self.fresh.mean


@dataclass(frozen=True)
class Confirmation:
    """The finalists, the best of the search first.

    chosen_by: the metric by which they were chosen; metric: the one that is told. n_cells: among
    how many they were chosen.
    """

    metric: str
    meaning: Meaning
    chosen_by: str
    n_cells: int
    finalists: tuple[Finalist, ...]
    directory: Path
    seconds: float


def confirmed(directory: str | Path) -> Confirmation | None:
    """What ``confirm`` found in a results folder so far; None where nothing."""
    directory = Path(directory)
    if not (directory / FOLDER / "study.json").exists():
        return None
    land = Landscape.read(directory)
    fresh = {s.cell for s in summarize(Landscape.read(directory / FOLDER)) if s.n_ended}
    cells = [cell for cell in ranked(land) if cell in fresh]
    return confirmation(land, directory, cells) if cells else None


def confirmation(land: Landscape, directory: Path, cells: list[Cell]) -> Confirmation:
    """These finalists of a landscape, from the fresh results within its folder."""
    metric = land.main_metric
    ours = {s.cell: s for s in summarize(land, metric)}
    fresh = {s.cell: s for s in summarize(Landscape.read(directory / FOLDER), metric)}
    return Confirmation(
        metric=metric,
        meaning=land.meaning(metric),
        chosen_by=_chosen_by(land),
        n_cells=len(ranked(land)),
        finalists=tuple(_finalist(ours[cell], fresh[cell]) for cell in cells),
        directory=directory / FOLDER,
        seconds=0.0,
    )


def _finalist(ours: CellSummary, fresh: CellSummary) -> Finalist:
    return Finalist(ours.cell, ours.estimate, fresh.estimate, fresh.n_ended, fresh.n_learns)


def _chosen_by(land: Landscape) -> str:
    return land.selection_metric


def ranked(land: Landscape) -> list[Cell]:
    """The cells that may be called best, the best first."""
    fit, _ = candidates(summarize(land, _chosen_by(land)))
    order = np.argsort([-score(s) for s in fit], kind="stable")
    return [fit[i].cell for i in order]
