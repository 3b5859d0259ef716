"""Records as plain data, for ``--json``: what JSON lacks (NaN, infinities) becomes null."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridscape.study.conditions import altered

if TYPE_CHECKING:
    from gridscape.analysis.cells import CellSummary
    from gridscape.cli.tables import Overview
    from gridscape.execution.planner import CohortPlan, Plan
    from gridscape.execution.replay import Replay
    from gridscape.inspection.kinds import Look


def to_json(content: Any) -> str:
    """One JSON document, readable.

    >>> print(to_json({"mean": math.nan, "where": Path("runs")}))
    {
     "mean": null,
     "where": "runs"
    }
    """
    return json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Mappings, sequences, dataclasses, enumerations and paths as what JSON knows."""
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):  # before dataclasses: a cell is both
        return {str(name): plain(item) for name, item in value.items()}
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # of NumPy
        return plain(value.tolist())
    return [plain(item) for item in value]


# ---- the documents of the commands; nested records keep the names of their fields ----


def overview(found: "Overview", directory: Path) -> dict[str, Any]:
    """What ``show`` and ``run`` tell: every cell over its replicates, and what follows."""
    land = found.land
    return {
        "study": land.study.get("name"),
        "title": land.study.get("title"),
        "altered": altered(land.study),
        "directory": directory,
        "told": land.study.get("told") or [],
        "classes": land.class_names,
        "chance": land.chance(),
        "axes": {axis.name: axis.values for axis in land.axes},
        "replicates": land.n_replicates,
        "counts": land.counts(),
        "metric": found.metric,
        "selection": land.selection,
        "selection_metric": land.selection_metric,
        "cells": [_cell(summary) for summary in found.cells],
        "cells_by_selection": [_cell(summary) for summary in found.chosen],
        "top": found.top and found.top.cell,
        "winner": found.winner and {**vars(found.winner), "best": found.winner.best.cell},
        "confirmed": found.confirmed,
        "best": found.best,
        "smallest": found.smallest,
    }


def _cell(summary: "CellSummary") -> dict[str, Any]:
    return {"state": summary.state, "n_learns": summary.n_learns, **plain(summary)}


def plan(record: "Plan") -> dict[str, Any]:
    """What ``plan`` tells: one entry per program, and all of them together."""
    return {
        "study": record.study.name,
        "n_trials": record.n_trials,
        "n_stored": record.n_stored,
        "devices": record.devices,
        "programs": [_program(cohort) for cohort in record.cohorts],
        "memory_bytes": record.memory_bytes,
        "flops": record.flops,
        "seconds": record.seconds,
    }


def _program(planned: "CohortPlan") -> dict[str, Any]:
    return {
        "static": planned.cohort.recipe.static,
        "from_update": planned.cohort.start,
        "n_trials": len(planned.cohort.trials),
        "n_runs": len(planned.runs),
        "memory_bytes": planned.memory_bytes,
        "flops": planned.flops,
        "compile_seconds": planned.compile_seconds,
        "seconds": planned.seconds,
    }


def replay(record: "Replay") -> dict[str, Any]:
    """What ``replay`` tells; a difference is null where only one side has the number."""
    return {
        "cell": record.trial.cell,
        "replicate": record.trial.replicate,
        "identical": record.identical,
        "stored_status": record.stored.status,
        "status": record.again.status,
        "differences": record.differences(),
    }


def look(
    record: "Look",
    files: list[Path],
    of_cell: "CellSummary",
    why: str = "",
    selection: str | None = None,
) -> dict[str, Any]:
    """What ``inspect`` tells, by kind; pictures are in the files, and not repeated in numbers.

    of_cell: the cell over its replicates. why: what went wrong with it. selection: the set on which
    it was chosen as the best one; None where it was named.
    """
    network = record.network
    return {
        "cell": network.trial.cell,
        "replicate": network.trial.replicate,
        "selection": selection,
        "why": why,
        "share": of_cell.share,
        "estimate": of_cell.estimate,
        "at_edge": of_cell.at_edge,
        "trained_again": network.trained_again,
        "identical": network.identical,
        **{kind: _without_pictures(plain(found)) for kind, found in record.records.items()},
        "files": files,
    }


def _without_pictures(value: Any) -> Any:
    """Plain data without arrays of pixels: grids of numbers that are three deep or more."""
    if isinstance(value, dict):
        return {k: _without_pictures(v) for k, v in value.items() if _depth(v) < 3}
    return [_without_pictures(item) for item in value] if isinstance(value, list) else value


def _depth(value: Any) -> int:
    return 1 + _depth(value[0]) if isinstance(value, list) and value else 0
