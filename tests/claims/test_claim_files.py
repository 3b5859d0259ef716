"""Claims and published tables as data."""

import math
from dataclasses import replace

import pytest
from study_1 import CLAIMS, FAILS, HOLDS, one
from synthetic import landscape

from gridscape.claims.files import load_claims
from gridscape.claims.judging import judge
from gridscape.claims.records import Claim
from gridscape.claims.tables import published
from gridscape.errors import StudyFileError, UnknownNameError
from gridscape.grid.axes import Axis, Cell


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
    assert claim.conditions is None
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
        ("[axes]", "[conditions]\nupdate = 9\n[axes]", "did you mean 'updates'?"),
        ("[axes]", "[conditions]\nhidden_size = 9\n[axes]", "unknown condition 'hidden_size'"),
        ("[axes]", "conditions = 3\n[axes]", "conditions: expected a table of settings, found 3"),
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
