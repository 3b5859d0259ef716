"""The native optimizer step against float64 references, the optax path, and itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_optimizers import REFERENCES

from gridscape import kernels
from gridscape.engine.training import named_leaves
from gridscape.engine.trial import TrialState, _optax_step
from gridscape.kernels import optimizers as native
from gridscape.kernels.tables import BAD_QUANTITIES, RULES
from gridscape.optimizers import NAMES, adam, sgd
from gridscape.study.parts import load_optimizer

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no native kernels here: {kernels.trouble()}"
)

# Numbers at which every one of them matters.
CHANGED = {
    "momentum": {"momentum": 1.05},
    "adagrad": {"initial_accumulator_value": 0.0},
    "adagrad-pytorch": {"eps": 0.1},
    "rmsprop": {"decay": 0.5, "eps": 0.1},
    "rmsprop-pytorch": {"decay": 0.0, "eps": 1.0, "initial_mean_square": 4.0},
    "adam": {"b1": 0.0, "b2": 0.5, "eps": 1e-3},
    "adamw": {"b1": 0.5, "b2": 0.9, "weight_decay": 0.5},
}
SHAPES = st.one_of(
    st.just(()),
    st.tuples(st.integers(1, 300)),
    st.tuples(st.integers(1, 40), st.integers(1, 8)),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 11)),
)


def hyper_of(name, **changed):
    numbers = {**load_optimizer(name).hyperparameters, **changed}
    return {key: np.float32(value) for key, value in numbers.items()}


def random_arrays(rng, shapes):
    """Of sizes from 1e-6 to 1e2, some of them zero."""

    def one(shape):
        values = rng.normal(size=shape) * 10 ** rng.uniform(-6, 2, shape)
        return jnp.asarray(values * (rng.random(shape) > 0.05), jnp.float32)

    return {f"w{k}": one(shape) for k, shape in enumerate(shapes)}


def state_of(name, params, hyper):
    zero = jnp.zeros((), jnp.int32)
    opt_state = jax.jit(load_optimizer(name).make(hyper).init)(params)
    return TrialState(params, opt_state, zero, zero, zero)


def native_step(name, state, grads, hyper, loss=1.0):
    loss = jnp.float32(loss)
    assert native.serve(name, loss, state.params, state.opt_state)
    params, opt_state, update = state.params, state.opt_state, state.update
    return TrialState(*native.step(name, hyper, loss, grads, params, opt_state, update))


def plain_step(name, state, grads, hyper, loss=1.0):
    return _optax_step(load_optimizer(name).make, state, jnp.float32(loss), grads, hyper)


STEPS = {"native": native_step, "plain": plain_step}


# ---- numbers ----


def assert_follows(name, shapes, changed, seed, n_steps=6):
    """Every step of every element is the reference's, taken from the parameters of the step."""
    rng, hyper = np.random.default_rng(seed), hyper_of(name, **changed)
    numbers = {key: float(value) for key, value in hyper.items()}
    l2, decay = numbers.pop("l2"), numbers.pop("weight_decay", 0)
    state = state_of(name, random_arrays(rng, shapes), hyper)
    step = jax.jit(native_step, static_argnums=0)  # one program, not several for every array
    kept = {key: {} for key in state.params}
    largest, lost = dict.fromkeys(kept, 0), dict.fromkeys(kept, 1)
    for _ in range(n_steps):
        grads, before = random_arrays(rng, shapes), state.params
        state = step(name, state, grads, hyper)
        for key, p in before.items():
            p, g = np.asarray(p, np.float64), np.asarray(grads[key], np.float64)
            if p.ndim >= 2:
                parts, g = np.abs(g) + l2 * np.abs(p), g + l2 * p
                with np.errstate(divide="ignore", invalid="ignore"):
                    lost[key] = np.fmax(lost[key], parts / np.abs(g))
            with np.errstate(invalid="ignore"):
                wanted = np.nan_to_num(REFERENCES[name](g, kept[key], **numbers))  # Adagrad's 0 / 0
            if p.ndim >= 2:
                wanted = wanted - numbers["learning_rate"] * decay * p
            largest[key] = np.maximum(largest[key], np.abs(wanted))
            error = np.abs(np.asarray(state.params[key], np.float64) - (p + wanted))
            # float32's 6e-8 of some ten operations, sums over the steps relative to their largest
            # term; what is lost where gradient and decay cancel, which Adam divides by what is
            # left; and half a unit of the new parameter.
            bound = (2e-6 + 1e-7 * lost[key]) * largest[key] + 6e-8 * np.abs(p + wanted)
            assert (error <= bound).all(), key
    assert (int(state.update), int(state.bad_update)) == (n_steps, 0)


@pytest.mark.slow
@pytest.mark.parametrize("target", kernels.targets())
@pytest.mark.parametrize("name", NAMES)
def test_steps_follow_the_reference_at_any_shapes(name, target):
    @given(shapes=st.lists(SHAPES, min_size=1, max_size=5), changed=st.booleans(), l2=st.booleans())
    @settings(max_examples=8, deadline=None)
    def check(shapes, changed, l2):
        numbers = (CHANGED.get(name, {}) if changed else {}) | ({"l2": 0.3} if l2 else {})
        with kernels.use(target):
            assert_follows(name, shapes, numbers, seed=len(shapes))

    check()


@pytest.mark.slow
@pytest.mark.parametrize("target", kernels.targets())
def test_steps_follow_the_reference_at_every_size(target):
    with kernels.use(target):
        assert_follows("adam", [(size,) for size in range(1, 301)], {}, seed=0, n_steps=2)


@pytest.mark.parametrize("name", NAMES)
def test_native_and_plain_paths_agree(name):
    hyper, rng = hyper_of(name, l2=0.1), np.random.default_rng(1)
    shapes = [(37,), (5, 9), ()]
    found = wanted = state_of(name, random_arrays(rng, shapes), hyper)
    for _ in range(10):
        grads = random_arrays(rng, shapes)
        found, wanted = (
            native_step(name, found, grads, hyper),
            plain_step(name, wanted, grads, hyper),
        )
    found, wanted = named_leaves(found), named_leaves(wanted)
    assert list(found) == list(wanted)
    # optax rounds 1 - b2^t to float32: 6e-8 of 1, so up to 6e-5 of the 1e-3 that it is at first,
    # and half of that in its root.
    rtol = 4e-5 if "b2" in hyper else 2e-6
    for key, value in wanted.items():
        size = np.abs(value).max()
        np.testing.assert_allclose(found[key], value, rtol=rtol, atol=1e-6 * size, err_msg=key)
        assert found[key].dtype == value.dtype


def test_where_adagrads_sum_is_zero_nothing_moves():
    hyper = hyper_of("adagrad", initial_accumulator_value=0.0)
    params = {"w": jnp.arange(5.0)}
    state = native_step("adagrad", state_of("adagrad", params, hyper), {"w": jnp.zeros(5)}, hyper)
    np.testing.assert_array_equal(state.params["w"], params["w"])
    assert int(state.bad_update) == 0


def test_adams_count_stays_at_the_largest():
    hyper, largest = hyper_of("adam"), np.iinfo(np.int32).max
    state = state_of("adam", {"w": jnp.ones(3)}, hyper)
    full = jax.tree.map(lambda x: jnp.int32(largest) if x.dtype == jnp.int32 else x, state)
    after = native_step("adam", full._replace(update=jnp.int32(4)), {"w": jnp.ones(3)}, hyper)
    assert [int(x) for x in jax.tree.leaves(after.opt_state) if x.dtype == jnp.int32] == [largest]
    assert (int(after.update), int(after.bad_update)) == (5, 0)


# ---- what is not finite ----


def assert_kept(found, before, quantity):
    assert BAD_QUANTITIES[int(found.bad_quantity)] == quantity
    assert int(found.update) == int(found.bad_update) == int(before.update) + 1
    for key, value in before.params.items():  # to the bit: -0 stays -0
        assert np.asarray(found.params[key]).tobytes() == np.asarray(value).tobytes()


def trained(name, hyper, shapes=((37,), (5, 9), (16,))):
    """A state after two steps, with a -0 in it, and a gradient."""
    rng = np.random.default_rng(2)
    state = state_of(name, random_arrays(rng, shapes), hyper)
    for _ in range(2):
        state = native_step(name, state, random_arrays(rng, shapes), hyper)
    params = {**state.params, "w0": state.params["w0"].at[:3].set(-0.0)}
    return state._replace(params=params), random_arrays(rng, shapes)


@pytest.mark.parametrize("path", STEPS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", NAMES)
def test_a_bad_gradient_anywhere_keeps_the_old_parameters(name, value, path):
    hyper = hyper_of(name)
    state, grads = trained(name, hyper)
    for key, at in (("w0", 0), ("w0", 36), ("w1", (2, 3)), ("w2", 15)):
        bad = {**grads, key: grads[key].at[at].set(value)}
        assert_kept(STEPS[path](name, state, bad, hyper), state, "gradient")


@pytest.mark.parametrize("path", STEPS)
@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", NAMES)
def test_a_bad_loss_comes_first(name, loss, path):
    hyper = hyper_of(name)
    state, grads = trained(name, hyper)
    for bad in (grads, {**grads, "w2": grads["w2"].at[1].set(np.nan)}):
        assert_kept(STEPS[path](name, state, bad, hyper, loss), state, "loss")


@pytest.mark.parametrize("path", STEPS)
@pytest.mark.parametrize("name", NAMES)
def test_parameters_that_overflow_keep_the_old_ones(name, path):
    usual = hyper_of(name)
    state, grads = trained(name, usual)
    # Beside the rate, 3e38, what the rules with a root take to move by more than one rate.
    wild = {**usual, "learning_rate": np.float32(3e38), "l2": np.float32(1e3)}
    wild |= {key: np.float32(1e-2) for key in ("weight_decay",) if key in wild}
    wild |= {key: np.float32(0.999) for key in ("decay", "b2") if key in wild}
    grads = jax.tree.map(lambda g: jnp.full_like(g, 90.0), grads)
    params = {**state.params, "w2": jnp.full(16, -3.4e38)}
    state = state._replace(params=params)
    assert_kept(STEPS[path](name, state, grads, wild), state, "parameters")
    bad = {**grads, "w0": grads["w0"].at[36].set(np.nan)}
    assert_kept(STEPS[path](name, state, bad, wild), state, "gradient")


# ---- trials ----


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shared", [False, True])
def test_trials_together_are_bit_for_bit_those_one_by_one(name, shared):
    rng, shapes, n_trials = np.random.default_rng(3), [(37,), (5, 9), ()], 5
    rates = np.float32([1e-3, 0.1, 1e-2, 1.0, 0.5])
    hypers = [hyper_of(name, learning_rate=0.1 if shared else rate) for rate in rates]
    states = [state_of(name, random_arrays(rng, shapes), hyper) for hyper in hypers]
    gradients = [random_arrays(rng, shapes) for _ in range(n_trials)]
    gradients[2]["w1"] = gradients[2]["w1"].at[4, 4].set(np.inf)
    losses = np.float32([1, np.nan, 1, 1, 1])

    def stack(trees):
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)

    def one(state, grads, hyper, loss):
        params, opt_state, update = state.params, state.opt_state, state.update
        return native.step(name, hyper, loss, grads, params, opt_state, update)

    per_hyper = None if shared else 0
    together = jax.jit(jax.vmap(one, in_axes=(0, 0, per_hyper, 0)))(
        stack(states), stack(gradients), hypers[0] if shared else stack(hypers), jnp.array(losses)
    )
    quantities = np.asarray(together.bad_quantity)
    assert [BAD_QUANTITIES[q] for q in quantities] == ["", "loss", "gradient", "", ""]
    for k in range(n_trials):
        alone = one(states[k], gradients[k], hypers[k], jnp.float32(losses[k]))
        healthy = quantities[k] == 0
        for found, wanted in zip(
            jax.tree.leaves(together if healthy else together.params),
            jax.tree.leaves(alone if healthy else alone.params),
            strict=True,
        ):
            assert np.asarray(found[k]).tobytes() == np.asarray(wanted).tobytes()


def test_two_leading_dimensions_are_trials_too():
    rng, hyper = np.random.default_rng(4), hyper_of("adam")
    states = [state_of("adam", random_arrays(rng, [(7,), (3, 3)]), hyper) for _ in range(6)]
    grads = random_arrays(rng, [(7,), (3, 3)])
    stacked = jax.tree.map(lambda *x: jnp.stack(x).reshape(2, 3, *x[0].shape), *states)
    twice = jax.vmap(jax.vmap(lambda state: native_step("adam", state, grads, hyper)))
    found = twice(stacked)
    for k, state in enumerate(states):
        alone = native_step("adam", state, grads, hyper)
        for several, one in zip(jax.tree.leaves(found), jax.tree.leaves(alone), strict=True):
            np.testing.assert_array_equal(several[divmod(k, 3)], one)


def test_a_loop_of_updates_holds_nothing_beside_the_state_and_the_gradient():
    hyper, shape = hyper_of("adam"), (300, 1000)
    state = state_of("adam", {"w": jnp.ones(shape)}, hyper)

    def run(state, hyper):
        def update(state):
            grads = jax.tree.map(lambda p: 2 * p, state.params)
            return native_step("adam", state, grads, hyper)

        return jax.lax.while_loop(lambda s: (s.update < 9) & (s.bad_update == 0), update, state)

    compiled = jax.jit(run, donate_argnums=0).lower(state, hyper).compile()
    n_bytes = 4 * np.prod(shape)
    assert compiled.memory_analysis().temp_size_in_bytes < 1.1 * n_bytes
    after = compiled(jax.tree.map(jnp.copy, state), hyper)
    assert int(after.update) == 9
    np.testing.assert_allclose(after.params["w"], 1 - 9e-3, rtol=1e-5)  # Adam's sign steps


# ---- which steps are native ----


def test_every_rule_is_native_and_made_from_another_none():
    for name in NAMES:
        assert load_optimizer(name).native_rule == name
    assert set(RULES) == set(NAMES)
    changed = adam()._replace(make=lambda hyper: sgd().make(hyper))
    assert changed.native_rule is None


def test_other_numbers_and_other_states_take_the_plain_path():
    params, loss = {"w": jnp.ones(3)}, jnp.float32(1)
    state = adam().make(hyper_of("adam")).init(params)
    assert native.serve("adam", loss, params, state)
    assert not native.serve(None, loss, params, state)
    assert not native.serve("sgd", loss, params, state)
    assert not native.serve("adam", loss, {"w": jnp.ones(4)}, state)
    assert not native.serve("adam", loss, {}, adam().make(hyper_of("adam")).init({}))
    halves = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    assert not native.serve("adam", loss, halves, adam().make(hyper_of("adam")).init(halves))
    with kernels.plain():
        assert not native.serve("adam", loss, params, state)
