"""Acts on a sweep that trains: stopped, gone on with, widened, in another order."""

import os
import signal
import subprocess
import sys

import pytest
from bowls import CELL, ROW, Asking, bowl, stopped, told, words
from cohort_tools import assert_same, tiny
from runs import assert_equal_tables, environment, stored

from gridscape.execution.checkpoints import STOPPED
from gridscape.execution.executors import Progress
from gridscape.store.acts import Act, ask
from gridscape.store.merging import merge_folders
from gridscape.store.store import Store
from gridscape.sweep import run
from gridscape.sweep.extending import Extender

pytestmark = pytest.mark.usefixtures("attentive", "one_after_the_other")

STOP_ROW = Act("stop", ROW)


# ---- stop, and go on ----


def test_a_stopped_cell_is_kept_and_the_others_are_as_without(tmp_path, undisturbed):
    cell = {"hidden_size": 4, "learning_rate": 0.1}
    land = run(tiny(), directory=tmp_path, listener=Asking(tmp_path, Act("stop", cell)))
    ended, found = stopped(tmp_path), stored(tmp_path)
    assert set(ended) == {("hidden_size=4, learning_rate=0.1", k) for k in (0, 1)}
    for name, result in ended.items():
        assert 4 <= result.updates < 12
        line = undisturbed[name].curves["train_loss"][: result.updates]
        assert result.curves["train_loss"].tolist() == line.tolist()
        assert len(result.curves["test_accuracy"]) == result.updates // 4
        assert result.metrics == {}
        assert result.reason == f"stopped at update {result.updates} of 12"
        assert result.flops == undisturbed[name].flops * result.updates / 12
    for name in found.keys() - ended.keys():
        assert_same(found[name], undisturbed[name])
    title = "stop hidden_size=4, learning_rate=0.1"
    assert told(tmp_path) == [(title, "done", "2 networks stopped")]
    assert land.counts()["stopped"] == 2
    with Store.read(tmp_path) as store:
        assert [name.startswith(STOPPED) for name, *_ in store.checkpoints()] == [True]


def test_what_was_stopped_goes_on_from_there_to_the_same_end(tmp_path, whole):
    run(bowl(), directory=tmp_path, listener=Asking(tmp_path, Act("stop", ROW)))
    assert len(stopped(tmp_path)) == 4
    again = Asking(tmp_path)
    run(bowl(), directory=tmp_path, listener=again)
    assert not again.progress
    run(bowl(), directory=tmp_path, listener=again, resume_stopped=True)
    assert min(event.update for event in again.progress) > 4
    assert_equal_tables(stored(tmp_path), whole)
    with Store.read(tmp_path) as store:
        assert not list(store.checkpoints())


def test_what_was_stopped_in_one_of_two_folders_goes_on_where_they_are_joined(tmp_path, whole):
    one, other, both = (tmp_path / name for name in ("one", "other", "both"))
    of = {"momentum": [0.0, 0.5]}
    run(bowl(axes={**of, "learning_rate": [0.1]}), directory=one, listener=Asking(one, STOP_ROW))
    run(bowl(axes={**of, "learning_rate": [0.2]}), directory=other, quiet=True)
    merge_folders([one, other], both)
    assert len(stopped(both)) == 2
    again = Asking(both)
    run(bowl(), directory=both, listener=again, resume_stopped=True)
    assert min(event.update for event in again.progress) > 4
    assert_equal_tables(stored(both), whole)
    with Store.read(both) as store:
        assert not list(store.checkpoints())


def test_one_replicate_is_stopped_and_goes_on_in_the_same_run(tmp_path, whole):
    class Twice(Asking):
        def __call__(self, event):
            super().__call__(event)
            if len(self.started) == 2 and isinstance(event, Progress) and not self.asked:
                self.asked = ask(tmp_path, Act("resume", ROW))

        asked = ""

    run(bowl(), directory=tmp_path, listener=Twice(tmp_path, Act("stop", CELL, replicate=1)))
    assert words(tmp_path) == [("done", "1 network stopped"), ("done", "1 network may go on")]
    assert_equal_tables(stored(tmp_path), whole)


def test_what_waits_is_stopped_before_it_begins(tmp_path, whole):
    """Asked for while nobody trains, an act waits for the next run, which takes it up first."""
    run(bowl(axes={"momentum": [0.0], "learning_rate": [0.1]}), directory=tmp_path)
    ask(tmp_path, Act("stop", ROW))
    assert words(tmp_path) == [("waiting", "")]
    listener = Asking(tmp_path)
    run(bowl(), directory=tmp_path, listener=listener)
    assert {r.reason for r in stopped(tmp_path).values()} == {"stopped at update 0 of 12"}
    assert {t.cell["momentum"] for e in listener.progress for t in e.trials} == {0.0}
    run(bowl(), directory=tmp_path, resume_stopped=True, quiet=True)
    assert_equal_tables(stored(tmp_path), whole)


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (Act("stop", {"momentum": 0.7}), "unknown value of momentum '0.7'"),
        (Act("stop", {"momentom": 0.5}), "unknown axis 'momentom'"),
        (Act("stop", CELL, replicate=7), "no such trial in this run"),
        (Act("values", {}, axis="batch_size", values=(2,)), "unknown axis 'batch_size'"),
        (Act("values", {}, axis="momentum", values=(False,)), "not a number (found False)"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once_and_disturbs_nothing(tmp_path, whole, act, why):
    listener = Asking(tmp_path, act)
    run(bowl(), directory=tmp_path, listener=listener)
    ((state, said),) = words(tmp_path)
    assert state == "refused"
    assert why in said
    assert len(listener.started) == 1
    assert_equal_tables(stored(tmp_path), whole)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (Act("resume", CELL), "none of it is stopped"),
        (Act("replicates", {}, number=2), "it has 2 replicates already"),
        (Act("values", {}, axis="momentum", values=(0.5,)), "momentum has that already"),
    ],
)
def test_what_is_so_already_is_done_and_disturbs_nothing(tmp_path, act, said):
    listener = Asking(tmp_path, act)
    run(bowl(), directory=tmp_path, listener=listener)
    assert words(tmp_path) == [("done", said)]
    assert len(listener.started) == 1


def test_a_value_out_of_its_range_is_refused_and_the_run_goes_on(tmp_path, whole):
    act = Act("values", {}, axis="momentum", values=(-3.0, "much"))
    run(bowl(), directory=tmp_path, listener=Asking(tmp_path, act))
    ((state, said),) = words(tmp_path)
    assert (state, "momentum" in said) == ("refused", True)
    assert_equal_tables(stored(tmp_path), whole)


def test_what_has_ended_is_not_stopped(tmp_path, whole):
    run(bowl(), directory=tmp_path)
    ask(tmp_path, Act("stop", CELL))
    run(bowl(), directory=tmp_path)
    ((state, said),) = words(tmp_path)
    assert (state, "all of it has ended already" in said) == ("refused", True)
    assert_equal_tables(stored(tmp_path), whole)


def test_two_who_act_at_once_are_both_heard(tmp_path, whole):
    twice = Act("stop", CELL), Act("stop", ROW), Act("stop", CELL)
    run(bowl(), directory=tmp_path, listener=Asking(tmp_path, *twice))
    said = words(tmp_path)
    assert said == [
        ("done", "2 networks stopped"),
        ("done", "2 networks stopped; 2 had ended before"),
        ("done", "2 networks stopped already"),
    ]
    assert len(stopped(tmp_path)) == 4
    run(bowl(), directory=tmp_path, resume_stopped=True, quiet=True)
    assert_equal_tables(stored(tmp_path), whole)


# ---- more, and in another order ----


def test_replicates_are_added_to_all_cells(tmp_path):
    run(bowl(), directory=tmp_path, listener=Asking(tmp_path, Act("replicates", {}, number=3)))
    assert words(tmp_path) == [("done", "4 networks more")]
    assert len(stored(tmp_path)) == 12
    with Store.read(tmp_path) as store:
        assert store.study["replicates"] == 3


def test_replicates_are_added_to_a_row(tmp_path):
    land = run(
        bowl(), directory=tmp_path, listener=Asking(tmp_path, Act("replicates", ROW, number=4))
    )
    found = stored(tmp_path)
    assert {n for n in found if n[1] > 1} == {
        (f"momentum=0.5, learning_rate={rate}", k) for rate in (0.1, 0.2) for k in (2, 3)
    }
    assert land.counts() == {**dict.fromkeys(land.counts(), 0), "finished": 12}


def test_values_join_an_axis_and_are_as_if_they_had_been_there(tmp_path):
    act = Act("values", {}, axis="learning_rate", values=(0.15, 0.2))
    land = run(bowl(), directory=tmp_path / "a", listener=Asking(tmp_path / "a", act))
    assert words(tmp_path / "a") == [("done", "added 0.15")]
    assert land.axes[1].values == (0.1, 0.15, 0.2)
    wide = bowl(axes={"momentum": [0.0, 0.5], "learning_rate": [0.1, 0.15, 0.2]})
    run(wide, directory=tmp_path / "b")
    assert_equal_tables(stored(tmp_path / "a"), stored(tmp_path / "b"))


RULES = {
    "axes": {"learning_rate": [0.1, 0.2]},
    "grids": [{"optimizer": ["sgd"]}, {"optimizer": ["momentum"], "momentum": [0.0, 0.5]}],
    "optimizer": "sgd",
}


@pytest.mark.parametrize(
    ("axis", "value", "grown"),
    [
        ("learning_rate", 0.15, {**RULES, "axes": {"learning_rate": [0.1, 0.15, 0.2]}}),
        (
            "momentum",  # which one of them has: the other leaves it unset
            0.25,
            {
                **RULES,
                "grids": [RULES["grids"][0], {**RULES["grids"][1], "momentum": [0.0, 0.25, 0.5]}],
            },
        ),
    ],
)
def test_values_join_every_sub_grid_that_has_the_axis(tmp_path, axis, value, grown):
    act = Act("values", {}, axis=axis, values=(value,))
    run(bowl(**RULES), directory=tmp_path / "a", listener=Asking(tmp_path / "a", act))
    assert words(tmp_path / "a") == [("done", f"added {value}")]
    run(bowl(**grown), directory=tmp_path / "b")
    assert_equal_tables(stored(tmp_path / "a"), stored(tmp_path / "b"))


def test_a_value_of_an_axis_that_differs_between_sub_grids_is_refused(tmp_path):
    """Nobody says of which of them it shall be."""
    act = Act("values", {}, axis="optimizer", values=("adam",))
    listener = Asking(tmp_path, act)
    run(bowl(**RULES), directory=tmp_path, listener=listener)
    ((state, said),) = words(tmp_path)
    assert state == "refused"
    assert "its sub-grids have different values of it" in said
    assert len(listener.started) == 1


@pytest.mark.parametrize(
    ("study", "axis", "why"),
    [
        ({"zip": [["momentum", "learning_rate"]]}, "learning_rate", "walked together"),
        (
            {
                "axes": {"learning_rate": [0.1]},
                "grids": [{"momentum": [0.0, 0.5]}, {"momentum": [0.5, 0.9], "updates": 8}],
            },
            "momentum",
            "different values",
        ),
        (
            {"axes": {"learning_rate": [0.1]}, "grids": [{"momentum": [None, 0.5]}]},
            "momentum",
            "different values",
        ),
    ],
)
def test_no_value_joins_where_nobody_says_whose_it_is(tmp_path, study, axis, why):
    """Also one that some of the sub-grids have already."""
    listener = Asking(tmp_path, Act("values", {}, axis=axis, values=(0.2, 0.9)))
    run(bowl(**study), directory=tmp_path, listener=listener)
    ((state, said),) = words(tmp_path)
    assert (state, why in said) == ("refused", True), said
    assert len(listener.started) == 1


def test_what_shall_come_first_does(tmp_path, whole):
    listener = Asking(tmp_path, Act("first", {"momentum": 0.5, "learning_rate": 0.2}), update=2)
    run(bowl(), directory=tmp_path, listener=listener)
    cells = [{str(t.cell) for t in e.trials} for e in listener.progress]
    assert len(cells[0]) == 4
    ends = [e.update for e in listener.progress].index(12)
    assert cells[ends] == {"momentum=0.5, learning_rate=0.2"}
    assert_equal_tables(stored(tmp_path), whole)


def test_an_interrupted_run_comes_to_what_it_was_asked_for(tmp_path):
    """The act is done, its networks are not trained: the next run of the same study trains them."""

    class Ending(Asking):
        def __call__(self, event):
            super().__call__(event)
            if len(self.started) == 2 and isinstance(event, Progress):
                raise KeyboardInterrupt

    acts = [
        Act("replicates", ROW, number=3),
        Act("values", {}, axis="momentum", values=(0.25,)),
    ]
    with pytest.raises(KeyboardInterrupt):
        run(bowl(), directory=tmp_path, listener=Ending(tmp_path, *acts))
    run(bowl(), directory=tmp_path)
    names = {(float(cell[9:].partition(",")[0]), k) for cell, k in stored(tmp_path)}
    assert names == {(m, k) for m in (0.0, 0.25, 0.5) for k in (0, 1)} | {(0.5, 2)}


def test_a_run_that_decides_itself_takes_stops_and_nothing_more(tmp_path):
    run(bowl(updates=12), directory=tmp_path)
    more = dict.fromkeys(bowl().cells(), 3)
    wanted = Act("stop", CELL), Act("replicates", {}, number=9)
    with Extender(tmp_path, listener=Asking(tmp_path, *wanted)) as extender:
        extender.extend(more)
        extender.extend({bowl().cells()[0]: 4})  # whose works have the numbers of those before
    (first, _), (second, why) = words(tmp_path)
    assert (first, second) == ("done", "refused")
    assert "decides itself what it trains" in why
    assert set(stopped(tmp_path)) == {("momentum=0.5, learning_rate=0.1", 2)}
    assert len(stored(tmp_path)) == 4 * 3 + 1


# ---- deaths ----

RUN = """\
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from bowls import Asking, CELL, bowl
from gridscape.execution.sole import Sole
from gridscape.store import acts, store
from gridscape.sweep import run
acts.POLL_SECONDS = 0.0
where, folder = sys.argv[3], Path(sys.argv[1])
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
setattr(store.Store, where, die)
run(bowl(), directory=folder, executor=Sole(), listener=Asking(folder, acts.Act("stop", CELL)))
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the process died")
@pytest.mark.parametrize("where", ["save_checkpoint", "put_all", "settle"])
def test_a_death_in_the_middle_of_an_act_loses_nothing(tmp_path, whole, where):
    """The act is still there, and the next run does it, once more or for the first time."""
    here = os.path.dirname(__file__)
    died = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path), here, where],
        env=environment(),
        timeout=300,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    assert words(tmp_path) == [("waiting", "")]
    run(bowl(), directory=tmp_path)
    already = " already" if where == "settle" else ""
    assert words(tmp_path) == [("done", f"2 networks stopped{already}")]
    assert len(stopped(tmp_path)) == 2
    run(bowl(), directory=tmp_path, resume_stopped=True)
    assert_equal_tables(stored(tmp_path), whole)
