"""Image tasks: the right pixels under the right labels, and one clear error for bad files."""

import doctest
import gzip
import hashlib
import importlib
import inspect
import io
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from gridscape.base.task import Task
from gridscape.errors import (
    DataCorruptError,
    DataError,
    DataMissingError,
    StudyFileError,
    UnknownNameError,
    UsageError,
)
from gridscape.study.study import Study
from gridscape.tasks import NAMES, _idx, fetch, images
from gridscape.tasks._image_options import ImageOptions


def there(name: str) -> bool:
    return any(s.found_at for s in fetch.status() if s.name == name)


needs_mnist = pytest.mark.skipif(
    not there("mnist"), reason="the MNIST files are not on this machine"
)
needs_cifar = pytest.mark.skipif(
    not there("cifar10-gray28"), reason="cifar10-gray28.zip is not on this machine"
)


def named(name: str) -> Callable[..., Task]:
    module, function = NAMES[name].split(":")
    return getattr(importlib.import_module(module), function)


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()[:16]


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


IMAGE_TASKS = [name for name in NAMES if "images" in NAMES[name]]


@pytest.mark.parametrize("name", IMAGE_TASKS)
def test_every_image_task_takes_the_same_options(name: str) -> None:
    options = inspect.signature(named(name)).parameters
    defaults = {n: options[n].default for n in ("n_train", "subset", "subset_seed", "center")}
    assert defaults == {"n_train": None, "subset": "natural", "subset_seed": 0, "center": False}
    assert "data_dir" in options


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


# MNIST


@needs_mnist
def test_mnist_splits() -> None:
    tf1, full = images.mnist_rows(), images.mnist_rows("full")
    assert tf1.validation is not None
    assert full.validation is None
    sizes = [len(split.targets) for split in (tf1.validation, tf1.train, tf1.test, full.train)]
    assert sizes == [5_000, 55_000, 10_000, 60_000]
    for ours, whole in zip((*tf1.validation, *tf1.train), (*full.train, *full.train), strict=True):
        start = 0 if len(ours) == 5_000 else 5_000
        np.testing.assert_array_equal(ours, whole[start : start + len(ours)])
    assert tf1.fingerprint != full.fingerprint
    assert np.bincount(full.train.targets).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip


@needs_mnist
def test_mnist_test_shares_are_the_published_ones() -> None:
    counts = np.bincount(images.mnist_flat().test.targets)
    published = [0.0980, 0.1135, 0.1032, 0.1010, 0.0982, 0.0892, 0.0958, 0.1028, 0.0974, 0.1009]
    np.testing.assert_allclose(counts / 10_000, published, atol=1e-12)


@needs_mnist
def test_mnist_pixels() -> None:
    task = images.mnist_image("full")
    # The published mean and standard deviation of the training pixels.
    pixels = task.train.inputs.astype(np.float32) / 255
    assert pixels.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)
    np.testing.assert_allclose(task.prepare(task.train.inputs[:2]), pixels[:2], rtol=1e-6)
    assert task.train.targets[:5].tolist() == [5, 0, 4, 1, 9]


def test_unknown_split_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown split 'ful'; did you mean 'full'\?"):
        images.mnist_rows("ful")


# MNIST's format, on made-up files


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


Change = Callable[[bytes], bytes]


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Task]:
    """Builds the MNIST task from made-up files, each changed as told before its checksum is set."""

    def build(**changes: Change) -> Task:
        images_, labels = np.arange(12 * 6, dtype=np.uint8).reshape(12, 2, 3), np.arange(12) % 10
        contents = {}
        for part in ("train", "t10k"):
            contents[f"{part}-images-idx3-ubyte.gz"] = idx(images_)
            contents[f"{part}-labels-idx1-ubyte.gz"] = idx(labels)
        files = []
        for name, content in contents.items():
            kind = "_".join(name.split("-")[:2])
            packed = changes.get(f"{kind}_gz", bytes)(
                gzip.compress(changes.get(kind, bytes)(content))
            )
            (tmp_path / name).write_bytes(packed)
            files.append(fetch.DataFile(name, hashlib.sha256(packed).hexdigest(), len(packed)))
        monkeypatch.setitem(
            fetch.DATA_SETS, "mnist", fetch.DataSet("mnist", tuple(files), (), "made up")
        )
        return images.mnist_image("full", data_dir=tmp_path)

    return build


def test_idx_files_are_read_in_order(made_up: Callable[..., Task]) -> None:
    task = made_up()
    assert task.input_shape == (2, 3, 1)
    assert task.train.inputs[1, :, :, 0].tolist() == [[6, 7, 8], [9, 10, 11]]
    assert task.train.targets.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_images": lambda b: b"\1" + b[1:]},
            r"train-images\S+: not an IDX file .* 3 dim.*expected the first bytes 00 00 08 03, "
            "found 01 00 08 03",
        ),
        (
            {"t10k_labels": lambda b: idx(np.zeros((4, 3)))},
            r"t10k-labels\S+: not an IDX file .* 1 dim.*08 01, found 00 00 08 02",
        ),
        ({"t10k_labels": lambda b: b""}, r"t10k-labels.* found an empty file"),
        ({"train_labels": lambda b: b[:6]}, r"header is cut off \(expected 8 bytes, found 6 bytes"),
        (
            {"train_images": lambda b: b[:-1]},
            r"not as long as its header says \(expected 88 bytes for the shape \(12, 2, 3\), "
            "found 87 bytes",
        ),
        ({"train_images": lambda b: b + b"!"}, r"expected 88 bytes .* found 89 bytes"),
        (
            {"train_labels": lambda b: idx(np.arange(11))},
            r"train-images\S+ and train-labels\S+: images and labels differ .*12 images and 11 lab",
        ),
        (
            {"t10k_labels": lambda b: b[:-1] + bytes([10])},
            r"t10k-labels\S+: the label of example 11 is out of range "
            r"\(expected 0 to 9, found 10\)",
        ),
        ({"train_images_gz": lambda b: b[:-9]}, r"train-images\S+: not a whole gzip file"),
        ({"train_images_gz": lambda b: b"plain" + b}, r"train-images\S+: not a whole gzip file"),
        (
            {"train_images_gz": lambda b: b[:20] + b"\xff\xff\xff" + b[23:]},
            r"train-images\S+: not a whole gzip file",
        ),
    ],
)
def test_bad_idx_file_is_told(
    made_up: Callable[..., Task], changes: dict[str, Change], message: str
) -> None:
    with pytest.raises(DataCorruptError, match=message):
        made_up(**changes)


def test_empty_idx_files_are_told(made_up: Callable[..., Task]) -> None:
    with pytest.raises(DataCorruptError, match="found 0 images and 0 labels"):
        made_up(
            train_images=lambda b: idx(np.zeros((0, 2, 3))), train_labels=lambda b: idx(np.zeros(0))
        )


# CIFAR-10 in color, on made-up archives


def python2(value: Any) -> bytes:
    """A value as Python 2 pickled it (protocol 2): texts are strings of bytes."""

    def all_of(values: Any) -> bytes:
        return b"".join(map(python2, values))

    match value:
        case bytes():
            return b"T" + struct.pack("<i", len(value)) + value
        case int():
            return b"J" + struct.pack("<i", value)
        case list():
            return b"](" + all_of(value) + b"e"
        case dict():
            return b"}(" + all_of(part for item in value.items() for part in item) + b"u"
    order, kind = value.dtype.str[:1].encode(), value.dtype.str[1:].encode()
    dtype = b"cnumpy\ndtype\n(" + all_of([kind, 0, 1])
    dtype += b"tR(" + all_of([3, order]) + b"NNN" + all_of([-1, -1, 0]) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + python2(0)
    array += b"t" + python2(b"b") + b"tR(" + python2(1) + b"(" + all_of(value.shape) + b"t"
    return array + dtype + b"\x89" + python2(value.tobytes()) + b"tb"


def pickled(value: Any) -> bytes:
    return b"\x80\x02" + python2(value) + b"."


def binary_batch(pixels: np.ndarray, labels: list[int]) -> bytes:
    return b"".join(bytes([y]) + x.tobytes() for x, y in zip(pixels, labels, strict=True))


def python_batch(pixels: np.ndarray, labels: list[int]) -> bytes:
    return pickled({b"data": pixels, b"labels": labels, b"batch_label": b"a batch"})


BATCHES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
ARCHIVES = {
    "cifar-10-binary.tar.gz": ("cifar-10-batches-bin", ".bin", binary_batch),
    "cifar-10-python.tar.gz": ("cifar-10-batches-py", "", python_batch),
}


def batch_arrays(batch: str) -> tuple[np.ndarray, list[int]]:
    """Two images a training batch, three in the test: their planes and labels."""
    number, n_images = BATCHES.index(batch), 3 if batch == "test_batch" else 2
    pixels = np.random.RandomState(number).randint(0, 256, (n_images, 3072)).astype(np.uint8)
    return pixels, [(3 * number + example) % 10 for example in range(n_images)]


def cifar_archive(name: str, **changes: Callable[[bytes], bytes | None]) -> bytes:
    """An archive of that name; each batch is changed as told, and left out where it is None."""
    folder, suffix, pack = ARCHIVES[name]
    members = {f"{folder}/readme.html": b"<html>"}
    for batch in BATCHES:
        content = changes.get(batch, bytes)(pack(*batch_arrays(batch)))
        members |= {} if content is None else {f"{folder}/{batch}{suffix}": content}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        top = tarfile.TarInfo(folder)
        top.type = tarfile.DIRTYPE
        archive.addfile(top)
        for path, content in members.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Task]:
    """Builds the task from one made-up archive, whose checksum is pinned."""
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("GRIDSCAPE_DATA", raising=False)

    def build(
        name: str, whole: Callable[[bytes], bytes] = bytes, layout: str = "image", **changes: Any
    ) -> Task:
        contents = {n: whole(cifar_archive(n, **changes)) for n in ARCHIVES}
        binary, python = (
            fetch.DataFile(n, hashlib.sha256(c).hexdigest(), len(c)) for n, c in contents.items()
        )
        made_up = fetch.DataSet("cifar10", (binary,), (), "made up", instead=(python,))
        monkeypatch.setitem(fetch.DATA_SETS, "cifar10", made_up)
        folder = tmp_path / name.split(".")[0]
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(contents[name])
        return images.cifar10(layout, data_dir=folder)

    return build


@pytest.mark.parametrize("name", ARCHIVES)
def test_cifar10_pixels_stand_in_their_places(cifar: Callable[..., Task], name: str) -> None:
    task = cifar(name)
    assert (task.name, task.input_shape, task.n_outputs) == ("cifar10", (32, 32, 3), 10)
    assert (task.train_examples.n_examples, task.test.n_examples) == (10, 3)
    for split, batches in ((task.train_examples, BATCHES[:5]), (task.test, BATCHES[5:])):
        planes = np.concatenate([batch_arrays(batch)[0] for batch in batches])
        assert split.inputs.dtype == np.uint8
        assert split.inputs.flags.c_contiguous
        assert split.targets.dtype == np.int32
        assert split.targets.tolist() == [y for batch in batches for y in batch_arrays(batch)[1]]
        for example, row, column, channel in np.random.RandomState(0).randint(
            0, (len(planes), 32, 32, 3), (200, 4)
        ):
            expected = planes[example, 1024 * channel + 32 * row + column]
            assert split.inputs[example, row, column, channel] == expected


def test_both_archives_of_cifar10_are_one_task(cifar: Callable[..., Task]) -> None:
    binary, python = (cifar(name) for name in ARCHIVES)
    assert binary.fingerprint == python.fingerprint


@pytest.mark.parametrize(("layout", "shape"), [("rows", (32, 96)), ("flat", (3072,))])
def test_cifar10_layouts(
    cifar: Callable[..., Task], tmp_path: Path, layout: str, shape: tuple[int, ...]
) -> None:
    image, task = (cifar("cifar-10-binary.tar.gz", layout=chosen) for chosen in ("image", layout))
    assert (task.name, task.input_shape) == (f"cifar10-{layout}", shape)
    assert task.fingerprint != image.fingerprint
    np.testing.assert_array_equal(task.test.inputs, image.test.inputs.reshape(3, *shape))
    by_name = named(f"cifar10-{layout}")(data_dir=tmp_path / "cifar-10-binary")
    assert (by_name.name, by_name.fingerprint) == (task.name, task.fingerprint)


def test_missing_cifar10_names_both_archives(cifar: Callable[..., Task], tmp_path: Path) -> None:
    cifar("cifar-10-binary.tar.gz")
    with pytest.raises(
        DataMissingError, match=r"expected cifar-10-binary\.tar\.gz, or cifar-10-python\.tar\.gz in"
    ):
        images.cifar10(data_dir=tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ARCHIVES)
def test_altered_archive_of_cifar10_is_refused(
    cifar: Callable[..., Task], name: str, tmp_path: Path
) -> None:
    cifar(name)
    path = tmp_path / name.split(".")[0] / name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataCorruptError, match=f"{name}: the file is truncated or altered"):
        images.cifar10(data_dir=path.parent)


PIXELS, LABELS = batch_arrays("data_batch_2")
NO_GZIP, NO_TAR = "not a whole gzip file", "not a whole tar archive"


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize(
    ("whole", "message"),
    [
        (lambda b: b[: len(b) // 2], NO_GZIP),
        (lambda b: b[:-9], NO_GZIP),
        (lambda b: b"", NO_TAR),
        (lambda b: b"plain" + b, NO_GZIP),
        (lambda b: b[:200] + bytes(99) + b[299:], NO_GZIP),
        (lambda b: gzip.compress(b"no archive"), NO_TAR),
    ],
    ids=["half", "torn", "empty", "not gzip", "altered", "not tar"],
)
def test_damaged_archive_of_cifar10_is_told(
    cifar: Callable[..., Task], name: str, whole: Callable[[bytes], bytes], message: str
) -> None:
    with pytest.raises(DataCorruptError, match=f"^{name}: {message} "):
        cifar(name, whole)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", ARCHIVES)
def test_missing_batch_of_cifar10_is_told(
    cifar: Callable[..., Task], name: str, batch: str
) -> None:
    with pytest.raises(DataCorruptError, match=rf"^{name}: {batch}\S*: missing from the archive"):
        cifar(name, **{batch: lambda content: None})


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "cifar-10-binary.tar.gz",
            lambda b: b[:-1],
            r"\.bin: not a whole number of records \(expected a multiple of 3073 bytes, found 6145",
        ),
        (
            "cifar-10-binary.tar.gz",
            lambda b: b"",
            r"\.bin: images and labels .*found 0 images and 0 lab",
        ),
        (
            "cifar-10-binary.tar.gz",
            lambda b: b[:3073] + bytes([10]) + b[3074:],
            r"\.bin: the label of example 1 is out of range \(expected 0 to 9, found 10\)",
        ),
        (
            "cifar-10-python.tar.gz",
            lambda b: python_batch(PIXELS, [3, -1]),
            r": the label of example 1 is out of range \(expected 0 to 9, found -1\)",
        ),
        (
            "cifar-10-python.tar.gz",
            lambda b: python_batch(PIXELS, [3]),
            r": images and labels differ .*found 2 images and 1 labels",
        ),
        (
            "cifar-10-python.tar.gz",
            lambda b: python_batch(PIXELS[:, :-1], LABELS),
            r": not a batch of images \(expected bytes of shape \(N, 3072\) and whole numbers of "
            r"shape \(N,\), found uint8 of shape \(2, 3071\) and int64 of shape \(2,\)\)",
        ),
        (
            "cifar-10-python.tar.gz",
            lambda b: python_batch(PIXELS.astype("<i2"), LABELS),
            r": not a batch of images .* found int16 of shape",
        ),
        (
            "cifar-10-python.tar.gz",
            lambda b: pickled({b"data": [1, 2], b"labels": [[1]]}),
            r": not a batch of images .* found list and int64 of shape \(1, 1\)",
        ),
        (
            "cifar-10-python.tar.gz",
            lambda b: pickled({b"data": PIXELS, b"labels": [b"cat", b"dog"]}),
            r": not a batch of images .* and \|S3 of shape \(2,\)",
        ),
        (
            "cifar-10-python.tar.gz",
            lambda b: pickled({b"labels": LABELS}),
            r": not a pickled batch \(found KeyError: b'data'\)",
        ),
        (
            "cifar-10-python.tar.gz",
            lambda b: pickled([1]),
            r": not a pickled batch \(found TypeErr",
        ),
        ("cifar-10-python.tar.gz", lambda b: b[:-40], r": not a pickled batch \(found "),
        ("cifar-10-python.tar.gz", lambda b: b"", r": not a pickled batch \(found EOFError"),
    ],
)
def test_bad_batch_of_cifar10_is_told(
    cifar: Callable[..., Task], name: str, change: Change, message: str
) -> None:
    with pytest.raises(DataCorruptError, match=f"^{name}: data_batch_2{message}") as caught:
        cifar(name, data_batch_2=change)
    assert "\n" not in str(caught.value)


class Attack:
    """Makes a folder where it is unpickled without care."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_cifar10_runs_nothing(
    cifar: Callable[..., Task], tmp_path: Path, protocol: int
) -> None:
    content = pickle.dumps({"data": Attack(tmp_path / "run")}, protocol=protocol)
    with pytest.raises(
        DataCorruptError, match=r"UnpicklingError: \w+\.mkdir is no part of an array"
    ):
        cifar("cifar-10-python.tar.gz", test_batch=lambda _: content)
    assert not (tmp_path / "run").exists()
    pickle.loads(content)  # what an ordinary reader does
    assert (tmp_path / "run").exists()


# CIFAR-10 in gray


@needs_cifar
def test_cifar10_gray28() -> None:
    task = images.cifar10_gray28()
    assert np.bincount(task.train.targets).tolist() == [1000] * 10
    assert np.bincount(task.test.targets).tolist() == [100] * 10
    assert task.train.targets[:20].tolist() == [*range(10), *range(10)]
    flat = images.cifar10_gray28("flat")
    assert flat.name == "cifar10-gray28-flat"
    np.testing.assert_array_equal(flat.test.inputs, task.test.inputs.reshape(-1, 784))


@needs_cifar
def test_cifar10_gray28_equals_its_folder(tmp_path: Path) -> None:
    folder = next(s.found_at for s in fetch.status() if s.name == "cifar10-gray28")
    assert folder is not None
    with zipfile.ZipFile(folder / "cifar10-gray28.zip") as archive:
        chosen = [n for n in archive.namelist() if n.endswith(("00000.png", "00001.png"))]
        archive.extractall(tmp_path, chosen)
    task, whole = images.image_folder(tmp_path), images.cifar10_gray28()
    for part in ("train", "test"):
        for mine, theirs in zip(getattr(task, part), getattr(whole, part), strict=True):
            np.testing.assert_array_equal(mine, theirs[:20])


# Folders of images


def save(path: Path, value: int = 0, size: tuple[int, int] = (3, 2), mode: str = "L") -> None:
    """One image; size is (width, height), as Pillow has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    color: object = (value, 2 * value, 3 * value) if mode == "RGB" else value
    Image.new(mode, size, color).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Classes 2 and 10 with two and three training images and one test image each."""
    root = tmp_path / "pictures"
    for label, n_images in (("2", 2), ("10", 3)):
        for number in range(n_images):
            save(root / "Train" / label / f"{number}.png", value=10 * int(label) + number)
        save(root / "test" / label / "0.png", value=int(label))
    return root


def zipped(folder: Path, top: str = "", directories: bool = True) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            if directories or file.is_file():
                archive.write(file, top + file.relative_to(folder).as_posix())
    return path


def test_folder_classes_go_by_number_and_alternate(folder: Path) -> None:
    task = images.image_folder(folder)
    assert (task.name, task.input_shape, task.n_outputs) == ("image-folder", (2, 3, 1), 2)
    assert task.train.targets.tolist() == [0, 1, 0, 1, 1]
    assert task.train.inputs[:, 0, 0, 0].tolist() == [20, 100, 21, 101, 102]
    assert task.test.inputs[:, 1, 2, 0].tolist() == [2, 10]
    assert (task.train.inputs == task.train.inputs[:, :1, :1]).all()


def test_folder_classes_go_by_name_unless_all_are_numbers(folder: Path) -> None:
    (folder / "Train" / "2").rename(folder / "Train" / "cat")
    (folder / "test" / "2").rename(folder / "test" / "cat")
    assert images.image_folder(folder).test.inputs[:, 0, 0, 0].tolist() == [10, 2]


@pytest.mark.parametrize(
    ("layout", "shape"), [("rows", (2, 9)), ("flat", (18,)), ("image", (2, 3, 3))]
)
def test_color_folder_in_every_layout(tmp_path: Path, layout: str, shape: tuple[int, ...]) -> None:
    for label in "ab":
        for part in ("TRAIN", "Test"):
            save(tmp_path / part / label / "x.jpeg.png", value=ord(label) - 90, mode="RGB")
    task = images.image_folder(tmp_path, layout)
    assert task.input_shape == shape
    assert task.test.inputs.reshape(2, -1)[1, :6].tolist() == [8, 16, 24, 8, 16, 24]


@pytest.mark.parametrize("top", ["", "CIFAR10/"])
@pytest.mark.parametrize("directories", [True, False])
def test_zip_equals_its_folder(folder: Path, top: str, directories: bool) -> None:
    task, packed = (
        images.image_folder(folder),
        images.image_folder(zipped(folder, top, directories)),
    )
    assert packed.fingerprint == task.fingerprint
    for mine, theirs in zip((*packed.train, *packed.test), (*task.train, *task.test), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_fingerprint_is_the_content_not_the_place(folder: Path, tmp_path: Path) -> None:
    before = images.image_folder(folder).fingerprint
    moved = folder.rename(tmp_path / "elsewhere")
    assert images.image_folder(tmp_path).fingerprint == before  # below a top folder
    assert images.image_folder(moved, "flat").fingerprint != before


@pytest.mark.parametrize("image", ["Train/2/1.png", "test/10/0.png"])
def test_fingerprint_changes_with_any_image(folder: Path, image: str) -> None:
    before = images.image_folder(folder).fingerprint
    save(folder / image, value=99)
    assert images.image_folder(folder).fingerprint != before


def test_fingerprint_changes_with_the_labels(folder: Path) -> None:
    before = images.image_folder(folder).fingerprint
    (folder / "Train" / "10" / "2.png").rename(folder / "Train" / "2" / "2.png")
    assert images.image_folder(folder).fingerprint != before


def test_folder_is_looked_for_like_a_data_set(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert images.image_folder(folder.name, data_dir=folder.parent).n_outputs == 2
    monkeypatch.setenv("GRIDSCAPE_DATA", str(folder.parent))
    assert images.image_folder(folder.name).n_outputs == 2


def test_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"gone: no such folder .* --task digits") as caught:
        images.image_folder("gone", data_dir=tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_unknown_layout_offers_the_nearest(folder: Path) -> None:
    for make in (
        images.cifar10,
        images.cifar10_gray28,
        lambda layout: images.image_folder(folder, layout),
    ):
        with pytest.raises(UnknownNameError, match=r"unknown layout 'row'; did you mean 'rows'\?"):
            make("row")


def test_hidden_files_are_passed_over(folder: Path) -> None:
    for litter in (".DS_Store", "Train/.DS_Store", "Train/2/.hidden", "__MACOSX/Train/2/._0.png"):
        (folder / litter).parent.mkdir(parents=True, exist_ok=True)
        (folder / litter).write_bytes(b"litter")
    (folder / "README.txt").write_text("beside the two splits anything may lie")
    for path in (folder, zipped(folder)):
        assert len(images.image_folder(path).train.targets) == 5


@pytest.mark.parametrize("mode", ["1", "LA", "P", "RGBA"])
def test_other_pixel_formats_become_gray_or_color(tmp_path: Path, mode: str) -> None:
    gray = Image.fromarray(np.array([[0, 255, 0], [255, 255, 0]], np.uint8))
    for part in ("Train", "Test"):
        for label in "ab":
            path = tmp_path / part / label / "x.png"
            path.parent.mkdir(parents=True)
            gray.convert(mode).save(path)
    pixels = images.image_folder(tmp_path).train.inputs[0]
    assert pixels.shape[-1] == (1 if mode in ("1", "LA") else 3)
    assert (pixels == np.asarray(gray)[..., None]).all()


def break_folder(folder: Path, how: str) -> None:
    match how:
        case "size":
            save(folder / "Train" / "10" / "1.png", size=(4, 5))
        case "test size":
            save(folder / "test" / "10" / "1.png", size=(4, 5))
        case "color":
            save(folder / "Train" / "10" / "1.png", mode="RGB")
        case "16 bits":
            save(folder / "Train" / "10" / "1.png", mode="I;16")
        case "empty class":
            (folder / "Train" / "7").mkdir()
        case "strange class":
            save(folder / "test" / "7" / "0.png")
        case "no image":
            (folder / "Train" / "2" / "notes.txt").write_text("no image")
        case "torn":
            path = folder / "Train" / "2" / "1.png"
            path.write_bytes(path.read_bytes()[:-24])
        case "altered":
            path = folder / "Train" / "2" / "1.png"
            content = bytearray(path.read_bytes())
            content[-20] ^= 0xFF
            path.write_bytes(content)
        case "astray":
            save(folder / "Train" / "0.png")
        case "nested":
            save(folder / "Train" / "2" / "more" / "0.png")
        case "no test":
            (folder / "test").rename(folder / "held-out")
        case "empty test":
            (folder / "test").rename(folder / "old")
            (folder / "test").mkdir()
        case "both cases":
            save(folder / "TRAIN" / "2" / "0.png")
        case "two tops":
            for part in ("Train", "test"):
                (folder / part).rename(folder / "part")
                (folder / f"of-{part}").mkdir()
                (folder / "part").rename(folder / f"of-{part}" / part)
        case "one class":
            for part in ("Train", "test"):
                (folder / part / "2").rename(folder / f"{part}-2")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "size",
            r"Train/10/1\.png: images of mixed size \(expected 2 x 3 gray like Train/2/0\.png, "
            r"found 5 x 4 gray\)",
        ),
        ("test size", r"test/10/1\.png: images of mixed size .*2 x 3 gray .* found 5 x 4 gray"),
        ("color", r"Train/10/1\.png: images of mixed size .*found 2 x 3 color"),
        ("16 bits", r"Train/10/1\.png: not an image of 8 bits .*found I;16"),
        ("empty class", r"Train/7: a class without images"),
        ("strange class", r"a class of Test that Train lacks \(expected one of 2, 10, found 7\)"),
        ("no image", r"Train/2/notes\.txt: not an image$"),
        ("torn", r"Train/2/1\.png: a damaged image"),
        ("altered", r"Train/2/1\.png: a damaged image"),
        ("astray", r"Train/0\.png: not in its place \(expected Train/<class>/<image>\)"),
        ("nested", r"Train/2/more/\S*: not in its place"),
        ("no test", r"no such folder of images \(expected .* found Train\)"),
        ("empty test", r"test/: no classes in this folder"),
        ("both cases", r"no such folder of images \(expected .* found TRAIN, Train, test\)"),
        ("two tops", r"no such folder of images \(.* found of-Train/Train, of-test/test\)"),
        ("one class", r"too few classes \(expected 2 or more, found 1\)"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_bad_folder_is_told(folder: Path, packed: bool, how: str, message: str) -> None:
    break_folder(folder, how)
    path = zipped(folder) if packed else folder
    with pytest.raises(DataCorruptError, match=message) as caught:
        images.image_folder(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_neither_folder_nor_zip_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK no archive")
    with pytest.raises(DataCorruptError, match=r"x\.zip: neither a folder nor a whole \.zip file"):
        images.image_folder(tmp_path / "x.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataCorruptError, match=r"no such folder of images .*found neither"):
        images.image_folder(tmp_path / "empty")


def test_damaged_zip_member_is_told(folder: Path) -> None:
    path = zipped(folder)
    content = bytearray(path.read_bytes())
    at = content.index(b"IDAT")
    content[at] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataCorruptError, match=r"\d\.png: a damaged image .*Bad CRC"):
        images.image_folder(path)


def test_unreadable_zip_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(folder)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"cannot be read \(found Permission denied\)"):
        images.image_folder(path)


def test_links_are_followed(folder: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    os.symlink(folder / "Train", linked / "Train")
    os.symlink(folder / "test", linked / "test")
    assert images.image_folder(linked).fingerprint == images.image_folder(folder).fingerprint


def test_a_test_class_may_be_absent(folder: Path) -> None:
    (folder / "test" / "2").rename(folder / "held-out")
    task = images.image_folder(folder)
    assert (task.n_outputs, task.test.targets.tolist()) == (2, [1])


@pytest.mark.parametrize("module", [images, _idx])
def test_examples_of_the_docstrings(module: ModuleType) -> None:
    failed, attempted = doctest.testmod(module)
    assert (failed, attempted > 0) == (0, True)
