"""Sequences of different lengths: lists of arrays, or a padded array with the length of each."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gridscape.data.arrays import as_array
from gridscape.data.paths import available_bytes
from gridscape.errors import DataCorruptError, DataError, short


def is_ragged(values: Any) -> bool:
    """Whether a list, or an array of objects, holds arrays or lists of different lengths.

    So does one where only some entries have a length: ``stacked`` names those that have none.
    """
    return len({_length(one) for one in listed(values) or ()}) > 1


def has_features(one: Any) -> bool:
    """Whether a sequence has several numbers a step, (T, D)."""
    if isinstance(one, list | tuple):
        return bool(one) and _length(one[0]) is not None
    return len(getattr(one, "shape", ())) > 1


def listed(values: Any) -> Sequence[Any] | None:
    """What a list or an array of objects holds, as in a column of pandas; None of all else."""
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    if isinstance(values, np.ndarray) and values.dtype == object and values.ndim == 1:
        return list(values)
    return values if isinstance(values, list | tuple) else None


def _length(one: Any) -> int | None:
    if isinstance(one, list | tuple):
        return len(one)
    shape = getattr(one, "shape", None)
    return int(shape[0]) if shape else None


def stacked(values: Sequence[Any], where: object) -> tuple[np.ndarray, np.ndarray]:
    """Arrays (T_i, ...) of a list as one, (N, T, ...) padded with zeros, and their lengths, (N,).

    T is the longest. Raises DataCorruptError for what is no array, has no steps, or has other
    features than the first; DataError for more than memory can hold.
    """
    arrays = [_one(one, f"{where}, sequence {at}") for at, one in enumerate(values)]
    lengths = np.array([len(array) for array in arrays], np.int32)
    for at, array in enumerate(arrays):
        if array.shape[1:] != arrays[0].shape[1:]:
            raise DataCorruptError(
                "sequences of different features",
                where=f"{where}, sequence {at}",
                expected=_step(arrays[0]),
                found=_step(array),
            )
    kind = np.result_type(*arrays)
    shape = (len(arrays), int(lengths.max()), *arrays[0].shape[1:])
    check_room(shape, kind, where)
    steps = np.zeros(shape, kind)
    for row, array in zip(steps, arrays, strict=True):
        row[: len(array)] = array
    return steps, lengths


def check_room(shape: tuple[int, ...], kind: np.dtype[Any], where: object) -> None:
    """Raise DataError for padded sequences (N, T, ...) of more than memory can hold."""
    if np.prod(shape, dtype=float) * kind.itemsize > available_bytes() / 2:
        found = f"{shape[0]} sequences padded to {shape[1]} steps"
        raise DataError("more than memory can hold", where=where, found=found)


def _one(values: Any, where: str) -> np.ndarray:
    """One sequence (T, ...); raises DataCorruptError for what is none."""
    array = as_array(values, where)
    if array.dtype.hasobject and any(isinstance(x, str) for x in array.ravel()):
        array = array.astype(str)
    if array.dtype.kind not in "biufSU":
        raise DataCorruptError("not an array of numbers", where=where, found=array.dtype)
    if np.ma.is_masked(values):
        hint = "leave these steps out, or fill them: filled(value)"
        raise DataCorruptError("numbers that are masked", where=where, hint=hint)
    if not array.ndim or not len(array):
        what = "a sequence without steps" if array.ndim else "one number, and no array of steps"
        raise DataCorruptError(what, where=where, found=array.shape if array.ndim else array)
    return array


def _step(array: np.ndarray) -> str:
    return f"steps of shape {array.shape[1:]}" if array.ndim > 1 else "a number a step"


def checked_lengths(values: Any, n_sequences: int, n_steps: int, where: object) -> np.ndarray:
    """Lengths as (N,) int32; raises DataCorruptError unless each is a whole number from 1 to T."""
    lengths = as_array(values, where)
    if lengths.ndim == 2 and lengths.shape[1] == 1:
        lengths = lengths[:, 0]
    if lengths.shape != (n_sequences,):
        raise DataCorruptError(
            "lengths do not fit the sequences",
            where=where,
            expected=f"one for each of {n_sequences}",
            found=f"shape {lengths.shape}",
        )
    is_number = lengths.dtype.kind in "iuf"
    if not is_number or not (lengths == np.floor(lengths)).all():  # NaN equals nothing
        strange = lengths[lengths != np.floor(lengths)][0] if is_number else lengths[0]
        raise DataCorruptError(
            "lengths are not whole numbers", where=where, found=f"{strange!s:.40}"
        )
    outside = np.flatnonzero((lengths < 1) | (lengths > n_steps))
    if len(outside):
        raise DataCorruptError(
            "a length out of range",
            where=f"{where}, sequence {outside[0]}",
            expected=f"1 to {n_steps}, the steps of the padded array",
            found=short(lengths[outside[0]].item()),
        )
    return lengths.astype(np.int32)
