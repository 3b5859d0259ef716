"""The weights of a PyTorch module as Gridscape's layers read them, and back.

Stored parameters are {layout: {name: array}}, so that names and shapes alone give PyTorch's tensors
back: nobody's module is imported for it. What no layer of ours reads as it is has the layout
"plain": PyTorch's own.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gridscape.errors import GridscapeError, StoreError

PLAIN = "plain"
STATE = "state"  # what is kept beside parameters, where base/state.py has it: PyTorch's own, too
# PyTorch's order of an LSTM's gates is input, forget, candidate, output; ours has the candidate
# second. Going back exchanges the same two.
LSTM_GATES = (0, 2, 1, 3)

Tensors = Mapping[str, Any]


class Layout(NamedTuple):
    """One stored array of one or more tensors; both ways work for NumPy and for JAX."""

    pack: Callable[..., Any]
    unpack: Callable[[Any], tuple[Any, ...]]


class Entry(NamedTuple):
    """A stored array: its layout, its name there, and the tensors that it is made of."""

    layout: str
    name: str
    tensors: tuple[str, ...]


def _gates(rows: Any) -> Any:
    blocks = rows.reshape(4, -1, *rows.shape[1:])[np.array(LSTM_GATES)]
    return blocks.reshape(rows.shape)


def _join(w_ih: Any, w_hh: Any) -> Any:
    """(H, D) and (H, H) -> (D + H, H)."""
    is_numpy = isinstance(w_ih, np.ndarray)
    if is_numpy:
        return np.concatenate([w_ih.T, w_hh.T])
    import jax.numpy as jnp

    return jnp.concatenate([w_ih.T, w_hh.T])


def _cut(kernel: Any, n_blocks: int) -> tuple[Any, Any]:
    n_inputs = kernel.shape[0] - kernel.shape[1] // n_blocks
    return kernel[:n_inputs].T, kernel[n_inputs:].T


def _unjoin_lstm(kernel: Any) -> tuple[Any, Any]:
    w_ih, w_hh = _cut(kernel, 4)
    return _gates(w_ih), _gates(w_hh)


LAYOUTS: Mapping[str, Layout] = {
    PLAIN: Layout(lambda x: x, lambda x: (x,)),
    STATE: Layout(lambda x: x, lambda x: (x,)),
    # (out, in) -> (in, out); GRU: both gates, then the candidate, as ours.
    "linear": Layout(lambda x: x.T, lambda x: (x.T,)),
    # (out, in, rows, columns) -> (rows, columns, in, out).
    "conv": Layout(lambda x: x.transpose(2, 3, 1, 0), lambda x: (x.transpose(3, 2, 0, 1),)),
    # Both kernels of a layer, from [x, h].
    "rnn": Layout(_join, lambda x: _cut(x, 1)),
    "lstm": Layout(lambda a, b: _join(_gates(a), _gates(b)), _unjoin_lstm),
    "lstm_bias": Layout(_gates, lambda x: (_gates(x),)),
}
JOINED = ("rnn", "lstm")  # named after the layer: PATH.kernel_l0


def packed(entries: tuple[Entry, ...], tensors: Tensors) -> dict[str, dict[str, Any]]:
    """Stored parameters of PyTorch's tensors by name."""
    found: dict[str, dict[str, Any]] = {}
    for layout, name, sources in entries:
        made = LAYOUTS[layout].pack(*(tensors[source] for source in sources))
        found.setdefault(layout, {})[name] = made
    return found


class TensorsOf(Mapping[str, Any]):
    """PyTorch's tensors by name, of stored parameters; unpacked when they are asked for."""

    def __init__(self, params: Mapping[str, Mapping[str, Any]]) -> None:
        self._places = {
            name: (layout, array, index)
            for layout, arrays in params.items()
            for stored, array in arrays.items()
            for index, name in enumerate(tensor_names(layout, stored))
        }

    def __getitem__(self, name: str) -> Any:
        layout, array, index = self._places[name]
        return LAYOUTS[layout].unpack(array)[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def tensor_names(layout: str, stored: str) -> tuple[str, ...]:
    """The names of the tensors that a stored array is made of.

    >>> tensor_names("lstm", "rnn.kernel_l0"), tensor_names("linear", "fc.weight")
    (('rnn.weight_ih_l0', 'rnn.weight_hh_l0'), ('fc.weight',))
    """
    if layout not in JOINED:
        return (stored,)
    path, _, layer = stored.rpartition("kernel_")
    return f"{path}weight_ih_{layer}", f"{path}weight_hh_{layer}"


def entries_of(path: str, kind: str, names: Iterator[str]) -> Iterator[Entry]:
    """How the tensors of a layer are stored; ``kind``: linear, conv, rnn, lstm or gru."""
    dot = f"{path}." if path else ""
    for name in names:
        whole = f"{dot}{name}"
        if kind in ("linear", "conv", "gru"):
            layout = PLAIN if name.startswith("bias") else kind.replace("gru", "linear")
            yield Entry(layout, whole, (whole,))
        elif name.startswith("bias"):
            yield Entry("lstm_bias" if kind == "lstm" else PLAIN, whole, (whole,))
        elif name.startswith("weight_ih"):
            stored = f"{dot}kernel_{name.removeprefix('weight_ih_')}"
            yield Entry(kind, stored, tensor_names(kind, stored))


def state_dict(stored: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """PyTorch's tensors by name, of the stored parameters of a trial, by "<layout>/<name>".

    Raises StoreError for parameters of another model, GridscapeError without PyTorch.
    """
    params: dict[str, dict[str, Any]] = {}
    for name, array in stored.items():
        layout, _, rest = name.partition("/")
        params.setdefault(layout, {})[rest] = array
    if not params.keys() <= LAYOUTS.keys():
        hint = "bring the module by gridscape.from_torch"
        raise StoreError("no parameters of a PyTorch module", found=next(iter(stored)), hint=hint)
    torch = installed()
    found = {n: torch.tensor(np.ascontiguousarray(x)) for n, x in TensorsOf(params).items()}
    # JAX counts in int32, and PyTorch in int64.
    return {n: x.long() if x.dtype == torch.int32 else x for n, x in found.items()}


def installed() -> Any:
    """PyTorch, imported; raises GridscapeError where it is not there."""
    try:
        import torch
    except ImportError as error:
        raise GridscapeError(
            "PyTorch is not installed", hint="pip install 'gridscape[torch]'"
        ) from error
    return torch
