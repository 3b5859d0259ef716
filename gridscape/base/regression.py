"""Numbers as targets: losses, and errors in the unit of the target.

Targets are (N, K) float32, standardized by the training part; so are the outputs, (B, K).
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from gridscape.base.metrics import Metric
from gridscape.base.types import Array


def mse(outputs: Array, targets: Array) -> Array:
    """The squared error, the mean over the outputs: (B, K), (B, K) -> (B,)."""
    return ((outputs - targets) ** 2).mean(axis=-1)


def mae(outputs: Array, targets: Array) -> Array:
    """The absolute error, the mean over the outputs: (B, K), (B, K) -> (B,)."""
    return jnp.abs(outputs - targets).mean(axis=-1)


def huber(outputs: Array, targets: Array) -> Array:
    """Half the squared error up to 1, linear beyond, over standardized targets: (B, K) -> (B,).

    >>> huber(jnp.array([[0.5], [3.0]]), jnp.zeros((2, 1))).tolist()
    [0.125, 2.5]
    """
    error = jnp.abs(outputs - targets)
    return jnp.where(error <= 1, error**2 / 2, error - 0.5).mean(axis=-1)


@cache  # one set of functions for one scale: other ones would be compiled again
def errors_of(scale: tuple[float, ...], unit: str) -> Mapping[str, Metric]:
    """The metrics of numbers whose standardized values are multiplied by ``scale`` to be shown.

    rmse: the root of the mean squared error, in the unit; mae: the mean absolute error, in the
    unit; r2: 1 less the squared error over the variance of the training targets, so that 0 is what
    their mean, answered always, would give, and 1 is no error. Over several outputs each is a mean.
    """
    factor: Any = np.array([scale], np.float32)

    def squared(outputs: Array, targets: Array) -> Array:
        return mse(factor * outputs, factor * targets)

    def absolute(outputs: Array, targets: Array) -> Array:
        return mae(factor * outputs, factor * targets)

    return {
        "rmse": Metric(squared, "lower", unit, root=True),
        "mae": Metric(absolute, "lower", unit),
        "r2": Metric(explained, "higher"),
    }


def explained(outputs: Array, targets: Array) -> Array:
    """1 less the squared error of standardized numbers, of each example: (B, K) -> (B,)."""
    return 1 - mse(outputs, targets)
