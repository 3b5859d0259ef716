"""Studies of sequences of different lengths, from the data to stored numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from cohort_tools import compilations, planner_of, tiny, train

from gridscape.base.task import Task
from gridscape.engine.evaluation import LARGEST_CHUNK
from gridscape.engine.trial import Functions, init_trial, update_trial
from gridscape.execution.replay import replay, trained
from gridscape.sweep import run

N_TEST = LARGEST_CHUNK + 61  # the last chunk of an evaluation is filled up


def sequences(n, seed, *, per_step=False):
    """Sequences of 1 to 9 steps; is the sum so far of the first feature above 0?"""
    rng = np.random.default_rng(seed)
    steps = [rng.normal(size=(rng.integers(1, 10), 2)).astype(np.float32) for _ in range(n)]
    right = [(one[:, 0].cumsum() > 0).astype(np.int32) for one in steps]
    return steps, right if per_step else [one[-1] for one in right]


def task_of(**options):
    parts = sequences(120, 0, **options), sequences(N_TEST, 1, **options)
    return Task.from_arrays(*parts, validation=sequences(40, 2, **options), name="sums")


def study_of(**changes):
    values = {"task": task_of(), "model": "lstm", "model_options": {"directions": 2}}
    return tiny(**{**values, "keep_parameters": "all", "updates": 20, **changes})


CELL = {"hidden_size": 8, "learning_rate": 0.1}


@pytest.mark.parametrize("per_step", [False, True])
def test_stored_numbers_are_those_of_each_test_sequence_alone(tmp_path, per_step):
    """By the float64 reference, with the parameters that were stored."""
    returns = "every" if per_step else "last"
    options = {"directions": 2, "returns": returns}
    study = study_of(task=task_of(per_step=per_step), model_options=options)
    land = run(study, directory=tmp_path)
    network = trained(tmp_path, CELL, study=study)
    params = {name: np.asarray(value, np.float64) for name, value in network.end.items()}
    losses, right = [], []
    for one, label in zip(*sequences(N_TEST, 1, per_step=per_step), strict=True):
        told = {"cell": "lstm", "returns": returns, "forget_bias": 1.0}
        outputs, _ = reference.recurrent_forward(params, one[None].astype(np.float64), **told)
        logits, label = outputs.reshape(-1, 2), np.reshape(label, -1)
        losses.append(reference.cross_entropy(logits, label)[0])
        right.append((logits.argmax(axis=1) == label).mean())
    cell = land.data.sel(**CELL, replicate=0)
    # float32 over some ten steps; a mean of 561.
    np.testing.assert_allclose(cell.test_loss, np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(cell.test_accuracy, np.mean(right), rtol=1e-6)
    assert cell.test_accuracy > 0.7
    assert 0 < cell.val_accuracy <= 1
    assert np.isfinite(cell.train_loss)


def test_a_trial_alone_is_the_same(tmp_path):
    study = study_of()
    run(study, directory=tmp_path)
    assert replay(tmp_path, CELL, replicate=1, study=study).identical


def test_replicates_may_draw_splits_of_their_own(tmp_path):
    land = run(study_of(resample="split"), directory=tmp_path)
    assert (land.data.status == "finished").all()
    assert land.data.test_loss.std("replicate").min() > 0


def test_the_padding_of_the_data_is_no_part_of_keys_or_numbers():
    """More padding, filled with anything: the same trials with the same numbers."""

    def padded(part):
        steps, labels = part
        whole = np.full((len(steps), 30, 2), np.nan)
        for row, one in zip(whole, steps, strict=True):
            row[: len(one)] = one
        return whole, labels, [len(one) for one in steps]

    parts = sequences(120, 0), sequences(N_TEST, 1)
    tasks = [Task.from_arrays(*map(form, parts), name="sums") for form in (tuple, padded)]
    keys = [{t.key for t in study_of(task=task).resolve().trials()} for task in tasks]
    assert keys[0] == keys[1]


def test_three_compilations_a_program_and_none_for_a_new_learning_rate():
    task = task_of()
    studies = [
        study_of(task=task, axes={"hidden_size": [3], "learning_rate": rates})
        for rates in ([0.001, 0.1], [0.02, 0.3])
    ]
    planner = planner_of(studies[0])
    assert planner.data(task).n_test == N_TEST  # before counting starts
    with compilations() as first:
        train(planner, planner.resolved.trials())
    assert len(first) == 3  # init, train and evaluate
    planner.resolved = studies[1].resolve()
    with compilations() as second:
        train(planner, planner.resolved.trials())
    assert not second


@pytest.mark.parametrize("per_step", [False, True])
def test_a_batch_in_microbatches_gives_the_same_update(per_step):
    task = task_of(per_step=per_step)
    options = {"returns": "every"} if per_step else {}
    resolved = study_of(task=task, model_options=options).resolve()
    recipe = resolved.recipe(resolved.trials()[0].cell)
    functions, hyper = Functions.of(recipe, task), dict(recipe.hyper)
    words = jax.random.key_data(jax.random.key(0))
    state = init_trial(recipe.model.init, recipe.optimizer.make, words, hyper)
    batch = jax.tree.map(lambda x: jnp.asarray(x[:12]), task.train)
    batch = batch._replace(inputs=task.prepare(batch.inputs))
    updates = [
        update_trial(functions, n_microbatches, state, batch, jax.random.key(0), hyper)
        for n_microbatches in (1, 4)
    ]
    # The sums of a gradient in another order.
    for one, other in zip(*(jax.tree.leaves(new.params) for new, _ in updates), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(updates[0][1]["loss"], updates[1][1]["loss"], rtol=1e-5)
