"""Inspection against loops over pixels and against networks whose answers are known beforehand."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_feedforward as plain
from made_up_models import HYPER, LENET, LOGITS, MLP, SHAPE, random_task, recipe_of, start

from gridscape import inspection
from gridscape.base.task import Task
from gridscape.engine.training import named_leaves, restore
from gridscape.errors import UnknownNameError, UsageError
from gridscape.execution.replay import Trained
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Trial
from gridscape.inspection.activations import activation_statistics
from gridscape.inspection.answers import mistakes
from gridscape.inspection.feature_maps import deconvnet, feature_layers, keep_strongest, walk_down
from gridscape.inspection.filters import first_layer_filters, picture_shape
from gridscape.inspection.kinds import fitting
from gridscape.models.feedforward import (
    lenet5,
    max_pool,
    mlp,
    pool_with_switches,
    run,
    unpool,
)
from gridscape.study.parts import in_precision

# ---- the statements about a deconvnet (Zeiler and Fergus 2014) ----


def test_unpooling_restores_each_maximum_in_its_place_and_zeros_elsewhere():
    x = np.random.default_rng(0).normal(size=(2, 6, 4, 3)).astype(np.float32)
    found = np.asarray(unpool(*pool_with_switches(jnp.asarray(x))))
    for b, y, c, channel in np.ndindex(x.shape):
        rows, columns = slice(y // 2 * 2, y // 2 * 2 + 2), slice(c // 2 * 2, c // 2 * 2 + 2)
        is_maximum = x[b, y, c, channel] == x[b, rows, columns, channel].max()
        assert found[b, y, c, channel] == (x[b, y, c, channel] if is_maximum else 0)


def test_walking_down_a_pool_of_odd_size_is_unpooling():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 3, 2)), jnp.float32)
    (layer,) = (layer for layer in LENET.layers if layer.name == "pool1")
    (found,) = walk_down([layer], {}, x, max_pool(x), HYPER)
    padded = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=-jnp.inf)
    np.testing.assert_array_equal(found, unpool(*pool_with_switches(padded))[:, :5, :3])


@pytest.mark.parametrize("kernel_size", [2, 5])
def test_each_linear_layer_is_walked_down_by_its_transpose(kernel_size):
    """<Wx, y> = <x, W'y>, to rounding in float64; W is the layer without its bias."""
    model = lenet5(SHAPE, 3, channels1=3, channels2=4, hidden_size=5, kernel_size=kernel_size)
    linear = {layer.name: layer for layer in model.layers if layer.kind in ("conv", "dense")}
    shapes = {"conv1": SHAPE, "conv2": (4, 3, 3), "dense1": (2 * 2 * 4,), "output": (5,)}
    assert linear.keys() == shapes.keys()
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), start(model))

        @partial(jax.jit, static_argnums=0)
        def both_products(name, x):
            at, at_zero = (linear[name].apply(params[name], i, None, HYPER) for i in (x, 0 * x))
            y = jax.random.normal(jax.random.key(1), at.shape)
            (down,) = walk_down([linear[name]], params, x, y, HYPER)
            return ((at - at_zero) * y).sum(), (x * down).sum()

        for name, shape in shapes.items():
            up, down = both_products(name, jnp.asarray(rng.normal(size=(2, *shape))))
            np.testing.assert_allclose(up, down, rtol=1e-12, err_msg=name)


def test_every_rectified_map_is_not_negative():
    layers, params = LENET.layers, start(LENET)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(4, *SHAPE)), jnp.float32)
    signal = jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)  # of both signs
    signals = jax.jit(lambda x, y: list(walk_down(layers, params, x, y, HYPER)))(x, signal)
    kinds = [layer.kind for layer in reversed(layers)]
    rectified = [s for s, kind in zip(signals, kinds, strict=True) if kind == "activation"]
    assert len(rectified) == 3
    for maps in rectified:
        assert float(maps.min()) >= 0
        assert float(maps.max()) > 0
    assert float(signals[-1].min()) < 0  # pixels are not rectified


# ---- deconvnet ----


def test_only_the_first_strongest_activation_of_one_channel_is_kept():
    maps = jnp.array([[[[1.0, 9.0], [5.0, 0.0]], [[5.0, 0.0], [2.0, 0.0]]]])  # (1, 2, 2, 2)
    expected = np.zeros((1, 2, 2, 2))
    expected[0, 0, 1, 0] = 5
    np.testing.assert_array_equal(keep_strongest(maps, jnp.array([0])), expected)


def reconstruct(params, image, channel):
    """The projection of one image's strongest activation of the second maps, by loops."""
    p = {name: np.asarray(value, float) for name, value in named_leaves(params).items()}
    x = np.asarray(image, float)[None]
    z1 = plain.conv_forward(x, p["conv1/kernel"], p["conv1/bias"])
    p1, where = plain.pool_forward(np.maximum(z1, 0))
    a2 = np.maximum(plain.conv_forward(p1, p["conv2/kernel"], p["conv2/bias"]), 0)
    signal = np.zeros_like(a2)
    best = np.unravel_index(a2[..., channel].argmax(), a2.shape[:-1])
    signal[(*best, channel)] = a2[(*best, channel)]
    down = plain.conv_backward(p1, p["conv2/kernel"], np.maximum(signal, 0))[0]
    unpooled = np.maximum(plain.pool_backward(z1, where, down), 0)
    return a2[(*best, channel)], plain.conv_backward(x, p["conv1/kernel"], unpooled)[0][0]


def test_deconvnet_equals_loops_over_pixels(small_chunks):
    task, params = random_task(), start(LENET)
    found = deconvnet(recipe_of(LENET), task, params, n_images=2)
    assert found.layer == "relu2"
    assert found.reconstructions.shape == (4, 2, *SHAPE)
    images = np.asarray(task.test.inputs)
    for channel in range(4):
        each = [reconstruct(params, image, channel) for image in images]
        expected = sorted(range(10), key=lambda i: -each[i][0])[:2]
        assert found.indices[channel].tolist() == expected
        np.testing.assert_array_equal(found.inputs[channel], images[expected])
        for k, index in enumerate(expected):
            np.testing.assert_allclose(found.activations[channel, k], each[index][0], rtol=1e-5)
            # A few hundred float32 products of size 1.
            np.testing.assert_allclose(
                found.reconstructions[channel, k], each[index][1], rtol=1e-4, atol=1e-5
            )


def test_deconvnet_of_a_layer_and_channels_by_name():
    task, params = random_task(), start(LENET)
    everything = deconvnet(recipe_of(LENET), task, params, "relu1", n_images=99)
    chosen = deconvnet(recipe_of(LENET), task, params, "relu1", channels=[2], n_images=99)
    assert everything.indices.shape == (3, 10)  # no more than there are
    assert chosen.channels.tolist() == [2]
    np.testing.assert_array_equal(chosen.indices[0], everything.indices[2])
    np.testing.assert_allclose(
        chosen.reconstructions[0], everything.reconstructions[2], rtol=1e-5, atol=1e-6
    )


def test_a_silent_map_is_reconstructed_as_nothing():
    params = start(LENET)
    params["conv2"]["bias"] = params["conv2"]["bias"].at[1].set(-1e6)
    found = deconvnet(recipe_of(LENET), random_task(), params, channels=[0, 1])
    assert not found.activations[1].any()
    assert not found.reconstructions[1].any()
    assert found.reconstructions[0].any()


def test_what_a_deconvnet_cannot_look_into():
    task = random_task()
    with pytest.raises(UsageError, match=r"no convolutions.*such as lenet5"):
        deconvnet(recipe_of(MLP), task, start(MLP))
    with pytest.raises(UnknownNameError, match=r"'relu3'.*did you mean 'relu"):
        deconvnet(recipe_of(LENET), task, start(LENET), "relu3")
    with pytest.raises(UsageError, match=r"channels.*from 0 to 3"):
        deconvnet(recipe_of(LENET), task, start(LENET), channels=[4])
    assert feature_layers(recipe_of(LENET)) == ("relu1", "relu2")


@pytest.mark.parametrize("look", [feature_layers, None])
def test_a_model_without_layers(look):
    task, recipe = random_task(), recipe_of(LOGITS)
    calls = [look] if look else [lambda r: activation_statistics(r, task, {})]
    calls.append(lambda r: first_layer_filters(r, task, {}, {}))
    for call in calls:
        with pytest.raises(UsageError, match=r"no layers to look into.*found a model"):
            call(recipe)


REPLACED = {
    "another function": lambda m: m._replace(apply=lambda *args: jnp.tanh(m.apply(*args))),
    "another bias": lambda m: m._replace(apply=lambda *args: 0.1 + m.apply(*args)),
    "another shape": lambda m: m._replace(apply=lambda *args: m.apply(*args)[:, :2]),
    "other layers": lambda m: m._replace(layers=[x for x in m.layers if x.kind != "pool"]),
}


@pytest.mark.parametrize("change", REPLACED)
def test_the_layers_of_another_apply_are_not_looked_into(change):
    model = REPLACED[change](LENET)
    recipe, task, params = recipe_of(model), random_task(), start(LENET)
    for look in (
        lambda: activation_statistics(recipe, task, params),
        lambda: deconvnet(recipe, task, params),
        lambda: first_layer_filters(recipe, task, params, params),
    ):
        with pytest.raises(
            UsageError, match=r"layers.*do not give what its apply gives.*layers=\("
        ):
            look()
    network = Trained(
        Trial(Cell.of(a=1), 0, "k"), recipe, task, lambda: params, params, False, True
    )
    assert fitting(network) == ("mistakes", "confusion")


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("wrap", [jax.checkpoint, jax.jit, lambda f: lambda *args: f(*args)])
def test_a_wrapped_apply_keeps_its_layers(wrap, precision):
    model = in_precision(LENET._replace(apply=wrap(LENET.apply)), precision)
    task, params = random_task(), start(LENET)
    assert activation_statistics(recipe_of(model), task, params)
    network = Trained(
        Trial(Cell.of(a=1), 0, "k"), recipe_of(model), task, lambda: params, params, False, True
    )
    assert {"filters", "activations", "deconv"} <= set(fitting(network))


def test_every_public_name_is_what_it_says_whatever_was_imported_before():
    """A module of the name of a function would hide it as soon as it is imported."""
    for name in inspection.__all__:
        found = getattr(inspection, name)
        assert callable(found), name
        assert found.__name__ == name


# ---- filters ----


def test_filters_of_a_convolution():
    first, last = start(LENET), start(LENET, seed=1)
    found = first_layer_filters(recipe_of(LENET), random_task(), first, last)
    kernels = [np.asarray(p["conv1"]["kernel"]) for p in (first, last)]
    assert found.layer == "conv1"
    assert found.start.values.shape == (3, 3, 3, 2)
    np.testing.assert_array_equal(found.end.values[2], kernels[1][..., 2])
    np.testing.assert_array_equal(found.start.low, kernels[0].reshape(-1, 3).min(axis=0))
    np.testing.assert_array_equal(found.end.high, kernels[1].reshape(-1, 3).max(axis=0))
    assert found.limit == max(np.abs(kernel).max() for kernel in kernels)


def test_filters_of_a_dense_layer_are_drawn_as_the_inputs_are():
    params = start(MLP)
    found = first_layer_filters(recipe_of(MLP), random_task(), params, params)
    assert found.start.values.shape == (4, *SHAPE)
    expected = np.asarray(params["dense1"]["kernel"])[:, 1].reshape(SHAPE)
    np.testing.assert_array_equal(found.start.values[1], expected)


def test_inputs_that_are_no_picture():
    assert picture_shape((9,)) == (3, 3, 1)
    with pytest.raises(UsageError, match=r"no picture.*found \(10,\)"):
        picture_shape((10,))


# ---- statistics of activations ----


def test_statistics_of_every_layer(small_chunks):
    task, params = random_task(), start(LENET)
    found = {s.layer: s for s in activation_statistics(recipe_of(LENET), task, params)}
    assert list(found) == [
        *("conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "dense1", "relu3", "output")
    ]
    names = [layer.name for layer in LENET.layers]
    x = jnp.asarray(task.test.inputs)
    run_all = jax.jit(lambda x: list(run(LENET.layers, params, x, None, HYPER)))
    outputs = dict(zip(names, run_all(x), strict=True))
    for name, statistics in found.items():
        values = np.asarray(outputs[name], np.float64).reshape(-1, outputs[name].shape[-1])
        assert statistics.shape == outputs[name].shape[1:]
        assert statistics.n_values == len(values)
        for axis, moments in ((0, statistics.channels), (None, statistics.total)):
            # Means of an example are float32, what is made of them float64.
            np.testing.assert_allclose(moments.mean, values.mean(axis), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(moments.variance, values.var(axis), rtol=1e-5)
            np.testing.assert_allclose(moments.sd, values.std(axis), rtol=1e-5)
            np.testing.assert_allclose(moments.zero_share, (values == 0).mean(axis), rtol=1e-12)
    assert 0 < found["relu1"].total.zero_share < 1
    assert found["conv1"].total.zero_share == 0


def test_a_small_variance_about_a_large_mean(small_chunks):
    """What a difference of mean squares would lose: 1e4 and 1e-2 are 12 digits apart."""
    rng = np.random.default_rng(0)
    x = (1e4 + 0.1 * rng.normal(size=(10, 5))).astype(np.float32)
    task = Task.from_arrays((x, np.arange(10) % 2), (x, np.arange(10) % 2))
    model = mlp((5,), 2, hidden_size=5, activation="linear")
    params = start(model)
    params["dense1"] = {"kernel": jnp.eye(5), "bias": jnp.zeros(5)}
    first = activation_statistics(recipe_of(model), task, params)[0]
    np.testing.assert_allclose(first.channels.variance, x.astype(float).var(axis=0), rtol=1e-6)


def test_no_more_than_a_chunk_is_looked_at_at_once(small_chunks):
    seen = []

    def prepare(x):
        seen.append(len(x))
        return x

    task, params = replace(random_task(), prepare=prepare), start(LENET)
    seen.clear()  # a task looks at the shapes when it is made
    activation_statistics(recipe_of(LENET), task, params)
    mistakes(recipe_of(LENET), task, params)
    deconvnet(recipe_of(LENET), task, params, n_images=2)
    assert max(seen) == 4


# ---- stored parameters ----


def test_stored_parameters_are_restored():
    params = start(LENET)
    stored = {name: np.asarray(leaf) for name, leaf in named_leaves(params).items()}
    found = restore(recipe_of(LENET), dict(sorted(stored.items(), reverse=True)))
    assert jax.tree.structure(found) == jax.tree.structure(params)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(a, b)


def test_parameters_of_another_model():
    with pytest.raises(UsageError, match="another model"):
        restore(recipe_of(LENET), {"kernel": np.zeros((2, 2))})
