"""Acts on a sweep never lose what was stopped, nor end a run that cannot note them."""

import json
import warnings

import pytest
from bowls import CELL, ROW, Asking, bowl, stopped, words
from runs import assert_equal_tables, stored

from gridscape.errors import StoreError
from gridscape.execution.checkpoints import STOPPED
from gridscape.store import acts
from gridscape.store.acts import Act, ask, on_record
from gridscape.store.store import Store, StoreWarning
from gridscape.sweep import acting, run

pytestmark = pytest.mark.usefixtures("attentive", "one_after_the_other")

OTHER_ROW = {"momentum": [0.0], "learning_rate": [0.1, 0.2]}


def snapshots(directory):
    with Store.read(directory) as store:
        return [name for name, *_ in store.checkpoints() if name.startswith(STOPPED)]


@pytest.fixture
def half(tmp_path):
    """A folder in which one row of the bowl was stopped on its way."""
    run(bowl(), directory=tmp_path, listener=Asking(tmp_path, Act("stop", ROW)))
    assert len(stopped(tmp_path)) == 4
    return tmp_path


# ---- what goes on ----


def test_what_a_run_does_not_train_stays_stopped(half, whole):
    before, kept = stopped(half), snapshots(half)
    with pytest.warns(UserWarning, match="4 networks of this folder, not of this run"):
        run(bowl(axes=OTHER_ROW), directory=half, resume_stopped=True, quiet=True)
    ask(half, Act("resume", {}))
    run(bowl(axes=OTHER_ROW), directory=half, quiet=True)
    state, why = words(half)[-1]
    assert (state, "4 networks still stopped" in why) == ("refused", True)
    assert snapshots(half) == kept != []
    assert_equal_tables(stopped(half), before)
    run(bowl(), directory=half, resume_stopped=True, quiet=True)
    assert_equal_tables(stored(half), whole)


def test_an_act_says_how_many_others_stay_stopped(half):
    run(bowl(axes=OTHER_ROW, replicates=3), directory=half, quiet=True)
    ask(half, Act("resume", {}))
    run(bowl(axes={"momentum": [0.5], "learning_rate": [0.1]}), directory=half, quiet=True)
    said = "2 networks may go on; still stopped, as not of this run: 2 networks"
    assert words(half)[-1] == ("done", said)
    assert len(stopped(half)) == 2


def test_a_run_that_is_refused_has_lost_nothing(half, monkeypatch):
    def refuse(*_):
        raise StoreError("other code")

    monkeypatch.setattr("gridscape.sweep.require_same_conditions", refuse)
    with pytest.raises(StoreError, match="other code"):
        run(bowl(), directory=half, resume_stopped=True, quiet=True)
    assert len(stopped(half)) == 4


def test_to_go_on_comes_behind_what_waits(half, whole):
    """A stop that was done and not noted, as the process died, does not stop it once more."""
    (path,) = (half / acts.FOLDER).iterdir()
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"act": content["act"], "asked": content["asked"]}))
    run(bowl(), directory=half, resume_stopped=True, quiet=True)
    assert words(half) == [("done", "4 networks stopped already")]
    assert_equal_tables(stored(half), whole)


def test_what_is_all_stopped_does_not_come_first(half):
    ask(half, Act("first", ROW))
    run(bowl(), directory=half, quiet=True)
    state, why = words(half)[-1]
    assert state == "refused"
    assert "nothing of it is left to train (found 4 networks stopped)" in why


# ---- what cannot be noted, and too much of it ----


@pytest.fixture
def unwritable(monkeypatch):
    """What came of an act cannot be written, as in a folder that somebody else has made."""
    write = acts.write_whole

    def refuse(path, data):
        if b'"state"' in data:
            raise PermissionError(13, "Permission denied")
        write(path, data)

    monkeypatch.setattr(acts, "write_whole", refuse)


@pytest.mark.usefixtures("unwritable")
def test_a_run_goes_on_where_it_cannot_note_what_came_of_acts(tmp_path, whole):
    asking = Asking(tmp_path, Act("stop", CELL), Act("stop", {"momentum": 7}), Act("resume", ROW))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run(bowl(), directory=tmp_path, listener=asking)
    (line,) = [str(w.message) for w in told if w.category is StoreWarning]
    assert str(tmp_path / "acts") in line
    assert "Permission denied; the next run does them again: let who trains write there" in line
    assert len(stopped(tmp_path)) == 2
    assert len(asking.started) == 2
    assert [state for state, _ in words(tmp_path)] == ["waiting"] * 3
    with pytest.warns(StoreWarning, match="cannot be noted"):
        run(bowl(), directory=tmp_path, resume_stopped=True, quiet=True)
    assert_equal_tables(stored(tmp_path), whole)


def test_many_acts_on_record_are_read_with_one_look_at_the_rows(tmp_path, monkeypatch):
    run(bowl(updates=2, evaluations=1), directory=tmp_path, quiet=True)
    (tmp_path / acts.FOLDER).mkdir(exist_ok=True)
    for number in range(60):
        kind = ("stop", "first", "resume")[number % 3]
        name = f"{number:016x}-00000000.json"
        content = {"act": {"kind": kind, "where": ROW}, "state": "done" if number < 30 else None}
        (tmp_path / acts.FOLDER / name).write_text(json.dumps(content))
    looks, statuses = [], Store.statuses
    monkeypatch.setattr(Store, "statuses", lambda store: looks.append(1) or statuses(store))
    monkeypatch.setattr(acts, "MOST_SETTLED", 20, raising=False)
    run(bowl(updates=2, evaluations=1), directory=tmp_path, quiet=True)
    assert len(looks) < 10
    assert [int(asked.id[:16], 16) for asked in on_record(tmp_path)] == list(range(40, 60))
    assert {asked.state for asked in on_record(tmp_path)} == {"done", "refused"}


@pytest.mark.parametrize(
    ("act", "found"),
    [
        (Act("replicates", {}, number=3), "found 12"),
        (Act("replicates", ROW, number=6), "found 12"),
        (Act("values", {}, axis="momentum", values=(0.1, 0.2, 0.3)), "found 12"),
    ],
)
def test_no_act_asks_for_more_than_can_be_planned_at_once(tmp_path, monkeypatch, whole, act, found):
    monkeypatch.setattr(acting, "MOST_TRIALS", 11, raising=False)
    asking = Asking(tmp_path, act)
    run(bowl(), directory=tmp_path, listener=asking)
    ((state, why),) = words(tmp_path)
    assert state == "refused"
    assert "too many networks for one act" in why
    assert found in why
    assert len(asking.started) == 1
    with Store.read(tmp_path) as store:
        assert (store.study["replicates"], store.study["axes"]["momentum"]) == (2, [0.0, 0.5])
    assert_equal_tables(stored(tmp_path), whole)
