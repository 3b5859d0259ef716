"""How many replicates of each cell a study asks for: the same of all, but for those it lists.

A study's plain data has "axes", "replicates" and, where some cells have another number,
"replicates_of": pairs of a cell and its number, 0 for a cell that nobody asked for.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gridscape.grid.axes import Axis, Cell, Grid, show

OTHERS = "replicates_of"


class Asked:
    """The number of replicates that a study asks for, by cell; 0 outside of its grid."""

    def __init__(self, study: Mapping[str, Any]) -> None:
        self.names = tuple(study.get("axes", {}))
        self.replicates = int(study.get("replicates", 1))
        self._inside = {n: {show(v) for v in study["axes"][n]} for n in self.names}
        self._others = {self._place(cell): n for cell, n in study.get(OTHERS, [])}

    def of(self, cell: Mapping[str, Any]) -> int:
        """The number of a cell that names every axis of the study."""
        if any(show(cell[name]) not in values for name, values in self._inside.items()):
            return 0
        return self._others.get(self._place(cell), self.replicates)

    @property
    def most(self) -> int:
        """The largest number of any cell."""
        return max([self.replicates, *self._others.values()])

    def is_even(self, axes: Iterable[Axis]) -> bool:
        """Whether the number is the same of all cells of a grid, each of which is asked for."""
        values = {axis.name: axis.values for axis in axes}
        inside = (known.issuperset(map(show, values[n])) for n, known in self._inside.items())
        return not self._others and all(inside)

    def _place(self, cell: Mapping[str, Any]) -> tuple[str, ...]:
        # As text: an axis of numbers and text is text once it is an array.
        return tuple(show(cell[name]) for name in self.names)


def grid_of(axes: Mapping[str, Iterable[Any]]) -> Grid:
    """The grid of a study's axes."""
    return Grid(tuple(Axis(name, tuple(values)) for name, values in axes.items()))


def others_of(
    axes: Mapping[str, Iterable[Any]], replicates: int, numbers: Mapping[Cell, int]
) -> dict[str, Any]:
    """The part of a study's data that lists cells with another number than ``replicates``.

    numbers: of every cell of the grid of ``axes``.
    """
    cells = grid_of(axes).cells()
    listed = [[dict(cell), numbers[cell]] for cell in cells if numbers[cell] != replicates]
    return {OTHERS: listed} if listed else {}


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
    kept = {name: value for name, value in study.items() if name != OTHERS}
    return {**kept, "axes": axes, **others_of(axes, asked.replicates, numbers)}


def joined(stored: list[Any], more: Iterable[Any]) -> list[Any]:
    """The values of both; in ascending order where the stored numbers are."""
    values = list(stored)
    for value in more:  # which need not be hashable
        if value not in values:
            values.append(value)
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return sorted(values) if numbers and stored == sorted(stored) else values
