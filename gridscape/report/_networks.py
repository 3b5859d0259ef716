"""What the networks of a report are made with: their task, their model, their training.

Apart from ``showcase``, since all of it needs JAX and most reports show no network.
"""

import itertools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from gridscape.base.task import Task
from gridscape.engine.machine import Machine
from gridscape.errors import GridscapeError
from gridscape.execution.planner import Planner
from gridscape.execution.replay import Trained, recovered
from gridscape.grid.axes import Cell
from gridscape.grid.trials import SEMANTICS, TrialResult
from gridscape.inspection.kinds import Look, look_where_fitting
from gridscape.kernels.cores import require_addresses
from gridscape.landscape import Landscape
from gridscape.study.parts import data_set_of
from gridscape.study.study import ResolvedStudy, Study
from gridscape.tasks import fetch


def resolved(land: Landscape, data_dir: str | Path | None, trust: bool) -> ResolvedStudy:
    """The study of a landscape; raises GridscapeError where its data set is not at hand."""
    study = _study(land, data_dir, trust)
    require_addresses()
    return study.override(keep_parameters="all").resolve(data_dir)


def tasks(land: Landscape, data_dir: str | Path | None, trust: bool) -> Collection[Task]:
    """What its cells were trained on, without the check of each cell; raises as ``resolved``."""
    return _study(land, data_dir, trust).load_tasks(data_dir).values()


def _study(land: Landscape, data_dir: str | Path | None, trust: bool) -> Study:
    study = Study.from_record(land.study, trust=trust)
    if missing := _missing_data(data_set_of(study.task), data_dir):
        raise GridscapeError("not on this machine", where=missing)
    return study


def _missing_data(data_set: str | None, data_dir: str | Path | None) -> str | None:
    """The data set that a task declares to read, where it would have to be fetched."""
    return data_set if data_set in fetch.absent(data_dir) else None


def looks(
    resolved: ResolvedStudy, kept: Sequence[tuple[Cell, TrialResult]], semantics: int = SEMANTICS
) -> Iterator[Look]:
    """What there is to see of each network that was kept in a folder of these semantics."""
    # The study's own cells: the landscape has text for a number on an axis that also has texts.
    trials = {trial.key: trial for trial in resolved.trials(semantics=semantics)} if kept else {}
    with Planner(resolved, Machine.local()) as planner:

        def network(cell: Cell, stored: TrialResult) -> Trained:
            if stored.key not in trials:
                raise GridscapeError("trained under other conditions", where=cell)
            return recovered(planner, trials[stored.key], stored)

        yield from look_where_fitting(itertools.starmap(network, kept))


def chance(tasks: Collection[Task]) -> float | None:
    """The share of the largest class, where all tasks of a study have as many classes."""
    counts = {task.n_outputs if task.answer else None for task in tasks}
    (count,) = counts if len(counts) == 1 else (None,)
    return None if count is None else max(task.guessing or 1 / count for task in tasks)
