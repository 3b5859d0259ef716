"""What is gathered for the page: curves averaged over stretches, the axis that is sought."""

import math

import numpy as np
import pytest
from contents import content_of, per_update
from synthetic import landscape

from gridscape.analysis.curves import curve_band
from gridscape.grid.axes import Axis
from gridscape.landscape import sought_axis
from gridscape.report.findings import STRETCHES, gather


def test_the_sought_axis_is_the_learning_rate_else_the_last() -> None:
    rate, width = Axis("learning_rate", (0.1, 1.0)), Axis("hidden_size", (1, 2))
    kind = Axis("cell", ("rnn", "gru"))
    assert sought_axis([rate, width]) is rate
    assert sought_axis([width, kind]) is kind
    assert sought_axis([width, Axis("learning_rate", (0.1,))]) is width
    assert sought_axis([Axis("cell", ("rnn",))]) is None


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan


@pytest.mark.parametrize("n", [STRETCHES, STRETCHES + 1, 399, 400, 999])
def test_train_curves_are_averaged_over_stretches(n: int) -> None:
    land = per_update(n)
    found = gather(land)
    cell = land.grid.cells()[0]
    (band,) = [b for b in found.bands[cell] if b.curve == "train_loss"]
    raw = land.data["curve_train_loss"].sel(dict(cell)).values
    length = found.stretch
    assert len(band.updates) <= STRETCHES
    assert length == math.ceil(n / STRETCHES)
    starts = range(0, n, length)
    assert band.updates == tuple(min(start + length, n) for start in starts)
    expected = [[_mean(line[s : s + length]) for s in starts] for line in raw]
    np.testing.assert_allclose(band.per_replicate, expected)


def test_short_curves_are_those_of_the_analysis() -> None:
    land = landscape()
    found = gather(land)
    assert found.stretch == 1
    cell = land.grid.cells()[9]
    expected = curve_band(land, cell, "train_loss")
    (band,) = [b for b in found.bands[cell] if b.curve == "train_loss"]
    assert band == expected
    shown = content_of(land)["curves"]["9"]["train_loss"]
    assert shown["at"] == list(expected.updates)
    np.testing.assert_allclose(shown["mean"], expected.mean, rtol=1e-3)
