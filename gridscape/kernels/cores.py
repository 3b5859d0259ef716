"""What there is of this machine: cores to train on, and address space for JAX and its threads."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gridscape.errors import OutOfMemoryError, UsageError, short
from gridscape.kernels import groups

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

VARIABLE = "GRIDSCAPE_CORES"

# Address space that JAX takes at its start, whatever it then computes: libraries, and a stack and
# an arena of the allocator for each of its threads, of which there are some for every core. With
# less it aborts before it has compiled anything; what a study takes comes on top.
LEAST_ADDRESSES = 1700 * 2**20
ADDRESSES_PER_CORE = 170 * 2**20


def require_addresses() -> None:
    """Raise OutOfMemoryError where a limit (ulimit -v) is too low for JAX, which would abort.

    Not where JAX runs already.
    """
    limit = address_limit()
    least = LEAST_ADDRESSES + ADDRESSES_PER_CORE * n_cores()
    if limit is not None and limit < least and not _jax_runs():
        raise OutOfMemoryError(
            "too little address space for JAX",
            where="ulimit -v",
            expected=f"at least {-(-least // 1024):,} KB for {n_cores()} cores",
            found=f"{limit // 1024:,}",
            hint="raise the limit, or use fewer cores (taskset)",
        )


def _jax_runs() -> bool:
    """Whether JAX has devices already: then it refuses another number of them."""
    if "jax" not in sys.modules:
        return False
    import jax

    name = "jax_num_cpu_devices"
    number = jax.config.values[name]
    try:
        jax.config.update(name, 2 if number == 1 else 1)
    except RuntimeError:
        return True
    jax.config.update(name, number)
    return False


def address_limit() -> int | None:
    """The limit on the address space of this process (ulimit -v) in bytes; None where none is."""
    if resource is None:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


class Cores(NamedTuple):
    """How many cores this process may use, and what says so."""

    number: int
    said_by: str


def n_cores() -> int:
    """Cores that this process may use."""
    return cores().number


def cores() -> Cores:
    """The least of what the machine, affinity, control groups and GRIDSCAPE_CORES allow.

    Raises UsageError where GRIDSCAPE_CORES is no whole number from 1.
    """
    limits = [Cores(os.cpu_count() or 1, "machine"), _affinity(), _quota(), _asked()]
    return min((limit for limit in limits if limit is not None), key=lambda limit: limit.number)


def _affinity() -> Cores | None:
    if not hasattr(os, "sched_getaffinity"):  # macOS, Windows
        return None
    return Cores(len(os.sched_getaffinity(0)), "affinity")


@cache  # asked for often, and read from files
def _quota(root: Path = groups.ROOT, own: Path = groups.OWN) -> Cores | None:
    """Whole cores within the time that control groups allow: rounded down, but at least one."""
    shares = [s for folder in groups.folders("cpu", root, own) if (s := _share(folder)) is not None]
    return Cores(max(1, int(min(shares))), "control group") if shares else None


def _share(folder: Path) -> float | None:
    """The time of cores that a control group allows, in cores; None where it has no limit."""
    try:
        if (both := folder / "cpu.max").exists():  # version 2
            quota, period = both.read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text()
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # not shown to containers, or no limit
        return None


def _asked() -> Cores | None:
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text[:9]) >= 1):
        expected = "a whole number from 1"
        raise UsageError("out of range", where=VARIABLE, expected=expected, found=short(text))
    return Cores(int(text[:9]), VARIABLE)
