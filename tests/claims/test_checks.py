"""Checks: corrected for their number, and judged on parts of the grid."""

import math

import numpy as np
import pytest
from study_1 import CLAIMS, FAILS, FULL, HOLDS, UNDECIDED, built, one, rate, splits, verdict
from synthetic import STUDY_AXES, landscape

from gridscape.analysis.statistics import holm, t_interval
from gridscape.claims.checks import above, below, certain, within
from gridscape.claims.judging import judge
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape

# ---- checks -------------------------------------------------------------------------------------


def test_checks_agree_with_their_interval():
    """Uncorrected, a check decides exactly where the 95 % interval excludes the bound."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.normal(0.02, 0.02, 4)
        interval = t_interval(values)
        over, under = above("x", "", values, 0.01), below("x", "", values, 0.01)
        assert (over.p_holds <= 0.05) == (interval.low > 0.01)
        assert (over.p_fails <= 0.05) == (interval.high < 0.01)
        assert (under.p_holds, under.p_fails) == (over.p_fails, over.p_holds)
        near = within("x", "", values, 0.03)
        assert (near.p_holds <= 0.05) == (interval.low > -0.03 and interval.high < 0.03)
        assert (near.p_fails <= 0.05) == (interval.low > 0.03 or interval.high < -0.03)


def test_a_certain_check_needs_no_replicates():
    check = certain("diverged", "> 0", HOLDS)
    assert (check.p_holds, check.p_fails) == (0.0, 1.0)
    assert math.isnan(check.interval.mean)


def test_p_values_of_one_verdict_are_holm_corrected():
    found = verdict("e", built({"accuracy": splits(0.81, 0.1), "noise": 0.02}))
    raw = [
        above("", "", land_values(found, cell), 0.79).p_holds
        if cell["hidden_size"] <= 64
        else below("", "", land_values(found, cell), 0.5).p_holds
        for cell in found.used
    ]
    assert [e.p_value for e in found.estimates] == pytest.approx(holm(raw))
    assert any(p > q for p, q in zip(holm(raw), raw, strict=True))


def land_values(found, cell):
    land = built({"accuracy": splits(0.81, 0.1), "noise": 0.02})
    return land.data["test_accuracy"].sel(**cell).values


@pytest.mark.slow
@pytest.mark.parametrize("id", ["a", "b", "c", "d", "h"])
def test_no_rule_finds_what_is_not_there(id):
    """On a flat landscape a statement of growth, spread or a zone is hardly ever found to hold."""
    outcomes = [
        verdict(id, landscape(accuracy=lambda c: 0.5, noise=0.05, replicates=4, seed=seed)).outcome
        for seed in range(100)
    ]
    assert outcomes.count(HOLDS) <= 5


# ---- parts of the grid --------------------------------------------------------------------------


def test_part_of_the_grid_is_judged_and_the_rest_is_told():
    land = landscape(replicates=5)  # widths 16 to 128 of 16 to 4096
    found = {v.claim.id: v for v in judge(land, CLAIMS.values())}
    for id in "abch":
        assert found[id].outcome is HOLDS, found[id]
    assert len(found["b"].used) == 24
    assert len(found["b"].excluded) == 30
    assert found["b"].note == "30 cells: not asked for"
    assert found["e"].outcome is UNDECIDED
    assert "a cell with hidden_size from 256" in found["e"].note
    assert found["f"].outcome is UNDECIDED
    assert "hidden_size=2048, learning_rate=0.001" in found["f"].note
    assert found["f"].excluded[0].cell == Cell.of(hidden_size=2048, learning_rate=0.001)


def test_what_is_not_trained_yet_is_told():
    def status(cell, replicate):
        return Status.MISSING if cell["hidden_size"] == 128 else Status.FINISHED

    found = verdict("a", landscape(replicates=4, status=status))
    assert found.outcome is HOLDS
    assert {x.reason for x in found.excluded} == {"not trained yet"}
    assert {x.cell["hidden_size"] for x in found.excluded} == {128}


def test_cells_that_mostly_diverged_are_excluded_and_told():
    def status(cell, replicate):
        return Status.DIVERGED if rate(cell) == 0 and replicate < 3 else Status.FINISHED

    found = verdict("b", landscape(replicates=5, status=status))
    assert found.outcome is HOLDS
    assert {rate(x.cell) for x in found.excluded} == {0}
    assert "diverged" in found.excluded[0].reason


def test_one_diverged_replicate_does_not_cost_the_others():
    def status(cell, replicate):
        return Status.DIVERGED if (rate(cell), replicate) == (0, 1) else Status.FINISHED

    found = verdict("b", landscape(replicates=5, status=status))
    assert found.estimates[0].interval.n == 5


def test_a_replicate_in_flight_does_not_take_part():
    def status(cell, replicate):
        return Status.MISSING if replicate == 4 and rate(cell) > -3 else Status.FINISHED

    found = verdict("b", landscape(replicates=5, status=status))
    assert found.estimates[0].interval.n == 4


@pytest.mark.parametrize("id", list(CLAIMS))
@pytest.mark.parametrize("status", [Status.MISSING, Status.DIVERGED, Status.FAILED])
def test_a_landscape_without_results_is_undecided(id, status):
    land = landscape(STUDY_AXES, status=lambda c, r: status)
    found = one(CLAIMS[id], land)
    if (id, status) == ("e", Status.DIVERGED):
        assert found.outcome is FAILS  # the small networks did not keep their accuracy
    else:
        assert found.outcome is UNDECIDED
        assert found.note


def test_other_axes_are_an_obstacle_and_no_error():
    short = landscape({"learning_rate": [0.1, 0.01]}, lambda c: 0.5)
    assert "no axis hidden_size" in one(CLAIMS["a"], short).note
    more = landscape({**STUDY_AXES, "optimizer": ["adam", "sgd"]}, lambda c: 0.5)
    assert "several values of optimizer" in one(CLAIMS["a"], more).note
    chosen = Landscape(more.data.sel(optimizer=["adam"]))
    assert "optimizer" not in one(CLAIMS["a"], chosen).note


def test_the_full_grid_is_judged_by_every_claim():
    found = judge(landscape(FULL, replicates=3), CLAIMS.values())
    assert [v.claim.id for v in found] == list("abcdefghi")
    assert not any(x.reason == "not asked for" for v in found for x in v.excluded)
    assert all(v.estimates for v in found)
