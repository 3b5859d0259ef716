"""Pareto fronts, and the smallest network that does as well as the best."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landscapes import ONE_AXIS, fixed, redrawn
from synthetic import landscape

from gridscape.analysis import cells as of_cells
from gridscape.analysis.cells import summarize
from gridscape.analysis.costs import _smallest_shown, pareto, smallest_equivalent
from gridscape.errors import UnknownNameError
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_pareto_against_brute_force(points):
    """Few distinct numbers, so that ties in cost, in accuracy and in both occur."""
    axes = {"place": [float(i) for i in range(len(points))]}
    land = landscape(
        axes,
        lambda c: points[int(c["place"])][1] / 10,
        noise=0.0,
        replicates=2,
        evaluated_at=(400,),
    )
    costs = np.array([[float(cost)] * 2 for cost, _ in points])
    land.data["flops"] = (land.data["flops"].dims, costs)
    found = {p.summary.cell["place"]: p.on_front for p in pareto(land).points}
    for i, (cost, score) in enumerate(points):
        beaten = any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points)
        assert found[float(i)] == (not beaten)


def test_pareto_is_sorted_and_tells_what_it_left_out():
    land = landscape(
        status=lambda c, r: Status.DIVERGED if c["learning_rate"] == 1 else Status.FINISHED
    )
    for cost in ("flops", "seconds", "n_parameters", "memory_bytes"):
        found = pareto(land, cost)
        costs = [p.cost for p in found.points]
        assert costs == sorted(costs)
        assert len(found.excluded) == 4
        scores = [p.summary.estimate.mean for p in found.front]
        assert scores == sorted(scores)
        assert found.points[0].cost == found.front[0].cost
    with pytest.raises(UnknownNameError, match="did you mean 'seconds'"):
        pareto(land, "second")


def test_pareto_of_nothing():
    land = landscape(ONE_AXIS, lambda c: 0.5, status=lambda c, r: Status.MISSING)
    assert pareto(land).points == ()
    assert len(pareto(land).excluded) == 3


WIDTHS_ONLY = {"hidden_size": [16, 32, 64]}


MANY = {"n_examples": {"test": 10_000}}
NOISE = 0.001 * np.array([0.0, 1.0, -1.0, 0.5, -0.5])  # of one width; another has it shifted


def test_smallest_equivalent_is_shown_by_the_interval():
    scores = [0.92 + NOISE, 0.959 + np.roll(NOISE, 1), 0.96 + NOISE]
    land = fixed(WIDTHS_ONLY, scores, study=MANY)
    found = smallest_equivalent(land)
    assert found.best.cell == Cell.of(hidden_size=64)
    assert found.cell.cell == Cell.of(hidden_size=32)
    assert found.by_interval
    assert found.difference.mean == pytest.approx(-0.001)
    small, best = (summarize(land)[i] for i in (1, 2))
    assert found.saves_parameters == pytest.approx(1 - small.n_parameters / best.n_parameters)
    assert found.saves_flops == pytest.approx(0.75)
    assert found.saves_seconds == pytest.approx(1 - small.seconds / best.seconds)
    assert found.note == ""


def test_smallest_equivalent_does_not_take_noise_for_equality():
    land = fixed(WIDTHS_ONLY, [[0.1] * 3, [0.93, 0.97, 0.977], [0.96, 0.96, 0.96]])
    found = smallest_equivalent(land)
    assert found.cell.cell == found.best.cell == Cell.of(hidden_size=64)
    assert found.smallest_by_means.cell == Cell.of(hidden_size=32)
    assert "more replicates" in found.note
    assert found.saves_parameters == 0


def test_smallest_equivalent_of_one_replicate_goes_by_means_and_says_so():
    found = smallest_equivalent(fixed(WIDTHS_ONLY, [[0.90], [0.956], [0.96]]))
    assert found.cell.cell == Cell.of(hidden_size=32)
    assert not found.by_interval
    assert not found.difference.known
    assert "means alone" in found.note


def test_smallest_equivalent_by_loss_and_of_nothing():
    land = landscape(WIDTHS_ONLY, lambda c: 0.5 + c["hidden_size"] / 1000, noise=1e-5)
    found = smallest_equivalent(land, metric="test_loss", margin=0.07)
    assert found.best.cell == Cell.of(hidden_size=64)
    assert found.cell.cell == Cell.of(hidden_size=32)
    assert found.difference.mean < 0
    land = landscape(WIDTHS_ONLY, lambda c: 0.5, status=lambda c, r: Status.DIVERGED)
    assert smallest_equivalent(land) is None


def test_smallest_equivalent_goes_down_until_one_is_not_shown_to_come_within():
    """16 units would do, but 32 are worse: what lies below a network that fails is not tried."""
    scores = [0.9599 + np.roll(NOISE, 2), 0.93 + np.roll(NOISE, 1), 0.96 + NOISE]
    found = smallest_equivalent(fixed(WIDTHS_ONLY, scores, study=MANY))
    assert found.cell.cell == Cell.of(hidden_size=64)
    assert found.smallest_by_means.cell == Cell.of(hidden_size=16)
    assert "more replicates" in found.note


@pytest.mark.parametrize(
    ("lag", "scatter", "at_least", "at_most"),
    [(0.0051, 0.002, 0.0, 0.025), (0.001, 0.001, 0.8, 1.0)],
)
def test_how_often_a_smaller_network_is_said_to_come_within(lag, scatter, at_least, at_most):
    """Three smaller networks that all lag by a little over half a point, or clearly by less."""
    axes = {"hidden_size": [16, 32, 64, 128]}
    base = [replace(s, n_examples=None) for s in summarize(landscape(axes, lambda c: 0.9))]
    rng, said = np.random.default_rng(0), 0
    means = np.array([[0.96 - lag]] * 3 + [[0.96]])
    for _ in range(300):
        cells = redrawn(base, means + scatter * rng.standard_normal((4, 5)))
        best = max(cells, key=of_cells.score)
        smaller = [[s] for s in cells if s.n_parameters < best.n_parameters]
        said += _smallest_shown(smaller, cells, best, 0.005) is not best
    error = 2 * math.sqrt(0.025 * 0.975 / 300)
    assert at_least <= said / 300 <= min(1.0, at_most + error)
