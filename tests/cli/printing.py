"""What a terminal of some size shows, and events of made-up runs for it."""

import io
import re
from pathlib import Path

import numpy as np
import synthetic
from cohort_tools import planner_of, tiny
from rich.console import Console

from gridscape.analysis.cells import CellState
from gridscape.cli import tables
from gridscape.cli._live_table import LiveTable
from gridscape.execution.executors import Finished, Progress
from gridscape.grid.trials import Status, TrialResult
from gridscape.report.words import STATES
from gridscape.sweep import Started

COLLAPSED, DIVERGED, FAILED, MISSING = (
    STATES[state].sign
    for state in (CellState.COLLAPSED, CellState.DIVERGED, CellState.FAILED, CellState.MISSING)
)

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
RATES = list(synthetic.RATES)


def printed(parts, width=80, color=False, height=24):
    """What a terminal of this size shows; plain text is what a file gets."""
    out = io.StringIO()
    system = "truecolor" if color else None
    console = Console(
        file=out,
        width=width,
        height=height,
        force_terminal=color,
        color_system=system,
        highlight=False,
        emoji=False,
        markup=False,
    )
    for part in parts:
        console.print(part)
    return out.getvalue()


def overview(land, width=80, color=False):
    return printed(tables.overview(tables.Overview.of(land), width), width, color)


def widest(text):
    return max(len(line) for line in ESCAPE.sub("", text).splitlines())


def started(axes=None, **values):
    planner = planner_of(tiny(axes, **values))
    todo = tuple(planner.resolved.trials())
    return Started(planner.resolved, Path("nowhere"), todo, 0)


def progress(run, number, update, accuracy, alive=None):
    cohort = run.cohorts[number]
    accuracy = np.broadcast_to(accuracy, len(cohort.trials)).astype(float)
    alive = np.ones(len(cohort.trials), bool) if alive is None else alive
    updates = cohort.recipe.updates
    return Progress(number, cohort.trials, update, updates, accuracy, False, alive, 1.0)


def finished(trial, accuracy=0.9, status=Status.FINISHED, share=0.2):
    metrics = {"test_accuracy": accuracy, "top_answer_share": share}
    curves = {}
    return Finished(trial, TrialResult(trial.key, status, 12, metrics, curves, 1.0, 10, 1e6, 1000))


def live(run, width=80, height=24, color=False):
    return printed([LiveTable(run)], width, color, height)
