"""Batches by native code are the rows that plain indexing gives, of every type."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridscape import kernels
from gridscape.base.data import Split
from gridscape.base.task import Task
from gridscape.engine.trial import batches
from gridscape.kernels.batches import take

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"native kernels: {kernels.trouble()}"
)


def table(random, dtype, shape):
    return jnp.asarray(random.integers(0, 200, shape).astype(dtype))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.integers(1, 40),
    batch_size=st.integers(1, 20),
    row=st.lists(st.integers(1, 7), max_size=3),
)
def test_rows_are_those_of_plain_indexing(seed, n_rows, batch_size, row):
    random = np.random.default_rng(seed)
    dtypes = (np.uint8, np.int32, np.float32, np.bool_)
    shape = (n_rows, *row)
    tables = {str(k): random.integers(0, 200, shape).astype(x) for k, x in enumerate(dtypes)}
    order = random.integers(0, n_rows, (3, batch_size)).astype(np.int32)
    for at in range(3):
        found = jax.jit(take)(tables, order, np.int32(at))
        for name, x in tables.items():
            np.testing.assert_array_equal(found[name], x[order[at]])
            assert found[name].dtype == x.dtype


def test_trials_batched_outside_take_their_own_rows():
    random = np.random.default_rng(0)
    rows, orders = table(random, np.float32, (9, 4)), random.integers(0, 9, (5, 2, 3))
    found = jax.vmap(take, in_axes=(None, 0, None))(
        rows, jnp.asarray(orders.astype(np.int32)), jnp.int32(1)
    )
    np.testing.assert_array_equal(found, rows[orders[:, 1]])


@pytest.mark.parametrize("index", [-1, 9])
def test_a_row_that_is_not_there_is_an_error(index):
    rows, order = jnp.zeros((9, 4)), jnp.full((1, 3), index, jnp.int32)
    with pytest.raises(jax.errors.JaxRuntimeError, match="an example that is not there"):
        jax.block_until_ready(take(rows, order, jnp.int32(0)))


def test_the_engine_takes_its_batches_natively_and_plainly_alike():
    random = np.random.default_rng(1)
    inputs, labels = random.integers(0, 255, (20, 6)).astype(np.uint8), random.integers(0, 3, 20)
    task = Task.from_arrays((inputs, labels), (inputs, labels))
    order = jnp.asarray(random.integers(0, 20, (4, 5)).astype(np.int32))
    train = jax.tree.map(jnp.asarray, task.train)

    def batch(order: jax.Array, at: jax.Array) -> Split:
        return batches(task.prepare, train, order)(at)

    native = jax.jit(batch).lower(order, jnp.int32(2))
    assert "gridscape_batch_take" in native.as_text()
    with kernels.plain():
        plain = jax.jit(batch)(order, jnp.int32(2))
    jax.tree.map(np.testing.assert_array_equal, native.compile()(order, jnp.int32(2)), plain)
