"""What several tests need to train small studies in process."""

import contextlib
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.parts import Model
from gridscape.engine.cohorts import partition
from gridscape.engine.machine import Machine
from gridscape.execution.cohort_run import CohortRun
from gridscape.execution.executors import Finished
from gridscape.execution.planner import Planner
from gridscape.study.study import Study


def tiny(axes=None, **values):
    """A study that trains in well under a second."""
    settings = {
        "name": "tiny",
        "task": "digits-rows",
        "model": "lstm",
        "axes": axes or {"hidden_size": [4, 8], "learning_rate": [0.001, 0.1]},
        "updates": 12,
        "batch_size": 10,
        "replicates": 2,
        "evaluations": 3,
        "evaluation_examples": 100,
    }
    return Study(**{**settings, **values})


def planner_of(study):
    return Planner(study.resolve(), Machine.local())


def train(planner, trials):
    """The results of trials, by key, each cohort trained as a whole."""
    return {
        event.trial.key: event.result
        for cohort in partition(planner.resolved, trials)
        for event in CohortRun(planner, cohort).events()
        if isinstance(event, Finished)
    }


def assert_same(a, b):
    """Two results agree bit for bit in all but the time that they took."""
    assert (a.status, a.updates, a.params_digest) == (b.status, b.updates, b.params_digest)
    assert (a.first_bad_update, a.bad_quantity) == (b.first_bad_update, b.bad_quantity)
    assert a.metrics == b.metrics
    assert a.curves.keys() == b.curves.keys()
    for name in a.curves:
        np.testing.assert_array_equal(a.curves[name], b.curves[name], err_msg=name)


@contextlib.contextmanager
def compilations():
    """Counts the programs that XLA compiles in the block."""
    events = []

    def listen(name, seconds, **_):
        if name == "/jax/core/compile/backend_compile_duration":
            events.append(name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield events
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def perceptron(*widths):
    """tanh layers of these widths, the first of them the inputs."""

    def init(key, hyper):
        return [jnp.zeros(shape) for shape in pairwise(widths)]

    def apply(params, inputs, key, hyper):
        *hidden, last = params
        for weights in hidden:
            inputs = jnp.tanh(inputs @ weights)
        return inputs @ last

    return Model(init, apply)
