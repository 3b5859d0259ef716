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
from gridscape.engine.evaluation import evaluate_trial, read_once
from gridscape.engine.trial import (
    Functions,
    Rule,
    TrialState,
    draw_batches,
    history_names,
    init_trial,
    train_trial,
)
from gridscape.kernels.library import in_use
from gridscape.kernels.slots import put as native_put
from gridscape.kernels.slots import take as native_take


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

        def from_nothing(_: Any, *one: Any) -> tuple[Any, Any]:
            return (), one_trial(*one)

        return self.update(from_nothing, (), empty, counts, per_trial)[1]

    def update(
        self,
        one_trial: Callable[..., tuple[Any, Any]],
        old: Any,
        empty: Any,
        counts: Array,
        per_trial: tuple[Any, ...],
    ) -> tuple[Any, Any]:
        """one_trial(old[k], *per_trial[k]) of every trial: what follows ``old``, and more.

        empty: what the rest takes the place of. counts (1,): the trials of this device.
        """
        go_through = together if self.is_batched else one_after_the_other
        return go_through(one_trial, old, empty, counts[0], per_trial)


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

    def train_one(state: TrialState, words: Array, hyper: Hyper, order: Any) -> Any:
        return train_trial(functions, n_microbatches, state, words, hyper, order, stop, train)

    segment = jax.tree.leaves(order)[0].shape[1]
    history = {name: jnp.full((slots.n, segment), jnp.nan) for name in history_names(functions)}
    return slots.update(train_one, states, history, counts, (words, hyper, order))


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
    functions, split = read_once(functions, split)

    def evaluate_one(params: Any, hyper: Hyper) -> dict[str, Array]:
        return evaluate_trial(functions, params, hyper, split, n_examples)

    return slots.map(evaluate_one, counts, (params, hyper))


def one_after_the_other(
    one_trial: Callable[..., tuple[Any, Any]],
    old: Any,
    empty: Any,
    count: Array,
    per_trial: tuple[Any, ...],
) -> tuple[Any, Any]:
    """results[k] = one_trial(old[k], *per_trial[k]) for k < count; old and empty beyond."""
    is_single = len(jax.tree.leaves(empty)[0]) == 1
    # Of a single slot XLA makes no copy at all.
    native = in_use() and not is_single
    take, put = (native_take, native_put) if native else (_take, _put)

    def body(k: Array, results: tuple[Any, Any]) -> tuple[Any, Any]:
        state, arguments = take((results[0], per_trial), k)
        return put(results, k, one_trial(state, *arguments))

    if is_single:  # of a loop, XLA would do before it what no round changes, if there is one or not
        first = jnp.int32(0)
        return lax.cond(count > 0, partial(body, first), lambda unchanged: unchanged, (old, empty))
    return lax.fori_loop(0, count, body, (old, empty))


def _take(arrays: Any, k: Array) -> Any:
    return jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, k, keepdims=False), arrays)


def _put(arrays: Any, k: Array, rows: Any) -> Any:
    return jax.tree.map(lambda x, row: lax.dynamic_update_index_in_dim(x, row, k, 0), arrays, rows)


def together(
    one_trial: Callable[..., tuple[Any, Any]],
    old: Any,
    empty: Any,
    count: Array,
    per_trial: tuple[Any, ...],
) -> tuple[Any, Any]:
    """The same for all at once: every trial goes on until the last of them is done."""
    slots = jnp.arange(len(jax.tree.leaves(empty)[0]))
    # Empty slots repeat the first trial, so that the loop never waits for them.
    occupied = jnp.where(slots < count, slots, 0)
    starts, per_trial = jax.tree.map(lambda x: x[occupied], (old, per_trial))

    def run() -> Any:
        return jax.vmap(one_trial)(starts, *per_trial)

    return lax.cond(count > 0, run, lambda: (old, empty))
