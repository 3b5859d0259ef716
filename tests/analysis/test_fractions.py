"""Intervals of fractions: against formulas in float64, and how often they hold near 1."""

import math

import numpy as np
import pytest
from scipy import special, stats

from gridscape.analysis.fractions import (
    CONTINUOUS,
    FEW_EXAMPLES,
    fraction_intervals,
    fraction_test,
    noise_variance,
    resolution,
)


def beta(mean, deviation, size, rng):
    """Fractions of this mean and standard deviation, leaning away from the nearer end."""
    k = mean * (1 - mean) / deviation**2 - 1
    return rng.beta(mean * k, (1 - mean) * k, size)


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize(("mean", "deviation"), [(0.9, 0.01), (0.99, 0.008), (0.995, 0.005)])
@pytest.mark.parametrize("n_examples", [360, CONTINUOUS])
def test_intervals_hold_near_one(mean, deviation, n_examples, n):
    rng = np.random.default_rng(0)
    values = beta(mean, deviation, (4000, n), rng)
    if n_examples < CONTINUOUS:
        values = rng.binomial(n_examples, values) / n_examples
    low, high = fraction_intervals(values, n_examples)
    held = np.mean((low <= mean) & (mean <= high))
    assert held >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 4000)  # the error of 4,000 worlds
    assert 0 <= low.min() <= high.max() <= 1
    # What the plain interval does there, and why there is another.
    if (mean, n_examples) == (0.995, CONTINUOUS):
        half = stats.t.ppf(0.975, n - 1) * values.std(axis=-1, ddof=1) / math.sqrt(n)
        assert np.mean(np.abs(values.mean(axis=-1) - mean) <= half) < 0.93


def test_interval_against_its_formula():
    values, n_examples = np.array([0.95, 0.97, 0.98, 0.99]), 200
    (low,), (high,) = fraction_intervals(values[None], n_examples)
    reach = stats.t.ppf(0.975, 3) / 2
    plain = values.mean() + reach * values.std(ddof=1) * np.array([-1, 1])
    counts = values * n_examples
    logits = special.logit((counts + 0.5) / (n_examples + 1))
    center = special.logit((counts.mean() + 0.5) / (n_examples + 1))
    skew = special.expit(center + reach * logits.std(ddof=1) * np.array([-1, 1]))
    assert low == pytest.approx(min(plain[0], skew[0]), rel=1e-9)
    assert high == pytest.approx(max(plain[1], skew[1]), rel=1e-9)
    assert low == pytest.approx(skew[0])  # the longer side is the one away from 1


def test_of_runs_that_do_not_differ_the_examples_are_the_noise():
    (low,), (high,) = fraction_intervals(np.ones((1, 5)), 1000)
    a = 1000.5 / 1001
    reach = stats.t.ppf(0.975, 4) / math.sqrt(5) / math.sqrt(1000 * a * (1 - a) + 0.5)
    assert high == 1.0
    assert low == pytest.approx(special.expit(special.logit(a) - reach), rel=1e-9)
    assert noise_variance(0.5, 100) == pytest.approx(0.25 / 100)
    assert noise_variance(1.0, 100) == pytest.approx(101 / 102 * 1 / 102 / 100)
    assert 0.05 < fraction_test(np.ones(5), (1 + low) / 2, 1000) < 1


@pytest.mark.parametrize("n_examples", [360, 10_000])
def test_the_test_rejects_what_the_interval_excludes(n_examples):
    rng = np.random.default_rng(1)
    decided = 0
    for values in rng.binomial(n_examples, beta(0.97, 0.01, (200, 4), rng)) / n_examples:
        (low,), (high,) = fraction_intervals(values[None], n_examples)
        for against in (0.94, 0.96, 0.98, 0.99):
            excluded = not low <= against <= high
            assert (fraction_test(values, against, n_examples) < 0.05) == excluded
            decided += excluded
    assert 50 < decided < 750  # of 800: both happen


def test_few_or_missing_values():
    low, high = fraction_intervals(np.array([[0.9, math.nan, math.nan], [0.9, 0.8, math.nan]]), 100)
    assert math.isnan(low[0])
    assert math.isnan(high[0])
    alone = fraction_intervals(np.array([[0.9, 0.8]]), 100)
    assert (low[1], high[1]) == (alone[0][0], alone[1][0])
    assert math.isnan(fraction_test(np.array([0.9, math.nan]), 0.5, 100))


def test_the_number_of_examples_is_read_off_the_fractions():
    rng = np.random.default_rng(2)
    for n in (360, 2000, 10_000):
        told = resolution(rng.binomial(n, 0.9, 40) / n)
        assert n % told == 0 or told == n  # or fewer, where all happen to be multiples of more
        assert told == resolution((rng.binomial(n, 0.9, 40) / n).astype(np.float32))
    assert resolution(np.array([0.5, 1.0])) == FEW_EXAMPLES
    assert resolution(np.ones(3)) == FEW_EXAMPLES
    assert resolution(rng.random(10)) == CONTINUOUS
