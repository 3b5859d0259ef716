"""Image classification: embedded digits, MNIST, CIFAR-10 in color and gray, folders of images.

Every task comes in layouts of the same pixels: ``rows`` (T, D), a sequence of image rows; ``flat``
(D,); ``image`` (height, width, channels). Pixels stay uint8 until a batch is prepared.

Every task also takes the options of ``ImageOptions``: n_train, subset, subset_seed, center,
validation and validation_seed.
"""

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp

from gridscape.base.data import Split, as_float
from gridscape.base.parts import reads
from gridscape.base.task import Task
from gridscape.base.types import Array
from gridscape.errors import check_known
from gridscape.identity.code import fingerprint
from gridscape.tasks import fetch
from gridscape.tasks._cifar10 import read_archive
from gridscape.tasks._digits import read_digits
from gridscape.tasks._folders import Tree, archive_tree, located, opened, read_tree
from gridscape.tasks._idx import idx_split
from gridscape.tasks._idx import read_idx as read_idx
from gridscape.tasks._image_options import ImageOptions as ImageOptions
from gridscape.tasks._image_options import by_class, drawn, image_task
from gridscape.tasks._splits import LAYOUTS, lay_out

MNIST_SPLITS = ("tf1", "full")
TF1_VALIDATION_EXAMPLES = 5_000
DIGITS_TEST_EXAMPLES_PER_CLASS = 45


@reads("digits")
@image_task
def digits_rows(*, data_dir: str | Path | None = None) -> Task:
    """The 1,797 embedded 8 x 8 digits as 8 rows of 8: (T=8, D=8), pixels 0..16 as fractions.

    A fixed split with equal classes in the test: 1,347 train, 450 test. ``data_dir`` is taken as
    by every task and not needed. Source: Optical Recognition of Handwritten Digits (Alpaydin and
    Kaynak, 1998), its test part, as scikit-learn ships it.

    >>> task = digits_rows()
    >>> task.input_shape, task.n_outputs, len(task.train.targets), len(task.test.targets)
    ((8, 8), 10, 1347, 450)
    >>> small = digits_rows(n_train=20, subset="balanced")
    >>> sorted(small.train.targets.tolist())
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]
    """
    return _digits("rows")


@reads("digits")
@image_task
def digits_flat(*, data_dir: str | Path | None = None) -> Task:
    """The digits of ``digits_rows`` as 64 pixels: (D=64,)."""
    return _digits("flat")


@reads("digits")
@image_task
def digits_image(*, data_dir: str | Path | None = None) -> Task:
    """The digits of ``digits_rows`` as images: (8, 8, 1)."""
    return _digits("image")


@reads("mnist")
@image_task
def mnist_rows(split: str = "tf1", *, data_dir: str | Path | None = None) -> Task:
    """MNIST as 28 rows of 28 pixels: (T=28, D=28), fractions of 255; 10,000 test images.

    split: "tf1" keeps the FIRST 5,000 training images for validation and trains on 55,000, as
        TensorFlow 1 did; "full" trains on all 60,000, without those that ``validation`` takes.
    data_dir: looked in first for the four official files.

    Raises UnknownNameError for another split; DataMissingError, DataCorruptError. Source: LeCun,
    Cortes and Burges, The MNIST database of handwritten digits.
    """
    return _mnist("rows", split, data_dir)


@reads("mnist")
@image_task
def mnist_flat(split: str = "tf1", *, data_dir: str | Path | None = None) -> Task:
    """MNIST as 784 pixels: (D=784,); the rest as in ``mnist_rows``."""
    return _mnist("flat", split, data_dir)


@reads("mnist")
@image_task
def mnist_image(split: str = "tf1", *, data_dir: str | Path | None = None) -> Task:
    """MNIST as images: (28, 28, 1); the rest as in ``mnist_rows``."""
    return _mnist("image", split, data_dir)


@reads("cifar10")
@image_task
def cifar10(layout: str = "image", *, data_dir: str | Path | None = None) -> Task:
    """CIFAR-10 in color, 32 x 32: 50,000 train and 10,000 test images of 10 classes.

    layout: "image" (32, 32, 3), "rows" (T=32, D=96) or "flat" (D=3072,), the red, green and blue
        of a pixel side by side; fractions of 255.
    data_dir: looked in first for cifar-10-binary.tar.gz or cifar-10-python.tar.gz, the official
        archives, which hold the same images; the first one is fetched where both are missing.

    Raises UnknownNameError for another layout; DataMissingError, DataCorruptError. Source: Learning
    Multiple Layers of Features from Tiny Images (Krizhevsky, 2009).
    """
    check_known("layout", layout, LAYOUTS)
    ((archive, content),) = fetch.load("cifar10", data_dir).items()
    train, test = read_archive(archive, content)
    return _task(_named("cifar10", layout), layout, train, test, n_outputs=10)


@reads("cifar10")
@image_task
def cifar10_rows(*, data_dir: str | Path | None = None) -> Task:
    """The images of ``cifar10`` as 32 rows of 32 colors: (T=32, D=96)."""
    return cifar10("rows", data_dir=data_dir)


@reads("cifar10")
@image_task
def cifar10_flat(*, data_dir: str | Path | None = None) -> Task:
    """The images of ``cifar10`` as 1,024 colors: (D=3072,)."""
    return cifar10("flat", data_dir=data_dir)


@reads("cifar10-gray28")
@image_task
def cifar10_gray28(layout: str = "image", *, data_dir: str | Path | None = None) -> Task:
    """A part of CIFAR-10 in gray, 28 x 28: 10,000 train and 1,000 test images of 10 classes.

    layout: "image" (28, 28, 1), "rows" (T=28, D=28) or "flat" (D=784,); fractions of 255.
    data_dir: looked in first for cifar10-gray28.zip, which has no mirror.

    Raises UnknownNameError for another layout; DataMissingError, DataCorruptError. Source: the
    first 1,000 + 100 images of each class of CIFAR-10 (Krizhevsky, 2009).
    """
    check_known("layout", layout, LAYOUTS)
    ((name, content),) = fetch.load("cifar10-gray28", data_dir).items()
    tree = archive_tree(content, Path(name))
    return _tree_task(_named("cifar10-gray28", layout), tree, layout)


@reads("cifar10-gray28")
@image_task
def cifar10_gray28_rows(*, data_dir: str | Path | None = None) -> Task:
    """The images of ``cifar10_gray28`` as 28 rows of 28 pixels: (T=28, D=28)."""
    return cifar10_gray28("rows", data_dir=data_dir)


@reads("cifar10-gray28")
@image_task
def cifar10_gray28_flat(*, data_dir: str | Path | None = None) -> Task:
    """The images of ``cifar10_gray28`` as 784 pixels: (D=784,)."""
    return cifar10_gray28("flat", data_dir=data_dir)


@image_task
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
    check_known("layout", layout, LAYOUTS)
    return _tree_task("image-folder", opened(located(Path(path), data_dir)), layout)


def sixteenths(inputs: Array) -> Array:
    """Stored pixels 0..16 as fractions: (B, ...), uint8 -> (B, ...), float32 in [0, 1]."""
    return inputs.astype(jnp.float32) / 16


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
    train, test = lay_out(train, layout), lay_out(test, layout)
    validation = validation and lay_out(validation, layout)
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


def _named(data_set: str, layout: str) -> str:
    return data_set if layout == "image" else f"{data_set}-{layout}"


def _tree_task(name: str, tree: Tree, layout: str) -> Task:
    train, test, n_classes = read_tree(tree)
    return _task(name, layout, train, test, n_outputs=n_classes)


def _digits(layout: str) -> Task:
    everything = read_digits()
    classes = by_class(everything.targets, 10)
    chosen = drawn(classes, DIGITS_TEST_EXAMPLES_PER_CLASS, seed=0)
    train, test = (Split(*(part[rows] for part in everything)) for rows in (~chosen, chosen))
    return _task(f"digits-{layout}", layout, train, test, n_outputs=10, prepare=sixteenths)


def _mnist(layout: str, split: str, data_dir: str | Path | None) -> Task:
    check_known("split", split, MNIST_SPLITS)
    files = fetch.load("mnist", data_dir)
    train, test = (idx_split(files, part, n_outputs=10) for part in ("train", "t10k"))
    validation = None
    if split == "tf1":
        validation = Split(*(part[:TF1_VALIDATION_EXAMPLES] for part in train))
        train = Split(*(part[TF1_VALIDATION_EXAMPLES:] for part in train))
    return _task(f"mnist-{layout}", layout, train, test, n_outputs=10, validation=validation)
