"""Rules on a part of the published grid, and what cannot be right."""

import numpy as np
import pytest
from synthetic import landscape
from verdicts import CELLS, FAILS, HOLDS, ORDER, UNDECIDED, by_cell, diverging, verdict

from gridscape.analysis.cells import CellSummary
from gridscape.claims.evidence import Evidence, rows_at
from gridscape.errors import UsageError
from gridscape.grid.axes import Axis
from gridscape.landscape import Landscape

PUBLISHED = (Axis("cell", ("rnn", "lstm", "gru")), Axis("hidden_size", (64, 128, 256)))


GOOD = by_cell(rnn=0.3, lstm=0.7, gru=0.95)


@pytest.mark.parametrize(
    ("rule", "parameters", "lacks"),
    [
        ("best_is", {"cell": {"cell": "gru", "hidden_size": 128}}, "3 of 9 cells"),
        (
            "levels",
            {"parts": [{"where": {"cell": "gru"}, "above": 0.9}]},
            "1 of 3 cells at cell=gru",
        ),
        ("comparable", {"where": {"cell": "gru"}, "margin": 0.1}, "1 of 3 cells at cell=gru"),
        (
            "fails_in_most",
            {"where": {"cell": ["rnn"], "hidden_size": {"from": 128}}, "below": 0.5},
            "1 of 2 cells at cell=rnn, hidden_size from 128",
        ),
        ("ordered", ORDER | {"at": {"hidden_size": [64, 128, 256]}}, "hidden_size=256, cell=rnn"),
        (
            "gap",
            {
                "where": {"cell": "gru"},
                "minuend": "train_accuracy",
                "subtrahend": "test_accuracy",
                "exceeds": -0.1,
            },
            "1 of 3 cells at cell=gru",
        ),
        (
            "underfits",
            {"where": {"cell": "rnn"}, "gap_within": 0.1, "short_by": 0.1},
            "1 of 3 cells at cell=rnn",
        ),
    ],
)
def test_what_is_said_of_every_cell_cannot_hold_of_some(rule, parameters, lacks):
    land = landscape(
        CELLS, lambda c: GOOD(c) + (c["hidden_size"] == 128) / 100, noise=0.001, replicates=6
    )
    found = verdict(rule, land, parameters, axes=PUBLISHED)
    assert found.outcome is UNDECIDED
    assert f"the landscape lacks {lacks}" in found.note.replace("a result of ", "")
    assert all(e.says is HOLDS for e in found.estimates)


def test_a_way_from_low_to_high_that_lacks_a_value_does_not_hold():
    rates = {"hidden_size": [64], "learning_rate": [1e-5, 1e-4, 1e-3, 1e-2]}
    parameters = {
        "axis": "learning_rate",
        "per": "hidden_size",
        "low": 1e-5,
        "high": 1e-3,
        "tolerance": 0.01,
    }
    heights = {1e-5: 0.3, 1e-4: 0.6, 1e-3: 0.9, 1e-2: 0.5}
    published = tuple(Axis(name, tuple(values)) for name, values in rates.items())
    for left_out, outcome in ((None, HOLDS), (1e-4, UNDECIDED)):
        there = [rate for rate in rates["learning_rate"] if rate != left_out]
        land = landscape(
            rates | {"learning_rate": there}, lambda c: heights[c["learning_rate"]], replicates=5
        )
        found = verdict("goldilocks", land, parameters, axes=published)
        assert found.outcome is outcome
    assert "the landscape lacks 1 of 4 cells at hidden_size=64" in found.note


@pytest.mark.parametrize("how", ["collapsed", "not_started"])
def test_networks_that_finish_without_learning_are_what_fails(how):
    """Of them the rules on gaps speak: only those that diverged have no number."""
    heights = by_cell(rnn=0.3, lstm=0.7, gru=0.95)
    land = landscape(CELLS, heights, replicates=5, **{how: lambda c, r: c["cell"] == "rnn"})
    low = {"where": {"cell": "rnn"}, "gap_within": 0.1, "short_by": 0.1}
    found = verdict("underfits", land, low)
    assert (found.outcome, found.excluded) == (HOLDS, ())
    both = {"minuend": "train_accuracy", "subtrahend": "test_accuracy", "failing_below": 0.5}
    found = verdict("gap", land, {"where": {}, "exceeds": 0.1} | both)
    assert found.outcome is FAILS
    assert {cell["cell"] for cell in found.used} == {"rnn"}


def test_of_a_region_all_runs_that_finish_are_compared():
    """Four of ten learn: their mean alone would hide that the region falls short."""
    heights = by_cell(rnn=0.94, lstm=0.7, gru=0.95)

    def fails(cell, replicate):
        return cell["cell"] == "rnn" and replicate >= 4

    land = landscape(CELLS, heights, replicates=10, collapsed=fails)
    for name in ("test_accuracy", "train_accuracy"):
        values = land.data[name].copy()
        values.loc[{"cell": "rnn", "replicate": list(range(4, 10))}] = 0.1
        land = Landscape(land.data.assign({name: values}), land.study)
    low = {"where": {"cell": "rnn"}, "gap_within": 0.1, "short_by": 0.3}
    found = verdict("underfits", land, low)
    assert found.outcome is not FAILS
    (lead,) = (e for e in found.estimates if e.name.startswith("lead of"))
    assert 0.4 < lead.interval.mean < 0.6


@pytest.mark.parametrize("who", ["gru", "lstm"])
def test_a_cell_that_diverged_costs_nothing_that_could_be_compared(who):
    status = diverging(cell=[who], hidden_size=[64])
    land = landscape(CELLS, lambda c: 0.9, status=status, replicates=6)
    a, b = ({"cell": cell, "hidden_size": 64} for cell in ("gru", "lstm"))
    found = verdict(
        "equal_at_lower_cost",
        land,
        {"a": a, "b": b, "margin": 0.1, "cost": "flops", "at_most": 0.5},
    )
    assert found.outcome is UNDECIDED
    assert f"a result of the cell cell={who}, hidden_size=64" in found.note


def test_a_cell_must_be_one_where_two_are_compared():
    land = landscape(CELLS, lambda c: 0.9)
    parameters = {
        "a": {"cell": "gru"},
        "b": {"cell": "lstm", "hidden_size": 64},
        "margin": 0.1,
        "cost": "seconds",
        "at_most": 0.5,
    }
    with pytest.raises(UsageError, match="cell=gru: this names more than one cell"):
        verdict("equal_at_lower_cost", land, parameters)


def test_why_nothing_is_tested_is_not_always_for_lack_of_replicates():
    both = landscape(CELLS, lambda c: 0.9, status=diverging(cell=["gru", "lstm"]), replicates=6)
    pair = {"cells": [{"cell": "lstm"}, {"cell": "gru"}], "at": {"hidden_size": [64, 128]}}
    found = verdict("ordered", both, pair)
    assert found.outcome is UNDECIDED
    assert "most runs of both fail, which does not tell them apart" in found.note
    assert "fewer than" not in found.note
    cost = {"margin": 0.1, "cost": "seconds", "at_most": 0.5}
    a, b = ({"cell": cell, "hidden_size": 64} for cell in ("gru", "lstm"))
    land = landscape(CELLS, lambda c: 0.9)
    timings = np.full_like(land.data["seconds"], 3.0)  # all replicates of a cell in one cohort
    once = Landscape(land.data.assign(seconds=land.data["seconds"].copy(data=timings)))
    once = verdict("equal_at_lower_cost", once, {"a": a, "b": b} | cost)
    assert "what trains together is timed once" in once.note
    assert "fewer than" not in once.note


def test_what_is_there_can_fail_alone():
    land = landscape(CELLS, by_cell(rnn=0.3, lstm=0.97, gru=0.95), noise=0.001)
    at = {"at": {"hidden_size": [256, 64, 128]}}
    assert verdict("ordered", land, ORDER | at, axes=PUBLISHED).outcome is FAILS
    assert verdict("best_is", land, {"cell": {"cell": "gru"}} | at, axes=PUBLISHED).outcome is FAILS


# ---- what cannot be right ------------------------------------------------------------------------


def test_evidence_of_many_cells_compares_none_with_the_others(monkeypatch):
    axes = {"x": list(range(30)), "y": list(range(30)), "z": [1]}
    land = landscape(axes, lambda cell: 0.5, status=diverging(x=[3], y=[4, 5]))
    published = (Axis("x", tuple(range(31))), Axis("y", tuple(range(30))))
    evidence = Evidence(land, published)
    monkeypatch.setattr(CellSummary, "__eq__", pytest.fail)
    settled, lacking = evidence.settled_in({"x": {"from": 3}}, "test_accuracy")
    assert (len(settled), lacking) == (27 * 30, "30 of 840 cells at x from 3")
    fit, _ = evidence.finished_in({"x": [3, "4"], "y": {"to": 9}}, "test_accuracy")
    assert [len(members) for members in rows_at(fit, {"x": [3.0, 4, 5]}).values()] == [8, 10, 0]
    assert list(rows_at(fit, {})) == [""]
    assert list(rows_at([], {"x": [3]}).values()) == [[]]
    assert {str(e.cell): e.reason for e in evidence.excluded} == {
        **{f"x=30, y={y}": "not asked for" for y in range(30)},
        **{
            f"x=3, y={y}, z=1": "no number: diverged, failed or not trained that far"
            for y in (4, 5)
        },
    }


def test_a_cell_must_be_one():
    land = landscape(CELLS, lambda c: 0.9)
    with pytest.raises(UsageError, match="cell=gru: this names more than one cell; name more"):
        verdict("best_is", land, {"cell": {"cell": "gru"}})


@pytest.mark.parametrize("bounds", [{}, {"above": 0.5, "below": 0.9}, {"near": 0.5}])
def test_a_part_has_one_level(bounds):
    parts = [{"where": {"cell": "gru"}, **bounds}]
    with pytest.raises(UsageError, match="above, or below, or near and within"):
        verdict("levels", landscape(CELLS, lambda c: 0.9), {"parts": parts})
