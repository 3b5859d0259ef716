"""Normalizations, tables and dropout."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.types import Array, Key
from gridscape.errors import UntranslatedError
from gridscape.kernels.threefry import quick
from gridscape.models._torch.registry import aligned, translates


@translates("embedding")
def _embedding(
    input: Array,
    weight: Array,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Array:
    if max_norm is not None or scale_grad_by_freq:
        raise UntranslatedError("an Embedding with max_norm or scale_grad_by_freq")
    index = input.astype(jnp.int32)
    if padding_idx is not None:  # whose row has no gradient
        is_padding = (jnp.arange(len(weight)) == padding_idx % len(weight))[:, None]
        weight = jnp.where(is_padding, jax.lax.stop_gradient(weight), weight)
    return jnp.take(weight, index, axis=0)


@translates("embedding_bag")
def _embedding_bag(
    input: Array,
    weight: Array,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Array:
    if input.ndim != 2 or offsets is not None or per_sample_weights is not None:
        raise UntranslatedError("an EmbeddingBag but of (B, T), each row a bag")
    if padding_idx is not None or mode not in ("mean", "sum", "max"):
        raise UntranslatedError("an EmbeddingBag with padding_idx")
    rows = _embedding(input, weight, None, max_norm, norm_type, scale_grad_by_freq)
    return getattr(rows, mode)(axis=1)


@translates("one_hot")
def _one_hot(input: Array, num_classes: int = -1) -> Array:
    if num_classes < 0:
        raise UntranslatedError("one_hot without num_classes")
    return jax.nn.one_hot(input, num_classes, dtype=jnp.int32)


def _standardized(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    mean = x.mean(axis=axes, keepdims=True)
    variance = jnp.square(x - mean).mean(axis=axes, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + eps)


@translates("layer_norm")
def _layer_norm(
    input: Array,
    normalized_shape: Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    axes = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    found = _standardized(input, axes, eps)
    found = found if weight is None else aligned(jnp.multiply, found, weight)
    return found if bias is None else aligned(jnp.add, found, bias)


@translates("rms_norm")
def _rms_norm(
    input: Array, normalized_shape: Any, weight: Array | None = None, eps: float | None = None
) -> Array:
    axes = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    eps = float(np.finfo(np.float32).eps) if eps is None else eps
    found = input / jnp.sqrt(jnp.square(input).mean(axis=axes, keepdims=True) + eps)
    return found if weight is None else aligned(jnp.multiply, found, weight)


@translates("weight_norm")
def _weight_norm(v: Array, g: Array, dim: int = 0) -> Array:
    axes = tuple(d for d in range(v.ndim) if d != dim % v.ndim) if dim != -1 else None
    return v * (g / jnp.sqrt(jnp.square(v).sum(axis=axes, keepdims=True)))


def _by_channel(x: Array, weight: Array | None, bias: Array | None) -> Array:
    shape = (1, -1, *[1] * (x.ndim - 2))
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


@translates("local_response_norm")
def _local_response_norm(
    input: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    around = [(0, 0), (size // 2, (size - 1) // 2), *[(0, 0)] * (input.ndim - 2)]
    squares = jnp.pad(jnp.square(input), around)
    n = input.shape[1]
    total = sum(jax.lax.slice_in_dim(squares, i, i + n, axis=1) for i in range(size))
    return input / (k + alpha * total / size) ** beta


@translates("group_norm")
def _group_norm(
    input: Array,
    num_groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    groups = input.reshape(len(input), num_groups, -1)
    return _by_channel(_standardized(groups, (2,), eps).reshape(input.shape), weight, bias)


@translates("instance_norm")
def _instance_norm(
    input: Array,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Array | None = None,
    bias: Array | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    if running_mean is not None:
        raise UntranslatedError("an InstanceNorm with running statistics")
    axes = tuple(range(2, input.ndim))
    return _by_channel(_standardized(input, axes, eps), weight, bias)


@translates("dropout", random=True)
def dropout(
    input: Array, p: float = 0.5, training: bool = True, inplace: bool = False, *, key: Key | None
) -> Array:
    """Of numbers; without a key nothing is dropped."""
    return _dropped(input, input.shape, p, training, key)


@translates("dropout1d", "dropout2d", "dropout3d", "feature_dropout", random=True)
def _feature_dropout(
    input: Array, p: float = 0.5, training: bool = True, inplace: bool = False, *, key: Key | None
) -> Array:
    return _dropped(input, (*input.shape[:2], *[1] * (input.ndim - 2)), p, training, key)


@translates("alpha_dropout", random=True)
def _alpha_dropout(
    input: Array, p: float = 0.5, training: bool = False, inplace: bool = False, *, key: Key | None
) -> Array:
    """Keeps mean and variance of what SELU gives (Klambauer et al. 2017)."""
    if key is None or not training or p == 0:
        return input
    low = -1.7580993408473766
    scale = ((1 - p) * (1 + p * low**2)) ** -0.5
    kept = jnp.where(jax.random.bernoulli(quick(key), 1 - p, input.shape), input, low)
    return scale * kept - scale * low * p


def _dropped(x: Array, shape: Any, p: float, training: bool, key: Key | None) -> Array:
    if key is None or not training or p == 0:
        return x
    if p == 1:
        return x * 0
    return jnp.where(jax.random.bernoulli(quick(key), 1 - p, shape), x / (1 - p), 0)
