"""The cores of this machine, one JAX device each."""

import os
import warnings
from functools import cache

import jax


def n_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_all_cores() -> None:
    """Give the CPU backend one device a core; only possible before JAX is first used.

    Where JAX runs already and nobody chose its devices, a warning tells of the cores without one.
    """
    try:
        jax.config.update("jax_num_cpu_devices", n_cores())
    except RuntimeError:
        _tell_idle_cores()


@cache
def _tell_idle_cores() -> None:
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
