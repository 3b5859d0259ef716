"""A results folder that somebody changed never leads a command to files outside of it."""

import os
import shutil
import sqlite3
import stat
from contextlib import closing

import pytest
from stored import a_result, a_trial, study

from gridscape.cli import commands
from gridscape.errors import StoreError
from gridscape.landscape import Landscape
from gridscape.report import html, paper
from gridscape.store import blobs
from gridscape.store.blobs import temporary_of, write_whole
from gridscape.store.store import Store, StoreWarning

PRECIOUS = b"precious\n"


@pytest.fixture
def victim(tmp_path):
    """A file outside, which must stay as it is."""
    path = tmp_path / "victim.safetensors"
    path.write_bytes(PRECIOUS)
    yield path
    assert path.read_bytes() == PRECIOUS


@pytest.fixture
def outside(tmp_path):
    """A folder outside, in which nothing must appear or go."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "a.safetensors.tmp").write_bytes(PRECIOUS)
    (path / "b.safetensors").write_bytes(PRECIOUS)
    yield path
    assert sorted(p.name for p in path.iterdir()) == ["a.safetensors.tmp", "b.safetensors"]


@pytest.fixture
def folder(tmp_path):
    """Results of one trial."""
    with Store.create(tmp_path / "results", study()) as store:
        store.put(a_trial("a1"), a_result("a1"))
    return tmp_path / "results"


def name_blob(folder, name):
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE trials SET blob = ?", (name,))


ODD_NAMES = ["../../victim.safetensors", "/etc/passwd", "", ".", "..", "a\0b", "a1", "x/../a1", 5]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_row_names_no_file_outside(folder, victim, name):
    name_blob(folder, str(victim) if name == "/etc/passwd" else name)
    with Store.read(folder) as store, pytest.warns(StoreWarning, match="names no file"):
        assert store.statuses() == {}
    (folder / "blobs" / "a1.safetensors").unlink()
    with pytest.warns(StoreWarning, match="is missing"):
        store = Store.create(folder, study())
    with store:
        store.put(a_trial("a1"), a_result("a1"))
        assert list(store.statuses()) == ["a1"]


def test_a_row_that_names_no_file_is_mended_by_its_blob(folder):
    name_blob(folder, "../x")
    with Store.create(folder, study()) as store:
        assert list(store.statuses()) == ["a1"]


FILES = ["study.json", "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", ".lock"]


def put_in_place(path, make):
    path.unlink(missing_ok=True)
    make(path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe"])
def test_what_is_read_and_written_is_a_file_of_the_folder(folder, victim, tmp_path, name, kind):
    make = {
        "link": lambda path: path.symlink_to(victim),
        "dangling link": lambda path: path.symlink_to(tmp_path / "new"),
        "pipe": os.mkfifo,
    }[kind]
    put_in_place(folder / name, make)
    for opened in (Store.read, lambda path: Store.create(path, study())):
        with pytest.raises(StoreError, match="is a link or no regular file") as caught:
            opened(folder)
        assert str(folder / name) in str(caught.value)
    with pytest.raises(StoreError):
        Store.check_room(folder, study())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["blobs", "checkpoints"])
def test_folders_within_are_not_links_out(folder, outside, name):
    shutil.rmtree(folder / name)
    (folder / name).symlink_to(outside)
    for opened in (Store.read, lambda path: Store.create(path, study())):
        with pytest.raises(StoreError, match="leads out of this folder"):
            opened(folder)


def test_a_new_folder_with_links_is_refused_too(tmp_path, outside, victim):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".lock").symlink_to(victim)
    with pytest.raises(StoreError, match="is a link"):
        Store.create(tmp_path / "new", study())
    (tmp_path / "new" / ".lock").unlink()
    (tmp_path / "new" / "checkpoints").symlink_to(outside)
    with pytest.raises(StoreError, match="leads out"):
        Store.create(tmp_path / "new", study())


def test_a_blob_is_no_link(folder, victim):
    path = folder / "blobs" / "a1.safetensors"
    shutil.copy(path, folder.parent / "b1")
    put_in_place(path, lambda p: p.symlink_to(folder.parent / "b1"))
    with Store.read(folder) as store, pytest.warns(StoreWarning, match="is a link"):
        assert store.statuses() == {}
    with Store.read(folder) as store, pytest.warns(StoreWarning, match="is a link"):
        assert list(store.results()) == []


def test_a_lock_that_is_a_file_elsewhere_too_is_held_but_not_written(folder, victim):
    put_in_place(folder / ".lock", lambda path: path.hardlink_to(victim))
    with Store.create(folder, study()), pytest.raises(StoreError, match="another process"):
        Store.create(folder, study())


def test_a_link_to_the_folder_itself_is_followed(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    with Store.create(tmp_path / "link", study()) as store:
        assert list(store.statuses()) == ["a1"]


def test_a_journal_is_not_played(folder, victim):
    """SQLite deletes the file that a journal names as the one of several databases."""
    (folder / "ledger.sqlite-journal").write_bytes(PRECIOUS)
    for opened in (Store.read, lambda path: Store.create(path, study())):
        with pytest.raises(StoreError, match=r"-journal: is not of Gridscape"):
            opened(folder)


# ---- temporaries ----


def test_links_under_the_old_names_of_temporaries_are_passed_by(folder, victim):
    for name in ("study.json.tmp", "report.html.tmp", "blobs/a2.safetensors.tmp"):
        (folder / name).symlink_to(victim)
    with Store.create(folder, study()) as store:
        store.put(a_trial("a2"), a_result("a2"))
    html.write(folder)
    assert (folder / "report.html").is_file()


def test_a_temporary_is_new(tmp_path, victim, monkeypatch):
    monkeypatch.setattr(blobs.secrets, "token_hex", lambda n: "0" * (2 * n))
    (tmp_path / "x.00000000.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "x", b"data")
    assert (tmp_path / "x.00000000.tmp").is_symlink()


def test_files_have_the_rights_that_the_user_gives(tmp_path):
    mask = os.umask(0o027)
    try:
        write_whole(tmp_path / "x", b"data")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def test_a_name_of_any_length_has_a_temporary(tmp_path):
    assert temporary_of(tmp_path / ("é" * 127)).exists()


# ---- the report ----


def test_a_report_goes_nowhere_else(folder, outside, victim):
    (folder / "report.html").symlink_to(victim)
    html.write(folder)
    assert not (folder / "report.html").is_symlink()


def test_figures_go_nowhere_else(folder, outside):
    (folder / "figures").symlink_to(outside)
    with pytest.raises(StoreError, match="leads out of this folder"):
        paper.draw(folder)


def test_a_figure_that_is_a_link_is_replaced(folder, victim):
    (folder / "figures").mkdir()
    for name in ("landscape.png", "landscape.png.part", "landscape.svg", ".drawn.json"):
        (folder / "figures" / name).symlink_to(victim)
    paper.draw(folder)
    assert not (folder / "figures" / ".drawn.json").is_symlink()
    assert not (folder / "figures" / "landscape.png").is_symlink()


# ---- export ----


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "..", "a\n", "", 5, None, "x/y"])
def test_export_is_not_named_by_what_is_no_name(folder, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    land = Landscape.read(folder)
    renamed = Landscape(land.data, {**land.study, "name": name})
    monkeypatch.setattr(Landscape, "read", lambda directory: renamed)
    assert commands.exit_status(["export", str(folder)]) == 0
    assert capsys.readouterr().out == "landscape.csv\n"
    assert (tmp_path / "landscape.csv").is_file()
