"""The curves of a large folder, which are read when they are looked at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gridscape.grid.arrays import LateArray
from gridscape.grid.meanings import Meaning
from gridscape.grid.names import CLOCKS, curve_of, curve_variable
from gridscape.store.arrays import (
    Entry,
    Found,
    Places,
    attributes_of,
    clock_of,
    curve_arrays,
    curve_names,
    fill,
    points_of,
)
from gridscape.store.store import Store


class LateCurves:
    """The curves of a large folder, read when they are looked at; each trial once.

    found: its trials without their arrays.
    """

    def __init__(self, directory: Path, places: Places, found: Found) -> None:
        self._directory, self._places, self._found = directory, places, found
        self._whole: dict[str, Any] = {}
        self._read: dict[str, dict[str, np.ndarray]] = {}

    def of(self, curve: str, cells: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """(points,) the updates and (cells, replicate, points) the lines of these cells."""
        inside = [
            ((row, at[-1]), trial, result)
            for row, number in enumerate(cells)
            for at, trial, result in self._of_cell(number)
        ]
        filled = self._with_curves(inside)
        points = points_of(filled, clock_of(curve))
        lines = np.full((len(cells), self._places.replicates, len(points)), np.nan)
        fill(lines, filled, curve, points)
        return points, lines

    def _of_cell(self, number: int) -> Found:
        """The trials of a cell, by its number in the grid."""
        numbers, order = self._by_cell
        first, end = np.searchsorted(numbers, (number, number + 1))
        return [self._found[i] for i in order[first:end].tolist()]

    @cached_property
    def _by_cell(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the cells of all trials, ascending, and where each of them is found."""
        shape = self._places.shape[:-1]
        places = np.array([at[:-1] for at, _, _ in self._found], int).reshape(-1, len(shape))
        numbers = np.ravel_multi_index(tuple(places.T), shape)
        order = np.argsort(numbers, kind="stable")
        return numbers[order], order

    def variables(self, metrics: Mapping[str, Meaning]) -> dict[str, LateArray]:
        """Every curve; their names are those of one trial of each way to end."""
        ways = {(r.status, *r.metrics): entry for entry in self._found if (r := entry[2])}
        names = [curve_variable(name) for name in curve_names(self._with_curves(ways.values()))]
        return {
            name: self._array(name, (*self._places.dims, clock_of(curve_of(name) or name)), metrics)
            for name in names
        }

    def clocks(self, metrics: Mapping[str, Meaning]) -> dict[str, LateArray]:
        """The updates at which the curves have points."""
        return {clock: self._array(clock, (clock,), metrics) for clock in CLOCKS}

    def _array(self, name: str, dims: tuple[str, ...], metrics: Mapping[str, Meaning]) -> LateArray:
        attributes = attributes_of(name, dims, np.empty(0), metrics, None)
        return LateArray(dims, attributes, lambda: self._all()[name])

    def _all(self) -> dict[str, Any]:
        if not self._whole:
            found = self._with_curves(self._found)
            curves = curve_arrays(self._places, found, None)
            self._whole = {name: values for name, (_, values) in curves.items()}
            self._whole |= {clock: points_of(found, clock) for clock in CLOCKS}
        return self._whole

    def _with_curves(self, found: Iterable[Entry]) -> Found:
        """These trials with their curves; one that is damaged has none."""
        found = list(found)
        lacking = [trial.key for _, trial, _ in found if trial.key not in self._read]
        if lacking:
            with Store.read(self._directory) as store:
                self._read.update(store.curves(lacking))
        return [(at, t, replace(r, curves=self._read.get(t.key, {}))) for at, t, r in found]
