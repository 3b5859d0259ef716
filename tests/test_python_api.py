"""Gridscape from Python: run, plan and replay whatever a user brings, and what comes back."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest
import xarray as xr

import gridscape as gs
from gridscape.errors import StoreError, StudyFileError, UsageError
from gridscape.execution.executors import Finished

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- what may be run ----

STUDY_FILE = """
task = "digits-rows"
model = "lstm"
[axes]
hidden_size = [2]
learning_rate = [0.1]
"""


def of_a_file():
    Path("mine.toml").write_text(STUDY_FILE)
    return "mine.toml"


def of_arrays(**values):
    """Two classes of points told apart by their sum, by a linear model from a pair."""
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    y = (x.sum(axis=1) > 0).astype(int)

    def init(key, hyper):
        return {"w": hyper["scale"] * jax.random.normal(key, (3, 2))}

    def apply(params, inputs, key, hyper):
        return inputs @ params["w"]

    settings = {
        "name": "sums",
        "task": gs.Task.from_arrays((x[:40], y[:40]), (x[40:], y[40:]), name="sums"),
        "model": gs.Model(init, apply, {"scale": 1.0}),
        "axes": {"scale": [0.1, 1.0], "learning_rate": [0.01, 0.1]},
        "updates": 6,
        "batch_size": 10,
    }
    return gs.Study(**{**settings, **values})


def of_equinox():
    def build(key, *, width=2):
        return eqx.nn.MLP(64, 10, width, 1, key=key)

    axes = {"width": [2, 3], "learning_rate": [0.01, 0.1]}
    return gs.Study(
        name="mlp", task="digits-flat", model=gs.from_equinox(build), axes=axes, batch_size=10
    )


def of_a_name():
    return "quickstart"


BROUGHT = [
    (of_a_name, "quickstart", "hidden_size"),
    (of_a_file, "mine", "hidden_size"),
    (of_arrays, "sums", "scale"),
    (of_equinox, "mlp", "width"),
]


@pytest.mark.parametrize(("bring", "name", "axis"), BROUGHT, ids=[b[1] for b in BROUGHT])
def test_a_study_by_name_by_path_of_arrays_and_of_a_module(bring, name, axis):
    study, axes, events = bring(), {axis: [3], "learning_rate": [0.01, 0.1, 0.3]}, []
    asked = {"set": axes, "replicates": 2, "updates": 6, "listener": events.append}
    land = gs.run(study, **asked)
    assert isinstance(land, gs.Landscape)
    assert isinstance(land.data, xr.Dataset)
    assert land.data.test_accuracy.dims == (*axes, "replicate")
    assert land.data.test_accuracy.shape == (1, 3, 2)
    assert {n: land.data[n].values.tolist() for n in axes} == axes
    assert (land.data.status == gs.Status.FINISHED.value).all()
    assert ((land.data.test_accuracy >= 0) & (land.data.test_accuracy <= 1)).all()
    assert (land.data.updates == 6).all()
    np.testing.assert_array_equal(land.data["update"], np.arange(1, 7))
    assert sum(isinstance(event, Finished) for event in events) == 6
    assert [path.name for path in Path("runs").iterdir()] == [name]

    events.clear()
    again = gs.run(study, **asked)
    assert not any(isinstance(event, Finished) for event in events)
    xr.testing.assert_identical(again.data, land.data)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The folder and the landscape of a study of arrays."""
    folder = tmp_path_factory.mktemp("results") / "sums"
    return folder, gs.run(of_arrays(updates=20), replicates=2, directory=folder)


def test_set_and_replicates_add_to_what_is_stored():
    events = []
    gs.run(of_arrays(), replicates=1, directory="here")
    rates = np.geomspace(0.01, 1, 3)
    land = gs.run(
        of_arrays(),
        set={"learning_rate": rates},
        replicates=2,
        directory="here",
        listener=events.append,
    )
    assert land.data.learning_rate.values.tolist() == [0.01, 0.1, 1.0]
    assert land.data.test_accuracy.shape == (2, 3, 2)
    assert sum(isinstance(event, Finished) for event in events) == 12 - 4


def test_what_cannot_be_run_is_told_before_anything_is_written(place):
    with pytest.raises(gs.GridscapeError, match="did you mean 'quickstart'"):
        gs.run("quickstat")
    with pytest.raises(UsageError, match="unknown executor 'lokal'; did you mean 'local'"):
        gs.run(of_arrays(), executor="lokal")
    with pytest.raises(StudyFileError, match=r"learning_rate: wrong type \(expected a list of val"):
        gs.run(of_arrays(), set={"learning_rate": 0.1})
    with pytest.raises(StudyFileError, match="unknown key 'replicats'; did you mean 'replicates'"):
        gs.plan(of_arrays(), replicats=2)
    assert list(place.iterdir()) == []


# ---- the landscape ----


def test_a_landscape_knows_its_best(stored):
    _, land = stored
    best = land.best("learning_rate", per="scale")
    means = land.data.test_accuracy.mean("replicate")
    np.testing.assert_allclose(best.test_accuracy, means.max("learning_rate"))
    np.testing.assert_array_equal(best.learning_rate, means.idxmax("learning_rate"))
    assert best.test_accuracy.max() > 0.6
    lowest = land.best("learning_rate", per="scale", metric="test_loss").test_loss
    np.testing.assert_allclose(lowest, land.data.test_loss.mean("replicate").min("learning_rate"))


def test_a_landscape_shows_itself(stored):
    _, land = stored
    shown = "<Landscape sums: scale 2 x learning_rate 2 x 2 replicates; 8 finished>"
    assert repr(land) == shown
    page = land._repr_html_()
    for value in land.data.test_accuracy.mean("replicate").values.ravel():
        assert f"{value:.4f}" in page
    assert "learning_rate" in page


def test_a_landscape_is_read_back_from_its_folder(stored):
    folder, land = stored
    xr.testing.assert_identical(gs.Landscape.read(folder).data, land.data)


# ---- plan ----


def test_a_plan_counts_and_writes_nothing(place, stored):
    folder, land = stored
    study = of_arrays(updates=20)
    plan = gs.plan(study, replicates=3, directory=folder, timed=False)
    assert (plan.n_trials, plan.n_stored) == (12, 8)
    assert sum(len(entry.cohort.trials) for entry in plan.cohorts) == 4
    assert plan.flops == pytest.approx(4 * land.data.flops.mean().item())
    assert plan.memory_bytes > 0
    assert plan.seconds is None
    assert gs.plan(study, replicates=1).seconds > 0
    assert list(place.iterdir()) == []


# ---- replay ----


def test_a_replay_of_arrays_is_identical_and_needs_the_study(stored):
    folder, _ = stored
    cell = {"scale": 1.0, "learning_rate": 0.1}
    found = gs.replay(folder, cell, replicate=1, study=of_arrays(updates=20, replicates=2))
    assert found.identical
    assert (dict(found.trial.cell), found.trial.replicate) == (cell, 1)
    with pytest.raises(UsageError, match="the task and the model of this study came from Python"):
        gs.replay(folder, cell)


def test_a_replay_of_another_study_is_refused(stored):
    folder, _ = stored
    with pytest.raises(StoreError, match="this trial is not stored"):
        gs.replay(folder, {"scale": 1.0, "learning_rate": 0.1}, study=of_arrays(updates=21))


# ---- the public names ----


@pytest.mark.parametrize("name", gs.__all__)
def test_every_public_name_exists_and_is_documented(name):
    thing = getattr(gs, name)
    assert thing.__name__ == name
    assert thing.__doc__
    assert not thing.__doc__.startswith(f"{name}("), "made up by a dataclass"


def test_type_checkers_see_the_names_that_python_sees():
    tree = ast.parse(Path(gs.__file__).read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    (block,) = [node for node in blocks if ast.unparse(node.test) == "TYPE_CHECKING"]
    homes = {
        alias.name: f.module.removeprefix("gridscape.") for f in block.body for alias in f.names
    }
    assert sorted(homes) == sorted(gs.__all__)
    assert {name: getattr(gs, name).__module__ for name in gs.__all__} == {
        name: f"gridscape.{home}" for name, home in homes.items()
    }
    modules = ("analysis", "claims", "doctor", "figures", "inspection", "report")
    assert dir(gs) == sorted([*gs.__all__, *modules, "__version__"])
    homes = {
        **{name: name for name in modules},
        "doctor": "cli.doctor",
        "figures": "report.figures",
    }
    for name, home in homes.items():
        assert getattr(gs, name).__name__ == f"gridscape.{home}"
    with pytest.raises(AttributeError, match="has no attribute 'runn'"):
        gs.runn  # noqa: B018


IMPORT = """
import sys
import gridscape
dir(gridscape), gridscape.__version__, gridscape.GridscapeError, gridscape.Axis
print(*sorted({"jax", "optax", "pandas", "xarray", "scipy"} & set(sys.modules)))
"""


def test_importing_gridscape_imports_nothing_slow():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
