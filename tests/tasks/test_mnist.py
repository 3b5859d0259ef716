"""MNIST, and its format on made-up files."""

import gzip
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_sets import Change, needs_mnist

from gridscape.base.task import Task
from gridscape.errors import DataCorruptError, UnknownNameError
from gridscape.tasks import fetch, images

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
