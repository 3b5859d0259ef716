"""Fresh replicates of the finalists of a search: numbers without the luck of being chosen.

Who is best of many is also lucky: its mean over the replicates by which it was chosen is too good.
So the finalists are trained again, under a seed of their own that no search uses, in a folder
within the study's: no later run mixes the two, and statistics of the search never see them.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gridscape.analysis.confirmed import FOLDER, Confirmation, confirmation, ranked
from gridscape.errors import UsageError
from gridscape.execution.executors import Executor
from gridscape.grid.asked import grid_of, others_of
from gridscape.grid.axes import Cell
from gridscape.landscape import Landscape
from gridscape.store.imported import require_own
from gridscape.store.store import Store
from gridscape.study.study import Study
from gridscape.sweep import Listener
from gridscape.sweep.extending import extend

FRESH = 2**40  # added to the seed of the search: no one types such a seed


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
    require_own(land.study, directory)
    finalists = _finalists(land, top)
    own = study or Study.from_record(land.study, trust=trust, where=directory)
    grids = [{name: [value] for name, value in cell.items()} for cell in finalists]
    fresh = own.override(
        _axes(finalists),
        seed=own.seed + FRESH,
        replicates=replicates,
        grids=grids if own.grids else None,
    )
    folder = directory / FOLDER
    record = fresh.resolve(data_dir).record()
    none = dict.fromkeys(grid_of(record["axes"]).cells(), 0)
    with Store.create(folder, {**record, **others_of(record, none)}):
        pass
    extend(
        folder,
        dict.fromkeys(finalists, replicates),
        study=fresh,
        data_dir=data_dir,
        executor=executor,
        listener=listener,
    )
    found = confirmation(land, directory, finalists)
    return Confirmation(**{**vars(found), "seconds": time.monotonic() - begin})


def _finalists(land: Landscape, top: int) -> list[Cell]:
    able = ranked(land)
    if not 1 <= top <= len(able):
        raise UsageError(
            "not that many cells to choose from",
            where="top",
            expected=f"1 to {len(able)}, of {len(land.grid.cells())} cells in the grid",
            found=top,
        )
    return able[:top]


def _axes(cells: list[Cell]) -> Mapping[str, Any]:
    return {name: list(dict.fromkeys(cell[name] for cell in cells)) for name in cells[0]}
