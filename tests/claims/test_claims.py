"""Every rule on landscapes whose truth is known: it must say holds, fails or undecided, rightly."""

import math
from dataclasses import replace

import numpy as np
import pytest
from synthetic import RATES, STUDY_AXES, landscape

from gridscape.analysis.published import PublishedTable
from gridscape.analysis.statistics import holm, t_interval
from gridscape.claims.checks import above, below, certain, within
from gridscape.claims.files import load_claims
from gridscape.claims.judging import judge
from gridscape.claims.records import Claim, Outcome
from gridscape.claims.tables import published
from gridscape.errors import StudyFileError, UnknownNameError
from gridscape.grid.axes import Axis, Cell
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape

HOLDS, FAILS, UNDECIDED = Outcome.HOLDS, Outcome.FAILS, Outcome.UNDECIDED
WIDE = {"hidden_size": [16, 32, 64, 128, 256, 512], "learning_rate": list(RATES)}
FULL = {"hidden_size": [16 * 2**k for k in range(9)], "learning_rate": list(RATES)}
CLAIMS = {claim.id: claim for claim in load_claims("lstm-width-lr")}


def verdict(id, land, **parameters):
    """The verdict of a claim of study 1, its grid taken from the landscape."""
    claim = CLAIMS[id]
    return one(replace(claim, axes=land.axes, parameters={**claim.parameters, **parameters}), land)


def one(claim, land):
    (found,) = judge(land, [claim])
    return found


def width(cell):
    return math.log2(cell["hidden_size"] / 16)


def rate(cell):
    return math.log10(cell["learning_rate"])


def only_first(cell, replicate):
    return Status.FINISHED if replicate == 0 else Status.MISSING


# ---- each rule: holds, fails, undecided ---------------------------------------------------------

# a) accuracy grows with width at low rates
GROWS = {
    "holds": (HOLDS, {"accuracy": lambda c: 0.3 + 0.1 * width(c)}),
    "holds though flat at the end": (HOLDS, {"accuracy": lambda c: 0.3 + 0.1 * min(width(c), 3)}),
    "fails where it falls": (FAILS, {"accuracy": lambda c: 0.8 - 0.1 * width(c)}),
    "fails where one step falls": (
        FAILS,
        {"accuracy": lambda c: 0.3 + 0.1 * width(c) - 0.3 * (width(c) == 3)},
    ),
    "fails where one rate falls": (
        FAILS,
        {"accuracy": lambda c: 0.6 + (0.05 if rate(c) == -5 else -0.05) * width(c)},
    ),
    "undecided where flat": (UNDECIDED, {"accuracy": lambda c: 0.5, "noise": 0.05}),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": lambda c: 0.3 + 0.1 * width(c), "replicates": 1},
    ),
}

# b) the rate matters more than the width
MATTERS = {
    "holds": (HOLDS, {"accuracy": lambda c: 0.9 + 0.1 * rate(c) + 0.01 * width(c)}),
    "fails": (FAILS, {"accuracy": lambda c: 0.4 + 0.01 * rate(c) + 0.1 * width(c)}),
    "undecided where equal": (UNDECIDED, {"accuracy": lambda c: 0.5, "noise": 0.05}),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": lambda c: 0.9 + 0.1 * rate(c), "replicates": 1},
    ),
}


def goldilocks(c):
    return 0.95 - 0.1 * abs(rate(c) + 2)


# c) rises from 1e-5 to 1e-3 and falls beyond an optimum
ZONE = {
    "holds": (HOLDS, {"accuracy": goldilocks}),
    "holds where the end diverges": (
        HOLDS,
        {
            "accuracy": goldilocks,
            "status": lambda c, r: Status.DIVERGED if rate(c) == 0 and r else Status.FINISHED,
        },
    ),
    "fails where it falls at once": (FAILS, {"accuracy": lambda c: 0.4 - 0.1 * rate(c)}),
    "fails where it rises to the end": (FAILS, {"accuracy": lambda c: 0.9 + 0.1 * rate(c)}),
    "fails in one width": (
        FAILS,
        {"accuracy": lambda c: goldilocks(c) if width(c) else 0.9 + 0.1 * rate(c)},
    ),
    "fails where it dips on the way": (
        FAILS,
        {"accuracy": lambda c: goldilocks(c) - 0.3 * (rate(c) == -4)},
    ),
    "undecided where flat": (UNDECIDED, {"accuracy": lambda c: 0.5, "noise": 0.05}),
    "undecided of one replicate": (UNDECIDED, {"accuracy": goldilocks, "replicates": 1}),
}


def optimum(slope, center=-2.5):
    return lambda c: 0.95 - 0.05 * (rate(c) - (center + slope * (width(c) - 2.5))) ** 2


# d) the best rate shrinks with width
SHRINKS = {
    "holds": (HOLDS, {"accuracy": optimum(-0.8)}),
    "fails": (FAILS, {"accuracy": optimum(0.8)}),
    "undecided where the grid is too coarse": (UNDECIDED, {"accuracy": optimum(-0.05, center=-2)}),
    "undecided of one replicate": (UNDECIDED, {"accuracy": optimum(-0.8), "replicates": 1}),
}


def splits(small, large):
    return lambda c: small if c["hidden_size"] <= 64 else large


# e) small networks keep, large ones fail
SPLITS = {
    "holds": (HOLDS, {"accuracy": splits(0.9, 0.1)}),
    "holds where the large ones diverge": (
        HOLDS,
        {
            "accuracy": splits(0.9, 0.9),
            "status": lambda c, r: Status.DIVERGED if c["hidden_size"] > 64 else Status.FINISHED,
        },
    ),
    "fails where the small ones fail": (FAILS, {"accuracy": splits(0.6, 0.1)}),
    "fails where the large ones keep": (FAILS, {"accuracy": splits(0.9, 0.8)}),
    "fails where a small one diverges": (
        FAILS,
        {
            "accuracy": splits(0.9, 0.1),
            "status": lambda c, r: Status.DIVERGED if c["hidden_size"] == 16 else Status.FINISHED,
        },
    ),
    "undecided at the threshold": (UNDECIDED, {"accuracy": splits(0.79, 0.1), "noise": 0.02}),
    "undecided where the large ones ran out of memory": (
        UNDECIDED,
        {
            "accuracy": splits(0.9, 0.1),
            "status": lambda c, r: (
                Status.OUT_OF_MEMORY if c["hidden_size"] > 64 else Status.FINISHED
            ),
        },
    ),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": splits(0.9, 0.1), "replicates": 1},
    ),
}

# f) one cell equals another at lower cost; on WIDE, against width 512
EQUAL = {
    "holds": (HOLDS, {"accuracy": lambda c: 0.97, "noise": 0.001}),
    "fails where it is worse": (
        FAILS,
        {"accuracy": lambda c: 0.9 + 0.01 * width(c), "noise": 0.001},
    ),
    "fails where it costs the same": (
        FAILS,
        {"accuracy": lambda c: 0.97, "noise": 0.001, "seconds": lambda c: 3.0},
    ),
    "undecided where noise hides it": (UNDECIDED, {"accuracy": lambda c: 0.97, "noise": 0.01}),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": lambda c: 0.97, "noise": 0.001, "replicates": 1},
    ),
}


def edge(c):
    return 0.2 if c["hidden_size"] >= 128 and c["learning_rate"] >= 0.1 else 0.95


# g) failure at high rates is over-fitting
OVERFITS = {
    "holds": (HOLDS, {"accuracy": edge, "gap": lambda c: 0.7}),
    "fails": (FAILS, {"accuracy": edge, "gap": lambda c: 0.01}),
    "undecided at the bound": (
        UNDECIDED,
        {"accuracy": edge, "gap": lambda c: 0.1, "gap_noise": 0.05},
    ),
    "undecided where nothing fails": (
        UNDECIDED,
        {"accuracy": lambda c: 0.9, "gap": lambda c: 0.7},
    ),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": edge, "gap": lambda c: 0.01, "replicates": 1},
    ),
}


def low(c):
    return 0.4 if c["hidden_size"] <= 64 and c["learning_rate"] <= 1e-4 else 0.95


# h) low rates with few units under-fit
UNDERFITS = {
    "holds": (HOLDS, {"accuracy": low}),
    "fails where train is higher": (FAILS, {"accuracy": low, "gap": lambda c: 0.2}),
    "fails where they are not low": (FAILS, {"accuracy": lambda c: 0.95}),
    "undecided where noise hides it": (
        UNDECIDED,
        {"accuracy": low, "gap": lambda c: 0.015, "gap_noise": 0.05},
    ),
    "undecided of one replicate": (UNDECIDED, {"accuracy": low, "replicates": 1}),
}

CASES = [
    pytest.param(id, outcome, options, id=f"{id}: {name}")
    for id, cases in {
        "a": GROWS,
        "b": MATTERS,
        "c": ZONE,
        "d": SHRINKS,
        "e": SPLITS,
        "f": EQUAL,
        "g": OVERFITS,
        "h": UNDERFITS,
    }.items()
    for name, (outcome, options) in cases.items()
]
PARAMETERS = {"f": {"b": {"hidden_size": 512, "learning_rate": 0.001}}}


def built(options, axes=WIDE):
    """A landscape of 5 replicates; gap_noise adds scatter between train and test accuracy."""
    options = {"replicates": 5, "noise": 0.004, **options}
    gap_noise = options.pop("gap_noise", 0.0)
    land = landscape(axes, options.pop("accuracy"), **options)
    scatter = np.random.default_rng(5).standard_normal(land.data.sizes["replicate"])
    land.data["train_accuracy"] = land.data["train_accuracy"] + gap_noise * scatter
    return land


@pytest.mark.parametrize(("id", "outcome", "options"), CASES)
def test_rule_says_the_truth(id, outcome, options):
    found = verdict(id, built(options), **PARAMETERS.get(id, {}))
    assert found.outcome is outcome, found
    assert found.rule == found.claim.rule_in_words
    assert bool(found.note) or outcome is not UNDECIDED
    for estimate in found.estimates:
        assert estimate.name
        assert estimate.asks
    if options.get("replicates") == 1:
        assert "fewer than two" in found.note
        assert not any(e.interval.known for e in found.estimates)
    assert not {x.cell for x in found.excluded} & set(found.used)


def test_every_rule_is_tested_in_every_outcome():
    reached = {(CLAIMS[p.values[0]].rule, p.values[1]) for p in CASES}
    reached |= {("budget_fit", outcome) for outcome in Outcome}  # below
    of_study = {claim.rule for claim in CLAIMS.values()}  # the others: test_rules.py
    assert reached == {(rule, outcome) for rule in of_study for outcome in Outcome}


# ---- i) the number of updates that explains a table ---------------------------------------------


def table_at(share, noise=0.01):
    """A published table as one run of the curves below, read at a share of the budget."""

    def make(name):
        rng = np.random.default_rng(11)
        land = i_landscape(noise=0.0)
        values = land.values().sel(replicate=0).values.ravel()
        read = [
            float(curve(cell, final, np.array([400 * share]))[0]) + noise * rng.standard_normal()
            for cell, final in zip(land.grid.cells(), values, strict=True)
        ]
        cells = tuple(zip(land.grid.cells(), read, strict=True))
        return PublishedTable(name, "a report", "test_accuracy", cells)

    return make


def curve(cell, final, updates):
    return 0.1 + (final - 0.1) * (1 - np.exp(-updates / 300))


def i_landscape(**options):
    return landscape(curve=curve, evaluated_at=tuple(range(20, 401, 20)), **options)


@pytest.mark.parametrize(
    ("share", "noise", "options", "outcome"),
    [
        (0.5, 0.01, {}, HOLDS),
        (0.95, 0.01, {}, FAILS),
        (0.62, 0.1, {}, UNDECIDED),
        (0.5, 0.01, {"replicates": 1}, UNDECIDED),
        (0.5, 0.01, {"axes": {"hidden_size": [16], "learning_rate": [0.01, 0.1]}}, UNDECIDED),
        (0.5, 0.01, {"status": lambda c, r: Status.MISSING}, UNDECIDED),
    ],
    ids=["half", "all", "noisy", "one replicate", "two cells", "nothing"],
)
def test_budget_fit(monkeypatch, share, noise, options, outcome):
    monkeypatch.setattr("gridscape.claims.rules.curves.published", table_at(share, noise))
    found = verdict("i", i_landscape(**{"replicates": 5, **options}))
    assert found.outcome is outcome, found
    if outcome is not UNDECIDED:
        assert found.estimates[0].interval.mean == pytest.approx(share, abs=0.05)
        assert found.numbers["RMSE at the best number"] < 0.02
    if outcome is HOLDS:
        assert found.numbers["RMSE at the full budget"] > 0.05


def test_budget_fit_uses_the_cells_that_both_have(monkeypatch):
    monkeypatch.setattr("gridscape.claims.rules.curves.published", table_at(0.5))
    axes = {"hidden_size": [32, 64, 999], "learning_rate": list(RATES)}
    found = one(CLAIMS["i"], i_landscape(axes=axes, replicates=3))
    assert {cell["hidden_size"] for cell in found.used} == {32, 64}
    assert {x.cell["hidden_size"] for x in found.excluded} >= {16, 128}


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
    assert found["b"].note == "30 cells: not in this landscape"
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
    found = judge(landscape(FULL, replicates=3), load_claims("lstm-width-lr"))
    assert [v.claim.id for v in found] == list("abcdefghi")
    assert not any(x.reason == "not in this landscape" for v in found for x in v.excluded)
    assert all(v.estimates for v in found)


# ---- claims and tables as data ------------------------------------------------------------------


def test_claims_of_study_1():
    assert list(CLAIMS) == list("abcdefghi")
    for claim in CLAIMS.values():
        assert isinstance(claim, Claim)
        assert claim.source
        assert "{" not in claim.rule_in_words
        assert [axis.name for axis in claim.axes] == ["hidden_size", "learning_rate"]
    assert "0.005" in CLAIMS["a"].rule_in_words


def test_published_tables():
    first, second = published("width_lr_report1"), published("width_lr_report2")
    values = dict(first.values)
    assert len(values) == len(second.values) == 54
    assert values[Cell.of(hidden_size=16, learning_rate=1e-5)] == 0.1789
    assert dict(second.values)[Cell.of(hidden_size=512, learning_rate=0.1)] == 0.4154
    assert sum(math.isnan(v) for _, v in second.values) == 6
    assert first.source == "Assignment 2: Applying RNNs/LSTMs to MNIST"
    with pytest.raises(UnknownNameError, match="did you mean 'width_lr_report2'"):
        published("width-lr-report2")


def test_unknown_claims_name_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'lstm-width-lr'"):
        load_claims("lstm-width")


GOOD = """
[axes]
hidden_size = [16, 32]

[[claim]]
id = "x"
statement = "Accuracy grows."
source = "A report"
rule = "monotone_in"
parameters = { axis = "hidden_size", at = {}, direction = "rises", tolerance = 0.01 }
words = "Rises, tolerance {tolerance}."
"""


def test_claims_of_ones_own(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(GOOD)
    (claim,) = load_claims(path)
    assert claim.axes == (Axis("hidden_size", (16, 32)),)
    assert claim.rule_in_words == "Rises, tolerance 0.01."
    land = landscape({"hidden_size": [16, 32]}, lambda c: c["hidden_size"] / 100)
    assert one(claim, land).outcome is HOLDS
    falling = replace(claim, parameters={**claim.parameters, "direction": "falls"})
    assert one(falling, land).outcome is FAILS
    sideways = replace(claim, parameters={**claim.parameters, "direction": "fall"})
    with pytest.raises(UnknownNameError, match="did you mean 'falls'"):
        judge(land, [sideways])


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ('rule = "monotone_in"', 'rule = "monotone"', "did you mean 'monotone_in'"),
        ("tolerance = 0.01 }", "tolerances = 0.01 }", "missing a required argument: 'tolerance'"),
        ("{tolerance}", "{margin}", "'margin'"),
        (
            'source = "A report"',
            'origin = "A report"',
            "missing 'source'; claim x: unknown key 'or",
        ),
        ("hidden_size = [16, 32]", "", "expected the values of every axis"),
        ("[[claim]]", "[[claims]]", "unknown key 'claims'; claim: expected at least one"),
        ("[axes]", "[axes", "cannot be read"),
    ],
)
def test_every_mistake_in_a_file_of_claims_is_told(tmp_path, old, new, mistake):
    path = tmp_path / "own.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(StudyFileError) as caught:
        load_claims(path)
    assert mistake in str(caught.value)
    with pytest.raises(StudyFileError, match=r"absent\.toml"):
        load_claims(tmp_path / "absent.toml")
