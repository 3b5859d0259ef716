"""Where an export goes: through links, into pipes and devices, never in place of a folder."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from stored import a_result, a_trial, study

from gridscape.cli import commands
from gridscape.errors import GridscapeError
from gridscape.landscape import Landscape
from gridscape.store.store import Store


@pytest.fixture
def folder(tmp_path):
    """Results of one trial."""
    with Store.create(tmp_path / "results", study()) as store:
        store.put(a_trial("a1"), a_result("a1"))
    return tmp_path / "results"


@pytest.fixture
def land(folder):
    return Landscape.read(folder)


def test_export_writes_where_a_link_leads(land, tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("old.csv", "new.csv"):
        (tmp_path / name).symlink_to(tmp_path / "there" / name)
    (tmp_path / "there" / "old.csv").write_text("old")
    for name in ("old.csv", "new.csv"):
        assert land.export(tmp_path / name) == tmp_path / name
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "there" / name).read_text().startswith("hidden_size,")
    assert len(list((tmp_path / "there").iterdir())) == 2


@pytest.mark.parametrize("format", ["csv", "parquet", "netcdf"])
def test_export_into_a_pipe(land, tmp_path, format):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "got").open("wb") as got:
        reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=got)
        land.export(tmp_path / "pipe", format)
        assert reader.wait(60) == 0
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    land.export(tmp_path / "file", format)
    assert (tmp_path / "got").stat().st_size == (tmp_path / "file").stat().st_size


def test_export_into_a_device(land, tmp_path):
    (tmp_path / "null").symlink_to("/dev/null")
    land.export(tmp_path / "null")
    assert (tmp_path / "null").is_symlink()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    land.export("/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("output", ["/dev/stdout", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_export_to_standard_output(land, folder, tmp_path, output, kind):
    (tmp_path / "link").symlink_to("/dev/stdout")
    with (tmp_path / "got").open("w+b") as got:
        done = subprocess.run(
            [sys.executable, "-m", "gridscape", "export", str(folder), "--output", output],
            stdout=subprocess.PIPE if kind == "pipe" else got,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(commands.__file__).parent.parent)},
            cwd=tmp_path,
            timeout=600,
            check=False,
        )
        got.seek(0)
        text = done.stdout if kind == "pipe" else got.read()
    land.export(tmp_path / "expected")
    assert (done.returncode, done.stderr) == (0, b"")
    assert text == (tmp_path / "expected").read_bytes()
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("name", ["", ".", "folder", "folder/", "link"])
def test_export_into_a_folder_is_refused(land, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(GridscapeError, match="is a folder"):
        land.export(name)
    assert not list((tmp_path / "folder").iterdir())


def test_export_to_a_link_to_itself_is_refused(land, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(GridscapeError, match="link to itself"):
        land.export(tmp_path / "loop")


def test_a_failed_export_leaves_what_was_there(land, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    (tmp_path / "x.csv").write_text("old")
    monkeypatch.setattr(type(land.table()), "to_csv", fail)
    with pytest.raises(GridscapeError, match="No space left"):
        land.export(tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results", "x.csv"]
