"""Larger pictures from smaller ones: transposed convolutions, interpolation, shuffled pixels."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from gridscape.base.types import Array
from gridscape.errors import UntranslatedError
from gridscape.models._torch.images import adaptive_avg_pool2d, first, first_to_last, last, pair
from gridscape.models._torch.registry import translates
from gridscape.models.precision import arithmetic, gradient_rounded, rounded


def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Array:
    """Of (B, Y, X, C) by PyTorch's weight (C, F / groups, k, l): the gradient of a convolution."""
    n_inputs, n_outputs, *window = weight.shape
    kernel = weight.reshape(groups, n_inputs // groups, n_outputs, *window)
    kernel = jnp.transpose(kernel, (3, 4, 1, 0, 2)).reshape(*window, n_inputs // groups, -1)
    dilations, sizes = pair(dilation), zip(window, pair(dilation), strict=True)
    reach = [d * (k - 1) for k, d in sizes]
    ends = zip(reach, pair(padding), pair(output_padding), strict=True)
    outputs = lax.conv_general_dilated(
        rounded(x),
        rounded(kernel[::-1, ::-1]),
        (1, 1),
        [(r - p, r - p + more) for r, p, more in ends],
        lhs_dilation=pair(stride),
        rhs_dilation=dilations,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
        precision=arithmetic(),
    )
    return gradient_rounded(outputs if bias is None else outputs + bias[None, None, None])


@translates("conv_transpose1d")
def _conv_transpose1d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Array:
    """(B, C, T) as pictures of one row."""
    found = conv_transpose2d(
        last(input[:, :, None]),
        weight[:, :, None],
        bias,
        stride=(1, pair(stride)[1]),
        padding=(0, pair(padding)[1]),
        output_padding=(0, pair(output_padding)[1]),
        groups=groups,
        dilation=(1, pair(dilation)[1]),
    )
    return first(found)[:, :, 0]


# ---- interpolation ----


@translates("interpolate")
def _interpolate(
    input: Array, size: Any = None, scale_factor: Any = None, *args: Any, **options: Any
) -> Array:
    """(B, C, T) as pictures of one row."""
    if input.ndim != 3:
        return first_to_last(interpolate)(input, size, scale_factor, *args, **options)
    wide = None if size is None else (1, pair(size)[1])
    factor = None if scale_factor is None else (1.0, _factors(scale_factor)[1])
    return first(interpolate(last(input[:, :, None]), wide, factor, *args, **options))[:, :, 0]


def interpolate(
    x: Array,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Array:
    """Of (B, Y, X, C): each of two dimensions by a matrix that is known before."""
    if mode == "area":
        return adaptive_avg_pool2d(x, _new_size(x.shape[1:3], size, scale_factor))
    if mode not in ("nearest", "nearest-exact", "bilinear", "linear") or antialias:
        told = f"{mode} with antialias" if antialias else mode
        raise UntranslatedError(f"interpolation that is {told}: nearest and bilinear are read")
    for axis, wanted in enumerate(_new_size(x.shape[1:3], size, scale_factor), 1):
        n = x.shape[axis]
        is_exact = scale_factor is None or recompute_scale_factor
        step = n / wanted if is_exact else 1 / _factors(scale_factor)[axis - 1]
        if mode.startswith("nearest"):
            x = jnp.take(x, _nearest(n, wanted, step, mode), axis=axis)
        else:
            x = _between(x, axis, *_neighbors(n, wanted, step, bool(align_corners)))
    return x


def _new_size(old: Sequence[int], size: Any, scale_factor: Any) -> tuple[int, int]:
    """(Y, X), as asked for or of a factor."""
    if scale_factor is None:
        return pair(size)
    one, two = (math.floor(n * f) for n, f in zip(old, _factors(scale_factor), strict=True))
    return one, two


def _factors(factor: Any) -> tuple[float, float]:
    """Of rows and of columns, from one number or two."""
    listed = tuple(factor) if isinstance(factor, list | tuple) else (factor,)
    return listed[0], listed[-1]


def _nearest(n: int, wanted: int, step: float, mode: str) -> np.ndarray:
    at = np.arange(wanted, dtype=np.float32) + (0.5 if mode == "nearest-exact" else 0)
    return np.minimum(np.floor(at * np.float32(step)), n - 1).astype(np.int32)


def _neighbors(n: int, wanted: int, step: float, align: bool) -> tuple[np.ndarray, np.ndarray]:
    """Of each new pixel the old one before it, and how far it is towards the next."""
    at = np.arange(wanted, dtype=np.float64)
    if align:
        at = at * ((n - 1) / (wanted - 1) if wanted > 1 else 0)
    else:
        at = np.maximum((at + 0.5) * step - 0.5, 0)
    before = np.minimum(np.floor(at), n - 1).astype(np.int32)
    return before, (at - before).astype(np.float32)


def _between(x: Array, axis: int, before: np.ndarray, share: np.ndarray) -> Array:
    behind = np.minimum(before + 1, x.shape[axis] - 1)
    shares = share.reshape([-1 if d == axis else 1 for d in range(x.ndim)])
    left, right = (jnp.take(x, index, axis=axis) for index in (before, behind))
    return left * (1 - shares) + right * shares


# ---- pixels ----


@translates("pixel_shuffle")
def _pixel_shuffle(input: Array, upscale_factor: int) -> Array:
    n, channels, height, width = input.shape
    r = upscale_factor
    blocks = input.reshape(n, channels // r**2, r, r, height, width)
    return blocks.transpose(0, 1, 4, 2, 5, 3).reshape(n, -1, height * r, width * r)


@translates("pixel_unshuffle")
def _pixel_unshuffle(input: Array, downscale_factor: int) -> Array:
    n, channels, height, width = input.shape
    r = downscale_factor
    blocks = input.reshape(n, channels, height // r, r, width // r, r)
    return blocks.transpose(0, 1, 3, 5, 2, 4).reshape(n, -1, height // r, width // r)


LAST: dict[str, Callable[..., Array]] = {
    "conv_transpose2d": conv_transpose2d,
    "interpolate": interpolate,
}
