"""A model that a study file names by import string: ``model = "my_models:my_rnn"``."""

import jax
import jax.numpy as jnp

import gridscape as gs


@gs.hyperparameters(recurrent_scale=1.0)
def my_rnn(input_shape, n_outputs, *, hidden_size=32):
    """h <- tanh(x W + h U + b), the last h -> linear; U is a scaled random rotation."""
    _, n_features = input_shape  # (steps, features)

    def init(key, hyper):
        keys = jax.random.split(key, 3)
        rotation = jax.random.orthogonal(keys[1], hidden_size)
        return {
            "input": jax.random.normal(keys[0], (n_features, hidden_size)) / jnp.sqrt(n_features),
            "recurrent": rotation * hyper["recurrent_scale"],
            "bias": jnp.zeros(hidden_size),
            "output": jax.random.normal(keys[2], (hidden_size, n_outputs)) / jnp.sqrt(hidden_size),
        }

    def apply(params, inputs, key, hyper):  # (B, T, D) -> (B, n_outputs)
        def step(h, x):
            h = jnp.tanh(x @ params["input"] + h @ params["recurrent"] + params["bias"])
            return h, None

        h = jnp.zeros((len(inputs), hidden_size))
        h, _ = jax.lax.scan(step, h, jnp.swapaxes(inputs, 0, 1))
        return h @ params["output"]

    return gs.Model(init, apply)
