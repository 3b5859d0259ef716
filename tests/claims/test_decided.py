"""Verdicts that ``decide`` reached stay, in the terminal as on the page."""

import json
from dataclasses import replace

import pytest
from synthetic import landscape

from gridscape.claims.decided import as_decided, content_of
from gridscape.claims.files import load_claims
from gridscape.claims.judging import judge
from gridscape.claims.records import Outcome
from gridscape.errors import StoreError
from gridscape.store.store import Store


@pytest.fixture(scope="module")
def verdicts():
    land = landscape(study={"task": "mnist-rows", "updates": 999})
    return judge(land, load_claims("lstm-width-lr"))


def decided(folder, *entries):
    """A results folder in which these decisions were made of claims."""
    with Store.create(folder, {"name": "tiny", "axes": {"width": [1]}, "replicates": 1}) as store:
        store.decided({"format": 1, "questions": {"claims": {"decisions": list(entries)}}})


def entry(claim, **values):
    told = {"name": claim.id, "content": content_of(claim), "outcome": "holds", "look": 5}
    return {**told, "level": 0.002, "date": "2024-05-01T12:00:00+00:00", **values}


def test_what_was_decided_stays_with_its_look(tmp_path, verdicts):
    other = "fails" if verdicts[0].outcome is Outcome.HOLDS else "holds"
    decided(tmp_path / "it", entry(verdicts[0].claim, outcome=other))
    first, *rest = as_decided(verdicts, tmp_path / "it")
    assert (first.outcome, first.decided.look) == (Outcome(other), 5)
    assert first.note.startswith(f"all replicates at once: {verdicts[0].outcome.value}")
    assert rest == list(verdicts[1:])


def test_the_same_verdict_needs_no_note(tmp_path, verdicts):
    decided(tmp_path / "it", entry(verdicts[0].claim, outcome=verdicts[0].outcome.value))
    first, *_ = as_decided(verdicts, tmp_path / "it")
    assert first.note == verdicts[0].note
    assert first.decided.level == 0.002


def test_what_cannot_be_decided_or_is_of_another_rule_is_judged_as_ever(tmp_path, verdicts):
    nowhere = entry(verdicts[0].claim, outcome="cannot be decided", look=None)
    decided(tmp_path / "it", nowhere, entry(verdicts[1].claim, content="another"))
    assert as_decided(verdicts, tmp_path / "it") == verdicts


@pytest.mark.parametrize("outcome", ["open", "undecided"])
def test_what_the_looks_left_open_is_not_decided_by_one_more(tmp_path, verdicts, outcome):
    said = [v for v in verdicts if v.outcome in (Outcome.HOLDS, Outcome.FAILS)]
    unsaid = [v for v in verdicts if v.outcome is Outcome.UNDECIDED]
    assert said
    assert unsaid
    entries = [entry(v.claim, outcome=outcome, look=None) for v in verdicts]
    decided(tmp_path / "it", *entries)
    found = {v.claim.id: v for v in as_decided(verdicts, tmp_path / "it")}
    for verdict in said:
        now = found[verdict.claim.id]
        assert (now.outcome, now.decided) == (Outcome.UNDECIDED, None)
        assert (
            f"all replicates at once: {verdict.outcome.value}, which is one look more" in now.note
        )
    assert all(found[v.claim.id] == v for v in unsaid)


def test_what_is_not_comparable_now_stays_as_it_was_decided(tmp_path, verdicts):
    """As where the study that it was compared with is gone; what was left open says so instead."""
    gone = [replace(verdict, outcome=Outcome.NOT_COMPARABLE) for verdict in verdicts[:2]]
    entries = [entry(gone[0].claim), entry(gone[1].claim, outcome="undecided", look=None)]
    decided(tmp_path / "it", *entries)
    first, second = as_decided(gone, tmp_path / "it")
    assert (first.outcome, first.decided.look) == (Outcome.HOLDS, 5)
    assert "all replicates at once: not comparable" in first.note
    assert second == gone[1]


@pytest.mark.parametrize("broken", [{"name": "a"}, {"outcome": "maybe"}, {"look": "five"}])
def test_a_record_of_nothing_is_told(tmp_path, verdicts, broken):
    whole = entry(verdicts[0].claim, **broken)
    decided(tmp_path / "it", broken if "name" in broken else whole)
    with pytest.raises(StoreError, match="has decisions that are none"):
        as_decided(verdicts, tmp_path / "it")


def test_decisions_of_another_version_are_told(tmp_path, verdicts):
    decided(tmp_path / "it")
    (tmp_path / "it" / "decisions.json").write_text(json.dumps({"format": 9}))
    with pytest.raises(StoreError, match="another Gridscape"):
        as_decided(verdicts, tmp_path / "it")
