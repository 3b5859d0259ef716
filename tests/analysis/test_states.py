"""Collapsed or not begun: told from simulated curves of known truth."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from landscapes import ONE_AXIS
from synthetic import landscape

from gridscape.analysis.cells import CellState, summarize
from gridscape.analysis.states import _twin, not_started, still_falls
from gridscape.landscape import Landscape

RNG = np.random.default_rng(0)
NOISES = {
    "normal": lambda n, u: RNG.standard_normal((n, u)),
    "heavy tails": lambda n, u: RNG.standard_t(3, (n, u)) / np.sqrt(3),
    "growing": lambda n, u: RNG.standard_normal((n, u)) * np.linspace(0.5, 1.5, u),
    "alternating": lambda n, u: RNG.standard_normal((n, u)) + 3 * (-1) ** np.arange(u),
}


@pytest.mark.parametrize("points", [8, 13, 50, 100, 400, 1000])
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("settles", [False, True])
def test_a_flat_loss_does_not_fall(points, noise, settles):
    """Also one that has fallen in its first tenth; noise of a batch of 100: .05."""
    start = 0.4 * np.exp(-np.arange(points) / (0.02 * points)) if settles else 0.0
    lines = 2.3 + start + 0.05 * NOISES[noise](2000, points)
    # 1 % at most, and 3 standard deviations of 2,000 draws.
    assert still_falls(lines).mean() <= 0.01 + 3 * np.sqrt(0.01 / 2000)


@pytest.mark.parametrize(
    ("points", "fall", "least"),
    [(50, 0.6, 0.7), (100, 0.3, 0.9), (400, 0.2, 0.9), (1000, 0.13, 0.9)],
)
@pytest.mark.parametrize("noise", ["normal", "heavy tails"])
def test_a_loss_that_falls_is_seen_through_noise(points, fall, least, noise):
    lines = 2.7 - fall * np.linspace(0, 1, points) + 0.05 * NOISES[noise](1000, points)
    assert still_falls(lines).mean() >= least


def test_curves_without_noise_are_judged_exactly():
    at = np.linspace(0, 1, 40)
    falls = [2.7 - 0.01 * at, 2.3 * np.exp(-at), 3 - at**2]
    does_not = [
        0 * at + 2.3,
        2.3 + at,
        2.3 - at * (at < 0.3),
        2 + np.abs(at - 0.5),
        -at * (at < 0.5),
    ]
    assert still_falls(np.array(falls)).all()
    assert not still_falls(np.array(does_not)).any()


def test_a_curve_is_judged_by_its_own_points():
    """Trials of other updates have other points; seven are too few to know the noise."""
    line = np.linspace(2.7, 2.5, 16)
    lines = np.full((4, 16), np.nan)
    lines[0], lines[1, ::2], lines[2, ::3] = line, line[::2], line[::3]
    assert still_falls(lines).tolist() == [True, True, False, False]
    assert still_falls(np.empty((0, 5))).tolist() == []


# ---- of landscapes ----


def of_curves(losses, accuracies=None, **options):
    """One cell a curve, one answer at the end: losses (cells, R, points), accuracies likewise."""
    axes = {"learning_rate": [10.0**-i for i in range(len(losses))]}
    options = {"collapsed": lambda c, r: True, "noise": 0.0} | options
    land = landscape(axes, lambda c: 0.1, replicates=len(losses[0]), **options)
    dims = land.data["status"].dims
    data = land.data.drop_dims(["update", "evaluated_at"])
    data["curve_train_loss"] = ((*dims, "update"), np.array(losses))
    if accuracies is not None:
        data["curve_test_accuracy"] = ((*dims, "evaluated_at"), np.array(accuracies))
    return Landscape(data.assign_coords(update=1 + np.arange(len(losses[0][0]))), land.study)


FALLS, FLAT = np.linspace(2.71, 2.56, 40), np.full(40, 2.303)


def test_one_answer_is_not_started_while_the_loss_falls_and_collapsed_once_it_does_not():
    fallen = [[0.1, 0.8, 0.1]]
    never = [[0.1, 0.12, 0.1]]
    land = of_curves([[FALLS], [FLAT], [FALLS]], [never, never, fallen])
    states = [s.state for s in summarize(land)]
    assert states == [CellState.NOT_STARTED, CellState.COLLAPSED, CellState.COLLAPSED]
    assert land.data["collapsed"].values.all()  # as before: finished, and one answer


def test_a_network_that_gives_several_answers_is_neither():
    (cell,) = summarize(of_curves([[FALLS]], collapsed=lambda c, r: False))
    assert (cell.state, cell.n_collapsed, cell.n_not_started) == (CellState.FINISHED, 0, 0)


@pytest.mark.parametrize(("guessing", "n"), [(0.1, 2), (0.0, 0), (None, 0), (0.01, 0)])
def test_a_network_no_better_than_guessing_whose_loss_falls_has_not_started(guessing, n):
    study = {} if guessing is None else {"guessing": guessing}
    land = of_curves([[FALLS, FALLS, FLAT]], collapsed=lambda c, r: False, study=study)
    (cell,) = summarize(land)
    assert (cell.n_not_started, cell.n_collapsed) == (n, 0)


@pytest.mark.parametrize("split", ["test", "val"])
def test_of_a_metric_that_ends_in_test_the_training_data_tell_the_same(split):
    land = SimpleNamespace(metrics=(), main_metric=f"{split}_latest_hit")
    assert _twin(land) == "train_latest_hit"


def test_a_network_that_knows_its_training_data_has_started():
    options = {"collapsed": lambda c, r: False, "gap": lambda c: 0.8}
    (cell,) = summarize(of_curves([[FALLS]], study={"guessing": 0.1}, **options))
    assert cell.state is CellState.FINISHED


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([FLAT, FLAT], CellState.COLLAPSED),
        ([FALLS, FLAT], CellState.COLLAPSED),
        ([FALLS, FALLS, FLAT], CellState.NOT_STARTED),
    ],
)
def test_the_state_of_a_cell_is_that_of_most(lines, state):
    (cell,) = summarize(of_curves([lines]))
    n_falls = sum(line is FALLS for line in lines)
    assert cell.state is state
    assert (cell.n_not_started, cell.n_collapsed) == (n_falls, len(lines) - n_falls)
    assert cell.not_started == tuple(line is FALLS for line in lines)
    assert cell.collapsed == tuple(line is FLAT for line in lines)


def test_without_curves_one_answer_is_collapsed():
    land = landscape(ONE_AXIS, lambda c: 0.1, collapsed=lambda c, r: True)
    land = Landscape(land.data.drop_dims(["update", "evaluated_at"]), land.study)
    assert not not_started(land).any()
    assert {s.state for s in summarize(land)} == {CellState.COLLAPSED}


def test_many_trials_take_seconds():
    lines = 2.3 + 0.05 * RNG.standard_normal((3 * 65_536, 50))
    begin = time.perf_counter()
    still_falls(lines)
    assert time.perf_counter() - begin < 30  # 2 s on a free core
