"""One trial: data order, keys, evaluation, accumulated batches, divergence."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import planner_of, tiny, train
from hypothesis import given, settings
from hypothesis import strategies as st

from gridscape.base.data import Split
from gridscape.base.parts import Model
from gridscape.base.task import Task
from gridscape.engine.evaluation import LARGEST_CHUNK, chunk_of, evaluate_trial, in_chunks
from gridscape.engine.order import WORDS_BLOCK, batch_order, data_order, numbered_words, seed_words
from gridscape.engine.trial import (
    Functions,
    batches,
    init_trial,
    update_trial,
)
from gridscape.grid.trials import Status
from gridscape.optimizers import adam
from gridscape.study.study import Recipe


@given(
    n_examples=st.integers(1, 50),
    batch_size=st.integers(1, 60),
    updates=st.integers(1, 20),
    replicate=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_an_epoch_is_a_permutation_and_leftovers_join_the_next(
    n_examples, batch_size, updates, replicate
):
    order = data_order(7, replicate, n_examples, batch_size, 0, updates)
    assert order.shape == (updates, batch_size)
    stream = order.ravel()
    for begin in range(0, len(stream), n_examples):
        epoch = stream[begin : begin + n_examples]
        assert len(set(epoch)) == len(epoch)
        assert set(epoch) <= set(range(n_examples))


@given(cut=st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_segments_of_the_order_join_without_a_seam(cut):
    whole = data_order(0, 1, 13, 5, 0, 20)
    parts = [data_order(0, 1, 13, 5, a, b) for a, b in ((0, cut), (cut, 20)) if b > a]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_order_depends_on_seed_replicate_and_epoch_only():
    first = data_order(0, 0, 1000, 1000, 0, 2)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first, data_order(0, 1, 1000, 1000, 0, 2))
    assert not np.array_equal(first, data_order(1, 0, 1000, 1000, 0, 2))
    np.testing.assert_array_equal(first, data_order(0, 0, 1000, 1000, 0, 2))


def test_keys_follow_from_content():
    a = seed_words(0, 0, "weights", "x")
    np.testing.assert_array_equal(a, seed_words(0, 0, "weights", "x"))
    for other in [(1, 0, "weights", "x"), (0, 1, "weights", "x"), (0, 0, "training", "x")]:
        assert not np.array_equal(a, seed_words(*other))


def test_numbered_keys_are_those_one_by_one():
    found = numbered_words(3, 1, "batch", begin=98, end=103)
    wanted = [seed_words(3, 1, "batch", u) for u in range(98, 103)]
    np.testing.assert_array_equal(found, wanted)
    assert (found.shape, found.dtype) == ((5, 2), np.uint32)
    for begin in (0, 5, WORDS_BLOCK):
        assert numbered_words(3, 1, "batch", begin=begin, end=begin).shape == (0, 2)


def test_keys_do_not_depend_on_what_was_asked_for_before():
    for replicate in (True, 1, np.int64(1)):
        (found,) = numbered_words(3, replicate, "batch", begin=7, end=8)
        np.testing.assert_array_equal(found, seed_words(3, replicate, "batch", 7))


def test_keys_of_updates_are_the_same_across_the_blocks_that_they_are_made_in():
    begin, end = WORDS_BLOCK - 2, 2 * WORDS_BLOCK + 1
    found = numbered_words(3, 1, "batch", begin=begin, end=end)
    wanted = [seed_words(3, 1, "batch", update) for update in range(begin, end)]
    np.testing.assert_array_equal(found, np.array(wanted))


def random_task(n_test, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_test, 6)).astype(np.float32)
    return Task.from_arrays((x, rng.integers(0, 3, n_test)), (x, rng.integers(0, 3, n_test)))


def recipe_of(init, apply):
    rule = adam()
    return Recipe({}, {}, Model(init, apply), rule, 8, 10, dict(rule.hyperparameters), program="")


def noisy_linear():
    def init(key, hyper):
        return jax.random.normal(key, (6, 3))

    def apply(params, inputs, key, hyper):
        return inputs @ params

    return recipe_of(init, apply)


def test_a_batch_of_all_examples_is_all_of_them_where_they_lie():
    recipe, x = noisy_linear(), np.arange(8 * 6, dtype=np.float32).reshape(8, 6)
    task = Task.from_arrays((x, np.arange(8) % 3), (x, np.arange(8) % 3))
    order = batch_order(recipe, task, 0, 0, 0, 4)
    assert order.shape == (4, 0)
    batch = batches(task.prepare, task.train, jnp.asarray(order))(3)
    jax.tree.map(np.testing.assert_array_equal, batch, task.train)


@pytest.mark.parametrize("batch_size", [2, 8])
def test_batches_of_targets_with_several_parts(batch_size):
    task, x = random_task(8), np.arange(8.0)
    train = Split(x[:, None], (np.arange(8), -np.arange(8)))
    whole = dataclasses.replace(task, train=train, test=train, input_shape=(1,))
    recipe = dataclasses.replace(noisy_linear(), batch_size=batch_size)
    order = batch_order(recipe, whole, 0, 0, 0, 3)
    batch = batches(whole.prepare, jax.tree.map(jnp.asarray, train), jnp.asarray(order))(1)
    rows = order[1] if batch_size < 8 else np.arange(8)
    assert len(batch.targets) == len(train.targets)
    for found, targets in zip(batch.targets, train.targets, strict=True):
        np.testing.assert_array_equal(found, targets[rows])


@given(n_examples=st.integers(1, 100_000))
@settings(deadline=None)
def test_chunks_are_of_one_size_and_less_than_one_example_of_each_is_filled_up(n_examples):
    chunk, rows = chunk_of(n_examples), in_chunks(n_examples)
    assert chunk <= LARGEST_CHUNK
    assert rows % chunk == 0
    assert 0 <= rows - n_examples < rows // chunk
    assert rows // chunk == -(-n_examples // LARGEST_CHUNK)
    assert chunk_of(rows) == chunk  # who has the rows only finds the same


@pytest.mark.parametrize("n_examples", [1, 411, 412, 413, 1234])
def test_evaluation_in_chunks_counts_each_example_once(n_examples):
    task, recipe = random_task(1234), noisy_linear()
    params = recipe.model.init(jax.random.key(1), {})
    rows = np.minimum(np.arange(in_chunks(1234)), 1233)
    split = Split(jnp.asarray(task.test.inputs[rows]), jnp.asarray(task.test.targets[rows]))
    sums = evaluate_trial(Functions.of(recipe, task), params, {}, split, jnp.int32(n_examples))
    found = {name: np.asarray(x) / n_examples for name, x in sums.items()}
    logits = task.test.inputs[:n_examples].astype(np.float64) @ np.asarray(params, np.float64)
    labels = task.test.targets[:n_examples]
    log_sum = np.log(np.exp(logits).sum(axis=1))
    loss = (log_sum - logits[np.arange(n_examples), labels]).mean()
    answers = logits.argmax(axis=1)
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-5)  # float32 sums of 1,234 terms
    np.testing.assert_allclose(found["accuracy"], (answers == labels).mean(), rtol=1e-6)
    share = np.bincount(answers).max() / n_examples
    np.testing.assert_allclose(found["top_answer_share"], share, rtol=1e-6)


@pytest.mark.parametrize("n_microbatches", [2, 4, 8])
def test_a_batch_in_microbatches_gives_the_same_update(n_microbatches):
    task, recipe = random_task(8), noisy_linear()
    hyper = recipe.hyper
    state = init_trial(
        recipe.model.init, recipe.optimizer.make, jnp.array([1, 2], jnp.uint32), hyper
    )
    batch = Split(jnp.asarray(task.train.inputs), jnp.asarray(task.train.targets))
    functions = Functions.of(recipe, task)
    whole, numbers = update_trial(functions, 1, state, batch, jax.random.key(0), hyper)
    cut, cut_numbers = update_trial(
        functions, n_microbatches, state, batch, jax.random.key(0), hyper
    )
    for name in numbers:  # the order of a float32 sum of eight terms differs
        np.testing.assert_allclose(cut_numbers[name], numbers[name], rtol=1e-5)
    np.testing.assert_allclose(cut.params, whole.params, rtol=1e-4, atol=1e-6)


@jax.custom_vjp
def with_bad_slope(n, late):
    """n, but with an infinite derivative once it is late."""
    return n


with_bad_slope.defvjp(
    lambda n, late: (n, late), lambda late, slope: (jnp.where(late, jnp.inf, slope), None)
)


def exploding_at(quantity):
    """A model in which one quantity stops being finite at the third update."""

    def init(key, hyper):
        return jnp.zeros(())

    def apply(n, inputs, key, hyper):
        # All labels are 0, so Adam raises n, the logit of class 0, by one learning rate an
        # update: after two updates it is past 1.5 of them.
        late = n > 1.5 * hyper["learning_rate"]
        late_loss = n + jnp.where(late, jnp.inf, 0.0)
        n = late_loss if quantity == "loss" else with_bad_slope(n, late)
        return jnp.zeros((len(inputs), 10)).at[:, 0].set(n)

    return init, apply


@pytest.mark.parametrize("quantity", ["loss", "gradient"])
def test_divergence_is_an_outcome_with_its_update_and_quantity(quantity):
    labels, x = np.zeros(20, np.int32), np.zeros((20, 8, 8), np.float32)
    task = Task.from_arrays((x, labels), (x, labels), n_outputs=10)
    model = exploding_at(quantity)
    study = tiny({"learning_rate": [0.01]}, task=task, model=model, replicates=1)
    planner = planner_of(study)
    (result,) = train(planner, planner.resolved.trials()).values()
    assert result.status is Status.DIVERGED
    assert (result.first_bad_update, result.bad_quantity) == (3, quantity)
    assert result.updates == 3
    assert np.isfinite(result.metrics["test_loss"]) == (quantity != "loss")
    losses = result.curves["train_loss"]
    assert np.isfinite(losses[:2]).all()
    assert np.isnan(losses[3:]).all()


def test_overflowing_parameters_are_told_apart_and_the_last_finite_ones_kept():
    def apply(params, inputs, key, hyper):
        return 100 * (inputs @ params)  # gradients of about 3: times 3e38, more than float32 holds

    def init(key, hyper):
        return jnp.zeros((64, 10))

    study = tiny(
        {"learning_rate": [3e38, 1e-5]},
        optimizer="sgd",
        model=(init, apply),
        task="digits-flat",
        replicates=1,
        keep_parameters="all",
    )
    planner = planner_of(study)
    wild, tame = train(planner, planner.resolved.trials()).values()
    assert tame.status is Status.FINISHED
    assert (wild.status, wild.first_bad_update) == (Status.DIVERGED, 1)
    assert wild.bad_quantity == "parameters"
    assert not next(iter(wild.params.values())).any()  # the zeros that it started from
