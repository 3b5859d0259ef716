"""The best value of an axis in each row, with its interval."""

import math
from dataclasses import replace

import numpy as np
import pytest
from landscapes import ONE_AXIS, THREE_AXES, diverges, fixed, redrawn
from synthetic import RATES, landscape

from gridscape.analysis.best import best_among, best_per
from gridscape.analysis.cells import summarize, top_cell
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status

MANY = {"n_examples": {"test": 10_000}}
(AXIS,) = landscape(ONE_AXIS, lambda c: 0.5).axes


def test_best_per_row_with_values_that_cannot_be_told_apart():
    rng = np.random.default_rng(0)
    land = fixed(
        {"hidden_size": [16], "learning_rate": list(RATES[:4])},
        np.array([[0.5], [0.901], [0.9], [0.7]]) + 0.004 * rng.standard_normal((4, 5)),
    )
    (row,) = best_per(land)
    assert row.row == Cell.of(hidden_size=16)
    assert row.value in (1e-4, 1e-3)
    assert row.equivalent == (1e-4, 1e-3)
    assert (row.low, row.high) == (1e-4, 1e-3)
    assert row.known
    assert row.note == ""


def test_best_per_of_one_replicate_is_unknown_and_says_so():
    rows = best_per(landscape(replicates=1))
    assert [row.row["hidden_size"] for row in rows] == [16, 32, 64, 128]
    for row in rows:
        assert row.best is not None
        assert row.equivalent == ()
        assert row.low is None
        assert not row.known
        assert "none of the other cells tested" in row.note
        assert len(row.untested) == 5


def test_best_per_leaves_out_cells_that_mostly_diverged():
    land = fixed(
        ONE_AXIS,
        [[0.5, 0.5, 0.51], [0.7, 0.71, 0.7], [0.9, 0.9, 0.9]],
        status=diverges((1e-1, 0), (1e-1, 1)),
    )
    (row,) = best_per(land, per=[])
    assert row.value == 1e-2
    assert row.excluded == (Cell.of(learning_rate=1e-1),)


def test_best_per_of_a_row_without_candidates():
    land = landscape(ONE_AXIS, lambda c: 0.5, status=lambda c, r: Status.DIVERGED)
    (row,) = best_per(land)
    assert row.best is None
    assert row.value is None
    assert row.equivalent == ()
    assert "none learns" in row.note


def test_best_per_of_the_only_candidate():
    land = landscape(
        ONE_AXIS, lambda c: 0.5, status=diverges(*((v, r) for v in (1e-2, 1e-1) for r in range(3)))
    )
    (row,) = best_per(land)
    assert row.equivalent == (1e-3,)
    assert "only candidate" in row.note


def test_best_per_of_a_categorical_axis_and_of_a_loss():
    land = landscape(THREE_AXES, lambda c: 0.6 + 0.2 * (c["cell"] == "gru"))
    for row in best_per(land, "cell", per="hidden_size"):
        assert row.value == "gru"
        assert (row.low, row.high) == (None, None)
    assert {row.value for row in best_per(land, "cell", metric="test_loss")} == {"gru"}
    assert len(best_per(land, "cell")) == 6
    assert len(best_per(land, "cell", per=())) == 1


# ---- what was not shown stays --------------------------------------------------------------------


def test_a_value_that_was_not_tested_is_not_excluded():
    """1e-1 shares one replicate with the best: it may be the best, and is named as untested."""

    def status(cell, replicate):
        is_late = cell["learning_rate"] == 1e-1 and replicate >= 1
        return Status.MISSING if is_late else Status.FINISHED

    scores = [[0.5, 0.51, 0.49, 0.5], [0.9, 0.91, 0.9, 0.905], [0.8] * 4]
    (row,) = best_per(fixed(ONE_AXIS, scores, status=status, study=MANY))
    assert row.value == 1e-2
    assert row.equivalent == (1e-2, 1e-1)
    assert row.untested == (1e-1,)
    assert "1 cells not tested" in row.note


def test_a_value_is_excluded_that_fails_in_most_of_its_runs():
    """Three of three, or 8 of 10, are most; two of three may be chance."""
    scores = [[0.9 + 0.001 * r for r in range(3)]] * 2 + [[0.95, 0.951, 0.952]]
    failing = [diverges(*((1e-1, r) for r in range(k))) for k in (2, 3)]
    two, three = (best_per(fixed(ONE_AXIS, scores, status=s, study=MANY))[0] for s in failing)
    assert 1e-1 in two.equivalent
    assert three.equivalent == (1e-3, 1e-2)
    assert two.value == three.value


def test_the_best_value_may_be_one_of_which_runs_diverge():
    """In 30 % of its runs the best rate diverges: it is held in 95 % of the landscapes."""
    truth = np.array([[0.88], [0.92], [0.905]])
    rng, base = np.random.default_rng(0), summarize(landscape(ONE_AXIS, lambda c: 0.5))
    for n in (3, 5, 10):
        held = []
        for _ in range(400):
            values = truth + 0.005 * rng.standard_normal((3, n))
            values[1, rng.random(n) < 0.3] = np.nan
            held.append(1e-2 in best_among(AXIS, of_runs(base, values)).equivalent)
        assert np.mean(held) >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 150)


def of_runs(base, values):
    """Cells of which a run diverged where a value is NaN."""
    statuses = np.where(np.isfinite(values), "finished", "diverged")
    found = redrawn(base, values)
    failing = np.isnan(values).any(axis=1)
    return [
        replace(
            s,
            statuses=tuple(st.tolist()),
            n_finished=int((st == "finished").sum()),
            n_diverged=int((st == "diverged").sum()),
            at_edge=bool(failing.any()),
        )
        for s, st in zip(found, statuses, strict=True)
    ]


def test_the_set_holds_the_true_best_and_excludes_what_is_worse():
    """The truth: 1e-2 is best by half a standard deviation, so that it is often not picked."""
    truth = np.array([[0.80], [0.905], [0.90]])
    rng, base = np.random.default_rng(1), summarize(landscape(ONE_AXIS, lambda c: 0.5))
    held = []
    for _ in range(400):
        cells = redrawn(base, truth + 0.01 * rng.standard_normal((3, 5)))
        found = best_among(AXIS, cells)
        held.append(1e-2 in found.equivalent)
        assert 1e-3 not in found.equivalent
    assert np.mean(held) >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 400)


# ---- where the optimum lies ----------------------------------------------------------------------


def test_the_optimum_is_the_vertex_of_a_parabola_on_the_axis():
    rates = {"learning_rate": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]}
    heights = np.log10(rates["learning_rate"])
    noise = 1e-4 * np.random.default_rng(2).standard_normal((5, 4))
    (row,) = best_per(fixed(rates, 0.9 - 0.05 * (heights[:, None] + 2.3) ** 2 + noise, study=MANY))
    assert row.value == 1e-2
    assert np.log10(row.optimum.mean) == pytest.approx(-2.3, abs=0.01)  # noise of .0001
    assert np.log10((row.optimum.low, row.optimum.high)) == pytest.approx((-2.5, -1.5))
    assert not row.at_end


def test_a_best_value_at_the_end_of_the_axis_is_marked_and_open():
    noise = 1e-4 * np.random.default_rng(3).standard_normal((3, 4))
    scores = np.array([[0.6], [0.7], [0.8]]) + noise
    (row,) = best_per(fixed(ONE_AXIS, scores, study=MANY))
    assert row.at_end
    assert row.optimum.mean == pytest.approx(1e-1)
    assert (row.optimum.high, np.log10(row.optimum.low)) == (math.inf, pytest.approx(-1.5))


def test_a_lucky_replicate_that_others_lack_makes_no_cell_the_best():
    """Replicate 2 lifts all cells by .1; the truly best one has not trained it."""
    means = np.array([0.60, 0.65, 0.70, 0.68, 0.62])
    noise = 0.001 * np.random.default_rng(0).standard_normal((5, 3))
    land = fixed({"hidden_size": [8, 16, 32, 64, 128]}, means[:, None] + noise + [0.0, 0.0, 0.1])
    land.data["status"][{"hidden_size": 2, "replicate": 2}] = Status.MISSING.value
    land.data["test_accuracy"][{"hidden_size": 2, "replicate": 2}] = np.nan
    assert land.score().values.argmax() == 3  # by plain means, 64 would be
    (row,) = best_per(land, "hidden_size")
    assert row.value == 32
    assert land.best_of_rows("hidden_size") == {Cell(()): Cell.of(hidden_size=32)}
    assert top_cell(summarize(land)).cell == Cell.of(hidden_size=32)
    assert row.best.estimate.mean == pytest.approx(0.70, abs=0.005)  # shown is what was measured
