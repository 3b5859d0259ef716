"""Gridscape trains a whole grid of small neural networks at once and shows the landscape.

    import gridscape as gs
    land = gs.run("quickstart")
    land.data.test_accuracy.mean("replicate")

The public names are imported when first used, so that ``import gridscape`` costs nothing. So are
the modules behind commands: ``gs.report.write(folder)``, ``gs.claims.verdicts(folder)``,
``gs.doctor.examine()``, and ``gs.analysis``, ``gs.figures``, ``gs.inspection``.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridscape.base import Model, Optimizer, Split, Status, Task, hyperparameters
    from gridscape.errors import GridscapeError
    from gridscape.grid import Axis, Cell
    from gridscape.landscape import Landscape
    from gridscape.models.guests import from_equinox
    from gridscape.replays import replay
    from gridscape.study import Study
    from gridscape.sweep import plan, run
    from gridscape.tasks.images import image_folder

__version__ = "0.1.0"

_HOME = {
    "Axis": "grid",
    "Cell": "grid",
    "GridscapeError": "errors",
    "Landscape": "landscape",
    "Model": "base",
    "Optimizer": "base",
    "Split": "base",
    "Status": "base",
    "Study": "study",
    "Task": "base",
    "from_equinox": "models.guests",
    "hyperparameters": "base",
    "image_folder": "tasks.images",
    "plan": "sweep",
    "replay": "replays",
    "run": "sweep",
}

_MODULES = ("analysis", "claims", "doctor", "figures", "inspection", "report")

__all__ = [
    "Axis",
    "Cell",
    "GridscapeError",
    "Landscape",
    "Model",
    "Optimizer",
    "Split",
    "Status",
    "Study",
    "Task",
    "from_equinox",
    "hyperparameters",
    "image_folder",
    "plan",
    "replay",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"gridscape.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'gridscape' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gridscape.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])
