"""The one verb: plan, skip what is stored, execute, record.

Executors yield progress and results; only this module writes them. Every trial ends in the store
exactly once, whatever happens in between.
"""

import gc
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gridscape.base.task import Task
from gridscape.engine.cohorts import Cohort, joined, partition
from gridscape.engine.machine import Machine
from gridscape.engine.sizes import tree_bytes
from gridscape.errors import OutOfMemoryError, StoreError, UnknownNameError, memory_errors
from gridscape.execution.deaths import ALONE, MOST_DEATHS, Deaths
from gridscape.execution.estimate import least_bytes
from gridscape.execution.executors import Executor, Finished, Progress, Snapshot
from gridscape.execution.interrupt import Interrupt
from gridscape.execution.local import Local, unfinished
from gridscape.execution.planner import Plan, Planner, piece_counts
from gridscape.grid.axes import Axis, Grid, Value
from gridscape.grid.trials import Status, Trial
from gridscape.kernels.cores import use_all_cores
from gridscape.landscape import Landscape
from gridscape.store.record import OTHER_FOLDER
from gridscape.store.store import Store
from gridscape.study import reach
from gridscape.study.study import ResolvedStudy, Study

# Checkpoints are written at most this often, and take at most about 5 % of the time.
CHECKPOINT_SECONDS = 5.0
# From a GPU to a disk, measured: checksums and copies included.
CHECKPOINT_BYTES_PER_SECOND = 250e6
# What takes more than this share of the free memory is trained last, by rising memory.
HEAVY_SHARE = 0.1
# Trials that end at once are stored together, up to about so many bytes.
STORED_TOGETHER_BYTES = 16 * 2**20

EXECUTORS = ("local",)


@dataclass(frozen=True)
class Started:
    """The work is known: ``todo`` are the trials that will be trained, cohort by cohort."""

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
    updates of each program to estimate time. Raises OutOfMemoryError where not even that fits.
    """
    resolved = prepare(study, **values)
    folder, trials = results_folder(resolved.study, directory), resolved.trials()
    stored: set[str] = set()
    Store.check_room(folder, resolved.record())
    if (folder / "study.json").exists():
        with Store.read(folder) as store:
            _require_same_conditions(store, trials)
            stored = _done(store)
    where = resolved.study.name
    with memory_errors(where), Planner(resolved, Machine.local()) as planner:
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
    record = resolved.record()
    with Store.create(folder, record) as store, Planner(resolved, Machine.local()) as planner:
        reach.remember(store.study, record, store.before)
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
        self.deaths = Deaths(self.store)
        self.interrupt = Interrupt(lambda: self.listener(Stopping()))

    def run(self) -> None:
        """Train and record every trial that is not stored."""
        trials = self.resolved.trials()
        _require_same_conditions(self.store, trials)
        done = _done(self.store)
        missing = [trial for trial in trials if trial.key not in done]
        saved = self._saved({trial.key for trial in missing})
        progress = {key: place.update for key, place in saved.items()}
        self.deaths = Deaths.told_by(self.store, done)
        cohorts, n_heavy = self._in_order(partition(self.resolved, missing, progress))
        todo = tuple(trial for cohort in cohorts for trial in cohort.trials)
        self.listener(Started(self.resolved, self.store.directory, todo, len(trials) - len(todo)))
        with self.interrupt:
            # After a death nothing is compiled ahead: the next one is to tell whose it was.
            n_ahead = 0 if self.deaths.found else len(cohorts) - n_heavy
            for cohort in chain(self.planner.ahead(cohorts[:n_ahead]), cohorts[n_ahead:]):
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

    def _in_order(self, cohorts: Sequence[Cohort]) -> tuple[list[Cohort], int]:
        """The cohorts as they shall be trained, and how many at the end take much memory.

        First come all that take little, as the study has them; then the others by rising memory,
        so that a death costs only what does not fit; last those with which a process has died.
        """
        cohorts = [part for cohort in cohorts for part in self._by_deaths(cohort)]
        n_bytes = {cohort.name: self._least_bytes(cohort) for cohort in cohorts}

        def weight(cohort: Cohort) -> tuple[int, int]:
            heavy = self._is_heavy(n_bytes[cohort.name])
            return self.deaths.of(cohort), n_bytes[cohort.name] if heavy else 0

        cohorts.sort(key=weight)  # of equal weights, in the order that they have
        self._tell_deaths([cohort for cohort in cohorts if self.deaths.of(cohort)])
        return cohorts, sum(weight(cohort) > (0, 0) for cohort in cohorts)

    def _by_deaths(self, cohort: Cohort) -> list[Cohort]:
        """The cohort in parts with which the process died equally often."""
        parts = cohort.cut(1)
        parts.sort(key=self.deaths.of)
        groups = [list(group) for _, group in groupby(parts, self.deaths.of)]
        return [joined(group) for group in groups]

    def _least_bytes(self, cohort: Cohort) -> int:
        n_devices = len(self.planner.machine.devices)
        return least_bytes(self.resolved.study, cohort, n_devices)

    def _is_heavy(self, n_bytes: int) -> bool:
        return n_bytes > HEAVY_SHARE * self.planner.room_bytes(share=1.0)

    def _tell_deaths(self, cohorts: Sequence[Cohort]) -> None:
        if cohorts:
            trial, n_trials = cohorts[0].trials[0], sum(len(c.trials) for c in cohorts)
            what = f"{trial.cell}, replicate {trial.replicate}"
            others = f" and {n_trials - 1} more" if n_trials > 1 else ""
            message = f"the process died while training {what}{others}: now trained last"
            warnings.warn(message, stacklevel=2)

    def _run_cohort(self, cohort: Cohort, saved: Mapping[str, "Place"]) -> None:
        """A cohort in as many runs as memory asks for."""
        if self.deaths.of(cohort) >= MOST_DEATHS:
            self._record_deaths(cohort)
            return
        queue = deque(self._fitting(cohort))
        while queue:
            self.interrupt.raise_if_asked()
            part, trouble = queue.popleft(), ""
            try:
                with self.deaths.training(part, queue):
                    self._execute(part, self._restored(part, saved))
            except OutOfMemoryError as error:
                trouble = str(error)
            if trouble:
                gc.collect()  # arrays of the failed attempt may hang in cycles
                smaller = _smaller(part)
                self.listener(Cut(part, smaller))
                queue.extendleft(reversed(smaller))
                if not smaller:
                    self._give_up(part, Status.OUT_OF_MEMORY, trouble)
            else:
                self.deaths.ease(queue)

    def _fitting(self, cohort: Cohort) -> list[Cohort]:
        """The runs that the planner cuts a cohort into; smaller ones after a death.

        None where it tells that no trial fits, which is the outcome then.
        """
        n_deaths = self.deaths.of(cohort)
        try:
            with self.deaths.training(None, [cohort]):  # compiling takes memory too
                runs = list(self.planner.runs(cohort))
        except OutOfMemoryError as error:
            self._give_up(cohort, Status.OUT_OF_MEMORY, str(error))
            return []
        if n_deaths:
            most = len(self.planner.machine.devices) if n_deaths < ALONE else 1
            runs = [part for run in runs for part in run.cut(most)]
            runs.sort(key=self.deaths.hit)
        if n_deaths >= ALONE and self._is_heavy(self._least_bytes(cohort)):
            # Elsewhere not: in pieces, the numbers are others by rounding.
            runs = [in_small_pieces(run) for run in runs]
        return runs

    def _record_deaths(self, cohort: Cohort) -> None:
        """End trials with which the process died too often; the next run tries them once more."""
        heavy = self._is_heavy(self._least_bytes(cohort))
        how = "one by one, batches in pieces" if heavy else "one by one"
        reason = f"the process died {MOST_DEATHS} times while training its cohort, at last {how}"
        self._give_up(cohort, Status.OUT_OF_MEMORY if heavy else Status.FAILED, reason)
        self.deaths.one_less(cohort)

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
        for trial, _ in ended:
            self.deaths.forget(trial.key)

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

    def _give_up(self, cohort: Cohort, status: Status, reason: str) -> None:
        """Trials that do not fit even alone, or take the process with them: that is the outcome."""
        ended = [Finished(trial, unfinished(trial, status, reason)) for trial in cohort.trials]
        self._store(ended)
        for event in ended:
            self.listener(event)

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
    return tuple(replace(cohort, pieces=pieces) for pieces in piece_counts(cohort)[:1])


def in_small_pieces(cohort: Cohort) -> Cohort:
    """The cohort with batches in some 16 pieces: what grows with the batch is small then."""
    counts = [cohort.pieces, *piece_counts(cohort)]
    return replace(cohort, pieces=counts[:5][-1])


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
