"""Layers of PyTorch that keep state: norms with running statistics, and spectral norms.

In training each reads its state and gives another one for the next call; in evaluation it reads.
State has PyTorch's names and shapes; what PyTorch counts in int64 is counted in int32.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from torch import nn
from torch.nn.utils import parametrizations

from gridscape.base.types import Array
from gridscape.errors import UntranslatedError

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
SPECTRAL_NORM = parametrizations._SpectralNorm

Read = Callable[[str], Any]  # a tensor of the layer by its name there
Moved = Mapping[str, Any]  # what is left for the next call, by the same names


def keeps_state(module: nn.Module) -> bool:
    """Whether a module is a layer with state; an InstanceNorm mostly has none."""
    kind = type(module)
    if kind in INSTANCE_NORMS:
        return bool(module.track_running_stats)
    return kind in BATCH_NORMS or (kind is SPECTRAL_NORM and hasattr(module, "_u"))


def state_names(module: nn.Module) -> tuple[str, ...]:
    """The buffers that are state, by their paths; one that layers share by the first of them."""
    names = (
        f"{path}.{name}".lstrip(".")
        for path, part in module.named_modules()
        if keeps_state(part)
        for name, _ in part.named_buffers(recurse=False)
    )
    firsts = first_names(dict(module.named_buffers(remove_duplicate=False)))
    return tuple(dict.fromkeys(firsts[name] for name in names))


def first_names(tensors: Mapping[str, Any]) -> dict[str, str]:
    """The first name of each tensor, by all of its names."""
    firsts: dict[int, str] = {}
    return {name: firsts.setdefault(id(tensor), name) for name, tensor in tensors.items()}


def called(
    module: Any, read: Read, x: Array, channels: int, in_training: bool
) -> tuple[Array, Moved]:
    """What a layer of those that keep state gives, and the state that it leaves.

    channels: the dimension of x that they are.
    """
    if type(module) is SPECTRAL_NORM:
        return _spectral_norm(module, read, x, in_training)
    _check_dimensions(module, x)
    norm = _batch_norm if type(module) in BATCH_NORMS else _instance_norm
    return norm(module, read, x, channels, in_training)


def _check_dimensions(module: Any, x: Array) -> None:
    digit = int(type(module).__name__[-2])
    allowed = {1: (2, 3) if type(module) is nn.BatchNorm1d else (3,), 2: (4,), 3: (5,)}[digit]
    if x.ndim not in allowed:
        raise UntranslatedError(f"{type(module).__name__} of {x.ndim} dimensions")


def _batch_norm(
    module: Any, read: Read, x: Array, channels: int, in_training: bool
) -> tuple[Array, Moved]:
    if module.running_mean is None:
        raise UntranslatedError(
            "BatchNorm without running statistics: when evaluated, an example's output would depend"
            " on the other examples; leave track_running_stats as it is"
        )
    axes = tuple(d for d in range(x.ndim) if d != channels % x.ndim)
    if not in_training:
        found = _standardized(x, axes, read("running_mean"), read("running_var"), module.eps)
        return _scaled(found, axes, module, read), {}
    n = math.prod(x.shape[d] for d in axes)
    if n < 2:
        raise UntranslatedError("BatchNorm of one value per channel: a larger batch is needed")
    mean = x.mean(axis=axes)
    variance = jnp.square(x - jnp.expand_dims(mean, axes)).mean(axis=axes)
    count = read("num_batches_tracked") + 1
    share = 1 / count.astype(x.dtype) if module.momentum is None else module.momentum
    moved = _moved(read, share, mean, variance * (n / (n - 1)))
    found = _standardized(x, axes, mean, variance, module.eps)
    return _scaled(found, axes, module, read), {**moved, "num_batches_tracked": count}


def _instance_norm(
    module: Any, read: Read, x: Array, channels: int, in_training: bool
) -> tuple[Array, Moved]:
    """Each example and channel by itself; the running statistics are means over the examples."""
    outer = tuple(d for d in range(x.ndim) if d != channels % x.ndim)
    if not in_training:
        found = _standardized(x, outer, read("running_mean"), read("running_var"), module.eps)
        return _scaled(found, outer, module, read), {}
    axes = outer[1:]
    n = math.prod(x.shape[d] for d in axes)
    if n < 2:
        raise UntranslatedError("InstanceNorm of one value per channel")
    mean = x.mean(axis=axes)  # (B, C)
    variance = jnp.square(x - jnp.expand_dims(mean, axes)).mean(axis=axes)
    moved = _moved(
        read, module.momentum or 0.0, mean.mean(axis=0), variance.mean(axis=0) * (n / (n - 1))
    )
    found = _standardized(x, axes, mean, variance, module.eps)
    return _scaled(found, outer, module, read), moved


def _standardized(
    x: Array, axes: tuple[int, ...], mean: Array, variance: Array, eps: float
) -> Array:
    """By statistics that lack the dimensions ``axes``."""
    scale = 1 / jnp.sqrt(variance + eps)
    return (x - jnp.expand_dims(mean, axes)) * jnp.expand_dims(scale, axes)


def _scaled(x: Array, axes: tuple[int, ...], module: Any, read: Read) -> Array:
    if module.weight is not None:
        x = x * jnp.expand_dims(read("weight"), axes)
    return x if module.bias is None else x + jnp.expand_dims(read("bias"), axes)


def _moved(read: Read, share: Any, mean: Array, variance: Array) -> Moved:
    """The running statistics, so far nearer to those of the batch."""
    found = {"running_mean": mean, "running_var": variance}
    found = {name: (1 - share) * read(name) + share * x for name, x in found.items()}
    return jax.lax.stop_gradient(found)


def _spectral_norm(
    module: Any, read: Read, weight: Array, in_training: bool
) -> tuple[Array, Moved]:
    """A weight over its largest singular value, as far as the power iteration knows it."""
    matrix = jnp.moveaxis(weight, module.dim, 0).reshape(weight.shape[module.dim], -1)
    u, v, moved = read("_u"), read("_v"), {}
    if in_training:
        fixed = jax.lax.stop_gradient(matrix)
        for _ in range(module.n_power_iterations):
            u = _unit(fixed @ v, module.eps)
            v = _unit(fixed.T @ u, module.eps)
        moved = {"_u": u, "_v": v}
    return weight / (u @ (matrix @ v)), moved


def _unit(x: Array, eps: float) -> Array:
    return x / jnp.maximum(jnp.sqrt(jnp.square(x).sum()), eps)
