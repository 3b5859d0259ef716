"""How a function that builds somebody's module is called: with what a task gives, and options."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from gridscape.errors import UsageError

OF_THE_TASK = ("input_shape", "n_outputs")

Parameters = Mapping[str, inspect.Parameter]


def by_name(parameters: Parameters) -> dict[str, inspect.Parameter]:
    """Those that can be given by name."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: p for name, p in parameters.items() if p.kind in named}


def seeded_parameters(
    build: Callable[..., Any], seed: str, module: str, called: Callable[..., Any] | None = None
) -> dict[str, inspect.Parameter]:
    """What ``build`` takes by name; raises UsageError unless ``seed``, such as "key", is among it.

    module: what it builds, in words. called: has the signature of ``build`` where that has another.
    """
    found: Parameters = {}
    with suppress(TypeError, ValueError):  # no function
        found = inspect.signature(called or build).parameters
    parameters = by_name(found)
    if seed not in parameters:
        raise UsageError(
            f"cannot build {module}",
            expected=f"a function or class that takes {seed}, and options",
            found=f"{getattr(build, '__name__', type(build).__name__)}({', '.join(found)})",
        )
    return parameters


def build_with(
    build: Callable[..., Any], parameters: Parameters, given: Mapping[str, Any], options: Any
) -> Any:
    """What ``build`` makes of its options and of so much of ``given`` as it takes."""
    return build(**{name: given[name] for name in given if name in parameters}, **options)


def signature_of(parameters: Parameters, seed: str | None = None) -> inspect.Signature:
    """(input_shape, n_outputs, *, options of build): what the study may set."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    leading = [inspect.Parameter(name, kind) for name in OF_THE_TASK]
    options = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, p in parameters.items()
        if name not in (seed, *OF_THE_TASK)
    ]
    return inspect.Signature(leading + options)
