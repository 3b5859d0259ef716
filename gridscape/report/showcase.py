"""The networks that a report shows: of the cells whose parameters were kept, the best of each row.

Nothing is fetched and nothing is trained for it; what cannot be shown leaves a note.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridscape.errors import GridscapeError
from gridscape.grid.axes import Cell
from gridscape.grid.trials import SEMANTICS, Status, TrialResult
from gridscape.landscape import Landscape
from gridscape.store.store import Store

if TYPE_CHECKING:
    from gridscape.inspection.kinds import Look

MOST_CELLS = 6  # whose networks are shown: each takes seconds to look at, and room in the page


@dataclass(frozen=True)
class Showcase:
    """looks: one network a cell. notes: what is not shown, and why.

    chance: the accuracy of guessing, where it is known.
    """

    looks: "tuple[Look, ...]" = ()
    notes: tuple[str, ...] = ()
    chance: float | None = None


@dataclass
class _Kept:
    """Cells with a trial that has its parameters, and how many there are besides."""

    trials: list[tuple[Cell, TrialResult]] = field(default_factory=list)
    n_more: int = 0


def showcase(
    directory: str | Path,
    land: Landscape,
    data_dir: str | Path | None = None,
    *,
    trust: bool = False,
) -> Showcase:
    """Look at the networks of a results folder, as far as the task is at hand.

    Where the study names code that is not trusted, a note says so and nothing of it is imported.
    """
    if not brings_back(land.study):
        return Showcase()
    kept = _kept(directory, land)
    if not kept.trials and not land.study.get("groups"):
        return Showcase()
    from gridscape.report import _networks  # here: it imports JAX

    try:
        if not kept.trials:
            return Showcase(chance=_networks.chance(_networks.tasks(land, data_dir, trust)))
        resolved = _networks.resolved(land, data_dir, trust)
        written = land.study.get("semantics", SEMANTICS)
        looks = tuple(_networks.looks(resolved, kept.trials, written))
    except GridscapeError as error:
        return Showcase(notes=(f"networks are not shown: {error}",) if kept.trials else ())
    more = f"{kept.n_more} further cells have kept their parameters: gridscape inspect shows them"
    return Showcase(
        looks, (more,) if kept.n_more else (), _networks.chance(resolved.tasks.values())
    )


def brings_back(study: Mapping[str, Any]) -> bool:
    """Whether a report loads the parts of a study: for its networks, or the level of guessing."""
    return study.get("keep_parameters", "none") != "none" or bool(study.get("groups"))


def _kept(directory: str | Path, land: Landscape) -> _Kept:
    """The first finished replicate of each cell that kept its parameters, the best cells first."""
    kept = _Kept()
    if land.study.get("keep_parameters", "none") == "none":
        return kept
    best_first = dict.fromkeys([*land.best_cells(), *land.grid.cells()])
    with Store.read(directory) as store:
        for cell in best_first:
            found = _first_finished(store, land, cell)
            if found is None or not found.params:
                continue
            if len(kept.trials) < MOST_CELLS:
                kept.trials.append((cell, found))
            else:
                kept.n_more += 1
    return kept


def _first_finished(store: Store, land: Landscape, cell: Cell) -> TrialResult | None:
    place = land.grid.places(cell)
    finished = land.array("key")[place][land.array("status")[place] == Status.FINISHED.value]
    return store.get(str(finished[0])) if len(finished) else None
