"""Damage: what is lost counts as missing, and nothing else is."""

import os
import shutil
import sqlite3

import numpy as np
import pytest
from stored import STUDY, a_result, a_trial, blob, contents, put, same_result, study

from gridscape.errors import StoreError
from gridscape.grid.trials import Status
from gridscape.store.store import Store, StoreWarning


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
    for name in ("blobs/a4.safetensors", "checkpoints/c.safetensors", "study.json"):
        (tmp_path / f"{name}.tmp").write_text("half")
    for page in ("report.html", "predict.html"):
        (tmp_path / f"{page}.0123abcd.tmp").write_text("half")
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
