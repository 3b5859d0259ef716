"""What functions give, told by shapes alone: nothing is computed and no device is started."""

from collections.abc import Callable
from typing import Any

import jax


def batch_of(n_examples: int, arrays: Any) -> Any:
    """The shapes of so many examples, of a pytree of arrays (N, ...)."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(
            (n_examples, *x.shape[1:]), jax.dtypes.canonicalize_dtype(x.dtype)
        ),
        arrays,
    )


def given(function: Callable[..., Any], *arguments: Any) -> Any:
    """The shape that a function gives for these, or the name of a type that is no array of JAX.

    Raises whatever the function raises.
    """
    others: list[str] = []

    def call(*arguments: Any) -> Any:
        found = function(*arguments)
        if isinstance(found, jax.Array):
            return found
        others.append(type(found).__name__)
        return None

    shape = jax.eval_shape(call, *arguments)
    return others[0] if others else shape


def dimensions(*shapes: Any) -> list[int]:
    """Every dimension but the first of pytrees of arrays (N, ...)."""
    return [n for x in jax.tree.leaves(shapes) for n in x.shape[1:]]


def told(found: Any, n_examples: int) -> str:
    """What ``given`` found, in words; B stands for the number of examples.

    >>> import jax.numpy as jnp
    >>> told(jax.ShapeDtypeStruct((7, 3), jnp.float32), 7), told("NoneType", 7)
    ('float32 of shape (B, 3)', 'NoneType')
    """
    if isinstance(found, str):
        return found
    return f"{found.dtype} of shape {lettered(found.shape, n_examples)}"


def lettered(shape: tuple[int, ...], n_examples: int) -> str:
    """A shape as it is written, with B for the number of examples."""
    return f"({', '.join('B' if n == n_examples else str(n) for n in shape)})"
