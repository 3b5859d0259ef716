"""Smoothed labels, noisy gradients and averaged parameters, against PyTorch's and closed forms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cohort_tools import compilations, planner_of, tiny, train

from gridscape.base.classes import weighted
from gridscape.base.data import Sequences
from gridscape.base.metrics import cross_entropy
from gridscape.base.parts import Optimizer
from gridscape.engine.trial import Functions, init_trial, update_trial
from gridscape.errors import StudyFileError
from gridscape.optimizers.extras import averaged, smoothed, smoothed_over_steps, with_noise
from gridscape.study.conditions import Conditions, differences
from gridscape.study.study import Study

RNG = np.random.default_rng(0)


def logs(outputs):
    """log softmax in float64."""
    shifted = outputs - outputs.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def by_hand(outputs, targets, amount, weights=None):
    """What torch.nn.CrossEntropyLoss(reduction="none") gives, in float64."""
    lost = -logs(outputs) * (1 if weights is None else np.array(weights))
    own = np.take_along_axis(lost, targets[..., None], axis=-1)[..., 0]
    return (1 - amount) * own + amount * lost.mean(axis=-1)


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 1.0, 0.25)])
def test_labels_are_smoothed_as_in_pytorch(amount, weights):
    outputs, targets = 5 * RNG.normal(size=(30, 4)), RNG.integers(0, 4, 30)
    loss = cross_entropy if weights is None else weighted(weights)
    found = smoothed(loss, weights)(
        jnp.asarray(outputs, jnp.float32), jnp.asarray(targets), jnp.float32(amount)
    )
    # Where a class is nearly sure, the logarithm of nearly 1 rounds: 1e-6 of outputs of some 10.
    wanted = by_hand(outputs, targets, amount, weights)
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 1.0, 0.25)])
def test_the_reference_is_pytorch(weights):
    torch = pytest.importorskip("torch")
    outputs, targets = RNG.normal(size=(30, 4)), RNG.integers(0, 4, 30)
    theirs = torch.nn.functional.cross_entropy(
        torch.tensor(outputs),
        torch.tensor(targets),
        weight=None if weights is None else torch.tensor(weights, dtype=torch.float64),
        reduction="none",
        label_smoothing=0.3,
    )
    np.testing.assert_allclose(by_hand(outputs, targets, 0.3, weights), theirs, rtol=1e-9)


def test_labels_of_every_step_are_smoothed_where_there_is_a_step():
    outputs, targets = RNG.normal(size=(5, 6, 3)), RNG.integers(0, 3, (5, 6))
    lengths = np.array([1, 2, 3, 6, 4])
    each = by_hand(outputs, targets, 0.2)
    wanted = [each[i, :n].mean() for i, n in enumerate(lengths)]
    outputs[np.arange(6) >= lengths[:, None]] = np.nan
    sequences = Sequences(jnp.asarray(targets), jnp.asarray(lengths))
    found = smoothed_over_steps(None)(jnp.asarray(outputs, jnp.float32), sequences, 0.2)
    np.testing.assert_allclose(found, wanted, rtol=2e-5)


@pytest.mark.parametrize("update", [0, 9])
def test_noise_has_its_variance_and_is_of_the_update(update):
    grads = {"a": jnp.zeros((300, 100)), "b": jnp.ones(20_000)}
    hyper = {"gradient_noise": 0.3, "gradient_noise_decay": 0.55}
    found = with_noise(grads, jax.random.key(1), hyper, update)
    size = np.sqrt(0.3 / (1 + update) ** 0.55)
    for name, mean in (("a", 0), ("b", 1)):
        # Of 20,000 numbers and more: the error of a standard deviation is some 0.5 %.
        assert np.std(found[name]) == pytest.approx(size, rel=0.03)
        assert np.mean(found[name]) == pytest.approx(mean, abs=5 * size / np.sqrt(20_000))
    other = with_noise(grads, jax.random.key(2), hyper, update)
    assert not np.array_equal(found["a"], other["a"])
    still = with_noise(grads, jax.random.key(1), {**hyper, "gradient_noise": 0.0}, update)
    np.testing.assert_array_equal(still["b"], grads["b"])


def steps(n_steps=6, **settings):
    """States of one trial after each update, and what it is trained by."""
    study = tiny({"learning_rate": [0.05]}, task="digits-flat", model="mlp", updates=n_steps,
                 model_options={"hidden_size": 5}, **settings)  # fmt: skip
    resolved = study.resolve()
    (cell,) = study.grid.cells()
    recipe = resolved.recipe(cell)
    functions = Functions.of(recipe, resolved.task)
    hyper = {name: jnp.float32(value) for name, value in recipe.hyper.items()}
    words = jnp.array([1, 2], jnp.uint32)
    averages = recipe.optimizer.averages
    state = init_trial(recipe.model.init, recipe.optimizer.make, words, hyper, averages)
    inputs, targets = (jnp.asarray(x[:20]) for x in resolved.task.train)
    batch = type(resolved.task.train)(resolved.task.prepare(inputs), targets)
    update, states = jax.jit(partial(update_trial, functions, 1)), [state]
    for _ in range(n_steps):
        states.append(update(states[-1], batch, jax.random.key(0), hyper)[0])
    return states


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_average_is_that_of_pytorch(optimizer):
    states = steps(optimizer=optimizer, hyperparameters={"ema": 0.8})
    plain = steps(optimizer=optimizer)
    wanted = None
    for state, raw in zip(states[1:], plain[1:], strict=True):
        jax.tree.map(np.testing.assert_array_equal, state.params, raw.params)
        params = [np.asarray(x, float) for x in jax.tree.leaves(raw.params)]
        # AveragedModel copies the first parameters that it is shown.
        pairs = zip(wanted or params, params, strict=True)
        wanted = [0.8 * a + 0.2 * p for a, p in pairs]
        for found, one in zip(jax.tree.leaves(state.kept), wanted, strict=True):
            np.testing.assert_allclose(found, one, rtol=1e-5, atol=1e-7)
    assert plain[-1].average == ()


def test_an_average_without_memory_is_the_parameters():
    params = {"w": jnp.array([0.1, 3.0])}
    found = averaged({"w": jnp.array([7.0, 1e30])}, params, jnp.float32(0.0), jnp.int32(5))
    np.testing.assert_array_equal(found["w"], params["w"])


AXES = {
    "label_smoothing": [0.0, 0.3],
    "gradient_noise": [0.0, 0.1],
    "ema": [0.0, 0.9],
}


@pytest.fixture(scope="module")
def trained():
    """Half of a grid over all three, then the other half; and how often that compiled."""
    planner = planner_of(tiny(AXES, replicates=1))
    trials = planner.resolved.trials()
    found = train(planner, trials[:4])
    with compilations() as later:
        found |= train(planner, trials[4:])
    return planner, {(*t.cell.values(),): found[t.key] for t in trials}, len(later)


def test_new_numbers_compile_nothing(trained):
    assert trained[2] == 0


def test_numbers_of_nothing_change_nothing(trained):
    _, found, _ = trained
    planner = planner_of(tiny({"l2": [0.0]}, replicates=1))
    (plain,) = train(planner, planner.resolved.trials()).values()
    assert found[0.0, 0.0, 0.0].metrics == plain.metrics
    assert len({str(r.metrics) for r in found.values()}) == 8, "each of them changes something"


def test_the_average_is_what_is_kept(trained):
    """It changes nothing of the training, so that the parameters alone would be equal."""
    _, found, _ = trained
    raw, average = found[0.0, 0.0, 0.0], found[0.0, 0.0, 0.9]
    np.testing.assert_array_equal(raw.curves["train_loss"], average.curves["train_loss"])
    assert raw.params_digest != average.params_digest


def test_a_trial_alone_is_that_of_its_cohort(trained):
    planner, found, _ = trained
    trial = planner.resolved.trials()[-1]
    (alone,) = train(planner, [trial]).values()
    assert alone.metrics == found[0.3, 0.1, 0.9].metrics
    for name, curve in alone.curves.items():
        np.testing.assert_array_equal(curve, found[0.3, 0.1, 0.9].curves[name])


def test_keys_change_only_where_they_are_set():
    plain = tiny({"learning_rate": [0.1]}).resolve()
    content = plain._content(plain.trials()[0].cell, 2)
    names = {"label_smoothing", "gradient_noise", "gradient_noise_decay", "ema"}
    assert not names & set(content["hyper"])
    keys = {
        tiny({"learning_rate": [0.1]}, hyperparameters=given).resolve().trials()[0].key
        for given in ({}, {"ema": 0.5}, {"ema": 0.6}, {"gradient_noise": 1.0})
    }
    assert len(keys) == 4


def test_they_are_conditions_of_claims():
    record = tiny(hyperparameters={"label_smoothing": 0.1, "ema": 0.9}).resolve().record()
    told = differences(record, Conditions({"hyperparameters": {}}, whole=True))
    assert [d.name for d in told] == ["label_smoothing", "ema"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"axes": {"ema": [0.5, 1.0]}}, "axes.ema: "),
        ({"axes": {"label_smoothing": [1.0]}}, "axes.label_smoothing: "),
        ({"hyperparameters": {"gradient_noise": -1.0}}, "gradient_noise: "),
        ({"hyperparameters": {"label_smoothing": 0.1}, "loss": "squared_error"}, "no meaning"),
        ({"hyperparameters": {"label_smoothin": 0.1}}, "'label_smoothin'"),
    ],
)
def test_a_mistake_is_one_line(settings, message):
    axes = settings.pop("axes", {"learning_rate": [0.1]})
    with pytest.raises(StudyFileError) as error:
        Study(task="digits-flat", model="mlp", axes=axes, **settings).resolve()
    assert message in str(error.value)
    assert len(error.value.mistakes) == 1


def test_numbers_of_these_names_may_be_somebody_elses():
    own = Optimizer(lambda hyper: optax.sgd(0.1), {"learning_rate": 0.1, "ema": 7.0})
    resolved = tiny({"ema": [5.0]}, optimizer=own).resolve()
    assert not resolved.recipe(resolved.study.grid.cells()[0]).optimizer.averages
    with pytest.raises(StudyFileError, match="noisy without a number"):
        tiny({"learning_rate": [0.1]}, optimizer=own._replace(noisy=True)).resolve()
