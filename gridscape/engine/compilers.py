"""Functions compiled in threads while other programs run; equal functions only once."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import jax

from gridscape.base.foreign import of_others
from gridscape.engine.kept import compiled, kept_programs, tells_all
from gridscape.engine.placing import Place, made_with, moved
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
Compile = Callable[[], tuple[Compiled, bool]]  # and whether what it gives can be kept
ByPlace = dict[Place, Future[Compiled]]


class Compilers:
    """One thread a core, for the programs of one machine.

    The cohorts of a study often differ only in their data, or in a part that one of their functions
    does not read. Functions known to be the same are traced and compiled once. The others are
    compared by their lowered text: XLA sees nothing else, and JAX's own cache is keyed by it. The
    text of the jaxpr would not do: it omits constants of inner functions. What is compiled for one
    device is not compiled again for another one, but moved.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(n_cores(), "gridscape-compile")
        self._lock = threading.Lock()
        self._asked: dict[Any, ByPlace] = {}
        self._shared: dict[Any, ByPlace] = {}

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
        begin = partial(self._begin, function, shapes, donate, light, same)
        if same is None:
            return begin()
        place, unplaced = _place(shapes), jax.tree.map(_unplaced, shapes)
        key = key_of((same, unplaced, donate, light, in_use(), target()))
        with self._lock:
            known = self._asked.setdefault(key, {})
            there = known.get(place)
            if there is None or _failed(there):  # memory may be there when it is asked for again
                elsewhere = _elsewhere(known, place)
                there = begin() if elsewhere is None else self._moved(elsewhere, place, begin)
                known[place] = there
            return there

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
        place = _place(shapes)
        name = kept.of_parts(*parts) if kept and parts else None
        if kept and name and (known := kept.find(name, place=place)):
            wanted.set_result(known)
            return
        with float32_products(), of_others():
            lowered = jitted.lower(*shapes)
        text = lowered.as_text()
        is_light = light or calls_layers(text)
        options = _options(is_light)

        def compile() -> tuple[Compiled, bool]:
            program, is_fresh = compiled(partial(lowered.compile, options))
            return made_with(program, options) if is_fresh else program, is_fresh

        if not tells_all(text, len(jax.tree.leaves(shapes))):
            wanted.set_result(compile()[0])
            return
        # The text does not hold the pytrees of arguments and results.
        trees = lowered.in_tree, lowered.out_tree
        key = (hashlib.sha256(text.encode()).digest(), *trees, is_light)
        if kept is None:
            self._share(key, place, compile, wanted)
            return
        same = kept.of_text(text, options)
        if name:
            kept.point(name, same)
        if known := kept.find(same, trees, place):
            wanted.set_result(known)
        elif self._share(key, place, compile, wanted):
            kept.keep(same, wanted.result())

    def _share(self, key: Any, place: Place, compile: Compile, wanted: Future[Compiled]) -> bool:
        """Whether it was compiled by this thread, and can be kept."""
        with self._lock:
            known = self._shared.setdefault(key, {})
            if place not in known or _failed(known[place]):
                known[place] = wanted
            there, elsewhere = known[place], _elsewhere(known, place)
        if there is not wanted:  # compiled, or being compiled: this thread need not wait for it
            there.add_done_callback(partial(_pass_on, wanted))
            return False
        if elsewhere is not None:
            again = partial(_compiled, compile)
            self._moved(elsewhere, place, again).add_done_callback(partial(_pass_on, wanted))
            return False
        try:
            program, is_fresh = compile()
        except BaseException:
            with self._lock:  # memory may be there when it is asked for again
                del known[place]
            raise
        wanted.set_result(program)
        return is_fresh

    def _moved(
        self, elsewhere: Future[Compiled], place: Place, otherwise: Callable[[], Future[Compiled]]
    ) -> Future[Compiled]:
        """A program of another device, when it is there; ``otherwise`` where it cannot be moved."""
        wanted: Future[Compiled] = Future()

        def move() -> None:
            try:
                wanted.set_result(moved(elsewhere.result(), place[0]))
            except Exception:  # of what belongs to the process, or of another version of JAX
                otherwise().add_done_callback(partial(_pass_on, wanted))

        def when_there(_: Future[Compiled]) -> None:
            if _failed(elsewhere):
                _pass_on_trouble(wanted, elsewhere)
                return
            try:
                self._threads.submit(move).add_done_callback(partial(_pass_on_trouble, wanted))
            except RuntimeError:  # closed meanwhile
                wanted.cancel()

        elsewhere.add_done_callback(when_there)
        return wanted


def _options(light: bool) -> dict[str, Any]:
    on_cpu = jax.default_backend() == "cpu"
    return (ON_ONE_CORE if on_cpu else {}) | (LIGHTLY if light else {})


def _place(shapes: Sequence[Any]) -> Place:
    """The devices that arguments of these shapes lie on; () where that is not told."""
    told = (getattr(shape, "sharding", None) for shape in jax.tree.leaves(shapes))
    found = next((sharding.device_set for sharding in told if sharding is not None), ())
    return tuple(sorted(found, key=lambda device: device.id))


def _unplaced(shape: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape.shape, shape.dtype, weak_type=shape.weak_type)


def _elsewhere(known: ByPlace, place: Place) -> Future[Compiled] | None:
    """The same program for one other device."""
    if len(place) != 1:
        return None
    others = (f for p, f in known.items() if len(p) == 1 and p != place and not _failed(f))
    return next(others, None)


def _compiled(compile: Compile) -> Future[Compiled]:
    """Compiled by this thread."""
    wanted: Future[Compiled] = Future()
    try:
        wanted.set_result(compile()[0])
    except Exception as error:
        wanted.set_exception(error)
    return wanted


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
