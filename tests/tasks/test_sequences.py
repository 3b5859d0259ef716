"""Sequence tasks: what is drawn, what is asked, what counts, and one clear line for bad options."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gridscape.base.data import Stream
from gridscape.errors import UsageError
from gridscape.study.parts import load_object
from gridscape.study.study import Study
from gridscape.tasks import NAMES, losses
from gridscape.tasks.losses import Bits
from gridscape.tasks.sequences import OPERANDS, Asked, binary_addition, recall

TASKS = [recall, binary_addition]


@cache
def drawer(make, **options):
    """Batches of a task from seeds, by one compiled function."""
    draw = jax.jit(make(**options).train.draw, static_argnums=1)
    return lambda seed, batch_size: jax.tree.map(np.asarray, draw(jax.random.key(seed), batch_size))


def assert_uniform(values, possible):
    """Every possible value about equally often: chi-square below its 1 - 1e-6 quantile."""
    counts = np.array([(values == value).sum() for value in possible])
    assert counts.sum() == len(values)
    assert stats.chisquare(counts).pvalue > 1e-6, counts


# ---- both tasks ----


@pytest.mark.parametrize("make", TASKS)
def test_a_key_gives_one_batch(make):
    draw = drawer(make)
    first, again, other = draw(1, 8), draw(1, 8), draw(2, 8)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert (first.inputs != other.inputs).any()


@pytest.mark.parametrize("make", TASKS)
def test_the_test_set_is_fixed_and_its_own(make):
    task, again, other = make(), make(), make(test_seed=1)
    jax.tree.map(np.testing.assert_array_equal, task.test, again.test)
    assert task.fingerprint == again.fingerprint != other.fingerprint
    assert (task.test.inputs != other.test.inputs).any()
    assert (task.test.inputs != task.train.sample.inputs).any()


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (recall, {"position": 1}),
        (recall, {"shortest": 4}),
        (recall, {"alphabet": 10}),
        (recall, {"n_test": 639}),
        (binary_addition, {"train_length": 3}),
        (binary_addition, {"operands": "uniform"}),
        (binary_addition, {"longest_test": 19}),
        (binary_addition, {"n_test_per_length": 99}),
    ],
)
def test_every_option_is_in_the_fingerprint(make, options):
    assert make(**options).fingerprint != make().fingerprint


@pytest.mark.parametrize("make", TASKS)
def test_stored_examples_are_numpy_and_the_model_reads_floats(make):
    task = make()
    assert isinstance(task.train, Stream)
    for split in (task.test, task.train.sample):
        assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(split))
        assert {len(leaf) for leaf in jax.tree.leaves(split)} == {split.n_examples}
    drawn = jax.eval_shape(lambda key: task.train.draw(key, 5), jax.random.key(0))
    read = jax.eval_shape(task.prepare, drawn.inputs)
    assert (read.shape, read.dtype) == ((5, *task.input_shape), jnp.float32)
    # One program evaluates both.
    assert task.train.sample.inputs.shape == task.test.inputs.shape
    kinds = [jax.tree.map(lambda x: x.dtype, s) for s in (drawn, task.test, task.train.sample)]
    assert kinds[0] == kinds[1] == kinds[2]


@pytest.mark.parametrize("name", ["recall", "binary-addition"])
def test_a_study_knows_the_task_by_name(name):
    assert name in NAMES
    study = Study(task=name, model="lstm", axes={"learning_rate": [0.01]})
    assert not study.unknown_names()


# ---- recall ----


def test_recall_draws_every_length_and_symbol_equally_often():
    draw = drawer(recall, alphabet=5)
    batches = [draw(seed, 8) for seed in range(700)]
    assert all(len(np.unique(b.targets.length)) == 1 for b in batches)  # one length a batch
    assert_uniform(np.array([b.targets.length[0] for b in batches]), range(3, 10))
    symbols = np.stack([b.inputs for b in batches])
    assert_uniform(symbols[symbols >= 0], range(5))
    assert_uniform(np.concatenate([b.targets.item for b in batches]), range(5))


def test_the_item_asked_for_stands_at_its_position():
    options = {"position": 3, "shortest": 3, "longest": 5}
    batches = [drawer(recall, **options)(seed, 4) for seed in range(5)]
    for inputs, (items, lengths) in (*batches, recall(**options).test):
        np.testing.assert_array_equal(items, inputs[:, 2])
        np.testing.assert_array_equal(inputs == -1, np.arange(5) >= lengths[:, None])


def test_the_model_reads_one_hot_and_zeros_after_the_end():
    task = recall(shortest=2, longest=4, alphabet=3)
    read = np.asarray(task.prepare(jnp.array([[2, 0, -1, -1]])))
    np.testing.assert_array_equal(read[0], [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]])


def test_lengths_take_turns_in_the_test_set():
    lengths = recall().test.targets.length
    assert len(lengths) == 640
    assert lengths[:8].tolist() == [3, 4, 5, 6, 7, 8, 9, 3]
    assert np.ptp(np.bincount(lengths)[3:]) <= 1


def test_only_the_outputs_after_the_last_item_count():
    """Outputs that give the item there and nonsense elsewhere are right, with their loss."""
    task = recall(shortest=2, longest=4, alphabet=3, n_test=6)
    targets = task.test.targets
    outputs = np.full((6, 4, 3), 50.0, np.float32)
    rows = np.arange(6)
    outputs[rows, targets.length - 1] = [1.0, 1.0, 1.0]
    outputs[rows, targets.length - 1, targets.item] = 2.0
    loss = -np.log(np.exp(2) / (np.exp(2) + 2 * np.exp(1)))
    np.testing.assert_allclose(task.loss(outputs, targets), loss, rtol=1e-6)
    np.testing.assert_array_equal(task.metrics["accuracy"](outputs, targets), 1)
    np.testing.assert_array_equal(task.answer(outputs, targets), targets.item)
    others = Asked((targets.item + 1) % 3, targets.length)
    np.testing.assert_array_equal(task.metrics["accuracy"](outputs, others), 0)


def test_recall_groups_by_length():
    task = recall(shortest=4, longest=6)
    assert (task.groups.name, task.groups.values) == ("length", (4, 5, 6))
    values = np.array(task.groups.values)[task.groups.of(task.test.targets)]
    np.testing.assert_array_equal(values, task.test.targets.length)


# ---- binary addition ----


def number(bits):
    """A Python integer from its bits, least significant first."""
    return sum(int(bit) << place for place, bit in enumerate(bits))


def assert_adds_up(inputs, targets):
    for (first, second), bits, length in zip(inputs.swapaxes(1, 2), *targets, strict=True):
        assert number(first) + number(second) == number(bits)
        assert number(first) < 2**length
        assert number(second) < 2**length
        assert not bits[length + 1 :].any()


@pytest.mark.parametrize("operands", OPERANDS)
@pytest.mark.parametrize("length", [1, 5, 30])
def test_targets_are_the_sum_and_report_operands_never_carry_out(operands, length):
    options = {"train_length": length, "operands": operands, "longest_test": length}
    task, batch = binary_addition(**options), drawer(binary_addition, **options)(0, 500)
    assert batch.inputs.shape == (500, length + 1, 2)
    for split in (batch, task.test, task.train.sample):
        assert_adds_up(*split)
    assert (batch.targets.length == length).all()
    carried = batch.targets.bits[:, length]
    assert carried.any() == (operands == "uniform")


def test_report_operands_have_a_uniform_sum_and_a_uniform_part_of_it():
    batch = drawer(binary_addition, train_length=3)(0, 8_000)
    sums = np.array([number(bits) for bits in batch.targets.bits])
    first = np.array([number(bits) for bits in batch.inputs[..., 0]])
    assert_uniform(sums, range(8))
    for total in (1, 4, 7):
        assert_uniform(first[sums == total], range(total + 1))


def test_uniform_operands_are_uniform_and_independent():
    batch = drawer(binary_addition, train_length=3, operands="uniform")(0, 6_400)
    first, second = (np.array([number(bits) for bits in batch.inputs[..., k]]) for k in (0, 1))
    assert_uniform(8 * first + second, range(64))


def test_the_test_set_has_every_length_equally_often_in_turn():
    task = binary_addition(longest_test=20, n_test_per_length=3)
    lengths = task.test.targets.length
    assert lengths[:21].tolist() == [*range(1, 21), 1]
    assert np.bincount(lengths)[1:].tolist() == [3] * 20
    assert task.test.inputs.shape == (60, 21, 2)
    assert (task.train.sample.targets.length == 5).all()
    values = np.array(task.groups.values)[task.groups.of(task.test.targets)]
    np.testing.assert_array_equal(values, lengths)


def test_training_may_be_longer_than_the_test():
    task = binary_addition(train_length=6, longest_test=2, n_test_per_length=5)
    assert task.input_shape == (7, 2)
    assert task.test.inputs.shape == task.train.sample.inputs.shape == (10, 7, 2)
    assert task.test.targets.length.tolist() == [1, 2] * 5
    assert task.groups.of(task.train.sample.targets).max() < len(task.groups.values)


def test_metrics_count_the_steps_of_each_length():
    """Three examples of 1, 2 and 3 bits: all right, one bit wrong, wrong in the padding only."""
    task = binary_addition()
    bits = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1]])
    targets = Bits(bits, np.array([1, 2, 3]))
    outputs = np.where(bits, 0.1, -0.1)
    outputs[0, 2:] = 9  # padding
    outputs[1, 1] = 0.2
    outputs[2, 0] = 0.0  # not above 0: answered 0
    outputs = outputs[..., None].astype(np.float32)
    found = {name: np.asarray(f(outputs, targets)) for name, f in task.metrics.items()}
    np.testing.assert_allclose(found["bit_accuracy"], [1, 2 / 3, 1], rtol=1e-6)
    np.testing.assert_array_equal(found["accuracy"], [1, 0, 1])
    assert found["accuracy"].dtype == np.float32


@pytest.mark.parametrize("name", ["bce", "mse", "mse_raw", "time_softmax"])
def test_every_loss_of_bits_reads_the_targets_of_the_task(name):
    task = binary_addition(longest_test=3, n_test_per_length=2)
    targets = task.test.targets
    loss, zeros = load_object("loss", name, losses.NAMES), jnp.zeros((6, 6, 1))
    assert loss(zeros, targets).shape == (6,)
    right = 2.0 * targets.bits[..., None].astype(np.float32) - 1
    assert loss(right, targets).mean() < loss(-right, targets).mean()


# ---- bad options ----


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            partial(recall, shortest=0),
            "shortest: out of range (expected a whole number from 1, found 0)",
        ),
        (
            partial(recall, longest=9.0),
            "longest: out of range (expected a whole number from 1, found 9.0)",
        ),
        (
            partial(recall, shortest=10),
            "shortest: beyond longest (expected at most 9, found 10)",
        ),
        (
            partial(recall, position=4),
            "position: beyond shortest (expected at most 3, found 4)",
        ),
        (
            partial(recall, position=0),
            "position: out of range (expected a whole number from 1, found 0)",
        ),
        (
            partial(recall, alphabet=1),
            "alphabet: out of range (expected a whole number from 2, found 1)",
        ),
        (
            partial(recall, n_test=True),
            "n_test: out of range (expected a whole number from 1, found True)",
        ),
        (
            partial(recall, test_seed=-1),
            "test_seed: out of range (expected a whole number from 0 to 4294967295, found -1)",
        ),
        (
            partial(binary_addition, train_length=0),
            "train_length: out of range (expected a whole number from 1 to 30, found 0)",
        ),
        (
            partial(binary_addition, longest_test=31),
            "longest_test: out of range (expected a whole number from 1 to 30, found 31)",
        ),
        (
            partial(binary_addition, n_test_per_length="100"),
            "n_test_per_length: out of range (expected a whole number from 1, found '100')",
        ),
        (
            partial(binary_addition, operands="unifrom"),
            "unknown operands 'unifrom'; did you mean 'uniform'?",
        ),
        (
            partial(binary_addition, operands=["report"]),
            "unknown operands \"['report']\"; did you mean 'report'?",
        ),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == message
