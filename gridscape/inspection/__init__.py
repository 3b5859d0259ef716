"""What trained networks do.

Every function takes a recipe, its task and the parameters of one trial, as ``trained`` gives them,
and returns a frozen record. ``mcnemar`` takes a results folder and two of its cells.
"""

import importlib
from typing import Any

_HOME = {
    "Example": "records",
    "Mistakes": "records",
    "Confusion": "records",
    "Tiles": "records",
    "Filters": "records",
    "Moments": "records",
    "LayerStatistics": "records",
    "Deconvnet": "records",
    "Sample": "records",
    "mistakes": "answers",
    "confusion": "answers",
    "first_layer_filters": "filters",
    "picture_shape": "filters",
    "activation_statistics": "activations",
    "feature_layers": "feature_maps",
    "deconvnet": "feature_maps",
    "project": "feature_maps",
    "keep_strongest": "feature_maps",
    "walk_down": "feature_maps",
    "samples": "sequences",
    "PairedReplicate": "pairs",
    "PairedCells": "pairs",
    "mcnemar": "pairs",
    "is_right": "pairs",
    "Trained": "kinds",
    "trained": "kinds",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
