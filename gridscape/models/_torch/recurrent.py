"""PyTorch's RNN, GRU and LSTM: stacked, of both directions, from any state, of any lengths.

Layers that start from zeros are Gridscape's own, native where there is a kernel; those that start
from another state, and the last cell state of an LSTM, run step by step.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gridscape.base.data import Sequences
from gridscape.base.types import Array, Key
from gridscape.errors import UntranslatedError
from gridscape.models._cells import LOOPS
from gridscape.models._lengths import at_last, reversed_within
from gridscape.models._torch.cells import STEPS
from gridscape.models._torch.layers import dropout
from gridscape.models.torch_weights import LAYOUTS

CELLS = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn", "RNN_RELU": "relu"}


class Later:
    """What is computed only where it is read, once."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._made = make, None

    def __call__(self) -> Any:
        """The value."""
        if self._made is None:
            self._made = self._make()
        return self._made


def now(value: Any) -> Any:
    """A value without anything left for later."""
    if isinstance(value, Later):
        return now(value())
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        return type(value)(now(one) for one in value)
    return value


class Options(NamedTuple):
    """Those of PyTorch's module."""

    cell: str
    n_layers: int
    directions: int
    batch_first: bool
    dropout: float
    has_bias: bool

    @classmethod
    def of(cls, module: Any) -> "Options":
        """Raises UntranslatedError for what is not translated."""
        if getattr(module, "proj_size", 0):
            raise UntranslatedError("an LSTM with proj_size")
        directions = 2 if module.bidirectional else 1
        cell = CELLS[module.mode]
        found = cell, module.num_layers, directions, module.batch_first, module.dropout, module.bias
        return cls(*found)


# Weights by PyTorch's names: the stored array of a layout, and the tensor itself.
Stored = Callable[[str, str], Any]
Tensor = Callable[[str], Any]


class Layer(NamedTuple):
    """One pass of one layer: (T, B, D) -> every state (T, B, H), or the last (B, H)."""

    cell: str
    suffix: str
    stored: Stored
    tensor: Tensor
    has_bias: bool

    def bias(self, which: str, stored: bool) -> Any:
        """The bias of the inputs or of the states; zeros where there is none."""
        name = f"bias_{which}_{self.suffix}"
        if not self.has_bias:
            return jnp.zeros(len(self.tensor(f"weight_hh_{self.suffix}")))
        return (
            self.stored("lstm_bias", name) if stored and self.cell == "lstm" else self.tensor(name)
        )

    def from_zeros(self, inputs: Array, every: bool) -> Array:
        """By Gridscape's own layer."""
        biases = self.bias("ih", True), self.bias("hh", True)
        if self.cell == "gru":
            cut = 2 * len(biases[0]) // 3
            of_x = jnp.concatenate([(biases[0] + biases[1])[:cut], biases[0][cut:]])
            kernels = (self.stored("linear", f"weight_{x}_{self.suffix}") for x in ("ih", "hh"))
            kernel_x, kernel_h = kernels
            weights: Any = (kernel_x, of_x, kernel_h, biases[1][cut:])
            return LOOPS["gru_after"](weights, inputs, every)
        kernel = self.stored(self.cell, f"kernel_{self.suffix}")
        return LOOPS[self.cell]((kernel, biases[0] + biases[1]), inputs, every)

    def step_by_step(self, inputs: Array, start: Any) -> tuple[Array, Array | None]:
        """Every state, and every cell state of an LSTM, from ``start``."""
        weights = [self.tensor(f"weight_{x}_{self.suffix}") for x in ("ih", "hh")]
        biases = [self.bias("ih", False), self.bias("hh", False)]

        def step(carry: Any, x: Array) -> Any:
            carry = STEPS[self.cell](x, carry, *weights, *biases)
            return carry, carry

        _, found = lax.scan(step, start, inputs)
        return found if self.cell == "lstm" else (found, None)


def recurrent(
    options: Options,
    stored: Stored,
    tensor: Tensor,
    inputs: Any,
    hx: Any = None,
    *,
    key: Key | None = None,
    only_last: bool = False,
) -> tuple[Any, Any]:
    """PyTorch's (output, h_n), or (output, (h_n, c_n)) of an LSTM; what is not read costs nothing.

    inputs: (B, T, D), (T, B, D) or Sequences, which stand for a packed sequence. ``only_last``: of
    the output of the last layer only the last step is read, (B, H).
    """
    is_packed = isinstance(inputs, Sequences)
    only_last = only_last and not is_packed
    lengths = jnp.asarray(inputs.lengths) if is_packed else None
    steps = inputs.cleared().steps if is_packed else inputs
    if steps.ndim != 3:
        what = "a batch that is read as one sequence: (B, T, features) is needed"
        raise UntranslatedError(f"{what}, and given is {steps.ndim} dimensions")
    x = jnp.swapaxes(steps, 0, 1) if options.batch_first or is_packed else steps
    starts = _starts(options, hx)
    lasts: list[Any] = []
    cells: list[Any] = []
    for number in range(options.n_layers):
        only = only_last and number == options.n_layers - 1
        outputs = []
        for direction in range(options.directions):
            suffix = f"l{number}" + ("_reverse" if direction else "")
            layer = Layer(options.cell, suffix, stored, tensor, options.has_bias)
            start = None if starts is None else starts(len(lasts))
            states, last, cell = _pass(layer, x, start, lengths, bool(direction), not only)
            outputs.append(states)
            lasts.append(last)
            cells.append(cell)
        x = outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs, axis=-1)
        if key is not None and options.dropout and number < options.n_layers - 1:
            of_layer = jax.random.fold_in(key, number)
            x = dropout(x, options.dropout, key=of_layer)
    output = x if only_last or not (options.batch_first or is_packed) else jnp.swapaxes(x, 0, 1)
    if is_packed:
        output = Sequences(output, lengths)
    h_n = Later(lambda: jnp.stack([now(last) for last in lasts]))
    if options.cell != "lstm":
        return output, h_n
    return output, (h_n, Later(lambda: jnp.stack([now(cell) for cell in cells])))


def _starts(options: Options, hx: Any) -> Callable[[int], Any] | None:
    """The start of each pass; None where all start from zeros."""
    if hx is None:
        return None
    parts = hx if options.cell == "lstm" else (hx,)
    if all(isinstance(part, np.ndarray) and not part.any() for part in parts):
        return None
    if options.cell == "lstm":
        return lambda i: (hx[0][i], hx[1][i])
    return lambda i: hx[i]


def _pass(
    layer: Layer, x: Array, start: Any, lengths: Any, from_end: bool, every: bool
) -> tuple[Array, Any, Any]:
    """The states in the order of the inputs, or the last alone; the last; the last cell state."""
    turned: Callable[[Array], Array]
    last_of: Callable[[Array], Array]
    if lengths is not None:
        turned = partial(reversed_within, lengths=lengths) if from_end else _same
        last_of = partial(at_last, lengths=lengths)
    else:
        turned = partial(jnp.flip, axis=0) if from_end else _same
        last_of = _last
    if start is None and layer.cell in ("lstm", "gru", "rnn"):
        one = layer.from_zeros(turned(x), every or lengths is not None)
        states, last = (turned(one), Later(lambda: last_of(one))) if every else (one, one)

        def cell() -> Array:
            return last_of(_slowly(layer, turned(x), None)[1])

        return states, last, Later(cell)
    all_states, all_cells = _slowly(layer, turned(x), start)
    last = last_of(all_states)
    return turned(all_states) if every else last, last, Later(lambda: last_of(all_cells))


def _same(x: Array) -> Array:
    return x


def _last(states: Array) -> Array:
    return states[-1]


def _slowly(layer: Layer, x: Array, start: Any) -> tuple[Array, Any]:
    if start is None:
        width = layer.tensor(f"weight_hh_{layer.suffix}").shape[1]
        zeros = jnp.zeros((x.shape[1], width), x.dtype)
        start = (zeros, zeros) if layer.cell == "lstm" else zeros
    return layer.step_by_step(x, start)


def stored_of(params: Any, path: str, tensor_of: Tensor) -> tuple[Stored, Tensor]:
    """Access to the weights of the module at a path, stored in a layout or not."""
    dot = f"{path}." if path else ""

    def tensor(name: str) -> Any:
        return tensor_of(f"{dot}{name}")

    def stored(layout: str, name: str) -> Any:
        of_layout = params.get(layout, {})
        if f"{dot}{name}" in of_layout:
            return of_layout[f"{dot}{name}"]
        names = [name]
        if name.startswith("kernel_"):
            names = [name.replace("kernel_", f"weight_{x}_") for x in ("ih", "hh")]
        return LAYOUTS[layout].pack(*map(tensor, names))

    return stored, tensor
