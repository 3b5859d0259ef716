"""Equinox modules with state: trained as a plain loop of Equinox trains them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import assert_same, planner_of, tiny, train

from gridscape import from_equinox
from gridscape.engine.cohorts import partition
from gridscape.engine.order import batch_order
from gridscape.engine.training import Training, restore
from gridscape.errors import ModelError
from gridscape.tasks.losses import cross_entropy


class Normed(eqx.Module):
    """64 -> width -> 10, with both kinds of state that Equinox has."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    last: eqx.nn.SpectralNorm

    def __init__(self, key, width=4, mode="batch", axis_name="examples"):
        one, two, three = jax.random.split(key, 3)
        self.first = eqx.nn.Linear(64, width, key=one)
        self.norm = eqx.nn.BatchNorm(width, axis_name, mode=mode, momentum=0.8)
        self.last = eqx.nn.SpectralNorm(eqx.nn.Linear(width, 10, key=two), "weight", key=three)

    def __call__(self, x, state):
        x, state = self.norm(self.first(x), state)
        return self.last(jax.nn.relu(x), state)


def with_state(key, width=4, mode="batch"):
    return eqx.nn.make_with_state(Normed)(key, width, mode)


def on_digits(model, axes=None, **values):
    values = {"task": "digits-flat", "optimizer": "sgd", "keep_parameters": "all", **values}
    return tiny(axes or {"learning_rate": [0.01, 0.1]}, model=model, **values)


def in_a_plain_loop(planner, trial, start):
    """Parameters, and the leaves of the state, after all updates by Equinox alone."""
    recipe, task = planner.resolved.recipe(trial.cell), planner.resolved.task
    mode = recipe.static["options"].get("mode", "batch")
    module, state = eqx.nn.make_with_state(Normed)(jax.random.key(0), mode=mode)
    module = eqx.combine(start["module"], module)
    state = jax.tree.unflatten(jax.tree.structure(state), start["state"])
    order = batch_order(recipe, task, planner.resolved.study.seed, trial.replicate, 0, 12)

    @eqx.filter_jit
    def step(module, state, images, labels):
        def loss(module):
            mapped = jax.vmap(module, (0, None), (0, None), axis_name="examples")
            outputs, moved = mapped(images, state)
            return cross_entropy(outputs, labels).mean(), moved

        (_, moved), grads = eqx.filter_value_and_grad(loss, has_aux=True)(module)
        rate = recipe.hyper["learning_rate"]
        return eqx.apply_updates(module, jax.tree.map(lambda g: -rate * g, grads)), moved

    for examples in order:
        images = task.prepare(task.train.inputs[examples])
        module, state = step(module, state, images, task.train.targets[examples])
    return module, state


@pytest.mark.parametrize(("build", "mode"), [(Normed, "batch"), (with_state, "ema")])
def test_parameters_and_state_are_those_of_a_plain_loop(build, mode):
    planner = planner_of(on_digits(from_equinox(build), model_options={"mode": mode}))
    trials, resolved = planner.resolved.trials(), planner.resolved
    results = train(planner, trials)
    (cohort,) = partition(resolved, trials)
    begun = Training(planner.program(cohort), cohort)
    assert_same(train(planner, trials[-1:])[trials[-1].key], results[trials[-1].key])
    for index in (0, 3):
        trial, recipe = trials[index], resolved.recipe(trials[index].cell)
        module, state = in_a_plain_loop(planner, trial, restore(recipe, begun.params(index)))
        found = restore(recipe, results[trial.key].params)
        leaves = jax.tree.leaves((eqx.filter(module, eqx.is_inexact_array), state))
        for ours, array in zip(
            jax.tree.leaves((found["module"], found["state"])), leaves, strict=True
        ):
            # The same steps in float32, compiled in other company: rounding, through 12 updates.
            np.testing.assert_allclose(ours, array, rtol=1e-4, atol=1e-5)
        images = jnp.asarray(resolved.task.prepare(resolved.task.test.inputs))
        answers, _ = jax.vmap(eqx.nn.inference_mode(module), (0, None), (0, None))(images, state)
        accuracy = float(np.mean(answers.argmax(axis=1) == resolved.task.test.targets))
        assert results[trial.key].metrics["test_accuracy"] == pytest.approx(accuracy, abs=2e-3)


class Counting(eqx.Module):
    """State of one's own, without any layer that brings it."""

    index: eqx.nn.StateIndex
    weight: jax.Array

    def __init__(self, key):
        self.index, self.weight = eqx.nn.StateIndex(jnp.array(0)), jnp.ones(10)

    def __call__(self, x, state, key):
        n = state.get(self.index)
        return self.weight * x[:10] + 0 * n, state.set(self.index, n + 1)


class Keeping(Counting):
    def __call__(self, x):
        return self.weight * x[:10]


def test_state_of_ones_own_counts_batches_of_training():
    planner = planner_of(on_digits(from_equinox(Counting)))
    found = train(planner, planner.resolved.trials()).values()
    assert found
    for result in found:
        assert result.params["state/0"] == 12
        assert result.n_parameters == 10


def of_two_axes(key):
    return eqx.nn.Sequential([eqx.nn.BatchNorm(64, n, mode="batch") for n in ("a", "b")])


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (
            Keeping,
            r"Keeping: an Equinox module whose state is not passed on \(expected __call__\(x",
        ),
        (of_two_axes, r"Sequential: norms over several axes \(.*found 'a', 'b'"),
    ],
)
def test_state_that_cannot_be_followed_is_refused(build, words):
    with pytest.raises(ModelError, match=words):
        on_digits(from_equinox(build)).resolve()


def test_a_sequence_of_layers_passes_state_on():
    def build(key):
        layers = [eqx.nn.Linear(64, 10, key=key), eqx.nn.BatchNorm(10, "batch", mode="batch")]
        return eqx.nn.Sequential(layers)

    model = from_equinox(build)((64,), 10)
    params = model.init(jax.random.key(0), {})
    assert model.apply(params, jnp.ones((3, 64)), None, {}).shape == (3, 10)
    outputs, state = model.training(params, jnp.ones((3, 64)), jax.random.key(1), {})
    assert outputs.shape == (3, 10)
    assert len(state) == len(params["state"]) == 3


def test_state_is_arrays_outside_of_a_program_too():
    model, x = from_equinox(Normed)((64,), 10, mode="ema"), jnp.ones((4, 64))
    params = model.init(jax.random.key(0), {})
    _, state = model.training(params, x, jax.random.key(1), {})
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
    assert model.apply({**params, "state": state}, x, None, {}).shape == (4, 10)
