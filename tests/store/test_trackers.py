"""Exports to TensorBoard and MLflow: what their own readers find is what the landscape holds."""

import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import gridscape as gs
from gridscape.errors import GridscapeError
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status
from gridscape.store.tracked import TrackedRun


@pytest.fixture(scope="module")
def land(tmp_path_factory):
    """Two cells, two replicates, three evaluations; one trial failed."""
    rows = [
        (rate, "<adam>/x", seed, step, rate * step + seed, 1.0 / (1 + step))
        for rate in (0.1, 0.2)
        for seed in (0, 1)
        for step in (0, 5, 10)
    ]
    columns = ["lr", "rule", "seed", "step", "accuracy", "train_loss"]
    table = pd.DataFrame(rows, columns=columns)
    table["status"] = ["crashed" if lr == 0.2 and s else "finished" for lr, _, s, *_ in rows]
    place = tmp_path_factory.mktemp("tracked") / "runs"
    metrics = ["accuracy", "train_loss"]
    return gs.import_runs(
        table, "lr,rule", metric=metrics, replicate="seed", name="tracked", directory=place
    )


def test_the_final_number_is_the_last_point():
    curves = {"test_loss": (np.array([5, 10]), np.array([0.5, 0.3]))}
    finals = {"test_loss": 0.25, "b": 1.0}
    run = TrackedRun(Cell.of(a="x/y z"), 1, Status.FINISHED, "k", "", finals, curves, 10, 0)
    assert run.points("test_loss") == [(5, 0.5), (10, 0.25)]
    assert run.points("b") == [(10, 1.0)]
    assert run.name == "a=x_y_z,replicate=1"


def test_tensorboard_reads_every_number(land, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    folder = land.export(tmp_path / "board", "tensorboard")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [
        "lr=0.1,rule=_adam_x,replicate=0",
        "lr=0.1,rule=_adam_x,replicate=1",
        "lr=0.2,rule=_adam_x,replicate=0",
        "lr=0.2,rule=_adam_x,replicate=1",
    ]
    found = EventAccumulator(str(folder / "lr=0.1,rule=_adam_x,replicate=1")).Reload()
    points = [(e.step, round(e.value, 6)) for e in found.Scalars("test_accuracy")]
    assert points == [(0, 1.0), (5, 1.5), (10, 2.0)]
    assert [e.step for e in found.Scalars("train_loss")] == [0, 5, 10]
    data = plugin_data_pb2.HParamsPluginData
    of_run = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    hyper = data.FromString(of_run).session_start_info.hparams
    assert hyper["lr"].number_value == 0.1
    assert hyper["rule"].string_value == "<adam>/x"
    failed = EventAccumulator(str(folder / "lr=0.2,rule=_adam_x,replicate=1")).Reload()
    end = failed.summary_metadata["_hparams_/session_end_info"].plugin_data.content
    assert data.FromString(end).session_end_info.status == 2, "STATUS_FAILURE"
    whole = EventAccumulator(str(folder)).Reload()
    told = whole.summary_metadata["_hparams_/experiment"].plugin_data.content
    experiment = data.FromString(told).experiment
    assert [info.name for info in experiment.hparam_infos] == ["lr", "rule"]
    assert [list(info.domain_discrete) for info in experiment.hparam_infos] == [
        [0.1, 0.2],
        ["<adam>/x"],
    ]
    assert [info.name.tag for info in experiment.metric_infos] == ["test_accuracy", "train_loss"]


def test_mlflow_reads_every_number(land, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("mlflow")
        from mlflow.tracking import MlflowClient

        folder = land.export(tmp_path / "runs", "mlflow")
        client = MlflowClient(tracking_uri=folder.as_uri())
        experiment = client.get_experiment_by_name("tracked")
        runs = client.search_runs([experiment.experiment_id])
        by_name = {run.info.run_name: run for run in runs}
        run = by_name["lr=0.1,rule=_adam_x,replicate=1"]
        history = client.get_metric_history(run.info.run_id, "test_accuracy")
    assert len(runs) == 4
    assert (run.data.params["lr"], run.data.params["rule"]) == ("0.1", "<adam>/x")
    assert run.data.metrics["test_accuracy"] == 2.0
    assert sorted((m.step, m.value) for m in history) == [(0, 1.0), (5, 1.5), (10, 2.0)]
    assert run.info.status == "FINISHED"
    failed = by_name["lr=0.2,rule=_adam_x,replicate=1"]
    assert failed.info.status == "FAILED"
    assert failed.data.tags["gridscape.reason"] == "crashed"


@pytest.mark.parametrize("format", ["tensorboard", "mlflow"])
def test_what_is_missing_or_there_is_told(land, format, tmp_path, monkeypatch):
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    with pytest.raises(GridscapeError, match="is there already"):
        land.export(full, format)
    with pytest.raises(GridscapeError, match="no such folder"):
        land.export(tmp_path / "none" / "runs", format)
    for name in [name for name in sys.modules if name.split(".")[0] == format]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, format, None)
    with pytest.raises(GridscapeError, match=rf"pip install .gridscape\[{format}\]"):
        land.export(tmp_path / "new", format)
    assert [path.name for path in tmp_path.iterdir()] == ["full"], "nothing is left behind"
