"""What JAX finds out about functions, kept: the cohorts of a study often have the same ones.

It is forgotten when another study is resolved. By then a user's object may have changed, which its
methods do not show; and nothing that their functions hold on to stays longer.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

import jax

F = TypeVar("F", bound=Callable[..., Any])

# A study has some ten programs; what is kept of one is small.
MOST_KEPT = 256

_KEPT: list[Any] = []


def is_hashable(value: Any) -> bool:
    """Whether it can be a key; a user's callable object that may change often cannot."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def forget() -> None:
    """Forget all that was remembered."""
    for kept in _KEPT:
        kept.cache_clear()


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

    _KEPT.append(of_leaves)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        leaves, tree = jax.tree.flatten(arguments)
        if not is_hashable((tree, *leaves)):
            return function(*arguments)
        return of_leaves(tree, *leaves)

    return call  # type: ignore[return-value]
