"""What a file or folder of data is: columns or arrays, classes and their shares, trouble."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gridscape.base.data import Sequences
from gridscape.base.task import Task
from gridscape.data import containers, idx, tables
from gridscape.data.columns import kind_of
from gridscape.data.kinds import task_for
from gridscape.data.roles import roles_of
from gridscape.errors import GridscapeError
from gridscape.grid.meanings import digits
from gridscape.study.own import found_at
from gridscape.study.parts import load_task

MOST_ROWS = 40
MOST_NAMED = 5


@dataclass(frozen=True)
class Part:
    """A column or an array: what it holds, how much of it is missing, and what of it there is."""

    name: str
    kind: str
    missing: int
    values: str


@dataclass(frozen=True)
class Class:
    """A class and how many examples of it each part has."""

    name: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class DataLook:
    """What there is at a path, and what a task makes of it.

    task: that reads it. size: in words. parts: columns or arrays. examples: of each part of the
    task. classes: of its targets; none where numbers are predicted, or it cannot be made. inputs:
    their shape. lengths: the shortest, the median and the longest of sequences of different
    lengths; () of other inputs. trouble: what a user should know, the most important first.
    """

    path: Path
    task: str
    size: str
    parts: tuple[Part, ...]
    n_more_parts: int
    examples: Mapping[str, int]
    inputs: tuple[int, ...]
    lengths: tuple[int, ...]
    predicts: str
    classes: tuple[Class, ...]
    trouble: tuple[str, ...]


def look_at(
    path: str | Path,
    options: Mapping[str, Any] | None = None,
    data_dir: str | Path | None = None,
) -> DataLook:
    """Look at data before anything trains. Raises GridscapeError where it cannot be read at all."""
    place = found_at(path, data_dir)
    name = task_for(place)
    size, parts = _READERS[name](place)
    made: Task | None = None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            made = load_task(name, {**(options or {}), "path": str(place)}, data_dir)
        except GridscapeError as error:
            told_of_error = [str(error)]
        else:
            told_of_error = []
    lines = [str(one.message).partition(": ")[2] or str(one.message) for one in told]
    return DataLook(
        path=place,
        task=name,
        size=size,
        parts=tuple(parts[:MOST_ROWS]),
        n_more_parts=max(0, len(parts) - MOST_ROWS),
        examples={} if made is None else {n: s.n_examples for n, s in _splits(made).items()},
        inputs=() if made is None else tuple(made.input_shape),
        lengths=() if made is None else _lengths(made),
        predicts="" if made is None else _predicts(made),
        classes=() if made is None else _classes(made),
        trouble=(*told_of_error, *dict.fromkeys(lines)),
    )


def _splits(task: Task) -> dict[str, Any]:
    found = {"train": task.train_examples, "validation": task.validation, "test": task.test}
    return {name: split for name, split in found.items() if split is not None}


def _lengths(task: Task) -> tuple[int, ...]:
    inputs = [split.inputs for split in _splits(task).values()]
    if not all(isinstance(one, Sequences) for one in inputs):
        return ()
    lengths = np.concatenate([one.lengths for one in inputs])
    return int(lengths.min()), int(np.median(lengths)), int(lengths.max())


def _predicts(task: Task) -> str:
    each = " at every step" if task.per_step else ""
    if not _has_classes(task):
        return ("a number" if task.n_outputs == 1 else f"{task.n_outputs} numbers") + each
    return f"{task.n_outputs} classes{each}"


def _has_classes(task: Task) -> bool:
    targets = task.test.targets
    return task.answer is not None or (isinstance(targets, Sequences) and targets.dtype.kind == "i")


def _labels(targets: Any) -> np.ndarray:
    """The classes of examples or, of Sequences, of the steps that are there."""
    return targets.steps[targets.is_step] if isinstance(targets, Sequences) else targets


def _classes(task: Task) -> tuple[Class, ...]:
    if not _has_classes(task):
        return ()
    names = task.class_names
    counts = {
        name: np.bincount(np.asarray(_labels(split.targets)), minlength=task.n_outputs)
        for name, split in _splits(task).items()
    }
    return tuple(
        Class(name, {part: int(n[at]) for part, n in counts.items()})
        for at, name in enumerate(names)
    )


def _of_table(place: Path) -> tuple[str, list[Part]]:
    table = tables.read_table(place)
    parts = [
        Part(str(name), kind_of(column), int(column.isna().sum()), _column_values(column))
        for name, column in table.items()
    ]
    return f"{len(table)} rows, {table.shape[1]} columns", parts


def _column_values(column: Any) -> str:
    there = column.dropna()
    kind = kind_of(column)
    if not len(there):
        return "nothing"
    if kind == "number":
        return _range(there.to_numpy(np.float64))
    if kind == "date":
        return f"{there.min()} to {there.max()}"
    counts = there.astype(str).value_counts()
    named = [f"{name} {n / len(column):.0%}" for name, n in counts.head(MOST_NAMED).items()]
    more = f" and {len(counts) - MOST_NAMED} more" if len(counts) > MOST_NAMED else ""
    return ", ".join(named) + more


def _of_arrays(place: Path) -> tuple[str, list[Part]]:
    return _parts_of(containers.read_arrays(place))


def _of_idx(place: Path) -> tuple[str, list[Part]]:
    pairs = idx.read_pairs([place])
    arrays = {f"{p} {k}": a for p, pair in pairs.items() for k, a in _named(pair)}
    return _parts_of(arrays)


def _named(pair: Sequence[np.ndarray]) -> Sequence[tuple[str, np.ndarray]]:
    return list(zip(("images", "labels"), pair, strict=True))


def _parts_of(arrays: Mapping[str, np.ndarray]) -> tuple[str, list[Part]]:
    parts, roles = [], roles_of(arrays)
    for name, array in arrays.items():
        part, role = roles[name]
        n_missing = int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0
        kind = f"{array.dtype.name} {array.shape}"
        said = f"{role} of {part}" if role else ""
        parts.append(Part(name, kind, n_missing, ": ".join(x for x in (said, _range(array)) if x)))
    return f"{len(arrays)} arrays", parts


def _range(values: np.ndarray) -> str:
    """From the least to the most of numbers, NaN left out; "" of texts."""
    if values.dtype.kind not in "biuf" or not values.size:
        return ""
    there = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return f"{digits(there.min())} to {digits(there.max())}" if there.size else "nothing"


def _of_pictures(place: Path) -> tuple[str, list[Part]]:
    return "pictures", []


_READERS = {
    "table": _of_table,
    "arrays": _of_arrays,
    "idx": _of_idx,
    "images": _of_pictures,
}
