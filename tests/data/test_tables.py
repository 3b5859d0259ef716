"""A table becomes a task: columns as numbers, parts by share, and what is odd is told."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from gridscape.base.task import Task
from gridscape.errors import DataCorruptError, DataError, GridscapeError, UsageError

N = 120


def frame(**columns):
    """Two numbers, a color, and a class that follows from none of them alone."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": rng.normal(50, 10, N),
            "weight": rng.normal(0.1, 0.02, N),
            "color": np.resize(["red", "green", "blue"], N),
            "kind": np.resize(["b10", "b9", "b9", "a"], N),
            **columns,
        }
    )


def line_of(make, kind=GridscapeError):
    with pytest.raises(kind) as caught:
        make()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) <= 300
    return line


def told(make):
    """What is warned of."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        make()
    return [str(one.message) for one in found]


def written(tmp_path, text, name="t.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


# ---- columns ----


def test_numbers_are_standardized_by_the_training_part_and_categories_one_hot():
    table = frame()
    task = Task.from_table(table, "kind")
    assert task.classes == ("a", "b9", "b10"), "in natural order"
    assert task.input_shape == (5,)
    assert [s.n_examples for s in (task.train, task.validation, task.test)] == [82, 19, 19]
    numbers = task.train.inputs[:, :2]
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-6)
    assert abs(task.test.inputs[:, :2].mean()) > 1e-3, "not by the test part"
    assert (task.train.inputs[:, 2:].sum(axis=1) == 1).all()


def test_every_class_has_its_share_in_every_part_and_the_seed_draws():
    task = Task.from_table(frame(), "kind")
    for split, n in ((task.validation, 30), (task.test, 30)):
        counts = np.bincount(split.targets)
        np.testing.assert_allclose(counts, np.array([n, 2 * n, n]) * 0.15, atol=0.5)
    again, other = (Task.from_table(frame(), "kind", split_seed=seed) for seed in (0, 1))
    assert again.fingerprint == task.fingerprint
    assert (again.test.inputs == task.test.inputs).all()
    assert other.fingerprint != task.fingerprint
    assert not np.array_equal(other.test.inputs, task.test.inputs)


def test_a_changed_value_is_another_task():
    before = Task.from_table(frame(), "kind").fingerprint
    for changed in (
        frame(size=np.r_[1.0, frame()["size"][1:]]),
        frame(color=np.resize(["red", "green", "pink"], N)),
        frame(kind=np.resize(["b10", "b9", "b9", "c"], N)),
        frame().rename(columns={"size": "length"}),
    ):
        assert Task.from_table(changed, "kind").fingerprint != before


def test_unseen_categories_are_told_and_have_no_place():
    table = frame(part=np.resize(["train", "train", "train", "test"], N))
    table.loc[table["part"] == "test", "color"] = "pink"
    (line,) = told(lambda: Task.from_table(table, "kind", split="part", drop="size"))[:1]
    assert line == "table: 30 values of 'color' are not in the training part"
    with pytest.warns(UserWarning, match=r"color|no .* examples"):
        task = Task.from_table(table, "kind", split="part")
    assert not task.test.inputs[:, 2:].any()
    assert task.validation is None


def test_dates_are_days_and_told():
    days = pd.date_range("2024-01-01", periods=N).strftime("%Y-%m-%d")
    with pytest.warns(UserWarning, match="'day' is read as a date"):
        task = Task.from_table(frame(day=days)[["day", "kind"]], "kind")
    assert task.input_shape == (1,)
    assert np.unique(task.train.inputs).size == task.train.n_examples


def test_true_and_false_are_one_number():
    assert Task.from_table(frame(color=np.resize([True, False], N)), "kind").input_shape == (3,)


def test_pixels_of_a_table_as_pictures():
    pixels = np.random.default_rng(0).integers(0, 256, (N, 16))
    table = pd.DataFrame(pixels, columns=[f"pixel{i}" for i in range(16)])
    table.insert(0, "label", np.arange(N) % 3)
    task = Task.from_table(table, scale="pixels", shape=[4, 4, 1])
    assert task.input_shape == (4, 4, 1), "the column named label is the target"
    assert task.train.inputs.dtype == np.uint8
    assert "shape: does not fit" in line_of(lambda: Task.from_table(table, shape=[5, 5]))
    assert "not pixels" in line_of(lambda: Task.from_table(frame(), "kind", scale="pixels"))


# ---- missing values ----


def with_holes():
    table = frame()
    table.loc[3, "size"] = np.nan
    table.loc[[7, 8], "color"] = None
    return table


def test_missing_values_are_told_by_column_then_dropped_or_filled():
    line = line_of(lambda: Task.from_table(with_holes(), "kind"), DataCorruptError)
    assert "missing values: 1 in 'size', 2 in 'color'" in line
    assert "row 4 of 120" in line
    with pytest.warns(UserWarning, match="3 rows left out"):
        dropped = Task.from_table(with_holes(), "kind", missing="drop")
    with pytest.warns(UserWarning, match="filled"):
        filled = Task.from_table(with_holes(), "kind", missing="fill")
    counts = [sum(s.n_examples for s in (t.train, t.validation, t.test)) for t in (dropped, filled)]
    assert counts == [117, 120]
    assert np.isfinite(filled.train.inputs).all()


def test_a_row_without_a_target_is_never_filled():
    table = frame()
    table.loc[5, "kind"] = None
    with pytest.warns(UserWarning, match="1 rows left out"):
        task = Task.from_table(table, "kind", missing="fill")
    assert task.train.n_examples + task.validation.n_examples + task.test.n_examples == N - 1


# ---- parts by column, group, time ----


def test_no_group_stands_in_two_parts():
    people = np.repeat(np.arange(12), 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class may lack in a part
        task = Task.from_table(frame(size=people * 1.0, person=people), "kind", group="person")
    parts = [set(np.unique(s.inputs[:, 0])) for s in (task.train, task.validation, task.test)]
    assert all(parts)
    assert len(set.union(*parts)) == sum(map(len, parts)) == 12


def test_the_latest_rows_are_the_test_part():
    times = np.random.default_rng(1).permutation(N)
    task = Task.from_table(
        frame(when=times, size=times * 1.0), "weight", time="when", predict="numbers"
    )
    ends = [(s.inputs[:, 0].min(), s.inputs[:, 0].max()) for s in (task.train, task.validation)]
    assert ends[0][1] < ends[1][0]
    assert ends[1][1] < task.test.inputs[:, 0].min()
    assert task.test.n_examples == 18


def test_a_column_names_the_parts():
    names = np.resize(["Training", "dev", "TEST", "train"], N)
    kinds = np.tile(np.repeat(["x", "y"], 4), N // 8)
    task = Task.from_table(frame(part=names, kind=kinds), "kind", split="part")
    assert [s.n_examples for s in (task.train, task.validation, task.test)] == [60, 30, 30]
    assert task.input_shape == (5,)
    strange = frame(part=np.resize(["train", "later"], N))
    assert "found 'later'" in line_of(lambda: Task.from_table(strange, "kind", split="part"))


def test_parts_that_are_no_chance_are_not_drawn_anew_for_replicates():
    table = frame(person=np.repeat(np.arange(12), 10)).drop(columns="kind")
    why = {
        name: Task.from_table(table, "weight", **options).why_not_resampled
        for name, options in {
            "shares": {},
            "group": {"group": "person"},
            "time": {"time": "person"},
            "window": {"window": 2},
        }.items()
    }
    assert why == {
        "shares": "",
        "group": "its parts are divided by group",
        "time": "its parts are divided by time",
        "window": "its parts are divided by time",
    }


# ---- numbers as targets ----


def test_numbers_are_predicted_in_their_own_unit():
    y = frame()["size"] * 3 + 100
    task = Task.from_table(frame(y=y), "y", unit="cm")
    assert task.answer is None
    assert {n: (m.better, m.unit) for n, m in task.meanings.items()} == {
        "rmse": ("lower", "cm"),
        "mae": ("lower", "cm"),
        "r2": ("higher", ""),
    }
    mean = np.zeros_like(task.train.targets)  # standardized: what the mean answers
    metrics = {n: np.asarray(m(mean, task.train.targets)) for n, m in task.measured.items()}
    assert metrics["r2"].mean() == pytest.approx(0, abs=1e-5)
    spread = np.sqrt(metrics["rmse"].mean())
    assert 15 < spread < 45, "in cm: three times the spread of size"
    assert metrics["mae"].mean() < spread
    assert float(np.asarray(task.loss(mean, task.train.targets)).mean()) == pytest.approx(1, 1e-4)


def test_few_whole_numbers_are_classes_unless_told():
    quality = np.resize([3, 4, 5, 4], N)
    assert Task.from_table(frame(q=quality), "q").classes == ("3", "4", "5")
    assert Task.from_table(frame(q=quality), "q", predict="numbers").answer is None
    assert Task.from_table(frame(q=np.arange(N) * 7), "q").answer is None


def test_several_targets():
    table = frame(y=np.arange(N) * 1.5)
    task = Task.from_table(table, ["y", "size"])
    assert task.n_outputs == 2
    assert task.train.targets.shape == (82 + 2, 2)


# ---- told before training ----


def test_what_is_odd_is_told():
    whole = frame(
        constant=1.0, code=frame()["kind"].map({"a": 1, "b9": 2, "b10": 3}), size=1.0, weight=2.0
    )
    lines = told(lambda: Task.from_table(whole, "kind"))
    assert any(
        "constant columns, which tell nothing: 'size', 'weight', 'constant'" in x for x in lines
    )
    assert any("the target is among the inputs: column 'code'" in x for x in lines)
    assert any("test inputs are also among the training inputs" in x for x in lines)
    lines = told(lambda: Task.from_table(frame(size=frame()["size"] * 1e5), "kind", scale="none"))
    assert any('scale = "standard"' in line for line in lines)


# ---- bad input ----


def test_a_class_of_one_example():
    kinds = ["once", *np.resize(["x", "y"], N - 1)]
    line = line_of(lambda: Task.from_table(frame(kind=kinds), "kind"), DataCorruptError)
    assert "too few examples of class 'once'" in line


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({"target": "kin"}, "target: unknown column 'kin'; did you mean 'kind'?"),
        ({"target": "kind", "drop": ["sizes"]}, "drop: unknown column 'sizes'; did you mean"),
        ({"target": "kind", "features": ["kind"]}, "features: a target that is among the inputs"),
        ({"target": "kind", "shares": 3}, "unknown option 'shares'"),
        ({"target": "kind", "test": 1.5}, "test: out of range"),
        ({"target": "kind", "validation": 0.5, "test": 0.5}, "validation: nothing is left"),
        ({"target": "kind", "missing": "ignore"}, "missing: unknown value of missing 'ignore'"),
        ({"target": "kind", "group": "color", "time": "size"}, "time: two ways to split"),
        ({"target": ["kind", "color"]}, "target: not numbers"),
        ({}, "target: which column is to be predicted?"),
    ],
)
def test_requests_that_cannot_be(options, start):
    assert line_of(lambda: Task.from_table(frame(), **options)).startswith(start)


def test_texts_that_are_no_categories():
    names = [f"person {i}" for i in range(N)]
    line = line_of(lambda: Task.from_table(frame(name=names), "kind"), UsageError)
    assert "column 'name' holds texts that are hardly ever the same" in line
    assert "drop = ['name']" in line


def test_a_name_among_hundreds_of_columns():
    table = pd.DataFrame(np.zeros((5, 800)), columns=[f"column number {i}" for i in range(800)])
    assert line_of(lambda: Task.from_table(table, "zzz")).endswith("number 104 and 792 more")


# ---- files ----


def test_files_of_many_kinds(tmp_path):
    iris = load_iris(as_frame=True).frame
    pytest.importorskip("pyarrow")
    paths = [tmp_path / f"iris{end}" for end in (".csv", ".tsv", ".csv.gz", ".parquet", ".json")]
    for path in paths:
        if path.suffix == ".parquet":
            iris.to_parquet(path)
        elif path.suffix == ".json":
            iris.to_json(path)
        else:
            iris.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # iris holds a flower twice
        prints = {p.name: Task.from_table(p).fingerprint for p in [*paths]}
    assert len(set(prints.values())) == 1, prints


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("größe;名前 'x';y\n1,5;a;j\n", "utf-8"),
        ("größe;name;y\n1.5;ä;j\n", "cp1252"),
        ('"a, b"\t"q""q"\ty\n1\t2\tj\n', "utf-8-sig"),
    ],
)
def test_delimiters_quotes_and_scripts(tmp_path, text, encoding):
    from gridscape.data.tables import read_table

    table = read_table(written(tmp_path, text, "with space.csv", encoding))
    assert table.shape == (1, 3)
    assert table["y"].tolist() == ["j"]


BAD_FILES = {
    "ragged": ("a,b\n1,2\n1,2,3\n", "t.csv", "cannot be read"),
    "no rows": ("a,b\n", "t.csv", "a table without rows (found 0 rows and 2 columns)"),
    "empty": ("", "t.csv", "an empty file"),
    "no names": ("1.5,2.5,0\n1.7,2.9,1\n", "t.csv", "the first line holds values"),
    "pickle": ("x", "t.pkl", "a file of this kind can run code"),
    "unknown": ("x", "t.docx", "not a table"),
    "no parquet": ("x", "t.parquet", "cannot be read"),
}


@pytest.mark.parametrize(("text", "name", "what"), BAD_FILES.values(), ids=BAD_FILES)
def test_files_that_are_no_tables(tmp_path, text, name, what):
    path = written(tmp_path, text, name)
    line = line_of(lambda: Task.from_table(path, "a"), DataError)
    assert what in line
    assert name in line


def test_a_file_larger_than_memory_is_told_before_it_is_read(tmp_path):
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(10**12)
    line = line_of(lambda: Task.from_table(path, "a"), DataError)
    assert "larger than the memory" in line
    assert "found 1000.0 GB" in line


def test_tables_of_other_libraries():
    class Polars:
        """What Polars, Arrow and data sets of Hugging Face have in common."""

        def to_pandas(self):
            return frame()

    plain = Task.from_table(frame(), "kind").fingerprint
    assert Task.from_table(Polars(), "kind").fingerprint == plain
    columns = {name: column.tolist() for name, column in frame().items()}
    assert Task.from_table(columns, "kind").fingerprint == plain
    assert "not a table" in line_of(lambda: Task.from_table([1, 2], "kind"))
    assert "not a table" in line_of(lambda: Task.from_table({"a": [1], "b": [1, 2]}, "a"))


# ---- windows of a time series ----


def test_windows_of_a_time_series():
    times = np.random.default_rng(2).permutation(N)
    series = pd.DataFrame({"when": times, "value": times * 2.0, "other": -times})
    task = Task.from_table(series, "value", time="when", window=5, horizon=3)
    assert task.input_shape == (5, 2), "the past of the target is an input"
    assert [s.n_examples for s in (task.train, task.validation, task.test)] == [77, 18, 18]
    steps = np.diff(task.train.inputs[:, :, 0], axis=1)
    assert np.allclose(steps, steps[0, 0], atol=1e-5), "in the order of time"
    ahead = task.train.targets[:, 0] - task.train.inputs[:, -1, 0]
    np.testing.assert_allclose(ahead, 3 * steps[0, 0], atol=1e-4)
    assert task.train.targets.max() < task.validation.targets.min()
    plain = Task.from_table(series.sort_values("when"), "value", drop="when", window=5, horizon=3)
    assert np.allclose(plain.test.inputs, task.test.inputs)
    assert Task.from_table(series, "value", time="when", window=4).fingerprint != task.fingerprint


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({"window": 0}, "window: out of range"),
        ({"window": 3, "horizon": 0}, "horizon: out of range"),
        ({"window": 200}, "table: too few rows"),
        ({"window": 3, "group": "color"}, "group: not with a window"),
    ],
)
def test_windows_that_cannot_be(options, start):
    table = frame().drop(columns="kind")
    assert line_of(lambda: Task.from_table(table, "size", **options)).startswith(start)
