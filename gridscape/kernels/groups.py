"""The control groups of this process (container, cluster job): folders of limits, on Linux only."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def folders(controller: str, root: Path = ROOT, own: Path = OWN) -> Iterator[Path]:
    """The folders of the process's group, of version 2 or 1, and of all groups that hold it."""
    try:
        lines = own.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if controllers and controller not in names:
            continue
        # Version 1 has a folder for controllers that go together, and mostly a link for each.
        for place in dict.fromkeys([controllers, controller]) if controllers else [""]:
            group = PurePosixPath(path)
            yield from (root / place / str(g).lstrip("/") for g in (group, *group.parents))
