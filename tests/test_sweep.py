"""The one verb: exactly once, resumed bit for bit, extended, killed."""

import os
import random
import signal
import subprocess
import sys
import time
import types
from dataclasses import replace

import numpy as np
import pytest
from cohort_tools import planner_of, tiny
from runs import assert_equal_tables, environment, stored

from gridscape import sweep
from gridscape.base.metrics import cross_entropy
from gridscape.engine.cohorts import partition
from gridscape.errors import StoreError
from gridscape.execution.executors import Finished, Progress, Snapshot
from gridscape.execution.interrupt import Interrupt
from gridscape.execution.local import Local
from gridscape.store.store import Store
from gridscape.sweep import Started, run
from gridscape.tasks.losses import squared_error


def test_every_trial_is_recorded_and_the_second_run_trains_nothing(tmp_path, undisturbed):
    events = []
    land = run(tiny(), directory=tmp_path, listener=events.append)
    finished = [e.trial.key for e in events if isinstance(e, Finished)]
    assert len(finished) == len(set(finished)) == 8
    assert set(land.data.status.values.ravel()) == {"finished"}
    assert_equal_tables(stored(tmp_path), undisturbed)
    again = []
    run(tiny(), directory=tmp_path, listener=again.append)
    (started,) = again
    assert isinstance(started, Started)
    assert (started.todo, started.n_stored) == ((), 8)


def test_extending_an_axis_or_adding_replicates_trains_only_the_new_trials(tmp_path):
    def trained(**values):
        events = []
        run(tiny(), directory=tmp_path, listener=events.append, **values)
        return {(str(e.trial.cell), e.trial.replicate) for e in events if isinstance(e, Finished)}

    assert len(trained()) == 8
    wider = trained(set={"hidden_size": [4, 8, 5]})
    assert wider == {
        (f"hidden_size=5, learning_rate={rate}", k) for rate in (0.001, 0.1) for k in (0, 1)
    }
    more = trained(replicates=3)
    assert len(more) == 4
    assert {replicate for _, replicate in more} == {2}


class StopError(Exception):
    pass


@pytest.fixture
def checkpoint_after_every_segment(monkeypatch):
    monkeypatch.setattr(sweep.CheckpointClock, "is_due", lambda clock: True)


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def fall_over():
    raise StopError


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("how", [press_ctrl_c, fall_over])
@pytest.mark.usefixtures("checkpoint_after_every_segment")
def test_interrupted_and_resumed_equals_undisturbed(tmp_path, undisturbed, after, how):
    seen = []

    def listener(event):
        if isinstance(event, Progress):
            seen.append(event)
            if len(seen) == after:
                how()

    with pytest.raises((KeyboardInterrupt, StopError)):
        run(tiny(), directory=tmp_path, listener=listener)
    with Store.read(tmp_path) as store:
        checkpoints = [meta["update"] for _, meta, _ in store.checkpoints()]
    kept = seen if how is press_ctrl_c else seen[:-1]
    assert checkpoints == [event.update for event in kept[-1:]]
    events = []
    run(tiny(), directory=tmp_path, listener=events.append)
    first = next(e.update for e in events if isinstance(e, Progress))
    assert first > max(checkpoints, default=0)  # it went on, it did not begin again
    assert_equal_tables(stored(tmp_path), undisturbed)
    with Store.read(tmp_path) as store:
        assert not list(store.checkpoints())


def test_a_large_first_checkpoint_waits_for_twenty_times_what_it_may_take(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(sweep.time, "perf_counter", lambda: now[0])
    large, small = sweep.CheckpointClock(int(5e9)), sweep.CheckpointClock(1000)
    now[0] = 390.0  # 20 times 20 seconds have not passed
    assert (small.is_due(), large.is_due()) == (True, False)
    now[0] = 401.0
    assert large.is_due()
    with large.timing():
        now[0] = 402.0
    now[0] = 423.0  # it took one second
    assert large.is_due()


def test_the_first_ctrl_c_asks_and_the_second_interrupts():
    told, before = [], signal.getsignal(signal.SIGINT)
    interrupt = Interrupt(lambda: told.append(1))
    with interrupt:
        press_ctrl_c()
        assert interrupt.asked
        assert told == [1]
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_saves_what_no_checkpoint_has_saved_yet(tmp_path, undisturbed):
    def listener(event):
        if isinstance(event, Progress) and event.update == 4:
            press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        run(tiny(), directory=tmp_path, listener=listener)
    with Store.read(tmp_path) as store:
        assert [meta["update"] for _, meta, _ in store.checkpoints()] == [4]
    run(tiny(), directory=tmp_path)
    assert_equal_tables(stored(tmp_path), undisturbed)


@pytest.mark.usefixtures("checkpoint_after_every_segment")
def test_resuming_a_study_that_was_extended_meanwhile(tmp_path):
    def listener(event):
        if isinstance(event, Progress) and event.update > 1:
            fall_over()

    with pytest.raises(StopError):
        run(tiny(), directory=tmp_path / "a", listener=listener)
    larger = {"learning_rate": [0.001, 0.1, 0.01], "hidden_size": [4]}
    run(tiny(), directory=tmp_path / "a", set=larger, replicates=3)
    run(tiny(), directory=tmp_path / "b", set=larger, replicates=3)
    assert_equal_tables(stored(tmp_path / "a"), stored(tmp_path / "b"))


def test_results_of_changed_code_are_not_mixed_with_the_old_ones(tmp_path, monkeypatch):
    own = types.ModuleType("own_losses")
    monkeypatch.setitem(sys.modules, own.__name__, own)
    own.loss = cross_entropy
    study = tiny({"learning_rate": [0.01]}, task="digits-flat", model="mlp", loss="own_losses:loss")
    run(study, directory=tmp_path)
    run(study, directory=tmp_path, replicates=3)
    own.loss = squared_error
    with pytest.raises(StoreError, match=r"other code or other data \(found learning_rate=0.01"):
        run(study, directory=tmp_path)
    assert len(stored(tmp_path)) == 3


def test_what_trials_took_before_is_theirs_also_where_fewer_of_them_go_on():
    planner = planner_of(tiny({"learning_rate": [0.001, 0.01, 0.1]}))
    (cohort,) = partition(planner.resolved, planner.resolved.trials())
    executor = Local(planner)
    events = executor.run(cohort)
    update = next(events).update
    (snapshot,) = executor.snapshots()
    arrays = {name: array[:1] for name, array in snapshot.arrays.items()}
    took = Snapshot({**snapshot.meta, "seconds": 6e6}, arrays)
    (one,) = [
        event.result
        for event in Local(planner).run(replace(cohort.part(0, 1), start=update), took)
        if isinstance(event, Finished)
    ]
    n_devices = min(len(planner.machine.devices), 6)
    assert one.seconds == pytest.approx(1e6 * n_devices, rel=1e-3)


def test_trials_that_end_are_stored_before_the_next_progress_and_in_lots(monkeypatch):
    small = types.SimpleNamespace(curves={}, params=None)
    ended = [Finished(trial=None, result=small) for _ in range(4)]
    between = Progress(None, 1, np.zeros(1), False, np.ones(1, bool), 0.0)
    lots = list(sweep._together([ended[0], ended[1], between, ended[2], ended[3]]))
    assert lots == [ended[:2], [between], ended[2:]]
    monkeypatch.setattr(sweep, "STORED_TOGETHER_BYTES", -1)
    assert list(sweep._together(ended)) == [[event] for event in ended]


KILLED_SCRIPT = """
import sys
import jax
from cohort_tools import tiny
from gridscape import planner, sweep
from gridscape._interrupt import Interrupt
jax.config.update("jax_compilation_cache_dir", sys.argv[2])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
sweep.CheckpointClock.is_due = lambda clock: True
print("ready", flush=True)
sweep.run(tiny(), directory=sys.argv[1], listener=lambda event: print(".", flush=True))
print("done", flush=True)
"""


@pytest.mark.slow
def test_killed_thirty_times_every_trial_exactly_once(tmp_path, undisturbed):
    """kill -9 at random moments, until the study is done; then begin the next folder."""
    rng = random.Random(0)
    cache, kills, folder = tmp_path / "cache", 0, 0
    finished_folders = []
    deadline = time.monotonic() + 280
    while kills < 30:
        assert time.monotonic() < deadline, f"only {kills} kills in time"
        directory = tmp_path / f"run-{folder}"
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED_SCRIPT, str(directory), str(cache)],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        # By the count of its events, not by the clock: every stage of the run is hit, however
        # busy the machine. The delay then moves the kill into the middle of what follows.
        for line in process.stdout:
            if line.strip() == "done" or rng.random() < 0.15:
                break
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.wait()
        process.stdout.close()
        if process.returncode == -signal.SIGKILL:
            kills += 1
        if directory.exists() and len(_ended(directory)) == 8:
            finished_folders.append(directory)
            folder += 1
    if directory not in finished_folders:
        run(tiny(), directory=directory)
        finished_folders.append(directory)
    for directory in finished_folders:
        assert_equal_tables(stored(directory), undisturbed)


def _ended(directory):
    try:
        with Store.read(directory) as store:
            return store.statuses()
    except StoreError:  # killed before the folder was made
        return {}
