"""MLP and LeNet5 against independent float64 references: forward, every gradient, updates."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference
import reference_feedforward as plain

from gridscape import kernels
from gridscape.engine.training import named_leaves
from gridscape.errors import ModelError, UsageError
from gridscape.models import feedforward
from gridscape.models.feedforward import DRAWS, dropout, lenet5, max_pool, mlp
from gridscape.optimizers import adam, sgd
from gridscape.study.study import Study

# float32 carries 24 bits: 6e-8 relative a rounding. Errors of a sum grow like the root of its
# length; they are measured in the Euclidean norm of an array, as in test_recurrent.py.
FLOAT32_TOLERANCE = 1e-5
# In float64 the same program must agree to rounding: this shows that the mathematics is the same,
# which a float32 comparison alone cannot.
FLOAT64_TOLERANCE = 1e-10

HYPER = {"init_scale": 1.0, "keep": 0.5, "init_sd": 0.3, "init_bias": 0.1}
SMALL = {"channels1": 3, "channels2": 4, "hidden_size": 6, "kernel_size": 3}

MLPS = {  # options, loss
    "relu": ({}, "cross_entropy"),
    "two widths": ({"layers": "6-5", "activation": "sigmoid"}, "cross_entropy"),
    "tanh of the report": (
        {"activation": "tanh", "output_activation": "same", "bias": False},
        "squared_error",
    ),
    "relu_scaled of the report": (
        {"activation": "relu_scaled", "output_activation": "same", "bias": False},
        "squared_error",
    ),
    "linear below sigmoid": (
        {"layers": 2, "activation": "linear", "output_activation": "sigmoid"},
        "squared_error",
    ),
}
LENETS = {  # input shape, kernel size: even and odd images and windows, one and more channels
    "odd image": ((5, 7, 2), 3),
    "even window": ((5, 6, 3), 4),
    "window beyond the image": ((4, 4, 1), 5),
}


@pytest.fixture(params=[("float32", FLOAT32_TOLERANCE), ("float64", FLOAT64_TOLERANCE)])
def precision(request):
    name, tolerance = request.param
    with jax.enable_x64(name == "float64"):
        yield np.dtype(name), tolerance


def problem(model, input_shape, dtype, n_batch=5, seed=0):
    """Inputs of both signs, labels, and parameters none of which is zero."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_batch, *input_shape)).astype(dtype)
    y = rng.integers(0, 3, n_batch).astype(np.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(seed), HYPER)
    params = jax.tree.map(lambda p: jnp.asarray(0.3 * rng.normal(size=p.shape), dtype), shapes)
    return params, x, y


def squared_error(outputs, labels):
    return ((outputs - jax.nn.one_hot(labels, outputs.shape[-1])) ** 2).sum(-1)


LOSSES = {
    "cross_entropy": optax.losses.softmax_cross_entropy_with_integer_labels,
    "squared_error": squared_error,
}


def loss_of(model, x, y, loss="cross_entropy", key=None):
    """params -> (mean loss, outputs)."""

    def mean_loss(params):
        outputs = model.apply(params, jnp.asarray(x), key, HYPER)
        return LOSSES[loss](outputs, jnp.asarray(y)).mean(), outputs

    return mean_loss


def as_float64(tree):
    return {name: np.asarray(value, np.float64) for name, value in named_leaves(tree).items()}


def assert_close(found, expected, tolerance):
    found = as_float64(found)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        error = np.linalg.norm(found[name] - value) / np.linalg.norm(value)
        assert error <= tolerance, f"{name}: relative error {error:.1e}"


def assert_gradients(model, params, x, y, expected, tolerance, **options):
    """Outputs, loss and every gradient; ``expected`` is what the reference returns."""
    outputs, value, grads = expected
    differentiate = jax.jit(jax.value_and_grad(loss_of(model, x, y, **options), has_aux=True))
    (found_value, found_outputs), found_grads = differentiate(params)
    assert_close({"outputs": found_outputs}, {"outputs": outputs}, tolerance)
    np.testing.assert_allclose(found_value, value, rtol=tolerance)
    assert_close(found_grads, grads, tolerance)


def reference_mlp(name, params, x, y):
    options, loss = MLPS[name]
    hidden = options.get("activation", "relu")
    output = hidden if "output_activation" in options else "linear"
    output = "sigmoid" if name == "linear below sigmoid" else output
    hidden = "relu" if hidden == "relu_scaled" else hidden
    return plain.mlp_gradients(as_float64(params), np.asarray(x, float), y, hidden, output, loss)


@pytest.mark.parametrize("name", MLPS)
def test_mlp_forward_and_every_gradient(name, precision):
    dtype, tolerance = precision
    options, loss = MLPS[name]
    model = mlp((4, 3), 3, **{"hidden_size": 7, **options})
    params, x, y = problem(model, (4, 3), dtype)
    expected = reference_mlp(name, params, x, y)
    assert_gradients(model, params, x, y, expected, tolerance, loss=loss)


@pytest.mark.parametrize("name", LENETS)
def test_lenet5_forward_and_every_gradient(name, precision):
    dtype, tolerance = precision
    shape, kernel_size = LENETS[name]
    model = lenet5(shape, 3, **{**SMALL, "kernel_size": kernel_size})
    params, x, y = problem(model, shape, dtype)
    expected = plain.lenet_gradients(as_float64(params), np.asarray(x, float), y, 1.0)
    assert_gradients(model, params, x, y, expected, tolerance)


def test_lenet5_with_dropout(precision):
    """The mask is read off where dropout is applied to ones; all else is the reference's."""
    dtype, tolerance = precision
    model, key = lenet5((4, 4, 1), 3, **SMALL), jax.random.key(7)
    params, x, y = problem(model, (4, 4, 1), dtype)
    place = [layer.kind for layer in model.layers].index("dropout")
    ones = jnp.ones((len(x), SMALL["hidden_size"]), dtype)
    mask = model.layers[place].apply({}, ones, jax.random.fold_in(key, place), HYPER)
    assert set(np.unique(mask)) == {0, 2}
    expected = plain.lenet_gradients(
        as_float64(params), np.asarray(x, float), y, np.asarray(mask, float)
    )
    assert_gradients(model, params, x, y, expected, tolerance, key=key)


@pytest.mark.parametrize(
    ("patch_bytes", "n_pieces"),
    [(10**9, 1), (6 * 700, 1), (5 * 700, 2), (4 * 700, 2), (3 * 700, 2), (700, 6), (1, 6)],
)
def test_patches_are_formed_for_as_many_images_as_fit(monkeypatch, patch_bytes, n_pieces):
    """Seen in the program as the length of the loop; 6 images of 700 bytes of patches."""
    monkeypatch.setattr(feedforward, "PATCH_BYTES", patch_bytes)
    x, kernel = jnp.ones((6, 7, 5, 1)), jnp.ones((5, 1, 1, 2))
    program = str(jax.make_jaxpr(lambda x, k: feedforward.convolve(x, k))(x, kernel))
    assert f"length={n_pieces}\n" in program


def test_the_pieces_of_a_convolution_add_up(monkeypatch):
    monkeypatch.setattr(feedforward, "PATCH_BYTES", 1)  # one image at a time
    model = lenet5((4, 5, 2), 3, **SMALL)
    with jax.enable_x64(True):
        params, x, y = problem(model, (4, 5, 2), np.float64)
        expected = plain.lenet_gradients(as_float64(params), x, y, 1.0)
        assert_gradients(model, params, x, y, expected, FLOAT64_TOLERANCE)


def test_a_convolution_never_holds_all_of_its_patches():
    x, kernel = jnp.ones((40, 16, 16, 16)), jnp.ones((5, 5, 16, 16))
    squared = jax.grad(lambda x, k: (feedforward.convolve(x, k) ** 2).sum(), (0, 1))
    needed = jax.jit(squared).lower(x, kernel).compile().memory_analysis().temp_size_in_bytes
    assert needed < 25 * x.nbytes / 3


class Sgd:
    """params <- params - learning_rate * gradient."""

    def __init__(self, learning_rate):
        self.learning_rate = learning_rate

    def step(self, params, grads):
        return {name: params[name] - self.learning_rate * g for name, g in grads.items()}


UPDATES = {
    "mlp": (mlp((4, 3), 3, hidden_size=7), (4, 3), adam(), reference.Adam, 0.01),
    "mlp of the report": (
        mlp((4, 3), 3, hidden_size=7, **MLPS["relu_scaled of the report"][0]),
        (4, 3),
        sgd(),
        Sgd,
        0.5,
    ),
    "lenet5": (lenet5((5, 6, 2), 3, **SMALL), (5, 6, 2), adam(), reference.Adam, 0.01),
    "lenet5 by sgd": (lenet5((5, 6, 2), 3, **SMALL), (5, 6, 2), sgd(), Sgd, 0.1),
}


@pytest.mark.parametrize("name", UPDATES)
def test_ten_updates(name, precision):
    dtype, tolerance = precision
    model, shape, optimizer, rule, rate = UPDATES[name]
    params, x, y = problem(model, shape, dtype)
    loss = "squared_error" if "report" in name else "cross_entropy"
    transform = optimizer.make({**optimizer.hyperparameters, "learning_rate": rate})

    @jax.jit
    def step(params, state):
        grads, _ = jax.grad(loss_of(model, x, y, loss), has_aux=True)(params)
        updates, state = transform.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    expected, state, rule = as_float64(params), transform.init(params), rule(rate)
    for _ in range(10):
        params, state = step(params, state)
        if "lenet5" in name:
            grads = plain.lenet_gradients(expected, np.asarray(x, float), y, 1.0)[2]
        else:
            output = "relu_scaled" if "report" in name else "linear"
            grads = plain.mlp_gradients(expected, np.asarray(x, float), y, "relu", output, loss)[2]
        expected = rule.step(expected, grads)
    assert_close(params, expected, tolerance)


@pytest.mark.parametrize("model", [mlp((6, 5, 2), 3), lenet5((6, 5, 2), 3, **SMALL)])
def test_many_trials_at_once_equal_each_alone(model):
    """To rounding: a batched product may sum in another order."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6, 5, 2)), jnp.float32)
    keys = jax.random.split(jax.random.key(1), 3)
    keep = jnp.array([0.3, 0.6, 1.0])

    each = [problem(model, (6, 5, 2), np.float32, seed=k)[0] for k in range(3)]

    def outputs_and_gradient(params, key, keep):
        hyper = {**HYPER, "keep": keep}

        def loss(params):
            outputs = model.apply(params, x, key, hyper)
            return squared_error(outputs, jnp.arange(4) % 3).mean(), outputs

        return jax.grad(loss, has_aux=True)(params)

    together = jax.tree.map(lambda *p: jnp.stack(p), *each)
    grads, outputs = jax.jit(jax.vmap(outputs_and_gradient))(together, keys, keep)
    alone = jax.jit(outputs_and_gradient)
    for k in range(3):
        expected_grads, expected_outputs = alone(each[k], keys[k], keep[k])
        one = jax.tree.map(lambda g, k=k: g[k], grads)
        assert_close(one, as_float64(expected_grads), FLOAT32_TOLERANCE)
        assert_close({"y": outputs[k]}, as_float64({"y": expected_outputs}), FLOAT32_TOLERANCE)


def batched_gradient(apply, params, x):
    """The program of the gradient for two trials, as text."""
    both = jax.tree.map(lambda p: jnp.stack([p, p]), params)
    gradient = jax.grad(lambda p: apply(p, x).sum())
    return str(jax.make_jaxpr(jax.vmap(gradient))(both))


def test_no_convolution_in_the_batched_program():
    """Neither a grouped one nor any other: products only, in both passes."""
    model, x = lenet5((6, 6, 1), 3, **SMALL), jnp.ones((2, 6, 6, 1))
    params, _, _ = problem(model, (6, 6, 1), np.float32)
    with kernels.plain():
        program = batched_gradient(lambda p, x: model.apply(p, x, None, HYPER), params, x)
    assert program.count("dot_general") >= 4 + 7  # forward, then by each kernel and what is below
    found = "conv_general_dilated" in program
    assert not found


def test_a_convolution_would_be_found_and_is_a_grouped_one():
    def convolved_twice(kernel, x):
        letters = ("NHWC", "HWIO", "NHWC")
        for _ in range(2):
            x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=letters)
        return x

    program = batched_gradient(convolved_twice, jnp.ones((3, 3, 1, 1)), jnp.ones((2, 6, 6, 1)))
    assert "conv_general_dilated" in program
    assert "feature_group_count=2" in program


# ---- pooling ----


def test_the_gradient_of_pooling_goes_to_the_first_of_equal_maxima():
    """As in PyTorch; an odd edge is a window of its own."""
    gradient = jax.grad(lambda x: max_pool(x).sum())(jnp.ones((1, 3, 5, 1)))
    first = np.array([[1, 0, 1, 0, 1], [0, 0, 0, 0, 0], [1, 0, 1, 0, 1]])
    np.testing.assert_array_equal(gradient[0, :, :, 0], first)


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_gradient_of_pooling_goes_to_the_maximum(place):
    image = jnp.zeros((1, 2, 2, 1)).at[0, *place, 0].set(1.0)
    gradient = jax.grad(lambda x: 3 * max_pool(x).sum())(image)
    np.testing.assert_array_equal(gradient, 3 * image)


# ---- dropout ----


def drop(key, keep, x=None):
    x = jnp.ones((200, 500)) if x is None else x
    return np.asarray(dropout("dropout").apply({}, x, key, {"keep": keep}))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_dropout_keeps_its_share_and_scales_it(keep):
    dropped = drop(jax.random.key(0), keep)
    share = (dropped != 0).mean()
    assert abs(share - keep) < 5 * np.sqrt(keep * (1 - keep) / dropped.size)
    np.testing.assert_allclose(dropped[dropped != 0], 1 / keep, rtol=1e-6)


def test_dropout_follows_its_key():
    first, again, other = (drop(jax.random.key(k), 0.5) for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert abs((first == other).mean() - 0.5) < 5 * np.sqrt(0.25 / first.size)


def test_dropout_is_off_in_evaluation_and_where_all_is_kept():
    x = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(drop(None, 0.5, x), x)
    np.testing.assert_array_equal(drop(jax.random.key(0), 1.0, x), x)


# ---- initial weights ----


def test_lenet5_starts_from_a_truncated_normal():
    init = jax.jit(lenet5((8, 8, 1), 10, hidden_size=64).init)
    params = init(jax.random.key(0), {**HYPER, "init_sd": 0.1})
    for layer in params.values():
        kernel = np.asarray(layer["kernel"], np.float64)
        assert np.abs(kernel).max() <= 0.2 * (1 + 1e-6)
        # The variance of N(0, 1) cut at 2: 1 - 4 phi(2) / (2 Phi(2) - 1) = 0.7737; kurtosis 2.37.
        assert abs(kernel.mean()) < 5 * 0.088 / np.sqrt(kernel.size)
        assert abs(kernel.var() / 0.007737 - 1) < 5 * np.sqrt(1.37 / kernel.size)
        np.testing.assert_allclose(layer["bias"], 0.1)


def test_lenet5_has_the_parameters_of_the_tutorial():
    shapes = jax.eval_shape(lenet5((28, 28, 1), 10).init, jax.random.key(0), HYPER)
    assert sum(p.size for p in jax.tree.leaves(shapes)) == 3_274_634


@pytest.mark.parametrize(
    ("init", "variance", "excess"),
    [  # the variance of one weight; (kurtosis - 1) gives the error of a sample's variance
        ("glorot", 6 / (400 + 100) / 3, 0.8),
        ("pytorch", 1 / 400 / 3, 0.8),
        ("normal_fan_in", 1 / 400**2, 2.0),
    ],
)
def test_initial_weights_of_a_dense_layer(init, variance, excess):
    kernel, bias = DRAWS[init](jax.random.key(0), (400, 100), {"init_scale": 1.0})
    kernel, bias = np.asarray(kernel), np.asarray(bias)
    assert abs(kernel.mean()) < 5 * np.sqrt(variance / kernel.size)
    assert abs(kernel.var() / variance - 1) < 5 * np.sqrt(excess / kernel.size)
    if init == "pytorch":
        assert abs(bias.var() / variance - 1) < 5 * np.sqrt(excess / bias.size)
    else:
        assert not bias.any()


@pytest.mark.parametrize("init", DRAWS)
def test_init_scale_multiplies_the_kernels_only(init):
    initial = jax.jit(mlp((3,), 2, init=init).init)
    one, two = (initial(jax.random.key(0), {"init_scale": s}) for s in (1.0, 2.0))
    for name in one:
        np.testing.assert_allclose(two[name]["kernel"], 2 * one[name]["kernel"], rtol=1e-6)
        np.testing.assert_array_equal(two[name]["bias"], one[name]["bias"])


# ---- what may be asked for ----


@pytest.mark.parametrize("layers", [2, "7-7", [7, 7], (7, 7)])
def test_layers_by_number_and_by_widths(layers):
    model = mlp((5,), 3, hidden_size=7, layers=layers)
    shapes = jax.eval_shape(model.init, jax.random.key(0), HYPER)
    kernels = [shapes[name]["kernel"].shape for name in ("dense1", "dense2", "output")]
    assert kernels == [(5, 7), (7, 7), (7, 3)]


@pytest.mark.parametrize("layers", [0, -1, True, 1.5, "", "64-0", "64-x", "64,32", [], [8, 2.0]])
def test_bad_layers(layers):
    with pytest.raises(UsageError, match=r"layers: .* whole number from 1"):
        mlp((5,), 3, layers=layers)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"activation": "rleu"}, "activation: .*did you mean 'relu'"),
        ({"output_activation": "softmax"}, "output_activation: unknown.*known: .*sigmoid"),
        ({"init": "pytroch"}, "init: .*did you mean 'pytorch'"),
        ({"hidden_size": 0}, "hidden_size"),
    ],
)
def test_bad_options_of_an_mlp(options, said):
    with pytest.raises(UsageError, match=said):
        mlp((5,), 3, **options)


@pytest.mark.parametrize("option", ["channels1", "channels2", "hidden_size", "kernel_size"])
@pytest.mark.parametrize("value", [0, 2.5, True])
def test_bad_options_of_lenet5(option, value):
    with pytest.raises(UsageError, match=option):
        lenet5((8, 8, 1), 10, **{option: value})


@pytest.mark.parametrize("shape", [(28, 28), (784,), (3, 8, 1), (8, 3, 1)])
def test_inputs_that_lenet5_cannot_read(shape):
    with pytest.raises(ModelError, match="images"):
        lenet5(shape, 10)


def test_both_by_name_in_a_study():
    study = {"updates": 1, "batch_size": 2, "replicates": 1}
    axes = {"mlp": {"layers": [1, "8-4"]}, "lenet5": {"keep": [0.5, 1.0]}}
    for model, own in axes.items():
        resolved = Study(task="digits-image", model=model, axes=own, **study).resolve()
        assert len(resolved.first_cells()) == (2 if model == "mlp" else 1)  # keep is traced
