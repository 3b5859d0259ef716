"""Checks: corrected for their number, and judged on parts of the grid."""

import math
import re

import numpy as np
import pytest
from scipy import stats
from study_1 import CLAIMS, FAILS, FULL, HOLDS, UNDECIDED, one, rate, verdict
from synthetic import STUDY_AXES, landscape

from gridscape.analysis.looks import ONCE, Looks
from gridscape.analysis.statistics import t_interval
from gridscape.claims.checks import above, any_of, below, decide, most, within
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


def test_most_is_the_exact_binomial_test():
    for n in range(2, 12):
        for k in range(n + 1):
            check = most("x", k, n)
            assert check.p_holds == pytest.approx(stats.binomtest(k, n, 0.5, "greater").pvalue)
            assert check.p_fails == pytest.approx(stats.binomtest(k, n, 0.5, "less").pvalue)
            exact = stats.binomtest(k, n).proportion_ci(method="exact")
            assert (check.interval.low, check.interval.high) == pytest.approx(tuple(exact))
    nothing = most("x", 0, 0)
    assert math.isnan(nothing.p_holds)
    assert math.isnan(nothing.p_fails)


def test_what_holds_needs_no_correction_and_what_fails_does():
    """p values of .04 each: of two numbers both are shown, neither is shown to be otherwise."""
    shown = above("x", "", np.array([0.1, 0.2, 0.3, 0.45]), 0.0)
    assert 0.01 < shown.p_holds < 0.05
    assert decide([shown, shown])[0] is HOLDS
    against = below("x", "", np.array([0.1, 0.2, 0.3, 0.45]), 0.0)
    open_ = below("y", "", np.array([0.1, -0.2, 0.3, -0.1]), 0.0)
    assert decide([against])[0] is FAILS
    assert decide([against, shown, shown])[0] is FAILS  # what is shown to hold does not count
    outcome, estimates, note = decide([against, *[open_] * 4])
    assert outcome is UNDECIDED
    assert estimates[0].p_value == pytest.approx(5 * against.p_fails)
    assert note == "the replicates do not settle 5 of 5 numbers"
    assert {e.outlook for e in estimates if e.name == "y"} == {open_.outlook(0.05)}
    assert "4 replicates can show " in open_.outlook(0.05)


def test_what_replicates_can_show_is_told_in_points_of_fractions():
    numbers = np.array([0.01, -0.02, 0.03, 0.01])
    told = {unit: above("x", unit, numbers, 0.0).outlook(0.05) for unit in ("fraction", "nats")}
    assert "seen is 0.75 points, which needs about 61 replicates" in told["fraction"]
    assert "seen is 0.0075 nats" in told["nats"]
    slope = below("x", "fraction per doubling of width", numbers, 0.0).outlook(0.05)
    assert "seen is 0.75 points per doubling of width" in slope
    assert "fraction squared" in above("x", "fraction squared", numbers, 0.0).outlook(0.05)


def test_a_look_that_spends_less_of_the_error_needs_more_replicates():
    numbers = np.array([0.01, -0.02, 0.03, 0.01])
    test = above("x", "fraction", numbers, 0.0)
    first = Looks.up_to(20, first=4).level(4)
    at_once, at_a_look = (decide([test], level)[1][0].outlook for level in (ONCE, first))
    wide, narrow = (re.findall(r"show ([\d.]+) points", told)[0] for told in (at_a_look, at_once))
    assert float(wide) > 1.2 * float(narrow)
    more, fewer = (re.findall(r"about (\d+) rep", told)[0] for told in (at_a_look, at_once))
    assert int(more) > int(fewer)


def test_one_of_several_counts_their_number():
    sure = above("sure", "", np.array([0.3, 0.31, 0.32]), 0.0)
    open_ = above("open", "", np.array([-0.1, 0.0, 0.12]), 0.0)
    found = any_of("one of them", [open_, sure])
    assert found.p_holds == pytest.approx(2 * sure.p_holds)
    assert found.p_fails == 1.0
    assert found.interval == sure.interval
    assert math.isnan(any_of("none", [above("one", "", np.array([0.3]), 0.0)]).p_holds)


def test_values_without_scatter_settle_nothing():
    for check in (above("x", "", np.ones(5), 0.5), within("x", "", np.zeros(5), 0.1)):
        assert decide([check])[0] is UNDECIDED


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
    land = landscape(replicates=6)  # widths 16 to 128 of 16 to 4096
    found = {v.claim.id: v for v in judge(land, CLAIMS.values())}
    assert found["h"].outcome is HOLDS, found["h"]
    for id in "abcde":  # they speak of every width: what is there does not show it of the others
        assert found[id].outcome is UNDECIDED, found[id]
        assert "the landscape lacks" in found[id].note
    for id in "ac":
        assert all(e.says is HOLDS for e in found[id].estimates), found[id]
    assert len(found["b"].used) == 24
    assert len(found["b"].excluded) == 30
    assert found["b"].note == "the landscape lacks 30 of 54 cells; 30 cells: not asked for"
    assert "5 of 5 cells at learning_rate=0.1, hidden_size from 256" in found["e"].note
    assert found["f"].outcome is UNDECIDED
    assert "hidden_size=2048, learning_rate=0.001" in found["f"].note
    assert found["f"].excluded[0].cell == Cell.of(hidden_size=2048, learning_rate=0.001)


def test_what_is_not_trained_yet_is_told():
    def status(cell, replicate):
        return Status.MISSING if cell["hidden_size"] == 128 else Status.FINISHED

    found = verdict("a", landscape(replicates=4, status=status))
    assert found.outcome is UNDECIDED
    assert all(e.says is HOLDS for e in found.estimates)
    assert {x.reason for x in found.excluded} == {"not trained yet"}
    assert {x.cell["hidden_size"] for x in found.excluded} == {128}


def test_runs_that_diverged_count_as_guessing_in_a_spread_or_keep_it_from_holding():
    def status(cell, replicate):
        return Status.DIVERGED if rate(cell) == 0 and replicate < 3 else Status.FINISHED

    found = verdict("b", landscape(replicates=5, status=status, study={"guessing": 0.1}))
    assert found.outcome is HOLDS
    assert not found.excluded
    assert found.estimates[0].interval.n == 5
    unknown = verdict("b", landscape(replicates=5, status=status))
    assert unknown.outcome is UNDECIDED
    assert {rate(x.cell) for x in unknown.excluded} == {0}
    assert unknown.excluded[0].reason == "a run of it diverged"
    assert re.search("lacks .*a number of 4 cells of which a run diverged", unknown.note)


def test_a_replicate_in_flight_does_not_take_part():
    def status(cell, replicate):
        return Status.MISSING if replicate == 4 and rate(cell) > -3 else Status.FINISHED

    found = verdict("b", landscape(replicates=5, status=status))
    assert found.estimates[0].interval.n == 4


@pytest.mark.parametrize("id", list(CLAIMS))
@pytest.mark.parametrize("status", [Status.MISSING, Status.DIVERGED, Status.FAILED])
def test_a_landscape_without_results_is_undecided(id, status):
    land = landscape(STUDY_AXES, status=lambda c, r: status, replicates=6)
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
    assert "several values" not in one(CLAIMS["a"], chosen).note


def test_the_full_grid_is_judged_by_every_claim():
    found = judge(landscape(FULL, replicates=3), CLAIMS.values())
    assert [v.claim.id for v in found] == list("abcdefghi")
    assert not any(x.reason == "not asked for" for v in found for x in v.excluded)
    assert all(v.estimates for v in found)
