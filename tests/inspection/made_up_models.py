"""Small models and a task of random pictures, to be looked into."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.parts import Model
from gridscape.base.task import Task
from gridscape.models.feedforward import (
    lenet5,
    mlp,
)
from gridscape.optimizers import adam
from gridscape.study.study import Recipe

HYPER = {"keep": 0.5, "init_sd": 0.3, "init_bias": 0.1, "init_scale": 1.0}
SHAPE = (7, 6, 2)
LENET = lenet5(SHAPE, 3, channels1=3, channels2=4, hidden_size=5, kernel_size=3)
MLP = mlp(SHAPE, 3, hidden_size=4)
LOGITS = Model(  # whose outputs are its inputs
    lambda key, hyper: {"one": jnp.ones(())}, lambda params, x, key, hyper: params["one"] * x
)


def recipe_of(model, **changes):
    return replace(
        Recipe({"model": "a model"}, {}, model, adam(), 4, 20, HYPER, program=""), **changes
    )


def random_task(n_test=10, shape=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_test, *shape)).astype(np.float32)
    return Task.from_arrays((x, np.arange(n_test) % 3), (x, np.arange(n_test) % 3))


def start(model, seed=0):
    """Parameters none of which is zero."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), HYPER)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: jnp.asarray(0.3 * rng.normal(size=p.shape), jnp.float32), shapes)
