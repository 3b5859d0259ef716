"""What JAX finds out about functions, kept: the cohorts of a study often have the same ones.

Each resolved study has a memo of its own, which is gone with it: before the next one a
user may have mutated an object, which its identity does not show.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import jax

R = TypeVar("R")

# A study has some ten programs, and of each some ten results are kept, all of them small.
MOST_KEPT = 1024
# Not float: 0.0 and -0.0 are equal. Nor what derives from these, which may hold more.
PLAIN = (bool, int, str, type(None), jax.ShapeDtypeStruct)


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
    if type(value) in PLAIN:
        return type(value), value
    if _is_sequence(value):
        return type(value), *map(key_of, value)
    if _is_record(value):
        return type(value), *(key_of(getattr(value, field.name)) for field in fields(value))
    if type(value) is dict:
        return dict, *((key_of(name), key_of(part)) for name, part in value.items())
    return Itself(value)


def _is_sequence(value: Any) -> bool:
    """Whether a value is its items and nothing else: a tuple, a list, a named tuple of data."""
    if type(value) in (tuple, list):
        return True
    is_named = isinstance(value, tuple) and hasattr(value, "_fields")
    return is_named and not callable(value) and not getattr(value, "__dict__", None)


def _is_record(value: Any) -> bool:
    """Whether a value is its fields and nothing else: a frozen dataclass without a ``__dict__``."""
    is_one = is_dataclass(value) and not isinstance(value, type)
    is_frozen = is_one and type(value).__dataclass_params__.frozen
    return is_frozen and not callable(value) and not hasattr(value, "__dict__")


class Memo:
    """The latest results of functions of which nothing but their arguments tells the result.

    >>> def traced(shapes):
    ...     print("traced")
    ...     return len(shapes)
    >>> memo = Memo()
    >>> memo.of(traced, {"a": 1, "b": 2}), memo.of(traced, {"a": 1, "b": 2})
    traced
    (2, 2)
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, Any] = OrderedDict()

    def of(self, function: Callable[..., R], *arguments: Any) -> R:
        """``function(*arguments)``, computed once, or twice by threads that ask at once."""
        key = (function, key_of(arguments))
        try:
            found: R = self._kept[key]
        except KeyError:
            found = self._kept[key] = function(*arguments)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return found
