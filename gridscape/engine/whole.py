"""Which trials native code can train as a whole, and how: their loss and their rule recognized.

A loss and a rule are functions, maybe a user's own. They are known by what JAX traces of them: a
loss that has the very operations of one of ``FORMS``, a rule whose every step is a number times the
gradient. What is not known is trained the usual way.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from gridscape.base.data import Split
from gridscape.base.parts import Dense
from gridscape.base.regression import mse
from gridscape.base.types import Array, Hyper, Params
from gridscape.kernels import perceptron
from gridscape.kernels.perceptron import Perceptron

# Ways to write each loss of kernels/tables.py.
FORMS: dict[str, tuple[Callable[[Array, Array], Array], ...]] = {
    "squared_error": (
        lambda outputs, targets: ((outputs - targets) ** 2).sum(axis=-1),
        lambda outputs, targets: jnp.square(outputs - targets).sum(axis=-1),
    ),
    "mean_squared_error": (
        mse,
        lambda outputs, targets: jnp.square(outputs - targets).mean(axis=-1),
    ),
}


class Whole(NamedTuple):
    """A network that native code can train, and its rule's numbers for each of its arrays."""

    net: Perceptron
    numbers: Callable[[Hyper], list[Mapping[str, Any]]]


def whole(
    dense: Dense | None,
    loss: Callable[[Array, Any], Array],
    native_rule: str | None,
    rule: Callable[[Hyper], Any],
    state: Any,
    hyper: Hyper,
    order: Any,
    train: Split | None,
    keeps: bool,
) -> Whole | None:
    """How native code trains such a trial; None where it cannot.

    native_rule: the name of ``rule`` in the kernels, None where it has none there. order: (U, B),
    or (U, 0) where a batch is all examples. keeps: whether outputs are asked for.
    """
    if dense is None or train is None or not _are_numbers(train):
        return None
    is_flat = dense.flattens or train.inputs.ndim == 2
    # Asked first: a loss may read outputs of another width than its targets.
    if not is_flat or not perceptron.are_layers(dense.names, state.params, *train):
        return None
    of_loss = _name_of(loss, (order.shape[1] or len(train.inputs), *train.targets.shape[1:]))
    numbers = _same_for_all(state.params) if native_rule else _rates(rule, hyper, state)
    if of_loss is None or numbers is None:
        return None
    net = Perceptron(dense.names, dense.activations, of_loss, native_rule or "sgd", keeps)
    if not perceptron.serve(net, state, order, train.inputs, train.targets):
        return None
    return Whole(net, numbers)


def _are_numbers(train: Split) -> bool:
    """Whether inputs and targets are one array of float32 each."""
    arrays = (train.inputs, train.targets)
    return all(isinstance(x, jax.Array) and x.dtype == jnp.float32 for x in arrays)


# ---- the loss ----


def _name_of(loss: Callable[[Array, Any], Array], shape: tuple[int, ...]) -> str | None:
    """The loss among FORMS of which this one has the very operations."""
    if len(shape) != 2:
        return None
    both = (jax.ShapeDtypeStruct(shape, jnp.float32),) * 2
    traced = jax.make_jaxpr(loss)(*both)
    if traced.consts:
        return None
    text = str(traced)
    for name, forms in FORMS.items():
        if any(str(jax.make_jaxpr(form)(*both)) == text for form in forms):
            return name
    return None


# ---- the rule ----


def _same_for_all(params: Params) -> Callable[[Hyper], list[Mapping[str, Any]]]:
    count = len(jax.tree.leaves(params))
    return lambda hyper: [hyper] * count


def _rates(
    rule: Callable[[Hyper], Any], hyper: Hyper, state: Any
) -> Callable[[Hyper], list[Mapping[str, Any]]] | None:
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
