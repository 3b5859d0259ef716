"""Recurrent layers by native code: the same functions as the loops of models/_cells.py."""

import ctypes
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.kernels.library import call, load
from gridscape.kernels.tables import CELLS, RecurrentWorkspace

Weights = tuple[jax.Array, ...]
PRECISIONS = ("float32", "bfloat16")  # of products; see models/precision.py


def fits(cell: str, weights: Weights, inputs: jax.Array) -> bool:
    """Whether inputs and weights belong together; where not, the plain path says what is wrong."""
    if inputs.ndim != 3:
        return False
    rows = inputs.shape[-1] + (0 if cell == "gru_after" else _hidden(cell, weights))
    return len(weights[0]) == rows


def layer(
    cell: str, weights: Weights, inputs: jax.Array, every: bool, bfloat16: bool = False
) -> jax.Array:
    """The states of a layer that starts from zeros, (T, B, H), or the last unless ``every``.

    ``weights`` in the order of the plain loop of the cell; inputs (T, B, D). ``bfloat16``: the
    operands of products are rounded to it.
    """
    # The kernels read batches as they are stored; XLA drops an exchange that a model undoes.
    states = _layer(Kind(cell, every, bfloat16), weights, jnp.swapaxes(inputs, 0, 1))
    return jnp.swapaxes(states, 0, 1) if every else states


class Kind(NamedTuple):
    """What a layer computes, whatever its sizes."""

    cell: str
    every: bool
    bfloat16: bool


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _layer(kind: Kind, weights: Weights, inputs: jax.Array) -> jax.Array:
    """Inputs (B, T, D) -> states (B, T, H), or the last (B, H)."""
    return _forward(kind, weights, inputs, keeps=False)[0]


def _keep(kind: Kind, weights: Weights, inputs: jax.Array) -> tuple[jax.Array, Any]:
    output, rows, kept = _forward(kind, weights, inputs, keeps=True)
    return output, (weights, inputs, rows, kept)


def _pull(kind: Kind, saved: Any, doutput: jax.Array) -> tuple[Weights, jax.Array]:
    weights, inputs, rows, kept = saved
    workspace = _workspace(kind, weights, inputs)
    results = (*(w.shape for w in weights), (workspace.dgates,), (workspace.backward,))
    attributes = _attributes(kind, weights)
    *dweights, dgates, _ = call("recurrent_backward", results)(
        *weights, inputs, rows, kept, doutput, **attributes, every=np.bool_(kind.every)
    )
    # A call of its own: nothing runs it where nobody asks for the gradient by the inputs.
    of_inputs = call("recurrent_inputs", (inputs.shape, (workspace.inputs,)))
    dinputs, _ = of_inputs(*weights, dgates, **attributes)
    return tuple(dweights), dinputs


_layer.defvjp(_keep, _pull)


def _forward(
    kind: Kind, weights: Weights, inputs: jax.Array, keeps: bool
) -> tuple[jax.Array, jax.Array, jax.Array]:
    workspace = _workspace(kind, weights, inputs, keeps)
    B, T, _ = inputs.shape
    H = _hidden(kind.cell, weights)
    shapes = (
        (B, T, H) if kind.every else (B, H),
        (workspace.rows,),
        (workspace.kept,),
        (workspace.forward,),
    )
    output, rows, kept, _ = call("recurrent_forward", shapes)(
        *weights,
        inputs,
        **_attributes(kind, weights),
        every=np.bool_(kind.every),
        keeps=np.bool_(keeps),
    )
    return output, rows, kept


def _attributes(kind: Kind, weights: Weights) -> dict[str, Any]:
    return {
        "cell": np.int64(_number(kind.cell)),
        "hidden": np.int64(_hidden(kind.cell, weights)),
        "bfloat16": np.bool_(kind.bfloat16),
    }


def _hidden(cell: str, weights: Weights) -> int:
    return len(weights[1]) // CELLS[cell]


def _number(cell: str) -> int:
    return list(CELLS).index(cell)


def _workspace(
    kind: Kind, weights: Weights, inputs: jax.Array, keeps: bool = True
) -> RecurrentWorkspace:
    library = load().library
    assert library is not None  # who calls has asked ``serve``
    B, T, D = inputs.shape
    sizes = (_number(kind.cell), T, B, D, _hidden(kind.cell, weights))
    found = (ctypes.c_int64 * len(RecurrentWorkspace._fields))()
    options = map(ctypes.c_bool, (kind.every, kind.bfloat16, keeps))
    library.gridscape_recurrent_workspace(*map(ctypes.c_int64, sizes), *options, found)
    return RecurrentWorkspace(*found)
