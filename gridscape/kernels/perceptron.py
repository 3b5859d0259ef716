"""Small perceptrons whose updates one call of native code does; see whole.py."""

import ctypes
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.kernels import library, optimizers, whole
from gridscape.kernels.library import load
from gridscape.kernels.tables import ACTIVATIONS, LOSSES
from gridscape.kernels.whole import Trained

MOST_LAYERS = 8
# Floats of a batch and all that its layers give: what is larger is faster layer by layer.
MOST_WORKSPACE = 2**17


class Perceptron(NamedTuple):
    """What is trained: dense layers by their names among the parameters, with their activations.

    loss: of LOSSES, its mean over a batch; rule: of RULES. keeps: whether to tell all outputs.
    """

    names: tuple[str, ...]
    activations: tuple[str, ...]
    loss: str
    rule: str
    keeps: bool


def serve(net: Perceptron, state: Any, order: Any, inputs: Any, targets: Any) -> bool:
    """Whether native code can train it from this state on these examples.

    state: an engine.TrialState. order (U, B), or (U, 0) where a batch is all examples; inputs
    (N, ...), targets (N, K).
    """
    if net.loss not in LOSSES or not set(net.activations) <= set(ACTIVATIONS):
        return False
    if len(net.names) > MOST_LAYERS or not are_layers(net.names, state.params, inputs, targets):
        return False
    arrays = jax.tree.leaves(state.params)
    if not optimizers.serve(net.rule, inputs, state.params, state.opt_state):
        return False
    if not library.serve(inputs, targets, *arrays):
        return False
    batch = order.shape[1] or len(inputs)
    workspace = _workspace(batch, _widths(net, state.params))
    return order.dtype == jnp.int32 and workspace <= MOST_WORKSPACE


def are_layers(names: Sequence[str], params: Any, inputs: Any, targets: Any) -> bool:
    """Whether these are the parameters of dense layers from such inputs to such targets."""
    if not isinstance(params, dict) or set(params) != set(names):
        return False
    layers = [params[name] for name in names]
    kinds = {tuple(sorted(layer)) for layer in layers}
    if kinds not in ({("kernel",)}, {("bias", "kernel")}) or targets.ndim != 2:
        return False
    widths = [math.prod(inputs.shape[1:]), *(layer["kernel"].shape[-1] for layer in layers)]
    return widths[-1] == targets.shape[1] and all(
        layer["kernel"].shape == shape and ("bias" not in layer or layer["bias"].shape == shape[1:])
        for layer, shape in zip(layers, pairwise(widths), strict=True)
    )


def _widths(net: Perceptron, params: Any) -> list[int]:
    shapes = [params[name]["kernel"].shape for name in net.names]
    return [shapes[0][0], *(shape[1] for shape in shapes)]


def _workspace(batch: int, widths: Sequence[int]) -> int:
    found = load().library
    assert found is not None  # who calls has asked ``library.serve``
    workspace = found.gridscape_perceptron_workspace
    workspace.restype = ctypes.c_int64
    sizes = (ctypes.c_int64 * len(widths))(*widths)
    return int(workspace(ctypes.c_int64(batch), ctypes.c_int64(len(widths) - 1), sizes))


def train(
    net: Perceptron,
    hypers: Sequence[Mapping[str, Any]],
    state: Any,
    order: jax.Array,
    stop: jax.Array,
    inputs: jax.Array,
    targets: jax.Array,
) -> Trained:
    """Train until ``stop`` updates are done or something is not finite, where ``serve`` is true.

    hypers: the numbers of the rule, for each array of the parameters.
    """
    widths, batch = _widths(net, state.params), order.shape[1] or len(inputs)
    return whole.train(
        "perceptron_train",
        whole.Request(net.rule, hypers, order, stop),
        state,
        _places(net, state.params),
        (inputs.reshape(len(inputs), -1), targets),
        outputs=(len(order), batch, widths[-1]) if net.keeps else (0,),
        workspace=_workspace(batch, widths),
        loss=np.int64(LOSSES.index(net.loss)),
        keeps=np.bool_(net.keeps),
        widths=np.array(widths, np.int64),
        activations=np.array([ACTIVATIONS.index(a) for a in net.activations], np.int64),
    )


def _places(net: Perceptron, params: Any) -> list[int]:
    """Where the arrays of each layer stand among all leaves, in the order of the layers."""
    numbered = jax.tree.unflatten(jax.tree.structure(params), range(len(jax.tree.leaves(params))))
    kinds = ("kernel", "bias")
    return [numbered[name][kind] for name in net.names for kind in kinds if kind in numbered[name]]
