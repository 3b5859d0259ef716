"""The contract of the command line: a run, and what one does with its results."""

import json
import re

import jax
import pytest
from calls import TINY, widest

from gridscape.cli import _catalog, networks
from gridscape.study import files
from gridscape.study.study import Study

pytestmark = pytest.mark.usefixtures("quiet_place")


def test_a_run_without_a_terminal_is_silent_until_its_results(study):
    folder, done = study
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert widest(done.stdout) <= 80
    assert "Test accuracy in %: mean of 2 replicates" in done.stdout
    assert "Best learning rate of each hidden_size" in done.stdout
    assert re.search(
        r"Trained 8 networks in \d+(\.\d)? s, \d+(\.\d)? s of it compiling\.", done.stdout
    )
    assert done.stdout.splitlines()[-1] == f"Report: {folder / 'report.html'}"
    assert (folder / "report.html").stat().st_size > 100_000


def test_show_prints_what_the_run_printed(call, study):
    folder, done = study
    status, out, err = call("show", folder)
    assert (status, err) == (0, "")
    assert done.stdout.startswith(out)


def test_running_again_trains_nothing(call, study):
    folder, _ = study
    before = {p: p.stat().st_mtime_ns for p in (folder / "blobs").iterdir()}
    line = ["run", *TINY, "--replicates", "2", "--dir", folder]
    status, out, _ = call(*line)
    assert status == 0
    assert "Nothing was left to train: every network was stored already." in out
    assert {p: p.stat().st_mtime_ns for p in (folder / "blobs").iterdir()} == before


OVERVIEW_KEYS = {
    *("study", "title", "altered", "directory", "axes", "replicates", "counts"),
    *("metric", "cells", "best", "smallest", "top", "confirmed", "winner"),
    *("selection", "selection_metric", "cells_by_selection"),
    *("told", "classes", "chance"),
}


def test_json_of_show_and_run(call, study):
    folder, _ = study
    status, out, err = call("show", folder, "--json")
    shown = json.loads(out)
    assert (status, err) == (0, "")
    assert shown.keys() == OVERVIEW_KEYS
    assert shown["counts"]["finished"] + shown["counts"]["diverged"] == 8
    assert len(shown["cells"]) == 4
    assert {"state", "cell", "estimate", "values", "statuses", "keys"} <= shown["cells"][0].keys()
    status, out, _ = call("run", *TINY, "--replicates", "2", "--dir", folder, "--json")
    ran = json.loads(out)
    assert status == 0
    assert ran.keys() == OVERVIEW_KEYS | {"effort", "report"}
    assert ran["effort"].keys() == {"n_trained", "seconds", "compile_seconds"}
    assert ran["effort"]["n_trained"] == 0
    assert ran["cells"] == shown["cells"]


def test_the_report_needs_no_extra(call, study, monkeypatch):
    folder, _ = study
    monkeypatch.setattr(networks, "find_spec", lambda name: None)
    status, out, err = call("run", *TINY, "--replicates", "2", "--dir", folder)
    assert (status, err) == (0, "")
    assert "Report:" in out


def test_report_prints_its_path(call, study):
    folder, _ = study
    path = folder / "report.html"
    path.unlink()
    assert call("report", folder) == (0, f"{path}\n", "")
    assert path.exists()


def test_a_replay_is_identical(call, study):
    folder, _ = study
    cell = "hidden_size=8,learning_rate=1e-1"
    status, out, err = call("replay", folder, "--cell", cell, "--replicate", "1")
    assert (status, err) == (0, "")
    assert "hidden_size=8, learning_rate=0.1, replicate 1: identical bit for bit" in out
    status, out, _ = call("replay", folder, "--cell", cell, "--json")
    told = json.loads(out)
    assert told["identical"] is True
    assert set(told["differences"].values()) == {0.0}
    names = {"cell", "replicate", "identical", "stored_status", "status", "differences"}
    assert told.keys() == names


def test_a_replay_that_differs_says_where_and_exits_with_1(call, study, monkeypatch):
    from dataclasses import replace

    from gridscape.execution import replay

    original = replay.replay

    def altered(*arguments, **values):
        found = original(*arguments, **values)
        metrics = {**found.stored.metrics, "test_loss": found.stored.metrics["test_loss"] + 0.5}
        return replace(found, stored=replace(found.stored, metrics=metrics))

    monkeypatch.setattr(replay, "replay", altered)
    folder, _ = study
    status, out, _ = call("replay", folder, "--cell", "hidden_size=4,learning_rate=0.01")
    assert status == 1
    assert "differs from what is stored" in out
    assert re.search(r"test_loss +0\.5\b", out)


REPLAY_MISTAKES = [
    ("hidden_size=5,learning_rate=0.01", 0, "no cell has hidden_size=5 (expected one of 4, 8)"),
    ("hiden_size=4", 0, "unknown axis 'hiden_size'; did you mean 'hidden_size'?"),
    ("hidden_size=4", 0, "this names more than one cell; say also learning_rate"),
    ("hidden_size=4,learning_rate=0.1", 7, "unknown replicate '7'; known: 0, 1"),
]


@pytest.mark.parametrize(("cell", "replicate", "words"), REPLAY_MISTAKES)
def test_a_cell_that_is_not_in_the_grid(call, study, cell, replicate, words):
    folder, _ = study
    status, out, err = call("replay", folder, "--cell", cell, "--replicate", replicate)
    assert (status, out) == (2, "")
    assert words in err


@pytest.mark.parametrize(
    ("format", "name"), [("csv", "quickstart.csv"), ("netcdf", "quickstart.nc")]
)
def test_export_prints_the_path_of_what_can_be_read_back(call, study, quiet_place, format, name):
    import pandas as pd
    import xarray as xr

    folder, _ = study
    assert call("export", folder, "--format", format) == (0, f"{name}\n", "")
    if format == "csv":
        assert len(pd.read_csv(quiet_place / name)) == 8
    else:
        with xr.open_dataset(quiet_place / name) as data:
            assert dict(data.sizes)["hidden_size"] == 2


def test_export_to_a_folder_that_is_not_there(call, study):
    folder, _ = study
    status, out, err = call("export", folder, "--output", "nowhere/x.csv")
    assert (status, out) == (1, "")
    assert "no such folder" in err


def test_a_study_without_claims_says_which_have_some(call, study):
    folder, _ = study
    status, out, err = call("claims", folder)
    assert (status, out) == (1, "")
    assert "recurrent-mnist" in err


def test_claims_of_a_study_that_has_them(call, study, monkeypatch):
    from dataclasses import replace

    from gridscape.landscape import Landscape

    read = Landscape.read

    def with_claims(directory):
        land = read(directory)
        return replace(land, study={**land.study, "claims": "lstm-width-lr"})

    monkeypatch.setattr(Landscape, "read", with_claims)
    folder, _ = study
    status, out, _ = call("claims", folder)
    assert status == 0
    assert "not comparable" in out
    assert " of 999 updates; task digits-rows instead of mnist-rows" in " ".join(out.split())
    assert "rule: " in out
    assert widest(out) <= 80
    status, out, _ = call("claims", folder, "--json")
    told = json.loads(out)
    assert told.keys() == {"study", "altered", "directory", "claims"}
    names = {"claim", "outcome", "rule", "estimates", "numbers", "used", "excluded", "note"}
    assert told["claims"][0].keys() == names | {"lacks", "decided"}


def test_the_folder_may_go_unnamed_or_by_the_name_of_the_study(call, study, quiet_place):
    folder, _ = study
    (quiet_place / "runs").mkdir()
    (quiet_place / "runs" / "mine").symlink_to(folder)
    (quiet_place / "mine").mkdir()  # holds no results, so that the name means runs/mine
    expected = call("show", folder)
    assert call("show") == expected
    assert call("show", "mine") == expected
    (quiet_place / "runs" / "yours").symlink_to(folder)
    status, _, err = call("show")
    assert status == 2
    assert "runs/ has mine, yours" in err
    status, _, err = call("show", "mien")
    assert status == 2
    assert "unknown results folder 'mien'; did you mean 'mine'?" in err


def test_plan_tells_what_is_stored_and_what_is_left(call, study):
    folder, _ = study
    line = ["plan", *TINY, "--dir", folder]
    status, out, err = call(*line, "--replicates", "2")
    assert (status, err) == (0, "")
    assert "8 networks, 8 stored already, 0 to train" in out
    status, out, _ = call(*line, "--replicates", "3", "--json")
    told = json.loads(out)
    assert status == 0
    names = {"study", "n_trials", "n_stored", "devices", "programs"}
    assert told.keys() == names | {"memory_bytes", "flops", "seconds"}
    assert (told["n_trials"], told["n_stored"]) == (12, 8)
    assert [p["static"]["options"]["hidden_size"] for p in told["programs"]] == [4, 8]
    assert all(p["seconds"] > 0 and p["memory_bytes"] > 0 for p in told["programs"])
    assert told["seconds"] == pytest.approx(
        sum(p["seconds"] + p["compile_seconds"] for p in told["programs"])
    )


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_folder_of_another_study_is_refused(call, study, command):
    folder, _ = study
    status, out, err = call(command, "--updates", "21", "--dir", folder)
    assert (status, out) == (1, "")
    assert "another study: updates differs (expected 21, found 20)" in err
    assert "--dir" in err


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_folder_of_something_else_is_refused(call, tmp_path, command):
    (tmp_path / "thesis.tex").write_text("not yours")
    status, out, err = call(command, *TINY, "--dir", tmp_path)
    assert (status, out) == (1, "")
    assert "holds files but no study.json" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_list_marks_what_lacks_its_data_and_fetches_nothing(call, monkeypatch):
    def fetched(*_, **__):
        raise AssertionError("something was fetched")

    monkeypatch.setattr("gridscape.tasks.fetch._fetch_into", fetched)
    status, out, err = call("list", "--json")
    assert (status, err) == (0, "")
    told = {entry["name"]: entry for entry in json.loads(out)["studies"]}
    assert next(iter(told)) == "quickstart"
    assert told["quickstart"]["n_networks"] == 72
    assert told["quickstart"]["flops"] == pytest.approx(3.195e12, rel=0.001)
    assert told["quickstart"]["seconds"] > 0
    assert told["lstm-width-lr"]["missing_data"] == "mnist"
    assert told["lstm-width-lr"]["flops"] > 1e16
    assert told["lenet-optimizers-cifar10"]["missing_data"] == "cifar10"
    assert told["lenet-optimizers-cifar10"]["flops"] is None  # nobody has told it yet
    assert told["lenet-optimizers-cifar10"]["memory_bytes"] is None
    names = {"name", "title", "source", "n_networks", "flops", "seconds", "missing_data"}
    assert told["quickstart"].keys() == names | {"memory_bytes"}
    status, out, _ = call("list")
    assert "needs mnist" in out
    assert widest(out) <= 80
    status, out, _ = call("list", "lstm-width-lr")
    assert "gridscape data fetch mnist" in out
    assert "270 networks, about" in " ".join(out.split())


@pytest.mark.slow
def test_what_is_kept_of_the_studies_is_what_tracing_tells():
    """Work is told to the operation; memory to a fifth, since JAX's versions trace otherwise."""
    kept = _catalog.kept_work()
    assert set(files.names()) - set(kept) == {"lenet-optimizers-cifar10"}, (
        "tools/work_of_studies.py"
    )
    for name in ("quickstart", "recall", "momentum-quadratic"):  # quickly traced, without data
        work = _catalog.study_work(Study.load(name).resolve())
        assert kept[name].flops == pytest.approx(work.flops, rel=1e-3), name
        assert kept[name].updates == work.updates, name
        assert kept[name].needs.total == pytest.approx(work.needs.total, rel=0.2), name


def test_data_list_and_check(call):
    status, out, err = call("data", "list", "--json")
    told = json.loads(out)
    assert (status, err) == (0, "")
    assert told.keys() == {"data_sets", "folders"}
    names = [entry["name"] for entry in told["data_sets"]]
    assert names == ["digits", "mnist", "cifar10-gray28", "cifar10"]
    assert told["data_sets"][1]["found_at"] is None
    status, out, _ = call("data", "check")
    assert status == 0
    assert "digits" in out
    assert "mnist" not in out


def test_doctor(call):
    status, out, err = call("doctor", "--json")
    told = json.loads(out)
    assert (status, err) == (0, "")
    assert told["versions"]["jax"] == jax.__version__
    assert all(check["error"] <= check["tolerance"] for check in told["checks"])
    names = {"versions", "devices", "n_cores", "memory_bytes", "flops_per_second", "kernels"}
    names |= {"bfloat16", "data_folders", "program_cache", "checks", "advice", "cores_by"}
    assert told.keys() == names


def test_doctor_fails_where_a_number_is_wrong(call, monkeypatch):
    from gridscape.cli import doctor

    wrong = (doctor.SelfCheck("matrix product", 0.5),)
    monkeypatch.setattr(doctor, "self_check", lambda: wrong)
    status, out, err = call("doctor")
    assert status == 1
    assert "WRONG" in out
    assert "matrix product" in err
