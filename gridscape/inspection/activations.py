"""How the activations of each layer are distributed."""

import math
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.data import Split
from gridscape.base.task import Task
from gridscape.base.types import Array, Hyper, Params
from gridscape.inspection._chunks import over_chunks
from gridscape.inspection._layers import layers_of_apply
from gridscape.inspection.records import LayerStatistics, Moments
from gridscape.models.feedforward import Layer, run
from gridscape.study.study import Recipe


class _Sums(NamedTuple):
    """n values with their mean, sum of squared deviations and number of zeros, by channel (C,)."""

    n: int
    mean: np.ndarray
    squares: np.ndarray
    zeros: np.ndarray


def activation_statistics(
    recipe: Recipe, task: Task, params: Params, layers: Sequence[Layer] | None = None
) -> tuple[LayerStatistics, ...]:
    """Mean, variance and share of zeros of each layer and channel over the test set.

    Before and after each activation and after each pooling, in the order of the network. Sums are
    formed in float64, in one pass (Chan, Golub and LeVeque 1983). layers: those of the network,
    where they are known to be those of its apply. Raises UsageError for a model without layers, or
    with those of another apply.
    """
    layers = layers or layers_of_apply(recipe, task, params)
    shapes = _output_shapes(layers, params, task, recipe.hyper)

    def look(batch: Split) -> list[tuple[Array, ...]]:
        outputs = run(layers, params, task.prepare(batch.inputs), None, recipe.hyper)
        return [_by_example(x) for x in outputs]

    parts = (list(map(_chunk_sums, part, shapes)) for part in over_chunks(look, task))
    sums = reduce(lambda a, b: list(map(_merged, a, b)), parts)
    return tuple(
        LayerStatistics(layer.name, layer.kind, shape, of_layer.n, *_moments(of_layer))
        for layer, shape, of_layer in zip(layers, shapes, sums, strict=True)
        if layer.kind not in ("flatten", "dropout")
    )


def _output_shapes(
    layers: Sequence[Layer], params: Params, task: Task, hyper: Hyper
) -> list[tuple[int, ...]]:
    """The shape of one example's outputs of each layer."""
    inputs = jax.ShapeDtypeStruct((1, *task.input_shape), jnp.float32)
    outputs = jax.eval_shape(lambda x: list(run(layers, params, x, None, hyper)), inputs)
    return [x.shape[1:] for x in outputs]


def _by_example(outputs: Array) -> tuple[Array, Array, Array]:
    """Mean, sum of squared deviations and number of zeros of every example and channel: (B, C)."""
    values = outputs.reshape(len(outputs), -1, outputs.shape[-1])
    mean = values.mean(axis=1)
    squares = ((values - mean[:, None]) ** 2).sum(axis=1)
    return mean, squares, (values == 0).sum(axis=1)


def _chunk_sums(by_example: tuple[Array, ...], shape: tuple[int, ...]) -> _Sums:
    """The examples of a chunk, each of equally many values, put together."""
    means, squares, zeros = (np.asarray(array, np.float64) for array in by_example)
    n_each = math.prod(shape[:-1])
    mean = means.mean(axis=0)
    between = n_each * ((means - mean) ** 2).sum(axis=0)
    return _Sums(n_each * len(means), mean, squares.sum(axis=0) + between, zeros.sum(axis=0))


def _merged(a: _Sums, b: _Sums) -> _Sums:
    n, gap = a.n + b.n, b.mean - a.mean
    mean = a.mean + gap * b.n / n
    squares = a.squares + b.squares + gap**2 * a.n * b.n / n
    return _Sums(n, mean, squares, a.zeros + b.zeros)


def _moments(sums: _Sums) -> tuple[Moments, Moments]:
    """Of each channel, and of all together."""
    variance, zeros = sums.squares / sums.n, sums.zeros / sums.n
    mean = sums.mean.mean()
    spread = ((sums.mean - mean) ** 2).mean()
    total = Moments(float(mean), float(variance.mean() + spread), float(zeros.mean()))
    return Moments(sums.mean, variance, zeros), total
