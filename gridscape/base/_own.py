"""What a Task is made of where its data is somebody's table or arrays."""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gridscape.base import regression, shares
from gridscape.base._rows import repeated
from gridscape.base.data import Split
from gridscape.base.own import TableOptions
from gridscape.data import columns
from gridscape.data.labels import are_classes, coded
from gridscape.errors import DataCorruptError, UsageError, short
from gridscape.identity.code import fingerprint

if TYPE_CHECKING:
    import pandas as pd

USUAL_TARGETS = ("target", "label", "labels", "class", "y")
ROWS_VERSION = 1  # of how a table becomes arrays: another one gives other keys


def table_parts(
    table: "pd.DataFrame", target: str | Sequence[str] | None, options: TableOptions, name: str
) -> dict[str, Any]:
    """The fields of a Task from a table; what a user should know of it is warned of."""
    targets = _target_names(table, target)
    special = [n for n in (options.split, options.group, options.time) if n]
    for kind, chosen in (("target", targets), ("split", special), ("drop", options.drop)):
        columns.check_columns(kind, chosen, table)
    columns.check_columns("features", options.features or (), table)
    others = {*targets, *special, *options.drop}
    read = [n for n in options.features or table.columns if n not in others]
    both = [n for n in options.features or () if n in targets]
    if both:
        raise UsageError("a target that is among the inputs", where="features", found=both[0])
    used = table[list(dict.fromkeys([*read, *targets, *special]))]
    used, told = columns.without_missing(used, targets, options.missing, name)
    predicts = options.predict or _predicts(used, targets)
    labels = coded(used[targets[0]], f"column {targets[0]!r}") if predicts == "classes" else None
    if labels is not None and len(targets) > 1:
        raise UsageError(
            "several targets that are no numbers",
            where="target",
            expected='one column of classes, or predict = "numbers"',
            found=", ".join(targets),
        )
    kinds = np.zeros(len(used), np.int32) if labels is None else labels.codes
    parts = _parts(used, kinds, labels.names if labels else (), options)
    found = columns.features(used[read], parts == shares.TRAIN, options.scale, name)
    inputs = _shaped(found.inputs, options.shape, found.names)
    if labels is not None:
        told += _of_classes(labels.codes, labels.names, parts)
        telling = columns.telltales(used[read], labels.codes)
        if telling:
            told.append(f"the target is among the inputs: column {telling[0]!r} tells every class")
    n_both = repeated(inputs[parts == shares.TRAIN], inputs[parts == shares.TEST])
    if n_both:
        n_test = int((parts == shares.TEST).sum())
        told.append(f"{n_both} of {n_test} test inputs are also among the training inputs")
    for line in (*found.told, *told):
        warnings.warn(f"{name}: {line}", stacklevel=4)
    outputs = as_classes(labels.codes, labels.names) if labels else _numbers(used, targets, parts)
    content = (*_content(used, read, targets), parts, list(map(str, read)), targets)
    settings = (ROWS_VERSION, predicts, options.scale, options.missing, options.shape)
    return {
        "name": name,
        **_splits(inputs, outputs["targets"], parts),
        "input_shape": inputs.shape[1:],
        **outcome(outputs, options.unit),
        "fingerprint": fingerprint("table", *content, *settings),
    }


def _target_names(table: "pd.DataFrame", target: Any) -> list[str]:
    if target is None:
        usual = [n for n in table.columns if n.lower() in USUAL_TARGETS]
        if len(usual) == 1:
            return usual
        known = ", ".join(map(repr, table.columns[:6])) + (" ..." if table.shape[1] > 6 else "")
        raise UsageError("which column is to be predicted?", where="target", expected=known)
    names = [target] if isinstance(target, str) else list(target)
    if not names or not all(isinstance(n, str) for n in names):
        expected = "the name of a column, or several"
        raise UsageError("wrong type", where="target", expected=expected, found=short(target))
    return names


def _predicts(table: "pd.DataFrame", targets: Sequence[str]) -> str:
    kinds = {columns.kind_of(table[n]) for n in targets}
    if len(targets) > 1 or kinds == {"date"}:
        return "numbers"
    values = table[targets[0]].to_numpy()
    return "classes" if kinds == {"category"} or are_classes(values) else "numbers"


def _parts(
    table: "pd.DataFrame", kinds: np.ndarray, names: tuple[str, ...], options: TableOptions
) -> np.ndarray:
    given = (options.validation, options.test)
    if options.split is not None:
        return shares.by_column(table[options.split].to_numpy(object))
    if options.group is not None:
        return shares.by_group(table[options.group].to_numpy(str), *given, options.split_seed)
    if options.time is not None:
        return shares.by_time(columns.as_numbers(table[[options.time]], "time")[:, 0], *given)
    return shares.by_share(kinds, *given, options.split_seed, names)


def _shaped(inputs: np.ndarray, shape: Any, names: tuple[str, ...]) -> np.ndarray:
    if shape is None:
        return inputs
    try:
        return inputs.reshape(len(inputs), *shape)
    except (ValueError, TypeError) as error:
        raise UsageError(
            "does not fit the columns",
            where="shape",
            expected=f"numbers whose product is {len(names)}",
            found=short(shape),
        ) from error


def _numbers(table: "pd.DataFrame", targets: Sequence[str], parts: np.ndarray) -> dict[str, Any]:
    try:
        values = columns.as_numbers(table[list(targets)], "target")
    except (ValueError, TypeError) as error:
        expected = "columns of numbers"
        raise DataCorruptError("not numbers", where="target", expected=expected) from error
    return as_numbers(values, parts == shares.TRAIN, "target")


def as_numbers(values: np.ndarray, is_train: np.ndarray, where: object) -> dict[str, Any]:
    """Targets (N, K) float32, standardized by the training part, and their scale.

    Raises DataCorruptError for a target that is constant there.
    """
    mean, spread = values[is_train].mean(axis=0), values[is_train].std(axis=0)
    if not (spread > 0).all():
        raise DataCorruptError(
            "a target that is the same for all training examples", where=where, found=mean[0]
        )
    return {"targets": ((values - mean) / spread).astype(np.float32), "scale": spread}


def as_classes(codes: np.ndarray, names: tuple[str, ...]) -> dict[str, Any]:
    """Targets (N,) int32 and the names of their classes."""
    return {"targets": codes, "classes": names}


def outcome(outputs: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """The fields of a Task that say what is predicted: classes with names, or numbers."""
    if "classes" in outputs:
        return {"n_outputs": len(outputs["classes"]), "classes": outputs["classes"]}
    scale = tuple(float(np.float32(x)) for x in outputs["scale"])
    return {
        "n_outputs": len(scale),
        "loss": regression.mse,
        "metrics": regression.errors_of(scale, unit),
        "answer": None,
    }


def _splits(inputs: np.ndarray, targets: np.ndarray, parts: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {"validation": None}
    places = (("train", shares.TRAIN), ("validation", shares.VALIDATION), ("test", shares.TEST))
    for name, part in places:
        rows = np.flatnonzero(parts == part)
        if len(rows):
            found[name] = Split(inputs[rows], targets[rows])
    return found


def _of_classes(codes: np.ndarray, names: tuple[str, ...], parts: np.ndarray) -> list[str]:
    """What a class lacks in a part of the data."""
    told = []
    for part in sorted(set(parts.tolist())):
        n_of = np.bincount(codes[parts == part], minlength=len(names))
        lacking = [name for name, n in zip(names, n_of, strict=True) if not n]
        if lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            told.append(f"no {shares.PARTS[part]} examples of class {lacking[0]!r}{more}")
    return told


def _content(table: "pd.DataFrame", read: Sequence[str], targets: Sequence[str]) -> list[Any]:
    """The columns as arrays whose hashes tell the content, whatever made them."""
    found: list[Any] = []
    numbers = [n for n in (*read, *targets) if columns.kind_of(table[n]) != "category"]
    if numbers:
        # Columns as rows: so they lie in memory, and need no copy.
        found.append(columns.as_numbers(table[numbers], "table").T)
    for name in (n for n in (*read, *targets) if n not in numbers):
        codes, kinds = table[name].map(str).factorize()
        found += [codes.astype(np.int32), list(map(str, kinds))]
    return found
