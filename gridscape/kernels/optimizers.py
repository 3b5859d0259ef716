"""An optimizer step by native code: new parameters, what the rule keeps, and the check of both.

One call does what ``engine.update_trial`` does with optax in many passes over the weights, for all
arrays of a trial, in place.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.kernels import library
from gridscape.kernels.tables import NUMBERS, RULES

# Rules that keep their last step with the rate that it had: native code cannot scale it afterwards.
RATE_IN_STATE = ("momentum", "nesterov")
# Operands and results from here on stand at the same place: one takes the memory of the other.
FIRST = 3


class Step(NamedTuple):
    """A trial after an update, as in engine.TrialState."""

    params: Any
    opt_state: Any
    update: jax.Array
    bad_update: jax.Array
    bad_quantity: jax.Array


def serve(rule: str | None, loss: Any, params: Any, opt_state: Any) -> bool:
    """Whether native code can do the step of a rule of RULES on a state that optax made."""
    if rule not in RULES:
        return False
    arrays = jax.tree.leaves(params)
    kept = jax.tree.leaves(opt_state)
    n_counts = _n_counts(rule)
    counts, moments = kept[:n_counts], kept[n_counts:]
    return (
        bool(arrays)
        and [x.shape for x in moments] == RULES[rule] * [x.shape for x in arrays]
        and all(x.shape == () and x.dtype == jnp.int32 for x in counts)
        and library.serve(loss, *arrays, *moments)
    )


def _n_counts(rule: str) -> int:
    """Counts of updates, which stand before what a rule keeps: those of Adam, of two moments."""
    return int(RULES[rule] == 2)


def step(
    rule: str,
    hyper: Mapping[str, Any],
    loss: jax.Array,
    grads: Any,
    params: Any,
    opt_state: Any,
    update: jax.Array,
) -> Step:
    """One update of a trial, of which ``serve`` is true.

    Where loss, gradient or new parameters are not finite, the parameters are those from before, to
    the bit. The optimizer's state is then undefined: such a trial is not trained any more.
    """
    arrays, of_params = jax.tree.flatten(params)
    kept, of_state = jax.tree.flatten(opt_state)
    n_arrays, n_counts = len(arrays), _n_counts(rule)
    numbers = jnp.stack([jnp.asarray(hyper.get(name, 0.0), jnp.float32) for name in NUMBERS])
    in_place = (*kept[:n_counts], *arrays, *jax.tree.leaves(grads), *kept[n_counts:])
    whole = jax.ShapeDtypeStruct((), jnp.int32)
    call = jax.ffi.ffi_call(
        "gridscape_optimizer_step",
        [whole] * FIRST + [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in in_place],
        # The trials' arrays one after the other, since results take the place of operands.
        vmap_method="broadcast_all",
        input_output_aliases={0: 0} | {FIRST + k: FIRST + k for k in range(len(in_place))},
    )
    done, bad_update, bad_quantity, *fresh = call(
        update, numbers, loss, *in_place, rule=np.int64(list(RULES).index(rule))
    )
    counts, fresh = fresh[:n_counts], fresh[n_counts:]
    return Step(
        params=jax.tree.unflatten(of_params, fresh[:n_arrays]),
        opt_state=jax.tree.unflatten(of_state, counts + fresh[2 * n_arrays :]),
        update=done,
        bad_update=bad_update,
        bad_quantity=bad_quantity,
    )
