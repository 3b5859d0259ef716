"""Results read elsewhere than at the end: along the curves, or for one kind of test example.

Either becomes one more axis of the landscape, so that all that works on a landscape works on it.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from gridscape.analysis.curves import interpolate
from gridscape.errors import UnknownNameError
from gridscape.grid.axes import Value
from gridscape.grid.names import COLLAPSED, FACTS, TEXTS, Variable, by_kind
from gridscape.landscape import Landscape

if TYPE_CHECKING:
    import xarray as xr

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
    if name != UPDATE and name not in _kinds(land):
        known = [*(axis.name for axis in land.axes), UPDATE, *_kinds(land)]
        raise UnknownNameError("axis", name, known)
    metrics = _at_updates(land, values) if name == UPDATE else _of_kind(land, name, values)
    kept = [n for n in (COLLAPSED, *TEXTS, *FACTS) if n in land.data.data_vars]
    whole = land.data[kept].expand_dims({name: values}, axis=-2)
    dims = whole["status"].dims
    data = whole.assign({metric: array.transpose(*dims) for metric, array in metrics.items()})
    for metric in metrics:
        data[metric].attrs |= land.attributes(metric)
    return Landscape(data, land.study)


def _kinds(land: Landscape) -> list[str]:
    """The kinds of test examples: all that is no axis and no clock of the curves."""
    known = {*land.data["status"].dims, UPDATE, "evaluated_at"}
    return [str(name) for name in land.data.coords if name not in known]


def _of_kind(land: Landscape, name: str, values: list[Value]) -> dict[str, "xr.DataArray"]:
    nowhere = land.data["seconds"].expand_dims({name: values}) * np.nan
    read = {}
    for metric in land.metrics:
        variable = Variable.parse(metric)
        if variable is not None and variable.split == "test":
            by = by_kind(metric, name)
            read[metric] = land.data[by].reindex({name: values}) if by in land.data else nowhere
    return read


def _at_updates(land: Landscape, values: list[Value]) -> dict[str, "xr.DataArray"]:
    return {name: _read(land.curve(name), values) for name in land.curves}


def _read(curve: "xr.DataArray", updates: list[Value]) -> "xr.DataArray":
    """A curve (..., points) at these updates: (..., update)."""
    import xarray as xr

    (clock,) = set(curve.dims) & {UPDATE, "evaluated_at"}
    moved = curve.transpose(..., clock)
    lines = moved.values.reshape(-1, moved.sizes[clock])
    read = interpolate(moved[clock].values, lines, np.asarray(updates))
    coords = {str(d): moved[d] for d in moved.dims[:-1]} | {UPDATE: updates}
    return xr.DataArray(read.reshape(*moved.shape[:-1], -1), coords, [*moved.dims[:-1], UPDATE])
