"""What is taken along dimensions: sums, extremes, norms, softmax."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from gridscape.base.types import Array
from gridscape.errors import UntranslatedError
from gridscape.models._torch.numbers import sigmoid
from gridscape.models._torch.registry import (
    FUNCTIONS,
    Dims,
    Function,
    aligned,
    axes_of,
    translates,
)


def _reducing(function: Function, empty_is_all: bool = True) -> Function:
    def apply(input: Array, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Array:
        axes = None if dim == () or dim == [] else axes_of(dim)
        return function(input, axis=axes, keepdims=keepdim)

    return apply


FUNCTIONS.update(
    {n: _reducing(getattr(jnp, n)) for n in ["sum", "mean", "prod", "amax", "amin", "any", "all"]},
    logsumexp=_reducing(jax.nn.logsumexp),
)


@translates("var")
def _var(
    input: Array,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    correction: int | None = None,
) -> Array:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    less = int(unbiased) if correction is None else correction
    return jnp.var(input, axis=axes_of(dim), keepdims=keepdim, ddof=less)


@translates("std")
def _std(input: Array, *args: Any, **options: Any) -> Array:
    return jnp.sqrt(_var(input, *args, **options))


@translates("norm", "linalg_vector_norm")
def _norm(
    input: Array, p: Any = 2, dim: Dims = None, keepdim: bool = False, ord: Any = None
) -> Array:
    order, axes = {"fro": 2}.get(p, p) if ord is None else ord, axes_of(dim)
    if order == 2:
        total = jnp.sum(input**2, axis=axes, keepdims=keepdim)
        # PyTorch's gradient of a norm of zero is zero.
        safe = jnp.where(total > 0, total, 1)
        return jnp.where(total > 0, jnp.sqrt(safe), 0)
    magnitudes = jnp.abs(input)
    if order == 1:
        return jnp.sum(magnitudes, axis=axes, keepdims=keepdim)
    if order == math.inf:
        return jnp.max(magnitudes, axis=axes, keepdims=keepdim)
    raise UntranslatedError(f"a norm of order {order}")


@translates("normalize")
def _normalize(input: Array, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Array:
    return input / jnp.maximum(_norm(input, p, dim, True), eps)


@translates("cosine_similarity")
def _cosine(x1: Array, x2: Array, dim: int = 1, eps: float = 1e-8) -> Array:
    norms = (jnp.maximum(_norm(x, 2, dim, True), eps) for x in (x1, x2))
    a, b = (x / n for x, n in zip((x1, x2), norms, strict=True))
    return (a * b).sum(axis=dim)


def _chosen(of: Function, input: Array, dim: int, keepdim: bool) -> tuple[Array, Array]:
    """The one that is chosen along a dimension, and its index: the gradient goes to it alone."""
    index = jnp.expand_dims(of(input, axis=dim), dim)
    found = jnp.take_along_axis(input, index, axis=dim)
    return (found, index) if keepdim else (found.squeeze(dim), index.squeeze(dim))


def _extreme(of: Function, whole: Function, between: Function) -> Function:
    def apply(input: Array, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
        other = dim if other is None and not isinstance(dim, int | None) else other
        if other is not None:
            return aligned(between, input, other)
        return whole(input) if dim is None else _chosen(of, input, dim, keepdim)

    return apply


FUNCTIONS["max"] = _extreme(jnp.argmax, jnp.max, jnp.maximum)
FUNCTIONS["min"] = _extreme(jnp.argmin, jnp.min, jnp.minimum)


@translates("argmax")
def _argmax(input: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    return jnp.argmax(input, axis=dim, keepdims=keepdim)


@translates("argmin")
def _argmin(input: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    return jnp.argmin(input, axis=dim, keepdims=keepdim)


@translates("cumsum")
def _cumsum(input: Array, dim: int, dtype: Any = None) -> Array:
    return jnp.cumsum(input, axis=dim)


def _softmax_dim(input: Array, dim: int | None) -> int:
    """PyTorch's implicit dimension: 0 of an array of rank 0, 1 or 3, else 1."""
    return dim if dim is not None else 0 if input.ndim in (0, 1, 3) else 1


@translates("softmax")
def _softmax(input: Array, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Array:
    return jax.nn.softmax(input, axis=_softmax_dim(input, dim))


@translates("log_softmax")
def _log_softmax(input: Array, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Array:
    return jax.nn.log_softmax(input, axis=_softmax_dim(input, dim))


@translates("softmin")
def _softmin(input: Array, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Array:
    return _softmax(-input, dim)


@translates("glu")
def _glu(input: Array, dim: int = -1) -> Array:
    a, b = jnp.split(input, 2, axis=dim)
    return a * sigmoid(b)
