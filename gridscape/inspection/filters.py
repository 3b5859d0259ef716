"""The filters of a network's first layer."""

import math
from collections.abc import Sequence

import numpy as np

from gridscape.base.task import Task
from gridscape.base.types import Array, Params
from gridscape.errors import UsageError
from gridscape.inspection._layers import layers_of_apply
from gridscape.inspection.records import Filters, Tiles
from gridscape.models.feedforward import Layer
from gridscape.study.study import Recipe


def first_layer_filters(
    recipe: Recipe,
    task: Task,
    start: Params,
    end: Params,
    layers: Sequence[Layer] | None = None,
) -> Filters:
    """The filters of the first convolution or dense layer, from parameters of start and end.

    A dense layer's are drawn as the inputs are: (height, width, channels), rows (T, D), or a
    flattened square. layers: those of the network, where they are known to be those of its apply.
    Raises UsageError for a model without layers or with those of another apply, and inputs that
    are no picture.
    """
    layers = layers or layers_of_apply(recipe, task, end)
    layer = next(layer for layer in layers if layer.kind in ("conv", "dense"))
    first, last = (_tiles(p[layer.name]["kernel"], task.input_shape) for p in (start, end))
    limit = max(float(np.abs(tiles.values).max()) for tiles in (first, last))
    return Filters(layer.name, first, last, limit)


def picture_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Height, width and channels of inputs as a picture; raises UsageError where they are none.

    >>> picture_shape((784,)), picture_shape((28, 28)), picture_shape((32, 32, 3))
    ((28, 28, 1), (28, 28, 1), (32, 32, 3))
    """
    if len(shape) == 3:
        return (shape[0], shape[1], shape[2])
    if len(shape) == 2:
        return (shape[0], shape[1], 1)
    side = math.isqrt(math.prod(shape))
    if len(shape) != 1 or side**2 != shape[0]:
        raise UsageError(
            "inputs that are no picture",
            where="inspect",
            expected="(height, width, channels), (rows, columns) or a flattened square",
            found=shape,
        )
    return (side, side, 1)


def _tiles(kernel: Array, input_shape: tuple[int, ...]) -> Tiles:
    values = np.moveaxis(np.asarray(kernel), -1, 0)  # conv: (n, height, width, channels)
    if values.ndim == 2:
        values = values.reshape(-1, *picture_shape(input_shape))
    return Tiles(values, values.min(axis=(1, 2, 3)), values.max(axis=(1, 2, 3)))
