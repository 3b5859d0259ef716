"""The graph of a PyTorch module, run in JAX.

One step is one node. Pictures lie channels last between the steps that keep them so; a linear layer
or convolution takes the activation and the pooling behind it into its own kernel; an LSTM of which
only the last state is read gives only that.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import fx, nn

from gridscape.base.data import Sequences
from gridscape.base.state import STATE
from gridscape.base.types import Array, Key
from gridscape.errors import UntranslatedError
from gridscape.kernels import feedforward as native
from gridscape.kernels.library import serve
from gridscape.models._torch import attention, images
from gridscape.models._torch.functions import LAST, TRANSLATED
from gridscape.models._torch.numbers import OF_EACH_TWO
from gridscape.models._torch.recurrent import Later, Options, now, recurrent, stored_of
from gridscape.models._torch.registry import OF_EACH, RANDOM
from gridscape.models._torch.state import called, first_names, keeps_state, state_names
from gridscape.models._torch.trace import as_array
from gridscape.models.precision import current, gradient_rounded, product_of_rounded, rounded
from gridscape.models.torch_weights import Entry, TensorsOf, entries_of

# The layers that are one step; every other module is read through to the functions it calls.
KINDS = {
    nn.Linear: "linear",
    nn.Conv2d: "conv",
    nn.RNN: "rnn",
    nn.GRU: "gru",
    nn.LSTM: "lstm",
}
ACTIVATIONS = ("relu", "tanh")
ALSO = {"axis": "dim", "keepdims": "keepdim"}  # NumPy's names, which PyTorch's functions take
Draw = Callable[[], Key | None]
KEEPING = OF_EACH | {"dropout"}


class Last(NamedTuple):
    """Pictures (B, Y, X, C) that PyTorch has as (B, C, Y, X)."""

    array: Array


class Weights(NamedTuple):
    """The parameters of one run: as stored, and PyTorch's tensors by name; and the state so far."""

    params: Mapping[str, Mapping[str, Any]]
    tensors: Mapping[str, Any]
    state: dict[str, Any]


def is_leaf(module: nn.Module, path: str) -> bool:
    """Whether a module is one step of the graph."""
    if type(module) is nn.Conv2d:
        return module.padding_mode == "zeros"
    return type(module) in KINDS or keeps_state(module)


def trained(module: nn.Module) -> dict[str, torch.Tensor]:
    """The parameters that are trained, each under its first name."""
    return {n: p for n, p in module.named_parameters() if p.requires_grad}


def stored_entries(module: nn.Module) -> tuple[Entry, ...]:
    """How the parameters of a module are stored: what two layers share, as PyTorch has it."""
    names: dict[int, list[str]] = {}
    for name, tensor in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(tensor), []).append(name)
    found: list[Entry] = []
    for path, part in module.named_modules():
        own = dict(part.named_parameters(recurse=False))
        alone = all(len(names[id(p)]) == 1 and p.requires_grad for p in own.values())
        if type(part) in KINDS and alone and is_leaf(part, path):
            kind = KINDS[type(part)]
            found += entries_of(path, "rnn" if kind == "rnn" else kind, iter(own))
    taken = {name for entry in found for name in entry.tensors}
    found += [Entry("plain", name, (name,)) for name in trained(module) if name not in taken]
    found += [Entry(STATE, name, (name,)) for name in state_names(module)]
    return tuple(found)


def stored_tensors(module: nn.Module) -> dict[str, np.ndarray]:
    """What ``stored_entries`` speaks of: parameters, and buffers that are state."""
    parameters = {name: p.detach().numpy() for name, p in module.named_parameters()}
    buffers = dict(module.named_buffers())
    return parameters | {name: as_array(buffers[name]) for name in state_names(module)}


class Program:
    """A graph and what it needs of its module; the functions of JAX that are its steps."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.names = first_names(dict(module.named_parameters(remove_duplicate=False)))
        self.names |= first_names(dict(module.named_buffers(remove_duplicate=False)))
        self.graph: fx.Graph | None = None
        self._parts = dict(module.named_modules())
        # As of now: the module is read again in the other mode.
        self._training = {path for path, part in self._parts.items() if part.training}
        self._joined: dict[fx.Node, str] = {}
        self._passed: set[fx.Node] = set()
        self._only_last: set[fx.Node] = set()

    def finish(self, graph: fx.Graph) -> None:
        """Take the whole graph, and look for steps that go together."""
        self.graph = graph
        for node in graph.nodes:
            if node.op != "call_module":
                continue
            part = self._part(node)
            if type(part) is nn.Linear:
                self._join_activation(node)
            elif type(part) is nn.Conv2d:
                self._join_pool(node, part)
            elif isinstance(part, nn.RNNBase):
                self._find_last(node, part)

    def run(self, params: Any, inputs: tuple[Any, ...], key: Key | None) -> tuple[Any, Any]:
        """The outputs of the module, and its state after them."""
        assert self.graph is not None  # it was read
        weights, given, env = self.weights(params), list(inputs), {}
        for number, node in enumerate(self.graph.nodes):
            if node.op == "placeholder":
                env[node] = given.pop(0) if given else node.args[0]
            elif node.op == "output":
                return _plain(fx.map_arg(node.args[0], env.__getitem__)), weights.state
            else:
                env[node] = self.step(node, env, weights, _key_of(key, number))
        raise AssertionError("a graph has an output")

    def weights(self, params: Any) -> Weights:
        """Of stored parameters; what is not trained is a constant of the module."""
        return Weights(params, TensorsOf(params), dict(params.get(STATE, {})))

    def step(self, node: fx.Node, env: Mapping[fx.Node, Any], weights: Weights, key: Draw) -> Any:
        """The value of one node."""
        if node.op == "get_attr":
            return self._attribute(str(node.target), weights)
        args = fx.map_arg(node.args, env.__getitem__)
        options = dict(fx.map_arg(node.kwargs, env.__getitem__))
        if options.get("out") is None:
            options.pop("out", None)
        options = {ALSO.get(name, name): value for name, value in options.items()}
        if node in self._passed:
            return args[0] if args else options["input"]
        if node.op == "call_module":
            return self._layer(node, args, options, weights, key)
        name, args = _function(node, args)
        if name == "getitem" and isinstance(args[0], tuple) and not isinstance(args[0], Last):
            return args[0][args[1]]
        function = PACKING.get(name) or TRANSLATED.get(name)
        if function is None:
            raise UntranslatedError(_called(node))
        if name in RANDOM:
            options["key"] = key()
        elif name in attention.RANDOM:
            options["random"] = key()
        return _placed(name, function, args, options)

    def _attribute(self, name: str, weights: Weights) -> Any:
        first = self.names.get(name, name)
        if first in weights.tensors:
            return weights.tensors[first]
        found: Any = self.module
        for part in name.split("."):
            found = getattr(found, part)
        return as_array(found)

    def _layer(self, node: fx.Node, args: Any, options: Any, weights: Weights, key: Draw) -> Any:
        part, path = self._part(node), str(node.target)
        stored, tensor = stored_of(
            weights.params, path, lambda name: self._attribute(name, weights)
        )
        if type(part) is nn.Linear:
            bias = None if part.bias is None else tensor("bias")
            return _dense(_plain(args[0]), stored("linear", "weight"), bias, self._joined.get(node))
        if type(part) is nn.Conv2d:
            bias = None if part.bias is None else tensor("bias")
            shape = part.stride, part.padding, part.dilation, part.groups
            pooled = self._joined.get(node) == "pooled"
            return Last(
                images.convolved(_last(args[0]), stored("conv", "weight"), bias, *shape, pooled)
            )
        if keeps_state(part):
            return self._stateful(part, path, [*args, *options.values()][0], tensor, weights.state)
        args, options = now(_plain(args)), now(_plain(options))
        only = node in self._only_last
        training = key() if path in self._training and part.dropout else None
        return recurrent(
            Options.of(part), stored, tensor, *args, **options, key=training, only_last=only
        )

    def _stateful(self, part: Any, path: str, x: Any, tensor: Any, state: dict[str, Any]) -> Any:
        """The output of a layer that keeps state; what it leaves is entered in ``state``."""
        dot = f"{path}." if path else ""

        def first(name: str) -> str:
            return self.names.get(f"{dot}{name}", f"{dot}{name}")

        def read(name: str) -> Any:
            return state[first(name)] if first(name) in state else tensor(name)

        is_last = isinstance(x, Last)
        array, channels = (x.array, -1) if is_last else (_plain(x), 1)
        found, moved = called(part, read, array, channels, path in self._training)
        state.update({first(name): value for name, value in moved.items()})
        return Last(found) if is_last else found

    def _part(self, node: fx.Node) -> Any:
        return self._parts[str(node.target)]

    # ---- steps that go together ----

    def _join_activation(self, node: fx.Node) -> None:
        user = _only_user(node)
        if user is not None and _name_of(user) in ACTIVATIONS:
            self._joined[node] = _name_of(user)
            self._passed.add(user)

    def _join_pool(self, node: fx.Node, part: nn.Conv2d) -> None:
        if not images.fuses_pool(part.stride, part.padding, part.dilation, part.groups):
            return
        one = _only_user(node)
        two = None if one is None else _only_user(one)
        if one is None or two is None:
            return
        for relu, pool in ((one, two), (two, one)):  # the maximum of ReLUs is the ReLU of it
            if _name_of(relu) == "relu" and _name_of(pool) == "max_pool2d":
                rest = pool.args[1:], {n: v for n, v in pool.kwargs.items() if n != "input"}
                if images.halves(*rest[0], **rest[1]):
                    self._joined[node] = "pooled"
                    self._passed |= {one, two}
                return

    def _find_last(self, node: fx.Node, part: Any) -> None:
        """Whether of every state of a layer only the last is read."""
        if part.bidirectional or isinstance(node.meta["value"][0], Sequences):
            return
        outputs = [user for user in node.users if _name_of(user) == "getitem"]
        if len(outputs) < len(node.users):
            return
        readers = [reader for one in outputs if one.args[1] == 0 for reader in one.users]
        n_steps = node.meta["value"][0].shape[1 if part.batch_first else 0]
        if readers and all(_is_last(reader, n_steps, part.batch_first) for reader in readers):
            self._only_last.add(node)
            self._passed |= set(readers)


def no_key() -> None:
    """That of an evaluation."""
    return


def _key_of(key: Key | None, number: int) -> Draw:
    """The key of a step, made where something is drawn."""
    return no_key if key is None else lambda: jax.random.fold_in(key, number)


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _name_of(node: fx.Node) -> str:
    """The name of the function of a node, "" of a layer."""
    if node.op not in ("call_function", "call_method"):
        return ""
    return _function(node, node.args)[0]


def _function(node: fx.Node, args: Any) -> tuple[str, Any]:
    target = node.target
    if target is getattr:  # x.T
        return str(args[1]), args[:1]
    name = target if isinstance(target, str) else getattr(target, "__name__", "")
    return name.strip("_"), args


def _called(node: fx.Node) -> str:
    """What somebody's forward calls, as it is written."""
    name = _function(node, node.args)[0]
    return f"x.{name}()" if node.op == "call_method" else name or str(node.target)


def _is_last(reader: fx.Node, n_steps: int, batch_first: bool) -> bool:
    if _name_of(reader) != "getitem":
        return False
    index = reader.args[1]
    index = list(index) if isinstance(index, tuple) else [index]
    if batch_first and (len(index) < 2 or index.pop(0) != slice(None)):
        return False
    step = index.pop(0)
    return step in (-1, n_steps - 1) and all(one == slice(None) for one in index)


# ---- layers ----


def _dense(x: Array, kernel: Array, bias: Array | None, activation: str | None) -> Array:
    """x @ kernel + bias over any leading dimensions, then the activation, one of ACTIVATIONS."""
    function = activation or "linear"
    x, kernel = rounded(x), rounded(kernel)
    rows = x.reshape(-1, x.shape[-1])
    arrays = (kernel, rows) if bias is None else (kernel, rows, bias)
    if x.shape[-1] == len(kernel) and serve(*arrays):
        is_joined = current() == "float32"
        outputs = native.dense(rows, kernel, bias, function if is_joined else "linear")
        outputs = gradient_rounded(outputs)
        function = "linear" if is_joined else function
    else:
        outputs = product_of_rounded(rows, kernel)
        outputs = outputs if bias is None else outputs + bias[None]
        outputs = gradient_rounded(outputs)
    if function != "linear":
        outputs = TRANSLATED[function](outputs)
    return outputs.reshape(*x.shape[:-1], kernel.shape[-1])


# ---- where pictures lie ----


def _plain(value: Any) -> Any:
    """Arrays as PyTorch has them, and nothing left for later."""
    if isinstance(value, Last):
        return images.first(value.array)
    if isinstance(value, Later):
        return _plain(value())
    if isinstance(value, tuple | list):
        return type(value)(_plain(one) for one in value)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, slice):
        return slice(*(_plain(x) for x in (value.start, value.stop, value.step)))
    return value


def _is_picture(value: Any) -> bool:
    """Whether it is (B, C, Y, X), or (B, Y, X, C) already: what is in a row is no picture."""
    return isinstance(value, Last) or _plain(value).ndim == 4


def _last(picture: Any) -> Array:
    return picture.array if isinstance(picture, Last) else images.last(_plain(picture))


def _placed(name: str, function: Callable[..., Any], args: Any, options: Any) -> Any:
    """The function of what is given, channels last where it is so and may stay."""
    args = list(args)
    if not args and "input" in options:
        args = [options.pop("input")]
    head = args[0] if args else None
    if name in LAST and _is_picture(head):
        rest = _plain(tuple(args[1:])), _plain(options)
        return Last(LAST[name](_last(head), *rest[0], **rest[1]))
    if isinstance(head, Last):
        if name in KEEPING:
            return Last(function(head.array, *_plain(args[1:]), **_plain(options)))
        other = args[1] if len(args) == 2 and name in OF_EACH_TWO and not options else None
        if isinstance(other, int | float):
            return Last(function(head.array, other))
        if isinstance(other, Last) and other.array.shape == head.array.shape:
            return Last(function(head.array, other.array))
    return function(*_plain(args), **_plain(options))


# ---- sequences of different lengths ----


def _pack(
    input: Array, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> Sequences:
    steps = input if batch_first else jnp.swapaxes(input, 0, 1)
    return Sequences(steps, jnp.asarray(lengths, jnp.int32))


def _unpack(
    sequence: Sequences,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Array, Array]:
    steps = sequence.cleared().steps
    if padding_value:
        there = sequence.is_step[:, :, None]
        steps = jnp.where(there, steps, padding_value)
    return (steps if batch_first else jnp.swapaxes(steps, 0, 1)), sequence.lengths


PACKING: Mapping[str, Callable[..., Any]] = {
    "pack_padded_sequence": _pack,
    "pad_packed_sequence": _unpack,
}
