"""Random numbers by native code are those of JAX's own generator, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridscape import kernels
from gridscape.kernels.threefry import quick

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"native kernels: {kernels.trouble()}"
)

SHAPES = st.lists(st.integers(0, 40), max_size=3).map(tuple)
DRAWS = {
    "normal": lambda key: jax.random.normal(key, (7, 5)),
    "truncated": lambda key: jax.random.truncated_normal(key, -2, 2, (33,)),
    "uniform": lambda key: jax.random.uniform(key, (4, 3), minval=-0.3, maxval=0.4),
    "integers": lambda key: jax.random.randint(key, (50,), 0, 1000),
    "coins": lambda key: jax.random.bernoulli(key, 0.3, (50,)),
    "order": lambda key: jax.random.permutation(key, 20),
    "classes": lambda key: jax.random.categorical(key, jnp.log(jnp.arange(1.0, 9)), shape=(9,)),
    "gamma": lambda key: jax.random.gamma(key, 2.0, (5,)),
    "orthogonal": lambda key: jax.random.orthogonal(key, 4),
    "halves": lambda key: jax.random.normal(key, (9,), jnp.bfloat16),
    "many": lambda key: jax.vmap(lambda k: jax.random.normal(k, (3,)))(jax.random.split(key, 6)),
    "of one": lambda key: jax.random.split(jax.random.fold_in(key, 3)),
    "a grid": lambda key: jax.random.bits(jax.random.split(key, (2, 3))[1, 2], (4,)),
}


def data_of(x):
    return jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x


@pytest.mark.parametrize("target", kernels.targets())
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES, data=st.integers(0, 2**32 - 1))
def test_bits_and_keys_are_those_of_jax(target, seed, shape, data):
    key = jax.random.key(seed)
    with kernels.use(target):
        own = quick(key)
        assert own.dtype != key.dtype
        for width in (8, 16, 32):
            of = [jax.random.bits(k, shape, f"uint{width}") for k in (own, key)]
            np.testing.assert_array_equal(*of)
        made = [jax.random.split(k, shape) for k in (own, key)]
        np.testing.assert_array_equal(*map(data_of, made))
        made = [jax.random.fold_in(k, np.uint32(data)) for k in (own, key)]
        np.testing.assert_array_equal(*map(data_of, made))


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("jit", [False, True])
def test_what_is_drawn_is_what_jax_draws(name, jit):
    draw = DRAWS[name]

    def both(key):
        return data_of(draw(quick(key))), data_of(draw(key))

    found, wanted = (jax.jit(both) if jit else both)(jax.random.key(5))
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


def test_words_of_64_bits():
    with jax.enable_x64(True):
        key = jax.random.key(5)
        found, wanted = (jax.random.bits(k, (9,), "uint64") for k in (quick(key), key))
        np.testing.assert_array_equal(found, wanted)


def test_keys_of_trials_at_once():
    keys = jax.random.split(jax.random.key(1), 12).reshape(3, 4)

    def one(k):
        return jax.random.uniform(jax.random.fold_in(quick(k), 2), (5,))

    def plain(k):
        return jax.random.uniform(jax.random.fold_in(k, 2), (5,))

    found, wanted = jax.vmap(jax.vmap(one))(keys), jax.vmap(jax.vmap(plain))(keys)
    np.testing.assert_array_equal(found, wanted)


def test_other_keys_and_the_plain_path_stay_as_they_are():
    for key in (jax.random.key(0, impl="rbg"), jax.random.PRNGKey(0), quick(jax.random.key(0))):
        assert quick(key) is key
    with kernels.plain():
        key = jax.random.key(0)
        assert quick(key) is key
    before = jax.config.jax_threefry_partitionable
    jax.config.update("jax_threefry_partitionable", False)
    try:
        assert quick(key) is key
    finally:
        jax.config.update("jax_threefry_partitionable", before)


def test_a_program_holds_no_rounds():
    text = jax.jit(lambda key: jax.random.normal(quick(key), (3,))).lower(jax.random.key(0))
    assert "gridscape_threefry_bits" in text.as_text()
    assert "threefry2x32" not in text.as_text()
