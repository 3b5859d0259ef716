"""Code by value: what a study has from Python, on its way from this run to its workers.

Ray's pickler takes functions and classes of a script or a notebook along, and only names those of
modules. Their source, by which keys tell code apart, goes with them. Nothing of this is stored.
"""

import linecache
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import WRAPPER_ASSIGNMENTS
from io import BytesIO
from types import CodeType, FunctionType
from typing import Any

import jax

from gridscape.errors import GridscapeError, UsageError, one_line
from gridscape.execution.ray.cluster import imported

JITTED: Any = type(jax.jit(lambda: None))


@dataclass(frozen=True)
class _Packed:
    """Parts as Ray pickles them, lines of the files that code by value is from, and the script."""

    parts: Mapping[str, bytes]
    sources: Mapping[str, list[str]]
    script: str | None


def packed(parts: Mapping[str, Any]) -> bytes:
    """Parts of a study, by name, as bytes; raises UsageError for one that cannot be pickled."""
    imported()
    from ray import cloudpickle

    files: set[str] = set()

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Ray's, which notes the files of the functions that it takes along."""

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, JITTED):
                return _jitted, (value.__getstate__(), _names(value))
            found = super().reducer_override(value)
            if isinstance(value, FunctionType) and found is not NotImplemented:
                files.update(_files(value.__code__))
            return found

    def pickled(name: str, part: Any) -> bytes:
        file = BytesIO()
        try:
            Pickler(file).dump(part)
        except Exception as error:  # of any class's own way to be pickled
            raise UsageError(
                f"the {name} cannot be sent to the workers",
                where="executor ray",
                found=one_line(error),
                hint="name it 'module:object', or use the executor 'local'",
            ) from error
        return file.getvalue()

    each = {name: pickled(name, part) for name, part in parts.items()}
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script is not None:  # of which classes are
        files.add(script)
    return pickle.dumps(_Packed(each, {file: linecache.getlines(file) for file in files}, script))


def _names(function: Any) -> dict[str, Any]:
    names = (*WRAPPER_ASSIGNMENTS, "__wrapped__")
    return {name: getattr(function, name) for name in names if hasattr(function, name)}


def _jitted(state: Mapping[str, Any], names: Mapping[str, Any]) -> Any:
    """What jax.jit made, with the names that it lets go when it is pickled."""
    made = JITTED.__new__(JITTED)
    made.__setstate__(state)
    for name, value in names.items():
        setattr(made, name, value)
    return made


def _files(code: CodeType) -> set[str]:
    """Those of a function and of the functions within it."""
    inner = (c for c in code.co_consts if isinstance(c, CodeType))
    return {code.co_filename}.union(*map(_files, inner))


def unpacked(content: bytes) -> dict[str, Any]:
    """The parts, on a worker; raises GridscapeError where they need what is not there."""
    told: _Packed = pickle.loads(content)
    for name, lines in told.sources.items():
        if lines:  # those of a prompt have none
            linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
    if told.script is not None:  # classes of the script are looked for in its file
        sys.modules["__main__"].__file__ = told.script
    try:
        return {name: pickle.loads(part) for name, part in told.parts.items()}
    except Exception as error:
        raise GridscapeError(
            "code of the study cannot be used on a worker",
            where="executor ray",
            found=one_line(error),
            hint="install its modules there, or set working_dir to their folder",
        ) from error
