"""One cohort on its way through training: segment by segment, with all that is recorded of it.

It yields Progress after every segment and Finished once per trial. Anything that goes wrong in a
program ends its trials with a status; running out of memory is raised, so that who runs it may cut
the cohort and try again.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gridscape.base.data import Split
from gridscape.engine.cohorts import Cohort
from gridscape.engine.flops import update_flops
from gridscape.engine.sizes import count_parameters, tree_bytes
from gridscape.engine.training import Training
from gridscape.errors import OutOfMemoryError, is_out_of_memory, one_line
from gridscape.execution.executors import Finished, Progress, Snapshot
from gridscape.execution.planner import Planner
from gridscape.execution.schedule import evaluation_points
from gridscape.grid.names import (
    ANSWERS,
    TEST,
    TRAIN,
    VALIDATION,
    Variable,
    of_split,
)
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.kernels.tables import BAD_QUANTITIES
from gridscape.store.blobs import family

# A call of a program lasts about this long: often enough to show, seldom enough to be free.
CALL_SECONDS = 0.5

# A snapshot is written in parts of about this size, so that it needs little memory.
SNAPSHOT_BYTES = 64 * 2**20


@dataclass
class CohortRun:
    """One cohort on its way through training, with all that was recorded so far.

    work: the id of the work that the cohort belongs to, which Progress carries.
    """

    planner: Planner
    cohort: Cohort
    work: int = 0
    seconds: float = 0.0
    _history: dict[str, list[np.ndarray]] = field(default_factory=dict)
    _evaluations: dict[str, list[np.ndarray]] = field(default_factory=dict)
    _evaluated_at: list[int] = field(default_factory=list)
    _latest: dict[tuple[int, int], dict[str, np.ndarray]] = field(default_factory=dict)
    _training: Training | None = None

    def events(self, restored: Snapshot | None = None) -> Iterator[Progress | Finished]:
        """Train to the end, from the start of the cohort or from a snapshot of its trials.

        Raises OutOfMemoryError where it does not fit; every other trouble of a program is a
        status of its trials.
        """
        try:
            yield from self._train(restored)
        except Exception as error:  # a user's model may raise anything: its trials fail, no others
            if not is_out_of_memory(error):
                yield from self._failed(error)
                return
            reason = one_line(error)
        else:
            return
        # Raised here, not inside ``except``: the traceback would keep the arrays alive.
        self._training = None
        raise OutOfMemoryError("out of memory", found=reason)

    def _train(self, restored: Snapshot | None) -> Iterator[Progress | Finished]:
        study, recipe = self.planner.resolved.study, self.cohort.recipe
        program = self.planner.program(self.cohort)
        program.begin()
        points = evaluation_points(recipe, study)
        training = self._training = Training(
            program, self.cohort, self._restore(restored), self.planner.data_of(self.cohort)
        )
        pace = Pace(program.segment)
        while training.update < recipe.updates:
            stop = min(training.update + pace.updates, *[p for p in points if p > training.update])
            begin, first = time.perf_counter(), training.update
            self._record(self._history, training.advance(stop))
            elapsed = time.perf_counter() - begin
            pace.observe(stop - first, elapsed)
            evaluated = stop in points
            if evaluated:
                self._evaluate(training)
            self.seconds += time.perf_counter() - begin
            yield self._progress(training, evaluated)
        yield from self._results(training)

    def _failed(self, error: Exception) -> Iterator[Finished]:
        """Every trial of the cohort ends here, with the reason."""
        for trial in self.cohort.trials:
            yield Finished(trial, unfinished(trial, Status.FAILED, one_line(error)))

    def _progress(self, training: Training, evaluated: bool) -> Progress:
        accuracy = next((n for n in self.cohort.task.metrics if n in self._history), "loss")
        recent = [x[:, -50:] for x in self._history[accuracy][-50:]]
        tests = self._evaluations.get(str(Variable(TEST, accuracy)))
        values = tests[-1] if tests and evaluated else _last_mean(np.hstack(recent))
        _, bad, _ = training.outcome()
        return Progress(
            work=self.work,
            trials=self.cohort.trials,
            update=training.update,
            updates=self.cohort.recipe.updates,
            accuracy=values,
            evaluated=evaluated,
            alive=bad == 0,
            seconds=self.seconds,
        )

    def _record(self, into: dict[str, list[np.ndarray]], values: Mapping[str, np.ndarray]) -> None:
        for name, array in values.items():
            into.setdefault(name, []).append(array)

    def _evaluate(self, training: Training) -> None:
        """A point of the curves, by one choice of examples of each set."""
        self._latest = {}
        found = self._measure(training, self.planner.resolved.study.evaluation_examples)
        self._record(self._evaluations, _numbers(found))
        self._evaluated_at.append(training.update)

    def _measure(self, training: Training, most: int | None = None) -> dict[str, np.ndarray]:
        """What test and validation sets say, by variable, of at most so many examples of each."""
        data = training.data
        test = self._means(training, data.test, data.n_test, most)
        found = of_split(TEST, {name: x for name, x in test.items() if name not in ANSWERS})
        if data.validation is not None:
            validation = self._means(training, data.validation, data.n_validation, most)
            found |= of_split(VALIDATION, _scores(validation))
        return found | {name: test[name] for name in ANSWERS if name in test}

    def _means(
        self, training: Training, split: Split, n_examples: int, most: int | None
    ) -> dict[str, np.ndarray]:
        """Means over a split, measured once where the last point of a curve has all of it."""
        n = n_examples if most is None else min(most, n_examples)
        if (id(split), n) not in self._latest:
            self._latest[id(split), n] = training.evaluate(split, n)
        return self._latest[id(split), n]

    def _results(self, training: Training) -> Iterator[Finished]:
        begin, data = time.perf_counter(), training.data
        found = self._measure(training)
        sample = training.evaluate(data.train_sample, data.n_sample)
        self.seconds += time.perf_counter() - begin
        by_group = {name: x for name, x in found.items() if x.ndim > 1}
        metrics = {**_numbers(found), **of_split(TRAIN, _scores(sample))}
        # What is the same for all trials is found once: with many of them it would take longest.
        flops = update_flops(self.cohort.recipe, self.cohort.task)
        n_parameters = count_parameters(self.cohort.recipe)
        memory_bytes = self.planner.trial_bytes(self.cohort)
        history = {name: np.hstack(parts) for name, parts in self._history.items()}
        outcomes = zip(*training.outcome(), strict=True)
        for index, (updates, bad, quantity) in enumerate(outcomes):
            params = training.params(index)
            keep = self.planner.resolved.study.keeps(self.cohort.trials[index].cell)
            result = TrialResult(
                key=self.cohort.trials[index].key,
                status=Status.DIVERGED if bad else Status.FINISHED,
                updates=int(updates),
                metrics={name: float(x[index]) for name, x in metrics.items()},
                curves=self._curves(history, index) | {n: x[index] for n, x in by_group.items()},
                seconds=self.seconds * self._share(),
                n_parameters=n_parameters,
                flops=flops * int(updates),
                memory_bytes=memory_bytes,
                first_bad_update=int(bad) or None,
                bad_quantity=BAD_QUANTITIES[quantity] or None,
                params_digest=digest(params),
                params=params if keep else None,
            )
            yield Finished(self.cohort.trials[index], result)

    def _curves(self, history: Mapping[str, np.ndarray], index: int) -> dict[str, np.ndarray]:
        columns = {name: [x[index] for x in values] for name, values in self._evaluations.items()}
        evaluations = {name: np.array(x, np.float32) for name, x in columns.items()}
        return curves_of({n: x[index] for n, x in history.items()}, evaluations, self._evaluated_at)

    def _share(self) -> float:
        """What a trial gets of the cohort's seconds: devices at work, over trials."""
        n_trials = len(self.cohort.trials)
        return min(len(self.planner.machine.devices), n_trials) / n_trials

    def snapshots(self) -> Iterator[Snapshot]:
        """The cohort as it is now, in parts."""
        training = self._training
        if training is None or not self._history:
            return
        n_trials = len(self.cohort.trials)
        # Under the name that stored checkpoints have.
        history = {f"trace/{name}": np.hstack(x) for name, x in self._history.items()}
        stacked = {name: np.stack(x, axis=1) for name, x in self._evaluations.items()}
        recorded = history | {f"evaluation/{name}": x for name, x in stacked.items()}
        each = tree_bytes(training.program.one_state) + tree_bytes(recorded) // n_trials
        size = max(1, SNAPSHOT_BYTES // each)
        for begin in range(0, n_trials, size):
            part = range(begin, min(begin + size, n_trials))
            states = [training.snapshot(index) for index in part]
            meta = {
                "keys": [self.cohort.trials[index].key for index in part],
                "update": training.update,
                "seconds": self.seconds,
                "share": self._share(),
                "evaluated_at": list(self._evaluated_at),  # which grows while this is written
            }
            arrays = {f"state/{name}": np.stack([s[name] for s in states]) for name in states[0]}
            arrays |= {name: x[part.start : part.stop] for name, x in recorded.items()}
            yield Snapshot(meta, arrays)

    def _restore(self, restored: Snapshot | None) -> dict[str, np.ndarray] | None:
        """Take over what a snapshot recorded; the states that it holds."""
        if restored is None:
            return None
        meta, arrays = restored.meta, restored.arrays
        # The cohort may have been larger: what its trials took each is what they took.
        self.seconds = float(meta["seconds"]) * meta.get("share", self._share()) / self._share()
        self._evaluated_at = list(meta["evaluated_at"])
        self._history = {name: [x] for name, x in family(arrays, "trace").items()}
        self._evaluations = {n: list(x.T) for n, x in family(arrays, "evaluation").items()}
        return family(arrays, "state")


def _numbers(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is one number per trial: not told apart by group."""
    return {name: x for name, x in found.items() if x.ndim == 1}


def _scores(means: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Loss and metrics over all examples, each (trials,): neither answers nor groups."""
    return {name: x for name, x in _numbers(means).items() if name not in ANSWERS}


def _last_mean(recent: np.ndarray) -> np.ndarray:
    """Mean of the latest batches of each trial; NaN where all of them are (diverged)."""
    counted = np.isfinite(recent[:, -50:])
    total = np.where(counted, recent[:, -50:], 0).sum(axis=1)
    return np.where(counted.any(axis=1), total / np.maximum(counted.sum(axis=1), 1), np.nan)


def curves_of(
    history: Mapping[str, np.ndarray],
    evaluations: Mapping[str, np.ndarray],
    evaluated_at: Sequence[int],
) -> dict[str, np.ndarray]:
    """The curves of one trial: of the batches of every update, and at its evaluation points."""
    trains = of_split("train", history)
    n_updates = len(next(iter(trains.values())))
    return {
        "recorded_at": np.arange(1, n_updates + 1),
        "evaluated_at": np.array(evaluated_at, int),
        **trains,
        **evaluations,
    }


def stopped(cohort: Cohort, snapshot: Snapshot | None) -> Iterator[Finished]:
    """Trials that somebody stopped, with the curves that a snapshot of them has.

    snapshot: of all trials of the cohort; None where they had not begun.
    """
    recipe = cohort.recipe
    n_parameters, flops = count_parameters(recipe), update_flops(recipe, cohort.task)
    for index, trial in enumerate(cohort.trials):
        update = snapshot.meta["update"] if snapshot else 0
        reason = f"stopped at update {update:,} of {recipe.updates:,}"
        result = replace(
            unfinished(trial, Status.STOPPED, reason), n_parameters=n_parameters, updates=update
        )
        if snapshot:
            meta, arrays = snapshot.meta, snapshot.arrays
            history, evaluations = (
                {name: x[index] for name, x in family(arrays, kind).items()}
                for kind in ("trace", "evaluation")
            )
            result = replace(
                result,
                curves=curves_of(history, evaluations, meta["evaluated_at"]),
                seconds=float(meta["seconds"]) * meta.get("share", 1.0),
                flops=flops * update,
            )
        yield Finished(trial, result)


def unfinished(trial: Trial, status: Status, reason: str) -> TrialResult:
    """The result of a trial that has no numbers."""
    return TrialResult(
        key=trial.key,
        status=status,
        updates=0,
        metrics={},
        curves={},
        seconds=0.0,
        n_parameters=0,
        flops=0.0,
        memory_bytes=0,
        reason=reason,
    )


def digest(params: Mapping[str, np.ndarray]) -> str:
    """A hash of parameters: two trials with equal digests are equal bit for bit."""
    sha = hashlib.sha256()
    for name in sorted(params):
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(params[name]).data)
    return sha.hexdigest()


@dataclass
class Pace:
    """How many updates the next call should do, so that it lasts about CALL_SECONDS."""

    most: int
    updates: int = 1

    def observe(self, updates: int, seconds: float) -> None:
        """A call of so many updates took so long."""
        wanted = int(CALL_SECONDS * updates / max(seconds, 1e-9))
        # Growing by at most 8 keeps a first call, which pays for caches, from misleading.
        self.updates = max(1, min(wanted, 8 * self.updates, self.most))
