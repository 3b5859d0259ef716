"""Rules of optax by name: their numbers, their programs, and those that cannot be used."""

import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from cohort_tools import compilations, planner_of, tiny, train

from gridscape.errors import UnknownNameError, UsageError
from gridscape.grid.trials import Status
from gridscape.optimizers.from_optax import names, of_optax
from gridscape.study import reach

RATE = 0.002
PARAMS = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.full(3, 0.5)}


def usable():
    for name in names():
        try:
            of_optax(name)
        except UsageError:
            continue
        yield name


def test_most_rules_can_be_used():
    assert len(list(usable())) >= 35
    assert {"optax:lion", "optax:adan", "optax:contrib.muon"} <= set(usable())


def numbers(optimizer):
    return {name: jnp.float32(value) for name, value in optimizer.hyperparameters.items()}


@pytest.mark.parametrize("name", ["lion", "radam", "lamb", "yogi", "contrib.adopt", "adafactor"])
def test_a_rule_takes_the_steps_that_it_takes_alone(name):
    optimizer = of_optax(f"optax:{name}")
    space = optax.contrib if name.startswith("contrib.") else optax
    alone = getattr(space, name.rpartition(".")[2])(learning_rate=RATE)
    rng, ours = (
        np.random.default_rng(0),
        optimizer.make(numbers(optimizer) | {"learning_rate": RATE}),
    )
    found, wanted = PARAMS, PARAMS
    a, b = ours.init(found), alone.init(wanted)
    for _ in range(10):
        grads = {k: jnp.asarray(rng.normal(size=v.shape), jnp.float32) for k, v in PARAMS.items()}
        step, a = ours.update(grads, a, found)
        found = optax.apply_updates(found, step)
        step, b = alone.update(grads, b, wanted)
        wanted = optax.apply_updates(wanted, step)
    for key in PARAMS:
        np.testing.assert_allclose(found[key], wanted[key], rtol=1e-5)


def test_its_numbers_are_axes_that_compile_nothing():
    axes = {"learning_rate": [0.001, 0.01], "b1": [0.8, 0.9], "weight_decay": [0.0, 0.1]}
    planner = planner_of(tiny(axes, optimizer="optax:lion", replicates=1))
    trials = planner.resolved.trials()
    results = train(planner, trials[:4])
    with compilations() as later:
        results |= train(planner, trials[4:])
    assert len(later) == 0
    assert {result.status for result in results.values()} == {Status.FINISHED}
    assert len({result.metrics["test_loss"] for result in results.values()}) == 8


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("optax:lbfgs", "needs more than gradients"),
        ("optax:contrib.momo", "needs more than gradients"),
        ("optax:noisy_sgd", "the same in all replicates"),
        ("optax:contrib.schedule_free_sgd", "other parameters than those that it trains"),
    ],
)
def test_what_cannot_be_used_says_why(name, why):
    with pytest.raises(UsageError, match=why) as error:
        of_optax(name)
    assert len(str(error.value)) <= 300


@pytest.mark.parametrize("name", ["optax:lionn", "optax:", "optax:apply_updates", "optax:os"])
def test_an_unknown_rule(name):
    with pytest.raises(UnknownNameError):
        of_optax(name)


def test_a_folder_that_names_one_needs_no_trust():
    assert reach.check({"task": "digits-rows", "optimizer": "optax:lion"}) == ()
    assert tiny(optimizer="optax:lion").resolve().record()["optimizer"] == "optax:lion"


def test_a_rate_that_optax_takes_for_no_scaling():
    """None of optax: updates as they are."""
    assert of_optax("optax:adadelta").hyperparameters["learning_rate"] == 1.0
    assert of_optax("optax:adam").hyperparameters["learning_rate"] == 1e-3
