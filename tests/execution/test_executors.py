"""The seam: plain works, any executor, several works at once, workers that die, Ctrl-C."""

import json
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohort_tools import tiny
from processes import Processes
from runs import assert_equal_tables, environment, press_ctrl_c, stored

import gridscape as gs
from gridscape import sweep
from gridscape.base.data import Split
from gridscape.base.task import Task
from gridscape.cli._live_table import LiveTable
from gridscape.cli._run_state import RunState
from gridscape.errors import GridscapeError, StoreError, UnknownNameError, UsageError
from gridscape.execution import executors
from gridscape.execution.executors import (
    Begun,
    Care,
    Done,
    Executor,
    Finished,
    Idle,
    Job,
    Progress,
    Room,
    Snapshot,
    Work,
    find_executor,
)
from gridscape.execution.local import Local
from gridscape.execution.sole import Sole
from gridscape.store.store import Store


@pytest.fixture(scope="module")
def by_local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    gs.run(tiny(), directory=folder)
    return stored(folder)


@pytest.fixture
def checkpoint_after_every_segment(monkeypatch):
    monkeypatch.setattr(sweep.CheckpointClock, "is_due", lambda clock: True)


def ended(events):
    return [event.trial.key for event in events if isinstance(event, Finished)]


# ---- what is sent ----


def test_a_study_and_its_works_are_plain_data():
    resolved = tiny().resolve()
    job = Job.of(resolved, "somewhere")
    assert json.loads(json.dumps(job.record)) == job.record
    assert Path(job.data_dir) == Path("somewhere").absolute()
    work = Work(3, tuple(resolved.trials()), 4, Care.ALONE)
    again_job, again_work = pickle.loads(pickle.dumps((job, work)))
    assert again_work == work
    assert again_job.resolve().trials() == resolved.trials()


def test_objects_of_python_are_refused_before_anything_is_written(tmp_path):
    split = Split(np.zeros((20, 3), np.float32), np.zeros(20, np.int32))
    own = Task("own", split, split, (3,), 2, "fingerprint")
    study = tiny({"learning_rate": [0.1]}, task=own, model="mlp")
    with pytest.raises(UsageError, match="the task cannot be sent to other processes"):
        gs.run(study, directory=tmp_path / "run", executor=Processes())
    assert not (tmp_path / "run").exists()


def test_other_code_where_the_work_runs_is_refused():
    job = Job.of(tiny().resolve())
    with pytest.raises(StoreError, match="other code or other data where its trials are trained"):
        replace(job, key="another").resolve()


def test_snapshots_of_parts_of_a_run_are_joined():
    parts = [
        Snapshot({"keys": [key], "update": 4}, {"state/w": np.full((1, 2), number)})
        for number, key in enumerate("ab")
    ]
    whole = Snapshot.joined(parts)
    assert whole.meta == {"keys": ["a", "b"], "update": 4}
    assert whole.arrays["state/w"].tolist() == [[0, 0], [1, 1]]


def test_a_snapshot_of_some_trials_is_in_their_order():
    whole = Snapshot(
        {"keys": ["a", "b", "c"], "update": 4}, {"state/w": np.arange(6).reshape(3, 2)}
    )
    part = whole.of(["c", "a"])
    assert part.meta == {"keys": ["c", "a"], "update": 4}
    assert part.arrays["state/w"].tolist() == [[4, 5], [0, 1]]


# ---- which one ----


def test_names_and_objects(monkeypatch):
    assert isinstance(find_executor("local"), Local)
    own = Processes()
    assert isinstance(own, Executor)
    assert find_executor(own) is own
    monkeypatch.setattr(executors, "NAMES", {"own": "processes:Processes", "local": "x:y"})
    assert isinstance(find_executor("own"), Processes)
    with pytest.raises(UnknownNameError, match="unknown executor 'ray'; known: local, own"):
        find_executor("ray")


@pytest.mark.parametrize("wrong", [None, 3, object(), Local])
def test_what_is_no_executor_is_refused(wrong):
    with pytest.raises(UsageError, match="executor: not an executor"):
        find_executor(wrong)


# ---- child processes ----


def test_several_works_at_once_give_the_results_of_one_after_the_other(tmp_path, by_local):
    executor, events = Processes(), []
    gs.run(tiny(), directory=tmp_path, executor=executor, listener=events.append)
    assert executor.most_at_once == 2
    assert len(ended(events)) == len(set(ended(events))) == 8
    assert_equal_tables(stored(tmp_path), by_local)
    assert not (tmp_path / "training.json").exists()
    assert not list((tmp_path / "checkpoints").iterdir())


def test_the_live_table_tells_all_works_that_are_out(tmp_path):
    """Two works are out at once: both are told, and nothing is left when the run has ended.

    Their events are told turn about: on a busy machine one child may end before the other begins.
    """
    events = []
    gs.run(tiny(updates=600), directory=tmp_path, executor=Processes(), listener=events.append)
    started, *others = events
    table = LiveTable(RunState(started))
    first = {event.work: event for event in reversed(others) if isinstance(event, sweep.Progress)}
    assert len(first) == 2
    for event in first.values():
        table.run(event)
    lines = sorted(table._activities(4))
    for width, line in zip((4, 8), lines, strict=True):
        assert line.startswith(f"training 4 networks, hidden_size={width}: update ")
    for event in others:
        table.run(event)
    assert table.run.training == {}
    assert table._activities(4) == ["storing the results"]


def test_a_plan_is_made_where_the_executor_would_train(tmp_path):
    """In another process, whose numbers are those of this one; a later plan may use it again."""
    executor, study = Processes(1), tiny()
    here = gs.plan(study, directory=tmp_path, executor=Sole(), timed=False)
    pids = set()
    hear = executor._hear
    executor._hear = lambda child: (pids.add(child.process.pid), hear(child))[1]
    for timed in (False, True):
        there = gs.plan(study, directory=tmp_path, executor=executor, timed=timed)
        assert executor.children == []
        for one, other in zip(here.cohorts, there.cohorts, strict=True):
            assert [run.trials for run in one.runs] == [run.trials for run in other.runs]
            assert (one.flops, one.memory_bytes) == (other.flops, other.memory_bytes)
        assert (there.seconds is not None) is timed
    assert len(pids) == 2
    assert os.getpid() not in pids
    with pytest.raises(UsageError, match="not an executor"):
        gs.plan(study, executor=3)


def test_own_code_by_import_string(tmp_path):
    study = tiny({"learning_rate": [0.01]}, task="digits-flat", model="processes:linear")
    gs.run(study, directory=tmp_path / "processes", executor=Processes(1))
    gs.run(study, directory=tmp_path / "local")
    assert_equal_tables(stored(tmp_path / "processes"), stored(tmp_path / "local"))


@pytest.mark.usefixtures("checkpoint_after_every_segment")
def test_a_child_that_is_killed_costs_no_trial_and_goes_on_from_its_checkpoint(tmp_path):
    executor, events, killed = Processes(), [], []
    # So long that no child is done before it is killed, however long that takes.
    study = tiny(updates=4000, evaluations=40)

    def listener(event):
        events.append(event)
        if isinstance(event, Progress) and event.update >= 4 and not killed:
            killed.append(event)
            (child,) = (c for c in executor.children if c.work == event.work)
            os.kill(child.process.pid, signal.SIGKILL)

    folder, local = tmp_path / "processes", tmp_path / "local"
    gs.run(study, directory=folder, executor=executor, listener=listener)
    gs.run(study, directory=local, quiet=True)
    assert len(ended(events)) == len(set(ended(events))) == 8
    assert_equal_tables(stored(folder), stored(local))
    assert len({event.work for event in events if isinstance(event, Progress)}) == 3
    assert not (folder / "training.json").exists()


def test_trials_that_kill_every_child_end_with_a_reason_and_the_others_finish(tmp_path):
    executor = Processes()

    def listener(event):
        if isinstance(event, Progress) and event.trials[0].cell["hidden_size"] == 4:
            for child in executor.children:
                if child.work == event.work:
                    os.kill(child.process.pid, signal.SIGKILL)

    study = tiny({"hidden_size": [4, 8], "learning_rate": [0.1]}, replicates=1)
    with pytest.warns(UserWarning, match="the process died while training hidden_size=4"):
        gs.run(study, directory=tmp_path, executor=executor, listener=listener)
    four, eight = (stored(tmp_path)[f"hidden_size={n}, learning_rate=0.1", 0] for n in (4, 8))
    assert (four.status, eight.status) == ("failed", "finished")
    assert "died 4 times" in four.reason


def test_ctrl_c_keeps_what_every_child_has_come_to(tmp_path, by_local):
    executor, seen = Processes(), []

    def listener(event):
        if isinstance(event, Progress):
            seen.append(event)
            if len(seen) == 1:
                for child in executor.children:  # a terminal sends it to them too
                    os.kill(child.process.pid, signal.SIGINT)
                press_ctrl_c()

    try:
        gs.run(tiny(), directory=tmp_path, executor=executor, listener=listener)
    except KeyboardInterrupt:
        pass
    else:  # on a busy machine the children may be done before their first progress is heard
        assert stored(tmp_path).keys() == by_local.keys()
    assert seen
    assert executor.children == []
    with Store.read(tmp_path) as store:
        kept = {key for _, meta, _ in store.checkpoints() for key in meta["keys"]}
        kept |= store.statuses().keys()
    assert {trial.key for event in seen for trial in event.trials} <= kept
    events = []
    gs.run(tiny(), directory=tmp_path, executor=Processes(), listener=events.append)
    assert_equal_tables(stored(tmp_path), by_local)


DYING = """
import os, signal, sys
from cohort_tools import tiny
from processes import Processes
from gridscape.execution.executors import Finished, Progress
from gridscape.sweep import run

executor, ended = Processes(), []
def listen(event):
    if isinstance(event, Finished):
        ended.append(event)
    if isinstance(event, Progress) and ended:
        print(*(child.process.pid for child in executor.children), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

run(tiny(**eval(sys.argv[2])), directory=sys.argv[1], executor=executor, listener=listen)
"""


@pytest.mark.slow
def test_when_the_sweep_is_killed_its_children_end_and_the_next_run_goes_on(tmp_path):
    # Three works for two children, each so long that one begins and does not end meanwhile.
    axes = {"hidden_size": [4, 8, 16], "learning_rate": [0.001, 0.1]}
    settings = {"axes": axes, "updates": 4000, "evaluations": 40}
    own = environment()
    own["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", DYING, str(tmp_path / "killed"), repr(settings)],
        env=own,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )  # returns when the children, which hold its output, have ended too
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert len(done.stdout.split()) == 2
    events = []
    with pytest.warns(UserWarning, match="the process died while training"):
        gs.run(tiny(**settings), directory=tmp_path / "killed", listener=events.append)
    assert 0 < len(ended(events)) < 12
    gs.run(tiny(**settings), directory=tmp_path / "whole", quiet=True)
    assert_equal_tables(stored(tmp_path / "killed"), stored(tmp_path / "whole"))


# ---- executors that do not do what they owe ----


class Wrong(Local):
    """Local, but for what it makes of each event."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def events(self):
        for event in super().events():
            yield from self.change(event)


def test_an_executor_that_leaves_trials_out_is_told_so(tmp_path):
    def without_results(event):
        return () if isinstance(event, Finished) else (event,)

    with pytest.raises(GridscapeError, match="Wrong: the executor has left trials out"):
        gs.run(tiny(), directory=tmp_path / "a", executor=Wrong(without_results))

    def nothing(event):
        return ()

    with pytest.raises(GridscapeError, match="found 8 without"):
        gs.run(tiny(), directory=tmp_path / "b", executor=Wrong(nothing))


def test_what_is_told_twice_or_late_counts_once(tmp_path, by_local):
    events, told = [], []

    def twice(event):
        if isinstance(event, Finished):
            told.append(event)
        return (event, event, *told) if isinstance(event, Done) else (event,)

    gs.run(tiny(), directory=tmp_path, executor=Wrong(twice), listener=events.append)
    assert len(ended(events)) == 8
    assert_equal_tables(stored(tmp_path), by_local)


@pytest.mark.usefixtures("one_after_the_other")
def test_progress_after_the_last_checkpoint_is_not_told(tmp_path):
    """Elsewhere a part may begin while Ctrl-C is on its way: what is told is kept."""
    told = []

    def late(event):
        return (told[0], event) if isinstance(event, Done) else (event,)

    def listener(event):
        if isinstance(event, Progress):
            told.append(event)
            press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        gs.run(tiny(), directory=tmp_path, executor=Wrong(late), listener=listener)
    assert len(told) == 1


def test_ctrl_c_while_works_wait_for_workers(tmp_path):
    """As where all nodes of a cluster have left: no worker's word is waited for."""

    class Deserted(Local):
        def events(self):
            for _ in range(100):
                if len(cancelled) == len({work.id for work in submitted}):
                    yield from (Done(number) for number in cancelled)
                    return
                if len(told) == 3:
                    press_ctrl_c()
                told.append(Idle())
                yield told[-1]

        def submit(self, work, saved):
            submitted.append(work)

        def cancel(self, work):
            cancelled.append(work)

    told, submitted, cancelled = [], [], []
    with pytest.raises(KeyboardInterrupt):
        gs.run(tiny(), directory=tmp_path, executor=Deserted())
    assert len(told) == 4
    assert cancelled == [work.id for work in submitted]
    gs.run(tiny(), directory=tmp_path)
    assert len(stored(tmp_path)) == 8


@pytest.mark.usefixtures("one_after_the_other")
def test_what_begins_beside_others_does_not_put_off_their_checkpoints(tmp_path, monkeypatch):
    """Parts of a work may begin so often that a clock that is set back would never be due."""
    clocks = []

    class Counted(sweep.CheckpointClock):
        def __init__(self, n_bytes):
            super().__init__(n_bytes)
            clocks.append(self)

    def again(event):
        begun = Begun(event.work, event.trials, 1) if isinstance(event, Progress) else None
        return (begun, event) if begun else (event,)

    monkeypatch.setattr(sweep, "CheckpointClock", Counted)
    gs.run(tiny(), directory=tmp_path, executor=Wrong(again))
    assert len(clocks) == 2  # one for each work


def test_the_room_of_this_process():
    room = Room.here()
    assert room.n_devices == 2
    assert room.free_bytes > 0
