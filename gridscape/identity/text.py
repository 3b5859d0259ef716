"""Texts of values that Gridscape is made of, the same in every process.

Two values of the same text compute the same, where the sources of the packages are the same: a
function is told by where it stands in them and by the values that it holds, to any depth. Only what
is listed here has a text. What is somebody else's, or of a class of somebody else's, has none.
"""

import dataclasses
import hashlib
import sys
from collections.abc import Callable
from functools import WRAPPER_ASSIGNMENTS, cache, partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType
from typing import Any

import jax
import numpy as np

PACKAGES = ("gridscape", "jax", "jaxlib", "optax", "numpy", "jaxtyping")
# Of these modules is what has no source.
BUILT_IN = ("builtins", "math", "operator", "functools", "types")
PLAIN = (bool, int, float, complex, str, bytes, range, type(None))
MOST_BYTES = 2**24  # of an array: more would take longer than to trace what holds it
LONG = 200  # letters: longer parts are told by a hash, as one may stand in many places


class UntoldError(Exception):
    """A value is not told by a text: it is somebody else's, or holds what is."""


def text_of(value: Any) -> str:
    """The text of a value; raises UntoldError.

    >>> from gridscape.models.recurrent import recurrent
    >>> one, same, other = (recurrent((4, 2), 3, hidden_size=h) for h in (5, 5, 6))
    >>> text_of(one) == text_of(same), text_of(one) == text_of(other)
    (True, False)
    """
    try:
        return _Telling().text(value)
    except UntoldError:
        raise
    except Exception as error:  # of an object that cannot be looked into
        raise UntoldError(value) from error


class _Telling:
    """Texts of the parts of one value, each told once."""

    def __init__(self) -> None:
        # By identity: the object, which so keeps its own, and its text, "" while it is told.
        self._told: dict[int, tuple[Any, str]] = {}

    def text(self, value: Any) -> str:
        kind = type(value)
        if kind in PLAIN:
            return f"{kind.__name__} {value!r}"
        if id(value) not in self._told:
            self._told[id(value)] = value, ""
            text = self._describe(value, kind)
            is_long = len(text) > LONG
            text = hashlib.sha256(text.encode()).hexdigest() if is_long else text
            self._told[id(value)] = value, text
        if not (known := self._told[id(value)][1]):
            raise UntoldError(value)  # it holds itself
        return known

    def _all(self, *values: Any) -> str:
        return ", ".join(map(self.text, values))

    def _describe(self, value: Any, kind: type) -> str:
        if describe := DESCRIBED.get(kind):
            return f"{kind.__name__}({describe(value, self._all)})"
        if isinstance(value, type):
            return f"class {_place(value)}"
        if _is_of(value, jax.Array, ("jax", "jaxlib")) or _is_of(value, np.generic, ("numpy",)):
            return f"{kind.__name__}({_array(value, self._all)})"
        if _is_of(value, np.dtype, ("numpy",)):
            return f"dtype({value!r})"
        if _is_named_tuple(kind):
            return f"{_place(kind)}({self._all(*value)})"
        if dataclasses.is_dataclass(kind):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}
            return f"{_place(kind)}({self.text(fields | getattr(value, '__dict__', {}))})"
        if kind.__module__.startswith("gridscape.") and hasattr(value, "__dict__"):
            return f"{_place(kind)}({self.text(_attributes(value))})"
        return f"one {_place(value)}"  # of its kind, as a ufunc is


All = Callable[..., str]


def _attributes(value: Any) -> dict[str, Any]:
    """Those of an object, without what ``functools.wraps`` copies."""
    copied = (*WRAPPER_ASSIGNMENTS, "__wrapped__")
    return {name: x for name, x in vars(value).items() if name not in copied}


def _is_of(value: Any, kind: type, packages: tuple[str, ...]) -> bool:
    """Whether a value is of a package's own class that derives from ``kind``."""
    return isinstance(value, kind) and type(value).__module__.partition(".")[0] in packages


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and kind.__bases__ == (tuple,) and hasattr(kind, "_fields")


def _array(value: Any, told: All) -> str:
    array = np.asarray(value)
    if array.dtype.hasobject or array.nbytes > MOST_BYTES:
        raise UntoldError(value)
    digest = hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    is_weak = getattr(value, "weak_type", False)
    return f"{array.dtype!r} {array.shape} {is_weak} {digest.hexdigest()}"


def _shape(value: jax.ShapeDtypeStruct, told: All) -> str:
    return f"{value.shape} {value.dtype!r} {value.weak_type} {value.sharding!r}"


def _function(value: FunctionType, told: All) -> str:
    code = value.__code__
    source = _package(code.co_filename)
    if source == "jaxtyping" and hasattr(value, "__wrapped__"):  # which checks shapes, no more
        return told(value.__wrapped__)
    if source is None or source != value.__module__.partition(".")[0]:
        raise UntoldError(value)
    # Several functions of one name, lambdas above all, may begin in the same line.
    begins = [position for position in code.co_positions() if position[0] is not None][:4]
    held = [cell.cell_contents for cell in value.__closure__ or ()]
    parts = told(value.__defaults__, value.__kwdefaults__, held, _attributes(value))
    return f"{value.__module__}.{value.__qualname__} {begins} {parts}"


def _built_in(value: BuiltinFunctionType, told: All) -> str:
    owner = value.__self__
    if type(owner).__name__ == "module":
        return _place(value)
    return f"{value.__qualname__} of {told(owner)}"


def _differentiated(*names: str) -> Callable[[Any, All], str]:
    """A function with a derivative of its own: where it stands, or all parts that decide."""

    def describe(value: Any, told: All) -> str:
        try:
            return _place(value)
        except UntoldError:
            return told(*(getattr(value, name) for name in names))

    return describe


# By their very type: a class that derives from one of them may do something else.
DESCRIBED: dict[type, Callable[[Any, All], str]] = {
    jax.ShapeDtypeStruct: _shape,
    tuple: lambda value, told: told(*value),
    list: lambda value, told: told(*value),
    dict: lambda value, told: told(*(part for item in value.items() for part in item)),
    MappingProxyType: lambda value, told: told(dict(value)),
    set: lambda value, told: str(sorted(map(told, value))),
    frozenset: lambda value, told: str(sorted(map(told, value))),
    np.ndarray: _array,
    FunctionType: _function,
    BuiltinFunctionType: _built_in,
    MethodType: lambda value, told: told(value.__func__, value.__self__),
    partial: lambda value, told: told(value.func, value.args, value.keywords),
    type(jax.jit(len)): lambda value, told: told(value.__wrapped__),
    jax.custom_jvp: _differentiated("fun", "jvp", "nondiff_argnums"),
    jax.custom_vjp: _differentiated("fun", "fwd", "bwd", "nondiff_argnums"),
}


def _place(value: Any) -> str:
    """Where a class or an object stands in a package; raises UntoldError where it does not."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    name = name or getattr(value, "__name__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        raise UntoldError(value)
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not value or not _is_known(module):
        raise UntoldError(value)
    return f"{module}.{name}"


@cache
def _is_known(module: str) -> bool:
    """Whether a module is one of the packages, not of the same name elsewhere."""
    source = getattr(sys.modules.get(module), "__file__", None)
    if source is None:
        return module in BUILT_IN or module.partition(".")[0] in PACKAGES
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
