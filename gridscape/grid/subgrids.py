"""Grids that are no full product: the union of sub-grids, and axes that are walked together.

A table is one sub-grid. It has the values of every axis of its study; under "zip" it lists groups
of axes whose first values go together, whose second ones do, and so on. An axis that a table does
not set has the one value None there: what reads it takes its own default.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gridscape.grid.axes import Axis, Cell, Value

ZIP = "zip"
UNSET: tuple[None] = (None,)
Table = Mapping[str, Any]


def points(table: Table, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """The cells of one sub-grid as tuples in the order of ``names``; the last axis fastest.

    >>> table = {"width": [8, 16], "rate": [0.1, 0.01], "seed": [1, 2], "zip": [["width", "rate"]]}
    >>> points(table, ["width", "rate", "seed"])
    [(8, 0.1, 1), (8, 0.1, 2), (16, 0.01, 1), (16, 0.01, 2)]
    """
    group_of = {name: tuple(group) for group in table.get(ZIP, ()) for name in group}
    groups = list(dict.fromkeys(group_of.get(name, (name,)) for name in names))
    walked = [list(zip(*(table[name] for name in group), strict=True)) for group in groups]
    order = [name for group in groups for name in group]
    places = [order.index(name) for name in names]
    flat = (tuple(itertools.chain.from_iterable(point)) for point in itertools.product(*walked))
    return [tuple(point[place] for place in places) for point in flat]


def n_points(table: Table) -> int:
    """How many cells a sub-grid has; of axes that are walked together, the first one counts.

    >>> n_points({"width": [8, 16], "rate": [0.1, 0.01], "zip": [["width", "rate"]]})
    2
    """
    beside = {name for group in table.get(ZIP, ()) for name in group[1:]}
    return math.prod(len(table[name]) for name in table.keys() - beside - {ZIP})


def cells(tables: Iterable[Table], axes: Sequence[Axis]) -> list[Cell]:
    """The cells of all sub-grids, each once, in the order of the grid that ``axes`` span."""
    names = [axis.name for axis in axes]
    found = dict.fromkeys(point for table in tables for point in points(table, names))
    rank = [{value: place for place, value in enumerate(axis.values)} for axis in axes]
    ordered = sorted(found, key=lambda p: [of[v] for of, v in zip(rank, p, strict=True)])
    return [Cell(tuple(zip(names, point, strict=True))) for point in ordered]


def is_set(table: Table, name: str) -> bool:
    """Whether a sub-grid gives an axis values of its own."""
    return name in table and tuple(table[name]) != UNSET


def union(lists: Iterable[Iterable[Value | None]]) -> list[Value | None]:
    """The values of all lists, each once: what is unset first, numbers by size where all rise."""
    each = [list(values) for values in lists]
    found = dict.fromkeys(value for values in each for value in values)
    unset, told = [v for v in found if v is None], [v for v in found if v is not None]
    rises = all(_rises([v for v in values if v is not None]) for values in each)
    return [*unset, *(sorted(told, key=float) if rises else told)]


def _rises(values: Sequence[Value]) -> bool:
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return len(numbers) == len(values) and numbers == sorted(numbers)
