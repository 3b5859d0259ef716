"""Rules that studies share: they hold, fail, or cannot be decided."""

from collections import Counter

import pytest
from synthetic import landscape
from verdicts import ALIKE, CELLS, FAILS, HOLDS, ORDER, UNDECIDED, by_cell, diverging, verdict

from gridscape.claims.files import load_claims
from gridscape.claims.records import Outcome
from gridscape.claims.rules.registry import RULES
from gridscape.grid.trials import Status

ORDERED = {
    "holds": (HOLDS, {"accuracy": by_cell(rnn=0.8, lstm=0.9, gru=0.95)}),
    "holds where the lowest diverges": (
        HOLDS,
        {"accuracy": by_cell(rnn=0.8, lstm=0.9, gru=0.95), "status": diverging(cell=["rnn"])},
    ),
    "fails where two are swapped": (FAILS, {"accuracy": by_cell(rnn=0.8, lstm=0.95, gru=0.9)}),
    "fails where the highest diverges": (
        FAILS,
        {"accuracy": by_cell(rnn=0.8, lstm=0.9, gru=0.95), "status": diverging(cell=["gru"])},
    ),
    "fails in one row": (
        FAILS,
        {
            "accuracy": lambda c: (
                {"rnn": 0.8, "lstm": 0.9, "gru": 0.95}[c["cell"]] - 0.1 * (c["cell"] == "gru")
                if c["hidden_size"] == 128
                else {"rnn": 0.8, "lstm": 0.9, "gru": 0.95}[c["cell"]]
            )
        },
    ),
    "undecided where equal": (
        UNDECIDED,
        {"accuracy": by_cell(rnn=0.8, lstm=0.9, gru=0.9), "noise": 0.02},
    ),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": by_cell(rnn=0.8, lstm=0.9, gru=0.95), "replicates": 1},
    ),
    "undecided where one ran out of memory": (
        UNDECIDED,
        {
            "accuracy": by_cell(rnn=0.8, lstm=0.9, gru=0.95),
            "status": lambda c, r: Status.OUT_OF_MEMORY if c["cell"] == "gru" else Status.FINISHED,
        },
    ),
}


BEST = {
    "holds": (HOLDS, {"accuracy": by_cell(rnn=0.8, lstm=0.9, gru=0.95)}),
    "holds where the others diverge": (
        HOLDS,
        {"accuracy": lambda c: 0.9, "status": diverging(cell=["rnn", "lstm"])},
    ),
    "fails": (FAILS, {"accuracy": by_cell(rnn=0.8, lstm=0.97, gru=0.95)}),
    "fails where it diverges": (
        FAILS,
        {"accuracy": lambda c: 0.9, "status": diverging(cell=["gru"])},
    ),
    "undecided where equal": (UNDECIDED, {"accuracy": lambda c: 0.9, "noise": 0.02}),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": by_cell(rnn=0.8, lstm=0.9, gru=0.95), "replicates": 1},
    ),
    "undecided where it is not trained yet": (
        UNDECIDED,
        {
            "accuracy": lambda c: 0.9,
            "status": lambda c, r: Status.MISSING if c["cell"] == "gru" else Status.FINISHED,
        },
    ),
}


COMPARABLE = {
    "holds": (HOLDS, {"accuracy": by_cell(rnn=0.5, lstm=0.95, gru=0.955)}),
    "holds where the worse one diverges": (
        HOLDS,
        {"accuracy": lambda c: 0.95, "status": diverging(cell=["rnn"])},
    ),
    "fails where they differ": (FAILS, {"accuracy": by_cell(rnn=0.5, lstm=0.8, gru=0.95)}),
    "fails where the worse one is as good": (FAILS, {"accuracy": lambda c: 0.95}),
    "fails where one of them diverges": (
        FAILS,
        {
            "accuracy": by_cell(rnn=0.5, lstm=0.95, gru=0.95),
            "status": diverging(cell=["gru"], hidden_size=[64]),
        },
    ),
    "undecided where noise hides it": (
        UNDECIDED,
        {"accuracy": by_cell(rnn=0.5, lstm=0.95, gru=0.95), "noise": 0.03},
    ),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": by_cell(rnn=0.5, lstm=0.95, gru=0.95), "replicates": 1},
    ),
}


PARTS = {
    "parts": [
        {"where": {"cell": "gru"}, "above": 0.9},
        {"where": {"cell": "rnn"}, "below": 0.5},
        {"where": {"cell": "lstm", "hidden_size": {"from": 128}}, "near": 0.7, "within": 0.05},
    ]
}


LEVELS = {
    "holds": (HOLDS, {"accuracy": by_cell(rnn=0.3, lstm=0.7, gru=0.95)}),
    "holds where what is below diverges": (
        HOLDS,
        {"accuracy": by_cell(rnn=0.3, lstm=0.7, gru=0.95), "status": diverging(cell=["rnn"])},
    ),
    "fails below": (FAILS, {"accuracy": by_cell(rnn=0.3, lstm=0.7, gru=0.85)}),
    "fails above": (FAILS, {"accuracy": by_cell(rnn=0.6, lstm=0.7, gru=0.95)}),
    "fails beside": (FAILS, {"accuracy": by_cell(rnn=0.3, lstm=0.8, gru=0.95)}),
    "fails where what is above diverges": (
        FAILS,
        {"accuracy": by_cell(rnn=0.3, lstm=0.7, gru=0.95), "status": diverging(cell=["gru"])},
    ),
    "fails where what is near diverges": (
        FAILS,
        {"accuracy": by_cell(rnn=0.3, lstm=0.7, gru=0.95), "status": diverging(cell=["lstm"])},
    ),
    "undecided at a bound": (
        UNDECIDED,
        {"accuracy": by_cell(rnn=0.5, lstm=0.7, gru=0.95), "noise": 0.01},
    ),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": by_cell(rnn=0.3, lstm=0.7, gru=0.95), "replicates": 1},
    ),
    "undecided where a part is not trained yet": (
        UNDECIDED,
        {
            "accuracy": by_cell(rnn=0.3, lstm=0.7, gru=0.95),
            "status": lambda c, r: Status.MISSING if c["cell"] == "gru" else Status.FINISHED,
        },
    ),
}


MOST = {"where": {"cell": ["rnn", "lstm"]}, "below": 0.5}


FAIL_IN_MOST = {
    "holds where they are low": (HOLDS, {"accuracy": by_cell(rnn=0.1, lstm=0.2, gru=0.9)}),
    "holds where they diverge": (
        HOLDS,
        {"accuracy": lambda c: 0.9, "status": diverging(cell=["rnn", "lstm"])},
    ),
    "holds where three of four do": (
        HOLDS,
        {
            "accuracy": by_cell(rnn=0.1, lstm=0.9, gru=0.9),
            "status": diverging(cell=["lstm"], hidden_size=[64]),
        },
    ),
    "fails where one of four does": (
        FAILS,
        {"accuracy": lambda c: 0.9, "status": diverging(cell=["rnn"], hidden_size=[64])},
    ),
    "fails where none does": (FAILS, {"accuracy": lambda c: 0.9}),
    "fails where half do": (FAILS, {"accuracy": by_cell(rnn=0.1, lstm=0.9, gru=0.9)}),
    "undecided where most do in some replicates": (
        UNDECIDED,
        {
            "accuracy": by_cell(rnn=0.1, lstm=0.9, gru=0.9),
            "status": lambda c, r: (
                Status.DIVERGED if c["cell"] == "lstm" and r % 2 else Status.FINISHED
            ),
        },
    ),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": by_cell(rnn=0.1, lstm=0.2, gru=0.9), "replicates": 1},
    ),
    "undecided where they ran out of memory": (
        UNDECIDED,
        {"accuracy": lambda c: 0.9, "status": lambda c, r: Status.OUT_OF_MEMORY},
    ),
}


RULED = {
    "ordered": (ORDER | {"at": {"hidden_size": [64, 128]}}, ORDERED),
    "best_is": ({"cell": {"cell": "gru"}, "at": {"hidden_size": [64, 128]}}, BEST),
    "comparable": (ALIKE, COMPARABLE),
    "levels": (PARTS, LEVELS),
    "fails_in_most": (MOST, FAIL_IN_MOST),
}


CASES = [
    pytest.param(rule, parameters, outcome, options, id=f"{rule}: {name}")
    for rule, (parameters, cases) in RULED.items()
    for name, (outcome, options) in cases.items()
]


@pytest.mark.parametrize(("rule", "parameters", "outcome", "options"), CASES)
def test_rule_says_the_truth(rule, parameters, outcome, options):
    options = {"replicates": 6, "noise": 0.004, **options}
    accuracy = options.pop("accuracy")
    found = verdict(rule, landscape(CELLS, accuracy, **options), parameters)
    assert found.outcome is outcome, found
    assert bool(found.note) or outcome is not UNDECIDED
    assert all(e.name and e.asks for e in found.estimates)
    if options["replicates"] == 1:
        assert "fewer than 3" in found.note
    assert not {x.cell for x in found.excluded} & set(found.used)


def test_every_rule_is_tested_in_every_outcome():
    reached = Counter((p.values[0], p.values[2]) for p in CASES)
    elsewhere = {"smoother", "beats_study", "sums_gradients", "step_limit"}  # below
    first = {claim.rule for claim in load_claims("lstm-width-lr")}  # test_claims.py
    judged = set(Outcome) - {Outcome.NOT_COMPARABLE}  # which no rule says
    assert {rule for rule, _ in reached} | elsewhere | first == set(RULES)
    assert set(reached) == {(rule, outcome) for rule in RULED for outcome in judged}


@pytest.mark.parametrize("replicates", [1, 3])
def test_where_nothing_is_random_one_run_decides(replicates):
    land = landscape(
        CELLS,
        by_cell(rnn=0.3, lstm=0.7, gru=0.95),
        noise=0.0,
        replicates=replicates,
        status=diverging(cell=["rnn"]),
    )
    rows = {"at": {"hidden_size": [64, 128]}, "exact": True}
    assert verdict("ordered", land, ORDER | rows).outcome is HOLDS
    assert verdict("ordered", land, {"cells": ORDER["cells"][::-1]} | rows).outcome is FAILS
    for cells, outcome in [("gru", HOLDS), (["gru", "rnn"], FAILS)]:
        parts = {"parts": [{"where": {"cell": cells}, "above": 0.9}]}
        assert verdict("levels", land, parts | {"exact": True}).outcome is outcome
        assert verdict("levels", land, parts).outcome is UNDECIDED


def test_runs_that_differ_are_tested_however_exact_they_should_be():
    def status(cell, replicate):
        return Status.DIVERGED if replicate == 0 else Status.FINISHED

    land = landscape(CELLS, lambda c: 0.9, noise=0.0, status=status, replicates=4)
    parts = {"parts": [{"where": {"cell": "gru"}, "above": 0.5}], "exact": True}
    assert verdict("levels", land, parts).outcome is UNDECIDED
