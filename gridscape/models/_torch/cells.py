"""One step of a recurrent cell."""

from typing import Any

import jax
import jax.numpy as jnp

from gridscape.base.types import Array
from gridscape.models._torch.numbers import sigmoid
from gridscape.models._torch.products import linear
from gridscape.models._torch.registry import translates


def _affine(x: Array, weight: Array, bias: Array | None) -> Array:
    return linear(x, weight, bias)


@translates("lstm_cell")
def _lstm_cell(
    input: Array, hx: Any, w_ih: Array, w_hh: Array, b_ih: Any = None, b_hh: Any = None
) -> tuple[Array, Array]:
    h, c = hx
    gates = _affine(input, w_ih, b_ih) + _affine(h, w_hh, b_hh)
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
    return sigmoid(o) * jnp.tanh(c), c


@translates("gru_cell")
def _gru_cell(
    input: Array, hx: Array, w_ih: Array, w_hh: Array, b_ih: Any = None, b_hh: Any = None
) -> Array:
    x_r, x_z, x_n = jnp.split(_affine(input, w_ih, b_ih), 3, axis=-1)
    h_r, h_z, h_n = jnp.split(_affine(hx, w_hh, b_hh), 3, axis=-1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * h_n)
    return (1 - z) * n + z * hx


@translates("rnn_tanh_cell")
def _rnn_tanh_cell(
    input: Array, hx: Array, w_ih: Array, w_hh: Array, b_ih: Any = None, b_hh: Any = None
) -> Array:
    return jnp.tanh(_affine(input, w_ih, b_ih) + _affine(hx, w_hh, b_hh))


@translates("rnn_relu_cell")
def _rnn_relu_cell(
    input: Array, hx: Array, w_ih: Array, w_hh: Array, b_ih: Any = None, b_hh: Any = None
) -> Array:
    return jax.nn.relu(_affine(input, w_ih, b_ih) + _affine(hx, w_hh, b_hh))


STEPS = {"lstm": _lstm_cell, "gru": _gru_cell, "rnn": _rnn_tanh_cell, "relu": _rnn_relu_cell}
