"""Every loss against a float64 NumPy reference, written example by example and step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import sigmoid

from gridscape.study.parts import load_object
from gridscape.tasks.losses import NAMES, Bits, bce, counted, mean_over_steps, mse, time_softmax

# ---- references: the loss of one example ----


def cross_entropy(outputs, label):
    return np.log(np.exp(outputs).sum()) - outputs[label]


def squared_error(outputs, label):
    return sum((output - (k == label)) ** 2 for k, output in enumerate(outputs))


def bce_of_bits(outputs, bits):
    p = sigmoid(outputs)
    return -np.mean([np.log(q) if bit else np.log(1 - q) for q, bit in zip(p, bits, strict=True)])


def mse_of_bits(outputs, bits):
    return np.mean((sigmoid(outputs) - bits) ** 2)


def mse_raw_of_bits(outputs, bits):
    return np.mean((outputs - bits) ** 2)


def time_softmax_of_bits(outputs, bits):
    lowest = [step for step, bit in enumerate(bits) if bit]
    return cross_entropy(sigmoid(outputs), lowest[0] if lowest else 0)


def mse_of_numbers(outputs, targets):
    return np.mean((outputs - targets) ** 2)


def mae_of_numbers(outputs, targets):
    return np.mean(abs(outputs - targets))


def huber_of_numbers(outputs, targets):
    errors = abs(outputs - targets)
    return np.mean([e**2 / 2 if e < 1 else e - 0.5 for e in errors])


OF_CLASSES = {"cross_entropy": cross_entropy, "squared_error": squared_error}
OF_BITS = {
    "bce": bce_of_bits,
    "mse": mse_of_bits,
    "mse_raw": mse_raw_of_bits,
    "time_softmax": time_softmax_of_bits,
}
OF_NUMBERS = {"mse": mse_of_numbers, "mae": mae_of_numbers, "huber": huber_of_numbers}


def load(name):
    return load_object("loss", name, NAMES)


def classes(n_examples=7, n_classes=4):
    random = np.random.default_rng(0)
    outputs = random.normal(size=(n_examples, n_classes)) * 3
    return outputs.astype(np.float32), random.integers(n_classes, size=n_examples)


def additions():
    """Lengths 1 to 5 in 6 steps, twice; the second of each length has the sum 0."""
    random = np.random.default_rng(1)
    length = np.repeat(np.arange(1, 6), 2)
    bits = random.integers(2, size=(10, 6)) * (np.arange(6) <= length[:, None])
    bits[1::2] = 0
    outputs = random.normal(size=(10, 6, 1)) * 3
    return outputs.astype(np.float32), Bits(bits, length)


def test_every_name_has_a_reference():
    assert set(NAMES) == {*OF_CLASSES, *OF_BITS, *OF_NUMBERS}


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_losses_of_numbers(name):
    random = np.random.default_rng(2)
    outputs, targets = random.normal(size=(2, 9, 3)) * 2
    found = load(name)(jnp.asarray(outputs, jnp.float32), jnp.asarray(targets, jnp.float32))
    expected = [OF_NUMBERS[name](*pair) for pair in zip(outputs, targets, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # float32 against float64


def test_cross_entropy_of_a_class_that_does_not_exist_is_no_number():
    outputs, labels = classes()
    labels[2] = 4
    found = load("cross_entropy")(outputs, labels)
    np.testing.assert_array_equal(np.isnan(found), np.arange(7) == 2)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_loss_of_classes(name):
    outputs, labels = classes()
    reference = [OF_CLASSES[name](x.astype(float), y) for x, y in zip(outputs, labels, strict=True)]
    found = jax.jit(load(name))(outputs, labels)
    np.testing.assert_allclose(found, reference, rtol=1e-5)


def reference_of_bits(name, outputs, targets):
    """The loss of each example, cut to the steps that count."""
    steps = [slice(length + 1) for length in targets.length]
    examples = zip(outputs[..., 0].astype(float), targets.bits, steps, strict=True)
    return [OF_BITS[name](x[cut], y[cut]) for x, y, cut in examples]


@pytest.mark.parametrize("name", OF_BITS)
def test_loss_of_bits(name):
    outputs, targets = additions()
    found = jax.jit(load(name))(outputs, targets)
    np.testing.assert_allclose(found, reference_of_bits(name, outputs, targets), rtol=1e-5)


@pytest.mark.parametrize("name", OF_BITS)
def test_gradient_by_every_output(name):
    """Against central differences of the reference; zero in the padding."""
    outputs, targets = additions()
    found = jax.grad(lambda x: load(name)(x, targets).sum())(outputs)
    wanted, h = np.zeros(outputs.shape), 1e-5
    for step in range(outputs.shape[1]):
        moved = np.zeros(outputs.shape)
        moved[:, step] = h
        up, down = (reference_of_bits(name, outputs + s * moved, targets) for s in (1, -1))
        wanted[:, step, 0] = (np.array(up) - down) / (2 * h)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    assert (np.asarray(found)[~np.asarray(counted(targets))] == 0).all()


@pytest.mark.parametrize("name", OF_BITS)
def test_padding_does_not_count(name):
    outputs, targets = additions()
    padding = ~np.asarray(counted(targets))
    assert padding.sum() == 2 * (4 + 3 + 2 + 1)
    other = np.where(padding[..., None], 1e4, outputs).astype(np.float32)
    np.testing.assert_array_equal(load(name)(other, targets), load(name)(outputs, targets))


def test_bce_of_large_outputs_is_finite():
    targets = Bits(jnp.array([[1, 0], [0, 1]]), jnp.array([1, 1]))
    outputs = jnp.array([[1e4, -1e4], [1e4, -1e4]])[..., None]
    losses, slopes = bce(outputs, targets), jax.grad(lambda x: bce(x, targets).sum())(outputs)
    np.testing.assert_array_equal(losses, [0, 1e4])
    np.testing.assert_array_equal(slopes[..., 0], [[0, 0], [0.5, -0.5]])


def test_undecided_outputs():
    """At 0 the sigmoid is 1/2: log 2 a bit, an error of 1/4, and a uniform choice of the step."""
    _, targets = additions()
    zeros = jnp.zeros((10, 6, 1))
    np.testing.assert_allclose(bce(zeros, targets), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(mse(zeros, targets), 0.25, rtol=1e-6)
    np.testing.assert_allclose(time_softmax(zeros, targets), np.log(targets.length + 1), rtol=1e-6)


def test_time_softmax_looks_at_the_lowest_set_bit_only():
    outputs, targets = additions()
    lowest = targets.bits * (np.cumsum(targets.bits, axis=1) == 1)
    assert (lowest != targets.bits).any()
    np.testing.assert_array_equal(
        time_softmax(outputs, targets._replace(bits=lowest)), time_softmax(outputs, targets)
    )


def test_mean_over_steps():
    targets = Bits(jnp.zeros((2, 4)), jnp.array([1, 3]))
    values = jnp.array([[1.0, 3.0, 50.0, 50.0], [1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_array_equal(mean_over_steps(values, targets), [2, 2.5])
