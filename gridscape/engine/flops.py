"""Floating-point operations of an update, counted in its jaxpr."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gridscape.base.data import Stream
from gridscape.base.task import Task
from gridscape.engine.cohorts import Cohort
from gridscape.engine.known import known_number
from gridscape.engine.trial import Functions, batches, order_shapes, state_shapes, update_trial
from gridscape.study.flops import jaxpr_flops, traced
from gridscape.study.study import Recipe


def cohort_flops(cohort: Cohort) -> float:
    """Floating-point operations of the products of all the updates that a cohort has to do."""
    updates = (cohort.recipe.updates - cohort.start) * len(cohort.trials)
    return update_flops(cohort.recipe, cohort.task) * updates


def update_flops(recipe: Recipe, task: Task) -> float:
    """Floating-point operations of the products of one update, those of no use left out.

    2 m n k each. Only what JAX can see counts; a loop whose length depends on data counts as one
    round of it, and a choice as the dearest of its branches.
    """
    return float(of_update(jaxpr_flops, recipe, task))


def of_update(function: Callable[[Any], float], recipe: Recipe, task: Task) -> float:
    """A number of one update as JAX sees it; not traced where an earlier run has found it."""

    def found() -> float:
        return recipe.memo.of(function, traced_update(recipe, task))

    parts = (function, Functions.of(recipe, task), *_update_shapes(recipe, task))
    return known_number(found, *parts)


def traced_update(recipe: Recipe, task: Task) -> Any:
    """One update as JAX sees it (a Jaxpr), without what its result does not need."""
    functions = Functions.of(recipe, task)
    return recipe.memo.of(_traced_update, functions, *_update_shapes(recipe, task))


def _update_shapes(recipe: Recipe, task: Task) -> tuple[Any, ...]:
    """Of the arguments of an update: state, training examples, order, words and hyper."""
    hyper = dict.fromkeys(recipe.hyper, jax.ShapeDtypeStruct((), jnp.float32))
    words, state = jax.ShapeDtypeStruct((2,), jnp.uint32), state_shapes(recipe)
    examples = None if isinstance(task.train, Stream) else task.train
    train = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), examples)
    return state, train, order_shapes(recipe, task, 1), words, hyper


def _traced_update(functions: Functions, *shapes: Any) -> Any:
    def update(state: Any, train: Any, order: Any, words: Any, hyper: Any) -> Any:
        batch = batches(functions.prepare, train, order)(0)
        return update_trial(functions, 1, state, batch, jax.random.wrap_key_data(words), hyper)

    return traced(update, *shapes)
