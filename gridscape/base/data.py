"""What a task is made of: splits, streams without end, groups of examples."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from gridscape.base.types import Array, Key


class Split(NamedTuple):
    """Examples and their targets, as NumPy arrays or on a device.

    inputs: (N, ...), uint8 as stored (kept so on the device) or float32.
    targets: (N,), int32 class labels, or whatever the loss and the metrics of the task read: a
        pytree of arrays (N, ...).
    """

    inputs: Any
    targets: Any

    @property
    def n_examples(self) -> int:
        """N."""
        return len(self.inputs)


class Stream(NamedTuple):
    """Training examples without end, made on the device.

    ``draw(key, batch_size)`` returns a fresh batch; it is traced by JAX, batch_size static.
    ``sample`` holds fixed examples of the same kind, on which train metrics are computed.
    """

    draw: Callable[[Key, int], Split]
    sample: Split


class Groups(NamedTuple):
    """Kinds of examples for which every metric is also told apart, as the length of a sequence.

    ``of(targets)`` gives the kind of each example, (B,), as an index into ``values``.
    """

    name: str
    values: tuple[int, ...]
    of: Callable[[Any], Array]


def as_float(inputs: Array) -> Array:
    """Stored inputs as the model reads them: uint8 pixels become fractions in [0, 1]."""
    if inputs.dtype == jnp.uint8:
        return inputs.astype(jnp.float32) / 255
    return inputs
