"""A verdict only under the conditions that a statement was made under."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from synthetic import STUDY_AXES, landscape
from verdicts import CELLS, HOLDS, UNDECIDED

from gridscape.analysis.conditions import altered, differences
from gridscape.analysis.published import Agreement, PublishedTable, compare_published
from gridscape.claims.files import load_claims
from gridscape.claims.judging import judge
from gridscape.claims.records import Claim, Outcome
from gridscape.claims.tables import published
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape
from gridscape.store.store import Store
from gridscape.study.conditions import Conditions
from gridscape.study.files import with_claims
from gridscape.study.study import Study

NOT_COMPARABLE = Outcome.NOT_COMPARABLE
STUDY_1 = {"updates": 999, "task": "mnist-rows", "task_options": {"split": "tf1"}, "model": "lstm"}


def recorded(name: str, **changes: Any) -> dict[str, Any]:
    study = Study.load(name)
    fields = [key for key in Study.model_fields if key != "metrics"]  # of a record: their meanings
    return {key: getattr(study, key) for key in fields} | changes


def made_up(name: str, axes: dict[str, Any], **changes: Any) -> Landscape:
    """A landscape that says it is of a named study, with values of one's own on its axes."""
    updates = int(changes.get("updates") or Study.load(name).updates)
    points = tuple(range(updates // 10, updates + 1, updates // 10))
    study = recorded(name, **{"axes": axes, **changes})
    return landscape(axes, lambda c: 0.8, updates=updates, evaluated_at=points, study=study)


def verdicts(name: str, land: Landscape) -> dict[str, tuple[Outcome, str]]:
    found = judge(land, load_claims(Study.load(name).claims or ""))
    return {verdict.claim.id: (verdict.outcome, verdict.note) for verdict in found}


@pytest.mark.parametrize("name", with_claims())
def test_a_named_study_is_comparable_with_its_own_claims_and_tables(name: str) -> None:
    axes = {axis: values[:2] for axis, values in Study.load(name).axes.items()}
    land = made_up(name, axes, replicates=2)
    claims = load_claims(Study.load(name).claims or "")
    anything = [replace(c, rule="levels", parameters={"parts": []}, along={}) for c in claims]
    assert NOT_COMPARABLE not in {verdict.outcome for verdict in judge(land, anything)}
    for table in map(published, Study.load(name).published):
        assert differences(land, table.conditions) == ()


def test_fewer_updates_and_other_data_are_not_comparable() -> None:
    study = recorded("lstm-width-lr", updates=200, task="digits-rows", task_options={})
    study["axes"] = dict(STUDY_AXES)
    land = landscape(study=study, updates=200, evaluated_at=(50, 200))
    told = "200 of 999 updates; task digits-rows instead of mnist-rows"
    assert set(verdicts("lstm-width-lr", land).values()) == {(NOT_COMPARABLE, told)}
    assert altered(land) == f"Reduced run: {told}"
    table = compare_published(land, published("width_lr_report1"))
    assert table.note == told
    assert table.count(Agreement.NOT_COMPARABLE) == 24
    assert table.count(Agreement.INSIDE) == table.count(Agreement.OUTSIDE) == 0
    beside = [c for c in table.cells if c.agreement is Agreement.NOT_COMPARABLE]
    assert all(np.isfinite([c.published, c.ours.mean, c.difference]).all() for c in beside)
    assert np.isnan([table.mean_difference, table.rmse]).all()


def test_what_is_read_along_the_curve_is_comparable_as_far_as_was_trained() -> None:
    axes = {"position": [2], "hidden_size": [2, 5, 10]}
    reads = {c.id for c in load_claims("recall") if c.along}
    assert reads
    for updates, comparable in ((500, set()), (3_000, reads)):
        found = verdicts("recall", made_up("recall", axes, updates=updates))
        assert {id for id, (outcome, _) in found.items() if outcome is not NOT_COMPARABLE} == (
            comparable
        )
    table = compare_published(made_up("recall", axes, updates=500), published("recall_report3"))
    assert {c.cell["update"] for c in table.cells if c.agreement is Agreement.NOT_REACHED} == {
        n for n in range(600, 1501, 100) if n != 1100
    }
    assert table.note == "500 of 1,500 updates"


def test_a_longer_run_that_failed_later_tells_nothing_of_before() -> None:
    axes = {"position": [2], "hidden_size": [2, 5, 10]}
    land = made_up("recall", axes, updates=6_000)
    read = {c.id for c in load_claims("recall") if c.along}
    for update, refused in ((1_400.0, False), (4_000.0, True)):
        bad = xr.full_like(land.data["first_bad_update"], update)
        found = verdicts("recall", Landscape(land.data.assign(first_bad_update=bad), land.study))
        assert read
        assert all((found[id][0] is NOT_COMPARABLE) is refused for id in read)


def test_an_axis_over_what_was_published_is_judged_at_the_published_value() -> None:
    axes = {**CELLS, "hidden_size": [64, 128, 256], "batch_size": [16, 32]}
    land = made_up("cell-types", axes)
    (first, *_) = judge(land, load_claims("cell-types"))
    assert first.outcome is not NOT_COMPARABLE
    assert {cell["batch_size"] for cell in first.used} == {32}
    others = Landscape(land.data.sel(batch_size=[16]), land.study)
    assert set(verdicts("cell-types", others).values()) == {
        (NOT_COMPARABLE, "batch size 16 instead of 32")
    }
    further = made_up("cell-types", {**axes, "layers": ["1", "2"]})
    assert {outcome for outcome, _ in verdicts("cell-types", further).values()} == {UNDECIDED}


def third_is_missing(cell: Cell, replicate: int) -> Status:
    return Status.MISSING if replicate == 2 else Status.FINISHED


@pytest.mark.parametrize(
    "rest", [{"replicates": 2}, {"replicates": 3, "status": third_is_missing}], ids=["2", "3"]
)
def test_two_replicates_have_no_verdict(rest: dict[str, Any]) -> None:
    """Be it that the study has no more, or that no more are finished."""
    land = landscape(study=STUDY_1, noise=1e-5, **rest)
    judged = judge(land, load_claims("lstm-width-lr"))
    assert {verdict.outcome for verdict in judged} == {UNDECIDED}
    assert any("fewer than 3 replicates to test with" in verdict.note for verdict in judged)
    three = landscape(study=STUDY_1, replicates=3, noise=1e-5)
    assert {outcome for outcome, _ in verdicts("lstm-width-lr", three).values()} != {UNDECIDED}


def test_precision_is_told_and_judged() -> None:
    land = landscape(study={**STUDY_1, "precision": "bfloat16"}, replicates=5)
    found = verdicts("lstm-width-lr", land).values()
    assert {outcome for outcome, _ in found} != {UNDECIDED}
    for outcome, note in found:
        assert outcome is not NOT_COMPARABLE
        assert note.endswith("precision bfloat16 instead of float32") or outcome is UNDECIDED


def test_the_other_study_of_a_claim_must_be_as_published_too(tmp_path: Any) -> None:
    land = made_up("cnn-vs-rnn", {"updates": [511, 5_500]}, updates=None)
    assert {v.outcome for v in judge(land, load_claims("cnn-vs-rnn"))} == {UNDECIDED}
    with Store.create(tmp_path / "cell-types", recorded("cell-types", updates=9)):
        pass
    found = judge(land, load_claims("cnn-vs-rnn"), folder=tmp_path / "cnn-vs-rnn")
    assert {(v.outcome, v.note) for v in found} == {
        (NOT_COMPARABLE, "cell-types: 9 of 799 updates")
    }


OWN = """
[conditions]
updates = 400
task_options = { size = [8, 28] }

[axes]
hidden_size = [16, 32]

[[claim]]
id = "x"
statement = "Accuracy grows."
source = "A report"
rule = "monotone_in"
parameters = { axis = "hidden_size", at = {}, direction = "rises", tolerance = 0.01 }
words = "Rises."
"""


def test_a_file_of_ones_own_states_its_conditions(tmp_path: Any) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    claims = load_claims(path)
    for size, outcome in ((28, HOLDS), (32, NOT_COMPARABLE)):
        land = landscape(
            {"hidden_size": [16, 32]},
            lambda c: float(c["hidden_size"]) / 100,
            study={"task_options": {"size": size}},
        )
        assert judge(land, claims)[0].outcome is outcome
    path.write_text(OWN.replace("updates = 400", "updates = 401"))
    (found,) = judge(landscape({"hidden_size": [16]}, lambda c: 0.8), load_claims(path))
    assert (found.outcome, found.note) == (NOT_COMPARABLE, "400 of 401 updates")


def test_a_landscape_that_tells_no_study_is_judged() -> None:
    land = Landscape(landscape().data)
    conditions = Conditions({"updates": 999, "task": "mnist-rows"}, whole=True)
    parameters = {"parts": [{"where": {}, "above": 0.0}]}
    claim = Claim("x", "So.", "A", "levels", parameters, "", land.axes, conditions=conditions)
    assert judge(land, [claim])[0].outcome is not NOT_COMPARABLE
    values = ((Cell.of(hidden_size=16, learning_rate=0.1), 0.9),)
    table = PublishedTable("t", "A", "test_accuracy", values, conditions=conditions)
    assert not compare_published(land, table).count(Agreement.NOT_COMPARABLE)


def test_what_was_not_run_or_not_published_stays_so() -> None:
    land = landscape(status=lambda c, r: Status.MISSING, study={**STUDY_1, "updates": 200})
    table = compare_published(land, published("width_lr_report2"))
    assert {c.agreement for c in table.cells} == {Agreement.NOT_RUN, Agreement.NOT_PUBLISHED}


def test_a_claim_by_a_kind_of_example_that_the_run_does_not_tell_says_so() -> None:
    parameters = {"parts": [{"where": {}, "above": 0.0}]}
    land = landscape()
    claim = Claim("x", "So.", "A", "levels", parameters, "", land.axes, along={"length": (3, 4)})
    (found,) = judge(land, [claim])
    assert found.outcome is UNDECIDED
    assert found.note == "the landscape does not tell test examples apart by length"
