"""How well each class is found: metrics and a loss that do not let the largest class rule.

Recall of each class, balanced accuracy and macro F1 are made of counts over the whole set; only a
curve of training has those of each batch, NaN where a batch lacks the class. Sources: Brodersen et
al. 2010, "The balanced accuracy and its posterior distribution"; Opitz and Burst 2019, "Macro F1
and macro F1".
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.metrics import Metric, cross_entropy
from gridscape.base.types import Array
from gridscape.errors import UsageError, check_known, short
from gridscape.grid.meanings import FRACTION

BALANCED = "balanced"


def counts(outputs: Array, targets: Array) -> Array:
    """Of each example by class, 1 where it is found, is that class, is answered: (B, 3, C)."""
    n_classes = outputs.shape[-1]
    answered = jax.nn.one_hot(jnp.argmax(outputs, axis=-1), n_classes)
    is_class = jax.nn.one_hot(targets, n_classes)
    return jnp.stack([answered * is_class, is_class, answered], axis=-2)


def mean_recall(counted: Array) -> Array:
    """The recall of a class, the mean over the classes that the set has: (3, C) -> ().

    >>> float(mean_recall(jnp.array([[3.0, 1.0, 0.0], [4.0, 4.0, 0.0], [5.0, 2.0, 1.0]])))
    0.5
    """
    found, are, _ = counted
    return jnp.nanmean(_ratio(found, are))


def mean_f1(counted: Array) -> Array:
    """F1 of a class, the mean over the classes that the set has or that are answered: -> ()."""
    found, are, answered = counted
    return jnp.nanmean(_ratio(2 * found, are + answered))


def _ratio(part: Array, whole: Array) -> Array:
    """A part of a whole; NaN where there is none."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), jnp.nan)


def f1_of_second(counted: Array) -> Array:
    """F1 of the second of two classes; NaN where it neither is there nor is answered: -> ()."""
    found, are, answered = counted[:, 1]
    return _ratio(2 * found, are + answered)


balanced_accuracy = Metric(counts, "higher", FRACTION, of_mean=mean_recall)
macro_f1 = Metric(counts, "higher", FRACTION, of_mean=mean_f1)
f1 = Metric(counts, "higher", FRACTION, of_mean=f1_of_second)


@cache  # one function for one class: other ones would be compiled again
def recall(place: int) -> Metric:
    """The share of the examples of a class that are found; NaN of a set without any."""

    def found(outputs: Array, targets: Array) -> Array:
        is_class = targets == place
        return jnp.stack([is_class & (jnp.argmax(outputs, axis=-1) == place), is_class], axis=-1)

    return Metric(found, "higher", FRACTION, of_mean=_recall)


def _recall(found: Array) -> Array:
    return _ratio(found[0], found[1])


def recalls(names: Sequence[str]) -> dict[str, Metric]:
    """The recall of every class by its name, as a metric may be called.

    >>> list(recalls(["cat", "km/h"]))
    ['recall_cat', 'recall_km_h']
    """
    called = [f"recall_{''.join(c if c.isprintable() else ' ' for c in n)}" for n in names]
    called = [name.replace("/", "_").strip() for name in called]
    if len(set(called)) < len(names):
        called = [f"recall_{place}" for place in range(len(names))]
    return {name: recall(place) for place, name in enumerate(called)}


# What answering the most frequent class always gives, by the shares of the classes, (C,).
GUESSED: Mapping[Any, Callable[[np.ndarray], float]] = {
    mean_recall: lambda shares: 1 / np.count_nonzero(shares),
    mean_f1: lambda shares: 2 * shares.max() / (1 + shares.max()) / np.count_nonzero(shares),
    _recall: lambda shares: 0.0,  # whichever class is answered is found
    f1_of_second: lambda shares: 2 * shares[1] / (1 + shares[1]) if shares.argmax() else 0.0,
}


def class_weights(
    given: str | Sequence[float] | Mapping[str, float], shares: np.ndarray, names: Sequence[str]
) -> tuple[float, ...]:
    """The weight of each class, whose mean over the training examples is 1.

    given: "balanced", which gives every class the same part in the loss, or numbers from 0, in the
    order of the classes or by their names (1 of others). shares: of the classes in the training
    part, (C,). With the mean of 1, a network that answers all classes alike has the loss ln C
    whatever the weights are, and learning rates keep their meaning.

    Raises UsageError for other numbers than there are classes, and for names that are none.

    >>> class_weights("balanced", np.array([0.8, 0.2]), ["no", "yes"])
    (0.625, 2.5)
    """
    raw = np.asarray(_raw(given, shares, names), np.float64)
    mean = float(raw @ shares)
    if not mean > 0:
        expected = "a weight above 0 of some class in the training part"
        raise UsageError("out of range", where="class_weights", expected=expected, found=given)
    return tuple(float(np.float32(weight)) for weight in raw / mean)


def _raw(given: Any, shares: np.ndarray, names: Sequence[str]) -> Sequence[float]:
    if given == BALANCED:
        return [1 / share if share else 1.0 for share in shares.tolist()]
    if isinstance(given, Mapping):
        for name in given:
            check_known("class", name, names, where="class_weights")
        return [given.get(name, 1.0) for name in names]
    if len(given) != len(names):
        expected, found = f"a number for each of {len(names)} classes", short(given)
        raise UsageError("wrong length", where="class_weights", expected=expected, found=found)
    return given


@cache  # one loss for the same weights: another one would be compiled again
def weighted(weights: tuple[float, ...]) -> Callable[[Array, Array], Array]:
    """Softmax cross-entropy times the weight of the example's class: (B, C), (B,) -> (B,)."""
    of_class = np.array([weights], np.float32)

    def weighted_cross_entropy(outputs: Array, targets: Array) -> Array:
        weight = (jax.nn.one_hot(targets, len(weights)) * of_class).sum(axis=-1)
        return weight * cross_entropy(outputs, targets)

    return weighted_cross_entropy
