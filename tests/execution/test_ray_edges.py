"""The Ray executor where something is missing: snapshots, workers, folders; no Ray is started."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cohort_tools import tiny
from runs import environment

import gridscape as gs
from gridscape.errors import GridscapeError, UsageError
from gridscape.execution.executors import Idle, Room, Taken, Work
from gridscape.execution.parts import Part, Seat
from gridscape.execution.ray import executor as executors
from gridscape.execution.ray.cluster import Cluster, Node
from gridscape.execution.ray.executor import Hand, Kept, Out
from gridscape.execution.ray.station import Leaving, Ready, Station, take_cores

exceptions = pytest.importorskip("ray.exceptions")


def executor_with(get):
    """An executor whose Ray answers so."""
    found = gs.Ray()
    found._cluster = Cluster(SimpleNamespace(get=get, exceptions=exceptions), is_own=False)
    return found


def lost(*_, **__):
    raise exceptions.RayError


def test_a_part_whose_snapshot_went_with_a_node_is_trained_from_the_start_of_its_work():
    trials = tuple(tiny().resolve().trials())
    executor, ordered = executor_with(lost), []
    kept = Kept("a reference to nothing", 5)
    executor._out[0] = Out(Work(0, trials), lost, kept=dict.fromkeys((t.key for t in trials), kept))
    actor = SimpleNamespace(train=SimpleNamespace(remote=lambda *order: ordered.append(order)))
    hand = Hand(actor, node=None, wanted=None, asked=None, seat=Seat(0, "a"))
    executor._begin(hand, Part(0, Work(1, trials, start=5), cost=1.0, program="p"), None)
    assert ordered == [(Work(1, trials, start=0), [], [])]
    assert hand.part.work.start == 0
    assert not executor._out[0].kept  # nor is it waited for again


def test_trials_that_only_lack_their_evaluation_are_handed_out():
    resolved = tiny({"learning_rate": [0.1, 0.2]}, task="digits-flat", model="mlp").resolve()
    trials = tuple(resolved.trials())
    executor = gs.Ray()
    executor._resolved = resolved
    executor.submit(Work(0, trials, start=resolved.study.updates), lost)
    part, _ = executor._parts.take(Seat(0, "a"), 1)
    assert part.work.start == resolved.study.updates


def test_a_plan_without_workers_is_told():
    with pytest.raises(GridscapeError, match="executor ray: no worker is ready"):
        executor_with(lost).costs([], timed=False)


def test_a_folder_of_code_that_is_not_there_is_told_before_anything_starts(tmp_path):
    with pytest.raises(UsageError, match=r"working_dir: no such folder .*nowhere"):
        gs.Ray(working_dir=tmp_path / "nowhere").open(tiny().resolve())


def test_a_plan_for_which_nothing_answers_is_told(monkeypatch):
    """A worker that was stopped, or is cut off: its calls stay without an answer."""
    executor = gs.Ray(patience=1)
    ray = SimpleNamespace(wait=nothing_within, exceptions=exceptions)
    executor._cluster = Cluster(ray, is_own=False)
    executor._resolved = tiny().resolve()
    actor = SimpleNamespace(costs=SimpleNamespace(remote=lambda *_: "costs"))
    hand = Hand(actor, Node("", "there", 1, 0), None, "hear", READY, seat=Seat(0, ""))
    executor._hands, executor._looked = [hand], time.monotonic()
    begin = time.monotonic()
    with pytest.raises(GridscapeError, match=r"node there: .* tell .*nothing within 1 s") as told:
        executor.costs([], timed=False)
    assert time.monotonic() - begin < 10
    assert len(str(told.value)) <= 300


def nothing_within(references, num_returns, timeout):
    time.sleep(min(timeout, 0.1))
    return [], references


@pytest.mark.parametrize("begun", [None, "begun"])  # the latter waits for cores that others have
def test_a_worker_that_hangs_while_it_begins_is_given_up(monkeypatch, begun):
    monkeypatch.setattr(executors, "START_SECONDS", 1.0)
    executor, killed = gs.Ray(patience=1), []
    ray = SimpleNamespace(wait=nothing_within, exceptions=exceptions)
    ray.kill = lambda actor, no_restart: killed.append(actor)
    executor._cluster = Cluster(ray, is_own=False)
    monkeypatch.setattr(executor, "_hire", lambda: None)
    executor._out[0] = Out(Work(0, tuple(tiny().resolve().trials())), lost)
    hand = Hand("an actor", Node("n", "there", 1, 0), None, "open", seat=Seat(0, "n"), begun=begun)
    executor._hands, executor._looked = [hand], time.monotonic()
    begin, events = time.monotonic(), executor.events()
    while executor._hands and time.monotonic() - begin < 3:
        assert isinstance(next(events), Idle)  # whoever presses Ctrl-C waits for nobody
    assert killed == ([] if begun else ["an actor"])
    assert executor._false_starts == ({} if begun else {"n": 1})


READY = Ready(Room(1, 1e9), ("cpu:0",), False, "there", 0, (0,))


# ---- a connection that is lost ----


def told_by(executor, trials):
    """What asks Ray, by name."""
    yield "events", lambda: next(executor.events())
    yield "snapshots", lambda: next(executor.snapshots(0))
    yield "cancel", lambda: executor.cancel(0)
    yield "costs", lambda: executor.costs(trials, timed=False)


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), exceptions.RpcError("gone")])
@pytest.mark.parametrize("name", ["events", "snapshots", "cancel", "costs"])
def test_a_connection_that_is_lost_is_told_and_closes(name, error):
    """As where the raylet of this machine is killed."""

    def gone(*_, **__):
        raise error

    trials = tuple(tiny().resolve().trials())
    executor = executor_with(gone)
    vars(executor._cluster.ray).update(wait=gone, kill=gone)
    remote = SimpleNamespace(remote=gone)
    actor = SimpleNamespace(snapshots=remote, cancel=remote, costs=remote)
    executor._resolved = tiny().resolve()
    executor._out[0] = Out(Work(0, trials), lost, training=1)
    part = Part(0, Work(1, trials), cost=1.0, program="p")
    node = Node("", "there", 1, 0)
    executor._hands = [
        Hand(actor, node, None, "hear", READY, seat=Seat(0, ""), part=part, run=trials)
    ]
    match = "executor ray: the connection to the cluster is lost .*same command goes on"
    with pytest.raises(GridscapeError, match=match):
        dict(told_by(executor, trials))[name]()
    executor.close()
    assert executor._hands == []


def test_a_raylet_that_is_gone_is_told_before_ray_ends_the_process():
    executor = gs.Ray()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = listening.getsockname()
        ray = SimpleNamespace(nodes=list, exceptions=exceptions, kill=None, wait=None)
        executor._cluster = Cluster(ray, is_own=False, raylet=place)
        executor._is_open, executor._manned = True, time.monotonic()
        executor._hire()
    executor._out[0] = Out(Work(0, ()), lost, training=1)
    executor._looked = 0.0
    with pytest.raises(GridscapeError, match=r"the connection to the cluster is lost .*refused"):
        next(executor.events())


def test_a_file_that_cannot_be_read_is_no_lost_connection():
    executor = executor_with(lost)
    with pytest.raises(FileNotFoundError), executor._cluster.answering():
        Path("/nowhere/at/all").read_text()


# ---- numbers ----


@pytest.mark.parametrize("wrong", [0, -1, 0.5, 1.5, "2", True, float("nan"), float("inf"), [2]])
def test_cores_that_cannot_be(wrong):
    match = r"cpus_per_worker: out of range \(expected a whole number of cores, at least 1, found "
    with pytest.raises(UsageError, match=match):
        gs.Ray(cpus_per_worker=wrong)


@pytest.mark.parametrize("wrong", [-1, 1e-3, 1.5, "half", True, False, float("nan"), "", []])
def test_gpus_that_cannot_be(wrong):
    with pytest.raises(UsageError, match="gpus_per_worker: out of range"):
        gs.Ray(gpus_per_worker=wrong)


@pytest.mark.parametrize("wrong", [0, 0.5, -600, None, "long", 10**400, float("inf")])
def test_a_patience_that_cannot_be(wrong):
    with pytest.raises(UsageError, match=r"patience: out of range .expected seconds, at least 1"):
        gs.Ray(patience=wrong)


@pytest.mark.parametrize("name", ["address", "working_dir"])
@pytest.mark.parametrize("wrong", [5, b"auto", ["auto"]])
def test_what_must_be_a_text(name, wrong):
    with pytest.raises(UsageError, match=f"{name}: wrong type .expected a text, found "):
        gs.Ray(**{name: wrong})


def test_numbers_of_any_kind():
    found = gs.Ray(cpus_per_worker=np.int64(2), gpus_per_worker=np.float32(0.5), patience=30)
    assert (found.cpus_per_worker, found.gpus_per_worker, found.patience) == (2, 0.5, 30)
    assert gs.Ray(cpus_per_worker=2.0, gpus_per_worker=0).gpus_per_worker == 0


def test_more_cores_than_this_machine_has_are_told_before_anything_starts(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray.init", None)
    with pytest.raises(UsageError, match=r"cpus_per_worker: more than any node .*found 10000"):
        gs.Ray(cpus_per_worker=10_000).open(tiny().resolve())


# ---- a worker that is told to end ----


@pytest.mark.parametrize(("words", "n_deaths"), [([Leaving()], 0), ([], 1)])
def test_who_is_told_to_end_while_it_compiles_is_not_to_blame(words, n_deaths):
    """It ends before its first segment: its trials are trained elsewhere, without a strike."""
    trials = tuple(tiny().resolve().trials())
    executor = executor_with(lost)
    executor._cluster.ray.kill = lambda *_, **__: None
    executor._out[0] = Out(Work(0, trials), lost, training=1)
    part = Part(0, Work(1, trials), cost=1.0, program="p")
    hand = Hand(None, Node("", "there", 1, 0), None, "hear", READY, seat=Seat(0, "a"), part=part)
    executor._hands = [hand]
    for word in words:
        executor._heed(hand, word)
    executor._hand_out()
    executor._hear(hand)  # its process has ended
    again, _ = executor._parts.take(Seat(1, "b"), 1)
    assert again.work.trials == trials
    assert again.deaths == n_deaths


def test_who_is_told_to_end_says_so_at_once(monkeypatch):
    """Also where nobody has fetched what waits."""
    ended = threading.Event()
    monkeypatch.setattr("gridscape.execution.ray.station.PARTING_SECONDS", 0.5)
    monkeypatch.setattr("gridscape.execution.mailbox.MAIL_EVENTS", 1)
    monkeypatch.setattr(os, "_exit", lambda _: ended.set())
    monkeypatch.setattr(Station, "_listen_for_sigterm", lambda self: None)
    station, (ours, theirs) = Station(), os.pipe()
    station._in_training = 1
    station._mail.put(Taken(1))
    os.write(theirs, bytes([signal.SIGTERM]))
    station._wait_for_sigterm(ours)
    assert ended.is_set()
    assert station.hear(1.0) == [Taken(1), Leaving()]


# ---- cores ----


def a_folder_of_all(folder):
    folder.mkdir()
    folder.chmod(0o777)
    for core in os.sched_getaffinity(0):
        (folder / str(core)).symlink_to(folder.parent / "victim")


def a_link(folder):
    (folder.parent / "theirs").mkdir()
    folder.symlink_to(folder.parent / "theirs")


def a_file(folder):
    folder.write_text("")


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
@pytest.mark.parametrize("trap", [a_folder_of_all, a_link, a_file])
def test_a_trap_in_the_folder_of_temporary_files_is_left_alone(tmp_path, monkeypatch, trap):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core only")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    trap(tmp_path / f"gridscape-cores-{os.getuid()}")
    before = sorted(tmp_path.rglob("*"))
    assert len(take_cores(1)) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_the_executor_is_there_where_nothing_of_unix_is():
    script = (
        "import os, sys\n"
        "sys.modules['fcntl'] = None\n"
        "del os.sched_getaffinity\n"
        "from gridscape.execution.ray import executor, station\n"
        "print(station.take_cores(1))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr
