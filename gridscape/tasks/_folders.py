"""Folders of images, and archives of such: ``Train/<class>/*.png`` and ``Test/<class>/*.png``."""

import io
import zipfile
import zlib
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from gridscape.base.data import Split
from gridscape.data import paths
from gridscape.errors import DataCorruptError, DataError
from gridscape.tasks import fetch

EIGHT_BIT_MODES = {"L": "L", "1": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB"}  # Pillow's names
FOLDER_LEVELS = 4  # top folder / split / class / image
# SyntaxError is Pillow's for a broken PNG, RuntimeError zipfile's for an encrypted member.
UNREADABLE = (OSError, SyntaxError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


class Tree(NamedTuple):
    """A folder or an archive: the names below it (folders end in a slash) and their reader."""

    where: Path
    names: list[str]
    read: Callable[[str], bytes]


def located(path: Path, data_dir: str | Path | None) -> Path:
    """The path as given, or below one of the folders of data sets; raises DataMissingError."""
    return paths.located(
        path,
        fetch.search_folders(data_dir),
        kind="folder or .zip of images",
        hint="correct the option path of the task, or use the embedded --task digits",
    )


def opened(path: Path) -> Tree:
    """The folder or .zip at a path; raises DataError where it cannot be read."""
    try:
        return _folder(path) if path.is_dir() else archive_tree(paths.content_of(path), path)
    except OSError as error:
        raise DataError("cannot be read", where=path, found=error.strerror) from error


def archive_tree(content: bytes, path: Path) -> Tree:
    """A .zip by its content; ``path`` is only told in errors. Raises DataCorruptError."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise DataCorruptError(
            "neither a folder nor a whole .zip file", where=path, found=error
        ) from error
    return Tree(path, sorted(archive.namelist()), archive.read)


def read_tree(tree: Tree) -> tuple[Split, Split, int]:
    """Training images, test images, (N, height, width, 1 or 3), and the number of classes.

    Raises DataCorruptError for a tree or an image that is not as ``images.image_folder`` says.
    """
    files = _image_files(tree)
    classes = _classes(tree, files)
    order = {part: _alternating(files[part], classes) for part in files}
    model = order["train"][0][0]
    train, test = (_read_split(tree, order[part], model) for part in ("train", "test"))
    return train, test, len(classes)


def _classes(tree: Tree, files: dict[str, dict[str, list[str]]]) -> list[str]:
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
    return classes


def _folder(path: Path) -> Tree:
    # Level by level: links are followed, and a path given by mistake is not walked to its end.
    patterns = ("/".join("*" * level) for level in range(1, FOLDER_LEVELS + 1))
    found = sorted(chain.from_iterable(map(path.glob, patterns)))
    names = [f.relative_to(path).as_posix() + "/" * f.is_dir() for f in found]
    return Tree(path, names, lambda name: paths.content_of(path / name))


def _image_files(tree: Tree) -> dict[str, dict[str, list[str]]]:
    """The names of the images: by split ("train", "test"), then by class."""
    names = [name for name in tree.names if not _is_hidden(name)]
    return {part: _by_class(tree, names, root) for part, root in _roots(tree, names).items()}


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _roots(tree: Tree, names: list[str]) -> dict[str, str]:
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


def _by_class(tree: Tree, names: list[str], root: str) -> dict[str, list[str]]:
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


def _read_split(tree: Tree, examples: list[tuple[str, int]], model: str) -> Split:
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


def _read_image(tree: Tree, name: str) -> np.ndarray:
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
