"""Sequences of different lengths: lists, padded arrays with lengths, files; targets a step."""

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

import gridscape as gs
from gridscape.base.data import Sequences, as_float
from gridscape.data.roles import pairs_of
from gridscape.errors import DataCorruptError, GridscapeError, ModelError, UsageError
from gridscape.study.fits import check_fit
from gridscape.study.parts import load_task
from gridscape.study.study import Study

LENGTHS = (3, 1, 5, 2, 4, 5, 2, 3)


def walks(dtype=np.float32):
    """Eight sequences of two features, and a class each."""
    rng = np.random.default_rng(0)
    steps = [(100 * rng.random((n, 2))).astype(dtype) for n in LENGTHS]
    return steps, np.arange(8) % 2


def padded(sequences, n_steps, filling):
    found = np.full((len(sequences), n_steps, *sequences[0].shape[1:]), float(filling))
    for row, one in zip(found, sequences, strict=True):
        row[: len(one)] = one
    return found


def task_of(inputs, targets, *lengths, **options):
    return gs.Task.from_arrays((inputs, targets, *lengths), (inputs, targets, *lengths), **options)


def test_a_list_of_arrays_is_padded_with_zeros():
    steps, classes = walks()
    task = task_of(steps, classes)
    inputs = task.train.inputs
    assert task.input_shape == (5, 2)
    assert task.n_outputs == 2
    assert not task.per_step
    assert inputs.lengths.tolist() == list(LENGTHS)
    assert len(inputs) == task.train.n_examples == 8
    assert not inputs.steps[~inputs.is_step].any()
    np.testing.assert_array_equal(inputs.steps[inputs.is_step], np.concatenate(steps))


@pytest.mark.parametrize("filling", [0, np.nan, -np.inf, 7])
def test_the_same_as_a_padded_array_whatever_stands_in_the_padding(filling):
    steps, classes = walks()
    whole = padded(steps, 9, filling)
    expected = task_of(steps, classes).fingerprint
    assert task_of(whole, classes, LENGTHS).fingerprint == expected
    assert task_of(Sequences(whole, np.array(LENGTHS)), classes).fingerprint == expected
    part = {"lengths": np.array(LENGTHS, float), "X": whole, "y": classes}
    assert gs.Task.from_arrays(part, part).fingerprint == expected
    turned = task_of(whole.transpose(1, 0, 2), classes, LENGTHS, order="TND")
    assert turned.fingerprint == expected


def test_other_kinds_of_lists():
    steps, classes = walks()
    expected = task_of(steps, classes).fingerprint
    objects = np.empty(8, object)
    objects[:] = steps
    for given in ([s.tolist() for s in steps], pd.Series(objects), objects, tuple(steps)):
        assert task_of(given, classes).fingerprint == expected
    numbers = task_of([s[:, 0] for s in steps], classes)
    assert numbers.input_shape == (5, 1)


def test_a_part_of_one_length_is_as_the_others():
    steps, classes = walks()
    test = ([steps[0], steps[7]], classes[:2])
    task = gs.Task.from_arrays((steps, classes), test, validation=(np.stack(test[0]), classes[:2]))
    for split in (task.test, task.validation):
        assert split.inputs.shape == (2, 5, 2)
        assert split.inputs.lengths.tolist() == [3, 3]


def test_arrays_of_one_length_stay_what_they_were():
    steps = [np.ones((3, 2), np.float32)] * 4
    task = task_of(steps, [0, 1, 0, 1])
    assert isinstance(task.train.inputs, np.ndarray)
    assert task.input_shape == (3, 2)


def test_uint8_is_read_as_fractions_and_prepare_reads_steps():
    steps, classes = walks(np.uint8)
    task = task_of(steps, classes)
    assert task.train.inputs.dtype == np.uint8
    read = task.prepare(jax.tree.map(jnp.asarray, task.train.inputs))
    np.testing.assert_array_equal(read.steps[2], as_float(jnp.asarray(steps[2])))

    own = task_of(steps, classes, prepare=lambda x: jnp.log(x.astype(jnp.float32)))
    read = own.prepare(jax.tree.map(jnp.asarray, own.train.inputs))
    assert not np.asarray(read.steps)[~own.train.inputs.is_step].any(), "the log of 0 is padding"
    assert own.fingerprint != task.fingerprint


def test_standardized_by_the_steps_that_are_there():
    steps, classes = walks()
    task = gs.Task.from_arrays(
        (steps, classes), (padded(steps, 50, 1e6), classes, LENGTHS), scale="standard"
    )
    there = np.concatenate(steps).astype(np.float64)
    expected = ((there - there.mean(axis=0)) / there.std(axis=0)).astype(np.float32)
    for split in (task.train, task.test):
        np.testing.assert_array_equal(split.inputs.steps[split.inputs.is_step], expected)
        assert not split.inputs.steps[~split.inputs.is_step].any()


def test_one_set_is_split_and_what_stands_in_two_parts_is_told():
    rng = np.random.default_rng(0)
    steps = [rng.normal(size=(n % 7 + 1, 2)) for n in range(40)]
    task = gs.Task.from_arrays((steps, np.arange(40) % 2))
    assert (task.train.n_examples, task.validation.n_examples, task.test.n_examples) == (28, 6, 6)
    with pytest.warns(UserWarning, match="6 of 6 test inputs are also among the training inputs"):
        gs.Task.from_arrays(([steps[5], steps[6]] * 20, np.arange(40) % 2))
    # The same numbers, but for zeros that are there.
    zeros = [np.zeros((n, 1)) for n in range(1, 41)]
    gs.Task.from_arrays((zeros, np.arange(40) % 2))


# ---- an answer for each step ----


def every_step(kind):
    steps, _ = walks()
    return steps, [kind(one[:, 0]) for one in steps]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (lambda x: (x > 50).astype(int), ()),
        (lambda x: np.where(x > 50, "up", "down").tolist(), ("down", "up")),
    ],
)
def test_a_class_for_each_step(kind, names):
    steps, targets = every_step(kind)
    task = task_of(steps, targets)
    assert task.per_step
    assert task.n_outputs == 2
    assert task.classes == names
    assert task.train.targets.lengths.tolist() == list(LENGTHS)
    rows = [np.asarray(t) for t in targets]
    whole = np.full((8, 9), rows[0].flat[0], rows[0].dtype)
    for row, one in zip(whole, rows, strict=True):
        row[: len(one)] = one
    again = task_of(padded(steps, 9, np.nan), whole, LENGTHS)
    assert again.fingerprint == task.fingerprint


def test_losses_and_metrics_count_the_steps_that_are_there():
    steps, targets = every_step(lambda x: (x > 50).astype(int))
    task = task_of(steps, targets)
    outputs = np.random.default_rng(1).normal(size=(8, 5, 2)).astype(np.float32)
    for row, n in zip(outputs, LENGTHS, strict=True):
        row[n:] = np.nan
    expected_loss, expected = [], []
    for out, right, n in zip(outputs.astype(np.float64), targets, LENGTHS, strict=True):
        logits, right = out[:n], np.asarray(right)
        each = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(n), right]
        expected_loss.append(each.mean())
        expected.append((logits.argmax(axis=1) == right).mean())
    given = jax.tree.map(jnp.asarray, task.test.targets)
    np.testing.assert_allclose(task.loss(jnp.asarray(outputs), given), expected_loss, rtol=1e-5)
    accuracy = task.measured["accuracy"].function(jnp.asarray(outputs), given)
    np.testing.assert_allclose(accuracy, expected, rtol=1e-6)
    slope = jax.grad(lambda x: task.loss(x, given).sum())(jnp.asarray(outputs))
    assert np.isfinite(slope).all()
    assert not slope[1, 1:].any()


def test_numbers_for_each_step_are_standardized_by_the_steps_that_are_there():
    steps, targets = every_step(lambda x: 3 * x + 1)
    task = task_of(steps, targets, unit="mm")
    there = np.concatenate(targets).astype(np.float64)
    found = task.train.targets
    expected = (there - there.mean()) / there.std()
    np.testing.assert_allclose(found.steps[found.is_step][:, 0], expected, rtol=1e-5)
    given = jax.tree.map(jnp.asarray, found)
    error = task.measured["mae"].function(given.steps + 1, given)
    np.testing.assert_allclose(error, there.std(), rtol=1e-5)
    assert task.meanings["rmse"].unit == "mm"
    assert task.n_outputs == 1


@pytest.mark.parametrize("loss", ["squared_error", "mae"])
def test_a_loss_by_name_is_taken_over_the_steps(loss):
    kind = (lambda x: (x > 50).astype(int)) if loss == "squared_error" else (lambda x: 3 * x)
    study = gs.Study(
        task=task_of(*every_step(kind)),
        model="rnn",
        model_options={"returns": "every"},
        loss=loss,
        batch_size=4,
        axes={"hidden_size": [3]},
    )
    resolved = study.resolve()
    recipe, task = resolved.recipe(resolved.trials()[0].cell), resolved.task
    outputs = jnp.ones((8, 5, task.n_outputs))
    found = recipe.loss(outputs, jax.tree.map(jnp.asarray, task.train.targets))
    rows = [task.train.targets.alone(row) for row in range(8)]
    if loss == "mae":
        expected = [np.abs(1 - row).mean() for row in rows]
    else:
        expected = [((1 - np.eye(2)[row]) ** 2).sum(axis=1).mean() for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# ---- files ----


@pytest.mark.parametrize("name", ["lengths", "length", "seq_len", "x_len", "data_lengths"])
def test_lengths_in_a_file_are_found_by_their_name(tmp_path, name):
    steps, classes = walks()
    whole = padded(steps, 9, np.nan)
    np.savez(tmp_path / "w.npz", **{"X": whole, "y": classes, name: LENGTHS})
    parts = {"validation": 0, "test": 0.25}
    task = load_task("arrays", {"path": str(tmp_path / "w.npz"), **parts}, None)
    expected = gs.Task.from_arrays((steps, classes), 0.25, validation=0, name="arrays")
    assert task.fingerprint == expected.fingerprint


@pytest.mark.parametrize("turned", [False, True])
def test_cells_of_matlab_are_sequences(tmp_path, turned):
    """As MATLAB's own networks take them: a cell for each, features across or down."""
    steps, classes = walks()
    cells = np.empty((8, 1), object)
    cells[:, 0] = [one.T if turned else one for one in steps]
    savemat(tmp_path / "w.mat", {"X": cells, "y": classes})
    options = {"path": str(tmp_path / "w.mat"), "validation": 0, "test": 0.25}
    expected = gs.Task.from_arrays((steps, classes), 0.25, validation=0, name="arrays")
    assert load_task("arrays", options, None).fingerprint == expected.fingerprint
    numbers = np.empty((1, 8), object)
    numbers[0] = [one[None, :, 0] if turned else one[:, :1] for one in steps]
    savemat(tmp_path / "w.mat", {"X": numbers, "y": classes})
    expected = gs.Task.from_arrays(([s[:, 0] for s in steps], classes), 0.25, validation=0)
    task = load_task("arrays", options, None)
    np.testing.assert_array_equal(task.train.inputs.steps, expected.train.inputs.steps)


def test_rows_of_different_lengths_of_hdf5_are_sequences(tmp_path):
    steps, classes = walks()
    with h5py.File(tmp_path / "w.h5", "w") as file:
        rows = file.create_dataset("X", (8,), h5py.vlen_dtype(np.float32))
        for at, one in enumerate(steps):
            rows[at] = one[:, 0]
        file["y"] = classes
    options = {"path": str(tmp_path / "w.h5"), "validation": 0, "test": 0.25}
    expected = gs.Task.from_arrays(
        ([s[:, 0] for s in steps], classes), 0.25, validation=0, name="arrays"
    )
    assert load_task("arrays", options, None).fingerprint == expected.fingerprint


def test_lengths_that_are_told_and_those_of_each_part(tmp_path):
    steps, classes = walks()
    whole = padded(steps, 9, np.nan)
    arrays = {"a": whole, "b": classes, "c": np.array(LENGTHS)}
    found = pairs_of(arrays, "file", "a", "b", "c")
    assert [len(found["all"]), found["all"][2].tolist()] == [3, list(LENGTHS)]
    with pytest.raises(GridscapeError, match="unknown array 'd'"):
        pairs_of(arrays, "file", "a", "b", "d")
    parts = {
        f"{part}_{name}": array
        for part in ("train", "test")
        for name, array in zip(("x", "y", "lengths"), arrays.values(), strict=True)
    }
    assert {part: len(found) for part, found in pairs_of(parts, "file").items()} == {
        "train": 3,
        "test": 3,
    }


def test_columns_called_lengths_are_none():
    """Two of them tell nothing, nor does one beside the names of inputs and targets."""
    flat = {"X": np.ones((4, 2)), "y": np.arange(4)}
    two = {**flat, "sepal_length": np.ones(4), "petal_length": np.ones(4)}
    assert len(pairs_of(two, "file")["all"]) == 2
    assert len(pairs_of({**flat, "length": np.ones(4)}, "file", "X", "y")["all"]) == 2
    only = {"X": np.ones((4, 2)), "length": np.arange(4)}
    assert pairs_of(only, "file")["all"][1].tolist() == [0, 1, 2, 3], "what is to be predicted"


# ---- what is wrong is told ----

STEPS, CLASSES = walks()
WHOLE = padded(STEPS, 5, 0)
HOLED = [s.copy() for s in STEPS]
HOLED[4][2, 1] = np.nan
WRONG = {
    "a length of 0": ((WHOLE, CLASSES, [3, 1, 5, 0, 4, 5, 2, 3]), "out of range"),
    "below 0": ((WHOLE, CLASSES, [3, 1, 5, -2, 4, 5, 2, 3]), "out of range"),
    "longer than the array": ((WHOLE, CLASSES, [3, 1, 6, 2, 4, 5, 2, 3]), "sequence 2: a length"),
    "a huge length": ((WHOLE, CLASSES, np.full(8, 2**63, np.uint64)), "out of range"),
    "half a step": ((WHOLE, CLASSES, [3, 1, 2.5, 2, 4, 5, 2, 3]), "not whole numbers"),
    "no length": ((WHOLE, CLASSES, [3, 1, np.nan, 2, 4, 5, 2, 3]), "not whole numbers"),
    "true and false": ((WHOLE, CLASSES, [True] * 8), "not whole numbers"),
    "lengths in words": ((WHOLE, CLASSES, ["three"] * 8), "not whole numbers"),
    "another count": ((WHOLE, CLASSES, [3, 1, 5]), "lengths do not fit the sequences"),
    "one length": ((WHOLE, CLASSES, 5), "lengths do not fit the sequences"),
    "lengths of two kinds": ((WHOLE, CLASSES, np.ones((8, 2))), "do not fit the sequences"),
    "no steps": ((CLASSES, CLASSES, LENGTHS), "no steps"),
    "texts": ((WHOLE.astype(str), CLASSES, LENGTHS), "not an array of numbers"),
    "lengths of a list": ((STEPS, CLASSES, LENGTHS), "of different shapes"),
    "other features": (([*STEPS[:7], np.ones((2, 3))], CLASSES), "sequence 7: sequences of diff"),
    "a number a step": (([*STEPS[:7], np.ones(2)], CLASSES), "sequence 7: sequences of different"),
    "nothing in one": (([*STEPS[:7], np.ones((0, 2))], CLASSES), "sequence 7: a sequence without"),
    "words in one": (([*STEPS[:7], ["a", "b"]], CLASSES), "sequence 7"),
    "objects": (([*STEPS[:7], [{}, {}]], CLASSES), "sequence 7: not an array of numbers"),
    "not finite": ((HOLED, CLASSES), "nan at example 4, place"),
    "masked": (([*STEPS[:7], np.ma.masked_less(STEPS[7], 99)], CLASSES), "masked"),
    "an empty list": (([], []), "or there are none"),
    "other targets": ((STEPS, CLASSES[:5]), "differ in number"),
    "targets of other lengths": (
        (STEPS, [s[:, 0] for s in (*STEPS[:7], STEPS[6])]),
        "sequence 7: targets of another length than their sequence (expected 3",
    ),
    "nothing for one": (([*STEPS[:7], None], CLASSES), "sequence 7: not an array of numbers"),
    "a text for one": (([*STEPS[:7], "text"], CLASSES), "sequence 7: one number, and no array"),
    "a dict for one": (([*STEPS[:7], {}], CLASSES), "sequence 7: not an array of numbers"),
    "a number for one": (([*STEPS[:7], 5], CLASSES), "sequence 7: one number, and no array"),
    "fewer numbers": ((WHOLE, [0.5, 1.5, 0.25]), "differ in number"),
    "a set a label": ((STEPS, [{1}] * 8), "no labels (expected a text or number each, found set)"),
    "only texts": ((["text"] * 8, CLASSES), "not an array of numbers"),
    "only nothing": (([None] * 8, CLASSES), "not an array of numbers"),
    "a target of 0": ((STEPS, 0), "not an array of numbers or texts"),
    "no targets": ((STEPS, None), "not an array of numbers or texts"),
    "no target of arrays": ((WHOLE, None), "not an array of numbers or texts"),
    "no inputs": ((None, CLASSES), "not an array of numbers"),
    "one input": ((0.5, CLASSES), "no array"),
    "labels of each step of an array": (
        (WHOLE, np.tile(np.arange(5), (8, 1))),
        "; labels of each step: (inputs, targets, lengths)",
    ),
    "targets of other lengths than the one": (
        ([np.ones((3, 2))] * 8, [[0, 1, 2]] * 7 + [[0, 1]]),
        "sequence 7: targets of another length",
    ),
    "fewer targets": ((STEPS, [s[:, 0] for s in STEPS[:5]]), "differ in number"),
}


@pytest.mark.parametrize("names", [("X", "y", "z"), ("X", "lengths", "z"), ("X", "y", "y2", "w")])
def test_a_dict_of_other_names_is_no_pair(names):
    part = dict.fromkeys(names, WHOLE)
    with pytest.raises(DataCorruptError, match="not a pair"):
        gs.Task.from_arrays(part, part)


@pytest.mark.parametrize("n_parts", [1, 2])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_in_one_line(name, n_parts):
    train, told = WRONG[name]
    with pytest.raises(DataCorruptError) as caught:
        gs.Task.from_arrays(*[train] * n_parts)
    text = str(caught.value)
    assert told in text
    assert "\n" not in text
    assert len(text) <= 300


def test_parts_with_targets_of_two_kinds_are_told():
    per_step = [s[:, 0] for s in STEPS]
    with pytest.raises(DataCorruptError, match="test, targets, sequence 0: one number, and no arr"):
        gs.Task.from_arrays((STEPS, per_step), (STEPS, CLASSES.tolist()))


def test_a_layout_is_not_for_sequences():
    with pytest.raises(UsageError, match="layout: not for sequences of different lengths"):
        task_of(*walks(), layout="flat")


def test_an_order_is_not_for_lists():
    with pytest.raises(UsageError, match="order: not for a list of sequences"):
        task_of(*walks(), order="NTD")
    steps, classes = walks()
    turned = padded(steps, 5, 0).swapaxes(0, 1)
    again = task_of(turned, classes, LENGTHS, order="TND")
    assert again.fingerprint == task_of(steps, classes).fingerprint


@pytest.mark.parametrize("as_list", [list, np.array])
def test_targets_of_each_step_of_a_list_whose_sequences_are_as_long(as_list):
    rng = np.random.default_rng(0)
    inputs, targets = list(rng.normal(size=(40, 5, 2))), rng.integers(3, size=(40, 5))
    task = gs.Task.from_arrays((inputs, as_list(targets)))
    assert task.per_step
    assert task.n_outputs == 3
    lengths = np.full(40, 5)
    assert task.fingerprint == gs.Task.from_arrays((np.array(inputs), targets, lengths)).fingerprint


def test_one_hot_classes_are_no_targets_of_steps():
    """As many classes as steps: a row says the class of its sequence."""
    classes = np.arange(8) % 5
    for inputs, *lengths in ((WHOLE, LENGTHS), (list(np.ones((8, 5, 2))),)):
        task = task_of(inputs, np.eye(5)[classes], *lengths)
        assert not task.per_step
        np.testing.assert_array_equal(task.train.targets, classes)


@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_a_model_that_cannot_read_them_is_told(model):
    study = Study(task=task_of(*walks()), model=model, batch_size=4, axes={"learning_rate": [0.1]})
    with pytest.raises(ModelError) as caught:
        study.resolve()
    text = str(caught.value)
    assert len(text) <= 300
    if model == "mlp":
        assert "does not read sequences of different lengths" in text
        assert "lstm" in text


def test_lengths_of_a_task_of_ones_own_are_checked():
    task = task_of(*walks())
    wrong = task.train._replace(inputs=Sequences(task.train.inputs.steps, np.zeros(8, np.int32)))
    with pytest.raises(GridscapeError, match="a length out of range"):
        gs.Task(
            name="own",
            train=wrong,
            test=wrong,
            input_shape=task.input_shape,
            n_outputs=2,
            prepare=task.prepare,
        )


def test_a_model_of_ones_own_is_given_steps_and_lengths():
    task = task_of(*walks())

    def apply(params, inputs, key, hyper):
        mean = inputs.cleared().steps.sum(axis=1) / inputs.lengths[:, None]
        return mean @ params["kernel"]

    def alone(params, inputs, key, hyper):
        def of_one(one):  # steps (T, D), and one length
            return one.cleared().steps.sum(axis=0) / one.lengths

        return jax.vmap(of_one)(inputs) @ params["kernel"]

    params = {"kernel": jnp.eye(2)}
    inputs = jax.tree.map(jnp.asarray, task.train.inputs)
    expected = [one.mean(axis=0) for one in walks()[0]]
    for of in (apply, alone):
        check_fit(gs.Model(lambda key, hyper: params, of), {}, task.loss, task)
        np.testing.assert_allclose(of(params, inputs, None, {}), expected, rtol=1e-5)
