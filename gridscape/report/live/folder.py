"""A results folder that grows: what is new is read, what was read before is not.

What ends comes in a file of its own, alone or with others, so a list of names says what is new.
Where nobody looked for a while, checksums say which trials were replaced under the same name.
"""

import os
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gridscape.errors import GridscapeError, StoreError
from gridscape.grid.asked import OTHERS, Asked
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.store.store import Store, stored_study

SETTLED_SECONDS = 0.1  # after which a change of a folder shows in its time stamp


class Folder:
    """The trials of a results folder by key; used by one thread.

    study: its plain data, empty before there is any. trials: without arrays. generation: another
    number where its grid, or the folder itself, is another than before. damaged: blobs that cannot
    be read. trouble: why the folder cannot be read now, "" where it can.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.study: dict[str, Any] = {}
        self.trials: dict[str, tuple[Trial, TrialResult]] = {}
        self.curves: dict[str, Mapping[str, np.ndarray]] = {}
        self.generation, self.damaged, self.trouble = 0, set[str](), ""
        self._seen: set[str] = set()  # blobs
        self._blob_of: dict[str, str] = {}  # by key: of which of them a trial was read
        self._checksums: dict[str, int] = {}
        self._store: Store | None = None
        self._identity: Any = None
        self._stamps: Any = None
        self._pending = False  # whether a row is still on its way to a blob

    def look(self, *, thorough: bool = False) -> set[str]:
        """The keys of trials that are new or other than before.

        thorough: those too that were replaced while nobody looked. A folder that cannot be read
        keeps what was read; ``trouble`` says why.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is damaged is told on the page
                found = self._look(thorough)
        except (GridscapeError, OSError) as error:
            self.close()
            reason = getattr(error, "strerror", None)
            self.trouble = f"{self.directory}: cannot be read: {reason}" if reason else str(error)
            return set()
        self.trouble = ""
        return found

    def curves_of(self, keys: Iterable[str]) -> None:
        """Read the curves of trials that have none here yet; raises StoreError."""
        lacking = [key for key in keys if key not in self.curves and key in self.trials]
        if self._store is not None and lacking:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.curves |= self._store.curves(lacking)

    def close(self) -> None:
        """Give the folder's files back; the next look opens them again."""
        if self._store is not None:
            self._store.close()
        self._store = self._stamps = None

    def _look(self, thorough: bool) -> set[str]:
        identity = _identity(self.directory)
        if self._store is None or identity != self._identity:
            self._open(identity)
            thorough = bool(self._seen)
        stamps = _stamps(self.directory)
        if stamps == self._stamps and not thorough:
            return set()
        self._read_study()
        found = self._replaced() if thorough else set()
        found |= self._read_new()
        if not found <= self.trials.keys():  # some are gone: another folder has taken its place
            self.generation += 1
            found &= self.trials.keys()
        waits = time.time() - max(stamps) / 1e9 < SETTLED_SECONDS or self._pending
        self._stamps = None if waits else stamps
        return found

    def _open(self, identity: Any) -> None:
        self.close()
        store = Store.read(self.directory)
        if self._identity is not None and identity != self._identity:  # another folder by now
            self.trials.clear()
            self._seen.clear()
            self._blob_of.clear()
            self.curves.clear()
            self.damaged.clear()
            self.study = {}
        self._store, self._identity = store, identity

    def _read_study(self) -> None:
        study = stored_study(self.directory)
        if study != self.study:
            if _grid_of(study) != _grid_of(self.study):
                self.generation += 1
            self.study = study

    def _replaced(self) -> set[str]:
        """Forget what the ledger has otherwise by now."""
        assert self._store is not None
        now = self._store.checksums()
        changed = {b for b in self._seen if now.get(b) != self._checksums.get(b)}
        self._seen -= changed
        keys = {key for key, blob in self._blob_of.items() if blob in changed}
        for key in keys:
            del self._blob_of[key]
            self.trials.pop(key, None)
            self.curves.pop(key, None)
        self._checksums = now
        return keys

    def _read_new(self) -> set[str]:
        assert self._store is not None
        blobs = self._store.blobs()
        found = set[str]()
        if gone := self._seen - blobs:
            self._seen -= gone
            self.damaged -= gone
            for key in [key for key, blob in self._blob_of.items() if blob in gone]:
                del self._blob_of[key]
                found |= self._go_on(key)
        new = blobs - self._seen
        if len(new) == len(blobs):
            self._checksums = self._store.checksums()
        for blob, entry in self._store.entries(sorted(new)):
            self._seen.add(blob)
            if entry is None:
                self.damaged.add(blob)
                continue
            self.damaged.discard(blob)
            key = entry[0].key
            self._blob_of[key] = blob
            if self.trials.get(key) == entry:  # only the file is another, as others have left it
                continue
            self.trials[key] = entry
            self.curves.pop(key, None)
            found.add(key)
        self._pending = not new <= self._seen
        return found

    def _go_on(self, key: str) -> set[str]:
        """A trial whose blob is gone: one that was stopped goes on, others are replaced."""
        if key not in self.trials or self.trials[key][1].status is not Status.STOPPED:
            return set()
        self.curves.pop(key, None)
        del self.trials[key]
        return {key}


def _identity(directory: Path) -> Any:
    """What tells a folder from another one that took its place."""
    try:
        found = directory.stat(), (directory / "ledger.sqlite").stat()
    except FileNotFoundError as error:
        hint = "the page goes on when it is back" if not directory.exists() else None
        message = "is gone" if not directory.exists() else "holds no results"
        raise StoreError(message, where=directory, hint=hint) from error
    return [(each.st_dev, each.st_ino) for each in found]


def _stamps(directory: Path) -> list[int]:
    return [os.stat(directory / name).st_mtime_ns for name in ("study.json", "blobs")]


def _grid_of(study: Mapping[str, Any]) -> Any:
    return [study.get(name) for name in ("axes", "replicates", OTHERS, "metrics", "groups", "name")]


def n_asked(study: Mapping[str, Any]) -> int:
    """How many networks a study asks for."""
    asked = Asked(study)
    n_cells = int(np.prod([len(values) for values in study["axes"].values()], dtype=np.int64))
    others = [number - asked.replicates for _, number in study.get(OTHERS, [])]
    return n_cells * asked.replicates + sum(others)


class Numbers:
    """Cells of a study by their values, as text: the number of each in the grid."""

    def __init__(self, study: Mapping[str, Any]) -> None:
        self.axes = {name: list(values) for name, values in study["axes"].items()}
        self._at = [{v: i for i, v in enumerate(values)} for values in self.axes.values()]
        sizes = [len(values) for values in self.axes.values()]
        self._strides = [int(np.prod(sizes[i + 1 :], dtype=np.int64)) for i in range(len(sizes))]
        self.n = int(np.prod(sizes, dtype=np.int64))

    def of(self, cell: Mapping[str, Any]) -> int | None:
        """The number of a cell; None outside of the grid."""
        try:
            return self.of_values([cell[name] for name in self.axes])
        except KeyError:
            return None

    def of_values(self, values: Iterable[Any]) -> int | None:
        """The number of the cell with these values, in the order of the axes."""
        try:
            steps = zip(values, self._at, self._strides, strict=True)
            return sum(at[value] * stride for value, at, stride in steps)
        except (KeyError, ValueError, TypeError):
            return None

    def box(self, cells: Iterable[int]) -> dict[str, list[Any]]:
        """The values of each axis that some of these cells have."""
        numbers = np.fromiter(cells, np.int64)
        return {
            name: [values[i] for i in np.unique(numbers // stride % len(values))]
            for (name, values), stride in zip(self.axes.items(), self._strides, strict=True)
        }
