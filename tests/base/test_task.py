"""Tasks that cannot be: what a user brings is refused in one line before anything is trained."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import tiny

from gridscape.base.data import Groups, Split, Stream
from gridscape.base.metrics import cross_entropy
from gridscape.base.task import Task
from gridscape.errors import DataCorruptError, GridscapeError, UsageError
from gridscape.study.parts import load_task

X, Y = np.ones((4, 3), np.float32), np.array([0, 1, 0, 1])
BYTES = np.ones((4, 3), np.uint8)
MASKED = np.ma.masked_array(X, X > 5)
MASKED[0, 0] = np.ma.masked
DIGITS = load_task("digits-flat", {}, None)
RECALL = load_task("recall", {}, None)


def from_arrays(train=(X, Y), test=(X, Y), **options):
    return Task.from_arrays(train, test, **options)


def line_of(make):
    with pytest.raises(GridscapeError) as caught:
        make()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) <= 300
    return line


class Raising:
    """What cannot be made an array."""

    def __array__(self, *arguments, **options):
        raise RuntimeError("on another device")


# ---- from arrays ----

NO_ARRAYS = {
    "ragged": [[[1, 2]], [[3]], [[4]], [[5]]],
    "objects": np.array([[1], [None], [3], [4]], object),
    "texts": np.array([["a"]] * 4),
    "complex": X * 1j,
    "dates": np.array([["2020-01-01"]] * 4, "datetime64[D]"),
    "a table": {"x": X},
    "a set": {1, 2},
    "raising": Raising(),
    "nothing": None,
}


@pytest.mark.parametrize("inputs", NO_ARRAYS.values(), ids=NO_ARRAYS)
def test_what_is_no_array_of_numbers(inputs):
    assert line_of(lambda: from_arrays((inputs, Y))).startswith("train: not an array of numbers")
    line = line_of(lambda: from_arrays((X, inputs)))
    assert line.startswith(("train: not an array of numbers", "labels: "))


@pytest.mark.parametrize(
    "inputs", [MASKED, list(MASKED), tuple(MASKED)], ids=["a", "list", "tuple"]
)
def test_masked_numbers_are_refused(inputs):
    line = line_of(lambda: from_arrays(test=(inputs, Y)))
    assert line.startswith("test: numbers that are masked; leave these examples out, or fill them")
    assert from_arrays((np.ma.masked_array(X), Y)).train.inputs.tolist() == X.tolist()


def test_masked_labels_are_refused():
    labels = np.ma.masked_array(Y, [True, False, False, False])
    assert "train: numbers that are masked" in line_of(lambda: from_arrays((X, labels)))


@pytest.mark.parametrize("inputs", [X[:, 0], [1.0, 2.0, 3.0, 4.0], BYTES[:, 0]])
def test_inputs_without_a_dimension_of_features(inputs):
    assert line_of(lambda: from_arrays((inputs, Y), (inputs, Y))) == (
        "arrays: inputs without features (expected (B, features) or more dimensions, found (B));"
        " inputs[:, None] makes one feature of each number"
    )
    column = np.asarray(inputs)[:, None]
    assert from_arrays((column, Y), (column, Y)).input_shape == (1,)


def test_numbers_that_prepare_gives_features():
    """Stored symbols are one-dimensional; the model reads what ``prepare`` makes of them."""
    task = from_arrays((Y, Y), (Y, Y), prepare=lambda x: jax.nn.one_hot(x.astype(int), 5))
    assert task.input_shape == (5,)


OTHERS = {
    "bytes and floats": ((BYTES, Y), "uint8 (N, 3), int32 (N)"),
    "another shape": ((X[:, :2], Y), "float32 (N, 2), int32 (N)"),
    "another number of dimensions": ((X[..., None], Y), "float32 (N, 3, 1), int32 (N)"),
}


@pytest.mark.parametrize(("pair", "found"), OTHERS.values(), ids=OTHERS)
def test_splits_of_two_kinds(pair, found):
    expected = "are of different types or shapes (expected float32 (N, 3), int32 (N), found"
    for name in ("test", "validation"):
        line = line_of(lambda name=name: from_arrays(**{name: pair}))
        assert line == f"task arrays: train and {name} {expected} {found})"


@pytest.mark.parametrize("n_outputs", ["2", 2.0, np.float64(2), True, 0, -1, None, [2], np.ones(2)])
def test_a_number_of_outputs_that_is_none(n_outputs):
    if n_outputs is not None:  # as many as there are classes
        assert line_of(lambda: from_arrays(n_outputs=n_outputs)).startswith("n_outputs: out of ran")
    assert line_of(lambda: replace(DIGITS, n_outputs=n_outputs)).startswith("n_outputs: out of")
    assert type(from_arrays(n_outputs=np.int64(2)).n_outputs) is int
    assert type(replace(DIGITS, n_outputs=np.int32(12)).n_outputs) is int


def raising(inputs):
    raise ValueError("no such thing\nand more")


PREPARES = {
    "raises": (raising, "found ValueError: no such thing)"),
    "nothing": (lambda x: None, "found NoneType)"),
    "a table": (lambda x: {"x": x}, "found dict)"),
    "a pair": (lambda x: (x, x), "found tuple)"),
    "NumPy": (lambda x: np.ones(x.shape, np.float32), "found ndarray)"),
    "NumPy of what is traced": (lambda x: np.asarray(x) / 255, "found TracerArrayConversionError:"),
    "one example": (lambda x: x[0], "found "),
    "transposed": (lambda x: x.T, "B))"),
    "a mean": (lambda x: x.mean(), "found float32 of shape ())"),
}


@pytest.mark.parametrize(("prepare", "found"), PREPARES.values(), ids=PREPARES)
def test_a_prepare_that_makes_no_inputs(prepare, found):
    for where, make in {
        "arrays": lambda: from_arrays(prepare=prepare),
        "task digits-flat": lambda: replace(DIGITS, prepare=prepare),
        "task recall": lambda: replace(RECALL, prepare=prepare),
    }.items():
        line = line_of(make)
        start = "prepare does not fit the inputs (expected an array (B, *input_shape), found "
        assert line.startswith(f"{where}: {start}")
        assert found in line


# ---- a Task of parts ----

WRONG = {
    "train": [None, (X, Y), DIGITS],
    "test": [None, (X, Y), RECALL.train],
    "validation": [(X, Y), 3],
    "input_shape": [64, None, "64"],
    "prepare": [None, 5],
    "loss": [None, "mse"],
    "metrics": [None, [], {"accuracy"}],
    "answer": ["argmax"],
    "groups": [5, ("length", (1, 2), len), len],
}


@pytest.mark.parametrize("part", WRONG)
def test_a_part_of_another_type(part):
    for value in WRONG[part]:
        line = line_of(lambda value=value: replace(DIGITS, **{part: value}))
        assert line.startswith(f"task digits-flat, {part}: wrong type (expected ")
        assert line.endswith(f"found {type(value).__name__})")


def test_parts_of_parts_of_another_type():
    train, groups = RECALL.train, RECALL.groups
    for changes, start in (
        (
            {"train": train._replace(draw=None)},
            "train.draw: wrong type (expected Callable, found N",
        ),
        ({"train": train._replace(sample=(X, Y))}, "train.sample: wrong type (expected Split, fou"),
        ({"groups": groups._replace(of=3)}, "groups.of: wrong type"),
        ({"groups": groups._replace(values=7)}, "groups.values: wrong type"),
        ({"groups": groups._replace(values=())}, "groups.values: out of range"),
        ({"groups": groups._replace(values=(3, 3))}, "groups.values: out of range (expected whole"),
        ({"groups": groups._replace(values=(3.5,))}, "groups.values: out of range"),
        ({"metrics": {"mine": 3}}, "metric 'mine': wrong type (expected Callable, found int)"),
        (
            {"input_shape": (9, 0)},
            "input_shape: out of range (expected whole numbers from 1, found",
        ),
        ({"input_shape": ()}, "input_shape: out of range"),
    ):
        assert line_of(lambda new=changes: replace(RECALL, **new)).startswith(
            f"task recall, {start}"
        )


TRAIN = DIGITS.train
SPLITS = {
    "no arrays": (Split(TRAIN.inputs.tolist(), TRAIN.targets), "train: not an array"),
    "targets of no arrays": (Split(TRAIN.inputs, TRAIN.targets.tolist()), "train: not an array"),
    "objects": (
        Split(TRAIN.inputs.astype(object), TRAIN.targets),
        "train: not an array of numbers",
    ),
    "masked": (
        Split(np.ma.masked_less(TRAIN.inputs, 1), TRAIN.targets),
        "train: numbers that are m",
    ),
    "fewer targets": (
        Split(TRAIN.inputs, TRAIN.targets[1:]),
        "train: inputs and targets differ in n",
    ),
    "nothing": (
        Split(TRAIN.inputs[:0], TRAIN.targets[:0]),
        "train: inputs and targets differ in num",
    ),
}


@pytest.mark.parametrize(("split", "start"), SPLITS.values(), ids=SPLITS)
def test_a_split_that_cannot_be(split, start):
    line = line_of(lambda: replace(DIGITS, train=split))
    assert line.startswith(f"task digits-flat, {start}")


def test_splits_of_a_task_of_two_kinds():
    inputs, targets = DIGITS.test
    for test in (
        Split(inputs / np.float32(16), targets),
        Split(inputs[:, :60], targets),
        Split(inputs, targets[:, None]),
        Split(inputs, targets.astype(np.float32)),
        Split(inputs, {"label": targets}),
    ):
        with pytest.raises(
            DataCorruptError, match="train and test are of different types or shape"
        ):
            replace(DIGITS, test=test)
    as_stored = Split(jnp.asarray(inputs), targets.astype(np.int64))  # the same on a device
    assert replace(DIGITS, test=as_stored).test.n_examples == len(inputs)


def test_prepared_inputs_of_another_shape_than_the_task_says():
    with pytest.raises(
        UsageError, match=r"prepare gives another shape \(expected \(8, 8\), found "
    ):
        replace(DIGITS, input_shape=(8, 8))


DRAWS = {
    "raises": (lambda key, n: raising(n), "found ValueError: no such thing)"),
    "nothing": (lambda key, n: None, "expected a Split of (B, ...), found None)"),
    "another number": (
        lambda key, n: jax.tree.map(lambda x: x[:-1], RECALL.train.draw(key, n)),
        "expected a Split of (B, ...)",
    ),
}


@pytest.mark.parametrize(("draw", "found"), DRAWS.values(), ids=DRAWS)
def test_a_stream_that_draws_no_batches(draw, found):
    task = replace(RECALL, train=Stream(draw, RECALL.train.sample))
    study = tiny({"hidden_size": [2]}, task=task, model_options={"returns": "every"})
    line = line_of(study.resolve)
    assert "task recall, train.draw: no batch is drawn (" in line
    assert found in line


def test_kinds_of_examples_by_name_still_fit():
    groups = Groups("parity", (0, 1), lambda labels: labels % 2)
    assert tiny(
        {"learning_rate": [0.1]}, task=replace(DIGITS, groups=groups), model="mlp"
    ).resolve()


# ---- what tells tasks apart ----


class Any:
    """A loss that calls itself equal to any other."""

    def __init__(self, k):
        self.k = k

    def __eq__(self, other):
        return True

    __hash__ = None

    def __call__(self, outputs, targets):
        return self.k * (outputs**2).sum(axis=-1)


def test_losses_that_call_themselves_equal_make_other_tasks():
    tasks = [replace(from_arrays(), loss=loss) for loss in (Any(1), Any(2), cross_entropy)]
    assert len({task.fingerprint for task in tasks}) == 3


def test_the_fingerprint_of_arrays_is_what_it_was_before_functions_moved():
    """Results that were trained on arrays before are found again.

    In a process of its own: here, the checks of shapes wrap functions.
    """
    code = """
import numpy as np
from gridscape import Task
x, y = np.arange(40, dtype=np.float32).reshape(20, 2), np.arange(20) % 2
print(Task.from_arrays((x, y), (x, y)).fingerprint[:12])
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    made = subprocess.check_output(
        [sys.executable, "-c", code], env=environment, text=True, timeout=600
    )
    assert made.strip() == "4d2118d38c84"
