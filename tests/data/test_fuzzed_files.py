"""Whatever stands in a file of data or of runs: it is read, or refused in one line of our own."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gridscape.data.containers import read_arrays
from gridscape.data.idx import read_idx
from gridscape.data.pictures import pixels_of
from gridscape.data.tables import read_table
from gridscape.errors import DataError, GridscapeError
from gridscape.landscape import import_runs

BOUNDED = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def saved(save):
    """The bytes that a function writes into a file."""
    file = io.BytesIO()
    save(file)
    return file.getvalue()


GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)
FILES = {
    "t.csv": b"a,b,kind\n1,2.5,x\n3,,y\n",
    "t.json": b'[{"a": 1, "kind": "x"}, {"a": 2, "kind": "y"}]',
    "t.npz": saved(lambda file: np.savez(file, x=GRAY, y=np.arange(8))),
    "t.npy": saved(lambda file: np.save(file, GRAY)),
    "t-idx1-ubyte": b"\0\0\x08\x01\0\0\0\x03abc",
    "t.png": saved(lambda file: Image.fromarray(GRAY).save(file, "PNG")),
    "t.gif": saved(lambda file: Image.fromarray(GRAY).save(file, "GIF")),
}


@st.composite
def damaged(draw, content):
    """The bytes with some of them changed, cut off, or put in between."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(made) - 1)))
        match draw(st.sampled_from(["set", "cut", "insert"])):
            case "set" if made:
                made[at] = draw(st.integers(0, 255))
            case "cut":
                del made[at:]
            case _:
                made[at:at] = draw(st.binary(max_size=6))
    return bytes(made)


def read(path):
    name = path.name
    if name.endswith((".png", ".gif")):
        return pixels_of(path.read_bytes(), None, None)
    kinds = {".csv": read_table, ".json": read_table, ".npz": read_arrays, ".npy": read_arrays}
    return kinds.get(path.suffix, read_idx)(path)


@pytest.mark.parametrize("name", FILES)
@BOUNDED
@given(st.data())
def test_a_damaged_file(tmp_path, name, data):
    (tmp_path / name).write_bytes(data.draw(damaged(FILES[name])))
    told = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read(tmp_path / name)
        except DataError as error:
            told = str(error)
        except (ValueError, OSError, EOFError, SyntaxError):
            assert name.endswith((".png", ".gif"))  # whose reader tells all kinds of errors
    assert told.isprintable()


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["2", "2.0", "1e-3", "nan", "failed", "\x1b[2J", "a\0b", "n" * 400]),
)


@BOUNDED
@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6), st.booleans())
def test_a_table_of_runs(tmp_path_factory, rows, with_seeds):
    table = pd.DataFrame(rows, columns=["h", "seed", "accuracy"]).astype(object)
    told = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            land = import_runs(
                table,
                ["h"],
                metric="accuracy",
                replicate="seed" if with_seeds else None,
                directory=tmp_path_factory.mktemp("runs") / "r",
            )
        except GridscapeError as error:
            told = str(error)
        else:
            land.table()
            kinds = {isinstance(value, str) for value in land.study["axes"]["h"]}
            assert len(kinds) == 1  # text throughout, or none
    assert told.isprintable()
