"""What a network that is evaluated answers: by one native call where that knows its layers."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from gridscape.base.data import Split
from gridscape.base.parts import Dense, Recurrent
from gridscape.base.types import Array, Hyper
from gridscape.engine.known_losses import targets_and_lengths
from gridscape.engine.whole import are_own
from gridscape.kernels import sequence
from gridscape.tasks.losses import Bits
from gridscape.tasks.sequences import Asked


def outputs_of(
    apply: Callable[..., Array],
    layers: Dense | Recurrent | None,
    params: Any,
    hyper: Hyper,
    split: Split,
    readers: Sequence[Callable[..., Any]],
) -> Array:
    """The outputs of ``apply`` on inputs as a model reads them: (B, C) or (B, T, C).

    layers: what ``apply`` is made of, where that is known. readers: all that reads the outputs;
    where each is Gridscape's own, those that count in no example may be 0.
    """
    if not isinstance(layers, Recurrent) or not sequence.gives(layers, params, split.inputs):
        return apply(params, split.inputs, None, hyper)
    lengths = jnp.zeros(0, jnp.int32)
    if layers.every and isinstance(split.targets, Asked | Bits) and are_own(*readers):
        lengths = targets_and_lengths(split.targets)[1].astype(jnp.int32)
    forget = hyper[layers.forget] if layers.forget else 0.0
    return sequence.outputs(layers, params, forget, split.inputs, lengths)
