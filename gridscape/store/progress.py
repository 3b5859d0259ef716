"""How far a run is, as it tells in its folder, and whether that run still lives.

``progress.json`` is plain data: the process that trains (number, host, when it began), the words
that began it, ``state`` (training, ended or interrupted), ``told`` (seconds since 1970), trials to
train, stored before and ended, seconds left, and the runs in training, each with its trials, its
updates and the points of its curves so far. A reader believes none of it: the file may be of
anybody.
"""

import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gridscape.store.blobs import DamagedError, file_status

NAME = "progress.json"
MOST_BYTES = 8 * 2**20
SILENT_SECONDS = 120  # of a process of another machine, after which it counts as dead


def read_progress(directory: Path) -> dict[str, Any]:
    """What a run told last in a folder; nothing where it cannot be read."""
    path = directory / NAME
    try:
        if file_status(path).st_size > MOST_BYTES:
            return {}
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError, DamagedError):
        return {}
    return content if isinstance(content, dict) else {}


def lives(progress: Mapping[str, Any]) -> bool:
    """Whether the process that told this still is: by its number, elsewhere by its last word."""
    process, told = progress.get("process"), progress.get("told")
    if progress.get("host") != socket.gethostname():
        return isinstance(told, int | float) and time.time() - told < SILENT_SECONDS
    if not isinstance(process, int) or not 0 < process < 2**31:
        return False
    if progress.get("born") is not None:
        return born(process) == progress["born"]
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def born(process: int) -> int | None:
    """When a process of this machine began, in ticks: another one of its number began later.

    None where there is none, and where the system does not say.
    """
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(rest[18])
