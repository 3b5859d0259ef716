"""Losses that the kernels have, known by what JAX traces of a function, maybe a user's own."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gridscape.base.metrics import cross_entropy
from gridscape.base.regression import mse
from gridscape.base.types import Array
from gridscape.tasks import losses
from gridscape.tasks.losses import Bits
from gridscape.tasks.sequences import Asked, at_last_step

Loss = Callable[[Array, Any], Array]
Forms = Mapping[str, tuple[Loss, ...]]

# Ways to write each loss of kernels/tables.py.
OF_NUMBERS: Forms = {
    "squared_error": (
        lambda outputs, targets: ((outputs - targets) ** 2).sum(axis=-1),
        lambda outputs, targets: jnp.square(outputs - targets).sum(axis=-1),
    ),
    "mean_squared_error": (
        mse,
        lambda outputs, targets: jnp.square(outputs - targets).mean(axis=-1),
    ),
}
OF_CLASSES: Forms = {"cross_entropy": (cross_entropy,)}
OF_ASKED: Forms = {"cross_entropy": (at_last_step(cross_entropy),)}
OF_BITS: Forms = {
    name: (getattr(losses, name),) for name in ("bce", "mse", "mse_raw", "time_softmax")
}


class Answers(NamedTuple):
    """A loss of kernels/tables.py, and targets and lengths as its call reads them."""

    name: str
    targets: Array
    lengths: Array


def loss_of_numbers(loss: Loss, shape: tuple[int, ...]) -> str | None:
    """The loss among LOSSES that this one is, of outputs and targets of one shape (B, K)."""
    if len(shape) != 2:
        return None
    return _known(loss, OF_NUMBERS, *(jax.ShapeDtypeStruct(shape, jnp.float32),) * 2)


def loss_of_answers(loss: Loss, outputs: tuple[int, ...], targets: Any) -> Answers | None:
    """The loss among SEQUENCE_LOSSES that this one is, of outputs (B, [T,] C) of sequences.

    targets: of all examples.
    """
    own = jax.tree.map(lambda x: jax.ShapeDtypeStruct((outputs[0], *x.shape[1:]), x.dtype), targets)
    forms, none = OF_CLASSES, jnp.zeros(0, jnp.int32)
    given, lengths = targets, none
    if isinstance(targets, Asked):
        forms, given, lengths = OF_ASKED, targets.item, targets.length
    elif isinstance(targets, Bits):
        forms, given, lengths = OF_BITS, targets.bits, targets.length + 1
    is_class = isinstance(given, jax.Array) and given.ndim == 1
    if not is_class and not isinstance(targets, Bits):
        return None
    name = _known(loss, forms, jax.ShapeDtypeStruct(outputs, jnp.float32), own)
    if name is None:
        return None
    return Answers(name, given[:, None] if is_class else given, lengths)


def _known(loss: Loss, forms: Forms, *shapes: Any) -> str | None:
    """The loss of which this one has the very operations."""
    for name, known in forms.items():
        if loss in known:
            return name
    traced = jax.make_jaxpr(loss)(*shapes)
    if traced.consts:
        return None
    text = str(traced)
    for name, known in forms.items():
        if any(str(jax.make_jaxpr(form)(*shapes)) == text for form in known):
            return name
    return None
