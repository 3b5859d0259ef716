"""A program of one device on another one, without compiling it again.

XLA's code names no device: who loads it does. JAX loads a program only where it was compiled for,
so this reads what ``jax.experimental.serialize_executable`` writes with another device in place of
the one that stands there. It needs two names that JAX does not call public. Where a later version
lacks them, everything here raises, and a program is compiled once for each device instead.
"""

import io
import os
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import numpy as np
from jax.experimental import serialize_executable

# Else XLA prints pages of lines when it loads a program: JAX was there before Gridscape.
IS_QUIET = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") >= "3"

Compiled = jax.stages.Compiled
Place = tuple[jax.Device, ...]  # the devices of a program
Trees = tuple[Any, Any]  # the pytrees of arguments and results
Options = Mapping[str, Any]  # of XLA


class Source(NamedTuple):
    """What a program is loaded from: its code, and what it was compiled with.

    XLA finds the functions in the code by the options.
    """

    code: bytes
    options: Options


# Of programs that can be moved: the options of what was compiled here, and sources once there are
# any. XLA keeps no code of a program that it loads: it could not be written again.
_options: WeakKeyDictionary[Compiled, Options] = WeakKeyDictionary()
_sources: WeakKeyDictionary[Compiled, tuple[Source, Trees]] = WeakKeyDictionary()


def can_move() -> bool:
    """Whether programs can be loaded elsewhere here, and nobody hears of it."""
    try:
        return IS_QUIET and _reader() is not None
    except (ImportError, AttributeError):
        return False


def made_with(program: Compiled, options: Options) -> Compiled:
    """A program, just compiled with these options: from now on it can be moved."""
    _options[program] = options
    return program


def source_of(program: Compiled) -> tuple[Source, Trees]:
    """What a program is loaded from; raises KeyError, or what JAX raises, where it cannot be."""
    if program not in _sources:
        options = _options[program]
        code, inputs, outputs = serialize_executable.serialize(program)
        _sources[program] = Source(code, options), (inputs, outputs)
    return _sources[program]


def moved(program: Compiled, device: jax.Device) -> Compiled:
    """A program of one device on another one; raises as ``source_of`` does."""
    return loaded(*source_of(program), device)


def loaded(source: Source, trees: Trees, device: jax.Device) -> Compiled:
    """A program of one device, wherever that was."""
    inputs, outputs = trees
    program, arguments, no_kwargs = _reader()(source, device).load()
    shapes = inputs.unflatten(arguments)
    found = Compiled(program.load(), [], shapes, outputs, no_kwargs=no_kwargs)
    _sources[found] = source, trees
    return found


@cache
def _reader() -> Any:
    from jax._src.compiler import get_compile_options

    base: Any = serialize_executable._JaxPjrtUnpickler

    class Reader(base):  # type: ignore[misc]
        def __init__(self, source: Source, device: jax.Device) -> None:
            super().__init__(io.BytesIO(source.code), device.client, [device])
            self._device, self._options = device, dict(source.options)

        def persistent_load(self, name: Any) -> Any:
            match name:
                case ("device", _):
                    return self._device
                case ("exec", code):
                    place = np.array([[self._device.id]])
                    here = get_compile_options(1, 1, place, self._options)
                    return self.backend.deserialize_executable(code, self.execution_devices, here)
            return super().persistent_load(name)

    return Reader
