"""Results read elsewhere than at the end: along the curves, or for one kind of test example.

Either becomes one more axis of the landscape, so that all that works on a landscape works on it.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from gridscape.analysis.curves import interpolate
from gridscape.errors import UnknownNameError
from gridscape.grid.arrays import Array, Arrays, LateArray
from gridscape.grid.axes import Value
from gridscape.grid.names import COLLAPSED, FACTS, REPLICATE, TEXTS, Variable, by_kind
from gridscape.landscape import Landscape

UPDATE = "update"


def along(land: Landscape, places: Mapping[str, Iterable[Value]]) -> Landscape:
    """The landscape with further axes: the updates at which it is read, or a kind of test example.

    places: by name, the values of the new axis; names that are axes already are passed over.
        "update": the metrics are those that have a curve, linear between a trial's points.
        The kind by which the task tells its test examples apart, as "length": the test metrics.
    All else (status, costs) is that of the whole trial; NaN where a trial was not looked at.
    Raises UnknownNameError for another name.
    """
    for name, values in places.items():
        if name not in [axis.name for axis in land.axes]:
            land = _with_axis(land, name, list(values))
    return land


def _with_axis(land: Landscape, name: str, values: list[Value]) -> Landscape:
    kinds = land.kinds
    if name != UPDATE and name not in kinds:
        known = [*(axis.name for axis in land.axes), UPDATE, *kinds]
        raise UnknownNameError("axis", name, known)
    *axes, replicate = land.array("status").shape
    names = [axis.name for axis in land.axes]
    shape, dims = (*axes, len(values), replicate), (*names, name, REPLICATE)

    def stored(array: np.ndarray, attributes: Mapping[str, str]) -> Array:
        return Array(dims, array, dict(attributes))

    variables: dict[str, Array | LateArray] = {
        kept: stored(
            np.broadcast_to(land.array(kept)[..., None, :], shape), land.stored_attributes(kept)
        )
        for kept in (COLLAPSED, *TEXTS, *FACTS)
        if land.has(kept) and kept not in names
    }
    metrics = _at_updates(land, values) if name == UPDATE else _of_kind(land, name, values)
    for metric, array in metrics.items():
        variables[metric] = stored(np.moveaxis(array, -1, -2), land.attributes(metric))
    places: dict[str, Array | LateArray] = {
        dim: Array((dim,), land.coordinate(dim), land.stored_attributes(dim))
        for dim in (*names, REPLICATE)
    }
    places[name] = Array((name,), np.asarray(values), {})
    return Landscape.of_arrays(Arrays(variables, places, land.stored_attributes()), land.study)


def _of_kind(land: Landscape, name: str, values: list[Value]) -> dict[str, np.ndarray]:
    """The test metrics of these kinds of examples: (*axes, R, kinds), NaN where there are none."""
    place = {kind: k for k, kind in enumerate(land.coordinate(name).tolist())}
    shape = (*land.array("status").shape, len(values))
    read = {}
    for metric in land.metrics:
        variable = Variable.parse(metric)
        if variable is not None and variable.split == "test":
            read[metric] = np.full(shape, np.nan)
            if land.has(by := by_kind(metric, name)):
                known = [k for k, kind in enumerate(values) if kind in place]
                read[metric][..., known] = land.array(by)[..., [place[values[k]] for k in known]]
    return read


def _at_updates(land: Landscape, values: list[Value]) -> dict[str, np.ndarray]:
    """Each curve at these updates: (*axes, R, updates)."""
    return {name: _read(land.points(name), land.lines(name), values) for name in land.curves}


def _read(updates: np.ndarray, lines: np.ndarray, at: list[Value]) -> np.ndarray:
    n_lines = math.prod(lines.shape[:-1])  # where all networks failed, a line has no points
    read = interpolate(updates, lines.reshape(n_lines, len(updates)), np.asarray(at))
    return read.reshape(*lines.shape[:-1], len(at))
