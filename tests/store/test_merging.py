"""Results folders of one study become one, exactly once, and run nobody's code."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import stored
from synthetic import landscape

import gridscape as gs
from gridscape.errors import StoreError, UsageError
from gridscape.execution.replay import replay
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape
from gridscape.store import merging
from gridscape.store.merging import merge_folders
from gridscape.store.store import Store

AXES = {"hidden_size": [16, 32], "learning_rate": [0.001, 0.01]}


def student(folder: Path, seed: int, axes=AXES, replicates: int = 1, **more: object) -> Path:
    land = landscape(axes, lambda cell: 0.8, replicates=replicates, seed=seed)
    return stored(folder, land, seed=seed, **more)


def test_a_seed_each_becomes_a_replicate_each(tmp_path: Path) -> None:
    folders = [student(tmp_path / str(seed), seed) for seed in (3, 1, 2)]
    found = merge_folders(folders, tmp_path / "all")
    assert (found.n_folders, found.seeds, found.n_trials, found.n_twice) == (3, (1, 2, 3), 12, 0)
    land = Landscape.read(tmp_path / "all")
    assert land.n_replicates == 3
    single = {seed: Landscape.read(tmp_path / str(seed)) for seed in (1, 2, 3)}
    for replicate, seed in enumerate((1, 2, 3)):  # in the order of the seeds, not of the folders
        np.testing.assert_array_equal(
            land.array("test_accuracy")[..., replicate], single[seed].array("test_accuracy")[..., 0]
        )
    assert land.study["seeds"] == [[1, 0], [2, 0], [3, 0]]
    assert land.study["told"] == ["joined of 3 folders, seeds 1, 2, 3"]
    assert (land.array("status") == "finished").all()
    with pytest.raises(StoreError, match="joins several seeds"):
        replay(tmp_path / "all", {"hidden_size": 16, "learning_rate": 0.01})


def test_folders_of_one_seed_join_and_can_be_trained_further(tmp_path: Path) -> None:
    small = student(tmp_path / "a", 0, {**AXES, "hidden_size": [16]}, replicates=2)
    large = student(tmp_path / "b", 0, {**AXES, "hidden_size": [32]}, replicates=3)
    land = gs.merge(small, large, directory=tmp_path / "all")
    assert land.axis("hidden_size").values == (16, 32)
    finished = (land.array("status") == "finished").sum(-1)
    assert finished.tolist() == [[2, 2], [3, 3]]
    assert "seeds" not in land.study
    assert land.study["seed"] == 0


def test_a_trial_that_stands_twice_is_taken_once(tmp_path: Path) -> None:
    first, again = student(tmp_path / "a", 1), student(tmp_path / "b", 1)
    found = merge_folders([first, again], tmp_path / "all")
    assert (found.n_trials, found.n_twice, found.differing) == (4, 4, ())
    land = landscape(AXES, lambda cell: 0.7, replicates=1)
    other = stored(tmp_path / "c", land, seed=1)
    found = merge_folders([first, other], tmp_path / "both")
    assert (found.n_trials, found.n_twice, len(found.differing)) == (4, 0, 4)
    assert "hidden_size=16, learning_rate=0.001, replicate 0: " in found.differing[0]
    kept = Landscape.read(tmp_path / "both").array("test_accuracy")
    np.testing.assert_array_equal(kept, Landscape.read(first).array("test_accuracy"))
    with pytest.raises(UsageError, match="nothing to merge"):
        merge_folders([first, first], tmp_path / "same")


def test_what_a_folder_lacks_stays_missing(tmp_path: Path) -> None:
    def lost(cell, replicate):  # type: ignore[no-untyped-def]
        return Status.MISSING if cell["hidden_size"] == 32 else Status.FINISHED

    whole = student(tmp_path / "a", 1, replicates=2)
    part = stored(tmp_path / "b", landscape(AXES, lambda c: 0.8, replicates=1, status=lost), seed=2)
    land = gs.merge(whole, part, directory=tmp_path / "all")
    assert land.counts()["missing"] == 2
    assert land.n_replicates == 3


def test_a_trial_that_failed_somewhere_is_taken_from_where_it_was_trained(tmp_path: Path) -> None:
    def lost(cell, replicate):  # type: ignore[no-untyped-def]
        return Status.FAILED if replicate == 0 else Status.FINISHED

    failed = stored(tmp_path / "a", landscape(AXES, lambda c: 0.8, replicates=2, status=lost))
    whole = stored(tmp_path / "b", landscape(AXES, lambda c: 0.8, replicates=2))
    for number, folders in enumerate([(failed, whole), (whole, failed)]):
        found = merge_folders(folders, tmp_path / f"all{number}")
        assert (found.n_trials, found.n_twice, found.differing) == (8, 4, ())
        counts = Landscape.read(tmp_path / f"all{number}").counts()
        assert (counts["finished"], counts["failed"]) == (8, 0)


def test_parameters_that_one_folder_kept_are_kept(tmp_path: Path) -> None:
    without = student(tmp_path / "a", 1)
    kept = student(tmp_path / "b", 1)
    with Store.read(kept) as store:
        pairs = list(store.results())
        study = store.study
    with Store.create(kept, study) as store:
        store.put_all([(t, replace(r, params={"w": np.ones(2)})) for t, r in pairs])
    merge_folders([without, kept], tmp_path / "all")
    with Store.read(tmp_path / "all") as store:
        assert all(result.params is not None for _, result in store.results())


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "..", "e\nvil", "x" * 300])
def test_no_name_of_a_study_leads_out_of_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [student(tmp_path / str(seed), seed, name=name) for seed in (1, 2)]
    folder = gs.merge(*folders).folder
    assert folder is not None
    assert folder.resolve().parent == tmp_path / "runs"


@pytest.mark.parametrize("is_there", [False, True])
def test_a_merge_that_ends_early_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    folders, trials_of = [student(tmp_path / str(seed), seed) for seed in (1, 2)], merging._trials

    def torn(path: Path) -> Iterator[Any]:
        yield from trials_of(path)
        if path.name == "2":
            raise KeyboardInterrupt

    new = tmp_path / "all"
    if is_there:
        new.mkdir()
    monkeypatch.setattr(merging, "_trials", torn)
    monkeypatch.setattr(merging, "AT_ONCE", 1)
    with pytest.raises(KeyboardInterrupt):
        merge_folders(folders, new)
    assert new.exists() == is_there
    assert not is_there or not list(new.iterdir())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError):
        merge_folders(folders, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_other_conditions_are_refused_by_the_first_difference(tmp_path: Path) -> None:
    first = student(tmp_path / "a", 1)
    longer = student(tmp_path / "b", 2, updates=800)
    with pytest.raises(StoreError, match=r"other conditions than .*: updates differs") as refused:
        merge_folders([first, longer], tmp_path / "all")
    assert "expected 400, found 800" in str(refused.value)
    assert not (tmp_path / "all").exists()
    options = student(tmp_path / "c", 2, hyperparameters={"momentum": 0.9})
    with pytest.raises(StoreError, match="hyperparameters differs"):
        merge_folders([first, options], tmp_path / "all")
    with pytest.raises(StoreError, match="holds results already"):
        merge_folders([first, student(tmp_path / "d", 2)], first)


def test_a_joined_folder_and_a_further_one_are_told_how(tmp_path: Path) -> None:
    one, two, three = (student(tmp_path / str(seed), seed) for seed in (1, 2, 3))
    both = merge_folders([one, two], tmp_path / "both").directory
    for folders in ([both, three], [three, both]):
        with pytest.raises(StoreError, match=r"both: joins several seeds already; merge the folde"):
            merge_folders(folders, tmp_path / "all")


def test_nobodys_code_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    named = {"model": "evil:model", "claims": str(tmp_path / "evil.toml")}
    folders = [student(tmp_path / str(seed), seed, **named) for seed in (1, 2)]
    gs.merge(*folders, directory=tmp_path / "all")
    gs.report.write(tmp_path / "all")
    assert not (tmp_path / "ran").exists()
