"""Models as users bring them: of all kinds, and those that do not fit their task."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import tiny

from gridscape.base.data import Groups
from gridscape.base.metrics import accuracy, cross_entropy
from gridscape.base.parts import Model, hyperparameters
from gridscape.errors import ModelError, StudyFileError, UsageError
from gridscape.study.fits import check_fit
from gridscape.study.parts import load_task
from gridscape.sweep import plan, run

# ---- models of all kinds ----


def linear(input_shape, n_outputs, *, scale=1.0):
    """A factory of models with an option."""

    def init(key, hyper):
        return {"w": scale * jax.random.normal(key, (*input_shape, n_outputs))}

    def apply(params, inputs, key, hyper):
        return inputs @ params["w"]

    return Model(init, apply)


@hyperparameters(slope=1.0)
def sloped(input_shape, n_outputs):
    """A factory of models with a traced number."""
    model = linear(input_shape, n_outputs)
    return model._replace(apply=lambda p, x, key, hyper: hyper["slope"] * (x @ p["w"]))


PAIR = linear((64,), 10)


def on_digits(model, axes=None, **values):
    return tiny(axes or {"learning_rate": [0.1]}, task="digits-flat", model=model, **values)


BROUGHT = {
    "Model": PAIR,
    "pair": PAIR[:2],
    "factory": linear,
    "factory of a pair": lambda input_shape, n_outputs: linear(input_shape, n_outputs)[:2],
    "partial": partial(linear, scale=1.0),
    "import string of a factory": "test_parts:linear",
    "import string of a Model": "test_parts:PAIR",
    "traced number": sloped,
}


@pytest.mark.parametrize("model", BROUGHT.values(), ids=BROUGHT)
def test_a_model_may_be_brought_in_many_ways(model):
    resolved = on_digits(model).resolve()
    (cell,) = resolved.study.grid.cells()
    made, hyper = resolved.recipe(cell).model, resolved.recipe(cell).hyper
    x = np.eye(3, 64, dtype=np.float32)
    params = made.init(jax.random.key(0), hyper)
    found = made.apply(params, x, None, hyper)
    np.testing.assert_array_equal(found, jax.random.normal(jax.random.key(0), (64, 10))[:3])


def test_options_of_a_factory_are_static_axes_and_its_numbers_traced_ones():
    assert len(on_digits(linear, {"scale": [0.5, 1.0]}).resolve().first_cells()) == 2
    assert len(on_digits(sloped, {"slope": [0.5, 1.0]}).resolve().first_cells()) == 1
    with_numbers = (PAIR.init, PAIR.apply, {"slope": 2.0})
    resolved = on_digits(with_numbers, {"learning_rate": [0.1]}).resolve()
    assert resolved.recipe(resolved.study.grid.cells()[0]).hyper["slope"] == 2.0


# ---- losses, metrics, answers and groups that do not fit ----

DIGITS = load_task("digits-flat", {}, None)
LEAVE_OUT = "; leave out the mean over the examples: Gridscape takes it"
KEEP_FIRST = "; take the mean over all dimensions but the first"


def mean(outputs, targets):
    return cross_entropy(outputs, targets).mean()


def raising_function(outputs, targets):
    raise ValueError("no such thing\nand more")


NO_NUMBERS = {
    "mean": (mean, f"found float32 of shape ()){LEAVE_OUT}"),
    "mean that keeps its dimension": (
        lambda outputs, targets: cross_entropy(outputs, targets).mean(keepdims=True),
        f"found float32 of shape (1)){LEAVE_OUT}",
    ),
    "mean by class": (
        lambda outputs, targets: outputs.mean(axis=0),
        f"found float32 of shape (10)){LEAVE_OUT}",
    ),
    "column": (
        lambda outputs, targets: cross_entropy(outputs, targets)[:, None],
        f"found float32 of shape (B, 1)){KEEP_FIRST}",
    ),
    "by class": (lambda outputs, targets: outputs, f"found float32 of shape (B, 10)){KEEP_FIRST}"),
    "transposed": (
        lambda outputs, targets: outputs.T,
        "found float32 of shape (10, B)); the examples come first",
    ),
    "one less": (lambda outputs, targets: cross_entropy(outputs, targets)[1:], "found float32 of"),
    "complex": (
        lambda outputs, targets: cross_entropy(outputs, targets) * 1j,
        "found complex64 of shape (B))",
    ),
    "tuple": (lambda outputs, targets: (cross_entropy(outputs, targets),), "found tuple)"),
    "nothing": (lambda outputs, targets: None, "found NoneType)"),
    "number": (lambda outputs, targets: 0.5, "found float)"),
    "NumPy": (lambda outputs, targets: np.ones(len(outputs)), "found ndarray)"),
    "NumPy of what is traced": (
        lambda outputs, targets: np.asarray(outputs)[:, 0],
        "found TracerArrayConversionError: ",
    ),
    "raises": (raising_function, "found ValueError: no such thing)"),
    "other arguments": (lambda outputs: outputs, "found TypeError: "),
}


def line_of(task, loss=cross_entropy):
    with pytest.raises(UsageError) as caught:
        check_fit(PAIR, {}, loss, task)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("function", "found"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_gives_no_number_per_example_is_told_before_anything_trains(function, found):
    named = {
        "the loss": (line_of(DIGITS, function), "float"),
        "the metric 'mine'": (
            line_of(replace(DIGITS, metrics={"accuracy": accuracy, "mine": function})),
            "number",
        ),
        "the task's answer": (line_of(replace(DIGITS, answer=function)), "whole number"),
    }
    for name, (line, word) in named.items():
        assert line.startswith(
            f"task digits-flat: {name} does not fit the task (expected one {word} per example,"
            f" (B,), {found}"
        )


def test_numbers_of_a_kind_that_does_not_fit():
    def signs(outputs, targets):
        return outputs.argmax(-1) - targets

    assert line_of(DIGITS, signs).endswith("found int32 of shape (B))")
    line = line_of(replace(DIGITS, answer=lambda outputs, targets: outputs.max(-1)))
    assert line.endswith("found float32 of shape (B))")
    for kind in (signs, lambda outputs, targets: outputs.argmax(-1) == targets):
        check_fit(PAIR, {}, cross_entropy, replace(DIGITS, metrics={"mine": kind}))


@pytest.mark.parametrize(
    ("of", "found"),
    [
        (lambda labels: labels % 2, None),
        (lambda labels: labels.max(), f"found int32 of shape ()){LEAVE_OUT}"),
        (lambda labels: labels / 2, "found float32 of shape (B))"),
        (lambda labels: labels[:, None], f"found int32 of shape (B, 1)){KEEP_FIRST}"),
        (lambda labels: labels.length, "has no attribute length)"),
    ],
)
def test_kinds_of_examples_that_do_not_fit(of, found):
    task = replace(DIGITS, groups=Groups("parity", (0, 1), of))
    if found is None:
        check_fit(PAIR, {}, cross_entropy, task)
        return
    line = line_of(task)
    assert line.startswith("task digits-flat: the kind of example 'parity' does not fit the task")
    assert line.endswith(found)


def test_a_mean_over_as_many_steps_as_there_are_outputs_is_no_number_per_example():
    """(T,) and (B,) are told apart whatever the lengths of the task are."""
    task = load_task("recall", {"longest": 10, "alphabet": 9}, None)
    by_step = replace(task, metrics={"mine": lambda outputs, asked: outputs.mean(axis=(0, 2))})
    settings = {"axes": {"hidden_size": [2]}, "model_options": {"returns": "every"}}
    assert tiny(**settings, task=task).resolve().trials()
    with pytest.raises(StudyFileError, match=r"found float32 of shape \(10\)\); leave out the m"):
        tiny(**settings, task=by_step).resolve()


def test_a_metric_that_only_the_longer_test_sequences_break():
    task = load_task("binary-addition", {"train_length": 3, "longest_test": 8}, None)

    def of_four_steps(outputs, targets):
        return (outputs[..., 0] * jnp.ones((1, 4))).mean(axis=1)

    study = tiny(
        {"hidden_size": [2]},
        task=replace(task, metrics={"mine": of_four_steps}),
        model_options={"returns": "every"},
    )
    with pytest.raises(StudyFileError, match="addition, test sequences: the metric 'mine' does"):
        study.resolve()


def test_a_study_with_a_mean_as_its_metric_is_refused_by_all_that_would_train():
    study = on_digits(PAIR).override(task=replace(DIGITS, metrics={"mean": mean}))
    line = "the metric 'mean' does not fit the task .* leave out the mean over the examples"
    for verb in (run, plan):
        with pytest.raises(StudyFileError, match=line):
            verb(study, directory="nowhere")
    assert not Path("nowhere").exists()


# ---- models that do not fit ----


def raising(params, inputs, key, hyper):
    raise ValueError("no such layer\nand more")


def odd_in_evaluation(params, inputs, key, hyper):
    return inputs @ params["w"] if key is not None else inputs


SEE = "; it is given inputs of shape (B, 64), and the hyperparameters learning_rate, "
FITS_NOT = "task digits-flat: the model's output does not fit the task (expected shape (B, 10), "
BAD = {
    "raises": (
        (PAIR.init, raising),
        f"task digits-flat: the model raises an error (found ValueError: no such layer){SEE}",
    ),
    "too few outputs": (
        (PAIR.init, lambda p, x, key, hyper: (x @ p["w"])[:, :3]),
        f"{FITS_NOT}found shape (B, 3))",
    ),
    "transposed": (
        (PAIR.init, lambda p, x, key, hyper: (x @ p["w"]).T),
        f"{FITS_NOT}found shape (10, B))",
    ),
    "one example": (
        (PAIR.init, lambda p, x, key, hyper: (x @ p["w"])[0]),
        f"{FITS_NOT}found shape (10))",
    ),
    "two outputs": (
        (PAIR.init, lambda p, x, key, hyper: (x @ p["w"], x)),
        f"{FITS_NOT}found tuple)",
    ),
    "only in evaluation": ((PAIR.init, odd_in_evaluation), f"{FITS_NOT}found shape (B, 64))"),
    "whole numbers": (
        (lambda key, hyper: {"w": jnp.zeros((64, 10), int)}, PAIR.apply),
        "w: a parameter that cannot be trained (expected a float32 array, found int32);"
        " keep it in a closure, out of what init returns",
    ),
    "too large": (
        (
            lambda key, hyper: {"w": jnp.zeros((64, 10)), "v": jnp.zeros((2**40, 2**20))},
            lambda p, x, key, hyper: x @ p["w"],
        ),
        "the model is too large (expected parameters of at most 281,474,976,710,656 bytes, found",
    ),
    "no parameters": (
        (lambda key, hyper: {}, lambda p, x, key, hyper: x[:, :10]),
        "the model has no parameters (expected a pytree of arrays)",
    ),
    "no model": (
        lambda input_shape, n_outputs: 3,
        "the factory makes no model (expected a Model or (init, apply), found int);"
        " an Equinox module is brought by gridscape.from_equinox(build)",
    ),
    "cannot be made": (
        lambda input_shape, n_outputs: linear(*input_shape),
        "task digits-flat: the model cannot be made (found TypeError: linear() missing 1 required"
        " positional argument: 'n_outputs')",
    ),
}


@pytest.mark.parametrize(("model", "expected"), BAD.values(), ids=BAD)
def test_a_model_that_does_not_fit_is_told_in_one_line(model, expected):
    with pytest.raises(ModelError) as caught:
        on_digits(model, {"learning_rate": [0.1, 0.01], "updates": [3, 5]}).resolve()
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_cells_that_do_not_fit_for_different_reasons_are_all_told():
    def factory(input_shape, n_outputs, *, width):
        return linear(input_shape, width)

    with pytest.raises(StudyFileError) as caught:
        on_digits(factory, {"width": [3, 10, 7]}).resolve()
    assert caught.value.mistakes == [f"{FITS_NOT}found shape (B, {width}))" for width in (3, 7)]


NO_MODELS = [
    (3, "model: not a model (expected a name, an import string, (init, apply) or a factory"),
    (lambda key: key, "found a function of (key)); an Equinox module is brought by gridscape.from"),
    ("lsmt", "model: unknown model 'lsmt'; did you mean 'lstm'?"),
    ("no_such_module:net", "cannot import the model 'no_such_module:net' (found ModuleNotFoundE"),
    ("test_parts:nothing", "cannot import the model 'test_parts:nothing' (found AttributeError"),
]


@pytest.mark.parametrize(("model", "words"), NO_MODELS, ids=lambda x: str(x)[:20])
def test_what_is_no_model_is_told(model, words):
    with pytest.raises(StudyFileError) as caught:
        on_digits(model).resolve()
    (found,) = caught.value.mistakes
    assert words in found


def reads_at_most(n_steps):
    """A factory of models with a weight of its own for each of so many steps."""

    def made(input_shape, n_outputs):
        def init(key, hyper):
            return {"w": jnp.zeros((n_steps, input_shape[-1], n_outputs))}

        def apply(params, inputs, key, hyper):
            return jnp.einsum("btd,tdo->bto", inputs, params["w"][: inputs.shape[1]])

        return Model(init, apply)

    return made


def test_test_sequences_that_a_model_cannot_read():
    options = {"train_length": 5, "longest_test": 8}  # bits; a sum takes one step more
    settings = {"task": "binary-addition", "task_options": options, "axes": {"l2": [0.0]}}
    assert tiny(**settings, model=reads_at_most(9)).resolve().trials()
    with pytest.raises(ModelError) as caught:
        tiny(**settings, model=reads_at_most(6)).resolve()
    line = str(caught.value)
    assert line.startswith("task binary-addition, test sequences: the model raises an error (found")
    assert "it is given inputs of shape (B, 9, 2), and" in line
