"""What a planner leaves behind when it is closed: no thread of its compilers."""

import threading

import pytest
from cohort_tools import planner_of, tiny

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
    for thread in compiling() - before:
        thread.join(timeout=30)
        assert not thread.is_alive()


def test_a_planner_that_is_open_has_threads_and_closed_it_compiles_no_more(folder):
    study = tiny()
    with planner_of(study) as planner:
        assert planner.plan(planner.resolved.trials(), timed=False).cohorts
        assert compiling()
    with pytest.raises(RuntimeError, match="shutdown"):
        planner._compilers.submit(abs, (1.0,))
