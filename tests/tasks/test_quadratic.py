"""The quadratic bowl: gradient descent on it follows its closed form, and diverges beyond it."""

import numpy as np
import pytest

from gridscape.errors import UsageError
from gridscape.study.study import Study
from gridscape.sweep import run
from gridscape.tasks.quadratic import quadratic

CURVATURES = (1.0, 25.0)


def test_descent_follows_its_closed_form_and_diverges_beyond_two_over_the_curvature(tmp_path):
    rates = [0.01, 0.05, 0.1]  # the last lies beyond 2 / 25
    study = Study(
        name="bowl",
        task=quadratic(CURVATURES),
        model="point",
        optimizer="sgd",
        axes={"learning_rate": rates},
        updates=200,
        batch_size=1,
        replicates=1,
    )
    data = run(study, directory=tmp_path).data.isel(replicate=0)
    updates = np.arange(200)
    for rate, status in zip(rates, ("finished", "finished", "diverged"), strict=True):
        cell = data.sel(learning_rate=rate)
        assert cell.status == status
        factors = 1 - rate * np.array(CURVATURES)
        # The loss of an update is that before it. 1e-6 a float32 update, of 200.
        expected = (np.array(CURVATURES) / 2 * factors ** (2 * updates[:, None])).sum(axis=1)
        found = cell.curve_train_loss.values
        known = np.isfinite(found) & (expected > 1e-30) & (expected < 1e30)
        assert known.sum() > 50
        np.testing.assert_allclose(found[known], expected[known], rtol=1e-3)
    assert data.first_bad_update.sel(learning_rate=0.1) > 100
    assert float(data.test_distance.sel(learning_rate=0.05)) == pytest.approx(0.95**200, rel=1e-3)


@pytest.mark.parametrize("curvatures", [[], [0.0], [-1.0], [float("nan")], ["one"], 3.0])
def test_curvatures_are_positive_numbers(curvatures):
    with pytest.raises(UsageError, match="curvatures: out of range"):
        quadratic(curvatures)
