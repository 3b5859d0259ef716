"""Acts on a run, asked for through its folder by whoever may write there.

    acts/<id>.json    what is asked for and, once the writer has taken it up, what became of it

Anybody asks, by a file of its own; the one writer alone replaces it. So two who ask at once do
not meet, an act is taken up once, and a death on either side leaves a whole file or none. What is
asked for while nobody trains waits for the next run. A reader believes none of it.
"""

import json
import math
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeGuard, get_args

from gridscape.errors import (
    StoreError,
    UnknownNameError,
    UsageError,
    check_known,
    check_whole,
    cut,
    short,
)
from gridscape.grid.axes import Axis, Cell, same, show, written
from gridscape.store.blobs import DamagedError, file_status, require_within, write_whole
from gridscape.store.imported import require_own

FOLDER = "acts"
Kind = Literal["stop", "resume", "first", "replicates", "values"]
State = Literal["waiting", "done", "refused"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_BYTES = 64 * 2**10
MOST_WAITING = 1_000
MOST_SETTLED = 1_000  # that are kept: the newest
MOST_REPLICATES = 10_000
MOST_VALUES = 100  # of an axis in one act, and axes in one
MOST_WORDS = 300
LAST_SECOND = 4e9  # since 1970, of a time that is told
HALF_WRITTEN_SECONDS = 3_600  # after which nobody writes on
POLL_SECONDS = 0.25  # between two looks at the folder
_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}")


@dataclass(frozen=True)
class Act:
    """What a run shall do.

    kind: stop: end trials that have not ended, with what they have come to. resume: let stopped
    trials go on. first: train these before others. replicates: at least ``number`` of each cell.
    values: train ``axis`` at ``values``, too. where: values of some axes, which choose the cells
    that have them; all where it is empty. replicate: of the cells; None for all. by: who asked, in
    a word.
    """

    kind: Kind
    where: Mapping[str, Any]
    replicate: int | None = None
    number: int | None = None
    axis: str | None = None
    values: tuple[Any, ...] = ()
    by: str = ""

    @classmethod
    def of(cls, content: Any) -> Self:
        """An act from plain data of anybody; raises UsageError for anything else."""
        names = {field.name for field in fields(cls)}
        if not isinstance(content, dict) or not content.keys() <= names:
            found = next((n for n in content if n not in names), None) if _is_table(content) else ""
            raise UsageError("not an act", expected=", ".join(sorted(names)), found=short(found))
        check_known("act", content.get("kind"), KINDS)
        values = content.get("values", ())
        if not isinstance(values, list | tuple):
            raise UsageError("not a list of values", found=short(values))
        act = cls(**{"where": {}, **content, "values": tuple(values)})
        act.check()
        return act

    def check(self) -> None:
        """Raise UsageError where the parts do not make an act."""
        where = f"act {self.kind}"
        if not _is_table(self.where) or len(self.where) > MOST_VALUES:
            raise UsageError("not a choice of cells", where=where, found=short(self.where))
        odd = [v for n, v in self.where.items() if not _is_text(n) or not _is_plain(v)]
        odd += [value for value in self.values if value is None or not _is_plain(value)]
        if odd or len(self.values) > MOST_VALUES:
            found = short(odd[0]) if odd else f"{len(self.values):,} values"
            raise UsageError("not a value of an axis", where=where, found=found)
        if self.replicate is not None:
            check_whole(0, MOST_REPLICATES, replicate=self.replicate)
        if (self.kind == "replicates") != (self.number is not None):
            raise UsageError("a number goes with replicates", where=where, found=self.number)
        if self.number is not None:
            check_whole(1, MOST_REPLICATES, replicates=self.number)
        if (self.kind == "values") != (_is_text(self.axis) and bool(self.values)):
            raise UsageError("an axis and values go with values", where=where)
        if self.kind != "values" and (self.axis is not None or self.values):
            raise UsageError("an axis and values go with values alone", where=where)
        if self.kind in ("replicates", "values") and self.replicate is not None:
            raise UsageError("one replicate cannot be chosen here", where=where)
        if self.kind == "values" and self.where:
            raise UsageError("values are added to a whole axis", where=where)
        if self.axis is not None:
            Axis(self.axis, self.values)  # which refuses a value that is there twice
        if not _is_text(self.by) or len(self.by) > 100:
            raise UsageError("not a name", where=where, found=short(self.by))

    def check_in(self, study: Mapping[str, Any]) -> None:
        """Raise UsageError where a study has not the axes, or their values, that this names.

        StoreError where nothing can train it.
        """
        require_own(study, study.get("name"))
        axes = study["axes"]
        for name, value in self.where.items():
            check_known("axis", name, axes)
            if Axis(name, tuple(axes[name])).place(value) is None:
                raise UnknownNameError(f"value of {name}", show(value), map(show, axes[name]))
        if self.axis is not None:
            check_known("axis", self.axis, axes)
            odd = next((v for v in self.values if isinstance(v, bool)), None)
            if odd is not None and all(map(_is_number, axes[self.axis])):
                where = f"axis {self.axis}"
                raise UsageError("not a number", where=where, found=show(odd))

    def chooses(self, cell: Cell, replicate: int | None = None) -> bool:
        """Whether this is about a cell, and about its replicate where one is given."""
        others = replicate is not None and self.replicate not in (None, replicate)
        return not others and all(_has(cell, name, value) for name, value in self.where.items())

    @property
    def target(self) -> str:
        """What it is about, in words."""
        cells = ", ".join(f"{name}={show(value)}" for name, value in self.where.items())
        one = "" if self.replicate is None else f", replicate {self.replicate}"
        return f"{cells or 'all cells'}{one}"

    def __str__(self) -> str:
        match self.kind:
            case "replicates":
                return f"{self.number} replicates of {self.target}"
            case "values":
                return f"{self.axis} also at {', '.join(map(show, self.values))}"
            case "first":
                return f"{self.target} first"
        return f"{self.kind} {self.target}"


@dataclass(frozen=True)
class Asked:
    """An act on record. act: None where the file holds none; words: what became of it."""

    id: str
    act: Act | None
    asked: float
    state: State
    words: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether the writer has taken it up."""
        return self.state != "waiting"

    @property
    def title(self) -> str:
        """The act in words."""
        return cut(str(self.act), MOST_WORDS) if self.act else "not an act"


def ask(directory: Path, act: Act) -> str:
    """Ask for an act; its id. When this returns, a crash does not lose it.

    Raises StoreError where the folder holds no results, cannot be written, or too many acts wait.
    """
    act.check()
    folder = directory / FOLDER
    if not (directory / "study.json").is_file():
        raise StoreError("holds no results", where=directory, hint="name its folder")
    if (n_waiting := len(Queue(directory).waiting())) >= MOST_WAITING:
        raise StoreError("too many acts wait", where=folder, found=n_waiting)
    name = f"{time.time_ns():016x}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(exist_ok=True)
        require_within(directory, folder)
        write_whole(_path(directory, name), _text({"act": asdict(act), "asked": time.time()}))
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"cannot ask for anything: {reason}", where=folder) from error
    return name


def on_record(directory: Path) -> list[Asked]:
    """All acts of a folder in the order in which they were asked for; what is no act is told so.

    Links, and files of other names, are left out.
    """
    return Queue(directory).all()


def prepare(directory: Path) -> None:
    """Make the place of acts, and remove what those who died while they asked left half written.

    The writer makes it: in one that whoever asks first has made it may have no right to write.
    """
    require_within(directory, directory / FOLDER)
    with suppress(FileExistsError):  # a file of this name holds no acts
        (directory / FOLDER).mkdir()
    for path in (directory / FOLDER).glob("*.tmp"):
        with suppress(OSError):  # gone, a folder of this name, or not ours to remove
            if time.time() - path.lstat().st_mtime > HALF_WRITTEN_SECONDS:
                path.unlink()


class Queue:
    """The acts of a folder, for who looks again and again: what is settled is read once.

    What was settled here is settled, also where no file tells so.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._settled: dict[str, Asked] = {}
        self._next = 0.0

    def is_due(self) -> bool:
        """Whether it is time for another look."""
        return time.monotonic() >= self._next

    def all(self) -> list[Asked]:
        """Every act in the order in which they were asked for."""
        names = list(_names(self._directory))
        known = {name: self._settled.get(name) or _read(self._directory, name) for name in names}
        self._settled = {n: asked for n, asked in known.items() if asked and asked.is_settled}
        self._next = time.monotonic() + POLL_SECONDS
        return [asked for asked in known.values() if asked]

    def waiting(self) -> list[Asked]:
        """Those that nobody has taken up."""
        return [asked for asked in self.all() if not asked.is_settled]

    def settle(self, asked: Asked, state: State, words: str) -> None:
        """Tell what became of an act; only the writer of a folder may. Raises OSError."""
        self._settled[asked.id] = replace(asked, state=state, words=words)
        content = {
            "act": None if asked.act is None else asdict(asked.act),
            "asked": asked.asked,
            "state": state,
            "words": cut(words, MOST_WORDS),
            "settled": time.time(),
        }
        write_whole(_path(self._directory, asked.id), _text(content))
        self._remove_oldest()

    def tidy(self) -> None:
        """Remove all that was settled but the newest; only the writer of a folder may."""
        self.all()
        self._remove_oldest()

    def _remove_oldest(self) -> None:
        for name in sorted(self._settled)[:-MOST_SETTLED]:
            with suppress(OSError):
                _path(self._directory, name).unlink()
                del self._settled[name]  # of one that stays, what became of it must be known


def _names(directory: Path) -> Iterator[str]:
    try:
        require_within(directory, directory / FOLDER)
        found = sorted(os.listdir(directory / FOLDER))
    except (OSError, StoreError):
        return
    for file in found:
        name, dot, kind = file.partition(".")
        if dot and kind == "json" and _ID.fullmatch(name):
            yield name


def _read(directory: Path, name: str) -> Asked | None:
    path = _path(directory, name)
    try:
        content = json.loads(path.read_bytes()) if _is_small(path) else None
    except (OSError, DamagedError):
        return None  # gone, a link, or not ours to read
    except (ValueError, RecursionError):
        content = None
    told: Mapping[str, Any] = content if isinstance(content, dict) else {}
    asked, state, words = (told.get(n) for n in ("asked", "state", "words"))
    try:
        act = Act.of(told.get("act"))
    except UsageError:
        act = None
    return Asked(
        id=name,
        act=act,
        asked=_second(asked),
        state=state if state in ("done", "refused") else "waiting",
        words=cut(words, MOST_WORDS) if _is_text(words) else "",
    )


def _is_small(path: Path) -> bool:
    return file_status(path).st_size <= MOST_BYTES


def _path(directory: Path, name: str) -> Path:
    return directory / FOLDER / f"{name}.json"


def _text(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _second(asked: Any) -> float:
    """A moment since 1970 that can be told; whatever else stands there, the first one."""
    is_number = isinstance(asked, int | float) and not isinstance(asked, bool)
    return float(min(max(asked, 0), LAST_SECOND)) if is_number and _is_finite(asked) else 0.0


def _is_text(value: Any) -> TypeGuard[str]:
    """Whether it is text that can be written: half of a pair of surrogates cannot."""
    return isinstance(value, str) and value.encode("utf-8", "ignore").decode() == value


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 1_000 and _is_text(value)
    return value is None or (isinstance(value, int | float) and _is_finite(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def _has(cell: Cell, name: str, value: Any) -> bool:
    if name not in cell:
        return False
    own = cell[name]
    if own is None or value is None:
        return own is value or (own is None and value == show(None))
    return same(written(value), own) or show(own) == value
