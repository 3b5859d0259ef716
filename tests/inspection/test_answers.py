"""What networks answer: mistakes, confusion and samples, of networks whose answers are known."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from made_up_models import LOGITS, MLP, random_task, recipe_of, start

from gridscape.base.data import Split
from gridscape.base.metrics import accuracy, cross_entropy
from gridscape.base.parts import Model
from gridscape.base.task import Task
from gridscape.errors import UsageError
from gridscape.inspection.answers import confusion, mistakes
from gridscape.inspection.images import photograph
from gridscape.inspection.kinds import sample_lines
from gridscape.inspection.records import Example
from gridscape.inspection.sequences import samples
from gridscape.models.feedforward import mlp
from gridscape.tasks.losses import squared_error
from gridscape.tasks.sequences import binary_addition, recall


def known_answers():
    """Six examples of three classes whose outputs are written down: 2, 4 and 5 are wrong."""
    logits = np.array(
        [[2, 0, 0], [0, 3, 0], [1, 0, 0], [0, 0, 1], [0, 9, 0], [0, 0.5, 0]], np.float32
    )
    return Task.from_arrays((logits, [0, 1, 1, 2, 0, 0]), (logits, [0, 1, 1, 2, 0, 0]))


def test_mistakes_are_the_worst_and_the_right_ones_the_first(small_chunks):
    found = mistakes(recipe_of(LOGITS), known_answers(), {"one": 1.0}, n_wrong=2, n_right=2)
    assert [(e.index, e.truth, e.answer) for e in found.wrong] == [(4, 0, 1), (2, 1, 0)]
    assert [(e.index, e.truth, e.answer) for e in found.right] == [(0, 0, 0), (1, 1, 1)]
    assert (found.n_wrong, found.n_examples) == (3, 6)
    worst = found.wrong[0]
    mass = np.exp(9) + 2
    expected = [np.exp(9) / mass, np.log(mass)]
    np.testing.assert_allclose([worst.probability, worst.loss], expected, rtol=1e-6)
    np.testing.assert_array_equal(worst.inputs, [0, 9, 0])


def test_a_squared_error_knows_no_probability():
    recipe = recipe_of(LOGITS, loss=squared_error)
    found = mistakes(recipe, known_answers(), {"one": 1.0})
    assert {e.probability for e in (*found.wrong, *found.right)} == {None}
    np.testing.assert_allclose(found.wrong[0].loss, 82)


def test_confusion_counts_every_example(small_chunks):
    found = confusion(recipe_of(LOGITS), known_answers(), {"one": 1.0})
    assert found.counts.tolist() == [[1, 2, 0], [1, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(found.shares[0], [1 / 3, 2 / 3, 0])


def test_a_class_without_examples_has_no_shares():
    task = known_answers()
    absent = Task.from_arrays(task.train, (task.test.inputs[:2], task.test.targets[:2]))
    found = confusion(recipe_of(LOGITS), replace(absent, n_outputs=3), {"one": 1.0})
    assert np.isnan(found.shares[2]).all()


# ---- sequences ----


def test_samples_of_recall_tell_what_was_asked():
    """The outputs are the items: the answer is the last one of each sequence."""
    task = recall(position=2, shortest=3, longest=5, n_test=12)
    found = samples(recipe_of(LOGITS, loss=task.loss), task, {"one": 1.0}, per_group=2)
    assert [s.group for s in found] == [3, 3, 4, 4, 5, 5]
    for sample in found:
        assert len(sample.inputs) == sample.group  # without padding
        np.testing.assert_array_equal(sample.inputs, task.test.inputs[sample.index][: sample.group])
        assert (sample.truth, sample.answer) == (sample.inputs[1], sample.inputs[-1])
        assert sample.is_right == (sample.inputs[1] == sample.inputs[-1])


def test_mistakes_in_recall_have_probabilities():
    task = recall(position=2, shortest=3, longest=5, n_test=12)
    found = mistakes(recipe_of(LOGITS, loss=task.loss), task, {"one": 1.0}, n_wrong=99)
    assert 0 < found.n_wrong == len(found.wrong) < 12
    np.testing.assert_allclose([e.probability for e in found.wrong], np.e / (np.e + 8), rtol=1e-6)


def test_samples_of_addition_answer_every_bit():
    """The outputs are above 0 where the first number has a bit."""
    task = binary_addition(train_length=3, longest_test=3, n_test_per_length=4)
    first = Model(lambda key, hyper: {}, lambda params, x, key, hyper: x[..., :1] - 0.5)
    found = samples(recipe_of(first, loss=task.loss), task, {}, per_group=4)
    assert [s.group for s in found] == [1] * 4 + [2] * 4 + [3] * 4
    for sample in found:
        assert sample.inputs.shape == (sample.group + 1, 2)
        np.testing.assert_array_equal(sample.answer, sample.inputs[:, 0])
        a, b, total = (
            sum(int(bit) << n for n, bit in enumerate(bits))
            for bits in (*sample.inputs.T, sample.truth)
        )
        assert a + b == total
        assert sample.is_right == (b == 0)


def test_bits_are_no_classes():
    task = binary_addition(train_length=3, longest_test=3, n_test_per_length=4)
    with pytest.raises(UsageError, match=r"binary-addition: no classes.*samples"):
        mistakes(recipe_of(LOGITS), task, {})


def test_samples_without_groups_are_the_first_ones():
    found = samples(recipe_of(LOGITS), known_answers(), {"one": 1.0}, per_group=2)
    assert [(s.index, s.group, int(s.truth), int(s.answer)) for s in found] == [
        (0, None, 0, 0),
        (1, None, 1, 1),
    ]


# ---- sequences of different lengths ----


def of_lengths(targets):
    """Sequences of two features whose first is above 0 where the second class is right."""
    rng = np.random.default_rng(0)
    steps = [rng.normal(size=(n, 2)) for n in (3, 9, 1, 20)]
    right = [(one[:, 0] > 0).astype(int) for one in steps]
    pair = (steps, targets(right))
    return Task.from_arrays(pair, pair), steps


LAST = Model(lambda key, hyper: {}, lambda params, x, key, hyper: -x.steps[:, 0])
EVERY = Model(lambda key, hyper: {}, lambda params, x, key, hyper: -x.steps)


def test_mistakes_of_sequences_are_shown_without_padding():
    task, steps = of_lengths(lambda right: [0, 1, 0, 1])
    found = mistakes(recipe_of(LAST), task, {})
    examples = (*found.wrong, *found.right)
    assert len(examples) == 4
    for example in examples:
        np.testing.assert_array_equal(example.inputs, steps[example.index].astype(np.float32))
        height, width, _ = photograph(example).shape
        assert width == len(steps[example.index])
        assert height == max(2, 2 * -(-width // 8))
    assert confusion(recipe_of(LAST), task, {}).counts.sum() == 4


@pytest.mark.parametrize("names", [(), ("down", "up")])
def test_samples_of_a_class_for_each_step(names):
    named = np.array(names or (0, 1))
    task, steps = of_lengths(lambda right: [named[one].tolist() for one in right])
    found = samples(recipe_of(EVERY), task, {}, per_group=9)
    assert [len(sample.inputs) for sample in found] == [3, 9, 1, 20]
    for sample, one in zip(found, steps, strict=True):
        assert sample.truth.tolist() == named[(one[:, 0] > 0).astype(int)].tolist()
        # The larger of -x is the answer.
        assert sample.answer.tolist() == named[(one[:, 1] < one[:, 0]).astype(int)].tolist()
        assert [line.name for line in sample_lines(sample)][-2:] == ["truth", "answer"]


def test_long_sequences_are_drawn_and_spelled_in_part():
    steps = [np.ones((n, 1)) for n in (2, 10_000)]
    pair = (steps, [np.zeros(len(one), int) for one in steps])
    task = Task.from_arrays(pair, pair, n_outputs=2)
    every = Model(
        lambda key, hyper: {}, lambda params, x, key, hyper: x.steps * jnp.array([[[0, 1]]])
    )
    (_, long) = samples(recipe_of(every), task, {}, per_group=2)
    assert len(long.truth) == 10_000
    for line in sample_lines(long):
        assert len(line.symbols) == len(line.wrong) == 61
        assert line.symbols[-1] == "..."
    example = Example(0, 0, 1, None, 0.5, long.inputs, is_sequence=True)
    height, width, _ = photograph(example).shape
    assert width <= 300
    assert height == width // 4 + (width % 4 > 0)


# ---- targets that hold more than the right answer ----


class Weighted(NamedTuple):
    """A class and how much it counts."""

    label: Any
    weight: Any


def weighted(**values):
    plain = random_task(n_test=9)
    targets = Weighted(plain.test.targets, np.ones(9, np.float32))
    split = Split(plain.test.inputs, targets)

    def of_class(function):
        return lambda outputs, targets: function(outputs, targets.label)

    return replace(
        plain,
        train=split,
        test=split,
        loss=of_class(cross_entropy),
        metrics={"accuracy": of_class(accuracy)},
        **values,
    )


def test_a_task_tells_which_of_its_targets_is_right():
    task, plain_task = weighted(truth=lambda targets: targets.label), random_task(n_test=9)
    params, recipe = start(MLP), recipe_of(MLP)
    mine = replace(recipe, loss=task.loss)
    expected = mistakes(recipe, plain_task, params)
    found = mistakes(mine, task, params)
    assert [x.probability for x in found.wrong] == [x.probability for x in expected.wrong]
    assert None not in [x.probability for x in found.wrong]
    np.testing.assert_array_equal(
        confusion(mine, task, params).counts, confusion(recipe, plain_task, params).counts
    )


def test_a_task_that_does_not_tell_is_asked_to():
    with pytest.raises(UsageError, match=r"which of the targets.*found Weighted.*truth=lambda"):
        mistakes(replace(recipe_of(MLP), loss=weighted().loss), weighted(), start(MLP))


def test_steps_that_do_not_count_are_left_out_of_samples():
    shape = (5, 3)
    rng = np.random.default_rng(0)
    split = Split(rng.normal(size=(6, *shape)).astype(np.float32), np.arange(6, dtype=np.int32) % 3)
    task = Task(
        name="cut", train=split, test=split, input_shape=shape, n_outputs=3, n_steps=lambda t: t + 1
    )
    found = samples(recipe_of(mlp(shape, 3)), task, start(mlp(shape, 3)), per_group=6)
    assert [len(sample.inputs) for sample in found] == [1, 2, 3, 1, 2, 3]
    whole = samples(recipe_of(mlp(shape, 3)), replace(task, n_steps=None), start(mlp(shape, 3)))
    assert {len(sample.inputs) for sample in whole} == {5}
