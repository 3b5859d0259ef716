"""Equinox modules as models: keys, constants, options and training."""

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import planner_of, tiny, train

from gridscape import from_equinox
from gridscape.engine.cohorts import partition
from gridscape.engine.sizes import count_parameters
from gridscape.errors import GridscapeError, ModelError, StudyFileError, UsageError
from gridscape.grid.trials import Status


class TwoLayers(eqx.Module):
    """64 -> width -> 10, from fixed numbers: whatever the key, all start alike."""

    hidden: jax.Array
    last: jax.Array

    def __init__(self, key, width=4):
        self.hidden, self.last = fixed_weights(width)

    def __call__(self, x):
        return jnp.tanh(x @ self.hidden) @ self.last


def fixed_weights(width):
    return (
        jnp.sin(jnp.arange(64 * width, dtype=jnp.float32)).reshape(64, width) / 4,
        jnp.cos(jnp.arange(width * 10, dtype=jnp.float32)).reshape(width, 10),
    )


class Dropping(eqx.Module):
    """Drops half of its inputs in training."""

    scale: jax.Array
    dropout: eqx.nn.Dropout

    def __init__(self, key):
        self.scale, self.dropout = jnp.ones(10), eqx.nn.Dropout(0.5)

    def __call__(self, x, *, key):
        return self.scale * self.dropout(x[:10], key=key)


class Shuffling(eqx.Module):
    """Has constants that are no floats: a permutation drawn from its key, and a function."""

    order: jax.Array
    weight: jax.Array
    function: object = eqx.field(static=True)

    def __init__(self, key, n_outputs):
        self.order = jax.random.permutation(key, 64)[:n_outputs]
        self.weight, self.function = jnp.ones(n_outputs), jnp.tanh

    def __call__(self, x):
        return self.function(self.weight * x[self.order])


def on_digits(model, axes=None, **values):
    return tiny(axes or {"learning_rate": [0.01, 0.1]}, task="digits-flat", model=model, **values)


def apply(build, x, key=None, seed=0):
    """What a module answers as a model."""
    model = from_equinox(build)(x.shape[1:], 10)
    return model.apply(model.init(jax.random.key(seed), {}), x, key, {})


def test_a_module_is_written_for_one_example_and_mapped_over_the_batch():
    x = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    module = TwoLayers(jax.random.key(0))
    expected = np.stack([module(row) for row in x])
    np.testing.assert_allclose(apply(TwoLayers, x), expected, rtol=1e-5, atol=1e-6)
    key = jax.random.key(1)  # a module that takes no key is given none
    np.testing.assert_array_equal(apply(TwoLayers, x, key), apply(TwoLayers, x))


def test_training_passes_a_key_an_example_and_evaluation_none():
    x = jnp.ones((40, 64))
    trained = np.asarray(apply(Dropping, x, jax.random.key(1)))
    assert set(trained.ravel()) == {0.0, 2.0}
    assert len({row.tobytes() for row in trained}) > 30  # 40 of 1,024 patterns
    assert not np.array_equal(trained, apply(Dropping, x, jax.random.key(2)))
    np.testing.assert_array_equal(apply(Dropping, x), x[:, :10])


def test_a_key_may_have_a_default_or_a_place():
    class Placed(Dropping):
        def __call__(self, x, key=None):
            return super().__call__(x, key=key)

    x = jnp.ones((3, 64))
    assert set(np.ravel(apply(Placed, x, jax.random.key(1)))) == {0.0, 2.0}
    np.testing.assert_array_equal(apply(Placed, x), x[:, :10])


def test_only_floats_are_trained_and_constants_are_those_of_every_replicate():
    x = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    params = from_equinox(Shuffling)((64,), 10).init(jax.random.key(3), {})
    assert [leaf.shape for leaf in jax.tree.leaves(params)] == [(10,)]
    np.testing.assert_array_equal(apply(Shuffling, x, seed=3), apply(Shuffling, x, seed=4))


def test_a_module_trains_like_the_same_network_as_init_and_apply():
    def init(key, hyper):
        return dict(zip(("hidden", "last"), fixed_weights(4), strict=True))

    def apply(params, inputs, key, hyper):
        return jnp.tanh(inputs @ params["hidden"]) @ params["last"]

    found = []
    for model in (from_equinox(TwoLayers), (init, apply)):
        planner = planner_of(on_digits(model))
        found.append(list(train(planner, planner.resolved.trials()).values()))
    for module, pair in zip(*found, strict=True):
        assert module.status is pair.status is Status.FINISHED
        assert module.n_parameters == pair.n_parameters == 64 * 4 + 4 * 10
        # The same products in another order: float32 rounding, grown over twelve updates.
        losses = [result.curves["train_loss"] for result in (module, pair)]
        np.testing.assert_allclose(*losses, rtol=1e-4)
        assert losses[0][-1] < losses[0][0]
        assert module.metrics["test_loss"] == pytest.approx(pair.metrics["test_loss"], rel=1e-4)


def test_options_of_the_builder_are_static_axes():
    def build(key, input_shape, n_outputs, *, width=3, depth=1):
        return eqx.nn.MLP(*input_shape, n_outputs, width, depth, key=key)

    axes = {"width": [3, 5], "learning_rate": [0.01, 0.1]}
    resolved = on_digits(from_equinox(build), axes, model_options={"depth": 2}).resolve()
    cohorts = partition(resolved, resolved.trials())
    options = [cohort.recipe.static["options"] for cohort in cohorts]
    assert options == [{"width": 3, "depth": 2}, {"width": 5, "depth": 2}]
    for cohort, width in zip(cohorts, (3, 5), strict=True):
        assert (
            count_parameters(cohort.recipe)
            == (64 + 1) * width + (width + 1) * width + (width + 1) * 10
        )


def test_an_option_that_the_builder_does_not_take_is_told_with_the_nearest():
    with pytest.raises(StudyFileError, match=r"unknown axis 'widht'; did you mean 'width'\?"):
        on_digits(from_equinox(TwoLayers), {"widht": [3]}).resolve()


def test_keys_of_trials_follow_the_builder():
    def keys(width):
        factory = from_equinox(lambda key: eqx.nn.MLP(64, 10, width, 1, key=key))
        return [trial.key for trial in on_digits(factory).resolve().trials()]

    assert keys(3) == keys(3)
    assert set(keys(3)).isdisjoint(keys(4))


@pytest.mark.parametrize(
    ("build", "found"),
    [
        (lambda key: (jnp.ones(3), jnp.ones(3)), "tuple"),
        (lambda key: jnp.ones(3), "ShapeDtypeStruct"),
    ],
)
def test_what_is_no_module_is_refused(build, found):
    with pytest.raises(ModelError, match=rf"build makes no Equinox module .*found {found}\)"):
        on_digits(from_equinox(build)).resolve()


@pytest.mark.parametrize("build", [lambda width: None, lambda **options: None, 3])
def test_a_builder_takes_a_key(build):
    with pytest.raises(UsageError, match="a function or class that takes key, and options"):
        from_equinox(build)


def test_a_module_or_a_builder_that_was_not_brought_says_how():
    with pytest.raises(StudyFileError, match=r"brought by gridscape\.from_equinox\(build\)"):
        on_digits(TwoLayers(jax.random.key(0))).resolve()


def test_without_equinox_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "equinox", None)
    with pytest.raises(GridscapeError) as caught:
        from_equinox(TwoLayers)
    assert str(caught.value) == "Equinox is not installed; pip install 'gridscape[equinox]'"
