"""What a task is made of: splits, streams without end, groups of examples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.types import Array, Key


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False, slots=True)
class Sequences:
    """Sequences of different lengths, padded to one, as NumPy arrays or on a device.

    steps: (N, T, ...). lengths: (N,), int32, from 1 to T: what stands after the end of a sequence
        is padding, zero where Gridscape made it.

    They are the inputs of a Split, and its targets where there is one a step. A model is given
    those of a batch, steps (B, T, D) and lengths (B,). Like an array they have a ``shape`` and a
    ``dtype``, those of the steps, and ``sequences[rows]`` are some of them.

    >>> x = Sequences(np.zeros((2, 4, 3), np.float32), np.array([4, 2], np.int32))
    >>> len(x), x.shape, x.is_step[1].tolist()
    (2, (2, 4, 3), [True, True, False, False])
    """

    steps: Any
    lengths: Any

    def __len__(self) -> int:
        """N."""
        return len(self.steps)

    def __getitem__(self, rows: Any) -> "Sequences":
        return Sequences(self.steps[rows], self.lengths[rows])

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the padded steps."""
        return tuple(self.steps.shape)

    @property
    def dtype(self) -> Any:
        """That of the steps."""
        return self.steps.dtype

    @property
    def is_step(self) -> Any:
        """Which steps are there, and no padding: (N, T); (T,) of one alone, under ``jax.vmap``."""
        n_before = self.lengths.ndim
        n_steps = self.shape[n_before]
        return np.arange(n_steps).reshape(*(1,) * n_before, n_steps) < self.lengths[..., None]

    def alone(self, row: int) -> Any:
        """One sequence without its padding: (T_i, ...)."""
        return self.steps[row][: int(self.lengths[row])]

    def cleared(self) -> "Sequences":
        """The same with zeros as padding, whatever stood there, NaN as well."""
        return Sequences(only_there(self.is_step, self.steps), self.lengths)


def only_there(is_step: Any, values: Any) -> Any:
    """Values (N, T, ...) where there is a step, and zeros elsewhere."""
    extra = values.ndim - is_step.ndim
    of = jnp if isinstance(values, jax.Array) else np
    return of.where(is_step.reshape(*is_step.shape, *(1,) * extra), values, values.dtype.type(0))


class Split(NamedTuple):
    """Examples and their targets, as NumPy arrays or on a device.

    inputs: (N, ...), uint8 as stored (kept so on the device) or float32; or Sequences of such.
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
