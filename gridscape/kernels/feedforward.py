"""Feed-forward layers by native code: the same functions as in models/feedforward.py."""

import ctypes
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from gridscape.kernels.library import call, load
from gridscape.kernels.tables import ACTIVATIONS, ConvWorkspace, DenseWorkspace

# ---- dense ----


class DenseKind(NamedTuple):
    """What a dense layer computes, whatever its sizes."""

    activation: str
    bfloat16: bool


def dense(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    activation: str = "linear",
    bfloat16: bool = False,
) -> jax.Array:
    """x (B, I) @ kernel (I, J) + bias (J,), then the activation, one of ACTIVATIONS.

    ``bfloat16``: the operands of products are rounded to it, also those of the gradients; only
    where ``multiplies_bfloat16``.
    """
    return _dense(DenseKind(activation, bfloat16), x, kernel, bias)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _dense(kind: DenseKind, x: jax.Array, kernel: jax.Array, bias: jax.Array | None) -> jax.Array:
    arrays = (x, kernel) if bias is None else (x, kernel, bias)
    workspace = _dense_workspace(kind, len(x), kernel)
    results = ((len(x), kernel.shape[1]), (workspace.forward,))
    y, _ = call("dense_forward", results)(*arrays, **_attributes(kind, bias))
    return y


def _dense_keep(
    kind: DenseKind, x: jax.Array, kernel: jax.Array, bias: jax.Array | None
) -> tuple[jax.Array, Any]:
    y = _dense(kind, x, kernel, bias)
    return y, (x, kernel, bias, y)


def _dense_pull(
    kind: DenseKind, saved: Any, dy: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    x, kernel, bias, y = saved
    workspace, n_outputs = _dense_workspace(kind, len(x), kernel), kernel.shape[1]
    is_linear = kind.activation == "linear"
    results = (
        kernel.shape,
        (0 if bias is None else n_outputs,),
        (0 if is_linear else len(x), n_outputs),
        (workspace.weights,),
    )
    of_weights = call("dense_weights", results)
    dkernel, dbias, dz, _ = of_weights(x, y, dy, **_attributes(kind, bias))
    # A call of its own: nothing runs it where nobody asks for the gradient by the inputs.
    of_inputs = call("dense_inputs", (x.shape, (workspace.inputs,)))
    dx, _ = of_inputs(kernel, dy if is_linear else dz, bfloat16=np.bool_(kind.bfloat16))
    return dx, dkernel, None if bias is None else dbias


_dense.defvjp(_dense_keep, _dense_pull)


def _attributes(kind: DenseKind, bias: jax.Array | None) -> dict[str, Any]:
    number = np.int64(ACTIVATIONS.index(kind.activation))
    return {
        "bfloat16": np.bool_(kind.bfloat16),
        "activation": number,
        "has_bias": np.bool_(bias is not None),
    }


def _dense_workspace(kind: DenseKind, batch: int, kernel: jax.Array) -> DenseWorkspace:
    sizes = (batch, *kernel.shape)
    return DenseWorkspace(*_measured("dense", sizes, len(DenseWorkspace._fields), kind.bfloat16))


# ---- convolution ----


class ConvKind(NamedTuple):
    """What a convolution computes, whatever its sizes."""

    pooled: bool
    bfloat16: bool

    def attributes(self) -> dict[str, Any]:
        """As the calls take them."""
        return {"pooled": np.bool_(self.pooled), "bfloat16": np.bool_(self.bfloat16)}


def conv(
    images: jax.Array, kernel: jax.Array, bias: jax.Array, pooled: bool, bfloat16: bool = False
) -> jax.Array:
    """Cross-correlation with zeros around the images, stride 1, plus bias: (B, Y, X, F).

    images (B, Y, X, C), kernel (k, l, C, F), bias (F,). ``pooled``: then ReLU, and the maximum of
    windows of 2 x 2, (B, ceil(Y / 2), ceil(X / 2), F). ``bfloat16`` as in ``dense``.
    """
    return _conv(ConvKind(pooled, bfloat16), images, kernel, bias)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(kind: ConvKind, images: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    return _conv_forward(kind, images, kernel, bias, keeps=False)[0]


def _conv_keep(
    kind: ConvKind, images: jax.Array, kernel: jax.Array, bias: jax.Array
) -> tuple[jax.Array, Any]:
    y, switches = _conv_forward(kind, images, kernel, bias, keeps=True)
    return y, (images, kernel, switches)


def _conv_pull(kind: ConvKind, saved: Any, dy: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    images, kernel, switches = saved
    workspace, attributes = _conv_workspace(kind, images, kernel), kind.attributes()
    of_weights = call("conv_weights", (kernel.shape, kernel.shape[-1:], (workspace.weights,)))
    dkernel, dbias, _ = of_weights(images, switches, dy, **attributes)
    # A call of its own: nothing runs it where nobody asks for the gradient by the inputs.
    of_inputs = call("conv_inputs", (images.shape, (workspace.inputs,)))
    dimages, _ = of_inputs(kernel, switches, dy, **attributes)
    return dimages, dkernel, dbias


_conv.defvjp(_conv_keep, _conv_pull)


def _conv_forward(
    kind: ConvKind, images: jax.Array, kernel: jax.Array, bias: jax.Array, keeps: bool
) -> tuple[jax.Array, jax.Array]:
    workspace = _conv_workspace(kind, images, kernel, keeps)
    B, Y, X, _ = images.shape
    size = (-(-Y // 2), -(-X // 2)) if kind.pooled else (Y, X)
    results = ((B, *size, kernel.shape[-1]), (workspace.switches,), (workspace.forward,))
    attributes = {**kind.attributes(), "keeps": np.bool_(keeps)}
    y, switches, _ = call("conv_forward", results)(images, kernel, bias, **attributes)
    return y, switches


def _conv_workspace(
    kind: ConvKind, images: jax.Array, kernel: jax.Array, keeps: bool = True
) -> ConvWorkspace:
    rows, columns, _, n_filters = kernel.shape
    sizes = (*images.shape, n_filters, rows, columns)
    options = (kind.bfloat16, kind.pooled, keeps)
    return ConvWorkspace(*_measured("conv", sizes, len(ConvWorkspace._fields), *options))


def _measured(layer: str, sizes: tuple[int, ...], count: int, *options: bool) -> Any:
    library = load().library
    assert library is not None  # who calls has asked ``serve``
    found = (ctypes.c_int64 * count)()
    measure = getattr(library, f"gridscape_{layer}_workspace")
    measure((ctypes.c_int64 * len(sizes))(*sizes), *map(ctypes.c_bool, options), found)
    return found
