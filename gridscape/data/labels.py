"""Labels of any kind: text, categories, true and false, whole numbers; in natural order."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gridscape.errors import DataCorruptError, short

MOST_CLASSES = 20  # of whole numbers; what has more different ones is taken for a number
FEW_EACH = 2  # examples of a class, on average, below which numbers are no classes


class Labels(NamedTuple):
    """The class of each example, (N,) int32, as an index into the names of the classes."""

    codes: np.ndarray
    names: tuple[str, ...]


def coded(values: Any, where: object = None) -> Labels:
    """Labels (N,) as classes, in the order of their numbers or, of text, in natural order.

    Raises DataCorruptError where one is missing, or there are fewer than two classes.

    >>> coded(["b10", "b9", "b10"]).names, coded([3, 1, 2]).codes.tolist()
    (('b9', 'b10'), [2, 0, 1])
    """
    found = _flat(values)
    missing = np.flatnonzero(missing_in(found))
    if len(missing):
        raise DataCorruptError(
            f"{len(missing)} of {len(found)} labels are missing",
            where=where,
            found=f"none at example {missing[0]} (from 0)",
            hint='leave these examples out; of a table, missing = "drop"',
        )
    kinds = getattr(getattr(values, "dtype", None), "categories", None)  # pandas' own order
    try:
        different, places = _different(found)
    except TypeError as error:  # dicts and sets cannot be compared by their content
        expected, kind = "a text or number each", type(found[0]).__name__
        raise DataCorruptError("no labels", where=where, expected=expected, found=kind) from error
    names, of_different = np.unique(_texts(different), return_inverse=True)
    codes = of_different[places]
    in_order = _in_order(names.tolist(), found, kinds if _is_ordered(values) else None)
    if len(in_order) < 2:
        raise DataCorruptError(
            "fewer than two classes", where=where, expected="2 or more", found=short(in_order)
        )
    place = {name: at for at, name in enumerate(in_order)}
    order = np.array([place[name] for name in names.tolist()], np.int32)
    return Labels(order[codes], tuple(in_order))


def are_classes(values: Any) -> bool:
    """Whether values are taken for classes: texts, true and false, a few whole numbers.

    >>> are_classes(["a", "b"]), are_classes([0, 1] * 5), are_classes([0.5, 1.5])
    (True, True, False)
    """
    found = np.asarray(values)
    if found.dtype == bool or not np.issubdtype(found.dtype, np.number):
        return True
    there = found[np.isfinite(found)]
    if len(np.unique(there[:1_000])) > MOST_CLASSES or not (there == np.floor(there)).all():
        return False
    n_different = len(np.unique(there))
    return n_different <= MOST_CLASSES and len(there) >= FEW_EACH * n_different


def missing_in(values: np.ndarray) -> np.ndarray:
    """Which of some values are missing: None, NaN, NaT and the like, (N,)."""
    if values.dtype.kind in "biuSU":
        return np.zeros(len(values), bool)
    if values.dtype.kind == "f":
        return np.isnan(values)
    import pandas as pd  # a second to import: only where there may be objects

    return np.asarray(pd.isna(values), bool)


def natural(text: str) -> tuple[Any, ...]:
    """What texts are sorted by so that numbers in them count as such.

    >>> sorted(["b10", "b9", "a"], key=natural)
    ['a', 'b9', 'b10']
    """
    parts = re.split(r"(\d+)", text.casefold())
    return (*((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts), text)


def _flat(values: Any) -> np.ndarray:
    """(N,), as (N, 1) also is."""
    found = np.asarray(values)
    return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found


def _different(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values that there are, each once, and which of them each is."""
    if values.dtype.kind in "biuf":
        return np.unique(values, return_inverse=True)
    import pandas as pd

    codes, different = pd.factorize(values.astype(object))
    return np.asarray(different), codes


def _texts(values: np.ndarray) -> np.ndarray:
    """What is written for each label: 1 for 1.0."""
    if values.dtype.kind == "f" and (values == np.floor(values)).all():
        return values.astype(np.int64).astype(str)
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind in "biuU":
        return values.astype(str)
    return np.array([_text(v) for v in values.tolist()], dtype=str)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_ordered(values: Any) -> bool:
    return bool(getattr(getattr(values, "dtype", None), "ordered", False))


def _in_order(names: Sequence[str], values: np.ndarray, kinds: Any) -> list[str]:
    if kinds is not None:  # the order that was said
        said = [_text(kind) for kind in kinds]
        return [name for name in said if name in set(names)]
    if values.dtype.kind in "iuf":
        return sorted(names, key=float)
    return sorted(names, key=natural)
