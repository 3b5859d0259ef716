"""Subsets of the training images, and centered inputs."""

import pickle
from typing import Any

import jax
import numpy as np
import pytest
from image_sets import IMAGE_TASKS, named, needs_mnist

from gridscape.base.task import Task
from gridscape.errors import StudyFileError, UsageError
from gridscape.study.study import Study
from gridscape.tasks import images
from gridscape.tasks._image_options import ImageOptions

# Subsets of the training images


@pytest.fixture(scope="module")
def numbered() -> Task:
    """Examples that are their own positions, of 3 classes with 6, 12 and 24 examples."""
    labels = np.random.RandomState(1).permutation(np.repeat([0, 1, 2], [6, 12, 24]))
    positions = np.arange(42, dtype=np.float32)[:, None]
    return Task.from_arrays((positions, labels), (positions[:9], labels[:9]), n_outputs=3)


def kept(task: Task, **options: Any) -> np.ndarray:
    """The positions of the training examples that the options keep; each has its own label."""
    inputs, targets = ImageOptions(**options).applied_to(task).train_examples
    positions = inputs[:, 0].astype(int)
    np.testing.assert_array_equal(targets, task.train_examples.targets[positions])
    return positions


@pytest.mark.parametrize("subset", ["natural", "balanced"])
@pytest.mark.parametrize("n_train", [3, 18])
def test_a_subset_is_drawn_without_replacement_in_order(
    numbered: Task, subset: str, n_train: int
) -> None:
    positions = kept(numbered, n_train=n_train, subset=subset)
    assert len(positions) == n_train
    assert (np.diff(positions) > 0).all()
    counts = np.bincount(numbered.train_examples.targets[positions], minlength=3)
    assert (counts == n_train // 3).all() == (subset == "balanced")


@pytest.mark.parametrize("subset", ["natural", "balanced"])
def test_a_smaller_subset_is_part_of_a_larger_one(numbered: Task, subset: str) -> None:
    small, large, other = (
        set(kept(numbered, n_train=n, subset=subset, subset_seed=seed))
        for n, seed in ((6, 7), (15, 7), (6, 8))
    )
    assert small < large
    assert small != other


@pytest.mark.parametrize("subset", ["natural", "balanced"])
def test_every_example_is_drawn_equally_often(numbered: Task, subset: str) -> None:
    n_seeds, targets = 600, numbered.train_examples.targets
    times = np.zeros(42)
    for seed in range(n_seeds):
        times[kept(numbered, n_train=12, subset=subset, subset_seed=seed)] += 1
    size = np.bincount(targets)[targets]
    share = np.full(42, 12 / 42) if subset == "natural" else 4 / size
    deviation = (times - n_seeds * share) / np.sqrt(n_seeds * share * (1 - share))
    assert np.abs(deviation).max() < 4.5
    assert np.abs(deviation).max() > 1  # the seeds differ


def test_without_a_number_all_are_kept_as_far_as_balance_allows(numbered: Task) -> None:
    assert ImageOptions().applied_to(numbered) is numbered
    assert ImageOptions(n_train=42).applied_to(numbered) is numbered
    positions = kept(numbered, subset="balanced")
    assert np.bincount(numbered.train_examples.targets[positions]).tolist() == [6, 6, 6]


def test_a_subset_has_its_own_fingerprint_and_the_same_test_set(numbered: Task) -> None:
    options = [{}, {"n_train": 6}, {"n_train": 9}, {"n_train": 6, "subset_seed": 1}]
    options += [{"n_train": 6, "subset": "balanced"}, {"n_train": 6, "center": True}]
    tasks = [ImageOptions(**chosen).applied_to(numbered) for chosen in options]
    assert len({task.fingerprint for task in tasks}) == len(options)
    assert all(task.test is numbered.test for task in tasks)
    again = ImageOptions(n_train=6).applied_to(numbered)
    assert again.fingerprint == tasks[1].fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"n_train": 43},
            r"n_train: larger than the training set \(expected at most 42, found 43\)",
        ),
        ({"n_train": 0}, r"n_train: out of range \(expected a whole number from 1, found 0\)"),
        ({"n_train": True}, r"n_train: out of range .*found True"),
        ({"n_train": "10"}, r"n_train: out of range .*found '10'"),
        ({"n_train": 100.0}, r"n_train: out of range .*found 100\.0"),
        (
            {"n_train": 10, "subset": "balanced"},
            r"n_train: not the same number of every class \(expected a multiple of the 3 classes, "
            r"found 10\)",
        ),
        (
            {"n_train": 21, "subset": "balanced"},
            r"n_train: more of each class than the smallest class has \(expected at most 18, 6 of "
            r"each class, found 21\)",
        ),
        ({"subset": "ballanced"}, r"unknown subset 'ballanced'; did you mean 'balanced'\?"),
        ({"subset": 3}, r"unknown subset '3'"),
        ({"subset_seed": -1}, r"subset_seed: out of range \(expected .* from 0 to 4294967295, "),
        ({"subset_seed": 2**32}, r"subset_seed: out of range"),
        ({"center": "yes"}, r"center: wrong type \(expected true or false, found 'yes'\)"),
    ],
)
def test_bad_option_is_told(numbered: Task, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}") as caught:
        ImageOptions(**options).applied_to(numbered)
    assert "\n" not in str(caught.value)


def test_a_class_without_examples_cannot_be_balanced() -> None:
    pair = ([[0.0], [1.0]], [0, 0])
    lacking = Task.from_arrays(pair, pair, n_outputs=2)
    with pytest.raises(UsageError, match="more of each class than the smallest class has"):
        ImageOptions(subset="balanced").applied_to(lacking)


@pytest.mark.parametrize("name", IMAGE_TASKS)
def test_options_are_looked_at_before_any_data(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*args: object, **options: object) -> None:
        raise AssertionError("data was read")

    for source in ("fetch.load", "_digits", "located"):
        monkeypatch.setattr(f"gridscape.tasks.images.{source}", read)
    path = {"path": "somewhere"} if name == "image-folder" else {}
    with pytest.raises(UsageError, match="n_train: out of range"):
        named(name)(n_train=-5, **path)
    with pytest.raises(AssertionError, match="data was read"):
        named(name)(n_train=5, **path)


def test_a_study_declares_the_subset() -> None:
    def study(**options: Any) -> Study:
        axes = {"learning_rate": [0.01]}
        return Study(
            task="digits-rows", task_options=options, model="lstm", axes=axes, batch_size=20
        )

    small = study(n_train=20, subset="balanced", center=True).resolve().task
    assert np.bincount(small.train_examples.targets).tolist() == [2] * 10
    with pytest.raises(StudyFileError, match=r"unknown task option 'n_tran'; did you mean"):
        study(n_tran=20).resolve()
    with pytest.raises(UsageError, match=r"expected at most 1290, 129 of each class, found 1300"):
        study(n_train=1300, subset="balanced").resolve()


@needs_mnist
def test_mnist_subsets_of_the_published_sizes() -> None:
    whole = images.mnist_flat("full")
    for n_train in (100, 10_000):
        balanced, natural = (
            ImageOptions(n_train=n_train, subset=subset).applied_to(whole).train_examples
            for subset in ("balanced", "natural")
        )
        assert np.bincount(balanced.targets).tolist() == [n_train // 10] * 10
        counts = np.bincount(natural.targets, minlength=10)
        assert counts.sum() == n_train
        assert counts.std() > 0
    with pytest.raises(UsageError, match=r"expected at most 54210, 5421 of each class"):
        ImageOptions(n_train=60_000, subset="balanced").applied_to(whole)


# Centered inputs


def test_centered_inputs_have_mean_zero_over_the_training_images() -> None:
    plain, centered = images.digits_image(), images.digits_image(center=True)
    fractions = np.asarray(plain.train_examples.inputs, np.float64) / 16
    inputs = np.asarray(centered.prepare(plain.train_examples.inputs))
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs.mean(axis=0, dtype=np.float64), 0, atol=1e-7)
    np.testing.assert_allclose(inputs, fractions - fractions.mean(axis=0), atol=1e-7)
    test = np.asarray(jax.jit(centered.prepare)(plain.test.inputs[:5]))
    np.testing.assert_allclose(test, plain.test.inputs[:5] / 16 - fractions.mean(axis=0), atol=1e-7)


def test_the_mean_is_of_all_training_images_whatever_is_kept() -> None:
    whole, part = (images.digits_flat(center=True, n_train=n) for n in (None, 10))
    for task in (whole, part):
        assert task.input_shape == (64,)
    inputs = whole.test.inputs[:7]
    np.testing.assert_array_equal(whole.prepare(inputs), part.prepare(inputs))


def test_a_centered_task_survives_the_way_to_another_process() -> None:
    task = images.digits_flat(center=True)
    prepare = pickle.loads(pickle.dumps(task.prepare))
    np.testing.assert_array_equal(prepare(task.test.inputs), task.prepare(task.test.inputs))
