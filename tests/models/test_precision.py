"""Products in bfloat16: which numbers are rounded, in which layers, and that a study trains so."""

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from reference import nearest_bfloat16

import gridscape as gs
from gridscape import kernels
from gridscape.engine.compilers import Compilers
from gridscape.errors import StudyFileError
from gridscape.inspection.activations import activation_statistics
from gridscape.models.feedforward import convolve, lenet5, mlp, run
from gridscape.models.precision import (
    current,
    float32_products,
    gradient_rounded,
    product,
    products_in,
    rounded,
)
from gridscape.models.recurrent import _read_out as read_out
from gridscape.models.recurrent import lstm
from gridscape.study.parts import in_precision
from gridscape.study.study import Study

# Operands are given, so that none is rounded the other way: sums of float32 alone.
TOLERANCE = 1e-6
BY_PATH = pytest.mark.parametrize(
    "path",
    [
        "plain",
        pytest.param(
            "native", marks=pytest.mark.skipif(not kernels.available(), reason=kernels.trouble())
        ),
    ],
)


def on(path):
    return kernels.plain() if path == "plain" else nullcontext()


def normal(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def assert_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        error, size = np.linalg.norm(one - other), np.linalg.norm(other)
        assert error <= TOLERANCE * size, f"{error:.1e} of {size:.1e}"


# ---- rounding ----


def test_operands_are_rounded_to_the_nearest_bfloat16_ties_to_even():
    ties = 1 + np.array([1, 2, 3, 4]) / 256
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 3.4e38, 1e-37]
    x = np.concatenate([ties, special, *normal(1000)]).astype(np.float32)
    with products_in("bfloat16"):
        found = jax.jit(lambda x: rounded(x) + 0)(x)
    np.testing.assert_array_equal(found, x.astype(ml_dtypes.bfloat16).astype(np.float32))


def test_tf32_keeps_ten_bits_ties_to_even():
    x = np.array([1 + 1 / 1024, 1 + 1 / 2048, 1 + 3 / 2048, 1 + 1.01 / 2048, np.inf], np.float32)
    with products_in("tf32"):
        found = jax.jit(lambda x: rounded(x) + 0)(x)
    expected = [1 + 1 / 1024, 1, 1 + 2 / 1024, 1 + 1 / 1024, np.inf]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_outside_and_in_float32_nothing_is_rounded():
    (x,) = normal((5,))
    assert current() == "float32"
    assert rounded(x) is x
    with products_in("bfloat16"), products_in("float32"):
        assert gradient_rounded(x) is x


def test_the_gradients_of_a_product_have_rounded_operands_wherever_they_are_traced():
    x, kernel, dy = normal((7, 20), (20, 5), (7, 5))

    def layer(x, kernel):
        with products_in("bfloat16"):
            return gradient_rounded(product(x, kernel))

    y, pull = jax.vjp(layer, x, kernel)
    X, K, D = map(nearest_bfloat16, (x, kernel, dy))
    assert_close((y, *pull(dy)), (X @ K, D @ K.T, X.T @ D))


# ---- feed-forward layers ----


def gradients(layer, path, *arrays):
    """Outputs and gradients of function(*arrays) by all of them, with products in bfloat16."""

    def inside(*arrays):
        with products_in("bfloat16"):
            return layer(*arrays)

    with on(path):
        return inside(*arrays), jax.grad(lambda a: inside(*a).sum())(arrays)


@BY_PATH
def test_a_network_of_dense_layers(path):
    """The activation of the hidden layer is float32, and so is every bias."""
    model = mlp((20,), 3, hidden_size=7, activation="relu")
    x, k1, b1, k2, b2 = normal((9, 20), (20, 7), (7,), (7, 3), (3,))

    def network(x, k1, b1, k2, b2):
        params = {"dense1": {"kernel": k1, "bias": b1}, "output": {"kernel": k2, "bias": b2}}
        return model.apply(params, x, None, {})

    y, found = gradients(network, path, x, k1, b1, k2, b2)
    R = nearest_bfloat16
    z = R(x) @ R(k1) + b1.astype(np.float64)
    a = R(np.maximum(z, 0))
    dz = R((np.ones((9, 3)) @ R(k2).T) * (z > 0))
    expected = (dz @ R(k1).T, R(x).T @ dz, dz.sum(0), a.T @ np.ones((9, 3)), np.full(3, 9.0))
    assert_close((y, *found), (a @ R(k2) + b2, *expected))


@BY_PATH
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_what_reads_a_layer_out(path, n_outputs):
    """One output, which XLA sums up on either path, is rounded as several are."""
    shapes = ((9, 4, 20), (20, n_outputs), (n_outputs,), (9, 4, n_outputs))
    states, kernel, bias, weights = normal(*shapes)

    def layer(states, kernel, bias):
        return read_out(*map(jnp.asarray, (states, kernel, bias))) * weights

    y, found = gradients(layer, path, states, kernel, bias)
    R = nearest_bfloat16
    S, D = R(states).reshape(36, 20), R(weights).reshape(36, n_outputs)
    outputs = (S @ R(kernel) + bias).reshape(9, 4, n_outputs)
    expected = ((D @ R(kernel).T).reshape(9, 4, 20), S.T @ D, D.sum(0))
    assert_close((y, *found), (outputs * weights, *expected))


@BY_PATH
def test_convolutions(path):
    """The gradient that comes back is rounded, then goes to kernel, bias and images."""
    conv, *_ = lenet5((6, 5, 3), 2, channels1=17).layers
    images, kernel, bias, weights = normal((2, 6, 5, 3), (5, 5, 3, 17), (17,), (2, 6, 5, 17))

    def layer(images, kernel, bias):
        return conv.apply({"kernel": kernel, "bias": bias}, images, None, {}) * weights

    def by_float64(images, kernel, bias):
        return (convolve(images, kernel) + bias[None, None, None]) * nearest_bfloat16(weights)

    _, found = gradients(layer, path, images, kernel, bias)
    with jax.enable_x64(True):
        arrays = (*map(nearest_bfloat16, (images, kernel)), bias.astype(np.float64))
        expected = jax.grad(lambda a: by_float64(*a).sum())(tuple(map(jnp.asarray, arrays)))
        expected = [np.asarray(x) for x in expected]
    assert_close(found, expected)


@BY_PATH
def test_a_network_equals_its_layers_one_by_one(path):
    """Also where a kernel joins a layer with the activation and pooling behind it."""
    model = lenet5((6, 7, 2), 3, channels1=5, channels2=17, hidden_size=20, kernel_size=3)
    hyper = {"init_sd": 0.1, "init_bias": 0.1, "keep": 0.5}
    params = model.init(jax.random.key(0), hyper)
    x = jnp.asarray(*normal((4, 6, 7, 2)))

    def whole(params):
        return model.apply(params, x, None, hyper)

    def one_by_one(params):
        *_, outputs = run(model.layers, params, x, None, hyper)
        return outputs

    (y, (found,)), (z, (expected,)) = (gradients(f, path, params) for f in (whole, one_by_one))
    np.testing.assert_array_equal(y, z)
    assert_close(jax.tree.leaves(found), jax.tree.leaves(expected))


@BY_PATH
def test_every_model_rounds(path):
    models = {
        "mlp": (mlp((4, 5), 3), (4, 5)),
        "lenet5": (lenet5((4, 5, 1), 3, channels1=4, channels2=4, hidden_size=8), (4, 5, 1)),
        "lstm": (lstm((4, 5), 3, hidden_size=20), (4, 5)),
    }
    hyper = {"init_scale": 1.0, "forget_bias": 1.0, "init_sd": 0.1, "init_bias": 0.1, "keep": 0.5}
    for name, (model, shape) in models.items():
        params = jax.jit(model.init)(jax.random.key(0), hyper)
        x = jnp.asarray(*normal((6, *shape)))

        def outputs(precision, x=x, params=params, model=model):
            with products_in(precision):
                return jax.jit(lambda params: model.apply(params, x, None, hyper))(params)

        with on(path):
            difference = jnp.abs(outputs("bfloat16") - outputs("float32")).max()
        assert 1e-4 < difference < 0.1, name


# ---- other devices ----


def products_of(lowered):
    """The precision or algorithm of every product in a program, as StableHLO writes it."""
    lines = [x for x in lowered.as_text().splitlines() if "dot_general" in x]
    return {next((w for w in ("HIGHEST", "tf32", "bf16") if w in x), "DEFAULT") for x in lines}


def lowered_for_gpu(precision, monkeypatch):
    """An update of an LSTM with a loss that multiplies, by groups, as a GPU would compile it."""
    model = in_precision(lstm((4, 5), 3, hidden_size=20), precision)
    hyper = {"init_scale": 1.0, "forget_bias": 1.0}
    params, (x,) = model.init(jax.random.key(0), hyper), normal((6, 4, 5))

    def loss(params, x, own):
        return (model.apply(params, x, None, hyper) @ own).sum()

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with float32_products():
        traced = jax.jit(jax.grad(loss)).trace(params, x, jnp.ones((3, 3)))
        return traced.lower(lowering_platforms=("cuda",))


@pytest.mark.parametrize(
    ("precision", "found"),
    [("float32", {"HIGHEST"}), ("tf32", {"HIGHEST", "tf32"}), ("bfloat16", {"HIGHEST", "bf16"})],
)
def test_on_a_gpu_no_product_is_left_to_the_default(precision, found, monkeypatch):
    """Which is TF32. A product of the user's own, in the loss here, stays one of float32."""
    assert products_of(lowered_for_gpu(precision, monkeypatch)) == found


# ---- studies ----

SMALL = {
    "task": "digits-rows",
    "model": "lstm",
    "updates": 60,
    "replicates": 2,
    "evaluations": 2,
    "axes": {"hidden_size": [20], "learning_rate": [1e-2]},
}


def test_the_precision_is_a_part_of_the_key():
    def keys(**values):
        return [trial.key for trial in Study(**SMALL, **values).resolve().trials()]

    assert keys() == keys(precision="float32")
    assert not set(keys()) & set(keys(precision="bfloat16"))


def test_a_program_compiled_for_a_gpu_has_float32_products_unless_jax_was_told_otherwise(
    monkeypatch,
):
    lowered = []
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(
        jax.stages.Lowered, "compile", lambda self, *_: lowered.append(self) or self
    )
    shape = jax.ShapeDtypeStruct((4, 4), jnp.float32)

    def compile():
        compilers = Compilers()
        compilers.submit(lambda x: x @ x, (shape,)).result(timeout=600)
        compilers.close()
        return products_of(lowered.pop())

    assert compile() == {"HIGHEST"}
    jax.config.update("jax_default_matmul_precision", "default")
    try:
        assert compile() == {"DEFAULT"}
    finally:
        jax.config.update("jax_default_matmul_precision", None)


def test_an_unknown_precision():
    with pytest.raises(StudyFileError, match=r"precision: .*'float32', 'tf32' or 'bfloat16'"):
        Study(**SMALL, precision="float16")


@BY_PATH
def test_a_study_trains_in_bfloat16_and_a_replay_agrees(path, tmp_path):
    with on(path):
        lands = {
            precision: gs.run(
                Study(**SMALL, precision=precision, keep_parameters="all"),
                directory=tmp_path / precision,
            )
            for precision in ("float32", "bfloat16")
        }
        again = gs.replay(tmp_path / "bfloat16", {"hidden_size": 20, "learning_rate": 0.01})
    assert again.identical
    exact, found = (land.data.test_accuracy.values for land in lands.values())
    assert not np.array_equal(lands["float32"].data.test_loss, lands["bfloat16"].data.test_loss)
    assert exact.min() > 0.5
    # Rounding acts like a little noise: on 360 test images a few answers change.
    np.testing.assert_allclose(found, exact, atol=0.06)
    assert all(x.dtype == np.float32 for x in again.again.params.values())


def test_inspection_looks_at_the_same_products():
    axes = {"learning_rate": [1e-2]}
    studies = {
        precision: Study(task="digits", model="mlp", axes=axes, precision=precision).resolve()
        for precision in ("float32", "bfloat16")
    }
    means = {}
    for precision, resolved in studies.items():
        (cell,) = resolved.study.grid.cells()
        recipe = resolved.recipe(cell)
        params = recipe.model.init(jax.random.key(0), recipe.hyper)
        first, *_ = activation_statistics(recipe, resolved.task, params)
        means[precision] = first.channels.mean
    difference = np.abs(means["bfloat16"] - means["float32"]).max()
    assert 0 < difference < 0.01
