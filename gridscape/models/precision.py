"""The precision of the layers' products: what their operands are rounded to.

"float32" rounds nothing. "tf32" and "bfloat16" round the operands of every product of a layer,
forward and backward, to 10 or 7 bits behind the first, ties to even, and sum in float32. All else
is float32: parameters and what the optimizer keeps, biases, activations, losses. A product of two
numbers of so few bits is exact in float32, so that this is the same on any device.

Left to itself, a GPU rounds the operands of float32 products to TF32 too. It is told otherwise
here: what is called float32 has products of float32, on any device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from gridscape.base.types import Array

Precision = Literal["float32", "tf32", "bfloat16"]

# The bits of the significand behind the first.
SIGNIFICAND_BITS = {"tf32": 10, "bfloat16": 7}

_ARITHMETIC: dict[str, lax.Precision | lax.DotAlgorithmPreset] = {
    "float32": lax.Precision.HIGHEST,
    "tf32": lax.DotAlgorithmPreset.TF32_TF32_F32,
    "bfloat16": lax.DotAlgorithmPreset.BF16_BF16_F32,
}

# JAX's own kind of context: what was traced outside it is traced again inside.
_precision = jax.make_user_context(default_value="float32")


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """What layers trace inside has products of this precision, one of ``Precision``.

    So have the gradients of it, wherever they are traced.
    """
    with _precision(precision):
        yield


@contextmanager
def float32_products() -> Iterator[None]:
    """What is traced inside has products of float32, those of a user's model or loss too.

    Only where nobody has set JAX's own ``jax_default_matmul_precision``.
    """
    if jax.default_backend() == "cpu" or jax.config.values["jax_default_matmul_precision"]:
        yield
        return
    with jax.default_matmul_precision("highest"):
        yield


def current() -> str:
    """The precision of the products that are being traced."""
    return _precision.value


def arithmetic() -> lax.Precision | lax.DotAlgorithmPreset | None:
    """What computes a product of rounded operands: the fastest that loses none of their bits."""
    if jax.default_backend() == "cpu":  # which knows float32 only
        return None
    return _ARITHMETIC[current()]


def product(a: Array, b: Array) -> Array:
    """a @ b in the current precision; its gradients too where those that arrive are rounded."""
    return product_of_rounded(rounded(a), rounded(b))


def product_of_rounded(a: Array, b: Array) -> Array:
    """a @ b of operands that are ``rounded`` already."""
    return jnp.matmul(a, b, precision=arithmetic())


def rounded(operand: Array) -> Array:
    """An operand of a product in the current precision; gradients pass as they are."""
    bits = SIGNIFICAND_BITS.get(current())
    return operand if bits is None else _nearest(operand, bits)


def gradient_rounded(outputs: Array) -> Array:
    """What a layer's product and bias gave: the gradient that comes back to them is rounded."""
    bits = SIGNIFICAND_BITS.get(current())
    return outputs if bits is None else _same(outputs, bits)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _nearest(x: Array, bits: int) -> Array:
    # Compilers may drop a conversion there and back, but not this.
    return lax.reduce_precision(x, exponent_bits=8, mantissa_bits=bits)


_nearest.defjvp(lambda bits, primals, tangents: (_nearest(*primals, bits), *tangents))


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _same(x: Array, bits: int) -> Array:
    return x


_same.defvjp(lambda x, bits: (x, None), lambda bits, _, gradient: (_nearest(gradient, bits),))
