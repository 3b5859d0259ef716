"""Recurrent layers by native code: the same functions as the loops of models/_cells.py."""

import ctypes
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.kernels.library import call, load

Weights = tuple[jax.Array, ...]
CELLS = ("rnn", "lstm", "gru", "gru_after")  # in the order of recurrent_kernels.h


class Room(NamedTuple):
    """Numbers of floats, see RecurrentRoom in recurrent_kernels.h."""

    rows: int
    kept: int
    dgates: int
    forward: int
    backward: int
    inputs: int


def fits(cell: str, weights: Weights, inputs: jax.Array) -> bool:
    """Whether inputs and weights belong together; where not, the plain path says what is wrong."""
    if inputs.ndim != 3:
        return False
    rows = inputs.shape[-1] + (0 if cell == "gru_after" else _hidden(cell, weights))
    return len(weights[0]) == rows


def layer(cell: str, weights: Weights, inputs: jax.Array, every: bool) -> jax.Array:
    """The states of a layer that starts from zeros, (T, B, H), or the last unless ``every``.

    ``weights`` in the order of the plain loop of the cell; inputs (T, B, D).
    """
    # The kernels read batches as they are stored; XLA drops an exchange that a model undoes.
    states = _layer(cell, every, weights, jnp.swapaxes(inputs, 0, 1))
    return jnp.swapaxes(states, 0, 1) if every else states


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _layer(cell: str, every: bool, weights: Weights, inputs: jax.Array) -> jax.Array:
    """Inputs (B, T, D) -> states (B, T, H), or the last (B, H)."""
    return _forward(cell, every, weights, inputs, keeps=False)[0]


def _keep(cell: str, every: bool, weights: Weights, inputs: jax.Array) -> tuple[jax.Array, Any]:
    output, rows, kept = _forward(cell, every, weights, inputs, keeps=True)
    return output, (weights, inputs, rows, kept)


def _pull(cell: str, every: bool, saved: Any, doutput: jax.Array) -> tuple[Weights, jax.Array]:
    weights, inputs, rows, kept = saved
    room = _room(cell, weights, inputs, every)
    results = (*(w.shape for w in weights), (room.dgates,), (room.backward,))
    attributes = _attributes(cell, weights)
    *dweights, dgates, _ = call("recurrent_backward", results)(
        *weights, inputs, rows, kept, doutput, **attributes, every=np.bool_(every)
    )
    # A call of its own: nothing runs it where nobody asks for the gradient by the inputs.
    of_inputs = call("recurrent_inputs", (inputs.shape, (room.inputs,)))
    dinputs, _ = of_inputs(*weights, dgates, **attributes)
    return tuple(dweights), dinputs


_layer.defvjp(_keep, _pull)


def _forward(
    cell: str, every: bool, weights: Weights, inputs: jax.Array, keeps: bool
) -> tuple[jax.Array, jax.Array, jax.Array]:
    room = _room(cell, weights, inputs, every, keeps)
    B, T, _ = inputs.shape
    H = _hidden(cell, weights)
    shapes = ((B, T, H) if every else (B, H), (room.rows,), (room.kept,), (room.forward,))
    output, rows, kept, _ = call("recurrent_forward", shapes)(
        *weights,
        inputs,
        **_attributes(cell, weights),
        every=np.bool_(every),
        keeps=np.bool_(keeps),
    )
    return output, rows, kept


def _attributes(cell: str, weights: Weights) -> dict[str, Any]:
    return {"cell": np.int64(CELLS.index(cell)), "hidden": np.int64(_hidden(cell, weights))}


def _hidden(cell: str, weights: Weights) -> int:
    n_blocks = {"rnn": 1, "lstm": 4, "gru": 2, "gru_after": 3}[cell]
    return len(weights[1]) // n_blocks


def _room(cell: str, weights: Weights, inputs: jax.Array, every: bool, keeps: bool = True) -> Room:
    library = load().library
    assert library is not None  # who calls has asked ``serve``
    B, T, D = inputs.shape
    sizes = (CELLS.index(cell), T, B, D, _hidden(cell, weights))
    found = (ctypes.c_int64 * len(Room._fields))()
    library.gridscape_recurrent_room(*map(ctypes.c_int64, sizes), every, keeps, found)
    return Room(*found)
