"""The results folder: what goes in comes out, what does not belong is refused in one line."""

import dataclasses
import json
import math
import os
import shutil
import sqlite3
import subprocess
from contextlib import contextmanager
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from gridscape.errors import StoreError, StoreFullError, StoreLockedError
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.store.store import Store, StoreWarning

ASSETS = Path(__file__).parents[1] / "assets"
STUDY = {
    "name": "tiny",
    "title": "A tiny study",
    "seed": 1,
    "task": {"name": "digits", "validation": 0.1},
    "axes": {"hidden_size": [16, 32], "learning_rate": [0.01, 1.0]},
    "replicates": 2,
}


def study(**changes):
    return {**STUDY, **changes}


def a_trial(key="a1", replicate=0, **cell):
    cell = cell or {"hidden_size": 16, "learning_rate": 0.01}
    return Trial(Cell.of(**cell), replicate, key)


def a_result(key="a1", *, loss=0.5, n=20, **changes):
    curves = {
        "train_loss": np.linspace(2.3, loss, n, dtype=np.float32),
        "recorded_at": np.arange(n),
    }
    plain = TrialResult(
        key=key,
        status=Status.FINISHED,
        updates=400,
        metrics={"test_loss": loss, "test_accuracy": 0.9},
        curves=curves,
        seconds=1.25,
        n_parameters=1242,
        flops=1e9,
        memory_bytes=9936,
        params_digest="d1",
    )
    return dataclasses.replace(plain, **changes)


# One of each kind; tests/assets/store-format-1 was written with these by write_every_kind().
EVERY_KIND = [
    (
        a_trial("finished", 1, hidden_size=16, learning_rate=1e-05, cell="gru", peephole=True),
        a_result("finished", params={"lstm/kernel": np.arange(6.0).reshape(2, 3)}),
    ),
    (
        a_trial("diverged", 0, hidden_size=32, learning_rate=1.0, cell="1", peephole=False),
        a_result(
            "diverged",
            loss=math.nan,
            status=Status.DIVERGED,
            metrics={"test_loss": math.inf, "train_loss": -math.inf, "test_accuracy": math.nan},
            first_bad_update=7,
            bad_quantity="gradient",
        ),
    ),
    (
        a_trial("failed", 0, hidden_size=64, learning_rate=0.1, cell="é", peephole=True),
        a_result("failed", status=Status.FAILED, curves={}, metrics={}, reason="no such luck"),
    ),
]
EVERY_KIND_STUDY = study(
    axes={
        "hidden_size": [16, 32, 64],
        "learning_rate": [1e-05, 0.1, 1.0],
        "cell": ["gru", "1", "é"],
        "peephole": [True, False],
    }
)


def write_every_kind(directory):
    with Store.create(directory, EVERY_KIND_STUDY) as store:
        for trial, result in EVERY_KIND:
            store.put(trial, result)
        store.save_checkpoint("cohort", {"updates": 100}, {"params/bias": np.zeros(3)})


def same_arrays(one, other):
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and one[name].tobytes() == other[name].tobytes()
        for name in one
    )


def same_result(one, other):
    """Bit for bit; nan equals nan."""
    plain = [repr(dataclasses.replace(result, curves={}, params=None)) for result in (one, other)]
    return (
        plain[0] == plain[1]
        and same_arrays(one.curves, other.curves)
        and same_arrays(one.params or {}, other.params or {})
    )


def contents(directory):
    """Every file below a folder, with what is in it; without the lock and SQLite's empty log."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
        and path.name not in (".lock", "ledger.sqlite-shm")
        and (path.name != "ledger.sqlite-wal" or path.stat().st_size)
    }


def put(directory, *keys, **changes):
    with Store.create(directory, study()) as store:
        for key in keys:
            store.put(a_trial(key), a_result(key, **changes))


def blob(directory, key):
    return directory / "blobs" / f"{key}.safetensors"


# What goes in comes out


@pytest.mark.parametrize("reopen", [Store.read, lambda path: Store.create(path, EVERY_KIND_STUDY)])
def test_round_trip(tmp_path, reopen):
    write_every_kind(tmp_path)
    with reopen(tmp_path) as store:
        assert store.study == EVERY_KIND_STUDY
        assert store.statuses() == {t.key: r.status for t, r in EVERY_KIND}
        stored = {trial.key: (trial, result) for trial, result in store.results()}
        for trial, result in EVERY_KIND:
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


# Growing a study


def test_axes_and_replicates_grow(tmp_path):
    put(tmp_path, "a1")
    larger = study(
        axes={"learning_rate": [0.1, 1.0], "hidden_size": [8, 64, 16]},
        replicates=5,
        title="A better title",
    )
    with Store.create(tmp_path, larger) as store:
        assert store.study["axes"] == {
            "hidden_size": [8, 16, 32, 64],
            "learning_rate": [0.01, 0.1, 1.0],
        }
        assert list(store.study["axes"]) == ["hidden_size", "learning_rate"]
        assert (store.study["replicates"], store.study["title"]) == (5, "A better title")
        assert store.statuses() == {"a1": Status.FINISHED}
        grown = store.study
    with Store.create(tmp_path, study()) as store:
        assert store.study == {**grown, "title": STUDY["title"]}
    with Store.read(tmp_path) as store:
        assert store.study["replicates"] == 5


@pytest.mark.parametrize(
    ("stored", "asked", "merged"),
    [
        ([1, 2], [3, 0.5], [0.5, 1, 2, 3]),
        ([2, 1], [3], [2, 1, 3]),
        (["lstm", "gru"], ["a", "gru"], ["lstm", "gru", "a"]),
        ([True], [False], [True, False]),
        ([1, 2], ["all", 0], [1, 2, "all", 0]),
    ],
)
def test_order_of_merged_values(tmp_path, stored, asked, merged):
    with Store.create(tmp_path, study(axes={"x": stored})):
        pass
    with Store.create(tmp_path, study(axes={"x": asked})) as store:
        assert store.study["axes"]["x"] == merged


def test_a_further_task_may_tell_other_kinds_of_examples_apart(tmp_path):
    def longest(length):
        kinds = list(range(3, length + 1))
        groups = {"groups": ["length", kinds], "groups_of": [[{"longest": length}, kinds]]}
        return study(axes={"longest": [length]}, **groups)

    for length in (5, 4):
        with Store.create(tmp_path, longest(length)):
            pass
    with Store.read(tmp_path) as store:
        assert store.study["axes"] == {"longest": [4, 5]}
        assert store.study["groups"] == ["length", [3, 4, 5]]
        assert store.study["groups_of"] == [[{"longest": 5}, [3, 4, 5]], [{"longest": 4}, [3, 4]]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 2}, "seed differs (expected 2, found 1)"),
        ({"name": "other"}, 'name differs (expected "other", found "tiny")'),
        ({"task": {"name": "digits"}}, "task.validation differs (expected nothing, found 0.1)"),
        ({"new": "y" * 99}, f'new differs (expected "{"y" * 56}..., found nothing)'),
        (
            {"axes": {"hidden_size": [16]}},
            'axes differs (expected ["hidden_size"], found ["hidden_size", "learning_rate"])',
        ),
    ],
)
def test_results_of_another_study(tmp_path, changes, message):
    put(tmp_path, "a1")
    before = contents(tmp_path)
    with pytest.raises(StoreError) as caught:
        Store.create(tmp_path, study(**changes))
    assert f"{tmp_path}: holds results of another study: {message}; " in str(caught.value)
    assert "--dir" in caught.value.hint
    assert contents(tmp_path) == before


# Folders that cannot be used


@pytest.mark.parametrize("name", ["thesis.txt", "blobs/model.safetensors", "study.json"])
def test_foreign_folder_is_not_touched(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(StoreError) as caught:
        Store.create(tmp_path, study())
    assert "study" in str(caught.value)
    assert "--dir" in caught.value.hint
    assert contents(tmp_path) == {name: b"mine"}
    assert os.listdir(tmp_path) == [name.split("/")[0]]


def test_folder_with_nothing_but_its_own_leftovers(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / "figures").mkdir()
    (tmp_path / "study.json.tmp").write_text("{")
    (tmp_path / "ledger.sqlite.tmp-journal").write_text("half a page")
    put(tmp_path, "a1")
    assert not list(tmp_path.glob("*.tmp*"))


def test_no_results_to_read(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StoreError, match="holds no results"):
            Store.read(folder)
    assert list(tmp_path.iterdir()) == []


def rewrite_study(directory, **changes):
    path = directory / "study.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("open_", [Store.read, lambda path: Store.create(path, study())])
def test_newer_format(tmp_path, open_):
    put(tmp_path, "a1")
    rewrite_study(tmp_path, format=2, gridscape="9.1", study={"unheard": "of"})
    before = contents(tmp_path)
    with pytest.raises(StoreError) as caught:
        open_(tmp_path)
    assert "written by a newer Gridscape (expected format 1" in str(caught.value)
    assert "found format 2 (Gridscape 9.1)); upgrade Gridscape" in str(caught.value)
    assert contents(tmp_path) == before


def test_folder_of_format_1_opens(tmp_path):
    directory = tmp_path / "results"
    shutil.copytree(ASSETS / "store-format-1", directory)
    with Store.create(directory, EVERY_KIND_STUDY) as store:
        stored = {trial.key: (trial, result) for trial, result in store.results()}
        assert set(store.statuses()) == {trial.key for trial, _ in EVERY_KIND}
        for trial, result in EVERY_KIND:
            found, its_result = stored[trial.key]
            assert found == trial
            assert same_result(its_result, result)
        ((name, meta, arrays),) = store.checkpoints()
        assert (name, meta) == ("cohort", {"updates": 100})
        assert same_arrays(arrays, {"params/bias": np.zeros(3)})


@pytest.mark.parametrize("below", ["", "deeper"])
def test_folder_below_a_file(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError) as caught:
        Store.create(tmp_path / "file" / below, study())
    assert isinstance(caught.value.__cause__, OSError)
    assert (tmp_path / "file").read_text() == "mine"


@contextmanager
def mounted(path, size="1m"):
    """A small file system of its own, for as long as the block lasts."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"mounting a tmpfs is not permitted: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True, timeout=10)


def remount(path, options):
    command = ["mount", "-o", f"remount,{options}", str(path)]
    subprocess.run(command, check=True, timeout=10)


def test_read_only_file_system(tmp_path):
    with mounted(tmp_path / "disk") as disk:
        put(disk / "closed", "a1", "a2")
        with Store.create(tmp_path / "live", study()) as store:
            store.put(a_trial(), a_result())
            shutil.copytree(tmp_path / "live", disk / "live")
        remount(disk, "ro")
        for name, keys in (("closed", {"a1", "a2"}), ("live", {"a1"})):
            with Store.read(disk / name) as store:
                assert set(store.statuses()) == {trial.key for trial, _ in store.results()} == keys
            with pytest.raises(StoreError, match=r"is not writable: .*--dir"):
                Store.create(disk / name, study())
        with pytest.raises(StoreError, match="is not writable"):
            Store.create(disk / "new", study())


# Damage


def test_damaged_study_record_is_restored_from_the_ledger(tmp_path):
    put(tmp_path, "a1")
    whole = (tmp_path / "study.json").read_bytes()
    for length in [*range(len(whole) - 1), None]:
        if length is None:
            (tmp_path / "study.json").unlink()
        else:
            (tmp_path / "study.json").write_bytes(whole[:length])
        with pytest.warns(StoreWarning, match=r"study.json: .*restored from ledger.sqlite"):
            store = Store.read(tmp_path)
        with store:
            assert store.study == STUDY
        if length is None or length % 50 == 0:
            with pytest.warns(StoreWarning, match="restored"):
                store = Store.create(tmp_path, study())
            with store:
                assert store.statuses() == {"a1": Status.FINISHED}
            assert (tmp_path / "study.json").read_bytes() == whole


def test_damaged_study_record_without_a_copy(tmp_path):
    put(tmp_path, "a1")
    (tmp_path / "study.json").write_text('{"format": 1, "stu')
    (tmp_path / "ledger.sqlite").unlink()
    before = contents(tmp_path)
    for open_ in (Store.read, lambda path: Store.create(path, study())):
        with pytest.raises(StoreError) as caught:
            open_(tmp_path)
        assert str(tmp_path / "study.json") in str(caught.value)
        assert "put it back from a copy" in caught.value.hint
    assert contents(tmp_path) == before


def test_ledger_of_another_study(tmp_path):
    put(tmp_path / "one", "a1")
    with Store.create(tmp_path / "two", study(name="two")):
        pass
    shutil.copy(tmp_path / "two" / "ledger.sqlite", tmp_path / "one")
    for open_ in (Store.read, lambda path: Store.create(path, study())):
        with pytest.raises(StoreError, match="belong to different studies: name differs"):
            open_(tmp_path / "one")
    assert blob(tmp_path / "one", "a1").exists()


def lengths_to_cut(whole, page=4096):
    """Beginning, middle and end of a file, and around each of its pages."""
    pages = range(0, len(whole), page)
    around = {at + step for at in pages for step in (-1, 0, 1, 24, 25, 100, page // 2)}
    return sorted(n for n in around | {15, 16, 17, len(whole) - 1} if 0 <= n < len(whole))


def test_truncated_ledger(tmp_path):
    """Refused with nothing changed, or good; never a wrong result. Moved away, it is rebuilt."""
    keys = {f"k{i:02}" for i in range(12)}
    put(tmp_path / "whole", *keys)
    whole = (tmp_path / "whole" / "ledger.sqlite").read_bytes()
    refusals = []
    for length in lengths_to_cut(whole):
        directory = tmp_path / f"cut at {length}"
        shutil.copytree(tmp_path / "whole", directory)
        (directory / "ledger.sqlite").write_bytes(whole[:length])
        before = contents(directory)
        try:
            with Store.create(directory, study()) as store:
                assert set(store.statuses()) == keys
                assert all(same_result(r, a_result(t.key)) for t, r in store.results())
        except StoreError as error:
            refusals.append((directory, error, before))
    assert len(refusals) > len(lengths_to_cut(whole)) / 2
    for directory, error, before in refusals:
        assert str(directory / "ledger.sqlite") in str(error)
        assert "move it away" in error.hint
        assert contents(directory) == before
        with pytest.raises(StoreError, match=r"ledger.sqlite: is damaged"):
            Store.read(directory)
    (directory / "ledger.sqlite").unlink()
    with pytest.warns(StoreWarning, match="rebuilt from the blobs"):
        store = Store.create(directory, study())
    with store:
        assert set(store.statuses()) == keys
        assert all(same_result(r, a_result(t.key)) for t, r in store.results())


def test_truncated_log_loses_no_trial(tmp_path):
    """The ledger's log is what a copy of a live folder lacks first: the blobs make up for it."""
    keys = {f"k{i}" for i in range(3)}
    with Store.create(tmp_path / "live", study()) as store:
        for key in keys:
            store.put(a_trial(key), a_result(key))
        shutil.copytree(tmp_path / "live", tmp_path / "copy")
    log = tmp_path / "copy" / "ledger.sqlite-wal"
    whole = log.read_bytes()
    for length in [*lengths_to_cut(whole, page=4120), None]:
        shutil.rmtree(tmp_path / "cut", ignore_errors=True)
        shutil.copytree(tmp_path / "copy", tmp_path / "cut")
        (tmp_path / "cut" / "ledger.sqlite-shm").unlink()
        if length is None:
            (tmp_path / "cut" / "ledger.sqlite-wal").unlink()
        else:
            (tmp_path / "cut" / "ledger.sqlite-wal").write_bytes(whole[:length])
        with Store.create(tmp_path / "cut", study()) as store:
            assert set(store.statuses()) == keys
            assert all(same_result(r, a_result(t.key)) for t, r in store.results())


@pytest.fixture
def live_copy(tmp_path):
    """A folder copied while it was written: some rows in the ledger, some in its log."""
    put(tmp_path / "live", *(f"k{i:02}" for i in range(12)))
    with Store.create(tmp_path / "live", study()) as store:
        for i in range(5):
            store.put(a_trial(f"late{i:02}"), a_result(f"late{i:02}"))
        shutil.copytree(tmp_path / "live", tmp_path / "copy")
    return tmp_path / "copy"


def test_lost_ledger_with_its_log_left_behind(live_copy):
    (live_copy / "ledger.sqlite").unlink()
    with pytest.raises(StoreError, match="run the study again"):
        Store.read(live_copy)
    with pytest.warns(StoreWarning, match="rebuilt"):
        Store.create(live_copy, study()).close()
    with Store.read(live_copy) as store:
        stored = dict(store.results())
        assert len(store.statuses()) == len(stored) == 17
    assert all(same_result(result, a_result(trial.key)) for trial, result in stored.items())


def test_emptied_ledger_keeps_its_log(live_copy):
    (live_copy / "ledger.sqlite").write_bytes(b"")
    before = contents(live_copy)
    assert before["ledger.sqlite-wal"]
    for open_ in (Store.read, lambda path: Store.create(path, study())):
        with pytest.raises(StoreError, match=r"ledger.sqlite: is damaged"):
            open_(live_copy)
    assert contents(live_copy) == before


def damage_truncate(path, length):
    path.write_bytes(path.read_bytes()[:length])


def damage_flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def test_blob_damaged_at_every_byte_counts_as_missing(tmp_path):
    put(tmp_path, "a1", "a2", n=3)
    whole = blob(tmp_path, "a1").read_bytes()
    with Store.read(tmp_path) as store:
        for damage in (damage_truncate, damage_flip):
            for at in range(len(whole)):
                blob(tmp_path, "a1").write_bytes(whole)
                damage(blob(tmp_path, "a1"), at)
                with pytest.raises(StoreError, match="run the study again"):
                    store.get("a1")
                with pytest.warns(StoreWarning, match=r"a1.safetensors: .*run the study again"):
                    assert [trial.key for trial, _ in store.results()] == ["a2"]
                if damage is damage_truncate:
                    with pytest.warns(StoreWarning, match="torn"):
                        assert list(store.statuses()) == ["a2"]
        blob(tmp_path, "a1").write_bytes(whole)
        assert same_result(store.get("a1"), a_result("a1", n=3))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: damage_truncate(path, 0),
        lambda path: damage_truncate(path, 100),
        lambda path: damage_flip(path, -1),
        lambda path: shutil.copy(blob(path.parent.parent, "a2"), path),
    ],
    ids=["missing", "empty", "torn", "flipped", "of another trial"],
)
def test_writer_trains_a_damaged_trial_again(tmp_path, damage):
    put(tmp_path, "a1", "a2")
    damage(blob(tmp_path, "a1"))
    with pytest.warns(StoreWarning, match=r"a1.safetensors: .*the next run .* will train it again"):
        store = Store.create(tmp_path, study())
    with store:
        assert list(store.statuses()) == [trial.key for trial, _ in store.results()] == ["a2"]
        store.put(a_trial("a1"), a_result("a1", loss=0.1))
        assert set(store.statuses()) == {"a1", "a2"}
    with Store.create(tmp_path, study()) as store:
        assert same_result(store.get("a1"), a_result("a1", loss=0.1))


def test_altered_row_is_restored_from_its_blob(tmp_path):
    put(tmp_path, "a1", "a2")
    with sqlite3.connect(tmp_path / "ledger.sqlite") as ledger:
        ledger.execute("UPDATE trials SET record = replace(record, '0.9', '1.0') WHERE key = 'a1'")
    ledger.close()
    with Store.read(tmp_path) as store, pytest.warns(StoreWarning, match="not the file that"):
        assert [trial.key for trial, _ in store.results()] == ["a2"]
    with Store.create(tmp_path, study()) as store:
        assert same_result(store.get("a1"), a_result("a1"))


def test_leftovers_of_a_crash(tmp_path):
    """A whole blob without its row is a trial; anything else without a row goes."""
    put(tmp_path, "a1")
    put(tmp_path / "other", "a1", "a2", loss=0.3)
    shutil.copy(blob(tmp_path / "other", "a2"), blob(tmp_path, "a2"))
    shutil.copy(blob(tmp_path / "other", "a1"), blob(tmp_path, "a1.2"))
    blob(tmp_path, "a3").write_text("torn")
    for name in ("blobs/a4.safetensors.tmp", "checkpoints/c.safetensors.tmp", "study.json.tmp"):
        (tmp_path / name).write_text("half")
    with pytest.warns(StoreWarning, match=r"a3.*removed: the next run .* will train it again"):
        store = Store.create(tmp_path, study())
    with store:
        assert set(store.statuses()) == {"a1", "a2"}
        assert same_result(store.get("a1"), a_result("a1"))
        assert same_result(store.get("a2"), a_result("a2", loss=0.3))
    assert sorted(os.listdir(tmp_path / "blobs")) == ["a1.safetensors", "a2.safetensors"]
    assert os.listdir(tmp_path / "checkpoints") == []
    assert not list(tmp_path.glob("*.tmp"))


def test_checkpoint_damaged_at_every_byte_is_removed(tmp_path):
    path = tmp_path / "checkpoints" / "torn.safetensors"
    with Store.create(tmp_path, study()) as store:
        store.save_checkpoint("torn", {"updates": 1}, {"w": np.arange(3.0)})
        store.save_checkpoint("whole", {"updates": 2}, {})
        whole = path.read_bytes()
        for damage in (damage_truncate, damage_flip):
            for at in range(len(whole)):
                path.write_bytes(whole)
                damage(path, at)
                with pytest.warns(StoreWarning, match=r"torn.safetensors: .*trained again"):
                    assert [name for name, *_ in store.checkpoints()] == ["whole"]
                assert not path.exists()


# No room


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


# One writer


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
