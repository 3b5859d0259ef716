"""Folders and archives of pictures as people have them, read as a person sees them."""

import io
import os
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gridscape.data.labels import natural
from gridscape.data.paths import available_bytes, content_of, readable
from gridscape.data.roles import Pairs
from gridscape.data.tables import read_table
from gridscape.errors import (
    DataCorruptError,
    DataError,
    UsageError,
    check_known,
    check_numbers,
    one_line,
)

if TYPE_CHECKING:
    from PIL import Image

PART_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".ico", ".jp2", ".avif", ".mpo", ".heic", ".heif"),
)
LISTS = (".csv", ".tsv")  # of file names and labels
COLORS = {"gray": 1, "color": 3}
UNREADABLE = ("refuse", "leave out")
MOST_NAMED = 3
MOST_BYTES = 2**30  # of one picture
AT_ONCE, EACH = 1_024, 64  # pictures that wait to be put in their place; of a task
SMALL_BYTES = 2**14  # of a file: to read a smaller picture is Python's work, which has one thread


class Tree(NamedTuple):
    """The files of a folder or an archive, by their names below it, and their reader."""

    where: Path
    names: list[str]
    read: Callable[[str], bytes]


class Picture(NamedTuple):
    """A picture's name, part and label."""

    name: str
    part: str
    label: str


class Pictures(NamedTuple):
    """Inputs (N, height, width, 1 or 3) uint8 and labels (N,) by part, and what is told of them."""

    pairs: Pairs
    told: tuple[str, ...]


def read_pictures(
    path: Path,
    *,
    size: Sequence[int] | None = None,
    color: str | None = None,
    unreadable: str = "refuse",
    labels: str | None = None,
    target: str | None = None,
) -> Pictures:
    """All pictures of a folder or a .zip, with what their folders, or a list, call them.

    Raises DataCorruptError where pictures cannot be read, all of them told at once, and where they
    are not of one size and color; DataError where there are none.
    """
    check_known("value of unreadable", unreadable, UNREADABLE, where="unreadable")
    if color is not None:
        check_known("value of color", color, COLORS, where="color")
    if size is not None:
        check_numbers("size", [size] if isinstance(size, int) else size, low=1)
        size = [size, size] if isinstance(size, int) else list(size)
        if len(size) != 2:
            raise UsageError("not a size", where="size", expected="[height, width]", found=size)
    tree = _opened(path)
    names = [name for name in tree.names if _is_picture(name)]
    found, told = _labeled(tree, names, labels, target)
    strange = [n for n in tree.names if not n.lower().endswith(SUFFIXES + LISTS)]
    if strange:
        told.append(f"passed over, no pictures: {_count(len(strange), 'file')}: {_some(strange)}")
    made = Reading(tree, size, color).all([picture.name for picture in found])
    if made.bad:
        listed = [f"{PurePosixPath(name).name} ({why})" for name, why in made.bad.items()]
        if unreadable == "refuse":
            raise DataCorruptError(
                f"{len(listed)} of {len(found)} pictures cannot be read",
                where=path,
                found=_listed(listed),
                hint='unreadable = "leave out" does without them',
            )
        told.append(
            f"left out, cannot be read: {_count(len(listed), 'picture')}: {_listed(listed)}"
        )
    if len(made.kinds) > 1:
        raise made.mixed()
    kept = [picture for picture in found if picture.name in made.rows]
    if not kept:
        raise DataError(
            "no pictures", where=path, expected="folders of a class each, with pictures"
        )
    pairs: Pairs = {}
    for part in dict.fromkeys(picture.part for picture in kept):
        of_part = [picture for picture in kept if picture.part == part]
        rows = [made.rows[picture.name] for picture in of_part]
        pairs[part] = made.pixels[rows], np.array([picture.label for picture in of_part])
    return Pictures(pairs, tuple(told))


# ---- which picture is what ----


def _opened(path: Path) -> Tree:
    """The files of a folder, links followed, or of a .zip; hidden ones are none."""
    if not path.is_dir():
        try:
            archive = zipfile.ZipFile(readable(path))
        except zipfile.BadZipFile as error:
            what = "neither a folder nor a whole .zip file"
            raise DataCorruptError(what, where=path, found=error) from error
        members = [m.filename for m in archive.infolist() if not m.is_dir()]
        return Tree(path, _shown(members), lambda name: _member(archive, name))
    names = []
    for folder, folders, files in os.walk(path, followlinks=False):
        folders.sort(key=natural)
        below = Path(folder).relative_to(path).as_posix()
        names += files if below == "." else [f"{below}/{file}" for file in files]
    return Tree(path, _shown(names), lambda name: _content(f"{path}/{name}"))


def _content(path: str) -> bytes:
    if os.stat(path).st_size > MOST_BYTES:
        raise ValueError("far too large")
    return content_of(path)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MOST_BYTES:
        raise ValueError("far too large")
    return archive.read(name)


def _shown(names: Sequence[str]) -> list[str]:
    """Names that are not hidden, in natural order."""
    kept = [n for n in names if not any(p.startswith((".", "__MACOSX")) for p in n.split("/"))]
    return sorted(kept, key=lambda name: [natural(part) for part in name.split("/")])


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _labeled(
    tree: Tree, names: list[str], labels: str | None, target: str | None
) -> tuple[list[Picture], list[str]]:
    """Every picture with its part and label; what is told of those that have none."""
    lists = [n for n in tree.names if n.lower().endswith(LISTS)]
    folders = {name.split("/")[0] for name in names if "/" in name}
    if labels is None and len(lists) == 1 and len(folders) < 2 and tree.where.is_dir():
        labels = lists[0]
    if labels is not None:
        return _listed_pictures(tree, names, labels, target)
    depth = _top(names)
    has_parts = _has_parts(names, depth)
    found, none = [], []
    for name in names:
        below = name.split("/")[depth:-1]
        part = PART_NAMES[below[0].lower()] if below and has_parts else "all"
        classes = below[1:] if has_parts else below
        if classes:
            found.append(Picture(name, part, classes[0]))
        else:
            none.append(name)
    told = [f"passed over, in no folder of a class: {_count(len(none), 'picture')}"] if none else []
    return _without_mixture(tree, found), told


def _top(names: Sequence[str]) -> int:
    """How many folders all pictures have in common before those of parts and classes begin."""
    depth = 0
    while True:
        here = {name.split("/")[depth] for name in names if name.count("/") > depth}
        deeper = any(name.count("/") > depth + 1 for name in names)
        if len(here) != 1 or not deeper:
            return depth
        depth += 1


def _has_parts(names: Sequence[str], depth: int) -> bool:
    """Whether the folders are parts: all of them are called so, and there is one to train on."""
    folders = {name.split("/")[depth].lower() for name in names if name.count("/") > depth}
    parts = {PART_NAMES.get(folder) for folder in folders}
    return "train" in parts and None not in parts and len(parts) > 1


def _without_mixture(tree: Tree, found: list[Picture]) -> list[Picture]:
    classes = {picture.label for picture in found}
    if found and len(classes) < 2:
        raise DataError(
            "too few classes",
            where=tree.where,
            expected="a folder for each class, or a list of names and labels",
            found=next(iter(classes)),
        )
    return found


def _listed_pictures(
    tree: Tree, names: list[str], labels: str, target: str | None
) -> tuple[list[Picture], list[str]]:
    """The pictures that a table of names and labels lists."""
    place = tree.where / labels
    if not place.resolve().is_relative_to(tree.where.resolve()):
        expected = "a file in the folder of the pictures"
        raise UsageError("out of reach", where="labels", expected=expected, found=labels)
    if not place.is_file():
        raise UsageError("no such list of labels", where="labels", found=place)
    table = read_table(place)
    by_name = {key: name for name in names for key in _keys(name)}
    matches = {str(c): int(table[c].astype(str).isin(list(by_name)).sum()) for c in table.columns}
    files = max(matches, key=lambda name: matches[name])
    others = [str(c) for c in table.columns if str(c) != files]
    if not matches[files] or not others:
        raise DataError(
            "no column names the pictures",
            where=place,
            expected="file names as in the folder, and labels beside them",
            found=", ".join(map(repr, table.columns[:4])),
        )
    column = target if target is not None else others[0]
    if target is not None:
        check_known("column", target, others, where="target")
    rows = table[[files, column]].astype(str).itertuples(index=False)
    found = [Picture(by_name[name], "all", label) for name, label in rows if name in by_name]
    n_lost = len(table) - len(found)
    told = [f"{n_lost} of {len(table)} rows of {labels} name no picture"] if n_lost else []
    return list({picture.name: picture for picture in found}.values()), told


def _keys(name: str) -> Iterator[str]:
    """How a list may name a picture."""
    path = PurePosixPath(name)
    yield from (name, path.name, path.stem, str(path.with_suffix("")))


# ---- pixels ----


class Reading:
    """Reads pictures into one array; tells those that cannot be, and those of another kind.

    pixels: (N, height, width, 1 or 3). rows: by name. bad: the reason by name. n_bytes: of the
    files read so far.
    """

    def __init__(self, tree: Tree, size: Sequence[int] | None, color: str | None) -> None:
        self.tree, self.size, self.color = tree, size, color
        self.pixels = np.empty((0, 0, 0, 0), np.uint8)
        self.rows: dict[str, int] = {}
        self.bad: dict[str, str] = {}
        self.kinds: Counter[tuple[int, ...]] = Counter()
        self.n_bytes = 0

    def all(self, names: Sequence[str]) -> "Reading":
        """Read all of them."""
        with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
            warnings.simplefilter("ignore")  # Pillow's, of metadata and sizes
            bounds = [0, *range(EACH, len(names), AT_ONCE), len(names)]
            for begin, end in pairwise(bounds):
                some = names[begin:end]
                # Several a task: to hand over a small picture takes as long as to read it.
                parts = [some[at : at + EACH] for at in range(0, len(some), EACH)]
                each = pool.map if self.n_bytes > begin * SMALL_BYTES else map
                for part, made in zip(parts, each(self._some, parts), strict=True):
                    for name, one in zip(part, made, strict=True):
                        self._put(name, one, len(names))
        return self

    def _some(self, names: Sequence[str]) -> list[Any]:
        return [self._one(name) for name in names]

    def _put(self, name: str, made: Any, n: int) -> None:
        if isinstance(made, str):
            self.bad[name] = made
            return
        self.kinds[made.shape] += 1
        if not self.rows:
            if n * made.size > available_bytes() / 2:
                raise DataError(
                    "more pixels than memory can hold",
                    where=self.tree.where,
                    found=f"{n} pictures of {_kind(made.shape)}",
                    hint="size = [height, width] makes them smaller",
                )
            self.pixels = np.empty((n, *made.shape), np.uint8)
        if made.shape == self.pixels.shape[1:]:
            self.pixels[len(self.rows)] = made
            self.rows[name] = len(self.rows)

    def _one(self, name: str) -> Any:
        """A picture (height, width, 1 or 3) uint8, or why it cannot be read."""
        try:
            content = self.tree.read(name)
            self.n_bytes += len(content)
            return pixels_of(content, self.size, self.color)
        except ValueError as error:
            return str(error)[:60]
        except FileNotFoundError:
            return "a link to what is not there"
        except OSError as error:
            return (error.strerror or one_line(error))[:60]
        except Exception as error:  # Pillow raises many kinds
            return one_line(error)[:60]

    def mixed(self) -> DataCorruptError:
        """The error that counts the kinds, and says how they become one."""
        (most, n), *others = self.kinds.most_common()
        told = [f"{count} of {_kind(kind)}" for kind, count in others[:MOST_NAMED]]
        more = f" and {len(others) - MOST_NAMED} kinds more" if len(others) > MOST_NAMED else ""
        sizes = len({kind[:2] for kind in self.kinds}) > 1
        colors = len({kind[2] for kind in self.kinds}) > 1
        hints = [f"size = [{most[0]}, {most[1]}]"] * sizes
        hints += [f'color = "{"gray" if most[2] == 1 else "color"}"'] * colors
        return DataCorruptError(
            "pictures of several kinds",
            where=self.tree.where,
            found=f"{n} of {_kind(most)}, {', '.join(told)}{more}",
            hint=f"{' and '.join(hints)} makes them equal",
        )


def pixels_of(content: bytes, size: Sequence[int] | None, color: str | None) -> np.ndarray:
    """The pixels that a person sees, (height, width, 1 or 3) uint8: upright, on white.

    16 bits become 8, CMYK and palettes color. Raises ValueError with the reason for a picture that
    cannot be one image: an animation, floating-point pixels, a damaged file.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not content:
        raise ValueError("an empty file")
    try:
        image: Image.Image = Image.open(io.BytesIO(content))
        n_frames = getattr(image, "n_frames", 1)
        if n_frames > 1 and image.format != "MPO":  # of a phone: the others are previews
            raise ValueError(f"an animation of {n_frames} frames")
        image.load()
    except UnidentifiedImageError as error:
        raise ValueError("no picture") from error
    except (OSError, SyntaxError) as error:
        raise ValueError("damaged") from error
    except Image.DecompressionBombError as error:
        raise ValueError("far too large") from error
    if "exif" in image.info or image.format == "TIFF":
        image = ImageOps.exif_transpose(image)
    image = _eight_bits(image)
    if color is not None:
        image = image.convert("L" if color == "gray" else "RGB")
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1)


def _eight_bits(image: "Image.Image") -> "Image.Image":
    """A picture in gray or color of 8 bits."""
    from PIL import Image

    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65_535:
            raise ValueError("pixels of more than 16 bits")
        return Image.fromarray((values // 257).astype(np.uint8))
    if image.mode in ("LA", "La", "RGBA", "RGBa", "P", "PA") or "transparency" in image.info:
        has_color = image.mode not in ("LA", "La", "L")
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        white.alpha_composite(seen)
        return white.convert("RGB" if has_color else "L")
    if image.mode in ("CMYK", "YCbCr", "HSV", "RGBX"):
        return image.convert("RGB")
    raise ValueError(f"pixels of kind {image.mode}")


def _kind(shape: Sequence[int]) -> str:
    """In words.

    >>> _kind((28, 30, 1))
    '28 x 30 gray'
    """
    return f"{shape[0]} x {shape[1]} {'gray' if shape[2] == 1 else 'in color'}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _some(names: Sequence[str]) -> str:
    return _listed([PurePosixPath(name).name for name in names])


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    return ", ".join(words[:MOST_NAMED]) + more
