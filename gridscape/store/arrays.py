"""Stored trials as arrays over the axes of a grid: numbers, texts and curves of each."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gridscape.grid.arrays import Array, LateArray
from gridscape.grid.axes import Axis, Cell, show
from gridscape.grid.meanings import MEASURED, Meaning, meaning_of
from gridscape.grid.names import (
    ANSWER_SPREAD,
    AXIS_AS_WELL,
    CLOCKS,
    COLLAPSED,
    CURVES,
    FACTS,
    REPLICATE,
    TOP_ANSWER,
    TOP_SHARE,
    Variable,
    curve_of,
    curve_variable,
    is_by,
    is_one_answer,
)
from gridscape.grid.trials import Status, Trial, TrialResult


class Places:
    """Where in the arrays a trial goes."""

    def __init__(self, axes: tuple[Axis, ...], replicates: int) -> None:
        self.axes, self.replicates = axes, replicates
        self.dims = (*(axis.name for axis in axes), REPLICATE)
        self.shape = (*(len(axis.values) for axis in axes), replicates)
        self._index = [{value: i for i, value in enumerate(axis.values)} for axis in axes]

    def of(self, trial: Trial) -> tuple[int, ...] | None:
        """The index of a trial, None where it lies outside the grid."""
        steps = zip(self.axes, self._index, strict=True)
        try:
            at = tuple(index[trial.cell[axis.name]] for axis, index in steps)
        except KeyError:
            return None
        return (*at, trial.replicate) if 0 <= trial.replicate < self.replicates else None

    def empty(self, fill: Any, dtype: Any = float, extra: tuple[int, ...] = ()) -> np.ndarray:
        """An array of all trials, each (*extra,), filled with one value."""
        return np.full((*self.shape, *extra), fill, dtype)


Entry = tuple[tuple[int, ...], Trial, TrialResult]
Found = list[Entry]


def described(
    variables: Mapping[str, Any], metrics: Mapping[str, Meaning], kind: str | None
) -> dict[str, Array | LateArray]:
    """Variables, each (dimensions, values), with what is told of them."""
    return {
        name: Array(dims, values, attributes_of(name, dims, values, metrics, kind))
        for name, (dims, values) in variables.items()
    }


def attributes_of(
    name: str,
    dims: tuple[str, ...],
    values: np.ndarray,
    metrics: Mapping[str, Meaning],
    kind: str | None,
) -> dict[str, str]:
    """What is told of a variable beside its numbers: its unit, and of a metric which is better."""
    if name not in MEASURED and (values.dtype.kind != "f" or dims == (name,)):
        return {}
    if TOP_ANSWER in (name, curve_of(name)):  # a class is no amount
        return {}
    attributes = of_meaning(meaning_of(name, metrics, kind))
    if name in MEASURED:  # a fact is no goal
        del attributes["better"]
    return attributes


def of_meaning(meaning: Meaning) -> dict[str, str]:
    """The unit of a metric, where it has one, and which of its sides is better."""
    return {**({"units": meaning.unit} if meaning.unit else {}), "better": meaning.better}


def final_arrays(places: Places, found: Found, expected: Iterable[str]) -> dict[str, Any]:
    """Every variable with one value per trial; those expected where none has ended."""
    metrics = dict.fromkeys(name for _, _, result in found for name in result.metrics) or expected
    facts = [name for name in FACTS if name not in {*places.dims} & {*AXIS_AS_WELL}]
    results = [result for _, _, result in found]
    where = tuple(np.array([at for at, _, _ in found], int).reshape(-1, len(places.shape)).T)

    def filled(fill: Any, dtype: Any, values: Sequence[Any]) -> np.ndarray:
        array = places.empty(fill, dtype)
        array[where] = np.array(values, dtype)
        return array

    numbers = {n: filled(np.nan, float, [r.metrics.get(n) for r in results]) for n in metrics}
    numbers |= {n: filled(np.nan, float, [getattr(r, n) for r in results]) for n in facts}
    texts = {
        "status": filled(Status.MISSING.value, object, [r.status.value for r in results]),
        "key": filled("", object, [trial.key for _, trial, _ in found]),
        "reason": filled("", object, [_reason(r) for r in results]),
    }
    nothing = places.empty(np.nan)
    one = is_one_answer(numbers.get(TOP_SHARE, nothing), numbers.get(ANSWER_SPREAD, nothing))
    collapsed = (texts["status"] == Status.FINISHED.value) & one
    arrays: dict[str, np.ndarray] = {**numbers, COLLAPSED: collapsed}
    arrays |= {name: text.astype(str) for name, text in texts.items()}
    return {name: (places.dims, array) for name, array in arrays.items()}


def _reason(result: TrialResult) -> str:
    """Why a trial did not finish; "" where it did."""
    return result.reason or (f"{result.bad_quantity} not finite" if result.bad_quantity else "")


def kinds_of(study: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The kinds of examples that metrics are told apart by, as a coordinate, if there are any."""
    name, values = study.get("groups") or ("", [])
    return {name: np.array(values)} if values else {}


def arrays_by_kind(
    places: Places, found: Found, kinds: Mapping[str, np.ndarray], study: Mapping[str, Any]
) -> dict[str, Any]:
    """Every variable with one value per trial and kind of example."""
    variables = {}
    for kind, values in kinds.items():
        for name in dict.fromkeys(n for _, _, r in found for n in r.curves if is_by(n, kind)):
            array = places.empty(np.nan, extra=(len(values),))
            for at, trial, result in found:
                if name in result.curves:
                    array[at][_own(study, trial.cell, values)] = result.curves[name]
            variables[name] = ((*places.dims, kind), array)
    return variables


def _own(study: Mapping[str, Any], cell: Cell, kinds: np.ndarray) -> Any:
    """Where in ``kinds`` those of a cell's task are: all, unless an axis chooses the task."""
    for chosen, values in study.get("groups_of", []):
        if all(cell[name] == value for name, value in chosen.items()):
            return np.searchsorted(kinds, values)
    return slice(None)


def clock_of(curve: str) -> str:
    """The coordinate along which a curve runs."""
    variable = Variable.parse(curve)
    return "update" if variable and variable.split == "train" else "evaluated_at"


def points_of(found: Found, clock: str) -> np.ndarray:
    """All the updates at which some trial has a point, ascending."""
    name = CLOCKS[clock]
    stored = [result.curves[name] for _, _, result in found if name in result.curves]
    different = {points.tobytes(): points for points in stored}.values()  # most are equal
    return np.unique(np.concatenate([np.empty(0), *different])).astype(np.int64)


def curve_arrays(places: Places, found: Found, kind: str | None) -> dict[str, Any]:
    """Every variable with one value per trial and update: trials may have different points."""
    variables = {}
    for name in curve_names(found, kind):
        points = points_of(found, clock_of(name))
        array = places.empty(np.nan, extra=(len(points),))
        fill(array, found, name, points)
        variables[curve_variable(name)] = ((*places.dims, clock_of(name)), array)
    return variables


def curve_names(found: Found, kind: str | None = None) -> Sequence[str]:
    """The curves that any trial has; those expected where none has ended."""
    stored = dict.fromkeys(name for _, _, result in found for name in result.curves)
    return [n for n in stored if n not in CLOCKS.values() and not is_by(n, kind)] or CURVES


def fill(array: np.ndarray, found: Found, curve: str, points: np.ndarray) -> None:
    """Put a curve of each trial into its place of (..., points)."""
    clock = CLOCKS[clock_of(curve)]
    for at, _, result in found:
        if curve in result.curves:
            array[at][np.searchsorted(points, result.curves[clock])] = result.curves[curve]


def coordinates_of(places: Places, found: Found) -> dict[str, Any]:
    """The values of all axes, the replicates, and the updates at which curves have points."""
    values: dict[str, Any] = {axis.name: _coordinate(axis) for axis in places.axes}
    values[REPLICATE] = np.arange(places.replicates)
    return values | {clock: points_of(found, clock) for clock in CLOCKS}


def _coordinate(axis: Axis) -> np.ndarray:
    """The values of an axis as one array; text and numbers together become text.

    What is unset is NaN among numbers, "" among texts.
    """
    told = [value for value in axis.values if value is not None]
    if len(told) < len(axis.values) and all(type(value) in (int, float) for value in told):
        return np.array([math.nan if value is None else value for value in axis.values], float)
    kinds = {isinstance(value, str) for value in axis.values}
    if len(kinds) == 1 and None not in axis.values:
        return np.array(list(axis.values))
    return np.array(["" if value is None else show(value) for value in axis.values])


def values_of(coordinate: np.ndarray, known: Sequence[Any]) -> tuple[Any, ...]:
    """The values of an axis that an array of ``_coordinate`` tells, as a study knows them."""
    own = {"" if value is None else show(value): value for value in known}
    return tuple(
        own.get("" if value != value else show(value), value) for value in coordinate.tolist()
    )
