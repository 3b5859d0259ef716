"""Functions compiled in threads while other programs run; equal functions only once."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import jax

from gridscape.base.foreign import of_others
from gridscape.engine.kept import compiled, kept_programs
from gridscape.engine.naming import of_parts, of_text, tells_all
from gridscape.identity.memo import key_of
from gridscape.kernels.cores import n_cores
from gridscape.kernels.library import as_here, calls_layers, in_use, target
from gridscape.models.precision import float32_products

# For programs dominated by random numbers or native calls: more optimization by XLA would about
# double the time to compile and gain nothing. Emitting fusions by MLIR, which later versions always
# do, doubles it as well; but plain recurrent loops take half as long again without. A module of
# their code for each thread costs more than it saves, where several programs are compiled at once.
LIGHTLY: dict[str, Any] = {
    "xla_backend_optimization_level": 1,
    "xla_cpu_parallel_codegen_split_count": 1,
}
if jax.__version_info__ < (0, 11):
    LIGHTLY["xla_cpu_use_fusion_emitters"] = False

# Each core trains trials of its own. XLA would cut single operations among all cores, where a part
# waits behind the layers of another trial: a third of an evaluation of small perceptrons.
ON_ONE_CORE: dict[str, Any] = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}

Compiled = jax.stages.Compiled


class Compilers:
    """One thread a core, for the programs of one machine.

    The cohorts of a study often differ only in their data, or in a part that one of their functions
    does not read. Functions known to be the same are traced and compiled once. The others are
    compared by their lowered text: XLA sees nothing else, and JAX's own cache is keyed by it. The
    text of the jaxpr would not do: it omits constants of inner functions.
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

        donate: arguments whose memory the results may take. light: compile with LIGHTLY, as every
        program that calls native layers is. same: parts that identify the function (by key_of);
        None compares the lowered text only. Concurrent requests share one result or error; a later
        request retries a failed compile.
        """
        if same is None:
            return self._begin(function, shapes, donate, light, None)
        key = key_of((same, shapes, donate, light, in_use(), target()))
        with self._lock:
            known = self._asked.get(key)
            if known is None or _failed(known):  # memory may be there when it is asked for again
                known = self._asked[key] = self._begin(function, shapes, donate, light, same)
            return known

    def _begin(
        self,
        function: Callable[..., Any],
        shapes: Sequence[Any],
        donate: tuple[int, ...],
        light: bool,
        same: Any,
    ) -> Future[Compiled]:
        # Unused arguments are kept: the lowered text does not say which ones were dropped.
        jitted = jax.jit(function, donate_argnums=donate, keep_unused=True)
        wanted: Future[Compiled] = Future()
        parts = None if same is None else (same, shapes, donate, light)
        compile = partial(self._compile, jitted, shapes, light, parts, wanted)
        work = self._threads.submit(as_here(compile))
        work.add_done_callback(partial(_pass_on_trouble, wanted))
        return wanted

    def close(self) -> None:
        """Compile no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _compile(
        self,
        jitted: Any,
        shapes: Sequence[Any],
        light: bool,
        parts: Any,
        wanted: Future[Compiled],
    ) -> None:
        kept = kept_programs()
        name = of_parts(*parts) if kept and parts else None
        if kept and name and (known := kept.find(name)):
            wanted.set_result(known)
            return
        with float32_products(), of_others():
            lowered = jitted.lower(*shapes)
        text = lowered.as_text()
        is_light = light or calls_layers(text)
        options = _options(is_light)
        compile = partial(lowered.compile, options)
        if not tells_all(text, len(jax.tree.leaves(shapes))):
            wanted.set_result(compile())
            return
        # The text does not hold the pytrees of arguments and results.
        trees = lowered.in_tree, lowered.out_tree
        key = (hashlib.sha256(text.encode()).digest(), *trees, is_light)
        if kept is None:
            self._share(key, compile, wanted)
            return
        same = of_text(text, options)
        if name:
            kept.point(name, same)
        if known := kept.find(same, trees):
            wanted.set_result(known)
        elif self._share(key, compile, wanted):
            kept.keep(same, wanted.result())

    def _share(self, key: Any, compile: Callable[[], Compiled], wanted: Future[Compiled]) -> bool:
        """Whether it was compiled by this thread, and can be kept."""
        with self._lock:
            known = self._shared.setdefault(key, wanted)
        if known is not wanted:  # compiled, or being compiled: this thread need not wait for it
            known.add_done_callback(partial(_pass_on, wanted))
            return False
        try:
            program, is_fresh = compiled(compile)
        except BaseException:
            with self._lock:  # memory may be there when it is asked for again
                del self._shared[key]
            raise
        wanted.set_result(program)
        return is_fresh


def _options(light: bool) -> dict[str, Any]:
    on_cpu = jax.default_backend() == "cpu"
    return (ON_ONE_CORE if on_cpu else {}) | (LIGHTLY if light else {})


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


# Events that JAX tells.
BACKEND_COMPILE = "/jax/core/compile/backend_compile_duration"

# Seconds in which this thread only waited for a program that other threads compile.
WAITED = "/gridscape/waited_for_program"

# The name of threads that train: there is one for each core, or none.
TRAINING = "gridscape-train"
