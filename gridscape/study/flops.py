"""Floating-point operations of products, counted in what JAX sees of a function."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params
from jax.interpreters.partial_eval import dce_jaxpr

from gridscape import kernels
from gridscape.base.data import Stream
from gridscape.base.parts import Model, Optimizer
from gridscape.base.shapes import batch_of
from gridscape.base.state import in_training, joined, parted
from gridscape.base.task import Task
from gridscape.study.parts import Loss


def step_flops(
    model: Model,
    optimizer: Optimizer,
    loss: Loss,
    task: Task,
    batch_size: int,
    names: Iterable[str],
) -> float:
    """Floating-point operations of the products of one update, before any program is made.

    names: of the numbers that model and optimizer read. What the engine counts of its own update
    is the same: a test compares them.
    """
    numbers = {name: jax.ShapeDtypeStruct((), jnp.float32) for name in names}
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(model.init, key, numbers)

    def update(whole: Any, key: Any, batch: Any, hyper: Any) -> Any:
        params, beside = parted(model.training, whole)

        def mean_loss(params: Any) -> Any:
            given = joined(model.training, params, beside), task.prepare(batch.inputs), key, hyper
            outputs, moved = in_training(model.apply, model.training, *given)
            return loss(outputs, batch.targets).mean(), moved

        rule = optimizer.make(hyper)
        grads, moved = jax.grad(mean_loss, has_aux=True)(params)
        return rule.update(grads, rule.init(params), params)[0], moved

    train = task.train
    if isinstance(train, Stream):
        batch = jax.eval_shape(lambda key: train.draw(key, batch_size), key)
    else:
        batch = batch_of(batch_size, train)
    return product_flops(update, params, key, batch, numbers)


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
