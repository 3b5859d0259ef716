"""How parameters start: the conventions of TensorFlow 1 and of PyTorch, by name."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from gridscape.base.types import Array, Key, Params
from gridscape.kernels.threefry import quick
from gridscape.models._cells import Shapes

Shape = tuple[int, ...]


def draw(key: Key, init: str, shapes: Shapes, fan: int) -> Params:
    """Parameters of these shapes; ``fan`` is H in a recurrent layer, fan-in in a linear one."""
    keys = jax.random.split(quick(key), len(shapes))
    return {
        name: INITIALIZERS[init](of_name, name, shape, fan)
        for of_name, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def both_biases(shapes: Shapes) -> Shapes:
    """PyTorch's: one bias with the inputs and one with the state, where TensorFlow 1 has one."""
    names = {name: (f"{name}_ih", f"{name}_hh") for name in shapes if name.endswith("bias")}
    return {new: shape for name, shape in shapes.items() for new in names.get(name, (name,))}


def _normal(key: Key, name: str, shape: Shape, fan: int) -> Array:
    """N(0, 1), not scaled."""
    return jax.random.normal(key, shape)


def _tf1(key: Key, name: str, shape: Shape, fan: int) -> Array:
    """Kernels Glorot-uniform, within sqrt(6 / (rows + columns)); biases constant."""
    if len(shape) == 2:
        return jax.nn.initializers.glorot_uniform()(key, shape)
    return jnp.ones(shape) if name == "gate_bias" else jnp.zeros(shape)


def _pytorch(key: Key, name: str, shape: Shape, fan: int) -> Array:
    """Uniform within 1 / sqrt(fan), biases too."""
    limit = fan**-0.5
    return jax.random.uniform(key, shape, minval=-limit, maxval=limit)


INITIALIZERS: Mapping[str, Callable[[Key, str, Shape, int], Array]] = {
    "normal": _normal,
    "tf1": _tf1,
    "pytorch": _pytorch,
}
