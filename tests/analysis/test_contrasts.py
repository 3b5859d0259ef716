"""Contrasts of cells that lack replicates: against dense algebra, and by worlds of known truth."""

import math

import numpy as np
import pytest
from scipy import stats

from gridscape.analysis.contrasts import contrast


def with_holes(values, share, rng):
    return np.where(rng.random(values.shape) < share, np.nan, values)


@pytest.mark.parametrize(("n_cells", "n"), [(2, 3), (5, 4), (9, 10)])
def test_without_holes_it_is_the_paired_t_interval(n_cells, n):
    rng = np.random.default_rng(n)
    values = rng.normal(size=(n_cells, n)) + 3 * rng.normal(size=n)
    weights = np.arange(n_cells) - (n_cells - 1) / 2
    found, pairs = contrast(values, weights), weights @ values
    assert found.mean == pytest.approx(pairs.mean())
    assert found.error == pytest.approx(stats.sem(pairs))
    assert found.df == pytest.approx(n - 1)
    assert found.n == n
    assert found.squares == pytest.approx((weights**2).sum() / n)


def test_with_holes_the_mean_is_that_of_a_dense_fit_and_shared_effects_leave_it():
    rng = np.random.default_rng(3)
    values = with_holes(rng.normal(size=(6, 7)), 0.2, rng)
    weights = np.array([-2.0, -1.0, 0.0, 0.0, 1.0, 2.0])
    cell, replicate = np.nonzero(np.isfinite(values))
    design = np.hstack([np.eye(6)[cell], np.eye(7)[replicate]])
    fit = np.linalg.lstsq(design, values[cell, replicate], rcond=None)[0]
    found = contrast(values, weights)
    assert found.mean == pytest.approx(weights @ fit[:6])
    moved = contrast(values + 5 * rng.normal(size=7), weights)
    assert (moved.mean, moved.error, moved.df) == pytest.approx((found.mean, found.error, found.df))


WORLDS = {
    "10 % missing, n = 5": (9, 5, 0.1, 0.0, 0.0),
    "10 % missing, n = 5, shared effects": (9, 5, 0.1, 2.0, 0.0),
    "10 % missing, n = 10, uneven spreads": (9, 10, 0.1, 1.0, 0.5),
    "25 % missing, n = 5": (5, 5, 0.25, 1.0, 0.0),
}


@pytest.mark.parametrize("world", WORLDS)
def test_a_slope_of_zero_is_seldom_called_one(world):
    n_cells, n, missing, shared, uneven = WORLDS[world]
    rng, weights = np.random.default_rng(5), np.arange(n_cells) - (n_cells - 1) / 2
    wrong, n_told, n_worlds = [0, 0], 0, 600
    for _ in range(n_worlds):
        deviations = np.exp(uneven * rng.normal(size=(n_cells, 1)))
        values = deviations * rng.normal(size=(n_cells, n)) + shared * rng.normal(size=n)
        found = contrast(with_holes(values, missing, rng), weights)
        if found.error > 0:
            reach = stats.t.ppf(0.975, found.df) * found.error
            n_told += 1
            wrong[0] += found.mean > reach
            wrong[1] += found.mean < -reach
    assert n_told > 0.9 * n_worlds
    # 2.5 % a side, and three errors of so many worlds.
    assert max(wrong) / n_worlds <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / n_worlds)


def test_what_replicates_do_not_tell_is_not_told():
    weights = np.array([1.0, -0.5, -0.5])
    apart = np.array([[1.0, 2.0, np.nan], [1.0, 3.0, np.nan], [np.nan, np.nan, 2.0]])
    assert math.isnan(contrast(apart, weights).mean)
    once = np.array([[1.0, np.nan, np.nan], [1.0, 3.0, 2.0], [2.0, 1.0, 2.5]])
    found = contrast(once, weights)
    assert math.isfinite(found.mean)
    assert math.isnan(found.error)  # nothing tells the spread of the first
    assert contrast(np.full((3, 3), np.nan), weights).n == 0
    assert contrast(np.ones((3, 4)), weights).error == 0
