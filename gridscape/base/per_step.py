"""Answers at every step of sequences of different lengths: only the steps that are there count."""

from collections.abc import Callable
from functools import cache
from typing import Any

from gridscape.base.data import Sequences, only_there
from gridscape.base.types import Array


@cache  # one function for one: other ones would be compiled again
def over_steps(function: Callable[[Array, Any], Array]) -> Callable[[Array, Sequences], Array]:
    """A loss or metric of (B, C) and (B,), as the mean over the steps of each sequence.

    It is given all steps one after the other, (B * T, C) and (B * T,), with zeros as padding.
    """

    def of_sequences(outputs: Array, targets: Sequences) -> Array:
        is_step = targets.is_step
        values = function(*map(_joined, (only_there(is_step, outputs), targets.steps)))
        total: Array = only_there(is_step, values.reshape(is_step.shape)).sum(axis=1)
        return total / targets.lengths

    return of_sequences


def _joined(steps: Array) -> Array:
    return steps.reshape(-1, *steps.shape[2:])


def steps_of(targets: Sequences) -> Any:
    """What is right at every step: (B, T)."""
    return targets.steps
