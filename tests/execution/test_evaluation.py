"""What is evaluated, when and on which examples, against float64 NumPy."""

import numpy as np
import pytest

import gridscape as gs
from gridscape.base.samples import balanced_order
from gridscape.engine.machine import Machine, kinds_of
from gridscape.errors import StudyFileError
from gridscape.landscape import Landscape
from gridscape.store.store import Store
from gridscape.tasks.images import digits_flat

N = 100  # examples of a point of a curve

STUDY = gs.Study(
    name="evaluated",
    task="digits-flat",
    task_options={"validation": 0.2},
    model="mlp",
    model_options={"hidden_size": 8, "activation": "tanh"},
    optimizer="sgd",
    axes={"learning_rate": [0.1, 0.5]},
    updates=60,
    batch_size=20,
    replicates=2,
    evaluations=3,
    evaluation_examples=N,
    keep_parameters="all",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("evaluated") / "results"
    gs.run(STUDY, directory=place)
    return place


@pytest.fixture(scope="module")
def stored(folder):
    with Store.read(folder) as store:
        return dict(store.results())


@pytest.fixture(scope="module")
def task():
    return digits_flat(validation=0.2)


def outputs(params, split):
    """(N, C) in float64, from the parameters of an MLP of one hidden layer."""
    layers = [
        {n.split("/")[-1]: params[n] for n in sorted(params) if n.startswith(head)}
        for head in sorted({n.rsplit("/", 1)[0] for n in params})
    ]
    x = np.asarray(split.inputs, np.float64) / 16
    for index, layer in enumerate(layers):
        kernel, bias = (layer[name].astype(np.float64) for name in ("kernel", "bias"))
        x = x @ kernel + bias
        x = np.tanh(x) if index + 1 < len(layers) else x
    return x


def measured(params, split):
    """Accuracy, mean cross-entropy, class answered most, and its share."""
    found, labels = outputs(params, split), np.asarray(split.targets)
    top = found.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(found - top).sum(axis=1)) + top[:, 0]
    answers = found.argmax(axis=1)
    counts = np.bincount(answers, minlength=10)
    return {
        "accuracy": (answers == labels).mean(),
        "loss": (log_sum - found[np.arange(len(labels)), labels]).mean(),
        "answer": counts.argmax(),
        "share": counts.max() / len(labels),
    }


def rows(split, chosen):
    return type(split)(split.inputs[chosen], split.targets[chosen])


def sample_of(split, n=N):
    return rows(split, balanced_order(split.targets)[:n])


# Float32 sums of some hundred losses, each about 2: 1e-6 of them is lost.
CLOSE = {"rtol": 2e-6, "atol": 0}


def test_final_metrics_are_over_all_examples(stored, task):
    assert stored
    for result in stored.values():
        test, validation = (measured(result.params, s) for s in (task.test, task.validation))
        sample = measured(result.params, sample_of(task.train, task.test.n_examples))
        told = result.metrics
        for name in ("accuracy", "loss"):
            np.testing.assert_allclose(told[f"test_{name}"], test[name], **CLOSE)
            np.testing.assert_allclose(told[f"val_{name}"], validation[name], **CLOSE)
            np.testing.assert_allclose(told[f"train_{name}"], sample[name], **CLOSE)
        assert told["top_answer"] == test["answer"]
        np.testing.assert_allclose(told["top_answer_share"], test["share"], **CLOSE)


def test_the_last_point_of_a_curve_is_over_the_sample_of_those_before(stored, task):
    assert stored
    for result in stored.values():
        test, validation = (
            measured(result.params, sample_of(s)) for s in (task.test, task.validation)
        )
        assert result.curves["evaluated_at"].tolist() == [20, 40, 60]
        for name in ("accuracy", "loss"):
            np.testing.assert_allclose(result.curves[f"test_{name}"][-1], test[name], **CLOSE)
            np.testing.assert_allclose(result.curves[f"val_{name}"][-1], validation[name], **CLOSE)
        assert result.curves["top_answer"][-1] == test["answer"]
        np.testing.assert_allclose(result.curves["top_answer_share"][-1], test["share"], **CLOSE)
    apart = [r.curves["test_loss"][-1] != r.metrics["test_loss"] for r in stored.values()]
    assert all(apart)  # the sample is not the whole


def test_the_points_before_are_those_of_a_shorter_training(folder, stored, tmp_path):
    gs.run(STUDY.override(updates=40, evaluations=2), directory=tmp_path / "shorter")
    with Store.read(tmp_path / "shorter") as store:
        for trial, shorter in store.results():
            (longer,) = [
                r
                for t, r in stored.items()
                if (t.cell, t.replicate) == (trial.cell, trial.replicate)
            ]
            for name in ("test_loss", "val_loss", "top_answer", "top_answer_share"):
                assert (shorter.curves[name] == longer.curves[name][:2]).all()


def test_enough_examples_are_all_examples(tmp_path):
    land = gs.run(STUDY.override(evaluation_examples=450), directory=tmp_path / "all")
    for name in ("test_loss", "test_accuracy", "val_loss", "val_accuracy", "top_answer_share"):
        curve, final = land.data[f"curve_{name}"].values, land.data[name].values
        assert (curve[..., -1].astype(np.float32) == final.astype(np.float32)).all()


def test_the_first_are_the_first(task):
    first = Machine.local().load(task, N, "first")
    assert (np.asarray(first.test.targets[:450]) == task.test.targets).all()
    assert (np.asarray(first.train_sample.targets[:450]) == task.train.targets[:450]).all()


def test_the_sample_is_class_balanced_and_the_same_for_every_size(task):
    data = Machine.local().load(task, N)
    assert np.bincount(np.asarray(data.test.targets[:N])).tolist() == [10] * 10
    counts = np.bincount(np.asarray(data.validation.targets[:N]))
    assert counts.min() >= 9
    assert counts.max() <= 11
    assert data.n_validation == task.validation.n_examples
    assert sorted(np.asarray(data.test.targets[:450])) == sorted(task.test.targets)


def test_kinds_are_classes_and_groups():
    recall = gs.Study(task="recall", model="lstm", axes={"hidden_size": [2]})
    (task,) = recall.load_tasks().values()
    kinds = kinds_of(task, task.test)
    told = {(int(i), int(n)) for i, n in zip(*task.test.targets, strict=True)}
    assert len(set(kinds.tolist())) == len(told)


def test_another_sample_is_another_key_and_another_selection_is_none():
    keys = [
        {t.key for t in study.resolve().trials()}
        for study in (
            STUDY,
            STUDY.override(evaluation_sample="first"),
            STUDY.override(selection="test"),
        )
    ]
    assert keys[0].isdisjoint(keys[1])
    assert keys[0] == keys[2]


def test_selection_is_told_and_refused_where_it_cannot_be(folder):
    assert Landscape.read(folder).study["selection"] == "validation"
    assert Landscape.read(folder).study["n_examples"] == {"test": 450, "validation": 269}
    plain = STUDY.override(task="digits-rows")
    assert plain.resolve().selection == "test"
    with pytest.raises(StudyFileError, match="selection: task digits-rows has no validation set"):
        plain.override(selection="validation").resolve()


def test_a_folder_may_be_chosen_from_in_another_way(folder):
    asked = STUDY.override(selection="test")
    begun = []
    land = gs.run(asked, directory=folder, listener=begun.append)
    assert land.study["selection"] == "test"
    assert not [event for event in begun if type(event).__name__ == "Finished"]
    gs.run(STUDY, directory=folder)


def test_the_landscape_and_its_exports_have_it(folder, tmp_path):
    import pandas as pd
    import xarray as xr

    land = Landscape.read(folder)
    assert {"val_loss", "val_accuracy"} <= set(land.metrics)
    assert "top_answer" not in land.metrics
    assert "top_answer" not in land.curves
    assert land.meaning("val_accuracy").unit == "fraction"
    assert land.data["curve_top_answer_share"].dims[-1] == "evaluated_at"
    table = pd.read_csv(land.export(tmp_path / "a.csv"))
    assert {"val_loss", "val_accuracy", "top_answer"} <= set(table.columns)
    with xr.open_dataset(land.export(tmp_path / "a.nc", "netcdf")) as back:
        kept = back.load()
    for name in ("val_loss", "top_answer", "curve_val_loss", "curve_top_answer"):
        assert (kept[name].values == land.data[name].values).all()


def test_an_empty_landscape_knows_of_validation():
    record = STUDY.resolve().record()
    assert "val_accuracy" in Landscape.of(record, []).metrics
    without = STUDY.override(task="digits-flat", task_options={}).resolve().record()
    assert "val_accuracy" not in Landscape.of(without, []).metrics
