"""Pairs of IDX files, by the names that the sets of MNIST's family have."""

import gzip
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gridscape.data.paths import readable
from gridscape.data.roles import Pairs, role_of
from gridscape.errors import (
    DataCorruptError,
    DataError,
    DataMissingError,
    UsageError,
    one_line,
)

NAME = re.compile(r"(.*?)[-._]?idx([1-4])[-._]ubyte(\.gz)?", re.IGNORECASE)


class File(NamedTuple):
    """An IDX file: of which set, what part of it, and whether it holds inputs or targets."""

    path: Path
    set: str
    part: str
    role: str


def is_idx(path: Path) -> bool:
    """Whether a name is that of an IDX file."""
    return NAME.fullmatch(path.name) is not None


def read_pairs(places: Sequence[Path], *, turned: bool = False) -> Pairs:
    """Inputs (N, height, width) and labels (N,) by part, of the files in or at the first place.

    places: folders, or beginnings of names. turned: exchange height and width. Raises
    DataMissingError, DataCorruptError, and UsageError where a folder holds several sets.
    """
    files = next((found for place in places if (found := list(_files(place)))), [])
    if not files:
        raise DataMissingError(
            "no IDX files",
            where=places[0],
            expected="names such as train-images-idx3-ubyte and train-labels-idx1-ubyte",
        )
    sets = sorted({file.set for file in files})
    if len(sets) > 1:
        raise UsageError(
            "IDX files of several sets",
            where=places[0],
            found=", ".join(sets[:6]),
            hint=f"name one of them in the path: {places[0] / (sets[0] or 'train')}",
        )
    return {part: _pair([f for f in files if f.part == part], turned) for part in _parts(files)}


def _parts(files: Sequence[File]) -> list[str]:
    return list(dict.fromkeys(file.part for file in files))


def _files(place: Path) -> Iterator[File]:
    folder, start = (place, "") if place.is_dir() else (place.parent, place.name)
    found: dict[tuple[str, str, str], File] = {}
    try:
        paths = sorted(folder.iterdir(), reverse=True)  # what is unpacked comes last
    except OSError:
        return
    for path in paths:
        match = NAME.fullmatch(path.name)
        if not match or not path.name.startswith(start):
            continue
        part, role = role_of(match[1])
        words = re.split(r"[-._]+", match[1].lower())
        of_set = [word for word in words if role_of(word) == ("all", "")]
        found["-".join(of_set), part, role] = File(path, "-".join(of_set), part, role)
    yield from sorted(found.values())


def _pair(files: Sequence[File], turned: bool) -> tuple[np.ndarray, np.ndarray]:
    by_role = {file.role: file.path for file in files}
    if set(by_role) != {"inputs", "targets"}:
        raise DataCorruptError(
            "not a pair of IDX files",
            where=files[0].path,
            expected="one of images and one of labels",
            found=", ".join(f.path.name for f in files),
        )
    inputs, targets = read_idx(by_role["inputs"]), read_idx(by_role["targets"])
    if len(inputs) != len(targets):
        found = f"{len(inputs)} images and {len(targets)} labels"
        raise DataCorruptError("not as many labels", where=by_role["targets"], found=found)
    return (np.swapaxes(inputs, 1, 2).copy() if turned else inputs), targets


# What the third byte says of the values.
TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file, packed or not; raises DataCorruptError."""
    try:
        content = readable(path).read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except DataError:
        raise
    except Exception as error:  # zlib and gzip raise several kinds
        raise DataCorruptError("not a whole file", where=path, found=one_line(error)) from error
    head = content[:4]
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES or not head[3]:
        raise DataCorruptError("not an IDX file", where=path, found=head.hex(" "))
    kind, n_dims = np.dtype(TYPES[head[2]]), head[3]
    start = 4 + 4 * n_dims
    if len(content) < start:
        expected, found = f"a header of {start} bytes", f"{len(content)} bytes"
        raise DataCorruptError("not a whole file", where=path, expected=expected, found=found)
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    size = start + int(np.prod(shape, dtype=object)) * kind.itemsize
    if len(content) != size:
        raise DataCorruptError(
            "the IDX file is not as long as its header says",
            where=path,
            expected=f"{size:,} bytes" if size < 10**15 else "far more",
            found=f"{len(content)} bytes",
        )
    try:
        values = np.frombuffer(content, kind, offset=start).reshape(shape)
    except ValueError as error:  # no values, in too many or too long dimensions
        raise DataCorruptError("not an IDX file", where=path, found=one_line(error)) from error
    return values.astype(kind.newbyteorder("="))
