"""docs/gallery.md is what the folders beside it tell, and whoever has them can go on with them."""

import importlib.util
import shutil
from pathlib import Path

import pytest

import gridscape as gs

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Its script, over a copy of the folders: reading a ledger writes beside it."""
    spec = importlib.util.spec_from_file_location("make_gallery", DOCS / "make_gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    copy = tmp_path_factory.mktemp("gallery") / "folders"
    shutil.copytree(module.FOLDERS, copy)
    module.FOLDERS, module.TRAINED = copy, copy / module.TRAINED.name
    return module


def test_the_page_is_what_the_folders_tell(gallery):
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == gallery.page()


def test_every_study_of_it_was_trained_whole(gallery):
    assert gallery.there() == list(gallery.STUDIES)
    kept = {name: wanted for name, wanted in gallery.STUDIES.items() if wanted.is_kept}
    assert "recall" in kept
    for name, wanted in kept.items():
        land = gs.Landscape.read(gallery.FOLDERS / name)
        study = gs.Study.load(name)
        assert land.counts()["missing"] == 0, name
        assert land.n_replicates >= study.replicates
        for axis in land.axes:
            assert list(axis.values) == wanted.axes.get(axis.name, study.axes[axis.name])


def test_a_folder_of_it_is_whole_and_may_be_gone_on_with(gallery):
    """Nothing is left to train, so that nothing is: as its author's command would find it."""
    folder = gallery.FOLDERS / "recall"
    before = gs.Landscape.read(folder).counts()
    study = gs.Study.load("recall").override(keep_parameters="none")
    assert gs.run(study, directory=folder, quiet=True).counts() == before
