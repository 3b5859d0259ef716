"""Rules that the kernels can step by: their own, and those which only multiply gradients."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from gridscape.base.types import Array, Hyper, Params

Rule = Callable[[Hyper], Any]
Numbers = Callable[[Hyper], list[Mapping[str, Any]]]


def rule_numbers(native_rule: str | None, rule: Rule, hyper: Hyper, state: Any) -> Numbers | None:
    """The numbers of a rule for each array; None where it is none that the kernels know.

    native_rule: its name in the kernels, None where it has none there.
    """
    if not native_rule:
        return _rates(rule, hyper, state)
    count = len(jax.tree.leaves(state.params))
    return lambda hyper: [hyper] * count


def _rates(rule: Rule, hyper: Hyper, state: Any) -> Numbers | None:
    """The learning rate of each array, where all that the rule does is to multiply gradients."""
    if jax.tree.leaves(state.opt_state):
        return None
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state.params)
    of_hyper = {name: jax.ShapeDtypeStruct((), jnp.float32) for name in hyper}

    def changes(hyper: Hyper, params: Params, grads: Params) -> list[Array]:
        made = rule(hyper)
        return jax.tree.leaves(made.update(grads, made.init(params), params)[0])

    traced = jax.make_jaxpr(changes)(of_hyper, shapes, shapes)
    factors = _factors(traced.jaxpr, len(of_hyper), len(jax.tree.leaves(shapes)))
    if factors is None:
        return None
    only = core.ClosedJaxpr(traced.jaxpr.replace(outvars=factors), traced.consts)

    def numbers(hyper: Hyper) -> list[Mapping[str, Any]]:
        # What the factors need, they need of the numbers alone: zeros stand for all else.
        zeros = [jnp.zeros(s.shape) for s in jax.tree.leaves(shapes)]
        given = [jnp.asarray(x, jnp.float32) for x in jax.tree.leaves(dict(hyper))]
        found = core.jaxpr_as_fun(only)(*given, *zeros, *zeros)
        return [{"learning_rate": -factor} for factor in found]

    return numbers


def _factors(jaxpr: Any, n_hyper: int, n_arrays: int) -> list[Any] | None:
    """What multiplies each gradient; None where a change is anything else.

    jaxpr: from (numbers, arrays, gradients) to the changes of all arrays.
    """
    of_arrays = set(jaxpr.invars[n_hyper:])
    made_by = {}
    for equation in jaxpr.eqns:
        if of_arrays.intersection(x for x in equation.invars if isinstance(x, core.Var)):
            of_arrays.update(equation.outvars)
        made_by.update(dict.fromkeys(equation.outvars, equation))
    factors = []
    for change, gradient in zip(jaxpr.outvars, jaxpr.invars[-n_arrays:], strict=True):
        equation = made_by.get(change) if isinstance(change, core.Var) else None
        if equation is None or equation.primitive.name != "mul":
            return None
        others = [x for x in equation.invars if x is not gradient]
        if len(others) != 1 or others[0].aval.shape != ():
            return None
        if isinstance(others[0], core.Var) and others[0] in of_arrays:
            return None
        factors.append(others[0])
    return factors
