"""The one verb: plan, skip what is stored, execute, record.

Executors yield progress and results; only this module writes them. Every trial ends in the store
exactly once, whatever happens in between.
"""

import gc
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gridscape import _trust
from gridscape._interrupt import Interrupt
from gridscape._record import OTHER_FOLDER
from gridscape.base import Status, Task
from gridscape.cohorts import Cohort, partition
from gridscape.errors import GridscapeError, OutOfMemoryError, StoreError, UnknownNameError
from gridscape.executors import Executor, Finished, Local, Progress, Snapshot, unfinished
from gridscape.grid import Axis, Grid, Trial, Value
from gridscape.landscape import Landscape
from gridscape.planner import Plan, Planner, tree_bytes
from gridscape.programs import Machine, use_all_cores
from gridscape.store import Store
from gridscape.study import ResolvedStudy, Study

# Checkpoints are written at most this often, and take at most about 5 % of the time.
CHECKPOINT_SECONDS = 5.0
# From a GPU to a disk, measured: checksums and copies included.
CHECKPOINT_BYTES_PER_SECOND = 250e6
# Trials that end at once are stored together, up to about so many bytes.
STORED_TOGETHER_BYTES = 16 * 2**20

EXECUTORS = ("local",)


@dataclass(frozen=True)
class Started:
    """The work is known: ``todo`` are the trials that will be trained, in the study's order."""

    resolved: ResolvedStudy
    directory: Path
    todo: tuple[Trial, ...]
    n_stored: int


@dataclass(frozen=True)
class Cut:
    """A cohort did not fit into memory and goes on in smaller runs."""

    cohort: Cohort
    runs: tuple[Cohort, ...]


@dataclass(frozen=True)
class Stopping:
    """Ctrl-C was pressed: the run ends after this segment, and keeps all that is done.

    The listener is told at once, in the middle of whatever runs; it must only take note.
    """


Event = Started | Progress | Finished | Cut | Stopping
Listener = Callable[[Event], None]


def prepare(
    study: str | Path | Study,
    *,
    task: str | Task | None = None,
    set: Mapping[str, Iterable[Value]] | None = None,
    data_dir: str | Path | None = None,
    **values: Any,
) -> ResolvedStudy:
    """A study by name, file or object, with the given values instead of its own, ready to run."""
    use_all_cores()
    loaded = study if isinstance(study, Study) else Study.load(study)
    return loaded.override(set, task=task, **values).resolve(data_dir)


def plan(
    study: str | Path | Study,
    *,
    directory: str | Path | None = None,
    timed: bool = True,
    **values: Any,
) -> Plan:
    """What running the study would take now; trains nothing that is kept.

    Takes the arguments of ``run``, and refuses the folders that it refuses. ``timed`` runs a few
    updates of each program to estimate time.
    """
    resolved = prepare(study, **values)
    folder, trials = results_folder(resolved.study, directory), resolved.trials()
    stored: set[str] = set()
    Store.check_room(folder, resolved.record())
    if (folder / "study.json").exists():
        with Store.read(folder) as store:
            _require_same_conditions(store, trials)
            stored = _done(store)
    with closing(Planner(resolved, Machine.local())) as planner:
        return planner.plan(trials, stored, timed)


def run(
    study: str | Path | Study = "quickstart",
    *,
    task: str | Task | None = None,
    set: Mapping[str, Iterable[Value]] | None = None,
    replicates: int | None = None,
    updates: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    precision: str | None = None,
    directory: str | Path | None = None,
    data_dir: str | Path | None = None,
    executor: str = "local",
    listener: Listener = lambda event: None,
) -> Landscape:
    """Train every trial of a study that is not stored yet, and return the landscape.

    set: values of axes, which replace the study's. directory: of the results, else
    ``runs/<study>``. listener: is told of everything that happens, in the calling thread.

    Interrupted at any moment, a run loses at most the segments since the last checkpoint; the
    same call goes on. Raises GridscapeError; a trial that diverges, fails or does not fit is an
    outcome in the landscape, not an error.
    """
    if executor not in EXECUTORS:
        raise UnknownNameError("executor", executor, EXECUTORS)
    resolved = prepare(
        study,
        task=task,
        set=set,
        data_dir=data_dir,
        replicates=replicates,
        updates=updates,
        batch_size=batch_size,
        seed=seed,
        precision=precision,
    )
    folder = results_folder(resolved.study, directory)
    planner = Planner(resolved, Machine.local())
    record = resolved.record()
    with Store.create(folder, record) as store, closing(planner):
        _trust.remember(store.study, record, store.before)
        Sweep(store, resolved, planner, Local(planner), listener).run()
    return Landscape.read(folder)


def results_folder(study: Study, directory: str | Path | None) -> Path:
    """Where a study's results are: ``directory``, else runs/<study>."""
    return Path(directory) if directory is not None else Path("runs") / study.name


def _done(store: Store) -> set[str]:
    """Trials that need no training: a failed one, or one that did not fit, is tried again."""
    ended = (Status.FINISHED, Status.DIVERGED)
    return {key for key, status in store.statuses().items() if status in ended}


def _require_same_conditions(store: Store, trials: Iterable[Trial]) -> None:
    """Raise StoreError for a stored trial that these trials would be mixed up with.

    Cell and replicate are the same, but the key is not: what the study's record does not hold, the
    code of a loss or the data of a task that an axis chooses, has changed.
    """
    keys = {(trial.cell, trial.replicate): trial.key for trial in trials}
    for stored in store.trials():
        if keys.get((stored.cell, stored.replicate), stored.key) != stored.key:
            raise StoreError(
                "holds results of this study with other code or other data",
                where=store.directory,
                found=f"{stored.cell}, replicate {stored.replicate}",
                hint=OTHER_FOLDER,
            )


@dataclass
class Sweep:
    """The work of one ``run``."""

    store: Store
    resolved: ResolvedStudy
    planner: Planner
    executor: Executor
    listener: Listener

    def __post_init__(self) -> None:
        self.interrupt = Interrupt(lambda: self.listener(Stopping()))

    def run(self) -> None:
        """Train and record every trial that is not stored."""
        trials = self.resolved.trials()
        _require_same_conditions(self.store, trials)
        done = _done(self.store)
        todo = [trial for trial in trials if trial.key not in done]
        self.listener(
            Started(self.resolved, self.store.directory, tuple(todo), len(trials) - len(todo))
        )
        saved = self._saved({trial.key for trial in todo})
        progress = {key: place.update for key, place in saved.items()}
        with self.interrupt:
            for cohort in self.planner.ahead(partition(self.resolved, todo, progress)):
                self._run_cohort(cohort, saved)
        for name in [name for name, *_ in self.store.checkpoints()]:
            self.store.drop_checkpoint(name)
        if self.resolved.study.keep_parameters == "best":
            self._drop_all_but_the_best()

    def _drop_all_but_the_best(self) -> None:
        """Parameters stay of the best cell of each row: which one that is shows only at the end."""
        land = Landscape.of(self.store.study, self.store.results())
        # The landscape has text for all values of an axis of numbers and text.
        axes = self.store.study["axes"].items()
        grid = Grid(tuple(Axis(name, tuple(values)) for name, values in axes))
        kept = {grid.find(**cell) for cell in land.best_cells()}
        others = [t for t, r in self.store.results() if r.params and t.cell not in kept]
        without = (Finished(t, replace(self.store.get(t.key), params=None)) for t in others)
        for ended in _together(without):
            self._store(ended)

    def _run_cohort(self, cohort: Cohort, saved: Mapping[str, "Place"]) -> None:
        """A cohort in as many runs as memory asks for."""
        queue = deque(self._fitting(cohort))
        while queue:
            self.interrupt.raise_if_asked()
            part, trouble = queue.popleft(), ""
            try:
                self._execute(part, self._restored(part, saved))
            except OutOfMemoryError as error:
                trouble = str(error)
            if trouble:
                gc.collect()  # arrays of the failed attempt may hang in cycles
                smaller = _smaller(part)
                self.listener(Cut(part, smaller))
                queue.extendleft(reversed(smaller))
                if not smaller:
                    self._give_up(part, trouble)

    def _fitting(self, cohort: Cohort) -> tuple[Cohort, ...]:
        """The runs that the planner cuts a cohort into."""
        try:
            return self.planner.cut(cohort)
        except GridscapeError:
            raise
        except Exception:  # a program that cannot be compiled: the executor meets it again, and
            return self.planner.fill(cohort)  # records it as the outcome of the trials

    def _execute(self, cohort: Cohort, restored: Snapshot | None) -> None:
        clock, names = CheckpointClock(self.planner.state_bytes(cohort)), list[str]()
        for events in _together(self.executor.run(cohort, restored)):
            self._store(events)
            for event in events:
                self.listener(event)
            if isinstance(events[-1], Progress):
                if self.interrupt.asked or clock.is_due():
                    with clock.timing():
                        names = self._save(cohort)
                self.interrupt.raise_if_asked()
        for name in names:
            self.store.drop_checkpoint(name)

    def _store(self, events: Iterable[Progress | Finished]) -> None:
        """Store the trials that have ended."""
        ended = [(e.trial, e.result) for e in events if isinstance(e, Finished)]
        if ended:
            self.store.put_all(ended)

    def _save(self, cohort: Cohort) -> list[str]:
        """Write a checkpoint; the names of its parts. Without memory for it, training goes on."""
        names = []
        try:
            for number, part in enumerate(self.executor.snapshots()):
                names.append(f"{cohort.name}-{number}")
                self.store.save_checkpoint(names[-1], dict(part.meta), dict(part.arrays))
        except MemoryError as error:
            warnings.warn(f"no checkpoint for lack of memory: {error}", stacklevel=2)
        return names

    def _give_up(self, cohort: Cohort, trouble: str) -> None:
        """A trial that does not fit alone, its batch in single examples: that is its outcome."""
        for trial in cohort.trials:
            result = unfinished(trial, Status.OUT_OF_MEMORY, trouble)
            self.store.put(trial, result)
            self.listener(Finished(trial, result))

    def _saved(self, wanted: set[str]) -> dict[str, "Place"]:
        """Where the furthest snapshot of each trial is, for those that have one."""
        places: dict[str, Place] = {}
        for name, meta, _ in self.store.checkpoints():
            for index, key in enumerate(meta["keys"]):
                known = places[key].update if key in places else 0
                if key in wanted and meta["update"] > known:
                    places[key] = Place(name, index, meta["update"])
        return places

    def _restored(self, cohort: Cohort, saved: Mapping[str, "Place"]) -> Snapshot | None:
        """One snapshot for all trials of a cohort, put together from theirs."""
        if cohort.start == 0:
            return None
        places = [saved[trial.key] for trial in cohort.trials]
        meta: dict[str, Any] = {}
        rows: dict[str, list[np.ndarray]] = {}
        for name, part_meta, arrays in self.store.checkpoints():
            for position, place in enumerate(places):
                if place.name == name:
                    meta = part_meta
                    for array_name, array in arrays.items():
                        row = rows.setdefault(array_name, [np.empty(0)] * len(places))
                        row[position] = array[place.row]
        return Snapshot(meta, {name: np.stack(row) for name, row in rows.items()})


def _together(events: Iterable[Progress | Finished]) -> Iterator[list[Progress | Finished]]:
    """Progress by itself, but in lists the trials that end: one by one, storing takes longer."""
    ended: list[Progress | Finished] = []
    n_bytes = 0
    for event in events:
        if isinstance(event, Progress):
            if ended:
                yield ended
                ended, n_bytes = [], 0
            yield [event]
            continue
        ended.append(event)
        n_bytes += tree_bytes((event.result.curves, event.result.params))
        if n_bytes > STORED_TOGETHER_BYTES:
            yield ended
            ended, n_bytes = [], 0
    if ended:
        yield ended


class Place(NamedTuple):
    """Where the snapshot of a trial is: in which checkpoint, at which index, after how much."""

    name: str
    row: int
    update: int


def _smaller(cohort: Cohort) -> tuple[Cohort, ...]:
    """What to try instead of a cohort that did not fit: halves, then batches in more pieces."""
    if len(cohort.trials) > 1:
        return tuple(cohort.cut(-(-len(cohort.trials) // 2)))
    batch_size = cohort.recipe.batch_size
    larger = [p for p in range(cohort.pieces + 1, batch_size + 1) if batch_size % p == 0]
    wanted = [p for p in larger if p >= 2 * cohort.pieces] or larger
    return (replace(cohort, pieces=wanted[0]),) if wanted else ()


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
