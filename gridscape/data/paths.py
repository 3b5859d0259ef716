"""Where people's files are, and whether they can be read: before any of them is opened."""

import os
from collections.abc import Sequence
from pathlib import Path

from gridscape.errors import DataError, DataMissingError

READS_AT_ONCE = 0.5  # of the memory that is available: what a file may take
PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".rds", ".rdata")


def located(
    path: str | Path,
    folders: Sequence[Path] = (),
    *,
    kind: str = "file or folder",
    hint: str = "the option path of the task says where the data is",
) -> Path:
    """The path as given, or below one of these folders; raises DataMissingError."""
    given = Path(path).expanduser()
    for candidate in (given, *(folder / given for folder in folders)):
        if os.path.exists(candidate):  # False, not an error, where a folder may not be entered
            return candidate
    raise DataMissingError(
        f"no such {kind}",
        where=given,
        expected=f"as given or below {folders[0]}" if folders else f"in {Path.cwd()}",
        hint=hint,
    )


def readable(path: Path) -> Path:
    """A file that can be read at once; raises DataError for a folder, a huge or an empty one."""
    if path.suffix.lower() in PICKLES:
        raise DataError(
            "a file of this kind can run code when it is read, so it is not",
            where=path,
            found=path.suffix,
            hint="save it as .csv, .parquet, .npz or .h5",
        )
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise DataError("a folder, and no file", where=path)
        with path.open("rb"):
            pass
    except OSError as error:
        raise DataError("cannot be read", where=path, found=error.strerror) from error
    if not size:
        raise DataError("an empty file", where=path)
    if size > READS_AT_ONCE * available_bytes():
        raise DataError(
            "larger than the memory of this machine can hold beside what is made of it",
            where=path,
            expected=f"at most {READS_AT_ONCE * available_bytes() / 1e9:.1f} GB",
            found=f"{size / 1e9:.1f} GB",
            hint="take a part of it: fewer rows, or fewer columns",
        )
    return path


def available_bytes() -> int:
    """The memory that this machine can give without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return int(found["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
