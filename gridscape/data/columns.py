"""Columns of a table as numbers that a network reads: scaled, one-hot, dates in days."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gridscape.data.labels import natural
from gridscape.errors import DataCorruptError, UnknownNameError, UsageError, check_known

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("refuse", "drop", "fill")
SCALES = ("standard", "pixels", "none")
MOST_CATEGORIES = 1_000
FEW_ROWS = 1_000  # of a first look
FEW_ROWS_EACH = 2  # of a text: with fewer it is a name or a sentence, and no category
ISO_DATE = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?Z?"
NO_CATEGORY = ""


class Features(NamedTuple):
    """What networks read of a table.

    inputs: (N, D), uint8 pixels or float32. names: of the D numbers, "color=red" of a category.
    told: what a user should know of them, a line each.
    """

    inputs: np.ndarray
    names: tuple[str, ...]
    told: tuple[str, ...]


def check_columns(kind: str, names: Sequence[str], table: "pd.DataFrame") -> None:
    """Raise UnknownNameError for a column that a table has not."""
    for name in names:
        if name not in table.columns:
            raise UnknownNameError("column", str(name), map(str, table.columns), where=kind)


def check_cells(table: "pd.DataFrame") -> None:
    """Raise DataCorruptError for a column whose cells hold lists or tables."""
    for name, column in table.items():
        some = column.dropna() if column.dtype == object else ()
        kinds = [type(v).__name__ for v in some if isinstance(v, list | dict | set | np.ndarray)]
        if kinds:
            raise DataCorruptError(
                "cells that hold several values",
                where=f"column {name!r}",
                expected="a number, text or date each",
                found=kinds[0],
                hint=f"drop = [{name!r}] leaves it out",
            )


def without_missing(
    table: "pd.DataFrame", needed: Sequence[str], missing: str, where: object
) -> "tuple[pd.DataFrame, list[str]]":
    """The table without rows that lack something, or as it is where that is filled; what is told.

    needed: targets, and what orders and splits the rows, which are never filled. Raises
    DataCorruptError where nothing was chosen.
    """
    check_known("value of missing", missing, MISSING, where="missing")
    lacks = table.isna()
    counts = lacks.sum()
    there = {str(name): int(n) for name, n in counts[counts > 0].items()}
    if not there:
        return table, []
    words = ", ".join(f"{n} in {name!r}" for name, n in list(there.items())[:6])
    words += f" and {len(there) - 6} columns more" if len(there) > 6 else ""
    if missing == "refuse":
        first = int(np.flatnonzero(lacks.any(axis=1))[0])
        raise DataCorruptError(
            f"missing values: {words}",
            where=where,
            found=f"the first one in row {first + 1} of {len(table)}",
            hint='missing = "drop" leaves such rows out, missing = "fill" fills them',
        )
    wanting = lacks.any(axis=1) if missing == "drop" else lacks[list(needed)].any(axis=1)
    kept = table[~wanting]
    if not len(kept):
        raise DataCorruptError("every row lacks something", where=where, found=words)
    done = f"{int(wanting.sum())} rows left out" if wanting.any() else "filled"
    return kept, [f"missing values ({words}): {done}"]


def features(
    table: "pd.DataFrame", is_train: np.ndarray, scale: str = "standard", where: object = None
) -> Features:
    """The columns of a table as inputs, with means, spreads and categories of the training rows.

    Numbers are standardized, or kept as they are ("none", and "pixels" of whole numbers in 0 to
    255). Texts, categories and true and false of more than two kinds become one number each kind;
    dates become days since the first of them. Missing numbers are filled by the training median,
    missing categories by zeros. Raises DataCorruptError for numbers that are not finite, UsageError
    for texts that are no categories, and UnknownNameError for another scale.
    """
    check_known("scale", scale, SCALES, where="scale")
    parts: list[np.ndarray] = []
    names: list[str] = []
    told: list[str] = []
    numbers: list[str] = []
    for name, column in table.items():
        kind = kind_of(column)
        if kind == "number":
            numbers.append(str(name))
        elif kind == "date":
            told.append(f"{name!r} is read as a date, in days")
            numbers.append(str(name))
        else:
            inputs, kinds, unseen = _one_hot(str(name), column, is_train, where)
            parts.append(inputs)
            names += kinds
            told += unseen
    if scale == "pixels":
        return Features(_pixels(table, parts, where), tuple(numbers), tuple(told))
    if numbers:
        found, more = _numbers(table[numbers], is_train, scale, where)
        parts.insert(0, found)
        told += more
    if not parts:
        raise UsageError("no columns to learn from", where=where, expected="one or more")
    inputs = parts[0] if len(parts) == 1 else np.hstack(parts)
    return Features(inputs, (*numbers, *names), tuple(told))


def kind_of(column: "pd.Series[Any]") -> str:
    """What a column holds: "number", "date" or "category"."""
    import pandas as pd

    kind = column.dtype
    if pd.api.types.is_datetime64_any_dtype(kind):
        return "date"
    if pd.api.types.is_numeric_dtype(kind) and not isinstance(kind, pd.CategoricalDtype):
        return "number"
    some = column.dropna().head(100)
    if len(some) and not isinstance(kind, pd.CategoricalDtype):
        is_text = all(isinstance(value, str) for value in some)
        if is_text and bool(some.str.fullmatch(ISO_DATE).all()):
            return "date"
    return "category"


def days(column: "pd.Series[Any]", where: object = None) -> np.ndarray:
    """Dates as days since 1970, (N,) float64, NaN where one is missing; DataCorruptError."""
    import pandas as pd

    try:
        dates = pd.to_datetime(column, utc=True, format="ISO8601")
    except (ValueError, TypeError) as error:
        raise DataCorruptError(
            "not a date", where=f"{where}, column {column.name!r}", found=str(error)[:100]
        ) from error
    found = dates.dt.tz_localize(None).to_numpy("datetime64[us]")
    nothing = np.isnat(found)
    numbers = found.astype(np.int64) / 86_400e6
    return np.where(nothing, np.nan, numbers)


def as_numbers(table: "pd.DataFrame", where: object) -> np.ndarray:
    """Columns of numbers and dates as (N, D) float64; raises DataCorruptError for infinite ones."""
    dates = [name for name in table if kind_of(table[name]) == "date"]
    if dates:
        table = table.assign(**{str(name): days(table[name], where) for name in dates})
    is_complex = [name for name in table if table[name].dtype.kind == "c"]
    if is_complex:
        raise DataCorruptError("complex numbers", where=f"{where}, column {is_complex[0]!r}")
    found = table.to_numpy(np.float64, na_value=np.nan)
    with np.errstate(all="ignore"):
        sums = found.sum(axis=0)  # which need no second table, unlike looking at every number
    if not np.isfinite(sums).all() and np.isinf(found).any():
        row, column = np.argwhere(np.isinf(found))[0]
        raise DataCorruptError(
            "a number that is not finite",
            where=where,
            found=f"{found[row, column]} in row {row + 1}, column {table.columns[column]!r}",
        )
    return found


def _numbers(
    table: "pd.DataFrame", is_train: np.ndarray, scale: str, where: object
) -> tuple[np.ndarray, list[str]]:
    """Standardized by the training rows, (N, D) float32; what is told of them."""
    found = as_numbers(table, where)
    made = np.empty(found.shape[::-1], np.float32).T  # a column lies together, as in ``found``
    spreads, rows = np.empty(found.shape[1]), np.flatnonzero(is_train)

    def put(at: int) -> None:
        column = found[:, at]
        if np.isnan(column.min()):
            there = column[rows][~np.isnan(column[rows])]
            filling = np.median(there) if len(there) else 0.0
            column = np.where(np.isnan(column), filling, column)
        of_train = column[rows]
        mean, spreads[at] = of_train.mean(), of_train.std()
        made[:, at] = column if scale == "none" else (column - mean) / (spreads[at] or 1.0)

    # A few at a time: of a long table far less memory, and NumPy lets threads work side by side.
    with ThreadPoolExecutor() as pool:
        list(pool.map(put, range(found.shape[1])))
    constant = [str(name) for name, s in zip(table, spreads, strict=True) if not s > 0]
    told = [f"constant columns, which tell nothing: {_some(constant)}"] if constant else []
    varied = spreads[spreads > 0]
    if scale == "none" and len(varied) and varied.max() > 1_000 * varied.min():
        told.append('spreads differ by more than a thousand: scale = "standard" makes them one')
    return made, told


def _pixels(table: "pd.DataFrame", others: list[np.ndarray], where: object) -> np.ndarray:
    found = None if others else as_numbers(table, where)
    if found is None or not ((found >= 0) & (found <= 255) & (found == np.floor(found))).all():
        raise DataCorruptError(
            "not pixels", where=where, expected="whole numbers from 0 to 255", found=_some(table)
        )
    return found.astype(np.uint8)


def _one_hot(
    name: str, column: "pd.Series[Any]", is_train: np.ndarray, where: object
) -> tuple[np.ndarray, list[str], list[str]]:
    """(N, K) float32: 1 in the place of the kind, of those in the training rows."""
    texts = column.astype(object).where(column.notna(), NO_CATEGORY).map(str)
    codes, found = texts.factorize()
    names = list(found)
    counts = np.bincount(codes, minlength=len(found))
    if len(found) > min(MOST_CATEGORIES, max(20, len(texts) / FEW_ROWS_EACH)):
        raise UsageError(
            f"column {name!r} holds texts that are hardly ever the same",
            where=where,
            expected="categories, numbers or dates",
            found=f"{len(found)} different ones in {len(texts)} rows",
            hint=f"drop = [{name!r}] leaves it out",
        )
    seen = np.bincount(codes[is_train], minlength=len(found)) > 0
    kinds = sorted((k for k, s in zip(found, seen, strict=True) if s and k), key=natural)
    if len(kinds) == 2 and set(kinds) == {"False", "True"}:
        kinds = ["True"]
    place = np.full(len(found), -1)
    for at, kind in enumerate(kinds):
        place[names.index(kind)] = at
    inputs = (place[codes][:, None] == np.arange(len(kinds))).astype(np.float32)
    n_unseen = int(counts[~seen & (np.asarray(found) != NO_CATEGORY)].sum())
    told = [f"{n_unseen} values of {name!r} are not in the training part"] if n_unseen else []
    return inputs, [f"{name}={kind}" for kind in kinds], told


def telltales(table: "pd.DataFrame", codes: np.ndarray) -> list[str]:
    """Columns that name the class of every row: (N,) codes of few classes."""
    first = np.flatnonzero(np.bincount(codes))
    found = []
    for name, column in table.items():
        # A look at the first rows spares most columns the whole.
        if not _tells(column[:1_000], codes[:1_000]) or column.nunique() != len(first):
            continue
        if _tells(column, codes):
            found.append(str(name))
    return found


def equal_to(table: "pd.DataFrame", targets: "pd.DataFrame") -> list[str]:
    """Columns of numbers that are one of the targets."""
    return [
        str(name)
        for name, column in table.items()
        if any(_are_equal(column, targets[target]) for target in targets)
    ]


def _are_equal(column: "pd.Series[Any]", other: "pd.Series[Any]") -> bool:
    if kind_of(column) != "number" or kind_of(other) != "number":
        return False
    one, two = (x.to_numpy(np.float64, na_value=np.nan) for x in (column, other))
    # A look at the first rows spares most columns the whole.
    return all(np.array_equal(one[:n], two[:n]) for n in (FEW_ROWS, len(one)))


def _tells(column: "pd.Series[Any]", codes: np.ndarray) -> bool:
    """Whether no value of a column stands beside two classes, nor a class beside two values."""
    import pandas as pd

    values, different = column.factorize(use_na_sentinel=False)
    pairs = pd.unique(values * (int(codes.max()) + 1) + codes)
    return len(pairs) == len(different) == len(np.unique(codes))


def _some(names: Any) -> str:
    listed = [repr(str(name)) for name in names]
    more = f" and {len(listed) - 4} more" if len(listed) > 4 else ""
    return ", ".join(listed[:4]) + more
