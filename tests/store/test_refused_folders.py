"""Folders that cannot be used are left alone, and told."""

import json
import os
import shutil

import numpy as np
import pytest
from stored import (
    ASSETS,
    EVERY_KIND,
    EVERY_KIND_STUDY,
    MANY,
    a_result,
    a_trial,
    contents,
    mounted,
    put,
    remount,
    same_arrays,
    same_result,
    study,
)

from gridscape.errors import StoreError
from gridscape.store.store import Store


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
    rewrite_study(tmp_path, format=3, gridscape="9.1", study={"unheard": "of"})
    before = contents(tmp_path)
    with pytest.raises(StoreError) as caught:
        open_(tmp_path)
    assert "written by a newer Gridscape (expected format 2" in str(caught.value)
    assert "found format 3 (Gridscape 9.1)); upgrade Gridscape" in str(caught.value)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("written", "wanted"), [(1, EVERY_KIND), (2, [*EVERY_KIND, *MANY])])
def test_folder_of_each_format_opens(tmp_path, written, wanted):
    directory = tmp_path / "results"
    shutil.copytree(ASSETS / f"store-format-{written}", directory)
    assert json.loads((directory / "study.json").read_text())["format"] == written
    with Store.create(directory, EVERY_KIND_STUDY) as store:
        stored = {trial.key: (trial, result) for trial, result in store.results()}
        assert set(store.statuses()) == {trial.key for trial, _ in wanted}
        for trial, result in wanted:
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
