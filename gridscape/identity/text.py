"""Texts of values that Gridscape is made of, the same in every process.

Two values of the same text compute the same, where the sources of the packages are the same: a
function is told by where it stands in them and by the values that it holds, to any depth.
"""

import dataclasses
import hashlib
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PACKAGES = ("gridscape", "jax", "jaxlib", "optax", "numpy", "jaxtyping")
# Of these modules is what has no source.
BUILT_IN = ("builtins", "math", "operator", "functools", "types")
PLAIN = (bool, int, float, complex, str, bytes, range, type(None))
MOST_BYTES = 2**24  # of an array: more would take longer than to trace what holds it


class UntoldError(Exception):
    """A value is not told by a text: it is somebody else's, or holds what is."""


def text_of(value: Any) -> str:
    """The text of a value; raises UntoldError.

    >>> from gridscape.models.recurrent import recurrent
    >>> one, same, other = (recurrent((4, 2), 3, hidden_size=h) for h in (5, 5, 6))
    >>> text_of(one) == text_of(same), text_of(one) == text_of(other)
    (True, False)
    """
    return _text(value, ())


def _text(value: Any, within: tuple[int, ...]) -> str:
    if type(value) in PLAIN:
        return f"{type(value).__name__} {value!r}"
    if id(value) in within:
        return f"<{within.index(id(value))}>"  # it holds itself
    inner = partial(_text, within=(*within, id(value)))
    for kinds, describe in DESCRIBED:
        if isinstance(value, kinds):
            return f"{type(value).__name__}({describe(value, inner)})"
    return _object(value, inner)


Inner = Callable[[Any], str]


def _all(values: Any, inner: Inner) -> str:
    return ", ".join(map(inner, values))


def _items(value: Any, inner: Inner) -> str:
    return _all([part for item in value.items() for part in item], inner)


def _array(value: Any, inner: Inner) -> str:
    array = np.asarray(value)
    if array.dtype.hasobject or array.nbytes > MOST_BYTES:
        raise UntoldError(value)
    digest = hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return f"{array.dtype.str} {array.shape} {digest.hexdigest()}"


def _shape(value: jax.ShapeDtypeStruct, inner: Inner) -> str:
    return f"{value.shape} {value.dtype} {value.weak_type} {value.sharding!r}"


def _class(value: type, inner: Inner) -> str:
    _require_known(value, value.__module__)
    return f"{value.__module__}.{value.__qualname__}"


def _function(value: FunctionType, inner: Inner) -> str:
    code = value.__code__
    _require_known(value, value.__module__)
    source = _package(code.co_filename)
    if source == "jaxtyping" and hasattr(value, "__wrapped__"):  # which checks shapes, no more
        return inner(value.__wrapped__)
    if source is None:
        raise UntoldError(value)
    # Several functions of one name, lambdas above all, may begin in the same line.
    begins = [position for position in code.co_positions() if position[0] is not None][:4]
    held = [cell.cell_contents for cell in value.__closure__ or ()]
    attributes = {name: x for name, x in vars(value).items() if name != "__wrapped__"}
    told = (value.__defaults__, value.__kwdefaults__, held, attributes)
    return f"{value.__module__}.{value.__qualname__} {begins} {inner(told)}"


def _built_in(value: BuiltinFunctionType, inner: Inner) -> str:
    _require_known(value, value.__module__)
    return f"{value.__module__}.{value.__qualname__} {inner(_owner(value))}"


def _owner(value: BuiltinFunctionType) -> Any:
    owner = value.__self__
    return None if type(owner).__name__ == "module" else owner


DESCRIBED: tuple[tuple[Any, Callable[[Any, Inner], str]], ...] = (
    (jax.ShapeDtypeStruct, _shape),
    ((np.ndarray, np.generic, jax.Array), _array),
    (np.dtype, lambda value, inner: value.str),
    (type, _class),
    (FunctionType, _function),
    (BuiltinFunctionType, _built_in),
    (MethodType, lambda value, inner: _all((value.__func__, value.__self__), inner)),
    (partial, lambda value, inner: _all((value.func, value.args, value.keywords), inner)),
)


def _object(value: Any, inner: Inner) -> str:
    """A sequence, a mapping, or an object of a known class, by its parts."""
    name = inner(type(value))
    if type(value) in (tuple, list) or hasattr(type(value), "_fields"):
        return f"{name}({_all(value, inner)})"
    if type(value) in (dict, MappingProxyType):
        return f"{name}({_items(value, inner)})"
    if type(value) in (set, frozenset):
        return f"{name}({sorted(map(inner, value))})"
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return f"{name}({_items(fields | getattr(value, '__dict__', {}), inner)})"
    if hasattr(value, "__wrapped__"):  # by jax.jit and the like
        return f"{name}({inner(value.__wrapped__)})"
    own = getattr(value, "__name__", "")
    if getattr(jnp, own, None) is value:  # a ufunc
        return f"{name}({own})"
    raise UntoldError(value)


def _require_known(value: Any, module: str | None) -> None:
    if module is None or not _is_known(module):
        raise UntoldError(value)


@cache
def _is_known(module: str) -> bool:
    """Whether a module is one of the packages, not of the same name elsewhere."""
    found = sys.modules.get(module)
    source = getattr(found, "__file__", None)
    if source is None:
        return module in BUILT_IN
    return module in BUILT_IN or _package(source) == module.partition(".")[0]


@cache
def _package(source: str) -> str | None:
    """The package that a file belongs to."""
    return next(
        (name for name, root in _roots().items() if Path(source).is_relative_to(root)), None
    )


@cache
def _roots() -> dict[str, Path]:
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in PACKAGES}
    return {name: Path(file).parent for name, file in files.items() if file}
