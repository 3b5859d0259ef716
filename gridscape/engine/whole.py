"""Which trials native code can train as a whole, and how.

A loss and a rule are functions, maybe a user's own. They are known by what JAX traces of them: a
loss that has the very operations of one that the kernels have, a rule whose every step is a number
times the gradient. What is not known is trained the usual way.
"""

import math
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gridscape.base.data import Split
from gridscape.base.parts import Dense, Recurrent
from gridscape.base.types import Array, Hyper
from gridscape.engine.known_losses import loss_of_answers, loss_of_numbers, targets_and_lengths
from gridscape.engine.known_rules import Numbers, Rule, rule_numbers
from gridscape.kernels import perceptron, sequence
from gridscape.kernels.perceptron import Perceptron
from gridscape.kernels.sequence import Examples, SequenceNet
from gridscape.kernels.whole import Trained


class Whole(NamedTuple):
    """A network that native code can train.

    numbers: of its rule, for each of its arrays. train: (state, hyper, stop, order) -> the trial
    after the updates of a part of the order. targets: of that part, (U, B, ...). floats: what an
    update reads of its own and gives.
    """

    net: Perceptron | SequenceNet
    numbers: Numbers
    train: Callable[[Any, Hyper, Array, Any], Trained]
    targets: Callable[[Any], Any]
    floats: int


class TrialParts(NamedTuple):
    """A trial that is to be trained, as ``train_trial`` has it.

    native_rule: the name of ``rule`` in the kernels, None where it has none there. order: (U, B),
    or (U, 0) where a batch is all examples; where ``train`` is None, the examples themselves.
    metrics: the functions of outputs and targets that are asked for.
    """

    loss: Callable[[Array, Any], Array]
    native_rule: str | None
    rule: Rule
    prepare: Callable[[Array], Array]
    state: Any
    hyper: Hyper
    order: Any
    train: Split | None
    metrics: tuple[Callable[[Array, Any], Array], ...]

    @property
    def numbers(self) -> Numbers | None:
        """Of the rule, for each array; None where it is none that the kernels know."""
        return rule_numbers(self.native_rule, self.rule, self.hyper, self.state)

    @property
    def n_batch(self) -> int:
        """Examples of an update."""
        if self.train is None:
            return int(jax.tree.leaves(self.order)[0].shape[1])
        return int(self.order.shape[1]) or len(self.train.inputs)


def whole(layers: Dense | Recurrent | None, trial: TrialParts) -> Whole | None:
    """How native code trains a network of such layers; None where it cannot."""
    if isinstance(layers, Dense):
        return _perceptron(layers, trial)
    return _sequence(layers, trial) if layers else None


def _perceptron(layers: Dense, trial: TrialParts) -> Whole | None:
    train = _in_place(trial)
    if train is None or not _are_floats(train.inputs, train.targets):
        return None
    inputs, targets = train
    # Asked first: a loss may read outputs of another width than its targets.
    is_flat = layers.flattens or inputs.ndim == 2
    if not is_flat or not perceptron.are_layers(layers.names, trial.state.params, inputs, targets):
        return None
    loss, numbers = (
        loss_of_numbers(trial.loss, (trial.n_batch, *targets.shape[1:])),
        trial.numbers,
    )
    if loss is None or numbers is None:
        return None
    rule = trial.native_rule or "sgd"
    net = Perceptron(layers.names, layers.activations, loss, rule, bool(trial.metrics))
    if not perceptron.serve(net, trial.state, trial.order, inputs, targets):
        return None

    def updates(state: Any, hyper: Hyper, stop: Array, order: Array) -> Trained:
        return perceptron.train(net, numbers(hyper), state, order, stop, inputs, targets)

    floats = trial.n_batch * targets.shape[1]
    return Whole(net, numbers, updates, partial(_targets, trial), floats)


def _sequence(layers: Recurrent, trial: TrialParts) -> Whole | None:
    is_drawn = trial.train is None
    found = _one_drawn(trial) if is_drawn else _in_place(trial)
    if found is None or not _are_floats(found.inputs):
        return None
    params = trial.state.params
    if not sequence.are_weights(layers, params, found.inputs):
        return None
    n_outputs = params[layers.output[0]].shape[1]
    steps = found.inputs.shape[1:2] if layers.every else ()
    outputs = (trial.n_batch, *steps, n_outputs)
    loss, numbers = (
        loss_of_answers(trial.loss, outputs, found.targets),
        trial.numbers,
    )
    if loss is None or numbers is None:
        return None
    net = SequenceNet(
        layers.cell,
        layers.weights,
        layers.output,
        layers.every,
        loss,
        trial.native_rule or "sgd",
        keeps=bool(trial.metrics),
        cuts=are_own(trial.prepare, *trial.metrics) and is_drawn,
    )
    order = jnp.zeros((1, 0), jnp.int32) if is_drawn else trial.order
    if not sequence.serve(net, trial.state, order, _examples(found)):
        return None

    def updates(state: Any, hyper: Hyper, stop: Array, order: Any) -> Trained:
        forget = hyper[layers.forget] if layers.forget else 0.0
        read = found
        if is_drawn:  # the examples of the updates, one after the other
            read, n_updates = _drawn(trial, order), len(jax.tree.leaves(order)[0])
            order = jnp.arange(len(read.inputs), dtype=jnp.int32).reshape(n_updates, -1)
        return sequence.train(net, numbers(hyper), forget, state, order, stop, _examples(read))

    read_floats = math.prod(found.inputs.shape) if is_drawn else 0
    floats = read_floats + math.prod(outputs)
    return Whole(net, numbers, updates, partial(_targets, trial), floats)


def _examples(split: Split) -> Examples:
    return Examples(split.inputs, *targets_and_lengths(split.targets))


# ---- examples ----


def _in_place(trial: TrialParts) -> Split | None:
    """The training examples, where a model reads them as they are stored."""
    train = trial.train
    if train is None or not isinstance(train.inputs, jax.Array):
        return None
    traced = jax.make_jaxpr(trial.prepare)(train.inputs)
    is_identity = not traced.eqns and traced.jaxpr.outvars == traced.jaxpr.invars
    return train if is_identity else None


def _one_drawn(trial: TrialParts) -> Split | None:
    """The examples of one update that were drawn for it, by their shapes as a model reads them."""
    if not isinstance(trial.order, Split) or not isinstance(trial.order.inputs, jax.Array):
        return None
    first = jax.tree.map(lambda x: x[0], trial.order)
    return Split(trial.prepare(first.inputs), first.targets)


def _drawn(trial: TrialParts, order: Split) -> Split:
    """The examples of all updates, one after the other."""
    inputs, targets = jax.tree.map(one_after_the_other, order)
    if are_own(trial.prepare):
        return Split(trial.prepare(inputs), targets)
    return Split(one_after_the_other(lax.map(trial.prepare, order.inputs)), targets)


def one_after_the_other(x: Array) -> Array:
    """(U, B, ...) -> (U B, ...)."""
    return x.reshape(-1, *x.shape[2:])


def are_own(*functions: Callable[..., Any]) -> bool:
    """Whether they are Gridscape's, which give of each example what they give of it alone.

    So must be the functions that they hold: ``at_last_step`` of a user's is the user's. It is asked
    where the code was written: ``__module__`` of a user's may be copied by ``functools.wraps``, and
    that of an object is the module of its class.
    """
    return all(
        isinstance(f, FunctionType) and f.__globals__.get("__name__", "").startswith("gridscape.")
        for f in functions
    ) and all(
        are_own(held)
        for f in functions
        for held in (cell.cell_contents for cell in f.__closure__ or ())
        if callable(held)
    )


def _targets(trial: TrialParts, order: Any) -> Any:
    if trial.train is None:
        return order.targets
    if not order.shape[1]:
        n_updates, targets = len(order), trial.train.targets
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (n_updates, *x.shape)), targets)
    return jax.tree.map(lambda x: x[order], trial.train.targets)


def _are_floats(*arrays: Any) -> bool:
    return all(isinstance(x, jax.Array) and x.dtype == jnp.float32 for x in arrays)
