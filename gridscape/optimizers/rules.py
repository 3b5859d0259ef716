"""Update rules: thin factories over optax whose numbers may be traced.

An optimizer is made anew inside the compiled program from the trial's own numbers, so that trials
with different learning rates share the program. Starting values are such numbers too.

Every rule reads ``l2``: it adds l2 * w to the gradient of the weights w, the arrays of two or more
dimensions, and leaves biases alone. That is the gradient of TensorFlow 1's l2 * l2_loss(w), and
PyTorch's weight_decay where its parameter group holds the weights only.

Adagrad and RMSProp start otherwise in TensorFlow 1 than in PyTorch: the plain name is the rule of
the first, the name with "-pytorch" that of the second.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gridscape.base.limits import Limit
from gridscape.base.parts import Make, Native, Optimizer
from gridscape.base.types import Hyper, Params

# What the numbers of these rules may be. From momentum 1 on steps grow without end: study that, do
# not forbid it.
LIMITS: Mapping[str, Limit] = {
    "learning_rate": Limit(gt=0),
    "momentum": Limit(ge=0),
    "initial_accumulator_value": Limit(ge=0),
    "decay": Limit(ge=0, lt=1),
    "initial_mean_square": Limit(ge=0),
    "b1": Limit(ge=0, lt=1),
    "b2": Limit(ge=0, lt=1),
    "eps": Limit(gt=0),
    "weight_decay": Limit(ge=0),
    "l2": Limit(ge=0),
}


def sgd() -> Optimizer:
    """Stochastic gradient descent: params <- params - learning_rate * gradient."""
    return _optimizer("sgd", lambda hyper: optax.sgd(hyper["learning_rate"]), learning_rate=1e-2)


def momentum() -> Optimizer:
    """Gradient descent whose steps add up: step <- momentum * step - learning_rate * gradient.

    momentum: 0 is plain descent; the steps under a constant gradient stay finite below 1, grow
        linearly at 1 and geometrically above it, which is allowed.

    TensorFlow 1 and PyTorch keep the sum without the learning rate and multiply it by the current
    one: the same while the rate is constant, and what a ``schedule`` of the study does. Source:
    Neural Learning, Answer Set 3, problem 2; Polyak (1964).

    >>> rule = momentum().make({"learning_rate": 0.1, "momentum": 0.9, "l2": 0.0})
    >>> slope, state = jnp.ones(1), rule.init(jnp.ones(1))
    >>> first, state = rule.update(slope, state, jnp.ones(1))
    >>> second, state = rule.update(slope, state, jnp.ones(1))
    >>> round(float(first[0]), 4), round(float(second[0]), 4)
    (-0.1, -0.19)
    """
    return _optimizer("momentum", _descent_with_momentum, learning_rate=1e-2, momentum=0.9)


def nesterov() -> Optimizer:
    """As ``momentum``, but moves by momentum * step - learning_rate * gradient with the new step.

    The form of TensorFlow 1 and PyTorch, in which the gradient is always taken where the
    parameters are. Source: Sutskever et al. (2013), On the importance of initialization and
    momentum in deep learning, section 2.
    """
    rule = partial(_descent_with_momentum, nesterov=True)
    return _optimizer("nesterov", rule, learning_rate=1e-2, momentum=0.9)


def _descent_with_momentum(hyper: Hyper, nesterov: bool = False) -> optax.GradientTransformation:
    # optax.sgd(momentum=...) has the rate after the sum; here the state is the step itself.
    return optax.chain(
        optax.scale(-hyper["learning_rate"]), optax.trace(hyper["momentum"], nesterov)
    )


def adagrad() -> Optimizer:
    """Adagrad (Duchi, Hazan and Singer 2011) as TensorFlow 1 has it.

    The gradient is divided by the root of the sum of all squares so far, which starts at
    ``initial_accumulator_value``, 0.1 unless set; there is no eps. Where the sum is still 0,
    nothing moves.
    """

    def rule(hyper: Hyper) -> optax.GradientTransformation:
        return optax.chain(
            optax.scale_by_rss(hyper["initial_accumulator_value"], eps=0.0),
            optax.scale(-hyper["learning_rate"]),
        )

    return _optimizer("adagrad", rule, learning_rate=1e-2, initial_accumulator_value=0.1)


def adagrad_pytorch() -> Optimizer:
    """Adagrad as PyTorch has it: the sum starts at 0, and eps, 1e-10, is added to its root."""

    def rule(hyper: Hyper) -> optax.GradientTransformation:
        return optax.chain(
            _scale_by_root_of_sum(hyper["initial_accumulator_value"], hyper["eps"]),
            optax.scale(-hyper["learning_rate"]),
        )

    numbers = {"learning_rate": 1e-2, "initial_accumulator_value": 0.0, "eps": 1e-10}
    return _optimizer("adagrad-pytorch", rule, **numbers)


def _scale_by_root_of_sum(start: Any, eps: Any) -> optax.GradientTransformation:
    """optax.scale_by_rss with eps outside the root."""

    def init(params: Params) -> Params:
        return jax.tree.map(lambda p: jnp.full_like(p, start), params)

    def update(grads: Params, total: Params, params: Params = None) -> tuple[Params, Params]:
        total = jax.tree.map(lambda g, t: t + g**2, grads, total)
        return jax.tree.map(lambda g, t: g / (jnp.sqrt(t) + eps), grads, total), total

    return optax.GradientTransformation(init, update)


def rmsprop() -> Optimizer:
    """RMSProp (Tieleman and Hinton 2012) as TensorFlow 1 has it.

    The gradient is divided by the root of (a running mean of its squares + eps): decay 0.9, eps
    1e-10 inside the root. The mean starts at ``initial_mean_square``, 1 unless set, so that the
    first steps are small.
    """
    rule = partial(_rmsprop, eps_in_sqrt=True)
    numbers = {"learning_rate": 1e-3, "decay": 0.9, "eps": 1e-10, "initial_mean_square": 1.0}
    return _optimizer("rmsprop", rule, **numbers)


def rmsprop_pytorch() -> Optimizer:
    """RMSProp as PyTorch has it: decay (its alpha) 0.99, eps 1e-8 outside the root, mean from 0."""
    rule = partial(_rmsprop, eps_in_sqrt=False)
    numbers = {"learning_rate": 1e-2, "decay": 0.99, "eps": 1e-8, "initial_mean_square": 0.0}
    return _optimizer("rmsprop-pytorch", rule, **numbers)


def _rmsprop(hyper: Hyper, eps_in_sqrt: bool) -> optax.GradientTransformation:
    return optax.chain(
        optax.scale_by_rms(hyper["decay"], hyper["eps"], hyper["initial_mean_square"], eps_in_sqrt),
        optax.scale(-hyper["learning_rate"]),
    )


def adam() -> Optimizer:
    """Adam (Kingma and Ba 2015, Algorithm 1), with b1 0.9, b2 0.999, eps 1e-8 unless set.

    eps stands outside the root of the bias-corrected second moment, as in the paper and PyTorch;
    TensorFlow 1 adds it before the correction, which differs only where gradients are near eps.
    """

    def rule(hyper: Hyper) -> optax.GradientTransformation:
        return optax.adam(hyper["learning_rate"], hyper["b1"], hyper["b2"], hyper["eps"])

    return _optimizer("adam", rule, learning_rate=1e-3, b1=0.9, b2=0.999, eps=1e-8)


def adamw() -> Optimizer:
    """Adam with decoupled decay (Loshchilov and Hutter 2019, Algorithm 2, as in PyTorch).

    Each update also takes learning_rate * weight_decay * w, 1e-2 unless set, off the weights w;
    biases do not decay, while PyTorch's AdamW decays all that it is given.
    """

    def rule(hyper: Hyper) -> optax.GradientTransformation:
        return optax.chain(
            optax.scale_by_adam(hyper["b1"], hyper["b2"], hyper["eps"]),
            optax.add_decayed_weights(hyper["weight_decay"], mask=_is_weight),
            optax.scale(-hyper["learning_rate"]),
        )

    numbers = {"learning_rate": 1e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 1e-2}
    return _optimizer("adamw", rule, **numbers)


def fixed(transformation: optax.GradientTransformation) -> Optimizer:
    """A transformation of optax as it is: its numbers are its own, and none is traced.

    >>> rule = fixed(optax.sgd(0.5)).make({})
    >>> rule.update(jnp.ones(1), rule.init(jnp.ones(1)))[0].tolist()
    [-0.5]
    """
    return Optimizer(_Fixed(transformation), {})


@dataclass(frozen=True)
class _Fixed:
    """Makes one and the same transformation."""

    transformation: optax.GradientTransformation

    def __call__(self, hyper: Hyper) -> optax.GradientTransformation:
        return self.transformation


# Its source is part of the keys of studies that have such an optimizer by import string.
@dataclass(frozen=True)
class _Make:
    """The rule after the L2 penalty."""

    name: str
    rule: Callable[[Hyper], optax.GradientTransformation]

    def __call__(self, hyper: Hyper) -> optax.GradientTransformation:
        penalty = optax.add_decayed_weights(hyper["l2"], mask=_is_weight)
        return optax.chain(penalty, self.rule(hyper))


def _optimizer(
    name: str, rule: Callable[[Hyper], optax.GradientTransformation], **numbers: float
) -> Optimizer:
    """The rule of this name of NAMES with these numbers, after the L2 penalty."""
    make, numbers = _Make(name, rule), {**numbers, "l2": 0.0}
    limits = {name: LIMITS[name] for name in numbers}
    return Optimizer(make, numbers, limits, Native(name, make))


def penalized(name: str, rule: Callable[[Hyper], optax.GradientTransformation]) -> Make:
    """What makes a rule of this name after the L2 penalty."""
    return _Make(name, rule)


def _is_weight(params: Params) -> Params:
    """True for the arrays of two or more dimensions."""
    return jax.tree.map(lambda p: jnp.ndim(p) >= 2, params)
