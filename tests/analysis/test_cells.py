"""Summaries of cells, paired differences; any grid in any state."""

import math

import numpy as np
import pytest
from landscapes import ONE_AXIS, THREE_AXES, diverges, fixed
from scipy import special, stats
from synthetic import STUDY_AXES, landscape

from gridscape.analysis.best import best_per
from gridscape.analysis.boundaries import boundary
from gridscape.analysis.cells import CellState, ended_values, paired_difference, summarize
from gridscape.analysis.costs import pareto, smallest_equivalent
from gridscape.analysis.curves import curve_band
from gridscape.analysis.spreads import spread
from gridscape.analysis.statistics import Interval, share_interval, t_interval
from gridscape.errors import UnknownNameError, UsageError
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status

# ---- cells ------------------------------------------------------------------------------------


def test_summary_counts_and_leaves_diverged_out_of_the_mean():
    land = fixed(
        ONE_AXIS,
        [[0.5, 0.6, 0.7, 0.8], [0.9, 0.9, 0.1, 0.2], [0.1, 0.1, 0.1, 0.1]],
        status=diverges((1e-2, 2), (1e-2, 3), (1e-1, 0)),
        collapsed=lambda cell, r: cell["learning_rate"] == 1e-1,
    )
    low, middle, high = summarize(land)
    plain, values = t_interval([0.5, 0.6, 0.7, 0.8]), np.array([0.5, 0.6, 0.7, 0.8])
    # Below .65 the interval of the logit is the wider one; half an example of 100 moves it by .002.
    reach = stats.t.ppf(0.975, 3) * special.logit(values).std(ddof=1) / 2
    assert low.estimate.high == pytest.approx(plain.high)
    assert low.estimate.low == pytest.approx(special.expit(special.logit(0.65) - reach), abs=0.002)
    assert (low.share.mean, low.share.n, low.n_learns) == (1.0, 4, 4)
    assert low.state is CellState.FINISHED
    assert (middle.estimate.mean, middle.estimate.n) == (0.9, 2)
    assert middle.share == share_interval(2, 4)
    assert (middle.n_finished, middle.n_diverged, middle.n_ended) == (2, 2, 4)
    assert middle.state is CellState.DIVERGED
    assert not middle.is_candidate  # half of them diverged
    assert middle.first_bad_updates[:2] == (None, None)
    assert middle.first_bad_updates[2] == 150
    assert (high.n_collapsed, high.n_finished, high.state) == (3, 3, CellState.COLLAPSED)
    assert high.collapsed == (False, True, True, True)
    assert high.is_candidate
    np.testing.assert_equal(high.values, (math.nan, 0.1, 0.1, 0.1))


def test_two_numbers_for_a_cell_whose_runs_fail():
    rates = {"learning_rate": [1e-4, 1e-3, 1e-2, 1e-1]}
    scores = [[0.90, 0.92, 0.94]] * 3 + [[0.90, 0.92, 0.10]]  # the last run learns nothing
    *_, inside, edge = cells = summarize(fixed(rates, scores, study={"guessing": 0.1}))
    assert [s.at_edge for s in cells] == [False, False, True, True]
    assert edge.learns == (True, True, False)
    assert edge.share == share_interval(2, 3)
    assert edge.estimate.mean == pytest.approx(0.91)
    assert edge.estimate.n == 2
    assert inside.share == share_interval(3, 3)
    assert edge.values[2] == pytest.approx(0.1)  # it is told, and no part of the mean


def test_the_next_value_of_a_name_is_not_beside_it():
    land = landscape(
        {"cell": ["lstm", "gru"]},
        lambda c: 0.9,
        status=lambda c, r: Status.DIVERGED if (c["cell"], r) == ("gru", 0) else Status.FINISHED,
    )
    assert [s.at_edge for s in summarize(land)] == [False, True]


def test_summary_of_missing_and_failed_cells():
    def status(cell, replicate):
        if cell["learning_rate"] == 1e-3:
            return Status.MISSING
        return [Status.FAILED, Status.OUT_OF_MEMORY, Status.DIVERGED][replicate]

    missing, failed, _ = summarize(landscape(ONE_AXIS, lambda c: 0.5, status=status))
    assert (missing.n_missing, missing.state) == (3, CellState.MISSING)
    assert math.isnan(missing.n_parameters)
    assert missing.keys == ("", "", "")
    assert (failed.n_failed, failed.n_diverged, failed.state) == (2, 1, CellState.FAILED)
    assert math.isnan(failed.estimate.mean)
    assert failed.n_parameters > 0
    assert failed.seconds > 0


def test_cells_come_in_the_order_of_the_grid():
    land = landscape(THREE_AXES, lambda c: c["hidden_size"] / 100 + c["learning_rate"], noise=0.0)
    summaries = summarize(land)
    assert [s.cell for s in summaries] == land.grid.cells()
    for s in summaries:
        assert s.estimate.mean == pytest.approx(
            s.cell["hidden_size"] / 100 + s.cell["learning_rate"]
        )
        assert s.statuses == ("finished",) * 3


def test_unknown_metric_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'test_loss'"):
        summarize(landscape(ONE_AXIS, lambda c: 0.5), "test_los")


def test_paired_difference_against_scipy():
    land = landscape(
        ONE_AXIS, lambda c: 0.5 + c["learning_rate"] / 4, replicates=6, shared_noise=0.08
    )
    a, b = Cell.of(learning_rate=1e-1), Cell.of(learning_rate=1e-3)
    ours = paired_difference(land, a, b)
    x, y = (land.data["test_accuracy"].sel(**c).values for c in (a, b))
    assert ours.p_value == pytest.approx(stats.ttest_rel(x, y).pvalue, rel=1e-9)
    interval = stats.ttest_rel(x, y).confidence_interval()
    assert (ours.estimate.low, ours.estimate.high) == pytest.approx(tuple(interval))
    # what replicates share cancels: the unpaired interval could not tell the two apart
    assert ours.estimate.excludes(0)
    assert stats.ttest_ind(x, y).pvalue > 0.05


def test_paired_difference_uses_common_replicates_only():
    land = fixed(
        ONE_AXIS,
        [[0.5, 0.6, 0.7], [0.1, 0.2, 0.3], [0.0, 0.0, 0.0]],
        status=diverges((1e-3, 0), (1e-2, 1)),
    )
    found = paired_difference(land, Cell.of(learning_rate=1e-3), Cell.of(learning_rate=1e-2))
    assert found.replicates == (2,)
    assert found.differences == pytest.approx((0.4,))
    assert math.isnan(found.p_value)
    with pytest.raises(UsageError, match="no cell has learning_rate=5"):
        paired_difference(land, Cell.of(learning_rate=5), Cell.of(learning_rate=1e-2))


def test_ended_values_drop_replicates_that_are_still_missing():
    def status(cell, replicate):
        if (cell["learning_rate"], replicate) == (1e-2, 1):
            return Status.MISSING
        return diverges((1e-3, 2))(cell, replicate)

    land = fixed(ONE_AXIS, [[1, 2, 3], [4, 5, 6], [7, 8, 9]], status=status)
    np.testing.assert_equal(ended_values(summarize(land)), [[1, math.nan], [4, 6], [7, 9]])


# ---- any grid ---------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [ONE_AXIS, STUDY_AXES, THREE_AXES, {"learning_rate": [0.1]}])
@pytest.mark.parametrize("replicates", [1, 3])
@pytest.mark.parametrize("status", list(Status))
def test_everything_works_on_any_grid_in_any_state(axes, replicates, status):
    land = landscape(
        axes,
        lambda c: 0.5 + c["learning_rate"] / 4,
        replicates=replicates,
        status=lambda c, r: status,
    )
    assert len(summarize(land)) == len(land.grid.cells())
    assert all(isinstance(row.note, str) for row in best_per(land))
    assert len(boundary(land)) == len(best_per(land))
    finished = status is Status.FINISHED
    assert len(pareto(land).points) == (len(land.grid.cells()) if finished else 0)
    assert (smallest_equivalent(land) is not None) == finished
    assert len(spread(land, "learning_rate")) == len(best_per(land))
    for cell in land.grid.cells():
        band = curve_band(land, cell)
        assert all(n == (replicates if finished else 0) for n in band.n)


def test_records_are_frozen():
    interval = Interval(0.5, 0.4, 0.6, 3)
    with pytest.raises(AttributeError):
        interval.mean = 1.0
