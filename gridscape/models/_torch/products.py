"""Products of arrays, linear layers and attention among them."""

from typing import Any

import jax.numpy as jnp

from gridscape.base.types import Array
from gridscape.models._torch.registry import (
    aligned,
    of_rank,
    translates,
)
from gridscape.models.precision import gradient_rounded, product, rounded


@translates("matmul", "mm", "bmm", "imatmul", "mv")
def matmul(input: Array, other: Array) -> Array:
    """input @ other, the lower rank with leading dimensions of 1."""
    if min(input.ndim, other.ndim) > 2 and input.ndim != other.ndim:
        rank = max(input.ndim, other.ndim)
        input, other = of_rank(input, rank), of_rank(other, rank)
    return gradient_rounded(product(input, other))


@translates("dot", "inner")
def _dot(input: Array, other: Array) -> Array:
    return matmul(input, other)


@translates("addmm")
def _addmm(input: Array, mat1: Array, mat2: Array, beta: float = 1, alpha: float = 1) -> Array:
    return aligned(jnp.add, beta * input, alpha * matmul(mat1, mat2))


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
    return found if bias is None else aligned(jnp.add, found, bias)


@translates("linear")
def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """input @ weight.T + bias, over any leading dimensions."""
    outputs = product(input, weight.T)
    return gradient_rounded(outputs if bias is None else aligned(jnp.add, outputs, bias))
