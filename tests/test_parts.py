"""Models as users bring them: of all kinds, and those that do not fit their task."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import tiny

from gridscape._parts import check_loss, load_task
from gridscape.base import Model, cross_entropy, hyperparameters
from gridscape.errors import ModelError, StudyFileError, UsageError

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


# ---- losses that do not fit ----


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (lambda outputs, targets: cross_entropy(outputs, targets).mean(), "float32 of shape ()"),
        (
            lambda outputs, targets: cross_entropy(outputs, targets).mean(keepdims=True),
            "float32 of shape (1)",
        ),
        (lambda outputs, targets: outputs, "float32 of shape (B, 10)"),
        (lambda outputs, targets: outputs.argmax(-1) - targets, "int32 of shape (B)"),
        (lambda outputs, targets: None, "NoneType"),
    ],
)
def test_a_loss_that_does_not_fit_the_task(loss, found):
    task = load_task("digits-flat", {}, None)
    with pytest.raises(UsageError) as caught:
        check_loss(loss, PAIR, {}, task)
    assert str(caught.value) == (
        "task digits-flat: the loss does not fit the task (expected one float per example, (B,),"
        f" found {found})"
    )


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
