"""What JAX takes of this machine: a device for each core, and address space for its threads."""

import os
import resource
import warnings
from functools import cache

from gridscape.errors import OutOfMemoryError

# Address space that JAX takes at its start, whatever it then computes: libraries, and a stack and
# an arena of the allocator for each of its threads, of which there are some for every core. With
# less it aborts before it has compiled anything; what a study takes comes on top.
LEAST_ADDRESSES = 1700 * 2**20
ADDRESSES_PER_CORE = 170 * 2**20


def require_addresses() -> None:
    """Raise OutOfMemoryError where a limit (ulimit -v) is too low for JAX, which would abort."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    least = LEAST_ADDRESSES + ADDRESSES_PER_CORE * n_cores()
    if limit != resource.RLIM_INFINITY and limit < least:
        raise OutOfMemoryError(
            "too little address space for JAX",
            where="ulimit -v",
            expected=f"at least {-(-least // 1024):,} KB for {n_cores()} cores",
            found=f"{limit // 1024:,}",
            hint="raise the limit, or use fewer cores (taskset)",
        )


def n_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_all_cores() -> None:
    """Give the CPU backend one device a core; only possible before JAX is first used.

    Where JAX runs already and nobody chose its devices, a warning tells of the cores without one.
    Raises OutOfMemoryError where JAX has not begun and has too little address space to begin.
    """
    import jax  # here: who asks only for the cores needs none

    try:
        jax.config.update("jax_num_cpu_devices", n_cores())
    except RuntimeError:
        _tell_idle_cores()
        return
    require_addresses()


@cache
def _tell_idle_cores() -> None:
    import jax

    chosen = jax.config.values["jax_num_cpu_devices"] != -1
    chosen = chosen or "host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    n_devices = jax.local_device_count()
    if not chosen and jax.default_backend() == "cpu" and n_devices < n_cores():
        warnings.warn(
            f"JAX was used before Gridscape could set it up: networks train on {n_devices} of"
            f" {n_cores()} cores; to use all, begin with"
            f" jax.config.update('jax_num_cpu_devices', {n_cores()})",
            stacklevel=3,
        )
