"""What a study holds equal in all of its cells, and by how much the rest of their effort differs.

Cells of one number of updates see more examples where their batches are larger, and do more
arithmetic where they are wider.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridscape.grid.trials import Status
from gridscape.landscape import Landscape

BUDGETS = ("updates", "epochs", "examples", "flops")
LEAST = 1.05  # a ratio that is worth telling: whole updates are not more even


@dataclass(frozen=True)
class Efforts:
    """held: the budget, which all cells have. times: what the largest has of the smallest.

    By "updates", "examples" and "flops", those that differ.
    """

    held: str
    times: Mapping[str, float]


def efforts(
    study: Mapping[str, Any], of_cells: Iterable[tuple[float, float, float]]
) -> Efforts | None:
    """What is equal and what differs; None where an axis is the budget, or nothing is known.

    study: its plain data. of_cells: updates, examples and operations of a whole training.
    """
    told = [cell for cell in of_cells if all(math.isfinite(x) for x in cell)]
    named = [name for name in BUDGETS if study.get(name) is not None]
    if not told or len(named) != 1 or set(BUDGETS) & set(study.get("axes") or ()):
        return None
    (held,) = named
    ratios = {}
    for name, values in zip(("updates", "examples", "flops"), zip(*told, strict=True), strict=True):
        least = min(values)
        if name != held and least > 0 and max(values) >= LEAST * least:
            ratios[name] = max(values) / least
    if held == "epochs" and "n_train" not in (study.get("axes") or ()):
        ratios.pop("examples", None)  # but for what is left of whole updates
    return Efforts(held, ratios)


def efforts_of(land: Landscape) -> Efforts | None:
    """The same of the cells of a landscape that have finished."""
    finished = land.array("status") == Status.FINISHED.value
    if not finished.any() or "updates" in (axis.name for axis in land.axes):
        return None
    shape = finished.shape
    names = [axis.name for axis in land.axes]
    if "batch_size" in names:
        at = [1] * len(shape)
        at[names.index("batch_size")] = -1
        sizes = [float(v) if v is not None else math.nan for v in land.axis("batch_size").values]
        batch = np.array(sizes).reshape(at)
    else:
        batch = np.full(shape, float(land.study.get("batch_size") or math.nan))
    updates = land.array("updates")
    arrays = (updates, updates * batch, land.array("flops"))
    columns = [np.broadcast_to(array, shape)[finished].tolist() for array in arrays]
    return efforts(land.study, zip(*columns, strict=True))
