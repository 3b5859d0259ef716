"""The precision of the layers' products: what their operands are rounded to.

In "bfloat16" every product of a layer, forward and backward, rounds its operands to the nearest
bfloat16 (8 bits of digits) and sums in float32. All else is float32: parameters and what the
optimizer keeps, biases, activations, losses. A product of two bfloat16 has at most 16 bits and is
exact in float32, so that rounding the operands of a float32 product is the same on any device.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
from jax import lax

from gridscape.base import Array

# JAX's own kind of context: what was traced outside it is traced again inside.
_precision = jax.make_user_context(default_value="float32")


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """What layers trace inside has products of this precision, "float32" or "bfloat16".

    So have the gradients of it, wherever they are traced.
    """
    with _precision(precision):
        yield


def current() -> str:
    """The precision of the products that are being traced."""
    return _precision.value


def product(a: Array, b: Array) -> Array:
    """a @ b in the current precision; its gradients too where those that arrive are rounded."""
    return rounded(a) @ rounded(b)


def rounded(operand: Array) -> Array:
    """An operand of a product in the current precision; gradients pass as they are."""
    return operand if current() == "float32" else _nearest(operand)


def gradient_rounded(outputs: Array) -> Array:
    """What a layer's product and bias gave: the gradient that comes back to them is rounded."""
    return outputs if current() == "float32" else _same(outputs)


@jax.custom_jvp
def _nearest(x: Array) -> Array:
    # Compilers may drop a conversion there and back, but not this.
    return lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)


_nearest.defjvps(lambda tangent, _, x: tangent)


@jax.custom_vjp
def _same(x: Array) -> Array:
    return x


_same.defvjp(lambda x: (x, None), lambda _, gradient: (_nearest(gradient),))
