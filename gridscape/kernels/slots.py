"""The arrays of one trial out of those of all, and back, by native code.

XLA would compile a loop of its own for each array: of a small network's program those were more
than the network's own.
"""

from typing import Any

import jax
import jax.numpy as jnp


def take(arrays: Any, k: jax.Array) -> Any:
    """Slot k of every array of a pytree: each (K, ...) -> (...).

    A slot that is not there is an error, told when the program runs; likewise in ``put``.
    """
    slots, structure = jax.tree.flatten(arrays)
    if not slots:
        return arrays
    shapes = [jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for x in slots]
    call = jax.ffi.ffi_call("gridscape_slot_take", shapes, vmap_method="sequential")
    return jax.tree.unflatten(structure, call(jnp.asarray(k, jnp.int32), *slots))


def put(arrays: Any, k: jax.Array, rows: Any) -> Any:
    """The arrays, each (K, ...), with these rows (...) in their slots k; they change in place.

    Raises TypeError for rows of another shape or type.
    """
    slots, structure = jax.tree.flatten(arrays)
    given = jax.tree.leaves(rows)
    if not slots:
        return arrays
    of_slots, of_rows = ([(x.shape, x.dtype) for x in xs] for xs in (slots, given))
    if of_rows != [(shape[1:], dtype) for shape, dtype in of_slots]:
        raise TypeError(f"rows of other types or shapes than the slots: {of_rows}, {of_slots}")
    call = jax.ffi.ffi_call(
        "gridscape_slot_put",
        [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in slots],
        vmap_method="sequential",
        input_output_aliases={1 + i: i for i in range(len(slots))},
    )
    return jax.tree.unflatten(structure, call(jnp.asarray(k, jnp.int32), *slots, *given))
