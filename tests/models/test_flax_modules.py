"""Flax NNX modules as models: parameters, statistics and dropout, and training."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import assert_same, planner_of, tiny, train

from gridscape import from_flax
from gridscape.engine.cohorts import partition
from gridscape.engine.order import batch_order
from gridscape.engine.training import Training, restore
from gridscape.errors import GridscapeError, ModelError, StudyFileError, UsageError
from gridscape.tasks.losses import cross_entropy

nnx = pytest.importorskip("flax.nnx")


class Normed(nnx.Module):
    """64 -> width -> 10."""

    def __init__(self, rngs, width=4, rate=0.0):
        self.first, self.norm = nnx.Linear(64, width, rngs=rngs), nnx.BatchNorm(width, rngs=rngs)
        self.drop = nnx.Dropout(rate, rngs=rngs)
        self.last = nnx.Linear(width, 10, rngs=rngs)

    def __call__(self, x):
        return self.last(self.drop(nnx.relu(self.norm(self.first(x)))))


def on_digits(model, axes=None, **values):
    values = {"task": "digits-flat", "optimizer": "sgd", "keep_parameters": "all", **values}
    return tiny(axes or {"learning_rate": [0.01, 0.1]}, model=model, **values)


def one_step(module, images, labels, rate):
    grads = nnx.grad(lambda m: cross_entropy(m(images), labels).mean())(module)
    return jax.tree.map(lambda p, g: p - rate * g, nnx.state(module, nnx.Param), grads)


def in_a_plain_loop(planner, trial, start):
    """The module after all updates by Flax and plain JAX alone."""
    recipe, task = planner.resolved.recipe(trial.cell), planner.resolved.task
    module = Normed(nnx.Rngs(0))
    for kind, name in ((nnx.Param, "module"), (nnx.BatchStat, "state")):
        state = nnx.state(module, kind)
        nnx.replace_by_pure_dict(state, start[name])
        nnx.update(module, state)
    module.train()
    for examples in batch_order(recipe, task, planner.resolved.study.seed, trial.replicate, 0, 12):
        images, labels = task.prepare(task.train.inputs[examples]), task.train.targets[examples]
        nnx.update(module, one_step(module, images, labels, recipe.hyper["learning_rate"]))
    return module


def test_parameters_and_statistics_are_those_of_a_plain_loop():
    planner = planner_of(on_digits(from_flax(Normed)))
    trials, resolved = planner.resolved.trials(), planner.resolved
    results = train(planner, trials)
    assert_same(train(planner, trials[-1:])[trials[-1].key], results[trials[-1].key])
    (cohort,) = partition(resolved, trials)
    begun = Training(planner.program(cohort), cohort)
    trial, recipe = trials[3], resolved.recipe(trials[3].cell)
    module = in_a_plain_loop(planner, trial, restore(recipe, begun.params(3)))
    result = results[trial.key]
    found = restore(recipe, result.params)
    for kind, name in ((nnx.Param, "module"), (nnx.BatchStat, "state")):
        expected = nnx.to_pure_dict(nnx.state(module, kind))
        # The same steps in float32, compiled in other company: rounding, through 12 updates.
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
            found[name],
            expected,
        )
    module.eval()
    task = resolved.task
    answers = module(jnp.asarray(task.prepare(task.test.inputs))).argmax(axis=1)
    accuracy = float(np.mean(answers == task.test.targets))
    assert result.metrics["test_accuracy"] == pytest.approx(accuracy, abs=2e-3)
    assert result.n_parameters == 64 * 4 + 4 + 8 + 40 + 10


def test_dropout_follows_the_key_and_is_apart_in_every_layer():
    class Dropping(nnx.Module):
        def __init__(self, *, rngs):
            self.weight = nnx.Param(jnp.ones(400))
            self.one, self.two = nnx.Dropout(0.5, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            x = self.weight[...][None] * x
            return self.one(x) + 10 * self.two(x)

    model = from_flax(Dropping)((400,), 400)
    params, x = model.init(jax.random.key(0), {}), jnp.ones((3, 400))
    assert model.training is None
    np.testing.assert_array_equal(model.apply(params, x, None, {}), 11 * x)
    first, again, other = (model.apply(params, x, jax.random.key(k), {}) for k in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert set(np.unique(first)) == {0, 2, 20, 22}, "two layers drop by themselves"


def test_options_are_axes_and_unknown_ones_are_told():
    resolved = on_digits(from_flax(Normed), {"width": [3, 5], "rate": [0.0, 0.5]}).resolve()
    assert len(partition(resolved, resolved.trials())) == 4
    with pytest.raises(StudyFileError, match=r"unknown axis 'widht'; did you mean 'width'\?"):
        on_digits(from_flax(Normed), {"widht": [3]}).resolve()


def test_what_is_no_module_is_refused(monkeypatch):
    with pytest.raises(ModelError, match=r"no Flax NNX module .*found int\).*ToNNX"):
        on_digits(from_flax(lambda rngs: 3)).resolve()
    with pytest.raises(UsageError, match="a function or class that takes rngs"):
        from_flax(lambda key: None)
    monkeypatch.setitem(sys.modules, "flax", None)
    with pytest.raises(GridscapeError, match=r"pip install 'gridscape\[flax\]'"):
        from_flax(Normed)
