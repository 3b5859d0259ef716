"""Options of tasks and models: one clear line about a value that cannot be."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from gridscape.errors import UnknownNameError, UsageError


def check_known(kind: str, name: Any, names: Iterable[str], *, where: object = None) -> None:
    """Raise UnknownNameError unless a name is one of those known."""
    if name not in list(names):
        raise UnknownNameError(kind, str(name), names, where=where)


def check_whole(low: int = 1, high: float = math.inf, **options: Any) -> None:
    """Raise UsageError unless every option is a whole number from ``low`` to ``high``."""
    expected = f"a whole number from {low}" + (f" to {high}" if high < math.inf else "")
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise UsageError("out of range", where=name, expected=expected, found=repr(value))


def check_numbers(
    where: str, values: Iterable[Any], low: float = -math.inf, once: bool = False
) -> None:
    """Raise UsageError unless there are numbers, all whole and from ``low``, each ``once``."""
    numbers = list(values)
    are_whole = [isinstance(n, int | np.integer) and not isinstance(n, bool) for n in numbers]
    repeated = once and all(are_whole) and len(set(numbers)) < len(numbers)
    if not numbers or not all(are_whole) or min(numbers) < low or repeated:
        expected = "whole numbers" + (f" from {low}" if low > -math.inf else "")
        expected += ", each once" if once else ""
        raise UsageError("out of range", where=where, expected=expected, found=short(values))


def short(value: Any) -> str:
    """A value as it is written, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
