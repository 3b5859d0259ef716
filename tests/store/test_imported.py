"""Runs made elsewhere: what a table of them becomes, and what it is told where it cannot be."""

import math

import numpy as np
import pandas as pd
import pytest

import gridscape as gs
from gridscape.errors import DataCorruptError, StoreError, UnknownNameError, UsageError
from gridscape.grid.axes import show
from gridscape.store.run_tables import Columns, runs_of

AXES = {"h": "h", "lr": "lr"}


def table(**columns):
    """Two values of h by two of lr by three seeds, every accuracy another."""
    rows = [(h, lr, s) for h in (32, 16) for lr in (0.1, 0.01) for s in (7, 1, 3)]
    made = pd.DataFrame(rows, columns=["h", "lr", "seed"])
    return made.assign(accuracy=[0.5 + at / 100 for at in range(12)], **columns)


def read(made, axes=AXES, metrics=None, **asked):
    columns = Columns(axes, metrics or {"accuracy": "accuracy"}, **asked)
    return runs_of(made, columns, "runs", "runs.csv", "runs.csv")


def by_place(runs, variable="test_accuracy"):
    return {(*t.cell.values(), t.replicate): r.metrics.get(variable) for t, r in runs.trials}


def told(runs):
    return "\n".join(runs.study["told"])


def test_a_table_becomes_the_landscape_of_its_numbers(tmp_path):
    made = table()
    land = gs.import_runs(
        made, ["h", "lr"], metric="accuracy", replicate="seed", directory=tmp_path / "runs"
    )
    wanted = made.pivot_table("accuracy", ["h", "lr", "seed"]).to_numpy().reshape(2, 2, 3)
    np.testing.assert_array_equal(land.array("test_accuracy"), wanted)
    assert [axis.values for axis in land.axes] == [(16, 32), (0.01, 0.1)]
    assert (land.main_metric, land.selection, land.counts()["finished"]) == (
        "test_accuracy",
        "test",
        12,
    )
    again = gs.Landscape.read(tmp_path / "runs")
    np.testing.assert_array_equal(again.array("test_accuracy"), wanted)
    assert again.best("lr").lr.to_numpy().tolist() == [0.01, 0.01]
    assert again.table().shape[0] == 12


def test_replicates_are_paired_by_their_seed():
    runs = read(table(), replicate="seed")
    assert by_place(runs)[(32, 0.1, 0)] == pytest.approx(0.51), "seed 1 is the first, not 7"
    assert runs.study["replicates"] == 3
    assert "numbered in the order of seed" in told(runs)
    counted = read(table())
    assert by_place(counted)[(32, 0.1, 0)] == pytest.approx(0.50)
    assert "counted in the order of the rows" in told(counted)


def test_seeds_that_no_two_cells_share_are_counted_within_each():
    runs = read(table().assign(seed=range(100, 112)), replicate="seed")
    assert runs.study["replicates"] == 3
    assert "no two cells share" in told(runs)


@pytest.mark.parametrize(
    ("names", "axes", "metric", "variable"),
    [
        (("params.h", "params.lr", "metrics.val_acc"), AXES, "val_acc", "val_acc"),
        (("params_h", "params_lr", "value"), AXES, "value", "test_value"),
        (("config.h", "config/lr", "summary.train/loss"), AXES, "train/loss", "train_loss"),
        (("config.model.h", "config.opt.lr", "Test Accuracy"), AXES, "test accuracy", None),
        (("H", "Lr", "metrics.acc"), {"h": "h", "rate": "lr"}, "metrics.acc", "test_acc"),
    ],
)
def test_customary_names_are_understood(names, axes, metric, variable):
    made = table().rename(columns=dict(zip(("h", "lr", "accuracy"), names, strict=True)))
    runs = read(made, axes, {metric: metric}, replicate="seed")
    assert list(runs.study["axes"]) == list(axes)
    assert set(by_place(runs, variable or "test_accuracy").values()) == set(made[names[2]])


def test_metrics_are_found_by_their_names():
    made = table(loss=1.0).rename(columns={"accuracy": "metrics.val_accuracy"})
    runs = runs_of(made, Columns(AXES), "runs", "t", "t")
    assert list(runs.study["metrics"]) == ["accuracy"]
    assert "taken as metrics: metrics.val_accuracy" in told(runs)
    with pytest.raises(UsageError, match="which column is the metric"):
        runs_of(table().drop(columns="accuracy"), Columns(AXES), "runs", "t", "t")


def test_which_side_is_better_is_guessed_told_and_said():
    made = table(perplexity=5.0, thing=1.0)
    names = {name: name for name in ("accuracy", "perplexity", "thing")}
    runs = read(made, metrics=names)
    sides = {name: found["better"] for name, found in runs.study["metrics"].items()}
    assert sides == {"accuracy": "higher", "perplexity": "lower", "thing": "higher"}
    assert "accuracy higher, perplexity lower" in told(runs)
    assert "more of thing is taken as better" in told(runs)
    runs = read(made, metrics=names, better={"thing": "lower"})
    assert runs.study["metrics"]["thing"]["better"] == "lower"
    for wrong in ({"": "up"}, {"other": "lower"}):
        with pytest.raises(UsageError, match="better"):
            read(made, better=wrong)


def test_percent_are_no_fractions():
    assert read(table()).study["metrics"]["accuracy"]["unit"] == "fraction"
    made = table()
    percent = read(made.assign(accuracy=100 * made.accuracy))
    assert percent.study["metrics"]["accuracy"]["unit"] == "%"


def test_statuses_of_all_tools():
    words = ["COMPLETE", "TrialState.PRUNED", "crashed", "RUNNING", "FINISHED", "Failed"]
    runs = read(table(state=[*words, *["finished"] * 6]), replicate="seed")
    found = {(*t.cell.values(), t.replicate): r.status.value for t, r in runs.trials}
    assert [found.get((32, 0.1, at)) for at in (2, 0, 1)] == ["finished", "failed", "failed"]
    assert [found.get((32, 0.01, at)) for at in (2, 0, 1)] == [None, "finished", "failed"]
    reasons = {r.reason for _, r in runs.trials}
    assert reasons == {None, "TrialState.PRUNED", "crashed", "Failed"}
    with pytest.raises(DataCorruptError, match=r"line 2, column state.*found 'odd'"):
        read(table(state="odd"))
    assert len(read(table(state="odd"), status="none").trials) == 12


def test_a_metric_that_is_no_number_counts_as_diverged():
    made = table()
    made.loc[0, "accuracy"], made.loc[1, "accuracy"] = math.nan, math.inf
    runs = read(made, replicate="seed")
    assert sum(r.status == "diverged" for _, r in runs.trials) == 2
    assert "2 finished runs without a finite test_accuracy: counted as diverged" in told(runs)


def history():
    """One cell a run, rows at steps 0, 10, 20; of the second the loss breaks at 20."""
    rows = [(h, t, 1.0 / (1 + t + h), h / 100 + t / 1000) for h in (16, 32) for t in (20, 0, 10)]
    made = pd.DataFrame(rows, columns=["h", "step", "train_loss", "accuracy"])
    made.loc[(made.h == 32) & (made.step == 20), "accuracy"] = math.nan
    made.loc[made.step == 10, "train_loss"] = math.nan
    return made


def test_rows_by_step_are_curves(tmp_path):
    names = ["accuracy", "train_loss"]
    land = gs.import_runs(history(), "h", metric=names, directory=tmp_path / "runs")
    assert land.points("test_accuracy").tolist() == [0, 10, 20]
    assert land.points("train_loss").tolist() == [0, 20], "logged at every other step"
    np.testing.assert_allclose(land.lines("test_accuracy")[0, 0], [0.16, 0.17, 0.18])
    assert land.array("test_accuracy")[0, 0] == pytest.approx(0.18)
    assert land.array("status")[:, 0].tolist() == ["finished", "diverged"]
    assert land.array("first_bad_update")[1, 0] == 20
    for wrong in (-1, 0.5):
        made = history().astype({"step": float})
        made.loc[0, "step"] = wrong
        with pytest.raises(DataCorruptError, match="expected a whole number from 0"):
            gs.import_runs(made, "h", metric=names, directory=tmp_path / "other")


def test_steps_of_several_runs_without_seeds_are_counted():
    made = pd.concat([history(), history().assign(accuracy=0.5)])
    columns = Columns({"h": "h"}, {"accuracy": "accuracy"})
    runs = runs_of(made.reset_index(drop=True), columns, "runs", "t", "t")
    assert runs.study["replicates"] == 2
    assert [r.metrics.get("test_accuracy") for _, r in runs.trials] == [0.18, None, 0.5, 0.5]


def test_holes_are_told_and_missing():
    runs = read(table().iloc[:8], replicate="seed")
    assert "1 of 4 cells without runs; 1 cell with fewer than 3 runs: missing" in told(runs)
    assert len(runs.trials) == 8


def test_two_rows_of_one_replicate():
    twice = pd.concat([table(), table().iloc[:1]], ignore_index=True)
    with pytest.raises(DataCorruptError, match=r"lines? 2 and line 14.*h=32, lr=0.1"):
        read(twice, replicate="seed")
    retried = twice.assign(status=["failed", *["finished"] * 12])
    runs = read(retried, replicate="seed")
    assert len(runs.trials) == 12
    assert "tried again" in told(runs)


def test_odd_axes_are_told():
    made = table(one=3, mixed=["auto", *range(11)])
    runs = read(made, {"h": "h", "one": "one"})
    assert "one has one value, 3" in told(runs)
    runs = read(made, {"mixed": "mixed"})
    assert "mixed has text among its numbers, 'auto'" in told(runs)
    assert runs.study["axes"]["mixed"] == ["auto", *map(str, range(11))]  # text throughout
    gone = table()
    gone["lr"] = gone.lr.where(gone.index > 0)
    assert "1 row without a value of an axis: left out" in told(read(gone))


MANY = pd.DataFrame({"lr": np.linspace(0, 1, 10_000), "b": range(10_000), "accuracy": 0.5})


@pytest.mark.parametrize(
    ("made", "axes", "asked", "message"),
    [
        (table(), {"hh": "hh"}, {}, "unknown column 'hh'; did you mean 'h'"),
        (table(), AXES, {"replicate": "sed"}, "did you mean 'seed'"),
        (table(), {}, {}, "no axes are named"),
        (table(), {"h": "h", "again": "h"}, {}, "column h twice"),
        (table(), AXES, {"replicate": "lr"}, "column lr twice"),
        (table(), {"status": "h"}, {}, "--axes my_status=h"),
        (table(), {"a=b": "h"}, {}, "--axes NAME=COLUMN"),
        (MANY, {"lr": "lr"}, {}, "at most 1,000, found 10,000 in 10,000 rows"),
        (MANY.assign(lr=1), {"lr": "lr"}, {}, "too many replicates"),
        (MANY[:900], {"lr": "lr", "b": "b"}, {}, "900 x 900 for 900 rows"),
        (table(accuracy2="n"), AXES, {}, None),
        (table(**{"config.x": 1, "tags.x": 2}), {"x": "x"}, {}, None),
        (table(**{"a.x": 1, "b.x": 2}), {"x": "x"}, {}, "several columns may be 'x'"),
        (table().assign(h=None), AXES, {}, "a column without values"),
        (table().assign(seed=None), AXES, {"replicate": "seed"}, "without its replicate"),
        (table().assign(accuracy="high"), AXES, {}, "line 2, column accuracy: not a number"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(made, axes, asked, message):
    if message is None:
        assert read(made, axes, **asked).trials
        return
    with pytest.raises((UsageError, DataCorruptError)) as caught:
        read(made, axes, **asked)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 280


def test_a_folder_with_results_is_refused(tmp_path):
    place = tmp_path / "runs"
    gs.import_runs(table(), "h,lr", directory=place)
    with pytest.raises(StoreError, match="holds results already"):
        gs.import_runs(table(), "h,lr", directory=place)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"notes\.txt"):
        gs.import_runs(table(), "h,lr", directory=tmp_path / "full")


@pytest.mark.parametrize(
    "verb",
    [
        lambda place: gs.replay(place, {"h": 16, "lr": 0.1}),
        lambda place: gs.extend(place, {gs.Cell.of(h=16, lr=0.1): 5}),
        lambda place: gs.confirm(place, top=1),
        lambda place: gs.decide(place, best=True),
        lambda place: gs.refine(place, optimum=True),
        lambda place: gs.run("quickstart", directory=place),
        lambda place: gs.Study.from_record(gs.Landscape.read(place).study, trust=True),
        lambda place: gs.inspection.mcnemar(place, {"h": 16}, {"h": 32}),
    ],
)
def test_nothing_trains_them_further(verb, tmp_path):
    gs.import_runs(table(), "h,lr", directory=tmp_path / "runs")
    with pytest.raises(StoreError, match="holds runs made elsewhere"):
        verb(tmp_path / "runs")


def test_a_column_that_is_called_otherwise_is_offered(tmp_path):
    with pytest.raises(UnknownNameError, match=r"did you mean 'lr'. learning_rate=lr calls it so"):
        gs.import_runs(table(), "h,learning_rate", directory=tmp_path / "out")


def test_columns_that_are_not_there_are_no_python(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("h,accuracy\n__import__('os').abort(),0.5\n2,0.6\n")
    land = gs.import_runs(path, "h", directory=tmp_path / "out")
    assert list(map(show, land.axis("h").values)) == ["__import__('os').abort()", "2"]
    with pytest.raises(UnknownNameError, match="unknown column 'x'"):
        gs.import_runs(path, "x", directory=tmp_path / "other")
