"""What checks the shapes in annotations while the tests run."""

from collections.abc import Callable
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray


def check_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with those of its annotations checked that have a shape.

    All other types are mypy's business; tests hand in wrong ones on purpose.
    """
    annotations = function.__annotations__.items()
    function.__annotations__ = {name: hint for name, hint in annotations if has_shape(hint)}
    return beartype(function)


def has_shape(hint: Any) -> bool:
    """Whether a type, or one inside it, is an array of jaxtyping."""
    is_array = isinstance(hint, type) and issubclass(hint, AbstractArray)
    return is_array or any(map(has_shape, get_args(hint)))
