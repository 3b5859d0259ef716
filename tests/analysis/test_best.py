"""The best value of an axis in each row, with its interval."""

import numpy as np
from landscapes import ONE_AXIS, THREE_AXES, diverges, fixed
from synthetic import RATES, landscape

from gridscape.analysis.best import best_per
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status


def test_best_per_row_with_values_that_cannot_be_told_apart():
    rng = np.random.default_rng(0)
    land = fixed(
        {"hidden_size": [16], "learning_rate": list(RATES[:4])},
        np.array([[0.5], [0.901], [0.9], [0.7]]) + 0.004 * rng.standard_normal((4, 5)),
    )
    (row,) = best_per(land)
    assert row.row == Cell.of(hidden_size=16)
    assert row.value in (1e-4, 1e-3)
    assert row.equivalent == (1e-4, 1e-3)
    assert (row.low, row.high) == (1e-4, 1e-3)
    assert row.known
    assert row.note == ""


def test_best_per_of_one_replicate_is_unknown_and_says_so():
    rows = best_per(landscape(replicates=1))
    assert [row.row["hidden_size"] for row in rows] == [16, 32, 64, 128]
    for row in rows:
        assert row.best is not None
        assert row.equivalent == ()
        assert row.low is None
        assert not row.known
        assert "none of the other cells tested" in row.note
        assert len(row.untested) == 5


def test_best_per_leaves_out_cells_that_mostly_diverged():
    land = fixed(
        ONE_AXIS,
        [[0.5, 0.5, 0.51], [0.7, 0.71, 0.7], [0.9, 0.9, 0.9]],
        status=diverges((1e-1, 0), (1e-1, 1)),
    )
    (row,) = best_per(land, per=[])
    assert row.value == 1e-2
    assert row.excluded == (Cell.of(learning_rate=1e-1),)


def test_best_per_of_a_row_without_candidates():
    land = landscape(ONE_AXIS, lambda c: 0.5, status=lambda c, r: Status.DIVERGED)
    (row,) = best_per(land)
    assert row.best is None
    assert row.value is None
    assert row.equivalent == ()
    assert "none learns" in row.note


def test_best_per_of_the_only_candidate():
    land = landscape(
        ONE_AXIS, lambda c: 0.5, status=diverges(*((v, r) for v in (1e-2, 1e-1) for r in range(3)))
    )
    (row,) = best_per(land)
    assert row.equivalent == (1e-3,)
    assert "only candidate" in row.note


def test_best_per_of_a_categorical_axis_and_of_a_loss():
    land = landscape(THREE_AXES, lambda c: 0.6 + 0.2 * (c["cell"] == "gru"))
    for row in best_per(land, "cell", per="hidden_size"):
        assert row.value == "gru"
        assert (row.low, row.high) == (None, None)
    assert {row.value for row in best_per(land, "cell", metric="test_loss")} == {"gru"}
    assert len(best_per(land, "cell")) == 6
    assert len(best_per(land, "cell", per=())) == 1


def test_the_interval_of_the_best_value_holds_the_true_best():
    """The truth: 1e-2 is best by half a standard deviation, so that it is often not picked."""
    truth = {1e-3: 0.80, 1e-2: 0.905, 1e-1: 0.90}
    held = []
    for seed in range(200):
        land = landscape(
            ONE_AXIS, lambda c: truth[c["learning_rate"]], noise=0.01, replicates=5, seed=seed
        )
        (row,) = best_per(land)
        held.append(1e-2 in row.equivalent)
        assert 1e-3 not in row.equivalent
    assert np.mean(held) >= 0.9
