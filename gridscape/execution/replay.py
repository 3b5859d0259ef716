"""A stored trial trained again, alone: to compare, or for the parameters that were not kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gridscape.base.task import Task
from gridscape.base.types import Params
from gridscape.engine.cohorts import Cohort, partition
from gridscape.engine.machine import Machine
from gridscape.engine.training import Training, restore
from gridscape.errors import StoreError, UnknownNameError
from gridscape.execution.cohort_run import CohortRun
from gridscape.execution.executors import Finished
from gridscape.execution.planner import Planner
from gridscape.grid.asked import Asked
from gridscape.grid.axes import Value
from gridscape.grid.trials import SEMANTICS, Status, Trial, TrialResult
from gridscape.kernels.cores import require_addresses
from gridscape.store.imported import require_own
from gridscape.store.record import OTHER_DATA
from gridscape.store.store import Store
from gridscape.study.study import Recipe, ResolvedStudy, Study


@dataclass(frozen=True)
class Replay:
    """A trial trained again, alone, beside what is stored of it."""

    trial: Trial
    stored: TrialResult
    again: TrialResult

    @property
    def identical(self) -> bool:
        """Whether parameters, curves and final numbers agree bit for bit."""
        a, b = self.stored, self.again
        curves = a.curves.keys() == b.curves.keys() and all(
            np.array_equal(a.curves[name], b.curves[name], equal_nan=True) for name in a.curves
        )
        numbers = a.metrics.keys() == b.metrics.keys() and all(
            np.array_equal(a.metrics[name], b.metrics[name], equal_nan=True) for name in a.metrics
        )
        return a.status == b.status and a.params_digest == b.params_digest and curves and numbers

    def differences(self) -> dict[str, float]:
        """The largest absolute difference of each curve and final number."""
        a, b = self.stored, self.again
        pairs: dict[str, tuple[Any, Any]] = {}
        pairs |= {n: (x, b.metrics.get(n, np.nan)) for n, x in a.metrics.items()}
        pairs |= {f"curve {n}": (x, b.curves.get(n, np.nan)) for n, x in a.curves.items()}
        return {n: float(np.nanmax(np.abs(np.subtract(x, y)))) for n, (x, y) in pairs.items()}


def replay(
    directory: str | Path,
    cell: Mapping[str, Value],
    *,
    replicate: int = 0,
    data_dir: str | Path | None = None,
    study: Study | None = None,
    trust: bool = False,
) -> Replay:
    """Train one stored trial again, alone, and compare.

    The study is the one in the folder; one whose task or model was a Python object is handed in
    as ``study``. trust: run code that the folder names, whoever made it. Raises UntrustedError
    where it names code of somebody else's, UsageError for a cell that is not in the grid,
    StoreError for a trial that is not stored or was trained under other conditions (its key
    differs), and for a folder of an earlier version, whose numbers are of other examples.
    """
    resolved, trial, stored = _stored(
        directory, cell, replicate, data_dir, study, trust, is_compared=True
    )
    (cohort,) = partition(resolved, [trial])
    with Planner(resolved, Machine.local()) as planner:
        return Replay(trial, stored, _alone(planner, cohort))


@dataclass(frozen=True, eq=False)
class Trained:
    """A stored trial with the parameters that it began and ended with.

    recipe: with the numbers of its cell. initial: draws those before the first update, ``start``.
    end: after the last one; of a trial that diverged, the last finite ones. trained_again: whether
    ``end`` was not stored and the trial was trained again; identical: whether that gave the stored
    numbers, bit for bit.
    """

    trial: Trial
    recipe: Recipe
    task: Task
    initial: Callable[[], Params]
    end: Params
    trained_again: bool
    identical: bool

    @cached_property
    def start(self) -> Params:
        """Before the first update: drawn when it is asked for, which is seldom."""
        return self.initial()


def trained(
    directory: str | Path,
    cell: Mapping[str, Value],
    *,
    replicate: int = 0,
    data_dir: str | Path | None = None,
    study: Study | None = None,
    trust: bool = False,
) -> Trained:
    """The parameters of a stored trial, which is trained again, alone, where they were not kept.

    Arguments and errors are those of ``replay``; StoreError too for a trial that failed and so
    has no parameters.
    """
    # Not a part of any key: whatever the study kept, what is trained here is wanted.
    resolved, trial, stored = _stored(
        directory, cell, replicate, data_dir, study, trust, keep_parameters="all"
    )
    with Planner(resolved, Machine.local()) as planner:
        found = recovered(planner, trial, stored)
        _ = found.start  # by programs that end with the planner
        return found


def recovered(planner: Planner, trial: Trial, stored: TrialResult) -> Trained:
    """Like ``trained``, for a result already read.

    The study of the planner must have keep_parameters="all".
    """
    (cohort,) = partition(planner.resolved, [trial])
    again = None if stored.params else _alone(planner, cohort)
    end = stored.params if again is None else again.params
    if end is None:
        found = stored.reason or (again and again.reason)
        raise StoreError("this trial has no parameters", where=trial.cell, found=found)
    recipe = planner.resolved.recipe(trial.cell)

    def initial() -> Params:
        return restore(recipe, Training(planner.program(cohort), cohort).params(0))

    return Trained(
        trial=trial,
        recipe=recipe,
        task=planner.task_of(cohort),
        initial=initial,
        end=restore(recipe, end),
        trained_again=again is not None,
        identical=again is None or again.params_digest == stored.params_digest,
    )


def _stored(
    directory: str | Path,
    cell: Mapping[str, Value],
    replicate: int,
    data_dir: str | Path | None,
    study: Study | None,
    trust: bool,
    keep_parameters: str | None = None,
    is_compared: bool = False,
) -> tuple[ResolvedStudy, Trial, TrialResult]:
    """A trial with what a folder holds of it, and its study, with other parameters kept if told."""
    require_addresses()
    with Store.read(directory) as store:
        if is_compared:
            _require_comparable(store)
        require_own(store.study, store.directory)
        own = study or Study.from_record(store.study, trust=trust, where=store.directory)
        resolved = own.override(keep_parameters=keep_parameters).resolve(data_dir)
        trial = _find_trial(resolved, cell, replicate, store)
        return resolved, trial, store.get(trial.key)


def _alone(planner: Planner, cohort: Cohort) -> TrialResult:
    """The result of a cohort of one trial, trained now, in microbatches where it does not fit."""
    (run,) = planner.runs(cohort)
    (result,) = [e.result for e in CohortRun(planner, run).events() if isinstance(e, Finished)]
    return result


def _require_comparable(store: Store) -> None:
    """Raise StoreError where an earlier version has evaluated in another way."""
    written = store.study.get("semantics", SEMANTICS)
    if written != SEMANTICS:
        raise StoreError(
            "cannot be compared: another version of Gridscape trained it, which evaluates in"
            " another way",
            where=store.directory,
            expected=f"semantics {SEMANTICS}",
            found=f"semantics {written}",
            hint="gridscape inspect shows its networks",
        )


def _find_trial(
    resolved: ResolvedStudy, cell: Mapping[str, Value], replicate: int, store: Store
) -> Trial:
    found = resolved.study.grid.find(**cell)
    written = store.study.get("semantics", SEMANTICS)
    replicates = range(Asked(store.study).of(found))
    if not replicates:
        hint = "gridscape show lists those that there are"
        raise StoreError(
            "the study does not ask for this cell",
            where=store.directory,
            found=str(found),
            hint=hint,
        )
    if replicate not in replicates:
        raise UnknownNameError("replicate", str(replicate), map(str, replicates))
    trials = resolved.trials({found: [replicate]}, semantics=written)
    known = store.study.get("task_fingerprint")
    status = store.statuses().get(trials[0].key)
    if status is Status.STOPPED:
        raise StoreError(
            "this trial was stopped",
            where=store.directory,
            found=f"{found}, replicate {replicate}",
            hint="gridscape run with --resume-stopped goes on with it",
        )
    if status is None:
        if known and known != resolved.task.fingerprint:
            raise StoreError(OTHER_DATA, where=store.directory, hint="put the data back as it was")
        raise StoreError(
            "this trial is not stored",
            where=store.directory,
            found=f"{found}, replicate {replicate}",
            hint="gridscape run trains it",
        )
    return trials[0]
