"""Models that users bring: an Equinox module."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import jax

from gridscape.base.parts import Factory, Model
from gridscape.base.types import Array, Hyper, Key, Params
from gridscape.errors import GridscapeError, ModelError, UsageError

# What a module is built from and not an option of it.
GIVEN = ("key", "input_shape", "n_outputs")


def from_equinox(build: Callable[..., Any]) -> Callable[..., Model]:
    """A model factory from ``build(key, **options) -> equinox.Module``, or from a module's class.

    The module is written for one example, as Equinox modules are; it is mapped over the batch
    here. Where its ``__call__`` takes ``key``, training passes one per example; evaluation passes
    None and switches dropout off. ``build`` may also take ``input_shape`` and ``n_outputs`` of the
    task. Its other parameters become options of the model and so axes: static ones, since they
    shape the module. All float arrays of the module are trained; other arrays are constants, and
    the same in every replicate.

    Raises GridscapeError when Equinox is not installed, UsageError for a ``build`` without ``key``;
    the factory raises ModelError for a module that keeps state between calls, as BatchNorm does.

    >>> import equinox as eqx
    >>> factory = from_equinox(lambda key, width=8: eqx.nn.MLP(4, 3, width, 1, key=key))
    >>> model = factory((4,), 3, width=16)
    >>> outputs = model.apply(model.init(jax.random.key(0), {}), jax.numpy.ones((2, 4)), None, {})
    >>> outputs.shape
    (2, 3)
    """
    try:
        import equinox as eqx
    except ImportError as error:
        raise GridscapeError(
            "Equinox is not installed", hint="pip install 'gridscape[equinox]'"
        ) from error

    parameters = _parameters(build)

    def factory(input_shape: tuple[int, ...], n_outputs: int, **options: Any) -> Model:
        def module(key: Key) -> Any:
            given = dict(zip(GIVEN, (key, input_shape, n_outputs), strict=True))
            return build(**{k: v for k, v in given.items() if k in parameters}, **options)

        def init(key: Key, hyper: Hyper) -> Params:
            return eqx.filter(module(key), eqx.is_inexact_array)

        def apply(params: Params, inputs: Array, key: Key | None, hyper: Hyper) -> Array:
            # The module is built again for its constants; its parameters are replaced unused.
            constants = eqx.filter(module(jax.random.key(0)), eqx.is_inexact_array, inverse=True)
            full = eqx.combine(params, constants)
            if key is None:
                full = eqx.nn.inference_mode(full)
            if "key" not in inspect.signature(full.__call__).parameters:
                return jax.vmap(full)(inputs)
            keys = None if key is None else jax.random.split(key, len(inputs))
            return jax.vmap(lambda x, k: full(x, key=k), in_axes=(0, None if key is None else 0))(
                inputs, keys
            )

        _check(eqx, eqx.filter_eval_shape(module, jax.random.key(0)))
        return Model(init, apply)

    return Factory(factory, signature=_signature(parameters), code=build)


def _parameters(build: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What ``build`` takes by name; raises UsageError unless ``key`` is among it."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found: Mapping[str, inspect.Parameter] = {}
    with suppress(TypeError, ValueError):  # no function
        found = inspect.signature(build).parameters
    parameters = {name: p for name, p in found.items() if p.kind in named}
    if "key" not in parameters:
        raise UsageError(
            "cannot build an Equinox module",
            expected="a function or class that takes key, and options",
            found=f"{getattr(build, '__name__', type(build).__name__)}({', '.join(found)})",
        )
    return parameters


def _check(eqx: Any, module: Any) -> None:
    """Raise ModelError for what is no module, or one that keeps state between calls."""
    if not callable(module):
        raise ModelError(
            "build makes no Equinox module",
            expected="a module with __call__",
            found=type(module).__name__,
        )
    leaves = jax.tree.leaves(module, is_leaf=lambda x: isinstance(x, eqx.nn.StateIndex))
    if any(isinstance(leaf, eqx.nn.StateIndex) for leaf in leaves):
        raise ModelError(
            "an Equinox module that keeps state between calls, as BatchNorm does",
            found=type(module).__name__,
            hint="use a norm without state: eqx.nn.LayerNorm, GroupNorm",
        )


def _signature(parameters: dict[str, inspect.Parameter]) -> inspect.Signature:
    """(input_shape, n_outputs, *, options of build): what the study may set."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    leading = [inspect.Parameter(name, kind) for name in ("input_shape", "n_outputs")]
    options = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, p in parameters.items()
        if name not in GIVEN
    ]
    return inspect.Signature(leading + options)
