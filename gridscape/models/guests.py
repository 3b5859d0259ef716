"""Models that users bring: a pair of functions, a factory, an Equinox module."""

import inspect
from collections.abc import Callable
from typing import Any

import jax

from gridscape.base import Array, Hyper, Key, Model, Params
from gridscape.errors import GridscapeError


def from_equinox(build: Callable[..., Any]) -> Callable[..., Model]:
    """A model factory from ``build(key, **options) -> equinox.Module``.

    The module is written for one example, as Equinox modules are; it is mapped over the batch
    here. Where its ``__call__`` takes ``key``, training passes one per example. The options of
    ``build`` become axes: static ones, since they shape the module. Raises GridscapeError when
    Equinox is not installed.

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

    def factory(input_shape: tuple[int, ...], n_outputs: int, **options: Any) -> Model:
        shapes = eqx.filter_eval_shape(lambda key: build(key, **options), jax.random.key(0))
        _, structure = eqx.partition(shapes, _is_parameter)

        def init(key: Key, hyper: Hyper) -> Params:
            return eqx.filter(build(key, **options), eqx.is_inexact_array)

        def apply(params: Params, inputs: Array, key: Key | None, hyper: Hyper) -> Array:
            module = eqx.combine(params, structure)
            takes_key = "key" in inspect.signature(module.__call__).parameters
            if key is None or not takes_key:
                inference = eqx.nn.inference_mode(module, value=key is None)
                return jax.vmap(inference)(inputs)
            keys = jax.random.split(key, len(inputs))
            return jax.vmap(lambda x, k: module(x, key=k))(inputs, keys)

        return Model(init, apply)

    def _is_parameter(leaf: Any) -> bool:
        return isinstance(leaf, jax.ShapeDtypeStruct) and jax.numpy.issubdtype(
            leaf.dtype, jax.numpy.inexact
        )

    factory.__signature__ = _options_signature(build)  # type: ignore[attr-defined]
    factory.__wrapped_build__ = build  # type: ignore[attr-defined]
    return factory


def _options_signature(build: Callable[..., Any]) -> inspect.Signature:
    """(input_shape, n_outputs, *, options of build): what the study may set."""
    _, *options = inspect.signature(build).parameters.values()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    leading = [inspect.Parameter(name, kind) for name in ("input_shape", "n_outputs")]
    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in options]
    return inspect.Signature(leading + keyword_only)
