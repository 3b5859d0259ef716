"""Choices of examples in which every class has its share, against plain counts."""

import re

import numpy as np
import pytest

import gridscape as gs
from gridscape.base.samples import balanced_order, held_out
from gridscape.base.task import Task
from gridscape.errors import UsageError

LABELS = np.array([3] * 7 + [0] * 50 + [1] * 31 + [2] * 12)


@pytest.mark.parametrize("seed", [0, 5])
def test_every_first_part_has_each_class_with_its_share(seed):
    order = balanced_order(LABELS, seed)
    assert sorted(order) == list(range(len(LABELS)))
    shares = np.bincount(LABELS) / len(LABELS)
    for n in range(1, len(LABELS) + 1):
        counts = np.bincount(LABELS[order[:n]], minlength=4)
        assert np.abs(counts - n * shares).max() < 1


def test_equal_classes_are_equally_often_there():
    labels = np.tile(np.arange(10), 45)
    assert set(np.bincount(labels[balanced_order(labels)[:200]])) == {20}


def test_the_choice_follows_from_labels_and_seed_alone():
    assert (balanced_order(LABELS) == balanced_order(LABELS.copy())).all()
    assert (balanced_order(LABELS) != balanced_order(LABELS, seed=1)).any()
    # It draws: the first of a class are not the ones that come first.
    chosen = balanced_order(LABELS)[:20]
    zeros = np.sort(chosen[LABELS[chosen] == 0])
    assert (zeros != np.flatnonzero(LABELS == 0)[: len(zeros)]).any()


def test_a_share_of_every_class_is_held_out():
    held = held_out(LABELS, 0.2)
    assert np.bincount(LABELS[held]).tolist() == [10, 6, 2, 1]  # of 50, 31, 12 and 7
    assert (held != held_out(LABELS, 0.2, seed=1)).any()


@pytest.mark.parametrize("share", [0, 0.0, 1, 1.0, -0.1, 1.5, float("nan"), True, "0.1", None])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(UsageError, match=r"validation: out of range .*between 0 and 1"):
        held_out(LABELS, share)


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.05, "leaves a class without validation examples .*found 0.05 of 7 examples of class 3"),
        (0.95, "leaves a class without training examples .*found 0.95 of 7 examples of class 3"),
    ],
)
def test_a_share_that_leaves_a_class_out_is_refused(share, told):
    with pytest.raises(UsageError) as caught:
        held_out(LABELS, share)
    assert re.search(told, str(caught.value))
    assert len(str(caught.value)) <= 300


def arrays(n=40):
    inputs = np.arange(2.0 * n).reshape(n, 2)
    return inputs, np.arange(n) % 4


def test_a_task_of_arrays_takes_a_share_for_validation():
    task = Task.from_arrays(arrays(), arrays(8), validation=0.1)
    whole = Task.from_arrays(arrays(), arrays(8))
    assert np.bincount(task.validation.targets).tolist() == [1, 1, 1, 1]
    both = np.concatenate([task.train.inputs, task.validation.inputs])
    assert sorted(both[:, 0]) == sorted(whole.train.inputs[:, 0])
    assert (np.diff(task.train.inputs[:, 0]) > 0).all()  # in their order
    assert task.fingerprint != whole.fingerprint
    again = Task.from_arrays(arrays(), arrays(8), validation=np.float32(0.1))
    assert (again.validation.inputs == task.validation.inputs).all()


@pytest.mark.parametrize("share", [0.0, 1.0, True, 0.01, 0.99])
def test_a_task_of_arrays_refuses_other_shares_in_one_line(share):
    with pytest.raises(UsageError, match=r"^validation: "):
        Task.from_arrays(arrays(), arrays(8), validation=share)


def test_a_study_of_such_a_task_chooses_on_validation():
    task = Task.from_arrays(arrays(), arrays(8), validation=0.1)
    study = gs.Study(task=task, model="mlp", batch_size=4, axes={"learning_rate": [0.1]})
    assert study.resolve().record()["selection"] == "validation"
