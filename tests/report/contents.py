"""What several tests of the page need: what it holds of a landscape."""

from pathlib import Path
from typing import Any

import numpy as np
from synthetic import landscape

from gridscape.landscape import Landscape
from gridscape.report.document import document
from gridscape.report.findings import gather

HOSTILE = "</script><script>x()</script><!-- \u2028 & <img src=x onerror=x()>"


def content_of(land: Landscape, directory: str = "runs/it") -> dict[str, Any]:
    return document(gather(land), Path(directory), "2024-05-01T12:00:00+00:00", {"Gridscape": "0"})


def per_update(n: int) -> Landscape:
    """A landscape whose train curves have a point per update, with one gap."""
    land = landscape({"learning_rate": [0.1, 0.2]}, lambda cell: float(cell["learning_rate"]))
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 3, n))
    values[0, 0, 4] = np.nan
    dims = ("learning_rate", "replicate", "update")
    data = land.data.drop_dims("update").assign(
        curve_train_loss=(dims, values), update=np.arange(1, n + 1)
    )
    return Landscape(data, land.study)
