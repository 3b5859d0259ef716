"""Memory that is free on this machine: of the device, or of system, process and group."""

import os
import re
from pathlib import Path

from gridscape.data.paths import all_bytes
from gridscape.engine.machine import Machine
from gridscape.kernels import groups
from gridscape.kernels.cores import address_limit

_MEMINFO = re.compile(r"^(\w+): +(\d+) kB$", re.MULTILINE)


# A limit that is none.
UNLIMITED = 2**62


def free_memory_bytes(machine: Machine) -> int:
    """Memory that programs may still take: of the device, or of this machine and process."""
    stats = machine.devices[0].memory_stats()
    if stats and "bytes_limit" in stats:
        free = stats["bytes_limit"] - stats.get("bytes_in_use", 0)
        return int(free) * len(machine.devices)
    return min(_available_bytes(), _process_bytes(), _group_bytes())


def _available_bytes(path: Path = Path("/proc/meminfo")) -> int:
    """What the system can give without swapping; all that the machine has where it does not say."""
    try:
        text = path.read_text()
    except OSError:  # not Linux
        text = ""
    found = {name: int(kib) * 1024 for name, kib in _MEMINFO.findall(text)}
    whole = all_bytes()
    # Old and emulated kernels do not say what is available.
    return found.get("MemAvailable", found.get("MemFree", whole) + found.get("Cached", 0))


def _process_bytes() -> int:
    """What the limit on this process's address space (ulimit -v) leaves."""
    limit = address_limit()
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not Linux
        limit = None
    return UNLIMITED if limit is None else max(limit - pages * os.sysconf("SC_PAGE_SIZE"), 0)


def _group_bytes(root: Path = groups.ROOT, own: Path = groups.OWN) -> int:
    """What the limits on this process's control groups (container, cluster job) leave."""
    return min(
        (_left_bytes(folder) for folder in groups.folders("memory", root, own)), default=UNLIMITED
    )


def _left_bytes(folder: Path) -> int:
    """What the limit of one control group leaves."""
    for limit_file, used_file, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            limit = (folder / limit_file).read_text().strip()
            used = int((folder / used_file).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except OSError:  # of the other version, without such a limit, or not shown to containers
            continue
        # Cached files count as used there, but make room when it is needed.
        used -= int(stat.get(cache, 0))
        return UNLIMITED if limit == "max" else max(int(limit) - used, 0)
    return UNLIMITED
