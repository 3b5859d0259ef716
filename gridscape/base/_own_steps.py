"""What a Task is made of where the rows of a table are steps: a column names their sequence."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gridscape.base import _own_sequences as sequences
from gridscape.base import shares
from gridscape.base._own import (
    as_classes,
    classes_in,
    content_of,
    outcome,
    splits_of,
    targets_of,
    times_of,
    told_of_classes,
    told_of_columns,
    used_of,
)
from gridscape.base._rows import repeated
from gridscape.base.data import Sequences
from gridscape.base.own import TableOptions
from gridscape.data import columns
from gridscape.data.labels import Labels
from gridscape.data.ragged import check_room
from gridscape.errors import DataCorruptError, short
from gridscape.identity.code import fingerprint

if TYPE_CHECKING:
    import pandas as pd

STEPS_VERSION = 1  # of how rows become sequences: another one gives other keys


def step_parts(
    table: "pd.DataFrame", target: str | Sequence[str] | None, options: TableOptions, name: str
) -> dict[str, Any]:
    """The fields of a Task from a table of steps; what a user should know of it is warned of.

    There is a target for each sequence where its rows have the same one, else for each step. Means
    and spreads are those of the training part, step by step.
    """
    used, read, targets, told = used_of(table, target, options, name)
    used, of_row = _in_order(used, options)
    first = np.flatnonzero(np.diff(of_row, prepend=-1))
    labels = classes_in(used, targets, options)
    told += told_of_columns(used, read, targets, labels)
    every_step = _changes(used, targets, of_row, first)
    asked = used if every_step else used.iloc[first]
    labels = labels and Labels(labels.codes if every_step else labels.codes[first], labels.names)
    parts = _parts(used, of_row, first, None if every_step else labels, options)
    found = columns.features(used[read], parts[of_row] == shares.TRAIN, options.scale, name)
    of_asked = parts[of_row] if every_step else parts
    outputs = as_classes(*labels) if labels else targets_of(asked, targets, of_asked)
    inputs, answers = _padded(found.inputs, of_row, name), outputs["targets"]
    told += _of_parts(inputs, answers, labels, parts, every_step)
    told = [*found.told, *told]
    for line in told:
        warnings.warn(f"{name}: {line}", stacklevel=4)
    if every_step:
        answers = sequences.put_back(answers, inputs)
    content = (*content_of(used, read, targets), of_row.astype(np.int32), parts)
    settings = (STEPS_VERSION, list(map(str, read)), targets, options.scale, str(options.missing))
    kind = "numbers" if labels is None else "classes"
    fields = {
        "name": name,
        **splits_of(inputs, answers, parts),
        "input_shape": inputs.shape[1:],
        "prepare": sequences.prepare_steps,
        "divided_by": next((n for n in ("split", "group") if getattr(options, n) is not None), ""),
        "told": tuple(told),
        **outcome(outputs, options.unit),
        "fingerprint": fingerprint("table of steps", *content, *settings, kind),
    }
    return {**fields, **sequences.every_step(fields)} if every_step else fields


def _in_order(table: "pd.DataFrame", options: TableOptions) -> "tuple[pd.DataFrame, np.ndarray]":
    """The rows of each sequence together, in the order of time or as they stand; whose they are.

    Sequences are numbered as they appear.
    """
    of_row, _ = table[options.sequence].factorize()
    times = np.zeros(len(table))
    if options.time is not None:
        times = times_of(table, options.time)
    order = np.lexsort((times, of_row))  # stable
    return table.iloc[order], of_row[order]


def _changes(
    table: "pd.DataFrame", names: Sequence[str], of_row: np.ndarray, first: np.ndarray
) -> bool:
    """Whether columns have several values within a sequence."""
    values = [table[name].to_numpy() for name in names]
    return any((value != value[first][of_row]).any() for value in values)


def _parts(
    table: "pd.DataFrame",
    of_row: np.ndarray,
    first: np.ndarray,
    labels: Labels | None,
    options: TableOptions,
) -> np.ndarray:
    """The part of each sequence, which is never cut."""
    for kind, name in (("split", options.split), ("group", options.group)):
        if name is not None and _changes(table, [name], of_row, first):
            values = table[name].to_numpy()
            at = int(of_row[(values != values[first][of_row])][0])
            raise DataCorruptError(
                "a sequence with several values",
                where=kind,
                expected="one for all rows of a sequence",
                found=short(table[options.sequence].iloc[first[at]]),
            )
    given = (options.validation, options.test)
    if options.split is not None:
        return shares.by_column(table[options.split].to_numpy(object)[first])
    if options.group is not None:
        groups = table[options.group].to_numpy(str)[first]
        return shares.by_group(groups, *given, options.split_seed)
    kinds, names = labels or Labels(np.zeros(len(first), np.int32), ())
    return shares.by_share(kinds, *given, options.split_seed, names)


def _padded(values: np.ndarray, of_row: np.ndarray, where: object) -> Sequences:
    lengths = np.bincount(of_row).astype(np.int32)
    shape = (len(lengths), int(lengths.max()))
    check_room((*shape, *values.shape[1:]), values.dtype, where)
    return sequences.put_back(values, Sequences(np.zeros(shape, np.int8), lengths))


def _of_parts(
    inputs: Sequences, answers: np.ndarray, labels: Labels | None, parts: np.ndarray, every: bool
) -> list[str]:
    """What a part lacks, and what stands in two of them."""
    told = told_of_classes(answers, labels.names, parts) if labels and not every else []
    of_part = [sequences.rows_of(inputs[parts == p]) for p in (shares.TRAIN, shares.TEST)]
    n_both = repeated(*of_part)
    both = f"{n_both} of {len(of_part[1])} test inputs are also among the training inputs"
    return told + [both] * (n_both > 0)
