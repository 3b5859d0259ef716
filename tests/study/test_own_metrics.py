"""What a study measures instead of its task's own metrics: names, import strings and objects."""

import json
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest

import gridscape as gs
from gridscape.cli.commands import exit_status
from gridscape.engine.cohorts import partition
from gridscape.errors import StudyFileError
from gridscape.execution.executors import Job
from gridscape.study.study import Study

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = (X.sum(axis=1) > 0).astype(int)
TASK = gs.Task.from_arrays((X[:40], Y[:40]), (X[40:], Y[40:]))

MODULE = """
import jax
import gridscape

def sureness(outputs, targets):
    return jax.nn.softmax(outputs).max(axis=-1)

def too_few(outputs, targets):
    return outputs.mean()

def no_metric(text):
    raise RuntimeError("called")

doubt = gridscape.Metric(lambda outputs, targets: 1 - sureness(outputs, targets), "lower", "nats")

def task() -> gridscape.Task:
    import numpy as np
    x = np.linspace(-1, 1, 80, dtype=np.float32).reshape(40, 2)
    return gridscape.Task.from_arrays((x, np.arange(40) % 2), (x, np.arange(40) % 2))
"""


def sureness(outputs, targets):
    return jax.nn.softmax(outputs).max(axis=-1)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A file of metrics on the path; the user's data directory is another."""
    (tmp_path / "metrics_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    yield tmp_path
    sys.modules.pop("metrics_of_mine", None)


def study(**values):
    usual = {"name": "mine", "task": TASK, "model": "mlp", "axes": {"hidden_size": [2]}}
    usual |= {"updates": 4, "batch_size": 10, "replicates": 1}
    return Study(**{**usual, **values})


def key(**values):
    (trial,) = study(**values).resolve().trials()
    return trial.key


def test_a_study_file_names_what_is_measured(module):
    path = module / "mine.toml"
    path.write_text(
        'task = "metrics_of_mine:task"\nmodel = "mlp"\nupdates = 4\nbatch_size = 10\n'
        'metrics = ["metrics_of_mine:doubt", "accuracy", "metrics_of_mine:sureness"]\n'
        "replicates = 1\n[axes]\nhidden_size = [2]\n"
    )
    land = gs.run(path, directory=module / "runs")
    assert land.data.attrs["main_metric"] == "test_doubt"
    assert (land.meaning("test_doubt").better, land.meaning("test_doubt").unit) == ("lower", "nats")
    assert land.meaning("test_accuracy").is_fraction
    total = land.data.test_doubt + land.data.test_sureness
    np.testing.assert_allclose(total.values, 1, rtol=1e-6)
    again = gs.Landscape.read(module / "runs")
    assert list(again.metrics)[:3] == list(land.metrics)[:3]
    # Another process makes the same study of its record.
    job = Job.of(Study.load(path).resolve())
    assert list(job.resolve().task.metrics) == ["doubt", "accuracy", "sureness"]


def test_names_import_strings_and_objects_measure_the_same(module):
    given = [
        ["metrics_of_mine:sureness"],
        {"sureness": "metrics_of_mine:sureness"},
        [sureness],
        [gs.Metric(sureness)],
        {"sureness": sureness},
    ]
    found = [
        gs.run(study(metrics=one), directory=module / str(k)).data.test_sureness.values
        for k, one in enumerate(given)
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    own = study(task=replace(TASK, metrics={"sureness": sureness}), metrics={"s": "sureness"})
    np.testing.assert_array_equal(
        gs.run(own, directory=module / "own").data.test_s.values, found[0]
    )


def test_keys_tell_metrics_apart_by_code_and_a_study_without_them_keeps_its_own(module):
    assert key() == key(metrics=None)
    assert key(metrics=[sureness]) == key(metrics={"sureness": gs.Metric(sureness, "lower", "x")})
    assert len({key(), key(metrics=[sureness]), key(metrics={"other": sureness})}) == 3
    assert key(metrics={"m": lambda o, t: o[:, 0]}) != key(metrics={"m": lambda o, t: o[:, 1]})
    assert "measured" not in study().resolve().record()
    before = key(metrics=["metrics_of_mine:sureness"])
    path = module / "metrics_of_mine.py"
    path.write_text(MODULE.replace(".max(", ".min("))
    sys.modules.pop("metrics_of_mine")
    assert key(metrics=["metrics_of_mine:sureness"]) != before


def test_every_task_of_an_axis_is_measured(module):
    def points(n: int = 40) -> gs.Task:
        return gs.Task.from_arrays((X[:n], Y[:n]), (X[40:], Y[40:]))

    resolved = study(task=points, axes={"n": [20, 40]}, metrics=[sureness]).resolve()
    assert [list(task.metrics) for task in resolved.tasks.values()] == [["sureness"]] * 2
    for cohort in partition(resolved, resolved.trials()):
        assert list(cohort.task.metrics) == ["sureness"]


WRONG = [
    (5, "metrics: wrong type (expected a list of metrics, or a table of them by name"),
    ("accuracy", "metrics: wrong type (expected a list of metrics"),
    ([5], "metrics: wrong type (expected the name of a metric, a Metric, or a function"),
    ([lambda o, t: o], "metrics: a metric without a name (expected a table, metrics = {name:"),
    (["accuracy", "accuracy"], "metrics: accuracy more than once"),
    (
        {"loss": sureness},
        "metrics: a name of a metric or kind of example that is taken (found loss",
    ),
    ({"a/b": sureness}, "metrics: no name for a metric (expected printable text without '/'"),
    (["accurcy"], "metrics.accurcy: unknown metric 'accurcy'"),
    (["metrics_of_mine:absent"], "metrics.absent: cannot import the metric"),
    (["metrics_of_mine:no_metric"], "metrics.no_metric: not a metric (expected a Metric, or a fun"),
    (["os:system"], "metrics.system: not a metric"),
    (["metrics_of_mine:too_few"], "the metric 'too_few' does not fit the task"),
]


@pytest.mark.parametrize(("metrics", "told"), WRONG, ids=[told[:40] for _, told in WRONG])
def test_what_is_no_metric_is_told_in_one_line(module, metrics, told):
    with pytest.raises(gs.GridscapeError) as caught:
        study(metrics=metrics).resolve()
    error = caught.value
    (line,) = error.mistakes if isinstance(error, StudyFileError) else [str(error)]
    assert told in line
    assert len(line) <= 300


def test_an_axis_of_the_name_of_a_metric_is_refused():
    @gs.hyperparameters(test_sure=1.0)
    def model(input_shape, n_outputs):
        return gs.Model(lambda k, h: {}, lambda *a: a[1])

    mine = study(model=model, metrics={"sure": sureness}, axes={"test_sure": [1.0]})
    with pytest.raises(gs.GridscapeError, match=r"axes\.test_sure: no name for an axis"):
        mine.resolve()


def test_a_folder_of_measured_objects_tells_what_it_lacks(module, capsys):
    folder = module / "objects"
    mine = study(task="digits-flat", metrics={"sure": sureness}, keep_parameters="all")
    land = gs.run(mine, directory=folder)
    record = json.loads((folder / "study.json").read_text())["study"]
    assert record["objects"] == ["metrics"]
    assert record["measured"]["sure"].startswith(f"{__name__}.sureness@")
    assert gs.Landscape.read(folder).metrics == land.metrics
    status = exit_status(["replay", str(folder), "--cell", "hidden_size=2"])
    err = capsys.readouterr().err
    assert status == 2
    assert "the metrics of this study came from Python (found " in err
    assert err.count("\n") == 1
    with pytest.raises(gs.GridscapeError, match="the metrics cannot be sent to other processes"):
        Job.of(mine.resolve())


def test_a_folder_with_other_metrics_is_another_study(module):
    gs.run(study(metrics=["accuracy"]), directory=module / "runs")
    for others, what in (
        (["accuracy", sureness], "objects"),
        ({"accuracy": "accuracy", "hit": "accuracy"}, r"measured\.hit"),
    ):
        with pytest.raises(gs.GridscapeError, match=f"another study: {what} differs"):
            gs.run(study(metrics=others), directory=module / "runs")
