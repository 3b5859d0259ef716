"""Networks of numbers that answer a constant: found, told and not called best."""

import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import landscape

import gridscape as gs
from gridscape.analysis.cells import CellState, summarize
from gridscape.analysis.reasons import explanations
from gridscape.grid.names import ANSWER_SPREAD, is_one_answer

X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
Y = 1e4 + 50 * X.sum(axis=1)


def init(key, hyper):
    return {"w": jnp.ones(3), "b": jnp.zeros(1)}


def apply(params, inputs, key, hyper):
    """A linear model, dead where ``gain`` is 0."""
    return hyper["gain"] * (inputs @ params["w"])[:, None] / 3 + params["b"][None]


MODEL = gs.Model(init, apply, hyperparameters={"gain": 1.0})


def land_of(tmp_path, gains, y=Y, **values):
    usual = {"updates": 200, "batch_size": 20, "replicates": 2, "model": MODEL}
    usual |= {"axes": {"gain": gains}, "hyperparameters": {"learning_rate": 0.01}}
    task = gs.Task.from_arrays((X, y), unit="EUR")
    study = gs.Study(**{"name": "constants", "task": task, **usual, **values})
    return gs.run(study, directory=tmp_path / "r"), task


def test_a_constant_is_found_told_and_not_best(tmp_path):
    land, _ = land_of(tmp_path, [0.0, 0.001, 1.0])
    dead, nearly, alive = summarize(land)
    assert [s.state for s in (dead, nearly)] == [CellState.COLLAPSED] * 2
    assert alive.state is CellState.FINISHED
    assert land.learns.tolist() == [[False] * 2, [False] * 2, [True] * 2]
    why = explanations(land, (dead, nearly, alive))
    assert why.keys() == {dead.cell, nearly.cell}
    assert "a constant for everything, training loss" in why[dead.cell]
    assert "that of guessing (1)" in why[dead.cell]
    assert why[dead.cell].startswith("from update 25 on")
    assert land.best_cells() == [alive.cell]
    # In the unit of the target: the mean of the training part explains nothing of it.
    rmse = land.array("test_rmse")[0, 0]
    assert rmse == pytest.approx(np.std(Y), rel=0.3)


def test_the_spread_of_the_answers_is_that_of_numpy(tmp_path):
    land, task = land_of(tmp_path, [1.0], keep_parameters="all")
    network = gs.inspection.trained(tmp_path / "r", {"gain": 1.0}, study=_study(task))
    outputs = apply(network.end, task.test.inputs, None, {"gain": 1.0})
    expected = np.std(np.asarray(outputs, np.float64)) / np.std(task.test.targets.astype(float))
    # float32 sums of squares: some 1e-6 of them.
    assert land.array(ANSWER_SPREAD)[0, 0] == pytest.approx(expected, rel=1e-4)


def _study(task):
    usual = {"updates": 200, "batch_size": 20, "replicates": 2, "model": MODEL}
    usual |= {"axes": {"gain": [1.0]}, "hyperparameters": {"learning_rate": 0.01}}
    return gs.Study(name="constants", task=task, keep_parameters="all", **usual)


def test_several_outputs_are_a_constant_only_together(tmp_path):
    def two(params, inputs, key, hyper):
        one = (inputs @ params["w"])[:, None] / 3
        return jnp.concatenate([one, hyper["gain"] * one], axis=1) + params["b"][None]

    model = gs.Model(init, two, hyperparameters={"gain": 1.0})
    land, _ = land_of(tmp_path, [0.0, 1.0], y=np.stack([Y, -Y], axis=1), model=model)
    assert not land.array("collapsed").any()


def test_what_is_not_known_is_no_constant():
    assert not is_one_answer(np.nan, np.nan)
    assert is_one_answer(1.0, np.nan)
    assert is_one_answer(np.nan, 0.0)
    assert not is_one_answer(0.999, np.nan)
    assert not is_one_answer(np.nan, 0.02)


def test_a_run_that_is_no_better_than_the_mean_does_not_learn(tmp_path):
    """Far off, though it varies and is finite: it must not stand beside cells that learn."""
    land, task = land_of(tmp_path, [1.0, 1e6])
    targets = {"test": task.test.targets, "train": task.train.targets}
    for split, values in targets.items():
        # The mean of the training part, which standardized targets have as 0.
        spread = Y.std() / np.concatenate([s.targets for s in task_parts(task)]).std()
        expected = np.sqrt(np.mean(values.astype(np.float64) ** 2)) * spread
        assert land.chance(f"{split}_rmse") == pytest.approx(expected, rel=1e-3)
    assert land.chance("train_r2") == pytest.approx(0, abs=1e-5)
    assert land.finished()[1].min() > land.chance()
    assert land.learns.tolist() == [[True] * 2, [False] * 2]


def task_parts(task):
    return task.train, task.validation, task.test


def test_units_keep_their_letters(tmp_path, capsys):
    from gridscape.cli import commands

    land_of(tmp_path, [1.0], updates=5)
    capsys.readouterr()
    assert commands.exit_status(["show", str(tmp_path / "r")]) == 0
    assert "Test rmse in EUR: mean of 2 replicates" in capsys.readouterr().out


def test_guessing_an_error_rate_is_what_is_left_of_the_largest_class():
    """Of an own metric of errors, of which nothing is told: 0.1 where a class has 0.9."""
    record = {
        "metrics": {"accuracy": {"better": "lower", "unit": "fraction"}},
        "guessing": 0.9,
        "chances": {},
    }
    land = landscape({"learning_rate": [0.1]}, lambda cell: 0.05, noise=0.0, study=record)
    assert land.chance("test_accuracy") == pytest.approx(0.1)
    np.testing.assert_allclose(land.above_chance("test_accuracy"), 0.5)


def test_errors_of_targets_that_are_their_mean_tell_no_way():
    """Who guesses the mean has no error at all: there is nothing to be better than."""
    record = {
        "metrics": {"accuracy": {"better": "lower", "unit": ""}},
        "chances": {"test_accuracy": 0.0},
    }
    land = landscape({"learning_rate": [0.1]}, lambda cell: 0.05, noise=0.0, study=record)
    assert land.above_chance("test_accuracy") is None
