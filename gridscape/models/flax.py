"""Models that users bring: a Flax NNX module."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from gridscape.base.parts import Factory, Model
from gridscape.base.state import STATE
from gridscape.base.types import Array, Hyper, Key, Params
from gridscape.errors import GridscapeError, ModelError
from gridscape.models._guests import build_with, seeded_parameters, signature_of


def from_flax(build: Callable[..., Any]) -> Callable[..., Model]:
    """A model factory from ``build(rngs, **options) -> flax.nnx.Module``, or from a module's class.

    The module is called with a batch of inputs, (B, *input_shape). ``build`` may also take
    ``input_shape`` and ``n_outputs`` of the task. Its other parameters become options of the model
    and so axes: static ones, since they shape the module. Variables of the type ``nnx.Param`` are
    trained; all others but those of random numbers are state, as ``nnx.BatchStat``: training moves
    it. Training is ``module.train()`` with random numbers of the update, evaluation
    ``module.eval()``.

    Raises GridscapeError when Flax is not installed, UsageError for a ``build`` without ``rngs``;
    the factory raises ModelError for what is no NNX module.
    """
    try:
        from flax import nnx
    except ImportError as error:
        raise GridscapeError(
            "Flax is not installed", hint="pip install 'gridscape[flax]'"
        ) from error

    parameters = seeded_parameters(build, "rngs", "a Flax NNX module", _called(build))

    def factory(input_shape: tuple[int, ...], n_outputs: int, **options: Any) -> Model:
        def module(key: Key) -> Any:
            given = {"rngs": nnx.Rngs(key), "input_shape": input_shape, "n_outputs": n_outputs}
            return build_with(build, parameters, given, options)

        return _model(nnx, module)

    return Factory(factory, signature=signature_of(parameters, "rngs"), code=build)


def _model(nnx: Any, module: Callable[[Key], Any]) -> Model:
    """The model of a module, which is built again in every call and given its variables."""
    is_state = nnx.Not(nnx.Any(nnx.Param, nnx.RngState))

    def variables(made: Any, kind: Any) -> Any:
        return nnx.to_pure_dict(nnx.state(made, kind))

    def fill(made: Any, kind: Any, values: Any) -> None:
        state = nnx.state(made, kind)
        nnx.replace_by_pure_dict(state, values)
        nnx.update(made, state)

    def called(params: Params, inputs: Array, key: Key | None, hyper: Hyper) -> tuple[Array, Any]:
        made = module(jax.random.key(0))
        fill(made, nnx.Param, params["module"] if keeps_state else params)
        if keeps_state:
            fill(made, is_state, params[STATE])
        if key is None:
            made.eval()
        else:
            fill(made, nnx.RngKey, _drawn(key, variables(made, nnx.RngKey)))
            made.train()
        return made(inputs), variables(made, is_state)

    def init(key: Key, hyper: Hyper) -> Params:
        made = module(key)
        params = variables(made, nnx.Param)
        return {"module": params, STATE: variables(made, is_state)} if keeps_state else params

    def apply(params: Params, inputs: Array, key: Key | None, hyper: Hyper) -> Array:
        return called(params, inputs, key, hyper)[0]

    def state_of(key: Key) -> Any:
        return variables(_checked(nnx, module(key)), is_state)

    keeps_state = bool(jax.tree.leaves(jax.eval_shape(state_of, jax.random.key(0))))
    return Model(init, apply, training=called if keeps_state else None)


def _checked(nnx: Any, made: Any) -> Any:
    """A module; raises ModelError for anything else."""
    if isinstance(made, nnx.Module) and callable(made):
        return made
    raise ModelError(
        "build makes no Flax NNX module",
        expected="a flax.nnx.Module with __call__",
        found=type(made).__name__,
        hint="one of flax.linen goes by flax.nnx.bridge.ToNNX",
    )


def _drawn(key: Key, keys: Any) -> Any:
    """A key for each stream of random numbers, in place of those that the module has."""
    leaves, tree = jax.tree.flatten(keys)
    drawn = [jax.random.fold_in(key, number) for number in range(len(leaves))]
    pairs = zip(drawn, leaves, strict=True)
    shaped = [jax.random.split(one, old.shape) if old.shape else one for one, old in pairs]
    return jax.tree.unflatten(tree, shaped)


def _called(build: Callable[..., Any]) -> Callable[..., Any]:
    """What has the signature: that of an NNX class is its metaclass's."""
    if isinstance(build, type):
        return partial(build.__init__, None)  # type: ignore[misc]
    return build
