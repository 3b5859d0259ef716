"""Many small trials that end together share a file, and part again."""

import json
import os
import random
import warnings

import numpy as np
import pytest
from stored import a_result, a_trial, blob, contents, same_result, study

from gridscape.errors import StoreError
from gridscape.grid.trials import Status
from gridscape.report.live.folder import Folder
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


def test_one_that_is_stored_again_has_a_file_of_its_own(folder):
    new = a_result(KEYS[0], loss=9.0)
    with Store.create(folder, study()) as store:
        store.put(a_trial(KEYS[0]), new)
    wanted = {**RESULTS, KEYS[0]: new}
    assert files(folder) == [SHARED, f"{KEYS[0]}.safetensors"]
    assert_holds(folder, wanted)
    Store.create(folder, study()).close()
    assert_holds(folder, wanted)


def test_the_file_goes_with_the_last_of_its_trials(folder):
    again = {key: a_result(key, loss=9.0) for key in KEYS}
    with Store.create(folder, study()) as store:
        put_all(store, dict(list(again.items())[:30]))
        assert SHARED in files(folder)
        put_all(store, dict(list(again.items())[30:]))
        assert SHARED not in files(folder)
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
    path = folder / "blobs" / SHARED
    raw, last = path.read_bytes(), RESULTS[KEYS[-1]].curves["train_loss"].tobytes()
    assert raw.count(last) == 1
    path.write_bytes(raw.replace(last, bytes(len(last))))
    with pytest.warns(StoreWarning, match=r"its checksum does not fit.*will train it again"):
        store = Store.create(folder, study())
    with store:
        assert store.statuses().keys() == set(KEYS[:-1])
        store.put(a_trial(KEYS[-1]), RESULTS[KEYS[-1]])
    assert_holds(folder, RESULTS)
    Store.create(folder, study()).close()
    assert_holds(folder, RESULTS)


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
