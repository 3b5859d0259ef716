"""The rate over time in NumPy is that which trains, and each cell has its own."""

import numpy as np
import pytest
from synthetic import landscape

from gridscape.analysis.rates import DEFAULTS, rate_of, rates_over_time, share_of_rate
from gridscape.optimizers.schedules import LENGTH, SCHEDULES, factor

N = 40


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.25])
def test_the_twin_is_what_trains(schedule: str, warmup: float) -> None:
    numbers = {**SCHEDULES[schedule].numbers, "warmup": warmup}
    at = np.arange(N + 1)
    trained = [float(factor(schedule, {**numbers, LENGTH: float(N)}, u)) for u in at]
    ours = share_of_rate(schedule, numbers, at, N)
    np.testing.assert_allclose(ours, trained, atol=2e-6)  # float32


def test_the_defaults_are_those_that_train() -> None:
    assert {name: dict(found.numbers) for name, found in SCHEDULES.items()} == DEFAULTS


def test_each_cell_has_its_own_way() -> None:
    axes = {"schedule": ["constant", "cosine"], "learning_rate": [0.01, 0.1]}
    land = landscape(axes, lambda cell: 0.9)
    ways, of = rates_over_time(land)
    assert of == [None, None, 0, 0]
    (cosine,) = ways
    assert cosine.schedule == "cosine"
    assert (cosine.at[0], cosine.at[-1]) == (0, 399)
    assert cosine.share[0] == 1
    assert cosine.share[-1] < 0.001
    assert [rate_of(land, cell) for cell in land.grid.cells()] == [0.01, 0.1, 0.01, 0.1]


def test_a_rate_that_stays_is_not_told() -> None:
    assert rates_over_time(landscape()) == ((), [])
    ways, of = rates_over_time(landscape(study={"schedule": "constant"}))
    assert (ways, set(of)) == ((), {None})
    warm = landscape(study={"schedule": "constant", "hyperparameters": {"warmup": 0.5}})
    assert rates_over_time(warm)[0][0].share[:2] == (0.0, 0.02)
