"""What Python and the native code share by position, by its names.

The library holds the same tables, made from its own headers; it is called only where they agree.
"""

from collections.abc import Iterable
from typing import NamedTuple

# Each with how many times its width the first bias has.
CELLS = {"rnn": 1, "lstm": 4, "gru": 2, "gru_after": 3}
ACTIVATIONS = ("linear", "relu", "tanh")
# Each with how many arrays it keeps for each of the parameters.
RULES = {
    "sgd": 0,
    "momentum": 1,
    "nesterov": 1,
    "adagrad": 1,
    "adagrad-pytorch": 1,
    "rmsprop": 1,
    "rmsprop-pytorch": 1,
    "adam": 2,
    "adamw": 2,
}
# What an optimizer step reads of a trial's numbers, 0 where a rule has none of the name.
NUMBERS = ("learning_rate", "l2", "momentum", "decay", "b1", "b2", "eps", "weight_decay")
# Of an example, by which a whole perceptron is trained.
LOSSES = ("squared_error", "mean_squared_error")
# Of an example of a recurrent network that is trained whole: of a class, or of a bit a step.
SEQUENCE_LOSSES = ("cross_entropy", "bce", "mse", "mse_raw", "time_softmax")
# What was not finite in an update, "" where all was; of several the first.
BAD_QUANTITIES = ("", "loss", "gradient", "parameters")


class RecurrentWorkspace(NamedTuple):
    """Numbers of floats, as recurrent_kernels.h tells them."""

    rows: int
    kept: int
    dgates: int
    forward: int
    backward: int
    inputs: int


class DenseWorkspace(NamedTuple):
    """Numbers of floats, as feedforward_kernels.h tells them."""

    forward: int
    weights: int
    inputs: int


class ConvWorkspace(NamedTuple):
    """Numbers of floats, as feedforward_kernels.h tells them."""

    switches: int
    forward: int
    weights: int
    inputs: int


def lines() -> tuple[str, ...]:
    """A table a line, as ``gridscape_tables`` of the library writes them."""
    workspaces = {
        workspace.__name__: workspace._fields
        for workspace in (RecurrentWorkspace, DenseWorkspace, ConvWorkspace)
    }
    tables: dict[str, Iterable[str]] = {
        "CELLS": _counted(CELLS),
        "ACTIVATIONS": ACTIVATIONS,
        "RULES": _counted(RULES),
        "NUMBERS": NUMBERS,
        "LOSSES": LOSSES,
        "SEQUENCE_LOSSES": SEQUENCE_LOSSES,
        "BAD_QUANTITIES": BAD_QUANTITIES,
        **workspaces,
    }
    return tuple(" ".join((name, *entries)) for name, entries in tables.items())


def differing(library: str) -> str | None:
    """The first table that the library, by what it says of its own, has otherwise; else None."""
    told = library.split("\n")
    return next((line.split()[0] for line in lines() if line not in told), None)


def _counted(table: dict[str, int]) -> Iterable[str]:
    return (f"{name}={count}" for name, count in table.items())
