"""Rules follow what is better of a metric: losses, differences of two, metrics of one's own."""

import numpy as np
import pytest
from synthetic import RATES, landscape
from verdicts import ALIKE, CELLS, FAILS, HOLDS, by_cell, diverging, verdict

from gridscape.errors import UnknownNameError
from gridscape.grid.trials import Status

GRID = {"hidden_size": [16, 32, 64], "learning_rate": list(RATES)}


def test_of_a_loss_the_lowest_is_best_and_what_diverged_is_highest():
    land = landscape(CELLS, by_cell(rnn=0.5, lstm=0.8, gru=0.95), replicates=6)
    loss = {"metric": "test_loss"}
    falling = {"cells": [{"cell": "gru"}, {"cell": "lstm"}, {"cell": "rnn"}]}
    rows = {"at": {"hidden_size": [64, 128]}}
    assert verdict("ordered", land, falling | rows | loss).outcome is HOLDS
    assert verdict("best_is", land, {"cell": {"cell": "gru"}} | rows | loss).outcome is HOLDS
    assert verdict("best_is", land, {"cell": {"cell": "rnn"}} | rows | loss).outcome is FAILS
    worse = ALIKE | {"where": {"cell": "gru"}, "margin": 0.05} | loss
    assert verdict("comparable", land, worse).outcome is HOLDS

    lost = landscape(
        CELLS, by_cell(rnn=0.5, lstm=0.8, gru=0.95), replicates=6, status=diverging(cell=["rnn"])
    )
    assert verdict("ordered", lost, falling | rows | loss).outcome is HOLDS
    assert verdict("best_is", lost, {"cell": {"cell": "gru"}} | rows | loss).outcome is HOLDS
    parts = [{"where": {"cell": "rnn"}, "above": 5.0}, {"where": {"cell": "gru"}, "below": 0.1}]
    assert verdict("levels", lost, {"parts": parts} | loss).outcome is HOLDS
    assert verdict("levels", lost, {"parts": [{**parts[0], "above": 0}]} | loss).outcome is HOLDS
    below = [{"where": {"cell": "rnn"}, "below": 5.0}]
    assert verdict("levels", lost, {"parts": below} | loss).outcome is FAILS


@pytest.mark.parametrize(
    ("axis", "than", "outcome"),
    [("a", "b", FAILS), ("b", "a", HOLDS), ("z", "b", HOLDS), ("b", "z", FAILS)],
)
def test_a_spread_is_over_one_axis_with_all_others_fixed(axis, than, outcome):
    axes = {"a": [0, 1], "b": [0, 1, 2, 3], "z": [0, 1]}
    land = landscape(
        axes, lambda c: 0.2 + 0.02 * c["a"] + 0.05 * c["b"] + 0.3 * c["z"], noise=0.0005
    )
    found = verdict("spread_larger", land, {"axis": axis, "than": than})
    assert found.outcome is outcome
    true = {"a": 0.02 / 2**0.5, "b": 0.05 * np.std(range(4), ddof=1), "z": 0.3 / 2**0.5}
    for name in (axis, than):  # noise of 0.0005 moves a mean of 4 or more deviations by less
        assert found.numbers[f"spread over {name}"] == pytest.approx(true[name], abs=0.001)


def test_rules_follow_what_is_better_of_a_metric():
    meant = {"metrics": {"accuracy": {"better": "lower", "unit": "nats"}}}
    land = landscape(CELLS, by_cell(rnn=0.5, lstm=0.8, gru=0.95), study=meant, replicates=4)
    scatter = 0.01 * np.random.default_rng(2).standard_normal(land.data.train_accuracy.shape)
    land.data["train_accuracy"] = land.data.train_accuracy + scatter
    rows = {"at": {"hidden_size": [64, 128]}}
    assert verdict("best_is", land, {"cell": {"cell": "rnn"}} | rows).outcome is HOLDS
    assert verdict("best_is", land, {"cell": {"cell": "gru"}} | rows).outcome is FAILS
    short = {"where": {"cell": "gru"}, "gap_within": 0.1, "short_by": 0.3}
    found = verdict("underfits", land, short)
    assert found.outcome is HOLDS
    assert "test_accuracy of the best cell" in "".join(found.numbers)
    assert found.estimates[0].unit == "nats"
    assert verdict("underfits", land, {**short, "where": {"cell": "rnn"}}).outcome is FAILS


def valley(turn):
    """Down to a rate of 10**turn and up again, as a loss."""
    return lambda c: 0.2 + 0.1 * abs(np.log10(c["learning_rate"]) - turn(c))


@pytest.mark.parametrize(("better", "outcome"), [("lower", HOLDS), ("higher", FAILS)])
def test_rules_of_trends_follow_what_is_better(better, outcome):
    meant = {"metrics": {"accuracy": {"better": better, "unit": ""}}}
    land = landscape(GRID, valley(lambda c: -3), study=meant)
    steps = {"axis": "learning_rate", "per": "hidden_size", "low": 1e-5, "high": 1e-3}
    assert verdict("goldilocks", land, {**steps, "tolerance": 0.0}).outcome is outcome
    moving = landscape(GRID, valley(lambda c: 1 - np.log2(c["hidden_size"])), study=meant)
    shrinks = {"axis": "learning_rate", "along": "hidden_size"}
    found = verdict("best_shrinks", moving, shrinks)
    assert (found.outcome is HOLDS) == (outcome is HOLDS)


def test_a_rate_at_which_nearly_all_runs_fail_takes_no_replicates_from_the_others():
    """One of 8 runs learns at the highest rate: the others still tell where the best one is."""
    moving = valley(lambda c: 1 - np.log2(c["hidden_size"]))

    def status(cell, replicate):
        fails = cell["learning_rate"] == max(RATES) and replicate > 0
        return Status.DIVERGED if fails else Status.FINISHED

    land = landscape(GRID, lambda c: 1 - moving(c), status=status, replicates=8)
    found = verdict("best_shrinks", land, {"axis": "learning_rate", "along": "hidden_size"})
    assert found.outcome is HOLDS, found.note
    assert found.estimates[0].interval.n == 8


def test_a_metric_may_be_the_difference_of_two():
    land = landscape(CELLS, lambda c: 0.9, gap=lambda c: 0.2 * (c["cell"] == "gru"), replicates=4)
    scatter = 0.001 * np.random.default_rng(2).standard_normal(land.data.train_accuracy.shape)
    land.data["train_accuracy"] = (
        land.data.train_accuracy + scatter
    )  # without any, nothing is shown
    metric = {"metric": "train_accuracy - test_accuracy"}
    parts = [{"where": {"cell": "gru"}, "near": 0.2, "within": 0.01}]
    found = verdict("levels", land, {"parts": parts} | metric)
    assert found.outcome is HOLDS
    assert found.estimates[0].unit == "fraction"
    assert verdict("best_is", land, {"cell": {"cell": "gru", "hidden_size": 64}} | metric)
    grown = {"cells": [{"cell": "rnn"}, {"cell": "gru"}], "at": {"hidden_size": 64}, "by": 0.1}
    assert verdict("ordered", land, grown | metric).outcome is HOLDS
    with pytest.raises(UnknownNameError, match="unknown metric 'train_acc'"):
        verdict("levels", land, {"parts": parts, "metric": "train_acc - test_accuracy"})
