"""What PyTorch's functions and methods compute, in JAX, by their names.

A function, a method and an operator of one name are one entry: ``torch.relu``, ``F.relu`` and
``x.relu()``. Arguments have PyTorch's names and defaults. Gradients are PyTorch's too, at ties and
kinks as well. Shapes never broadcast by themselves to a higher rank.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

Function = Callable[..., Any]
Dims = int | Sequence[int] | None

FUNCTIONS: dict[str, Function] = {}
# Those that draw random numbers in training are given ``key``.
RANDOM: set[str] = set()
# Of each number by itself: any layout of an array will do.
OF_EACH: set[str] = set()


def translates(*names: str, random: bool = False) -> Callable[[Function], Function]:
    """Enter a function under its names."""

    def enter(function: Function) -> Function:
        for name in names:
            FUNCTIONS[name] = function
            if random:
                RANDOM.add(name)
        return function

    return enter


def aligned(function: Function, a: Any, b: Any) -> Any:
    """function(a, b) with the lower rank given leading dimensions of 1, as PyTorch broadcasts."""
    a, b = (x if isinstance(x, int | float | bool) else jnp.asarray(x) for x in (a, b))
    ranks = np.ndim(a), np.ndim(b)
    if min(ranks) and ranks[0] != ranks[1]:
        a, b = (x.reshape(*[1] * (max(ranks) - x.ndim), *x.shape) for x in (a, b))
    return function(a, b)


def of_rank(x: Any, rank: int) -> Any:
    """An array with leading dimensions of 1; a number as it is."""
    return x.reshape(*[1] * (rank - np.ndim(x)), *np.shape(x)) if np.ndim(x) else x


def axes_of(dim: Dims) -> Any:
    """PyTorch's dim as JAX has it."""
    return tuple(dim) if isinstance(dim, list | tuple) else dim
