"""Rounds of replicates until statements are decided; stopped at any moment, they go on."""

import signal
import subprocess
import sys

import pytest
from runs import assert_equal_tables, environment, stored

import gridscape as gs
from gridscape.errors import (
    GridscapeError,
    StoreError,
    StoreLockedError,
    UnknownNameError,
    UsageError,
)
from gridscape.execution.executors import Finished
from gridscape.store.store import Store
from gridscape.study.study import Study
from gridscape.sweep import run
from gridscape.sweep.deciding import Looked, Planned, decide, decisions
from gridscape.sweep.extending import Extender

RATES = [0.0001, 0.01, 0.011]

CLAIMS = """
[axes]
learning_rate = [0.0001, 0.01, 0.011, 0.5]

[[claim]]
id = "a"
statement = "Small rates are worse."
source = "nobody"
rule = "ordered"
words = "in this order"
parameters = { cells = [{ learning_rate = 0.0001 }, { learning_rate = 0.01 }] }

[[claim]]
id = "b"
statement = "The largest rate is the best."
source = "nobody"
rule = "best_is"
words = "the best of all"
parameters = { cell = { learning_rate = 0.5 } }

[[claim]]
id = "c"
statement = "Half of the updates are enough."
source = "nobody"
rule = "levels"
words = "most runs"
along = { update = [10] }
parameters = { parts = [{ where = { learning_rate = 0.01, update = 10 }, above = 0.15 }] }
"""


def study(**values):
    """One rate that is worse, and two that are hard to tell apart."""
    settings = {"task": "digits-flat", "model": "mlp", "updates": 20, "batch_size": 10}
    options = {"evaluations": 1, "replicates": 3, "evaluation_examples": 50}
    axes = {"axes": {"learning_rate": RATES}}
    return Study(name="tiny", **{**settings, **options, **axes, **values})


class Told:
    """A listener that keeps what it hears; it stops at the first event of a kind."""

    def __init__(self, stop_at=None):
        self.events, self.stop_at = [], stop_at

    def __call__(self, event):
        self.events.append(event)
        if self.stop_at and isinstance(event, self.stop_at):
            raise KeyboardInterrupt

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def verdicts(found):
    return [(d.name, d.outcome, d.answer, d.look, d.level) for d in found.decisions]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Results that were decided in one go: the folder, what was found, and what was told."""
    folder, told = tmp_path_factory.mktemp("whole") / "tiny", Told()
    run(study(), directory=folder)
    return folder, decide(folder, best=True, margin=0.0, at_most=8, listener=told), told


def test_only_open_cells_get_replicates(whole):
    _, found, told = whole
    numbers = {cell["learning_rate"]: n for cell, n in found.replicates.items()}
    assert numbers[0.0001] == 3
    assert numbers[0.01] == numbers[0.011] > 3
    assert found.n_trained == len(told.of(Finished)) == sum(numbers.values()) - 9
    first = told.of(Planned)[0]
    assert (first.look, first.n_trials, first.most_trials) == (5, 4, 10)
    assert [look.look for look in told.of(Looked)][:2] == [3, 5]


def test_what_was_decided_stays(whole):
    folder, found, _ = whole
    again = decide(folder, best=True, margin=0.0, at_most=8)
    assert again.n_trained == 0
    assert again.decisions == found.decisions  # dates too, where a verdict fell
    (kept,) = decisions(folder).values()
    assert kept == found.decisions
    with pytest.raises(UsageError, match=r"expected at most 8, found 12"):
        decide(folder, best=True, margin=0.0, at_most=12)


def test_a_further_value_is_decided_afresh(whole, tmp_path):
    folder, found, _ = whole
    run(study(axes={"learning_rate": [*RATES, 0.02]}), directory=tmp_path / "wider")
    wider = tmp_path / "wider"
    (wider / "decisions.json").write_bytes((folder / "decisions.json").read_bytes())
    again = decide(wider, best=True, margin=0.0, at_most=8)
    assert again.decisions[0].content != found.decisions[0].content


@pytest.mark.parametrize("moment", [Planned, Finished, Looked])
def test_stopped_and_gone_on_with_it_says_the_same(whole, tmp_path, moment):
    folder = tmp_path / "tiny"
    run(study(), directory=folder)
    for _ in range(2):  # twice
        with pytest.raises(KeyboardInterrupt):
            decide(folder, best=True, margin=0.0, at_most=8, listener=Told(moment))
    found = decide(folder, best=True, margin=0.0, at_most=8)
    assert verdicts(found) == verdicts(whole[1])
    assert found.replicates == whole[1].replicates
    assert_equal_tables(stored(folder), stored(whole[0]))


KILLED = """
import os, signal, sys
from gridscape.execution.executors import Finished
from gridscape.sweep.deciding import decide

def listen(event):
    if isinstance(event, Finished):
        os.kill(os.getpid(), signal.SIGKILL)

decide(sys.argv[1], best=True, margin=0.0, at_most=8, listener=listen)
"""


@pytest.mark.filterwarnings("ignore:the process died")
def test_killed_in_a_round(whole, tmp_path):
    folder = tmp_path / "tiny"
    run(study(), directory=folder)
    for _ in range(2):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(folder)],
            env=environment(), capture_output=True, timeout=240, check=False,
        )  # fmt: skip
        assert killed.returncode in (-signal.SIGKILL, 0), killed.stderr
    found = decide(folder, best=True, margin=0.0, at_most=8)
    assert verdicts(found) == verdicts(whole[1])
    with Store.read(folder) as store:
        trials = [(trial.cell, trial.replicate) for trial in store.trials()]
    assert len(trials) == len(set(trials)) == sum(found.replicates.values())
    assert_equal_tables(stored(folder), stored(whole[0]))


def test_claims_that_the_axes_cannot_decide_get_nothing(tmp_path):
    (tmp_path / "own.toml").write_text(CLAIMS)
    folder = tmp_path / "tiny"
    run(study(claims=str(tmp_path / "own.toml"), evaluations=2), directory=folder)
    found = decide(folder, claims=True, at_most=8)
    outcomes = {d.name: (d.outcome, d.look) for d in found.decisions}
    assert outcomes["b"] == ("cannot be decided", None)
    assert outcomes["a"][0] == "holds"
    assert outcomes["c"] == ("holds", 8)  # the fewest runs that show a share at its look
    assert found.replicates[gs.Cell.of(learning_rate=0.01)] == 8
    assert found.replicates[gs.Cell.of(learning_rate=0.011)] == 3
    again = decide(folder, claims=True, at_most=8)
    assert again.decisions == found.decisions  # with its date
    assert "the landscape lacks" in {d.name: d.note for d in found.decisions}["b"]


def test_one_replicate_is_too_few_to_look_at(tmp_path):
    folder = tmp_path / "tiny"
    run(study(replicates=1), directory=folder)
    told = Told()
    found = decide(folder, order="learning_rate", at_most=3, listener=told)
    assert [look.look for look in told.of(Looked)] == [3]
    assert set(found.replicates.values()) == {3}


def test_a_budget_ends_before_the_round_that_would_exceed_it(whole, tmp_path):
    folder = tmp_path / "tiny"
    run(study(), directory=folder)
    found = decide(folder, best=True, margin=0.0, at_most=8, minutes=1e-9)
    assert (found.why, found.n_trained) == ("budget", 0)
    assert decide(folder, best=True, margin=0.0).why == whole[1].why


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({}, UsageError, "one of claims, best, order"),
        ({"claims": True, "best": True}, UsageError, "found claims and best"),
        ({"claims": True}, GridscapeError, "no published claims"),
        ({"order": "width"}, UnknownNameError, "unknown axis 'width'"),
        ({"best": "width"}, UnknownNameError, "unknown axis 'width'"),
        ({"best": True, "at": {"width": [3]}}, UnknownNameError, "unknown axis 'width'"),
        ({"order": "learning_rate", "at_most": 2}, UsageError, "too few replicates"),
        ({"order": "learning_rate", "minutes": 0}, UsageError, "minutes: no time"),
        ({"best": True, "margin": float("nan")}, UsageError, "not a margin"),
    ],
)
def test_mistakes(whole, asked, error, words):
    before = (whole[0] / "decisions.json").read_bytes()
    with pytest.raises(error, match=words) as caught:
        decide(whole[0], **asked)
    assert len(str(caught.value)) <= 300
    assert (whole[0] / "decisions.json").read_bytes() == before


def test_at_most_below_what_is_there(tmp_path):
    run(study(replicates=4, axes={"learning_rate": [0.01]}), directory=tmp_path / "tiny")
    with pytest.raises(UsageError, match="expected at least 4, found 3"):
        decide(tmp_path / "tiny", best=True, at_most=3)


def test_two_at_once(whole):
    with Extender(whole[0]), pytest.raises(StoreLockedError, match="another process is writing"):
        decide(whole[0], best=True)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 9}', '{"questions": {"q": {}}}'])
def test_a_record_of_decisions_that_is_none(tmp_path, text):
    run(study(axes={"learning_rate": [0.01]}), directory=tmp_path / "tiny")
    (tmp_path / "tiny" / "decisions.json").write_text(text)
    with pytest.raises(StoreError, match="decisions"):
        decisions(tmp_path / "tiny")
