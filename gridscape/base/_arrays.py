"""The arrays of a task, checked: what was read, and what a user brings."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.data import Sequences
from gridscape.base.shapes import batch_of
from gridscape.data.arrays import check_finite
from gridscape.data.ragged import checked_lengths
from gridscape.errors import DataCorruptError


def check_splits(where: str, splits: Mapping[str, Any]) -> None:
    """Raise DataCorruptError unless all splits hold arrays of the same types and shapes.

    They are evaluated by one program, and uint8 is read as fractions of 255, all else as it is.
    """
    kinds = {name: _kind(f"{where}, {name}", split) for name, split in splits.items()}
    (first, kind), *others = kinds.items()
    for name, other in others:
        if jax.tree.flatten(other) != jax.tree.flatten(kind):
            raise DataCorruptError(
                f"{first} and {name} are of different types or shapes",
                where=where,
                expected=_words(kind),
                found=_words(other),
            )


def _kind(where: str, split: Any) -> Any:
    """The shapes of an example of a split whose arrays have one example each, or more."""
    inputs, targets = split.inputs, jax.tree.leaves(split.targets)
    if isinstance(inputs, Sequences):
        inputs, targets = inputs.steps, [inputs.lengths, *targets]
    for array in (inputs, *targets):
        if not isinstance(array, np.ndarray | jax.Array) or not np.ndim(array):
            found = type(array).__name__
            raise DataCorruptError("not an array", where=where, expected="(N, ...)", found=found)
        _refuse_no_numbers(where, array, array)
    if not inputs.size or any(len(array) != len(inputs) for array in targets):
        raise DataCorruptError(
            "inputs and targets differ in number, or there are none",
            where=where,
            found=", ".join(str(array.shape) for array in (inputs, *targets)),
        )
    for part in jax.tree.leaves(split, is_leaf=_is_sequences):
        if _is_sequences(part):
            checked_lengths(part.lengths, len(part), part.shape[1], f"{where}, lengths")
    return batch_of(1, split)


def _is_sequences(part: Any) -> bool:
    return isinstance(part, Sequences)


def _words(kind: Any) -> str:
    shapes = [(x.dtype, ("N", *x.shape[1:])) for x in jax.tree.leaves(kind)]
    return ", ".join(f"{dtype} ({', '.join(map(str, shape))})" for dtype, shape in shapes)


def classified(name: str, pair: Any) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, uint8 or float32, and labels, int32, of a split; raises DataCorruptError."""
    inputs, targets = (as_examples(name, part) for part in pair)
    if inputs.shape[:1] != targets.shape[:1] or not inputs.size:
        raise no_pair(name, inputs, targets)
    return as_inputs(name, inputs), as_labels(name, targets)


def as_examples(name: str, values: Any) -> np.ndarray:
    """Numbers of several examples, (N, ...), none of them masked; DataCorruptError for all else."""
    try:
        array = np.asarray(values)
    except Exception:  # a user's object may raise anything
        array = np.empty(0, object)
    _refuse_no_numbers(name, array, values)
    if not array.ndim:
        raise DataCorruptError("no array", where=name, expected="(N, ...)", found=array)
    return array


def as_inputs(name: str, inputs: np.ndarray) -> np.ndarray:
    """Numbers as uint8, if they are such, or float32; DataCorruptError where one is not finite."""
    if inputs.dtype != np.uint8:
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            inputs = inputs.astype(np.float32)
        check_finite(inputs, name)
    return inputs


def as_labels(name: str, targets: np.ndarray) -> np.ndarray:
    """Whole numbers from 0, (N,), as int32; raises DataCorruptError for other ones."""
    check_one_each(name, targets)
    if not (np.isfinite(targets) & (targets == np.floor(targets))).all():
        raise DataCorruptError(
            "labels must be whole numbers, one per example",
            where=name,
            found=f"{targets.dtype} of shape {targets.shape}",
        )
    low, high = targets.min(), targets.max()
    if low < 0 or high >= 2**31:
        raise DataCorruptError(
            "label out of range", where=name, expected="from 0", found=low if low < 0 else high
        )
    return targets.astype(np.int32)


def check_one_each(name: str, targets: Any) -> None:
    """Raise DataCorruptError for labels that are not (N,)."""
    if np.ndim(targets) != 1:
        raise DataCorruptError(
            "labels must be whole numbers, one per example",
            where=name,
            found=f"shape {np.shape(targets)}",
            hint="labels of each step: (inputs, targets, lengths)",
        )


def no_pair(name: str, inputs: Any, targets: Any) -> DataCorruptError:
    """The error that tells of inputs and labels of different numbers."""
    return DataCorruptError(
        "inputs and labels differ in number, or there are none",
        where=name,
        found=f"inputs of shape {np.shape(inputs)} and labels of shape {np.shape(targets)}",
    )


def _refuse_no_numbers(where: str, array: Any, values: Any) -> None:
    """Raise DataCorruptError for an array of anything but numbers; ``values``: as it was given."""
    real = (np.bool_, np.integer, jnp.floating)
    if not any(jnp.issubdtype(array.dtype, kind) for kind in real):
        found = f"{type(values).__name__}, {array.dtype}"
        raise DataCorruptError("not an array of numbers", where=where, found=found)
    parts = values if isinstance(values, list | tuple) else [values]
    if any(map(np.ma.is_masked, parts)):
        hint = "leave these examples out, or fill them: filled(value)"
        raise DataCorruptError("numbers that are masked", where=where, hint=hint)
