"""A stored trial trained again, alone; and what a planner leaves behind when it is closed."""

import dataclasses
import threading

import pytest
from cohort_tools import planner_of, tiny

from gridscape.errors import UsageError
from gridscape.execution import replay
from gridscape.landscape import Landscape
from gridscape.report.showcase import showcase
from gridscape.sweep import plan, run

CELL = {"hidden_size": 4, "learning_rate": 0.1}


def compiling():
    """The threads of all compilers."""
    return {t for t in threading.enumerate() if t.name.startswith("gridscape-compile")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results of four cells, each with its parameters."""
    folder = tmp_path_factory.mktemp("replays") / "tiny"
    run(tiny(keep_parameters="all"), directory=folder)
    return folder


USERS = {
    "plan": lambda folder: plan(tiny(), directory=folder.parent / "new", timed=False),
    "replay": lambda folder: replay.replay(folder, CELL),
    "trained": lambda folder: replay.trained(folder, CELL),
    "showcase": lambda folder: showcase(folder, Landscape.read(folder)),
}


@pytest.mark.parametrize("use", USERS.values(), ids=USERS)
def test_who_uses_a_planner_closes_it(folder, use):
    before = compiling()
    use(folder)
    left = compiling() - before
    for thread in left:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in left)


def test_a_planner_that_is_open_has_threads_and_closed_it_compiles_no_more(folder):
    study = tiny()
    with planner_of(study) as planner:
        assert planner.plan(planner.resolved.trials(), timed=False).cohorts
        assert compiling()
    with pytest.raises(RuntimeError, match="shutdown"):
        planner._compilers.submit(abs, (1.0,))


def test_replay_is_identical(tmp_path):
    run(tiny(), directory=tmp_path)
    again = replay.replay(tmp_path, {"hidden_size": 8, "learning_rate": 0.1}, replicate=1)
    assert again.identical
    assert set(again.differences().values()) == {0.0}


def test_replay_tells_a_difference(tmp_path):
    run(tiny(), directory=tmp_path)
    found = replay.replay(tmp_path, {"hidden_size": 8, "learning_rate": 0.1})
    metrics = {**found.again.metrics, "test_loss": found.again.metrics["test_loss"] + 0.5}
    changed = dataclasses.replace(found, again=dataclasses.replace(found.again, metrics=metrics))
    assert not changed.identical
    assert changed.differences()["test_loss"] == pytest.approx(0.5)


def test_replay_of_what_is_not_there(tmp_path):
    run(tiny(), directory=tmp_path)
    with pytest.raises(UsageError, match="no cell has hidden_size=9"):
        replay.replay(tmp_path, {"hidden_size": 9, "learning_rate": 0.1})
    with pytest.raises(UsageError, match="replicate"):
        replay.replay(tmp_path, {"hidden_size": 8, "learning_rate": 0.1}, replicate=7)
