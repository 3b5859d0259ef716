"""Recurrent networks over the rows of an example, written for one trial.

The layer is a custom_vjp function: its forward pass keeps the local derivatives, and its backward
pass forms the weight gradient as ONE product over time x batch instead of one small product a
step, which is what differentiating the scan would do.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from gridscape.base import Array, Hyper, Key, Model, Params, hyperparameters
from gridscape.errors import ModelError, UsageError


@hyperparameters(forget_bias=1.0, init_scale=1.0)
def lstm(input_shape: tuple[int, ...], n_outputs: int, *, hidden_size: int = 128) -> Model:
    """One LSTM layer (Hochreiter and Schmidhuber 1997), its last state -> linear.

    The conventions of TensorFlow 1's BasicLSTMCell: one fused kernel (D+H, 4H) in the order
    input, candidate, forget, output, Glorot-uniform over that shape, biases zero, ``forget_bias``
    added in the gate, no peepholes; output weights and biases drawn from N(0, 1), not scaled.
    ``init_scale`` multiplies the initial kernel.

    input_shape: (T, D), steps and features of a step. Raises ModelError for another shape and
    UsageError unless hidden_size is a whole number from 1.

    >>> model = lstm((28, 28), 10, hidden_size=16)
    >>> params = model.init(jax.random.key(0), {"init_scale": 1.0})
    >>> params["kernel"].shape, params["output_kernel"].shape
    ((44, 64), (16, 10))
    """
    if len(input_shape) != 2:
        raise ModelError("a recurrent model reads (steps, features)", found=input_shape)
    if isinstance(hidden_size, bool) or not isinstance(hidden_size, int) or hidden_size < 1:
        raise UsageError(
            "out of range", where="hidden_size", expected="a whole number from 1", found=hidden_size
        )
    n_features = input_shape[1]

    def init(key: Key, hyper: Hyper) -> Params:
        kernel_key, output_key, bias_key = jax.random.split(key, 3)
        limit = jnp.sqrt(6 / (n_features + 5 * hidden_size)) * hyper["init_scale"]
        shape = (n_features + hidden_size, 4 * hidden_size)
        return {
            "kernel": jax.random.uniform(kernel_key, shape, minval=-1, maxval=1) * limit,
            "bias": jnp.zeros(4 * hidden_size),
            "output_kernel": jax.random.normal(output_key, (hidden_size, n_outputs)),
            "output_bias": jax.random.normal(bias_key, (n_outputs,)),
        }

    def apply(params: Params, inputs: Array, key: Key | None, hyper: Hyper) -> Array:
        steps = jnp.swapaxes(inputs, 0, 1)
        bias = params["bias"] + forget_gate_offset(hidden_size, hyper["forget_bias"])
        last = lstm_layer(params["kernel"], bias, steps)
        return last @ params["output_kernel"] + params["output_bias"][None]

    return Model(init, apply)


def forget_gate_offset(hidden_size: int, forget_bias: Any) -> Float[Array, " 4*{hidden_size}"]:
    """``forget_bias`` in the forget gate's place of a fused bias (4H,), zeros elsewhere."""
    is_forget_gate = jnp.arange(4 * hidden_size) // hidden_size == 2
    return jnp.where(is_forget_gate, forget_bias, 0.0)


@jax.custom_vjp
def lstm_layer(
    kernel: Float[Array, "DH G"], bias: Float[Array, " G"], inputs: Float[Array, "T B D"]
) -> Float[Array, "B G//4"]:
    """The last hidden state of an LSTM layer that starts from zeros; DH = D + H, G = 4 H."""
    return _forward(kernel, bias, inputs)[0]


def _forward(kernel: Array, bias: Array, inputs: Array) -> tuple[Array, tuple[Any, ...]]:
    """The last hidden state, and what the backward pass needs.

    Kept of each step are the local derivatives, not the activations: they are formed here while
    their factors are at hand, and leave the backward pass one product for each number.
    """
    zeros = jnp.zeros((inputs.shape[1], kernel.shape[1] // 4), inputs.dtype)

    def step(carry: tuple[Array, Array], x: Array) -> tuple[tuple[Array, Array], Any]:
        h, c_before = carry
        xh = jnp.concatenate([x, h], axis=-1)
        i, j, f, o = _gates(_squash(xh @ kernel + bias[None]))
        c = f * c_before + i * j
        tanh_c = jnp.tanh(c)
        dc_by_gates = (j * i * (1 - i), i * (1 - j**2), c_before * f * (1 - f))
        dh_by_o = tanh_c * o * (1 - o)
        dh_by_c = o * (1 - tanh_c**2)
        return (o * tanh_c, c), (xh, dc_by_gates, dh_by_o, dh_by_c, f)

    (h, _), kept = lax.scan(step, (zeros, zeros), inputs)
    return h, (kernel, *kept)


def _backward(saved: tuple[Any, ...], dh_last: Array) -> tuple[Array, Array, Array]:
    kernel, xh, *derivatives = saved
    n_steps, n_batch, n_inner = xh.shape
    n_features = n_inner - dh_last.shape[-1]
    kernel_x, kernel_h = kernel[:n_features], kernel[n_features:]

    def step(carry: tuple[Array, Array], at: Any) -> tuple[tuple[Array, Array], Array]:
        dh, dc = carry
        dc_by_gates, dh_by_o, dh_by_c, f = at
        dc = dc + dh * dh_by_c
        dgates = jnp.concatenate([*(dc * d for d in dc_by_gates), dh * dh_by_o], axis=-1)
        return (dgates @ kernel_h.T, dc * f), dgates

    start = (dh_last, jnp.zeros_like(dh_last))
    _, dgates = lax.scan(step, start, tuple(derivatives), reverse=True)
    dgates = dgates.reshape(n_steps * n_batch, -1)
    dkernel = xh.reshape(n_steps * n_batch, -1).T @ dgates
    dinputs = (dgates @ kernel_x.T).reshape(n_steps, n_batch, n_features)
    return dkernel, dgates.sum(axis=0), dinputs


lstm_layer.defvjp(_forward, _backward)


def _squash(gates: Float[Array, "B G"]) -> Float[Array, "B G"]:
    """All gates through one tanh, as sigmoid(x) = (1 + tanh(x / 2)) / 2."""
    quarter = gates.shape[-1] // 4
    is_candidate = jnp.arange(gates.shape[-1]) // quarter == 1
    scale = jnp.where(is_candidate, 1.0, 0.5).astype(gates.dtype)
    return jnp.tanh(gates * scale[None])


def _gates(squashed: Array) -> tuple[Array, Array, Array, Array]:
    """Input gate, candidate, forget gate and output gate, each (B, H)."""
    i, j, f, o = jnp.split(squashed, 4, axis=-1)
    return (1 + i) / 2, j, (1 + f) / 2, (1 + o) / 2
