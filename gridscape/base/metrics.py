"""What a task measures, and the usual loss and metric of classes."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gridscape.base.types import Array
from gridscape.errors import UsageError, short
from gridscape.grid.meanings import OWN, Meaning, sounds_lower


@dataclass(frozen=True)
class Metric:
    """A number per example, and what it means: (outputs, targets) -> (B,).

    better: "higher" or "lower": which cells are best, and the colors, follow from it.
    unit: "fraction" for a number in [0, 1] that is shown in percent, or any other text.
    root: what is told is the square root of the mean over the examples, as of squared errors.
    of_mean: what is told is this function of the mean over the examples, where no mean of numbers
        will do: ``function`` then gives an array of each example, (B, ...), as its hits by class,
        and ``of_mean``, which JAX traces, makes one number of their mean over the set, (...) -> ().
    of_set: what is told is this function of what all examples of a set have, as their scores:
        ``function`` then gives an array of each, and ``of_set``, which JAX traces, makes one number
        of those that count, (N, ...), (N,) -> (). It has no curve of the training batches.

    Neither side nor unit is part of a trial's key: what was trained stays as it is. Raises
    UsageError for another side, another unit, and for what is no function.

    >>> Metric(lambda outputs, targets: abs(outputs - targets), better="lower", unit="pixels").unit
    'pixels'
    """

    function: Callable[[Array, Any], Array]
    better: Literal["higher", "lower"] = "higher"
    unit: str = ""
    root: bool = False
    of_mean: Callable[[Array], Array] | None = None
    of_set: Callable[[Array, Array], Array] | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            found = type(self.function).__name__
            expected = "a function (outputs, targets) -> (B,)"
            raise UsageError("not a metric", expected=expected, found=found)
        if self.of_mean is not None and (self.root or not callable(self.of_mean)):
            found = "root as well" if self.root else type(self.of_mean).__name__
            expected = "a function of the mean over the examples, (...) -> ()"
            raise UsageError("not a metric", where="of_mean", expected=expected, found=found)
        if self.of_set is not None and (self.root or self.of_mean or not callable(self.of_set)):
            found = "root or of_mean as well" if callable(self.of_set) else short(self.of_set)
            expected = "a function of all examples and which count, (N, ...), (N,) -> ()"
            raise UsageError("not a metric", where="of_set", expected=expected, found=found)
        Meaning(self.better, self.unit)

    def __call__(self, outputs: Array, targets: Any) -> Array:
        """The number of each example."""
        return self.function(outputs, targets)

    @property
    def meaning(self) -> Meaning:
        """Whether more of it is better, and its unit."""
        return Meaning(self.better, self.unit)


def declared(name: str, metric: Callable[[Array, Any], Array]) -> Metric:
    """A metric of a task; a plain function has the meaning of its name, where that is our own.

    Under any other name more is better, and there is no unit.
    """
    if isinstance(metric, Metric):
        return metric
    meaning = OWN.get(name, Meaning())
    return Metric(metric, meaning.better, meaning.unit)


def warn_of_doubt(name: str, metric: Callable[[Array, Any], Array]) -> None:
    """Warn of a plain function whose name says that less is better: more counts as better."""
    if not isinstance(metric, Metric) and name not in OWN and sounds_lower(name):
        warnings.warn(
            f"metric {name}: more of a plain function counts as better; if less is, say"
            ' gridscape.Metric(function, better="lower")',
            stacklevel=4,
        )


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
