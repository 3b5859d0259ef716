"""Schedules and clipping, against optax and closed forms in float64."""

from contextlib import nullcontext
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cohort_tools import compilations, planner_of, tiny, train

from gridscape import kernels
from gridscape.base.data import Split
from gridscape.base.parts import Optimizer
from gridscape.engine.trial import Functions, init_trial, update_trial
from gridscape.errors import StudyFileError
from gridscape.optimizers import NAMES
from gridscape.optimizers.schedules import SCHEDULES, clipped, clipping, factor
from gridscape.study.conditions import Conditions, differences
from gridscape.study.study import Study

N = 40


def by_hand(schedule, u, warmup, final):
    """The share of the rate at update ``u`` of N, in float64."""
    warm = warmup * N
    if u < warm:
        half_cosine = (1 - np.cos(np.pi * u / warm)) / 2
        return 1 / 25 + 24 / 25 * half_cosine if schedule == "one-cycle" else u / warm
    q = (u - warm) / (N - warm)
    first = max(warm, 1.0)
    return {
        "constant": 1.0,
        "linear": 1 - (1 - final) * q,
        "cosine": final + (1 - final) * (1 + np.cos(np.pi * q)) / 2,
        "one-cycle": final + (1 - final) * (1 + np.cos(np.pi * q)) / 2,
        "step": 1.0 if q < 0.5 else final**0.5 if q < 0.75 else final,
        "inverse-sqrt": (first / max(u, first)) ** 0.5,
    }[schedule]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("warmup", "final"), [(0.0, 0.1), (0.25, 0.0), (0.31, 1.0)])
def test_the_share_of_the_rate_at_every_update(schedule, warmup, final):
    hyper = {"warmup": warmup, "final": final, "schedule_updates": float(N)}
    found = [float(factor(schedule, hyper, u)) for u in range(N + 1)]
    wanted = [by_hand(schedule, u, warmup, final) for u in range(N + 1)]
    np.testing.assert_allclose(found, wanted, atol=2e-6)  # float32: cos near its zeros


def test_schedules_are_those_of_optax():
    warm, hyper = 10, {"warmup": 0.25, "final": 0.1, "schedule_updates": float(N)}
    cosine = optax.warmup_cosine_decay_schedule(0.0, 1.0, warm, N, end_value=0.1)
    linear = optax.join_schedules(
        [optax.linear_schedule(0, 1, warm), optax.linear_schedule(1, 0.1, N - warm)], [warm]
    )
    for name, theirs in (("cosine", cosine), ("linear", linear)):
        for u in range(N):
            assert float(factor(name, hyper, u)) == pytest.approx(float(theirs(u)), abs=2e-6)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e25, 3e37])
@pytest.mark.parametrize("most", [0.5, 1e3])
def test_a_long_gradient_is_made_as_long_as_allowed(size, most):
    rng = np.random.default_rng(0)
    grads = {"w": rng.normal(size=(3, 4)) * size, "b": rng.normal(size=4) * size}
    norm = np.sqrt(sum((g.astype(np.float32).astype(float) ** 2).sum() for g in grads.values()))
    found = clipped(jax.tree.map(jnp.float32, grads), jnp.float32(most))
    for name, g in grads.items():
        np.testing.assert_allclose(found[name], g * min(1.0, most / norm), rtol=2e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_stays_so(bad):
    found = clipped({"w": jnp.array([1.0, bad])}, 1.0)["w"]
    assert not np.isfinite(np.asarray(found)).all()


def test_no_gradient_has_no_length():
    np.testing.assert_array_equal(clipped({"w": jnp.zeros(3)}, 1.0)["w"], np.zeros(3))


def steps(optimizer, n_steps=12, **settings):
    """The parameters after each update of one trial, beside the rule of optax for the same."""
    study = tiny({"learning_rate": [0.05]}, task="digits-flat", model="mlp", updates=n_steps,
                 model_options={"hidden_size": 5}, optimizer=optimizer, **settings)  # fmt: skip
    resolved = study.resolve()
    (cell,) = study.grid.cells()
    recipe = resolved.recipe(cell)
    functions = Functions.of(recipe, resolved.task)
    hyper = {name: jnp.float32(value) for name, value in recipe.hyper.items()}
    state = init_trial(
        recipe.model.init, recipe.optimizer.make, jnp.array([1, 2], jnp.uint32), hyper
    )
    inputs, targets = (jnp.asarray(x[:20]) for x in resolved.task.train)
    batch = Split(resolved.task.prepare(inputs), targets)
    update, states = jax.jit(partial(update_trial, functions, 1)), [state]
    for _ in range(n_steps):
        states.append(update(states[-1], batch, jax.random.key(0), hyper)[0])
    return recipe, functions, batch, [s.params for s in states]


def of_optax(recipe, functions, batch, start, n_steps, schedule, clip):
    """The same by optax alone: clip, rule at rate 1 of the schedule, apply."""
    hyper = recipe.hyper
    rule = optax.chain(
        optax.clip_by_global_norm(clip),
        recipe.optimizer.make(hyper),
        optax.scale_by_schedule(schedule),
    )
    params, state = start, rule.init(start)

    def loss(params):
        outputs = functions.apply(params, batch.inputs, None, hyper)
        return functions.loss(outputs, batch.targets).mean()

    for _ in range(n_steps):
        updates, state = rule.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("optimizer", NAMES)
def test_any_rule_follows_a_schedule_and_is_clipped(optimizer, native):
    """Momentum too: its sum of gradients is multiplied by the present rate, as PyTorch has it."""
    n_steps, given = 12, {"warmup": 0.25, "final": 0.1, "clip_norm": 0.3}
    with nullcontext() if native else kernels.plain():
        found = steps(optimizer, n_steps, schedule="cosine", hyperparameters=given)
    recipe, functions, batch, params = found
    theirs = optax.warmup_cosine_decay_schedule(0.0, 1.0, 3, n_steps, end_value=0.1)
    wanted = of_optax(recipe, functions, batch, params[0], n_steps, theirs, 0.3)
    first, *_, last = map(jax.tree.leaves, params)
    assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(first, last, strict=True))
    # Twelve updates in float32, of kernels that sum in another order. Adam divides by small roots.
    for found_one, one in zip(last, jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(found_one, one, rtol=2e-4, atol=2e-6)


def test_new_numbers_compile_nothing():
    axes = {"warmup": [0.1, 0.2], "final": [0.0, 0.5], "clip_norm": [0.1, 10.0]}
    planner = planner_of(tiny(axes, schedule="cosine", replicates=1))
    trials = planner.resolved.trials()
    train(planner, trials[:4])
    with compilations() as later:
        train(planner, trials[4:])
    assert len(later) == 0


def test_keys_stay_where_there_is_no_schedule():
    plain, scheduled = tiny().resolve(), tiny(schedule="constant").resolve()
    (a, *_), (b, *_) = plain.trials(), scheduled.trials()
    content = plain._content(a.cell, 2)
    assert "schedule" not in content["static"]
    assert not {"warmup", "clip_norm", "schedule_updates"} & set(content["hyper"])
    assert a.key != b.key


def test_a_constant_schedule_changes_nothing():
    trained = [
        train(planner, planner.resolved.trials())
        for planner in (planner_of(tiny(**more)) for more in ({}, {"schedule": "constant"}))
    ]
    assert trained[0]
    for a, b in zip(*(found.values() for found in trained), strict=True):
        assert a.metrics == b.metrics


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "cosin"}, "schedule: unknown schedule 'cosin'; did you mean 'cosine'?"),
        ({"axes": {"schedule": ["cosine", "x"]}}, "axes.schedule: out of range"),
        ({"hyperparameters": {"warmup": 0.1}}, "read by a schedule of the learning rate"),
        ({"axes": {"final": [0.1, 0.2]}, "schedule": "constant"}, "read by a schedule"),
        ({"axes": {"warmup": [0.1, 1.0]}, "schedule": "linear"}, "expected a number in [0, 1)"),
        ({"axes": {"clip_norm": [0.0, 1.0]}}, "expected a finite number above 0"),
        ({"schedule": ["cosine"]}, "schedule: wrong type"),
        ({"axes": {"schedule": [["cosine"]]}}, "axes.schedule: "),
        ({"schedule": 3}, "schedule: wrong type"),
        ({"hyperparameters": {"schedule_updates": 9}, "schedule": "linear"}, "unknown hyperparam"),
    ],
)
def test_a_mistake_is_one_line(settings, message):
    axes = settings.pop("axes", {"learning_rate": [0.1]})
    with pytest.raises(StudyFileError) as error:
        Study(task="digits-flat", model="mlp", axes=axes, **settings).resolve()
    assert message in str(error.value)
    assert len(error.value.mistakes) == 1


def own(**more):
    """An optimizer of somebody's own, with numbers of these names and defaults."""
    return Optimizer(lambda hyper: optax.sgd(0.1), {"learning_rate": 0.1, **more})


def first_key(**settings):
    return tiny({"learning_rate": [0.1]}, **settings).resolve().trials()[0].key


def test_numbers_of_these_names_may_be_somebody_elses():
    axes = {"warmup": [100, 200], "final": [5.0], "clip_norm": [0.0, 1.0]}
    resolved = tiny(axes, optimizer=own(warmup=1.0, final=2.0, clip_norm=0.5)).resolve()
    recipe = resolved.recipe(resolved.study.grid.cells()[0])
    assert not recipe.optimizer.clips
    with pytest.raises(StudyFileError, match="reads such numbers itself"):
        tiny({"warmup": [0.1]}, optimizer=own(warmup=1.0), schedule="cosine").resolve()


def test_a_schedule_of_an_own_optimizer_is_part_of_its_keys():
    halved = own()._replace(schedule=lambda hyper, update: 0.5)
    keys = {first_key(optimizer=one) for one in (own(), halved, clipping(own()))}
    assert len(keys) == 3
    one = {"learning_rate": [0.1]}
    with pytest.raises(StudyFileError, match="a schedule of its own"):
        tiny(one, optimizer=halved, schedule="cosine").resolve()
    with pytest.raises(StudyFileError, match="clips without a number"):
        tiny(one, optimizer=own()._replace(clips=True)).resolve()


def test_a_scheduled_run_is_another_than_published():
    record = tiny(schedule="cosine").resolve().record()
    told = differences(record, Conditions({"schedule": None, "updates": 12}))
    assert [d.name for d in told] == ["schedule"]
    longer = differences({**record, "updates": 99}, Conditions({"updates": 12}), reads=[12.0])
    assert [d.name for d in longer] == ["updates"]
    assert not differences({**record, "schedule": None}, Conditions({"schedule": None}))
