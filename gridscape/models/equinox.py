"""Models that users bring: an Equinox module."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import jaxpr_as_fun

from gridscape.base.parts import Factory, Model
from gridscape.base.state import STATE
from gridscape.base.types import Array, Hyper, Key, Params
from gridscape.errors import GridscapeError, ModelError
from gridscape.models._guests import build_with, seeded_parameters, signature_of


def from_equinox(build: Callable[..., Any]) -> Callable[..., Model]:
    """A model factory from ``build(key, **options) -> equinox.Module``, or from a module's class.

    The module is written for one example, as Equinox modules are; it is mapped over the batch
    here. Where its ``__call__`` takes ``key``, training passes one per example; evaluation passes
    None and switches dropout off. ``build`` may also take ``input_shape`` and ``n_outputs`` of the
    task. Its other parameters become options of the model and so axes: static ones, since they
    shape the module. All float arrays of the module are trained; other arrays are constants, and
    the same in every replicate.

    A module with state, as BatchNorm has it, is called ``(x, state)`` and returns its output and
    the new state; ``build`` gives the module, or what ``eqx.nn.make_with_state`` makes of it. Its
    batch axis has the name that its norms give, else "batch".

    Raises GridscapeError when Equinox is not installed, UsageError for a ``build`` without ``key``;
    the factory raises ModelError for what is no module, and for state that is not passed on.

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

    parameters = seeded_parameters(build, "key", "an Equinox module")

    def factory(input_shape: tuple[int, ...], n_outputs: int, **options: Any) -> Model:
        def module(key: Key) -> Any:
            given = {"key": key, "input_shape": input_shape, "n_outputs": n_outputs}
            return build_with(build, parameters, given, options)

        found = eqx.filter_eval_shape(module, jax.random.key(0))
        if _keeps_state(eqx, found):
            return stateful(eqx, module)
        _check_callable(found)

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

        return Model(init, apply)

    return Factory(factory, signature=signature_of(parameters, "key"), code=build)


def stateful(eqx: Any, module: Callable[[Key], Any]) -> Model:
    """The model of a module with state, which ``module(key)`` makes with or without it.

    Its parameters are {"module": ..., "state": the arrays of the state in its order}.
    """

    def made(key: Key) -> tuple[Any, Any]:
        found = module(key)
        return found if isinstance(found, tuple) else eqx.nn.make_with_state(lambda: found)()

    def traced(params: Params, inputs: Array, key: Key | None) -> tuple[Array, Any]:
        built, of_start = made(jax.random.key(0))
        full = eqx.combine(params["module"], eqx.filter(built, eqx.is_inexact_array, inverse=True))
        state = jax.tree.unflatten(jax.tree.structure(of_start), params[STATE])
        if key is None:
            full = eqx.nn.inference_mode(full)
        takes_key = "key" in inspect.signature(full.__call__).parameters

        def one(x: Any, state: Any, key: Any) -> Any:
            return full(x, state=state, **{"key": key} if takes_key else {})

        keys = None if key is None else jax.random.split(key, len(inputs))
        axes = 0, None, None if key is None else 0
        mapped = jax.vmap(one, in_axes=axes, out_axes=(0, None), axis_name=_batch_axis(eqx, built))
        outputs, moved = mapped(inputs, state, keys)
        return outputs, tuple(jax.tree.leaves(moved))

    def called(params: Params, inputs: Array, key: Key | None, hyper: Hyper) -> tuple[Array, Any]:
        return _apart(traced, params, inputs, key)

    def init(key: Key, hyper: Hyper) -> Params:
        built, state = made(key)
        leaves = tuple(jax.tree.leaves(state))
        return {"module": eqx.filter(built, eqx.is_inexact_array), STATE: leaves}

    def apply(params: Params, inputs: Array, key: Key | None, hyper: Hyper) -> Array:
        return called(params, inputs, key, hyper)[0]

    built, _ = eqx.filter_eval_shape(made, jax.random.key(0))
    _check_callable(built)
    if "state" not in inspect.signature(built.__call__).parameters:
        raise ModelError(
            "an Equinox module whose state is not passed on",
            where=type(built).__name__,
            expected="__call__(x, state), which returns its output and the new state",
        )
    _batch_axis(eqx, built)
    return Model(init, apply, training=called)


def _apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """function(*arguments), traced as if no devices were spread over.

    Equinox compares a new state with the old one by all that JAX knows of both, also how they are
    spread, of which a constant knows nothing.
    """
    leaves, tree = jax.tree.flatten(arguments)
    shapes = [jax.ShapeDtypeStruct(jax.numpy.shape(x), x.dtype) for x in leaves]
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())):
        trace = jax.make_jaxpr(lambda *x: function(*jax.tree.unflatten(tree, x)), return_shape=True)
        jaxpr, found = trace(*shapes)
    # What is constant comes as Python's own, as the flag of a BatchNorm's first batch.
    given = map(jax.numpy.asarray, jaxpr_as_fun(jaxpr)(*leaves))
    return jax.tree.unflatten(jax.tree.structure(found), given)


def _check_callable(module: Any) -> None:
    """Raise ModelError for what is no module."""
    if not callable(module):
        raise ModelError(
            "build makes no Equinox module",
            expected="a module with __call__",
            found=type(module).__name__,
        )


def _keeps_state(eqx: Any, made: Any) -> bool:
    """Whether a module keeps state between calls, or is given with its state."""
    if isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], eqx.nn.State):
        return True
    leaves = jax.tree.leaves(made, is_leaf=lambda x: isinstance(x, eqx.nn.StateIndex))
    return any(isinstance(leaf, eqx.nn.StateIndex) for leaf in leaves)


def _batch_axis(eqx: Any, module: Any) -> Any:
    """The name of the axis over which norms take their statistics."""

    def is_norm(part: Any) -> bool:
        return isinstance(part, eqx.nn.BatchNorm)

    names: set[Any] = set()
    for norm in filter(is_norm, jax.tree.leaves(module, is_leaf=is_norm)):
        name = norm.axis_name
        names |= set(name) if isinstance(name, tuple | list) else {name}
    if len(names) > 1:
        raise ModelError(
            "norms over several axes",
            where=type(module).__name__,
            expected="one axis_name, that of the batch",
            found=", ".join(sorted(map(repr, names))),
        )
    return next(iter(names), "batch")
