"""Slots by native code are those of plain indexing, of every type and shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridscape import kernels
from gridscape.engine._slots import one_after_the_other
from gridscape.kernels.slots import put, take

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"native kernels: {kernels.trouble()}"
)

DTYPES = (np.uint8, np.int32, np.uint32, np.float32, np.bool_, jnp.bfloat16)


def arrays_of(random, n_slots, shapes):
    return [
        random.integers(0, 200, (n_slots, *shape)).astype(dtype)
        for shape in shapes
        for dtype in DTYPES
    ]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_slots=st.integers(1, 5),
    shapes=st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=3),
    data=st.data(),
)
def test_what_is_taken_and_put_is_that_of_plain_indexing(seed, n_slots, shapes, data):
    random, k = np.random.default_rng(seed), data.draw(st.integers(0, n_slots - 1))
    arrays, others = arrays_of(random, n_slots, shapes), arrays_of(random, 1, shapes)
    rows = [x[0] for x in others]
    for found, x in zip(jax.jit(take)(arrays, np.int32(k)), arrays, strict=True):
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found, x[k])
    for found, x, row in zip(jax.jit(put)(arrays, np.int32(k), rows), arrays, rows, strict=True):
        wanted = x.copy()
        wanted[k] = row
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("k", [-1, 3])
@pytest.mark.parametrize("work", [take, lambda x, k: put(x, k, x[0])])
def test_a_slot_that_is_not_there_is_an_error(work, k):
    with pytest.raises(jax.errors.JaxRuntimeError, match="a slot that is not there"):
        jax.block_until_ready(work(jnp.zeros((3, 2)), jnp.int32(k)))


def walk(old, seen, inputs, count):
    """Trials that count their updates and sum up what they read."""

    def one(state, x):
        return {"n": state["n"] + 1, "sum": state["sum"] + x}, x.max()

    return one_after_the_other(one, old, seen, count, (inputs,))


@pytest.mark.parametrize("n_slots", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_trials_are_those_of_the_plain_path(n_slots, count):
    random, count = np.random.default_rng(0), min(count, n_slots)
    old = {"n": np.arange(n_slots, dtype=np.int32), "sum": random.normal(size=(n_slots, 3))}
    inputs = random.normal(size=(n_slots, 3)).astype(np.float32)
    old["sum"] = old["sum"].astype(np.float32)
    arguments = old, np.full(n_slots, -1, np.float32), inputs, np.int32(count)
    native = jax.jit(walk).lower(*arguments)
    assert ("gridscape_slot_put" in native.as_text()) == (n_slots > 1)
    with kernels.plain():
        plain = jax.jit(lambda *x: walk(*x)).lower(*arguments)
    assert "gridscape" not in plain.as_text()
    found, wanted = native.compile()(*arguments), plain.compile()(*arguments)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    np.testing.assert_array_equal(found[0]["n"], old["n"] + (np.arange(n_slots) < count))


def test_arrays_change_where_they_lie():
    """A copy of all slots for each trial would make a segment quadratic in its trials."""
    old = jnp.zeros((7, 1000))
    arguments = {"n": jnp.zeros(7, jnp.int32), "sum": old}, jnp.zeros(7), old, jnp.int32(7)
    text = jax.jit(walk, donate_argnums=(0, 1)).lower(*arguments).compile().as_text()
    body = text[text.index("gridscape_slot_take") :]
    assert "f32[7,1000]{1,0} copy(" not in body[: body.index("ENTRY")]
