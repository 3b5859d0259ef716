"""What an executor is: where works are trained, told to the sweep as one stream of events.

The sweep decides what is trained, in which order and how carefully, and is the only writer of the
results folder. An executor decides where. What it is handed is plain data:

    open(resolved, data_dir)    a study begins; ``Job`` packs it for other processes
    costs(trials, timed)        what a worker would take for these trials: plain data, too
    submit(work, saved)         train these trials; any number of works may be out at once
    events()                    what happens to all of them, in one stream
    snapshots(work_id)          all that is needed to go on with a work from where it is
    cancel(work_id)             end a work after the segment that it is in
    close()                     the study ends, and with it all that is still out

Of each work the events come in this order; those of several works may be mixed:

    Taken                       it is planned and its programs are compiled, from here on
    Begun                       some of its trials, a run, are in training
    Progress                    after every segment of a run
    Finished                    once for each trial: a program that raises is a status, too
    Cut                         memory did not suffice for the run: smaller ones begin
    Done                        nothing more comes: every trial has ended, or it was cancelled
    Lost                        instead of Done: the process that trained it died
    Idle                        of no work: again and again, while works wait for workers

An executor need know none of what happens to a work: ``execution.worker.Worker`` yields all of it
but Lost and Idle, wherever it runs. It plans, cuts for memory, halves and compiles there. So an
executor carries works to workers, and events back. ``execution.sole.Sole`` is the shortest one. A
plan opens an executor, asks it for ``costs``, and closes it.

What else an executor owes:

- ``events`` ends when no work is out, and goes on with works that are submitted meanwhile; after
  Lost, the sweep submits the trials that have not ended as new works.
- It takes works in the order in which they are submitted, or, of equal ``rank``, those first that
  take longest; but those with ``care``, or without ``ahead``, stay last. Those
  with ``ahead`` may be compiled while others train; one without is compiled when its turn comes.
- It may train parts of a work at the same time: their events are all told in the name of the work,
  and Begun tells all that are in training.
- It never writes to the results folder, and prints nothing.
- What a worker raises, other than the outcome of trials, is raised by ``events``.
- Processes of its own leave Ctrl-C to the sweep, and end when the process of the sweep does.
- It may be opened again after it was closed.
"""

import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np

from gridscape.engine.cohorts import Cohort, partition
from gridscape.engine.machine import Machine
from gridscape.errors import StoreError, UsageError, check_known
from gridscape.execution.memory import free_memory_bytes
from gridscape.execution.planner import Costs
from gridscape.grid.trials import Trial, TrialResult, content_key
from gridscape.kernels.cores import n_cores
from gridscape.study.study import MEASURED, ResolvedStudy, Study, told_objects

NAMES: Mapping[str, str] = {
    "local": "gridscape.execution.local:Local",
    "ray": "gridscape.execution.ray.executor:Ray",
}

# ---- what goes to where the work runs ----


class Care(IntEnum):
    """How carefully a work is trained, after deaths of the process that trained it."""

    NONE = 0
    FEW = 1  # one trial a device at once
    ALONE = 2  # one trial at once
    IN_MICROBATCHES = 3  # and its batches in many microbatches, so that it takes little memory


@dataclass(frozen=True)
class Work:
    """Trials that one program trains, from the same update ``start`` on: plain data.

    id: of the work among those of a run. ahead: whether its programs may be compiled while others
    train. n_sharing: trials of the largest of those works that are to share a program, as parts of
    one do. rank: those of lower rank come first.
    """

    id: int
    trials: tuple[Trial, ...]
    start: int = 0
    care: Care = Care.NONE
    ahead: bool = True
    n_sharing: int = 0
    rank: int = 0

    def cohort(self, resolved: ResolvedStudy) -> Cohort:
        """Its trials with the functions that train them."""
        progress = {trial.key: self.start for trial in self.trials}
        (cohort,) = partition(resolved, self.trials, progress)
        return replace(cohort, n_sharing=self.n_sharing)


@dataclass(frozen=True)
class Snapshot:
    """Some trials of a work between two segments.

    meta: plain data: ``keys`` of the trials, ``update``, ``seconds`` of their cohort and the
        ``share`` that each gets of them, ``evaluated_at``.
    arrays: ``state/...``, ``trace/...`` and ``evaluation/...``, each (trials, ...).
    """

    meta: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    def of(self, keys: Sequence[str]) -> "Snapshot":
        """The same of some of its trials, in this order."""
        rows = [self.meta["keys"].index(key) for key in keys]
        arrays = {name: array[rows] for name, array in self.arrays.items()}
        return Snapshot({**self.meta, "keys": list(keys)}, arrays)

    @classmethod
    def joined(cls, parts: Sequence["Snapshot"]) -> "Snapshot":
        """The snapshots of parts of one run, taken at the same time, as one."""
        keys = [key for part in parts for key in part.meta["keys"]]
        names = parts[0].arrays
        arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in names}
        return cls({**parts[0].meta, "keys": keys}, arrays)


# The snapshot from which trials of a work go on, by their keys. It reads the results folder, so it
# is called where the sweep is; where the work is elsewhere, ``Snapshot.of`` stands in for it.
Saved = Callable[[Sequence[str]], Snapshot]


@dataclass(frozen=True)
class Job:
    """A study as plain data, from which another process makes it again.

    record: JSON, as in study.json. key: tells whether all trials have the same keys there. objects:
    what the study has from Python, packed by the executor.
    """

    record: Mapping[str, Any]
    data_dir: str | None
    key: str
    objects: bytes = b""

    @classmethod
    def of(
        cls,
        resolved: ResolvedStudy,
        data_dir: str | Path | None = None,
        pack: Callable[[Mapping[str, Any]], bytes] | None = None,
    ) -> Self:
        """Pack a study; raises UsageError where a part is a Python object that nobody can pack.

        pack: makes bytes of such parts, by name, of which ``unpack`` of ``resolve`` makes them
        again.
        """
        record = json.loads(json.dumps(resolved.record()))
        objects, packed = record.get("objects", ()), b""
        if objects and pack is not None:
            packed = pack({name: getattr(resolved.study, name) for name in objects})
        elif objects:
            raise UsageError(
                f"the {' and the '.join(objects)} cannot be sent to other processes",
                where=f"study {record['name']}",
                expected="a name or an import string",
                found=told_objects(record),
                hint="name it 'module:object', or use the executor 'local'",
            )
        folder = None if data_dir is None else str(Path(data_dir).absolute())
        return cls(record, folder, _key(resolved), packed)

    def resolve(self, unpack: Callable[[bytes], Mapping[str, Any]] | None = None) -> ResolvedStudy:
        """The study, made here; raises StoreError where its code or data are others here."""
        # Trusted: it comes from the process that resolved it, not from a folder.
        if self.objects and unpack is not None:
            given = {name: self.record[name] for name in Study.model_fields if name in self.record}
            given |= {"metrics": self.record.get(MEASURED), **unpack(self.objects)}
            resolved = Study(**given).resolve(self.data_dir)
        else:
            resolved = Study.from_record(self.record, trust=True).resolve(self.data_dir)
        if _key(resolved) != self.key:
            raise StoreError(
                "the study has other code or other data where its trials are trained",
                where=f"study {resolved.study.name}",
                hint="install the same versions and files there",
            )
        return resolved


def _key(resolved: ResolvedStudy) -> str:
    return content_key({"trials": [trial.key for trial in resolved.trials()]})


# ---- what comes back ----


@dataclass(frozen=True)
class Taken:
    """A worker has taken a work up: it plans, and compiles."""

    work: int


@dataclass(frozen=True)
class Begun:
    """These trials of a work are in training; those before them have ended, or were cut.

    state_bytes: of all their states, which a snapshot holds.
    """

    work: int
    trials: tuple[Trial, ...]
    state_bytes: int


@dataclass(frozen=True)
class Progress:
    """A segment is done.

    update: updates that the trials have behind them, of ``updates``. accuracy: of each trial, in
    the order of ``trials``: over the latest batches, or over test examples where
    ``evaluated``. alive: trials that have not diverged. seconds: that they have been trained for.
    """

    work: int
    trials: tuple[Trial, ...]
    update: int
    updates: int
    accuracy: np.ndarray
    evaluated: bool
    alive: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Finished:
    """A trial has ended: its key tells of which work it is."""

    trial: Trial
    result: TrialResult


@dataclass(frozen=True)
class Cut:
    """These trials did not fit into memory, and go on in smaller runs.

    n_runs: 0 where nothing smaller is left to try. n_microbatches: of their batches from now on.
    """

    work: int
    trials: tuple[Trial, ...]
    n_runs: int
    n_microbatches: int


@dataclass(frozen=True)
class Done:
    """No more events come of a work."""

    work: int


@dataclass(frozen=True)
class Lost:
    """The process that trained a work died, and no more events come of it."""

    work: int


@dataclass(frozen=True)
class Idle:
    """Works are out, but no worker trains any of them: this may take long, or for ever."""


Event = Taken | Begun | Progress | Finished | Cut | Done | Lost | Idle


class Room(NamedTuple):
    """What a worker has.

    n_devices: devices, or cores that train by themselves. free_bytes: memory that is free on all of
    them. n_copies: of the data, one for each device that has memory of its own.
    """

    n_devices: int
    free_bytes: float
    n_copies: int = 1

    @classmethod
    def here(cls) -> "Room":
        """What the executor of this process has."""
        machine = Machine.local()
        free_bytes, n_devices = free_memory_bytes(machine), len(machine.devices)
        if machine.trains_apart:
            return cls(n_cores(), free_bytes)
        return cls(n_devices, free_bytes, n_copies=n_devices)


@runtime_checkable
class Executor(Protocol):
    """Trains works somewhere: see the head of this module."""

    def open(self, resolved: ResolvedStudy, data_dir: str | Path | None) -> None:
        """Get ready for the works of a study, whose data sets are looked for in ``data_dir``."""

    def room(self) -> Room:
        """What a worker has for a work: by this the sweep tells what takes much memory."""

    def costs(self, trials: Sequence[Trial], timed: bool) -> Costs:
        """What a worker would take for these trials, which it trains none of; see ``Planner``.

        timed: whether a few updates are run, to estimate time. Raises GridscapeError.
        """

    def submit(self, work: Work, saved: Saved) -> None:
        """Take a work to be trained; ``saved`` is asked only where it starts later than at 0."""

    def events(self) -> Iterator[Event]:
        """What happens, until no work is out; raises GridscapeError."""

    def snapshots(self, work: int) -> Iterator[Snapshot]:
        """The trials of a work that are in training, in parts of bounded size, as they are now.

        None while nothing of it is in training. Other events may happen meanwhile, but wait.
        """

    def cancel(self, work: int) -> None:
        """End a work after the segment that it is in, or before it is taken; then it is Done."""

    def close(self) -> None:
        """End all that is out and give back what ``open`` took; again does nothing."""


def find_executor(executor: str | Executor, address: str | None = None) -> Executor:
    """An executor by name, or the object itself. address: of the cluster that it trains on.

    Raises UnknownNameError, and UsageError for an object that is none or for an address of "local".
    """
    if isinstance(executor, str):
        check_known("executor", executor, NAMES)
        if address is not None and executor == "local":
            raise UsageError(
                "the executor 'local' has no address",
                where="--address",
                found=repr(address),
                hint="a cluster is trained on by --executor ray",
            )
        module, _, name = NAMES[executor].partition(":")
        kind = getattr(importlib.import_module(module), name)
        found: Executor = kind() if address is None else kind(address)
        return found
    if isinstance(executor, type) or not isinstance(executor, Executor):
        is_class = isinstance(executor, type)
        raise UsageError(
            "not an executor",
            where="executor",
            expected=f"a name ({', '.join(NAMES)}) or an object with the methods of Executor",
            found=f"the class {executor.__name__}" if is_class else type(executor).__name__,
            hint=f"hand in an object: {executor.__name__}()" if is_class else None,
        )
    return executor
