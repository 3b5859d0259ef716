"""State beside parameters: moved by training, neither differentiated, optimized nor averaged."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cohort_tools import assert_same, planner_of, tiny, train

import gridscape as gs
from gridscape.engine.cohorts import partition
from gridscape.engine.flops import update_flops
from gridscape.engine.order import batch_order
from gridscape.engine.sizes import count_parameters
from gridscape.errors import ModelError, OutOfMemoryError
from gridscape.execution.cohort_run import CohortRun
from gridscape.execution.estimate import needs_of
from gridscape.execution.executors import Finished
from gridscape.execution.planner import microbatch_counts
from gridscape.execution.replay import replay, trained
from gridscape.execution.worker import _smaller
from gridscape.inspection.kinds import look
from gridscape.study.flops import step_flops

MOMENTUM = 0.1


def init(key, hyper):
    return {
        "kernel": jax.random.normal(key, (64, 10)) / 8,
        "bias": jnp.zeros(10),
        "state": {"mean": jnp.zeros(64), "count": jnp.zeros((), jnp.int32)},
    }


def apply(params, inputs, key, hyper):
    centered = inputs - params["state"]["mean"][None, :]
    return centered @ params["kernel"] + params["bias"][None, :]


def training(params, inputs, key, hyper):
    mean, old = inputs.mean(axis=0), params["state"]
    moved = (1 - MOMENTUM) * old["mean"] + MOMENTUM * mean
    outputs = (inputs - mean[None, :]) @ params["kernel"] + params["bias"][None, :]
    return outputs, {"mean": moved, "count": old["count"] + 1}


CENTERING = gs.Model(init, apply, training=training)


def centering(axes=None, **values):
    settings = {"task": "digits-flat", "model": CENTERING, "keep_parameters": "all", **values}
    return tiny(axes or {"learning_rate": [0.01, 0.1]}, **settings)


@pytest.fixture(scope="module")
def planner():
    return planner_of(centering())


@pytest.fixture(scope="module")
def results(planner):
    return train(planner, planner.resolved.trials())


def means_of_batches(planner, trial):
    """The running mean after all updates, in float64."""
    study, task = planner.resolved.study, planner.resolved.task
    recipe = planner.resolved.recipe(trial.cell)
    order = batch_order(recipe, task, study.seed, trial.replicate, 0, recipe.updates)
    mean = np.zeros(64)
    for examples in order:
        batch = np.asarray(task.prepare(task.train.inputs[examples]), np.float64)
        mean = (1 - MOMENTUM) * mean + MOMENTUM * batch.mean(axis=0)
    return mean


def test_training_moves_the_state_and_evaluation_reads_it(planner, results):
    task = planner.resolved.task
    images = np.asarray(task.prepare(task.test.inputs), np.float64)
    assert results
    for trial in planner.resolved.trials():
        params = results[trial.key].params
        assert params["state/count"] == 12
        # Float32 sums of ten numbers, twelve times.
        expected = means_of_batches(planner, trial)
        np.testing.assert_allclose(params["state/mean"], expected, rtol=1e-5, atol=1e-6)
        outputs = (images - params["state/mean"]) @ params["kernel"] + params["bias"]
        accuracy = (outputs.argmax(axis=1) == task.test.targets).mean()
        assert results[trial.key].metrics["test_accuracy"] == pytest.approx(accuracy, abs=2e-3)


def test_state_is_no_parameter(planner, results):
    recipe = planner.resolved.recipe(planner.resolved.trials()[0].cell)
    assert count_parameters(recipe) == 650
    assert next(iter(results.values())).n_parameters == 650


def test_a_trial_alone_is_the_same_in_a_cohort(planner, results):
    last = planner.resolved.trials()[-1]
    assert_same(train(planner, [last])[last.key], results[last.key])


def test_a_run_goes_on_from_a_snapshot_bit_for_bit(planner, results):
    (cohort,) = partition(planner.resolved, planner.resolved.trials())
    begun = CohortRun(planner, cohort)
    update = next(begun.events()).update
    (snapshot,) = begun.snapshots()
    rest = CohortRun(planner, replace(cohort, start=update)).events(snapshot)
    ended = [event for event in rest if isinstance(event, Finished)]
    assert 0 < update < 12
    assert len(ended) == 4
    for event in ended:
        assert_same(event.result, results[event.trial.key])


def test_a_stored_trial_is_replayed_and_looked_at(tmp_path):
    study = centering({"learning_rate": [0.1]}, replicates=1)
    gs.run(study, directory=tmp_path)
    assert replay(tmp_path, {}, study=study).identical
    found = look(trained(tmp_path, {}, study=study), ("confusion",))
    assert found.records["confusion"].counts.sum() == len(study.resolve().task.test.targets)


def test_the_average_of_parameters_has_the_last_state():
    resolved = planner_of(centering({"ema": [0.0, 0.9], "learning_rate": [0.1]}))
    found = train(resolved, resolved.resolved.trials())
    last, average = (found[t.key].params for t in resolved.resolved.trials()[::2])
    np.testing.assert_array_equal(average["state/mean"], last["state/mean"])
    assert average["state/count"] == 12
    assert not np.array_equal(average["kernel"], last["kernel"])


@pytest.mark.parametrize("optimizer", ["momentum", gs.Optimizer(lambda _: optax.sgd(0.1), {})])
def test_a_state_that_is_not_finite_ends_the_trial_with_the_last_that_was(optimizer):
    def breaking(params, inputs, key, hyper):
        outputs, state = training(params, inputs, key, hyper)
        mean = jnp.where(state["count"] == 7, jnp.inf, state["mean"])
        return outputs, {**state, "mean": mean}

    model = CENTERING._replace(training=breaking, hyperparameters={"unread": 1.0})
    planner = planner_of(centering({"unread": [1.0]}, model=model, optimizer=optimizer))
    (result, *_) = train(planner, planner.resolved.trials()).values()
    assert (result.status.value, result.first_bad_update) == ("diverged", 7)
    assert result.bad_quantity == "parameters"
    assert result.params["state/count"] == 6
    assert all(np.isfinite(x).all() for x in result.params.values())


def test_batches_are_never_cut(planner):
    (cohort,) = partition(planner.resolved, planner.resolved.trials())
    assert microbatch_counts(cohort) == []
    assert _smaller(cohort.part(0, 1)) == ()
    tight = planner_of(centering())
    tight.limit_bytes = 10
    with pytest.raises(OutOfMemoryError, match="batches whole"):
        tight.cut(cohort)


def test_work_and_memory_are_told_from_shapes(planner):
    (cohort,) = partition(planner.resolved, planner.resolved.trials())
    recipe, task = cohort.recipe, cohort.task
    parts = recipe.model, recipe.optimizer, recipe.loss, task, recipe.batch_size, recipe.hyper
    assert step_flops(*parts) == update_flops(recipe, task) > 0
    slot = needs_of(planner.resolved.study, cohort, 0, 1).slot
    assert slot > 2 * 4 * (650 + 64)


def test_keys_follow_the_code_that_moves_the_state():
    def other(params, inputs, key, hyper):
        return apply(params, inputs, key, hyper), params["state"]

    keys = [
        {trial.key for trial in centering(model=model).resolve().trials()}
        for model in (CENTERING, CENTERING._replace(training=other))
    ]
    assert keys[0].isdisjoint(keys[1])


def resized(params, inputs, key, hyper):
    return apply(params, inputs, key, hyper), {**params["state"], "mean": jnp.zeros(3)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"training": resized}, r"state/mean: .* another state .*\[64\].*found float32 \[3\]"),
        ({"training": apply}, "training gives no state"),
        ({"init": lambda key, hyper: {"a": jnp.ones(3)}}, "a model with training has no state"),
        ({"init": lambda key, hyper: [jnp.ones(3)]}, "a model with training has no state"),
    ],
)
def test_what_is_wrong_with_a_state_is_told(change, words):
    with pytest.raises(ModelError, match=words):
        centering(model=CENTERING._replace(**change)).resolve()
