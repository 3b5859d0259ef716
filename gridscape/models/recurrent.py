"""Recurrent networks over the steps of a sequence, written for one trial.

One factory, ``recurrent``, stacks layers of any cell; ``rnn``, ``gru`` and ``lstm`` are that
factory with the cell chosen.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from gridscape.base.data import Sequences
from gridscape.base.limits import Limit
from gridscape.base.parts import Model, Recurrent
from gridscape.base.parts import hyperparameters as numbers_within
from gridscape.base.types import Array, Hyper, Key, Params
from gridscape.errors import ModelError, UsageError, check_known
from gridscape.kernels import feedforward
from gridscape.kernels.library import serve
from gridscape.models._cells import CELLS, Cell, Shapes, affine, lstm_states
from gridscape.models._cells import forget_gate_offset as forget_gate_offset
from gridscape.models._initial import INITIALIZERS, both_biases, draw
from gridscape.models._lengths import ReadingLengths, at_last, reversed_within
from gridscape.models._widths import WIDTH, Layers, widths
from gridscape.models.precision import gradient_rounded, rounded

Shape = tuple[int, ...]

# ---- models ----

# Declared here, as the source of a model that is given as an object is part of its keys.
LIMITS = {"hidden_size": WIDTH, "init_scale": Limit(ge=0)}
hyperparameters = partial(numbers_within, LIMITS)


@hyperparameters(forget_bias=1.0, init_scale=1.0)
def recurrent(
    input_shape: Shape,
    n_outputs: int,
    *,
    cell: str = "lstm",
    hidden_size: int = 128,
    layers: Layers = 1,
    directions: int = 1,
    returns: str = "last",
    init: str = "tf1",
    output_init: str | None = None,
    reset: str = "before",
) -> Model:
    """Recurrent layers, then one linear layer on the last state or on every state.

    input_shape: (T, D), steps and features of a step; sequences of any length are read. Of
        ``Sequences`` each is read to its own end, from which the pass from the end begins: a
        sequence gives what it gives alone, whatever stands in the padding.
    cell: "rnn" (tanh), "gru" or "lstm" (no peepholes).
    layers: how many, each of ``hidden_size``; or the width of each, written "64-32" or [64, 32],
        and ``hidden_size`` is not read.
    directions: 1, or 2: every layer also reads its inputs from the end, and passes on the states
        of both passes, joined.
    returns: "last" for outputs (B, C) from the last state, joined with the last state of the pass
        from the end, which has read the whole sequence; "every" for outputs (B, T, C).
    init: "tf1": kernels Glorot-uniform over their fused shape, from [x, h] to all gates; biases 0,
        those of the GRU's gates 1. "pytorch": all of a layer uniform within 1 / sqrt(H), with two
        bias vectors where "tf1" has one; they are added, and both are trained.
    output_init: of the linear layer. "normal": N(0, 1), not scaled, biases too; "tf1":
        Glorot-uniform, biases 0; "pytorch": uniform within 1 / sqrt(fan-in), biases too. Unless
        given, "normal" with init "tf1", as in the reports that used it, else "pytorch".
    reset: read by the GRU, and either goes with either init. "before": the reset gate multiplies
        the state before the candidate's product (Cho et al. 2014; TensorFlow 1's GRUCell).
        "after": it multiplies that product and a bias of its own (PyTorch; TensorFlow 1's
        CudnnCompatibleGRUCell), so that x and h have each a kernel and a bias to the candidate.
    forget_bias: added in the LSTM's forget gate whatever the init; PyTorch adds none, that is 0.
    init_scale: multiplies the initial kernels of the recurrent layers.

    The parameters of the first layer are "kernel" and "bias", in the GRU "gate_kernel",
    "candidate_kernel" and their biases; those of the next have the prefix "layer2_", those of a
    pass from the end "backward_"; then come "output_kernel" and "output_bias". Order of gates:
    input, candidate, forget, output in the LSTM; reset, update in the GRU.

    Raises ModelError for inputs that are not (T, D), UnknownNameError for an unknown name,
    UsageError for a number out of its range.

    >>> model = recurrent((28, 28), 10, cell="gru", layers="64-32", directions=2, returns="every")
    >>> params = model.init(jax.random.key(0), {"init_scale": 1.0})
    >>> params["layer2_backward_gate_kernel"].shape, params["output_kernel"].shape
    ((160, 64), (64, 10))
    >>> model.apply(params, jnp.zeros((5, 7, 28)), None, {}).shape
    (5, 7, 10)
    """
    check_known("cell", cell, ("rnn", "gru", "lstm"), where="cell")
    check_known("returns", returns, ("last", "every"), where="returns")
    check_known("init", init, ("tf1", "pytorch"), where="init")
    check_known("reset", reset, ("before", "after"), where="reset")
    if output_init is None:
        output_init = "normal" if init == "tf1" else init
    check_known("output_init", output_init, INITIALIZERS, where="output_init")
    if type(directions) is not int or directions not in (1, 2):
        raise UsageError("out of range", where="directions", expected="1 or 2", found=directions)
    chosen = CELLS["gru_after" if (cell, reset) == ("gru", "after") else cell]
    sizes = [_n_features(input_shape), *widths(hidden_size, layers)]
    stack = _stack(chosen, sizes, directions, init)
    n_read = directions * sizes[-1]
    output = {"output_kernel": (n_read, n_outputs), "output_bias": (n_outputs,)}

    def initial(key: Key, hyper: Hyper) -> Params:
        passes = [one for layer in stack for one in layer]
        *keys, output_key = jax.random.split(key, len(passes) + 1)
        params = draw(output_key, output_init, output, n_read)
        for one, of_pass in zip(passes, keys, strict=True):
            params |= _initial(one, of_pass, init, hyper["init_scale"])
        return params

    def apply(params: Params, inputs: Array, key: Key | None, hyper: Hyper) -> Array:
        states = jnp.swapaxes(inputs, 0, 1)
        for number, passes in enumerate(stack, 1):
            every = returns == "every" or number < len(stack)
            read = [_states(chosen, one, params, states, hyper, every) for one in passes]
            states = jnp.concatenate(read, axis=-1)
        states = jnp.swapaxes(states, 0, 1) if returns == "every" else states
        return _read_out(states, params["output_kernel"], params["output_bias"])

    def apply_to_sequences(
        params: Params, inputs: Sequences, key: Key | None, hyper: Hyper
    ) -> Array:
        inputs = jax.tree.map(jnp.asarray, inputs)
        states = jnp.swapaxes(inputs.cleared().steps, 0, 1)
        for number, passes in enumerate(stack, 1):
            every = returns == "every" or number < len(stack)
            of_lengths = partial(_states_within, inputs.lengths, chosen)
            read = [of_lengths(one, params, states, hyper, every) for one in passes]
            states = jnp.concatenate(read, axis=-1)
        states = jnp.swapaxes(states, 0, 1) if returns == "every" else states
        return _read_out(states, params["output_kernel"], params["output_bias"])

    reads = ReadingLengths(apply, apply_to_sequences)
    return Model(initial, reads, recurrent=_one_layer(chosen, stack, returns == "every", reads))


@hyperparameters(init_scale=1.0)
def rnn(
    input_shape: Shape,
    n_outputs: int,
    *,
    hidden_size: int = 128,
    layers: Layers = 1,
    directions: int = 1,
    returns: str = "last",
    init: str = "tf1",
    output_init: str | None = None,
) -> Model:
    """Layers of tanh units (Elman 1990); the options are those of ``recurrent``.

    With the defaults it is TensorFlow 1's BasicRNNCell.

    >>> model = rnn((28, 28), 10, hidden_size=16)
    >>> model.init(jax.random.key(0), {"init_scale": 1.0})["kernel"].shape
    (44, 16)
    """
    return recurrent(
        input_shape,
        n_outputs,
        cell="rnn",
        hidden_size=hidden_size,
        layers=layers,
        directions=directions,
        returns=returns,
        init=init,
        output_init=output_init,
    )


@hyperparameters(init_scale=1.0)
def gru(
    input_shape: Shape,
    n_outputs: int,
    *,
    hidden_size: int = 128,
    layers: Layers = 1,
    directions: int = 1,
    returns: str = "last",
    init: str = "tf1",
    output_init: str | None = None,
    reset: str = "before",
) -> Model:
    """Layers of gated recurrent units; the options are those of ``recurrent``.

    With the defaults it is TensorFlow 1's GRUCell (Cho et al. 2014); with init "pytorch" and reset
    "after" it is PyTorch's.

    >>> model = gru((28, 28), 10, hidden_size=16)
    >>> params = model.init(jax.random.key(0), {"init_scale": 1.0})
    >>> params["gate_kernel"].shape, params["candidate_kernel"].shape
    ((44, 32), (44, 16))
    """
    return recurrent(
        input_shape,
        n_outputs,
        cell="gru",
        hidden_size=hidden_size,
        layers=layers,
        directions=directions,
        returns=returns,
        init=init,
        output_init=output_init,
        reset=reset,
    )


@hyperparameters(forget_bias=1.0, init_scale=1.0)
def lstm(
    input_shape: Shape,
    n_outputs: int,
    *,
    hidden_size: int = 128,
    layers: Layers = 1,
    directions: int = 1,
    returns: str = "last",
    init: str = "tf1",
    output_init: str | None = None,
) -> Model:
    """Layers of LSTM (Hochreiter and Schmidhuber 1997); the options are those of ``recurrent``.

    With the defaults it is TensorFlow 1's BasicLSTMCell: one fused kernel (D+H, 4H) in the order
    input, candidate, forget, output, and ``forget_bias`` added in the gate. With init "pytorch"
    and forget_bias 0 it is PyTorch's.

    >>> model = lstm((28, 28), 10, hidden_size=16)
    >>> params = model.init(jax.random.key(0), {"init_scale": 1.0})
    >>> params["kernel"].shape, params["output_kernel"].shape
    ((44, 64), (16, 10))
    """
    return recurrent(
        input_shape,
        n_outputs,
        cell="lstm",
        hidden_size=hidden_size,
        layers=layers,
        directions=directions,
        returns=returns,
        init=init,
        output_init=output_init,
    )


# ---- layers ----


class Pass(NamedTuple):
    """One reading of a layer's inputs, from the start or from the end."""

    prefix: str
    shapes: Shapes
    hidden_size: int
    from_end: bool


def _stack(cell: Cell, sizes: Sequence[int], directions: int, init: str) -> list[list[Pass]]:
    """The passes of every layer; ``sizes`` are the features of a step and the layers' widths."""
    stack = []
    for number, hidden_size in enumerate(sizes[1:], 1):
        n_inputs = sizes[0] if number == 1 else directions * sizes[number - 1]
        shapes = cell.shapes(n_inputs, hidden_size)
        shapes = both_biases(shapes) if init == "pytorch" else shapes
        prefix = "" if number == 1 else f"layer{number}_"
        passes = [Pass(prefix, shapes, hidden_size, False)]
        if directions == 2:
            passes.append(Pass(f"{prefix}backward_", shapes, hidden_size, True))
        stack.append(passes)
    return stack


def _one_layer(
    cell: Cell, stack: Sequence[Sequence[Pass]], every: bool, apply: Callable[..., Array]
) -> Recurrent | None:
    """What ``apply`` is where one layer reads from the start, with weights as they are kept."""
    name = next(name for name, known in CELLS.items() if known is cell)
    if name not in ("rnn", "lstm") or len(stack) != 1 or len(stack[0]) != 1:
        return None
    weights = dict[str, tuple[str, ...]]()
    for parameter in stack[0][0].shapes:  # of PyTorch's two biases, their sum
        weight = parameter.removesuffix("_ih").removesuffix("_hh")
        weights[weight] = (*weights.get(weight, ()), parameter)
    output, forget = ("output_kernel", "output_bias"), "forget_bias" if name == "lstm" else ""
    return Recurrent(name, tuple(weights.values()), output, every, forget, apply)


def _initial(one: Pass, key: Key, init: str, scale: Any) -> Params:
    """The first parameters of a pass, its kernels multiplied by ``scale``."""
    drawn = draw(key, init, one.shapes, one.hidden_size)
    return {one.prefix + name: v * scale if v.ndim == 2 else v for name, v in drawn.items()}


def _states(
    cell: Cell, one: Pass, params: Params, inputs: Array, hyper: Hyper, every: bool
) -> Array:
    """The states of a pass in the order of its inputs (T, B, H), or the one that it ends in."""
    own = {name: params[one.prefix + name] for name in one.shapes}
    inputs = jnp.flip(inputs, 0) if one.from_end else inputs
    states = cell.states(own, inputs, hyper, every)
    return jnp.flip(states, 0) if one.from_end and every else states


def _states_within(
    lengths: Array,
    cell: Cell,
    one: Pass,
    params: Params,
    inputs: Array,
    hyper: Hyper,
    every: bool,
) -> Array:
    """The same of sequences of different lengths, each of which begins and ends by itself."""
    own = {name: params[one.prefix + name] for name in one.shapes}
    inputs = reversed_within(inputs, lengths) if one.from_end else inputs
    states = cell.states(own, inputs, hyper, True)
    if not every:
        return at_last(states, lengths)
    return reversed_within(states, lengths) if one.from_end else states


def _read_out(states: Array, kernel: Array, bias: Array) -> Array:
    """The linear layer on states (..., H), of the last step or of every one."""
    # One output is a sum, which XLA joins with what the loss makes of it.
    if kernel.shape[-1] == 1 or states.shape[-1] != len(kernel) or not serve(states, kernel, bias):
        return affine(states, kernel, bias)
    rows = rounded(states.reshape(-1, states.shape[-1]))
    outputs = gradient_rounded(feedforward.dense(rows, rounded(kernel), bias))
    return outputs.reshape(*states.shape[:-1], -1)


def lstm_layer(
    kernel: Float[Array, "DH G"], bias: Float[Array, " G"], inputs: Float[Array, "T B D"]
) -> Float[Array, "B G//4"]:
    """The last hidden state of an LSTM layer that starts from zeros; DH = D + H, G = 4 H."""
    params = {"kernel": kernel, "bias": bias}
    return lstm_states(params, inputs, {"forget_bias": 0.0}, every=False)


# ---- checks ----


def _n_features(input_shape: Shape) -> int:
    """D of an input (T, D)."""
    if len(input_shape) != 2 or min(input_shape) < 1:
        raise ModelError("a recurrent model reads (steps, features)", found=input_shape)
    return input_shape[1]
