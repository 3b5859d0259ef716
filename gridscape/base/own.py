"""How people's data is to be read: the options that files, Python and the command line share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from gridscape.base.shares import SHARES
from gridscape.data import columns
from gridscape.errors import UsageError, check_known, check_whole, short

T = TypeVar("T")

PREDICTED = ("classes", "numbers")
SCALES = ("standard", "none")
SPECIAL = ("split", "group", "time", "sequence")  # options that name a column of a table each


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """How a table is read.

    features: the columns to learn from; by default all but the others named here. drop: columns to
        leave out.
    predict: "classes" or "numbers"; by default texts, and at most 20 different whole numbers, are
        classes. unit: of numbers, as "cm".
    missing: "refuse" tells of missing values, "drop" leaves such rows out, "fill" fills numbers by
        the training median and leaves categories empty. A row without a target, or
        without what ``split``, ``group``, ``time`` or ``sequence`` names, is left out.
    scale: "standard" takes the mean of the training part from every number and divides by its
        spread; "pixels" reads whole numbers in 0 to 255 as fractions; "none" leaves them.
    shape: of an input, as [28, 28, 1] for 784 columns.
    validation, test: shares of the rows, of every class alike; validation = 0 leaves it out.
        split_seed: of the draw. split: a column that names the part of each row instead. group: a
        column whose equal values stay in one part. time: a column of dates or numbers: the latest
        rows are the test part, and those before them for validation.
    sequence: a column that names the sequence of each row. Its rows are the steps of one input, in
        the order of ``time`` or as they stand; sequences may have different lengths, and are whole
        in one part. The target is one for each sequence where all its rows have the same, else one
        for each step.
    window, horizon: of a time series: so many rows in the order of ``time``, or as they stand, are
        an input (window, D), the past of the target among them, and predict the row that comes
        ``horizon`` after the last of them. The latest rows are the test part.
    """

    features: Sequence[str] | None = None
    drop: Sequence[str] = ()
    predict: str | None = None
    unit: str = ""
    missing: str = "refuse"
    scale: str = "standard"
    shape: Sequence[int] | None = None
    validation: float | None = SHARES["validation"]
    test: float = SHARES["test"]
    split: str | None = None
    group: str | None = None
    time: str | None = None
    split_seed: int = 0
    sequence: str | None = None
    window: int | None = None
    horizon: int = 1

    def __post_init__(self) -> None:
        check_known("value of missing", self.missing, columns.MISSING, where="missing")
        check_known("value of scale", self.scale, columns.SCALES, where="scale")
        if self.predict is not None:
            check_known("value of predict", self.predict, PREDICTED, where="predict")
        for name in SPECIAL:
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                expected = "the name of a column"
                raise UsageError("wrong type", where=name, expected=expected, found=short(value))
        splits = ("split", "group") if self.sequence is not None else ("split", "group", "time")
        chosen = [n for n in splits if getattr(self, n) is not None]
        if len(chosen) > 1:
            raise UsageError(
                "two ways to split the rows",
                where=chosen[1],
                expected="one of split, group and time",
                found=" and ".join(chosen),
            )
        check_whole(horizon=self.horizon)
        if self.window is not None:
            check_whole(window=self.window)
            for name in ("split", "group", "shape", "sequence"):
                if getattr(self, name) is not None:
                    what, hint = "not with a window", "rows are split by time"
                    raise UsageError(what, where=name, found=getattr(self, name), hint=hint)
        if self.sequence is not None and self.shape is not None:
            what, hint = "not with sequences", "their steps are (D,)"
            raise UsageError(what, where="shape", found=short(self.shape), hint=hint)
        for name in ("features", "drop"):
            value = getattr(self, name)
            value = () if value is None and name == "drop" else value
            listed = [value] if isinstance(value, str) else value
            if listed is not None and not _are_names(listed):
                raise UsageError(
                    "wrong type", where=name, expected="names of columns", found=short(value)
                )
            object.__setattr__(self, name, listed if listed is None else tuple(listed))


def _are_names(value: Any) -> bool:
    return isinstance(value, Iterable) and all(isinstance(name, str) for name in value)


def checked_options(kind: type[T], options: Mapping[str, Any]) -> T:
    """Options by name, as a dataclass has them; raises UnknownNameError for another one."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in options:
        check_known("option", name, known)
    return kind(**options)


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """How pictures are read.

    layout: "image" (H, W, C), "rows" (T, D) or "flat" (D,).
    size: [height, width] to which all are resized; by default they must be equal. color: "gray" or
        "color" makes all of them so.
    unreadable: "refuse" tells of all pictures that cannot be read at once; "leave out" does without
        them, and says so.
    labels: a table in the folder, .csv or .tsv, of file names and labels; by default the one there
        is, where no folders name classes. target: its column of labels.
    validation, test: shares of every class, where no folders are called so; validation = 0 leaves
        it out. split_seed: of the draw.
    """

    layout: str = "image"
    size: Sequence[int] | None = None
    color: str | None = None
    unreadable: str = "refuse"
    labels: str | None = None
    target: str | None = None
    validation: float | None = SHARES["validation"]
    test: float = SHARES["test"]
    split_seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ArrayOptions:
    """How arrays are read.

    predict: "classes" or "numbers"; by default texts, whole numbers and one-hot rows are classes,
        other numbers are numbers. unit: of numbers, as "cm".
    order: how the axes of the inputs are ordered, as "HWCN" (N examples, T steps, H height, W
        width, C channels, D features); by default the examples come first.
    layout: "rows" (T, D), "flat" (D,) or "image" (H, W, C) of pictures; by default as they are.
    scale: "standard" takes from every number of an input the mean of the training part, and divides
        by its spread there; "none" leaves them. uint8 is read as fractions of 255.
    """

    predict: str | None = None
    unit: str = ""
    order: str | None = None
    layout: str | None = None
    scale: str = "none"

    def __post_init__(self) -> None:
        check_known("value of scale", self.scale, SCALES, where="scale")
        if self.predict is not None:
            check_known("value of predict", self.predict, PREDICTED, where="predict")
