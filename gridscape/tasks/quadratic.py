"""The quadratic bowl: the simplest task on which an update rule shows what it does.

Nothing is random in it, so one replicate tells all.
"""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from gridscape.base.data import Split
from gridscape.base.metrics import Metric
from gridscape.base.task import Task
from gridscape.base.types import Array
from gridscape.errors import UsageError
from gridscape.identity.code import fingerprint


def quadratic(
    curvatures: tuple[float, ...] = (1.0, 25.0), *, data_dir: str | Path | None = None
) -> Task:
    """Minimize sum_i curvatures_i w_i^2 / 2 over w, the output of the model: (B, D) -> (B,).

    curvatures: positive numbers, one for each coordinate. The gradient by w_i is curvatures_i
    w_i; gradient descent converges for learning rates below 2 / max(curvatures), with momentum
    alpha below 2 (1 + alpha) / max(curvatures). The metric ``distance`` is that from the minimum.
    ``data_dir`` is taken as by every task and not needed.

    Raises UsageError for curvatures that are no positive numbers. Source: Neural Learning, Answer
    Set 3, problem 2.

    >>> task = quadratic((1.0, 4.0))
    >>> task.loss(jnp.array([[1.0, 0.5]]), task.train.targets).tolist()
    [1.0]
    """
    row = np.array([_checked(curvatures)], np.float32)
    split = Split(row, row)
    return Task(
        name="quadratic",
        train=split,
        test=split,
        input_shape=row.shape[1:],
        n_outputs=row.shape[1],
        fingerprint=fingerprint("quadratic", row),
        loss=bowl,
        metrics={"distance": Metric(distance, "lower")},
        answer=None,
    )


def bowl(outputs: Array, targets: Array) -> Array:
    """sum_i targets_i outputs_i^2 / 2: (B, D), (B, D) -> (B,)."""
    return (targets * outputs**2).sum(axis=-1) / 2


def distance(outputs: Array, targets: Array) -> Array:
    """How far from the minimum, which is at zero: (B, D), (B, D) -> (B,)."""
    return jnp.linalg.norm(outputs, axis=-1)


def _checked(curvatures: Any) -> list[float]:
    numbers = list(curvatures) if isinstance(curvatures, list | tuple) else []
    if not numbers or not all(_is_positive(number) for number in numbers):
        raise UsageError(
            "out of range",
            where="curvatures",
            expected="a list of finite numbers above 0",
            found=repr(curvatures),
        )
    return numbers


def _is_positive(number: Any) -> bool:
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    return is_number and 0 < number < float(np.finfo(np.float32).max)
