"""Studies of somebody's own data: from a path, in a file, and whom they may be read for."""

import numpy as np
import pandas as pd
import pytest

from gridscape.errors import (
    GridscapeError,
    StoreError,
    UnknownNameError,
    UntrustedError,
    UsageError,
)
from gridscape.landscape import Landscape
from gridscape.study import reach
from gridscape.study.own import own_study
from gridscape.study.study import Study
from gridscape.sweep import run

STUDY = """
task = "table"
model = "mlp"
updates = 5
batch_size = 8
replicates = 1
task_options = { path = "sub/points.csv", target = "side" }
[axes]
learning_rate = [0.01]
"""


def points(path, n=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    side = np.where(x[:, 0] > 0, "right", "left")
    path.parent.mkdir(exist_ok=True)
    pd.DataFrame({"x": x[:, 0], "y": x[:, 1], "side": side}).to_csv(path, index=False)
    return path


@pytest.fixture
def study_file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    monkeypatch.chdir(tmp_path)
    points(tmp_path / "home" / "points.csv")
    (tmp_path / "home" / "sub").mkdir()
    (tmp_path / "home" / "points.csv").rename(tmp_path / "home" / "sub" / "points.csv")
    file = tmp_path / "home" / "points.toml"
    file.write_text(STUDY)
    return file


def test_a_path_in_a_study_file_is_relative_to_it(study_file):
    study = Study.load(study_file)
    assert study.task_options["path"] == str(study_file.parent / "sub" / "points.csv")
    resolved = study.resolve()
    assert resolved.task.classes == ("left", "right")
    assert resolved.selection == "validation"


def test_a_changed_file_is_told_and_a_moved_one_is_the_same_data(study_file, tmp_path):
    folder = tmp_path / "results"
    run(study_file, directory=folder)
    home = study_file.parent.rename(tmp_path / "moved")
    run(home / "points.toml", directory=folder)
    assert Landscape.read(folder).study["task_options"]["path"].startswith(str(home))
    points(home / "sub" / "points.csv", seed=1)
    with pytest.raises(StoreError, match="other data: what the task reads has changed"):
        run(home / "points.toml", directory=folder)


def test_data_that_somebody_elses_folder_names_is_not_read(study_file, tmp_path, monkeypatch):
    folder = tmp_path / "results"
    land = run(study_file, directory=folder)
    assert reach.check(land.study)[0].words.startswith("the table in '")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another-user"))
    with pytest.raises(UntrustedError, match="the table in"):
        reach.check(land.study)


def test_sensible_axes_where_none_are_given(tmp_path):
    path = points(tmp_path / "my points.csv")
    study = own_study(path, options={"target": "side"})
    assert study.name == "my-points"
    assert study.axes == {"hidden_size": [16, 64], "learning_rate": [0.0001, 0.001, 0.01, 0.1]}
    assert study.batch_size == 5, "an epoch is several updates"
    assert study.resolve().trials()


def test_the_layout_follows_from_the_model(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 8, 8), np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "digits.npz", images=images, labels=labels)
    shapes = {}
    for model in ("lstm", "lenet5", "mlp"):
        study = own_study(tmp_path / "digits.npz", model=model)
        shapes[model] = study.resolve().task.input_shape
    assert shapes == {"lstm": (8, 8), "lenet5": (8, 8, 1), "mlp": (8, 8)}


@pytest.mark.parametrize(
    ("name", "options", "model", "kind"),
    [
        ("points.csv", {"targe": "side"}, "mlp", UnknownNameError),
        ("points.csv", {"target": "sid"}, "mlp", UnknownNameError),
        ("points.csv", {"target": "side"}, "mlpp", UnknownNameError),
        ("points.xyz", {}, "mlp", GridscapeError),
        ("gone.csv", {}, "mlp", GridscapeError),
        ("points.csv", {"target": "side", "test": 0.0}, "mlp", UsageError),
    ],
)
def test_requests_that_cannot_be(tmp_path, name, options, model, kind):
    points(tmp_path / "points.csv")
    with pytest.raises(kind) as caught:
        own_study(tmp_path / name, model=model, options=options)
    assert len(str(caught.value)) <= 400
