"""Differences of cells: with one spread where cells scatter alike, with their own elsewhere."""

import math
from dataclasses import replace

import numpy as np
import pytest
from landscapes import redrawn
from scipy import stats
from synthetic import RATES, landscape

from gridscape.analysis.cells import summarize
from gridscape.analysis.differences import (
    ALIKE,
    Comparison,
    Difference,
    common_spread,
    mean_of,
    noise_of,
    welch,
)
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status


def row(values):
    """Cells along one axis with these values (cells, R)."""
    rates = {"learning_rate": [10.0**-i for i in range(len(values))]}
    land = landscape(rates, lambda c: 0.5, replicates=values.shape[1])
    return redrawn(summarize(land), values)


def normal(seed, shape, deviations=1.0):
    noise = np.random.default_rng(seed).standard_normal(shape)
    return 0.8 + 0.01 * np.reshape(deviations, (-1, 1)) * noise


def test_one_spread_against_a_dense_least_squares_fit_with_missing_values():
    values = normal(2, (5, 6)) + 0.05 * np.random.default_rng(1).standard_normal(6)
    values[[0, 2, 2, 4], [1, 1, 3, 5]] = math.nan
    found = common_spread(row(values))
    cell, replicate = np.nonzero(np.isfinite(values))
    design = np.concatenate([np.eye(5)[cell], np.eye(6)[replicate]], axis=1)
    y = values[cell, replicate]
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    df = len(y) - np.linalg.matrix_rank(design)
    assert df == 26 - 10
    assert found.df == df
    assert found.variance == pytest.approx((rest**2).sum() / df, rel=1e-9)
    assert found.variance < 0.02**2  # what the replicates share, .05, is no part of it


def test_a_difference_by_one_spread_by_hand():
    values = normal(3, (4, 3))
    cells = row(values)
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    variance, df = (rest**2).sum() / 6, 6
    pooled = [
        (i, j)
        for i in range(4)
        for j in range(i)
        if (values[i] - values[j]).var(ddof=1) <= 2 * variance
    ]
    assert 0 < len(pooled) < 6  # pairs that scatter more than the others count for half
    for i in range(4):
        for j in range(i):
            found, lag = Comparison(cells).difference(cells[i], cells[j]), values[i] - values[j]
            if (i, j) in pooled:
                p = 2 * stats.t.sf(abs(lag.mean()) / math.sqrt(2 * variance / 3), df)
            else:
                mean_of_both = (lag.var(ddof=1) + 2 * variance) / 2
                p = 2 * stats.t.sf(abs(lag.mean()) / math.sqrt(mean_of_both / 3), min(4, df))
            assert found.one_spread
            assert min(found.p_above(0), found.p_below(0)) == pytest.approx(p, rel=1e-9)
            assert max(found.p_above(0), found.p_below(0)) == 1.0


def test_a_pair_of_threefold_spread_keeps_at_least_half_of_its_own():
    refused = []
    for seed in range(300):
        values = normal(seed, (6, 5), [1, 3, 1, 1, 1, 1])
        cells = row_like(values)
        found = Comparison(cells).difference(cells[0], cells[1])
        refused.append(not found.one_spread)
        own = (values[0] - values[1]).var(ddof=1)
        assert found.error**2 >= own / 2 / 5 * (1 - 1e-9)
    assert np.mean(refused) > 0.5  # most often the spreads do not look alike at all


SIX = summarize(landscape({"learning_rate": RATES}, lambda c: 0.5, replicates=5))


def row_like(values):
    return redrawn(SIX, values)


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("ratio", [1, 2, 3])
def test_of_equal_cells_few_are_called_better(n, ratio):
    """Whatever the spread of the rival is, beside four cells of even spread."""
    calls = []
    for seed in range(800):
        cells = row_like(normal(seed, (6, n), [1, ratio, 1, 1, 1, 1]))
        found = Comparison(cells).difference(cells[0], cells[1])
        calls.append([found.p_above(0.0) <= 0.05, found.p_below(0.0) <= 0.05])
    # 4.4 % a side: 2.5 % and what pooling costs at n = 3; and 2.5 errors of 800 worlds.
    assert np.mean(calls, axis=0).max() <= 0.044 + 2.5 * math.sqrt(0.044 * 0.956 / 800)


def test_one_spread_decides_with_fewer_replicates():
    """Of differences of two standard deviations at n = 3, though wide pairs keep their own."""
    shown = {"one": 0, "own": 0}
    for seed in range(200):
        values = normal(seed, (6, 3))
        values[0] += 0.02
        cells = row_like(values)
        shown["one"] += Comparison(cells).difference(cells[0], cells[1]).p_above(0) <= 0.05
        shown["own"] += Comparison(cells[:2]).difference(cells[0], cells[1]).p_above(0) <= 0.05
    assert shown["one"] > 1.1 * shown["own"] > 0


def test_cells_at_the_edge_have_their_own_spread():
    values = normal(3, (6, 4))
    cells = row_like(values)
    edge = [replace(cells[0], at_edge=True), *cells[1:]]
    assert common_spread(edge) == common_spread(cells[1:])
    lag = values[0] - values[1]
    found = Comparison(edge).difference(edge[0], edge[1])
    assert not found.one_spread
    assert found.p_above(0) == pytest.approx(
        stats.ttest_1samp(lag, 0).pvalue if lag.mean() > 0 else 1.0
    )


def test_spreads_are_alike_by_cochrans_test():
    """Its p value is how often worlds of even spread have as large a share in one cell."""
    k, n = 4, 5
    worlds = np.random.default_rng(5).standard_normal((4000, k, n)).var(axis=-1, ddof=1)
    largest = (worlds.max(axis=1) / worlds.sum(axis=1)).reshape(-1)
    limit = np.quantile(largest, 1 - ALIKE)
    alike = [common_spread(row_of_four(seed)) is not None for seed in range(300)]
    seen = []
    for seed in range(300):
        values = np.array([s.values for s in row_of_four(seed)])
        rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
        variances = (rest**2).sum(axis=1)
        seen.append(variances.max() / variances.sum() <= limit)
    # The test counts n - 1 degrees of freedom a cell, and a Bonferroni bound: alike up to some 5 %.
    assert np.mean(np.array(alike) == np.array(seen)) > 0.94


FOUR = summarize(landscape({"learning_rate": RATES[:4]}, lambda c: 0.5, replicates=5))


def row_of_four(seed):
    return redrawn(FOUR, normal(seed, (4, 5)))


def test_without_scatter_there_is_no_spread_but_that_of_the_examples():
    plain = row_like(np.full((6, 4), 0.9))
    assert common_spread(plain) is None
    assert math.isnan(Comparison(plain).difference(plain[0], plain[1]).p_above(-0.1))
    told = [replace(s, n_examples=1000) for s in plain]
    found = Comparison(told).difference(told[0], told[1])
    assert found.error == pytest.approx(math.sqrt(2 * noise_of(told[0]) / 4))
    assert found.p_above(-0.1) < 0.05


def test_welch_and_one_mean_against_scipy():
    rng = np.random.default_rng(6)
    a, b = rng.normal(0.9, 0.01, 5), rng.normal(0.88, 0.03, 7)
    found, expected = welch(a, b), stats.ttest_ind(a, b, equal_var=False)
    assert found.p_above(0) == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.df == pytest.approx(expected.df)
    interval = expected.confidence_interval()
    assert found.interval().low == pytest.approx(interval.low)
    assert welch(np.append(a, math.nan), b) == found
    assert math.isnan(welch(a[:1], b).p_above(0))
    one = mean_of(np.append(a, math.nan))
    assert one.p_above(0.85) == pytest.approx(stats.ttest_1samp(a, 0.85).pvalue, rel=1e-9)
    assert mean_of(a, floor=1.0).error == pytest.approx(math.sqrt(1 / 5))


def test_a_difference_turned_around():
    found = Difference(0.2, 0.1, 4, 5)
    assert (-found).mean == -0.2
    assert found.p_above(0) == (-found).p_below(0) == pytest.approx(2 * stats.t.sf(2, 4))
    assert found.p_below(0) == 1.0
    assert found.interval().low == pytest.approx(0.2 - stats.t.ppf(0.975, 4) * 0.1)
    assert not Difference(0.2, math.nan, math.nan, 1).interval().known


@pytest.mark.parametrize("replicates", [1, 2, 3, 9])
@pytest.mark.parametrize("lost", [False, True])
def test_all_lags_at_once_are_the_differences_one_by_one(replicates: int, lost: bool) -> None:
    def status(cell: Cell, replicate: int) -> Status:
        gone = lost and cell["learning_rate"] == 1.0 and replicate != 1
        return Status.DIVERGED if gone else Status.FINISHED

    land = landscape(replicates=replicates, status=status, shared_noise=0.01)
    cells = summarize(land)
    among = Comparison(cells)
    found = among.lags(cells[9], cells)
    assert repr(found) == repr([among.difference(cells[9], cell) for cell in cells])
    assert among.lags(cells[9], []) == []


def test_a_replicate_that_lacks_a_cell_tells_of_the_others():
    """Nine cells of which 10 % of the runs are missing: few replicates lack none."""
    values = normal(7, (9, 5)) + 0.05 * np.random.default_rng(8).standard_normal(5)
    values += np.arange(9)[:, None] * 0.05
    values[[0, 2, 5, 8], [0, 1, 2, 3]] = math.nan
    cells, weights = row(values), np.arange(9) - 4.0
    for among in (Comparison(cells), Comparison(cells[:2])):  # with one spread, and without
        found = among.combination(cells, weights.tolist())
        assert found.n == 5
        assert found.mean == pytest.approx(0.05 * 60, rel=0.05)
        assert found.p_above(0.0) < 1e-3
    assert among.spread is None
