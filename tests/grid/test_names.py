"""Names that users give: what every landscape has is no axis, and all that is left free works."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from cohort_tools import tiny
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gridscape as gs
from gridscape.base.data import Groups
from gridscape.base.metrics import accuracy
from gridscape.cli import commands
from gridscape.errors import GridscapeError, StoreError, StudyFileError, UsageError
from gridscape.grid.axes import Cell
from gridscape.grid.names import AXIS_AS_WELL, RESERVED, Variable, check_axis, is_by, of_task
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.landscape import Landscape
from gridscape.store.store import Store
from gridscape.study.parts import load_task

DIGITS = load_task("digits-flat", {}, None)
TAKEN = sorted(RESERVED - set(AXIS_AS_WELL))


def parity(labels):
    return labels % 2


def linear(*numbers):
    """A linear model of digits that reads numbers of any names, of which the last ones count."""

    def init(key, hyper):
        return {"w": jax.random.normal(key, (64, 10)) * sum(hyper[name] for name in numbers)}

    return gs.Model(init, lambda params, x, key, hyper: x @ params["w"], dict.fromkeys(numbers, 1))


def with_number(name, **values):
    settings = {"axes": {name: [1.0, 2.0]}, "task": "digits-flat", "model": linear(name)}
    return tiny(**{**settings, **values})


# ---- the list is that of the landscape ----


@pytest.mark.parametrize(
    ("task", "options"),
    [("digits-flat", {}), ("recall", {"returns": "every"}), ("quadratic", None)],
)
def test_a_landscape_has_names_of_the_list_and_of_its_task_only(task, options, tmp_path):
    made = load_task(task, {}, None)
    model = {"model": "point"} if options is None else {"model": "lstm", "model_options": options}
    if task == "digits-flat":
        model = {"model": "mlp"}
    study = tiny({"learning_rate": [0.1]}, task=task, batch_size=1, replicates=1, **model)
    land = gs.run(study, directory=tmp_path)
    assert (land.data.status == "finished").all()
    ours = set(of_task(made.metrics, made.groups and made.groups.name))
    assert set(map(str, land.data.variables)) - {"learning_rate"} <= RESERVED | ours
    unvalidated = set() if made.validation else {n for n in ours if "val_" in n}
    assert ours - unvalidated <= set(land.data.variables)


def test_a_landscape_of_which_nothing_has_ended_has_all_names_of_the_list():
    empty = Landscape.of({"axes": {"x": [1]}, "replicates": 1}, [])
    told_since = {"top_answer", "curve_top_answer", "curve_top_answer_share", "top_class"}
    told_since |= {"answer_spread", "curve_answer_spread"}  # of numbers
    of_validation = {name for name in RESERVED if "val_" in name}
    assert set(empty.data.variables) - {"x"} == RESERVED - told_since - of_validation
    record = {"metrics": {"accuracy": {"better": "higher", "unit": "fraction"}}}
    told = {**record, "n_examples": {"validation": 9}, "axes": {"x": [1]}, "replicates": 1}
    assert {"val_loss", "val_accuracy", "top_answer"} <= set(Landscape.of(told, []).data.variables)


# ---- axes that take such a name, in every way in ----


@pytest.mark.parametrize("name", TAKEN)
def test_an_axis_of_a_name_that_every_landscape_has_is_refused(name):
    line = f"axes.{name}: no name for an axis: every landscape has something of this name; rename"
    for make in (
        lambda: with_number(name),
        lambda: with_number("free").override({name: [1.0]}),
        lambda: gs.run(with_number("free"), set={name: [1.0]}),
        lambda: gs.plan(with_number("free"), set={name: [1.0]}),
    ):
        with pytest.raises(StudyFileError) as caught:
            make()
        assert caught.value.mistakes == [f"{line} the model's or the task's option or number"]


def test_such_an_axis_of_a_file_has_its_line(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('task = "digits-flat"\nmodel = "mlp"\n[axes]\nhidden_size = [2]\nkey = [1]\n')
    with pytest.raises(StudyFileError, match=r"line 5: axes\.key: no name for an axis"):
        gs.Study.load(file)


NO_NAMES = ["", " ", " a", "a ", "a/b", "a\0b", "a\x1b[2J", "a\nb", ".", "..", "\ud800"]


@pytest.mark.parametrize("name", [*NO_NAMES, "a=b", "a,b"])
def test_what_is_no_name_for_an_axis(name):
    with pytest.raises(StudyFileError) as caught:
        with_number(name)
    line = str(caught.value)
    assert line.startswith("study tiny: axes: no name for an axis (expected ")
    with pytest.raises(StudyFileError) as caught:
        tiny({name: [1.0]})  # and unknown as well
    assert str(caught.value) == line
    assert line.isprintable()


def test_a_long_name_is_cut_in_the_error():
    with pytest.raises(UsageError) as caught:
        check_axis("a/" * 10_000)
    assert len(str(caught.value)) < 300


def test_a_text_value_that_cannot_be_printed():
    with pytest.raises(StudyFileError, match=r"axes.cell: out of range \(expected printable text"):
        tiny({"cell": ["gru", "a\0"]})


@pytest.mark.parametrize("name", ["test_hit", "curve_train_hit", "parity", "test_hit_by_parity"])
def test_an_axis_of_a_name_that_the_task_has(name):
    task = replace(
        DIGITS,
        metrics={"hit": accuracy},
        groups=Groups("parity", (0, 1), parity),
    )
    with pytest.raises(StudyFileError) as caught:
        with_number(name, task=task).resolve()
    assert caught.value.mistakes == [
        f"axes.{name}: no name for an axis: task digits-flat has a metric, or a kind of example, of"
        " this name; rename one of them"
    ]
    assert with_number("test_hat", task=task).resolve().trials()


# ---- names that are free ----

ODD = ["self", "cls", "metric", "method", "drop", "dim", "axis", "replicates", "a b", "é"]


def test_axes_of_all_names_that_are_free(tmp_path):
    axes = {name: [0.5] for name in ODD} | {"self": [0.5, 1.0], "metric": [0.5, 1.0]}
    study = tiny(axes, task="digits-flat", model=linear(*ODD), keep_parameters="best", replicates=1)
    land = gs.run(study, directory=tmp_path)
    assert (land.data.status == "finished").all()
    wanted = dict.fromkeys(ODD, 0.5) | {"metric": 1.0}
    assert dict(land.grid.find(**wanted)) == dict(Cell.of(**wanted)) == wanted
    assert gs.replay(tmp_path, wanted, study=study).identical
    assert len(land.best_cells()) == 2
    assert land._repr_html_()
    pd.testing.assert_frame_equal(
        pd.read_csv(land.export(tmp_path / "land.csv"))[ODD], land.table()[ODD]
    )
    with xr.open_dataset(land.export(tmp_path / "land.nc", "netcdf"), engine="h5netcdf") as again:
        assert set(again.variables) == set(land.data.variables)
    assert commands.exit_status(["show", str(tmp_path)]) == 0
    assert gs.report.write(tmp_path).is_file()


def test_the_axis_updates_hides_the_fact_of_that_name(tmp_path):
    land = gs.run(tiny({"updates": [2, 3]}), replicates=1, directory=tmp_path)
    assert land.data["updates"].values.tolist() == [2, 3]
    with pytest.raises(UsageError, match="unknown metric 'updates'"):
        land.values("updates")


# ---- a folder that has such an axis already ----


def result(key):
    metrics = {"test_accuracy": 0.5}
    return TrialResult(key, Status.FINISHED, 5, metrics, {}, 1.0, 3, 1.0, 9)


@pytest.mark.parametrize("name", TAKEN)
def test_a_folder_with_such_an_axis_says_so(name, tmp_path, capsys):
    study = {"name": "old", "axes": {name: [1, 2]}, "replicates": 1, "task": "digits"}
    with Store.create(tmp_path, study) as store:
        store.put(Trial(Cell(((name, 1),)), 0, "a"), result("a"))
    with pytest.raises(StoreError, match="every landscape has something of this name"):
        gs.report.write(tmp_path)
    for command in ("show", "export"):
        assert commands.exit_status([command, str(tmp_path)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"gridscape: axis {name}: these results cannot be shown: every")
        assert len(line) <= 300


@pytest.mark.parametrize("name", ["a/b", "a\0b", "."])
def test_a_folder_with_a_name_that_netcdf_does_not_have(name, tmp_path):
    study = {"name": "old", "axes": {name: [1]}, "replicates": 1}
    land = Landscape.of(study, [(Trial(Cell(((name, 1),)), 0, "a"), result("a"))])
    with pytest.raises(GridscapeError, match="no name for a variable of netCDF"):
        land.export(tmp_path / "land.nc", "netcdf")
    assert land.export(tmp_path / "land.csv").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["land.csv"]


def test_an_error_of_a_user_with_a_text_that_netcdf_does_not_have(tmp_path):
    def raising(params, inputs, key, hyper):
        if not isinstance(inputs, jax.core.Tracer):
            return inputs
        raised.append(1)
        if len(raised) > 3:  # after the checks
            raise ValueError("a\0b\x1b[2J")
        return inputs @ params["w"]

    raised = []
    model = gs.Model(lambda key, hyper: {"w": jnp.zeros((64, 10))}, raising)
    study = tiny({"learning_rate": [0.1]}, task="digits-flat", model=model, replicates=1)
    land = gs.run(study, directory=tmp_path / "run")
    assert land.data.status.values.tolist() == [["failed"]]
    assert land.data.reason.item() == "ValueError: a?b?[2J"
    assert land.export(tmp_path / "land.nc", "netcdf").is_file()


# ---- the names of a task ----


@pytest.mark.parametrize("name", ["loss", "answers", "top_answer_share", "hit_by_parity"])
def test_a_metric_of_a_name_that_is_taken(name):
    groups = Groups("parity", (0, 1), parity)
    with pytest.raises(UsageError) as caught:
        replace(DIGITS, metrics={"hit": accuracy, name: accuracy}, groups=groups)
    assert str(caught.value) == (
        "task digits-flat: a name of a metric or kind of example that is taken"
        f" (found {name}); rename it"
    )


@pytest.mark.parametrize("name", [*TAKEN, *AXIS_AS_WELL, "test_hit", "curve_test_hit"])
def test_a_kind_of_example_of_a_name_that_is_taken(name):
    with pytest.raises(UsageError, match=rf"that is taken \(found {name}\); rename it"):
        replace(
            DIGITS,
            metrics={"hit": accuracy},
            groups=Groups(name, (0, 1), parity),
        )


@pytest.mark.parametrize("name", [*NO_NAMES, 5, None])
def test_what_is_no_name_for_a_metric_or_a_kind_of_example(name):
    with pytest.raises(UsageError, match="task digits-flat: no name for a metric"):
        replace(DIGITS, metrics={name: accuracy})
    if name is not None:
        with pytest.raises(UsageError, match="task digits-flat: no name for a kind of example"):
            replace(DIGITS, groups=Groups(name, (0, 1), parity))


PIECES = ["test", "train", "curve", "by", "loss", "x", "length", "_"]


@given(
    st.sampled_from(["test", "val", "train"]),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("_".join),
    st.sampled_from([None, "length", "by_x"]),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_a_variable_is_what_its_name_says(split, metric, kind, is_curve):
    """Of any metric that a task may have beside its kind of example."""
    assume(not is_by(metric, kind))
    variable = Variable(split, metric, is_curve=is_curve)
    assert Variable.parse(str(variable), kind) == variable
    if kind:
        by = Variable("test", metric, kind)
        assert Variable.parse(str(by), kind) == by
        assert str(by) in of_task([metric], kind)


@pytest.mark.parametrize(
    "name", ["top_answer_share", "seconds", "test", "test_", "curve_x", "tests_x"]
)
def test_what_is_no_variable_of_a_metric(name):
    assert Variable.parse(name) is None


def test_metrics_whose_names_look_like_ours_are_kept_whole(tmp_path):
    """A curve, and no kind of example, whatever its name reminds of."""
    odd = ("wins_by_margin", "of_curve_x", "test_score", "train_loss2", "curve_x", "accuracy")
    metrics = dict.fromkeys(odd, accuracy)
    task = replace(DIGITS, metrics=metrics)
    study = tiny({"learning_rate": [0.1]}, task=task, model=linear(), replicates=1)
    land = gs.run(study.override(model=gs.Model(zeros, linear().apply)), directory=tmp_path)
    for name in metrics:
        np.testing.assert_array_equal(
            land.data[f"curve_test_{name}"], land.data["curve_test_accuracy"]
        )
        assert land.data[f"test_{name}"].item() == land.data["test_accuracy"].item()
    assert gs.report.write(tmp_path).is_file()


def zeros(key, hyper):
    return {"w": jnp.zeros((64, 10))}
