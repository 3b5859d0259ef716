"""Stopped networks: shown as such everywhere, and in no number."""

import io
from pathlib import Path

import numpy as np
import pytest
import synthetic
from rich.console import Console
from synthetic import landscape

from gridscape.analysis.cells import CellState, summarize
from gridscape.cli import tables
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape
from gridscape.report.document import document
from gridscape.report.findings import gather
from gridscape.store import to_mlflow
from gridscape.store._run_words import STATUS_OF


def some(cell, replicate):
    """Cells and single replicates that were stopped, and others that diverged."""
    at = int(np.log2(cell["hidden_size"]) * 7 + round(-np.log10(cell["learning_rate"]) * 2))
    if cell["hidden_size"] == 64 and cell["learning_rate"] < 1e-4:
        return Status.STOPPED
    if at % 4 == 0 and replicate >= 1:
        return Status.STOPPED
    return Status.DIVERGED if at % 7 == 0 else Status.FINISHED


class Without:
    """Makes landscapes as if nothing that was stopped had been there."""

    @staticmethod
    def of(study, results):
        return Landscape.of(study, [r for r in results if r[1].status is not Status.STOPPED])


@pytest.fixture(scope="module")
def stopped():
    return landscape(status=some)


@pytest.fixture(scope="module")
def missing():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "Landscape", Without)
        return landscape(status=some)


# What tells of single networks, and is compared part by part or not at all.
OWN = ("counts", "cells", "metrics", "curves")


def test_what_is_stopped_is_in_no_number(stopped, missing):
    """All that is found is what is found where the same networks are not there."""
    assert stopped.counts()["stopped"] == missing.counts()["missing"] > 5
    one, other = (document(gather(land), Path("x"), "", {}) for land in (stopped, missing))
    for name in one.keys() - {*OWN}:
        assert one[name] == other[name], name
    for ours, theirs in zip(one["metrics"], other["metrics"], strict=True):
        for column in ("mean", "low", "high", "counts"):
            assert ours[column] == theirs[column], (ours["name"], column)
    for column in ("learns", "share", "at_edge", "why", "against_best", "partly"):
        assert one["cells"][column] == other["cells"][column], column
    assert stopped.candidates().equals(missing.candidates())
    assert stopped.score().equals(missing.score())
    counts = {**other["counts"], "stopped": other["counts"]["missing"], "missing": 0}
    assert one["counts"] == counts


def test_a_cell_says_that_it_is_stopped(stopped):
    found = [s for s in summarize(stopped) if s.state is CellState.STOPPED]
    assert {s.cell["hidden_size"] for s in found} == {64}
    assert all(s.n_stopped == 3 and s.n_ended == s.n_missing == s.n_failed == 0 for s in found)
    partly = [s for s in summarize(stopped) if s.n_stopped == 2]
    assert partly
    assert all(s.n_ended == 1 and s.state is not CellState.STOPPED for s in partly)


def test_the_table_and_the_exports_say_so(stopped):
    out = io.StringIO()
    console = Console(file=out, width=120)
    for part in tables.overview(tables.Overview.of(stopped, None), 120):
        console.print(part)
    assert "# stopped: gridscape run --resume-stopped goes on" in out.getvalue()
    table = stopped.table()
    assert (table["status"] == "stopped").sum() == stopped.counts()["stopped"]
    runs = {run.status: to_mlflow._status(run) for run in stopped._runs()}
    assert runs[Status.STOPPED] == "KILLED"
    assert Status(STATUS_OF["stopped"]) is Status.STOPPED


def test_the_curve_so_far_is_shown(stopped):
    found = gather(stopped)
    cell = next(s.cell for s in summarize(stopped) if s.state is CellState.STOPPED)
    (band,) = (b for b in found.bands[cell] if b.curve == "test_accuracy")
    assert len(band.updates) == 3
    assert np.isfinite(band.per_replicate).all()
    assert not any(band.finished)
