"""Update rules: thin factories over optax whose numbers may be traced.

An optimizer is made anew inside the compiled program from the trial's own numbers, so that trials
with different learning rates share the program.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import optax

from gridscape.base import Hyper, Optimizer
from gridscape.errors import UsageError

NAMES = {
    "adam": "gridscape.optimizers:adam",
    "sgd": "gridscape.optimizers:sgd",
}


def adam() -> Optimizer:
    """Adam (Kingma and Ba 2015, Algorithm 1), with b1 0.9, b2 0.999, eps 1e-8 unless set.

    eps stands outside the root of the bias-corrected second moment, as in the paper and PyTorch;
    TensorFlow 1 adds it before the correction, which differs only where gradients are near eps.
    """

    def make(hyper: Hyper) -> optax.GradientTransformation:
        return optax.adam(hyper["learning_rate"], hyper["b1"], hyper["b2"], hyper["eps"])

    return Optimizer(make, {"learning_rate": 1e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-8})


def sgd() -> Optimizer:
    """Stochastic gradient descent: params <- params - learning_rate * gradient."""
    return Optimizer(lambda hyper: optax.sgd(hyper["learning_rate"]), {"learning_rate": 1e-2})


Check = Callable[[float], bool]

# What a traced number may be, whichever part reads it.
LIMITS: Mapping[str, tuple[Check, str]] = {
    "learning_rate": (lambda v: 0 < v < math.inf, "a finite number above 0"),
    "b1": (lambda v: 0 <= v < 1, "a number in [0, 1)"),
    "b2": (lambda v: 0 <= v < 1, "a number in [0, 1)"),
    "eps": (lambda v: 0 < v < math.inf, "a finite number above 0"),
    "init_scale": (lambda v: 0 <= v < math.inf, "a finite number from 0"),
}


def check_number(name: str, value: object, *, where: object = None) -> None:
    """Raise UsageError unless ``value`` is a number that the hyperparameter ``name`` may take.

    What counts is the number as float32, with which networks are trained.
    """
    allowed, words = LIMITS.get(name, (math.isfinite, "a finite number"))
    found = repr(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        trained = _float32(value)
        number = value if math.isfinite(trained) else trained  # a huge int is no float at all
        if allowed(number) and allowed(trained):
            return
        too_large = isinstance(value, int) and math.isinf(trained)
        if too_large or (isinstance(value, float) and allowed(value)):
            found += f", which is {trained} as float32"
    raise UsageError("out of range", where=where or name, expected=words, found=found)


def _float32(value: float) -> float:
    """The value as networks are trained with it; infinite where it is too large."""
    try:
        with np.errstate(over="ignore", under="ignore"):
            return float(np.float32(value))
    except OverflowError:
        return math.inf
