"""Files of named arrays that are whole or not there: renamed into place, checked when read.

A blob is a safetensors file whose metadata holds a text (JSON) and a checksum over the text and
every array, so that a file says by itself whether it is what was written.
"""

import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gridscape.errors import StoreError


class DamagedError(StoreError):
    """A file is missing, torn or altered. Callers of the store see a StoreError."""


class Blob(NamedTuple):
    """What one file holds."""

    text: str
    arrays: dict[str, np.ndarray]
    checksum: str


class Content(NamedTuple):
    """What a file is to hold."""

    text: str
    arrays: Mapping[str, np.ndarray]


def write_blobs(contents: Mapping[Path, Content]) -> list[str]:
    """Write text and arrays to each path as ``write_all`` does; returns the checksums.

    Raises OSError when the file system refuses, StoreError for an array that has no place in a
    file (of objects, of text).
    """
    packed = {path: _packed(path, content) for path, content in contents.items()}
    write_all({path: data for path, (data, _) in packed.items()})
    return [checksum for _, checksum in packed.values()]


def _packed(path: Path, content: Content) -> tuple[bytes, str]:
    """The bytes of a blob and its checksum."""
    text, arrays = content
    # safetensors reads the memory as it lies, so it must lie in C order. (ascontiguousarray would
    # turn a number into an array of one.)
    dense = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    try:
        checksum = _checksum(text, dense)
        return save(dense, metadata={"text": text, "checksum": checksum}), checksum
    except (SafetensorError, TypeError) as error:
        raise StoreError(f"an array cannot be stored: {error}", where=path) from error


def read_blob(path: Path) -> Blob:
    """The text and arrays of ``path``; raises DamagedError unless they are what was written."""
    try:
        file_status(path)
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise DamagedError("is missing", where=path) from error
    except SafetensorError as error:
        raise DamagedError(f"is torn or altered: {error}", where=path) from error
    text, checksum = metadata.get("text", ""), metadata.get("checksum", "")
    if checksum != _checksum(text, arrays):
        raise DamagedError("is altered: its checksum does not fit", where=path)
    return Blob(text, arrays, checksum)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one."""
    write_all({path: data})


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write files, each of which a crash at any moment leaves as it was or as it shall be."""
    temporaries: dict[Path, Path] = {}
    try:
        for path, data in contents.items():
            temporary = temporary_of(path)
            temporaries[temporary] = path
            temporary.write_bytes(data)
        publish(temporaries)
    except OSError:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)  # a full disk needs the room
        raise


def publish(names: Mapping[Path, Path]) -> None:
    """Give finished files their names: the content is on the disk before, the name after.

    For many it takes far less time each than for one: most of it is waiting for the disk.
    """
    for temporary in names:
        _sync(temporary)
    for temporary, path in names.items():
        os.replace(temporary, path)
    if os.name != "nt":  # where folders are not opened, and names are kept with the content
        for folder in {path.parent for path in names.values()}:
            _sync(folder)


def family(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The arrays of a blob that are named "<name>/...", by the rest of their names."""
    return {k.removeprefix(f"{name}/"): v for k, v in arrays.items() if k.startswith(f"{name}/")}


def temporary_of(path: Path) -> Path:
    """A new, empty file beside a file, to be written before it gets its name.

    Its name is drawn, and a file or link that has it already is refused: nothing that lies in a
    folder can lead the writing elsewhere, and two writers do not meet.
    """
    begin = os.fsdecode(os.fsencode(path.name)[:200])  # of at most 255 bytes
    temporary = path.with_name(f"{begin}.{secrets.token_hex(4)}.tmp")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    return temporary


def file_status(path: Path) -> os.stat_result:
    """The status of a regular file, not that of what a link leads to; raises DamagedError."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise DamagedError("is a link or no regular file", where=path)
    return found


def require_within(folder: Path, path: Path) -> None:
    """Raise StoreError where a link leads a path out of its folder."""
    real = os.path.realpath(path)
    if not Path(real).is_relative_to(os.path.realpath(folder)):
        hint = "remove the link: nothing is read or written outside of a results folder"
        raise StoreError("leads out of this folder", where=path, found=real, hint=hint)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checksum(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.name} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
