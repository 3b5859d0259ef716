"""Update rules against float64 NumPy references; the ranges of their numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from reference_optimizers import REFERENCES

from gridscape.base.limits import check_number
from gridscape.errors import UsageError
from gridscape.optimizers import LIMITS, NAMES
from gridscape.study.parts import load_optimizer

# Numbers beside the starting values of each name.
SETTINGS = [
    ("sgd", {"learning_rate": 3.0}),
    ("momentum", {"learning_rate": 1e-3, "momentum": 1.05}),
    ("momentum", {"momentum": 0.0, "l2": 1.0}),
    ("nesterov", {"learning_rate": 1e-3, "momentum": 1.0}),
    ("adagrad", {"learning_rate": 0.5, "initial_accumulator_value": 2.0}),
    ("adagrad-pytorch", {"learning_rate": 0.5, "initial_accumulator_value": 1e-3, "eps": 0.1}),
    ("rmsprop", {"decay": 0.5, "eps": 0.1, "initial_mean_square": 0.0}),
    ("rmsprop-pytorch", {"decay": 0.0, "eps": 1.0, "initial_mean_square": 4.0}),
    ("adam", {"learning_rate": 0.5, "b1": 0.0, "b2": 0.5}),
    ("adam", {"learning_rate": 1e-5, "b1": 0.99, "b2": 0.9999, "eps": 1e-3}),
    ("adamw", {"learning_rate": 0.1, "b1": 0.5, "b2": 0.9, "weight_decay": 0.5}),
]

START = {"w": np.linspace(-1, 1, 9).reshape(3, 3), "b": np.full(9, -0.5)}


def gradients(n_steps=25, seed=0):
    """Gradients of sizes from 1e-6 to 1e2, of changing sign, and some that are zero."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(n_steps, 2, 9)) * 10.0 ** np.linspace(-6, 2, 9)
    steps[:, 1, 3] = 0
    w, b = steps.astype(np.float32).swapaxes(0, 1)
    return {"w": w.reshape(-1, 3, 3), "b": b}


def compiled(name):
    """The updates of every step, from the numbers and the gradients."""
    optimizer = load_optimizer(name)

    @jax.jit
    def run(hyper, grads):
        params = jax.tree.map(jnp.float32, START)

        def step(carry, g):
            params, state = carry
            updates, state = optimizer.make(hyper).update(g, state, params)
            return (optax.apply_updates(params, updates), state), updates

        return jax.lax.scan(step, (params, optimizer.make(hyper).init(params)), grads)[1]

    return run


def numbers(name, **changed):
    """All numbers of an optimizer as float32 has them: 1 - b2 differs by 6e-4 of 1e-4 else."""
    hyper = {**load_optimizer(name).hyperparameters, **changed}
    return {key: np.float32(value) for key, value in hyper.items()}


def expected(name, hyper, grads):
    """What ``compiled`` returns, in float64 and one array after the other."""
    hyper = {key: float(value) for key, value in hyper.items()}
    l2, decay = hyper.pop("l2"), hyper.pop("weight_decay", 0)
    updates = {}
    for key, value in START.items():
        is_weight, state, steps = key == "w", {}, []
        for g in grads[key].astype(np.float64):
            step = REFERENCES[name](g + is_weight * l2 * value, state, **hyper)
            step = step - is_weight * hyper["learning_rate"] * decay * value
            value = value + step
            steps.append(step)
        updates[key] = np.stack(steps)
    return updates


def assert_follows(run, name, hyper):
    """Every update of every element is the reference's, relative to the largest of the element."""
    grads = gradients()
    found, wanted = run(hyper, grads), expected(name, hyper, grads)
    # Beside float32's 6e-8 a step: what the rounding of b2 ** t leaves of 1 - b2 ** t.
    rtol = max(1e-5, 4 * 6e-8 / (1 - hyper.get("b2", 0)))
    for key, value in wanted.items():
        error = np.abs(found[key] - value).max(axis=0)
        size = np.abs(value).max(axis=0)
        assert (error <= rtol * size).all(), (key, error / size)


def test_every_rule_has_a_reference():
    assert set(REFERENCES) == set(NAMES) == {name for name, _ in SETTINGS}


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_follows_its_reference_at_any_numbers_in_one_program(name):
    run = compiled(name)
    others = [changed for rule, changed in SETTINGS if rule == name]
    for changed in ({}, {"l2": 0.3}, *others):
        assert_follows(run, name, numbers(name, **changed))
    assert run._cache_size() == 1


# ---- the starting values of TensorFlow 1 and PyTorch, and what the papers say of them ----


def steps_under_constant_slope(name, slope, n_steps=25, **changed):
    grads = {key: np.full((n_steps, *x.shape), slope, np.float32) for key, x in START.items()}
    return np.asarray(compiled(name)(numbers(name, **changed), grads)["b"][:, 0])


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("sgd", -0.1 * 0.2),
        ("momentum", -0.1 * 0.2),
        ("nesterov", -0.1 * 0.2 * 1.9),
        ("adagrad", -0.1 * 0.2 / np.sqrt(0.1 + 0.04)),
        ("adagrad-pytorch", -0.1),
        ("rmsprop", -0.1 * 0.2 / np.sqrt(0.9 + 0.1 * 0.04)),
        ("rmsprop-pytorch", -0.1 / np.sqrt(0.01)),
        ("adam", -0.1),
        ("adamw", -0.1),
    ],
)
def test_first_step_from_the_starting_values(name, first):
    steps = steps_under_constant_slope(name, slope=0.2, n_steps=1, learning_rate=0.1)
    assert steps[0] == pytest.approx(first, rel=1e-5)


def test_momentum_under_a_constant_slope():
    """Below 1 the step tends to -eta g / (1 - alpha), at 1 it grows linearly, above it faster."""
    slope = {"slope": 0.5, "learning_rate": 0.1}
    below, one, above = (
        steps_under_constant_slope("momentum", **slope, momentum=alpha) for alpha in (0.5, 1, 1.5)
    )
    assert below[-1] == pytest.approx(-0.05 / (1 - 0.5), rel=1e-6)
    np.testing.assert_allclose(one, -0.05 * np.arange(1, 26), rtol=1e-5)
    np.testing.assert_allclose(above[-5:] / above[-6:-1], 1.5, rtol=1e-3)


def test_adam_moves_by_one_learning_rate_at_first():
    """The bias corrections make the first step learning_rate * sign(g) (Kingma and Ba, 2.1)."""
    grads = gradients(1)
    moved = compiled("adam")(numbers("adam", learning_rate=0.01), grads)["w"]
    big = np.abs(grads["w"]) > 1e-5  # far above eps
    np.testing.assert_allclose(moved[big], -0.01 * np.sign(grads["w"][big]), rtol=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_zero_gradients_move_nothing(name):
    changed = {"weight_decay": 0.0} if name == "adamw" else {}
    zeros = jax.tree.map(np.zeros_like, gradients(3))
    for found in compiled(name)(numbers(name, **changed), zeros).values():
        np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize(
    ("name", "number"), [(name, "l2") for name in NAMES] + [("adamw", "weight_decay")]
)
def test_penalties_shrink_weights_and_leave_biases(name, number):
    zeros = jax.tree.map(np.zeros_like, gradients(2))
    found = compiled(name)(numbers(name, **{number: 0.5}), zeros)
    np.testing.assert_array_equal(np.sign(found["w"][0]), -np.sign(START["w"]))
    np.testing.assert_array_equal(found["b"], 0)


# ---- ranges ----


@pytest.mark.parametrize("name", NAMES)
def test_every_name_makes_an_optimizer_whose_numbers_have_limits_that_hold(name):
    optimizer = load_optimizer(name)
    assert {"learning_rate", "l2"} <= set(optimizer.hyperparameters) == set(optimizer.limits)
    for number, value in optimizer.hyperparameters.items():
        check_number(number, value, optimizer.limits)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 1),
        ("learning_rate", 1e-30),
        ("b1", 0),
        ("b2", 0.9999999),
        ("momentum", 0),
        ("momentum", 1.05),
        ("decay", 0.99),
        ("initial_accumulator_value", 0),
        ("initial_mean_square", 1),
        ("l2", 0),
        ("weight_decay", 10),
        ("forget_bias", -3),
        ("anything", 1e30),
    ],
)
def test_numbers_that_are_allowed(name, value):
    check_number(name, value, LIMITS)


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
        ("learning_rate", 10**400, r"10+(\.\.\.)?, which is inf as float32"),
        ("b1", 1, "1"),
        ("b2", 1 - 1e-9, "0.999999999, which is 1.0 as float32"),
        ("b2", -0.1, "-0.1"),
        ("eps", 0.0, "0.0"),
        ("momentum", -0.5, "-0.5"),
        ("momentum", float("inf"), "inf"),
        ("decay", 1.0, "1.0"),
        ("initial_accumulator_value", -0.1, "-0.1"),
        ("initial_mean_square", float("nan"), "nan"),
        ("l2", -0.01, "-0.01"),
        ("weight_decay", 1e39, r"1e\+39, which is inf as float32"),
        ("anything", float("nan"), "nan"),
        ("anything", 10**400, r"10+(\.\.\.)?, which is inf as float32"),
    ],
)
def test_numbers_out_of_range(name, value, found):
    words = LIMITS.get(name, "a finite number")
    with pytest.raises(UsageError) as caught:
        check_number(name, value, LIMITS)
    assert str(caught.value).startswith(f"{name}: out of range (expected {words}, found ")
    assert caught.match(f"found {found}\\)$")


def test_where_a_number_stands_can_be_told():
    with pytest.raises(UsageError, match=r"^axes\.b1: out of range"):
        check_number("b1", 2, LIMITS, where="axes.b1")
