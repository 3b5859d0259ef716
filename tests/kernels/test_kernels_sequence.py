"""Whole recurrent networks in one native call: against float64, and against itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import RECURRENT_LAYERS, recurrent_forward, sigmoid
from whole_tools import assert_moves_as_optax, state_of

from gridscape import kernels
from gridscape.base.parts import Recurrent
from gridscape.kernels import sequence
from gridscape.kernels.sequence import Examples, SequenceNet
from gridscape.kernels.tables import BAD_QUANTITIES, SEQUENCE_LOSSES
from gridscape.optimizers import NAMES

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no native kernels here: {kernels.trouble()}"
)
REFUSED = (ValueError, jax.errors.JaxRuntimeError)  # as JAX calls it at once or later
GATES = {"rnn": 1, "lstm": 4}
FORGET = 0.7


def parameters(rng, cell, sizes, two_biases):
    """Of a layer D -> H and a linear one H -> C."""
    D, H, C = sizes
    shapes = {"kernel": (D + H, GATES[cell] * H)}
    names = ("bias_ih", "bias_hh") if two_biases else ("bias",)
    shapes |= dict.fromkeys(names, (GATES[cell] * H,))
    shapes |= {"output_kernel": (H, C), "output_bias": (C,)}
    return {
        name: jnp.asarray(rng.normal(size=shape) / np.sqrt(shape[0]), jnp.float32)
        for name, shape in shapes.items()
    }


def net_of(params, cell, every=True, loss="cross_entropy", rule="sgd", keeps=False, cuts=False):
    biases = tuple(name for name in params if name.startswith("bias"))
    output = ("output_kernel", "output_bias")
    return SequenceNet(cell, (("kernel",), biases), output, every, loss, rule, keeps, cuts)


def examples_of(rng, count, sizes, n_steps, every, loss, with_lengths=True):
    D, _, C = sizes
    inputs = jnp.asarray(rng.normal(size=(count, n_steps, D)), jnp.float32)
    answers = n_steps if every else 1
    lengths = rng.integers(1, answers + 1, count) if with_lengths else np.zeros(0)
    if loss == "cross_entropy":
        targets = rng.integers(0, C, (count, 1))
    else:
        targets = rng.integers(0, 2, (count, answers))
        targets *= np.arange(answers) < (lengths[:, None] if with_lengths else answers)
    return Examples(inputs, *(jnp.asarray(x, jnp.int32) for x in (targets, lengths)))


def train(net, hyper, state, order, stop, examples):
    order = jnp.asarray(order, jnp.int32)
    assert sequence.serve(net, state, order, examples)
    hypers = [hyper] * len(state.params)
    return sequence.train(net, hypers, FORGET, state, order, stop, examples)


# ---- the reference ----


def loss_of(name, outputs, targets, length):
    """Of one example's outputs (S, C) in float64, and its gradient by them."""
    gradient, counted = np.zeros_like(outputs), outputs[:length]
    if name == "cross_entropy":
        shifted = counted[-1] - counted[-1].max()
        shares = np.exp(shifted) / np.exp(shifted).sum()
        gradient[length - 1] = shares - np.eye(len(shares))[targets[0]]
        return -np.log(shares[targets[0]]), gradient
    raw, bits = counted[:, 0], targets[:length]
    s, rest = sigmoid(raw), sigmoid(-raw)
    error = np.where(bits == 1, -rest, s)  # s - bits, of which float64 would lose digits
    if name == "bce":
        terms = (np.maximum(raw, 0) - raw * bits) + np.log1p(np.exp(-abs(raw)))
        slopes = error
    elif name == "mse":
        terms, slopes = error**2, 2 * error * s * rest
    elif name == "mse_raw":
        terms, slopes = (raw - bits) ** 2, 2 * (raw - bits)
    else:
        shares, lowest = np.exp(s) / np.exp(s).sum(), np.argmax(bits)
        gradient[:length, 0] = (shares - np.eye(length)[lowest]) * s * rest
        return -np.log(shares[lowest]), gradient
    gradient[:length, 0] = slopes / length
    return terms.mean(), gradient


def reference(net, params, examples, rows):
    """Mean loss, outputs and gradients of a batch in float64."""
    inputs, targets, lengths = (np.asarray(x) for x in examples)
    own = {name: np.asarray(x, np.float64) for name, x in params.items()}
    options = {"forget_bias": FORGET} if net.cell == "lstm" else {}
    returns = "every" if net.every else "last"
    x = np.float64(inputs[rows])
    outputs, (states, read_out, tapes) = recurrent_forward(own, x, net.cell, returns, **options)
    by_answer = outputs if net.every else outputs[:, None]
    n_answers = by_answer.shape[1]
    of_lengths = lengths[rows] if lengths.size else np.full(len(rows), n_answers)
    both = [
        loss_of(net.loss, y, t, n)
        for y, t, n in zip(by_answer, targets[rows], of_lengths, strict=True)
    ]
    dy = np.stack([d for _, d in both]) / len(rows)
    read = read_out if net.every else read_out[:, None]
    dread = dy @ own["output_kernel"].T
    dstates = np.zeros_like(states)
    dstates[:, -n_answers:] = dread
    layer = {name: x for name, x in own.items() if not name.startswith("output")}
    grads, _ = RECURRENT_LAYERS[net.cell][1](layer, tapes[0][0], dstates)
    grads["output_kernel"] = np.einsum("bsh,bsc->hc", read, dy)
    grads["output_bias"] = dy.sum((0, 1))
    return np.mean([loss for loss, _ in both]), outputs, grads


def assert_follows(cell, sizes, n_steps, batch, loss, two_biases, every, with_lengths, cuts, seed):
    """The first of two updates of 4 examples more than a batch has."""
    rng = np.random.default_rng(seed)
    sizes = sizes if loss == "cross_entropy" else (*sizes[:2], 1)
    params = parameters(rng, cell, sizes, two_biases)
    net = net_of(params, cell, every, loss, keeps=True, cuts=cuts)
    examples = examples_of(rng, batch + 4, sizes, n_steps, every, loss, with_lengths)
    order = rng.integers(0, batch + 4, (2, batch))
    hyper, state = state_of(params, learning_rate=1.0)
    found = train(net, hyper, state, order, 1, examples)
    wanted, outputs, grads = reference(net, params, examples, order[0])
    # float32's 6e-8 of sums over some hundred terms, through a few steps.
    assert abs(found.losses[0] - wanted) <= 2e-5 * (abs(wanted) + 0.1)
    assert np.isnan(found.losses[1])
    answers = np.asarray(found.outputs[0])
    if (
        every and with_lengths and cuts and loss != "time_softmax"
    ):  # behind the last that counts nothing is computed
        last = np.asarray(examples.lengths)[order[0]].max()
        assert not answers[:, last:].any()
        answers, outputs = answers[:, :last], outputs[:, :last]
    np.testing.assert_allclose(answers, outputs, rtol=2e-5, atol=2e-5)
    for name, gradient in grads.items():
        moved = np.asarray(params[name] - found.state.params[name])
        # What a step moves is rounded where the parameters are, which are of size 1.
        size = np.abs(gradient).max() + 0.01
        assert np.abs(moved - gradient).max() <= 5e-5 * size, name


CASES = st.tuples(
    st.sampled_from(list(GATES)),
    st.tuples(st.integers(1, 9), st.integers(1, 15), st.integers(1, 11)),  # D, H, C
    st.integers(1, 7),  # steps
    st.integers(16, 70),  # examples of a batch
    st.sampled_from(SEQUENCE_LOSSES),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@pytest.mark.slow
@pytest.mark.parametrize("target", kernels.targets())
def test_any_network_follows_the_reference(target):
    @given(CASES, st.integers(0, 99))
    @settings(max_examples=25, deadline=None)
    def check(case, seed):
        cell, sizes, n_steps, batch, loss, two_biases, every, with_lengths, cuts = case
        every |= loss != "cross_entropy"
        # Fewer examples than units in whole blocks: no such network.
        batch = max(batch, -(-batch // 16) * sizes[1] + 1)
        with_lengths &= every
        assert_follows(
            cell, sizes, n_steps, batch, loss, two_biases, every, with_lengths, cuts, seed
        )

    with kernels.use(target):
        check()


@pytest.mark.parametrize("target", kernels.targets())
@pytest.mark.parametrize("loss", SEQUENCE_LOSSES)
def test_an_lstm_of_two_biases_follows_the_reference(target, loss):
    with kernels.use(target):
        assert_follows("lstm", (3, 10, 7), 5, 37, loss, True, True, True, True, seed=0)


@pytest.mark.parametrize("target", kernels.targets())
def test_the_last_state_alone_follows_the_reference(target):
    with kernels.use(target):
        assert_follows(
            "rnn", (3, 10, 7), 5, 37, "cross_entropy", False, False, False, False, seed=0
        )


@pytest.mark.parametrize("target", kernels.targets())
@pytest.mark.parametrize("loss", SEQUENCE_LOSSES)
@pytest.mark.parametrize("size", [1e-4, 30.0, 300.0])
def test_losses_of_small_and_large_outputs_lose_no_digits(target, loss, size):
    """One step, whose outputs are the biases: their gradient is that by the outputs."""
    rng = np.random.default_rng(0)
    n_outputs = 4 if loss == "cross_entropy" else 1
    params = parameters(rng, "rnn", (1, 1, n_outputs), False)
    params["output_kernel"] = jnp.zeros((1, n_outputs))
    params["output_bias"] = jnp.asarray(rng.choice([-size, size], n_outputs), jnp.float32)
    for answer in range(2):
        target_of = answer * (n_outputs - 1) if loss == "cross_entropy" else answer
        examples = Examples(
            jnp.ones((17, 1, 1)), jnp.full((17, 1), target_of, jnp.int32), jnp.ones(17, jnp.int32)
        )
        net = net_of(params, "rnn", loss=loss)
        hyper, state = state_of(params, "momentum", learning_rate=1.0)
        net = net._replace(
            rule="momentum"
        )  # which keeps the gradient, not what is left of it in a sum
        with kernels.use(target):
            found = train(net, hyper, state, np.zeros((1, 0)), 1, examples)
        wanted, _, grads = reference(net, params, examples, np.arange(17))
        # The logarithm of a sum of shares near 1 is that of a number with float32's digits.
        is_of_shares = loss in ("cross_entropy", "time_softmax")
        atol = 2e-7 if is_of_shares else 1e-30
        np.testing.assert_allclose(found.losses[0], wanted, rtol=1e-6, atol=atol)
        kept = np.asarray(jax.tree.leaves(found.state.opt_state)[-2])
        # Below exp(-87) float32 has no digits.
        np.testing.assert_allclose(-kept, grads["output_bias"], rtol=2e-6, atol=1e-36)


@pytest.mark.parametrize("rule", NAMES)
def test_every_rule_moves_as_it_does_update_by_update(rule):
    net, hyper, state, examples = tiny(rule, l2=0.1)
    found = train(net, hyper, state, np.zeros((4, 0)), 3, examples).state

    def gradients_of(params):
        _, _, grads = reference(net, params, examples, np.arange(23))
        return {name: jnp.asarray(g, jnp.float32) for name, g in grads.items()}

    assert_moves_as_optax(found, rule, hyper, state, gradients_of, 3e-5)


# ---- calls ----


def tiny(rule="sgd", keeps=False, **changed):
    rng, sizes = np.random.default_rng(5), (2, 5, 3)
    params = parameters(rng, "lstm", sizes, True)
    hyper, state = state_of(params, rule, **changed)
    net = net_of(params, "lstm", rule=rule, keeps=keeps)
    return net, hyper, state, examples_of(rng, 23, sizes, 4, True, net.loss)


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_two_calls_are_one_to_the_bit(rule):
    net, hyper, state, examples = tiny(rule)
    order = np.random.default_rng(0).integers(0, 23, (6, 19))
    once = train(net, hyper, state, order, 6, examples)
    half = train(net, hyper, state, order, 2, examples)
    rest = train(net, hyper, half.state, order[2:], 6, examples)
    for a, b in zip(jax.tree.leaves(once.state), jax.tree.leaves(rest.state), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    np.testing.assert_array_equal(once.losses[2:], rest.losses)


def test_examples_are_the_same_wherever_they_lie():
    """All of them, in a row of their own, and gathered."""
    net, hyper, state, examples = tiny(keeps=True)
    twice = jax.tree.map(lambda x: jnp.concatenate([x[::-1], x]), examples)
    backwards = np.arange(22, -1, -1)
    given = (
        (np.zeros((3, 0)), examples),
        (np.tile(np.arange(23, 46), (3, 1)), twice),
        (np.tile(backwards, (3, 1)), twice),
    )
    first, *others = (train(net, hyper, state, order, 3, of) for order, of in given)
    for other in others:
        jax.tree.map(np.testing.assert_array_equal, first, other)


def test_trials_of_vmap_are_those_alone_to_the_bit():
    net, hyper, state, examples = tiny()
    rates = jnp.float32([0.1, 0.01, jnp.inf, 0.5])

    def one(rate):
        hypers = {**hyper, "learning_rate": rate}
        return train(net, hypers, state, np.zeros((4, 0)), 4, examples)

    together = jax.jit(jax.vmap(one))(rates)
    assert (np.asarray(together.state.bad_update) > 0).tolist() == [False, False, True, False]
    for k, rate in enumerate(rates):
        alone = one(rate)
        jax.tree.map(lambda a, b, k=k: np.testing.assert_array_equal(a[k], b), together, alone)


def test_a_class_that_is_not_there_ends_the_trial():
    net, hyper, state, examples = tiny()
    for target in (-1, 3):
        wrong = examples._replace(targets=examples.targets.at[7, 0].set(target))
        found = train(net, hyper, state, np.zeros((2, 0)), 2, wrong).state
        assert (int(found.bad_update), BAD_QUANTITIES[int(found.bad_quantity)]) == (1, "loss")
        jax.tree.map(np.testing.assert_array_equal, found.params, state.params)


@pytest.mark.parametrize("length", [0, -3, 9])
def test_a_length_that_no_example_can_have_reads_nothing_outside(length):
    """Then no answer is the last: its logits count as zeros, and it has no gradient."""
    net, hyper, state, examples = tiny()
    wrong = examples._replace(lengths=jnp.full(23, length, jnp.int32))
    found = train(net, hyper, state, np.zeros((1, 0)), 1, wrong)
    np.testing.assert_allclose(found.losses, np.log(3), rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, found.state.params, state.params)


@pytest.mark.parametrize("row", [-1, 23])
def test_an_example_that_is_not_there_is_an_error(row):
    net, hyper, state, examples = tiny()
    with pytest.raises(REFUSED, match="an example that is not there"):
        jax.block_until_ready(train(net, hyper, state, np.full((2, 19), row), 2, examples))


@pytest.mark.parametrize("loss", ["bce", "mse", "mse_raw"])
def test_an_example_of_no_step_is_no_number(loss):
    rng, sizes = np.random.default_rng(5), (2, 5, 1)
    params = parameters(rng, "lstm", sizes, False)
    hyper, state = state_of(params)
    examples = examples_of(rng, 23, sizes, 4, True, loss)
    none = examples._replace(lengths=examples.lengths.at[3].set(0))
    found = train(net_of(params, "lstm", loss=loss), hyper, state, np.zeros((1, 0)), 1, none)
    assert np.isnan(found.losses[0])
    assert int(found.state.bad_update) == 1


# ---- outputs alone ----


def layers_of(net):
    return Recurrent(net.cell, net.weights, net.output, net.every, "", lambda *_: None)


def outputs_alone(net, params, inputs, lengths=(), forget=FORGET):
    assert sequence.gives(layers_of(net), params, inputs)
    lengths = jnp.asarray(lengths, jnp.int32)
    return np.asarray(sequence.outputs(layers_of(net), params, forget, inputs, lengths))


@pytest.mark.parametrize("target", kernels.targets())
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize(
    ("sizes", "n_steps", "count"), [((3, 10, 7), 5, 37), ((9, 2, 9), 9, 320), ((1, 15, 1), 1, 64)]
)
def test_outputs_alone_follow_the_reference(target, cell, every, sizes, n_steps, count):
    rng = np.random.default_rng(1)
    params = parameters(rng, cell, sizes, two_biases=True)
    net = net_of(params, cell, every)
    examples = examples_of(rng, count, sizes, n_steps, every, "cross_entropy")
    with kernels.use(target):
        found = outputs_alone(net, params, examples.inputs)
    _, wanted, _ = reference(net, params, examples, np.arange(count))
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)  # as in training


@given(
    lengths=st.lists(st.integers(-1, 6), min_size=1, max_size=70),
    cell=st.sampled_from(list(GATES)),
)
@settings(max_examples=40, deadline=None)
def test_what_counts_is_the_same_to_the_bit_whatever_the_lengths_of_the_others(lengths, cell):
    """Lengths outside of 0 to 4 steps are those that no example can have."""
    rng, count = np.random.default_rng(2), len(lengths)
    sizes = (2, 1, 3)  # so few units that there is such a network of any number of examples above 1
    lengths = np.array(lengths + lengths[:1], np.int32)
    params = parameters(rng, cell, sizes, two_biases=False)
    net = net_of(params, cell)
    inputs = jnp.asarray(rng.normal(size=(count + 1, 4, 2)), jnp.float32)
    whole = outputs_alone(net, params, inputs)
    found = outputs_alone(net, params, inputs, lengths)
    counts = np.arange(4)[None, :] < lengths[:, None]
    np.testing.assert_array_equal(found[counts], whole[counts])
    beyond = np.arange(4) >= lengths.max()
    assert not found[:, beyond].any()
    assert np.isfinite(found).all()


def test_outputs_alone_are_those_of_training_and_of_each_trial_alone_to_the_bit():
    net, hyper, state, examples = tiny(keeps=True)
    trained = train(net, hyper, state, np.zeros((1, 0)), 1, examples)
    found = outputs_alone(net, state.params, examples.inputs)
    np.testing.assert_array_equal(found, trained.outputs[0])
    both = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), state.params)
    none = jnp.zeros(0, jnp.int32)

    def one(params):
        return sequence.outputs(layers_of(net), params, FORGET, examples.inputs, none)

    together = jax.vmap(one)(both)
    for k in range(2):
        np.testing.assert_array_equal(together[k], one(jax.tree.map(lambda x, k=k: x[k], both)))


def test_outputs_of_other_layers_are_not_told():
    net, _, state, examples = tiny()
    gives, inputs = sequence.gives, examples.inputs
    assert gives(layers_of(net), state.params, inputs)
    assert not gives(layers_of(net._replace(cell="gru")), state.params, inputs)
    assert not gives(layers_of(net), state.params, inputs[:, :, :1])
    assert not gives(layers_of(net), state.params, inputs[:5])  # lanes would be left empty
    assert not gives(layers_of(net), state.params, inputs.astype(jnp.bfloat16))
    assert not gives(layers_of(net), {**state.params, "more": inputs}, inputs)
    with kernels.library.plain():
        assert not gives(layers_of(net), state.params, inputs)


def test_lengths_where_only_the_last_answer_is_asked_for_are_an_error():
    net, _, state, examples = tiny()
    net = net._replace(every=False)
    with pytest.raises(REFUSED, match="lengths of answers"):
        outputs_alone(net, state.params, examples.inputs, examples.lengths)


# ---- which networks ----


def test_what_is_no_small_recurrent_network_is_not_served():
    net, _, state, examples = tiny()
    full = jnp.zeros((2, 0), jnp.int32)

    def serves(net=net, state=state, order=full, examples=examples):
        return sequence.serve(net, state, order, examples)

    assert serves()
    assert not serves(net=net._replace(cell="gru"))
    assert not serves(net=net._replace(loss="huber"))
    assert not serves(net=net._replace(loss="bce"))  # of one output
    assert not serves(net=net._replace(rule="adam"))  # its state is another
    assert not serves(net=net._replace(weights=net.weights[:1]))
    assert not serves(net=net._replace(weights=(("kernel",), ("bias_ih",))))
    three = {**state.params, "more": state.params["bias_ih"]}
    weights = (("kernel",), ("bias_ih", "bias_hh", "more"))
    assert not serves(net=net._replace(weights=weights), state=state._replace(params=three))
    many = jax.tree.map(lambda x: jnp.tile(x, (99,) + (1,) * (x.ndim - 1)), examples)
    assert not serves(examples=many)  # which go from layer to layer as fast
    assert not serves(examples=examples._replace(targets=examples.targets[:, 0]))
    assert not serves(examples=examples._replace(inputs=examples.inputs.astype(jnp.float16)))
    assert not serves(examples=examples._replace(lengths=examples.lengths[:9]))
    assert not serves(order=jnp.zeros((2, 5), jnp.int32))  # lanes would be empty
    assert not serves(order=full.astype(jnp.float32))
    params = {**state.params, "output_bias": jnp.zeros(4)}
    assert not serves(state=state._replace(params=params))
    with kernels.plain():
        assert not serves()
