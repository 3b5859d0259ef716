"""A model and an optimizer: small tuples of pure functions for one trial."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import optax

from gridscape.base.types import Array, Hyper, Key, Params

F = TypeVar("F", bound=Callable[..., Any])


class Model(NamedTuple):
    """A network, as two pure functions.

    ``init(key, hyper)`` returns the parameters, a pytree of arrays.
    ``apply(params, inputs, key, hyper)`` maps inputs (B, *input_shape) to outputs (B, C), or to
    (B, T, C) where the task asks for an answer at every step; ``key`` is None when the model is
    evaluated (no dropout then).
    ``hyperparameters`` names the traced numbers that the two read, with their defaults; a factory
    of models declares them with the decorator of that name instead.
    """

    init: Callable[[Key, Hyper], Params]
    apply: Callable[[Params, Array, Key | None, Hyper], Array]
    hyperparameters: Mapping[str, float] = {}


def hyperparameters(**defaults: float) -> Callable[[F], F]:
    """Declare the traced numbers that the models of a factory read, with their defaults."""

    def declare(factory: F) -> F:
        factory.hyperparameters = defaults  # type: ignore[attr-defined]
        return factory

    return declare


class Optimizer(NamedTuple):
    """An update rule whose numbers may be traced.

    ``make(hyper)`` returns an optax transformation; ``hyperparameters`` names the numbers that it
    reads, with their defaults.
    """

    make: Callable[[Hyper], optax.GradientTransformation]
    hyperparameters: Mapping[str, float]
