"""How a file goes where a user wants it: also into a device, a pipe, or through a link."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from gridscape.errors import GridscapeError
from gridscape.store.blobs import temporary_of

SYSTEM = ("/dev", "/proc")  # where names stand for devices and open files


def write_to(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` fill a file that then takes the place of ``path`` as a whole.

    Where links lead to is written, and they stay. What is no regular file, or stands for an open
    one, is opened and written as it is. Raises OSError, and GridscapeError for a folder or a link
    to itself, or where there is no such folder.
    """
    if path.is_dir():
        raise GridscapeError("is a folder", where=path, expected="the name of a file")
    if is_stream(path):
        _pour(path, write)
        return
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise GridscapeError("is a link to itself", where=path)
    if not target.parent.is_dir():
        raise GridscapeError("no such folder", where=target.parent, hint="make it first")
    part = temporary_of(target)
    try:
        write(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_folder_to(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` fill a new folder that then gets the name ``path`` as a whole.

    Raises OSError, and GridscapeError where something is there that is no empty folder, or where
    there is no folder to make it in.
    """
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        hint = "name another one with --output, or remove it"
        raise GridscapeError("is there already", where=path, expected="a new folder", hint=hint)
    if not path.absolute().parent.is_dir():
        raise GridscapeError("no such folder", where=path.absolute().parent, hint="make it first")
    with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".") as place:
        whole = Path(place) / path.name
        whole.mkdir()
        write(whole)
        whole.replace(path)


def is_stream(path: Path) -> bool:
    """Whether a file is there that must be written in place: a device, a pipe, an open file."""
    if not path.exists():
        return False
    folder = Path(os.path.realpath(path.parent))
    of_system = any(folder.is_relative_to(place) for place in SYSTEM)
    return of_system or not path.is_file() or is_standard_output(path)


def is_standard_output(path: Path) -> bool:
    """Whether this is where standard output goes."""
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:  # there is no such file, or no standard output
        return False


def _pour(path: Path, write: Callable[[Path], object]) -> None:
    """Some formats are written back and forth, which a pipe does not allow: a copy is poured."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        write(whole)
        with whole.open("rb") as source, path.open("wb") as sink:
            shutil.copyfileobj(source, sink)
