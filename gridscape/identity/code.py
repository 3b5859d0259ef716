"""Texts that tell data and code apart, so that changed data or code gives new trials."""

import hashlib
import inspect
import linecache
from collections.abc import Callable, Mapping
from functools import partial
from types import CodeType, ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Keys hold the names of functions and classes as they were when the first keys were made; what has
# moved since goes by its former name.
FORMER_MODULES = {
    "gridscape.base.data": "gridscape.base",
    "gridscape.base.metrics": "gridscape.base",
    "gridscape.base.parts": "gridscape.base",
    "gridscape.base.task": "gridscape.base",
    "gridscape.models.equinox": "gridscape.models.guests",
    "gridscape.optimizers.rules": "gridscape.optimizers",
    "gridscape.tasks.losses": "gridscape.losses",
}
PLAIN = (bool, int, float, complex, str, bytes, type(None))


def fingerprint(*parts: Any) -> str:
    """A hash of names, numbers and arrays: the same content gives the same text anywhere."""
    digest = hashlib.sha256()
    for part in jax.tree.leaves(parts):
        if isinstance(part, np.ndarray | jax.Array):
            array = np.asarray(part)
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        else:
            digest.update(f"{part!r}\n".encode())
    return digest.hexdigest()


def code_identity(function: Callable[..., Any]) -> str:
    """The name of a function, and a hash of its source and of the values that it closes over.

    What counts: its own source, its defaults, the variables of enclosing functions, and global
    numbers and texts that it reads; for an object with ``__call__``, its class and attributes.
    Functions and classes that it uses count by name only, unless they are lambdas or local.
    """
    text = _describe_code(function, ())
    named = function.func if isinstance(function, partial) else function
    if hasattr(named, "__qualname__"):
        name = _name(named)
    else:
        name = _name(type(named))
        text += _source(type(named))
    return f"{name}@{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _describe(value: Any, within: tuple[int, ...]) -> str:
    """A text of a value that does not change from process to process: no addresses, no order."""
    if isinstance(value, PLAIN):
        return repr(value)
    if id(value) in within:
        return "..."  # it holds itself
    within = (*within, id(value))
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)  # type: ignore[arg-type]
        array = np.asarray(value)
        return _describe(array.tolist(), within) if array.dtype.hasobject else fingerprint(array)
    if isinstance(value, Mapping):
        return str([(_describe(k, within), _describe(v, within)) for k, v in value.items()])
    if isinstance(value, list | tuple):
        return f"{_name(type(value))}{[_describe(item, within) for item in value]}"
    if isinstance(value, set | frozenset):
        return str(sorted(_describe(item, within) for item in value))
    if isinstance(value, ModuleType):
        return value.__name__
    if hasattr(value, "__qualname__") and "<" not in value.__qualname__:
        return _name(value) + _describe(getattr(value, "__self__", None), within)
    return _describe_code(value, within)


def _name(owner: Any) -> str:
    module = getattr(owner, "__module__", "")
    return f"{FORMER_MODULES.get(module, module)}.{owner.__qualname__}"


def _describe_code(value: Any, within: tuple[int, ...]) -> str:
    """Source and variables of a function, source of a class, attributes of any other object."""
    if isinstance(value, partial):
        return _describe_code(value.func, within) + _describe((value.args, value.keywords), within)
    if inspect.ismethod(value):
        return _describe_code(value.__func__, within) + _describe(value.__self__, within)
    code = getattr(value, "__code__", None)
    if isinstance(code, CodeType):
        variables = (value.__defaults__, value.__kwdefaults__, _variables(value, code))
        return _source(code) + _describe(variables, within)
    if isinstance(value, jax.custom_jvp | jax.custom_vjp) and not _is_of_jax(value):
        names = ("fun", "jvp") if isinstance(value, jax.custom_jvp) else ("fun", "fwd", "bwd")
        return "".join(_describe_code(getattr(value, name), within) for name in names)
    if hasattr(value, "__wrapped__"):  # by jax.jit and the like
        return _describe_code(value.__wrapped__, within)
    if isinstance(value, type):
        return _source(value)
    return _name(type(value)) + _describe(getattr(value, "__dict__", None), within)


def _is_of_jax(value: Any) -> bool:
    """Whether a function is JAX's own, whose derivative nobody changes."""
    return getattr(value, "__module__", "").partition(".")[0] in ("jax", "optax")


def _variables(function: Any, code: CodeType) -> dict[str, Any]:
    """The variables of enclosing functions, and the global numbers and texts that it names."""
    names = function.__globals__.keys() & set(code.co_names)
    found = {name: function.__globals__[name] for name in sorted(names)}
    found = {name: value for name, value in found.items() if isinstance(value, PLAIN)}
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    return found | {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:  # the variable has no value yet
        return False
    return True


def _source(code: CodeType | type) -> str:
    """The text of a function or class; the bytecode of one that was typed at a prompt."""
    if isinstance(code, CodeType) and code.co_name == "<lambda>" and (text := _lambda_text(code)):
        return text
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        return _bytecode(code) if isinstance(code, CodeType) else ""


def _lambda_text(code: CodeType) -> str:
    """The body of a lambda: its lines may hold other lambdas, or be a part of it only."""
    spans = [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        if line and end_line and column is not None and end_column
    ]
    spans = [span for span in spans if span[0] < span[1]]
    if not spans:
        return ""
    (first, begin), (last, end) = min(s[0] for s in spans), max(s[1] for s in spans)
    lines = [line.encode() for line in linecache.getlines(code.co_filename)[first - 1 : last]]
    if len(lines) != last - first + 1:
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][begin:]
    return b"".join(lines).decode(errors="replace")


def _bytecode(code: CodeType) -> str:
    constants = [_bytecode(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()}{code.co_names}{code.co_varnames}{constants}"
