"""How many replicates of each cell a study asks for: the same of all, but for those it lists.

A study's plain data has "axes", "replicates" and, where its cells are not all that the axes span,
"grids": tables, as ``grid.subgrids`` reads them. Where some cells have another number,
"replicates_of" lists pairs of a cell and its number, 0 for a cell that nobody asked for.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from gridscape.grid.axes import Axis, Cell, Grid, show
from gridscape.grid.subgrids import Table, points

OTHERS = "replicates_of"
GRIDS = "grids"


class Asked:
    """The number of replicates that a study asks for, by cell; 0 outside of its grids."""

    def __init__(self, study: Mapping[str, Any]) -> None:
        self.names = tuple(study.get("axes", {}))
        self.replicates = int(study.get("replicates", 1))
        self._inside = {n: {show(v) for v in study["axes"][n]} for n in self.names}
        self._tables: list[Table] = list(study.get(GRIDS) or [])
        self._others = {self._place(cell): n for cell, n in study.get(OTHERS, [])}

    def of(self, cell: Mapping[str, Any]) -> int:
        """The number of a cell that names every axis of the study."""
        if any(show(cell[name]) not in values for name, values in self._inside.items()):
            return 0
        place = self._place(cell)
        return self._others[place] if place in self._others else self._usual(place)

    @property
    def most(self) -> int:
        """The largest number of any cell."""
        return max([self.replicates, *self._others.values()])

    def is_even(self, axes: Iterable[Axis]) -> bool:
        """Whether the number is the same of all cells of a grid, each of which is asked for."""
        values = {axis.name: axis.values for axis in axes}
        inside = (known.issuperset(map(show, values[n])) for n, known in self._inside.items())
        return not self._others and not self._tables and all(inside)

    def numbers(self, axes: Iterable[Axis]) -> np.ndarray:
        """The number of every cell of a grid of these axes, all of the study's among them: (*axes).

        The same as ``of``, much faster than cell by cell.
        """
        given = list(axes)
        axes = [axis for axis in given if axis.name in self.names]
        places = [{show(v): i for i, v in enumerate(axis.values)} for axis in axes]
        order = [self.names.index(axis.name) for axis in axes]
        inside = [np.array([show(v) in self._inside[a.name] for v in a.values]) for a in axes]
        usual = [(place, self.replicates) for place in self._within or ()]
        found = np.zeros([len(axis.values) for axis in axes], int)
        if self._within is None:
            found[np.ix_(*inside)] = self.replicates
        for texts, number in [*usual, *self._others.items()]:
            at = tuple(of.get(texts[n]) for of, n in zip(places, order, strict=True))
            if None not in at and all(known[i] for known, i in zip(inside, at, strict=True)):
                found[at] = number
        shape = [len(axis.values) for axis in given]
        own = [n if a.name in self.names else 1 for n, a in zip(shape, given, strict=True)]
        return np.broadcast_to(found.reshape(own), shape)

    @cached_property
    def _within(self) -> frozenset[tuple[str, ...]] | None:
        """The cells of all sub-grids; None where there are no such."""
        if not self._tables:
            return None
        cells = (point for table in self._tables for point in points(table, self.names))
        return frozenset(tuple(map(show, point)) for point in cells)

    def _usual(self, place: tuple[str, ...]) -> int:
        return self.replicates if self._within is None or place in self._within else 0

    def _place(self, cell: Mapping[str, Any]) -> tuple[str, ...]:
        # As text: an axis of numbers and text is text once it is an array.
        return tuple(show(cell[name]) for name in self.names)


def grid_of(axes: Mapping[str, Iterable[Any]]) -> Grid:
    """The grid of a study's axes."""
    return Grid(tuple(Axis(name, tuple(values)) for name, values in axes.items()))


def others_of(study: Mapping[str, Any], numbers: Mapping[Cell, int]) -> dict[str, Any]:
    """The part of a study's data that lists cells with another number than it says otherwise.

    study: with "axes", "replicates" and, if it has any, "grids". numbers: of every cell of the grid
    that the axes span.
    """
    usual = Asked({name: value for name, value in study.items() if name != OTHERS})
    listed = [[dict(cell), n] for cell, n in numbers.items() if n != usual.of(cell)]
    return {OTHERS: listed} if listed else {}


def tables_of(study: Mapping[str, Any]) -> list[Table]:
    """Tables whose cells are all that a study with "grids" asks for; [] where it has none.

    Each cell beside its grids, which joined them later, is a table of its own.
    """
    tables = list(study.get(GRIDS) or [])
    if not tables:
        return []
    usual = Asked({name: value for name, value in study.items() if name != OTHERS})
    beside = (cell for cell, n in study.get(OTHERS, []) if n and not usual.of(cell))
    return [*tables, *({name: [value] for name, value in cell.items()} for cell in beside)]


def asked_more(study: Mapping[str, Any], more: Mapping[Cell, int]) -> dict[str, Any]:
    """The study's data with at least so many replicates of these cells, which name every axis.

    Their values join the axes where these lack them; of the cells that come with that, nobody asks
    for any. A number below what is asked for already changes nothing.
    """
    asked = Asked(study)
    axes = {
        name: joined(values, [cell[name] for cell in more])
        for name, values in study["axes"].items()
    }
    numbers = {cell: max(asked.of(cell), more.get(cell, 0)) for cell in grid_of(axes).cells()}
    kept = {name: value for name, value in study.items() if name != OTHERS} | {"axes": axes}
    return {**kept, **others_of(kept, numbers)}


def joined(stored: list[Any], more: Iterable[Any]) -> list[Any]:
    """The values of both; in ascending order where the stored numbers are."""
    values = list(stored)
    for value in more:  # which need not be hashable
        if value not in values:
            values.append(value)
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return sorted(values) if numbers and stored == sorted(stored) else values
