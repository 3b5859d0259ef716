"""Metrics of how answers are ordered and how sure they are: top-k accuracy, AUC, perplexity.

The area under the ROC curve is the chance that an example of a class is given more of it than one
of another class, a tie counting half. It is no mean over examples: it is made of those of the whole
set at once. Sources: Hanley and McNeil 1982; of several classes each against the rest, and their
plain mean, as scikit-learn has it (multi_class="ovr", average="macro").
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.data import Sequences, only_there
from gridscape.base.metrics import Metric, cross_entropy
from gridscape.base.types import Array
from gridscape.grid.meanings import FRACTION


@cache  # one function for one k: other ones would be compiled again
def top(k: int) -> Metric:
    """The share of the examples whose class is among the k largest outputs.

    Of equal outputs the first counts as larger, as in accuracy, which is that of k = 1.
    """

    def top_k(outputs: Array, targets: Array) -> Array:
        at = jnp.arange(outputs.shape[-1])[None, :]
        is_target = at == targets[:, None]
        own = jnp.where(is_target, outputs, 0).sum(axis=-1, keepdims=True)
        # Not "larger": what is no number is before all others, and then nothing is found.
        before = ~(outputs <= own) | ((outputs == own) & (at < targets[:, None]))
        return (is_target.any(axis=-1) & (before.sum(axis=-1) < k)).astype(jnp.float32)

    return Metric(top_k, "higher", FRACTION)


def guessed_of_top(k: int) -> Callable[[np.ndarray], float]:
    """What answering the k most frequent classes gives, by the shares of classes."""
    return lambda shares: float(np.sort(shares)[-k:].sum())


def scores(outputs: Array, targets: Array) -> Array:
    """Of each class its score and whether it is right: (B, C), (B,) -> (B, C, 2).

    Of two classes only the second one, (B, 1, 2): the first has the same area.
    """
    n_classes = outputs.shape[-1]
    if n_classes == 2:
        found, classes = outputs[:, 1:] - outputs[:, :1], jnp.array([[1]])
    else:
        found, classes = jax.nn.log_softmax(outputs, axis=-1), jnp.arange(n_classes)[None, :]
    return jnp.stack([found, (targets[:, None] == classes).astype(found.dtype)], axis=-1)


def mean_area(found: Array, counted: Array) -> Array:
    """The area under the ROC curve, the mean over the classes that the set has: -> ().

    found: (N, C, 2) as of ``scores``; counted: (N,), which of them count. NaN where every example
    is of one class.
    """
    areas = jax.vmap(_area, in_axes=(1, 1, None))(found[..., 0], found[..., 1] > 0, counted)
    return jnp.nanmean(areas)


def _area(score: Array, is_class: Array, counted: Array) -> Array:
    """The area of one class: (N,) each -> (); NaN without an example of it, or of another."""
    of_class, of_others = is_class & counted, ~is_class & counted
    n, m = (x.sum(dtype=jnp.float32) for x in (of_class, of_others))
    others = jnp.sort(jnp.where(of_others, score, jnp.inf))
    below, up_to = (jnp.searchsorted(others, score, side=side) for side in ("left", "right"))
    up_to = jnp.minimum(up_to, of_others.sum())  # a score of infinity, and what does not count
    wins = jnp.where(of_class, (below + up_to) / 2, 0).sum() / n
    is_known = (n > 0) & (m > 0) & ~(jnp.isnan(score) & counted).any()
    return jnp.where(is_known, wins / jnp.where(m > 0, m, 1), jnp.nan)


def nats(outputs: Array, targets: Any) -> Array:
    """The cross-entropy of each example and its number of answers: -> (B, 2).

    (B, C), (B,) or, with an answer at each step, (B, T, C) and (B, T), which may be Sequences.
    """
    if isinstance(targets, Sequences):
        is_step, targets = targets.is_step, targets.steps
        outputs = only_there(is_step, outputs)
    else:
        is_step = jnp.ones(targets.shape, bool)
    flat = cross_entropy(outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1))
    lost = only_there(is_step, flat.reshape(is_step.shape))
    n_examples = len(is_step)
    both = [lost.reshape(n_examples, -1), is_step.reshape(n_examples, -1)]
    return jnp.stack([x.sum(axis=1, dtype=jnp.float32) for x in both], axis=-1)


def _exponential(mean: Array) -> Array:
    return jnp.exp(mean[0] / mean[1])


auc = Metric(scores, "higher", FRACTION, of_set=mean_area)
perplexity = Metric(nats, "lower", of_mean=_exponential)
