"""The learning rate over an update's place in the training, and the length of the gradient.

A schedule multiplies the update of any rule: with Adam, momentum and weight decay that is what
PyTorch's schedulers and optax do. Its numbers are traced, so that new ones compile nothing.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gridscape.base.limits import Limit
from gridscape.base.parts import Optimizer
from gridscape.base.types import Array, Hyper, Params

SHARE = Limit(ge=0, le=1)
LIMITS = {"warmup": Limit(ge=0, lt=1), "final": SHARE, "clip_norm": Limit(gt=0)}
LENGTH = "schedule_updates"  # the number of updates of the whole training, beside the numbers
START = 1 / 25  # of one-cycle


class Schedule(NamedTuple):
    """numbers: with their defaults. after: the share of the rate at the progress after warm-up."""

    numbers: Mapping[str, float]
    after: Callable[[Array, Hyper], Array]
    summary: str


def _constant(progress: Array, hyper: Hyper) -> Array:
    return jnp.ones_like(progress)


def _linear(progress: Array, hyper: Hyper) -> Array:
    return 1 - (1 - hyper["final"]) * progress


def _cosine(progress: Array, hyper: Hyper) -> Array:
    return hyper["final"] + (1 - hyper["final"]) * (1 + jnp.cos(math.pi * progress)) / 2


def _step(progress: Array, hyper: Hyper) -> Array:
    final = hyper["final"]
    return jnp.where(progress < 0.5, 1.0, jnp.where(progress < 0.75, jnp.sqrt(final), final))


SCHEDULES = {
    "constant": Schedule({"warmup": 0.0}, _constant, "the same rate to the end"),
    "linear": Schedule({"warmup": 0.0, "final": 0.0}, _linear, "falls in a line to ``final``"),
    "cosine": Schedule(
        {"warmup": 0.0, "final": 0.0},
        _cosine,
        "falls by half a cosine to ``final`` (Loshchilov and Hutter 2017, without restarts)",
    ),
    "inverse-sqrt": Schedule(
        {"warmup": 0.0},
        _constant,  # it falls by the update itself, not by the progress: see factor
        "falls as 1 / sqrt(update) after the warm-up (Vaswani et al. 2017)",
    ),
    "step": Schedule(
        {"warmup": 0.0, "final": 0.01},
        _step,
        "falls at half and at three quarters, by the root of ``final`` each (He et al. 2016)",
    ),
    "one-cycle": Schedule(
        {"warmup": 0.3, "final": 4e-6},
        _cosine,
        "rises from 1/25 and falls to ``final``, both by half a cosine (Smith and Topin 2019)",
    ),
}


def factor(schedule: str, hyper: Hyper, update: Array) -> Array:
    """What multiplies the learning rate in an update, which counts from 0.

    warmup: the share of all updates in which the rate rises in a line from 0. final: the share of
    the rate that is left at the end. One-cycle begins at 1/25 and rises by half a cosine.

    >>> numbers = {"warmup": 0.2, "final": 0.1, "schedule_updates": 10.0}
    >>> [round(float(factor("linear", numbers, u)), 3) for u in (0, 1, 2, 6, 10)]
    [0.0, 0.5, 1.0, 0.55, 0.1]
    """
    about, n = SCHEDULES[schedule], hyper[LENGTH]
    warm = hyper["warmup"] * n
    update = jnp.asarray(update, jnp.float32)
    rise = update / jnp.maximum(warm, 1e-9)
    if schedule == "one-cycle":
        rise = START + (1 - START) * (1 - jnp.cos(math.pi * rise)) / 2
    if schedule == "inverse-sqrt":
        first = jnp.maximum(warm, 1.0)
        fall = jnp.sqrt(first / jnp.maximum(update, first))
    else:
        fall = about.after((update - warm) / (n - warm), hyper)
    return jnp.where(update < warm, rise, fall)


def clipped(grads: Params, clip_norm: Any) -> Params:
    """A gradient that is longer than ``clip_norm``, over all arrays, made that long.

    As torch.nn.utils.clip_grad_norm_ and optax.clip_by_global_norm, without their overflow: the
    squares of large numbers are taken relative to the largest.
    """
    leaves = jax.tree.leaves(grads)
    largest = jnp.stack([jnp.abs(leaf).max(initial=0.0) for leaf in leaves]).max()
    unit = jnp.where(largest > 0, largest, 1.0)
    norm = jnp.sqrt(sum(((leaf / unit) ** 2).sum() for leaf in leaves))  # in units of the largest
    is_long = norm > clip_norm / unit
    return jax.tree.map(lambda g: jnp.where(is_long, g / unit * (clip_norm / norm), g), grads)


def scheduled(optimizer: Optimizer, schedule: str) -> Optimizer:
    """The rule with a schedule of its rate, whose numbers join its own."""
    numbers = SCHEDULES[schedule].numbers
    return optimizer._replace(
        hyperparameters={**optimizer.hyperparameters, **numbers},
        limits={**optimizer.limits, **{name: LIMITS[name] for name in numbers}},
        schedule=_FACTORS[schedule],
    )


def clipping(optimizer: Optimizer) -> Optimizer:
    """The rule for gradients that are clipped to the number ``clip_norm``."""
    return optimizer._replace(
        hyperparameters={**optimizer.hyperparameters, "clip_norm": 1.0},
        limits={**optimizer.limits, "clip_norm": LIMITS["clip_norm"]},
        clips=True,
    )


# Made once, since trials share a program where their functions are the same objects.
_FACTORS = {name: partial(factor, name) for name in SCHEDULES}
