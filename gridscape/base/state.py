"""State beside parameters, as running statistics: read by ``apply``, moved by ``training`` alone.

It stands among the parameters, so that it is stored, resumed and inspected with them; what
differentiates, optimizes or averages parameters parts the two, and joins them again. Of a model
without ``training`` there is none, and all here changes nothing.
"""

from collections.abc import Callable
from typing import Any

from gridscape.base.types import Array, Hyper, Key, Params

STATE = "state"  # its name among the parameters

Training = Callable[[Params, Array, Key | None, Hyper], tuple[Array, Any]]


def parted(training: Training | None, params: Params) -> tuple[Params, Any]:
    """The parameters that are optimized, and the state, () where there is none."""
    if training is None:
        return params, ()
    return {name: part for name, part in params.items() if name != STATE}, params[STATE]


def joined(training: Training | None, params: Params, state: Any) -> Params:
    """What ``parted`` has parted."""
    return params if training is None else {**params, STATE: state}


def in_training(
    apply: Callable[..., Array],
    training: Training | None,
    params: Params,
    inputs: Any,
    key: Key | None,
    hyper: Hyper,
) -> tuple[Array, Any]:
    """The outputs of a batch that is trained on, and the state after it."""
    if training is None:
        return apply(params, inputs, key, hyper), ()
    return training(params, inputs, key, hyper)
