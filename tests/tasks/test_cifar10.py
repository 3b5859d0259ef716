"""CIFAR-10: in color on made-up archives, and in gray."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_sets import Change, named, needs_cifar

from gridscape.base.task import Task
from gridscape.errors import DataCorruptError, DataMissingError
from gridscape.tasks import fetch, images

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
        DataMissingError, match=r"expected cifar-10-binary\.tar\.gz, or cifar-10-python\.tar\.gz\)"
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
