"""The cores of this machine, one JAX device each."""

import os

import jax


def n_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_all_cores() -> None:
    """Give the CPU backend one device a core; only possible before JAX is first used."""
    try:
        jax.config.update("jax_num_cpu_devices", n_cores())
    except RuntimeError:
        return  # JAX runs already: the devices that the caller chose are used
