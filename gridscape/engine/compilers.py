"""Functions compiled in threads, while other programs run; those that are the same, only once."""

import hashlib
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import jax

from gridscape.identity.memo import key_of
from gridscape.kernels.cores import n_cores
from gridscape.kernels.library import as_here, calls_layers, in_use
from gridscape.models.precision import float32_products

# For what random numbers and native layers take all the time of: optimizing more would about double
# the time to compile, and nothing would run faster.
LIGHTLY: dict[str, Any] = {"xla_backend_optimization_level": 1}

Compiled = jax.stages.Compiled


class Compilers:
    """One thread a core, for the programs of one machine.

    The cohorts of a study often differ in their data only, or in a part that one of their functions
    does not read. What is known to be the same function is traced and compiled once, and shared;
    of the others, what JAX lowers to the same text is compiled once. That text is all that XLA
    gets, as the key of JAX's own cache is made of it; what JAX writes when it has only traced
    leaves out constants of inner functions, and more.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(n_cores(), "gridscape-compile")
        self._lock = threading.Lock()
        self._asked: dict[Any, Future[Compiled]] = {}
        self._shared: dict[Any, Future[Compiled]] = {}

    def submit(
        self,
        function: Callable[..., Any],
        shapes: Sequence[Any],
        donate: tuple[int, ...] = (),
        light: bool = False,
        same: Any = None,
    ) -> Future[Compiled]:
        """A function, compiled for arguments of these shapes (ShapeDtypeStruct).

        donate: arguments whose memory the results may take. light: optimized as little as LIGHTLY
        says; what calls native layers always is. same: functions with the same parts here
        (key_of) are one function; where it is None, what they are lowered to tells them apart. Who
        waits for the same function is told the same trouble; who asks later has it tried again.
        """
        if same is None:
            return self._begin(function, shapes, donate, light)
        key = key_of((same, shapes, donate, light, in_use()))
        with self._lock:
            known = self._asked.get(key)
            if known is None or _failed(known):  # memory may be there when it is asked for again
                known = self._asked[key] = self._begin(function, shapes, donate, light)
            return known

    def _begin(
        self,
        function: Callable[..., Any],
        shapes: Sequence[Any],
        donate: tuple[int, ...],
        light: bool,
    ) -> Future[Compiled]:
        # An argument that is not used stays one: which are left out, the text does not tell.
        jitted = jax.jit(function, donate_argnums=donate, keep_unused=True)
        wanted: Future[Compiled] = Future()
        work = self._threads.submit(as_here(partial(self._compile, jitted, shapes, light, wanted)))
        work.add_done_callback(partial(_pass_on_trouble, wanted))
        return wanted

    def close(self) -> None:
        """Compile no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _compile(
        self, jitted: Any, shapes: Sequence[Any], light: bool, wanted: Future[Compiled]
    ) -> None:
        with float32_products():
            lowered = jitted.lower(*shapes)
        text = lowered.as_text()
        options = LIGHTLY if light or calls_layers(text) else {}
        if not _tells_all(text, len(jax.tree.leaves(shapes))):
            wanted.set_result(lowered.compile(options))
            return
        # The text does not name the parts of what goes in and out.
        digest = hashlib.sha256(text.encode()).digest()
        key = (digest, lowered.in_tree, lowered.out_tree, bool(options))
        self._share(key, partial(lowered.compile, options), wanted)

    def _share(self, key: Any, compile: Callable[[], Compiled], wanted: Future[Compiled]) -> None:
        with self._lock:
            known = self._shared.setdefault(key, wanted)
        if known is not wanted:  # compiled, or being compiled: this thread need not wait for it
            known.add_done_callback(partial(_pass_on, wanted))
            return
        try:
            compiled = compile()
        except BaseException:
            with self._lock:  # memory may be there when it is asked for again
                del self._shared[key]
            raise
        wanted.set_result(compiled)


def _failed(program: Future[Compiled]) -> bool:
    return program.done() and (program.cancelled() or program.exception() is not None)


def _pass_on(to: Future[Compiled], of: Future[Compiled]) -> None:
    _pass_on_trouble(to, of)
    if not to.done():
        to.set_result(of.result())


def _pass_on_trouble(to: Future[Compiled], of: Future[Any]) -> None:
    if of.cancelled():
        to.cancel()
    elif (error := of.exception()) is not None:
        to.set_exception(error)


def _tells_all(text: str, n_arguments: int) -> bool:
    """Whether programs of this text are the same.

    Not where they call back Python functions, nor where constants have become arguments.
    """
    found = re.search(r"func\.func public @main\((.*)\) ->", text)
    arguments = re.findall(r"%arg\d+:", found[1]) if found else []
    return "callback" not in text and len(arguments) == n_arguments


BACKEND_COMPILE = "/jax/core/compile/backend_compile_duration"


# Seconds in which nothing could be done but wait for a program that other threads compile.
WAITED = "/gridscape/waited_for_program"
