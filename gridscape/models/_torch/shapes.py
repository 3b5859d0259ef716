"""What changes shapes, chooses parts, or changes types."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.types import Array
from gridscape.errors import UntranslatedError
from gridscape.models._torch.registry import (
    FUNCTIONS,
    Dims,
    Function,
    axes_of,
    of_rank,
    translates,
)


def _listed(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given one by one, or as one list."""
    given = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], list | tuple) else sizes
    return tuple(int(n) for n in given)


def _also_named(name: str) -> Callable[[Function], Function]:
    """Sizes or dimensions that are given one by one, as one list, or by name."""

    def named(function: Function) -> Function:
        def apply(input: Array, *given: Any, **by_name: Any) -> Any:
            if name in by_name:
                given = (*given, by_name.pop(name))
            return function(input, *given, **by_name)

        return apply

    return named


@translates("view", "reshape")
@_also_named("shape")
def _reshape(input: Array, *shape: Any) -> Array:
    if shape and not isinstance(shape[0], int | list | tuple):
        raise UntranslatedError("a view in another type")
    return input.reshape(_listed(shape))


@translates("flatten")
def _flatten(input: Array, start_dim: int = 0, end_dim: int = -1) -> Array:
    start, end = start_dim % input.ndim, end_dim % input.ndim
    return input.reshape(*input.shape[:start], -1, *input.shape[end + 1 :])


@translates("unflatten")
def _unflatten(input: Array, dim: int, sizes: Any) -> Array:
    dim = dim % input.ndim
    return input.reshape(*input.shape[:dim], *sizes, *input.shape[dim + 1 :])


@translates("squeeze")
def _squeeze(input: Array, dim: Dims = None) -> Array:
    chosen = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    return jnp.squeeze(input, tuple(d for d in chosen if input.shape[d] == 1))


@translates("unsqueeze")
def _unsqueeze(input: Array, dim: int) -> Array:
    return jnp.expand_dims(input, dim)


@translates("permute")
@_also_named("dims")
def _permute(input: Array, *dims: Any) -> Array:
    return jnp.transpose(input, [d % input.ndim for d in _listed(dims)])


@translates("transpose", "swapaxes", "swapdims")
def _transpose(input: Array, dim0: int, dim1: int) -> Array:
    return jnp.swapaxes(input, dim0, dim1)


@translates("movedim", "moveaxis")
def _movedim(input: Array, source: Any, destination: Any) -> Array:
    return jnp.moveaxis(input, source, destination)


@translates("t", "T", "mT", "adjoint")
def _t(input: Array) -> Array:
    return input if input.ndim < 2 else jnp.swapaxes(input, -1, -2)


@translates("cat", "concat", "concatenate")
def _cat(tensors: Any, dim: int = 0) -> Array:
    return jnp.concatenate([jnp.asarray(x) for x in tensors], axis=dim)


@translates("stack")
def _stack(tensors: Any, dim: int = 0) -> Array:
    return jnp.stack([jnp.asarray(x) for x in tensors], axis=dim)


@translates("hstack")
def _hstack(tensors: Any) -> Array:
    return jnp.hstack(tensors)


@translates("vstack")
def _vstack(tensors: Any) -> Array:
    return jnp.vstack(tensors)


@translates("split", "split_with_sizes")
def _split(input: Array, split_size: Any = None, dim: int = 0, split_sizes: Any = None) -> Any:
    sizes, length = split_size if split_sizes is None else split_sizes, input.shape[dim]
    ends = range(sizes, length, sizes) if isinstance(sizes, int) else np.cumsum(sizes)[:-1]
    return tuple(jnp.split(input, list(ends), axis=dim))


@translates("chunk")
def _chunk(input: Array, chunks: int, dim: int = 0) -> Any:
    return _split(input, -(-input.shape[dim] // chunks), dim)


@translates("tensor_split")
def _tensor_split(input: Array, sections: Any, dim: int = 0) -> Any:
    return tuple(jnp.array_split(input, sections, axis=dim))


@translates("unbind")
def _unbind(input: Array, dim: int = 0) -> Any:
    return tuple(jnp.take(input, i, axis=dim) for i in range(input.shape[dim]))


@translates("expand")
@_also_named("size")
def _expand(input: Array, *sizes: Any) -> Array:
    sizes = _listed(sizes)
    shape = of_rank(input, len(sizes)).shape if input.ndim else (1,) * len(sizes)
    whole = [old if new == -1 else new for new, old in zip(sizes, shape, strict=True)]
    return jnp.broadcast_to(input.reshape(shape), whole)


@translates("expand_as")
def _expand_as(input: Array, other: Array) -> Array:
    return _expand(input, *other.shape)


@translates("broadcast_to")
def _broadcast_to(input: Array, size: Any) -> Array:
    return _expand(input, *size)


@translates("view_as", "reshape_as")
def _view_as(input: Array, other: Array) -> Array:
    return input.reshape(other.shape)


@translates("repeat", "tile")
@_also_named("dims")
def _repeat(input: Array, *repeats: Any) -> Array:
    return jnp.tile(input, _listed(repeats))


@translates("repeat_interleave")
def _repeat_interleave(input: Array, repeats: int, dim: int | None = None) -> Array:
    return jnp.repeat(input, repeats, axis=dim)


@translates("narrow")
def _narrow(input: Array, dim: int, start: int, length: int) -> Array:
    start = start % input.shape[dim] if start < 0 else start
    return jax.lax.slice_in_dim(input, start, start + length, axis=dim)


@translates("select")
def _select(input: Array, dim: int, index: int) -> Array:
    return jnp.take(input, index, axis=dim)


@translates("index_select")
def _index_select(input: Array, dim: int, index: Array) -> Array:
    return jnp.take(input, index, axis=dim)


@translates("gather")
def _gather(input: Array, dim: int, index: Array) -> Array:
    cut = tuple(
        slice(None) if d == dim % input.ndim else slice(n) for d, n in enumerate(index.shape)
    )
    return jnp.take_along_axis(input[cut], index, axis=dim)


@translates("flip")
@_also_named("dims")
def _flip(input: Array, *dims: Any) -> Array:
    return jnp.flip(input, _listed(dims))


@translates("roll")
def _roll(input: Array, shifts: Any, dims: Any = None) -> Array:
    return jnp.roll(input, shifts, axes_of(dims))


@translates("tril")
def _tril(input: Array, diagonal: int = 0) -> Array:
    return jnp.tril(input, diagonal)


@translates("triu")
def _triu(input: Array, diagonal: int = 0) -> Array:
    return jnp.triu(input, diagonal)


@translates("zeros_like", "new_zeros_like")
def _zeros_like(input: Any, **_: Any) -> Any:
    return np.zeros(input.shape, input.dtype)


@translates("ones_like")
def _ones_like(input: Any, **_: Any) -> Any:
    return np.ones(input.shape, input.dtype)


@translates("full_like")
def _full_like(input: Any, fill_value: Any, **_: Any) -> Any:
    return np.full(input.shape, fill_value, input.dtype)


@translates("getitem")
def _getitem(input: Any, index: Any) -> Any:
    if isinstance(input, tuple | list):
        return input[index]
    parts = index if isinstance(index, tuple) else (index,)
    if any(getattr(part, "dtype", None) is np.dtype(bool) for part in parts):
        raise UntranslatedError("a selection by a mask, whose shape depends on the data")
    return jnp.asarray(input)[tuple(jnp.asarray(p) if isinstance(p, list) else p for p in parts)]


@translates("pad")
def _pad(input: Array, pad: Any, mode: str = "constant", value: float | None = None) -> Array:
    around = [(0, 0)] * (input.ndim - len(pad) // 2)
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode == "constant":
        config = [(a, b, 0) for a, b in [*around, *reversed(pairs)]]
        return jax.lax.pad(input, jnp.asarray(value or 0, input.dtype), config)
    return jnp.pad(input, [*around, *reversed(pairs)], mode=modes[mode])


# ---- types ----

KINDS = {
    "float": jnp.float32,
    "float32": jnp.float32,
    "long": jnp.int32,
    "int": jnp.int32,
    "int64": jnp.int32,
    "int32": jnp.int32,
    "bool": jnp.bool_,
}


def _cast(input: Any, kind: str) -> Any:
    if kind not in KINDS:
        raise UntranslatedError(f"a tensor of type {kind}: networks are float32")
    return jnp.asarray(input).astype(KINDS[kind])


FUNCTIONS.update({kind: partial(_cast, kind=kind) for kind in ("float", "long", "int", "bool")})
FUNCTIONS.update({kind: partial(_cast, kind=kind) for kind in ("double", "half", "bfloat16")})


@translates("to", "type", "type_as")
def _to(input: Any, *others: Any, dtype: Any = None, **_: Any) -> Any:
    for other in (*others, dtype):
        if hasattr(other, "is_floating_point") and not hasattr(other, "shape"):
            return _cast(input, str(other).removeprefix("torch."))
        if hasattr(other, "shape") and hasattr(other, "dtype"):
            return jnp.asarray(input).astype(other.dtype)
    return input
