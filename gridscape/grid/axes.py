"""Axes, cells and the grid that they span: plain data, no JAX.

A cell is one point of the grid; a trial is a cell and a replicate. Cells are plain mappings from
axis to value, so that they can be written to JSON, hashed, and typed on a command line.
"""

import itertools
import math
import re
import sys
from collections import Counter
from collections.abc import ItemsView, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gridscape.errors import UnknownNameError, UsageError, short

Value = int | float | str | bool


@dataclass(frozen=True)
class Axis:
    """One hyperparameter and its values, in the order in which they are shown.

    None is among them where some sub-grid leaves it unset: such an axis is drawn as one of names.
    """

    name: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        where = f"axis {self.name}"
        object.__setattr__(self, "values", tuple(self.values))
        if not self.values:
            raise UsageError("an axis needs at least one value", where=where)
        odd = [v for v in self.values if v is not None and not _is_value(v)]  # None: unset
        if odd:
            expected = "numbers, texts, true or false"
            raise UsageError("wrong type", where=where, expected=expected, found=short(odd[0]))
        # Nine digits, as in ``same``: closer numbers could not be told apart by name.
        counts = Counter(f"{v:.9g}" if isinstance(v, int | float) else show(v) for v in self.values)
        if repeated := [label for label, count in counts.items() if count > 1]:
            raise UsageError(
                "an axis lists each value once",
                where=where,
                found=f"{', '.join(repeated)} more than once",
            )

    @property
    def scale(self) -> str:
        """How the axis is drawn: "log", "linear" or "category".

        Positive numbers are logarithmic over two decades, when they are two, and where their
        ratios are more even than their steps.
        """
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.values):
            return "category"
        numbers = np.sort(np.array(self.values, dtype=float))
        if len(numbers) == 1 or numbers[0] <= 0:
            return "linear"
        if len(numbers) == 2 or numbers[0] <= numbers[-1] / 100:
            return "log"
        ratios, steps = np.diff(np.log(numbers)), np.diff(numbers)
        return "log" if _unevenness(ratios) < _unevenness(steps) else "linear"

    @property
    def unset(self) -> int | None:
        """The index of None, the value where a sub-grid leaves the axis unset."""
        return self._places.get(None)

    @cached_property
    def _places(self) -> dict[Value | None, int]:
        return {value: place for place, value in enumerate(self.values)}

    def place(self, value: Value) -> int | None:
        """The index of the value that is the ``same``; None where there is none."""
        value = written(value)
        if value in self._places:
            return self._places[value]
        if value == show(None):
            return self.unset
        return next((i for i, own in enumerate(self.values) if same(value, own)), None)


def _unevenness(gaps: np.ndarray) -> float:
    """The range of positive numbers as a fraction of their mean."""
    return float(np.ptp(gaps) / gaps.mean())


def _is_value(value: object) -> bool:
    """Whether this may stand on an axis: a text, or a number that a float has room for."""
    if isinstance(value, int):
        return abs(value) <= sys.float_info.max
    return isinstance(value, float | str)


@dataclass(frozen=True, eq=False)
class Cell(Mapping[str, Value]):
    """One point of the grid: a mapping from axis to value, equal to any with the same items.

    >>> cell = Cell.of(hidden_size=64, learning_rate=0.01)
    >>> str(cell), cell["hidden_size"]
    ('hidden_size=64, learning_rate=0.01', 64)
    """

    items_: tuple[tuple[str, Value], ...]

    @classmethod
    def of(cls, /, **values: Value) -> "Cell":
        """The cell with these values."""
        return cls(tuple(values.items()))

    def __getitem__(self, name: str) -> Value:
        for own, value in self.items_:  # of a few axes: sooner found than put into a dictionary
            if own == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.items_)

    def __len__(self) -> int:
        return len(self.items_)

    def items(self) -> ItemsView[str, Value]:
        """Its axes and their values."""
        return dict(self.items_).items()  # that of Mapping looks for each value by its name

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Cell):
            return self.items_ == other.items_ or dict(self.items_) == dict(other.items_)
        return isinstance(other, Mapping) and dict(self.items_) == dict(other)

    def __hash__(self) -> int:
        known: int | None = self.__dict__.get("_hash")
        if known is None:
            known = self.__dict__["_hash"] = hash(frozenset(self.items_))
        return known

    def __reduce__(self) -> tuple[Any, ...]:
        return Cell, (self.items_,)  # without the hash, which another process has otherwise

    def __str__(self) -> str:
        told = ((name, value) for name, value in self.items_ if value is not None)
        return ", ".join(f"{name}={show(value)}" for name, value in told)


@dataclass(frozen=True)
class Grid:
    """All cells that the axes span, the last axis fastest."""

    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(len(axis.values) for axis in self.axes)

    def axis(self, name: str) -> Axis:
        """The axis of this name; raises UnknownNameError."""
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise UnknownNameError("axis", name, [axis.name for axis in self.axes])

    def cells(self) -> list[Cell]:
        """Every cell once."""
        return list(self._cells)

    @cached_property
    def _cells(self) -> tuple[Cell, ...]:
        names = [axis.name for axis in self.axes]
        points = itertools.product(*(axis.values for axis in self.axes))
        return tuple(Cell(tuple(zip(names, point, strict=True))) for point in points)

    def places(self, cell: Mapping[str, Value]) -> tuple[int, ...] | None:
        """The index of a cell along each axis; None where it is not in the grid.

        An axis of one value need not be named, nor one that is unset there.
        """
        places = []
        for axis in self.axes:
            alone = 0 if len(axis.values) == 1 else axis.unset
            place = axis.place(cell[axis.name]) if axis.name in cell else alone
            if place is None:
                return None
            places.append(place)
        return tuple(places)

    def at(self, places: Iterable[int]) -> Cell:
        """The cell with these indices along the axes."""
        pairs = zip(self.axes, places, strict=True)
        return Cell(tuple((axis.name, axis.values[place]) for axis, place in pairs))

    def look_up(self, cell: Mapping[str, Value]) -> Cell | None:
        """The cell of the grid that has these values; None where there is none.

        An axis of one value need not be named.
        """
        places = self.places(cell)
        return None if places is None else self.at(places)

    def find(self, /, **values: Value) -> Cell:
        """The cell with these values; raises UsageError unless exactly one has them."""
        for name, value in values.items():
            if self.axis(name).place(value) is None:
                raise UsageError(
                    f"no cell has {name}={show(value)}",
                    expected=f"one of {', '.join(map(show, self.axis(name).values))}",
                )
        unnamed = [axis for axis in self.axes if axis.name not in values]
        open_axes = [a.name for a in unnamed if len(a.values) > 1 and a.unset is None]
        if open_axes:
            hint = f"say also {', '.join(open_axes)}"
            raise UsageError("this names more than one cell", hint=hint)
        return self.at(self.places(values) or ())


def same(a: Value, b: Value) -> bool:
    """Whether two axis values are the same number (1e-3 typed in any way) or the same text."""
    if a is None or b is None:
        return a is b
    if isinstance(a, str) != isinstance(b, str):  # a number typed as text
        a, b = (parse_value(v) if isinstance(v, str) else v for v in (a, b))
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    try:
        return math.isclose(a, b, rel_tol=1e-9)
    except OverflowError:  # a whole number that no float has room for
        return a == b


def show(value: Value | None) -> str:
    """A value as a reader writes it: 16, 0.01, 1e-05, gru; "unset" where an axis is."""
    if value is None:
        return "unset"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def written(value: Any) -> Any:
    """A list of whole numbers as an axis has it, any other value as it is.

    A cell is told by what is written, in tables, folders and on a command line.

    >>> written([64, 32]), written("64-32"), written([64, "x"])
    ('64-32', '64-32', [64, 'x'])
    """
    if isinstance(value, list | tuple) and value and all(type(part) is int for part in value):
        return "-".join(map(str, value))
    return value


def is_wide(values: Iterable[float], times: float = 30) -> bool:
    """Whether numbers are better read on a log scale: none below 0, those above it far apart."""
    finite = [value for value in values if math.isfinite(value)]
    above = [value for value in finite if value > 0]
    return bool(above) and min(finite) >= 0 and max(above) > times * min(above)


def parse_values(name: str, text: str) -> tuple[Value, ...]:
    """The values of ``--set NAME=TEXT``: a list ``V1,V2`` or a log range ``low:high:count``.

    >>> parse_values("learning_rate", "1e-3:1:4")
    (0.001, 0.01, 0.1, 1.0)
    >>> parse_values("hidden_size", "16,32")
    (16, 32)
    >>> parse_values("layers", "[64],[64,32]")
    ([64], [64, 32])
    """
    if text.count(":") == 2:
        return _log_range(name, text)
    values = [parse_value(part.strip()) for part in parts_of(text) if part.strip()]
    if not values:
        raise UsageError("an axis needs at least one value", where=f"axis {name}", found=repr(text))
    return tuple(values)


def parts_of(text: str) -> list[str]:
    """What stands between the commas that are in no brackets.

    >>> parts_of("layers=[64,32],learning_rate=0.1")
    ['layers=[64,32]', 'learning_rate=0.1']
    """
    return re.split(r",(?![^\[]*\])", text)


def parse_value(text: str) -> Any:
    """A whole number, a number, true or false, a list of them in brackets, else the text itself."""
    if text.startswith("[") and text.endswith("]"):
        return [parse_value(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _log_range(name: str, text: str) -> tuple[Value, ...]:
    where, expected = f"axis {name}", "low:high:count with 0 < low < high and a count from 2"
    try:
        low_text, high_text, count_text = text.split(":")
        low, high, count = float(low_text), float(high_text), int(count_text)
    except ValueError:
        raise UsageError("not a range", where=where, expected=expected, found=repr(text)) from None
    if not (0 < low < high < math.inf and 2 <= count <= 10_000):
        raise UsageError("not a range", where=where, expected=expected, found=repr(text))
    numbers = np.geomspace(low, high, count)
    if all(part.strip().lstrip("+").isdecimal() for part in (low_text, high_text)):
        return tuple(dict.fromkeys(round(v) for v in numbers))
    # Six digits read well and are exact for decades; the ends are what was typed.
    return (low, *(float(f"{v:.6g}") for v in numbers[1:-1]), high)
