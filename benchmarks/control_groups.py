"""Control groups of this machine, which may hold so much memory; of version 1 or 2."""

import functools
import os
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from gridscape.kernels import groups

ENDING_SECONDS = 60  # in which what a run has started must have ended after it
LIMITS = ("memory.max", "memory.limit_in_bytes")


class ControlGroup:
    """A new group; raises PermissionError where none may be made."""

    def __init__(self, limit_bytes: int) -> None:
        for parent in groups.folders("memory"):
            with suppress(OSError):
                self.folder = Path(tempfile.mkdtemp(prefix="gridscape-", dir=parent))
                if self._limit(limit_bytes):
                    return
                self.folder.rmdir()
        raise PermissionError("no control group may be made here")

    def _limit(self, limit_bytes: int) -> bool:
        """Whether it has a limit now: a group of another hierarchy has none."""
        found = [self.folder / name for name in LIMITS if (self.folder / name).exists()]
        try:
            for file in found:
                file.write_text(str(limit_bytes))
        except OSError:
            return False
        return bool(found)

    def enter(self, process: int | None = None) -> None:
        """Put a process here, by default this one, and with it those that it will start."""
        (self.folder / "cgroup.procs").write_text(str(process or os.getpid()))

    def remove(self) -> bool:
        """Wait for the end of the processes; False, with the group left, where one does not end."""
        end = time.monotonic() + ENDING_SECONDS
        while (self.folder / "cgroup.procs").read_text() and time.monotonic() < end:
            time.sleep(0.05)
        with suppress(OSError):
            self.folder.rmdir()
        return not self.folder.exists()


@functools.cache
def groups_are_allowed() -> bool:
    """Whether this process may make any, and put a process there."""
    try:
        group = ControlGroup(2**30)
    except PermissionError:
        return False
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            group.enter(process.pid)
        except OSError:
            return False
        finally:
            process.kill()
            process.wait()
            group.remove()
    return True
