"""A landscape as runs of an MLflow experiment, written by MLflow's own client into a folder."""

import os
import re
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gridscape.errors import GridscapeError, one_line
from gridscape.grid.axes import show
from gridscape.store.tracked import TrackedRun

AT_ONCE = 1_000  # metrics that MLflow takes in one call
SETTINGS = ("task", "model", "optimizer", "schedule", "loss", "updates", "batch_size", "seed")
NAME = r"[^A-Za-z0-9_\-. :/]+"  # what no name of a metric or parameter may hold


def write_runs(folder: Path, runs: Iterable[TrackedRun], study: Mapping[str, Any]) -> None:
    """Write every run with its cell as parameters, and metrics by update.

    Raises ImportError where mlflow is not installed, GridscapeError for what it refuses.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # writing a file tells nobody
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        try:
            client = MlflowClient(tracking_uri=folder.absolute().as_uri())
            experiment = client.create_experiment(str(study.get("name") or "landscape"))
            for run in runs:
                _write(client, experiment, run, study)
        except MlflowException as error:
            raise GridscapeError(
                "MLflow cannot hold this landscape",
                found=one_line(error)[:150],
                hint="csv can",
            ) from error


def _write(client: Any, experiment: str, run: TrackedRun, study: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    began = time.time_ns() // 1_000_000
    own = {n: study[n] for n in SETTINGS if isinstance(study.get(n), str | int | float)}
    settings = {**own, **run.cell, "replicate": run.replicate}
    params = [Param(_name(name), show(value)) for name, value in settings.items()]
    about = {"status": run.status.value, "key": run.key, "reason": run.reason}
    tags = [RunTag(f"gridscape.{name}", text) for name, text in about.items() if text]
    made = client.create_run(experiment, start_time=began, run_name=run.name)
    client.log_batch(made.info.run_id, params=params, tags=tags)
    points = (
        Metric(_name(name), value, began, step)
        for name in run.names
        for step, value in run.points(name)
    )
    for some in _parts(points):
        client.log_batch(made.info.run_id, metrics=some)
    ended = began + int(1_000 * run.seconds)
    client.set_terminated(made.info.run_id, _status(run), ended)


def _status(run: TrackedRun) -> str:
    return "FINISHED" if run.has_finished else "KILLED" if run.was_stopped else "FAILED"


def _parts(metrics: Iterable[Any]) -> Iterator[list[Any]]:
    found = iter(metrics)
    while some := [metric for metric, _ in zip(found, range(AT_ONCE), strict=False)]:
        yield some


def _name(name: str) -> str:
    return re.sub(NAME, "_", name)
