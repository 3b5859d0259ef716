"""Sequences of different lengths: each gives what it gives alone, whatever the padding holds."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from gridscape import kernels
from gridscape.base.data import Sequences
from gridscape.base.metrics import cross_entropy
from gridscape.base.per_step import over_steps
from gridscape.models.recurrent import lstm, recurrent

CELLS = {
    "rnn": {"cell": "rnn"},
    "gru": {"cell": "gru", "reset": "before"},
    "gru_after": {"cell": "gru", "reset": "after"},
    "lstm": {"cell": "lstm"},
}
LENGTHS = np.array([5, 1, 7, 2, 7], np.int32)
HYPER = dict(lstm.hyperparameters)
# A sum over some ten steps and five sequences in float32, of 6e-8 a rounding; in the Euclidean norm
# of an array. In float64 the same program agrees to rounding.
PATHS = {
    "native": (np.float32, 1e-5, nullcontext),
    "plain": (np.float32, 1e-5, kernels.plain),
    "float64": (np.float64, 1e-10, nullcontext),
}
SHAPES = {
    "one layer": {},
    "stacked, both directions": {"layers": "5-3", "directions": 2},
}


def problem(model, dtype, seed=0):
    """Parameters none of which is zero, steps (5, 7, 2) and a label for each of them."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0), HYPER)
    params = {
        name: jnp.asarray(rng.normal(size=s.shape) / np.sqrt(sum(s.shape)), dtype)
        for name, s in shapes.items()
    }
    steps = rng.normal(size=(len(LENGTHS), 7, 2)).astype(dtype)
    return params, steps, rng.integers(0, 4, steps.shape[:2]).astype(np.int32)


def padded(values, n_steps, filling):
    """Sequences with so many steps, and what stands after their ends."""
    found = np.full((len(values), n_steps, *values.shape[2:]), filling, values.dtype)
    for row, length in enumerate(LENGTHS):
        found[row, :length] = values[row, :length]
    return Sequences(jnp.asarray(found), jnp.asarray(LENGTHS))


def trained(model, returns):
    """(params, inputs, labels) -> ((mean loss, outputs), gradients by parameters and steps)."""

    def loss(params, steps, lengths, labels):
        outputs = model.apply(params, Sequences(steps, lengths), None, HYPER)
        each = over_steps(cross_entropy) if returns == "every" else cross_entropy
        return each(outputs, labels).mean(), outputs

    differentiated = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    # Compiled in haste, in half the time: most of this file's time.
    return jax.jit(differentiated, compiler_options={"xla_backend_optimization_level": 0})


def asked(labels, returns, n_steps=7):
    return padded(labels, n_steps, 0) if returns == "every" else jnp.asarray(labels[:, 0])


def one_by_one(params, steps, labels, returns, **told):
    """Mean loss, outputs and gradients of the reference, which reads each sequence alone."""
    params = {name: np.asarray(value, np.float64) for name, value in params.items()}
    losses, outputs, grads = [], [], []
    for row, length in enumerate(LENGTHS):
        x = steps[row : row + 1, :length].astype(np.float64)
        y = labels[row : row + 1, :length] if returns == "every" else labels[row : row + 1, 0]
        outputs.append(reference.recurrent_forward(params, x, returns=returns, **told)[0][0])
        loss, grad = reference.recurrent_gradients(params, x, y, returns=returns, **told)
        losses.append(loss)
        grads.append(grad)
    mean = {name: np.mean([grad[name] for grad in grads], axis=0) for name in params}
    return np.mean(losses), outputs, mean


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("returns", ["last", "every"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_outputs_and_gradients_are_those_of_each_sequence_alone(cell, shape, returns, path):
    dtype, tolerance, context = PATHS[path]
    options = {"hidden_size": 4, "returns": returns, **SHAPES[shape], **CELLS[cell]}
    with jax.enable_x64(dtype == np.float64), context():
        model = recurrent((7, 2), 4, **options)
        params, steps, labels = problem(model, dtype)
        x = padded(steps, 9, np.nan)  # two steps longer than the longest
        y = asked(labels, returns, 9)
        (loss, outputs), (grads, by_steps) = trained(model, returns)(params, *_parts(x), y)
    told = {"cell": CELLS[cell]["cell"] if cell != "gru_after" else cell}
    told |= {"forget_bias": 1.0} if cell == "lstm" else {}
    expected_loss, expected, expected_grads = one_by_one(params, steps, labels, returns, **told)
    np.testing.assert_allclose(loss, expected_loss, rtol=tolerance)
    for found, length, of_reference in zip(np.asarray(outputs), LENGTHS, expected, strict=True):
        found = found[:length] if returns == "every" else found
        assert np.linalg.norm(found - of_reference) <= tolerance * np.linalg.norm(of_reference)
    for name, of_reference in expected_grads.items():
        error = np.linalg.norm(np.asarray(grads[name], np.float64) - of_reference)
        assert error <= tolerance * np.linalg.norm(of_reference), name
    is_step = np.arange(9) < LENGTHS[:, None]
    assert not np.asarray(by_steps)[~is_step].any(), "nothing is learned of padding"
    assert np.isfinite(np.asarray(by_steps)).all()


def _parts(x):
    return x.steps, x.lengths


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("returns", ["last", "every"])
@pytest.mark.parametrize("cell", CELLS)
def test_padding_changes_nothing_whatever_it_holds(cell, returns, plain):
    """To the bit at one padded length; of a longer one XLA may sum products in another order."""
    model = recurrent((7, 2), 4, hidden_size=5, directions=2, returns=returns, **CELLS[cell])
    params, steps, labels = problem(model, np.float32)
    with kernels.plain() if plain else nullcontext():
        run = trained(model, returns)
        answers, gradients = [], []
        for n_steps, filling in ((7, 0), (7, np.nan), (7, -1e30), (12, np.inf), (40, 3)):
            y = asked(labels, returns, n_steps)
            (_, found), (grads, _) = run(params, *_parts(padded(steps, n_steps, filling)), y)
            kept = [o[:n] for o, n in zip(found, LENGTHS, strict=True)]
            answers.append(np.concatenate(kept) if returns == "every" else np.asarray(found))
            gradients.append(grads)
    for answer in answers[1:3]:
        np.testing.assert_array_equal(answer, answers[0])
    for answer in answers[3:]:  # the last product, of eight terms, in float32
        np.testing.assert_allclose(answer, answers[0], rtol=1e-5, atol=1e-6)
    for grads in gradients[1:3]:
        jax.tree.map(np.testing.assert_array_equal, grads, gradients[0])
    for grads in gradients[3:]:  # sums of other orders in float32
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-4, 1e-6), grads, gradients[0])


def test_full_lengths_are_what_the_model_is_without_lengths():
    model = lstm((7, 2), 4, hidden_size=8, directions=2, layers=2)
    params, steps, _ = problem(model, np.float32)
    full = Sequences(jnp.asarray(steps), jnp.full(len(steps), 7))
    found, expected = (model.apply(params, x, None, HYPER) for x in (full, jnp.asarray(steps)))
    np.testing.assert_array_equal(found, expected)


def test_the_key_of_a_model_is_what_it_was_before_it_read_lengths():
    """In a process of its own: here, the checks of shapes wrap functions."""
    code = """
from gridscape.models.recurrent import lstm
from gridscape.study.parts import model_identity
print(model_identity(lstm((28, 28), 10)))
"""
    made = subprocess.check_output(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], text=True, timeout=600
    )
    assert made.startswith("gridscape.models.recurrent.recurrent.<locals>.initial@edeab91e5254 ")
    assert made.strip().endswith("gridscape.models.recurrent.recurrent.<locals>.apply@c97ea44e15f7")


def test_trials_at_once_are_those_one_by_one():
    """As a GPU trains them: parameters and sequences of each trial, stacked."""
    model = recurrent((7, 2), 4, hidden_size=4, directions=2, layers=2)
    problems = [problem(model, np.float32, seed) for seed in (0, 1)]
    lengths = [LENGTHS, LENGTHS[::-1].copy()]

    def slope(params, steps, lengths, labels):
        outputs = model.apply(params, Sequences(steps, lengths), None, HYPER)
        return cross_entropy(outputs, labels).mean()

    trials = [
        (params, jnp.asarray(steps), jnp.asarray(of_trial), jnp.asarray(labels[:, 0]))
        for (params, steps, labels), of_trial in zip(problems, lengths, strict=True)
    ]
    with kernels.plain():
        gradient = jax.jit(jax.grad(slope))
        together = jax.jit(jax.vmap(jax.grad(slope)))(
            *jax.tree.map(lambda *parts: jnp.stack(parts), *trials)
        )
        for number, trial in enumerate(trials):
            for name, expected in gradient(*trial).items():
                # Sums of some ten steps in another order.
                np.testing.assert_allclose(
                    together[name][number], expected, rtol=1e-4, atol=1e-6, err_msg=name
                )
