"""What the tests of trials that native code trains as a whole need."""

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.engine.trial import TrialState
from gridscape.study.parts import load_optimizer


def state_of(params, rule="sgd", **changed):
    """The numbers of a rule, and a trial before its first update."""
    hyper = {**load_optimizer(rule).hyperparameters, **changed}
    hyper = {name: np.float32(value) for name, value in hyper.items()}
    zero = jnp.zeros((), jnp.int32)
    opt_state = jax.jit(load_optimizer(rule).make(hyper).init)(params)
    return hyper, TrialState(params, opt_state, zero, zero, zero)


def assert_moves_as_optax(found, rule, hyper, state, gradients_of, tolerance):
    """Whether a trial is where three updates of optax lead, by gradients of (params)."""
    wanted = state
    for _ in range(3):
        grads = gradients_of(wanted.params)
        step = load_optimizer(rule).make(hyper).update(grads, wanted.opt_state, wanted.params)
        params = jax.tree.map(jnp.add, wanted.params, step[0])
        wanted = wanted._replace(params=params, opt_state=step[1])
    assert (int(found.update), int(found.bad_update)) == (3, 0)
    # Rules with a root divide a gradient by its own size: where that is near 0, by its error too.
    for kept, expected in ((found.params, wanted.params), (found.opt_state, wanted.opt_state)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=10 * tolerance, atol=tolerance),
            kept,
            expected,
        )
