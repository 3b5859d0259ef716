"""One process writes a results folder, whatever happens to its files."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest
from stored import a_result, a_trial, study

from gridscape.errors import StoreError, StoreLockedError
from gridscape.store import _ledger, _lock, store
from gridscape.store.store import Store

DEAD = 2**22 + 1  # no process has such a number on Linux


@pytest.fixture
def no_locks(monkeypatch):
    """A file system that has no locks."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(_lock.fcntl, "flock", refuse)


def create(folder):
    return Store.create(folder, study())


def require_refused(folder):
    with pytest.raises(StoreLockedError, match="another process is writing here"):
        create(folder)


def test_the_lock_file_deleted_lets_nobody_in(tmp_path):
    with create(tmp_path / "r") as first:
        (tmp_path / "r" / ".lock").unlink()
        require_refused(tmp_path / "r")
        require_refused(tmp_path / "r")  # nor the one that has made another one meanwhile
        first.put(a_trial("a1"), a_result("a1"))
    create(tmp_path / "r").close()


def test_the_holder_is_named(tmp_path):
    with create(tmp_path / "r"), pytest.raises(StoreLockedError, match=f"process {os.getpid()} on"):
        create(tmp_path / "r")


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_file_holds_the_folder(tmp_path):
    with create(tmp_path / "r") as first:
        require_refused(tmp_path / "r")
        first.put(a_trial("a1"), a_result("a1"))
    assert not (tmp_path / "r" / _lock.MADE).exists()
    with create(tmp_path / "r") as again:
        assert again.n_trials == 1


@pytest.mark.usefixtures("no_locks")
def test_a_file_of_a_process_that_died_holds_nothing(tmp_path):
    create(tmp_path / "r").close()
    made = tmp_path / "r" / _lock.MADE
    made.write_text(_lock._name().replace(str(os.getpid()), str(DEAD)))
    create(tmp_path / "r").close()
    made.write_text("process 1 on another-host")
    require_refused(tmp_path / "r")
    os.utime(made, (0, 0))
    create(tmp_path / "r").close()


@pytest.mark.usefixtures("no_locks")
def test_who_was_taken_for_dead_writes_no_more(tmp_path):
    with create(tmp_path / "r") as first:
        os.utime(tmp_path / "r" / _lock.MADE, (0, 0))
        (tmp_path / "r" / _lock.MADE).write_text("process 1 on another-host")
        os.utime(tmp_path / "r" / _lock.MADE, (0, 0))
        with create(tmp_path / "r"), pytest.raises(StoreLockedError, match="took this process"):
            first.put(a_trial("a1"), a_result("a1"))


@pytest.mark.usefixtures("no_locks")
def test_the_time_of_the_file_is_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "BEAT_SECONDS", 0.01)
    with create(tmp_path / "r"):
        made = tmp_path / "r" / _lock.MADE
        os.utime(made, (0, 0))
        deadline = _lock.time.monotonic() + 10
        while made.stat().st_mtime == 0 and _lock.time.monotonic() < deadline:
            _lock.time.sleep(0.01)
        assert made.stat().st_mtime > 0


def move(folder):
    folder.rename(folder.with_name("elsewhere"))


def replace(folder):
    move(folder)
    folder.mkdir()
    (folder / "blobs").mkdir()


@pytest.mark.parametrize("change", [move, shutil.rmtree, replace])
def test_a_folder_moved_or_deleted_is_told_and_nothing_is_written_elsewhere(tmp_path, change):
    folder = tmp_path / "r"
    with create(folder) as first:
        change(folder)
        before = sorted(tmp_path.rglob("*"))
        for write in (
            lambda: first.put(a_trial("a1"), a_result("a1")),
            lambda: first.tell({"a": 1}),
            lambda: first.note({"a": 1}),
            lambda: first.save_checkpoint("c", {}, {}),
        ):
            with pytest.raises(StoreError, match="was moved or deleted while it was written"):
                write()
        assert sorted(tmp_path.rglob("*")) == before


def test_a_file_system_without_a_log_is_told(tmp_path, monkeypatch):
    def connect(path, mode):
        # Without locks SQLite has no log either.
        uri = f"{path.resolve().as_uri()}?{mode}&nolock=1"
        return sqlite3.connect(uri, uri=True, isolation_level=None)

    monkeypatch.setattr(_ledger, "_connect", connect)
    with pytest.raises(StoreError, match=r"no place for the ledger.*; name a folder on"):
        create(tmp_path / "r")
    assert not list((tmp_path / "r").glob("*.tmp"))
    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorcode = sqlite3.SQLITE_PROTOCOL
    assert "no place for the ledger" in str(store._store_error(tmp_path, error))


WITHOUT = """
import os, sys
for name in ("fcntl", "resource", "msvcrt"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "pread", "pwrite"):
    if hasattr(os, name):
        delattr(os, name)
import gridscape as gs
from gridscape.errors import StoreLockedError
from gridscape.store.store import Store
axes = {"momentum": [0.5], "learning_rate": [0.1]}
land = gs.run("momentum-quadratic", set=axes, replicates=1, updates=3, directory="r")
assert land.array("status").item() == "finished"
with Store.create("r", land.study):
    try:
        Store.create("r", land.study)
    except StoreLockedError:
        print("held")
"""


@pytest.mark.slow
def test_a_study_where_nothing_of_unix_is(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        cwd=tmp_path,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "held\n", done.stderr
