"""docs/gallery.md is what the folders beside it tell, and whoever has them can go on with them."""

import importlib.util
import shutil
from pathlib import Path

import pytest

import gridscape as gs
from gridscape.analysis.cells import summarize
from gridscape.execution.executors import Finished
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.store.store import Store

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def gallery(tmp_path):
    """Its script, over a copy of what is kept: reading a ledger writes beside it."""
    spec = importlib.util.spec_from_file_location("make_gallery", DOCS / "make_gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path in module.FOLDERS.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    for name, wanted in module.STUDIES.items():
        if wanted.is_kept:
            here = module.FOLDERS / name
            shutil.copytree(here / "blobs", tmp_path / name / "blobs")
            for file in ("study.json", "ledger.sqlite", "decisions.json"):
                if (here / file).exists():
                    shutil.copy(here / file, tmp_path / name)
    module.FOLDERS, module.TRAINED = tmp_path, tmp_path / module.TRAINED.name
    return module


def test_the_page_is_what_the_folders_tell(gallery):
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == gallery.page()


def test_every_study_of_it_was_trained_whole(gallery):
    assert gallery.there() == list(gallery.STUDIES)
    kept = {name: wanted for name, wanted in gallery.STUDIES.items() if wanted.is_kept}
    assert "recall" in kept
    for name, wanted in kept.items():
        found = gallery.findings(name)
        assert gallery.trained()[name].items() >= gallery.row_of(found).items(), name
        land, study = found.land, gs.Study.load(name)
        assert land.counts()["missing"] == 0, name
        assert land.n_replicates >= study.replicates
        for width, replicates in wanted.wide.items():
            counts = {c.n_ended for c in summarize(land) if c.cell["hidden_size"] == width}
            assert counts == {replicates}, (name, width)
        *_, (axes, _) = (wanted.axes, study.replicates), *wanted.steps()
        for axis in land.axes:
            assert list(axis.values) == axes.get(axis.name, study.axes[axis.name])


def test_whoever_has_a_folder_of_it_goes_on_where_it_ended(gallery):
    """Nothing of it is trained again."""
    events = []
    study = gs.Study.load("quickstart").override(keep_parameters="none")
    gs.run(study, directory=gallery.FOLDERS / "quickstart", listener=events.append)
    assert not [event for event in events if isinstance(event, Finished)]


def test_training_again_counts_the_time_of_its_own_folder(gallery, monkeypatch):
    """Of a folder that is gone, or was trained elsewhere, the time is another one's."""

    def train(study, directory, **_):
        """Trains one network more."""
        record = {"name": "momentum", "axes": {"hidden_size": [1]}, "replicates": 9}
        with Store.create(directory, record) as store:
            key, done = f"k{store.n_trials}", Status.FINISHED
            trial = Trial(Cell.of(hidden_size=1), store.n_trials, key)
            store.put(trial, TrialResult(key, done, 1, {}, {}, 1.0, 1, 1.0, 1))

    monkeypatch.setattr(gallery.gs, "run", train)
    before = gallery.trained()["momentum"]["seconds"]
    assert before > 1
    gallery.train("momentum")
    first = gallery.trained()["momentum"]["seconds"]
    assert first < 1
    gallery.train("momentum")
    assert first <= gallery.trained()["momentum"]["seconds"] < first + 1
    monkeypatch.setattr(gallery.gs, "run", lambda study, directory: None)
    told = gallery.trained()
    gallery.train("momentum")  # all of it was there
    assert gallery.trained() == told
