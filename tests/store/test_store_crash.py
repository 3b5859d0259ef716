"""The results folder under kill -9, failing disks and several processes."""

import errno
import itertools
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from contextlib import closing, contextmanager
from pathlib import Path

import forks
import numpy as np
import pytest
from stored import a_result, a_trial, contents, same_arrays, same_result, study

from gridscape.errors import StoreError, StoreFullError, StoreLockedError
from gridscape.grid.trials import Status
from gridscape.store import _ledger, _together, blobs
from gridscape.store import store as store_module
from gridscape.store._ledger import Ledger
from gridscape.store.store import Store

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 30
KEYS = [f"k{i}" for i in range(6)]
LARGER = study(axes={"hidden_size": [16, 64], "learning_rate": [0.1]}, replicates=3)


# Every moment of a run


@contextmanager
def every_moment(directory, snapshots):
    """Copy the folder before every line of the store that runs: what a kill there would leave.

    Yields a list of (number of facts that hold by then, copy); moments with equal files count once.
    """
    sources = {module.__file__ for module in (store_module, _ledger, blobs)}
    moments, facts, seen = [], [], set()

    def look(frame, event, _):
        if frame.f_code.co_filename not in sources:
            return None
        if event == "line" and directory.exists():
            copy = snapshots / str(len(moments))
            # Another process copies: closing a file here would drop SQLite's locks on it.
            subprocess.run(["cp", "-a", str(directory), str(copy)], check=True, timeout=10)
            state = (len(facts), str(contents(copy)), *sorted(os.listdir(copy)))
            if state in seen:
                shutil.rmtree(copy)
            else:
                seen.add(state)
                moments.append((len(facts), copy))
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        yield moments, facts
    finally:
        sys.settrace(before)


def test_killed_at_every_line(tmp_path):
    """Wherever a run is killed, all that was acknowledged is there, and the rest can follow."""
    snapshots = tmp_path / "snapshots"
    snapshots.mkdir()
    with every_moment(tmp_path / "run", snapshots) as (moments, facts):
        with Store.create(tmp_path / "run", study()) as store:
            for key, loss in (("a1", 1.0), ("a2", 1.0), ("a1", 2.0)):
                store.put(a_trial(key), a_result(key, loss=loss))
                facts.append((key, loss))
            store.save_checkpoint("c", {"updates": 1}, {"w": np.ones(3)})
            facts.append(("checkpoint", 1))
            store.save_checkpoint("c", {"updates": 2}, {"w": np.ones(3)})
            store.drop_checkpoint("c")
        with Store.create(tmp_path / "run", LARGER) as store:
            facts.append(("replicates", 3))
            store.put(a_trial("a3"), a_result("a3"))
    facts.append(("a3", 0.5))
    assert len(moments) > 40
    for n_facts, copy in moments:
        check_moment(copy, dict(facts[:n_facts]), dict(facts[: n_facts + 1]))


def test_of_two_results_of_a_trial_the_last_stays(tmp_path):
    pairs = [(a_trial(key), a_result(key, loss=loss)) for key, loss in (("a", 1.0), ("b", 2.0))]
    with Store.create(tmp_path / "run", study()) as store:
        store.put_all([*pairs, (a_trial("a"), a_result("a", loss=3.0))])
        found = [store.get(key).metrics["test_loss"] for key in ("a", "b")]
    assert found == [3.0, 2.0]


@pytest.mark.parametrize("n_files", [3, 1])
def test_killed_at_every_line_of_storing_several(tmp_path, monkeypatch, n_files):
    """Wherever that is, each of them is as it was or as it shall be."""
    monkeypatch.setattr(_together, "LEAST", 2 if n_files == 1 else 16)
    snapshots = tmp_path / "snapshots"
    snapshots.mkdir()
    with Store.create(tmp_path / "run", study()) as store:
        store.put(a_trial("a1"), a_result("a1", loss=1.0))
    with (
        every_moment(tmp_path / "run", snapshots) as (moments, facts),
        Store.create(tmp_path / "run", study()) as store,
    ):
        store.put_all([(a_trial(key), a_result(key, loss=2.0)) for key in ("a1", "a2", "a3")])
        facts.append("stored")
    assert len(moments) > 6
    for n_facts, copy in moments:
        with Store.create(copy, study()) as store:
            losses = {trial.key: r.metrics["test_loss"] for trial, r in store.results()}
        assert losses["a1"] in (1.0, 2.0)
        assert {losses.get(key, 2.0) for key in ("a2", "a3")} == {2.0}
        assert not n_facts or losses == dict.fromkeys(("a1", "a2", "a3"), 2.0)
        # A file of all that lost the race with a row of before stays for the others in it.
        assert len(list((copy / "blobs").iterdir())) in {len(losses), n_files, n_files + 1}


def trials_of(losses):
    return [(a_trial(key), a_result(key, loss=loss)) for key, loss in losses.items()]


def test_killed_at_every_line_of_parting_those_that_share_a_file(tmp_path, monkeypatch):
    """Trials are stored once more, or forgotten, that share a file with others."""
    monkeypatch.setattr(_together, "LEAST", 2)
    snapshots, keys = tmp_path / "snapshots", ("a1", "a2", "a3", "a4")
    snapshots.mkdir()
    with Store.create(tmp_path / "run", study()) as store:
        store.put_all(trials_of(dict.fromkeys(keys, 1.0)))
    with (
        every_moment(tmp_path / "run", snapshots) as (moments, facts),
        Store.create(tmp_path / "run", study()) as store,
    ):
        store.put(*trials_of({"a1": 2.0})[0])
        facts.append("put")
        store.forget(["a2"])
        facts.append("forgot")
        store.put_all(trials_of({"a3": 3.0, "a4": 3.0}))
        facts.append("put all")
    assert len(moments) > 15
    for n_facts, copy in moments:
        for loses_ledger in (False, True):
            if loses_ledger:
                for path in copy.glob("ledger.sqlite*"):
                    path.unlink()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a ledger is missing, which is told
                store = Store.create(copy, study())
            with store:
                losses = {trial.key: r.metrics["test_loss"] for trial, r in store.results()}
                assert store.statuses() == dict.fromkeys(losses, Status.FINISHED)
            assert losses["a1"] in ((2.0,) if n_facts else (1.0, 2.0))
            assert losses.get("a2", 1.0) == 1.0
            assert n_facts < 2 or "a2" not in losses
            assert {losses["a3"], losses["a4"]} <= ({3.0} if n_facts == 3 else {1.0, 3.0})
            if not loses_ledger:
                assert n_facts or "a2" in losses


def check_moment(copy, acknowledged, in_flight):
    """``in_flight`` is what holds when the step that was interrupted counts as done."""
    asked = LARGER if "replicates" in acknowledged else study()
    with Store.create(copy, asked) as store:
        losses = {trial.key: r.metrics["test_loss"] for trial, r in store.results()}
        statuses = store.statuses()
        checkpoints = [meta["updates"] for _, meta, _ in store.checkpoints()]
        replicates = store.study["replicates"]
    assert statuses == dict.fromkeys(losses, Status.FINISHED)
    trials = [{k: v for k, v in d.items() if k[0] == "a"} for d in (acknowledged, in_flight)]
    assert losses in trials
    assert checkpoints in ([], [1], [2])
    assert not ("checkpoint" in acknowledged and "replicates" not in in_flight and not checkpoints)
    assert replicates in (acknowledged.get("replicates", 2), in_flight.get("replicates", 2))
    assert len(list((copy / "blobs").iterdir())) == len(losses)
    assert not list(copy.rglob("*.tmp*"))
    finish_and_compare(copy)


def finish_and_compare(directory):
    """The rest is put: the final table is that of a run that nothing disturbed."""
    wanted = {key: a_result(key, loss=9.0) for key in ("a1", "a2", "a3")}
    with Store.create(directory, LARGER) as store:
        for key, result in wanted.items():
            store.put(a_trial(key), result)
    with Store.read(directory) as store:
        found = {trial.key: result for trial, result in store.results()}
        assert store.study["axes"]["hidden_size"] == [16, 32, 64]
    assert found.keys() == wanted.keys()
    assert all(same_result(found[key], wanted[key]) for key in wanted)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc to name open files by")
def test_content_is_on_the_disk_before_the_name_and_the_name_before_the_row(tmp_path, monkeypatch):
    steps = []

    def record(owner, name, tell):
        plain = getattr(owner, name)

        def recorded(*args, **options):
            steps.append(tell(*args))
            return plain(*args, **options)

        monkeypatch.setattr(owner, name, recorded)

    directory = tmp_path / "run"
    drawn = re.compile(r"\.[0-9a-f]{8}(?=\.tmp$)")
    record(
        os,
        "fsync",
        lambda fd: f"fsync {drawn.sub('', Path(os.readlink(f'/proc/self/fd/{fd}')).name)}",
    )
    record(os, "replace", lambda old, new: f"rename to {Path(new).name}")
    record(Ledger, "enter", lambda ledger, *rows: f"rows {' '.join(row.key for row in rows)}")
    with Store.create(directory, study()) as store:
        store.put(a_trial("a1"), a_result("a1"))
        store.put_all([(a_trial(key), a_result(key)) for key in ("a2", "a3")])
        store.save_checkpoint("c", {}, {})
        (durable,) = store._ledger._connection.execute("PRAGMA synchronous").fetchone()
        (mode,) = store._ledger._connection.execute("PRAGMA journal_mode").fetchone()
    assert steps == [
        "fsync ledger.sqlite.tmp",
        "rename to ledger.sqlite",
        "fsync run",
        "fsync study.json.tmp",
        "rename to study.json",
        "fsync run",
        "fsync a1.safetensors.tmp",
        "rename to a1.safetensors",
        "fsync blobs",
        "rows a1",
        "fsync a2.safetensors.tmp",
        "fsync a3.safetensors.tmp",
        "rename to a2.safetensors",
        "rename to a3.safetensors",
        "fsync blobs",
        "rows a2 a3",
        "fsync c.safetensors.tmp",
        "rename to c.safetensors",
        "fsync checkpoints",
    ]
    assert (durable, mode) == (2, "wal")


# Disks that refuse


def sqlite_error(name):
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode, error.sqlite_errorname = getattr(sqlite3, name), name
    return error


REFUSALS = [
    *itertools.product(
        [(os, "fsync", 1), (os, "fsync", 2), (os, "replace", 1), (Path, "write_bytes", 1)],
        [
            (OSError(errno.ENOSPC, "No space left on device"), StoreFullError),
            (OSError(errno.EDQUOT, "Disk quota exceeded"), StoreFullError),
            (OSError(errno.EFBIG, "File too large"), StoreFullError),
            (OSError(errno.EIO, "Input/output error"), StoreError),
        ],
    ),
    *itertools.product(
        [(Ledger, "enter", 1)],
        [
            (sqlite_error("SQLITE_FULL"), StoreFullError),
            (sqlite_error("SQLITE_IOERR_WRITE"), StoreFullError),
            (sqlite_error("SQLITE_IOERR_FSYNC"), StoreError),
        ],
    ),
]


@pytest.mark.parametrize(
    ("step", "refusal"),
    REFUSALS,
    ids=[f"{step[1]} {step[2]} {refusal[0]}" for step, refusal in REFUSALS],
)
@pytest.mark.parametrize("replaced", [False, True], ids=["new", "replaced"])
def test_refused_step_leaves_the_folder_as_it_was(tmp_path, monkeypatch, step, refusal, replaced):
    owner, name, when = step
    error, kind = refusal
    plain, calls = getattr(owner, name), itertools.count(1)

    def refuse(*args, **options):
        if next(calls) == when:
            raise error
        return plain(*args, **options)

    with Store.create(tmp_path, study()) as store:
        store.put(a_trial("old"), a_result("old"))
        key = "old" if replaced else "new"
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, refuse)
            with pytest.raises(StoreError) as caught:
                store.put(a_trial(key), a_result(key, loss=0.1))
        assert type(caught.value) is kind
        assert caught.value.__cause__ is error
        assert store.statuses() == {"old": Status.FINISHED}
        assert same_result(store.get("old"), a_result("old"))
        assert os.listdir(tmp_path / "blobs") == ["old.safetensors"]
        store.put(a_trial(key), a_result(key, loss=0.1))
        assert same_result(store.get(key), a_result(key, loss=0.1))


@pytest.mark.parametrize("step", [(os, "fsync"), (os, "replace"), (Path, "write_bytes")])
@pytest.mark.parametrize("when", [1, 2])
def test_of_several_that_are_refused_none_is_stored(tmp_path, monkeypatch, step, when):
    plain, calls = getattr(*step), itertools.count(1)

    def refuse(*args):
        if next(calls) == when:
            raise OSError(errno.ENOSPC, "No space left on device")
        return plain(*args)

    with Store.create(tmp_path, study()) as store:
        store.put(a_trial("old"), a_result("old"))
        with monkeypatch.context() as patch:
            patch.setattr(*step, refuse)
            with pytest.raises(StoreFullError):
                store.put_all([(a_trial(key), a_result(key, loss=0.1)) for key in ("old", "new")])
        assert store.statuses() == {"old": Status.FINISHED}
        assert same_result(store.get("old"), a_result("old"))
        assert os.listdir(tmp_path / "blobs") == ["old.safetensors"]


@pytest.mark.parametrize("step", [(os, "fsync"), (os, "replace"), (Path, "write_bytes")])
def test_refused_checkpoint_keeps_the_old_one(tmp_path, monkeypatch, step):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Store.create(tmp_path, study()) as store:
        store.save_checkpoint("c", {"updates": 1}, {"w": np.zeros(3)})
        with monkeypatch.context() as patch:
            patch.setattr(*step, refuse)
            with pytest.raises(StoreFullError):
                store.save_checkpoint("c", {"updates": 2}, {"w": np.ones(3)})
        ((name, meta, arrays),) = store.checkpoints()
        assert (name, meta) == ("c", {"updates": 1})
        assert same_arrays(arrays, {"w": np.zeros(3)})
    assert os.listdir(tmp_path / "checkpoints") == ["c.safetensors"]


# Real processes, really killed


@contextmanager
def another_process(work, *args):
    """Run ``work(pipe, *args)`` elsewhere; yields the process and what it tells us."""
    ours, theirs = forks.context.Pipe()
    process = forks.process(work, (theirs, *args), daemon=True)
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join(PATIENCE_SECONDS)
        ours.close()


def told(pipe):
    """The next message; raises EOFError when the process has ended."""
    assert pipe.poll(PATIENCE_SECONDS), "the other process is silent"
    return pipe.recv()


def write_for_ever(pipe, directory, first_version):
    """Store all trials in one version after another, each with a checkpoint; tell what is done."""
    warnings.simplefilter("error")
    with Store.create(directory, study()) as store:
        pipe.send(sorted(store.statuses()))
        for version in itertools.count(first_version):
            for key in KEYS:
                store.save_checkpoint("flight", {"key": key}, {"w": np.full(300, version)})
                store.put(a_trial(key), a_result(key, loss=float(version)))
                pipe.send((key, version))


def test_killed_at_random_30_times(tmp_path):
    """Every stored trial is whole, there once, and of the version last told of, or the next."""
    rng = random.Random(7)
    acknowledged = {}
    moments = set()
    for attempt in range(30):
        version = max(acknowledged.values(), default=0) + 1
        with another_process(write_for_ever, tmp_path, version) as (process, pipe):
            if attempt % 6:
                assert told(pipe) == sorted(acknowledged)
            n_before = rng.randrange(8) if attempt % 6 else 0
            steps = [told(pipe) for _ in range(n_before)]
            time.sleep(rng.uniform(0, 0.01))
            os.kill(process.pid, signal.SIGKILL)
            process.join(PATIENCE_SECONDS)
            assert process.exitcode == -signal.SIGKILL
            steps += [step for step in rest_of(pipe) if isinstance(step, tuple)]
        moments.add(state_of(tmp_path))
        in_flight = KEYS[len(steps) % len(KEYS)], version + len(steps) // len(KEYS)
        acknowledged.update(steps)
        acknowledged = check_killed(tmp_path, acknowledged, in_flight)
    assert acknowledged.keys() == set(KEYS)
    assert len(moments) > 1, "every kill fell between two trials: the test shows nothing"
    check_final_table(tmp_path)


def rest_of(pipe):
    while True:
        try:
            yield told(pipe)
        except (EOFError, ConnectionResetError):
            return


def state_of(directory):
    """What a kill has left lying about."""
    names = [path.name for path in directory.rglob("*.tmp*")]
    return tuple(sorted(names)), len(list((directory / "blobs").glob("*.safetensors")))


def check_killed(directory, acknowledged, in_flight):
    """Check a folder after a kill; returns the versions that it holds."""
    if not (directory / "study.json").exists():
        assert not acknowledged
        return {}
    with Store.read(directory) as store:
        found = {trial.key: result for trial, result in store.results()}
        assert store.statuses().keys() == found.keys()
    with Store.create(directory, study()) as store:
        assert len(list((directory / "blobs").iterdir())) == len(store.statuses())
        for _, meta, arrays in store.checkpoints():
            assert meta["key"] in KEYS
            assert len(set(arrays["w"])) == 1
        entered = {trial.key: result for trial, result in store.results()}
    assert found.keys() <= entered.keys()
    versions = {key: int(result.metrics["test_loss"]) for key, result in entered.items()}
    for key, result in entered.items():
        assert same_result(result, a_result(key, loss=float(versions[key])))
    assert versions in (acknowledged, {**acknowledged, in_flight[0]: in_flight[1]})
    with closing(sqlite3.connect(directory / "ledger.sqlite")) as ledger:
        (n_rows,) = ledger.execute("SELECT count(*) FROM trials").fetchone()
    assert n_rows == len(entered)
    return versions


def check_final_table(directory):
    with Store.create(directory, study()) as store:
        for key in KEYS:
            store.put(a_trial(key), a_result(key))
    with Store.read(directory) as store:
        table = dict(store.results())
    assert [trial.key for trial in table] == KEYS
    assert all(same_result(result, a_result(trial.key)) for trial, result in table.items())


def hold(pipe, directory):
    with Store.create(directory, study()) as store:
        store.put(a_trial("a1"), a_result("a1"))
        pipe.send("holding")
        pipe.recv()


def test_second_process_is_refused_until_the_first_is_killed(tmp_path):
    with another_process(hold, tmp_path) as (process, pipe):
        assert told(pipe) == "holding"
        with pytest.raises(StoreLockedError) as caught:
            Store.create(tmp_path, study())
        assert f"process {process.pid} on " in str(caught.value)
        assert "--dir" in caught.value.hint
        with Store.read(tmp_path) as store:
            assert store.statuses() == {"a1": Status.FINISHED}
        os.kill(process.pid, signal.SIGKILL)
        process.join(PATIENCE_SECONDS)
        with Store.create(tmp_path, study()) as store:
            assert same_result(store.get("a1"), a_result("a1"))


def test_reading_while_another_process_writes(tmp_path):
    """A reader sees whole trials only, each version of one or the next, and never less."""
    seen = dict.fromkeys(KEYS, 0)
    with another_process(write_for_ever, tmp_path, 1) as (process, pipe):
        assert told(pipe) == []
        while told(pipe) != (KEYS[-1], 1):
            pass
        deadline = time.monotonic() + PATIENCE_SECONDS
        with Store.read(tmp_path) as lasting:
            while min(seen.values()) < 4 and time.monotonic() < deadline:
                check_growth(seen, lasting)
                with Store.read(tmp_path) as fresh:
                    check_growth(seen, fresh)
        assert process.is_alive()
    assert min(seen.values()) >= 4


def check_growth(seen, store):
    assert store.statuses().keys() == set(KEYS)
    for trial, result in store.results():
        version = result.metrics["test_loss"]
        assert version >= seen[trial.key]
        assert same_result(result, a_result(trial.key, loss=version))
        seen[trial.key] = version
