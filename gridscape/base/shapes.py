"""What functions give, told by shapes alone: nothing is computed and no device is started."""

from collections.abc import Callable
from typing import Any

import jax

from gridscape.base.data import Sequences
from gridscape.base.foreign import of_others
from gridscape.errors import UsageError, one_line


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

    Sequences stand for their steps.

    Raises whatever the function raises.
    """
    others: list[str] = []

    def call(*arguments: Any) -> Any:
        found = function(*arguments)
        if isinstance(found, jax.Array | Sequences):
            return found
        others.append(type(found).__name__)
        return None

    shape = jax.eval_shape(call, *arguments)
    return others[0] if others else shape


def prepared(prepare: Callable[[Any], Any], inputs: Any, where: str) -> Any:
    """The shape of stored inputs (N, ...) as a model reads them, (B, *input_shape).

    Raises UsageError where ``prepare`` raises or gives anything else.
    """
    n_examples = 1 + max(dimensions(inputs), default=0)
    what, expected = "prepare does not fit the inputs", "an array (B, *input_shape)"
    try:
        with of_others():
            found = given(prepare, batch_of(n_examples, inputs))
    except Exception as error:  # a user's function may raise anything
        raise UsageError(what, where=where, expected=expected, found=one_line(error)) from error
    if isinstance(found, str) or found.shape[:1] != (n_examples,):
        raise UsageError(what, where=where, expected=expected, found=told(found, n_examples))
    if len(found.shape) == 1:
        raise UsageError(
            "inputs without features",
            where=where,
            expected="(B, features) or more dimensions",
            found="(B)",
            hint="inputs[:, None] makes one feature of each number",
        )
    return found


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
