"""The boundary between values that learn and values that do not."""

import math
from dataclasses import replace

import numpy as np
import pytest
from landscapes import ONE_AXIS, THREE_AXES, diverges, fixed
from scipy import special
from synthetic import landscape

from gridscape.analysis.boundaries import _boundary_of_row, boundary
from gridscape.analysis.cells import summarize
from gridscape.analysis.statistics import t_interval
from gridscape.errors import UsageError
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status

FIVE = {"learning_rate": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]}


def test_boundary_counts_the_values_that_learn():
    scores = [[0.9] * 3, [0.9] * 3, [0.9, 0.9, 0.3], [0.9, 0.3, 0.9], [0.1] * 3]
    (found,) = boundary(fixed(FIVE, scores))
    assert found.threshold == 0.5
    # Three values learn, of 1e-4 to 1e-2 or with a hole; or four. The edge is half a step beyond.
    places = np.array([-0.5, -1.5, -1.5])
    assert found.places == pytest.approx(tuple(10**places))
    assert found.estimate.mean == pytest.approx(10 ** places.mean())
    assert found.estimate.high == math.inf  # the grid ends half a step beyond 1
    low = t_interval(places).low - 0.5
    assert found.estimate.low == pytest.approx(10**low)


def test_one_value_that_learns_by_luck_moves_the_edge_by_one_step():
    scores = [[0.9, 0.9], [0.9, 0.9], [0.1, 0.1], [0.1, 0.1], [0.1, 0.9]]
    (found,) = boundary(fixed(FIVE, scores))
    assert found.places == pytest.approx((10**-2.5, 10**-1.5))


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
    assert found.places == pytest.approx((10**-1.5, 10**-1.5))


def test_boundary_beyond_the_grid_is_open():
    (everywhere,) = boundary(fixed(ONE_AXIS, [[0.9, 0.9]] * 3))
    assert everywhere.places == pytest.approx((10**-0.5, 10**-0.5))
    assert everywhere.estimate.low == pytest.approx(1e-1)
    assert everywhere.estimate.high == math.inf
    assert math.isnan(everywhere.estimate.mean)
    (nowhere,) = boundary(fixed(ONE_AXIS, [[0.1, 0.1]] * 3))
    assert nowhere.places == (None, None)
    assert math.isnan(nowhere.estimate.mean)
    assert nowhere.estimate.low == 0.0
    assert nowhere.estimate.high == pytest.approx(1e-3)


def test_boundary_leaves_out_a_replicate_that_cannot_decide():
    def status(cell, replicate):
        missing = (cell["learning_rate"], replicate) in {(1e-1, 0), (1e-3, 1)}
        return Status.MISSING if missing else Status.FINISHED

    land = fixed(ONE_AXIS, [[0.9] * 3, [0.9] * 3, [0.1] * 3], status=status)
    (found,) = boundary(land)
    assert found.replicates == (2,)  # the others' values cannot be counted
    assert "2 of 3 replicates" in found.note


def test_boundary_of_one_replicate_has_no_interval():
    (found,) = boundary(fixed(ONE_AXIS, [[0.9], [0.9], [0.1]]))
    assert found.estimate.mean == pytest.approx(10**-1.5)
    assert not found.estimate.known


def test_boundary_needs_numbers_in_any_order():
    with pytest.raises(UsageError, match="axis of numbers"):
        boundary(landscape(THREE_AXES, lambda c: 0.5), "cell")
    shuffled = fixed({"learning_rate": [1e-1, 1e-3, 1e-2]}, [[0.1, 0.1], [0.9, 0.9], [0.9, 0.9]])
    assert boundary(shuffled)[0].places == pytest.approx((10**-1.5, 10**-1.5))
    assert len(boundary(landscape(THREE_AXES, lambda c: 0.9))) == 4


@pytest.mark.parametrize("per_decade", [1, 8])
@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_edge_is_held_however_fine_the_grid_is(per_decade, n):
    """Trials fail independently: half at 10^-1.9, by a logistic curve of a scale of .3 decades."""
    heights = np.linspace(-4, 0, 4 * per_decade + 1)
    land = landscape({"learning_rate": (10**heights).tolist()}, lambda c: 0.5, replicates=n)
    rng, inside, middles = np.random.default_rng(0), [], []
    learns = special.expit(-(heights[:, None] + 1.9) / 0.3)
    base, (axis,) = summarize(land), land.axes
    for _ in range(200):
        values = np.where(rng.random((len(heights), n)) < learns, 0.9, 0.1)
        members = [replace(s, values=tuple(v)) for s, v in zip(base, values.tolist(), strict=True)]
        found = _boundary_of_row(axis, Cell(()), members, 0.5).estimate
        inside.append(found.low <= 10**-1.9 <= found.high)
        middles.append(math.log10(found.mean) if found.mean == found.mean else math.nan)
    assert np.mean(inside) >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 200)
    assert abs(np.nanmean(middles) + 1.9) < 0.05  # by the last value that learns: .45 too high
