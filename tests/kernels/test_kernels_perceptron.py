"""Whole perceptrons in one native call: against float64, the update-by-update path, and itself."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_feedforward import ACTIVATIONS
from whole_tools import assert_moves_as_optax, state_of

from gridscape import kernels
from gridscape.kernels import perceptron
from gridscape.kernels.perceptron import Perceptron
from gridscape.kernels.tables import ACTIVATIONS as NATIVE
from gridscape.kernels.tables import BAD_QUANTITIES, LOSSES
from gridscape.optimizers import NAMES

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no native kernels here: {kernels.trouble()}"
)

SIZES = st.tuples(
    st.integers(1, 70),  # examples of a batch
    st.lists(st.integers(1, 21), min_size=2, max_size=4),
)
FULL = np.zeros((4, 0), np.int32)
REFUSED = (ValueError, jax.errors.JaxRuntimeError)  # as JAX calls it at once or later


def network(rng, widths, bias):
    """Parameters by layer: layer10 comes before layer2 in the alphabet, not in the network."""
    names = [f"layer{9 + k}" for k in range(len(widths) - 1)]
    params = {}
    for name, (fan_in, fan_out) in zip(names, pairwise(widths), strict=True):
        params[name] = {"kernel": rng.normal(size=(fan_in, fan_out)) / np.sqrt(fan_in)}
        if bias:
            params[name]["bias"] = rng.normal(size=fan_out) / 4
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)


def perceptron_of(params, activations, loss="squared_error", rule="sgd", keeps=False):
    names = sorted(params, key=lambda name: int(name.removeprefix("layer")))
    return Perceptron(tuple(names), tuple(activations), loss, rule, keeps)


def examples(rng, count, widths):
    inputs, targets = rng.normal(size=(count, widths[0])), rng.normal(size=(count, widths[-1]))
    return jnp.asarray(inputs, jnp.float32), jnp.asarray(targets, jnp.float32)


def train(net, hyper, state, order, stop, inputs, targets):
    assert perceptron.serve(net, state, order, inputs, targets)
    hypers = [hyper] * len(jax.tree.leaves(state.params))
    return perceptron.train(net, hypers, state, jnp.asarray(order), stop, inputs, targets)


def reference(net, params, inputs, targets):
    """Mean loss and gradients in float64, and the sums that are these of their terms' sizes."""
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    h, seen = np.asarray(inputs, np.float64), []
    for name, activation in zip(net.names, net.activations, strict=True):
        z = h @ params[name]["kernel"] + params[name].get("bias", 0)
        seen.append((name, activation, h, z))
        h = ACTIVATIONS[activation][0](z)
    share = 1 / h.shape[1] if net.loss == "mean_squared_error" else 1
    error = h - np.asarray(targets, np.float64)
    dh, grads, sizes = 2 * share * error / len(error), {}, {}
    for name, activation, below, z in reversed(seen):
        dz = dh * ACTIVATIONS[activation][1](z)
        grads[name] = {"kernel": below.T @ dz}
        sizes[name] = {"kernel": np.abs(below).T @ np.abs(dz), "bias": np.abs(dz).sum(0)}
        if "bias" in params[name]:
            grads[name]["bias"] = dz.sum(0)
        dh = dz @ params[name]["kernel"].T
    return share * (error**2).sum() / len(error), grads, sizes


# ---- numbers ----


def assert_follows(batch, widths, activations, loss, bias, seed):
    """The first of two updates of 4 examples more than a batch has."""
    rng = np.random.default_rng(seed)
    params = network(rng, widths, bias)
    net = perceptron_of(params, activations, loss)
    inputs, targets = examples(rng, batch + 4, widths)
    order = rng.integers(0, batch + 4, (2, batch)).astype(np.int32)
    hyper, state = state_of(params, learning_rate=1.0)
    found = train(net, hyper, state, order, 1, inputs, targets)
    wanted, grads, sizes = reference(net, params, inputs[order[0]], targets[order[0]])
    # float32's 6e-8 of sums over some hundred terms, in several layers: relative to the largest,
    # and to the terms of a sum, which may cancel.
    assert abs(found.losses[0] - wanted) <= 1e-5 * wanted
    assert np.isnan(found.losses[1])
    for name, layer in grads.items():
        for kind, gradient in layer.items():
            moved = np.asarray(params[name][kind] - found.state.params[name][kind])
            size = sizes[name][kind].max() + 0.01 * np.abs(params[name][kind]).max()
            assert np.abs(moved - gradient).max() <= 2e-5 * size, (name, kind)


@pytest.mark.slow
@pytest.mark.parametrize("target", kernels.targets())
def test_any_layers_follow_the_reference(target):
    @given(SIZES, st.sampled_from(NATIVE), st.sampled_from(NATIVE), st.booleans(), st.data())
    @settings(max_examples=25, deadline=None)
    def check(sizes, hidden, last, bias, data):
        batch, widths = sizes
        activations = [hidden] * (len(widths) - 2) + [last]
        loss = data.draw(st.sampled_from(LOSSES))
        assert_follows(batch, widths, activations, loss, bias, seed=batch)

    with kernels.use(target):
        check()


@pytest.mark.parametrize("target", kernels.targets())
@pytest.mark.parametrize("loss", LOSSES)
def test_a_network_of_three_layers_follows_the_reference(target, loss):
    with kernels.use(target):
        assert_follows(37, [5, 19, 7, 3], ["tanh", "relu", "linear"], loss, True, seed=0)


@pytest.mark.parametrize("target", kernels.targets())
def test_tanh_is_as_exact_as_float32_and_at_most_1(target):
    inputs = np.float32(np.concatenate([np.linspace(-12, 12, 3000), np.geomspace(1e-30, 1e30, 97)]))
    params = {"layer0": {"kernel": jnp.ones((1, 1))}}
    hyper, state = state_of(params)
    net = perceptron_of(params, ["tanh"], keeps=True)
    inputs = jnp.asarray(inputs)[:, None]
    with kernels.use(target):
        found = train(net, hyper, state, FULL[:1], 1, inputs, jnp.zeros_like(inputs))
    outputs, wanted = np.asarray(found.outputs[0], np.float64), np.tanh(np.float64(inputs))
    assert np.abs(outputs).max() <= 1
    # What is saturated is 1 itself: else its gradient, 1 - y^2, would go on without end.
    is_large = np.abs(np.asarray(inputs)) > 8
    assert (np.abs(outputs)[is_large] == 1).all()
    assert np.abs(outputs / wanted - 1).max() < 4 * np.finfo(np.float32).eps


@pytest.mark.parametrize("rule", NAMES)
def test_every_rule_moves_as_it_does_update_by_update(rule):
    rng, widths = np.random.default_rng(3), [3, 6, 2]
    params = network(rng, widths, bias=True)
    inputs, targets = examples(rng, 20, widths)
    hyper, state = state_of(params, rule, l2=0.1)
    net, order = perceptron_of(params, ["tanh", "linear"], rule=rule), FULL
    found = train(net, hyper, state, order, 3, inputs, targets).state

    def loss(params):
        hidden = jnp.tanh(inputs @ params["layer9"]["kernel"] + params["layer9"]["bias"][None])
        outputs = hidden @ params["layer10"]["kernel"] + params["layer10"]["bias"][None]
        return ((outputs - targets) ** 2).sum(-1).mean()

    assert_moves_as_optax(found, rule, hyper, state, jax.grad(loss), 2e-5)


# ---- calls ----


def tiny(rule="sgd", keeps=False, **changed):
    rng, widths = np.random.default_rng(5), [4, 5, 2]
    params = network(rng, widths, bias=True)
    hyper, state = state_of(params, rule, **changed)
    net = perceptron_of(params, ["tanh", "linear"], rule=rule, keeps=keeps)
    return net, hyper, state, *examples(rng, 23, widths)


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_two_calls_are_one_to_the_bit(rule):
    net, hyper, state, inputs, targets = tiny(rule)
    order = np.random.default_rng(0).integers(0, 23, (6, 9)).astype(np.int32)
    once = train(net, hyper, state, order, 6, inputs, targets)
    half = train(net, hyper, state, order, 2, inputs, targets)
    rest = train(net, hyper, half.state, order[2:], 6, inputs, targets)
    for a, b in zip(jax.tree.leaves(once.state), jax.tree.leaves(rest.state), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    np.testing.assert_array_equal(once.losses[2:], rest.losses)


def test_all_examples_in_order_are_the_full_batch_to_the_bit():
    net, hyper, state, inputs, targets = tiny(keeps=True)
    rows = np.tile(np.arange(23, dtype=np.int32), (4, 1))
    whole = train(net, hyper, state, FULL, 4, inputs, targets)
    chosen = train(net, hyper, state, rows, 4, inputs, targets)
    jax.tree.map(np.testing.assert_array_equal, whole, chosen)


def test_trials_of_vmap_are_those_alone_to_the_bit():
    net, hyper, state, inputs, targets = tiny()
    rates = jnp.float32([0.1, 0.01, 1e30, 0.5])

    def one(rate):
        return train(net, {**hyper, "learning_rate": rate}, state, FULL, 4, inputs, targets)

    together = jax.jit(jax.vmap(one))(rates)
    assert (np.asarray(together.state.bad_update) > 0).tolist() == [False, False, True, False]
    for k, rate in enumerate(rates):
        alone = one(rate)
        jax.tree.map(lambda a, b, k=k: np.testing.assert_array_equal(a[k], b), together, alone)


def test_the_last_finite_parameters_stay_and_nothing_moves_after():
    net, hyper, state, inputs, targets = tiny(learning_rate=1e25)
    found = train(net, hyper, state, FULL, 4, inputs, targets)
    at = int(found.state.bad_update)
    assert 0 < at < 4
    assert BAD_QUANTITIES[int(found.state.bad_quantity)] == "loss"
    assert np.isfinite(found.losses[: at - 1]).all()
    assert not np.isfinite(found.losses[at - 1 :]).any()
    before = train(net, hyper, state, FULL, at - 1, inputs, targets)
    again = train(net, hyper, found.state, FULL, 9, inputs, targets)
    for other in (before.state, again.state):
        jax.tree.map(np.testing.assert_array_equal, other.params, found.state.params)
    assert int(again.state.update) == at


def test_lanes_without_an_example_change_nothing_even_where_they_would_overflow():
    """relu(bias) of an empty lane would be finite; through a second layer it would not."""
    params = {
        "layer0": {"kernel": jnp.full((1, 1), -1e30), "bias": jnp.full(1, 1e30)},
        "layer1": {"kernel": jnp.full((1, 1), 1e30), "bias": jnp.zeros(1)},
    }
    hyper, state = state_of(params)
    net = perceptron_of(params, ["relu", "linear"])
    found = train(net, hyper, state, FULL[:1], 1, jnp.ones((3, 1)), jnp.ones((3, 1)))
    assert float(found.losses[0]) == 1
    assert int(found.state.bad_update) == 0


@pytest.mark.parametrize("row", [-1, 23])
def test_an_example_that_is_not_there_is_an_error(row):
    net, hyper, state, inputs, targets = tiny()
    order = np.full((2, 9), row, np.int32)
    with pytest.raises(REFUSED, match="an example that is not there"):
        jax.block_until_ready(train(net, hyper, state, order, 2, inputs, targets))


def test_more_updates_than_there_are_batches_of_is_an_error():
    net, hyper, state, inputs, targets = tiny()
    with pytest.raises(REFUSED, match="an example that is not there"):
        jax.block_until_ready(train(net, hyper, state, FULL, 5, inputs, targets))


# ---- which networks ----


def test_what_is_no_small_perceptron_is_not_served():
    net, _, state, inputs, targets = tiny()

    def serves(net=net, state=state, order=FULL, inputs=inputs, targets=targets):
        return perceptron.serve(net, state, order, inputs, targets)

    assert serves()
    assert not serves(net=net._replace(activations=("gelu", "linear")))
    assert not serves(net=net._replace(loss="huber"))
    assert not serves(net=net._replace(rule="lion"))
    assert not serves(net=net._replace(rule="adam"))  # its state is another
    assert not serves(net=net._replace(names=net.names[:1]))
    assert not serves(targets=targets[:, :1])
    assert not serves(inputs=inputs.astype(jnp.float16))
    assert not serves(order=FULL.astype(np.int64))
    assert not serves(inputs=jnp.zeros((10**6, 4)), targets=jnp.zeros((10**6, 2)))
    with kernels.plain():
        assert not serves()
