"""A model and an optimizer: small tuples of pure functions for one trial; and what makes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial, update_wrapper
from inspect import Signature
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

import optax

from gridscape.base.limits import Limit
from gridscape.base.types import Array, Hyper, Key, Params

P = ParamSpec("P")
T = TypeVar("T")


class Dense(NamedTuple):
    """Nothing but dense layers, which native code may train as one; ``apply`` is what they do.

    names: of the layers among the parameters, from the inputs to the outputs, each with a kernel
    (fan_in, fan_out) and perhaps a bias. activations: behind each, by their names in the kernels.
    flattens: whether inputs of several dimensions are flattened first.
    """

    names: tuple[str, ...]
    activations: tuple[str, ...]
    apply: Callable[..., Array]
    flattens: bool = False


class Recurrent(NamedTuple):
    """A recurrent layer and a linear one behind it, which native code may train as one.

    cell: by its name in the kernels. weights: of each of its weights the names of the parameters
    that are added up to it. output: of the linear layer's kernel and bias. every: it answers at
    every step. forget: the number that is added in the forget gate, by its name, or "". ``apply``
    is what they do.
    """

    cell: str
    weights: tuple[tuple[str, ...], ...]
    output: tuple[str, str]
    every: bool
    forget: str
    apply: Callable[..., Array]


class Model(NamedTuple):
    """A network, as two pure functions.

    ``init(key, hyper)`` returns the parameters, a pytree of arrays.
    ``apply(params, inputs, key, hyper)`` maps inputs (B, *input_shape) to outputs (B, C), or to
    (B, T, C) where the task asks for an answer at every step; ``key`` is None when the model is
    evaluated (no dropout then).
    ``hyperparameters`` names the traced numbers that the two read, with their defaults, and
    ``limits`` what some of them may be; a factory of models declares both with the decorator
    ``hyperparameters`` instead.
    ``layers`` of a feed-forward network are the steps of ``apply``, into which inspection looks,
    and nothing else: training and evaluation call ``apply``. Inspection refuses layers that do not
    lead to what ``apply`` gives, such as those that are left where only ``apply`` was replaced.
    ``training`` of a model with state, as running statistics, is what training calls instead of
    ``apply``, and gives (outputs, state). The parameters are a dict then, whose ``state`` is
    neither differentiated nor optimized, but what ``training`` has given last; ``apply`` reads it.
    ``check_inputs`` of a model that cannot read every number raises ModelError for the least and
    the largest inputs of a task, (2, *input_shape).
    ``dense`` says of what layers ``apply`` is made, where native code may train them as one, or
    ``recurrent`` does; they serve only that very function.
    """

    init: Callable[[Key, Hyper], Params]
    apply: Callable[[Params, Array, Key | None, Hyper], Array]
    hyperparameters: Mapping[str, float] = {}
    limits: Mapping[str, Limit] = {}
    layers: tuple[Any, ...] = ()
    training: Callable[[Params, Array, Key | None, Hyper], tuple[Array, Any]] | None = None
    check_inputs: Callable[[Any], None] | None = None
    dense: Dense | None = None
    recurrent: Recurrent | None = None

    @property
    def native_layers(self) -> Dense | Recurrent | None:
        """The layers of the last two; None where ``apply`` is not what they stand for."""
        both = self.dense, self.recurrent
        return next((layers for layers in both if layers and layers.apply is self.apply), None)


Make = Callable[[Hyper], optax.GradientTransformation]


class Native(NamedTuple):
    """A step in native code: ``rule`` is its name in the kernels, ``make`` whose step it does."""

    rule: str
    make: Make


class Optimizer(NamedTuple):
    """An update rule whose numbers may be traced.

    ``make(hyper)`` returns an optax transformation; ``hyperparameters`` names the numbers that it
    reads, with their defaults, and ``limits`` what some of them may be. ``native`` is a step in
    native code that does the same as ``make``; it serves only that very function.
    ``schedule(hyper, update)`` multiplies each update of the rule, counted from 0. ``clips``: the
    rule reads gradients no longer than the number ``clip_norm``. ``smooths``, ``noisy``,
    ``averages``: the labels are smoothed, the gradients noisy, the parameters averaged; the numbers
    are those of ``optimizers/extras.py``.
    """

    make: Make
    hyperparameters: Mapping[str, float]
    limits: Mapping[str, Limit] = {}
    native: Native | None = None
    schedule: Callable[[Hyper, Array], Array] | None = None
    clips: bool = False
    smooths: bool = False
    noisy: bool = False
    averages: bool = False

    @property
    def native_rule(self) -> str | None:
        """The name of the native step; None where ``make`` is not the one that it stands for."""
        return self.native.rule if self.native and self.native.make is self.make else None


@dataclass(eq=False)
class Factory(Generic[P, T]):
    """A function that makes a task or a model, with what it declares; it is called like it.

    hyperparameters: the traced numbers of its models, with their defaults. limits: what some of
    these numbers, and of its options, may be. reads: the data set that its tasks read. signature:
    instead of the function's own. code: what tells it apart in keys, where that is not ``make``.
    """

    make: Callable[P, T]
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, Limit] = field(default_factory=dict)
    reads: str | None = None
    signature: Signature | None = None
    code: Callable[..., Any] | None = None

    __signature__: Signature = field(init=False, repr=False)

    def __post_init__(self) -> None:
        update_wrapper(self, self.make, updated=())
        if self.signature is not None:
            self.__signature__ = self.signature

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function makes."""
        return self.make(*args, **kwargs)


def declared(factory: Any) -> Factory[..., Any]:
    """What a factory declares, also where functools.partial or functools.wraps is around it."""
    inner = factory
    while inner is not None and not isinstance(inner, Factory):
        if isinstance(getattr(inner, "hyperparameters", None), Mapping):
            return Factory(factory, inner.hyperparameters, getattr(inner, "limits", {}))
        inner = inner.func if isinstance(inner, partial) else getattr(inner, "__wrapped__", None)
    return Factory(factory) if inner is None else inner


def hyperparameters(
    limits: Mapping[str, Limit] | None = None, /, **defaults: float
) -> Callable[[Callable[P, T]], Factory[P, T]]:
    """Declare the traced numbers that the models of a factory read, with their defaults.

    limits: what some of them, or of the options of the factory, may be, as in {"keep": Limit(gt=0,
        le=1)}; a study with another value is refused before anything trains.
    """
    return lambda factory: _declare(factory, hyperparameters=defaults, limits=limits or {})


def reads(data_set: str) -> Callable[[Callable[P, T]], Factory[P, T]]:
    """Declare the data set that a factory of tasks reads, so that it is known whether it is here.

    data_set: a name that ``gridscape data`` lists.
    """
    return lambda factory: _declare(factory, reads=data_set)


def _declare(factory: Callable[P, T], **declared: Any) -> Factory[P, T]:
    if isinstance(factory, Factory):
        return replace(factory, **declared)
    return Factory(factory, **declared)
