"""Files of named arrays that are whole or not there: renamed into place, checked when read.

A blob is a text (JSON), arrays, and a checksum over both, so that it says by itself whether it is
what was written. A safetensors file holds one, with text and checksum in its metadata; or many
whose arrays have the same names, types and shapes, each array of all of them as one.
"""

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gridscape.errors import StoreError


class DamagedError(StoreError):
    """A file is missing, torn or altered. Callers of the store see a StoreError."""


class Blob(NamedTuple):
    """What was written of one thing."""

    text: str
    arrays: dict[str, np.ndarray]
    checksum: str


class Content(NamedTuple):
    """What a blob is to hold."""

    text: str
    arrays: Mapping[str, np.ndarray]

    @property
    def shapes(self) -> tuple[Any, ...]:
        """What contents that share a file have in common."""
        return tuple((name, x.dtype.str, x.shape) for name, x in sorted(self.arrays.items()))

    @property
    def n_bytes(self) -> int:
        """Of its arrays."""
        return sum(array.nbytes for array in self.arrays.values())


def write_blobs(contents: Mapping[Path, Sequence[Content]]) -> list[list[str]]:
    """Write one blob or many, of equal ``shapes``, to each path as ``write_all`` does.

    Returns their checksums. Raises OSError when the file system refuses, StoreError for an array
    that has no place in a file (of objects, of text).
    """
    packed = {path: _packed(path, of_path) for path, of_path in contents.items()}
    write_all({path: data for path, (data, _) in packed.items()})
    return [checksums for _, checksums in packed.values()]


def _packed(path: Path, contents: Sequence[Content]) -> tuple[bytes, list[str]]:
    """The bytes of a file, and the checksum of each of its blobs."""
    # safetensors reads the memory as it lies, so it must lie in C order. (ascontiguousarray would
    # turn a number into an array of one.)
    dense = [{k: np.asarray(x, order="C") for k, x in c.arrays.items()} for c in contents]
    texts = [content.text for content in contents]
    try:
        checksums = [_checksum(text, arrays) for text, arrays in zip(texts, dense, strict=True)]
        if len(contents) == 1:
            return save(dense[0], {"text": texts[0], "checksum": checksums[0]}), checksums
        joined = {name: np.stack([arrays[name] for arrays in dense]) for name in dense[0]}
        metadata = {"texts": json.dumps(texts), "checksums": json.dumps(checksums)}
        return save(joined, metadata), checksums
    except (SafetensorError, TypeError) as error:
        raise StoreError(f"an array cannot be stored: {error}", where=path) from error


class BlobFile:
    """The blobs of a file, read once; ``read`` gives each, checked.

    Raises DamagedError where the file is missing or torn. texts: of all blobs, as far as they are
    what was written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            file_status(path)
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                self._arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError as error:
            raise DamagedError("is missing", where=path) from error
        except SafetensorError as error:
            raise DamagedError(f"is torn or altered: {error}", where=path) from error
        self._is_shared = "texts" in metadata
        self.texts, self._checksums = self._told(metadata)

    def _told(self, metadata: Mapping[str, str]) -> tuple[list[str], list[str]]:
        if not self._is_shared:
            return [metadata.get("text", "")], [metadata.get("checksum", "")]
        try:
            told = [json.loads(metadata.get(name, "")) for name in ("texts", "checksums")]
        except (ValueError, RecursionError):
            told = [None, None]
        counts = {len(values) if _are_texts(values) else -1 for values in told}
        rows = {len(array) if array.ndim else -1 for array in self._arrays.values()}
        if len(counts | rows) != 1 or -1 in counts:
            raise DamagedError("is altered: its blobs are not as many as it says", where=self.path)
        return told[0], told[1]

    def read(self, number: int) -> Blob:
        """One of them; raises DamagedError unless it is what was written."""
        text, checksum = self.texts[number], self._checksums[number]
        arrays = self._arrays
        if self._is_shared:  # copies: a view would keep the arrays of all
            arrays = {name: np.array(array[number]) for name, array in arrays.items()}
        if checksum != _checksum(text, arrays):
            raise DamagedError("is altered: its checksum does not fit", where=self.path)
        return Blob(text, arrays, checksum)


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def read_blob(path: Path) -> Blob:
    """The blob of a file that holds one; raises DamagedError unless it is what was written."""
    file = BlobFile(path)
    if len(file.texts) != 1:
        raise DamagedError("is altered: it holds several blobs", where=path)
    return file.read(0)


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
        digest.update(_heading(name, array.dtype, array.shape))
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


@lru_cache(maxsize=1024)  # the arrays of all trials are alike, and NumPy makes such a name anew
def _heading(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    return f"{name} {dtype.name} {shape}".encode()
