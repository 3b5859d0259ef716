"""Random numbers of JAX's own generator by native code: the very same bits.

XLA compiles a loop of its own for each array that is drawn; of a small network that is most of what
it compiles before the first update.
"""

import math
from collections.abc import Callable, Hashable
from functools import lru_cache

import jax
import jax.numpy as jnp
from jax.extend.random import define_prng_impl

from gridscape.kernels.library import in_use


def quick(key: jax.Array) -> jax.Array:
    """The key, for what native code can draw: its numbers are those of the key.

    For our own drawing: ``jax.random.poisson`` refuses it, and it cannot be joined with other keys.
    A key of another generator, or of the old kind, is given back as it is.

    >>> key = jax.random.key(0)
    >>> bool((jax.random.normal(quick(key), (3,)) == jax.random.normal(key, (3,))).all())
    True
    """
    if not (jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and in_use()):
        return key
    # Native code knows the newer of two orders of counts, between which a user may choose.
    has_order = jax.config.values["jax_threefry_partitionable"]
    if str(jax.random.key_impl(key)) != "threefry2x32" or not has_order:
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_generator())


def split(key: jax.Array, n: int) -> jax.Array:
    """``jax.random.split`` by native code: (n,) keys of the kind that ``key`` is.

    >>> key = jax.random.key(0)
    >>> bool((split(key, 3) == jax.random.split(key, 3)).all())
    True
    """
    own = quick(key)
    if own is key:
        return jax.random.split(key, n)
    made = jax.random.key_data(jax.random.split(own, n))
    return jax.random.wrap_key_data(made, impl=jax.random.key_impl(key))


@lru_cache(maxsize=1)
def _generator() -> Hashable:
    """What makes keys and numbers of a key (2,), known to JAX from here on."""
    return define_prng_impl(
        key_shape=(2,),
        seed=_seed,
        split=_split,
        random_bits=_random_bits,
        fold_in=_fold_in,
        name="gridscape_threefry2x32",
        tag="gfry",
    )


def _seed(seed: jax.Array) -> jax.Array:
    return jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))


def _split(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    n = math.prod(shape)
    return _pairs(key, jnp.arange(n, dtype=jnp.uint32)).reshape(*shape, 2)


def _fold_in(key: jax.Array, data: int | jax.Array) -> jax.Array:
    return _pairs(key, jnp.asarray(data, jnp.uint32)[None])[0]


def _random_bits(key: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    n = math.prod(shape)
    if bit_width == 64:
        pairs = _pairs(key, jnp.arange(n, dtype=jnp.uint32)).astype(jnp.uint64)
        return (pairs[:, 0] << 32 | pairs[:, 1]).reshape(shape)
    bits = _call("threefry_bits", (n,))(key).reshape(shape)
    return bits if bit_width == 32 else bits.astype(f"uint{bit_width}")


def _pairs(key: jax.Array, counts: jax.Array) -> jax.Array:
    """The hashes (n, 2) of counts (n,)."""
    return _call("threefry_pairs", (len(counts), 2))(key, counts)


def _call(name: str, shape: tuple[int, ...]) -> Callable[..., jax.Array]:
    result = jax.ShapeDtypeStruct(shape, jnp.uint32)
    return jax.ffi.ffi_call(f"gridscape_{name}", result, vmap_method="broadcast_all")
