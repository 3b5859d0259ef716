"""Many updates of a trial by one call of native code, on one core: what all such calls share.

What a small network takes is mostly the way from call to call: here the loop over updates is native
as well, with its batches, losses, gradients, steps and checks.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.kernels.optimizers import Step
from gridscape.kernels.tables import NUMBERS, RULES


class Trained(NamedTuple):
    """A trial after them, the losses (U,) and, where they are kept, outputs (U, B, ...) else (0,).

    Losses of updates that were not reached are NaN, outputs undefined.
    """

    state: Step
    losses: jax.Array
    outputs: jax.Array


class Request(NamedTuple):
    """What a call is asked for beside the trial.

    rule: of RULES, with its numbers for each array of the parameters. order (U, B): example indices
    of each update; (U, 0): all. stop: the update to end with.
    """

    rule: str
    numbers: Sequence[Mapping[str, Any]]
    order: jax.Array
    stop: jax.Array


def train(
    name: str,
    asked: Request,
    state: Any,
    places: Sequence[int],
    operands: Sequence[jax.Array],
    outputs: tuple[int, ...],
    workspace: int,
    **attributes: Any,
) -> Trained:
    """Train until ``stop`` updates are done or something is not finite, by the call of this name.

    state: an engine.TrialState. places: of the arrays, among all leaves of the parameters, in the
    order in which the call knows them. operands, attributes: of the network. outputs: their shape.
    workspace: its floats. Else as ``optimizers.step``.
    """
    arrays, of_params = jax.tree.flatten(state.params)
    kept, of_state = jax.tree.flatten(state.opt_state)
    n_arrays, n_moments = len(arrays), RULES[asked.rule]
    n_counts = len(kept) - n_moments * n_arrays
    groups = [kept[n_counts + m * n_arrays :][:n_arrays] for m in range(n_moments)]
    grads = [jnp.zeros_like(x) for x in arrays]
    leaves = [group[k] for group in (arrays, grads, *groups) for k in places]
    in_place = [state.update, state.bad_update, state.bad_quantity, *kept[:n_counts], *leaves]
    floats = [(len(asked.order),), outputs, (workspace,)]
    call = jax.ffi.ffi_call(
        f"gridscape_{name}",
        [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in in_place]
        + [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in floats],
        vmap_method="sequential",
        input_output_aliases={k: k for k in range(len(in_place))},
    )
    found = call(
        *in_place,
        jnp.asarray(asked.stop, jnp.int32),
        jnp.stack([_numbers(asked.numbers[k]) for k in places]),
        asked.order,
        *operands,
        rule=np.int64(list(RULES).index(asked.rule)),
        **attributes,
    )
    after, (losses, given, _) = list(found[: len(in_place)]), found[len(in_place) :]
    fresh = after[3 + n_counts :]
    back = [places.index(k) for k in range(n_arrays)]

    def group(number: int) -> list[jax.Array]:
        return [fresh[number * n_arrays + k] for k in back]

    moments = [x for m in range(n_moments) for x in group(2 + m)]
    step = Step(
        params=jax.tree.unflatten(of_params, group(0)),
        opt_state=jax.tree.unflatten(of_state, after[3 : 3 + n_counts] + moments),
        update=after[0],
        bad_update=after[1],
        bad_quantity=after[2],
    )
    return Trained(step, losses, given)


def _numbers(hyper: Mapping[str, Any]) -> jax.Array:
    return jnp.stack([jnp.asarray(hyper.get(name, 0.0), jnp.float32) for name in NUMBERS])
