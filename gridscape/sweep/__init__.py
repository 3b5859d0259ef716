"""The verbs that train. Here the first one: plan, skip what is stored, execute, record.

An executor tells what happens to the works that it is handed; only this module writes it. Every
trial ends in the store exactly once, whatever happens in between.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count, groupby
from pathlib import Path
from typing import Any

from gridscape.base.task import Task
from gridscape.claims.files import load_claims
from gridscape.engine.cohorts import Cohort, joined, partition
from gridscape.engine.sizes import tree_bytes
from gridscape.errors import StoreError, UsageError, memory_errors
from gridscape.execution.checkpoints import CheckpointClock, Checkpoints
from gridscape.execution.cohort_run import unfinished
from gridscape.execution.deaths import ALONE, MOST_DEATHS, Deaths
from gridscape.execution.estimate import least_bytes
from gridscape.execution.executors import (
    Begun,
    Care,
    Cut,
    Done,
    Executor,
    Finished,
    Idle,
    Lost,
    Progress,
    Taken,
    Work,
    find_executor,
)
from gridscape.execution.executors import Event as ExecutorEvent
from gridscape.execution.interrupt import Interrupt
from gridscape.execution.planner import Plan
from gridscape.grid.asked import grid_of
from gridscape.grid.axes import Value
from gridscape.grid.trials import Status, Trial
from gridscape.identity.above import above
from gridscape.kernels.cores import require_addresses
from gridscape.landscape import Landscape
from gridscape.store.record import OTHER_FOLDER
from gridscape.store.store import Store
from gridscape.study import reach
from gridscape.study.study import ResolvedStudy, Study
from gridscape.sweep.acting import Acting, Widen
from gridscape.sweep.telling import Telling

# What takes more than this share of the free memory is trained last, by rising memory.
HEAVY_SHARE = 0.1
# Trials that end at once are stored together, up to about so many bytes.
STORED_TOGETHER_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Started:
    """The work is known: ``todo`` are the trials that will be trained, in this order.

    n_stored: of the others, n_stopped of which somebody stopped. Told again after an act.
    """

    resolved: ResolvedStudy
    directory: Path
    todo: tuple[Trial, ...]
    n_stored: int
    n_stopped: int = 0


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
    require_addresses()
    loaded = study if isinstance(study, Study) else Study.load(study)
    if loaded.claims is not None and reach.names_file(loaded.claims):
        load_claims(loaded.claims)  # which tells what is wrong with it before anything trains
    return loaded.override(set, task=task, **values).resolve(data_dir)


def plan(
    study: str | Path | Study,
    *,
    directory: str | Path | None = None,
    executor: str | Executor = "local",
    timed: bool = True,
    **values: Any,
) -> Plan:
    """What running the study would take now; trains nothing that is kept.

    Takes the arguments of ``run``, and refuses the folders that it refuses. It is measured where
    the executor would train. ``timed`` runs a few updates of each program to estimate time. Raises
    OutOfMemoryError where not even that fits.
    """
    chosen = find_executor(executor)
    resolved = prepare(study, **values)
    folder, trials = results_folder(resolved.study, directory), resolved.trials()
    stored: set[str] = set()
    Store.check_room(folder, resolved.record())
    if (folder / "study.json").exists():
        with Store.read(folder) as store:
            require_same_conditions(store, trials)
            stored = done_of(store)
    where = resolved.study.name
    with memory_errors(where), closing(chosen):
        chosen.open(resolved, values.get("data_dir"))
        return Plan.of(resolved, trials, stored, lambda missing: chosen.costs(missing, timed))


def run(
    study: str | Path | Study = "quickstart",
    *,
    task: str | Task | None = None,
    set: Mapping[str, Iterable[Value]] | None = None,
    replicates: int | None = None,
    updates: int | None = None,
    epochs: float | None = None,
    examples: int | None = None,
    flops: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    precision: str | None = None,
    directory: str | Path | None = None,
    data_dir: str | Path | None = None,
    executor: str | Executor = "local",
    listener: Listener | None = None,
    quiet: bool = False,
    resume_stopped: bool = False,
) -> Landscape:
    """Train every trial of a study that is not stored yet, and return the landscape.

    set: values of axes, which replace the study's. directory: of the results, else
    ``runs/<study>``. executor: where it is trained: a name, or an object that fulfils
    ``gridscape.execution.executors.Executor``. listener: is told of everything that happens, in
    the calling thread; by default, in a terminal or a notebook, a line shows the progress and then
    the path of the page, which is written. quiet: no line, and no page. resume_stopped: trials that
    somebody stopped go on, all of this run; those of the folder that it does not train stay.

    Interrupted at any moment, a run loses at most the segments since the last checkpoint; the
    same call goes on. Raises GridscapeError; a trial that diverges, fails or does not fit is an
    outcome in the landscape, not an error.
    """
    chosen = find_executor(executor)
    resolved = prepare(
        study,
        task=task,
        set=set,
        data_dir=data_dir,
        replicates=replicates,
        updates=updates,
        epochs=epochs,
        examples=examples,
        flops=flops,
        batch_size=batch_size,
        seed=seed,
        precision=precision,
    )
    folder = results_folder(resolved.study, directory)
    record = resolved.record()
    shown = above("report.following").following(quiet or listener is not None)
    with closing(chosen):
        chosen.open(resolved, data_dir)
        with Store.create(folder, record) as store:
            reach.remember(store.study, record, store.before)
            told = shown if listener is None else listener
            widen = partial(_widened, store, data_dir)
            Sweep(
                store,
                resolved,
                chosen,
                told,
                data_dir=data_dir,
                widen=widen,
                resume_stopped=resume_stopped,
            ).run()
    shown.ended(folder)
    return Landscape.read(folder)


def _widened(
    store: Store,
    data_dir: str | Path | None,
    resolved: ResolvedStudy,
    axes: Mapping[str, Sequence[Value]],
    replicates: int | None,
) -> ResolvedStudy:
    """A study with these values and replicates, which its folder asks for from now on."""
    found = resolved.study.override(axes, replicates=replicates).resolve(data_dir)
    before = store.study
    store.widen(found.record())
    reach.remember(store.study, found.record(), before)
    return found


def results_folder(study: Study, directory: str | Path | None) -> Path:
    """Where a study's results are: ``directory``, else runs/<study>."""
    return Path(directory) if directory is not None else Path("runs") / study.name


DONE = (Status.FINISHED, Status.DIVERGED, Status.STOPPED)


def done_of(store: Store) -> set[str]:
    """Trials that need no training: a failed one, or one that did not fit, is tried again.

    One that somebody stopped waits until somebody lets it go on.
    """
    return {key for key, status in store.statuses().items() if status in DONE}


def stopped_of(store: Store) -> set[str]:
    """Trials that somebody stopped."""
    return {key for key, status in store.statuses().items() if status is Status.STOPPED}


def require_same_conditions(store: Store, trials: Iterable[Trial]) -> None:
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
class Out:
    """A work that is out.

    left: its trials that have not ended, by key. run: the keys of those in training, or of those
    that were last. clock: of its checkpoints.
    """

    work: Work
    left: dict[str, Trial]
    run: frozenset[str] = frozenset()
    clock: CheckpointClock = field(default_factory=CheckpointClock)
    cancelled: bool = False


@dataclass
class Sweep:
    """What one ``run`` has an executor do; the executor is open.

    chosen: the trials to train where not stored; all of the study by default. widen: how the study
    grows where somebody asks for it; data_dir: as the executor was opened with. resume_stopped:
    whether stopped trials go on, once all that was asked for before is done.
    """

    store: Store
    resolved: ResolvedStudy
    executor: Executor
    listener: Listener
    chosen: Sequence[Trial] | None = None
    data_dir: str | Path | None = None
    widen: Widen | None = None
    resume_stopped: bool = False
    telling: Telling = field(init=False)

    def __post_init__(self) -> None:
        self.deaths = Deaths(self.store)
        self.checkpoints = Checkpoints(self.store)
        self.interrupt = Interrupt(lambda: self.listener(Stopping()))
        self.out: dict[int, Out] = {}
        self.left: dict[str, int] = {}  # trials that have not ended: their works
        self.doomed: list[Work] = []
        self.turning = False  # whether all is put away for an act, and then planned anew
        self.acting = Acting(
            self.store,
            self.resolved,
            self.resolved.trials() if self.chosen is None else self.chosen,
            self.checkpoints,
            widen=self.widen,
        )
        self._ids = count()

    def run(self) -> None:
        """Train and record every one of these trials that is not stored."""
        require_same_conditions(self.store, self.acting.trials)
        self.checkpoints.stopped = stopped_of(self.store)
        self.acting.begin()
        is_over = False
        while not is_over:
            self._take_up_acts()
            self._train()
            acts_wait = self.turning or self.acting.waits(at_last=True)
            is_over = self.interrupt.asked or not acts_wait
        self._end_run()

    def _take_up_acts(self) -> None:
        """Do what was asked for, while nothing trains."""
        self.turning = False
        self.acting.take_up()
        if self.acting.resolved is not self.resolved:
            self.resolved = self.acting.resolved
            require_same_conditions(self.store, self.acting.trials)
            self.executor.close()
            self.executor.open(self.resolved, self.data_dir)
        if self.resume_stopped:  # behind all that may refuse the run, which then has lost nothing
            self.resume_stopped = False
            self.acting.resume_all()

    def _train(self) -> None:
        """Train what is left, or until an act waits."""
        trials = self.acting.trials
        done = done_of(self.store) | self.acting.ended
        self.deaths = Deaths.told_by(self.store, done)
        self.left.clear()
        self.doomed.clear()
        works = self._works([trial for trial in trials if trial.key not in done])
        todo = tuple(trial for work in works for trial in work.trials)
        n_stored = len(trials) - len(todo)
        n_stopped = sum(trial.key in self.checkpoints.stopped for trial in trials)
        where = self.store.directory
        self.listener(Started(self.resolved, where, todo, n_stored, n_stopped))
        self.telling = Telling(self.store, self.resolved, todo, n_stored)
        state = "interrupted"
        with self.interrupt:
            try:
                self._submit(works)
                for events in _together(self.executor.events()):
                    self._follow(events)
                self._check_all_done()
                state = "training" if self.turning else "ended"
            finally:
                self.deaths.end_all()
                self.telling.tell(state)

    def _end_run(self) -> None:
        """Nothing is left to train."""
        for work in self.doomed:
            self._record_deaths(work)
        self.checkpoints.drop_all()
        if self.resolved.study.keep_parameters == "best":
            self._drop_all_but_the_best()

    def _drop_all_but_the_best(self) -> None:
        """Parameters stay of the best cell of each row: which one that is shows only at the end."""
        land = Landscape.of(self.store.study, self.store.results())
        # The landscape has text for all values of an axis of numbers and text.
        grid = grid_of(self.store.study["axes"])
        kept = {grid.find(**cell) for cell in land.best_cells()}
        others = [t for t, r in self.store.results() if r.params and t.cell not in kept]
        without = (Finished(t, replace(self.store.get(t.key), params=None)) for t in others)
        for ended in _together(without):
            self._store([event for event in ended if isinstance(event, Finished)])

    # ---- the order of work ----

    def _works(self, trials: Iterable[Trial]) -> list[Work]:
        """Works for trials that have not ended, in the order in which they shall be trained.

        First come all that take little memory, as the study has them; then the others by rising
        memory, so that a death costs only what does not fit; last those with which a process died.
        """
        trials = list(trials)
        progress = self.checkpoints.find({trial.key for trial in trials})
        cohorts = [
            part
            for _, members in groupby(sorted(trials, key=self.acting.rank), self.acting.rank)
            for cohort in partition(self.resolved, members, progress)
            for part in self._by_deaths(cohort)
        ]
        n_bytes = {id(cohort): self._heavy_bytes(cohort) for cohort in cohorts}
        # Of equal weights, in the order that they have.
        cohorts.sort(
            key=lambda cohort: (
                self.deaths.of(cohort),
                self.acting.rank(cohort.trials[0]),
                n_bytes[id(cohort)],
            )
        )
        self._tell_deaths([cohort for cohort in cohorts if self.deaths.of(cohort)])
        return [self._work(cohort, n_bytes[id(cohort)] > 0) for cohort in cohorts]

    def _by_deaths(self, cohort: Cohort) -> list[Cohort]:
        """The cohort in parts with which the process died equally often.

        In each, those come last that it had in training then.
        """
        parts = cohort.cut(1)
        parts.sort(key=lambda part: (self.deaths.of(part), self.deaths.hit(part)))
        return [joined(list(group)) for _, group in groupby(parts, self.deaths.of)]

    def _work(self, cohort: Cohort, heavy: bool) -> Work:
        n_deaths = self.deaths.of(cohort)
        # Elsewhere not in microbatches: the numbers would be others by rounding.
        alone = Care.IN_MICROBATCHES if heavy else Care.ALONE
        return Work(
            id=next(self._ids),
            trials=cohort.trials,
            start=cohort.start,
            care=alone if n_deaths >= ALONE else Care.FEW if n_deaths else Care.NONE,
            # After a death nothing is compiled ahead: the next one is to tell whose it was.
            ahead=not heavy and not self.deaths.found,
            rank=self.acting.rank(cohort.trials[0]),
        )

    def _heavy_bytes(self, cohort: Cohort) -> int:
        """What a cohort takes at least, where that is much; 0 where it is little."""
        n_bytes = least_bytes(self.resolved.study, cohort, self.executor.room())
        return n_bytes if self._is_heavy(n_bytes) else 0

    def _is_heavy(self, n_bytes: int) -> bool:
        return n_bytes > HEAVY_SHARE * self.executor.room().free_bytes

    def _tell_deaths(self, cohorts: Sequence[Cohort]) -> None:
        if cohorts:
            trial, n_trials = cohorts[0].trials[0], sum(len(c.trials) for c in cohorts)
            what = f"{trial.cell}, replicate {trial.replicate}"
            others = f" and {n_trials - 1} more" if n_trials > 1 else ""
            message = f"the process died while training {what}{others}: now trained last"
            warnings.warn(message, stacklevel=2)

    def _submit(self, works: Iterable[Work]) -> None:
        for work in works:
            self.left |= {trial.key: work.id for trial in work.trials}
            if self.deaths.of(work) >= MOST_DEATHS:
                self.doomed.append(work)
                continue
            self.out[work.id] = Out(work, {trial.key: trial for trial in work.trials})
            self.executor.submit(work, self.checkpoints.restored)

    # ---- what happens ----

    def _follow(self, events: Sequence[ExecutorEvent]) -> None:
        """Take note of an event, or of trials that have ended."""
        event = events[0]
        if isinstance(event, Idle):
            self.telling(event)
            if self.interrupt.asked:  # no worker is there whose word would be waited for
                for each in self.out.values():
                    self._cancel(each)
            return
        if isinstance(event, Finished):
            self._end([each for each in events if isinstance(each, Finished)])
            return
        out = self.out.get(event.work)
        if isinstance(event, Progress) and out is not None and out.cancelled:
            return  # it came after the last checkpoint: what is told is kept
        self.telling(event)
        if out is None:  # of a work that has ended
            return
        match event:
            case Taken():
                self.deaths.begin(out.work, out.left)
            case Begun():
                self._begin(out, event)
            case Cut():
                out.run = frozenset()  # it has not ended: those that wait may share its fate
                self.listener(event)
            case Progress():
                self.listener(event)
                if out.clock.is_due() and not self._is_ending():
                    self._save(out)
            case Done():
                self._done_with(out)
            case Lost():
                self._lost(out)
        if self._is_ending():
            self._stop(out)

    def _is_ending(self) -> bool:
        """Whether all works end where they are: at Ctrl-C, or for an act."""
        self.turning = self.turning or self.acting.waits()
        return self.turning or self.interrupt.asked

    def _begin(self, out: Out, begun: Begun) -> None:
        """The next run of a work begins."""
        is_alone = out.run.isdisjoint(out.left)
        if out.run and is_alone:
            self.deaths.ease(out.left)
        self.checkpoints.drop_ended(self.left.keys())
        out.run = frozenset(trial.key for trial in begun.trials)
        if is_alone:  # beside others it must not put off their checkpoints
            out.clock = CheckpointClock(begun.state_bytes)
        self.deaths.running(out.work, out.left, out.run)

    def _end(self, ended: Sequence[Finished]) -> None:
        """Store trials that have ended; one that had ended before counts no more."""
        ended = list({e.trial.key: e for e in ended if e.trial.key in self.left}.values())
        self._store(ended)
        for event in ended:
            self.acting.ended.add(event.trial.key)
            out = self.out.get(self.left.pop(event.trial.key))
            if out is not None:
                out.left.pop(event.trial.key)
        for event in ended:
            self.telling(event)
            self.listener(event)

    def _done_with(self, out: Out) -> None:
        """A work has come to its end."""
        if out.left and not out.cancelled:
            raise self._left_out(len(out.left))
        del self.out[out.work.id]
        self.deaths.end(out.work.id)
        self.checkpoints.drop_ended(self.left.keys())

    def _lost(self, out: Out) -> None:
        """A process died with a work: what is left of it comes last, from its last checkpoint."""
        del self.out[out.work.id]
        self.deaths.died(out.work.id)
        if not self._is_ending():
            self._submit(self._works(out.left.values()))

    def _stop(self, out: Out) -> None:
        """Keep what this work has come to, and end it with all that wait."""
        if out.work.id in self.out and not out.cancelled:
            self._save(out)
            self._cancel(out)
        for other in self.out.values():
            if not other.run:
                self._cancel(other)

    def _cancel(self, out: Out) -> None:
        if not out.cancelled:
            out.cancelled = True
            self.executor.cancel(out.work.id)

    def _check_all_done(self) -> None:
        """Raise KeyboardInterrupt where Ctrl-C left trials to train; nothing else may leave any."""
        doomed = {work.id for work in self.doomed}
        n_left = sum(work not in doomed for work in self.left.values())
        if n_left:
            self.interrupt.raise_if_asked()
            if not self.turning:
                raise self._left_out(n_left)

    def _left_out(self, n_left: int) -> UsageError:
        return UsageError(
            "the executor has left trials out",
            where=type(self.executor).__name__,
            expected="a result for each, or Lost",
            found=f"{n_left} without",
        )

    # ---- what is written ----

    def _record_deaths(self, work: Work) -> None:
        """End trials with which the process died too often; the next run tries them once more."""
        heavy = work.care is Care.IN_MICROBATCHES
        how = "one by one, batches in microbatches" if heavy else "one by one"
        reason = f"the process died {MOST_DEATHS} times while training its cohort, at last {how}"
        status = Status.OUT_OF_MEMORY if heavy else Status.FAILED
        ended = [Finished(trial, unfinished(trial, status, reason)) for trial in work.trials]
        self._store(ended)
        for event in ended:
            self.listener(event)
        self.deaths.one_less(work)

    def _store(self, ended: Sequence[Finished]) -> None:
        if ended:
            self.store.put_all([(event.trial, event.result) for event in ended])
        for event in ended:
            self.deaths.forget(event.trial.key, is_done=event.result.status in DONE)

    def _save(self, out: Out) -> None:
        """Write a checkpoint of a work."""
        with out.clock.timing():
            self.checkpoints.save(out.work.id, self.executor.snapshots(out.work.id))


def _together(events: Iterable[ExecutorEvent]) -> Iterator[list[ExecutorEvent]]:
    """Each event by itself, but in lists the trials that end: one by one, storing takes longer."""
    ended: list[ExecutorEvent] = []
    n_bytes = 0
    for event in events:
        if isinstance(event, Finished):
            ended.append(event)
            n_bytes += tree_bytes((event.result.curves, event.result.params))
            if n_bytes <= STORED_TOGETHER_BYTES:
                continue
        if ended:
            yield ended
            ended, n_bytes = [], 0
        if not isinstance(event, Finished):
            yield [event]
    if ended:
        yield ended
