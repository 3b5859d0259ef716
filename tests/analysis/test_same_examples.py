"""McNemar's test against SciPy's exact one, and how often the interval of the difference holds."""

import itertools

import numpy as np
import pytest
from scipy import stats

from gridscape.analysis.examples import PairedCounts, mcnemar_p_value, paired_difference


@pytest.mark.parametrize(("b", "c"), [*itertools.product((0, 1, 2, 7, 40), repeat=2), (950, 1050)])
def test_the_p_value_is_that_of_tosses_of_a_fair_coin(b, c):
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    # Both sum the same tail, SciPy term by term.
    assert mcnemar_p_value(b, c) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17, tables II and IV, method 10
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((36, 14, 0, 0), 0.1528, 0.4167),
        ((0, 0, 0, 53), -0.0676, 0.0676),
        ((53, 0, 0, 1), -0.0729, 0.0729),
    ],
)
def test_the_interval_is_the_published_one(counts, low, high):
    found = paired_difference(PairedCounts(*counts))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert found.n == sum(counts)


def test_swapping_the_networks_swaps_the_interval():
    one, other = (paired_difference(PairedCounts(400, *pair, 60)) for pair in ((30, 10), (10, 30)))
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low))


def test_test_and_interval_do_not_contradict_each_other():
    counts = [
        PairedCounts(both, b, c, neither)
        for both, neither in ((0, 0), (80, 0), (900, 50), (9_990, 3))
        for b, c in itertools.product(range(0, 31, 3), repeat=2)
        if both + b + c + neither
    ]
    undecided = [c for c in counts if mcnemar_p_value(c.only_a, c.only_b) >= 0.05]
    assert len(undecided) > 100
    assert not any(paired_difference(c).excludes(0.0) for c in undecided)
    # 9 of 9 examples of 10,000 are told apart by both.
    assert paired_difference(PairedCounts(9_988, 9, 0, 3)).excludes(0.0)


@pytest.mark.parametrize(
    "shares",
    [
        (0.9, 0.05, 0.05),
        (0.95, 0.03, 0.01),
        (0.97, 0.03, 0.0),
        (0.3, 0.3, 0.2),
        (0.98, 0.009, 0.001),
    ],
)
@pytest.mark.parametrize("n", [100, 1_000])
def test_the_interval_holds_the_true_difference(shares, n):
    drawn = np.random.default_rng(0).multinomial(n, [*shares, 1 - sum(shares)], size=2_000)
    found = [paired_difference(PairedCounts(*map(int, counts))) for counts in drawn]
    truth = shares[1] - shares[2]
    holds = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert holds >= 0.95 - 2 * (0.95 * 0.05 / 2_000) ** 0.5  # two standard errors
