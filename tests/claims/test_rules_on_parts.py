"""Rules on a part of the published grid, and what cannot be right."""

import pytest
from synthetic import landscape
from verdicts import CELLS, FAILS, HOLDS, ORDER, UNDECIDED, by_cell, diverging, verdict

from gridscape.analysis.cells import CellSummary
from gridscape.claims.evidence import Evidence, rows_at
from gridscape.errors import UsageError
from gridscape.grid.axes import Axis

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
    fit = evidence.fit_in({"x": [3, "4"], "y": {"to": 9}}, "test_accuracy")
    assert [len(members) for members in rows_at(fit, {"x": [3.0, 4, 5]}).values()] == [8, 10, 0]
    assert list(rows_at(fit, {})) == [""]
    assert list(rows_at([], {"x": [3]}).values()) == [[]]
    assert {str(e.cell): e.reason for e in evidence.excluded} == {
        **{f"x=30, y={y}": "not asked for" for y in range(30)},
        **{
            f"x=3, y={y}, z=1": "diverged or failed in at least half of its replicates"
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
