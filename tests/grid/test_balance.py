"""Means of cells that lack replicates, against least squares and by simulation of known truth."""

import numpy as np
import pytest

from gridscape.grid.balance import balanced_means


def all_steady(values):
    return np.ones(len(values), bool)


def test_cells_that_have_all_replicates_keep_their_means():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(8, 5)) + 3 * rng.normal(size=5)
    assert balanced_means(values, all_steady(values)) == pytest.approx(values.mean(axis=1))
    values[3, 1] = np.nan
    whole = np.isfinite(values).all(axis=1)
    found = balanced_means(values, all_steady(values))
    assert found[whole] == pytest.approx(values[whole].mean(axis=1))


def test_without_noise_it_is_the_fit_of_cells_and_replicates():
    rng = np.random.default_rng(1)
    cells, replicates = rng.normal(size=10), rng.normal(size=6)
    values = cells[:, None] + replicates
    values[rng.random(values.shape) < 0.3] = np.nan
    found = balanced_means(values, all_steady(values))
    assert np.diff(found) == pytest.approx(np.diff(cells), abs=1e-9)


@pytest.mark.parametrize(
    "values",
    [[[1.0, np.nan], [2.0, 4.0]], [[np.nan, np.nan], [1.0, np.nan], [np.nan, 2.0]], [[1.0]], [[]]],
)
def test_too_little_to_tell_what_is_shared_leaves_plain_means(values):
    values = np.array(values, float)
    found = balanced_means(values, all_steady(values))
    for mean, row in zip(found, values, strict=True):
        own = row[np.isfinite(row)]
        assert mean == pytest.approx(own.mean() if len(own) else np.nan, nan_ok=True)


def test_cells_that_are_not_steady_tell_nothing_of_replicates():
    rng = np.random.default_rng(2)
    values = 0.01 * rng.normal(size=(8, 4)) + [0.0, 1.0, 2.0, 3.0]
    values[0, 3] = np.nan
    wild = np.vstack([values, 1000 * rng.normal(size=(3, 4))])
    steady = np.arange(len(wild)) < len(values)
    assert balanced_means(wild, steady)[0] == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize("shared", [0.0, 0.3, 1.0, 3.0])
def test_the_better_cell_is_chosen_more_often_where_replicates_share_luck(shared):
    """Twelve cells, the first better by one sd of their own noise; a third of runs is missing."""
    rng, right = np.random.default_rng(3), np.zeros(2)
    n = 1_000
    for _ in range(n):
        values = rng.normal(size=(12, 6)) + shared * rng.normal(size=6)
        values[0] += 1.0
        values[rng.random(values.shape) < 1 / 3] = np.nan
        values[np.isnan(values).all(axis=1), 0] = 0.0
        plain = np.nanmean(values, axis=1)
        ranked = balanced_means(values, all_steady(values))
        right += [plain.argmax() == 0, ranked.argmax() == 0]
    by_plain, by_ranked = right / n
    # Two shares of the same worlds: a standard error of at most .015.
    assert by_ranked > by_plain - 0.03
    if shared >= 1:
        assert by_ranked > by_plain + 0.03
    assert by_ranked > 0.55  # whatever they share; 0.31 by plain means where that is much


@pytest.mark.parametrize(("n_wild", "sd"), [(3, 0.1), (3, 1.0), (1, 10.0)])
def test_wild_cells_do_not_rank_the_others(n_wild, sd):
    """Bad cells that scatter much, as of a rate that is too large, and share luck of their own."""
    rng, right, n = np.random.default_rng(4), np.zeros(2), 300
    for _ in range(n):
        values = 0.01 * rng.normal(size=(12, 6))
        values[0] += 0.02
        wild = rng.normal(size=6) + 0.5 * rng.normal(size=(n_wild, 6))
        values[-n_wild:] = -5 * sd - 1 + sd * wild
        values[rng.random(values.shape) < 1 / 3] = np.nan
        values[np.isnan(values).all(axis=1), 0] = -1.0
        best = [np.nanmean(values, axis=1), balanced_means(values, all_steady(values))]
        right += [means.argmax() == 0 for means in best]
    by_plain, by_ranked = right / n
    assert by_ranked > by_plain - 0.03  # both .97; a standard error of .01


def test_a_chain_of_replicates_is_solved_to_its_end():
    """Cells that have two neighboring replicates of eight each, all truly equal."""
    rng, shared = np.random.default_rng(5), 10.0 * np.arange(8)
    values = np.full((200, 8), np.nan)
    for row in values:
        at = rng.integers(7)
        row[at : at + 2] = shared[at : at + 2] + 0.01 * rng.normal(size=2)
    assert np.ptp(balanced_means(values, all_steady(values))) < 0.1
