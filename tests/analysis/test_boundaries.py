"""The boundary between values that learn and values that do not."""

import math

import numpy as np
import pytest
from landscapes import ONE_AXIS, THREE_AXES, diverges, fixed
from synthetic import landscape

from gridscape.analysis.boundaries import boundary
from gridscape.analysis.statistics import t_interval
from gridscape.errors import UsageError
from gridscape.grid.trials import Status


def test_boundary_between_the_last_value_that_learns_and_the_next():
    land = fixed(
        {"learning_rate": [1e-3, 1e-2, 1e-1, 1.0]},
        [[0.9, 0.9, 0.9], [0.9, 0.9, 0.9], [0.9, 0.3, 0.9], [0.1, 0.1, 0.1]],
    )
    (found,) = boundary(land)
    assert found.learns == (0.1, 0.01, 0.1)
    assert found.fails == (1.0, 0.1, 1.0)
    assert found.threshold == 0.5
    middles = np.log10([0.1, 0.01, 0.1]) + 0.5
    assert found.estimate.mean == pytest.approx(10 ** middles.mean())
    assert np.log10(found.estimate.low) == pytest.approx(t_interval(middles - 0.5).low)
    assert np.log10(found.estimate.high) == pytest.approx(t_interval(middles + 0.5).high)


def test_boundary_of_agreeing_replicates_is_the_step_of_the_grid():
    (found,) = boundary(fixed(ONE_AXIS, [[0.9] * 3, [0.9] * 3, [0.1] * 3]))
    assert (found.estimate.low, found.estimate.high) == pytest.approx((1e-2, 1e-1))


def test_boundary_counts_diverged_and_collapsed_as_not_learning():
    land = fixed(
        ONE_AXIS,
        [[0.9, 0.9], [0.9, 0.9], [0.9, 0.9]],
        status=diverges((1e-1, 0)),
        collapsed=lambda cell, r: (cell["learning_rate"], r) == (1e-1, 1),
    )
    (found,) = boundary(land)
    assert found.learns == (1e-2, 1e-2)


def test_boundary_beyond_the_grid_is_open():
    (everywhere,) = boundary(fixed(ONE_AXIS, [[0.9, 0.9]] * 3))
    assert everywhere.fails == (None, None)
    assert everywhere.estimate.high == math.inf
    assert math.isnan(everywhere.estimate.mean)
    (nowhere,) = boundary(fixed(ONE_AXIS, [[0.1, 0.1]] * 3))
    assert nowhere.learns == (None, None)
    assert nowhere.estimate.low == 0.0
    assert nowhere.estimate.high == pytest.approx(1e-3)


def test_boundary_leaves_out_a_replicate_that_cannot_decide():
    def status(cell, replicate):
        missing = (cell["learning_rate"], replicate) in {(1e-1, 0), (1e-3, 1)}
        return Status.MISSING if missing else Status.FINISHED

    land = fixed(ONE_AXIS, [[0.9] * 3, [0.9] * 3, [0.1] * 3], status=status)
    (found,) = boundary(land)
    assert found.replicates == (1, 2)  # what is missing below the boundary does not matter
    assert "1 replicates" in found.note


def test_boundary_of_one_replicate_has_no_interval():
    (found,) = boundary(fixed(ONE_AXIS, [[0.9], [0.9], [0.1]]))
    assert found.estimate.mean == pytest.approx(10**-1.5)
    assert not found.estimate.known


def test_boundary_needs_numbers_in_any_order():
    with pytest.raises(UsageError, match="axis of numbers"):
        boundary(landscape(THREE_AXES, lambda c: 0.5), "cell")
    shuffled = fixed({"learning_rate": [1e-1, 1e-3, 1e-2]}, [[0.1, 0.1], [0.9, 0.9], [0.9, 0.9]])
    assert boundary(shuffled)[0].learns == (1e-2, 1e-2)
    assert len(boundary(landscape(THREE_AXES, lambda c: 0.9))) == 4
