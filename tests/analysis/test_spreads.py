"""Spreads along an axis, without the noise of the replicates."""

import math

import numpy as np
import pytest
from landscapes import THREE_AXES, fixed, redrawn
from scipy import stats
from synthetic import landscape

from gridscape.analysis.cells import summarize
from gridscape.analysis.spreads import mean_variances, spread
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status

WIDTHS_AND_RATES = {"hidden_size": [16, 32], "learning_rate": [1e-3, 1e-2, 1e-1]}


def test_spread_by_hand():
    land = fixed(
        WIDTHS_AND_RATES,
        [[0.1, 0.2], [0.5, 0.5], [0.9, 0.7], [0.3, 0.3], [0.3, 0.4], [0.3, 0.5]],
        status=lambda c, r: (
            Status.DIVERGED
            if (c["hidden_size"], c["learning_rate"]) == (32, 1e-1)
            else Status.FINISHED
        ),
    )
    first, second = spread(land, "learning_rate")
    covariance = np.cov([0.1, 0.5, 0.9], [0.2, 0.5, 0.7], ddof=1)[0, 1]
    assert first.standard_deviation.mean == pytest.approx(math.sqrt(covariance))
    assert not first.standard_deviation.known  # leaving one of two out, no pair remains
    assert second.standard_deviation.mean == 0.0  # one replicate is level: they share nothing
    assert second.excluded == (Cell.of(hidden_size=32, learning_rate=1e-1),)
    assert len(second.used) == 2
    assert len(spread(landscape(THREE_AXES, lambda c: 0.5), "cell")) == 6


def test_the_interval_of_a_spread_against_a_jackknife_by_brute_force():
    values = 0.5 + 0.1 * np.random.default_rng(4).standard_normal((3, 5))
    (found,) = spread(fixed({"learning_rate": [1e-3, 1e-2, 1e-1]}, values), "learning_rate")

    def variance(replicates):
        pairs = [(r, s) for r in replicates for s in replicates if r < s]
        return np.mean([np.cov(values[:, r], values[:, s])[0, 1] for r, s in pairs])

    left_out = [variance([r for r in range(5) if r != out]) for out in range(5)]
    error = math.sqrt(4 / 5 * np.square(left_out - np.mean(left_out)).sum())
    low, high = variance(range(5)) + stats.t.ppf(0.975, 4) * error * np.array([-1, 1])
    ours = found.standard_deviation
    assert ours.low == pytest.approx(math.sqrt(max(low, 0.0)))
    assert ours.high == pytest.approx(math.sqrt(high))


def test_replicates_that_agree_say_nothing_of_the_error_of_a_spread():
    means = 0.1 + 0.07 * np.arange(6)[:, None]
    found = mean_variances(
        redrawn(
            summarize(landscape(WIDTHS_AND_RATES, lambda c: 0.5, replicates=4)), means + [0] * 4
        ),
        "hidden_size",
        "learning_rate",
    )
    assert found.first != pytest.approx(found.second)
    assert math.isnan(found.difference.p_above(0.0))


def test_the_variance_holds_no_noise():
    """Of cells whose means differ, and of equal ones, under noise as large as the difference."""
    base = summarize(landscape(WIDTHS_AND_RATES, lambda c: 0.5, replicates=4))
    truth = 0.5 + np.array([0.0, 0.0, 0.0, 0.1, 0.1, 0.1])[:, None]  # varies over widths only
    rng = np.random.default_rng(5)
    found = []
    for _ in range(400):
        world = redrawn(base, truth + 0.05 * rng.standard_normal((6, 4)))
        found.append(mean_variances(world, "hidden_size", "learning_rate"))
    for ours, true in (("first", 0.1**2 / 2), ("second", 0.0)):
        numbers = np.array([getattr(f, ours) for f in found])
        error = numbers.std(ddof=1) / math.sqrt(len(numbers))
        # Within 4 standard errors; the plain variance of means is off by .05^2 / 4.
        assert abs(numbers.mean() - true) < 4 * error < 0.05**2 / 4
