"""What a Task is made of where its data is somebody's table or arrays."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gridscape.base import regression, shares
from gridscape.base._rows import repeated_in
from gridscape.base.data import Split
from gridscape.base.own import SPECIAL, TableOptions
from gridscape.data import columns
from gridscape.data.labels import Labels, are_classes, coded
from gridscape.data.paths import available_bytes
from gridscape.errors import DataCorruptError, DataError, UsageError, one_line, short
from gridscape.identity.code import fingerprint

if TYPE_CHECKING:
    import pandas as pd

USUAL_TARGETS = ("target", "label", "labels", "class", "y")
ROWS_VERSION = 1  # of how a table becomes arrays: another one gives other keys


def table_parts(
    table: "pd.DataFrame", target: str | Sequence[str] | None, options: TableOptions, name: str
) -> dict[str, Any]:
    """The fields of a Task from a table; what a user should know of it is warned of."""
    used, read, targets, told = used_of(table, target, options, name)
    used = used if options.window is None else _in_time(used, options)
    labels = classes_in(used, targets, options)
    parts = _parts(used, labels, options)
    settings = (ROWS_VERSION, "numbers" if labels is None else "classes", options.scale)
    shaped = (options.missing, options.shape, options.window, options.horizon)
    with ThreadPoolExecutor(1) as pool:  # to hash a long table takes as long as to scale it
        content = (*content_of(used, read, targets), parts, list(map(str, read)), targets)
        made = pool.submit(fingerprint, "table", *content, *settings, *map(str, shaped))
        found = columns.features(used[read], parts == shares.TRAIN, options.scale, name)
        outputs = as_classes(*labels) if labels else targets_of(used, targets, parts)
    inputs, answers = found.inputs, outputs["targets"]
    if options.window is None:
        inputs = _shaped(inputs, options.shape, found.names)
        told += told_of_columns(used, read, targets, labels)
    else:
        rows, inputs = _windows(inputs, options.window, options.horizon, name)
        answers, parts = answers[rows], parts[rows]
    told += _of_parts(inputs, answers, labels, parts)
    told = [*found.told, *told]
    for line in told:
        warnings.warn(f"{name}: {line}", stacklevel=4)
    return {
        "name": name,
        **splits_of(inputs, answers, parts),
        "input_shape": inputs.shape[1:],
        "divided_by": _divided_by(options),
        "told": tuple(told),
        **outcome(outputs, options.unit),
        "fingerprint": made.result(),
    }


class Used(NamedTuple):
    """What is used of a table: its rows without missing values, and the names of columns.

    read: those of the inputs. told: what a user should know of what was left out, a line each.
    """

    rows: "pd.DataFrame"
    read: list[str]
    targets: list[str]
    told: list[str]


def used_of(
    table: "pd.DataFrame", target: str | Sequence[str] | None, options: TableOptions, name: str
) -> Used:
    """The columns that are inputs, targets, or divide and order the rows."""
    targets = _target_names(table, target)
    read, special = _chosen(table, targets, options)
    used = table[list(dict.fromkeys([*read, *targets, *special]))]
    columns.check_cells(used)
    used, told = columns.without_missing(used, [*targets, *special], options.missing, name)
    return Used(used, read, targets, [*table.attrs.get("told", ()), *told])


def _chosen(
    table: "pd.DataFrame", targets: Sequence[str], options: TableOptions
) -> tuple[list[str], list[str]]:
    """The columns to learn from, and those that split the rows; raises UsageError.

    The past of what is predicted is among the inputs of a window, and of nothing else.
    """
    named = {n: getattr(options, n) for n in SPECIAL if getattr(options, n) is not None}
    special = list(named.values())
    columns.check_columns("target", targets, table)
    for kind, column in named.items():
        columns.check_columns(kind, [column], table)
    columns.check_columns("drop", options.drop, table)
    columns.check_columns("features", options.features or (), table)
    both = [n for n in options.features or () if n in targets]
    if both and options.window is None:
        raise UsageError("a target that is among the inputs", where="features", found=both[0])
    others = {*special, *options.drop, *(targets if options.window is None else ())}
    return [n for n in options.features or table.columns if n not in others], special


def _in_time(table: "pd.DataFrame", options: TableOptions) -> "pd.DataFrame":
    """Rows in the order of time, or as they stand."""
    if options.time is None:
        return table
    return table.iloc[np.argsort(times_of(table, options.time), kind="stable")]


def times_of(table: "pd.DataFrame", name: str) -> np.ndarray:
    """A column of dates, in days, or of numbers, (N,) float64; DataCorruptError for another one."""
    try:
        return columns.as_numbers(table[[name]], "time")[:, 0]
    except (ValueError, TypeError, OverflowError) as error:
        raise DataCorruptError(
            "not a column of times",
            where=f"time, column {name!r}",
            expected="numbers, or dates as 2026-01-31",
            found=one_line(error)[:100],
        ) from error


def classes_in(
    table: "pd.DataFrame", targets: Sequence[str], options: TableOptions
) -> Labels | None:
    """The classes of the rows; None where numbers are predicted. Raises UsageError."""
    if (options.predict or _predicts(table, targets)) == "numbers":
        return None
    if len(targets) > 1:
        raise UsageError(
            "several targets that are no numbers",
            where="target",
            expected='one column of classes, or predict = "numbers"',
            found=", ".join(targets),
        )
    return coded(table[targets[0]], f"column {targets[0]!r}")


def _windows(
    inputs: np.ndarray, window: int, horizon: int, where: object
) -> tuple[np.ndarray, np.ndarray]:
    """The row that each window predicts, (N,), and the windows, (N, window, D).

    A window ends ``horizon`` rows before the row that it predicts. Raises DataCorruptError for
    too few rows, DataError for more than memory holds.
    """
    rows = np.arange(window - 1 + horizon, len(inputs))
    if not len(rows):
        expected = f"more than {window - 1 + horizon} rows"
        raise DataCorruptError("too few rows", where=where, expected=expected, found=len(inputs))
    if len(rows) * window * inputs.shape[1] * inputs.itemsize > available_bytes() / 2:
        raise DataError("more windows than memory can hold", where=where, hint="a shorter window")
    views = np.lib.stride_tricks.sliding_window_view(inputs, window, axis=0)[: len(rows)]
    return rows, np.ascontiguousarray(views.swapaxes(1, 2))


def told_of_columns(
    table: "pd.DataFrame", read: Sequence[str], targets: Sequence[str], labels: Labels | None
) -> list[str]:
    """That the target is among the inputs, in a line; none where it is not."""
    if labels is None:
        telling, what = columns.equal_to(table[read], table[list(targets)]), "equals it"
    else:
        telling, what = columns.telltales(table[read], labels.codes), "tells every class"
    return [f"the target is among the inputs: column {name!r} {what}" for name in telling[:1]]


def _of_parts(
    inputs: np.ndarray, answers: np.ndarray, labels: Labels | None, parts: np.ndarray
) -> list[str]:
    """What a part lacks, and what stands in two of them."""
    told = [] if labels is None else told_of_classes(answers, labels.names, parts)
    is_test = parts == shares.TEST
    n_both, n_test = repeated_in(inputs, parts == shares.TRAIN, is_test), int(is_test.sum())
    both = [f"{n_both} of {n_test} test inputs are also among the training inputs"]
    return told + both * (n_both > 0)


def _target_names(table: "pd.DataFrame", target: Any) -> list[str]:
    if target is None:
        usual = [n for n in table.columns if n.lower() in USUAL_TARGETS]
        if len(usual) == 1:
            return usual
        known = ", ".join(map(repr, table.columns[:6])) + (" ..." if table.shape[1] > 6 else "")
        raise UsageError("which column is to be predicted?", where="target", expected=known)
    listed = target if isinstance(target, Iterable) else ()
    names = [target] if isinstance(target, str) else list(listed)
    if not names or not all(isinstance(n, str) for n in names):
        expected = "the name of a column, or several"
        raise UsageError("wrong type", where="target", expected=expected, found=short(target))
    return names


def _predicts(table: "pd.DataFrame", targets: Sequence[str]) -> str:
    kinds = {columns.kind_of(table[n]) for n in targets}
    if len(targets) > 1 or kinds == {"date"}:
        return "numbers"
    is_text = kinds == {"category"}
    return "classes" if is_text or are_classes(table[targets[0]].to_numpy()) else "numbers"


def _parts(table: "pd.DataFrame", labels: Labels | None, options: TableOptions) -> np.ndarray:
    given = (options.validation, options.test)
    if options.window is not None:  # rows are in order
        return shares.by_time(np.arange(len(table), dtype=np.float64), *given)
    if options.split is not None:
        return shares.by_column(table[options.split].to_numpy(object))
    if options.group is not None:
        return shares.by_group(table[options.group].to_numpy(str), *given, options.split_seed)
    if options.time is not None:
        return shares.by_time(times_of(table, options.time), *given)
    kinds, names = labels or Labels(np.zeros(len(table), np.int32), ())
    return shares.by_share(kinds, *given, options.split_seed, names)


def _divided_by(options: TableOptions) -> str:
    """What divides the rows where that is no chance; "" where the seed draws."""
    if options.window is not None:
        return "time"
    return next((n for n in ("split", "group", "time") if getattr(options, n) is not None), "")


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


def targets_of(table: "pd.DataFrame", targets: Sequence[str], parts: np.ndarray) -> dict[str, Any]:
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
        "numbers": True,
    }


def splits_of(inputs: Any, targets: Any, parts: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {"validation": None}
    places = (("train", shares.TRAIN), ("validation", shares.VALIDATION), ("test", shares.TEST))
    for name, part in places:
        rows = np.flatnonzero(parts == part)
        if len(rows):
            found[name] = Split(inputs[rows], targets[rows])
    return found


def told_of_classes(codes: np.ndarray, names: tuple[str, ...], parts: np.ndarray) -> list[str]:
    """What a class lacks in a part of the data."""
    n_all = np.bincount(parts * len(names) + codes, minlength=len(shares.PARTS) * len(names))
    each = zip(shares.PARTS, n_all.reshape(-1, len(names)), strict=True)
    return [line for part, n_of in each if n_of.any() for line in lacking(part, n_of, names)]


def lacking(part: str, n_of: np.ndarray, names: Sequence[str]) -> list[str]:
    """Which classes a part has no examples of, in a line; none where it has all."""
    without = [name for name, n in zip(names, n_of, strict=True) if not n]
    more = f" and {len(without) - 1} more" if len(without) > 1 else ""
    return [f"no {part} examples of class {without[0]!r}{more}"] if without else []


def content_of(table: "pd.DataFrame", read: Sequence[str], targets: Sequence[str]) -> list[Any]:
    """The columns as arrays whose hashes tell the content, whatever made them."""
    found: list[Any] = []
    numbers = [
        n for n in dict.fromkeys((*read, *targets)) if columns.kind_of(table[n]) != "category"
    ]
    if numbers:
        # Columns as rows: so they lie in memory, and need no copy.
        found.append(columns.as_numbers(table[numbers], "table").T)
    for name in (n for n in dict.fromkeys((*read, *targets)) if n not in numbers):
        codes, kinds = _as_texts(table[name])
        found += [codes.astype(np.int32), kinds]
    return found


def _as_texts(column: "pd.Series[Any]") -> tuple[np.ndarray, list[str]]:
    """What is written in a column, each text once as it first occurs, and which of them each is."""
    codes, values = column.factorize(use_na_sentinel=False)
    texts = [str(value) for value in values]
    if len(set(texts)) < len(texts) or column.isna().any():  # None and NaN are written in two ways
        codes, kinds = column.map(str).factorize()
        return codes, list(map(str, kinds))
    return codes, texts
