"""What a device does with its trials: the engine's functions with the trial dimension K added.

Everything that can make two programs differ is an argument. The first ones are static parts:
functions and plain values. Equal parts and shapes give one program.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gridscape.base.data import Split
from gridscape.base.state import Training
from gridscape.base.types import Array, Hyper
from gridscape.engine.trial import (
    Functions,
    Rule,
    TrialState,
    draw_batches,
    evaluate_trial,
    history_names,
    init_trial,
    train_trial,
)


class Slots(NamedTuple):
    """The trials of a device: how many it holds, and whether it trains them as one batch."""

    n: int
    is_batched: bool

    def map(self, one_trial: Callable[..., Any], counts: Array, per_trial: tuple[Any, ...]) -> Any:
        """one_trial(*per_trial[k]) of every trial; empty slots hold undefined numbers."""

        def of_first(per_trial: tuple[Any, ...]) -> Any:
            return one_trial(*jax.tree.map(lambda x: x[0], per_trial))

        results = jax.eval_shape(of_first, per_trial)
        empty = jax.tree.map(lambda s: jnp.zeros((self.n, *s.shape), s.dtype), results)
        return self.update(lambda _, *one: one_trial(*one), empty, counts, per_trial)

    def update(
        self, one_trial: Callable[..., Any], old: Any, counts: Array, per_trial: tuple[Any, ...]
    ) -> Any:
        """one_trial(old[k], *per_trial[k]) of every trial; counts (1,): those of this device."""
        go_through = together if self.is_batched else one_after_the_other
        return go_through(one_trial, old, counts[0], per_trial)


def init_slots(
    slots: Slots,
    init: Callable[..., Any],
    rule: Rule,
    averages: bool,
    training: Training | None,
    counts: Array,
    words: Array,
    hyper: Hyper,
) -> TrialState:
    """See Program.init."""
    one_trial = partial(init_trial, init, rule, averages=averages, training=training)
    return slots.map(one_trial, counts, (words, hyper))


def draw_slots(
    slots: Slots, draw: Callable[..., Split], batch_size: int, counts: Array, words: Array
) -> Split:
    """See Program.draw."""
    return slots.map(partial(draw_batches, draw, batch_size), counts, (words,))


def train_slots(
    slots: Slots,
    functions: Functions,
    n_microbatches: int,
    counts: Array,
    states: TrialState,
    words: Array,
    hyper: Hyper,
    order: Any,
    stop: Array,
    train: Split | None,
) -> tuple[TrialState, dict[str, Array]]:
    """See Program.train."""

    def train_one(old: Any, words: Array, hyper: Hyper, order: Any) -> Any:
        return train_trial(functions, n_microbatches, old[0], words, hyper, order, stop, train)

    segment = jax.tree.leaves(order)[0].shape[1]
    history = {name: jnp.full((slots.n, segment), jnp.nan) for name in history_names(functions)}
    return slots.update(train_one, (states, history), counts, (words, hyper, order))


def evaluate_slots(
    slots: Slots,
    functions: Functions,
    counts: Array,
    params: Any,
    hyper: Hyper,
    split: Split,
    n_examples: Array,
) -> dict[str, Array]:
    """See Program.evaluate."""

    def evaluate_one(params: Any, hyper: Hyper) -> dict[str, Array]:
        return evaluate_trial(functions, params, hyper, split, n_examples)

    return slots.map(evaluate_one, counts, (params, hyper))


def one_after_the_other(
    one_trial: Callable[..., Any], results: Any, count: Array, per_trial: tuple[Any, ...]
) -> Any:
    """results[k] = one_trial(results[k], *per_trial[k]) for k < count."""

    def body(k: Array, results: Any) -> Any:
        old, arguments = jax.tree.map(
            lambda x: lax.dynamic_index_in_dim(x, k, keepdims=False), (results, per_trial)
        )
        new = one_trial(old, *arguments)
        return jax.tree.map(
            lambda slots, one: lax.dynamic_update_index_in_dim(slots, one, k, 0), results, new
        )

    return lax.fori_loop(0, count, body, results)


def together(
    one_trial: Callable[..., Any], results: Any, count: Array, per_trial: tuple[Any, ...]
) -> Any:
    """The same for all at once: every trial goes on until the last of them is done."""
    slots = jnp.arange(len(jax.tree.leaves(results)[0]))
    # Empty slots repeat the first trial, so that the loop never waits for them.
    occupied = jnp.where(slots < count, slots, 0)
    starts, per_trial = jax.tree.map(lambda x: x[occupied], (results, per_trial))

    def run() -> Any:
        return jax.vmap(one_trial)(starts, *per_trial)

    return lax.cond(count > 0, run, lambda: results)
