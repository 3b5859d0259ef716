"""A point that is moved by the update rule itself: the model of tasks without inputs."""

import jax.numpy as jnp

from gridscape.base.parts import Model, hyperparameters
from gridscape.base.types import Array, Hyper, Key, Params


@hyperparameters(start=1.0)
def point(input_shape: tuple[int, ...], n_outputs: int) -> Model:
    """One position (C,) that is the output for every input, (B, C).

    ``start`` is the value of all its coordinates before the first update.

    >>> model = point((2,), 2)
    >>> params = model.init(None, {"start": 1.0})
    >>> model.apply(params, jnp.zeros((1, 2)), None, {}).tolist()
    [[1.0, 1.0]]
    """

    def init(key: Key, hyper: Hyper) -> Params:
        return {"position": jnp.ones(n_outputs) * hyper["start"]}

    def apply(params: Params, inputs: Array, key: Key | None, hyper: Hyper) -> Array:
        return jnp.broadcast_to(params["position"], (len(inputs), n_outputs))

    return Model(init, apply)
