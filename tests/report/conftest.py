"""A results folder for what reads one and writes into it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from contents import HOSTILE

from gridscape.grid.axes import Axis, Grid
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.report import paper
from gridscape.store.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A results folder of eight trials, one of which failed with an ugly reason."""
    return made(tmp_path / "runs")


@pytest.fixture(scope="module")
def drawn_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a folder, with its figures."""
    folder = made(tmp_path_factory.mktemp("drawn") / "runs")
    paper.draw(folder)
    return folder


@pytest.fixture
def drawn(drawn_once: Path, tmp_path: Path) -> Path:
    """A copy of it: drawing takes long."""
    return shutil.copytree(drawn_once, tmp_path / "runs")


def made(folder: Path) -> Path:
    axes = {"hidden_size": [16, 32], "learning_rate": [0.01, 0.1]}
    study = {"name": "tiny", "title": "Tiny", "axes": axes, "replicates": 2, "task": "none"}
    grid = Grid(tuple(Axis(name, tuple(values)) for name, values in axes.items()))
    with Store.create(folder, study) as store:
        for i, cell in enumerate(grid.cells()):
            for replicate in range(2):
                trial = Trial(cell, replicate, f"key{i}{replicate}")
                store.put(trial, _result(trial, failed=i == 3))
    return folder


def _result(trial: Trial, failed: bool) -> TrialResult:
    value = 0.8 + 0.01 * trial.replicate + 0.001 * int(trial.cell["hidden_size"])
    names = ("test_accuracy", "test_loss", "train_accuracy", "train_loss", "top_answer_share")
    at = np.array([10, 20])
    lines = {name: np.array([0.5, value]) for name in ("train_loss", "test_accuracy")}
    return TrialResult(
        key=trial.key,
        status=Status.FAILED if failed else Status.FINISHED,
        updates=20,
        metrics={} if failed else dict.fromkeys(names, value),
        curves={} if failed else {"recorded_at": at, "evaluated_at": at, **lines},
        seconds=1.0,
        n_parameters=100,
        flops=1e9,
        memory_bytes=1000,
        reason=HOSTILE if failed else None,
    )
