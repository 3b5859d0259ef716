"""A stored trial trained again, alone, and compared: bit for bit where nothing has changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gridscape.base import TrialResult
from gridscape.cohorts import partition
from gridscape.errors import StoreError, UnknownNameError
from gridscape.executors import Finished, Local
from gridscape.grid import Cell, Trial, Value
from gridscape.planner import Planner
from gridscape.programs import Machine, use_all_cores
from gridscape.store import Store
from gridscape.study import ResolvedStudy, Study


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
) -> Replay:
    """Train one stored trial again, alone, and compare.

    The study is the one in the folder; one whose task or model was a Python object is handed in
    as ``study``. Raises UsageError for a cell that is not in the grid, StoreError for a trial
    that is not stored or was trained under other conditions (its key differs).
    """
    use_all_cores()
    with Store.read(directory) as store:
        resolved = (study or Study.from_record(store.study)).resolve(data_dir)
        trial = _find_trial(resolved, cell, replicate, store)
        stored = store.get(trial.key)
    planner = Planner(resolved, Machine.local())
    (cohort,) = partition(resolved, [trial])
    for event in Local(planner).run(cohort):
        if isinstance(event, Finished):
            return Replay(trial, stored, event.result)
    raise StoreError("the trial did not end", where=directory, found=str(Cell(tuple(cell.items()))))


def _find_trial(
    resolved: ResolvedStudy, cell: Mapping[str, Value], replicate: int, store: Store
) -> Trial:
    found = resolved.study.grid.find(**cell)
    trials = [t for t in resolved.trials() if t.cell == found and t.replicate == replicate]
    if not trials:
        raise UnknownNameError(
            "replicate", str(replicate), map(str, range(resolved.study.replicates))
        )
    if trials[0].key not in store.statuses():
        raise StoreError(
            "this trial is not stored",
            where=store.directory,
            found=f"{found}, replicate {replicate}",
            hint="gridscape run trains it",
        )
    return trials[0]
