"""What JAX finds out about functions, kept: the cohorts of a study often have the same ones."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

import jax

F = TypeVar("F", bound=Callable[..., Any])

# A study has some ten programs; what is kept of one is small.
MOST_KEPT = 256


def is_hashable(value: Any) -> bool:
    """Whether it can be a key; a user's callable object that may change often cannot."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def remembered(function: F) -> F:
    """The function, its latest results kept, for arguments that are pytrees of what is hashable.

    >>> @remembered
    ... def traced(shapes):
    ...     print("traced")
    ...     return len(shapes)
    >>> traced({"a": 1, "b": 2}), traced({"a": 1, "b": 2})
    traced
    (2, 2)
    """

    @lru_cache(maxsize=MOST_KEPT)
    def of_leaves(tree: Any, *leaves: Any) -> Any:
        return function(*jax.tree.unflatten(tree, leaves))

    @wraps(function)
    def call(*arguments: Any) -> Any:
        leaves, tree = jax.tree.flatten(arguments)
        if not is_hashable((tree, *leaves)):
            return function(*arguments)
        return of_leaves(tree, *leaves)

    return call  # type: ignore[return-value]
