"""The Ray executor where something is missing: snapshots, workers, folders; no Ray is started."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from cohort_tools import tiny
from runs import environment

import gridscape as gs
from gridscape.errors import GridscapeError, UsageError
from gridscape.execution.executors import Work
from gridscape.execution.ray.executor import Hand, Kept, Out
from gridscape.execution.ray.parts import Part, Seat
from gridscape.execution.ray.station import take_cores

exceptions = pytest.importorskip("ray.exceptions")


def executor_with(get):
    """An executor whose Ray answers so."""
    found = gs.Ray()
    found._cluster = SimpleNamespace(ray=SimpleNamespace(get=get, exceptions=exceptions))
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
