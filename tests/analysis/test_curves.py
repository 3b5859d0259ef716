"""Bands of curves over replicates."""

import numpy as np
import pytest
from landscapes import ONE_AXIS, diverges
from synthetic import landscape

from gridscape.analysis.curves import curve_band
from gridscape.analysis.statistics import t_interval
from gridscape.errors import UnknownNameError
from gridscape.grid.axes import Cell


def test_curve_band_over_finished_replicates():
    land = landscape(ONE_AXIS, lambda c: 0.9, status=diverges((1e-1, 2)), replicates=4)
    band = curve_band(land, Cell.of(learning_rate=1e-1), "test_accuracy")
    lines = land.data["curve_test_accuracy"].sel(learning_rate=1e-1).values
    assert band.updates == (50, 100, 200, 300, 400)
    assert band.finished == (True, True, False, True)
    assert band.n == (3,) * 5
    for i in range(5):
        expected = t_interval(lines[[0, 1, 3], i])
        assert (band.mean[i], band.low[i], band.high[i]) == pytest.approx(
            (expected.mean, expected.low, expected.high)
        )
    assert np.isfinite(band.per_replicate[2]).tolist() == [True] * 3 + [False] * 2


def test_a_band_of_fractions_ends_where_fractions_do():
    land = landscape(ONE_AXIS, lambda c: 0.9, replicates=3)
    for name in ("test_accuracy", "test_loss"):
        curve = land.data[f"curve_{name}"]
        curve.loc[{"learning_rate": 0.1}] = np.reshape([0.8, 1.0, 0.99], (3, 1))
        assert curve.dims[-2] == "replicate"
    bands = {
        n: curve_band(land, Cell.of(learning_rate=0.1), n) for n in ("test_accuracy", "test_loss")
    }
    whole = t_interval([0.8, 1.0, 0.99])
    assert set(bands["test_accuracy"].high) == {1.0}
    assert bands["test_loss"].high == pytest.approx([whole.high] * len(bands["test_loss"].high))
    assert bands["test_accuracy"].low == bands["test_loss"].low


def test_curve_band_of_one_replicate_and_of_none():
    land = landscape(ONE_AXIS, lambda c: 0.9, replicates=1, status=diverges((1e-1, 0)))
    one = curve_band(land, Cell.of(learning_rate=1e-2), "train_loss")
    assert np.isfinite(one.mean).all()
    assert np.isnan(one.low).all()
    none = curve_band(land, Cell.of(learning_rate=1e-1), "train_loss")
    assert np.isnan(none.mean).all()
    assert none.n == (0,) * len(none.updates)
    assert np.isfinite(none.per_replicate).all()
    with pytest.raises(UnknownNameError, match="did you mean 'train_loss'"):
        curve_band(land, Cell.of(learning_rate=1e-2), "train_los")
