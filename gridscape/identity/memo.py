"""What JAX finds out about functions, kept: the cohorts of a study often have the same ones.

It is forgotten when a study is resolved, and when its planner is made and closed. By then a user's
object may have changed, which its methods do not show; and what functions hold on to may go.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import jax

F = TypeVar("F", bound=Callable[..., Any])

# A study has some ten programs; what is kept of one is small.
MOST_KEPT = 256
# Not float: 0.0 and -0.0 are equal.
PLAIN = bool | int | str | None | jax.ShapeDtypeStruct

_KEPT: list[OrderedDict[Any, Any]] = []


class Itself:
    """An object as a key: the same as itself only, whatever its class calls equal."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and self.of is other.of

    def __hash__(self) -> int:
        return id(self.of)


def key_of(value: Any) -> Any:
    """A key that is equal only where nothing can tell two values apart.

    Plain values by type and value, tuples, lists and dictionaries by their parts, and all else,
    functions above all, by identity: classes whose objects call themselves equal may well compute
    something else.

    >>> key_of((1, len)) == key_of((1, len)), key_of(1) == key_of(True), key_of(0.0) == key_of(-0.0)
    (True, False, False)
    """
    if isinstance(value, PLAIN):
        return type(value), value
    if isinstance(value, tuple | list) and not callable(value):
        return type(value), *map(key_of, value)
    if isinstance(value, dict):
        return dict, *((key_of(name), key_of(part)) for name, part in value.items())
    return Itself(value)


def forget() -> None:
    """Forget all that was remembered."""
    for kept in _KEPT:
        kept.clear()


def remembered(function: F) -> F:
    """The function, its latest results kept.

    >>> @remembered
    ... def traced(shapes):
    ...     print("traced")
    ...     return len(shapes)
    >>> traced({"a": 1, "b": 2}), traced({"a": 1, "b": 2})
    traced
    (2, 2)
    """
    kept: OrderedDict[Any, Any] = OrderedDict()
    _KEPT.append(kept)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        key = key_of(arguments)
        result = kept.get(key)
        if result is None:
            result = kept[key] = function(*arguments)
            if len(kept) > MOST_KEPT:
                kept.popitem(last=False)
        return result

    return call  # type: ignore[return-value]
