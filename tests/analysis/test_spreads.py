"""Spreads along an axis."""

import numpy as np
import pytest
from landscapes import THREE_AXES, fixed
from synthetic import landscape

from gridscape.analysis.spreads import spread
from gridscape.analysis.statistics import t_interval
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status


def test_spread_by_hand():
    land = fixed(
        {"hidden_size": [16, 32], "learning_rate": [1e-3, 1e-2, 1e-1]},
        [[0.1, 0.2], [0.5, 0.5], [0.9, 0.7], [0.3, 0.3], [0.3, 0.4], [0.3, 0.5]],
        status=lambda c, r: (
            Status.DIVERGED
            if (c["hidden_size"], c["learning_rate"]) == (32, 1e-1)
            else Status.FINISHED
        ),
    )
    first, second = spread(land, "learning_rate")
    assert first.range.mean == pytest.approx(0.65)
    assert first.range.high == pytest.approx(t_interval([0.8, 0.5]).high)
    deviations = [np.std([0.1, 0.5, 0.9], ddof=1), np.std([0.2, 0.5, 0.7], ddof=1)]
    assert first.standard_deviation.mean == pytest.approx(np.mean(deviations))
    assert second.range.mean == pytest.approx(np.mean([0.0, 0.1]))
    assert second.excluded == (Cell.of(hidden_size=32, learning_rate=1e-1),)
    assert len(second.used) == 2
    assert len(spread(landscape(THREE_AXES, lambda c: 0.5), "cell")) == 6
