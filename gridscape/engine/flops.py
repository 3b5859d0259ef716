"""Floating-point operations of an update, counted in its jaxpr."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params
from jax.interpreters.partial_eval import dce_jaxpr

from gridscape import kernels
from gridscape.base.data import Stream
from gridscape.base.task import Task
from gridscape.engine.cohorts import Cohort
from gridscape.engine.trial import Functions, batches, order_shapes, state_shapes, update_trial
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
    return recipe.memo.of(jaxpr_flops, traced_update(recipe, task))


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


def traced(function: Callable[..., Any], *arguments: Any) -> Any:
    """A function as JAX sees it (a Jaxpr), without what its result does not need.

    On the plain path: what native kernels compute, JAX does not see.
    """
    with kernels.plain():
        jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    needed, _ = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return needed


def product_flops(function: Callable[..., Any], *arguments: Any) -> float:
    """Floating-point operations of the products and convolutions that a function's result needs.

    >>> square = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    >>> product_flops(lambda a, b: (a @ b).sum(), square, square)
    1024.0
    """
    return jaxpr_flops(traced(function, *arguments))


def jaxpr_flops(jaxpr: Any) -> float:
    """The same of what JAX has seen of a function."""
    return sum(map(_equation_flops, jaxpr.eqns), 0.0)


def _equation_flops(equation: Any) -> float:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return 2.0 * math.prod(left[k] for k in contracted) * equation.outvars[0].aval.size
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval
        per_output = kernel.size / kernel.shape[params["dimension_numbers"].rhs_spec[0]]
        # Zeros between the inputs, as in the gradient of a stride, are no work.
        per_output /= math.prod(params["lhs_dilation"])
        return 2.0 * per_output * equation.outvars[0].aval.size
    inner = [jaxpr_flops(jaxpr) for jaxpr in jaxprs_in_params(params)]
    if name == "cond":
        return max(inner)
    return sum(inner) * (params["length"] if name == "scan" else 1)
