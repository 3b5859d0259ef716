"""Where people's files are, and whether they can be read: before any of them is opened."""

import errno
import os
import select
import stat
import time
from collections.abc import Sequence
from pathlib import Path

from gridscape.errors import DataError, DataMissingError

READS_AT_ONCE = 0.5  # of the memory that is available: what a file may take
PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".rds", ".rdata")

MOST_TEXT_BYTES = 2**26  # of a file that people write
PIPE_SECONDS = 10.0  # in which something must come out of a pipe
ODD = "neither a file nor a pipe that is written to"


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
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise DataError("a folder, and no file", where=path)
        if not stat.S_ISREG(found.st_mode):
            hint = "write what comes out of it to a file first"
            raise DataError("a pipe or a device, and no file", where=path, hint=hint)
        size = found.st_size
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


def content_of(path: str | Path) -> bytes:
    """All that a regular file holds; raises OSError, at once for a pipe or a device."""
    with open(path, "rb", buffering=0, opener=_waiting_for_nobody) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "a pipe or a device, and no file")
        return file.readall()


def text_of(path: Path) -> str:
    """The text that people wrote into a file, or that comes out of a pipe.

    Raises OSError, also for a device, a pipe that nobody writes to, far too long a text and what is
    no text.
    """
    with open(path, "rb", buffering=0, opener=_waiting_for_nobody) as file:
        mode = os.fstat(file.fileno()).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise OSError(errno.EINVAL, ODD)
        parts, deadline = [b""], time.monotonic() + PIPE_SECONDS
        while sum(map(len, parts)) <= MOST_TEXT_BYTES:
            if stat.S_ISFIFO(mode) and not _has_come(file.fileno(), deadline - time.monotonic()):
                raise OSError(errno.ETIMEDOUT, f"nothing came out of it for {PIPE_SECONDS:.0f} s")
            parts.append(file.read(2**16) or b"")
            if not parts[-1]:
                return _decoded(b"".join(parts))
    raise OSError(errno.EFBIG, f"larger than {MOST_TEXT_BYTES // 2**20} MB")


def _decoded(content: bytes) -> str:
    """Bytes as text, without the mark that some editors put before it."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"{content[error.start]:#04x}"
        raise OSError(errno.EILSEQ, f"no text in UTF-8: byte {byte} at {error.start}") from error


def _waiting_for_nobody(path: str, flags: int) -> int:
    """Open a file at once, also where it is a pipe without a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # no such flag on Windows


def _has_come(descriptor: int, seconds: float) -> bool:
    """Whether a pipe has something to read, or has ended, within so many seconds."""
    return bool(select.select([descriptor], [], [], max(seconds, 0))[0])


def available_bytes() -> int:
    """The memory that this machine can give without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return int(found["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # not Linux
        return all_bytes()


def all_bytes() -> int:
    """All memory of this machine."""
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2**33  # Windows does not say it to Python: 8 GB, as most machines have at least
