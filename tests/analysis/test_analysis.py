"""Analysis against SciPy, hand computation, brute force, and simulations with a known truth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from synthetic import RATES, STUDY_AXES, landscape

from gridscape.analysis.best import best_per
from gridscape.analysis.boundaries import boundary
from gridscape.analysis.budgets import fit_budget
from gridscape.analysis.cells import CellState, ended_values, paired_difference, summarize
from gridscape.analysis.costs import pareto, smallest_equivalent
from gridscape.analysis.curves import curve_band
from gridscape.analysis.published import Agreement, PublishedTable, compare_published
from gridscape.analysis.spreads import spread
from gridscape.analysis.statistics import Interval, holm, prediction_interval, t_interval, t_test
from gridscape.errors import UnknownNameError, UsageError
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status

ONE_AXIS = {"learning_rate": [1e-3, 1e-2, 1e-1]}
THREE_AXES = {
    "cell": ["lstm", "gru"],
    "hidden_size": [16, 32],
    "learning_rate": [1e-3, 1e-2, 1e-1],
}


def fixed(axes, accuracies, **options):
    """A landscape whose trials have exactly these values: cell by cell, (cells, R)."""
    replicates = len(accuracies[0])
    land = landscape(axes, lambda cell: 0.0, replicates=replicates, noise=0.0, **options)
    shape = land.data["test_accuracy"].shape
    accuracies = np.array(accuracies, float).reshape(shape)
    finished = land.data["status"] == "finished"
    land.data["test_accuracy"] = (land.data["test_accuracy"].dims, accuracies)
    land.data["test_accuracy"] = land.data["test_accuracy"].where(finished)
    return land


def diverges(*where):
    """A status function: these (learning rate, replicate) pairs diverge."""
    return lambda cell, replicate: (
        Status.DIVERGED if (cell["learning_rate"], replicate) in where else Status.FINISHED
    )


# ---- statistics -------------------------------------------------------------------------------


def test_t_interval_against_scipy():
    values = np.random.default_rng(0).normal(0.9, 0.1, 7)
    ours = t_interval(values)
    low, high = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert (ours.low, ours.high) == pytest.approx((low, high), rel=1e-12)
    assert (ours.mean, ours.n) == (pytest.approx(values.mean()), 7)
    assert t_interval([*values, math.nan]) == ours


def test_intervals_of_fractions_end_where_fractions_do():
    values = [0.8, 1.0, 0.99]
    land = fixed({"learning_rate": [0.1]}, [values])
    land.data["test_loss"][:] = values  # the same numbers, of something that may exceed 1
    whole = t_interval(values)
    assert whole.high > 1
    (shown,) = summarize(land, "test_accuracy")
    assert shown.estimate == Interval(whole.mean, whole.low, 1.0, 3)
    assert shown.estimate.reach == whole.mean - whole.low
    assert summarize(land, "test_loss")[0].estimate == whole
    low = fixed({"learning_rate": [0.1]}, [[0.2, 0.0, 0.01]])
    assert summarize(low)[0].estimate.low == 0.0
    of_no_fraction = fixed({"learning_rate": [0.1]}, [[1.1, 1.0, 1.2]])
    assert summarize(of_no_fraction)[0].estimate == t_interval([1.1, 1.0, 1.2])


def test_one_value_has_no_interval():
    one = t_interval([0.9])
    assert (one.mean, one.n) == (0.9, 1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert not one.known
    assert not one.excludes(0.0)
    assert math.isnan(t_interval([]).mean)


def test_t_interval_covers_at_its_level():
    rng = np.random.default_rng(1)
    inside = [not t_interval(rng.normal(0.7, 0.05, 4)).excludes(0.7) for _ in range(2000)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_prediction_interval_covers_one_new_run():
    rng = np.random.default_rng(2)
    inside = []
    for _ in range(2000):
        *ours, new = rng.normal(0.7, 0.05, 6)
        low, high = prediction_interval(ours)
        inside.append(low <= new <= high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_t_test_against_scipy():
    values = np.random.default_rng(3).normal(0.02, 0.05, 6)
    assert t_test(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-9)
    assert t_test(values, 0.1) == pytest.approx(stats.ttest_1samp(values, 0.1).pvalue, rel=1e-9)
    assert math.isnan(t_test([1.0]))
    assert t_test([0.5, 0.5]) == 0.0
    assert t_test([0.5, 0.5], 0.5) == 1.0


def test_holm_by_hand():
    # sorted .005 .01 .03 .04 times 4 3 2 1 = .02 .03 .06 .04, made monotone: .02 .03 .06 .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.9, 0.8]) == (1.0, 1.0)
    assert holm([]) == ()


def test_holm_leaves_untested_out_of_the_count():
    adjusted = holm([0.02, math.nan, 0.03])
    assert adjusted[0] == pytest.approx(0.04)
    assert math.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.04)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_holm_lies_between_raw_and_bonferroni_and_keeps_order(p_values):
    adjusted = np.array(holm(p_values))
    raw = np.array(p_values)
    assert (adjusted >= raw - 1e-12).all()
    assert (adjusted <= np.minimum(1, raw * len(raw)) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(raw, kind="stable")]) >= 0).all()


# ---- cells ------------------------------------------------------------------------------------


def test_summary_counts_and_leaves_diverged_out_of_the_mean():
    land = fixed(
        ONE_AXIS,
        [[0.5, 0.6, 0.7, 0.8], [0.9, 0.9, 0.1, 0.2], [0.1, 0.1, 0.1, 0.1]],
        status=diverges((1e-2, 2), (1e-2, 3), (1e-1, 0)),
        collapsed=lambda cell, r: cell["learning_rate"] == 1e-1,
    )
    low, middle, high = summarize(land)
    assert low.estimate == t_interval([0.5, 0.6, 0.7, 0.8])
    assert low.state is CellState.FINISHED
    assert middle.estimate == t_interval([0.9, 0.9])
    assert (middle.n_finished, middle.n_diverged, middle.n_ended) == (2, 2, 4)
    assert middle.state is CellState.DIVERGED
    assert not middle.is_candidate  # half of them diverged
    assert middle.first_bad_updates[:2] == (None, None)
    assert middle.first_bad_updates[2] == 150
    assert (high.n_collapsed, high.n_finished, high.state) == (3, 3, CellState.COLLAPSED)
    assert high.collapsed == (False, True, True, True)
    assert high.is_candidate
    np.testing.assert_equal(high.values, (math.nan, 0.1, 0.1, 0.1))


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
    land = landscape(ONE_AXIS, lambda c: c["learning_rate"], replicates=6, shared_noise=0.2)
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


# ---- best value of an axis --------------------------------------------------------------------


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
        assert "fewer than two" in row.note
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
    assert "none finished" in row.note


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


# ---- boundary ---------------------------------------------------------------------------------


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


# ---- cost -------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_pareto_against_brute_force(points):
    """Few distinct numbers, so that ties in cost, in accuracy and in both occur."""
    axes = {"place": [float(i) for i in range(len(points))]}
    land = landscape(
        axes,
        lambda c: points[int(c["place"])][1] / 10,
        noise=0.0,
        replicates=2,
        evaluated_at=(400,),
    )
    costs = np.array([[float(cost)] * 2 for cost, _ in points])
    land.data["flops"] = (land.data["flops"].dims, costs)
    found = {p.summary.cell["place"]: p.on_front for p in pareto(land).points}
    for i, (cost, score) in enumerate(points):
        beaten = any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points)
        assert found[float(i)] == (not beaten)


def test_pareto_is_sorted_and_tells_what_it_left_out():
    land = landscape(
        status=lambda c, r: Status.DIVERGED if c["learning_rate"] == 1 else Status.FINISHED
    )
    for cost in ("flops", "seconds", "n_parameters", "memory_bytes"):
        found = pareto(land, cost)
        costs = [p.cost for p in found.points]
        assert costs == sorted(costs)
        assert len(found.excluded) == 4
        scores = [p.summary.estimate.mean for p in found.front]
        assert scores == sorted(scores)
        assert found.points[0].cost == found.front[0].cost
    with pytest.raises(UnknownNameError, match="did you mean 'seconds'"):
        pareto(land, "second")


def test_pareto_of_nothing():
    land = landscape(ONE_AXIS, lambda c: 0.5, status=lambda c, r: Status.MISSING)
    assert pareto(land).points == ()
    assert len(pareto(land).excluded) == 3


WIDTHS_ONLY = {"hidden_size": [16, 32, 64]}


def test_smallest_equivalent_is_shown_by_the_interval():
    land = fixed(
        WIDTHS_ONLY,
        [[0.90, 0.91, 0.92], [0.949, 0.959, 0.969], [0.95, 0.96, 0.97]],
    )
    found = smallest_equivalent(land)
    assert found.best.cell == Cell.of(hidden_size=64)
    assert found.cell.cell == Cell.of(hidden_size=32)
    assert found.by_interval
    assert found.difference.mean == pytest.approx(-0.001)
    small, best = (summarize(land)[i] for i in (1, 2))
    assert found.saves_parameters == pytest.approx(1 - small.n_parameters / best.n_parameters)
    assert found.saves_flops == pytest.approx(0.75)
    assert found.saves_seconds == pytest.approx(1 - small.seconds / best.seconds)
    assert found.note == ""


def test_smallest_equivalent_does_not_take_noise_for_equality():
    land = fixed(WIDTHS_ONLY, [[0.1] * 3, [0.93, 0.97, 0.977], [0.96, 0.96, 0.96]])
    found = smallest_equivalent(land)
    assert found.cell.cell == found.best.cell == Cell.of(hidden_size=64)
    assert found.smallest_by_means.cell == Cell.of(hidden_size=32)
    assert "more replicates" in found.note
    assert found.saves_parameters == 0


def test_smallest_equivalent_of_one_replicate_goes_by_means_and_says_so():
    found = smallest_equivalent(fixed(WIDTHS_ONLY, [[0.90], [0.956], [0.96]]))
    assert found.cell.cell == Cell.of(hidden_size=32)
    assert not found.by_interval
    assert not found.difference.known
    assert "means alone" in found.note


def test_smallest_equivalent_by_loss_and_of_nothing():
    land = landscape(WIDTHS_ONLY, lambda c: 0.5 + c["hidden_size"] / 1000, noise=1e-5)
    found = smallest_equivalent(land, metric="test_loss", margin=0.07)
    assert found.best.cell == Cell.of(hidden_size=64)
    assert found.cell.cell == Cell.of(hidden_size=32)
    assert found.difference.mean < 0
    land = landscape(WIDTHS_ONLY, lambda c: 0.5, status=lambda c, r: Status.DIVERGED)
    assert smallest_equivalent(land) is None


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


# ---- curves -----------------------------------------------------------------------------------


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


# ---- published tables -------------------------------------------------------------------------


def table(values, metric="test_accuracy"):
    return PublishedTable("table", "a report", metric, tuple(values.items()))


def test_published_cells_inside_outside_and_unknown():
    land = fixed(
        {"learning_rate": [1e-4, 1e-3, 1e-2, 1e-1]},
        [[0.5, 0.52, 0.54]] * 4,
        status=lambda c, r: {
            1e-3: Status.FINISHED if r == 0 else Status.DIVERGED,
            1e-2: Status.MISSING,
        }.get(c["learning_rate"], Status.FINISHED),
    )
    edge = 0.52 + stats.t.ppf(0.975, 2) * 0.02 * math.sqrt(4 / 3)
    values = {
        Cell.of(learning_rate=1e-4): edge - 1e-6,
        Cell.of(learning_rate=0.1): edge + 1e-6,
        Cell.of(learning_rate=1e-3): 0.5,
        Cell.of(learning_rate=1e-2): 0.5,
        Cell.of(learning_rate=1.0): 0.5,
        Cell.of(learning_rate=2.0): math.nan,
    }
    found = compare_published(land, table(values))
    assert [cell.agreement for cell in found.cells] == [
        Agreement.INSIDE,
        Agreement.OUTSIDE,
        Agreement.UNKNOWN,
        Agreement.NOT_RUN,
        Agreement.NOT_RUN,
        Agreement.NOT_PUBLISHED,
    ]
    assert found.count(Agreement.NOT_RUN) == 2
    inside = found.cells[0]
    assert inside.prediction_high == pytest.approx(edge)
    assert inside.difference == pytest.approx(edge - 0.52, abs=1e-5)
    differences = [edge - 0.52, edge - 0.52, 0.0]
    assert found.mean_difference == pytest.approx(np.mean(differences), abs=1e-5)
    assert found.rmse == pytest.approx(np.sqrt(np.mean(np.square(differences))), abs=1e-5)


def test_published_table_needs_its_axes_and_no_further_choice():
    land = landscape(THREE_AXES, lambda c: 0.5)
    values = {Cell.of(hidden_size=16, learning_rate=1e-3): 0.5}
    with pytest.raises(UsageError, match="axis cell"):
        compare_published(land, table(values))
    single = landscape(THREE_AXES | {"cell": ["gru"]}, lambda c: 0.5)
    assert compare_published(single, table(values)).cells[0].agreement is Agreement.INSIDE
    with pytest.raises(UnknownNameError, match="unknown axis"):
        compare_published(landscape(ONE_AXIS, lambda c: 0.5), table(values))


def saturating(cell, final, updates):
    """Accuracy that rises with a time constant of 300 updates, still rising at 400."""
    return 0.1 + (final - 0.1) * (1 - np.exp(-updates / 300))


@pytest.mark.parametrize("truth", [120, 260, 400])
def test_fit_budget_finds_the_number_of_updates_that_made_a_table(truth):
    land = landscape(
        evaluated_at=tuple(range(20, 401, 20)), curve=saturating, noise=0.01, replicates=5
    )
    other = landscape(evaluated_at=(truth,), curve=saturating, noise=0.01, replicates=1, seed=7)
    values = {
        cell: float(other.data["curve_test_accuracy"].sel(**cell).item())
        for cell in other.grid.cells()
    }
    fit = fit_budget(land, table(values), n_bootstrap=200)
    assert fit.updates.mean == pytest.approx(truth, abs=15)
    assert fit.updates.low <= truth + 1
    assert fit.updates.high >= truth - 1
    assert fit.updates.high - fit.updates.low < 100
    assert fit.budget == 400
    assert fit.rmse < 0.03
    assert fit.rmse <= fit.rmse_at_budget
    assert fit.rmse == min(fit.rmse_curve)
    scatter = 0.01 * (1 - math.exp(-fit.updates.mean / 300))  # of a trial, at that update
    assert fit.rmse_of_one_run == pytest.approx(scatter * math.sqrt(6 / 5), rel=0.4)
    assert fit == fit_budget(land, table(values), n_bootstrap=200)  # seeded


def test_fit_budget_of_part_of_the_grid():
    def status(cell, replicate):
        return Status.DIVERGED if cell["learning_rate"] == 1.0 else Status.FINISHED

    land = landscape(status=status, replicates=1)
    values = dict.fromkeys(land.grid.cells(), 0.5) | {
        Cell.of(hidden_size=4096, learning_rate=1e-3): 0.9,
        Cell.of(hidden_size=8192, learning_rate=1e-3): math.nan,
    }
    fit = fit_budget(land, table(values))
    assert len(fit.used) == 20
    assert {cell["hidden_size"] for cell in fit.excluded} == {16, 32, 64, 128, 4096}
    assert not fit.updates.known  # one replicate
    empty = landscape(status=lambda c, r: Status.MISSING)
    assert fit_budget(empty, table(values)) is None


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
