"""Trials that native code trains as a whole: which, and that they are those of any other way."""

from functools import partial, wraps

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cohort_tools import assert_same, planner_of, train

from gridscape import kernels
from gridscape.base.data import Split
from gridscape.base.metrics import Metric, accuracy, cross_entropy
from gridscape.base.parts import Optimizer
from gridscape.base.regression import huber, mae, mse
from gridscape.base.task import Task
from gridscape.engine.known_losses import loss_of_answers
from gridscape.engine.trial import (
    Functions,
    _whole,
    draw_batches,
    init_trial,
    train_trial,
)
from gridscape.engine.whole import are_own
from gridscape.grid.trials import Status
from gridscape.models.feedforward import activate, dense, draw_glorot, feedforward, flatten, mlp
from gridscape.optimizers import NAMES, momentum, sgd
from gridscape.study.parts import in_precision, load_optimizer
from gridscape.study.study import Study
from gridscape.tasks.losses import Bits
from gridscape.tasks.sequences import at_last_step

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no native kernels here: {kernels.trouble()}"
)
UPDATES = 6


def summed(outputs, targets):
    return jnp.square(outputs - targets).sum(axis=-1)


def by_layer(hyper):
    rules = {"dense1": optax.sgd(hyper["rate"]), "output": optax.sgd(2 * hyper["rate"])}
    return optax.multi_transform(rules, {name: name for name in rules})


def own_sgd(make=by_layer):
    return Optimizer(make, {"rate": 0.1})


def data(inputs=None):
    rng = np.random.default_rng(0)
    inputs = np.float32(rng.normal(size=(40, 3))) if inputs is None else inputs
    return Split(jnp.asarray(inputs), jnp.asarray(rng.normal(size=(40, 2)), jnp.float32))


class Recipe:
    """As much of a recipe as its functions read."""

    smoothed = None

    def __init__(self, model=None, optimizer=None, loss=mse):
        self.model = model or mlp((3,), 2, hidden_size=5, activation="tanh")
        self.optimizer, self.loss = optimizer or sgd(), loss
        numbers = {**self.model.hyperparameters, **self.optimizer.hyperparameters}
        self.hyper = {"init_scale": 1.0, **numbers}


def task(split, **changed):
    settings = {"metrics": {"mae": Metric(mae, "lower")}, "answer": None, "loss": mse, **changed}
    return Task("numbers", split, split, split.inputs.shape[1:], 2, "numbers", **settings)


def prepared(recipe, split=None, **changed):
    """Functions, state, numbers and order of a trial."""
    split = data() if split is None else split
    functions = Functions.of(recipe, task(split, **changed))
    hyper = {name: jnp.float32(value) for name, value in recipe.hyper.items()}
    words = jnp.zeros(2, jnp.uint32)
    state = init_trial(recipe.model.init, recipe.optimizer.make, words, hyper)
    order = np.random.default_rng(1).integers(0, 40, (UPDATES, 7)).astype(np.int32)
    return functions, state, hyper, jnp.asarray(order), split


def found(recipe, split=None, n_microbatches=1, **changed):
    functions, state, hyper, order, split = prepared(recipe, split, **changed)
    return _whole(functions, n_microbatches, state, hyper, order, split)


# ---- which ----


@pytest.mark.parametrize("name", NAMES)
def test_perceptrons_under_the_rules_of_the_kernels_are_trained_whole(name):
    assert found(Recipe(optimizer=load_optimizer(name))).net.rule == name


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (mse, "mean_squared_error"),
        (summed, "squared_error"),
        (lambda y, t: ((y - t) ** 2).sum(axis=1), "squared_error"),
    ],
)
def test_a_loss_of_ones_own_is_known_by_its_operations(loss, name):
    assert found(Recipe(loss=loss)).net.loss == name


@pytest.mark.parametrize(
    "loss",
    [
        huber,
        mae,
        lambda y, t: 2 * summed(y, t),
        lambda y, t: summed(t, y),
        lambda y, t: summed(y, t + np.ones((1, 2), np.float32)),
        lambda y, t: jnp.square(y - t).sum(axis=0)[:1],
    ],
)
def test_other_losses_are_not(loss):
    assert found(Recipe(loss=loss)) is None


def test_a_rule_of_ones_own_is_known_where_it_multiplies_gradients():
    hyper = {"init_scale": jnp.float32(1), "rate": jnp.float32(0.5)}
    numbers = found(Recipe(optimizer=own_sgd())).numbers(hyper)
    rates = [float(of["learning_rate"]) for of in numbers]
    assert rates == [0.5, 0.5, 1.0, 1.0]  # bias and kernel of each layer
    constant = Optimizer(lambda hyper: optax.sgd(0.25), {"rate": 0.1})
    (rate, *_) = found(Recipe(optimizer=constant)).numbers(hyper)
    assert float(rate["learning_rate"]) == 0.25


@pytest.mark.parametrize(
    "make",
    [
        lambda hyper: optax.sgd(hyper["rate"], momentum=0.9),
        lambda hyper: optax.chain(optax.sgd(hyper["rate"]), optax.scale(0.5)),
        lambda hyper: optax.chain(optax.add_decayed_weights(0.1), optax.sgd(hyper["rate"])),
        lambda hyper: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(hyper["rate"])),
        lambda hyper: optax.sign_sgd(hyper["rate"]),
        lambda hyper: optax.set_to_zero(),
        lambda hyper: optax.stateless(
            lambda g, p: jax.tree.map(lambda x: p["output"]["bias"][0] * x, g)
        ),
        lambda hyper: optax.stateless(lambda g, p: jax.tree.map(lambda x: x * x, g)),
        lambda hyper: optax.stateless(
            lambda g, p: jax.tree.map(lambda x: x[::-1] * hyper["rate"], g)
        ),
    ],
)
def test_other_rules_are_not(make):
    assert found(Recipe(optimizer=own_sgd(make))) is None


def test_whatever_else_a_trial_asks_for_it_is_trained_update_by_update():
    model = Recipe().model
    assert found(Recipe()) is not None
    assert found(Recipe(), n_microbatches=2) is None
    assert found(Recipe(model._replace(apply=lambda *given: model.apply(*given)))) is None
    assert found(Recipe(in_precision(model, "bfloat16"))) is None
    assert found(Recipe(optimizer=sgd()._replace(schedule=lambda hyper, update: 1.0))) is None
    assert found(Recipe(optimizer=sgd()._replace(clips=True))) is None
    assert found(Recipe(), data(np.zeros((40, 3), np.uint8))) is None
    assert found(Recipe(), prepare=lambda inputs: 2 * inputs) is None
    with kernels.plain():
        assert found(Recipe()) is None


@pytest.mark.parametrize(
    ("layers", "activations"),
    [
        (("tanh", None), ("tanh", "linear")),
        ((None, "relu"), ("linear", "relu")),
        ((None, "sigmoid"), None),
        (("relu_scaled", None), None),
    ],
)
def test_networks_of_dense_layers_and_activations_say_so(layers, activations):
    stack = [flatten()]
    for k, (name, shape) in enumerate(zip(layers, [(3, 4), (4, 2)], strict=True)):
        stack.append(dense(f"layer{k}", shape, draw_glorot))
        stack += [activate(name, k)] if name else []
    of = found(Recipe(feedforward(*stack)))
    assert (of and of.net.activations) == activations


def test_an_activation_without_a_name_is_not_known():
    model = feedforward(
        dense("layer", (3, 2), draw_glorot), activate("tanh", 1)._replace(function="")
    )
    assert model.native_layers is None


# ---- what they give ----


@pytest.mark.parametrize("is_full", [True, False])
@pytest.mark.parametrize("optimizer", [own_sgd(), momentum()])
def test_whole_and_update_by_update_agree(optimizer, is_full):
    functions, state, hyper, order, split = prepared(Recipe(optimizer=optimizer))
    order = order[:, :0] if is_full else order
    given = functions, 1, state, jnp.zeros(2, jnp.uint32), hyper, order, jnp.int32(4), split
    whole, history = train_trial(*given)
    with kernels.plain():
        plain, wanted = train_trial(*given)
    # Four updates, of sums whose order differs: some units of float32's 6e-8 each.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), whole, plain)
    assert history.keys() == wanted.keys() == {"loss", "mae"}
    for name, expected in wanted.items():
        np.testing.assert_allclose(history[name], expected, rtol=1e-5, err_msg=name)
        assert np.isnan(history[name]).tolist() == [False] * 4 + [True] * 2


def test_a_study_of_them_is_the_same_alone_as_together_to_the_bit(tmp_path):
    study = Study(
        name="numbers",
        task=task(data()),
        model="mlp",
        model_options={"hidden_size": 5, "activation": "tanh"},
        optimizer=own_sgd(),
        axes={"rate": [0.01, 0.1, 1e30]},
        updates=UPDATES,
        batch_size=7,
        replicates=2,
        evaluations=2,
    )
    planner = planner_of(study)
    trials = planner.resolved.trials()
    together = train(planner, trials)
    assert [together[t.key].status for t in trials].count(Status.DIVERGED) == 2
    for trial in trials[::3]:
        assert_same(train(planner, [trial])[trial.key], together[trial.key])


# ---- what only looks like one ----


def nll(outputs, targets):
    """Of a mean and the logarithm of a variance: outputs are twice as many as targets."""
    mean, log = jnp.split(outputs, 2, axis=-1)
    return ((mean - targets) ** 2 * jnp.exp(-log) + log).sum(axis=-1)


def test_a_loss_of_outputs_wider_than_targets_trains():
    split = data()
    narrow = split._replace(targets=split.targets[:, :1])
    study = Study(
        name="wide",
        task=task(narrow, loss=nll, metrics={"error": Metric(nll, "lower")}),
        model="mlp",
        updates=UPDATES,
        batch_size=10,
        replicates=1,
        axes={"learning_rate": [0.01]},
    )
    planner = planner_of(study)
    (result,) = train(planner, planner.resolved.trials()).values()
    assert result.status is Status.FINISHED, result.reason


@pytest.mark.parametrize(
    "model",
    [
        feedforward(dense("dense1", (3, 2), draw_glorot)._replace(apply=lambda p, x, *_: x[:, :2])),
        feedforward(
            dense("dense1", (3, 2), draw_glorot),
            activate("tanh", 1)._replace(apply=lambda p, x, *_: jnp.sin(x)),
        ),
        feedforward(dense("dense1", (3, 2), draw_glorot), activate("sigmoid", 1)),
    ],
    ids=["a layer", "an activation", "one without a native function"],
)
def test_what_a_layer_does_is_not_believed_by_its_name(model):
    assert found(Recipe(model)) is None


# ---- recurrent networks ----


SEQUENCES = {
    "recall": {"task": "recall", "position": 2},
    "mse": {"task": "binary-addition", "loss": "mse"},
    "mse_raw": {"task": "binary-addition", "loss": "mse_raw"},
    "bce": {"task": "binary-addition", "loss": "bce"},
    "time_softmax": {"task": "binary-addition", "loss": "time_softmax"},
}


def sequences(name, **changed):
    """A study of 20 updates of small recurrent networks."""
    settings = {"model": "lstm", "model_options": {"returns": "every", "init": "pytorch"}}
    settings |= {"optimizer": "adam", "updates": 20, "batch_size": 32, "replicates": 2}
    settings |= {"hyperparameters": {"learning_rate": 0.01, "forget_bias": 0.3}, "evaluations": 2}
    options = {"axes": {"hidden_size": [2, 10]}, **SEQUENCES[name], **changed}
    axes = {k: [options.pop(k)] for k in ("position", "loss") if k in options}
    axes |= options.pop("axes")
    return Study(name="sequences", **{**settings, **options}, axes=axes)


def whole_of(study):
    """How its first trial is trained whole; None where it is not."""
    resolved = study.resolve()
    recipe = resolved.recipe(next(iter(resolved.study.grid.cells())))
    task, stop = resolved.task, jnp.int32(3)
    functions, words = Functions.of(recipe, task), jnp.zeros(2, jnp.uint32)
    hyper = {name: jnp.float32(value) for name, value in recipe.hyper.items()}
    state = init_trial(recipe.model.init, recipe.optimizer.make, words, hyper)
    drawn = jnp.arange(6, dtype=jnp.uint32).reshape(3, 2)
    if hasattr(task.train, "draw"):
        order, train = draw_batches(task.train.draw, recipe.batch_size, drawn), None
    else:
        order, train = jnp.zeros((3, recipe.batch_size), jnp.int32), task.train
        train = jax.tree.map(jnp.asarray, train)
    found = _whole(functions, 1, state, hyper, order, train)
    return found and (found, functions, (state, words, hyper, order, stop, train))


@pytest.mark.parametrize("name", SEQUENCES)
def test_small_networks_on_drawn_sequences_are_trained_whole(name):
    found, functions, given = whole_of(sequences(name))
    assert found.net.loss == ("cross_entropy" if name == "recall" else name)
    whole, history = train_trial(functions, 1, *given)
    with kernels.plain():
        plain, wanted = train_trial(functions, 1, *given)
    # Adam divides a gradient by its own size, and so by its error where that is near 0.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), whole, plain)
    assert history.keys() == wanted.keys()
    for name, expected in wanted.items():
        np.testing.assert_allclose(history[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_small_networks_on_stored_sequences_are_trained_whole(cell):
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.normal(size=(40, 4, 3)), jnp.float32)
    split = Split(inputs, jnp.asarray(rng.integers(0, 2, 40), jnp.int32))
    measured = {"loss": cross_entropy, "metrics": {"accuracy": Metric(accuracy)}}
    study = Study(
        name="rows",
        task=task(split, **measured),
        model=cell,
        updates=20,
        batch_size=32,
        axes={"hidden_size": [5], "learning_rate": [0.01]},
    )
    found, functions, given = whole_of(study)
    assert not found.net.every
    whole, history = train_trial(functions, 1, *given)
    with kernels.plain():
        plain, wanted = train_trial(functions, 1, *given)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), whole, plain)
    np.testing.assert_allclose(history["accuracy"], wanted["accuracy"])


@pytest.mark.parametrize(
    "changed",
    [
        {"axes": {"hidden_size": [16]}},
        {"model_options": {"returns": "every", "layers": 2}},
        {"model_options": {"returns": "every", "directions": 2}},
        {"model": "gru", "hyperparameters": {}},
        {"precision": "bfloat16"},
        {"batch_size": 2},
        {"schedule": "cosine"},
    ],
    ids=str,
)
def test_other_recurrent_networks_are_not(changed):
    assert whole_of(sequences("bce")) is not None
    assert whole_of(sequences("bce", **changed)) is None


@pytest.mark.parametrize("name", ["recall", "bce"])
def test_sequences_are_the_same_alone_as_together_to_the_bit(name):
    planner = planner_of(sequences(name))
    trials = planner.resolved.trials()
    together = train(planner, trials)
    for trial in trials[::3]:
        assert_same(train(planner, [trial])[trial.key], together[trial.key])


@pytest.mark.parametrize("bits", [[0, 2, 1, 1, 0, 0], [0, 0, -1, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
def test_the_lowest_bit_is_what_argmax_calls_it(bits):
    """Also of odd bits, and where it does not count."""
    targets = Bits(jnp.tile(jnp.asarray(bits, jnp.int32), (32, 1)), jnp.arange(32) % 4 + 1)
    assert_same_beside_plain(sequences("time_softmax"), targets)


@pytest.mark.parametrize("length", [-1, 0, 9])
@pytest.mark.parametrize("name", ["mse", "time_softmax"])
def test_odd_lengths_end_as_they_do_update_by_update(name, length):
    bits = jnp.asarray(np.random.default_rng(0).integers(0, 2, (32, 6)), jnp.int32)
    assert_same_beside_plain(sequences(name), Bits(bits, jnp.full(32, length, jnp.int32)))


def assert_same_beside_plain(study, targets):
    _, functions, (state, words, hyper, order, stop, none) = whole_of(study)
    order = Split(order.inputs, jax.tree.map(lambda x: jnp.stack([x] * 3), targets))
    given = functions, 1, state, words, hyper, order, stop, none
    assert _whole(functions, 1, state, hyper, order, none) is not None
    whole, history = train_trial(*given)
    with kernels.plain():
        plain, wanted = train_trial(*given)
    assert (int(whole.bad_update) > 0) == (int(plain.bad_update) > 0)
    np.testing.assert_allclose(history["loss"][:1], wanted["loss"][:1], rtol=1e-5)


def centered(inputs):
    """Of a batch as a whole."""
    return inputs - inputs.mean()


def spread_of_batch(outputs, targets):
    return jnp.square(outputs[:, 0, 0] - outputs[:, 0, 0].mean())


def test_functions_of_ones_own_are_given_one_batch_at_a_time():
    """Whatever they make of it, and however many updates a call does."""
    _, functions, given = whole_of(sequences("mse"))
    metrics = (("spread", spread_of_batch),)
    functions = functions._replace(prepare=centered, metrics=metrics)
    whole, history = train_trial(functions, 1, *given)
    with kernels.plain():
        plain, wanted = train_trial(functions, 1, *given)
    for name, expected in wanted.items():
        np.testing.assert_allclose(history[name], expected, rtol=1e-4, err_msg=name)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), whole, plain)


@pytest.mark.parametrize("name", ["recall", "mse"])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_parts_of_any_size_give_the_same_to_the_bit(name, stop, monkeypatch):
    _, functions, (state, words, hyper, order, _, none) = whole_of(sequences(name))
    given = functions, 1, state, words, hyper, order, jnp.int32(stop), none
    once = train_trial(*given)
    for updates in (1, 2):
        floats = whole_of(sequences(name))[0].floats
        monkeypatch.setattr("gridscape.engine.trial.FLOATS_AT_ONCE", updates * floats)
        state_of_parts, history = train_trial(*given)
        jax.tree.map(np.testing.assert_array_equal, state_of_parts, once[0])
        # Of a metric XLA sums up other shapes in another order.
        for name_of, expected in once[1].items():
            np.testing.assert_allclose(history[name_of], expected, rtol=5e-7, err_msg=name_of)


def test_answers_behind_the_last_step_are_there_for_a_metric_of_ones_own():
    found, functions, given = whole_of(sequences("recall"))
    assert found.net.cuts
    functions = functions._replace(metrics=(("last", lambda y, targets: y[:, -1, 0]),))
    _, history = train_trial(functions, 1, *given)
    with kernels.plain():
        _, wanted = train_trial(functions, 1, *given)
    np.testing.assert_allclose(history["last"], wanted["last"], rtol=1e-4)


def test_classes_of_sequences_are_no_classes_of_steps():
    """A loss that is known elsewhere, on outputs that it does not read."""
    targets = jnp.zeros(40, jnp.int32)
    assert loss_of_answers(cross_entropy, (40, 2), targets) == "cross_entropy"
    assert loss_of_answers(cross_entropy, (40, 4, 2), targets) is None


def test_a_users_function_is_a_users_inside_one_of_our_own():
    assert are_own(at_last_step(accuracy), accuracy)
    assert not are_own(at_last_step(spread_of_batch))
    assert not are_own(accuracy, spread_of_batch)
    # Nor by a name that it has from one of ours, or by the class of an object.
    assert not are_own(wraps(accuracy)(lambda *given: spread_of_batch(*given)))
    assert not are_own(Metric(spread_of_batch))
    assert not are_own(partial(accuracy))
