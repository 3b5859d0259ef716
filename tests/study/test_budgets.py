"""How long a network is trained: in updates, epochs, examples or floating-point operations."""

import re

import numpy as np
import pytest

import gridscape as gs
from gridscape.analysis.efforts import Efforts, efforts
from gridscape.cli import commands
from gridscape.engine.flops import update_flops
from gridscape.errors import StudyFileError, UsageError
from gridscape.study.conditions import altered
from gridscape.study.flops import step_flops
from gridscape.study.study import Study

N = 1347  # training examples of the digits
TINY = {"task": "digits-flat", "model": "mlp", "replicates": 1, "evaluations": 2}
SIZES = {"batch_size": [10, 100], "hidden_size": [4, 16]}


def study(axes=SIZES, **others):
    return Study(**{**TINY, "axes": axes, **others})


def updates(found):
    resolved = found.resolve()
    return [resolved.recipe(cell).updates for cell in found.cells()]


def keys(found):
    return {trial.key for trial in found.resolve().trials()}


def test_what_a_budget_comes_to_in_each_cell():
    assert updates(study(updates=7)) == [7, 7, 7, 7]
    assert updates(study(examples=1000)) == [100, 100, 10, 10]
    assert updates(study(examples=1099)) == [109, 109, 10, 10]
    assert updates(study(epochs=2)) == [2 * N // 10] * 2 + [2 * N // 100] * 2
    assert updates(study(epochs=0.5)) == [67, 67, 6, 6]
    assert updates(study()) == [400] * 4


def test_the_operations_are_those_that_the_engine_counts():
    found = study(flops=1e8).resolve()
    assert len(found.study.cells()) > 1
    for cell in found.study.cells():
        recipe = found.recipe(cell)
        one = update_flops(recipe, found.task)
        assert recipe.updates * one <= 1e8 < (recipe.updates + 1) * one


@pytest.mark.parametrize(
    "parts",
    [
        {"task": "digits-rows", "model": "lstm", "optimizer": "adamw"},
        {"task": "digits-image", "model": "lenet5", "optimizer": "momentum"},
        {"task": "digits-flat", "model": "mlp", "optimizer": "optax:contrib.muon"},
        {
            "task": "recall",
            "model": "gru",
            "optimizer": "sgd",
            "schedule": "cosine",
            "model_options": {"returns": "every"},
        },
    ],
    ids=lambda parts: parts["model"] + "-" + parts["optimizer"],
)
def test_one_update_is_counted_alike(parts):
    found = study({"learning_rate": [0.1]}, **parts, hyperparameters={"clip_norm": 1.0}).resolve()
    recipe = found.recipe(found.study.cells()[0])
    names = set(recipe.hyper)
    ours = step_flops(
        recipe.model, recipe.optimizer, recipe.loss, found.task, recipe.batch_size, names
    )
    assert ours == update_flops(recipe, found.task) > 0


def test_a_trial_is_the_same_whatever_its_length_was_called():
    axes = {"batch_size": [100]}
    assert keys(study(axes, examples=1000)) == keys(study(axes, updates=10))
    assert keys(study(axes, epochs=1)) == keys(study(axes, updates=13))
    scheduled = {"schedule": "cosine"}
    assert keys(study(axes, examples=1000, **scheduled)) == keys(
        study(axes, updates=10, **scheduled)
    )


def test_the_schedule_ends_where_each_training_ends():
    found = study(examples=1000, schedule="linear").resolve()
    lengths = [found.recipe(cell).hyper["schedule_updates"] for cell in found.study.cells()]
    assert lengths == [100, 100, 10, 10]


def test_epochs_and_examples_may_be_axes():
    assert updates(study({"epochs": [1, 0.5]})) == [13, 6]
    assert updates(study({"examples": [500, 1000]})) == [5, 10]
    both = study({"hidden_size": [4]}, grids=[{"epochs": [1, 2]}, {"updates": [5]}])
    assert sorted(updates(both)) == [5, 13, 26]


def test_another_budget_replaces_that_of_the_study():
    assert updates(study(epochs=1).override(updates=5)) == [5] * 4
    assert updates(study(updates=9).override(epochs=1)) == [134, 134, 13, 13]
    assert updates(study({"batch_size": [10]}, updates=9).override({"epochs": [1]})) == [134]
    again = study(epochs=1).override(replicates=2)
    assert (again.updates, again.epochs) == (None, 1)


def test_the_record_tells_it():
    record = study(epochs=1.5).resolve().record()
    assert (record["updates"], record["epochs"]) == (None, 1.5)
    assert Study.from_record(record).epochs == 1.5
    plain = study(updates=3).resolve().record()
    assert plain["updates"] == 3
    assert not {"epochs", "examples", "flops"} & set(plain)


# ---- what is wrong ----


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"updates": 5, "epochs": 1}, "epochs: two budgets at once (expected one of updates, "),
        ({"examples": 5, "flops": 1e9}, "flops: two budgets at once"),
        ({"epochs": 0}, "epochs: out of range (expected a number above 0, found 0"),
        ({"epochs": -1}, "epochs: out of range"),
        ({"epochs": float("nan")}, "epochs: out of range"),
        ({"epochs": float("inf")}, "epochs: out of range"),
        ({"epochs": "two"}, "epochs: wrong type (expected a number, found 'two')"),
        ({"examples": 0}, "examples: out of range (expected a number from 1, found 0)"),
        ({"examples": 1.5}, "examples: wrong type"),
        ({"flops": 0}, "flops: out of range (expected a number above 0, found 0"),
        ({"updates": 0}, "updates: out of range"),
        ({"axes": {"epochs": [1, 0]}}, "axes.epochs: out of range (expected a number above 0"),
        ({"axes": {"examples": [1.5]}}, "axes.examples: out of range"),
        ({"axes": {"epochs": [1]}, "updates": 5}, "epochs: two budgets at once"),
        ({"axes": {"epochs": [1], "examples": [500]}}, "examples: two budgets at once"),
        (
            {"axes": {"batch_size": [10]}, "grids": [{"epochs": 1, "updates": 3}]},
            "grids.1.epochs: two budgets at once",
        ),
        ({"axes": {"flops": [1e9]}}, "axes.flops: no name for an axis"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(given, line):
    with pytest.raises(StudyFileError) as caught:
        study(**given)
    assert len(caught.value.mistakes) == 1, caught.value.mistakes
    assert caught.value.mistakes[0].startswith(line)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"examples": 50}, r"examples: less than one update \(expected at least 100, for bat"),
        ({"epochs": 0.01}, r"epochs: less than one update \(expected at least 0.07424, for"),
        ({"flops": 10}, r"flops: less than one update \(expected at least "),
        ({"examples": 10**10}, r"examples: too long a training \(expected at most 10,000,000 upd"),
        (
            {"task": "recall", "model": "gru", "model_options": {"returns": "every"}, "epochs": 1,
             "axes": {"hidden_size": [4]}},
            "epochs: task recall draws its examples without end: no epoch is over",
        ),
        (
            {"task": "quadratic", "model": "point", "flops": 1e9, "axes": {"learning_rate": [0.1]},
             "task_options": {"curvatures": [1.0]}, "batch_size": 1},
            "flops: no products are found in an update",
        ),
    ],
)  # fmt: skip
def test_a_length_that_cannot_be_is_told_before_anything_is_trained(given, what):
    with pytest.raises((StudyFileError, UsageError), match=what) as caught:
        study(**given).resolve()
    assert "\n" not in str(caught.value)


def test_it_is_told_of_a_named_study_that_another_budget_was_set():
    record = Study.load("quickstart").override(epochs=2).resolve().record()
    assert "epochs 2 instead of 400 updates" in altered(record)


# ---- trained ----


def test_cells_of_different_lengths_train_beside_each_other(tmp_path):
    axes = {"batch_size": [50, 100], "learning_rate": [0.01, 0.1]}
    land = gs.run(study(axes, examples=600, schedule="cosine"), directory=tmp_path / "equal")
    assert land.array("updates")[..., 0].tolist() == [[12, 12], [6, 6]]
    assert land.counts()["finished"] == 4
    points = land.points("test_accuracy")
    lines = land.lines("test_accuracy")[:, 0, 0]
    assert [points[np.isfinite(line)].tolist() for line in lines] == [[6, 12], [3, 6]]
    alone = gs.run(
        study({**axes, "batch_size": [100]}, updates=6, schedule="cosine"),
        directory=tmp_path / "alone",
    )
    np.testing.assert_array_equal(land.array("test_loss")[1], alone.array("test_loss")[0])


def test_plan_and_page_tell_what_differs(tmp_path, capsys):
    path, out = tmp_path / "batches.toml", tmp_path / "batches"
    path.write_text(
        'task = "digits-flat"\nmodel = "mlp"\nexamples = 400\nreplicates = 1\nevaluations = 1\n'
        "[axes]\nbatch_size = [20, 100]\nhidden_size = [4]\n"
    )
    arguments = [str(path), "--dir", str(out)]
    assert commands.exit_status(["plan", *arguments]) == 0
    told = "All cells have the same number of examples; some do up to 5 times as many updates"
    assert told in " ".join(capsys.readouterr().out.split())
    assert commands.exit_status(["run", *arguments]) == 0
    assert "trained on digits-flat for 400 examples" in " ".join(capsys.readouterr().out.split())
    page = (out / "report.html").read_text(encoding="utf-8")
    assert told in page
    assert re.search(r'"batches": ?\[20, ?100\]', page), "for curves over examples"
    assert commands.exit_status(["plan", *arguments[:1], "--updates", "3"]) == 0
    assert "some see up to 5 times as many examples as others" in " ".join(
        capsys.readouterr().out.split()
    )
    for given, line in (
        (["--epochs", "0"], "epochs: "),
        (["--epochs", "1", "--updates", "2"], "two"),
    ):
        assert commands.exit_status(["plan", *arguments, *given]) in (1, 2)
        error = capsys.readouterr().err
        assert line in error
        assert error.count("\n") == 1


def test_efforts_are_told_only_where_they_are_known():
    cells = [(10, 100, 1e6), (10, 1000, 1e7)]
    assert efforts({"updates": 10, "axes": {}}, cells) == Efforts(
        "updates", {"examples": 10.0, "flops": 10.0}
    )
    assert efforts({"epochs": 1, "axes": {}}, [(13, 1300, 1e6), (67, 1340, 1e6)]).times == {
        "updates": 67 / 13
    }
    assert efforts({"updates": 10, "axes": {"epochs": [1]}}, cells) is None
    assert efforts({"axes": {}}, cells) is None
    assert efforts({"updates": 10, "axes": {}}, []) is None
    assert efforts({"updates": 10, "axes": {}}, [cells[0]] * 2).times == {}
