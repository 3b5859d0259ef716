"""Functions of each number by itself, and of two arrays number by number."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.types import Array
from gridscape.models._torch.registry import (
    FUNCTIONS,
    OF_EACH,
    Function,
    aligned,
    of_rank,
    translates,
)


def _of_each(**functions: Function) -> None:
    FUNCTIONS.update(functions)
    OF_EACH.update(functions)


def _elu(x: Array, alpha: float = 1.0, inplace: bool = False) -> Array:
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0)))


def _leaky_relu(x: Array, negative_slope: float = 0.01, inplace: bool = False) -> Array:
    return jnp.where(x > 0, x, negative_slope * x)


def _gelu(x: Array, approximate: str = "none") -> Array:
    return jax.nn.gelu(x, approximate=approximate == "tanh")


def _softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    return jnp.where(x * beta > threshold, x, jax.nn.softplus(x * beta) / beta)


def _hardtanh(
    x: Array, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Array:
    return jnp.where(x <= min_val, min_val, jnp.where(x >= max_val, max_val, x))


def _clamp(x: Array, min: Any = None, max: Any = None) -> Array:
    x = x if min is None else jnp.where(x < min, jnp.asarray(min, x.dtype), x)
    return x if max is None else jnp.where(x > max, jnp.asarray(max, x.dtype), x)


def sigmoid(x: Array) -> Array:
    """By tanh, which is faster."""
    return (1 + jnp.tanh(x / 2)) / 2


def _plain(function: Function) -> Function:
    """Of one array, without the options that change nothing here."""
    return lambda x, inplace=False, out=None: function(x)


def _threshold(x: Array, threshold: float, value: float, inplace: bool = False) -> Array:
    return jnp.where(x > threshold, x, value)


def _hardshrink(x: Array, lambd: float = 0.5) -> Array:
    return jnp.where(jnp.abs(x) > lambd, x, 0)


def _softshrink(x: Array, lambd: float = 0.5) -> Array:
    return jnp.where(x > lambd, x - lambd, jnp.where(x < -lambd, x + lambd, 0))


_of_each(
    **{
        name: _plain(getattr(jnp, name))
        for name in [
            "exp",
            "expm1",
            "log",
            "log1p",
            "log2",
            "log10",
            "sqrt",
            "abs",
            "sin",
            "cos",
            "tan",
            "square",
            "reciprocal",
            "sign",
            "floor",
            "ceil",
            "round",
            "sinh",
            "cosh",
            "isnan",
            "isfinite",
            "logical_not",
        ]
    },
    relu=_plain(jax.nn.relu),
    relu6=lambda x, inplace=False: _hardtanh(x, 0.0, 6.0),
    tanh=_plain(jnp.tanh),
    sigmoid=_plain(sigmoid),
    silu=_plain(lambda x: x * sigmoid(x)),
    mish=_plain(lambda x: x * jnp.tanh(jax.nn.softplus(x))),
    selu=lambda x, inplace=False: 1.0507009873554805 * _elu(x, 1.6732632423543772),
    celu=lambda x, alpha=1.0, inplace=False: jnp.where(
        x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0) / alpha)
    ),
    elu=_elu,
    leaky_relu=_leaky_relu,
    gelu=_gelu,
    softplus=_softplus,
    hardtanh=_hardtanh,
    hardsigmoid=lambda x, inplace=False: _hardtanh(x / 6 + 0.5, 0.0, 1.0),
    hardswish=lambda x, inplace=False: x * _hardtanh(x / 6 + 0.5, 0.0, 1.0),
    logsigmoid=_plain(lambda x: -jax.nn.softplus(-x)),
    hardshrink=_hardshrink,
    softshrink=_softshrink,
    softsign=_plain(lambda x: x / (1 + jnp.abs(x))),
    tanhshrink=_plain(lambda x: x - jnp.tanh(x)),
    threshold=_threshold,
    rsqrt=_plain(lambda x: 1 / jnp.sqrt(x)),
    erf=_plain(jax.lax.erf),
    neg=_plain(jnp.negative),
    invert=_plain(jnp.invert),
    bitwise_not=_plain(jnp.invert),
    clamp=_clamp,
    clip=_clamp,
    clamp_min=lambda x, min: _clamp(x, min),
    clamp_max=lambda x, max: _clamp(x, None, max),
    detach=jax.lax.stop_gradient,
    contiguous=lambda x, memory_format=None: x,
    clone=lambda x, memory_format=None: x,
    cpu=lambda x: x,
    cuda=lambda x, *a, **k: x,
    requires_grad=lambda x, mode=True: x,
)
FUNCTIONS["absolute"] = FUNCTIONS["abs"]
FUNCTIONS["negative"] = FUNCTIONS["neg"]
FUNCTIONS["log_sigmoid"] = FUNCTIONS["logsigmoid"]


@translates("prelu")
def _prelu(x: Array, weight: Array) -> Array:
    slope = weight.reshape(-1, *[1] * (x.ndim - 2)) if x.ndim > 1 else weight
    return jnp.where(x > 0, x, aligned(operator.mul, slope, x))


# ---- of two arrays ----


def _of_two(function: Function) -> Function:
    def apply(input: Any, other: Any, alpha: float = 1) -> Any:
        return aligned(function, input, other if alpha == 1 else alpha * other)

    return apply


FUNCTIONS.update(
    {
        name: _of_two(getattr(jnp, of))
        for name, of in {
            **{
                n: n
                for n in [
                    "add",
                    "multiply",
                    "subtract",
                    "maximum",
                    "minimum",
                    "logical_and",
                    "logical_or",
                ]
            },
            **{n: n for n in ["logical_xor", "remainder", "floor_divide", "true_divide"]},
            "mul": "multiply",
            "sub": "subtract",
            "truediv": "true_divide",
            "mod": "remainder",
            "floordiv": "floor_divide",
            "iadd": "add",
            "isub": "subtract",
            "imul": "multiply",
            "itruediv": "true_divide",
            "eq": "equal",
            "ne": "not_equal",
            "lt": "less",
            "le": "less_equal",
            "gt": "greater",
            "ge": "greater_equal",
            "and": "bitwise_and",
            "or": "bitwise_or",
            "xor": "bitwise_xor",
            "and_": "bitwise_and",
            "or_": "bitwise_or",
        }.items()
    }
)


@translates("rsub")
def _rsub(input: Any, other: Any, alpha: float = 1) -> Any:
    return aligned(jnp.subtract, other, input if alpha == 1 else alpha * input)


@translates("div", "divide")
def _div(input: Any, other: Any, rounding_mode: str | None = None) -> Any:
    quotient = aligned(jnp.true_divide, input, other)
    return {None: lambda x: x, "floor": jnp.floor, "trunc": jnp.trunc}[rounding_mode](quotient)


@translates("pow", "ipow")
def _pow(input: Any, exponent: Any) -> Any:
    if isinstance(exponent, int | float) and float(exponent).is_integer():
        return jax.lax.integer_pow(input, int(exponent))
    return aligned(jnp.power, input, exponent)


@translates("where")
def where(condition: Any, input: Any, other: Any) -> Any:
    """As PyTorch broadcasts its three arrays."""
    rank = max(np.ndim(x) for x in (condition, input, other))
    return jnp.where(*(of_rank(x, rank) for x in (condition, input, other)))


@translates("masked_fill")
def _masked_fill(input: Any, mask: Any, value: Any) -> Any:
    return where(mask, jnp.asarray(value, input.dtype), input)


@translates("lerp")
def _lerp(input: Any, end: Any, weight: Any) -> Any:
    difference = aligned(jnp.subtract, end, input)
    return aligned(jnp.add, input, aligned(jnp.multiply, weight, difference))


OF_EACH_TWO = {"add", "sub", "mul", "truediv", "iadd", "isub", "imul"}
