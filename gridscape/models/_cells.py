"""Recurrent layers: from inputs (T, B, D) to the hidden states (T, B, H), or to the last (B, H).

The loop through time of a layer is a custom_vjp function: its forward pass keeps the local
derivatives, and its backward pass forms each weight gradient as ONE product over time x batch
instead of one small product a step, which is what differentiating the scan would do. On CPUs the
native kernels do the same, several times as fast. All layers start from zeros.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from gridscape.base.types import Array, Hyper, Params
from gridscape.kernels import recurrent
from gridscape.kernels.library import serve
from gridscape.models.precision import (
    current,
    gradient_rounded,
    product,
    product_of_rounded,
    products_in,
    rounded,
)

Shapes = Mapping[str, tuple[int, ...]]
Weights = tuple[Array, ...]
Carry = tuple[Array, ...]


class Recurrence(NamedTuple):
    """One step of a loop through time, and its derivative by hand.

    ``step(weights, carry, x)`` returns the next carry, whose first is the hidden state (B, H), and
    what the other two need of this step. The second of ``weights`` is a bias of ``n_blocks`` x H.
    ``pull(weights, dcarry, kept)`` takes the gradient after a step to the one before it, and
    returns the gradient by the gates as well.
    ``gradient(weights, inputs, kept, dgates)``, of all steps at once, is by weights and inputs.
    """

    step: Callable[[Weights, Carry, Array], tuple[Carry, Any]]
    pull: Callable[[Weights, Carry, Any], tuple[Carry, Array]]
    gradient: Callable[[Weights, Array, Any, Array], tuple[Weights, Array]]
    n_blocks: int
    n_carried: int = 1


def loop(cell: str, recurrence: Recurrence) -> Callable[[Weights, Array, bool], Array]:
    """The differentiable function (weights, inputs, every) -> every hidden state, or the last.

    Every state costs a few percent more than the last alone, which is all that most models read.
    The native kernel of the cell runs where there is one for the device.
    """

    def forward(weights: Weights, inputs: Array, every: bool, precision: str) -> tuple[Array, Any]:
        shape = (inputs.shape[1], len(weights[1]) // recurrence.n_blocks)
        start = (jnp.zeros(shape, inputs.dtype),) * recurrence.n_carried

        def step(carry: Carry, x: Array) -> tuple[Carry, Any]:
            carry, kept = recurrence.step(weights, carry, x)
            return carry, (carry[0] if every else None, kept)

        with products_in(precision):
            (last, *_), (states, kept) = lax.scan(step, start, inputs, unroll=_unrolled())
        return (states if every else last), (weights, inputs, kept)

    def backward(every: bool, precision: str, saved: Any, dout: Array) -> tuple[Weights, Array]:
        weights, inputs, kept = saved
        zeros = jnp.zeros_like(dout[0] if every else dout)
        dlast, dstates = (zeros, dout) if every else (dout, None)

        def step(dcarry: Carry, at: tuple[Array | None, Any]) -> tuple[Carry, Array]:
            dstate, kept = at
            dh = dcarry[0] if dstate is None else dcarry[0] + dstate
            return recurrence.pull(weights, (dh, *dcarry[1:]), kept)

        start = (dlast, *(zeros,) * (recurrence.n_carried - 1))
        with products_in(precision):
            _, dgates = lax.scan(step, start, (dstates, kept), reverse=True, unroll=_unrolled())
            return recurrence.gradient(weights, inputs, kept, dgates)

    @partial(jax.custom_vjp, nondiff_argnums=(2, 3))
    def run(weights: Weights, inputs: Array, every: bool, precision: str) -> Array:
        return forward(weights, inputs, every, precision)[0]

    run.defvjp(forward, backward)

    def states(weights: Weights, inputs: Array, every: bool) -> Array:
        is_native = current() in recurrent.PRECISIONS and serve(*weights, inputs)
        if is_native and recurrent.fits(cell, weights, inputs):
            return recurrent.layer(cell, weights, inputs, every, current() == "bfloat16")
        return run(weights, inputs, every, current())

    return states


def _unrolled() -> int:
    """Steps of a loop through time that are compiled one by one.

    On a GPU as many as images have rows: an update is then one graph of kernels, which starts at
    once. On a CPU starting a step costs little, and compiling it a lot.
    """
    return 32 if jax.default_backend() == "gpu" else 1


def affine(x: Array, kernel: Float[Array, "I J"], bias: Float[Array, " J"]) -> Array:
    """x @ kernel + bias, over any leading dimensions of x (..., I)."""
    outputs = product(x, kernel)
    return gradient_rounded(outputs + jnp.broadcast_to(bias, outputs.shape))


def _bias(params: Params, name: str = "bias") -> Array:
    """The bias of this name, or the sum of the two that PyTorch has in its place."""
    return params[name] if name in params else params[f"{name}_ih"] + params[f"{name}_hh"]


def _affine_gradient(
    operand: Float[Array, "T B I"], dout: Float[Array, "T B J"]
) -> tuple[Float[Array, "I J"], Float[Array, " J"]]:
    """Of kernel and bias, in one product over time x batch."""
    operand, dout = (rounded(a.reshape(-1, a.shape[-1])) for a in (operand, dout))
    return product_of_rounded(operand.T, dout), dout.sum(axis=0)


def _fused_gradient(
    weights: Weights, inputs: Array, kept: Any, dgates: Array
) -> tuple[Weights, Array]:
    """Where one kernel meets [x, h], which is the first that is kept."""
    dinputs = product(dgates, weights[0][: inputs.shape[-1]].T)
    return _affine_gradient(kept[0], dgates), dinputs


def _to_state(dgates: Array, kernel: Array, h: Array) -> Array:
    """The gradient by the state, whose rows are the last of a kernel for [x, h]."""
    return product(dgates, kernel[-h.shape[-1] :].T)


def _sigmoid(x: Array) -> Array:
    """The logistic function through tanh, which is vectorized."""
    return (1 + jnp.tanh(x / 2)) / 2


# ---- RNN ----


def rnn_shapes(D: int, H: int) -> Shapes:
    """One kernel for [x, h]."""
    return {"kernel": (D + H, H), "bias": (H,)}


def rnn_states(params: Params, inputs: Array, hyper: Hyper, every: bool) -> Array:
    """h' = tanh([x, h] kernel + bias) (Elman 1990)."""
    return _rnn_loop((params["kernel"], _bias(params)), inputs, every)


def _rnn_step(weights: Weights, carry: Carry, x: Array) -> tuple[Carry, Any]:
    xh = jnp.concatenate([x, *carry], axis=-1)
    h = jnp.tanh(affine(xh, *weights))
    return (h,), (xh, 1 - h**2)


def _rnn_pull(weights: Weights, dcarry: Carry, kept: Any) -> tuple[Carry, Array]:
    (dh,), (_, dh_by_gate) = dcarry, kept
    dgate = dh * dh_by_gate
    return (_to_state(dgate, weights[0], dh),), dgate


_rnn_loop = loop("rnn", Recurrence(_rnn_step, _rnn_pull, _fused_gradient, n_blocks=1))


# ---- LSTM ----


def lstm_shapes(D: int, H: int) -> Shapes:
    """One kernel from [x, h] to input gate, candidate, forget gate and output gate."""
    return {"kernel": (D + H, 4 * H), "bias": (4 * H,)}


def lstm_states(params: Params, inputs: Array, hyper: Hyper, every: bool) -> Array:
    """c' = f c + i j, h' = o tanh(c') (Gers, Schmidhuber and Cummins 2000, without peepholes).

    i, f and o are sigmoids, and j a tanh, of [x, h] kernel + bias; forget_bias is added in f.
    """
    bias = _bias(params)
    bias = bias + forget_gate_offset(len(bias) // 4, hyper["forget_bias"])
    return _lstm_loop((params["kernel"], bias), inputs, every)


def forget_gate_offset(hidden_size: int, forget_bias: Any) -> Float[Array, " 4*{hidden_size}"]:
    """``forget_bias`` in the forget gate's place of a fused bias (4H,), zeros elsewhere."""
    is_forget_gate = jnp.arange(4 * hidden_size) // hidden_size == 2
    return jnp.where(is_forget_gate, forget_bias, 0.0)


def _lstm_step(weights: Weights, carry: Carry, x: Array) -> tuple[Carry, Any]:
    h, c_before = carry
    xh = jnp.concatenate([x, h], axis=-1)
    i, j, f, o = _lstm_gates(affine(xh, *weights))
    c = f * c_before + i * j
    tanh_c = jnp.tanh(c)
    dc_by_gates = (j * i * (1 - i), i * (1 - j**2), c_before * f * (1 - f))
    dh_by_o = tanh_c * o * (1 - o)
    dh_by_c = o * (1 - tanh_c**2)
    return (o * tanh_c, c), (xh, dc_by_gates, dh_by_o, dh_by_c, f)


def _lstm_gates(x: Float[Array, "B G"]) -> tuple[Array, Array, Array, Array]:
    """All gates (B, H) through one tanh, as sigmoid(x) = (1 + tanh(x / 2)) / 2."""
    is_candidate = jnp.arange(x.shape[-1]) // (x.shape[-1] // 4) == 1
    scale = jnp.where(is_candidate, 1.0, 0.5).astype(x.dtype)
    i, j, f, o = jnp.split(jnp.tanh(x * scale[None]), 4, axis=-1)
    return (1 + i) / 2, j, (1 + f) / 2, (1 + o) / 2


def _lstm_pull(weights: Weights, dcarry: Carry, kept: Any) -> tuple[Carry, Array]:
    dh, dc = dcarry
    _, dc_by_gates, dh_by_o, dh_by_c, f = kept
    dc = dc + dh * dh_by_c
    dgates = jnp.concatenate([*(dc * d for d in dc_by_gates), dh * dh_by_o], axis=-1)
    return (_to_state(dgates, weights[0], dh), dc * f), dgates


_lstm_loop = loop(
    "lstm", Recurrence(_lstm_step, _lstm_pull, _fused_gradient, n_blocks=4, n_carried=2)
)


# ---- GRU, reset before the candidate's product ----


def gru_shapes(D: int, H: int) -> Shapes:
    """One kernel from [x, h] to reset and update gate, one from [x, r h] to the candidate."""
    return {
        "gate_kernel": (D + H, 2 * H),
        "gate_bias": (2 * H,),
        "candidate_kernel": (D + H, H),
        "candidate_bias": (H,),
    }


def gru_states(params: Params, inputs: Array, hyper: Hyper, every: bool) -> Array:
    """h' = u h + (1 - u) c (Cho et al. 2014).

    r, u = sigmoid([x, h] gate_kernel + gate_bias)
    c = tanh([x, r h] candidate_kernel + candidate_bias)
    """
    gates = params["gate_kernel"], _bias(params, "gate_bias")
    candidate = params["candidate_kernel"], _bias(params, "candidate_bias")
    return _gru_loop((*gates, *candidate), inputs, every)


def _gru_step(weights: Weights, carry: Carry, x: Array) -> tuple[Carry, Any]:
    (h,) = carry
    xh = jnp.concatenate([x, h], axis=-1)
    r, u = jnp.split(_sigmoid(affine(xh, *weights[:2])), 2, axis=-1)
    rh = r * h
    xrh = jnp.concatenate([x, rh], axis=-1)
    c = jnp.tanh(affine(xrh, *weights[2:]))
    drh_by_r, dh_by_u, dh_by_c = rh * (1 - r), (h - c) * u * (1 - u), (1 - u) * (1 - c**2)
    return (u * h + (1 - u) * c,), (xh, xrh, drh_by_r, dh_by_u, dh_by_c, r, u)


def _gru_pull(weights: Weights, dcarry: Carry, kept: Any) -> tuple[Carry, Array]:
    (dh,), (_, _, drh_by_r, dh_by_u, dh_by_c, r, u) = dcarry, kept
    gate_kernel, _, candidate_kernel, _ = weights
    dcandidate = dh * dh_by_c
    drh = _to_state(dcandidate, candidate_kernel, dh)
    dgates = jnp.concatenate([drh * drh_by_r, dh * dh_by_u], axis=-1)
    dh_before = dh * u + drh * r + _to_state(dgates, gate_kernel, dh)
    return (dh_before,), jnp.concatenate([dgates, dcandidate], axis=-1)


def _gru_gradient(
    weights: Weights, inputs: Array, kept: Any, dgates: Array
) -> tuple[Weights, Array]:
    dgates, dcandidate = _cut(dgates)
    gate_kernel, candidate_kernel = (weights[at][: inputs.shape[-1]] for at in (0, 2))
    dinputs = product(dgates, gate_kernel.T) + product(dcandidate, candidate_kernel.T)
    xh, xrh, *_ = kept
    dweights = (*_affine_gradient(xh, dgates), *_affine_gradient(xrh, dcandidate))
    return dweights, dinputs


def _cut(x: Float[Array, "... G"]) -> tuple[Array, Array]:
    """Both gates (..., 2 H), and the candidate (..., H)."""
    gates, candidate = jnp.split(x, [2 * x.shape[-1] // 3], axis=-1)
    return gates, candidate


_gru_loop = loop("gru", Recurrence(_gru_step, _gru_pull, _gru_gradient, n_blocks=2))


# ---- GRU, reset after the candidate's product ----


def gru_after_shapes(D: int, H: int) -> Shapes:
    """As ``gru_shapes``, but x and h each have a kernel and a bias to the candidate."""
    return {
        "gate_kernel": (D + H, 2 * H),
        "gate_bias": (2 * H,),
        "candidate_kernel_ih": (D, H),
        "candidate_bias_ih": (H,),
        "candidate_kernel_hh": (H, H),
        "candidate_bias_hh": (H,),
    }


def gru_after_states(params: Params, inputs: Array, hyper: Hyper, every: bool) -> Array:
    """h' = u h + (1 - u) c, as in cuDNN.

    r, u = sigmoid([x, h] gate_kernel + gate_bias)
    c = tanh(x candidate_kernel_ih + candidate_bias_ih
             + r (h candidate_kernel_hh + candidate_bias_hh))
    """
    gate_x, gate_h = jnp.split(params["gate_kernel"], [inputs.shape[-1]])
    kernel_x = jnp.concatenate([gate_x, params["candidate_kernel_ih"]], axis=-1)
    kernel_h = jnp.concatenate([gate_h, params["candidate_kernel_hh"]], axis=-1)
    bias_x = jnp.concatenate([_bias(params, "gate_bias"), params["candidate_bias_ih"]])
    weights = (kernel_x, bias_x, kernel_h, params["candidate_bias_hh"])
    return _gru_after_loop(weights, inputs, every)


def _gru_after_step(weights: Weights, carry: Carry, x: Array) -> tuple[Carry, Any]:
    (h,), (kernel_x, bias_x, kernel_h, bias_h) = carry, weights
    x_gates, x_candidate = _cut(affine(x, kernel_x, bias_x))
    h_gates, h_candidate = _cut(product(h, kernel_h))
    r, u = jnp.split(_sigmoid(x_gates + h_gates), 2, axis=-1)
    n = h_candidate + bias_h[None]
    c = jnp.tanh(x_candidate + r * n)
    dc_by_r, dh_by_u, dh_by_c = n * r * (1 - r), (h - c) * u * (1 - u), (1 - u) * (1 - c**2)
    return (u * h + (1 - u) * c,), (h, r, dc_by_r, dh_by_u, dh_by_c, u)


def _gru_after_pull(weights: Weights, dcarry: Carry, kept: Any) -> tuple[Carry, Array]:
    (dh,), (_, r, dc_by_r, dh_by_u, dh_by_c, u) = dcarry, kept
    dcandidate = dh * dh_by_c
    dgates = jnp.concatenate([dcandidate * dc_by_r, dh * dh_by_u, dcandidate], axis=-1)
    return (dh * u + product(_through_reset(dgates, r), weights[2].T),), dgates


def _gru_after_gradient(
    weights: Weights, inputs: Array, kept: Any, dgates: Array
) -> tuple[Weights, Array]:
    h, r, *_ = kept
    of_kernel, of_bias = _affine_gradient(h, _through_reset(dgates, r))
    of_state = of_kernel, _cut(of_bias)[1]
    return (*_affine_gradient(inputs, dgates), *of_state), product(dgates, weights[0].T)


def _through_reset(dgates: Array, r: Array) -> Array:
    """The gradient by the state's products: the candidate's has passed the reset gate."""
    dgates, dcandidate = _cut(dgates)
    return jnp.concatenate([dgates, dcandidate * r], axis=-1)


_gru_after_loop = loop(
    "gru_after", Recurrence(_gru_after_step, _gru_after_pull, _gru_after_gradient, n_blocks=3)
)


# ---- all cells ----


class Cell(NamedTuple):
    """What a model needs to know of a cell.

    ``shapes(D, H)`` are those of its parameters by name, kernels and biases. ``states(params,
    inputs, hyper, every)`` maps inputs (T, B, D) to the hidden states after all steps (T, B, H)
    or, unless ``every``, after the last (B, H).
    """

    shapes: Callable[[int, int], Shapes]
    states: Callable[[Params, Array, Hyper, bool], Array]


CELLS = {
    "rnn": Cell(rnn_shapes, rnn_states),
    "gru": Cell(gru_shapes, gru_states),
    "gru_after": Cell(gru_after_shapes, gru_after_states),
    "lstm": Cell(lstm_shapes, lstm_states),
}

# The loops alone, (weights, inputs, every): every bias is one of the weights.
LOOPS = {"rnn": _rnn_loop, "gru_after": _gru_after_loop, "lstm": _lstm_loop}
