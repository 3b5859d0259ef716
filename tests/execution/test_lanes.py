"""A worker for each core: the same numbers, every trial once, nothing that hangs or stays."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import replace

import jax
import numpy as np
import pytest
from cohort_tools import planner_of, tiny
from forks import ROOT
from runs import assert_equal_tables, press_ctrl_c, stored

import gridscape as gs
from gridscape import sweep
from gridscape.engine.cohorts import partition
from gridscape.engine.compilers import TRAINING, Compilers
from gridscape.engine.machine import Machine
from gridscape.engine.sizes import tree_bytes
from gridscape.engine.training import Training
from gridscape.errors import StoreFullError, UsageError
from gridscape.execution import lanes, parts
from gridscape.execution.executors import Begun, Care, Cut, Done, Finished, Progress, Taken, Work
from gridscape.execution.lanes import Lanes
from gridscape.execution.local import Local
from gridscape.execution.parts import Part
from gridscape.execution.planner import Planner
from gridscape.execution.sole import Sole
from gridscape.execution.worker import Worker, _smaller
from gridscape.grid.trials import Status
from gridscape.kernels import library
from gridscape.kernels.cores import VARIABLE
from gridscape.store.store import Store


@pytest.fixture(scope="module")
def by_one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    gs.run(tiny(), directory=folder, executor=Sole())
    return stored(folder)


N_LANES = 2


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """However many there are where the tests run."""
    monkeypatch.setattr(lanes, "n_cores", lambda: N_LANES)


@pytest.fixture
def in_small_parts(monkeypatch):
    """However little there is to train, it is cut into parts."""
    monkeypatch.setattr(parts, "CALL_SECONDS", 0.0)


@pytest.fixture
def opened():
    resolved, executor = tiny().resolve(), Lanes()
    executor.open(resolved)
    yield resolved, executor
    executor.close()


def no_snapshot(keys):
    raise AssertionError("none of these works goes on")


def submit_all(opened, **settings):
    resolved, executor = opened
    works = [
        Work(number, cohort.trials, **settings)
        for number, cohort in enumerate(partition(resolved, resolved.trials()))
    ]
    for work in works:
        executor.submit(work, no_snapshot)
    return works


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith(TRAINING)]


def assert_no_thread_stays():
    """Who compiles is not waited for, but ends then."""
    end = time.monotonic() + 60
    while threads() and time.monotonic() < end:
        time.sleep(0.05)
    assert threads() == []


@pytest.mark.usefixtures("in_small_parts")
def test_the_numbers_are_those_of_one_worker_bit_for_bit(tmp_path, by_one):
    events = []
    gs.run(tiny(), directory=tmp_path, executor=Lanes(), listener=events.append)
    assert_equal_tables(stored(tmp_path), by_one)
    ended = Counter(event.trial.key for event in events if isinstance(event, Finished))
    assert set(ended.values()) == {1}
    assert_no_thread_stays()


@pytest.mark.usefixtures("in_small_parts")
def test_each_core_trains_parts_of_the_works_and_tells_them_as_whole_ones(opened, monkeypatch):
    where = set()
    advance = Training.advance

    def counted(training, stop):
        where.add(threading.get_ident())
        return advance(training, stop)

    monkeypatch.setattr(Training, "advance", counted)
    works = submit_all(opened)
    told = list(opened[1].events())
    assert len(where) == N_LANES
    for work in works:
        own = [e for e in told if not isinstance(e, Finished) and e.work == work.id]
        assert [type(e) for e in own if isinstance(e, Taken | Done)] == [Taken, Done]
        assert own[0] == Taken(work.id)
        assert own[-1] == Done(work.id)
        begun = {t.key for e in own if isinstance(e, Begun) for t in e.trials}
        ended = [e.trial.key for e in told if isinstance(e, Finished) and e.trial in work.trials]
        assert begun == set(ended) == {trial.key for trial in work.trials}
        assert len(ended) == len(begun)


def test_while_care_is_asked_for_nothing_else_trains(opened):
    resolved, executor = opened
    submit_all(opened)
    alone = Work(9, tuple(resolved.trials()[:2]), care=Care.ALONE)
    executor.submit(alone, no_snapshot)
    running = {}
    for event in executor.events():
        match event:
            case Begun():
                running[event.work] = len(event.trials)
            case Done():
                running.pop(event.work, None)
        if 9 in running:
            assert running == {9: 1}


@pytest.mark.parametrize("after", [1, 3])
@pytest.mark.parametrize("is_ctrl_c", [True, False])
@pytest.mark.usefixtures("in_small_parts")
def test_interrupted_anywhere_it_goes_on_to_the_same_numbers(
    tmp_path, monkeypatch, by_one, after, is_ctrl_c
):
    monkeypatch.setattr(sweep.CheckpointClock, "is_due", lambda clock: True)
    seen = []

    class StopError(Exception):
        pass

    def listener(event):
        if isinstance(event, Progress):
            seen.append(event)
            if len(seen) == after:
                if is_ctrl_c:
                    press_ctrl_c()
                else:
                    raise StopError

    # All may have been trained before the sweep hears of it: nothing is left then.
    with suppress(KeyboardInterrupt) if is_ctrl_c else pytest.raises(StopError):
        gs.run(tiny(), directory=tmp_path, executor=Lanes(), listener=listener)
    assert_no_thread_stays()
    gs.run(tiny(), directory=tmp_path, executor=Lanes(), quiet=True)
    assert_equal_tables(stored(tmp_path), by_one)


def test_snapshots_are_of_what_trains_and_a_cancelled_work_ends(opened):
    works = submit_all(opened)
    events, executor = opened[1].events(), opened[1]
    for event in events:
        if isinstance(event, Progress):
            break
    for snapshot in executor.snapshots(event.work):
        assert set(snapshot.meta["keys"]) <= {t.key for w in works for t in w.trials}
        assert snapshot.meta["update"] >= event.update
    assert list(executor.snapshots(99)) == []
    for work in works:
        executor.cancel(work.id)
    assert {e.work for e in events if isinstance(e, Done)} == {0, 1}
    executor.cancel(0)  # again: nothing of it is out


def test_a_snapshot_stays_as_it_was_taken():
    """It is written while its trials are trained on."""
    study = tiny({"hidden_size": [4]}, updates=4000, evaluations=400)
    worker = Worker.of_all_devices(study.resolve())
    trials = tuple(worker.planner.resolved.trials())
    events = worker.run(Work(0, trials))
    progress = next(e for e in events if isinstance(e, Progress) and e.update > 100)
    (snapshot,) = worker.snapshots(0)
    n_evaluated = len(snapshot.meta["evaluated_at"])
    next(e for e in events if isinstance(e, Progress) and e.update > progress.update + 50)
    assert len(snapshot.meta["evaluated_at"]) == n_evaluated == progress.update // 10
    assert snapshot.arrays["evaluation/test_loss"].shape == (len(trials), n_evaluated)
    events.close()
    worker.close()


def test_what_a_worker_raises_is_raised_by_events(opened, monkeypatch):
    submit_all(opened)

    def broken(planner, cohorts):
        raise UsageError("broken", where="a worker")

    monkeypatch.setattr("gridscape.execution.planner.Planner.begin", broken)
    with pytest.raises(UsageError, match="broken"):
        list(opened[1].events())


def test_closed_in_the_middle_no_thread_stays_and_it_opens_again():
    study, executor = tiny(updates=100_000).resolve(), Lanes()
    for _ in range(2):
        executor.open(study)
        executor.submit(Work(0, tuple(study.trials()[:4])), no_snapshot)
        assert next(e for e in executor.events() if isinstance(e, Begun)).work == 0
        assert threads()
        executor.close()
        assert_no_thread_stays()
    with pytest.raises(UsageError, match="Local: the executor is not open"):
        executor.room()


def test_a_model_that_raises_costs_its_own_trials_only(tmp_path):
    def init(key, hyper):
        return {"w": jax.numpy.zeros((64, 10))}

    def apply(params, x, key, hyper):
        if x.shape[0] == 10:
            raise RuntimeError("no such layer")
        return x @ params["w"]

    study = tiny({"batch_size": [10, 20]}, task="digits-flat", model=(init, apply))
    gs.run(study, directory=tmp_path, executor=Lanes(), quiet=True)
    statuses = {name[0]: result.status for name, result in stored(tmp_path).items()}
    assert statuses == {"batch_size=10": Status.FAILED, "batch_size=20": Status.FINISHED}


def test_a_part_that_does_not_fit_is_cut_as_if_it_shared_its_program_with_none(tmp_path):
    """What is left over is smaller than the others, and must not need as much as they do."""
    study = tiny({"learning_rate": [0.01]}, replicates=5, updates=2, evaluations=1)
    resolved = study.resolve()
    planner = planner_of(study)
    one = replace(planner, machine=Machine(planner.machine.devices[:1]))
    (cohort,) = partition(resolved, resolved.trials())
    least = one.memory_bytes(cohort.part(0, 1))
    (run,) = replace(one, limit_bytes=least).cut(replace(cohort.part(0, 1), n_sharing=32))
    assert (run.n_sharing, run.n_microbatches) == (0, 1)
    assert one.memory_bytes(run) == least
    gs.run(study, directory=tmp_path, executor=Lanes(limit_bytes=2 * least), quiet=True)
    assert {r.status for r in stored(tmp_path).values()} == {Status.FINISHED}
    # Found out only when it is trained: a program of its own comes before microbatches.
    (smaller,) = _smaller(replace(cohort.part(0, 1), n_sharing=32))
    assert (smaller.n_sharing, smaller.n_microbatches) == (0, 1)


def test_a_disk_that_is_full_in_the_middle_of_a_checkpoint_leaves_no_thread(tmp_path, monkeypatch):
    def full(*_):
        raise StoreFullError("full")

    monkeypatch.setattr(sweep.CheckpointClock, "is_due", lambda clock: True)
    monkeypatch.setattr(Store, "save_checkpoint", full)
    begin = time.monotonic()
    with pytest.raises(StoreFullError):
        gs.run(tiny(updates=4000, evaluations=40), directory=tmp_path, executor=Lanes())
    assert_no_thread_stays()
    assert time.monotonic() - begin < 60


def test_a_plan_is_traced_as_the_run_would_be(tmp_path, monkeypatch):
    """A thread knows by itself nothing of where it was asked from."""
    used = set()
    submit = Compilers.submit
    monkeypatch.setattr(
        Compilers, "submit", lambda *a, **k: used.add(library.in_use()) or submit(*a, **k)
    )
    with library.plain():
        gs.plan(tiny(), directory=tmp_path, executor=Lanes(), timed=False)
    assert used == {False}


def test_each_plans_with_its_share_of_the_memory(monkeypatch):
    monkeypatch.setattr("gridscape.execution.planner.free_memory_bytes", lambda _: 800.0)
    monkeypatch.setattr(lanes, "free_memory_bytes", lambda _: 800.0)
    executor = Lanes()
    executor.open(tiny().resolve())
    assert executor.room() == (2, 800.0, 1)
    assert [lane.worker.planner.room_bytes(1.0) for lane in executor._hands] == [400.0, 400.0]
    monkeypatch.setattr("gridscape.execution.planner.free_memory_bytes", lambda _: 300.0)
    assert executor._hands[0].worker.planner.room_bytes(1.0) == 300.0  # others took the rest
    executor.close()
    limited = Lanes(limit_bytes=100)
    limited.open(tiny().resolve())
    assert [lane.worker.planner.room_bytes() for lane in limited._hands] == [50, 50]
    limited.close()


def test_the_data_is_there_once_for_all_and_counted_once(opened, monkeypatch):
    resolved, executor = opened
    loaded, load = [], Machine.load
    monkeypatch.setattr(Machine, "load", lambda *args: loaded.append(args[1].name) or load(*args))
    submit_all(opened)
    assert sum(isinstance(event, Finished) for event in executor.events()) == len(resolved.trials())
    assert loaded == ["digits-rows"]
    planner, *others = (lane.worker.planner for lane in executor._hands)
    assert all(other is planner for other in others)
    cohort, *_ = partition(resolved, resolved.trials())
    (data,) = planner._data.values()
    more = replace(planner, n_workers=1).memory_bytes(cohort) - planner.memory_bytes(cohort)
    assert more == tree_bytes(data.arrays) - tree_bytes(data.arrays) // N_LANES


@pytest.mark.parametrize("n_workers", [1, 2, 5])
def test_as_many_splits_stay_as_there_are_workers(n_workers):
    """Those that were used last."""
    study = tiny(resample="split", task="digits", model="mlp")
    planner = Planner(study.resolve(), Machine.local(), n_workers=n_workers)
    task = partition(planner.resolved, planner.resolved.trials())[0].task
    whole = planner.data(task)
    found = [planner.data(task, split) for split in range(n_workers)]
    assert all(planner.data(task, split) is found[split] for split in range(n_workers))
    assert planner.data(task, 0) is found[0]
    planner.data(task, n_workers)
    used_before_all = 1 if n_workers > 1 else 0
    there = {split for _, split in planner._data}
    assert there == {None, *range(n_workers + 1)} - {used_before_all}
    assert planner.data(task) is whole
    planner.close()


def test_a_plan_is_what_the_workers_would_do(tmp_path):
    here = gs.plan(tiny(), directory=tmp_path, executor=Lanes())
    one = gs.plan(tiny(), directory=tmp_path, executor=Sole())
    assert here.flops == one.flops
    assert len(here.devices) == len(one.devices) == 2
    assert [c.cohort.trials for c in here.cohorts] == [c.cohort.trials for c in one.cohorts]
    for cohort in here.cohorts:
        assert sum(len(run.trials) for run in cohort.runs) == len(cohort.cohort.trials)
    # Each has the data and the slots of its own part, as each device has where one has all.
    assert here.memory_bytes == pytest.approx(one.memory_bytes, rel=0.5)
    assert np.isfinite(here.seconds)


def test_snapshots_of_all_are_taken_at_once(opened, monkeypatch):
    """Each is waited for until its segment ends."""
    barrier = threading.Barrier(N_LANES)
    monkeypatch.setattr(lanes, "_snapshots_of", lambda lane, part: [barrier.wait(60), lane])
    resolved, executor = opened
    executor.submit(Work(0, tuple(resolved.trials()[:4])), no_snapshot)
    for lane in executor._hands:
        trials = tuple(resolved.trials()[:1])
        lane.part, lane.run = Part(0, Work(1, trials), 1.0, "p"), trials
    assert executor._hands == [x for x in executor.snapshots(0) if x in executor._hands]


def test_what_comes_is_compiled_as_it_will_be_trained(opened):
    """In parts of the same size."""
    resolved, executor = opened
    works = [Work(k, c.trials) for k, c in enumerate(partition(resolved, resolved.trials()))]
    executor.begin(works)
    planner = executor._hands[0].worker.planner
    programs = set(planner._programs)
    for work in works:
        executor.submit(work, no_snapshot)
        assert sum(isinstance(event, Done) for event in executor.events()) == 1
    assert set(planner._programs) == programs
    assert len(programs) == len(works)


def test_who_trains_on_beside_a_run_that_was_cut_is_not_forgotten(opened):
    """A worker of several cores has several runs in training."""
    resolved, executor = opened
    trials = tuple(resolved.trials()[:4])
    executor.submit(Work(0, trials), no_snapshot)
    lane = executor._hands[0]
    lane.part, lane.run = Part(0, Work(1, trials), 1.0, "p"), trials
    executor._note(lane, Cut(1, trials[1:3], 2, 1))
    assert lane.run == (trials[0], trials[3])
    assert executor._told.pop() == Cut(0, trials[1:3], 2, 1)


def test_the_data_counts_as_a_whole_where_there_are_fewer_trials_than_cores(opened):
    resolved, executor = opened
    one = resolved.trials()[:1]
    (cost,) = executor.costs(one, timed=False).programs
    planner = replace(executor._hands[0].worker.planner, n_workers=1)
    (cohort,) = partition(resolved, one)
    assert cost.memory_bytes == pytest.approx(planner.memory_bytes(cohort), abs=N_LANES)


def test_results_that_wait_are_told_to_who_ends_early(opened):
    """What is neither told nor in a snapshot would be trained again."""
    submit_all(opened)
    events, executor = opened[1].events(), opened[1]
    told = []
    while not told or not isinstance(told[-1], Progress):
        told.append(next(events))
    handed_out = {t.key for lane in executor._hands if lane.part for t in lane.part.work.trials}
    wait([lane._task for lane in executor._hands if lane._task], 60)
    ended = [e.trial.key for e in (*told, *executor.results()) if isinstance(e, Finished)]
    assert handed_out
    assert handed_out <= set(ended)
    assert len(ended) == len(set(ended))


@pytest.mark.parametrize(("number", "kind"), [(1, Sole), (3, Lanes)])
def test_a_worker_for_each_core_where_there_are_several(monkeypatch, number, kind):
    for module in ("execution.lanes", "engine.machine"):
        monkeypatch.setattr(f"gridscape.{module}.n_cores", lambda: number)
    local = Local()
    local.open(tiny().resolve())
    assert isinstance(local._opened, kind)
    assert kind is Sole or local.room().n_devices == number
    local.close()


SCRIPT = """
import threading
import jax
jax.numpy.ones(3).sum().block_until_ready()
import gridscape as gs
from gridscape.engine.training import Training
from gridscape.execution import parts
from gridscape.kernels.cores import n_cores

parts.CALL_SECONDS = 0.0
threads, advance = set(), Training.advance
def noted(training, stop):
    threads.add(threading.get_ident())
    return advance(training, stop)
Training.advance = noted
study = gs.Study.load("quickstart").override({"hidden_size": [4]}, replicates=8, updates=50)
gs.run(study, directory="here", quiet=True)
print(jax.local_device_count(), len(threads) == n_cores())
"""


def test_whoever_has_used_jax_before_trains_on_all_cores_too(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(N_LANES)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout == "1 True\n", done.stderr
