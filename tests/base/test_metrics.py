"""A user's metrics: what they mean is declared, stored, and followed wherever numbers are shown."""

import json
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from cohort_tools import tiny

import gridscape as gs
from gridscape import analysis
from gridscape.analysis.looks import Level
from gridscape.base.data import Groups
from gridscape.base.metrics import accuracy, cross_entropy
from gridscape.claims.judging import judge
from gridscape.claims.records import Claim, Outcome
from gridscape.cli import commands
from gridscape.errors import StoreError, StudyFileError, UsageError
from gridscape.grid.meanings import Meaning
from gridscape.landscape import Landscape
from gridscape.report.document import document
from gridscape.report.figures import draw_all, heat_map, pareto
from gridscape.report.findings import gather
from gridscape.study.parts import load_task
from gridscape.study.study import ResolvedStudy

DIGITS = load_task("digits-flat", {}, None)
CELL_AXES = {"learning_rate": [0.0001, 0.01], "hidden_size": [4, 16]}


def pixels(outputs, targets):
    """Far from a fraction."""
    return 300.0 + cross_entropy(outputs, targets)


METRICS = {
    "perplexity": gs.Metric(cross_entropy, better="lower", unit="nats"),
    "reprojection_error": gs.Metric(pixels, better="lower", unit="pixels"),
    "top_error": gs.Metric(accuracy, better="higher", unit="fraction"),
    "score": accuracy,
    "accuracy": accuracy,
}


def study(metrics=METRICS, **values):
    own = replace(DIGITS, metrics=metrics)
    return tiny(CELL_AXES, **{"task": own, "model": "mlp", "updates": 30, **values})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("metrics") / "run"
    gs.run(study(), directory=place)
    return place


@pytest.fixture
def land(folder):
    return Landscape.read(folder)


def claim(rule, land, **parameters):
    return Claim("x", "It is so.", "A report", rule, parameters, "in words", land.axes)


def test_the_study_and_the_landscape_tell_what_metrics_mean(folder, land, tmp_path):
    record = json.loads((folder / "study.json").read_text())["study"]["metrics"]
    assert list(record) == list(METRICS)
    assert record["perplexity"] == {"better": "lower", "unit": "nats"}
    assert record["score"] == {"better": "higher", "unit": ""}
    assert record["accuracy"] == {"better": "higher", "unit": "fraction"}
    again = xr.open_dataset(land.export(tmp_path / "land.nc", "netcdf"))
    for data in (land.data, again):
        assert data.attrs["main_metric"] == "test_perplexity"
        for name in ("test_perplexity", "train_perplexity", "curve_test_perplexity"):
            assert data[name].attrs == {"better": "lower", "units": "nats"}
        assert data["test_score"].attrs == {"better": "higher"}
    # The attributes are enough, as where a part of the landscape is selected.
    alone = Landscape(land.data.sel(learning_rate=[0.01]))
    assert alone.meaning("test_perplexity") == Meaning("lower", "nats")
    assert alone.main_metric == "test_perplexity"
    assert {"test_perplexity", "train_score"} <= set(land.table().columns)


def test_less_is_best_of_a_perplexity(land):
    means = land.data["test_perplexity"].mean("replicate")
    best = land.best("learning_rate")
    np.testing.assert_allclose(best["test_perplexity"], means.min("learning_rate"))
    np.testing.assert_array_equal(best["learning_rate"], means.idxmin("learning_rate"))
    top = min(analysis.summarize(land), key=lambda s: s.estimate.mean)
    assert gather(land).top.cell == top.cell
    assert top.cell in land.best_cells()
    for row in analysis.best_per(land):
        others = [s for s in analysis.summarize(land) if row.row.items() <= s.cell.items()]
        assert row.best.estimate.mean == min(s.estimate.mean for s in others)
    front = analysis.pareto(land, "n_parameters").front
    costs, values = zip(*((p.cost, p.summary.estimate.mean) for p in front), strict=True)
    assert list(values) == sorted(values, reverse=True)
    assert list(costs) == sorted(costs)
    assert values[-1] == top.estimate.mean


def test_claims_speak_of_the_main_metric_where_they_name_none(land):
    mean = float(land.data["test_perplexity"].mean())
    for side, outcome in (("above", Outcome.HOLDS), ("below", Outcome.FAILS)):
        cell = {"learning_rate": 0.0001, "hidden_size": 4}
        parts = [{"where": cell, side: mean / 4}]
        # Three runs that agree are p = .125: here it is the metric that is looked at.
        (found,) = judge(land, [claim("levels", land, parts=parts)], level=Level(0.5))
        assert found.outcome is outcome
        assert found.estimates[0].name.startswith("share of the runs with test_perplexity ")
    parameters = {"where": {}, "minuend": "test_reprojection_error", "exceeds": 200.0}
    (found,) = judge(land, [claim("gap", land, **parameters, subtrahend="test_perplexity")])
    assert (found.outcome, found.estimates[0].unit) == (Outcome.HOLDS, "nats")


def test_the_terminal_shows_it_in_its_unit(folder, land, capsys):
    assert commands.exit_status(["show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "Test perplexity in nats" in shown
    assert "accuracy" not in shown
    assert "in %" not in shown
    best = gather(land).top.estimate.mean
    assert f"{best:.3g}" in shown
    assert f"{100 * best:.1f}" not in shown


def test_the_page_and_the_figures_show_it_in_its_unit(folder, land):
    found = gather(land)
    content = document(found, Path("x"), "2024-05-01T12:00:00+00:00", {})
    metrics = {m["name"]: m for m in content["metrics"]}
    assert next(iter(metrics)) == "test_perplexity"
    assert (metrics["test_perplexity"]["better"], metrics["test_perplexity"]["unit"]) == (
        "lower",
        "number",
    )
    assert metrics["test_reprojection_error"]["label"] == "test reprojection error"
    assert metrics["test_reprojection_error"]["with_unit"] == "test reprojection error in pixels"
    assert metrics["test_reprojection_error"]["unit"] == "number"
    assert metrics["test_top_error"]["unit"] == "fraction"
    assert content["smallest"] is None
    curves = {c["name"]: c for c in content["curve_names"]}
    assert curves["train_reprojection_error"]["split"] == "train"
    assert curves["train_reprojection_error"]["shared"] == "reprojection error"
    drawn = heat_map(land.axes, analysis.summarize(land, "test_reprojection_error"))
    bar = drawn.axes[-1]
    assert bar.get_ylabel() == "test reprojection error in pixels"
    assert 300 < bar.get_ylim()[0] < 400
    front = pareto(found.paretos["flops"]).axes[0]
    assert front.get_ylabel() == "test perplexity in nats"
    assert front.get_yscale() == "linear"
    assert gs.report.write(folder).is_file()


def test_a_declaration_is_no_part_of_a_key_and_may_change_later(folder, tmp_path):
    keys = [trial.key for trial in study().resolve().trials()]
    plain = {name: getattr(metric, "function", metric) for name, metric in METRICS.items()}
    other = {name: gs.Metric(f, "lower", "bits") for name, f in plain.items()}
    assert [trial.key for trial in study(other).resolve().trials()] == keys
    place = tmp_path / "run"
    gs.run(study(), directory=place, replicates=1)
    events = []
    land = gs.run(study(other), directory=place, replicates=1, listener=events.append)
    assert [type(event).__name__ for event in events] == ["Started"]  # nothing is trained again
    assert land.meaning("test_perplexity") == Meaning("lower", "bits")
    assert land.meaning("test_accuracy") == Meaning("lower", "bits")


def test_a_folder_of_long_ago_is_read_by_the_names_of_its_metrics(folder, tmp_path):
    place = tmp_path / "old"
    gs.run(study({"accuracy": accuracy, "top_error": METRICS["top_error"]}), directory=place)
    document = json.loads((place / "study.json").read_text())
    del document["study"]["metrics"]
    (place / "study.json").write_text(json.dumps(document))
    old = Landscape.read(place)
    assert old.main_metric == "test_accuracy"
    assert old.meaning("test_accuracy") == Meaning("higher", "fraction")
    assert old.meaning("test_top_error") == Meaning("lower", "fraction")
    assert old.meaning("test_loss") == Meaning("lower", "loss per example")
    assert old.data["test_top_error"].attrs["better"] == "lower"
    new = gs.run(study({"accuracy": accuracy, "top_error": METRICS["top_error"]}), directory=place)
    assert new.meaning("test_top_error") == Meaning("higher", "fraction")


@pytest.mark.parametrize(
    "metrics", [["accuracy"], {"accuracy": 3}, {"accuracy": {"better": "up", "unit": ""}}, 3]
)
def test_a_record_that_tells_nothing_of_metrics_is_told(metrics):
    with pytest.raises(StoreError, match="does not tell the metrics of its task"):
        Landscape.of({"axes": {"x": [1]}, "replicates": 1, "metrics": metrics}, [])


def test_a_study_of_which_nothing_has_ended_has_its_own_metrics():
    record = {
        "axes": {"x": [1]},
        "replicates": 1,
        "metrics": {"hit": {"better": "lower", "unit": ""}},
    }
    land = Landscape.of(record, [])
    assert land.main_metric == "test_hit"
    assert "test_accuracy" not in land.data
    assert land.best_cells() == []


def test_only_our_own_names_mean_something_by_themselves():
    names = ["accuracy", "bit_accuracy", "distance", "score", "match", "share", "test_accuracy"]
    task = replace(DIGITS, metrics=dict.fromkeys(names, accuracy))
    fraction, plain = Meaning("higher", "fraction"), Meaning()
    assert list(task.meanings.values()) == [fraction, fraction, Meaning("lower"), *[plain] * 4]


@pytest.mark.parametrize("name", ["loss2_loss", "top5_error", "edit_distance", "perplexity", "nll", "regret"])
def test_a_plain_function_named_as_a_loss_gets_a_warning(name):
    with pytest.warns(UserWarning, match=f"metric {name}: more of a plain function counts as bett"):
        task = replace(DIGITS, metrics={name: accuracy})
    assert task.meanings[name] == Meaning()
    said = gs.Metric(accuracy, better="higher")
    assert replace(DIGITS, metrics={name: said}).meanings[name] == Meaning()  # and no warning


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"function": 3}, "not a metric"),
        ({"better": "up"}, "better: out of range"),
        ({"better": True}, "better: out of range"),
        ({"better": ["higher"]}, "better: out of range"),
        ({"unit": None}, "unit: out of range"),
        ({"unit": "a\nb"}, "unit: out of range"),
        ({"unit": "x" * 10_000 + "\0"}, "unit: out of range"),
    ],
)
def test_what_is_no_metric(values, message):
    with pytest.raises(UsageError, match=message) as caught:
        gs.Metric(**{"function": accuracy, **values})
    assert len(str(caught.value)) <= 300


def test_tasks_of_one_study_agree_on_what_a_metric_means():
    tasks = {
        chosen: replace(DIGITS, metrics={"mine": gs.Metric(accuracy, better)})
        for chosen, better in (((), "higher"), (("further",), "lower"))
    }
    with pytest.raises(StudyFileError, match="means another thing \\(found mine\\); rename one"):
        ResolvedStudy(study(), tasks)


@pytest.mark.parametrize("name", ["quadratic", "recall", "binary-addition"])
def test_our_own_tasks_declare_their_metrics(name):
    task = load_task(name, {}, None)
    assert task.metrics
    assert all(isinstance(metric, gs.Metric) for metric in task.metrics.values())


def test_the_first_metric_is_the_main_one_also_while_it_trains(tmp_path):
    events = []
    metrics = {"zeta": gs.Metric(pixels, "lower"), "alpha": accuracy}
    land = gs.run(study(metrics), directory=tmp_path / "run", listener=events.append)
    assert land.main_metric == "test_zeta"
    seen = [event.accuracy for event in events if type(event).__name__ == "Progress"]
    assert all((np.asarray(values) > 300).all() for values in seen)


def test_chance_is_a_level_of_accuracy_alone(tmp_path):
    metrics = {"perplexity": METRICS["perplexity"], "accuracy": accuracy}
    parity = Groups("parity", (0, 1), lambda labels: labels % 2)
    task = replace(DIGITS, metrics=metrics, groups=parity)
    drawn = draw_all(gather(gs.run(study(task=task), directory=tmp_path / "run")), 0.1)
    for metric, marks in (("accuracy", 1), ("perplexity", 0)):
        (box, *_) = drawn[f"test_{metric}_by_parity"].axes
        assert [text.get_text() for text in box.texts].count("chance") == marks


def test_a_metric_is_called_as_its_function():
    metric = gs.Metric(lambda outputs, targets: outputs - targets, "lower")
    assert metric(jnp.array([3.0]), jnp.array([1.0])).tolist() == [2.0]
    assert hash(METRICS["perplexity"]) != hash(metric)
