"""What a training may add to any rule: clipped or noisy gradients, smoothed labels, an average.

Each reads traced numbers of its own, and is there where a study names one of them.
"""

from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.limits import Limit
from gridscape.base.metrics import cross_entropy
from gridscape.base.parts import Optimizer
from gridscape.base.per_step import over_steps
from gridscape.base.types import Array, Hyper, Key, Params
from gridscape.kernels.threefry import quick
from gridscape.optimizers import schedules

NOISE = 0x6E6F6973  # tells the random numbers of the noise from those of dropout


class Extra(NamedTuple):
    """flag: the field of an Optimizer that says it. numbers: that it reads, with their defaults."""

    flag: str
    numbers: Mapping[str, float]
    limits: Mapping[str, Limit]


EXTRAS = (
    Extra("clips", {"clip_norm": 1.0}, {"clip_norm": schedules.LIMITS["clip_norm"]}),
    Extra("smooths", {"label_smoothing": 0.0}, {"label_smoothing": Limit(ge=0, lt=1)}),
    Extra(
        "noisy",
        {"gradient_noise": 0.01, "gradient_noise_decay": 0.55},
        {"gradient_noise": Limit(ge=0), "gradient_noise_decay": Limit(ge=0)},
    ),
    Extra("averages", {"ema": 0.999}, {"ema": Limit(ge=0, lt=1)}),
)
LIMITS = {name: limit for extra in EXTRAS for name, limit in extra.limits.items()}


def named(names: Collection[str], own: Collection[str]) -> tuple[Extra, ...]:
    """Those of which a number is named; ``own`` are numbers that the model reads itself."""
    asked = {*names} - {*own}
    return tuple(extra for extra in EXTRAS if asked & {*extra.numbers})


def extended(optimizer: Optimizer, extra: Extra) -> Optimizer:
    """The rule with this beside it; one that reads such numbers itself does it itself."""
    if {*extra.numbers} & {*optimizer.hyperparameters}:
        return optimizer
    flag: dict[str, Any] = {extra.flag: True}
    return optimizer._replace(
        hyperparameters={**optimizer.hyperparameters, **extra.numbers},
        limits={**optimizer.limits, **extra.limits},
        **flag,
    )


def flags(optimizer: Optimizer) -> list[str]:
    """What is done beside a rule, by name."""
    return [extra.flag for extra in EXTRAS if getattr(optimizer, extra.flag)]


def with_noise(grads: Params, key: Key, hyper: Hyper, update: Array) -> Params:
    """Gradients with normal noise, of variance gradient_noise / (1 + update) ** decay.

    update: counted from 0. key: of this update. Source: Neelakantan et al. 2015, "Adding gradient
    noise improves learning for very deep networks", whose eta and gamma these are.
    """
    age = 1 + jnp.asarray(update, jnp.float32)
    size = jnp.sqrt(hyper["gradient_noise"] / age ** hyper["gradient_noise_decay"])
    leaves, tree = jax.tree.flatten(grads)
    keys = jax.random.split(jax.random.fold_in(quick(key), NOISE), len(leaves))
    noisy = [g + size * jax.random.normal(k, g.shape) for g, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, noisy)


def averaged(average: Params, params: Params, decay: Any, update: Array) -> Params:
    """The moving average after an update, counted from 0: the parameters themselves at first.

    As torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn(decay). A decay of 0 gives the
    parameters, bit for bit.
    """
    kept = jnp.where(update > 0, decay, 0.0)
    return jax.tree.map(lambda a, p: kept * a + (1 - kept) * p, average, params)


@cache  # one function for the same weights: another one would be compiled again
def smoothed(
    loss: Callable[[Array, Array], Array], weights: tuple[float, ...] | None
) -> Callable[[Array, Array, Any], Array]:
    """Cross-entropy with smoothed labels, as torch.nn.CrossEntropyLoss has it: -> (B,).

    ``loss`` is the cross-entropy itself, with these weights of classes. The share ``amount`` of
    each label is divided among all classes alike. (Szegedy et al. 2016.)
    """

    of_class = 1.0 if weights is None else np.array([weights], np.float32)

    def smoothed_cross_entropy(outputs: Array, targets: Array, amount: Any) -> Array:
        # -log p of any class is that of the target and how far its output is below the target's:
        # no second softmax.
        is_target = jax.nn.one_hot(targets, outputs.shape[-1], dtype=bool)
        own = jnp.where(is_target, outputs, 0).sum(axis=-1, keepdims=True)
        of_all = (of_class * (own - outputs)).mean(axis=-1)
        of_all += np.mean(of_class) * cross_entropy(outputs, targets)
        return (1 - amount) * loss(outputs, targets) + amount * of_all

    return smoothed_cross_entropy


@cache
def smoothed_over_steps(weights: tuple[float, ...] | None) -> Callable[[Any, Any, Any], Array]:
    """The same of answers at every step, the mean over the steps that are there: -> (B,)."""
    smooth = smoothed(cross_entropy, weights)

    def of_sequences(outputs: Array, targets: Any, amount: Any) -> Array:
        return over_steps.__wrapped__(lambda o, t: smooth(o, t, amount))(outputs, targets)

    return of_sequences
