"""Studies whose grid is no full product: run, go on, grow, ask, export, show."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import gridscape as gs
from gridscape.analysis.cells import CellState, summarize
from gridscape.cli import commands
from gridscape.errors import StoreError
from gridscape.execution.executors import Finished
from gridscape.store.store import Store, StoreWarning
from gridscape.study.study import Study
from gridscape.sweep import run
from gridscape.sweep.refining import refine

ASSETS = Path(__file__).parents[1] / "assets"
GRIDS = [{"optimizer": ["sgd", "adam"]}, {"optimizer": "momentum", "momentum": [0.0, 0.5]}]
ROWS = ["optimizer=sgd", "optimizer=adam", "optimizer=momentum, momentum=0"]
ROWS += ["optimizer=momentum, momentum=0.5"]


def study(rates=(0.01, 0.1, 1.0), grids=GRIDS, **values):
    """A point slides into a bowl; nothing in it is random."""
    settings = {"task": "quadratic", "model": "point", "batch_size": 1, "updates": 30}
    options = {"task_options": {"curvatures": [1.0, 25.0]}, "evaluations": 1, "replicates": 1}
    axes = {"learning_rate": list(rates)}
    return Study(**{"name": "tiny", "axes": axes, "grids": grids, **settings, **options, **values})


class Trained(list):
    """A listener: the cells that were trained."""

    def __call__(self, event):
        if isinstance(event, Finished):
            self.append(str(event.trial.cell))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grids") / "tiny"
    run(study(), directory=folder)
    return folder


@pytest.fixture
def folder(results, tmp_path):
    return shutil.copytree(results, tmp_path / "tiny")


def n_asked(folder):
    return int(gs.Landscape.read(folder).wanted.sum())


# ---- what is shown ----


def test_a_hole_is_not_missing(results):
    land = gs.Landscape.read(results)
    assert land.array("status").shape == (3, 3, 3, 1)
    assert land.counts() == {**dict.fromkeys(land.counts(), 0), **tally(land), "missing": 0}
    states = [s.state for s in summarize(land)]
    assert states.count(CellState.NOT_ASKED) == 27 - 12
    assert CellState.MISSING not in states
    assert [axis.values for axis in land.axes][2] == (None, 0.0, 0.5)
    assert np.isnan(land.data.momentum.values[0])
    assert float(land.data.sel(optimizer="momentum", momentum=0.5).learning_rate[0]) == 0.01


def tally(land):
    found = [s for s in land.array("status").ravel() if s != "missing"]
    return {status: found.count(status) for status in found}


def test_rows_that_nobody_asked_for_are_no_rows(results):
    land = gs.Landscape.read(results)
    rows = gs.analysis.best_per(land, "learning_rate")
    assert [str(row.row) for row in rows] == ROWS
    assert not any(str(cell) == "optimizer=sgd, momentum=0.5" for r in rows for cell in r.excluded)
    assert len(gs.analysis.pareto(land).excluded) + len(gs.analysis.pareto(land).points) == 12


def test_table_page_and_exports_have_no_holes(results, tmp_path, capsys):
    assert commands.exit_status(["show", str(results)]) == 0
    shown = capsys.readouterr().out
    assert "12 networks: 12 of the 27 cells of 3 learning_rate" in shown
    assert "not trained yet" not in shown
    assert "momentum=unset" in shown
    land = gs.Landscape.read(results)
    with land.export(tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {row["momentum"] for row in rows if row["optimizer"] == "sgd"} == {""}
    assert "missing" not in {row["status"] for row in rows}
    html = land._repr_html_()
    assert "..." not in html
    assert "missing" not in html.partition("</caption>")[2]
    land.export(tmp_path / "all.nc", "netcdf")
    with xr.open_dataset(tmp_path / "all.nc", engine="h5netcdf") as data:
        assert int(data["asked"].sum()) == 12


def test_a_cell_is_named_without_what_is_unset(results, capsys):
    sgd = "optimizer=sgd,learning_rate=0.1"
    for cell in (sgd, f"{sgd},momentum=unset"):
        assert commands.exit_status(["replay", str(results), "--cell", cell]) == 0
        assert "optimizer=sgd" in capsys.readouterr().out
    assert commands.exit_status(["replay", str(results), "--cell", f"{sgd},momentum=0.5"]) == 1
    error = capsys.readouterr().err
    assert "the study does not ask for this cell (found learning_rate=0.1, optimizer=sgd" in error
    assert error.count("\n") == 1


# ---- going on ----


def test_the_same_study_trains_nothing_again(folder):
    trained = Trained()
    run(study(), directory=folder, listener=trained)
    assert trained == []


def test_a_longer_axis_and_a_further_grid_train_what_is_new(folder):
    trained = Trained()
    more = [*GRIDS, {"optimizer": "nesterov", "momentum": [0.5]}]
    run(study(rates=(0.01, 0.1, 0.3, 1.0), grids=more), directory=folder, listener=trained)
    assert len(trained) == 4 + 4
    assert n_asked(folder) == 16 + 4
    again = Trained()
    run(study(), directory=folder, listener=again)
    assert again == []
    assert n_asked(folder) == 20, "what was asked for stays"


def test_a_product_grows_by_a_grid_and_a_grid_by_a_product(tmp_path):
    trained = Trained()
    axes = {"learning_rate": [0.1], "optimizer": ["momentum"], "momentum": [0.5, 0.0]}
    product = study(grids=[], axes=axes)
    run(product, directory=tmp_path / "one", listener=trained)
    assert len(trained) == 2
    run(study(), directory=tmp_path / "one", listener=trained)
    assert len(trained) == 12
    assert n_asked(tmp_path / "one") == 12
    run(product, directory=tmp_path / "one", listener=trained)
    assert len(trained) == 12


def test_other_axes_are_another_study(folder):
    with pytest.raises(StoreError, match="axes differs"):
        run(
            study(grids=[{"optimizer": "sgd"}, {"optimizer": "adam", "b1": [0.5]}]),
            directory=folder,
        )


# ---- questions ----


def test_refine_goes_along_an_axis_where_it_is_set(folder):
    trained = Trained()
    found = refine(folder, optimum=True, axis="momentum", at_most=1, listener=trained)
    assert len(found.brackets) == 3  # learning rates
    assert all("optimizer=momentum" in bracket.row for bracket in found.brackets)
    assert all("optimizer=momentum" in cell for cell in trained)
    assert len(trained) == found.n_trained == sum(len(b.added) for b in found.brackets) > 0
    assert n_asked(folder) == 12 + found.n_trained
    assert len(gs.Landscape.read(folder).axis("momentum").values) > 3  # unset, and two


def test_refine_adds_values_to_the_rows_that_there_are(folder):
    trained = Trained()
    found = refine(folder, boundary=True, threshold=1.0, within=3.0, listener=trained)
    assert [bracket.row for bracket in found.brackets] == ROWS
    assert found.n_trained == len(trained) > 0
    assert n_asked(folder) == 12 + len(trained)
    asked = gs.Landscape.read(folder).asked().sum("replicate")
    assert int(asked.sel(optimizer="sgd", momentum=0.5).sum()) == 0
    again = Trained()
    run(study(), directory=folder, listener=again)
    assert again == []


def test_confirm_trains_the_finalists_alone(folder):
    found = gs.confirm(folder, top=2, replicates=3)
    assert len(found.finalists) == 2
    with Store.read(folder / "confirmed") as store:
        assert len(store.trials()) == 6
    assert len(gs.confirm(folder, top=3, replicates=3).finalists) == 3
    with Store.read(folder / "confirmed") as store:
        assert len(store.trials()) == 9
    assert n_asked(folder / "confirmed") == 9


def test_extend_one_cell(folder):
    trained = Trained()
    cell = gs.Cell.of(optimizer="sgd", learning_rate=0.1)
    land = gs.extend(folder, {cell: 3}, listener=trained)
    assert trained == ["learning_rate=0.1, optimizer=sgd"] * 2
    assert int(land.asked().sum()) == 14
    beside = gs.Cell.of(optimizer="momentum", momentum=0.9, learning_rate=0.1)
    gs.extend(folder, {beside: 1}, listener=trained)
    assert len(trained) == 3
    assert n_asked(folder) == 15


def test_decide_looks_at_what_is_there(folder):
    found = gs.decide(folder, best="optimizer", overall=True, at_most=4)
    assert found.replicates
    assert all(cell["momentum"] is None for cell in found.replicates if cell["optimizer"] == "sgd")


# ---- pairs ----


def test_pairs_of_axes(tmp_path, capsys):
    path = tmp_path / "pairs.toml"
    path.write_text(
        'name = "pairs"\ntask = "digits-flat"\nmodel = "mlp"\nupdates = 4\nreplicates = 1\n'
        'evaluations = 1\nzip = [["hidden_size", "learning_rate"]]\n'
        "[axes]\nhidden_size = [4, 8, 16]\nlearning_rate = [0.1, 0.03, 0.01]\n"
    )
    out = tmp_path / "pairs"
    assert commands.exit_status(["plan", str(path), "--dir", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_trials"] == 3
    assert commands.exit_status(["run", str(path), "--dir", str(out)]) == 0
    assert "3 networks: 3 of the 9 cells of" in capsys.readouterr().out
    assert (
        commands.exit_status(["run", str(path), "--dir", str(out), "--set", "learning_rate=1,0.1"])
        != 0
    )
    error = capsys.readouterr().err
    assert "axes of unequal lengths" in error
    assert error.count("\n") == 1


# ---- a folder as it was first written ----


def test_a_folder_that_was_written_with_grids_opens_reports_and_goes_on(tmp_path):
    folder = shutil.copytree(ASSETS / "written-with-grids", tmp_path / "then")
    land = gs.Landscape.read(folder)
    assert (int(land.wanted.sum()), land.counts()["missing"]) == (8, 0)
    assert "8 of the 18 cells" in gs.report.write(folder).read_text(encoding="utf-8")
    trained = Trained()
    run(study(rates=(0.01, 0.1, 1.0)), directory=folder, listener=trained)
    assert len(trained) == 4


@pytest.mark.parametrize(
    "grids",
    [
        "all of them",
        [{"learning_rate": [0.01]}],
        [{"learning_rate": [], "optimizer": ["sgd"], "momentum": [None]}],
        [{"learning_rate": [1], "optimizer": ["sgd"], "momentum": [None], "zip": [["momentun"]]}],
    ],
)
def test_a_damaged_record_is_restored_from_the_ledger(grids, tmp_path):
    folder = shutil.copytree(ASSETS / "written-with-grids", tmp_path / "torn")
    document = json.loads((folder / "study.json").read_text())
    document["study"]["grids"] = grids
    (folder / "study.json").write_text(json.dumps(document))
    with pytest.warns(StoreWarning, match="is no study record.*restored"):
        land = gs.Landscape.read(folder)
    assert int(land.wanted.sum()) == 8
