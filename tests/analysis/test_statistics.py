"""Intervals and tests, against SciPy and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landscapes import fixed
from scipy import stats

from gridscape.analysis.cells import summarize
from gridscape.analysis.statistics import holm, prediction_interval, t_interval, t_test


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
