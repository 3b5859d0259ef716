"""Folders that earlier versions wrote open, report, and go on without training anything again.

One folder for each change of what is written; ``hall`` is from before metrics said what they mean.
"""

import shutil
from pathlib import Path

import pytest
from stored import ASSETS

import gridscape as gs

FOLDERS = sorted((ASSETS / "written-by").iterdir())
STUDY = {"set": {"hidden_size": [4], "learning_rate": [0.01, 0.1]}, "replicates": 2, "updates": 20}


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(request.param, tmp_path / "results"))


def test_there_is_one() -> None:
    assert [folder.name for folder in FOLDERS] == ["hall"]


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
