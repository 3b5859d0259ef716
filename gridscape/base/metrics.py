"""The usual loss and metric of classes."""

from typing import Any

import jax
import jax.numpy as jnp

from gridscape.base.types import Array


def cross_entropy(outputs: Array, targets: Array) -> Array:
    """Softmax cross-entropy of each example in nats: (B, C), (B,) -> (B,)."""
    # The target's output is chosen by a sum: a gather, whose gradient scatters, takes longer than
    # all else here.
    shifted = outputs - jax.lax.stop_gradient(outputs.max(axis=-1, keepdims=True))
    is_target = jax.nn.one_hot(targets, outputs.shape[-1], dtype=bool)
    of_target = jnp.where(is_target, shifted, 0).sum(axis=-1)
    of_target = jnp.where(is_target.any(axis=-1), of_target, jnp.nan)  # no such class
    return jnp.log(jnp.exp(shifted).sum(axis=-1)) - of_target


def accuracy(outputs: Array, targets: Array) -> Array:
    """1.0 where the largest output is the target, else 0.0: (B, C), (B,) -> (B,)."""
    return (jnp.argmax(outputs, axis=-1) == targets).astype(jnp.float32)


def targets_themselves(targets: Any) -> Any:
    """What is right where the targets say nothing else: (B,) -> (B,)."""
    return targets


def top_class(outputs: Array, targets: Any) -> Array:
    """The class that each example is given: (B, C) -> (B,)."""
    return jnp.argmax(outputs, axis=-1)
