"""The official archives of CIFAR-10, in color: one holds bytes, the other one Python's pickles."""

import io
import pickle
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gridscape.base.data import Split
from gridscape.errors import DataCorruptError
from gridscape.tasks._archives import tar_members
from gridscape.tasks._splits import labeled

N_CLASSES = 10
PLANES = (3, 32, 32)  # red, green, blue; each row by row
PIXELS = 3 * 32 * 32
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCHES = ("test_batch",)

Arrays = tuple[np.ndarray, np.ndarray]


def read_archive(name: str, content: bytes) -> tuple[Split, Split]:
    """Training and test images (N, 32, 32, 3), uint8, from an archive of that official name.

    Raises DataCorruptError for an archive that is cut short or lacks a batch, and for a batch of
    other sizes or with labels out of range. Source: Learning Multiple Layers of Features from Tiny
    Images (Krizhevsky, 2009), and the page of the data set.
    """
    suffix, read = FORMATS[name]
    members = tar_members(content, name)

    def split(batches: Iterable[str]) -> Split:
        parts = [_batch(name, members, batch + suffix, read) for batch in batches]
        return Split(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    return split(TRAIN_BATCHES), split(TEST_BATCHES)


def _batch(
    archive: str, members: dict[str, bytes], batch: str, read: Callable[[bytes, str], Arrays]
) -> Split:
    where = f"{archive}: {batch}"
    if batch not in members:
        raise DataCorruptError("missing from the archive", where=where)
    pixels, labels = read(members[batch], where)
    images = pixels.reshape(len(pixels), *PLANES).transpose(0, 2, 3, 1)
    return labeled(np.ascontiguousarray(images), labels, N_CLASSES, where=where)


def _from_records(content: bytes, where: str) -> Arrays:
    """Pixels (N, 3072) and labels (N,) from records of a label and the planes of its image."""
    n_images, rest = divmod(len(content), 1 + PIXELS)
    if rest:
        raise DataCorruptError(
            "not a whole number of records",
            where=where,
            expected=f"a multiple of {1 + PIXELS} bytes",
            found=f"{len(content)} bytes",
        )
    records = np.frombuffer(content, np.uint8).reshape(n_images, 1 + PIXELS)
    return records[:, 1:], records[:, 0]


def _from_pickle(content: bytes, where: str) -> Arrays:
    """Pixels (N, 3072) and labels (N,) from a dictionary that Python 2 has pickled."""
    try:
        batch = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        pixels, labels = batch[b"data"], np.asarray(batch[b"labels"])
    except Exception as error:  # pickle: "other exceptions may also be raised"
        found = f"{type(error).__name__}: {error}"
        raise DataCorruptError("not a pickled batch", where=where, found=found) from error
    if not _is_array(pixels, "u1", 2) or pixels.shape[1] != PIXELS or not _is_array(labels, "i8"):
        raise DataCorruptError(
            "not a batch of images",
            where=where,
            expected=f"bytes of shape (N, {PIXELS}) and whole numbers of shape (N,)",
            found=f"{_kind(pixels)} and {_kind(labels)}",
        )
    return pixels, labels


class _ArrayUnpickler(pickle.Unpickler):
    """Reads numbers, texts, containers and NumPy arrays; looks up nothing else.

    A pickle names functions, and reading it calls them: an altered one could run anything. The
    three names that an array needs are given here, every other one is refused.
    """

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle names, if an array needs it; raises UnpicklingError otherwise."""
        if (module, name) not in ARRAY_PARTS:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
        return ARRAY_PARTS[module, name]


def _dtype(name: bytes, align: int, copy: int) -> np.dtype[Any]:
    # Old pickles hold numbers where NumPy wants true or false.
    return np.dtype(name.decode(), align=bool(align), copy=bool(copy))


def _is_array(value: Any, dtype: str, n_dims: int = 1) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == dtype and value.ndim == n_dims


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__


# By the names that they had in Python 2's NumPy.
ARRAY_PARTS = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
}

# By archive: how the names of its batches end, and what reads one.
FORMATS: dict[str, tuple[str, Callable[[bytes, str], Arrays]]] = {
    "cifar-10-binary.tar.gz": (".bin", _from_records),
    "cifar-10-python.tar.gz": ("", _from_pickle),
}
