"""Which column of a table of runs holds what: names as W&B, MLflow and Optuna export them."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gridscape.errors import DataCorruptError, UnknownNameError, UsageError, short

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["setting", "metric", "fact"]

# What stands before a name, as config.lr, params_lr, summary/loss; the customary ones come first.
SETTINGS = ("config", "params", "hyperparameters", "hparams", "tags", "user_attrs")
METRICS = ("metrics", "summary", "values")
PREFIXES: dict[Kind, tuple[str, ...]] = {"setting": SETTINGS, "metric": METRICS, "fact": ()}
SEPARATORS = "._/"

STATUSES = ("status", "state")
STEPS = ("step", "_step", "global_step", "epoch", "iteration", "update")
SECONDS = ("seconds", "runtime", "_runtime", "duration_seconds")
PARAMETERS = ("n_parameters", "num_parameters", "n_params", "num_params", "parameters")
TIMES = (("start_time", "end_time"), ("datetime_start", "datetime_complete"))
# What is measured where nobody says it, in this order; Optuna's is "value".
MEASURED = ("accuracy", "acc", "score", "value", "auc", "f1", "r2", "loss", "error", "rmse", "mse")
NO_NUMBER = ("", "nan", "none", "null", "na", "n/a", "<na>")


def find_column(name: str, columns: Sequence[str], kind: Kind, where: object) -> str:
    """The column of this name, with or without what stands before it: params.lr for "lr".

    Raises UnknownNameError with the nearest name, UsageError where several may be meant.
    """
    for found in _candidates(name, columns, kind):
        if len(found) > 1:
            raise UsageError(
                f"several columns may be {name!r}",
                where=where,
                found=_listed(found),
                hint=f"say which: {name}={found[0]}",
            )
        if found:
            return found[0]
    bare = {b: c for c in columns for b in (c.rpartition(".")[2], bare_name(c), c)}
    near = get_close_matches(name, bare, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {_listed(columns)}"
    raise UnknownNameError("column", name, columns, where=where, hint=hint)


def _candidates(name: str, columns: Sequence[str], kind: Kind) -> Iterable[list[str]]:
    """The columns that may be meant by a name, the surest first."""
    yield [c for c in columns if c == name]
    yield [c for c in columns if c.casefold() == name.casefold()]
    known = [*PREFIXES[kind], *(p for p in (*SETTINGS, *METRICS) if p not in PREFIXES[kind])]
    for prefix in known:
        yield [c for c in columns if c in {f"{prefix}{mark}{name}" for mark in SEPARATORS}]
    yield [c for c in columns if re.split(r"[./]", c)[-1] == name]


def look_for(names: Iterable[str], columns: Sequence[str]) -> str | None:
    """The first of these columns that is there, however its letters are written; else None."""
    by_name = {column.casefold(): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def bare_name(column: str) -> str:
    """A column without its customary prefix.

    >>> [bare_name(c) for c in ("params.lr", "params_lr", "metrics.val/acc", "lr")]
    ['lr', 'lr', 'val/acc', 'lr']
    """
    found = re.fullmatch(f"(?:{'|'.join((*SETTINGS, *METRICS))})[{SEPARATORS}](.+)", column)
    return found.group(1) if found else column


def measured(columns: Sequence[str]) -> list[str]:
    """The columns that are metrics by their names: all of metrics.*, else the first that is known.

    Those of MLflow's own about the machine are none.
    """
    named = [c for c in columns if re.match(r"(metrics|summary)[./]", c)]
    named = [c for c in named if not re.match(r"(metrics|summary)[./](system/|_)", c)]
    if named:
        return named
    words = {c: set(re.split(r"[^a-z0-9]+", bare_name(c).casefold())) for c in columns}
    for known in MEASURED:
        if found := [c for c in columns if known in words[c]]:
            return found
    return []


def numbers_of(table: "pd.DataFrame", column: str, where: object) -> np.ndarray:
    """A column as float64, NaN where it is empty; raises DataCorruptError for other text."""
    import pandas as pd

    values = table[column]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_complex_dtype(values):
        return values.to_numpy(dtype=float, na_value=np.nan)
    made = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        try:
            made[row] = np.nan if is_empty(value) else float(value)
        except (TypeError, ValueError, OverflowError):
            raise DataCorruptError(
                "not a number",
                where=f"{where}, {line_of(row, where)}, column {column}",
                found=short(value),
                hint="put a number there, or leave it empty",
            ) from None
    return made


def is_empty(value: Any) -> bool:
    """Whether a cell of a table holds nothing."""
    if isinstance(value, str):
        return value.strip().casefold() in NO_NUMBER
    return value is None or bool(np.isscalar(value) and value != value) or _is_missing(value)


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return value is pd.NA or value is pd.NaT


def line_of(row: int, where: object) -> str:
    """Where a row stands: of a text file by its line, the first of which has the names."""
    return f"line {row + 2}" if str(where).endswith((".csv", ".tsv", ".tab")) else f"row {row}"


def _listed(names: Sequence[str]) -> str:
    """Some names; long ones are cut, so that a line stays a line."""
    shown = [name if len(name) <= 30 else f"{name[:27]}..." for name in names[:5]]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(shown) + more
