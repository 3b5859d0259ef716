"""Tables as people have them, in other encodings, with commas and odd names: read or refused."""

import gzip
import warnings

import numpy as np
import pandas as pd
import pytest

from gridscape.base.task import Task
from gridscape.errors import GridscapeError

N = 60
A, B = np.random.default_rng(0).normal(size=(2, N)).round(3)
KIND = np.where(A > 0, "yes", "no")


def text(head="a,b,kind", dec=".", sep=","):
    lines = [
        f"{x}{sep}{y}".replace(".", dec) + f"{sep}{z}" for x, y, z in zip(A, B, KIND, strict=True)
    ]
    return "\n".join([head.replace(",", sep), *lines])


def read(tmp_path, content, name="t.csv", target="kind", **options):
    """The task of a file, and what was told of it."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        task = Task.from_table(path, target, **options)
    assert [str(one.message).partition(": ")[2] for one in told] == list(task.told)
    return task


def inputs_of(task):
    parts = (task.train, task.validation, task.test)
    return np.sort(np.concatenate([part.inputs[:, 0] for part in parts]))


@pytest.mark.parametrize(
    "content",
    [
        text().encode("utf-8-sig"),
        text().encode("utf-16"),
        text().replace("\n", "\r\n").encode(),
        text(sep=";").encode(),
        text(dec=",", sep=";").encode(),
        text(dec=",", sep="\t").encode(),
    ],
    ids=["bom", "utf-16", "crlf", "semicolons", "decimal commas", "tabs and commas"],
)
def test_one_table_however_it_is_written(tmp_path, content):
    task = read(tmp_path, content)
    assert task.classes == ("no", "yes")
    expected = read(tmp_path, text())
    np.testing.assert_allclose(inputs_of(task), inputs_of(expected), rtol=1e-6)
    has_commas = b"," in content and (b";" in content or b"\t" in content)
    assert task.told == (("read with decimal commas: 'a', 'b'",) if has_commas else ())


def test_commas_of_thousands_are_not_guessed(tmp_path):
    lines = [f'"{1000 + i:,}",{z}' for i, z in enumerate(KIND)]
    with pytest.raises(GridscapeError, match="hardly ever the same"):
        read(tmp_path, "\n".join(["a,kind", *lines]))


@pytest.mark.parametrize(
    ("head", "target"),
    [('"a ""x""",\'b\',"ki,nd"', "ki,nd"), ("größe,高さ,вид", "вид"), ("=cmd(),b,<b>", "<b>")],
)
def test_names_with_quotes_and_of_other_scripts(tmp_path, head, target):
    assert read(tmp_path, text().replace("a,b,kind", head), target=target).classes == ("no", "yes")


def test_the_numbers_of_rows_are_left_out_and_told(tmp_path):
    pd.DataFrame({"a": A, "kind": KIND}).to_csv(tmp_path / "u.csv")
    task = read(tmp_path, (tmp_path / "u.csv").read_bytes())
    assert task.input_shape == (1,)
    assert task.told == ("left out: a first column without a name that numbers the rows",)


def test_a_first_column_without_a_name_that_is_no_number_of_rows_stays(tmp_path):
    table = pd.DataFrame({"a": A, "kind": KIND}, index=(100 * A).astype(int))
    table.to_csv(tmp_path / "u.csv")
    assert read(tmp_path, (tmp_path / "u.csv").read_bytes()).input_shape == (2,)


def test_packed_files(tmp_path):
    assert read(tmp_path, gzip.compress(text().encode()), "t.csv.gz").classes == ("no", "yes")
    for content in (text().encode(), gzip.compress(text().encode())[:80]):
        with pytest.raises(GridscapeError, match="cannot be read"):
            read(tmp_path, content, "t.csv.gz")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (text("a,a,kind"), "two columns of one name (found 'a')"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "no text"),
        (b"", "an empty file"),
        ("a,b,kind\n", "a table without rows"),
        (text() + "\n1,2,yes,4", "saw 4"),
        (text() + "\n1", "missing values: 1 in 'b', 1 in 'kind'"),
        ("# made by hand\n# twice\n" + text(), "cannot be read"),
        (text().replace("yes", "no"), "fewer than two classes"),
        ("a,b,kind\n1,2,yes", "fewer than two classes"),
        ("a,b,kind\n1,2,yes\n1,2,no", "too few examples of class 'no'"),
        (
            "\n".join(["a,b,kind", *(f"{x},,{z}" for x, z in zip(A, KIND, strict=True))]),
            "60 in 'b'",
        ),
    ],
)
def test_one_line_for_what_cannot_be(tmp_path, content, line):
    with pytest.raises(GridscapeError) as error:
        read(tmp_path, content)
    assert line in str(error.value)
    assert len(str(error.value)) <= 300
    assert "\n" not in str(error.value)


def told_of(target="y", **columns):
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        return Task.from_table(pd.DataFrame(columns), target)


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"a": A, "y": np.full(N, 1.5)}, "the same for all training examples"),
        ({"a": A, "y": np.full(N, 3)}, "fewer than two classes"),
        ({"a": [[1, 2]] * N, "y": KIND}, "cells that hold several values"),
        ({"a": [{"b": 1}] * N, "y": KIND}, "cells that hold several values"),
        ({"a": A + 1j, "y": KIND}, "complex numbers"),
        ({"a": [np.inf, -np.inf, *A[2:]], "y": KIND}, "found inf in row 1, column 'a'"),
        ({"a": [np.nan, np.inf, *A[2:]], "y": KIND}, "missing values: 1 in 'a'"),
    ],
)
def test_columns_that_cannot_be(columns, line):
    with pytest.raises(GridscapeError) as error:
        told_of(**columns)
    assert line in str(error.value)


@pytest.mark.parametrize(
    ("columns", "shape", "classes"),
    [
        ({"a": A, "y": A > 0}, (1,), ("False", "True")),
        ({"a": A, "y": pd.array(A > 0, dtype="boolean")}, (1,), ("False", "True")),
        ({"a": A, "y": (A > 0).astype(float)}, (1,), ("0", "1")),
        ({"a": A, "y": np.where(A > 0, 7, -7)}, (1,), ("-7", "7")),
        ({"a": A, "y": pd.date_range("2020", periods=N)}, (1,), ()),
        ({"a": pd.to_timedelta(np.arange(N), "h"), "y": KIND}, (1,), ("no", "yes")),
        ({"a": np.arange(N) + 2**62, "y": KIND}, (1,), ("no", "yes")),
        ({"a": A, "y": np.where(A > 0, "<script>", "a\nb")}, (1,), ("<script>", "a\nb")),
    ],
)
def test_columns_of_any_kind(columns, shape, classes):
    task = told_of(**columns)
    assert (task.input_shape, task.classes) == (shape, classes)


def test_a_target_of_numbers_among_the_inputs_is_told():
    task = told_of(a=A, y=B, again=B)
    assert task.told == ("the target is among the inputs: column 'again' equals it",)
    assert told_of(a=A, y=B, again=B + 0.01 * A).told == ()
