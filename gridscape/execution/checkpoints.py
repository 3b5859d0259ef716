"""Works in flight, kept in the results folder from time to time, and found again after a death."""

import time
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from gridscape.errors import StoreError
from gridscape.execution.executors import Snapshot
from gridscape.grid.trials import content_key
from gridscape.store.store import Store

# Checkpoints are written at most this often, and take at most about 5 % of the time.
CHECKPOINT_SECONDS = 5.0
# From a GPU to a disk, measured: checksums and copies included.
CHECKPOINT_BYTES_PER_SECOND = 250e6

STOPPED = "stopped-"  # how the names of those begin that stopped trials go on from


class Place(NamedTuple):
    """Where the snapshot of a trial is: in which checkpoint, at which index, after how much."""

    name: str
    row: int
    update: int


class Checkpoints:
    """The checkpoints of a results folder, each with some trials of a work.

    One is kept until all of its trials have ended: a work that is cut begins again from where it
    was restored, however far it has come since. Those of stopped trials have names of their own,
    and are kept as long as one of these is stopped. stopped: their keys.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.stopped = set[str]()
        self._places: dict[str, Place] = {}
        self._keys: dict[str, frozenset[str]] = {}
        self._saved: dict[int, set[str]] = {}  # by work, what this process wrote last

    def find(self, wanted: Set[str]) -> dict[str, int]:
        """Look for the furthest snapshot of each trial: its updates, for those that have one."""
        places: dict[str, Place] = {}
        for name, meta, _ in self.store.checkpoints():
            if not wanted.isdisjoint(meta["keys"]):
                self._keys[name] = frozenset(meta["keys"])
            for index, key in enumerate(meta["keys"]):
                known = places[key].update if key in places else 0
                if key in wanted and meta["update"] > known:
                    places[key] = Place(name, index, meta["update"])
        self._places |= places
        needed = {place.name for place in self._places.values()}.union(*self._saved.values())
        self._drop([name for name in self._keys if name not in needed])
        return {key: place.update for key, place in places.items()}

    def restored(self, keys: Sequence[str]) -> Snapshot:
        """One snapshot of these trials, put together from where each of them was found.

        Raises StoreError where a checkpoint is no longer there, or can no longer be read.
        """
        places = [self._places[key] for key in keys]
        left = {place.name for place in places}
        meta: dict[str, Any] = {}
        rows: dict[str, list[np.ndarray]] = {}
        for name, part_meta, arrays in self.store.checkpoints():
            left.discard(name)
            for position, place in enumerate(places):
                if place.name == name:
                    meta = part_meta
                    for array_name, array in arrays.items():
                        row = rows.setdefault(array_name, [np.empty(0)] * len(places))
                        row[position] = array[place.row]
        if left:
            raise StoreError(
                "a checkpoint has gone while its trials were to go on from it",
                where=self.store.directory,
                found=f"no {min(left)}",
                hint="run the study again: it goes on from what is there",
            )
        arrays = {name: np.stack(row) for name, row in rows.items()}
        return Snapshot({**meta, "keys": list(keys)}, arrays)

    def save(self, work: int, snapshots: Iterable[Snapshot]) -> None:
        """Keep a work as it is now, in place of how it was; without memory for it, go on."""
        names = set[str]()
        try:
            for part in snapshots:
                keys = part.meta["keys"]
                name = f"{content_key({'trials': sorted(keys)})}-{part.meta['update']}"
                self.store.save_checkpoint(name, dict(part.meta), dict(part.arrays))
                self._keys[name] = frozenset(keys)
                names.add(name)
        except MemoryError as error:
            warnings.warn(f"no checkpoint for lack of memory: {error}", stacklevel=2)
            self._saved[work] = self._saved.get(work, set()) | names
            return
        if names:
            now = frozenset[str]().union(*(self._keys[name] for name in names))
            older = self._saved.get(work, set()) - names
            # Parts of a work may be trained side by side; of one that waits for a worker, or says
            # nothing just now, the last one stays.
            replaced = {name for name in older if self._keys.get(name, frozenset()) <= now}
            self._drop(replaced)
            self._saved[work] = names | older - replaced

    def keep(self, snapshot: Snapshot) -> None:
        """Keep trials that were stopped as they are, until they go on."""
        keys = snapshot.meta["keys"]
        name = f"{STOPPED}{content_key({'trials': sorted(keys)})}-{snapshot.meta['update']}"
        self.store.save_checkpoint(name, dict(snapshot.meta), dict(snapshot.arrays))
        self._keys[name] = frozenset(keys)

    def drop_ended(self, left: Collection[str]) -> None:
        """Drop those of which no trial is left to train."""
        self._drop([name for name, keys in self._keys.items() if keys.isdisjoint(left)])

    def drop_all(self) -> None:
        """Drop all that the folder has, those of other studies that it held included."""
        self._keys |= {name: frozenset(meta["keys"]) for name, meta, _ in self.store.checkpoints()}
        self._drop(list(self._keys))

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            if name.startswith(STOPPED) and not self._keys[name].isdisjoint(self.stopped):
                continue
            self.store.drop_checkpoint(name)
            self._keys.pop(name, None)


class CheckpointClock:
    """When the next checkpoint is due: after CHECKPOINT_SECONDS, or 20 times what one takes.

    What the first one takes is guessed from its bytes; the others take what the last one took.
    """

    def __init__(self, n_bytes: int = 0) -> None:
        self._last = time.perf_counter()
        self._cost = n_bytes / CHECKPOINT_BYTES_PER_SECOND

    def is_due(self) -> bool:
        """Whether enough time has passed."""
        return time.perf_counter() - self._last > max(CHECKPOINT_SECONDS, 20 * self._cost)

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Time the writing of a checkpoint."""
        begin = time.perf_counter()
        yield
        self._last = time.perf_counter()
        self._cost = self._last - begin
