"""Update rules, and what goes around any of them: schedules of the rate, clipping of the gradient.

``NAMES`` says where each named rule is made; "optax:lion" is the rule of that name of optax.
"""

from gridscape.optimizers.rules import (
    LIMITS,
    adagrad,
    adagrad_pytorch,
    adam,
    adamw,
    fixed,
    momentum,
    nesterov,
    rmsprop,
    rmsprop_pytorch,
    sgd,
)

__all__ = [
    "LIMITS",
    "NAMES",
    "adagrad",
    "adagrad_pytorch",
    "adam",
    "adamw",
    "fixed",
    "momentum",
    "nesterov",
    "rmsprop",
    "rmsprop_pytorch",
    "sgd",
]

NAMES = {
    "sgd": "gridscape.optimizers.rules:sgd",
    "momentum": "gridscape.optimizers.rules:momentum",
    "nesterov": "gridscape.optimizers.rules:nesterov",
    "adagrad": "gridscape.optimizers.rules:adagrad",
    "adagrad-pytorch": "gridscape.optimizers.rules:adagrad_pytorch",
    "rmsprop": "gridscape.optimizers.rules:rmsprop",
    "rmsprop-pytorch": "gridscape.optimizers.rules:rmsprop_pytorch",
    "adam": "gridscape.optimizers.rules:adam",
    "adamw": "gridscape.optimizers.rules:adamw",
}
