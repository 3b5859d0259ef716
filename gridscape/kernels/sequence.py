"""Small recurrent networks whose updates one call of native code does, or outputs; see whole.py."""

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.parts import Recurrent
from gridscape.kernels import library, optimizers, whole
from gridscape.kernels.library import load
from gridscape.kernels.tables import CELLS, SEQUENCE_LOSSES
from gridscape.kernels.whole import Trained

# Floats of a batch and all that its layers give: what is larger is faster layer by layer.
MOST_WORKSPACE = 2**17
KINDS = ("rnn", "lstm")  # of CELLS


class SequenceNet(NamedTuple):
    """What is trained: a recurrent layer, one of KINDS, and a linear one behind it.

    weights: of kernel and bias of the cell the names of the parameters that are added up to it;
    output: of kernel and bias of the linear layer. every: it answers at every step, not only after
    the last. loss: of SEQUENCE_LOSSES, its mean over a batch; rule: of RULES. keeps: whether to
    tell all outputs. cuts: steps that count in none of a batch's sequences are not done, and what
    they would give is told as 0.
    """

    cell: str
    weights: tuple[tuple[str, ...], ...]
    output: tuple[str, str]
    every: bool
    loss: str
    rule: str
    keeps: bool
    cuts: bool = False


class Examples(NamedTuple):
    """Inputs (N, T, D), targets (N, 1) or (N, T), and of what length they are, (N,) or (0,).

    Targets are a class or, of all losses but the cross-entropy, a bit a step.
    """

    inputs: jax.Array
    targets: jax.Array
    lengths: jax.Array


def serve(net: SequenceNet, state: Any, order: Any, examples: Any) -> bool:
    """Whether native code can train it from this state on such examples.

    state: an engine.TrialState. order (U, B), or (U, 0) where a batch is all examples; examples:
    ``Examples``, or their shapes.
    """
    params, inputs = state.params, examples.inputs
    known = net.loss in SEQUENCE_LOSSES
    if not known or not are_weights(net, params, inputs):
        return False
    n_outputs, batch = params[net.output[0]].shape[1], order.shape[1] or len(inputs)
    n_targets = 1 if net.loss == "cross_entropy" else inputs.shape[1] * net.every
    return (
        (net.loss == "cross_entropy" or n_outputs == 1)
        and examples.targets.shape == (len(inputs), n_targets)
        and examples.lengths.shape in ((len(inputs),), (0,))
        and all(x.dtype == jnp.int32 for x in (order, examples.targets, examples.lengths))
        and optimizers.serve(net.rule, inputs, params, state.opt_state)
        and library.serve(inputs, *jax.tree.leaves(params))
        and 0 < _workspace(net, params, batch, inputs) <= MOST_WORKSPACE
    )


def are_weights(net: SequenceNet | Recurrent, params: Any, inputs: Any) -> bool:
    """Whether these are the parameters of such a network on such inputs."""
    names = sorted(_names(net))
    if not isinstance(params, dict) or sorted(params) != names or net.cell not in KINDS:
        return False
    if [len(terms) in (1, 2) for terms in net.weights] != [True, True]:
        return False
    kernel, bias = (params[name] for name in net.output)
    if kernel.ndim != 2 or inputs.ndim != 3:
        return False
    hidden, n_outputs = kernel.shape
    columns = CELLS[net.cell] * hidden
    shapes = ((inputs.shape[2] + hidden, columns), (columns,))
    return bias.shape == (n_outputs,) and all(
        params[name].shape == shape
        for terms, shape in zip(net.weights, shapes, strict=True)
        for name in terms
    )


def train(
    net: SequenceNet,
    hypers: Sequence[Mapping[str, Any]],
    forget: Any,
    state: Any,
    order: jax.Array,
    stop: jax.Array,
    examples: Examples,
) -> Trained:
    """Train until ``stop`` updates are done or something is not finite, where ``serve`` is true.

    hypers: the numbers of the rule, for each array of the parameters. forget: added in the forget
    gate of an LSTM.
    """
    T, B = examples.inputs.shape[1], order.shape[1] or len(examples.inputs)
    n_outputs = state.params[net.output[0]].shape[1]
    steps = (T,) if net.every else ()
    return whole.train(
        "sequence_train",
        whole.Request(net.rule, hypers, order, stop),
        state,
        [sorted(state.params).index(name) for name in _names(net)],
        (*examples, jnp.asarray(forget, jnp.float32)),
        outputs=(len(order), B, *steps, n_outputs) if net.keeps else (0,),
        workspace=_workspace(net, state.params, B, examples.inputs),
        loss=np.int64(SEQUENCE_LOSSES.index(net.loss)),
        keeps=np.bool_(net.keeps),
        cuts=np.bool_(net.cuts),
        **_attributes(net, state.params),
    )


def gives(layers: Recurrent, params: Any, inputs: Any) -> bool:
    """Whether native code can tell the outputs of such layers, of inputs (B, T, D)."""
    return (
        isinstance(inputs, jax.Array)
        and are_weights(layers, params, inputs)
        and library.serve(inputs, *params.values())
        and _outputs_workspace(layers, params, inputs) > 0
    )


def outputs(
    layers: Recurrent, params: Any, forget: Any, inputs: jax.Array, lengths: jax.Array
) -> jax.Array:
    """The outputs (B, C), or (B, T, C) where the layers answer at every step.

    lengths: how many answers of each example count, (B,), or (0,) where all do; some of the others
    are 0.
    """
    B, T, _ = inputs.shape
    n_outputs = params[layers.output[0]].shape[1]
    steps = (T,) if layers.every else ()
    shapes = (B, *steps, n_outputs), (_outputs_workspace(layers, params, inputs),)
    call = jax.ffi.ffi_call(
        "gridscape_sequence_outputs",
        [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],
        vmap_method="sequential",
    )
    found, _ = call(
        *(params[name] for name in _names(layers)),
        jnp.asarray(forget, jnp.float32),
        inputs,
        lengths,
        **_attributes(layers, params),
    )
    return found


def _names(net: SequenceNet | Recurrent) -> list[str]:
    """Of the parameters, in the order of the calls."""
    return [name for terms in (*net.weights, net.output) for name in terms]


def _attributes(net: SequenceNet | Recurrent, params: Any) -> dict[str, Any]:
    hidden, n_outputs = params[net.output[0]].shape
    return {
        "cell": np.int64(list(CELLS).index(net.cell)),
        "hidden": np.int64(hidden),
        "every": np.bool_(net.every),
        "n_outputs": np.int64(n_outputs),
        "terms": np.array([len(terms) for terms in net.weights], np.int64),
    }


def _workspace(net: SequenceNet, params: Any, batch: int, inputs: Any) -> int:
    """Floats to work in; 0 where the library has no such network."""
    sizes = _sizes(net, params, (batch, *inputs.shape[1:]))
    loss = ctypes.c_int64(SEQUENCE_LOSSES.index(net.loss))
    return _floats("gridscape_sequence_workspace", *sizes, loss)


def _outputs_workspace(layers: Recurrent, params: Any, inputs: Any) -> int:
    """The same for outputs alone."""
    return _floats("gridscape_sequence_outputs_workspace", *_sizes(layers, params, inputs.shape))


def _sizes(net: SequenceNet | Recurrent, params: Any, inputs: tuple[int, ...]) -> list[Any]:
    B, T, D = inputs
    hidden, n_outputs = params[net.output[0]].shape
    sizes = list(CELLS).index(net.cell), T, B, D, hidden
    return [*map(ctypes.c_int64, sizes), ctypes.c_bool(net.every), ctypes.c_int64(n_outputs)]


def _floats(name: str, *sizes: Any) -> int:
    library = load().library
    assert library is not None  # who calls has asked ``library.serve``
    workspace = getattr(library, name)
    workspace.restype = ctypes.c_int64
    return int(workspace(*sizes))
