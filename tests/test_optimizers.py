"""Update rules against float64 NumPy references; the ranges of their numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference

from gridscape.errors import UsageError
from gridscape.optimizers import LIMITS, NAMES, adam, check_number, sgd
from gridscape.study import load_optimizer


class Sgd:
    """params <- params - learning_rate * gradient."""

    def __init__(self, learning_rate):
        self.learning_rate = learning_rate

    def step(self, params, grads):
        return {name: params[name] - self.learning_rate * g for name, g in grads.items()}


def gradients(n_steps=20, seed=0):
    """Gradients of sizes from 1e-6 to 1e2, of changing sign, and some that are zero."""
    rng = np.random.default_rng(seed)
    sizes = 10.0 ** np.linspace(-6, 2, 9)
    steps = rng.normal(size=(n_steps, 2, 9)) * sizes
    steps[:, 1, 3] = 0
    return [{"w": w.astype(np.float32), "b": b.astype(np.float32)} for w, b in steps]


def train(optimizer, hyper, grads):
    """The parameters after each step, the hyperparameters traced."""

    @jax.jit
    def run(hyper, grads):
        params = {"w": jnp.ones(9), "b": jnp.full(9, -0.5)}

        def step(carry, g):
            params, state = carry
            updates, state = optimizer.make(hyper).update(g, state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), params

        return jax.lax.scan(step, (params, optimizer.make(hyper).init(params)), grads)[1]

    traced = {name: jnp.float32(value) for name, value in hyper.items()}
    return run(traced, jax.tree.map(lambda *g: jnp.stack(g), *grads))


def assert_steps_agree(found, rule, grads, rtol):
    """Every parameter moves as the reference's does, relative to the way that it has come."""
    params = {"w": np.ones(9), "b": np.full(9, -0.5)}
    start = dict(params)
    for k, g in enumerate(grads):
        params = rule.step(params, {name: x.astype(np.float64) for name, x in g.items()})
        for name, value in params.items():
            way = np.abs(value - start[name]).max()
            np.testing.assert_allclose(found[name][k], value, rtol=rtol, atol=rtol * way)


@pytest.mark.parametrize(
    "hyper",
    [
        {"learning_rate": 1e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-8},
        {"learning_rate": 0.5, "b1": 0.0, "b2": 0.5, "eps": 1e-8},
        {"learning_rate": 1e-5, "b1": 0.99, "b2": 0.9999, "eps": 1e-3},
    ],
)
def test_adam_follows_the_paper(hyper):
    grads = gradients()
    found = train(adam(), hyper, grads)
    # The reference takes the numbers as float32 has them: 1 - b2 of float32 differs from 1e-4 by
    # 6e-4 relative, which cancels in the corrected moment only if both use the same b2. What is
    # left is the rounding of b2 ** t and of 1 - b2 ** t, 6e-8 / (1 - b2) relative.
    rounded = {name: float(np.float32(value)) for name, value in hyper.items()}
    rtol = max(1e-5, 4 * 6e-8 / (1 - rounded["b2"]))
    assert_steps_agree(found, reference.Adam(**rounded), grads, rtol)


def test_adam_moves_by_one_learning_rate_at_first():
    """The bias corrections make the first step learning_rate * sign(g) (Kingma and Ba, 2.1)."""
    found = train(adam(), {**adam().hyperparameters, "learning_rate": 0.01}, gradients(1))
    moved = np.asarray(found["w"][0]) - 1
    big = np.abs(gradients(1)[0]["w"]) > 1e-5  # far above eps
    np.testing.assert_allclose(np.abs(moved[big]), 0.01, rtol=2e-3)  # eps, and float32 near 1


@pytest.mark.parametrize("learning_rate", [1e-5, 0.1, 3.0])
def test_sgd_follows_the_gradient(learning_rate):
    grads = gradients()
    found = train(sgd(), {"learning_rate": learning_rate}, grads)
    # One rounding of 6e-8 of the parameter a step.
    assert_steps_agree(found, Sgd(float(np.float32(learning_rate))), grads, 20 * 6e-8)


def test_zero_gradients_move_nothing():
    zeros = [jax.tree.map(np.zeros_like, g) for g in gradients(3)]
    for optimizer in (adam(), sgd()):
        found = train(optimizer, optimizer.hyperparameters, zeros)
        np.testing.assert_array_equal(found["w"], np.ones((3, 9)))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_makes_an_optimizer_whose_defaults_are_allowed(name):
    optimizer = load_optimizer(name)
    assert "learning_rate" in optimizer.hyperparameters
    for number, value in optimizer.hyperparameters.items():
        check_number(number, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 1),
        ("learning_rate", 1e-30),
        ("b1", 0),
        ("b2", 0.9999999),
        ("init_scale", 0.0),
        ("forget_bias", -3),
        ("anything", 1e30),
    ],
)
def test_numbers_that_are_allowed(name, value):
    check_number(name, value)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("learning_rate", 0, "0"),
        ("learning_rate", -0.1, "-0.1"),
        ("learning_rate", float("nan"), "nan"),
        ("learning_rate", float("inf"), "inf"),
        ("learning_rate", True, "True"),
        ("learning_rate", "fast", "'fast'"),
        ("learning_rate", None, "None"),
        ("learning_rate", 1e-50, "1e-50, which is 0.0 as float32"),
        ("learning_rate", 1e39, r"1e\+39, which is inf as float32"),
        ("learning_rate", 10**400, "10+, which is inf as float32"),
        ("b1", 1, "1"),
        ("b2", 1 - 1e-9, "0.999999999, which is 1.0 as float32"),
        ("b2", -0.1, "-0.1"),
        ("eps", 0.0, "0.0"),
        ("init_scale", -1, "-1"),
        ("anything", float("nan"), "nan"),
        ("anything", 10**400, "10+, which is inf as float32"),
    ],
)
def test_numbers_out_of_range(name, value, found):
    words = LIMITS.get(name, (None, "a finite number"))[1]
    with pytest.raises(UsageError) as caught:
        check_number(name, value)
    assert str(caught.value).startswith(f"{name}: out of range (expected {words}, found ")
    assert caught.match(f"found {found}\\)$")


def test_where_a_number_stands_can_be_told():
    with pytest.raises(UsageError, match=r"^axes\.b1: out of range"):
        check_number("b1", 2, where="axes.b1")
