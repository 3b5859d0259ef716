"""Acts on a sweep never lose what was stopped, nor end a run that cannot note them."""

import json

import pytest
from bowls import ROW, Asking, bowl, stopped, words
from runs import assert_equal_tables, stored

from gridscape.errors import StoreError
from gridscape.execution.checkpoints import STOPPED
from gridscape.store import acts
from gridscape.store.acts import Act, ask
from gridscape.store.store import Store
from gridscape.sweep import run

pytestmark = pytest.mark.usefixtures("attentive")

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
