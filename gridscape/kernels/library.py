"""The compiled library: found, loaded, made known to JAX, and switched on and off."""

import ctypes
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gridscape.errors import UsageError
from gridscape.kernels.tables import differing

# "off" for the plain path, or an instruction set of ``targets``.
VARIABLE = "GRIDSCAPE_KERNELS"
OF_LAYERS = (
    *(f"recurrent_{part}" for part in ("forward", "backward", "inputs")),
    *(f"dense_{part}" for part in ("forward", "weights", "inputs")),
    *(f"conv_{part}" for part in ("forward", "weights", "inputs")),
    *("perceptron_train", "sequence_train", "sequence_outputs"),
)
CALLS = (
    *OF_LAYERS,
    *("optimizer_step", "batch_take", "slot_take", "slot_put"),
    *("threefry_bits", "threefry_pairs"),
)

MISSING = "not compiled when Gridscape was installed: for that it needs a C++17 compiler"
MISMATCH = (
    "compiled against version {} of XLA's foreign function interface, and this jaxlib has {}: "
    "install Gridscape again"
)

# JAX's own kind of context: what was traced outside it is traced again inside.
_plain = jax.make_user_context(default_value=False)
_chosen = jax.make_user_context(default_value="")  # an instruction set: not all have all calls


class Loaded(NamedTuple):
    """The library, or why there is none."""

    library: ctypes.CDLL | None
    trouble: str


@lru_cache(maxsize=1)
def load() -> Loaded:
    """Load the library and register its calls, once."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted == "off":
        return Loaded(None, f"switched off by {VARIABLE}")
    spec = find_spec("gridscape.kernels._native")
    if spec is None or spec.origin is None:
        return Loaded(None, MISSING)
    try:
        library = _opened(spec.origin)
        if library.gridscape_sources().decode() != _digest_of_sources(library):
            return Loaded(None, "compiled from other sources than these: install Gridscape again")
        if table := differing(library.gridscape_tables().decode()):
            return Loaded(None, f"its table {table} is not that of kernels/tables.py")
        compiled, here = _interface_of(library), _interface_of_jax()
        if compiled[0] != here[0] or compiled > here:
            versions = [".".join(map(str, version)) for version in (compiled, here)]
            return Loaded(None, MISMATCH.format(*versions))
        for name in CALLS:
            call = jax.ffi.pycapsule(getattr(library, f"gridscape_{name}"))
            jax.ffi.register_ffi_target(f"gridscape_{name}", call, platform="cpu")
    except Exception as error:  # of another JAX or another system: the plain path serves
        return Loaded(None, f"cannot be loaded: {error}")
    if wanted:
        _choose(library, wanted)
    return Loaded(library, "")


def _opened(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    for name in ("targets", "target", "sources", "tables"):
        getattr(library, f"gridscape_{name}").restype = ctypes.c_char_p
    library.gridscape_use.restype = ctypes.c_bool
    return library


def _digest_of_sources(library: ctypes.CDLL) -> str:
    """As setup.py makes it; of a wheel, which comes without sources, the library's own."""
    sources = sorted((Path(__file__).parent / "src").glob("*"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    return digest if sources else library.gridscape_sources().decode()


def _interface_of(library: ctypes.CDLL) -> tuple[int, int]:
    """The version of XLA's foreign function interface that the library was compiled against."""
    major, minor = ctypes.c_int32(), ctypes.c_int32()
    library.gridscape_interface(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def _interface_of_jax() -> tuple[int, int]:
    """The version that this jaxlib has.

    Told by its header: a call of a later version would only be refused when the backend starts, and
    would keep it from starting at all.
    """
    header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
    text = header.read_text(encoding="utf-8")
    parts = (re.findall(rf"#define XLA_FFI_API_{x} (\d+)", text)[0] for x in ("MAJOR", "MINOR"))
    major, minor = map(int, parts)
    return major, minor


def _choose(library: ctypes.CDLL, name: str) -> None:
    if not library.gridscape_use(name.encode()):
        known = library.gridscape_targets().decode().replace(",", ", ")
        raise UsageError(
            "this processor cannot run these kernels",
            where=VARIABLE,
            expected=f"off, {known}",
            found=name,
        )


def available() -> bool:
    """Whether the library is there."""
    return load().library is not None


def trouble() -> str:
    """Why it is not there; "" where it is."""
    return load().trouble


def targets() -> tuple[str, ...]:
    """The instruction sets that can run here, the best first; () without the library."""
    library = load().library
    return tuple(library.gridscape_targets().decode().split(",")) if library else ()


def target() -> str | None:
    """The instruction set in use."""
    library = load().library
    return library.gridscape_target().decode() if library else None


def multiplies_bfloat16() -> bool:
    """Whether the instruction set in use has products of bfloat16 of its own."""
    return target() == "avx512bf16"


@contextmanager
def use(name: str) -> Iterator[None]:
    """Run with the kernels of another instruction set, one of ``targets``."""
    library = load().library
    before = target()
    if library is None or before is None:
        raise UsageError("no native kernels here", where=VARIABLE, found=trouble())
    _choose(library, name)
    try:
        with _chosen(name):
            yield
    finally:
        _choose(library, before)


@contextmanager
def plain() -> Iterator[None]:
    """What is traced inside takes the plain JAX path."""
    with _plain(True):
        yield


def as_here(function: Callable[[], Any]) -> Callable[[], Any]:
    """The function, for another thread: what it traces takes the path that it would take here."""
    load()  # now, so that several threads never do it at once
    is_plain = _plain.value

    def run() -> Any:
        with _plain(is_plain):
            return function()

    return run


def in_use() -> bool:
    """Whether what is being traced should call the library."""
    return not _plain.value and jax.default_backend() == "cpu" and available()


def serve(*arrays: jax.Array) -> bool:
    """Whether what is being traced should call the library with these arrays."""
    return all(a.dtype == jnp.float32 and a.size for a in arrays) and in_use()


def calls_layers(lowered: str) -> bool:
    """Whether a program, as JAX lowers it, calls the library for its layers."""
    return any(f"@gridscape_{name}(" in lowered for name in OF_LAYERS)


def call(name: str, shapes: Sequence[tuple[int, ...]]) -> Callable[..., Any]:
    """One of CALLS, whose results, float32, have these shapes."""
    results = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.ffi.ffi_call(f"gridscape_{name}", results, vmap_method="expand_dims")
