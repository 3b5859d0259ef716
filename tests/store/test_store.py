"""The store: what goes in comes out, by one writer."""

import math
import os

import ml_dtypes
import numpy as np
import pytest
from stored import (
    EVERY_KIND,
    EVERY_KIND_STUDY,
    MANY,
    a_result,
    a_trial,
    put,
    same_arrays,
    same_result,
    study,
    write_every_kind,
)

from gridscape.errors import StoreError, StoreLockedError
from gridscape.grid.trials import Status
from gridscape.store.store import Store

WRITTEN = [*EVERY_KIND, *MANY]

# What goes in comes out


@pytest.mark.parametrize("reopen", [Store.read, lambda path: Store.create(path, EVERY_KIND_STUDY)])
def test_round_trip(tmp_path, reopen):
    write_every_kind(tmp_path)
    with reopen(tmp_path) as store:
        assert store.study == EVERY_KIND_STUDY
        assert store.statuses() == {t.key: r.status for t, r in WRITTEN}
        stored = {trial.key: (trial, result) for trial, result in store.results()}
        for trial, result in WRITTEN:
            found, its_result = stored.pop(trial.key)
            assert found == trial
            assert [type(value) for value in found.cell.values()] == [int, float, str, bool]
            assert same_result(its_result, result)
            assert same_result(store.get(trial.key), result)
        assert not stored


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.zeros((0, 3), np.float32),
        np.arange(12.0).reshape(3, 4).T,
        np.arange(12)[::-3],
        np.array([True, False]),
        np.arange(3, dtype=np.uint8),
        np.array([1.5, math.nan, -0.0], np.float16),
        np.array([1.5, -2], ml_dtypes.bfloat16),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_of_every_kind(tmp_path, array):
    with Store.create(tmp_path, study()) as store:
        store.put(a_trial(), a_result(curves={"x": array}, params={"w": array}))
        store.save_checkpoint("c", {}, {"x": array})
        found = store.get("a1")
        ((_, _, checkpoint),) = store.checkpoints()
    for result in (found.curves["x"], found.params["w"], checkpoint["x"]):
        assert same_arrays({"x": result}, {"x": array})


def test_numpy_scalars_become_plain_numbers(tmp_path):
    cell = {"hidden_size": np.int64(16), "learning_rate": np.float32(0.1), "peephole": np.True_}
    with Store.create(tmp_path, study(seed=np.int32(1))) as store:
        result = a_result(metrics={"test_loss": np.float32(0.1)}, updates=np.int64(400))
        store.put(a_trial(replicate=np.int64(1), **cell), result)
        ((trial, found),) = store.results()
    plain = [16, float(np.float32(0.1)), True]
    assert list(trial.cell.values()) == plain
    assert [type(value) for value in trial.cell.values()] == [int, float, bool]
    assert type(trial.replicate) is type(found.updates) is int
    assert found.metrics == {"test_loss": float(np.float32(0.1))}


@pytest.mark.parametrize("array", [np.array([{}]), np.array(["text"])], ids=["objects", "text"])
def test_array_without_numbers_is_refused(tmp_path, array):
    with Store.create(tmp_path, study()) as store:
        with pytest.raises(StoreError, match="array cannot be stored"):
            store.put(a_trial(), a_result(curves={"x": array}))
        assert store.statuses() == {}


def test_same_key_replaces(tmp_path):
    losses = [0.5, 0.4, 0.3, 0.2]
    with Store.create(tmp_path, study()) as store:
        store.put(a_trial("other"), a_result("other"))
        for loss in losses:
            store.put(a_trial(), a_result(loss=loss))
            assert same_result(store.get("a1"), a_result(loss=loss))
            assert len(list((tmp_path / "blobs").iterdir())) == 2
    with Store.create(tmp_path, study()) as store:
        assert {t.key: r.metrics["test_loss"] for t, r in store.results()} == {
            "a1": losses[-1],
            "other": 0.5,
        }


def test_result_of_another_trial_is_refused(tmp_path):
    with Store.create(tmp_path, study()) as store, pytest.raises(StoreError, match="another trial"):
        store.put(a_trial("a1"), a_result("a2"))


def test_unknown_trial(tmp_path):
    put(tmp_path, "a1")
    with Store.read(tmp_path) as store, pytest.raises(StoreError, match=r"no such trial .*a2"):
        store.get("a2")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "a\0b"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with Store.create(tmp_path / "here", study()) as store:
        with pytest.raises(StoreError, match="no name for a file"):
            store.put(a_trial(name), a_result(name))
        with pytest.raises(StoreError, match="no name for a file"):
            store.save_checkpoint(name, {}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_checkpoints(tmp_path):
    arrays = {"params/w": np.arange(3.0), "key": np.array([1, 2], np.uint32)}
    meta = {"updates": 100, "keys": ["a1", "a2"], "best": math.nan}
    with Store.create(tmp_path, study()) as store:
        store.save_checkpoint("one", {"updates": 50}, {})
        store.save_checkpoint("one", meta, arrays)
        store.save_checkpoint("two-v1.5", {}, {})
    with Store.create(tmp_path, study()) as store:
        (name, found, its_arrays), second = store.checkpoints()
        assert (name, repr(found), second[0]) == ("one", repr(meta), "two-v1.5")
        assert same_arrays(its_arrays, arrays)
        store.drop_checkpoint("one")
        store.drop_checkpoint("one")
        assert [name for name, *_ in store.checkpoints()] == ["two-v1.5"]


def test_reader_cannot_write(tmp_path):
    put(tmp_path, "a1")
    with Store.read(tmp_path) as store:
        for write in (
            lambda: store.put(a_trial(), a_result()),
            lambda: store.save_checkpoint("c", {}, {}),
            lambda: store.drop_checkpoint("c"),
        ):
            with pytest.raises(StoreError, match="reading only"):
                write()


def test_closed_store_says_so(tmp_path):
    store = Store.create(tmp_path, study())
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.statuses()


def test_second_writer_is_refused(tmp_path):
    with Store.create(tmp_path, study()) as store:
        with pytest.raises(StoreLockedError, match=f"another process .*process {os.getpid()} on "):
            Store.create(tmp_path, study())
        store.put(a_trial(), a_result())
        with Store.read(tmp_path) as reader:
            assert reader.statuses() == {"a1": Status.FINISHED}
    put(tmp_path, "a2")


def test_failed_opening_releases_the_lock(tmp_path):
    put(tmp_path, "a1")
    with pytest.raises(StoreError, match="another study"):
        Store.create(tmp_path, study(seed=9))
    put(tmp_path, "a2")
