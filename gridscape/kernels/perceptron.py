"""Many updates of a small perceptron by one call of native code, on one core.

What a network of some hundred weights takes is mostly the way from call to call: here the loop over
updates is native as well, with its batches, losses, gradients, steps and checks.
"""

import ctypes
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.kernels import library, optimizers
from gridscape.kernels.library import load
from gridscape.kernels.optimizers import Step
from gridscape.kernels.tables import ACTIVATIONS, LOSSES, NUMBERS, RULES

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


class Trained(NamedTuple):
    """A trial after them, the losses (U,) and, where they are kept, outputs (U, B, K) else (0,).

    Losses of updates that were not reached are NaN, outputs undefined.
    """

    state: Step
    losses: jax.Array
    outputs: jax.Array


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

    hypers: the numbers of the rule, for each array of the parameters. Else as ``optimizers.step``.
    """
    arrays, of_params = jax.tree.flatten(state.params)
    kept, of_state = jax.tree.flatten(state.opt_state)
    n_arrays, n_moments = len(arrays), RULES[net.rule]
    n_counts = len(kept) - n_moments * n_arrays
    # The library knows arrays by their place: layer after layer, the kernel first.
    places = _places(net, state.params)
    groups = [kept[n_counts + m * n_arrays :][:n_arrays] for m in range(n_moments)]
    grads = [jnp.zeros_like(x) for x in arrays]
    leaves = [group[k] for group in (arrays, grads, *groups) for k in places]
    in_place = [state.update, state.bad_update, state.bad_quantity, *kept[:n_counts], *leaves]
    numbers = jnp.stack([_numbers(hypers[k]) for k in places])
    widths = _widths(net, state.params)
    batch = order.shape[1] or len(inputs)
    n_kept = (len(order), batch, widths[-1]) if net.keeps else (0,)
    call = jax.ffi.ffi_call(
        "gridscape_perceptron_train",
        [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in in_place]
        + [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((len(order),), n_kept)]
        + [jax.ShapeDtypeStruct((_workspace(batch, widths),), jnp.float32)],
        vmap_method="sequential",
        input_output_aliases={k: k for k in range(len(in_place))},
    )
    found = call(
        *in_place,
        jnp.asarray(stop, jnp.int32),
        numbers,
        order,
        inputs.reshape(len(inputs), -1),
        targets,
        rule=np.int64(list(RULES).index(net.rule)),
        loss=np.int64(LOSSES.index(net.loss)),
        keeps=np.bool_(net.keeps),
        widths=np.array(widths, np.int64),
        activations=np.array([ACTIVATIONS.index(a) for a in net.activations], np.int64),
    )
    after, (losses, outputs, _) = list(found[: len(in_place)]), found[len(in_place) :]
    fresh = after[3 + n_counts :]
    back = [places.index(k) for k in range(n_arrays)]

    def group(number: int) -> list[jax.Array]:
        return [fresh[number * n_arrays + k] for k in back]

    moments = [x for m in range(n_moments) for x in group(2 + m)]
    step = Step(
        params=jax.tree.unflatten(of_params, group(0)),
        opt_state=jax.tree.unflatten(of_state, after[3 : 3 + n_counts] + moments),
        update=after[0],
        bad_update=after[1],
        bad_quantity=after[2],
    )
    return Trained(step, losses, outputs)


def _places(net: Perceptron, params: Any) -> list[int]:
    """Where the arrays of each layer stand among all leaves, in the order of the layers."""
    numbered = jax.tree.unflatten(jax.tree.structure(params), range(len(jax.tree.leaves(params))))
    kinds = ("kernel", "bias")
    return [numbered[name][kind] for name in net.names for kind in kinds if kind in numbered[name]]


def _numbers(hyper: Mapping[str, Any]) -> jax.Array:
    return jnp.stack([jnp.asarray(hyper.get(name, 0.0), jnp.float32) for name in NUMBERS])
