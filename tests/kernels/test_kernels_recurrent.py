"""Native recurrent layers against the float64 reference, on each instruction set that runs here."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gridscape import kernels
from gridscape.errors import UsageError
from gridscape.models._cells import CELLS
from gridscape.models.precision import products_in

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"native kernels: {kernels.trouble()}"
)

# Each float32 operation rounds by 6e-8; a gradient is a sum of up to 40 x 130 terms, whose errors
# grow like the root of their number, and passes through up to 40 steps. Told in the Euclidean norm
# of an array, as in test_recurrent.
TOLERANCE = 2e-5
# An operand that float32 takes to the other side of the middle between two bfloat16 is rounded the
# other way, by 2^-8 of it. That befalls an operand in a thousand or less, and passes through a few
# steps. Without any rounding the difference is ten times as large, which a test makes sure of.
TOLERANCES = {"float32": TOLERANCE, "bfloat16": 5e-4}
HYPER = {"forget_bias": 1.0}

sizes = st.fixed_dictionaries(
    {
        "T": st.integers(1, 40),
        "B": st.integers(1, 130),
        "D": st.integers(1, 40),
        "H": st.integers(1, 300),
    }
)
# Around a block of 16 units, of 4 blocks, and of few units, whose lanes are examples.
CORNERS = [
    {"T": 1, "B": 1, "D": 1, "H": 1},
    {"T": 9, "B": 32, "D": 9, "H": 5},
    {"T": 6, "B": 33, "D": 2, "H": 10},
    {"T": 5, "B": 100, "D": 28, "H": 15},
    {"T": 3, "B": 17, "D": 3, "H": 16},
    {"T": 4, "B": 7, "D": 31, "H": 17},
    {"T": 2, "B": 13, "D": 16, "H": 64},
    {"T": 2, "B": 6, "D": 65, "H": 65},
]


def problem(cell, T, B, D, H, seed=0):
    """Parameters by name, inputs (T, B, D), and the gradient by every state (T, B, H)."""
    rng = np.random.default_rng(seed)
    params = {
        name: (rng.normal(size=shape) / np.sqrt(sum(shape))).astype(np.float32)
        for name, shape in CELLS[cell].shapes(D, H).items()
    }
    inputs = rng.uniform(-1, 1, (T, B, D)).astype(np.float32)
    return params, inputs, rng.normal(size=(T, B, H)).astype(np.float32)


def gradients(cell, every, precision="float32"):
    """(params, inputs, dstates) -> states, (by params, by inputs); compiled once for all."""

    def layer(params, inputs):
        with products_in(precision):
            return CELLS[cell].states(params, inputs, HYPER, every)

    @jax.jit
    def run(params, inputs, dstates):
        states, pull = jax.vjp(layer, params, inputs)
        return states, pull(dstates if every else dstates[-1])

    return run


def expected(cell, params, inputs, dstates, every, precision="float32"):
    """The same by the reference, whose arrays are (B, T, ...)."""
    forward, backward = reference.RECURRENT_LAYERS[cell]
    told = {"forget_bias": 1.0} if cell == "lstm" else {}
    arrays = jax.tree.map(lambda x: np.asarray(x, np.float64), (params, inputs, dstates))
    kind = reference.PRECISIONS[precision]
    params, inputs, dstates = jax.tree.map(lambda x: x.view(kind), arrays)
    states, steps = forward(params, np.swapaxes(inputs, 0, 1), **told)
    dstates = np.swapaxes(dstates, 0, 1)
    if not every:
        dstates = dstates * (np.arange(dstates.shape[1]) == dstates.shape[1] - 1)[None, :, None]
    grads, dinputs = backward(params, steps, dstates)
    states = np.swapaxes(states, 0, 1)
    return states if every else states[-1], (grads, np.swapaxes(dinputs, 0, 1))


def assert_close(found, wanted, tolerance=TOLERANCE):
    for path, value in jax.tree_util.tree_leaves_with_path(wanted):
        mine = found
        for key in path:
            mine = mine[key.idx if hasattr(key, "idx") else key.key]
        value = np.asarray(value)
        error = np.linalg.norm(np.asarray(mine, np.float64) - value)
        size = np.linalg.norm(value)
        assert error <= tolerance * size + 1e-12, f"{path}: {error:.1e} of {size:.1e}"


def check(cell, every, precision, T, B, D, H):
    arguments = problem(cell, T, B, D, H)
    wanted = expected(cell, *arguments, every, precision)
    run = gradients(cell, every, precision)
    for name in kernels.targets():
        with kernels.use(name):
            assert kernels.target() == name
            assert_close(run(*arguments), wanted, TOLERANCES[precision])


LAYERS = list(itertools.product(CELLS, ("last", "every")))


# One library serves all versions of Python and JAX, which others of these tests call it by.
@pytest.mark.slow
@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize(("cell", "returns"), LAYERS)
@pytest.mark.parametrize("corner", CORNERS, ids=lambda c: "-".join(map(str, c.values())))
def test_forward_and_gradients_around_the_sizes_of_blocks(cell, returns, corner, precision):
    check(cell, returns == "every", precision, **corner)


@pytest.mark.parametrize("cell", CELLS)
def test_a_gradient_over_many_rows_in_bfloat16(cell):
    """More rows than are paired at once, and an odd number of them."""
    check(cell, True, "bfloat16", T=3, B=101, D=5, H=33)


@pytest.mark.parametrize("cell", CELLS)
def test_the_plain_path_in_bfloat16(cell):
    arguments = problem(cell, 4, 7, 31, 17)
    wanted = expected(cell, *arguments, True, "bfloat16")
    with kernels.plain():
        assert_close(gradients(cell, True, "bfloat16")(*arguments), wanted, TOLERANCES["bfloat16"])


@pytest.mark.parametrize("cell", CELLS)
def test_the_tolerance_of_bfloat16_tells_it_from_float32(cell):
    arguments = problem(cell, 4, 7, 31, 17)
    wanted = expected(cell, *arguments, True, "bfloat16")
    with pytest.raises(AssertionError, match=r"[0-9]e-0[0-3] of"):
        assert_close(gradients(cell, True)(*arguments), wanted, 2 * TOLERANCES["bfloat16"])


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "returns"), LAYERS)
@settings(max_examples=3, deadline=None, derandomize=True)
@example(shape={"T": 40, "B": 70, "D": 28, "H": 300})
@given(shape=sizes)
def test_forward_and_gradients_of_any_size(cell, returns, shape):
    check(cell, returns == "every", "float32", **shape)


def test_the_kernels_are_what_runs():
    run = gradients("lstm", every=False)
    arguments = problem("lstm", 3, 4, 2, 5)
    assert "gridscape_recurrent_forward" in run.lower(*arguments).as_text()
    with kernels.plain():
        assert "gridscape" not in gradients("lstm", every=False).lower(*arguments).as_text()


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("cell", CELLS)
def test_without_a_gradient_nothing_is_kept_and_the_numbers_are_the_same(cell, precision):
    params, inputs, _ = problem(cell, 7, 33, 5, 9)

    def states(params):
        with products_in(precision):
            return CELLS[cell].states(params, inputs, HYPER, True)

    np.testing.assert_array_equal(jax.jit(states)(params), jax.vjp(states, params)[0])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("hidden", [5, 20])
@pytest.mark.parametrize("precision", TOLERANCES)
def test_many_trials_at_once_are_each_alone_bit_for_bit(cell, hidden, precision):
    """Two of the weights, shared inputs; then two of the inputs too."""
    both = [problem(cell, 4, 33, 3, hidden, seed) for seed in (0, 1)]
    run = gradients(cell, True, precision)
    together = jax.tree.map(lambda *x: jnp.stack(x), *(params for params, *_ in both))
    _, inputs, dstates = both[0]
    shared = jax.vmap(run, in_axes=(0, None, None))(together, inputs, dstates)
    stacked = jnp.stack([inputs, both[1][1]])
    outer = jax.vmap(jax.vmap(run, in_axes=(0, None, None)), in_axes=(None, 0, None))
    crossed = outer(together, stacked, dstates)
    for k, (params, *_) in enumerate(both):
        alone = run(params, inputs, dstates)
        assert_equal(jax.tree.map(lambda x, k=k: x[k], shared), alone)
        for j in range(2):
            each = run(params, stacked[j], dstates)
            assert_equal(jax.tree.map(lambda x, j=j, k=k: x[j, k], crossed), each)


def assert_equal(found, wanted):
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("hidden", [5, 20])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("precision", TOLERANCES)
def test_what_is_not_finite_is_not_hidden(cell, hidden, bad, precision):
    """A bad input spoils its own example alone, and the gradient of every weight it meets."""
    params, inputs, dstates = problem(cell, 3, 20, 4, hidden)
    inputs[0, 7, 2] = bad
    assert kernels.targets()
    for name in kernels.targets():
        with kernels.use(name):
            run = gradients(cell, True, precision)
            states, (dparams, _) = run(params, inputs, dstates)
        others = np.arange(20) != 7
        assert np.isfinite(np.asarray(states)[:, others]).all()
        if np.isnan(bad):
            assert np.isnan(np.asarray(states)[:, 7]).all()
            assert all(not np.isfinite(d).all() for d in dparams.values())


def test_an_instruction_set_that_is_not_here():
    with pytest.raises(UsageError, match="cannot run these kernels"), kernels.use("abacus"):
        pass


def test_buffers_of_another_shape_are_refused():
    """A call by hand, with the bias of another width."""
    from gridscape.kernels import recurrent

    params, inputs, _ = problem("lstm", 3, 4, 2, 5)
    with pytest.raises(jax.errors.JaxRuntimeError, match="weights of another shape"):
        recurrent.layer(
            "lstm", (jnp.asarray(params["kernel"]), jnp.zeros(24)), jnp.asarray(inputs), False
        ).block_until_ready()
