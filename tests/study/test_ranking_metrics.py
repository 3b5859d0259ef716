"""Top-k accuracy, F1, AUC and perplexity by name, against scikit-learn and float64 NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

import gridscape as gs
from gridscape.base.classes import f1
from gridscape.base.data import Sequences
from gridscape.base.ranking import auc, perplexity, top
from gridscape.errors import StudyFileError, UsageError
from gridscape.study.parts import load_task, with_metrics

RNG = np.random.default_rng(3)


def drawn(n_classes, n=400, shares=None):
    """Outputs that know something of their classes, with ties among them."""
    truth = RNG.choice(n_classes, n, p=shares)
    outputs = RNG.normal(size=(n, n_classes)) + 1.5 * np.eye(n_classes)[truth]
    outputs = np.round(outputs * 4) / 4  # a quarter each: many are equal
    return outputs.astype(np.float32), truth


def over(metric, outputs, truth, n_padded=0):
    """A metric over a set, with rows behind it that do not count."""
    each = metric(jnp.asarray(outputs), jnp.asarray(truth))
    if metric.of_set:
        padding = jnp.full((n_padded, *each.shape[1:]), jnp.nan)
        counted = jnp.arange(len(each) + n_padded) < len(each)
        return float(metric.of_set(jnp.concatenate([each, padding]), counted))
    mean = each.mean(axis=0)
    return float(metric.of_mean(mean) if metric.of_mean else mean)


@pytest.mark.parametrize("n_padded", [0, 100])
def test_auc_of_two_classes(n_padded):
    outputs, truth = drawn(2, shares=[0.8, 0.2])
    score = outputs[:, 1].astype(float) - outputs[:, 0]
    # Ranks of 400 and their sums are exact in float32; the division rounds.
    expected = sk.roc_auc_score(truth, score)
    assert over(auc, outputs, truth, n_padded) == pytest.approx(expected, rel=1e-6)
    assert over(auc, outputs[:, ::-1], 1 - truth) == pytest.approx(expected, rel=1e-6)


def test_auc_of_each_class_against_the_rest():
    outputs, truth = drawn(4, shares=[0.5, 0.3, 0.2, 0])
    # Scores as they are ranked: float32, whose ties float64 might break.
    score = np.asarray(auc(jnp.asarray(outputs), jnp.asarray(truth))[..., 0], float)
    areas = [sk.roc_auc_score(truth == k, score[:, k]) for k in range(3)]
    assert over(auc, outputs, truth) == pytest.approx(np.mean(areas), rel=1e-6)
    outputs, truth = drawn(3)
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True, dtype=float)
    expected = sk.roc_auc_score(truth, shares, multi_class="ovr")
    assert over(auc, outputs, truth) == pytest.approx(expected, abs=1e-4), "ties of float32"


def test_auc_of_odd_sets():
    outputs, _ = drawn(2)
    assert np.isnan(over(auc, outputs, np.zeros(400, int))), "one class"
    truth = np.arange(400) % 2
    assert over(auc, np.zeros((400, 2)), truth) == 0.5
    best = np.where(np.arange(2) == truth[:, None], np.inf, 0)
    assert over(auc, best, truth, 100) == 1.0
    outputs[7] = np.nan
    assert np.isnan(over(auc, outputs, truth))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k(k):
    truth = RNG.integers(0, 8, 300)
    outputs = RNG.normal(size=(300, 8)).astype(np.float32)  # without ties
    expected = sk.top_k_accuracy_score(truth, outputs, k=k, labels=range(8))
    assert over(top(k), outputs, truth) == pytest.approx(expected, rel=1e-6)


def test_top_1_is_the_accuracy_and_what_is_no_number_is_wrong():
    outputs, truth = drawn(5)
    each = np.asarray(top(1)(jnp.asarray(outputs), jnp.asarray(truth)))
    np.testing.assert_array_equal(each, outputs.argmax(axis=1) == truth)
    outputs[:] = np.nan
    assert over(top(3), outputs, truth) == 0
    assert over(top(4), np.eye(5)[[0, 0]], [7, 7]) == 0, "no such class"


def test_f1_of_two_classes():
    outputs, truth = drawn(2, shares=[0.7, 0.3])
    expected = sk.f1_score(truth, outputs.argmax(axis=1))
    assert over(f1, outputs, truth) == pytest.approx(expected, rel=1e-6)
    assert np.isnan(over(f1, np.eye(2)[[0, 0]], [0, 0])), "neither there nor answered"


def test_perplexity():
    outputs, truth = drawn(6)
    # float32 sums of 400 logarithms: some 1e-6.
    expected = np.exp(sk.log_loss(truth, softmax(outputs), labels=range(6)))
    assert over(perplexity, outputs, truth) == pytest.approx(expected, rel=1e-5)


def softmax(outputs):
    powers = np.exp(outputs.astype(float))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_perplexity_counts_answers_and_not_sequences():
    outputs, truth = RNG.normal(size=(30, 7, 4)), RNG.integers(0, 4, (30, 7))
    lengths = RNG.integers(1, 8, 30)
    is_step = np.arange(7) < lengths[:, None]
    expected = np.exp(sk.log_loss(truth[is_step], softmax(outputs[is_step]), labels=range(4)))
    outputs[~is_step] = np.nan
    targets = Sequences(jnp.asarray(truth), jnp.asarray(lengths))
    each = perplexity(jnp.asarray(outputs, jnp.float32), targets)
    assert float(perplexity.of_mean(each.mean(axis=0))) == pytest.approx(expected, rel=1e-5)


NAMES = ["auc", "top_3", "perplexity", "accuracy"]


def test_a_study_measures_them_by_name(tmp_path):
    study = gs.Study(
        name="ranked",
        task="digits-flat",
        model="mlp",
        metrics=NAMES,
        updates=60,
        batch_size=50,
        replicates=2,
        keep_parameters="all",
        axes={"hidden_size": [8], "learning_rate": [0.003, 0.03]},
    )
    land = gs.run(study, directory=tmp_path / "r")
    assert land.main_metric == "test_auc"
    cell = {"hidden_size": 8, "learning_rate": 0.03}
    network = gs.inspection.trained(tmp_path / "r", cell, study=study)
    test = network.task.test
    outputs = network.recipe.model.apply(
        network.end, network.task.prepare(jnp.asarray(test.inputs)), None, network.recipe.hyper
    )
    at = (0, 1, 0)
    shares, truth = softmax(np.asarray(outputs)), np.asarray(test.targets)
    # The programs sum products in another order: outputs agree to some 1e-5.
    assert land.array("test_auc")[at] == pytest.approx(
        sk.roc_auc_score(truth, shares, multi_class="ovr"), abs=1e-5
    )
    expected = sk.top_k_accuracy_score(truth, shares, k=3)
    assert land.array("test_top_3")[at] == pytest.approx(expected, abs=1e-6)
    expected = np.exp(sk.log_loss(truth, shares))
    assert land.array("test_perplexity")[at] == pytest.approx(expected, rel=1e-4)
    assert np.isfinite(land.lines("test_auc")).all()
    assert "train_auc" not in land.curves
    assert np.isfinite(land.array("train_auc")).all()
    assert land.chance("test_auc") == 0.5
    assert 0.3 < land.chance("test_top_3") < 0.35
    assert not land.meaning("test_perplexity").is_higher_better
    assert gs.report.write(tmp_path / "r").is_file()
    with pytest.raises(UsageError, match="made of the whole set"):
        gs.inspection.mcnemar(tmp_path / "r", cell, {**cell, "learning_rate": 0.003}, study=study)


@pytest.mark.parametrize(
    ("task", "name", "message"),
    [
        ("digits-flat", "top_10", "always right"),
        ("digits-flat", "f1", "macro_f1 is the mean"),
        ("digits-flat", "top_0", "did you mean 'top_5'"),
        ("digits-flat", "acu", "did you mean"),
        ("momentum-quadratic", "auc", "has no classes"),
        ("binary-addition", "perplexity", "has no classes"),
        ("binary-addition", "top_2", "has no classes"),
    ],
)
def test_what_cannot_be_measured_is_told(task, name, message):
    known = {"momentum-quadratic": "quadratic"}
    with pytest.raises((UsageError, StudyFileError), match=message):
        with_metrics(load_task(known.get(task, task), {}, None), {name: name})


def test_a_set_wide_metric_of_ones_own():
    task = gs.Task.from_arrays((RNG.normal(size=(90, 3)).astype(np.float32), np.arange(90) % 2))

    def study(of_set):
        metric = gs.Metric(lambda outputs, targets: outputs[:, 0], of_set=of_set)
        axes = {"learning_rate": [0.1]}
        own = {"metrics": {"most": metric}, "batch_size": 10}
        return gs.Study(task=task, model="mlp", axes=axes, **own).resolve()

    study(lambda values, counted: jnp.where(counted, values, 0).max())
    for wrong in ("no function", lambda values, counted: values):
        with pytest.raises((UsageError, StudyFileError), match="of_set"):
            study(wrong)
