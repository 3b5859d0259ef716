"""Pipes without a writer, devices without an end and pictures without measure: one line each."""

import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gridscape.claims.files import load_claims
from gridscape.data import paths
from gridscape.data.containers import read_arrays
from gridscape.data.idx import read_idx
from gridscape.data.paths import content_of, text_of
from gridscape.data.pictures import read_pictures
from gridscape.data.tables import read_table
from gridscape.errors import DataCorruptError, DataError, GridscapeError
from gridscape.landscape import import_runs
from gridscape.study.study import Study

pytestmark = [
    pytest.mark.timeout(60),  # a pipe that is waited for would hang
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system"),
]
NO_FILE = "a pipe or a device, and no file"


def huge(path):
    """A picture of 60,000 x 60,000 in a few bytes."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1_000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))


KINDS = {"pipe": os.mkfifo, "endless": lambda path: path.symlink_to("/dev/zero"), "huge": huge}


@pytest.mark.parametrize(
    ("kind", "reason"), [("pipe", NO_FILE), ("endless", NO_FILE), ("huge", "far too large")]
)
def test_among_pictures(tmp_path, kind, reason):
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name / "0.png")
    KINDS[kind](tmp_path / "a" / "odd.png")
    with pytest.raises(DataCorruptError, match=rf"1 of 3 pictures.*odd.png \({reason}"):
        read_pictures(tmp_path)
    found = read_pictures(tmp_path, unreadable="leave out")
    assert len(found.pairs["all"][0]) == 2


READERS = {
    "t.csv": read_table,
    "t.json": read_table,
    "t.npz": read_arrays,
    "t.npy": read_arrays,
    "t-idx1-ubyte": read_idx,
    "runs.csv": lambda path: import_runs(path, ["a"]),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_as_data(tmp_path, kind, name):
    KINDS[kind](tmp_path / name)
    with pytest.raises(DataError, match=NO_FILE):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("kind", ["pipe", "endless"])
@pytest.mark.parametrize("read", [Study.load, load_claims])
def test_as_what_people_write(tmp_path, monkeypatch, kind, read):
    monkeypatch.setattr(paths, "PIPE_SECONDS", 0.1)
    KINDS[kind](tmp_path / "t.toml")
    with pytest.raises(GridscapeError, match=r"no such study file|nothing came|neither a file nor"):
        read(tmp_path / "t.toml")


def test_a_pipe_that_is_written_to_is_read_to_its_end(tmp_path):
    pipe = tmp_path / "t.toml"
    os.mkfifo(pipe)
    text = "x = 1\n" * 50_000  # more than a pipe holds
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    assert text_of(pipe) == text
    writer.join(10)


def test_a_text_without_end_is_no_text(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "MOST_TEXT_BYTES", 100_000)
    (tmp_path / "t").write_bytes(bytes(200_000))
    with pytest.raises(OSError, match="larger than"):
        text_of(tmp_path / "t")


def test_a_file_is_read_whole():
    assert content_of(__file__) == Path(__file__).read_bytes()
