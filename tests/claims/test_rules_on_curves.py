"""Rules on curves, and results read along one."""

import numpy as np
import pytest
from synthetic import landscape
from verdicts import FAILS, HOLDS, UNDECIDED, diverging, verdict

from gridscape.claims.rules.curves import _noise_between, _overshoot
from gridscape.grid.trials import Status


def wavy(cell, final, updates):
    """Accuracies that rise, those at the rate 0.1 with large waves, those at 0 with none."""
    height = {0.0: 0.0, 0.1: 0.06}.get(cell["learning_rate"], 0.03)
    return final * updates / updates.max() + height * np.sin(updates / 10) * (1 + final)


def waves(rates, **options):
    return landscape(
        {"learning_rate": rates},
        lambda c: 0.9,
        **{"replicates": 5, "noise": 0.01, **options},
        curve=lambda c, final, updates: -wavy(c, final, updates),  # a curve that should fall
        evaluated_at=tuple(range(10, 401, 10)),
    )


@pytest.mark.parametrize(
    ("a", "b", "options", "outcome"),
    [
        (0.01, 0.1, {}, HOLDS),
        (0.1, 0.01, {}, FAILS),
        (0.01, 0.1, {"status": diverging(learning_rate=[0.1])}, HOLDS),
        (0.01, 0.1, {"status": diverging(learning_rate=[0.01])}, FAILS),
        (0.01, 0.0, {}, FAILS),
        (0.01, 0.001, {"noise": 0.1}, UNDECIDED),
        (0.01, 0.1, {"replicates": 1}, UNDECIDED),
        (0.01, 0.1, {"status": lambda c, r: Status.MISSING}, UNDECIDED),
    ],
)
def test_smoother(a, b, options, outcome):
    land = waves([0.0, 0.001, 0.01, 0.1], **options)
    parameters = {"a": {"learning_rate": a}, "b": {"learning_rate": b}, "curve": "test_accuracy"}
    found = verdict("smoother", land, parameters)
    assert found.outcome is outcome, found
    assert bool(found.note) or outcome is not UNDECIDED


def test_where_few_runs_tell_of_overshoot_it_says_why():
    land = waves([0.01, 0.1], status=lambda c, r: Status.FINISHED if r < 2 else Status.MISSING)
    cells = {name: {"learning_rate": rate} for name, rate in (("a", 0.01), ("b", 0.1))}
    found = verdict("smoother", land, {**cells, "curve": "test_accuracy"})
    assert found.outcome is UNDECIDED
    assert "noise could hide an overshoot, or a run did not end, in 3 of 5" in found.note


def test_results_read_along_a_curve():
    land = landscape(
        {"hidden_size": [16, 32]},
        lambda c: 0.9,
        replicates=4,
        noise=0.001,
        curve=lambda c, final, updates: final * (updates / 400) ** (c["hidden_size"] / 16),
        evaluated_at=(100, 200, 300, 400),
    )
    at = {"update": (250, 400)}
    parts = [
        {"where": {"hidden_size": 16, "update": 250}, "near": 0.9 * 250 / 400, "within": 0.01},
        {"where": {"hidden_size": 32, "update": 250}, "near": 0.9 * 0.40625, "within": 0.01},
        {"where": {"update": 400}, "near": 0.9, "within": 0.01},
    ]
    found = verdict("levels", land, {"parts": parts}, along=at)
    assert found.outcome is HOLDS, found
    assert len(found.used) == 4
    slower = {"cells": [{"hidden_size": 32}, {"hidden_size": 16}], "by": 0.1}
    assert verdict("ordered", land, slower | {"at": {"update": 250}}, along=at).outcome is HOLDS
    assert verdict("ordered", land, slower | {"at": {"update": 400}}, along=at).outcome is FAILS


# ---- noise is no overshoot -----------------------------------------------------------------------


def falling(seed, n=5, noise=0.005, hill=0.0):
    """Losses (replicates, points) that fall from 2 to .3, with noise, and one hill."""
    updates = np.linspace(0, 1, 40)
    course = 0.3 + 1.7 * np.exp(-12 * updates) + hill * np.exp(-(((updates - 0.6) / 0.05) ** 2))
    return course + noise * np.random.default_rng(seed).standard_normal((n, 40))


def overshoots(lines):
    return np.array([_overshoot(line, _noise_between(lines)) for line in lines])


def test_the_noise_of_a_level_end_is_no_overshoot():
    """By all rises added up, every one of these curves overshoots by a tenth."""
    found = np.array([overshoots(falling(seed)) for seed in range(200)])
    assert np.isfinite(found).all()
    # Level noise passes its range in one curve of 20; a curve that falls, more seldom.
    assert np.mean(found > 0) < 0.05
    added_up = np.clip(np.diff(falling(0)), 0, None).sum(axis=1)
    assert (added_up > 0.03).all()


def test_an_overshoot_is_what_rises_beyond_the_noise():
    found = overshoots(falling(0, hill=0.2))
    rise = falling(0, hill=0.2, noise=0.0)
    true = (rise - np.minimum.accumulate(rise, axis=1)).max(axis=1)
    # Less the range of the noise of 40 points, 2 x 3.2 deviations, give or take one.
    assert found == pytest.approx(true - 6.4 * 0.005, abs=0.015)


def test_noise_that_could_hide_an_overshoot_is_not_taken_for_none():
    assert np.isnan(overshoots(falling(0, noise=0.1))).all()
    assert np.isnan(_overshoot(np.array([1.0, 0.5]), 0.01))


def test_the_noise_between_curves_by_brute_force():
    """A two-way fit: what a curve is shifted by, and what all have in common, is no noise."""
    lines = falling(3) + np.arange(5)[:, None]
    n, points = lines.shape
    curve, point = np.indices(lines.shape)
    design = np.concatenate([np.eye(n)[curve.ravel()], np.eye(points)[point.ravel()]], axis=1)
    rest = lines.ravel() - design @ np.linalg.lstsq(design, lines.ravel(), rcond=None)[0]
    expected = np.sqrt((rest**2).sum() / ((n - 1) * (points - 1)))
    assert _noise_between(lines) == pytest.approx(expected, rel=1e-9)
