"""The native dense layers and convolutions against float64 references, on each instruction set."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_feedforward as by_float64
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import nearest_bfloat16

from gridscape import kernels
from gridscape.kernels import feedforward
from gridscape.kernels.tables import ACTIVATIONS
from gridscape.models.feedforward import lenet5, mlp, run
from gridscape.models.precision import products_in

pytestmark = pytest.mark.skipif(not kernels.available(), reason=kernels.trouble())

# Each number of a result is a float32 sum of products: its error is a few roundings, 6e-8 each, of
# the root of the sum of their squares. Arrays are compared in the Euclidean norm, where errors
# average out; ``terms`` are the same sums of squares, so that a sum near 0 asks for no more.
TOLERANCE = 2e-6
# tanh is good to 3 units in the last place, 1 - tanh^2 loses digits where tanh is near 1.
TANH_TOLERANCE = 1e-5
# In bfloat16 the slope of tanh times a gradient is rounded, to the other side where float32 has it
# beyond the middle of two: 1 of 256 of a number, in a few of a thousand.
ROUNDED_TANH_TOLERANCE = 1e-3

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 200), st.integers(1, 150))
# Beyond what is packed or summed at once, and whole panels, which are read where they lie.
LARGE = ((130, 97, 16), (300, 50, 65), (30, 784, 32), (7, 3000, 130), (65, 40, 1024))

# Images, window, filters, whether pooling follows, seed.
CONVOLUTIONS = (
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 20)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.integers(1, 70),
    st.booleans(),
    st.integers(0, 9),
)

HYPER = {"init_scale": 1.0, "keep": 0.5, "init_sd": 0.3, "init_bias": 0.1}


@pytest.fixture(params=kernels.targets(), autouse=True, scope="module")
def target(request):
    with kernels.use(request.param):
        yield request.param


@pytest.fixture(scope="module")
def has_bfloat16(target):
    if not kernels.multiplies_bfloat16():
        pytest.skip("no products of bfloat16 by this instruction set")


def normal(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def assert_near(found, expected, terms, tolerance):
    for a, b, squares in zip(found, expected, terms, strict=True):
        error = np.linalg.norm(np.asarray(a, np.float64) - b)
        assert error <= tolerance * np.sqrt(squares.sum()), (a.shape, error)


# ---- dense ----


def check_dense(sizes, activation, has_bias, seed, bfloat16=False):
    """bfloat16: the reference rounds operands, and what comes back before it is one."""
    R = nearest_bfloat16 if bfloat16 else lambda x: x.astype(np.float64)
    n_batch, n_in, n_out = sizes
    shapes = (n_batch, n_in), (n_in, n_out), (n_out,), (n_batch, n_out)
    x, kernel, bias, dy = normal(seed, *shapes)
    kernel /= np.float32(np.sqrt(n_in))  # so that tanh is not flat
    given_bias = jnp.asarray(bias) if has_bias else None
    layer = lambda *a: feedforward.dense(*a, activation, bfloat16)  # noqa: E731
    y, pull = jax.vjp(layer, x, kernel, given_bias)
    dx, dkernel, dbias = pull(jnp.asarray(dy))
    X, K, D = R(x), R(kernel), dy.astype(np.float64)
    value, slope = by_float64.ACTIVATIONS[activation]
    Z = X @ K + (bias if has_bias else 0)
    # Where rounding decides on which side of its kink ReLU is, the kernel's own side counts.
    D = R(D * (np.asarray(y) > 0 if activation == "relu" else slope(Z)))
    found, expected = [y, dx, dkernel], [value(Z), D @ K.T, X.T @ D]
    # The slope of tanh is 1 - y^2: where it is near 0, rounding y leaves few of its digits.
    squares = (dy.astype(np.float64) if activation == "tanh" else D) ** 2
    terms = [X**2 @ K**2 + (bias**2 if has_bias else 0), squares @ K.T**2, X.T**2 @ squares]
    if has_bias:
        found, expected = [*found, dbias], [*expected, D.sum(axis=0)]
        terms.append(squares.sum(axis=0))
    of_tanh = ROUNDED_TANH_TOLERANCE if bfloat16 else TANH_TOLERANCE
    assert_near(found, expected, terms, of_tanh if activation == "tanh" else TOLERANCE)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(SIZES, st.sampled_from(ACTIVATIONS), st.booleans(), st.integers(0, 9))
def test_dense_equals_float64(sizes, activation, has_bias, seed):
    check_dense(sizes, activation, has_bias, seed)


@pytest.mark.parametrize("sizes", LARGE, ids=str)
def test_large_dense_equals_float64(sizes):
    check_dense(sizes, "tanh", True, 0)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(SIZES, st.sampled_from(ACTIVATIONS), st.booleans(), st.integers(0, 9))
def test_dense_in_bfloat16_equals_rounded_operands_in_float64(
    has_bfloat16, sizes, activation, has_bias, seed
):
    check_dense(sizes, activation, has_bias, seed, bfloat16=True)


@pytest.mark.parametrize("sizes", LARGE, ids=str)
def test_large_dense_in_bfloat16_equals_rounded_operands_in_float64(has_bfloat16, sizes):
    check_dense(sizes, "relu", True, 0, bfloat16=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("width", [5, 32, 70])
def test_what_is_not_finite_goes_through_dense(activation, width, bad):
    x, kernel, bias = normal(0, (7, 20), (20, width), (width,))
    x[3, 4] = bad
    y = np.asarray(feedforward.dense(x, kernel, jnp.asarray(bias), activation))
    with (
        kernels.plain(),
        np.errstate(invalid="ignore"),
    ):  # inf * 0, of which some tell
        value = {"linear": lambda z: z, "relu": jax.nn.relu, "tanh": jnp.tanh}[activation]
        expected = np.asarray(value(x @ kernel + bias[None]))
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(expected))
    assert np.isfinite(y[[0, 1, 2, 4, 5, 6]]).all()
    # A weight that is NaN spoils its own column in every row.
    kernel[2, 1], x[3, 4] = np.nan, 0
    y = np.asarray(feedforward.dense(x, kernel, jnp.asarray(bias), activation))
    assert np.isnan(y[:, 1]).all()
    assert np.isfinite(np.delete(y, 1, axis=1)).all()


def test_gradients_that_are_nan_stay_nan_through_dense():
    x, kernel, bias, dy = normal(0, (7, 20), (20, 9), (9,), (7, 9))
    dy[2, 3] = np.nan
    _, pull = jax.vjp(lambda *a: feedforward.dense(*a, "linear"), x, kernel, jnp.asarray(bias))
    dx, dkernel, dbias = map(np.asarray, pull(jnp.asarray(dy)))
    assert np.isnan(dx[2]).all()
    assert np.isfinite(np.delete(dx, 2, axis=0)).all()
    assert np.isnan(dkernel[:, 3]).all()
    assert np.isfinite(np.delete(dkernel, 3, axis=1)).all()
    assert np.isnan(dbias[3])
    assert np.isfinite(np.delete(dbias, 3)).all()


# ---- convolution ----


def check_conv(image, window, n_filters, pooled, seed, bfloat16=False):
    R = nearest_bfloat16 if bfloat16 else lambda x: x.astype(np.float64)
    images, kernel, bias = normal(seed, image, (*window, image[-1], n_filters), (n_filters,))
    y, pull = jax.vjp(lambda *a: feedforward.conv(*a, pooled, bfloat16), images, kernel, bias)
    (dy,) = normal(seed + 1, y.shape)
    found = (y, *pull(jnp.asarray(dy)))
    X, K, b, D = R(images), R(kernel), bias.astype(np.float64), R(dy)
    Z = y = by_float64.conv_forward(X, K, b)
    if pooled:
        y, where = by_float64.pool_forward(np.maximum(Z, 0))
        D = by_float64.pool_backward(Z, where, D) * (Z > 0)
    expected = (y, *by_float64.conv_backward(X, K, D))
    squares = (
        by_float64.conv_forward(X**2, K**2, b**2),
        *by_float64.conv_backward(X**2, K**2, D**2),
    )
    assert_near(found, expected, squares, TOLERANCE)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(*CONVOLUTIONS)
def test_conv_equals_float64(image, window, n_filters, pooled, seed):
    check_conv(image, window, n_filters, pooled, seed)


@pytest.mark.parametrize(
    ("image", "n_filters"), [((2, 28, 28, 1), 32), ((2, 14, 14, 32), 64), ((1, 5, 70, 3), 150)]
)
@pytest.mark.parametrize("pooled", [False, True])
def test_large_conv_equals_float64(image, n_filters, pooled):
    check_conv(image, (5, 5), n_filters, pooled, 0)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(*CONVOLUTIONS)
def test_conv_in_bfloat16_equals_rounded_operands_in_float64(
    has_bfloat16, image, window, n_filters, pooled, seed
):
    check_conv(image, window, n_filters, pooled, seed, bfloat16=True)


@pytest.mark.parametrize("image", [(2, 28, 28, 1), (2, 14, 14, 32), (1, 5, 70, 3)])
def test_large_conv_in_bfloat16_equals_rounded_operands_in_float64(has_bfloat16, image):
    check_conv(image, (5, 5), 64, True, 0, bfloat16=True)


def test_what_is_not_finite_goes_through_layers_in_bfloat16(has_bfloat16):
    """Where a window's row is odd, it spoils one pixel more, which the window ends before."""
    x, kernel, bias = normal(0, (7, 21), (21, 5), (5,))
    x[3, 4] = np.nan
    y = np.asarray(feedforward.dense(x, kernel, jnp.asarray(bias), "relu", bfloat16=True))
    assert np.isnan(y[3]).all()
    assert np.isfinite(np.delete(y, 3, axis=0)).all()
    images, kernel, bias = normal(0, (2, 7, 8, 3), (3, 3, 3, 5), (5,))
    images[0, 0, 7, 1] = np.nan
    y = np.asarray(feedforward.conv(images, kernel, bias, False, bfloat16=True))
    assert np.isnan(y[0, :2, -2:]).all()
    assert np.isfinite(y[1]).all()
    assert np.isfinite(y[0, 2:]).all()
    assert np.isfinite(y[0, :, :-3]).all()


def test_no_products_of_bfloat16_without_instructions_for_them(target):
    if kernels.multiplies_bfloat16():
        pytest.skip("there are such instructions")
    x, kernel = normal(0, (3, 4), (4, 5))
    with pytest.raises(Exception, match="no products of bfloat16 by this instruction set"):
        jax.block_until_ready(feedforward.dense(x, kernel, None, bfloat16=True))


def test_what_was_traced_for_one_instruction_set_is_traced_again_for_another(has_bfloat16):
    model, shape = MODELS["mlp"]
    params, x = model.init(jax.random.key(0), HYPER), jnp.ones((4, *shape))

    @jax.jit
    def outputs(params):
        with products_in("bfloat16"):
            return model.apply(params, x, None, HYPER)

    first = outputs(params)
    with kernels.use("baseline"):
        np.testing.assert_allclose(outputs(params), first, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(outputs(params), first)


@pytest.mark.parametrize("pooled", [False, True])
def test_what_is_not_finite_goes_through_conv(pooled):
    images, kernel, bias = normal(0, (2, 7, 8, 3), (3, 3, 3, 5), (5,))
    images[0, 0, 7, 1] = np.nan
    y = np.asarray(feedforward.conv(images, kernel, bias, pooled))
    assert np.isnan(y[0, :1, -1:]).all()
    assert np.isfinite(y[1]).all()
    assert np.isnan(y[0]).sum() == 5 * (1 if pooled else 4)
    kernel[1, 1, 0, 2], images[0, 0, 7, 1] = np.nan, 0
    y = np.asarray(feedforward.conv(images, kernel, bias, pooled))
    assert np.isnan(y[..., 2]).all()
    assert np.isfinite(np.delete(y, 2, axis=3)).all()


def test_gradient_of_equal_maxima_goes_to_the_first():
    images, kernel, bias = np.ones((1, 4, 4, 1)), np.ones((1, 1, 1, 1)), np.zeros(1)
    arrays = [a.astype(np.float32) for a in (images, kernel, bias)]
    _, pull = jax.vjp(lambda *a: feedforward.conv(*a, True), *arrays)
    dimages, _, _ = pull(jnp.ones((1, 2, 2, 1)))
    expected = np.zeros((4, 4))
    expected[::2, ::2] = 1
    np.testing.assert_array_equal(np.asarray(dimages)[0, ..., 0], expected)


# ---- many trials ----


@pytest.mark.parametrize("shared", ["x", "kernel", "nothing"])
@pytest.mark.parametrize("n_outputs", [10, 64])
def test_dense_of_many_trials_equals_one_by_one_bit_for_bit(shared, n_outputs):
    x, kernel, bias = normal(0, (5, 9, 40), (5, 40, n_outputs), (5, n_outputs))
    axes = [None if shared == name else 0 for name in ("x", "kernel", "bias")]
    arrays = [a if axis == 0 else a[0] for a, axis in zip((x, kernel, bias), axes, strict=True)]

    def gradients(*of_one):
        y, pull = jax.vjp(lambda *a: feedforward.dense(*a, "relu"), *of_one)
        return y, pull(jnp.ones_like(y))

    assert_equal_one_by_one(gradients, axes, arrays)


@pytest.mark.parametrize("shared", ["x", "kernel", "nothing"])
@pytest.mark.parametrize("pooled", [False, True])
def test_conv_of_many_trials_equals_one_by_one_bit_for_bit(shared, pooled):
    shapes = ((5, 2, 7, 6, 3), (5, 3, 3, 3, 17), (5, 17))
    axes = [None if shared == name else 0 for name in ("x", "kernel", "bias")]
    both = zip(normal(0, *shapes), axes, strict=True)
    arrays = [a if axis == 0 else a[0] for a, axis in both]

    def gradients(*of_one):
        y, pull = jax.vjp(lambda *a: feedforward.conv(*a, pooled), *of_one)
        return y, pull(jnp.ones_like(y))

    assert_equal_one_by_one(gradients, axes, arrays)


def assert_equal_one_by_one(function, axes, arrays):
    together = jax.jit(jax.vmap(function, axes))(*arrays)
    alone = jax.jit(function)
    for k in range(5):
        one = alone(*(a if axis is None else a[k] for a, axis in zip(arrays, axes, strict=True)))
        jax.tree.map(lambda a, b, k=k: np.testing.assert_array_equal(a[k], b), together, one)


# ---- models ----

MODELS = {
    "mlp": (mlp((6, 5, 1), 3, layers="20-7", activation="tanh"), (6, 5, 1)),
    "mlp of the report": (
        mlp((6, 5, 1), 3, activation="relu_scaled", output_activation="same", bias=False),
        (6, 5, 1),
    ),
    "lenet5": (
        lenet5((7, 6, 2), 3, channels1=5, channels2=17, hidden_size=20, kernel_size=3),
        (7, 6, 2),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_of_many_trials_in_bfloat16_equal_one_by_one_bit_for_bit(name, has_bfloat16):
    model, shape = MODELS[name]
    (x,) = normal(0, (5, 4, *shape))
    params = model.init(jax.random.key(0), HYPER)

    def gradients(x):
        with products_in("bfloat16"):
            loss = lambda p: (model.apply(p, x, jax.random.key(1), HYPER) ** 2).sum()  # noqa: E731
            return jax.grad(loss)(params)

    assert_equal_one_by_one(gradients, [0], [x])


@pytest.mark.parametrize("name", MODELS)
def test_models_equal_their_plain_path(name):
    """To rounding: sums of up to 360 products in another order, through up to four layers."""
    model, shape = MODELS[name]
    x = jnp.asarray(*normal(0, (4, *shape)))
    params = model.init(jax.random.key(0), HYPER)

    def loss(params):
        return (model.apply(params, x, jax.random.key(1), HYPER) ** 2).sum()

    native = jax.tree.leaves(jax.grad(loss)(params))
    with kernels.plain():
        expected = [np.asarray(g, np.float64) for g in jax.tree.leaves(jax.grad(loss)(params))]
    assert_near(native, expected, [g**2 for g in expected], 1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_network_equals_its_layers_one_by_one(name):
    """Layers joined in a kernel sum in the same order: bit for bit, tanh to its last places."""
    model, shape = MODELS[name]
    x = jnp.asarray(*normal(0, (4, *shape)))
    params = model.init(jax.random.key(0), HYPER)
    *_, expected = run(model.layers, params, x, jax.random.key(1), HYPER)
    found = model.apply(params, x, jax.random.key(1), HYPER)
    np.testing.assert_allclose(found, expected, rtol=1e-5 if name == "mlp" else 0, atol=0)


def test_a_network_runs_native_code_and_the_plain_path_none():
    model, shape = MODELS["lenet5"]
    params = model.init(jax.random.key(0), HYPER)

    def traced():
        function = lambda p, x: model.apply(p, x, None, HYPER).sum()  # noqa: E731
        return str(jax.make_jaxpr(jax.grad(function))(params, jnp.zeros((4, *shape))))

    native = traced()
    # The gradient by the images is traced and dropped when the program is compiled.
    assert native.count("gridscape_conv") == 6
    assert native.count("gridscape_dense") == 6
    with kernels.plain():
        assert "gridscape_" not in traced()
