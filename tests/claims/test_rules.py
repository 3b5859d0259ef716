"""Rules that studies share: they hold, fail, or cannot be decided."""

from collections import Counter

import numpy as np
import pytest
from synthetic import RATES, landscape
from verdicts import CELLS, FAILS, HOLDS, UNDECIDED, verdict

from gridscape.analysis.cells import CellSummary
from gridscape.claims.evidence import Evidence, rows_at
from gridscape.claims.files import load_claims
from gridscape.claims.records import Outcome
from gridscape.claims.rules.registry import RULES
from gridscape.errors import UnknownNameError, UsageError
from gridscape.grid.axes import Axis
from gridscape.grid.trials import Status

GRID = {"hidden_size": [16, 32, 64], "learning_rate": list(RATES)}


def by_cell(**accuracies):
    return lambda c: accuracies[c["cell"]]


def diverging(**where):
    """Every trial of the cells with these values diverges."""

    def status(cell, replicate):
        inside = all(cell[name] in values for name, values in where.items())
        return Status.DIVERGED if inside else Status.FINISHED

    return status


ORDER = {"cells": [{"cell": "rnn"}, {"cell": "lstm"}, {"cell": "gru"}]}


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


ALIKE = {"where": {"cell": ["gru", "lstm"]}, "worse": {"cell": "rnn"}, "margin": 0.02}


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
        assert "fewer than two" in found.note
    assert not {x.cell for x in found.excluded} & set(found.used)


def test_every_rule_is_tested_in_every_outcome():
    reached = Counter((p.values[0], p.values[2]) for p in CASES)
    elsewhere = {"smoother", "beats_study", "sums_gradients", "step_limit"}  # below
    first = {claim.rule for claim in load_claims("lstm-width-lr")}  # test_claims.py
    judged = set(Outcome) - {Outcome.NOT_COMPARABLE}  # which no rule says
    assert {rule for rule, _ in reached} | elsewhere | first == set(RULES)
    assert set(reached) == {(rule, outcome) for rule in RULED for outcome in judged}


# ---- losses: the lower, the better ---------------------------------------------------------------


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


def test_a_metric_may_be_the_difference_of_two():
    land = landscape(CELLS, lambda c: 0.9, gap=lambda c: 0.2 * (c["cell"] == "gru"), replicates=4)
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


# ---- parts of the grid ---------------------------------------------------------------------------

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


# ---- curves --------------------------------------------------------------------------------------


def wavy(cell, final, updates):
    """Accuracies that rise, those at the rate 0.1 with large waves, those at 0 with none."""
    height = {0.0: 0.0, 0.1: 0.06}.get(cell["learning_rate"], 0.03)
    return final * updates / updates.max() + height * np.sin(updates / 10) * (1 + final)


@pytest.mark.parametrize(
    ("a", "b", "options", "outcome"),
    [
        (0.01, 0.1, {}, HOLDS),
        (0.1, 0.01, {}, FAILS),
        (0.01, 0.1, {"status": diverging(learning_rate=[0.1])}, HOLDS),
        (0.01, 0.1, {"status": diverging(learning_rate=[0.01])}, FAILS),
        (0.01, 0.0, {}, FAILS),
        (0.01, 0.001, {"noise": 0.1}, UNDECIDED),
        (0.01, 0.1, {"replicates": 1}, UNDECIDED),
        (0.01, 0.1, {"status": lambda c, r: Status.MISSING}, UNDECIDED),
    ],
)
def test_smoother(a, b, options, outcome):
    land = landscape(
        {"learning_rate": [0.0, 0.001, 0.01, 0.1]},
        lambda c: 0.9,
        **{"replicates": 5, "noise": 0.01, **options},
        curve=lambda c, final, updates: -wavy(c, final, updates),  # a curve that should fall
        evaluated_at=tuple(range(10, 401, 10)),
    )
    parameters = {"a": {"learning_rate": a}, "b": {"learning_rate": b}, "curve": "test_accuracy"}
    found = verdict("smoother", land, parameters)
    assert found.outcome is outcome, found
    assert bool(found.note) or outcome is not UNDECIDED


def test_results_read_along_a_curve():
    land = landscape(
        {"hidden_size": [16, 32]},
        lambda c: 0.9,
        replicates=4,
        noise=0.001,
        curve=lambda c, final, updates: final * (updates / 400) ** (c["hidden_size"] / 16),
        evaluated_at=(100, 200, 300, 400),
    )
    at = {"update": (250, 400)}
    parts = [
        {"where": {"hidden_size": 16, "update": 250}, "near": 0.9 * 250 / 400, "within": 0.01},
        {"where": {"hidden_size": 32, "update": 250}, "near": 0.9 * 0.40625, "within": 0.01},
        {"where": {"update": 400}, "near": 0.9, "within": 0.01},
    ]
    found = verdict("levels", land, {"parts": parts}, along=at)
    assert found.outcome is HOLDS, found
    assert len(found.used) == 4
    slower = {"cells": [{"hidden_size": 32}, {"hidden_size": 16}], "by": 0.1}
    assert verdict("ordered", land, slower | {"at": {"update": 250}}, along=at).outcome is HOLDS
    assert verdict("ordered", land, slower | {"at": {"update": 400}}, along=at).outcome is FAILS


# ---- two studies ---------------------------------------------------------------------------------


@pytest.fixture
def beside(monkeypatch):
    """Makes a landscape what is read from a folder."""
    from gridscape.landscape import Landscape

    def put(land):
        def read(folder):
            assert folder.name == "cell-types"
            return land

        monkeypatch.setattr(Landscape, "read", read)

    return put


BEATS = {"cell": {"updates": 511}, "other": "cell-types"}


@pytest.mark.parametrize(
    ("theirs", "options", "outcome"),
    [
        (by_cell(rnn=0.85, lstm=0.9, gru=0.92), {}, HOLDS),
        (by_cell(rnn=0.85, lstm=0.9, gru=0.97), {}, FAILS),
        (by_cell(rnn=0.85, lstm=0.9, gru=0.95), {"noise": 0.02}, UNDECIDED),
        (by_cell(rnn=0.85, lstm=0.9, gru=0.92), {"replicates": 1}, UNDECIDED),
        (by_cell(rnn=0.85, lstm=0.9, gru=0.97), {"status": diverging(cell=["gru"])}, HOLDS),
        (lambda c: 0.8, {"status": lambda c, r: Status.MISSING}, UNDECIDED),
    ],
)
def test_beats_study(beside, tmp_path, theirs, options, outcome):
    options = {"replicates": 6, "noise": 0.004, **options}
    beside(landscape(CELLS, theirs, seed=1, **options))
    land = landscape({"learning_rate": [511, 5500]}, lambda c: 0.95, replicates=6, noise=0.004)
    parameters = BEATS | {"cell": {"learning_rate": 511}}
    found = verdict("beats_study", land, parameters, folder=tmp_path)
    assert found.outcome is outcome, found
    assert bool(found.note) or outcome is not UNDECIDED


def test_without_the_other_study_it_is_undecided(tmp_path):
    land = landscape({"learning_rate": [511]}, lambda c: 0.95)
    parameters = BEATS | {"cell": {"learning_rate": 511}}
    nowhere = verdict("beats_study", land, parameters)
    assert nowhere.outcome is UNDECIDED
    assert "judge(..., folder=...)" in nowhere.note
    alone = verdict("beats_study", land, parameters, folder=tmp_path / "cnn")
    assert alone.outcome is UNDECIDED
    assert "cell-types" in alone.note
    assert "run a study first" in alone.note
