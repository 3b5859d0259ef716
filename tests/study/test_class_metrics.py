"""Classes of unequal sizes: recall, balanced accuracy, macro F1, weights, the line of chance."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

import gridscape as gs
from gridscape.analysis.cells import summarize
from gridscape.analysis.reasons import explanations
from gridscape.base.classes import balanced_accuracy, class_weights, macro_f1, recalls, weighted
from gridscape.base.guessing import loss_of_guessing
from gridscape.base.metrics import cross_entropy
from gridscape.errors import StudyFileError, UsageError
from gridscape.study.parts import load_task
from gridscape.study.study import Study

RNG = np.random.default_rng(0)
KINDS = RNG.choice(3, size=700, p=[0.8, 0.15, 0.05])
X = (RNG.normal(size=(700, 4)) + 1.2 * KINDS[:, None]).astype(np.float32)
NAMES = np.array(["healthy", "ill", "rare/odd"])
TASK = gs.Task.from_arrays((X, NAMES[KINDS]))


def study(**values):
    usual = {"name": "unequal", "task": TASK, "model": "mlp", "updates": 40, "batch_size": 50}
    usual |= {"axes": {"hidden_size": [8], "learning_rate": [0.02]}, "replicates": 2}
    return Study(**{**usual, **values})


def reference(truth, answers):
    """Recall of each class, balanced accuracy and macro F1 in float64, as scikit-learn has them."""
    present = sorted({*truth.tolist()})
    recall = {k: np.mean(answers[truth == k] == k) for k in present}
    f1 = []
    for k in sorted({*truth.tolist(), *answers.tolist()}):
        hits = np.sum((truth == k) & (answers == k))
        f1.append(2 * hits / (np.sum(truth == k) + np.sum(answers == k)))
    return recall, np.mean(list(recall.values())), np.mean(f1)


def over(metric, truth, answers, n_classes):
    outputs = jnp.asarray(np.eye(n_classes, dtype=np.float32)[answers])
    return float(metric.of_mean(metric(outputs, jnp.asarray(truth)).mean(axis=0)))


@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_the_books(seed):
    rng = np.random.default_rng(seed)
    truth, answers = rng.choice(4, 200, p=[0.7, 0.2, 0.1, 0]), rng.choice(5, 200)
    recall, balanced, f1 = reference(truth, answers)
    # float32 rounds counts over 200 and their ratio: a few in 1e7.
    assert over(balanced_accuracy, truth, answers, 5) == pytest.approx(balanced, rel=1e-6)
    assert over(macro_f1, truth, answers, 5) == pytest.approx(f1, rel=1e-6)
    for k, metric in enumerate(recalls("abcde").values()):
        assert over(metric, truth, answers, 5) == pytest.approx(recall.get(k, np.nan), nan_ok=True)


def test_scikit_learn_agrees():
    measures = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(9)
    truth, answers = rng.choice(3, 300, p=[0.8, 0.15, 0.05]), rng.choice(3, 300)
    _, balanced, f1 = reference(truth, answers)
    assert balanced == pytest.approx(measures.balanced_accuracy_score(truth, answers))
    assert f1 == pytest.approx(measures.f1_score(truth, answers, average="macro"))


def test_a_study_measures_them_over_the_whole_set_and_not_by_batches(tmp_path):
    names = ["balanced_accuracy", "macro_f1", "accuracy", "recall"]
    land = gs.run(study(metrics=names, keep_parameters="all"), directory=tmp_path / "r")
    assert land.main_metric == "test_balanced_accuracy"
    cell = {"hidden_size": 8, "learning_rate": 0.02}
    network = gs.inspection.trained(tmp_path / "r", cell, study=study(metrics=names))
    confusion = gs.inspection.confusion(network.recipe, network.task, network.end)
    counts = np.asarray(confusion.counts, np.int64)
    assert confusion.classes == ("healthy", "ill", "rare/odd")
    truth, answers = (np.repeat(at.ravel(), counts.ravel()) for at in np.indices(counts.shape))
    recall, balanced, f1 = reference(truth, answers)
    values = {name: float(land.array(f"test_{name}")[0, 0, 0]) for name in names[:3]}
    assert values["balanced_accuracy"] == pytest.approx(balanced, rel=1e-6)
    assert values["macro_f1"] == pytest.approx(f1, rel=1e-6)
    assert values["accuracy"] == pytest.approx(np.mean(truth == answers), rel=1e-6)
    for place, name in enumerate(("healthy", "ill", "rare_odd")):
        found = land.array(f"test_recall_{name}")[0, 0, 0]
        assert found == pytest.approx(recall[place], rel=1e-6)
    # The last point of the curve is over the same examples.
    assert land.lines("test_macro_f1")[0, 0, 0, -1] == pytest.approx(f1, rel=1e-6)
    table = land.table()
    assert set(table["top_class"]) <= {*NAMES}
    assert land.meaning("test_macro_f1").is_fraction


def test_metrics_of_batches_in_microbatches_are_those_of_the_whole_batch():
    from gridscape.base.data import Split
    from gridscape.engine.trial import Functions, _gradient

    resolved = study(metrics=["macro_f1", "accuracy"]).resolve()
    (cell,) = resolved.study.grid.cells()
    recipe, task = resolved.recipe(cell), resolved.task
    functions = Functions.of(recipe, task)
    import jax

    hyper = {name: jnp.float32(value) for name, value in recipe.hyper.items()}
    params = recipe.model.init(jax.random.key(0), hyper)
    batch = Split(jnp.asarray(task.train.inputs[:60]), jnp.asarray(task.train.targets[:60]))
    given = params, (), batch, jax.random.key(1), hyper
    found = [_gradient(functions, n_microbatches, *given)[0] for n_microbatches in (1, 4)]
    for name in ("macro_f1", "accuracy"):
        assert found[0][name].shape == ()
        assert float(found[0][name]) == pytest.approx(float(found[1][name]), rel=1e-5)


def test_the_line_of_chance_is_the_share_of_the_largest_class_of_its_set(tmp_path):
    shares = [np.bincount(s.targets).max() / s.n_examples for s in (TASK.test, TASK.train)]
    assert TASK.guessing == pytest.approx(shares[0])
    metrics = ["accuracy", "balanced_accuracy", "macro_f1", "recall"]
    # A step of 1e-9 leaves a network as it began.
    axes = {"hidden_size": [8], "learning_rate": [1e-9, 0.02]}
    land = gs.run(study(metrics=metrics, axes=axes), directory=tmp_path / "r")
    assert land.chance("test_accuracy") == pytest.approx(shares[0])
    assert land.chance("train_accuracy") == pytest.approx(shares[1])
    assert land.chance("val_balanced_accuracy") == pytest.approx(1 / 3)
    assert land.chance("test_macro_f1") == pytest.approx(2 * shares[0] / (1 + shares[0]) / 3)
    assert land.chance("test_recall_ill") is None
    assert land.learns.tolist() == [[[False, False], [True, True]]]
    told = land.study["told"]
    assert any("test examples are of class 'healthy'" in line for line in told)


@pytest.mark.parametrize("weights", [(0.0, 1.0, 0.0), (0.0, 0.0, 0.0)])
def test_where_one_class_alone_counts_no_loss_of_guessing_is_known(weights):
    assert loss_of_guessing(TASK, TASK.loss, weights) is None
    assert loss_of_guessing(TASK, TASK.loss, (1.0, 1.0, 0.0)) > 0


def test_a_network_that_is_as_good_as_the_largest_class_does_not_learn(tmp_path):
    """Above one in three, but no better than answering the class of 80 % always."""
    noise = np.random.default_rng(3).normal(size=X.shape).astype(np.float32)
    task = gs.Task.from_arrays((noise, NAMES[KINDS]))
    land = gs.run(study(task=task), directory=tmp_path / "r")
    assert (land.finished("test_accuracy") > 0.7).all()
    assert not land.learns.any()


def test_practically_one_class_is_called_so(tmp_path):
    axes = {"hidden_size": [8], "learning_rate": [0.02]}
    land = gs.run(study(axes=axes), directory=tmp_path / "r")
    share, accuracy = land.array("top_answer_share"), land.array("test_accuracy")
    share[...], accuracy[...] = 0.994, land.chance("test_accuracy") + 0.001
    land.data["top_answer_share"].values[...] = share
    land.data["test_accuracy"].values[...] = accuracy
    land.data["top_answer"].values[...] = 0
    (why,) = explanations(land, summarize(land)).values()
    assert why.startswith("practically one answer (healthy), for at least 99.4 % of the test")
    # A set that is nearly of one class: who finds the others also answers nearly one class.
    land.data["test_accuracy"].values[...] = 0.999
    assert explanations(land, summarize(land)) == {}


def test_weights_balance_and_keep_the_loss_of_a_guess(tmp_path):
    shares = np.array([0.7, 0.2, 0.1])
    for given in ("balanced", [1, 5, 2], {"b": 9.0}):
        weights = np.array(class_weights(given, shares, "abc"))
        assert weights @ shares == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(class_weights("balanced", shares, "abc") * shares, 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(
        np.divide(class_weights([1, 5, 2], shares, "abc"), 1 / 1.9), [1, 5, 2]
    )
    truth = jnp.asarray(np.repeat([0, 1, 2], [7, 2, 1]))
    loss = weighted(class_weights("balanced", shares, "abc"))(jnp.zeros((10, 3)), truth)
    assert float(loss.mean()) == pytest.approx(np.log(3), rel=1e-6)
    outputs = jnp.asarray(np.random.default_rng(1).normal(size=(10, 3)), jnp.float32)
    by_hand = np.repeat(class_weights([1, 5, 2], shares, "abc"), [7, 2, 1])
    np.testing.assert_allclose(
        weighted(class_weights([1, 5, 2], shares, "abc"))(outputs, truth),
        by_hand * np.asarray(cross_entropy(outputs, truth)),
        rtol=1e-6,
    )


def test_weights_find_rare_classes_and_make_other_keys(tmp_path):
    axes = {"hidden_size": [8], "learning_rate": [0.01]}
    noise = np.random.default_rng(4).normal(size=X.shape).astype(np.float32)
    usual = {"task": gs.Task.from_arrays((X + noise, NAMES[KINDS])), "axes": axes, "updates": 150}
    usual["metrics"] = ["balanced_accuracy", "recall"]
    of = {
        name: gs.run(study(class_weights=weights, **usual), directory=tmp_path / name)
        for name, weights in (("none", "none"), ("balanced", "balanced"), ("numbers", [1, 3, 8]))
    }
    found = {name: land.finished().mean() for name, land in of.items()}
    assert found["balanced"] > found["none"] + 0.05
    keys = {str(land.array("key").ravel()[0]) for land in of.values()}
    assert len(keys) == 3
    assert of["balanced"].study["chances"]["train_loss"] == pytest.approx(np.log(3), rel=1e-5)
    plain, same = (study(class_weights=w).resolve().trials()[0].key for w in (None, "none"))
    assert plain == same


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"class_weights": [1, 2]}, "class_weights: wrong length"),
        ({"class_weights": {"sick": 2.0}}, "ill"),
        ({"class_weights": [1, -1, 2]}, "class_weights: not weights"),
        ({"class_weights": [1, 10**400, 1]}, "class_weights: not weights"),
        ({"class_weights": "equal"}, "class_weights: not weights"),
        ({"class_weights": [0, 0, 0]}, "class_weights: out of range"),
        ({"class_weights": "balanced", "loss": "squared_error"}, "class_weights: of no meaning"),
        ({"metrics": ["macro_f2"]}, "macro_f1"),
        ({"metrics": ["recall_sick"]}, "recall"),
    ],
)
def test_mistakes_are_told(values, said):
    with pytest.raises((StudyFileError, UsageError)) as error:
        study(**values).resolve()
    assert said in str(error.value)


def test_numbers_have_neither_recall_nor_weights():
    task = gs.Task.from_arrays((X, X.sum(axis=1)))
    for values in ({"metrics": ["recall"]}, {"class_weights": "balanced"}):
        with pytest.raises((StudyFileError, UsageError), match="has no classes"):
            study(task=task, **values).resolve()
    with pytest.raises((StudyFileError, UsageError), match="does not fit"):
        study(task=task, metrics=["balanced_accuracy"]).resolve()


def test_a_metric_of_ones_own_is_checked_by_shape():
    def hits(outputs, targets):
        return jnp.stack([outputs.argmax(-1) == targets, targets == 0], axis=-1)

    good = gs.Metric(hits, of_mean=lambda mean: mean[0] / (mean[1] + 1))
    study(metrics={"mine": good}).resolve()
    for of_mean, said in (
        (lambda mean: mean, "one float"),
        (lambda mean: mean[7] @ mean, "of_mean"),
        (lambda mean: 0.5, "one float"),
    ):
        with pytest.raises((StudyFileError, UsageError), match=said):
            study(metrics={"mine": gs.Metric(hits, of_mean=of_mean)}).resolve()
    sums = gs.Metric(lambda o, t: hits(o, t).sum(0), of_mean=lambda mean: mean[0])
    with pytest.raises((StudyFileError, UsageError), match="each example"):
        study(metrics={"mine": sums}).resolve()
    with pytest.raises(UsageError, match="of_mean"):
        gs.Metric(hits, root=True, of_mean=lambda mean: mean[0])
    other = gs.Metric(hits, of_mean=lambda mean: mean[0] / (mean[1] + 2))
    keys = {study(metrics={"mine": m}).resolve().trials()[0].key for m in (good, other)}
    assert len(keys) == 2


def test_by_kind_of_example_as_well(tmp_path):
    from dataclasses import replace

    from gridscape.base.data import Groups

    groups = Groups("half", (0, 1), lambda targets: targets % 2)
    task = replace(TASK, groups=groups, fingerprint=str(TASK.fingerprint) + "halves")
    land = gs.run(study(task=task, metrics=["balanced_accuracy"]), directory=tmp_path / "r")
    apart = land.data["test_balanced_accuracy_by_half"].values
    assert apart.shape[-1] == 2
    recall = gs.run(study(task=task, metrics=["recall"]), directory=tmp_path / "s")
    # The odd class is class 1 alone; the others are 0 and 2.
    np.testing.assert_allclose(apart[..., 1], recall.finished("test_recall_ill"), rtol=1e-6)
    both = [recall.finished(f"test_recall_{n}") for n in ("healthy", "rare_odd")]
    np.testing.assert_allclose(apart[..., 0], np.mean(both, axis=0), rtol=1e-6)


def test_a_truth_that_raises_is_told():
    def truth(targets):
        raise RuntimeError("no such labels")

    task = replace(load_task("digits-flat", {}, None), truth=truth)
    with pytest.raises(UsageError, match=r"truth: the classes cannot be told .*no such labels"):
        task.guessing  # noqa: B018
