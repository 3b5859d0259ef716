"""The embedded digits, and the layouts of named image tasks."""

import gzip
import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from image_sets import IMAGE_TASKS, digest, named, needs_cifar, needs_mnist

from gridscape.errors import DataCorruptError, DataMissingError
from gridscape.tasks import _digits, images

# The embedded digits


def test_digits_split_never_changes() -> None:
    task = images.digits_rows()
    parts = (task.train.inputs, task.train.targets, task.test.inputs, task.test.targets)
    assert [(part.dtype.name, part.shape) for part in parts] == [
        ("uint8", (1347, 8, 8)),
        ("int32", (1347,)),
        ("uint8", (450, 8, 8)),
        ("int32", (450,)),
    ]
    assert [digest(part) for part in parts] == [
        "a9d5faeac7518d3b",
        "21a945f9c95d8481",
        "ae9e4b8615fb5b58",
        "f368f62c0867c563",
    ]
    assert task.fingerprint == images.digits_rows().fingerprint


def test_digits_are_scikit_learns_each_once() -> None:
    from sklearn.datasets import load_digits

    task, source = images.digits_flat(), load_digits()
    mine = np.concatenate([np.c_[split.inputs, split.targets] for split in (task.train, task.test)])
    theirs = np.c_[source.data, source.target]
    assert sorted(map(tuple, mine.tolist())) == sorted(map(tuple, theirs.tolist()))


def test_reading_digits_imports_no_scikit_learn() -> None:
    script = "import sys; from gridscape.tasks.images import digits_rows; digits_rows()\n"
    script += (
        "print([name for name in ('sklearn', 'pandas', 'scipy.stats') if name in sys.modules])"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


def _scikit_learn_with(file: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "sklearn"
    (home / "datasets" / "data").mkdir(parents=True)
    (home / "__init__.py").touch()
    if file is not None:
        (home / _digits.FILE).write_bytes(file)
    monkeypatch.setattr(
        _digits, "find_spec", lambda _: SimpleNamespace(origin=home / "__init__.py")
    )


@pytest.mark.parametrize(
    ("file", "error", "said"),
    [
        (None, DataMissingError, "digits.csv.gz"),
        (b"no archive", DataCorruptError, "digits.csv.gz"),
        (gzip.compress(b"1,2,3\n" * 80)[:-20], DataCorruptError, "digits.csv.gz"),
        (gzip.compress(b"1,2,300\n"), DataCorruptError, "digits.csv.gz"),
        (gzip.compress(b"1,2,3\n")[:10] + b"\xff" * 20, DataCorruptError, "digits.csv.gz"),
        (gzip.compress(b"1,2\n3,4\n"), DataCorruptError, "expected 1797 x 65, found 2 x 2"),
    ],
    ids=["missing", "no archive", "cut off", "no byte", "no code", "of another size"],
)
def test_a_damaged_file_of_digits_is_named(file, error, said, tmp_path, monkeypatch) -> None:
    _scikit_learn_with(file, tmp_path, monkeypatch)
    with pytest.raises(error, match=said) as raised:
        images.digits_rows()
    assert "install scikit-learn again" in str(raised.value)


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_digits, "find_spec", lambda _: None)
    with pytest.raises(DataMissingError, match="no scikit-learn"):
        images.digits_rows()


def test_digits_test_is_balanced_and_train_is_mixed() -> None:
    task = images.digits_rows()
    assert np.bincount(task.test.targets).tolist() == [45] * 10
    assert np.bincount(task.train.targets).tolist() == [
        133, 137, 132, 138, 136, 137, 136, 134, 129, 135,
    ]  # fmt: skip
    assert np.bincount(task.train.targets[:450], minlength=10).min() > 30


def test_digits_are_prepared_by_sixteenths() -> None:
    task = images.digits_image()
    prepared = np.asarray(task.prepare(task.test.inputs))
    assert prepared.dtype == np.float32
    np.testing.assert_array_equal(prepared * 16, task.test.inputs)
    assert (prepared.min(), prepared.max()) == (0, 1)


# Layouts and names


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("digits", (8, 8)),
        ("digits-rows", (8, 8)),
        ("digits-flat", (64,)),
        ("digits-image", (8, 8, 1)),
        pytest.param("mnist-rows", (28, 28), marks=needs_mnist),
        pytest.param("mnist-flat", (784,), marks=needs_mnist),
        pytest.param("mnist-image", (28, 28, 1), marks=needs_mnist),
        pytest.param("cifar10-gray28", (28, 28, 1), marks=needs_cifar),
        pytest.param("cifar10-gray28-rows", (28, 28), marks=needs_cifar),
        pytest.param("cifar10-gray28-flat", (784,), marks=needs_cifar),
    ],
)
def test_named_task_has_its_layout(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    task = named(name)(data_dir=tmp_path)  # every factory takes data_dir
    assert task.name == ("digits-rows" if name == "digits" else name)
    assert (task.input_shape, task.n_outputs) == (shape, 10)
    for split in (task.train, task.test):
        assert split.inputs.shape == (len(split.targets), *shape)
        assert split.inputs.dtype == np.uint8
        assert split.targets.dtype == np.int32
    assert task.prepare(task.test.inputs[:3]).shape == (3, *shape)


def test_layouts_hold_the_same_pixels_under_other_fingerprints() -> None:
    rows, flat, image = images.digits_rows(), images.digits_flat(), images.digits_image()
    np.testing.assert_array_equal(rows.train.inputs.reshape(-1, 64), flat.train.inputs)
    np.testing.assert_array_equal(rows.train.inputs[..., None], image.train.inputs)
    assert len({rows.fingerprint, flat.fingerprint, image.fingerprint}) == 3


@pytest.mark.parametrize("name", IMAGE_TASKS)
def test_every_image_task_takes_the_same_options(name: str) -> None:
    options = inspect.signature(named(name)).parameters
    defaults = {n: options[n].default for n in ("n_train", "subset", "subset_seed", "center")}
    assert defaults == {"n_train": None, "subset": "natural", "subset_seed": 0, "center": False}
    assert "data_dir" in options
