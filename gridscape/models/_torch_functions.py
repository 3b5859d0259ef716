"""What PyTorch's functions and methods compute, in JAX, by their names.

A function, a method and an operator of one name are one entry: ``torch.relu``, ``F.relu`` and
``x.relu()``. Arguments have PyTorch's names and defaults. Gradients are PyTorch's too, at ties and
kinks as well. Shapes never broadcast by themselves to a higher rank.
"""

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.types import Array, Key
from gridscape.errors import UntranslatedError
from gridscape.models import _torch_images as images
from gridscape.models.precision import gradient_rounded, product, rounded

Function = Callable[..., Any]
Dims = int | Sequence[int] | None

FUNCTIONS: dict[str, Function] = {}
# Those that draw random numbers in training are given ``key``.
RANDOM: set[str] = set()
# Of each number by itself: any layout of an array will do.
OF_EACH: set[str] = set()


def translates(*names: str, random: bool = False) -> Callable[[Function], Function]:
    """Enter a function under its names."""

    def enter(function: Function) -> Function:
        for name in names:
            FUNCTIONS[name] = function
            if random:
                RANDOM.add(name)
        return function

    return enter


# ---- of each number ----


def _of_each(**functions: Function) -> None:
    FUNCTIONS.update(functions)
    OF_EACH.update(functions)


def _elu(x: Array, alpha: float = 1.0, inplace: bool = False) -> Array:
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0)))


def _leaky_relu(x: Array, negative_slope: float = 0.01, inplace: bool = False) -> Array:
    return jnp.where(x > 0, x, negative_slope * x)


def _gelu(x: Array, approximate: str = "none") -> Array:
    return jax.nn.gelu(x, approximate=approximate == "tanh")


def _softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    return jnp.where(x * beta > threshold, x, jax.nn.softplus(x * beta) / beta)


def _hardtanh(
    x: Array, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Array:
    return jnp.where(x <= min_val, min_val, jnp.where(x >= max_val, max_val, x))


def _clamp(x: Array, min: Any = None, max: Any = None) -> Array:
    x = x if min is None else jnp.where(x < min, jnp.asarray(min, x.dtype), x)
    return x if max is None else jnp.where(x > max, jnp.asarray(max, x.dtype), x)


def _sigmoid(x: Array) -> Array:
    return (1 + jnp.tanh(x / 2)) / 2


def _plain(function: Function) -> Function:
    """Of one array, without the options that change nothing here."""
    return lambda x, inplace=False, out=None: function(x)


def _threshold(x: Array, threshold: float, value: float, inplace: bool = False) -> Array:
    return jnp.where(x > threshold, x, value)


_of_each(
    **{
        name: _plain(getattr(jnp, name))
        for name in [
            "exp",
            "expm1",
            "log",
            "log1p",
            "log2",
            "log10",
            "sqrt",
            "abs",
            "sin",
            "cos",
            "tan",
            "square",
            "reciprocal",
            "sign",
            "floor",
            "ceil",
            "round",
            "sinh",
            "cosh",
            "isnan",
            "isfinite",
            "logical_not",
        ]
    },
    relu=_plain(jax.nn.relu),
    relu6=lambda x, inplace=False: _hardtanh(x, 0.0, 6.0),
    tanh=_plain(jnp.tanh),
    sigmoid=_plain(_sigmoid),
    silu=_plain(lambda x: x * _sigmoid(x)),
    mish=_plain(lambda x: x * jnp.tanh(jax.nn.softplus(x))),
    selu=lambda x, inplace=False: 1.0507009873554805 * _elu(x, 1.6732632423543772),
    celu=lambda x, alpha=1.0, inplace=False: jnp.where(
        x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0) / alpha)
    ),
    elu=_elu,
    leaky_relu=_leaky_relu,
    gelu=_gelu,
    softplus=_softplus,
    hardtanh=_hardtanh,
    hardsigmoid=lambda x, inplace=False: _hardtanh(x / 6 + 0.5, 0.0, 1.0),
    hardswish=lambda x, inplace=False: x * _hardtanh(x / 6 + 0.5, 0.0, 1.0),
    logsigmoid=_plain(lambda x: -jax.nn.softplus(-x)),
    softsign=_plain(lambda x: x / (1 + jnp.abs(x))),
    tanhshrink=_plain(lambda x: x - jnp.tanh(x)),
    threshold=_threshold,
    rsqrt=_plain(lambda x: 1 / jnp.sqrt(x)),
    erf=_plain(jax.lax.erf),
    neg=_plain(jnp.negative),
    invert=_plain(jnp.invert),
    bitwise_not=_plain(jnp.invert),
    clamp=_clamp,
    clip=_clamp,
    clamp_min=lambda x, min: _clamp(x, min),
    clamp_max=lambda x, max: _clamp(x, None, max),
    detach=jax.lax.stop_gradient,
    contiguous=lambda x, memory_format=None: x,
    clone=lambda x, memory_format=None: x,
    cpu=lambda x: x,
    cuda=lambda x, *a, **k: x,
    requires_grad=lambda x, mode=True: x,
)
FUNCTIONS["absolute"] = FUNCTIONS["abs"]
FUNCTIONS["negative"] = FUNCTIONS["neg"]
FUNCTIONS["log_sigmoid"] = FUNCTIONS["logsigmoid"]


@translates("prelu")
def _prelu(x: Array, weight: Array) -> Array:
    slope = weight.reshape(-1, *[1] * (x.ndim - 2)) if x.ndim > 1 else weight
    return jnp.where(x > 0, x, _aligned(operator.mul, slope, x))


# ---- of two arrays ----


def _aligned(function: Function, a: Any, b: Any) -> Any:
    """function(a, b) with the lower rank given leading dimensions of 1, as PyTorch broadcasts."""
    a, b = (x if isinstance(x, int | float | bool) else jnp.asarray(x) for x in (a, b))
    ranks = np.ndim(a), np.ndim(b)
    if min(ranks) and ranks[0] != ranks[1]:
        a, b = (x.reshape(*[1] * (max(ranks) - x.ndim), *x.shape) for x in (a, b))
    return function(a, b)


def _of_two(function: Function) -> Function:
    def apply(input: Any, other: Any, alpha: float = 1) -> Any:
        return _aligned(function, input, other if alpha == 1 else alpha * other)

    return apply


FUNCTIONS.update(
    {
        name: _of_two(getattr(jnp, of))
        for name, of in {
            **{
                n: n
                for n in [
                    "add",
                    "multiply",
                    "subtract",
                    "maximum",
                    "minimum",
                    "logical_and",
                    "logical_or",
                ]
            },
            **{n: n for n in ["logical_xor", "remainder", "floor_divide", "true_divide"]},
            "mul": "multiply",
            "sub": "subtract",
            "truediv": "true_divide",
            "mod": "remainder",
            "floordiv": "floor_divide",
            "iadd": "add",
            "isub": "subtract",
            "imul": "multiply",
            "itruediv": "true_divide",
            "eq": "equal",
            "ne": "not_equal",
            "lt": "less",
            "le": "less_equal",
            "gt": "greater",
            "ge": "greater_equal",
            "and": "bitwise_and",
            "or": "bitwise_or",
            "xor": "bitwise_xor",
            "and_": "bitwise_and",
            "or_": "bitwise_or",
        }.items()
    }
)


@translates("rsub")
def _rsub(input: Any, other: Any) -> Any:
    return _aligned(jnp.subtract, other, input)


@translates("div", "divide")
def _div(input: Any, other: Any, rounding_mode: str | None = None) -> Any:
    quotient = _aligned(jnp.true_divide, input, other)
    return {None: lambda x: x, "floor": jnp.floor, "trunc": jnp.trunc}[rounding_mode](quotient)


@translates("pow", "ipow")
def _pow(input: Any, exponent: Any) -> Any:
    if isinstance(exponent, int | float) and float(exponent).is_integer():
        return jax.lax.integer_pow(input, int(exponent))
    return _aligned(jnp.power, input, exponent)


@translates("where")
def _where(condition: Any, input: Any, other: Any) -> Any:
    rank = max(np.ndim(x) for x in (condition, input, other))
    return jnp.where(*(_of_rank(x, rank) for x in (condition, input, other)))


def _of_rank(x: Any, rank: int) -> Any:
    return x.reshape(*[1] * (rank - np.ndim(x)), *np.shape(x)) if np.ndim(x) else x


@translates("masked_fill")
def _masked_fill(input: Any, mask: Any, value: Any) -> Any:
    return _where(mask, jnp.asarray(value, input.dtype), input)


@translates("lerp")
def _lerp(input: Any, end: Any, weight: Any) -> Any:
    difference = _aligned(jnp.subtract, end, input)
    return _aligned(jnp.add, input, _aligned(jnp.multiply, weight, difference))


# ---- products ----


@translates("matmul", "mm", "bmm", "imatmul", "mv")
def _matmul(input: Array, other: Array) -> Array:
    if min(input.ndim, other.ndim) > 2 and input.ndim != other.ndim:
        rank = max(input.ndim, other.ndim)
        input, other = _of_rank(input, rank), _of_rank(other, rank)
    return gradient_rounded(product(input, other))


@translates("dot", "inner")
def _dot(input: Array, other: Array) -> Array:
    return _matmul(input, other)


@translates("addmm")
def _addmm(input: Array, mat1: Array, mat2: Array, beta: float = 1, alpha: float = 1) -> Array:
    return _aligned(jnp.add, beta * input, alpha * _matmul(mat1, mat2))


@translates("einsum")
def _einsum(equation: str, *operands: Any) -> Array:
    listed = operands[0] if isinstance(operands[0], list | tuple) else operands
    return gradient_rounded(jnp.einsum(equation, *(rounded(x) for x in listed)))


@translates("outer")
def _outer(input: Array, vec2: Array) -> Array:
    return input[:, None] * vec2[None, :]


@translates("bilinear")
def _bilinear(a: Array, b: Array, weight: Array, bias: Array | None = None) -> Array:
    found = jnp.einsum("...i,kij,...j->...k", a, weight, b)
    return found if bias is None else _aligned(jnp.add, found, bias)


@translates("scaled_dot_product_attention")
def _attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    random: Key | None = None,
) -> Array:
    scores = _matmul(query, jnp.swapaxes(key, -1, -2))
    scores = scores * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = np.tri(scores.shape[-2], scores.shape[-1], dtype=bool)
    if attn_mask is not None and attn_mask.dtype == bool:
        scores = _where(attn_mask, scores, -jnp.inf)
    elif attn_mask is not None:
        scores = _aligned(jnp.add, scores, attn_mask)
    weights = _dropout(jax.nn.softmax(scores, axis=-1), dropout_p, True, key=random)
    return _matmul(weights, value)


# ---- reductions ----


def _axes(dim: Dims) -> Any:
    return tuple(dim) if isinstance(dim, list | tuple) else dim


def _reducing(function: Function, empty_is_all: bool = True) -> Function:
    def apply(input: Array, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Array:
        axes = None if dim == () or dim == [] else _axes(dim)
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
    return jnp.var(input, axis=_axes(dim), keepdims=keepdim, ddof=less)


@translates("std")
def _std(input: Array, *args: Any, **options: Any) -> Array:
    return jnp.sqrt(_var(input, *args, **options))


@translates("norm", "linalg_vector_norm")
def _norm(
    input: Array, p: Any = 2, dim: Dims = None, keepdim: bool = False, ord: Any = None
) -> Array:
    order, axes = {"fro": 2}.get(p, p) if ord is None else ord, _axes(dim)
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
            return _aligned(between, input, other)
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
    return a * _sigmoid(b)


# ---- shapes ----


def _listed(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given one by one, or as one list."""
    given = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], list | tuple) else sizes
    return tuple(int(n) for n in given)


@translates("view", "reshape")
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
def _expand(input: Array, *sizes: Any) -> Array:
    sizes = _listed(sizes)
    shape = _of_rank(input, len(sizes)).shape if input.ndim else (1,) * len(sizes)
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
def _repeat(input: Array, *repeats: Any) -> Array:
    return jnp.tile(input, _listed(repeats))


@translates("repeat_interleave")
def _repeat_interleave(input: Array, repeats: int, dim: int | None = None) -> Array:
    return jnp.repeat(input, repeats, axis=dim)


@translates("narrow")
def _narrow(input: Array, dim: int, start: int, length: int) -> Array:
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
def _flip(input: Array, *dims: Any) -> Array:
    return jnp.flip(input, _listed(dims))


@translates("roll")
def _roll(input: Array, shifts: Any, dims: Any = None) -> Array:
    return jnp.roll(input, shifts, _axes(dims))


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


# ---- layers ----


@translates("linear")
def _linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    outputs = product(input, weight.T)
    return gradient_rounded(outputs if bias is None else _aligned(jnp.add, outputs, bias))


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
    found = found if weight is None else _aligned(jnp.multiply, found, weight)
    return found if bias is None else _aligned(jnp.add, found, bias)


@translates("rms_norm")
def _rms_norm(
    input: Array, normalized_shape: Any, weight: Array | None = None, eps: float | None = None
) -> Array:
    axes = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    eps = float(np.finfo(np.float32).eps) if eps is None else eps
    found = input / jnp.sqrt(jnp.square(input).mean(axis=axes, keepdims=True) + eps)
    return found if weight is None else _aligned(jnp.multiply, found, weight)


@translates("weight_norm")
def _weight_norm(v: Array, g: Array, dim: int = 0) -> Array:
    axes = tuple(d for d in range(v.ndim) if d != dim % v.ndim) if dim != -1 else None
    return v * (g / jnp.sqrt(jnp.square(v).sum(axis=axes, keepdims=True)))


def _by_channel(x: Array, weight: Array | None, bias: Array | None) -> Array:
    shape = (1, -1, *[1] * (x.ndim - 2))
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


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


# ---- dropout ----


@translates("dropout", random=True)
def _dropout(
    input: Array, p: float = 0.5, training: bool = True, inplace: bool = False, *, key: Key | None
) -> Array:
    return _dropped(input, input.shape, p, training, key)


@translates("dropout1d", "dropout2d", "dropout3d", "feature_dropout", random=True)
def _feature_dropout(
    input: Array, p: float = 0.5, training: bool = True, inplace: bool = False, *, key: Key | None
) -> Array:
    return _dropped(input, (*input.shape[:2], *[1] * (input.ndim - 2)), p, training, key)


def _dropped(x: Array, shape: Any, p: float, training: bool, key: Key | None) -> Array:
    if key is None or not training or p == 0:
        return x
    if p == 1:
        return x * 0
    return jnp.where(jax.random.bernoulli(key, 1 - p, shape), x / (1 - p), 0)


# ---- pictures and sequences ----

FUNCTIONS.update(images.FUNCTIONS)
OF_EACH_TWO = {"add", "sub", "mul", "truediv", "iadd", "isub", "imul"}


# ---- one step of a cell ----


def _affine(x: Array, weight: Array, bias: Array | None) -> Array:
    return _linear(x, weight, bias)


@translates("lstm_cell")
def _lstm_cell(
    input: Array, hx: Any, w_ih: Array, w_hh: Array, b_ih: Any = None, b_hh: Any = None
) -> tuple[Array, Array]:
    h, c = hx
    gates = _affine(input, w_ih, b_ih) + _affine(h, w_hh, b_hh)
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    c = _sigmoid(f) * c + _sigmoid(i) * jnp.tanh(g)
    return _sigmoid(o) * jnp.tanh(c), c


@translates("gru_cell")
def _gru_cell(
    input: Array, hx: Array, w_ih: Array, w_hh: Array, b_ih: Any = None, b_hh: Any = None
) -> Array:
    x_r, x_z, x_n = jnp.split(_affine(input, w_ih, b_ih), 3, axis=-1)
    h_r, h_z, h_n = jnp.split(_affine(hx, w_hh, b_hh), 3, axis=-1)
    r, z = _sigmoid(x_r + h_r), _sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * h_n)
    return (1 - z) * n + z * hx


@translates("rnn_tanh_cell")
def _rnn_tanh_cell(
    input: Array, hx: Array, w_ih: Array, w_hh: Array, b_ih: Any = None, b_hh: Any = None
) -> Array:
    return jnp.tanh(_affine(input, w_ih, b_ih) + _affine(hx, w_hh, b_hh))


@translates("rnn_relu_cell")
def _rnn_relu_cell(
    input: Array, hx: Array, w_ih: Array, w_hh: Array, b_ih: Any = None, b_hh: Any = None
) -> Array:
    return jax.nn.relu(_affine(input, w_ih, b_ih) + _affine(hx, w_hh, b_hh))
