"""Folders that earlier versions wrote open, report, and go on without training anything again.

One folder for each change of what is written: ``hall`` is from before metrics said what they mean,
``semantics-1`` from before validation sets were evaluated.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from stored import ASSETS

import gridscape as gs
from gridscape.claims.judging import verdicts
from gridscape.cli import commands
from gridscape.errors import GridscapeError, StoreError
from gridscape.execution.replay import trained
from gridscape.store.store import Store

FOLDERS = sorted((ASSETS / "written-by").iterdir())


def folder_semantics(folder: Path) -> int:
    """By which rules it was evaluated."""
    return int(json.loads((folder / "study.json").read_text())["study"]["semantics"])


OLD, NEW = ([f for f in FOLDERS if (folder_semantics(f) < 2) == is_old] for is_old in (True, False))
STUDY = {"set": {"hidden_size": [4], "learning_rate": [0.01, 0.1]}, "replicates": 2, "updates": 20}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(request.param, tmp_path / "results"))


def test_there_is_one() -> None:
    assert [folder.name for folder in FOLDERS] == ["hall", "semantics-1", "semantics-2"]


def test_it_opens_and_its_numbers_mean_what_they_meant(folder: Path) -> None:
    land = gs.Landscape.read(folder)
    assert land.counts() == {**dict.fromkeys(land.counts(), 0), "finished": 4}
    assert land.main_metric == "test_accuracy"
    assert (land.meaning("test_accuracy").unit, land.meaning("test_loss").better) == (
        "fraction",
        "lower",
    )
    best = land.best("learning_rate")
    assert float(best.learning_rate.sel(hidden_size=4)) in (0.01, 0.1)


def test_it_reports(folder: Path) -> None:
    assert "quickstart" in gs.report.write(folder).read_text(encoding="utf-8")


def test_it_is_judged_and_exported(folder: Path, tmp_path: Path) -> None:
    assert commands.exit_status(["show", str(folder)]) == 0
    gs.Landscape.read(folder).export(tmp_path / "land.csv")
    with pytest.raises(GridscapeError, match="no published claims"):
        verdicts(folder)


def test_it_says_in_one_line_what_it_lacks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    is_old = folder_semantics(folder) < 2
    for command in (["show", str(folder)], ["report", str(folder)]):
        assert commands.exit_status(command) == 0
        told = capsys.readouterr().err.splitlines()
        lines = [line for line in told if "no validation metrics, no class answered" in line]
        assert len(lines) == is_old
        assert all(len(line) <= 300 for line in lines)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert ("no class answered" in page) == is_old


@pytest.mark.parametrize("folder", OLD, indirect=True, ids=lambda folder: folder.name)
def test_an_earlier_one_is_not_added_to_and_stays_as_it_is(folder: Path) -> None:
    before = contents(folder)
    for ask in (gs.run, gs.plan):
        with pytest.raises(StoreError, match=r"earlier version .*--dir") as caught:
            ask("quickstart", directory=folder, **STUDY)
        assert len(str(caught.value)) - len(str(folder)) <= 250
    assert {k: v for k, v in contents(folder).items() if k in before} == before


def test_its_networks_are_looked_into(folder: Path) -> None:
    cell = {"hidden_size": 4, "learning_rate": 0.1}
    found = trained(folder, cell, replicate=1)
    assert found.trained_again == (gs.Landscape.read(folder).study["keep_parameters"] == "none")
    assert found.recipe.hyper["learning_rate"] == 0.1


@pytest.mark.parametrize("folder", OLD, indirect=True, ids=lambda folder: folder.name)
def test_an_earlier_one_is_not_compared_with_what_is_measured_now(folder: Path) -> None:
    with pytest.raises(StoreError, match="cannot be compared: another version"):
        gs.replay(folder, {"hidden_size": 4, "learning_rate": 0.1})


def test_what_is_trained_is_what_was_trained(tmp_path: Path) -> None:
    study = gs.Study.load("quickstart").override(
        {"hidden_size": [4], "learning_rate": [0.01, 0.1]},
        updates=20,
        replicates=2,
        keep_parameters="all",
    )
    gs.run(study, directory=tmp_path)
    with Store.read(tmp_path) as now, Store.read(ASSETS / "written-by" / "semantics-1") as then:
        again = {(trial.cell, trial.replicate): result for trial, result in now.results()}
        kept = [(again[t.cell, t.replicate], r) for t, r in then.results() if r.params]
    assert len(kept) == 2
    for result, before in kept:
        assert result.params.keys() == before.params.keys()
        for name, array in before.params.items():
            # Equal here; another machine's kernels may round otherwise in 20 updates.
            np.testing.assert_allclose(result.params[name], array, rtol=0, atol=1e-4)


@pytest.mark.parametrize("folder", NEW, indirect=True, ids=lambda folder: folder.name)
def test_it_goes_on_and_only_what_is_new_is_trained(folder: Path) -> None:
    before = gs.Landscape.read(folder).data
    begun = []
    gs.run("quickstart", directory=folder, listener=begun.append, **STUDY)
    assert not [e for e in begun if type(e).__name__ == "Finished"]
    more = STUDY | {"set": {"hidden_size": [4], "learning_rate": [0.01, 0.1, 1.0]}}
    after = gs.run("quickstart", directory=folder, listener=begun.append, **more).data
    assert len([e for e in begun if type(e).__name__ == "Finished"]) == 2
    kept = after.sel(learning_rate=[0.01, 0.1])
    assert (kept.key.values == before.key.values).all()
    assert (kept.test_loss.values == before.test_loss.values).all()
