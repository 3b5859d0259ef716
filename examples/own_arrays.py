"""Your own arrays and your own model: how large may the first weights and the learning rate be?

The data: points on two interleaved spirals, as NumPy arrays. The model: a pair of functions. Prints
the landscape and the best learning rate for each scale of the initial weights. A changed model or
number of updates is another study: give it another --dir.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

import gridscape as gs


def spirals(n_points, seed):
    """Points (N, 2) on two spirals, and which one each lies on (N,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n_points)
    radius = rng.uniform(0.2, 1, n_points)
    angle = 2 * np.pi * radius + np.pi * labels + rng.normal(0, 0.15, n_points)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points, labels


def init(key, hyper):
    """32 tanh units and a linear layer, from a random key and the numbers of the cell."""
    hidden_key, output_key = jax.random.split(key)
    return {
        "hidden": jax.random.normal(hidden_key, (2, 32)) * hyper["init_scale"],
        "bias": jnp.zeros(32),
        "output": jax.random.normal(output_key, (32, 2)) / jnp.sqrt(32),
    }


def apply(params, inputs, key, hyper):
    """Points (B, 2) -> one output per spiral (B, 2); ``key`` would be for dropout."""
    return jnp.tanh(inputs @ params["hidden"] + params["bias"]) @ params["output"]


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int, default=600)
parser.add_argument("--dir", default="runs/spirals")
options = parser.parse_args()

study = gs.Study(
    name="spirals",
    task=gs.Task.from_arrays(train=spirals(1000, seed=0), test=spirals(500, seed=1)),
    model=gs.Model(init, apply, hyperparameters={"init_scale": 1.0}),
    axes={"init_scale": [0.1, 1.0, 10.0, 100.0], "learning_rate": [1e-3, 1e-2, 0.1, 1.0]},
    updates=options.updates,
)
land = gs.run(study, directory=options.dir)
print(land.data.test_accuracy.mean("replicate").to_pandas().round(3))
print(land.best("learning_rate", per="init_scale").to_dataframe().round(3))
