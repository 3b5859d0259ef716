"""Files that hold arrays: .npz, .npy, .mat, HDF5. Pickled objects in them are refused."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gridscape.data.paths import available_bytes, readable
from gridscape.errors import DataCorruptError, DataError, one_line

HDF5 = (".h5", ".hdf5", ".hdf", ".nc")
SUFFIXES = (".npz", ".npy", ".mat", *HDF5)
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MAT5_MAGIC = b"MATLAB 5.0 MAT-file"


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a file, or in the .npy files of a folder, by name.

    Raises DataError for a file of another kind, DataCorruptError for one that is not whole or
    holds pickled objects.
    """
    if path.is_dir():
        files = sorted(path.glob("*.npy"))
        if not files:
            raise DataError("no arrays in this folder", where=path, expected="files *.npy")
        return {file.stem: read_arrays(file)[file.stem] for file in files}
    kind = path.suffix.lower()
    reader = READERS.get(kind)
    if reader is None:
        readable(path)
        expected = f"one of {', '.join(SUFFIXES)}"
        raise DataError("not a file of arrays", where=path, expected=expected, found=kind or "none")
    try:
        found = reader(readable(path))
    except DataError:
        raise
    except Exception as error:  # the libraries raise many kinds
        raise DataCorruptError("cannot be read", where=path, found=_cause(error)) from error
    kept = {name: array for name, array in found.items() if np.ndim(array)}
    objects = [n for n, a in kept.items() if a.dtype.hasobject and not _are_sequences(a)]
    if objects:
        raise DataCorruptError("an array of objects, and no numbers", where=path, found=objects[0])
    return kept


def _are_sequences(array: np.ndarray) -> bool:
    """Whether an array of objects, (N,), holds arrays of numbers, as of different lengths."""
    return array.ndim == 1 and all(
        isinstance(one, np.ndarray) and one.dtype.kind in "biuf" for one in array
    )


def _npy(path: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path, allow_pickle=False)}


def _npz(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > available_bytes() / 2:
        found = f"{size / 1e9:.1f} GB unpacked"
        raise DataError("larger than the memory of this machine", where=path, found=found)
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _mat(path: Path) -> dict[str, np.ndarray]:
    """A .mat of version 5 by SciPy, of version 7.3, which is HDF5 with its axes turned, by h5py."""
    with path.open("rb") as file:
        head = file.read(128)
        file.seek(512)
        is_hdf5 = file.read(8) == HDF5_MAGIC or head.startswith(HDF5_MAGIC)
    if is_hdf5:
        arrays = _hdf5(path).items()
        kept = {n: _of_matlab(a) for n, a in arrays if not n.startswith("#")}
        return {name: array for name, array in kept.items() if array is not None}
    if not head.startswith(b"MATLAB 5.0") and not _is_version_4(head):
        raise DataCorruptError(
            "a .mat file of an unknown version",
            where=path,
            expected="version 4, 5 or 7.3",
            found=head[:20].decode("latin-1") if head[:6] == b"MATLAB" else head[:4].hex(" "),
        )
    from scipy.io import loadmat  # half a second to import

    found = {n: a for n, a in loadmat(path).items() if not n.startswith("__")}
    return {n: _of_matlab(a) for n, a in found.items() if isinstance(a, np.ndarray)}


def _is_version_4(head: bytes) -> bool:
    """Whether a file begins with the type of a matrix of version 4: four digits, M O P T."""
    kind = int.from_bytes(head[:4], "little")
    return len(head) > 20 and kind < 5_000 and kind % 10 in (0, 1) and kind // 10 % 10 <= 5


def _of_matlab(array: Any) -> Any:
    """A column or row (N, 1), (1, N) as (N,); cells of texts as texts, of matrices as sequences."""
    if array.dtype.hasobject:
        flat = [x.item() if getattr(x, "size", 0) == 1 else x for x in array.ravel()]
        if all(isinstance(x, str) for x in flat):
            return np.array(flat)
        return _as_sequences(array.ravel()) if _are_sequences(array.ravel()) else array
    return array.ravel() if array.ndim == 2 and 1 in array.shape and array.size > 1 else array


def _as_sequences(cells: np.ndarray) -> np.ndarray:
    """Matrices (T_i, D) or (D, T_i) as steps first: the side that all share is D; (T_i,) of D = 1.

    Where all sides are equal they stay as they are.
    """
    sides = [{cell.shape[axis] for cell in cells} for axis in (0, 1)]
    found = np.empty(len(cells), object)
    for at, cell in enumerate(cells):
        steps = cell.T if len(sides[0]) == 1 and len(sides[1]) > 1 else cell
        found[at] = steps[:, 0] if steps.shape[1] == 1 else steps
    return found


def _hdf5(path: Path) -> dict[str, np.ndarray]:
    import h5py  # half a second to import

    found: dict[str, np.ndarray] = {}
    is_mat = path.suffix.lower() == ".mat"

    def take(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        kind = item.dtype
        if h5py.check_ref_dtype(kind):
            return
        is_text = h5py.check_string_dtype(kind) is not None
        array = item.asstr()[()] if is_text else item[()]
        array = np.asarray(array, str) if is_text else np.asarray(array)
        found[name.replace("/", "_")] = array.T if is_mat else array

    with h5py.File(path, "r") as file:
        file.visititems(take)
    return found


READERS: Mapping[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".mat": _mat,
    **dict.fromkeys(HDF5, _hdf5),
}


def _cause(error: Exception) -> str:
    text = one_line(error)
    if "allow_pickle" in text or "pickle" in text.lower():
        return "pickled objects, which can run code when they are read; sequences: pad them"
    return text[:150]
