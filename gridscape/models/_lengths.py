"""Layers over sequences of different lengths: each is read to its own end, padding changes nothing.

Nothing after a step reaches it in a pass from the start. So the padded batch runs through the same
loops as any other, and what stands after an end is left out of what is read. A pass from the end
begins at each sequence's own end: the sequences are reversed within their lengths.
"""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from gridscape.base.data import Sequences
from gridscape.base.types import Array


@jax.custom_vjp
def reversed_within(
    values: Float[Array, "T B D"], lengths: Int[Array, " B"]
) -> Float[Array, "T B D"]:
    """Each sequence from its end to its start; its padding stays where it is."""
    steps = jnp.arange(len(values))[:, None]
    is_step = steps < lengths[None, :]
    source = jnp.where(is_step, lengths[None, :] - 1 - steps, steps)
    return jnp.take_along_axis(values, source[:, :, None], axis=0, mode="promise_in_bounds")


def _forward(values: Array, lengths: Array) -> tuple[Array, Array]:
    return reversed_within(values, lengths), lengths


def _backward(lengths: Array, dvalues: Array) -> tuple[Array, np.ndarray]:
    # Reversed twice is as before; JAX would scatter, which takes longer than a gather.
    return reversed_within(dvalues, lengths), np.zeros(lengths.shape, jax.dtypes.float0)


reversed_within.defvjp(_forward, _backward)


def at_last(values: Float[Array, "T B H"], lengths: Int[Array, " B"]) -> Float[Array, "B H"]:
    """What stands at the last step of each sequence."""
    is_last = jnp.arange(len(values))[:, None] == lengths[None, :] - 1
    # By a sum of zeros and one number: a gather's gradient scatters.
    return jnp.where(is_last[:, :, None], values, 0).sum(axis=0)


class ReadingLengths:
    """``apply`` of a model for inputs of one length, and beside it for Sequences.

    In keys it is the former alone: a model that learned to read lengths is the model that it was.
    """

    def __init__(self, apply: Callable[..., Array], to_sequences: Callable[..., Array]) -> None:
        update_wrapper(self, apply)
        self._apply, self._to_sequences = apply, to_sequences

    def __call__(self, params: Any, inputs: Any, key: Any, hyper: Any) -> Array:
        """The outputs, (B, C) or (B, T, C)."""
        apply = self._to_sequences if isinstance(inputs, Sequences) else self._apply
        return apply(params, inputs, key, hyper)
