"""Recurrent models against independent float64 references: forward, gradients, Adam updates."""

import operator
from contextlib import nullcontext
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference

from gridscape import kernels
from gridscape.base.metrics import cross_entropy
from gridscape.engine.trial import init_trial
from gridscape.errors import ModelError, UnknownNameError, UsageError
from gridscape.models._cells import CELLS
from gridscape.models.recurrent import gru, lstm, lstm_layer, recurrent, rnn
from gridscape.optimizers import adam
from gridscape.study.parts import model_factory, model_options

# How a model is asked for each cell; every test of cells runs with all of them.
OPTIONS = {
    "rnn": {"cell": "rnn"},
    "gru": {"cell": "gru", "reset": "before"},
    "gru_after": {"cell": "gru", "reset": "after"},
    "lstm": {"cell": "lstm"},
}
INITS = ("tf1", "pytorch")

# float32 carries 24 bits: 6e-8 relative a rounding. Errors of a sum over time and batch grow like
# the root of its length (560 terms: 24). They are measured in the Euclidean norm of an array:
# Adam divides by the root of the second moment, which magnifies the rounding of single entries
# whose gradient is nearly zero without any bound.
FLOAT32_TOLERANCE = 1e-5
# In float64 the same program must agree to rounding: this shows that the mathematics is the same,
# which a float32 comparison alone cannot.
FLOAT64_TOLERANCE = 1e-10
PRECISIONS = {"float32": FLOAT32_TOLERANCE, "float64": FLOAT64_TOLERANCE}
# The plain path in float32, which native kernels take the place of where they are compiled.
PATHS = {"float32": False, "float32, plain": True, "float64": False}

HYPER = {**lstm.hyperparameters, **adam().hyperparameters, "learning_rate": 1e-3}


def test_every_cell_is_tested():
    assert OPTIONS.keys() == CELLS.keys() == reference.RECURRENT_LAYERS.keys()


@pytest.fixture(params=OPTIONS)
def cell(request):
    return request.param


@pytest.fixture(params=INITS)
def init(request):
    return request.param


@pytest.fixture(params=PATHS)
def precision(request):
    name = request.param.partition(",")[0]
    path = kernels.plain() if PATHS[request.param] else nullcontext()
    with jax.enable_x64(name == "float64"), path:
        yield np.dtype(name), PRECISIONS[name]


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield np.dtype("float64")


def problem(model, shape, dtype, seed=0):
    """Parameters, inputs (B, T, D) and labels (B, T) for shape (B, T, D).

    No bias is zero, which would hide a mistake, and states neither die out nor saturate.
    """
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0), HYPER)
    params = {
        name: jnp.asarray(rng.normal(size=s.shape) / np.sqrt(sum(s.shape)), dtype)
        for name, s in shapes.items()
    }
    x = rng.uniform(-1, 1, size=shape).astype(dtype)
    return params, x, rng.integers(0, 10, shape[:2]).astype(np.int32)


def compiled(function):
    """The function compiled in haste, in half the time: most of this file's time."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def differentiated(model):
    """(params, x, y, hyper) -> ((mean loss, outputs), gradients)."""

    def loss(params, x, y, hyper):
        outputs = model.apply(params, x, None, hyper)
        return cross_entropy(outputs, y).mean(), outputs

    return jax.value_and_grad(loss, has_aux=True)


def of_reference(cell, **options):
    """What the reference must be told of a cell besides its parameters."""
    return {"cell": cell, **options, **({"forget_bias": 1.0} if cell == "lstm" else {})}


def as_float64(tree):
    return {name: np.asarray(value, np.float64) for name, value in tree.items()}


def assert_close(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        error = np.linalg.norm(np.asarray(found[name], np.float64) - value)
        size = np.linalg.norm(value)
        assert error <= tolerance * size, f"{name}: error {error:.1e} of {size:.1e}"


def assert_agrees(found, params, x, y, told, tolerance):
    """Loss, outputs and every gradient are those of the reference."""
    (loss, outputs), grads = found
    expected_outputs, _ = reference.recurrent_forward(as_float64(params), x, **told)
    expected_loss, expected = reference.recurrent_gradients(as_float64(params), x, y, **told)
    assert_close({"outputs": outputs}, {"outputs": expected_outputs}, tolerance)
    np.testing.assert_allclose(loss, expected_loss, rtol=tolerance)
    assert_close(grads, expected, tolerance)


# ---- against the reference ----


def test_every_gradient_and_twenty_adam_updates(cell, init, precision):
    dtype, tolerance = precision
    model = recurrent((14, 9), 10, hidden_size=16, init=init, **OPTIONS[cell])
    params, x, y = problem(model, (40, 14, 9), dtype)
    y, told, transform = y[:, 0], of_reference(cell), adam().make(HYPER)

    def update(params, moments):
        found = differentiated(model)(params, x, y, HYPER)
        changes, moments = transform.update(found[1], moments, params)
        return found, optax.apply_updates(params, changes), moments

    step, moments = compiled(update), transform.init(params)
    expected, rule = as_float64(params), reference.Adam(HYPER["learning_rate"])
    for number in range(20):
        found, new, moments = step(params, moments)
        if number == 0:
            assert_agrees(found, params, x, y, told, tolerance)
        loss, grads = reference.recurrent_gradients(expected, x, y, **told)
        np.testing.assert_allclose(found[0][0], loss, rtol=tolerance)
        expected, params = rule.step(expected, grads), new
    assert_close(params, expected, tolerance)


STACK = ("5-3", 2, "last", "tf1")


@pytest.mark.parametrize(
    ("cell", "layers", "directions", "returns", "init"),
    [
        *((cell, *STACK) for cell in OPTIONS),
        ("rnn", "5-3", 2, "every", "pytorch"),
        ("rnn", 3, 1, "last", "pytorch"),
        ("rnn", 1, 2, "last", "tf1"),
        ("rnn", 1, 1, "every", "tf1"),
    ],
)
def test_stacks_directions_and_every_step(cell, layers, directions, returns, init, float64):
    options = {"layers": layers, "directions": directions, "returns": returns, "init": init}
    model = recurrent((6, 2), 10, hidden_size=4, **options, **OPTIONS[cell])
    params, x, y = problem(model, (3, 6, 2), float64)
    y = y if returns == "every" else y[:, 0]
    found = compiled(differentiated(model))(params, x, y, HYPER)
    assert_agrees(found, params, x, y, of_reference(cell, returns=returns), FLOAT64_TOLERANCE)


@pytest.mark.parametrize("n_steps", [1, 9])
def test_sequences_of_any_length_are_read(cell, n_steps, float64):
    model = recurrent((6, 2), 10, hidden_size=4, returns="every", **OPTIONS[cell])
    params, _, _ = problem(model, (3, 6, 2), float64)
    x = np.random.default_rng(1).normal(size=(3, n_steps, 2))
    found = compiled(model.apply)(params, x, None, HYPER)
    told = of_reference(cell, returns="every")
    expected, _ = reference.recurrent_forward(as_float64(params), x, **told)
    assert_close({"outputs": found}, {"outputs": expected}, FLOAT64_TOLERANCE)


def test_trials_together_each_agree(cell, float64):
    model = recurrent((6, 2), 10, hidden_size=4, **OPTIONS[cell])
    trials = [problem(model, (3, 6, 2), float64, seed)[0] for seed in range(3)]
    _, x, y = problem(model, (3, 6, 2), float64)
    gradient = jax.vmap(differentiated(model), in_axes=(0, None, None, None))
    together = {name: jnp.stack([params[name] for params in trials]) for name in trials[0]}
    found = compiled(gradient)(together, x, y[:, 0], HYPER)
    for trial, params in enumerate(trials):
        one = jax.tree.map(operator.itemgetter(trial), found)
        assert_agrees(one, params, x, y[:, 0], of_reference(cell), FLOAT64_TOLERANCE)


def test_the_forget_bias_is_a_traced_number(float64):
    model = lstm((1, 3), 10, hidden_size=4)
    params, x, y = problem(model, (2, 1, 3), float64)
    gradient = compiled(differentiated(model))
    for forget_bias in (0.0, 2.5):
        found = gradient(params, x, y[:, 0], {**HYPER, "forget_bias": forget_bias})
        told = {"cell": "lstm", "forget_bias": forget_bias}
        assert_agrees(found, params, x, y[:, 0], told, FLOAT64_TOLERANCE)
    assert gradient._cache_size() == 1


def test_the_lstm_layer_ends_in_the_last_state(float64):
    params, x, _ = problem(lstm((5, 3), 10, hidden_size=4), (2, 5, 3), float64)
    steps = jnp.asarray(x.swapaxes(0, 1))
    last = compiled(lstm_layer)(params["kernel"], params["bias"], steps)
    through = {**as_float64(params), "output_kernel": np.eye(4), "output_bias": np.zeros(4)}
    expected, _ = reference.lstm_forward(through, x, forget_bias=0.0)
    np.testing.assert_allclose(last, expected, rtol=1e-12)


# ---- initial parameters ----

D, H = 28, 96
# Limits of the uniform kernels: sqrt(6 / (rows + columns)) of the fused kernel.
GLOROT_FANS = {
    "rnn": {"kernel": (D + H) + H},
    "gru": {"gate_kernel": (D + H) + 2 * H, "candidate_kernel": (D + H) + H},
    "gru_after": {
        "gate_kernel": (D + H) + 2 * H,
        "candidate_kernel_ih": D + H,
        "candidate_kernel_hh": H + H,
    },
    "lstm": {"kernel": (D + H) + 4 * H},
}


@cache
def compiled_init(**options):
    model = recurrent((28, D), 10, hidden_size=H, **options)
    return compiled(lambda scale: model.init(jax.random.key(3), {"init_scale": scale}))


def initial(init_scale=1.0, **options):
    return as_float64(compiled_init(**options)(init_scale))


def assert_uniform(values, limit):
    """Mean and variance within 5 standard errors, the ends reached and not passed."""
    assert np.abs(values).max() <= limit * (1 + 1e-6)
    assert np.abs(values).max() > limit * (1 - 10 / values.size)
    assert abs(values.mean()) < 5 * limit / np.sqrt(3 * values.size)
    assert abs(values.var() / (limit**2 / 3) - 1) < 5 * np.sqrt(0.8 / values.size)


def assert_normal(values):
    assert abs(values.mean()) < 5 / np.sqrt(values.size)
    assert abs(values.var() - 1) < 5 * np.sqrt(2 / values.size)


def test_tensorflow_1_starts(cell):
    params = initial(init="tf1", **OPTIONS[cell])
    assert_normal(params.pop("output_kernel"))
    assert_normal(params.pop("output_bias"))
    for name, fans in GLOROT_FANS[cell].items():
        assert_uniform(params.pop(name), np.sqrt(6 / fans))
    for name, bias in params.items():
        np.testing.assert_array_equal(bias, 1 if name == "gate_bias" else 0)


def test_pytorch_starts(cell):
    params = initial(init="pytorch", **OPTIONS[cell])
    biases = [name for name in params if "bias" in name and "output" not in name]
    assert len(biases) == 2 * len({name[: -len("_ih")] for name in biases}) > 0
    for values in params.values():  # the linear layer has a fan-in of H, too
        assert_uniform(values, 1 / np.sqrt(H))


def test_fans_of_further_layers_count_both_directions():
    params = initial(cell="rnn", layers="48-32", directions=2, output_init="tf1")
    assert_uniform(params["layer2_backward_kernel"], np.sqrt(6 / (2 * 48 + 2 * 32)))
    assert_uniform(params["output_kernel"], np.sqrt(6 / (2 * 32 + 10)))
    assert not params["output_bias"].any()


def test_no_two_parameters_start_equal():
    params = initial(cell="rnn", layers="48-32", directions=2, init="pytorch")
    assert_uniform(params["layer2_backward_kernel"], 1 / np.sqrt(32))
    assert_uniform(params["output_kernel"], 1 / np.sqrt(2 * 32))
    assert len(params) == 2 * 2 * 3 + 2
    first = {v.flat[0] / np.abs(v).max() for v in params.values()}
    assert len(first) == len(params)


def test_init_scale_multiplies_the_kernels_of_the_layers_only(cell, init):
    one, two = (initial(scale, init=init, **OPTIONS[cell]) for scale in (1.0, 2.0))
    for name, values in one.items():
        scale = 2 if "kernel" in name and "output" not in name else 1
        np.testing.assert_allclose(two[name], scale * values, rtol=1e-6)


def test_another_replicate_starts_elsewhere():
    model = lstm((8, 8), 10, hidden_size=4)
    start = compiled(lambda words: init_trial(model.init, adam().make, words, HYPER))
    first, second = (start(jnp.array([0, k], jnp.uint32)) for k in (1, 2))
    assert not np.array_equal(first.params["kernel"], second.params["kernel"])


# ---- what may be asked for ----


@pytest.mark.parametrize("layers", [2, "7-7", [7, 7], (7, 7)])
def test_widths_may_be_written_in_three_ways(layers):
    model = rnn((5, 3), 10, hidden_size=7, layers=layers)
    shapes = jax.eval_shape(model.init, jax.random.key(0), HYPER)
    assert {name: s.shape for name, s in shapes.items()} == {
        "kernel": (10, 7),
        "bias": (7,),
        "layer2_kernel": (14, 7),
        "layer2_bias": (7,),
        "output_kernel": (7, 10),
        "output_bias": (10,),
    }


@pytest.mark.parametrize(
    ("factory", "cell", "numbers"),
    [
        (rnn, "rnn", {"init_scale": 1.0}),
        (gru, "gru", {"init_scale": 1.0}),
        (lstm, "lstm", {"init_scale": 1.0, "forget_bias": 1.0}),
        (recurrent, None, {"init_scale": 1.0, "forget_bias": 1.0}),
    ],
)
def test_named_models_are_the_one_with_its_cell_chosen(factory, cell, numbers, monkeypatch):
    assert model_factory(factory.__name__) is factory
    assert factory.hyperparameters == numbers
    own = {name: p.default for name, p in model_options(factory).items()}
    if factory is not recurrent:
        not_read = {"cell"} if cell == "gru" else {"cell", "reset"}
        usual = {name: p.default for name, p in model_options(recurrent).items()}
        assert own == {name: value for name, value in usual.items() if name not in not_read}
        asked = {name: f"a {name}" for name in own}
        monkeypatch.setattr("gridscape.models.recurrent.recurrent", lambda *a, **k: (a, k))
        assert factory((4, 3), 10, **asked) == (((4, 3), 10), {"cell": cell, **asked})


WHOLE = "a whole number from 1"


@pytest.mark.parametrize(
    ("option", "error", "words"),
    [
        *(({"hidden_size": v}, UsageError, WHOLE) for v in (0, -1, 2.5, True, "16")),
        *(({"layers": v}, UsageError, WHOLE) for v in (0, -1, 1.0, True, None)),
        *(
            ({"layers": v}, UsageError, "not a width for each layer")
            for v in ("", "64-", "64-x", "64-0", "6.5-2", "-5", [], [64, 2.5], [0], [True])
        ),
        *(({"directions": v}, UsageError, "1 or 2") for v in (0, 3, True, 2.0, "2")),
        ({"cell": "lstn"}, UnknownNameError, "did you mean 'lstm'"),
        ({"init": "torch"}, UnknownNameError, "did you mean 'pytorch'"),
        ({"init": "normal"}, UnknownNameError, "known: pytorch, tf1"),
        ({"output_init": "normla"}, UnknownNameError, "did you mean 'normal'"),
        ({"output_init": ""}, UnknownNameError, "known: normal, pytorch, tf1"),
        ({"returns": "evry"}, UnknownNameError, "did you mean 'every'"),
        ({"reset": "afters"}, UnknownNameError, "did you mean 'after'"),
        ({"reset": 3}, UnknownNameError, "known: after, before"),
    ],
    ids=str,
)
def test_bad_options(option, error, words):
    with pytest.raises(error) as caught:
        recurrent((28, 28), 10, **option)
    assert str(caught.value).startswith(next(iter(option)))
    assert words in str(caught.value)


@pytest.mark.parametrize("input_shape", [(28, 28, 1), (784,), (), (0, 28), (28, 0)])
def test_inputs_that_are_no_sequences(input_shape):
    with pytest.raises(ModelError, match=r"steps, features.*found"):
        lstm(input_shape, 10)
