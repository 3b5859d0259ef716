"""Workers and nodes that die, hang, leave and join: no trial is lost, doubled, or another one."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from clusters import ONE_CORE, cluster_of, forks_allowed
from cohort_tools import tiny
from runs import assert_equal_tables, bounded, environment, stored

import gridscape as gs
from gridscape.errors import StoreFullError, StoreLockedError
from gridscape.execution.executors import Finished, Progress
from gridscape.execution.ray.station import take_cores
from gridscape.kernels.cores import n_cores

pytest.importorskip("ray")
# A good part of a second each: long enough for something to happen to a trial.
LONG = {"task": "digits-flat", "model": "mlp", "updates": 20_000}


@pytest.fixture(scope="module")
def cluster():
    with cluster_of(2) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def by_local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    gs.run(study(), directory=folder)
    return stored(folder)


def study():
    return tiny(**LONG)


class Faults:
    """A listener that does one thing after the other to the worker of which it is told."""

    def __init__(self, executor, *faults):
        self.executor, self.faults, self.ended = executor, deque(faults), []
        self._hurt = set()

    def __call__(self, event):
        if isinstance(event, Finished):
            self.ended.append(event.trial.key)
        if not isinstance(event, Progress) or not self.faults:
            return
        for hand in self.executor._hands:
            if set(event.trials) <= set(hand.run) and hand.ready.process not in self._hurt:
                self._hurt.add(hand.ready.process)
                self.faults.popleft()(hand)
                if self.faults:
                    wait_for(self.executor, lambda hand: hand.ready.process not in self._hurt)
                return


def wait_for(executor, is_wanted):
    """Until such a worker is ready: those that are left would soon have trained all."""
    end = time.monotonic() + 120
    while not any(hand.ready and is_wanted(hand) for hand in executor._hands):
        assert time.monotonic() < end
        executor._listen()


def kill(hand):
    with contextlib.suppress(ProcessLookupError):  # it was killed, which has not been heard of yet
        os.kill(hand.ready.process, signal.SIGKILL)


def preempt(hand):
    os.kill(hand.ready.process, signal.SIGTERM)


def hang(executor):
    def stop(hand):
        os.kill(hand.ready.process, signal.SIGSTOP)
        for _ in range(10):  # what it said before is under way
            if hand not in executor._hands or not executor._ray.wait([hand.asked], timeout=1.0)[0]:
                break
            executor._hear(hand)
        hand.heard -= executor.patience  # as if it had said nothing for so long

    return stop


def run(directory, executor, *faults):
    listener = Faults(executor, *faults)
    gs.run(study(), directory=directory, executor=executor, listener=listener)
    assert not listener.faults  # all of them happened
    assert len(listener.ended) == len(set(listener.ended)) == 8


@pytest.mark.filterwarnings("ignore:the process died while training")  # where one is hit too often
def test_workers_that_are_killed_preempted_or_hang(tmp_path, cluster, by_local):
    """In any order; hundreds of them are drawn by benchmarks/ray_faults.py."""
    executor = gs.Ray(cluster.address)
    faults = np.random.default_rng(0).permutation([kill, preempt, hang(executor)] * 2)
    run(tmp_path, executor, *faults[:5])
    assert_equal_tables(stored(tmp_path), by_local)


@pytest.mark.skipif(n_cores() < 2, reason="one core")
@pytest.mark.filterwarnings("ignore:the process died while training")
def test_a_worker_of_several_cores_is_killed_and_preempted(tmp_path, by_local):
    """What each core had in training goes on from where it was, or begins again."""
    with cluster_of(1, n_cores=2) as cluster:
        executor = gs.Ray(cluster.address)
        run(tmp_path, executor, preempt, kill)
    assert_equal_tables(stored(tmp_path), by_local)


def test_a_node_leaves_and_another_one_joins(tmp_path, cluster, by_local):
    """With all that runs there; who joins is handed what is left."""
    executor, joined, seen, ended = gs.Ray(cluster.address), [], set(), []

    def listener(event):
        if isinstance(event, Finished):
            ended.append(event.trial.key)
        if isinstance(event, Progress) and not joined:
            (node,) = cluster.worker_nodes
            cluster.remove_node(node, allow_graceful=False)
            with forks_allowed():
                joined.append(cluster.add_node(**ONE_CORE).node_id)
            wait_for(executor, lambda hand: hand.node.id in joined)
        seen.update(hand.node.id for hand in executor._hands if hand.run)

    gs.run(study(), directory=tmp_path, executor=executor, listener=listener)
    assert joined[0] in seen
    assert len(ended) == len(set(ended)) == 8
    assert_equal_tables(stored(tmp_path), by_local)


@pytest.mark.slow
def test_trials_that_kill_every_worker_end_with_a_reason(tmp_path, cluster):
    executor = gs.Ray(cluster.address)

    def listener(event):
        if isinstance(event, Progress) and event.trials[0].cell["hidden_size"] == 4:
            for hand in executor._hands:
                if hand.run == event.trials:
                    kill(hand)

    # So long that none has ended by the time at which the driver hears of it.
    axes, long = {"hidden_size": [4, 8], "learning_rate": [0.1]}, {**LONG, "updates": 200_000}
    small = tiny(axes, replicates=1, **long)
    with pytest.warns(UserWarning, match="the process died while training hidden_size=4"):
        gs.run(small, directory=tmp_path, executor=executor, listener=listener)
    four, eight = (stored(tmp_path)[f"hidden_size={n}, learning_rate=0.1", 0] for n in (4, 8))
    assert (four.status, eight.status) == ("failed", "finished")
    assert "died 4 times" in four.reason


def test_what_goes_wrong_at_the_driver_ends_the_run_and_its_workers(tmp_path, cluster, by_local):
    """A full disk, and a folder that another driver writes; then the same command goes on."""

    def full(event):
        if isinstance(event, Finished):
            raise StoreFullError("the disk is full", where=tmp_path)

    executor = gs.Ray(cluster.address)
    with pytest.raises(StoreFullError):
        gs.run(study(), directory=tmp_path, executor=executor, listener=full)
    assert executor._hands == []

    def second(event):
        if isinstance(event, Progress) and not others:
            others.append(event)
            with pytest.raises(StoreLockedError):
                gs.run(study(), directory=tmp_path)

    others = []
    gs.run(study(), directory=tmp_path, executor=gs.Ray(cluster.address), listener=second)
    assert others
    assert_equal_tables(stored(tmp_path), by_local)


# ---- the driver dies: with a Ray of its own ----

DRIVER = """
import os, sys
import gridscape as gs
from test_ray_faults import study
from gridscape.execution.executors import Progress

executor, seen = gs.Ray(cpus_per_worker=1), []
def listen(event):
    if isinstance(event, Progress):
        seen.append(event)
        if len(seen) == 3:
            print(*(hand.ready.process for hand in executor._hands if hand.ready), flush=True)
            os.kill(os.getpid(), int(sys.argv[2]))

gs.run(study(), directory=sys.argv[1], executor=executor, listener=listen)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_is_ended_leaves_no_process_and_the_next_run_goes_on(
    number, tmp_path, by_local
):
    own = environment()
    own["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
    own["GRIDSCAPE_TEST"] = str(tmp_path)  # all that it starts has it, too
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path), str(int(number))],
        env=own,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode, done.stderr[-2000:]
    workers = [int(word) for word in done.stdout.split()]
    assert workers, done.stderr[-2000:]
    end = time.monotonic() + 60
    while (left := raylets_of(tmp_path) | alive(workers)) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left
    if number == signal.SIGKILL:
        warned = pytest.warns(UserWarning, match="the process died while training")
    else:
        warned = contextlib.nullcontext()
        # Where it had got to, unless that was the end of all that had begun.
        assert list((tmp_path / "checkpoints").iterdir()) or stored(tmp_path)
    with warned:
        gs.run(study(), directory=tmp_path)
    assert_equal_tables(stored(tmp_path), by_local)


def raylets_of(folder):
    """Raylets and the like that were started from here: other tests have clusters, too.

    Ray's agents see for themselves that their raylet is gone, up to a minute later.
    """
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, given = (process / "comm").read_text().strip(), (process / "environ").read_bytes()
            is_ours = f"GRIDSCAPE_TEST={folder}".encode() in given.split(b"\0")
            if is_ours and name in ("raylet", "gcs_server"):
                found.add(int(process.name))
    return found


def alive(processes):
    return {p for p in processes if Path(f"/proc/{p}/cmdline").exists()}


# ---- what a worker is made of ----


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_cores_are_taken_once(tmp_path, monkeypatch):
    """By other processes, as long as they live; who comes too late shares."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core only")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = (
        "from gridscape.execution.ray.station import take_cores\n"
        "import os\n"
        "print(*take_cores(1), *os.sched_getaffinity(0), flush=True)\n"
        "input()\n"
    )
    found = []
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        for process in processes:
            with bounded(process):
                taken, bound = process.stdout.readline().split()
            assert taken == bound
            found.append(int(taken))
    finally:
        for process in processes:
            process.communicate("\n", timeout=60)
    assert len(set(found)) == 2
    assert take_cores(10_000) == sorted(os.sched_getaffinity(0))
