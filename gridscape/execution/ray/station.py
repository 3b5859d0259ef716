"""A worker in a process of its own, and what the driver asks of it: the body of a Ray actor.

It trains as a local run does, on all cores that it has, and answers in other threads. What happens
waits in a mailbox of bounded size until the driver fetches it; while that is full, training waits.
"""

import os
import pickle
import platform
import queue
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from gridscape.engine.machine import Machine
from gridscape.engine.naming import own_process
from gridscape.engine.sizes import tree_bytes
from gridscape.errors import GridscapeError, StoreError, one_line
from gridscape.execution.executors import Event, Progress, Room, Snapshot, Work
from gridscape.execution.local import Local
from gridscape.execution.mailbox import Mailbox, bytes_of
from gridscape.execution.planner import MEMORY_SHARE, Costs
from gridscape.execution.ray.values import unpacked
from gridscape.grid.trials import Trial
from gridscape.identity.version import __version__
from gridscape.kernels.cores import require_addresses
from gridscape.tasks import fetch

try:
    import fcntl
except ImportError:  # Windows, which binds no process to cores either
    fcntl = None  # type: ignore[assignment]

EMPTY: Mapping[str, bytes] = {}

# After SIGTERM, the driver has so long to fetch what the worker leaves behind.
PARTING_SECONDS = 20.0


@dataclass(frozen=True)
class Wanted:
    """What a worker is to be.

    n_beside: workers of its node, itself included. gpu_share: of a GPU's memory; 0 where it has no
    GPU. folder, path: the working folder of the driver, and where it finds what it imports.
    """

    n_cores: int
    n_beside: int
    gpu_share: float
    versions: Mapping[str, str]
    folder: str
    path: Sequence[str]


@dataclass(frozen=True)
class Ready:
    """What a worker has."""

    room: Room
    devices: tuple[str, ...]
    is_batched: bool
    host: str
    process: int
    cores: tuple[int, ...]


@dataclass(frozen=True)
class Leaving:
    """A worker was told to end, and does so after the segment: soon, or while it still compiles."""


@dataclass(frozen=True)
class Parting:
    """The last word of a worker that was told to end: the part in training as it is now."""

    snapshots: tuple[Snapshot, ...]


Word = Event | Leaving | Parting | GridscapeError


def versions() -> dict[str, str]:
    """What must be the same wherever trials are trained."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"gridscape": __version__, "jax": metadata.version("jax"), "python": python}


def _bytes_of(word: Word) -> int:
    if isinstance(word, Parting):
        return tree_bytes([part.arrays for part in word.snapshots])
    return bytes_of(word)


class Station:
    """The body of the actor."""

    def __init__(self) -> None:
        self._mail = Mailbox[Word](_bytes_of)
        self._orders: queue.Queue[tuple[Work, Sequence[Snapshot], Sequence[Work]]] = queue.Queue()
        self._is_leaving, self._has_left = threading.Event(), threading.Event()
        self._cores: list[int] = []
        self._executor: Local | None = None
        self._cancelled = set[int]()
        self._in_training: int | None = None
        self._listen_for_sigterm()

    # ---- what the driver asks ----

    def begun(self) -> None:
        """Answered as soon as this process is there: until then the actor waits for cores."""

    def open(
        self, wanted: Wanted, job: bytes, data_set: str = "", files: Mapping[str, bytes] = EMPTY
    ) -> Ready:
        """Make a worker for a study, with cores of its own; raises GridscapeError.

        data_set, files: one that was missing here when it was opened before.
        """
        host = socket.gethostname()
        if (found := versions()) != wanted.versions:
            raise _other_versions(wanted.versions, found, host)
        if files:
            fetch.keep(data_set, files)
        self._cores = self._cores or take_cores(wanted.n_cores)
        _settle(wanted)
        require_addresses()
        own_process()
        _share_gpu(wanted.gpu_share)
        resolved = pickle.loads(job).resolve(unpacked)
        here = Room.here()
        limit = None
        if wanted.n_beside > 1:  # they plan by the same free memory at once
            limit = int(here.free_bytes * MEMORY_SHARE / wanted.n_beside)
        self._executor = executor = Local(limit)
        executor.open(resolved)
        threading.Thread(target=self._train, name="gridscape-station", daemon=True).start()
        return Ready(
            room=here._replace(free_bytes=here.free_bytes / wanted.n_beside),
            devices=executor.devices,
            is_batched=Machine.local().is_batched,
            host=host,
            process=os.getpid(),
            cores=tuple(self._cores),
        )

    def train(self, work: Work, coming: Sequence[Work], snapshots: Sequence[Snapshot]) -> None:
        """Begin with a work, from snapshots of its trials where it starts later than at 0."""
        self._orders.put((work, snapshots, coming))

    def hear(self, seconds: float) -> list[Word]:
        """What happened meanwhile; waits so long for the first."""
        words = self._mail.take(seconds)
        if any(isinstance(word, Parting) for word in words):
            threading.Timer(1.0, self._has_left.set).start()  # when they are on their way
        return words

    def snapshots(self, work: int) -> list[Snapshot]:
        """The trials of a work that are in training, after the segment that they are in."""
        return list(self._here.snapshots(work))

    def cancel(self, work: int) -> None:
        """See Executor; also of a work that is still on its way."""
        self._cancelled.add(work)
        self._here.cancel(work)

    def costs(self, trials: Sequence[Trial], timed: bool) -> Costs:
        """See Executor."""
        return self._here.costs(trials, timed)

    # ---- how ----

    @property
    def _here(self) -> Local:
        assert self._executor is not None  # the driver opens it first
        return self._executor

    def _train(self) -> None:
        """Train what is ordered, one work after the other."""
        while not self._is_leaving.is_set():
            work, snapshots, coming = self._orders.get()
            self._in_training = work.id
            try:
                self._train_one(work, snapshots, coming)
            except GridscapeError as error:
                self._mail.put(error)
            except Exception as error:
                self._mail.put(GridscapeError("a worker failed", found=one_line(error)))
            self._in_training = None

    def _train_one(self, work: Work, snapshots: Sequence[Snapshot], coming: Sequence[Work]) -> None:
        self._here.submit(work, partial(_some_of, snapshots))
        if work.id in self._cancelled:  # before it was here
            self._here.cancel(work.id)
        else:
            self._here.begin((work, *coming))
        for event in self._here.events():
            self._mail.put(event)
            if self._is_leaving.is_set() and isinstance(event, Progress):
                left = tuple(self._here.snapshots(work.id))
                for result in self._here.results():
                    self._mail.put(result)
                self._mail.put(Parting(left))
                return
        if self._is_leaving.is_set():
            self._mail.put(Parting(()))

    def _listen_for_sigterm(self) -> None:
        """After SIGTERM: finish the segment, leave the snapshots to the driver, and end.

        The main thread of an actor runs no Python, so that a handler would never be called: Python
        tells the signal through a pipe.
        """
        ours, theirs = os.pipe()
        os.set_blocking(theirs, False)
        with suppress(ValueError):  # not in the main thread, as in a test
            signal.signal(signal.SIGTERM, lambda *_: None)
            signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        threading.Thread(target=self._wait_for_sigterm, args=(ours,), daemon=True).start()

    def _wait_for_sigterm(self, pipe: int) -> None:
        while signal.SIGTERM not in os.read(pipe, 16):
            pass
        self._is_leaving.set()
        end = time.monotonic() + PARTING_SECONDS
        self._mail.put(Leaving(), PARTING_SECONDS)
        if self._in_training is None:
            self._mail.put(Parting(()), end - time.monotonic())
        self._has_left.wait(max(end - time.monotonic(), 0.0))
        os._exit(0)


def _some_of(snapshots: Sequence[Snapshot], keys: Sequence[str]) -> Snapshot:
    """Of snapshots of several runs, what they have of these trials, which were in one."""
    wanted = set(keys)
    parts = [part for part in snapshots if not wanted.isdisjoint(part.meta["keys"])]
    return Snapshot.joined(parts).of(keys)


def _other_versions(
    expected: Mapping[str, str], found: Mapping[str, str], host: str
) -> GridscapeError:
    names = [name for name in expected if expected[name] != found.get(name)]
    wanted, is_there = (", ".join(f"{n} {v.get(n)}" for n in names) for v in (expected, found))
    return StoreError(
        "a worker has other versions",
        where=f"node {host}",
        expected=wanted,
        found=is_there,
        hint="install the same there",
    )


def _settle(wanted: Wanted) -> None:
    """Work in the folder of the driver and find what it imports, where that is there, too."""
    if Path(wanted.folder).is_dir():
        with suppress(OSError):
            os.chdir(wanted.folder)
    sys.path.extend(p for p in wanted.path if p not in sys.path and Path(p).is_dir())


def _share_gpu(share: float) -> None:
    """Take of a GPU's memory what is needed, and no more than a share; before JAX begins."""
    if share:
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 * min(share, 1):.3f}"
    else:
        jax.config.update("jax_platforms", "cpu")


# ---- cores ----


def take_cores(n: int) -> list[int]:
    """Bind this process to ``n`` cores that no other worker of this machine has, where there are.

    Each is held by a lock that ends with the process, whatever ends it. Where too few are free,
    it shares cores with others.
    """
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if n >= len(allowed):
        return allowed
    folder = _own_folder()
    cores: list[int] = []
    for core in allowed:
        if folder is not None and len(cores) < n and _lock(folder / str(core)):
            cores.append(core)
    begin = int(time.time_ns()) % len(allowed)
    others = [c for c in allowed[begin:] + allowed[:begin] if c not in cores]
    cores += others[: n - len(cores)]
    for task in os.listdir("/proc/self/task"):  # each thread has an affinity of its own
        with suppress(OSError):
            os.sched_setaffinity(int(task), cores)
    return cores


def _own_folder() -> Path | None:
    """A folder for the locks of this user's workers; None where somebody else may write in it.

    The folder of temporary files is everybody's: what stands there may be a trap.
    """
    folder = Path(tempfile.gettempdir()) / f"gridscape-cores-{os.getuid()}"
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError:
        return None
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return folder if is_own and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else None


_locks: list[Any] = []  # open as long as the process lives


def _lock(path: Path) -> bool:
    try:
        file = path.open("a")
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    _locks.append(file)
    return True
