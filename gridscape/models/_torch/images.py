"""Convolutions and pooling as PyTorch calls them: channels first outside, channels last inside.

Native kernels serve convolutions of stride 1, with a ReLU and pooling of 2 x 2 behind them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gridscape.base.types import Array
from gridscape.errors import UntranslatedError
from gridscape.kernels import feedforward as native
from gridscape.kernels.library import serve
from gridscape.models.feedforward import convolve, max_pool
from gridscape.models.precision import arithmetic, gradient_rounded, rounded

Sizes = int | Sequence[int]
Pair = tuple[int, int]


def last(x: Array) -> Array:
    """(B, C, Y, X) -> (B, Y, X, C)."""
    return jnp.transpose(x, (0, 2, 3, 1))


def first(x: Array) -> Array:
    """(B, Y, X, C) -> (B, C, Y, X)."""
    return jnp.transpose(x, (0, 3, 1, 2))


def pair(sizes: Any) -> Pair:
    """Of rows and of columns, from one number or two."""
    listed = tuple(sizes) if isinstance(sizes, list | tuple) else (sizes,)
    one, two = listed * (2 // len(listed))
    return int(one), int(two)


# ---- convolution ----


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Sizes = 1,
    padding: Any = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """Of (B, Y, X, C) by PyTorch's weight (F, C, k, l)."""
    kernel = jnp.transpose(weight, (2, 3, 1, 0))
    return convolved(x, kernel, bias, stride, padding, dilation, groups)


def convolved(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    stride: Sizes = 1,
    padding: Any = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    pooled: bool = False,
) -> Array:
    """Of (B, Y, X, C) by a kernel (k, l, C, F). pooled: then ReLU, and the maxima of 2 x 2."""
    strides, dilations = pair(stride), pair(dilation)
    window = kernel.shape[:2]
    if padding in ("same", "valid"):
        reach = [
            d * (n - 1) if padding == "same" else 0 for n, d in zip(window, dilations, strict=False)
        ]
        around = [(n // 2, n - n // 2) for n in reach]
    else:
        around = [(n, n) for n in pair(padding)]
    if (strides, dilations, groups) == ((1, 1), (1, 1), 1):
        return _of_stride_1(x, kernel, bias, around, pooled)
    outputs = lax.conv_general_dilated(
        rounded(x),
        rounded(kernel),
        strides,
        around,
        rhs_dilation=dilations,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
        precision=arithmetic(),
    )
    outputs = outputs if bias is None else outputs + bias[None, None, None]
    outputs = gradient_rounded(outputs)
    return _halved(jax.nn.relu(outputs)) if pooled else outputs


def fuses_pool(stride: Any, padding: Any, dilation: Any, groups: int) -> bool:
    """Whether a convolution has a kernel of its own with ReLU and pooling."""
    plain = (pair(stride), pair(dilation), groups) == ((1, 1), (1, 1), 1)
    return plain and not isinstance(padding, str)


def _of_stride_1(
    x: Array, kernel: Array, bias: Array | None, around: list[Pair], pooled: bool
) -> Array:
    """By the convolution that keeps the size, of which the edges are cut off.

    A convolution of the padded image is one of the image, as far as the zeros that are around it
    anyway reach; only what is padded further is written out.
    """
    padded, cuts = [], []
    for (before, after), size, n in zip(around, x.shape[1:3], kernel.shape, strict=False):
        outputs = size + before + after - n + 1
        front = max(0, before - (n - 1) // 2)
        begin = (n - 1) // 2 - before + front
        if pooled and begin % 2:  # windows of 2 begin at even places
            front, begin = front + 1, begin + 1
        padded.append((front, max(0, begin + outputs - (size + front))))
        cuts.append((begin, outputs))
    if any(map(any, padded)):
        x = jnp.pad(x, [(0, 0), *padded, (0, 0)])
    found = _keeping_size(x, kernel, bias, pooled)
    if pooled:
        cuts = [(begin // 2, outputs // 2) for begin, outputs in cuts]
    (y, height), (left, width) = cuts
    return found[:, y : y + height, left : left + width]


def _keeping_size(x: Array, kernel: Array, bias: Array | None, pooled: bool) -> Array:
    x, kernel = rounded(x), rounded(kernel)
    bias = jnp.zeros(kernel.shape[-1]) if bias is None else bias
    if x.shape[3] == kernel.shape[2] and serve(x, kernel, bias):
        return gradient_rounded(native.conv(x, kernel, bias, pooled))
    outputs = gradient_rounded(convolve(x, kernel) + bias[None, None, None])
    return max_pool(jax.nn.relu(outputs)) if pooled else outputs


def _conv1d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Sizes = 1,
    padding: Any = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """(B, C, T) as pictures of one row."""
    sizes = [pair(n)[0] for n in (stride, dilation)]
    padding = padding if isinstance(padding, str) else (0, pair(padding)[0])
    found = conv2d(
        last(input[:, :, None]),
        weight[:, :, None],
        bias,
        (1, sizes[0]),
        padding,
        (1, sizes[1]),
        groups,
    )
    return first(found)[:, :, 0]


# ---- pooling ----


def _halved(x: Array) -> Array:
    """The maxima of windows of 2 x 2; an odd edge is left out."""
    return max_pool(x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2])


def max_pool2d(
    x: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Array:
    """Of (B, Y, X, C); the gradient goes to the first of equal maxima."""
    if return_indices:
        raise UntranslatedError("pooling with return_indices")
    window = pair(kernel_size)
    steps = window if stride is None or stride == [] else pair(stride)
    if halves(kernel_size, stride, padding, dilation, ceil_mode):
        return _halved(x)
    dilations = pair(dilation)
    edges = _edges(x.shape[1:3], window, steps, pair(padding), dilations, ceil_mode)
    around = ((0, 0), *edges, (0, 0))
    if dilations != (1, 1):
        padded = jnp.pad(x, around, constant_values=-np.inf)
        return _dilated_maxima(padded, window, steps, dilations)
    return lax.reduce_window(x, -np.inf, lax.max, (1, *window, 1), (1, *steps, 1), around)


def _dilated_maxima(x: Array, window: Pair, steps: Pair, dilations: Pair) -> Array:
    """Slice by slice of the windows: JAX has no gradient of maxima in dilated ones."""
    sizes = zip(x.shape[1:3], window, steps, dilations, strict=True)
    ends = [(n - d * (w - 1) - 1) // s * s + 1 for n, w, s, d in sizes]
    places = [(dilations[0] * i, dilations[1] * j) for i, j in np.ndindex(*window)]
    parts = [
        x[:, y : y + ends[0] : steps[0], left : left + ends[1] : steps[1]] for y, left in places
    ]
    stacked = jnp.stack(parts)
    first_of = jnp.argmax(stacked, axis=0)[None]
    return jnp.take_along_axis(stacked, first_of, axis=0)[0]


def halves(
    kernel_size: Any = 2,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> bool:
    """Whether pooling is of windows of 2 x 2 side by side."""
    steps = kernel_size if stride is None or stride == [] else stride
    sizes = [pair(n) for n in (kernel_size, steps, padding, dilation)]
    return sizes == [(2, 2), (2, 2), (0, 0), (1, 1)] and not ceil_mode and not return_indices


def _edges(
    size: Any, window: Pair, steps: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> list[Pair]:
    """What is padded before and behind; with ``ceil_mode`` a last window may reach beyond."""
    found = []
    for n, w, s, p, d in zip(size, window, steps, padding, dilation, strict=True):
        reach = n + 2 * p - d * (w - 1) - 1
        count = -(-reach // s) if ceil_mode else reach // s
        if ceil_mode and count * s >= n + p:  # a window may not begin in the padding behind
            count -= 1
        found.append((p, max(p, count * s + d * (w - 1) + 1 - n - p)))
    return found


def avg_pool2d(
    x: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Of (B, Y, X, C)."""
    window, around = pair(kernel_size), pair(padding)
    steps = window if stride is None or stride == [] else pair(stride)
    edges = _edges(x.shape[1:3], window, steps, around, (1, 1), ceil_mode)

    def total(x: Array, edges: Sequence[Pair]) -> Array:
        sides = ((0, 0), *edges, (0, 0))
        return lax.reduce_window(x, 0.0, lax.add, (1, *window, 1), (1, *steps, 1), sides)

    beyond = any(behind > p for (_, behind), p in zip(edges, around, strict=True))
    if divisor_override or not (beyond or (any(around) and not count_include_pad)):
        return total(x, edges) / (divisor_override or math.prod(window))
    counted = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
    if count_include_pad:  # but not what a last window reaches beyond the padding
        counted = jnp.pad(counted, [(0, 0), *((p, p) for p in around), (0, 0)], constant_values=1)
        return total(x, edges) / total(
            counted, [(0, behind - p) for (_, behind), p in zip(edges, around, strict=True)]
        )
    return total(x, edges) / total(counted, edges)


def _adaptive(reduce: Callable[..., Array]) -> Callable[..., Array]:
    """Windows of nearly equal sizes; any number of pixels."""

    def of_axis(x: Array, axis: int, count: int | None) -> Array:
        size = x.shape[axis]
        if count is None or count == size:
            return x
        if size % count == 0:
            shape = (*x.shape[:axis], count, size // count, *x.shape[axis + 1 :])
            return reduce(x.reshape(shape), axis=axis + 1)
        bounds = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
        parts = [reduce(lax.slice_in_dim(x, a, b, axis=axis), axis=axis) for a, b in bounds]
        return jnp.stack(parts, axis=axis)

    def apply(x: Array, output_size: Any, return_indices: bool = False) -> Array:
        listed = output_size if isinstance(output_size, list | tuple) else (output_size,) * 2
        return of_axis(of_axis(x, 1, listed[0]), 2, listed[1])

    return apply


adaptive_avg_pool2d, adaptive_max_pool2d = _adaptive(jnp.mean), _adaptive(jnp.max)


# ---- by PyTorch's names ----


def first_to_last(function: Callable[..., Array]) -> Callable[..., Array]:
    """A function of channels last as one of channels first."""

    def apply(input: Array, *args: Any, **options: Any) -> Array:
        _four(input)
        return first(function(last(input), *args, **options))

    return apply


def _four(input: Array) -> None:
    if input.ndim != 4:
        raise UntranslatedError(f"pictures of {input.ndim} dimensions: (B, C, Y, X) are read")


def _in_a_row(function: Callable[..., Array]) -> Callable[..., Array]:
    """Pooling of (B, C, T): of pictures of one row."""

    def wide(value: Any, of_rows: int) -> Any:
        return value if value is None or value == [] else (of_rows, pair(value)[1])

    def apply(
        input: Array,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        *args: Any,
        **rest: Any,
    ) -> Array:
        if "dilation" in rest:
            rest["dilation"] = wide(rest["dilation"], 1)
        args = (wide(args[0], 1), *args[1:]) if args and function is max_pool2d else args
        sizes = wide(kernel_size, 1), wide(stride, 1), wide(padding, 0)
        return first(function(last(input[:, :, None]), *sizes, *args, **rest))[:, :, 0]

    return apply


def _adaptive_row(function: Callable[..., Array]) -> Callable[..., Array]:
    def apply(input: Array, output_size: Any, return_indices: bool = False) -> Array:
        return first(function(last(input[:, :, None]), (1, pair(output_size)[1])))[:, :, 0]

    return apply


# Of channels last; what else is read is the rest of PyTorch's arguments.
LAST: dict[str, Callable[..., Array]] = {
    "conv2d": conv2d,
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "adaptive_max_pool2d": adaptive_max_pool2d,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "conv1d": _conv1d,
    "max_pool1d": _in_a_row(max_pool2d),
    "avg_pool1d": _in_a_row(avg_pool2d),
    "adaptive_avg_pool1d": _adaptive_row(adaptive_avg_pool2d),
    "adaptive_max_pool1d": _adaptive_row(adaptive_max_pool2d),
}
