"""Looks at networks that nobody trained: records of inspection whose content is stated here."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gridscape.base.task import Task
from gridscape.execution.replay import Trained
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Trial
from gridscape.inspection.kinds import Look
from gridscape.inspection.records import (
    Confusion,
    Deconvnet,
    Example,
    Filters,
    LayerStatistics,
    Mistakes,
    Moments,
    Sample,
    Tiles,
)
from gridscape.models.feedforward import mlp
from gridscape.optimizers import adam
from gridscape.study.study import Recipe

CLASSES = 4
SIDE = 6


def example(index: int, truth: int, answer: int, inputs: np.ndarray | None = None) -> Example:
    """Pixels that brighten from left to right; the answer has a probability of 0.75."""
    ramp = np.tile(np.arange(SIDE, dtype=np.uint8) * 3, (SIDE, 1))[..., None]
    shown = ramp if inputs is None else inputs
    return Example(index, truth, answer, 0.75, 0.5 + index, shown)


def mistakes() -> Mistakes:
    """Two mistakes and seven correct examples of forty."""
    wrong = (example(3, truth=1, answer=2), example(8, truth=0, answer=3))
    return Mistakes(wrong, tuple(example(i, i % CLASSES, i % CLASSES) for i in range(7)), 2, 40)


def confusion() -> Confusion:
    """Class 1 is answered 2 five times; class 3 has no example."""
    counts = np.diag([10, 5, 12, 0])
    counts[1, 2] = 5
    return Confusion(counts)


def tiles(n: int, scale: float, channels: int = 1) -> Tiles:
    values = scale * np.random.default_rng(n).normal(size=(n, 5, 5, channels))
    return Tiles(values, values.min(axis=(1, 2, 3)), values.max(axis=(1, 2, 3)))


def filters(n: int = 7, channels: int = 1) -> Filters:
    """Weights that grow threefold in training."""
    start, end = tiles(n, 0.1, channels), tiles(n, 0.3, channels)
    return Filters("conv1", start, end, float(np.abs(end.values).max()))


def layer(name: str, kind: str, mean: float, zeros: float, n: int = 5) -> LayerStatistics:
    moments = Moments(np.full(n, mean), np.full(n, 0.25), np.full(n, zeros))
    total = Moments(mean, 0.25, zeros)
    return LayerStatistics(name, kind, (3, 3, n), 90, moments, total)


def activations() -> tuple[LayerStatistics, ...]:
    """Two layers with weights; pooling and an activation behind the first one."""
    return (
        layer("conv1", "conv", -0.5, 0.0),
        layer("relu1", "activation", 0.2, 1.0),
        layer("pool1", "pool", 0.4, 0.25),
        layer("output", "dense", 1.0, 0.0, n=CLASSES),
    )


def deconvnet(n_maps: int = 3) -> Deconvnet:
    """Nine images of each map; the last map is silent."""
    rng = np.random.default_rng(0)
    active = np.ones((n_maps, 9))
    active[-1] = 0
    parts = rng.normal(size=(n_maps, 9, SIDE, SIDE, 1)) * active[..., None, None, None]
    images = rng.integers(0, 256, (n_maps, 9, SIDE, SIDE, 1), dtype=np.uint8)
    indices = np.tile(np.arange(9), (n_maps, 1))
    return Deconvnet("relu2", np.arange(n_maps), indices, active, images, parts)


def samples() -> tuple[Sample, ...]:
    """Sums of two bits a step: length 2 right, length 3 wrong in its second bit."""
    right = np.array([1, 0, 1])
    return (
        Sample(0, 2, np.array([[1.0, 0], [0, 0], [1, 0]]), right, right),
        Sample(
            1, 3, np.array([[1.0, 0], [0, 0], [1, 0], [0, 0]]), np.eye(4)[0], np.array([1, 1, 0, 0])
        ),
    )


def all_records() -> dict[str, Any]:
    """One record of every kind."""
    return {
        "mistakes": mistakes(),
        "confusion": confusion(),
        "filters": filters(),
        "activations": activations(),
        "deconv": deconvnet(),
        "samples": samples(),
    }


def look(cell: Cell, records: Mapping[str, Any] | None = None, **changes: Any) -> Look:
    """A look at a network of this cell, with every kind of record unless some are given."""
    arrays = (np.zeros((4, SIDE, SIDE, 1), np.uint8), np.arange(CLASSES))
    task = Task.from_arrays(arrays, arrays)
    recipe = Recipe(
        {"model": "mlp"}, {}, mlp((SIDE, SIDE, 1), CLASSES), adam(), 4, 10, {}, program=""
    )
    given = {"trained_again": False, "identical": True, **changes}
    network = Trained(Trial(cell, 0, "key"), recipe, task, {}, {}, **given)
    return Look(network, all_records() if records is None else records)
