"""Anyone's data by the path of a file or folder: tables, arrays, IDX pairs, pictures.

Nothing that is read runs code. A path is looked for as given, then below the folders of data sets;
in a study file, first beside that file.
"""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from inspect import Parameter, cleandoc, signature
from pathlib import Path
from typing import Any

from gridscape.base.own import ArrayOptions, PictureOptions, TableOptions
from gridscape.base.parts import Factory
from gridscape.base.shares import SHARES
from gridscape.base.task import Task
from gridscape.data import containers
from gridscape.data.idx import read_pairs
from gridscape.data.paths import located
from gridscape.data.roles import Pairs, pairs_of
from gridscape.data.tables import read_table
from gridscape.tasks import fetch


def _taking(kind: type) -> Callable[[Callable[..., Task]], Factory[..., Task]]:
    """A factory with the options of a dataclass beside its own, for its ``**options``."""

    def decorate(factory: Callable[..., Task]) -> Factory[..., Task]:
        own = signature(factory)
        parts = [p for p in own.parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
        known = signature(kind).parameters
        further = [known[field.name] for field in fields(kind)]

        @wraps(factory)
        def make(*args: Any, **options: Any) -> Task:
            return factory(*args, **options)

        make.__doc__ = _with_options(factory, kind)
        return Factory(make, signature=own.replace(parameters=[*parts, *further]))

    return decorate


def _with_options(factory: Any, kind: type) -> str:
    """The text of a factory, its own options and then those of the dataclass, before the errors."""
    text, raises, errors = cleandoc(factory.__doc__).partition("\n\nRaises")
    options = cleandoc(kind.__doc__ or "").partition("\n\n")[2]
    return f"{text}\n\n{options}{raises}{errors}"


@_taking(TableOptions)
def table(
    path: str | Path,
    target: str | list[str] | None = None,
    *,
    data_dir: str | Path | None = None,
    **options: Any,
) -> Task:
    """A table in a file: .csv, .tsv (packed as well), .parquet and what else pandas reads.

    path: the file. target: the column that is predicted, or several columns of numbers; by default
        the one that is named target, label, class or y.

    Rows are examples. Other columns are inputs: numbers standardized by the training part,
    categories one-hot, dates in days. The rows are split by shares, of every class alike; see the
    options. What is odd about the data is warned of before anything trains.

    Raises DataMissingError where there is no such file, DataError for one that cannot be read,
    DataCorruptError for rows of different lengths and, unless ``missing`` says what to do, for
    missing values; UsageError for a column that is not there.
    """
    return Task.from_table(read_table(_located(path, data_dir)), target, **options)


@_taking(ArrayOptions)
def arrays(
    path: str | Path,
    *,
    inputs: str | None = None,
    targets: str | None = None,
    lengths: str | None = None,
    validation: float | None = SHARES["validation"],
    test: float = SHARES["test"],
    split_seed: int = 0,
    data_dir: str | Path | None = None,
    **options: Any,
) -> Task:
    """Arrays in a file: .npz, .mat (versions 4, 5 and 7.3), HDF5; or a folder of .npy files.

    path: the file or folder. inputs, targets: the names of the two arrays, by default guessed from
        what they are called (X and y, images and labels, x_train, test_labels ...). lengths: the
        name of the array of the lengths of padded sequences (N, T) or (N, T, D), guessed likewise.
    validation, test: shares of every class, where the file has no such part; validation = 0 leaves
        it out. split_seed: of the draw.

    Whole numbers from 0 to 255 become uint8, which is read as fractions. Where the examples are the
    last axis of the inputs, as MATLAB has them, they are brought to the front.

    Raises DataMissingError, DataError for a file that cannot be read, DataCorruptError for pickled
    objects and where names do not tell what the arrays are; UnknownNameError for other names.
    """
    where = _located(path, data_dir)
    pairs = pairs_of(containers.read_arrays(where), where, inputs, targets, lengths)
    return _of_pairs("arrays", pairs, validation, test, split_seed, options)


@_taking(ArrayOptions)
def idx(
    path: str | Path,
    *,
    turned: bool = False,
    validation: float | None = SHARES["validation"],
    test: float = SHARES["test"],
    split_seed: int = 0,
    data_dir: str | Path | None = None,
    **options: Any,
) -> Task:
    """Pairs of IDX files, as MNIST and its family come: Fashion, Kuzushiji, EMNIST.

    path: their folder, or the beginning of their names, as "emnist/emnist-letters". Names in either
        spelling (train-images-idx3-ubyte, train-images.idx3-ubyte), packed (.gz) or not.
    turned: exchange height and width, as the pictures of EMNIST need it.
    validation, test: shares of every class, where there are no such files; validation = 0 leaves it
        out. split_seed: of the draw.

    Raises DataMissingError, DataCorruptError for a file that is not whole and where the names do
    not tell pairs.
    """
    folders = (Path(path).expanduser(), *(f / path for f in fetch.search_folders(data_dir)))
    pairs = read_pairs(folders, turned=turned)
    return _of_pairs("idx", pairs, validation, test, split_seed, options)


@_taking(PictureOptions)
def images(path: str | Path, *, data_dir: str | Path | None = None, **options: Any) -> Task:
    """Pictures in a folder or a .zip, as people have them; their folders name their classes.

    path: of ``class/picture.png``, or of ``train/class/picture.png`` with val, validation, test,
        testing and the like beside it, also below one top folder; or of pictures beside a table of
        file names and labels.

    What is no picture is passed over and told. Pictures are read as a person sees them: upright, on
    white, 16 bits as 8; an animation is refused.

    Raises DataMissingError, DataCorruptError where pictures cannot be read, all of them told at
    once, and where they are not of one size and color; DataError for none, or one class.
    """
    return Task.from_images(_located(path, data_dir), **options)


def _located(path: str | Path, data_dir: str | Path | None) -> Path:
    return located(path, tuple(fetch.search_folders(data_dir)))


def _of_pairs(
    name: str, pairs: Pairs, validation: Any, test: Any, seed: int, options: dict[str, Any]
) -> Task:
    shares = {"validation": validation, "test": test, "split_seed": seed}
    return Task.of_pairs(pairs, name=name, **shares, **options)
