"""The LSTM against an independent float64 reference: forward, every gradient, Adam updates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax import lax

from gridscape.base import Split, Task
from gridscape.engine import TrialState, init_trial, update_trial
from gridscape.errors import ModelError, UsageError
from gridscape.models.recurrent import lstm, lstm_layer
from gridscape.optimizers import adam
from gridscape.study import Recipe

# float32 carries 24 bits: 6e-8 relative a rounding. Errors of a sum over time and batch grow like
# the root of its length (2,800 terms: 53). They are measured in the Euclidean norm of an array:
# Adam divides by the root of the second moment, which magnifies the rounding of single entries
# whose gradient is nearly zero without any bound.
FLOAT32_TOLERANCE = 1e-5
# In float64 the same program must agree to rounding: this shows that the mathematics is the same,
# which a float32 comparison alone cannot.
FLOAT64_TOLERANCE = 1e-10

SHAPES = [(1, 1, 1, 1), (5, 3, 7, 2), (28, 28, 16, 100), (28, 28, 33, 13)]  # T, D, H, B
HYPER = {"learning_rate": 0.01, "forget_bias": 1.0, "init_scale": 1.0, "b1": 0.9, "b2": 0.999}
HYPER["eps"] = 1e-8


def recipe_of(model):
    return Recipe({}, {}, model, adam(), 4, 20, HYPER)


def problem(shape, dtype, seed=0):
    n_steps, n_features, n_hidden, n_batch = shape
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n_batch, n_steps, n_features)).astype(dtype)
    y = rng.integers(0, 10, n_batch).astype(np.int32)
    model = lstm((n_steps, n_features), 10, hidden_size=n_hidden)
    params = model.init(jax.random.key(seed), HYPER)
    noise = rng.normal(size=params["bias"].shape) * 0.1  # zero biases would hide a mistake
    params = {**params, "bias": params["bias"] + noise}
    params = {k: jnp.asarray(v, dtype) for k, v in params.items()}
    return model, params, x, y


def as_float64(tree):
    return {name: np.asarray(value, np.float64) for name, value in tree.items()}


def assert_close(found, expected, tolerance):
    for name, value in expected.items():
        difference = np.asarray(found[name], np.float64) - value
        error = np.linalg.norm(difference) / np.linalg.norm(value)
        assert error <= tolerance, f"{name}: relative error {error:.1e}"


@pytest.fixture(params=[("float32", FLOAT32_TOLERANCE), ("float64", FLOAT64_TOLERANCE)])
def precision(request):
    name, tolerance = request.param
    with jax.enable_x64(name == "float64"):
        yield np.dtype(name), tolerance


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("forget_bias", [0.0, 1.0, 2.5])
def test_forward_and_every_gradient(shape, forget_bias, precision):
    dtype, tolerance = precision
    model, params, x, y = problem(shape, dtype)
    hyper = {**HYPER, "forget_bias": forget_bias}

    def loss(params):
        logits = model.apply(params, jnp.asarray(x), None, hyper)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
        return -chosen.mean(), logits

    (found_loss, logits), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    expected_loss, expected = reference.lstm_gradients(as_float64(params), x, y, forget_bias)
    expected_logits, _ = reference.lstm_forward(as_float64(params), x, forget_bias)
    assert_close({"logits": logits}, {"logits": expected_logits}, tolerance)
    np.testing.assert_allclose(found_loss, expected_loss, rtol=tolerance)
    assert_close(grads, expected, tolerance)


@pytest.mark.parametrize("learning_rate", [1e-4, 0.01])
def test_twenty_adam_updates(learning_rate, precision):
    dtype, tolerance = precision
    model, params, x, y = problem((28, 28, 16, 100), dtype)
    task = Task.from_arrays((x, y), (x, y), n_outputs=10)
    hyper = {**HYPER, "learning_rate": learning_rate}
    recipe = recipe_of(model)
    zero = jnp.zeros((), jnp.int32)
    state = TrialState(params, recipe.optimizer.make(hyper).init(params), zero, zero, zero)
    batch = Split(jnp.asarray(x), jnp.asarray(y))
    step = jax.jit(lambda s: update_trial(recipe, task, 1, s, batch, jax.random.key(0), hyper))
    expected, rule = as_float64(params), reference.Adam(learning_rate)
    for number in range(20):
        state, numbers = step(state)
        loss, grads = reference.lstm_gradients(expected, x, y, 1.0)
        np.testing.assert_allclose(numbers["loss"], loss, rtol=tolerance)
        expected = rule.step(expected, grads)
        assert int(state.update) == number + 1
    assert_close(state.params, expected, tolerance)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_layer_equals_differentiated_scan_in_its_inputs_too(shape):
    n_steps, n_features, n_hidden, n_batch = shape
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        kernel = jnp.asarray(rng.normal(size=(n_features + n_hidden, 4 * n_hidden)) * 0.2)
        bias = jnp.asarray(rng.normal(size=4 * n_hidden))
        x = jnp.asarray(rng.normal(size=(n_steps, n_batch, n_features)))
        weight = jnp.asarray(rng.normal(size=(n_batch, n_hidden)))

        def plain(kernel, bias, x):
            def step(carry, x_t):
                h, c = carry
                gates = jnp.concatenate([x_t, h], -1) @ kernel + bias[None]
                i, j, f, o = jnp.split(gates, 4, -1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(j)
                return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

            zeros = jnp.zeros((n_batch, n_hidden))
            return lax.scan(step, (zeros, zeros), x)[0][0]

        for layer_grads, plain_grads in zip(
            jax.grad(lambda *a: (lstm_layer(*a) * weight).sum(), (0, 1, 2))(kernel, bias, x),
            jax.grad(lambda *a: (plain(*a) * weight).sum(), (0, 1, 2))(kernel, bias, x),
            strict=True,
        ):
            np.testing.assert_allclose(layer_grads, plain_grads, rtol=1e-9, atol=1e-12)


def test_initial_weights_follow_the_tensorflow_1_conventions():
    model = lstm((28, 28), 10, hidden_size=256)
    params = model.init(jax.random.key(3), {"init_scale": 1.0})
    limit = np.sqrt(6 / (28 + 5 * 256))  # Glorot over the fused shape (D+H, 4H)
    kernel = np.asarray(params["kernel"])
    assert np.abs(kernel).max() <= limit
    # A uniform sample: its mean and variance within 5 standard errors, its ends reached.
    n = kernel.size
    assert abs(kernel.mean()) < 5 * limit / np.sqrt(3 * n)
    assert abs(kernel.var() / (limit**2 / 3) - 1) < 5 * np.sqrt(0.8 / n)
    assert np.abs(kernel).max() > 0.999 * limit
    assert not np.asarray(params["bias"]).any()
    for name in ("output_kernel", "output_bias"):
        values = np.asarray(params[name])
        assert abs(values.mean()) < 5 / np.sqrt(values.size)
        assert abs(values.var() - 1) < 5 * np.sqrt(2 / values.size)


def test_init_scale_multiplies_the_kernel_only():
    model = lstm((8, 8), 10, hidden_size=4)
    one = model.init(jax.random.key(0), {"init_scale": 1.0})
    two = model.init(jax.random.key(0), {"init_scale": 2.0})
    np.testing.assert_allclose(two["kernel"], 2 * one["kernel"], rtol=1e-6)
    np.testing.assert_array_equal(two["output_kernel"], one["output_kernel"])


def test_another_replicate_starts_elsewhere():
    model = lstm((8, 8), 10, hidden_size=4)
    recipe = recipe_of(model)
    first, second = (init_trial(recipe, jnp.array([0, k], jnp.uint32), HYPER) for k in (1, 2))
    assert not np.array_equal(first.params["kernel"], second.params["kernel"])


@pytest.mark.parametrize("hidden_size", [0, -1, 2.5, True, "16"])
def test_bad_width(hidden_size):
    with pytest.raises(UsageError, match="hidden_size"):
        lstm((28, 28), 10, hidden_size=hidden_size)


def test_images_that_are_no_rows():
    with pytest.raises(ModelError, match="steps"):
        lstm((28, 28, 1), 10)
