"""Many small trials that end together share a file, and part again."""

import errno
import json
import os
import random
import sqlite3
import warnings
from contextlib import closing

import numpy as np
import pytest
from stored import a_result, a_trial, blob, contents, same_result, study

from gridscape.errors import StoreError
from gridscape.grid.trials import Status
from gridscape.report.live.folder import Folder
from gridscape.store._ledger import Ledger, Row, build_ledger
from gridscape.store._together import LEAST, MOST, MOST_BYTES_EACH, together
from gridscape.store.blobs import BlobFile, Content
from gridscape.store.store import Store, StoreWarning

KEYS = [f"k{number:03}" for number in range(40)]
RESULTS = {key: a_result(key, loss=number / 10) for number, key in enumerate(KEYS)}
SHARED = f"{KEYS[0]}.and-39.safetensors"


def files(directory):
    return sorted(os.listdir(directory / "blobs"))


def put_all(store, results):
    store.put_all([(a_trial(key), result) for key, result in results.items()])


@pytest.fixture
def folder(tmp_path):
    with Store.create(tmp_path, study()) as store:
        put_all(store, RESULTS)
    return tmp_path


def assert_holds(directory, wanted):
    """By every way to read it, also when it is opened for writing."""
    with Store.read(directory) as store:
        assert store.statuses() == {key: r.status for key, r in wanted.items()}
        found = {trial.key: result for trial, result in store.results()}
        assert found.keys() == wanted.keys()
        for key, result in wanted.items():
            assert same_result(found[key], result)
            assert same_result(store.get(key), result)
        curves = dict(store.curves(wanted))
        assert all(
            np.array_equal(curves[key]["train_loss"], r.curves["train_loss"])
            for key, r in wanted.items()
        )
        assert {trial.key for trial, _ in store.finals()} == wanted.keys()
        named = {row.blob for row in store._ledger.rows()}
    assert set(files(directory)) == named


# ---- which share a file ----


def content(n, dtype=np.float32, name="x"):
    return Content("", {name: np.zeros(n, dtype)})


def test_only_many_small_ones_of_equal_shapes_do():
    sizes = [len(of) for of in together([content(3)] * (2 * MOST + LEAST))]
    assert sizes == [MOST, MOST, LEAST]
    assert [len(of) for of in together([content(3)] * (LEAST - 1))] == [1] * (LEAST - 1)
    assert [len(of) for of in together([content(MOST_BYTES_EACH // 4 + 1)] * LEAST)] == [1] * LEAST
    odd = [content(4), content(3, np.int32), content(3, name="y"), Content("", {})]
    mixed = [each for other in odd for each in (content(3), *[other] * 4)] * 3
    found = list(together(mixed))
    assert sorted(number for of in found for number in of) == list(range(len(mixed)))
    assert [len(of) for of in found] == [1] * len(mixed)
    assert list(together([])) == []


# ---- stored and read ----


def test_they_read_as_if_each_had_its_own(folder):
    assert files(folder) == [SHARED]
    assert_holds(folder, RESULTS)
    Store.create(folder, study()).close()
    assert_holds(folder, RESULTS)


def test_results_without_curves_and_of_other_lengths(tmp_path):
    kept = {"w": np.arange(6.0).reshape(2, 3), "empty": np.zeros((0, 2))}
    wanted = {key: a_result(key, curves={}, metrics={}, params=kept) for key in KEYS[:20]}
    wanted |= {key: a_result(key, n=k) for k, key in enumerate(KEYS[20:])}
    with Store.create(tmp_path, study()) as store:
        put_all(store, wanted)
        for key, result in wanted.items():
            assert same_result(store.get(key), result)
    assert len(files(tmp_path)) == 21


def test_one_that_is_stored_again_leaves_the_file(folder):
    new = a_result(KEYS[0], loss=9.0)
    with Store.create(folder, study()) as store:
        store.put(a_trial(KEYS[0]), new)
    wanted = {**RESULTS, KEYS[0]: new}
    assert files(folder) == [f"{KEYS[0]}.safetensors", f"{KEYS[1]}.and-38.safetensors"]
    assert_holds(folder, wanted)
    Store.create(folder, study()).close()
    assert_holds(folder, wanted)


def test_all_are_stored_again(folder):
    again = {key: a_result(key, loss=9.0) for key in KEYS}
    with Store.create(folder, study()) as store:
        put_all(store, dict(list(again.items())[:20]))
        assert files(folder) == [f"{KEYS[0]}.and-19.safetensors", f"{KEYS[20]}.and-19.safetensors"]
        put_all(store, dict(list(again.items())[20:]))
        assert len(files(folder)) == 2
    assert_holds(folder, again)
    with Store.create(folder, study()) as store:  # the same trials under the same names
        put_all(store, RESULTS)
        put_all(store, again)
        put_all(store, RESULTS)
    assert len(files(folder)) == 1
    assert_holds(folder, RESULTS)


def test_what_is_forgotten_never_comes_back(folder):
    gone = KEYS[3:7]
    with Store.create(folder, study()) as store:
        store.forget(gone)
    wanted = {key: result for key, result in RESULTS.items() if key not in gone}
    assert_holds(folder, wanted)
    for path in folder.glob("ledger.sqlite*"):
        path.unlink()
    with pytest.warns(StoreWarning, match="rebuilt from the blobs"):
        Store.create(folder, study()).close()
    assert_holds(folder, wanted)


@pytest.mark.parametrize("loses_ledger", [False, True])
def test_what_was_stored_again_and_is_forgotten_never_comes_back_as_it_was(folder, loses_ledger):
    with Store.create(folder, study()) as store:
        store.put(a_trial(KEYS[0]), a_result(KEYS[0], loss=9.0))
        store.forget([KEYS[0]])
    if loses_ledger:
        for path in folder.glob("ledger.sqlite*"):
            path.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Store.create(folder, study()).close()
    assert_holds(folder, {key: RESULTS[key] for key in KEYS[1:]})


def damage(path, key):
    """Change one number of a trial in its file."""
    raw, last = path.read_bytes(), RESULTS[key].curves["train_loss"].tobytes()
    assert raw.count(last) == 1
    path.write_bytes(raw.replace(last, bytes(len(last))))


def test_one_is_forgotten_beside_a_damaged_one(folder):
    """Which is lost with it: what cannot be read cannot be written anew."""
    damage(folder / "blobs" / SHARED, KEYS[39])
    with pytest.warns(StoreWarning, match="checksum"):
        store = Store.create(folder, study())
    with store, pytest.warns(StoreWarning, match="checksum"):
        store.forget([KEYS[3]])
    wanted = {key: RESULTS[key] for key in KEYS[:39] if key != KEYS[3]}
    assert_holds(folder, wanted)
    Store.create(folder, study()).close()
    assert_holds(folder, wanted)


def test_a_crash_before_the_others_were_written_anew(folder, monkeypatch):
    """Whoever opens the folder next does it, whatever the clocks say."""
    new = a_result(KEYS[0], loss=9.0)
    with Store.create(folder, study()) as store:
        monkeypatch.setattr(store, "_tidy", lambda: None)
        store.put(a_trial(KEYS[0]), new)
    assert SHARED in files(folder)
    os.utime(blob(folder, KEYS[0]), (1, 1))
    Store.create(folder, study()).close()
    wanted = {**RESULTS, KEYS[0]: new}
    assert_holds(folder, wanted)
    assert all(KEYS[0] not in text for text in BlobFile(next_shared(folder)).texts)
    with Store.create(folder, study()) as store:
        store.forget([KEYS[0]])
    Store.create(folder, study()).close()
    assert_holds(folder, {key: RESULTS[key] for key in KEYS[1:]})


def next_shared(folder):
    (name,) = (name for name in files(folder) if ".and-" in name)
    return folder / "blobs" / name


@pytest.mark.parametrize("refuses", ["disk", "ledger"])
def test_a_full_disk_that_leaves_no_room_for_the_others(folder, monkeypatch, refuses):
    """What was to be stored is stored; the others are written anew with the next that is."""
    new = {key: a_result(key, loss=9.0) for key in KEYS[:2]}

    def replace(source, target, plain=os.replace):
        if refuses == "disk" and "and-38" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        return plain(source, target)

    def enter(ledger, *rows, without=(), plain=Ledger.enter):
        if refuses == "ledger" and len(rows) == 39:
            raise sqlite3.OperationalError("database or disk is full")
        return plain(ledger, *rows, without=without)

    with Store.create(folder, study()) as store:
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace)
            patch.setattr(Ledger, "enter", enter)
            store.put(a_trial(KEYS[0]), new[KEYS[0]])
        assert files(folder) == [SHARED, f"{KEYS[0]}.safetensors"]
        store.put(a_trial(KEYS[1]), new[KEYS[1]])
        assert SHARED not in files(folder)
    assert_holds(folder, {**RESULTS, **new})


def test_parameters_that_are_dropped_leave_the_disk(tmp_path):
    kept = {"w": np.ones(2000)}
    wanted = {key: a_result(key, params=kept) for key in KEYS}
    with Store.create(tmp_path, study()) as store:
        put_all(store, wanted)
        before = sum(path.stat().st_size for path in (tmp_path / "blobs").iterdir())
        wanted |= {key: a_result(key) for key in KEYS[1:]}
        put_all(store, {key: wanted[key] for key in KEYS[1:]})
    assert sum(p.stat().st_size for p in (tmp_path / "blobs").iterdir()) < before / 10
    assert_holds(tmp_path, wanted)


def test_names_that_look_alike_stay_apart(tmp_path):
    odd = f"{KEYS[0]}.and-{LEAST - 1}"
    wanted = {key: a_result(key) for key in KEYS[:LEAST]} | {odd: a_result(odd, n=3)}
    wanted |= {f"{KEYS[20]}.2": a_result(f"{KEYS[20]}.2", n=4), KEYS[20]: a_result(KEYS[20], n=5)}
    with Store.create(tmp_path, study()) as store:
        put_all(store, wanted)
        put_all(store, wanted)
    assert_holds(tmp_path, wanted)


def test_each_file_is_read_once(folder, monkeypatch):
    with Store.create(folder, study()) as store:
        put_all(store, {f"x{k:03}": a_result(f"x{k:03}", n=3) for k in range(LEAST)})
    opened, init = [], BlobFile.__init__
    monkeypatch.setattr(
        BlobFile, "__init__", lambda self, path: (opened.append(path), init(self, path))[1]
    )
    mixed = [f"{letter}{k:03}" for k in range(LEAST) for letter in "kx"]
    with Store.read(folder) as store:
        assert len(list(store.results())) == len(KEYS) + LEAST
        assert len(opened) == 2
        assert len(dict(store.curves(mixed))) == len(mixed)
        assert len(opened) == 4


def test_what_is_read_is_the_readers_own(folder):
    with Store.create(folder, study()) as store:
        store.put(a_trial("own"), a_result("own"))
        for key, wanted in {"own": a_result("own"), **RESULTS}.items():
            store.get(key).curves["train_loss"][:] = 0
            assert same_result(store.get(key), wanted)


@pytest.mark.parametrize("forgotten", [KEYS, KEYS[1:]])
def test_all_or_all_but_one_are_forgotten(folder, forgotten):
    with Store.create(folder, study()) as store:
        store.forget(forgotten)
    assert_holds(folder, {k: r for k, r in RESULTS.items() if k not in forgotten})


def test_a_lost_ledger_is_rebuilt_with_the_newest_of_each(folder):
    new = {key: a_result(key, loss=9.0) for key in KEYS[:20]}
    with Store.create(folder, study()) as store:
        put_all(store, new)
    for path in folder.glob("ledger.sqlite*"):
        path.unlink()
    with pytest.warns(StoreWarning, match="rebuilt from the blobs"):
        Store.create(folder, study()).close()
    assert_holds(folder, {**RESULTS, **new})


# ---- damage ----


def test_a_file_damaged_anywhere_gives_no_wrong_number(folder):
    """What is whole of it is read; what is not is told, and trained again."""
    path, rng, n_parted = folder / "blobs" / SHARED, random.Random(0), 0
    whole = path.read_bytes()
    for _ in range(60):
        at = rng.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with Store.read(folder) as store:
                found = {trial.key: result for trial, result in store.results()}
        assert all(same_result(result, RESULTS[key]) for key, result in found.items())
        assert told or len(found) == len(KEYS)
        n_parted += 0 < len(found) < len(KEYS)
    assert n_parted > 10


def test_a_writer_loses_only_what_is_damaged_and_stores_it_again(folder):
    damage(folder / "blobs" / SHARED, KEYS[-1])
    with pytest.warns(StoreWarning, match=r"its checksum does not fit.*will train it again"):
        store = Store.create(folder, study())
    with store:
        assert store.statuses().keys() == set(KEYS[:-1])
        store.put(a_trial(KEYS[-1]), RESULTS[KEYS[-1]])
    assert_holds(folder, RESULTS)
    Store.create(folder, study()).close()
    assert_holds(folder, RESULTS)


def test_damage_is_told_also_where_the_ledger_is_lost(folder):
    damage(folder / "blobs" / SHARED, KEYS[5])
    for path in folder.glob("ledger.sqlite*"):
        path.unlink()
    with pytest.warns(StoreWarning) as told:
        Store.create(folder, study()).close()
    assert any("checksum does not fit" in str(each.message) for each in told)
    with Store.read(folder) as store:
        assert {trial.key for trial, _ in store.results()} == {*KEYS} - {KEYS[5]}


def test_a_file_that_is_gone_is_one_warning(folder):
    (folder / "blobs" / SHARED).unlink()
    with pytest.warns(StoreWarning) as told:
        Store.create(folder, study()).close()
    (message,) = (str(each.message) for each in told)
    assert "is missing (40 trials)" in message


@pytest.mark.parametrize("texts", ["", "3", "[]", "[1, 2]", '["a"]', "[" * 100_000, "null"])
def test_a_file_that_does_not_say_what_it_holds(folder, texts):
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    path = folder / "blobs" / SHARED
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, {**metadata, "texts": texts})
    with pytest.raises(StoreError, match=r"is altered|is torn"):
        BlobFile(path).read(0)
    with Store.read(folder) as store, pytest.raises(StoreError):
        store.get(KEYS[0])


# ---- versions, and who looks while it grows ----


def test_a_folder_of_the_format_before_goes_on(tmp_path):
    with Store.create(tmp_path, study()) as store:
        for key in KEYS[:3]:
            store.put(a_trial(key), RESULTS[key])
    document = json.loads((tmp_path / "study.json").read_text())
    assert document["format"] == 2
    (tmp_path / "study.json").write_text(json.dumps({**document, "format": 1}))
    with Store.create(tmp_path, study()) as store:
        store._ledger._connection.execute("DROP INDEX trials_of_blob")
    assert_holds(tmp_path, {key: RESULTS[key] for key in KEYS[:3]})
    with Store.create(tmp_path, study()) as store:
        put_all(store, {key: RESULTS[key] for key in KEYS[3:]})
    assert json.loads((tmp_path / "study.json").read_text())["format"] == 2
    assert_holds(tmp_path, RESULTS)


def test_who_looks_meanwhile_sees_each_change(tmp_path):
    folder = Folder(tmp_path)
    with Store.create(tmp_path, study()) as store:
        put_all(store, RESULTS)
        assert folder.look() == set(KEYS)
        new = {key: a_result(key, loss=9.0) for key in KEYS[:20]}
        put_all(store, new)
        assert folder.look() == set(KEYS[:20])
        put_all(store, {KEYS[0]: new[KEYS[0]], **{key: RESULTS[key] for key in KEYS[20:39]}})
        store.put(a_trial(KEYS[0]), new[KEYS[0]])  # the name of a file is that of another by now
        folder.look(thorough=True)
        newer = a_result(KEYS[0], loss=8.0, status=Status.STOPPED)
        store.put(a_trial(KEYS[0]), newer)
        assert folder.look() == {KEYS[0]}
        store.forget([KEYS[0], KEYS[30]])
        folder.look(thorough=True)
        put_all(store, {key: a_result(key, loss=7.0) for key in KEYS[1:]})
        folder.look(thorough=True)
    losses = {key: result.metrics["test_loss"] for key, (_, result) in folder.trials.items()}
    assert losses == dict.fromkeys(KEYS[1:], 7.0)
    folder.curves_of(KEYS)
    assert all(folder.curves[key]["train_loss"][-1] == 7 for key in KEYS[1:])
    folder.close()


def test_nothing_is_written_that_was_not_asked_for(folder):
    before = contents(folder)
    assert_holds(folder, RESULTS)
    assert contents(folder) == before
    assert not blob(folder, KEYS[0]).exists()


def test_any_number_of_trials_is_looked_up_at_once(tmp_path):
    """More than a query takes: each once, and those that are there."""
    path = tmp_path / "ledger.sqlite"
    build_ledger(path)
    with closing(Ledger.write(path)) as ledger:
        rows = [Row(f"k{n:04}", "{}", f"k{n:04}.safetensors", n, "c") for n in range(1_002)]
        ledger.enter(*rows)
        for count in (0, 1, 499, 500, 501, 1_000, 1_001):
            keys = [row.key for row in rows[:count]]
            assert sorted(ledger.rows_by_key([*keys, "absent", *keys])) == rows[:count]
