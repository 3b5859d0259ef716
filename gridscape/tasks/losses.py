"""Losses that a study may choose by name: for classes, for numbers, for bits.

A loss is a function (outputs, targets) -> (B,), one number per example. Those for numbers are in
base/regression.py; ``mse`` is for both. Those for bits read the outputs (B, T, 1) of every step and
``Bits``; each counts the steps that are no padding only.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gridscape.base import regression
from gridscape.base.metrics import cross_entropy
from gridscape.base.types import Array

NAMES = {
    "cross_entropy": "gridscape.base.metrics:cross_entropy",
    "squared_error": "gridscape.tasks.losses:squared_error",
    "bce": "gridscape.tasks.losses:bce",
    "mse": "gridscape.tasks.losses:mse",
    "time_softmax": "gridscape.tasks.losses:time_softmax",
    "mae": "gridscape.base.regression:mae",
    "huber": "gridscape.base.regression:huber",
    "mse_raw": "gridscape.tasks.losses:mse_raw",
}


class Bits(NamedTuple):
    """The bits of whole numbers, least significant first, one a step.

    bits: (B, T), 0 or 1, and 0 in the padding. length: (B,), bits of the numbers that were added;
    their sum has one more, so that the first length + 1 steps count.
    """

    bits: Array
    length: Array


def squared_error(outputs: Array, targets: Array) -> Array:
    """The squared error of outputs and one-hot targets, summed over classes: (B, C), (B,) -> (B,).

    Source: Neural Learning, Answer Set 3, section 1.2.1.

    >>> squared_error(jnp.array([[0.5, 0.0]]), jnp.array([1])).tolist()
    [1.25]
    """
    one_hot = jax.nn.one_hot(targets, outputs.shape[-1])
    return ((outputs - one_hot) ** 2).sum(axis=-1)


def bce(outputs: Array, targets: Bits) -> Array:
    """Binary cross-entropy of each bit under the sigmoid, in nats: (B, T, 1), Bits -> (B,).

    The mean over the steps that count; finite for outputs of any size.
    """
    return mean_over_steps(
        optax.losses.sigmoid_binary_cross_entropy(*_paired(outputs, targets)), targets
    )


def mse(outputs: Array, targets: Any) -> Array:
    """The squared error: of numbers (B, K), the mean over K; of bit and sigmoid, over the steps.

    (B, K), (B, K) -> (B,), or (B, T, 1), Bits -> (B,).
    """
    if not isinstance(targets, Bits):
        return regression.mse(outputs, targets)
    raw, bits = _paired(outputs, targets)
    return mean_over_steps((jax.nn.sigmoid(raw) - bits) ** 2, targets)


def mse_raw(outputs: Array, targets: Bits) -> Array:
    """The squared error of bit and raw output, the mean over the steps: (B, T, 1), Bits -> (B,).

    Bits are 0 and 1 here as well, and are read off above 0 as with the other losses, not above
    1/2: so it was published (EE6123 Deep Learning, Assignment 3, question 3).
    """
    raw, bits = _paired(outputs, targets)
    return mean_over_steps((raw - bits) ** 2, targets)


def time_softmax(outputs: Array, targets: Bits) -> Array:
    """Cross-entropy of a softmax over the STEPS of the sigmoid outputs: (B, T, 1), Bits -> (B,).

    The target is the step of the lowest bit that is set, 0 where the sum is 0; nats. The "cross
    entropy" of EE6123 Deep Learning, Assignment 3, question 3: it does not look at other bits.
    """
    raw, bits = _paired(outputs, targets)
    logits = jnp.where(counted(targets), jax.nn.sigmoid(raw), -jnp.inf)
    return cross_entropy(logits, jnp.argmax(bits, axis=-1))


def counted(targets: Bits) -> Array:
    """Which steps are no padding: (B, T)."""
    return jnp.arange(targets.bits.shape[1])[None, :] <= targets.length[:, None]


def mean_over_steps(values: Array, targets: Bits) -> Array:
    """The mean over the steps that count: (B, T) -> (B,)."""
    return jnp.where(counted(targets), values, 0).sum(axis=-1) / (targets.length + 1)


def _paired(outputs: Array, targets: Bits) -> tuple[Array, Array]:
    """Raw outputs and bits, both (B, T) float32."""
    return outputs[..., 0], targets.bits.astype(jnp.float32)
