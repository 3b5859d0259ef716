"""What the command line sets before JAX is first used. Nothing here imports JAX by itself."""

import gc
import threading
from collections import defaultdict
from collections.abc import Callable
from functools import cache

from gridscape.grid.many import many_records
from gridscape.kernels.cores import require_addresses


def prepare_jax(computes: bool = True) -> Callable[[], float]:
    """Keep compiled programs from run to run; returns what tells the compile time.

    That is a function that gives the seconds for which compiling has kept this thread so far, the
    reading of kept programs included. Raises OutOfMemoryError, where JAX is to compute, for a limit
    on the address space under which it would abort.
    """
    if computes:
        require_addresses()  # before JAX, which takes most of them, is even imported

    with many_records():  # JAX, and what imports it
        from gridscape.engine.naming import own_process

    own_process()
    _collect_rarely()
    return _compile_clock()


def _collect_rarely() -> None:
    """Let Python look for cycles less often, and never among what is imported.

    Tracing makes millions of objects that end without it: a twelfth of a short study was spent
    looking through them. This process is the command line's own.
    """
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def _compile_clock() -> Callable[[], float]:
    """The seconds for which compiling keeps this thread, or those that train, from now on."""
    from gridscape.engine.compilers import TRAINING
    from gridscape.kernels.cores import n_cores

    seconds, here = _compile_seconds(), threading.current_thread().name

    def kept() -> float:
        training = [s for name, s in list(seconds.items()) if name.startswith(TRAINING)]
        return seconds[here] + sum(training) / n_cores()

    begin = kept()
    return lambda: kept() - begin


@cache  # a listener of JAX's stays for good: one is enough
def _compile_seconds() -> dict[str, float]:
    """The seconds for which compiling has kept the threads of each name since the first call."""
    from jax import monitoring

    from gridscape.engine.compilers import BACKEND_COMPILE, WAITED

    seconds: dict[str, float] = defaultdict(float)

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event in (BACKEND_COMPILE, WAITED):
            seconds[threading.current_thread().name] += duration_secs

    monitoring.register_event_duration_secs_listener(listen)
    return seconds
