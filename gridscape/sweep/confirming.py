"""Fresh replicates of the finalists of a search: numbers without the luck of being chosen.

Who is best of many is also lucky: its mean over the replicates by which it was chosen is too good.
So the finalists are trained again, under a seed of their own that no search uses, in a folder
within the study's: no later run mixes the two, and statistics of the search never see them.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gridscape.analysis.cells import CellSummary, candidates, score, summarize
from gridscape.analysis.statistics import Interval
from gridscape.errors import UsageError
from gridscape.execution.executors import Executor
from gridscape.grid.asked import grid_of, others_of
from gridscape.grid.axes import Cell
from gridscape.grid.meanings import Meaning
from gridscape.landscape import Landscape
from gridscape.store.store import Store
from gridscape.study.study import Study
from gridscape.sweep import Listener
from gridscape.sweep.extending import extend

FOLDER = "confirmed"
FRESH = 2**40  # added to the seed of the search: no one types such a seed


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


def confirm(
    directory: str | Path,
    *,
    top: int = 3,
    replicates: int = 10,
    study: Study | None = None,
    trust: bool = False,
    data_dir: str | Path | None = None,
    executor: str | Executor = "local",
    listener: Listener = lambda event: None,
) -> Confirmation:
    """Train fresh replicates of the ``top`` cells of a results folder under a seed of their own.

    They lie in the folder "confirmed" within it; what is there already is not trained again. Other
    arguments are those of ``extend``. Raises UsageError where ``top`` is more than there are cells
    that may be called best, GridscapeError.
    """
    begin, directory = time.monotonic(), Path(directory)
    land = Landscape.read(directory)
    finalists = _finalists(land, top)
    own = study or Study.from_record(land.study, trust=trust, where=directory)
    fresh = own.override(_axes(finalists), seed=own.seed + FRESH, replicates=replicates)
    folder = directory / FOLDER
    record = fresh.resolve(data_dir).record()
    none = dict.fromkeys(grid_of(record["axes"]).cells(), 0)
    with Store.create(folder, {**record, **others_of(record["axes"], replicates, none)}):
        pass
    extend(
        folder,
        dict.fromkeys(finalists, replicates),
        study=fresh,
        data_dir=data_dir,
        executor=executor,
        listener=listener,
    )
    found = _confirmation(land, directory, finalists)
    return Confirmation(**{**vars(found), "seconds": time.monotonic() - begin})


def confirmed(directory: str | Path) -> Confirmation | None:
    """What ``confirm`` found in a results folder so far; None where nothing."""
    directory = Path(directory)
    if not (directory / FOLDER / "study.json").exists():
        return None
    land = Landscape.read(directory)
    fresh = {s.cell for s in summarize(Landscape.read(directory / FOLDER)) if s.n_ended}
    ranked = [cell for cell in _ranked(land) if cell in fresh]
    return _confirmation(land, directory, ranked) if ranked else None


def _confirmation(land: Landscape, directory: Path, cells: list[Cell]) -> Confirmation:
    metric = land.main_metric
    ours = {s.cell: s for s in summarize(land, metric)}
    fresh = {s.cell: s for s in summarize(Landscape.read(directory / FOLDER), metric)}
    return Confirmation(
        metric=metric,
        meaning=land.meaning(metric),
        chosen_by=_chosen_by(land),
        n_cells=len(_ranked(land)),
        finalists=tuple(_finalist(ours[cell], fresh[cell]) for cell in cells),
        directory=directory / FOLDER,
        seconds=0.0,
    )


def _finalist(ours: CellSummary, fresh: CellSummary) -> Finalist:
    learns = fresh.n_finished - fresh.n_collapsed
    return Finalist(ours.cell, ours.estimate, fresh.estimate, fresh.n_ended, learns)


def _chosen_by(land: Landscape) -> str:
    return str(getattr(land, "selection_metric", land.main_metric))


def _ranked(land: Landscape) -> list[Cell]:
    """The cells that may be called best, the best first."""
    fit, _ = candidates(summarize(land, _chosen_by(land)))
    order = np.argsort([-score(s) for s in fit], kind="stable")
    return [fit[i].cell for i in order]


def _finalists(land: Landscape, top: int) -> list[Cell]:
    ranked = _ranked(land)
    if not 1 <= top <= len(ranked):
        raise UsageError(
            "not that many cells to choose from",
            where="top",
            expected=f"1 to {len(ranked)}, of {len(land.grid.cells())} cells in the grid",
            found=top,
        )
    return ranked[:top]


def _axes(cells: list[Cell]) -> Mapping[str, Any]:
    return {name: list(dict.fromkeys(cell[name] for cell in cells)) for name in cells[0]}
