"""The landscape: what enters the Dataset, how it is exported, and what it says at a glance."""

import re
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetic import RATES, STUDY_AXES, WIDTHS, hump, landscape

from gridscape.analysis.best import best_per
from gridscape.errors import GridscapeError, StoreError, UnknownNameError, UsageError
from gridscape.grid.axes import Cell
from gridscape.grid.names import FACTS
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.landscape import Landscape
from gridscape.store.store import Store


def result(key="k", status=Status.FINISHED, curves=None, **metrics):
    """A stored trial with these final metrics."""
    bad = 30 if status is Status.DIVERGED else None
    return TrialResult(
        key=key,
        status=status,
        updates=400,
        metrics=metrics,
        curves=curves or {},
        seconds=1.5,
        n_parameters=100,
        flops=1e6,
        memory_bytes=400,
        first_bad_update=bad,
    )


def some_diverged(cell, replicate):
    if cell["hidden_size"] == 128 and replicate == 2:
        return Status.MISSING
    if cell["learning_rate"] == 1.0:
        return Status.DIVERGED
    if cell["learning_rate"] == 0.1 and replicate == 0:
        return Status.FAILED
    return Status.FINISHED


def test_dimensions_and_variables():
    land = landscape()
    assert land.data["test_accuracy"].dims == ("hidden_size", "learning_rate", "replicate")
    assert land.data["test_accuracy"].shape == (4, 6, 3)
    assert land.data["curve_train_loss"].dims[-1] == "update"
    assert land.data["curve_test_accuracy"].dims[-1] == "evaluated_at"
    assert set(FACTS) < set(land.data.data_vars)
    assert land.data["learning_rate"].values.tolist() == list(RATES)
    assert [axis.values for axis in land.axes] == [WIDTHS, RATES]
    assert set(land.metrics) == {
        "test_accuracy",
        "test_loss",
        "train_accuracy",
        "train_loss",
        "top_answer_share",
    }


def test_every_trial_is_in_its_place():
    axes = {"cell": ["lstm", "gru"], "learning_rate": [0.1, 0.01, 1]}
    trials = [
        (Trial(Cell.of(learning_rate=rate, cell=cell), r, f"{cell}{rate}{r}"), cell, rate, r)
        for cell in axes["cell"]
        for rate in axes["learning_rate"]
        for r in range(2)
    ]
    results = [
        (trial, result(trial.key, test_accuracy=rate / 2 + r / 10 + (cell == "gru") / 100))
        for trial, cell, rate, r in reversed(trials)
    ]
    land = Landscape.of({"axes": axes, "replicates": 2}, results)
    for trial, cell, rate, r in trials:
        at = land.data.sel(cell=cell, learning_rate=rate, replicate=r)
        assert at["key"].item() == trial.key
        assert at["test_accuracy"].item() == pytest.approx(
            rate / 2 + r / 10 + (cell == "gru") / 100
        )


def test_trials_of_a_larger_grid_do_not_enter():
    study = {"axes": {"hidden_size": [16]}, "replicates": 1}
    trials = [(16, 0), (16, 1), (32, 0)]
    found = [
        (Trial(Cell.of(hidden_size=h), r, f"{h}-{r}"), result(f"{h}-{r}", test_accuracy=0.5))
        for h, r in trials
    ]
    land = Landscape.of(study, found)
    assert land.data["key"].values.tolist() == [["16-0"]]


def test_status_decides_what_has_a_value():
    land = landscape(status=some_diverged)
    status, values = land.data["status"], land.values("test_accuracy")
    assert (np.isfinite(values) == (status == "finished")).all()
    # 18 trials a width: 3 diverge and 1 fails; width 128 lacks its 6 of replicate 2
    assert land.counts() == {
        "finished": 3 * 14 + 9,
        "diverged": 3 * 3 + 2,
        "failed": 4,
        "out_of_memory": 0,
        "stopped": 0,
        "missing": 6,
    }
    assert (
        np.isfinite(land.data["first_bad_update"].where(status == "diverged")).sum()
        == (status == "diverged").sum()
    )
    assert np.isnan(land.data["first_bad_update"].where(status != "diverged")).all()
    assert (land.data["key"].where(status == "missing", "") == "").all()
    reasons = {"failed": "a stated reason", "diverged": "loss not finite"}
    for name, reason in zip(status.values.flat, land.data["reason"].values.flat, strict=True):
        assert reason == reasons.get(name, "")


def test_collapsed_needs_a_finished_network_that_answers_one_class():
    found = [
        (Trial(Cell.of(hidden_size=h), 0, str(h)), outcome)
        for h, outcome in {
            1: result(top_answer_share=1.0, test_accuracy=0.098),
            2: result(top_answer_share=0.9999, test_accuracy=0.0981),
            3: result(top_answer_share=1.0, status=Status.DIVERGED),
        }.items()
    ]
    land = Landscape.of({"axes": {"hidden_size": [1, 2, 3]}, "replicates": 1}, found)
    assert land.data["collapsed"].values.ravel().tolist() == [True, False, False]


def test_trials_may_have_different_points():
    curves = [
        {"train_loss": [3.0, 1.0], "recorded_at": [10, 30]},
        {"train_loss": [2.0, 0.5], "recorded_at": [20, 30]},
        {},
    ]
    found = [
        (
            Trial(Cell.of(hidden_size=16), r, str(r)),
            result(curves={k: np.array(v) for k, v in c.items()}, test_accuracy=0.5),
        )
        for r, c in enumerate(curves)
    ]
    land = Landscape.of({"axes": {"hidden_size": [16]}, "replicates": 3}, found)
    assert land.data["update"].values.tolist() == [10, 20, 30]
    np.testing.assert_array_equal(
        land.data["curve_train_loss"].values[0],
        [[3.0, np.nan, 1.0], [np.nan, 2.0, 0.5], [np.nan] * 3],
    )


def test_a_study_without_results_is_a_landscape():
    land = Landscape.of({"name": "new", "axes": STUDY_AXES, "replicates": 2}, [])
    assert land.counts()["missing"] == 48
    assert np.isnan(land.values("test_accuracy")).all()
    assert land.data.sizes["update"] == land.data.sizes["evaluated_at"] == 0
    assert np.isnan(land.best("learning_rate")["learning_rate"]).all()
    assert "..." in land._repr_html_()


def told(land: Landscape) -> tuple[Any, ...]:
    """What a landscape says of itself without xarray."""
    arrays = [land.array(name).tolist() for name in ("status", "key")]
    numbers = [land.finished(name).tobytes() for name in land.metrics]
    meanings = [land.meaning(name) for name in (*land.metrics, *land.curves, "seconds")]
    return land.axes, land.main_metric, arrays, numbers, meanings, land.best_cells(), repr(land)


def test_it_says_the_same_once_its_data_set_is_there():
    land = landscape(status=some_diverged)
    before = told(land)
    assert "data" not in vars(land)
    assert "data" in dir(land)
    assert isinstance(land.data, xr.Dataset)
    assert land.data is land.data
    assert told(land) == before


def test_what_is_written_into_the_data_set_counts():
    land = landscape()
    land.data["test_accuracy"] = land.data["test_accuracy"] * 0 + 0.25
    land.data["distance"] = land.data["test_accuracy"] + 1
    assert (land.finished("test_accuracy") == 0.25).all()
    assert "distance" in land.metrics


def test_the_order_of_its_dimensions_is_free():
    land = landscape(status=some_diverged)
    turned = Landscape(land.data.transpose("replicate", "learning_rate", ...))
    assert [axis.name for axis in turned.axes] == ["learning_rate", "hidden_size"]
    assert turned.n_replicates == land.n_replicates == 3
    xr.testing.assert_identical(turned.score().T, land.score())


def test_a_name_that_it_does_not_have_is_told():
    with pytest.raises(AttributeError, match="'Landscape' object has no attribute 'dats'"):
        landscape().dats()


def test_scores_are_those_of_xarray():
    land = landscape(status=some_diverged)
    finished = land.data["status"] == "finished"
    ended = land.data["status"] != "missing"
    loss = land.data["test_loss"].where(finished).mean("replicate")
    candidates = 2 * finished.sum("replicate") > ended.sum("replicate")
    xr.testing.assert_equal(land.candidates(), candidates)
    xr.testing.assert_equal(land.score("test_loss"), (-loss).where(candidates))
    assert land.values("test_loss").attrs == land.data["test_loss"].attrs


def test_units_and_attributes():
    land = landscape(study={"title": "T"})
    assert land.data.attrs == {
        "name": "synthetic",
        "title": "T",
        "task": "none",
        "selection": "test",
    }
    assert land.data["test_accuracy"].attrs["units"] == "fraction"
    assert land.data["seconds"].attrs["units"] == "s"
    assert land.data["memory_bytes"].attrs["units"] == "B"
    assert land.data["update"].attrs["units"] == "updates"
    assert land.data["hidden_size"].attrs == {}
    assert land.data["test_accuracy"].attrs["better"] == "higher"
    assert land.data["test_loss"].attrs == {"better": "lower", "units": "loss per example"}
    assert land.data["curve_test_loss"].attrs == land.data["test_loss"].attrs


def test_read_from_a_results_folder(tmp_path):
    study = {"name": "tiny", "axes": {"hidden_size": [16, 32]}, "replicates": 1}
    with Store.create(tmp_path / "run", study) as store:
        trial = Trial(Cell.of(hidden_size=32), 0, "a1")
        curves = {
            "train_loss": np.array([2.0, 1.0], np.float32),
            "recorded_at": np.array([10, 20]),
            "test_accuracy": np.array([0.5]),
            "evaluated_at": np.array([20]),
        }
        store.put(trial, result("a1", curves=curves, test_accuracy=0.5, top_answer_share=1.0))
    land = Landscape.read(tmp_path / "run")
    assert land.data["status"].values.tolist() == [["missing"], ["finished"]]
    assert land.data["collapsed"].values.tolist() == [[False], [True]]
    assert land.data["curve_train_loss"].values[1, 0].tolist() == [2.0, 1.0]
    assert land.data["curve_test_accuracy"].sel(hidden_size=32, evaluated_at=20).item() == 0.5
    assert land.study["name"] == "tiny"


def test_read_of_no_folder_is_a_store_error(tmp_path):
    with pytest.raises(StoreError):
        Landscape.read(tmp_path / "nothing")


def test_best_against_brute_force():
    land = landscape(replicates=2, noise=0.1, seed=3)
    mean = land.data["test_accuracy"].values.mean(axis=-1)
    best = land.best("learning_rate", per="hidden_size")
    assert best["learning_rate"].values.tolist() == [RATES[i] for i in mean.argmax(axis=1)]
    np.testing.assert_allclose(best["test_accuracy"], mean.max(axis=1))
    lowest = land.best("hidden_size", metric="test_loss")
    loss = land.data["test_loss"].values.mean(axis=-1)
    assert lowest["hidden_size"].values.tolist() == [WIDTHS[i] for i in loss.argmin(axis=0)]


def test_best_leaves_out_cells_that_mostly_diverged():
    def status(cell, replicate):
        diverged = cell["learning_rate"] == 0.1 and replicate < 2
        return Status.DIVERGED if diverged else Status.FINISHED

    axes = {"hidden_size": [16], "learning_rate": [0.01, 0.1]}
    land = landscape(axes, lambda cell: 0.5 + cell["learning_rate"], status=status)
    assert land.best("learning_rate")["learning_rate"].values.tolist() == [0.01]
    everything = landscape(axes, lambda cell: 0.5, status=lambda cell, r: Status.DIVERGED)
    assert np.isnan(everything.best("learning_rate")["learning_rate"]).all()


def test_best_of_a_categorical_axis_over_further_axes():
    axes = {"cell": ["lstm", "gru"], "hidden_size": [8, 16], "learning_rate": [0.1, 0.2, 0.3]}
    truth = {"lstm": 0.2, "gru": 0.6}
    land = landscape(
        axes, lambda c: truth[c["cell"]] + c["learning_rate"] / 10 + c["hidden_size"] / 1000
    )
    assert land.best("cell", per="learning_rate")["cell"].values.tolist() == ["gru"] * 3
    assert land.best("cell", per=[])["cell"].item() == "gru"
    assert land.best("cell", per=("learning_rate", "hidden_size"))["cell"].dims == (
        "hidden_size",
        "learning_rate",
    )


def test_best_of_the_only_axis():
    land = landscape({"learning_rate": RATES}, lambda cell: cell["learning_rate"], noise=0)
    best = land.best("learning_rate")
    assert (best["learning_rate"].item(), best["learning_rate"].dims) == (1.0, ())
    assert best["test_accuracy"].item() == pytest.approx(1.0)
    assert land.best_cells() == [Cell.of(learning_rate=1.0)]
    diverged = landscape(
        {"cell": ["gru"]}, lambda cell: 0.5, status=lambda cell, r: Status.DIVERGED
    )
    assert diverged.best("cell")["cell"].item() == ""
    assert np.isnan(diverged.best("cell")["test_accuracy"])
    assert diverged.best_cells() == []


@pytest.mark.parametrize("per", [None, "hidden_size", ["cell", "hidden_size"], []])
@pytest.mark.parametrize("metric", [None, "test_loss"])
def test_best_and_its_interval_are_of_the_same_cell(per, metric):
    def status(cell, replicate):
        lost = cell["learning_rate"] == 1.0 or (cell["hidden_size"], cell["cell"]) == (16, "gru")
        return Status.DIVERGED if lost else Status.FINISHED

    axes = {"cell": ["gru", "lstm"], "hidden_size": [16, 32, 64], "learning_rate": RATES}
    land = landscape(axes, hump, noise=0.1, status=status)
    best = land.best("learning_rate", per, metric)
    rows = best_per(land, "learning_rate", per, metric)
    assert len(rows) == best["learning_rate"].size
    for row in rows:
        value = best["learning_rate"].sel(dict(row.row)).item()
        assert (row.value, row.metric) == (
            None if np.isnan(value) else value,
            metric or "test_accuracy",
        )
        if row.best:
            mean = best[row.metric].sel(dict(row.row)).item()
            assert mean == pytest.approx(row.best.estimate.mean, rel=1e-12)  # summed in other order


def test_best_of_nothing_known_names_the_nearest():
    land = landscape()
    with pytest.raises(UnknownNameError, match="did you mean 'learning_rate'"):
        land.best("learning_rat")
    with pytest.raises(UnknownNameError, match="did you mean 'test_accuracy'"):
        land.best("learning_rate", metric="test_acuracy")
    with pytest.raises(UsageError, match="per itself"):
        land.best("learning_rate", per="learning_rate")


@pytest.mark.parametrize(
    "axes",
    [
        STUDY_AXES,
        {"cell": ["lstm", "gru"], "learning_rate": [0.1]},
        {"bidirectional": [True, False], "hidden_size": [8], "optimizer": ["adam", "sgd"]},
        {"hidden_size": [64, "64,64"]},
    ],
    ids=["numbers", "text", "three with bool", "mixed"],
)
def test_netcdf_round_trip(tmp_path, axes):
    land = landscape(axes, lambda cell: 0.5, status=lambda c, r: list(Status)[r % 3])
    path = land.export(tmp_path / "land.nc", "netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as back:
        back = back.load()
    xr.testing.assert_identical(back, land.data)
    assert back["status"].values.tolist() == land.data["status"].values.tolist()
    assert back["collapsed"].dtype == bool
    assert repr(Landscape(back)) == repr(land)


@pytest.mark.parametrize(("format", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_table_round_trip_has_a_row_per_trial(tmp_path, format, read):
    land = landscape(status=some_diverged)
    table = read(land.export(tmp_path / "land", format))
    assert len(table) == 4 * 6 * 3
    assert list(table.columns[:6]) == [
        "hidden_size",
        "learning_rate",
        "replicate",
        "status",
        "collapsed",
        "key",
    ]
    for row in table.itertuples():
        at = land.data.sel(
            hidden_size=row.hidden_size, learning_rate=row.learning_rate, replicate=row.replicate
        )
        assert row.status == at["status"].item()
        np.testing.assert_equal(row.test_accuracy, at["test_accuracy"].item())
        assert bool(row.collapsed) == at["collapsed"].item()


def test_export_replaces_a_file_as_a_whole(tmp_path):
    path = tmp_path / "land.csv"
    path.write_text("old")
    landscape().export(path)
    assert path.read_text().startswith("hidden_size,learning_rate")
    assert [file.name for file in tmp_path.iterdir()] == ["land.csv"]


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("land", "csv"),
        ("land.csv", "csv"),
        ("land.CSV", "csv"),
        ("land.nc", "netcdf"),
        ("land.Parquet", "parquet"),
        (".csv", "csv"),
    ],
)
def test_the_ending_of_a_name_tells_the_format(tmp_path, name, format):
    landscape().export(tmp_path / name)
    head = {"csv": b"hidden_size", "netcdf": b"\x89HDF", "parquet": b"PAR1"}[format]
    assert (tmp_path / name).read_bytes().startswith(head)


@pytest.mark.parametrize("name", ["x.foo", "x.csv.gz", "run.v2", "x.xlsx", f"{'y' * 150}.foo"])
def test_an_ending_of_no_format_is_refused_with_those_that_there_are(tmp_path, name):
    with pytest.raises(UsageError, match=r"expected \.csv, \.parquet, \.nc, or a format: csv") as e:
        landscape().export(tmp_path / name)
    assert len(str(e.value)) <= 300
    assert not list(tmp_path.iterdir())


def test_an_ending_of_another_format_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"a file of parquet ends so.*expected \.csv"):
        landscape().export(tmp_path / "x.parquet", "csv")
    assert landscape().export(tmp_path / "x.txt", "csv").is_file()  # as it was asked for


def test_export_errors_are_one_clear_line(tmp_path, monkeypatch):
    land = landscape()
    with pytest.raises(UnknownNameError, match="did you mean 'netcdf'"):
        land.export(tmp_path / "x", "netcd")
    with pytest.raises(GridscapeError, match=r"no: no such folder"):
        land.export(tmp_path / "no" / "x.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(GridscapeError, match=r"pip install \"gridscape\[parquet\]\""):
        land.export(tmp_path / "x.parquet", "parquet")
    assert not list(tmp_path.iterdir())


def test_repr_counts():
    text = repr(landscape(status=some_diverged))
    assert text.startswith("<Landscape synthetic: hidden_size 4 x learning_rate 6 x 3 replicates;")
    assert "missing" in text
    assert "out_of_memory" not in text


def test_html_shows_means_failures_and_nothing_unescaped():
    axes = {"hidden_size": [16, 32], "<b>": ["a&b", "c"], "seed_axis": [1, 2]}
    land = landscape(
        axes,
        lambda c: 0.5 + 0.1 * (c["<b>"] == "c") + 0.2 * (c["seed_axis"] == 2),
        noise=0.0,
        status=lambda c, r: (
            Status.DIVERGED if (c["hidden_size"], c["<b>"]) == (32, "c") else Status.FINISHED
        ),
    )
    page = land._repr_html_()
    assert "<b>" not in page
    assert "a&amp;b" in page
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", page)
    assert cells == ["0.7000", "0.8000", "0.7000", "failed"]  # the best over seed_axis
    # a tint over the page's own colors, so that it reads in dark and light
    assert all(float(alpha) <= 0.55 for alpha in re.findall(r"rgba\(46,134,222,([\d.]+)\)", page))
    assert not re.search(r"[;\"]color:", page)


def test_html_of_one_axis():
    page = landscape(
        {"hidden_size": [16, 32]}, lambda c: c["hidden_size"] / 100, noise=0
    )._repr_html_()
    assert re.findall(r"<td[^>]*>([^<]*)</td>", page) == ["0.1600", "0.3200"]


def test_metrics_by_kind_where_an_axis_chooses_which_kinds_there_are():
    study = {
        "axes": {"longest": [4, 5], "hidden_size": [2]},
        "replicates": 1,
        "groups": ["length", [3, 4, 5]],
        "groups_of": [[{"longest": 5}, [3, 4, 5]], [{"longest": 4}, [3, 4]]],
    }
    name = "test_accuracy_by_length"
    results = [
        (Trial(Cell.of(longest=4, hidden_size=2), 0, "a"), result("a", curves={name: [0.3, 0.4]})),
        (Trial(Cell.of(longest=5, hidden_size=2), 0, "b"), result("b", curves={name: [1, 0, 0.5]})),
    ]
    found = Landscape.of(study, results).data[name].squeeze()
    assert found.dims == ("longest", "length")
    np.testing.assert_array_equal(found, [[0.3, 0.4, np.nan], [1, 0, 0.5]])
