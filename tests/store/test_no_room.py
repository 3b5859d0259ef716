"""A full disk, and limits on the size of files."""

import os
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from stored import a_result, a_trial, mounted, put, same_result, study

from gridscape.errors import StoreFullError
from gridscape.store.store import Store


def used_up(disk, leave):
    """Fill a file system but for so many bytes."""
    free = shutil.disk_usage(disk).free
    (disk / "ballast").write_bytes(bytes(max(0, free - leave)))


def check_full(error, directory):
    assert str(directory) in str(error)
    assert "bytes free" in str(error)
    assert "run again" in error.hint
    assert "\n" not in str(error)
    assert error.__cause__ is not None


@pytest.mark.parametrize("n", [20, 5000], ids=["small blobs", "large blobs"])
def test_disk_full(tmp_path, n):
    keys = [f"k{i}" for i in range(400)]
    with mounted(tmp_path / "disk", size="3m") as disk:
        directory = disk / "results"
        stored = 0
        with Store.create(directory, study()) as store:
            used_up(disk, leave=300_000)
            with pytest.raises(StoreFullError) as caught:  # noqa: PT012
                for key in keys:
                    store.put(a_trial(key), a_result(key, n=n))
                    stored += 1
            check_full(caught.value, directory)
            assert 0 < stored < len(keys)
            assert len(store.statuses()) == stored
        with Store.read(directory) as store:
            assert {trial.key for trial, _ in store.results()} == set(keys[:stored])
            assert all(same_result(r, a_result(t.key, n=n)) for t, r in store.results())
        assert not list(directory.rglob("*.tmp"))
        (disk / "ballast").unlink()
        with Store.create(directory, study()) as store:
            assert set(store.statuses()) == set(keys[:stored])
            for key in keys[stored : stored + 20]:
                store.put(a_trial(key), a_result(key, n=n))
            assert len(list(store.results())) == stored + 20


def test_disk_full_at_every_step(tmp_path):
    """With ever more room, creating and putting fail later and later, and leave nothing torn."""
    outcomes = []
    with mounted(tmp_path / "disk", size="3m") as disk:
        for leave in range(0, 180_000, 4096):
            directory = disk / "results"
            put(disk / "old", "a1", loss=0.7)
            used_up(disk, leave)
            stored = []
            try:
                with Store.create(directory, study()) as store:
                    for key in ("a1", "a2"):
                        store.put(a_trial(key), a_result(key))
                        stored.append(key)
                    store.save_checkpoint("c", {}, {"w": np.zeros(2000)})
                outcomes.append("done")
            except StoreFullError as error:
                check_full(error, directory)
                outcomes.append(len(stored))
            try:
                put(disk / "old", "a1", loss=0.1)
                replaced = 0.1
            except StoreFullError:
                replaced = 0.7
            (disk / "ballast").unlink()
            with Store.read(disk / "old") as store:
                assert same_result(store.get("a1"), a_result("a1", loss=replaced))
            with Store.create(directory, study()) as store:
                assert set(store.statuses()) == set(stored)
                store.put(a_trial("a3"), a_result("a3"))
            assert not list(directory.rglob("*.tmp*"))
            shutil.rmtree(directory)
            shutil.rmtree(disk / "old")
    assert outcomes[0] == 0
    assert outcomes[-1] == "done"


@contextmanager
def file_size_limit(n_bytes):
    """Like a quota: no file of this process grows beyond. (Python ignores SIGXFSZ.)"""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [0, 1000, 5000, 9000, 20_000, 33_000, 50_000, 100_000])
def test_file_size_limit(tmp_path, limit):
    """The limit is met by the lock, by the ledger, by its index or by its log."""
    stored = []
    with (  # noqa: PT012
        pytest.raises(StoreFullError) as caught,
        file_size_limit(limit),
        Store.create(tmp_path, study()) as store,
    ):
        for i in range(200):
            store.put(a_trial(f"k{i}"), a_result(f"k{i}", n=20 * (i + 1)))
            stored.append(f"k{i}")
    check_full(caught.value, tmp_path)
    with Store.create(tmp_path, study()) as store:
        assert set(store.statuses()) == set(stored)
        for i, key in enumerate(stored):
            assert same_result(store.get(key), a_result(key, n=20 * (i + 1)))
        store.put(a_trial("more"), a_result("more", n=20_000))
    assert not list(tmp_path.rglob("*.tmp*"))


def test_blob_beyond_the_file_size_limit(tmp_path):
    with Store.create(tmp_path, study()) as store:
        store.put(a_trial("a1"), a_result("a1"))
        with file_size_limit(100_000), pytest.raises(StoreFullError) as caught:
            store.put(a_trial("a2"), a_result("a2", n=50_000))
        check_full(caught.value, tmp_path)
        store.put(a_trial("a3"), a_result("a3"))
        assert list(store.statuses()) == ["a1", "a3"]
    assert sorted(os.listdir(tmp_path / "blobs")) == ["a1.safetensors", "a3.safetensors"]
