"""Functions compiled in threads, while other programs run; those that are the same, only once."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape._cores import n_cores
from gridscape.kernels.library import as_here, calls_layers

# For what random numbers and native layers take all the time of: optimizing more would about double
# the time to compile, and nothing would run faster.
LIGHTLY: dict[str, Any] = {"xla_backend_optimization_level": 1}


class Compilers:
    """One thread a core.

    The cohorts of a study often differ in their data only, or in a part that one of their functions
    does not read: what JAX traces to the same program is then compiled once, and shared.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(n_cores(), "gridscape-compile")
        self._lock = threading.Lock()
        self._shared: dict[Any, Future[jax.stages.Compiled]] = {}

    def submit(
        self, function: Callable[..., Any], shapes: Sequence[Any], light: bool = False
    ) -> Future[jax.stages.Compiled]:
        """A jitted function, compiled for arguments of these shapes.

        light: optimized as little as LIGHTLY says; what calls native layers always is.
        """
        return self._threads.submit(as_here(partial(self._compiled, function, shapes, light)))

    def close(self) -> None:
        """Compile no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _compiled(self, function: Any, shapes: Sequence[Any], light: bool) -> jax.stages.Compiled:
        traced = function.trace(*shapes)
        text = str(traced.jaxpr)
        options = LIGHTLY if light or calls_layers(text) else {}
        if not _tells_all(text):
            return _compile(traced, options)
        parts = (traced.in_tree, traced.out_tree, traced.donate_argnums, bool(options))
        key = (_digest(text, traced.jaxpr.consts), *parts)
        with self._lock:
            is_first = key not in self._shared
            shared = self._shared.setdefault(key, Future())
        if is_first:
            try:
                shared.set_result(_compile(traced, options))
            except BaseException as error:
                shared.set_exception(error)
        return shared.result()


def _compile(traced: Any, options: dict[str, Any]) -> jax.stages.Compiled:
    compiled: jax.stages.Compiled = traced.lower().compile(options)
    return compiled


def _tells_all(text: str) -> bool:
    """Whether traced programs of this text, and of equal constants, are the same.

    Not where Python objects are part of them, of which JAX writes the address as 0xXX; nor where
    constants stand inside, of which it writes but the first numbers.
    """
    return "0x" not in text and not jax.config.values["jax_use_simplified_jaxpr_constants"]


def _digest(text: str, constants: Sequence[Any]) -> str:
    digest = hashlib.sha256(text.encode())
    for constant in constants:
        digest.update(f"{constant.dtype}{constant.shape}".encode())
        if jnp.issubdtype(constant.dtype, jax.dtypes.prng_key):
            constant = jax.random.key_data(constant)
        digest.update(np.ascontiguousarray(constant).tobytes())
    return digest.hexdigest()
