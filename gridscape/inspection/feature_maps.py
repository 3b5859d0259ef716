"""What in an image excites a channel: deconvnet (Zeiler and Fergus 2014)."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.data import Split
from gridscape.base.task import Task
from gridscape.base.types import Array, Hyper, Params
from gridscape.errors import UnknownNameError, UsageError
from gridscape.inspection import _chunks
from gridscape.inspection._layers import inspected_layers, layers_of_apply
from gridscape.inspection.records import Deconvnet
from gridscape.models.feedforward import Layer, run
from gridscape.models.precision import float32_products
from gridscape.study.study import Recipe


def feature_layers(recipe: Recipe) -> tuple[str, ...]:
    """The layers that hold feature maps after their activation.

    Raises UsageError for a model without convolutions.
    """
    layers = inspected_layers(recipe)
    kinds = [layer.kind for layer in layers]
    if "conv" not in kinds:
        raise UsageError(
            "no convolutions to walk back through",
            where="inspect",
            expected="a model with feature maps, such as lenet5",
            found=f"layers {', '.join(layer.name for layer in layers)}",
        )
    maps = layers[kinds.index("conv") : kinds.index("flatten")]
    return tuple(layer.name for layer in maps if layer.kind == "activation")


def deconvnet(
    recipe: Recipe,
    task: Task,
    params: Params,
    layer: str | None = None,
    *,
    channels: Sequence[int] | None = None,
    n_images: int = 9,
) -> Deconvnet:
    """The test images that activate each feature map most, and their projections to the pixels.

    layer: one of ``feature_layers``, the last of them unless named. channels: all unless named.

    Raises UsageError for a model without convolutions, with the layers of another apply, or for a
    channel that the layer lacks; UnknownNameError for another layer. Source: Zeiler and Fergus
    2014, "Visualizing and Understanding Convolutional Networks", section 2.1.
    """
    layers, hyper = _layers_to(recipe, layer), recipe.hyper
    layers_of_apply(recipe, task, params)

    def strongest(batch: Split) -> Array:
        *_, maps = run(layers, params, task.prepare(batch.inputs), None, hyper)
        return maps.max(axis=(1, 2))

    peaks = np.concatenate([np.asarray(part) for part in _chunks.over_chunks(strongest, task)])
    chosen = _check_channels(channels, peaks.shape[1])
    indices = np.argsort(-peaks, axis=0, kind="stable")[:n_images].T[chosen]

    @jax.jit
    @float32_products()
    def projected(inputs: Array, channels: Array) -> Array:
        return project(layers, params, task.prepare(inputs), channels, hyper)

    rows, maps = indices.ravel(), np.repeat(chosen, indices.shape[1])
    parts = [
        np.asarray(projected(task.test.inputs[rows[part]], maps[part]))
        for part in _chunks.slices(len(rows))
    ]
    return Deconvnet(
        layer=layers[-1].name,
        channels=chosen,
        indices=indices,
        activations=peaks[indices, chosen[:, None]],
        inputs=np.asarray(task.test.inputs[indices]),
        reconstructions=np.concatenate(parts).reshape(*indices.shape, *task.input_shape),
    )


def project(
    layers: Sequence[Layer], params: Params, inputs: Array, channels: Array, hyper: Hyper
) -> Array:
    """The strongest activation of one channel of each example, walked down to the pixels.

    inputs (B, height, width, C), channels (B,) of the last layer -> (B, height, width, C).
    """
    *_, maps = run(layers, params, inputs, None, hyper)
    *_, pixels = walk_down(layers, params, inputs, keep_strongest(maps, channels), hyper)
    return pixels


def keep_strongest(maps: Array, channels: Array) -> Array:
    """All but the largest activation of one channel of each example zeroed; ties: the first.

    maps (B, Y, X, C), channels (B,) -> (B, Y, X, C).
    """
    flat = maps.reshape(len(maps), -1, maps.shape[-1])
    chosen = jnp.take_along_axis(flat, channels[:, None, None], axis=2)[:, :, 0]
    is_place = jnp.arange(flat.shape[1])[None] == jnp.argmax(chosen, axis=1)[:, None]
    is_channel = jnp.arange(flat.shape[2])[None] == channels[:, None]
    kept = is_place[:, :, None] & is_channel[:, None, :]
    return jnp.where(kept, flat, 0).reshape(maps.shape)


def walk_down(
    layers: Sequence[Layer], params: Params, inputs: Array, signal: Array, hyper: Hyper
) -> Iterator[Array]:
    """A signal at the outputs of the last layer, as it is below each layer in turn.

    Linear layers are transposed without their biases, pooling puts values back where the maxima
    of ``inputs`` were: both are what their gradients do. An activation rectifies the signal, where
    its gradient would be masked by what was active: that is all that tells a deconvnet from
    back-propagation (Simonyan, Vedaldi and Zisserman 2014, section 4).
    """
    seen = [inputs, *run(layers, params, inputs, None, hyper)]
    for layer, below in zip(reversed(layers), reversed(seen[:-1]), strict=True):
        signal = _below(layer, params.get(layer.name, {}), below, signal, hyper)
        yield signal


def _below(layer: Layer, params: Any, inputs: Array, signal: Array, hyper: Hyper) -> Array:
    if layer.kind == "activation":
        return jax.nn.relu(signal)
    _, transpose = jax.vjp(lambda x: layer.apply(params, x, None, hyper), inputs)
    (signal,) = transpose(signal)
    return signal


def _layers_to(recipe: Recipe, name: str | None) -> tuple[Layer, ...]:
    """The layers up to a feature layer, the last one unless named."""
    names = feature_layers(recipe)
    name = names[-1] if name is None else name
    if name not in names:
        raise UnknownNameError("layer of feature maps", name, names, where="inspect")
    layers = recipe.model.layers
    return layers[: [layer.name for layer in layers].index(name) + 1]


def _check_channels(channels: Sequence[int] | None, n_channels: int) -> np.ndarray:
    chosen = np.arange(n_channels) if channels is None else np.asarray(channels)
    if chosen.dtype.kind != "i" or not ((chosen >= 0) & (chosen < n_channels)).all():
        expected = f"whole numbers from 0 to {n_channels - 1}"
        raise UsageError("out of range", where="channels", expected=expected, found=channels)
    return chosen
