"""Validation sets of the tasks that come with Gridscape."""

from typing import Any

import numpy as np
import pytest
from image_sets import named

import gridscape as gs
from gridscape.base.task import Task
from gridscape.errors import StudyFileError, UsageError
from gridscape.tasks import images, sequences


def counts(labels: Any) -> np.ndarray:
    return np.bincount(np.asarray(labels), minlength=10)


@pytest.mark.parametrize("layout", ["rows", "flat", "image"])
def test_digits_give_a_share_of_every_class(layout: str) -> None:
    make = named(f"digits-{layout}")
    whole, task = make(), make(validation=0.1)
    assert whole.validation is None
    assert task.validation is not None
    tenth = counts(whole.train.targets) / 10
    assert np.abs(counts(task.validation.targets) - tenth).max() <= 0.5  # whole images
    assert counts(task.train.targets).sum() == 1347 - task.validation.n_examples
    assert (task.test.inputs == whole.test.inputs).all()
    assert task.fingerprint != whole.fingerprint


def test_training_and_validation_images_are_those_of_the_whole() -> None:
    whole, task = images.digits_flat(), images.digits_flat(validation=0.25)
    both = np.concatenate([task.train.inputs, task.validation.inputs])
    assert sorted(map(bytes, both)) == sorted(map(bytes, whole.train.inputs))


def test_the_seed_draws_others() -> None:
    one, other = (images.digits_flat(validation=0.1, validation_seed=s) for s in (0, 1))
    assert one.fingerprint != other.fingerprint
    assert images.digits_flat(validation=0.1).fingerprint == one.fingerprint


def test_a_subset_is_drawn_from_what_is_left() -> None:
    tasks = [
        images.digits_flat(validation=0.1, n_train=n, subset="balanced", center=True)
        for n in (100, 200)
    ]
    assert [task.train.n_examples for task in tasks] == [100, 200]
    assert (tasks[0].validation.inputs == tasks[1].validation.inputs).all()
    held = set(map(bytes, tasks[0].validation.inputs))
    assert held.isdisjoint(map(bytes, tasks[1].train.inputs))
    rest = images.digits_flat(validation=0.1).train.inputs / 16
    shown = np.asarray(tasks[0].prepare(np.zeros((1, 64), np.uint8)))
    np.testing.assert_allclose(shown[0], -rest.mean(axis=0), atol=1e-6)  # float32


@pytest.mark.parametrize("share", [0, 1, -1, 2.0, True, "0.1", 1e-4, 0.9999])
def test_other_shares_are_one_line(share: Any) -> None:
    with pytest.raises(UsageError, match=r"^validation: ") as caught:
        images.digits_rows(validation=share)
    assert len(str(caught.value)) <= 300


def test_a_share_in_a_study_is_an_option_of_the_task() -> None:
    study = gs.Study(
        task="digits-rows",
        task_options={"validation": 0.1},
        model="lstm",
        axes={"hidden_size": [2]},
    )
    assert study.resolve().selection == "validation"
    with pytest.raises((StudyFileError, UsageError), match="validation: out of range"):
        study.override(task_options={"validation": 1.5}).resolve()


def test_a_validation_set_is_not_divided_again() -> None:
    inputs = np.zeros((40, 4, 4, 1), np.uint8)
    pair = inputs, np.arange(40) % 4
    task = Task.from_arrays(pair, pair, validation=pair)
    with pytest.raises(UsageError, match="the task has a validation set already"):
        images.ImageOptions(validation=0.1).applied_to(task)


@pytest.mark.parametrize(
    ("make", "option"),
    [
        (sequences.recall, "n_validation"),
        (sequences.binary_addition, "n_validation_per_length"),
    ],
)
def test_sequences_draw_another_set_of_the_same_kind(make: Any, option: str) -> None:
    task, without = make(), make(**{option: 0})
    assert without.validation is None
    assert (task.validation.targets.length == task.test.targets.length).all()
    assert (task.validation.inputs != task.test.inputs).any(axis=1).mean() > 0.5
    for name in ("test", "train_examples"):  # whose numbers it takes none of
        one, other = getattr(task, name), getattr(without, name)
        assert (one.inputs == other.inputs).all()
    assert task.fingerprint != without.fingerprint
    other = make(test_seed=1).validation
    assert (other.inputs != task.validation.inputs).any()
    with pytest.raises(UsageError, match=option):
        make(**{option: -1})
