"""Gridscape trains a whole grid of small neural networks at once and shows the landscape.

    import gridscape as gs
    land = gs.run("quickstart")
    land.data.test_accuracy.mean("replicate")

The public names are imported when first used, so that ``import gridscape`` costs nothing. So are
the modules behind commands: ``gs.report.write(folder)``, ``gs.claims.verdicts(folder)``,
``gs.doctor.examine()``, and ``gs.analysis``, ``gs.figures``, ``gs.inspection``.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from gridscape.identity.version import __version__ as __version__

# Or XLA prints pages of harmless lines when it reads a kept program. It asks when it is loaded.
if "jax" not in sys.modules:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    from gridscape.analysis.beside import compare
    from gridscape.base.data import Groups, Sequences, Split, Stream
    from gridscape.base.limits import Limit
    from gridscape.base.metrics import Metric
    from gridscape.base.parts import Model, Optimizer, hyperparameters, reads
    from gridscape.base.task import Task
    from gridscape.errors import GridscapeError
    from gridscape.execution.ray.executor import Ray
    from gridscape.execution.replay import replay
    from gridscape.grid.axes import Axis, Cell
    from gridscape.grid.trials import Status
    from gridscape.landscape import Landscape, import_runs, merge
    from gridscape.models.equinox import from_equinox
    from gridscape.models.flax import from_flax
    from gridscape.models.torch import from_torch
    from gridscape.study.study import Study
    from gridscape.sweep import plan, run
    from gridscape.sweep.confirming import confirm
    from gridscape.sweep.deciding import decide
    from gridscape.sweep.extending import extend
    from gridscape.sweep.refining import refine
    from gridscape.tasks.images import image_folder


_HOME = {
    "Axis": "grid.axes",
    "Cell": "grid.axes",
    "GridscapeError": "errors",
    "Groups": "base.data",
    "Landscape": "landscape",
    "Limit": "base.limits",
    "Metric": "base.metrics",
    "Model": "base.parts",
    "Optimizer": "base.parts",
    "Ray": "execution.ray.executor",
    "Sequences": "base.data",
    "Split": "base.data",
    "Status": "grid.trials",
    "Stream": "base.data",
    "Study": "study.study",
    "Task": "base.task",
    "compare": "analysis.beside",
    "confirm": "sweep.confirming",
    "decide": "sweep.deciding",
    "extend": "sweep.extending",
    "from_equinox": "models.equinox",
    "from_flax": "models.flax",
    "from_torch": "models.torch",
    "hyperparameters": "base.parts",
    "image_folder": "tasks.images",
    "import_runs": "landscape",
    "merge": "landscape",
    "plan": "sweep",
    "reads": "base.parts",
    "refine": "sweep.refining",
    "replay": "execution.replay",
    "run": "sweep",
}

_MODULES = {
    "analysis": "analysis",
    "claims": "claims",
    "doctor": "cli.doctor",
    "figures": "report.figures",
    "inspection": "inspection",
    "report": "report",
}

__all__ = [
    "Axis",
    "Cell",
    "GridscapeError",
    "Groups",
    "Landscape",
    "Limit",
    "Metric",
    "Model",
    "Optimizer",
    "Ray",
    "Sequences",
    "Split",
    "Status",
    "Stream",
    "Study",
    "Task",
    "compare",
    "confirm",
    "decide",
    "extend",
    "from_equinox",
    "from_flax",
    "from_torch",
    "hyperparameters",
    "image_folder",
    "import_runs",
    "merge",
    "plan",
    "reads",
    "refine",
    "replay",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"gridscape.{_MODULES[name]}")
    if name not in _HOME:
        raise AttributeError(f"module 'gridscape' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gridscape.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])
