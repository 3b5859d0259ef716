"""Losses that the kernels have, known by what JAX traces of a function, maybe a user's own."""

from collections.abc import Callable, Mapping
from typing import Any

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


def loss_of_numbers(loss: Loss, shape: tuple[int, ...]) -> str | None:
    """The loss among LOSSES that this one is, of outputs and targets of one shape (B, K)."""
    if len(shape) != 2:
        return None
    return _known(loss, OF_NUMBERS, *(jax.ShapeDtypeStruct(shape, jnp.float32),) * 2)


def loss_of_answers(loss: Loss, outputs: tuple[int, ...], targets: Any) -> str | None:
    """The loss among SEQUENCE_LOSSES that this one is, of outputs (B, C), or (B, T, C).

    targets: classes (N,), to the former; ``Asked`` or ``Bits``, to the latter.
    """
    forms, rank = OF_CLASSES, 2
    if isinstance(targets, Asked | Bits):
        forms, rank = (OF_ASKED if isinstance(targets, Asked) else OF_BITS), 3
    elif not isinstance(targets, jax.Array) or targets.ndim != 1:
        return None
    if len(outputs) != rank:
        return None
    own = jax.tree.map(lambda x: jax.ShapeDtypeStruct((outputs[0], *x.shape[1:]), x.dtype), targets)
    return _known(loss, forms, jax.ShapeDtypeStruct(outputs, jnp.float32), own)


def targets_and_lengths(targets: Any) -> tuple[Array, Array]:
    """As the call reads them: (N, 1) or (N, T); (N,), or (0,) where all answers count."""
    if isinstance(targets, Asked):
        return targets.item[:, None], targets.length
    if isinstance(targets, Bits):
        return targets.bits, targets.length + 1
    return targets[:, None], jnp.zeros(0, jnp.int32)


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
