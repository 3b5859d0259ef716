"""Intervals and tests, against SciPy and by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landscapes import fixed
from scipy import stats

from gridscape.analysis.cells import summarize
from gridscape.analysis.statistics import (
    hochberg,
    holm,
    prediction_interval,
    share_interval,
    share_p_value,
    t_interval,
    t_test,
)


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
    assert shown.estimate.mean == whole.mean
    assert shown.estimate.high == 1.0
    assert 0 < shown.estimate.low < whole.low  # on the logit 1 is far away
    assert shown.estimate.reach == shown.estimate.mean - shown.estimate.low
    assert summarize(land, "test_loss")[0].estimate == whole
    low = fixed({"learning_rate": [0.1]}, [[0.2, 0.0, 0.01]], study={"guessing": 0.3})
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
    assert math.isnan(t_test([0.5, 0.5]))  # without scatter nothing is known of it
    assert math.isnan(t_test([0.5, 0.5], 0.5))
    assert math.isnan(t_test([0.1, 0.1, 0.1], 0.05))  # whose deviation is 1.7e-17 by rounding


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


def closed(p_values, local_test):
    """p values by the closed test: of each, the largest of all sets of hypotheses that hold it."""
    indices = range(len(p_values))
    sets = [s for k in indices for s in itertools.combinations(indices, k + 1)]
    return [max(local_test([p_values[j] for j in s]) for s in sets if i in s) for i in indices]


def hochberg_local(p_values):
    """Hochberg 1988: the smallest of (number of p values at least as large) times a p value."""
    ordered = sorted(p_values, reverse=True)
    return min((rank + 1) * p for rank, p in enumerate(ordered))


def simes(p_values):
    ordered = sorted(p_values)
    return min(len(ordered) / (rank + 1) * p for rank, p in enumerate(ordered))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_hochberg_against_the_closed_test(p_values):
    adjusted = np.array(hochberg(p_values))
    assert adjusted == pytest.approx(closed(p_values, hochberg_local), abs=1e-12)
    assert (adjusted >= np.array(closed(p_values, simes)) - 1e-12).all()  # Hommel's is sharper
    assert (adjusted <= np.array(holm(p_values)) + 1e-12).all()


def test_hochberg_by_hand_and_without_the_untested():
    # from the largest: .04, 2 x .03, 3 x .02 -> .04, min(.04, .06), min(.04, .06)
    assert hochberg([0.02, 0.04, 0.03]) == pytest.approx((0.04, 0.04, 0.04))
    assert hochberg([0.001, 0.04, 0.3]) == pytest.approx((0.003, 0.08, 0.3))
    assert hochberg([]) == ()
    adjusted = hochberg([0.02, math.nan, 0.5])
    assert adjusted[::2] == pytest.approx((0.04, 0.5))
    assert math.isnan(adjusted[1])


def test_shares_against_scipy():
    for n in range(1, 15):
        for k in range(n + 1):
            exact = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
            ours = share_interval(k, n)
            assert (ours.low, ours.high) == pytest.approx(tuple(exact), abs=1e-12)
            assert ours.mean == k / n
            for share in (0.1, 0.5, 0.9):
                above = stats.binomtest(k, n, share, "greater").pvalue
                assert share_p_value(k, n, share) == pytest.approx(above, rel=1e-9)
    assert not share_interval(0, 0).known
    assert math.isnan(share_p_value(0, 0, 0.5))


@pytest.mark.parametrize(("n", "bound"), [(3, 0.63), (5, 0.45), (10, 0.26), (20, 0.14)])
def test_what_runs_that_all_learn_leave_open(n, bound):
    """One-sided at 95 %, so the ends of a two-sided interval at 90 %."""
    assert 1 - share_interval(n, n, 0.9).low == pytest.approx(bound, abs=0.005)


def test_share_interval_covers_at_its_level():
    for share in (0.05, 0.3, 0.5, 0.9):
        for n in (3, 10):
            k = np.arange(n + 1)
            holds = [
                share_interval(int(i), n).low <= share <= share_interval(int(i), n).high for i in k
            ]
            assert stats.binom.pmf(k, n, share)[holds].sum() >= 0.95
