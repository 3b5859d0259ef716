"""Image classification: embedded digits, MNIST, CIFAR-10 in gray, folders of images.

Every task comes in three layouts of the same pixels: ``rows`` (T, D), a sequence of image rows;
``flat`` (D,); ``image`` (height, width, channels). Pixels stay uint8 until a batch is prepared.
"""

import gzip
import io
import math
import os
import zipfile
import zlib
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from PIL import Image, UnidentifiedImageError

from gridscape.base import Array, Split, Task, as_float, fingerprint
from gridscape.errors import DataCorruptError, DataError, DataMissingError, UnknownNameError
from gridscape.tasks import fetch

LAYOUTS = ("rows", "flat", "image")
MNIST_SPLITS = ("tf1", "full")
TF1_VALIDATION_EXAMPLES = 5_000
DIGITS_TEST_EXAMPLES_PER_CLASS = 45
EIGHT_BIT_MODES = {"L": "L", "1": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB"}  # Pillow's names
FOLDER_LEVELS = 4  # top folder / split / class / image
# SyntaxError is Pillow's for a broken PNG, RuntimeError zipfile's for an encrypted member.
UNREADABLE = (OSError, SyntaxError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


def digits_rows(*, data_dir: str | Path | None = None) -> Task:
    """The 1,797 embedded 8 x 8 digits as 8 rows of 8: (T=8, D=8), pixels 0..16 as fractions.

    A fixed split with equal classes in the test: 1,347 train, 450 test. ``data_dir`` is taken as
    by every task and not needed. Source: Optical Recognition of Handwritten Digits (Alpaydin and
    Kaynak, 1998), its test part, as scikit-learn ships it.

    >>> task = digits_rows()
    >>> task.input_shape, task.n_outputs, len(task.train.targets), len(task.test.targets)
    ((8, 8), 10, 1347, 450)
    """
    return _digits("rows")


def digits_flat(*, data_dir: str | Path | None = None) -> Task:
    """The digits of ``digits_rows`` as 64 pixels: (D=64,)."""
    return _digits("flat")


def digits_image(*, data_dir: str | Path | None = None) -> Task:
    """The digits of ``digits_rows`` as images: (8, 8, 1)."""
    return _digits("image")


def mnist_rows(split: str = "tf1", *, data_dir: str | Path | None = None) -> Task:
    """MNIST as 28 rows of 28 pixels: (T=28, D=28), fractions of 255; 10,000 test images.

    split: "tf1" keeps the FIRST 5,000 training images for validation and trains on 55,000, as
        TensorFlow 1 did; "full" trains on all 60,000.
    data_dir: looked in first for the four official files.

    Raises UnknownNameError for another split; DataMissingError, DataCorruptError. Source: LeCun,
    Cortes and Burges, The MNIST database of handwritten digits.
    """
    return _mnist("rows", split, data_dir)


def mnist_flat(split: str = "tf1", *, data_dir: str | Path | None = None) -> Task:
    """MNIST as 784 pixels: (D=784,); the rest as in ``mnist_rows``."""
    return _mnist("flat", split, data_dir)


def mnist_image(split: str = "tf1", *, data_dir: str | Path | None = None) -> Task:
    """MNIST as images: (28, 28, 1); the rest as in ``mnist_rows``."""
    return _mnist("image", split, data_dir)


def cifar10_gray28(layout: str = "image", *, data_dir: str | Path | None = None) -> Task:
    """A part of CIFAR-10 in gray, 28 x 28: 10,000 train and 1,000 test images of 10 classes.

    layout: "image" (28, 28, 1), "rows" (T=28, D=28) or "flat" (D=784,); fractions of 255.
    data_dir: looked in first for cifar10-gray28.zip, which has no mirror.

    Raises UnknownNameError for another layout; DataMissingError, DataCorruptError. Source: the
    first 1,000 + 100 images of each class of CIFAR-10 (Krizhevsky, 2009).
    """
    _known("layout", layout, LAYOUTS)
    ((name, content),) = fetch.load("cifar10-gray28", data_dir).items()
    task = "cifar10-gray28" if layout == "image" else f"cifar10-gray28-{layout}"
    return _tree_task(task, _archive(content, Path(name)), layout)


def cifar10_gray28_rows(*, data_dir: str | Path | None = None) -> Task:
    """The images of ``cifar10_gray28`` as 28 rows of 28 pixels: (T=28, D=28)."""
    return cifar10_gray28("rows", data_dir=data_dir)


def image_folder(
    path: str | Path, layout: str = "image", *, data_dir: str | Path | None = None
) -> Task:
    """A folder ``Train/<class>/*.png`` and ``Test/<class>/*.png``, or a .zip of one.

    path: the folder or .zip, as given or below one of the folders of data sets. The two splits may
        lie below one top folder, and be written in any case. Names that begin with a dot are
        passed over.
    layout: "image" (height, width, channels), "rows" (T=height, D=width * channels) or "flat".

    Images are 8-bit gray (one channel) or color (three), all of one size; transparency is
    dropped. Classes are the folders of Train in order of name, of number if all are numbers.
    Training images alternate between the classes, so that every first part holds all of them.

    Raises DataMissingError where there is no such path; DataCorruptError for images of mixed size,
    an empty class, a class that Train lacks, a file that is no image; UnknownNameError for another
    layout.
    """
    _known("layout", layout, LAYOUTS)
    return _tree_task("image-folder", _open(_located(Path(path), data_dir)), layout)


def sixteenths(inputs: Array) -> Array:
    """Stored pixels 0..16 as fractions: (B, ...), uint8 -> (B, ...), float32 in [0, 1]."""
    return inputs.astype(jnp.float32) / 16


def read_idx(content: bytes, n_dims: int, *, where: object = None) -> np.ndarray:
    """The array in an IDX file of unsigned bytes, with ``n_dims`` dimensions.

    The format: two zero bytes, the type 8, the number of dimensions, each size as four bytes (big
    endian), the values. Raises DataCorruptError where any of it is otherwise.

    >>> read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]), 1)
    array([7, 9], dtype=uint8)
    """
    magic, start = bytes([0, 0, 8, n_dims]), 4 + 4 * n_dims
    if content[:4] != magic:
        raise DataCorruptError(
            f"not an IDX file of unsigned bytes in {n_dims} dimensions",
            where=where,
            expected=f"the first bytes {magic.hex(' ')}",
            found=content[:4].hex(" ") or "an empty file",
        )
    if len(content) < start:
        raise DataCorruptError(
            "the IDX header is cut off",
            where=where,
            expected=f"{start} bytes",
            found=f"{len(content)} bytes",
        )
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], ">u4"))
    if len(content) != start + math.prod(shape):
        raise DataCorruptError(
            "the IDX file is not as long as its header says",
            where=where,
            expected=f"{start + math.prod(shape)} bytes for the shape {shape}",
            found=f"{len(content)} bytes",
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _known(kind: str, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise UnknownNameError(kind, str(name), names)


def _task(
    name: str,
    layout: str,
    train: Split,
    test: Split,
    *,
    n_outputs: int,
    validation: Split | None = None,
    prepare: Callable[[Array], Array] = as_float,
) -> Task:
    """A task from splits with inputs (N, height, width, channels)."""
    train, test = _lay_out(train, layout), _lay_out(test, layout)
    validation = validation and _lay_out(validation, layout)
    return Task(
        name=name,
        train=train,
        test=test,
        validation=validation,
        input_shape=train.inputs.shape[1:],
        n_outputs=n_outputs,
        fingerprint=fingerprint(prepare.__name__, n_outputs, train, test, validation),
        prepare=prepare,
    )


def _lay_out(split: Split, layout: str) -> Split:
    N, height, width, channels = split.inputs.shape
    shape = {
        "rows": (N, height, width * channels),
        "flat": (N, height * width * channels),
        "image": (N, height, width, channels),
    }[layout]
    return Split(split.inputs.reshape(shape), split.targets)


def _digits(layout: str) -> Task:
    from sklearn.datasets import load_digits  # takes a second to import

    digits = load_digits()
    everything = Split(digits.images.astype(np.uint8)[..., None], digits.target.astype(np.int32))
    chosen = _balanced_choice(everything.targets, DIGITS_TEST_EXAMPLES_PER_CLASS)
    train, test = (Split(*(part[rows] for part in everything)) for rows in (~chosen, chosen))
    return _task(f"digits-{layout}", layout, train, test, n_outputs=10, prepare=sixteenths)


def _balanced_choice(targets: np.ndarray, n_per_class: int) -> np.ndarray:
    """A fixed random choice of so many examples of each class, as a mask: (N,) -> (N,)."""
    # RandomState: NumPy promises that its numbers never change, those of Generator may.
    random = np.random.RandomState(0)
    chosen = np.zeros(len(targets), bool)
    for label in np.unique(targets):
        chosen[random.permutation(np.flatnonzero(targets == label))[:n_per_class]] = True
    return chosen


def _mnist(layout: str, split: str, data_dir: str | Path | None) -> Task:
    _known("split", split, MNIST_SPLITS)
    files = fetch.load("mnist", data_dir)
    train, test = (_idx_split(files, part, n_outputs=10) for part in ("train", "t10k"))
    validation = None
    if split == "tf1":
        validation = Split(*(part[:TF1_VALIDATION_EXAMPLES] for part in train))
        train = Split(*(part[TF1_VALIDATION_EXAMPLES:] for part in train))
    return _task(f"mnist-{layout}", layout, train, test, n_outputs=10, validation=validation)


def _idx_split(files: dict[str, bytes], part: str, n_outputs: int) -> Split:
    images_file, labels_file = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
    images = read_idx(_unzipped(files[images_file], images_file), 3, where=images_file)
    labels = read_idx(_unzipped(files[labels_file], labels_file), 1, where=labels_file)
    if len(images) != len(labels) or not len(images):
        raise DataCorruptError(
            "images and labels differ in number, or there are none",
            where=f"{images_file} and {labels_file}",
            found=f"{len(images)} images and {len(labels)} labels",
        )
    wrong = np.flatnonzero(labels >= n_outputs)
    if len(wrong):
        raise DataCorruptError(
            f"the label of example {wrong[0]} is out of range",
            where=labels_file,
            expected=f"0 to {n_outputs - 1}",
            found=labels[wrong[0]],
        )
    return Split(images[..., None], labels.astype(np.int32))


def _unzipped(content: bytes, where: str) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataCorruptError("not a whole gzip file", where=where, found=error) from error


class _Tree(NamedTuple):
    """A folder or an archive: the names below it (folders end in a slash) and their reader."""

    where: Path
    names: list[str]
    read: Callable[[str], bytes]


def _located(path: Path, data_dir: str | Path | None) -> Path:
    path = path.expanduser()
    folders = fetch.search_folders(data_dir)
    for candidate in (path, *(folder / path for folder in folders)):
        if os.path.exists(candidate):  # False, not an error, where a folder may not be entered
            return candidate
    raise DataMissingError(
        "no such folder or .zip of images",
        where=path,
        expected=f"as given or below one of {', '.join(map(str, folders))}",
        hint="correct the option path of the task, or use the embedded --task digits",
    )


def _open(path: Path) -> _Tree:
    try:
        return _folder(path) if path.is_dir() else _archive(path.read_bytes(), path)
    except OSError as error:
        raise DataError("cannot be read", where=path, found=error.strerror) from error


def _folder(path: Path) -> _Tree:
    # Level by level: links are followed, and a path given by mistake is not walked to its end.
    patterns = ("/".join("*" * level) for level in range(1, FOLDER_LEVELS + 1))
    found = sorted(chain.from_iterable(map(path.glob, patterns)))
    names = [f.relative_to(path).as_posix() + "/" * f.is_dir() for f in found]
    return _Tree(path, names, lambda name: (path / name).read_bytes())


def _archive(content: bytes, path: Path) -> _Tree:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise DataCorruptError(
            "neither a folder nor a whole .zip file", where=path, found=error
        ) from error
    return _Tree(path, sorted(archive.namelist()), archive.read)


def _tree_task(name: str, tree: _Tree, layout: str) -> Task:
    files = _image_files(tree)
    classes = _in_order(files["train"])
    strange = [label for label in files["test"] if label not in classes]
    if strange:
        raise DataCorruptError(
            "a class of Test that Train lacks",
            where=tree.where,
            expected=f"one of {', '.join(classes)}",
            found=strange[0],
        )
    if len(classes) < 2:
        raise DataCorruptError(
            "too few classes", where=tree.where, expected="2 or more", found=len(classes)
        )
    order = {part: _alternating(files[part], classes) for part in files}
    model = order["train"][0][0]
    train, test = (_read_split(tree, order[part], model) for part in ("train", "test"))
    return _task(name, layout, train, test, n_outputs=len(classes))


def _image_files(tree: _Tree) -> dict[str, dict[str, list[str]]]:
    """The names of the images: by split ("train", "test"), then by class."""
    names = [name for name in tree.names if not _is_hidden(name)]
    return {part: _by_class(tree, names, root) for part, root in _roots(tree, names).items()}


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _roots(tree: _Tree, names: list[str]) -> dict[str, str]:
    """The folders of the two splits, at the top or below one top folder."""
    for level in (0, 1):
        parents = {tuple(name.split("/")[: level + 1]) for name in names if name.count("/") > level}
        roots = sorted(p for p in parents if p[-1].lower() in ("train", "test"))
        if roots:
            break
    by_split = {root[-1].lower(): "/".join(root) + "/" for root in roots}
    if len(roots) != 2 or len(by_split) != 2 or roots[0][:-1] != roots[1][:-1]:
        raise DataCorruptError(
            "no such folder of images",
            where=tree.where,
            expected="one folder Train/<class>/*.png and one Test/<class>/*.png",
            found=", ".join("/".join(root) for root in roots) or "neither",
        )
    return by_split


def _by_class(tree: _Tree, names: list[str], root: str) -> dict[str, list[str]]:
    classes: dict[str, list[str]] = {}
    for name in names:
        if not name.startswith(root) or name == root:
            continue
        folder, slash, image = name.removeprefix(root).partition("/")
        if not slash or "/" in image:
            raise DataCorruptError(
                "not in its place", where=f"{tree.where}: {name}", expected=f"{root}<class>/<image>"
            )
        classes.setdefault(folder, []).extend([name] if image else [])
    if not classes:
        raise DataCorruptError("no classes in this folder", where=f"{tree.where}: {root}")
    for folder, images in classes.items():
        if not images:
            raise DataCorruptError("a class without images", where=f"{tree.where}: {root}{folder}")
    return classes


def _in_order(classes: dict[str, list[str]]) -> list[str]:
    if all(name.isdecimal() for name in classes):
        return sorted(classes, key=lambda name: (int(name), name))
    return sorted(classes)


def _alternating(files: dict[str, list[str]], classes: list[str]) -> list[tuple[str, int]]:
    """Images and labels: the first image of each class, then the second of each, and so on."""
    ranked = [
        (rank, label, name)
        for label, folder in enumerate(classes)
        for rank, name in enumerate(files.get(folder, []))
    ]
    return [(name, label) for _, label, name in sorted(ranked)]


def _read_split(tree: _Tree, examples: list[tuple[str, int]], model: str) -> Split:
    """The images, which must all be of the size and kind of the image named ``model``."""
    shape = _read_image(tree, model).shape
    inputs = np.empty((len(examples), *shape), np.uint8)
    for row, (name, _) in zip(inputs, examples, strict=True):
        image = _read_image(tree, name)
        if image.shape != shape:
            raise DataCorruptError(
                "images of mixed size",
                where=f"{tree.where}: {name}",
                expected=f"{_size(shape)} like {model}",
                found=_size(image.shape),
            )
        row[...] = image
    return Split(inputs, np.array([label for _, label in examples], np.int32))


def _size(shape: tuple[int, ...]) -> str:
    height, width, channels = shape
    return f"{height} x {width} {'gray' if channels == 1 else 'color'}"


def _read_image(tree: _Tree, name: str) -> np.ndarray:
    """One image: (height, width, 1 or 3), uint8."""
    where = f"{tree.where}: {name}"
    try:
        image: Image.Image = Image.open(io.BytesIO(tree.read(name)))
        image.load()
    except UnidentifiedImageError as error:
        raise DataCorruptError("not an image", where=where) from error
    except UNREADABLE as error:
        raise DataCorruptError("a damaged image", where=where, found=error) from error
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")  # a palette may have transparency
    if image.mode not in EIGHT_BIT_MODES:
        raise DataCorruptError(
            "not an image of 8 bits", where=where, expected="gray or color", found=image.mode
        )
    pixels = np.asarray(image.convert(EIGHT_BIT_MODES[image.mode]))
    return pixels.reshape(*pixels.shape[:2], -1)
