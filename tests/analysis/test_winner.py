"""The winner of many cells, and its luck."""

import math

import numpy as np
import pytest
from landscapes import fixed, redrawn
from scipy import stats
from synthetic import landscape

from gridscape.analysis.cells import summarize
from gridscape.analysis.winner import winner, winner_of
from gridscape.grid.trials import Status

GRID = {"hidden_size": [16, 32, 64, 128], "learning_rate": [10.0**-i for i in range(6)]}


@pytest.mark.parametrize("n", [3, 5])
def test_of_equal_cells_the_winner_is_lucky_and_told_so(n):
    """24 cells of .9: the best mean is too high, the shrunken one is not, the interval holds."""
    base = summarize(landscape(GRID, lambda c: 0.9, replicates=n))
    rng, found = np.random.default_rng(0), []
    for _ in range(180):
        found.append(winner_of(redrawn(base, 0.9 + 0.005 * rng.standard_normal((24, n)))))
    held = [w.simultaneous.low <= 0.9 <= w.simultaneous.high for w in found]
    plain = [w.best.estimate.low <= 0.9 <= w.best.estimate.high for w in found]
    assert np.mean(held) >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 180)
    assert np.mean(plain) < np.mean(held)
    luck = np.mean([w.best.estimate.mean - 0.9 for w in found])
    left = np.mean([w.shrunken - 0.9 for w in found])
    assert luck > 0.003  # .0057 and .0044 are expected of the largest of 24
    assert 0 <= left < luck / 5  # of 24 cells James and Stein leave 3 / 23


def test_a_clear_winner_keeps_its_score():
    scores = 0.5 + 0.001 * np.random.default_rng(1).standard_normal((6, 4))
    scores[2] += 0.4
    found = winner(fixed({"learning_rate": GRID["learning_rate"]}, scores))
    assert found.n_cells == 6
    assert found.best.cell["learning_rate"] == 10.0**-2
    assert found.shrunken == found.best.estimate.mean == pytest.approx(scores[2].mean())


def test_the_simultaneous_interval_by_hand():
    """One spread of all cells, at Sidak's level."""
    scores = 0.5 + 0.03 * np.random.default_rng(8).standard_normal((6, 4))
    found = winner(fixed({"learning_rate": GRID["learning_rate"]}, scores))
    best = scores[scores.mean(axis=1).argmax()]
    rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
    assert found.one_spread
    level = 0.95 ** (1 / 6)
    half = stats.t.ppf((1 + level) / 2, 15) * math.sqrt((rest**2).sum() / 15 / 4)
    assert half > found.best.estimate.reach
    assert found.simultaneous.low == pytest.approx(best.mean() - half)
    assert found.simultaneous.high == pytest.approx(best.mean() + half)


def test_a_winner_needs_a_candidate_and_replicates():
    nothing = landscape(GRID, lambda c: 0.5, status=lambda c, r: Status.DIVERGED)
    assert winner(nothing) is None
    one = winner(landscape(GRID, lambda c: 0.5, replicates=1))
    assert not one.simultaneous.known
    assert one.shrunken == one.best.estimate.mean
