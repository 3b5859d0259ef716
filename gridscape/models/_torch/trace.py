"""A PyTorch module read by ``torch.fx`` with all shapes known.

Shapes are numbers while ``forward`` runs, so that code which asks for them, loops over them or
chooses by them is read as it runs; only what depends on the data themselves cannot be. Each
operation is translated as soon as it is met, by its shapes alone, so that what cannot be is told
by its place.
"""

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from torch import fx
from torch.nn import functional
from torch.nn.utils import rnn as packing
from torch.overrides import TorchFunctionMode

from gridscape.base.foreign import of_others
from gridscape.errors import GridscapeError, ModelError, UntranslatedError, one_line

# Reading patches torch.nn.Module, and building draws from torch's one generator.
LOCK = threading.RLock()
HOW = "docs/models.md lists what is translated"
INSTEAD = {  # of PyTorch's functions that people use and that are not translated
    "batch_norm": "nn.BatchNorm1d, nn.BatchNorm2d and nn.BatchNorm3d are translated",
    "embedding_bag": "give it (B, T), each row a bag, without offsets",
    "rrelu": "nn.LeakyReLU has a slope that is not drawn",
}
# Functions of PyTorch's own that look whether they are given tensors.
MASKS = ("_canonical_mask", "_none_or_dtype")
PACKING = ("pack_padded_sequence", "pad_packed_sequence", "pack_sequence", "pad_sequence")
WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)

# Gives the value of a node; raises whatever it raises.
Translate = Callable[[fx.Node, dict[fx.Node, Any]], Any]


@contextmanager
def alone() -> Iterator[None]:
    """PyTorch is used by one thread at a time, and uses one: what runs here is small."""
    with LOCK:
        n_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(n_threads)


def read(
    module: torch.nn.Module, inputs: tuple[Any, ...], leaves: Callable[..., bool], shape: Translate
) -> fx.Graph:
    """The graph of ``forward`` for inputs of these shapes, each node's in ``meta["value"]``.

    leaves: whether a module is one step of the graph. Raises ModelError by the place in the module.
    """
    before = _attributes(module)
    tracer = _Tracer(inputs, leaves, shape)
    try:
        with of_others(), _wrapped_packing(tracer, module), _Drawing(tracer), _slow_path():
            graph = tracer.trace(module)
    except GridscapeError:
        raise
    except Exception as error:  # somebody's forward may raise anything
        raise ModelError(
            "the module cannot be read",
            where=place_of(error, module),
            found=one_line(error)[:120],
            hint=HOW,
        ) from error
    finally:
        changed = _restore(module, before)
    if changed:
        raise ModelError(
            "the module keeps a value between calls",
            where=f"{type(module).__name__}.{changed}",
            hint="pass it from step to step, or start from zeros in forward",
        )
    return graph


@contextmanager
def _slow_path() -> Iterator[None]:
    """The steps of a Transformer, and not those of its inference alone, which go by values."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class Value(fx.Proxy):  # type: ignore[misc]
    """What an operation gives, whose shape and type are known."""

    @property
    def known(self) -> Any:
        """Its shape and type, or a tuple of such."""
        return self.node.meta["value"]

    @property
    def shape(self) -> torch.Size:
        """As PyTorch has it."""
        return torch.Size(self._array().shape)

    def _array(self) -> Any:
        known = self.known
        if not hasattr(known, "shape"):
            raise TypeError(f"a {type(known).__name__} where a tensor is needed")
        return known

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return len(self.shape)

    ndimension = dim

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def numel(self) -> int:
        return self.shape.numel()

    nelement = numel

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        return torch_type(self._array().dtype)

    is_cuda, requires_grad, is_sparse, is_nested, is_quantized = False, True, False, False, False
    layout = torch.strided

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    def is_contiguous(self, *_: Any, **__: Any) -> bool:
        return True

    def get_device(self) -> int:
        return -1

    def new_zeros(self, *size: Any, dtype: Any = None, **_: Any) -> torch.Tensor:
        return torch.zeros(*size, dtype=dtype or self.dtype)

    def new_ones(self, *size: Any, dtype: Any = None, **_: Any) -> torch.Tensor:
        return torch.ones(*size, dtype=dtype or self.dtype)

    def new_full(self, size: Any, value: Any, dtype: Any = None, **_: Any) -> torch.Tensor:
        return torch.full(size, value, dtype=dtype or self.dtype)

    def new_tensor(self, data: Any, dtype: Any = None, **_: Any) -> torch.Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype)

    def _refused(self, *_: Any, **__: Any) -> Any:
        return self.tracer.to_bool(self)

    item = tolist = numpy = nonzero = __int__ = __float__ = __index__ = _refused

    def __setitem__(self, key: Any, value: Any) -> None:
        raise _in_place(self.tracer, "an assignment to a part of a tensor")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = super().__getattr__(name)
        if not (name.endswith("_") and callable(getattr(torch.Tensor, name, None))):
            return found
        raise _in_place(self.tracer, f"the in-place {name}")


class Chosen(NamedTuple):
    """What the maximum along a dimension gives."""

    values: Any
    indices: Any


class _Tracer(fx.Tracer):  # type: ignore[misc]
    def __init__(
        self, inputs: tuple[Any, ...], leaves: Callable[..., bool], shape: Translate
    ) -> None:
        super().__init__()
        self.inputs, self.leaves, self.shape = list(inputs), leaves, shape

    def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
        return self.leaves(m, module_qualified_name)

    def proxy(self, node: fx.Node) -> Value:
        return Value(node, self)

    def create_proxy(self, kind: str, target: Any, *args: Any, **kwargs: Any) -> Any:
        if target is torch.is_floating_point:
            return args[0][0].is_floating_point()
        proxy = super().create_proxy(kind, target, *args, **kwargs)
        node = proxy.node
        if kind == "placeholder":
            node.meta["value"] = self.inputs.pop(0)
        elif kind != "output":
            if _name(target) in ("__setitem__", "setitem"):
                raise _in_place(self, "an assignment to a part of a tensor")
            node.meta["value"] = known = self._shape_of(node)
            if isinstance(known, tuple):  # one that forward may unpack, or ask for its type
                parts = [None if one is None else proxy[i] for i, one in enumerate(known)]
                return Chosen(*parts) if _name(target) in ("max", "min") else tuple(parts)
        return proxy

    def _shape_of(self, node: fx.Node) -> Any:
        known = {}
        for one in node.all_input_nodes:
            if "value" not in one.meta:  # a constant
                one.meta["value"] = self.shape(one, {})
            known[one] = one.meta["value"]
        try:
            return self.shape(node, known)
        except UntranslatedError as error:
            hint = INSTEAD.get(_name(node.target), HOW)
            raise ModelError(f"cannot translate {error}", where=self.place(), hint=hint) from error

    def place(self) -> str:
        """Where ``forward`` is: the module by its path, file and line."""
        path = self.scope.module_path
        root = type(self.root).__name__
        return f"{root}.{path}{_line()}" if path else f"{root}{_line()}"

    def to_bool(self, obj: fx.Proxy) -> bool:
        raise ModelError(
            "forward goes by the values of a tensor",
            where=self.place(),
            expected="the same steps whatever the data",
            hint="choose by torch.where, and leave .item() and assertions on values out",
        )

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        assert isinstance(obj, Value)
        return iter([obj[i] for i in range(len(obj))])

    def keys(self, obj: fx.Proxy) -> Any:
        raise TypeError("a tensor is no mapping")


class _Drawing(TorchFunctionMode):  # type: ignore[misc]
    """Tells random numbers that forward draws itself: they would be the same at every update."""

    def __init__(self, tracer: _Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = torch.random.get_rng_state()
        found = func(*args, **(kwargs or {}))
        if not torch.equal(before, torch.random.get_rng_state()):
            raise ModelError(
                f"forward draws random numbers, by {_name(func)}",
                where=self.tracer.place(),
                hint="dropout is translated, noise of one's own is not",
            )
        return found


def _in_place(tracer: Any, what: str) -> ModelError:
    return ModelError(
        f"cannot translate {what}",
        where=tracer.place(),
        hint="make a new tensor instead: torch.where, torch.cat, torch.stack",
    )


def _name(target: Any) -> str:
    return target if isinstance(target, str) else getattr(target, "__name__", "")


def _is_users(file: str) -> bool:
    """Whether a frame is somebody's own code: neither PyTorch's nor Gridscape's."""
    ours = Path(__file__).parent.parent, Path(torch.__file__).parent
    return not any(folder in Path(file).parents for folder in ours)


def _line() -> str:
    """The line of somebody's forward that is running now: " (net.py, line 12)"."""
    frame = inspect.currentframe()
    while frame is not None:
        code = frame.f_code
        if _is_users(code.co_filename) and isinstance(frame.f_locals.get("self"), torch.nn.Module):
            return f" ({Path(code.co_filename).name}, line {frame.f_lineno})"
        frame = frame.f_back
    return ""


def place_of(error: BaseException, module: torch.nn.Module) -> str:
    """Where in a module an error was raised: the path of the innermost module, file and line."""
    paths = {id(part): path for path, part in module.named_modules()}
    place, line, at = "", "", error.__traceback__
    while at is not None:
        here = at.tb_frame.f_locals.get("self")
        if isinstance(here, torch.nn.Module) and id(here) in paths:
            place = paths[id(here)] or place
        if _is_users(at.tb_frame.f_code.co_filename) and isinstance(here, torch.nn.Module):
            file = Path(at.tb_frame.f_code.co_filename).name
            line = f" ({file}, line {at.tb_lineno})"
        at = at.tb_next
    root = type(module).__name__
    return f"{root}.{place}{line}" if place else f"{root}{line}"


def _attributes(module: torch.nn.Module) -> dict[Any, dict[str, Any]]:
    return {part: dict(vars(part)) for part in module.modules()}


def _restore(module: torch.nn.Module, before: dict[Any, dict[str, Any]]) -> str:
    """Take back what reading has set on the modules; what of it a forward set, "" if nothing.

    Constants that the graph needs stay.
    """
    changed = ""
    for path, part in module.named_modules():
        for name, value in list(vars(part).items()):
            leaves = value if isinstance(value, list | tuple) else (value,)
            if any(isinstance(leaf, fx.Proxy) for leaf in leaves):
                changed = f"{path}.{name}".lstrip(".")
                vars(part).pop(name)
                if part in before and name in before[part]:
                    vars(part)[name] = before[part][name]
    return changed


@contextmanager
def _wrapped_packing(tracer: fx.Tracer, module: torch.nn.Module) -> Iterator[None]:
    """Functions that pack sequences or read masks are steps, by whatever name they are reached."""
    originals = {name: getattr(packing, name) for name in PACKING}
    originals |= {name: getattr(functional, name) for name in MASKS}

    def wrapped(original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if any(isinstance(x, fx.Proxy) for x in (*args, *kwargs.values())):
                if original.__name__ == "_none_or_dtype":
                    return [*args, *kwargs.values()][0].dtype
                return tracer.create_proxy("call_function", original, args, kwargs)
            return original(*args, **kwargs)

        return call

    ids = {id(original): wrapped(original) for original in originals.values()}
    spaces = [getattr(type(part).forward, "__globals__", {}) for part in module.modules()]
    spaces += [vars(packing), vars(functional)]
    spaces = list({id(space): space for space in spaces}.values())
    places = [(space, n, v) for space in spaces for n, v in list(space.items()) if id(v) in ids]
    for space, name, value in places:
        space[name] = ids[id(value)]
    try:
        yield
    finally:
        for space, name, value in places:
            space[name] = value


TYPES = {
    "float32": torch.float32,
    "int32": torch.int64,  # PyTorch counts in int64, and JAX in int32
    "int64": torch.int64,
    "bool": torch.bool,
    "uint8": torch.uint8,
    "uint32": torch.int64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
}


def torch_type(dtype: Any) -> torch.dtype:
    """The type that PyTorch would have here."""
    return TYPES[np.dtype(dtype).name]


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """A constant of the module, in the types of JAX."""
    array = tensor.detach().cpu().numpy()
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype))
