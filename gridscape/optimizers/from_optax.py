"""Every rule of optax by name: "optax:lion", "optax:contrib.adopt".

The numbers of a rule are those of its signature that may be traced; with ``learning_rate`` and
``l2`` they may be axes, and new values compile nothing.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from gridscape.base.foreign import of_others
from gridscape.base.limits import Limit
from gridscape.base.parts import Optimizer
from gridscape.base.types import Hyper
from gridscape.errors import UnknownNameError, UsageError, one_line, short
from gridscape.grid.names import OPTAX
from gridscape.kernels.cores import require_addresses
from gridscape.optimizers.rules import LIMITS, penalized

LEARNING_RATE = 1e-3  # where optax asks for one without a default
OWN = "make such a rule in a module of your own and name it 'module:object'"
BETA = Limit(ge=0, lt=1)
WITHIN = {name: LIMITS[name] for name in ("learning_rate", "weight_decay", "l2")}
WITHIN |= dict.fromkeys(("b1", "b2", "b3"), BETA)


def names() -> list[str]:
    """The rules of optax that a study may name."""
    spaces = {"": optax, "contrib.": optax.contrib}
    return sorted(
        f"{OPTAX}{space}{name}"
        for space, module in spaces.items()
        for name, found in vars(module).items()
        if _is_rule(name, found)
    )


def of_optax(name: str, where: object = None) -> Optimizer:
    """A rule of optax, made once, so that all that name it share their programs.

    Raises UnknownNameError; UsageError for a rule that needs more than gradients, such as the value
    of the loss.

    >>> of_optax("optax:lion").hyperparameters
    {'learning_rate': 0.001, 'b1': 0.9, 'b2': 0.99, 'weight_decay': 0.001, 'l2': 0.0}
    """
    known = names()
    if name not in known:
        raise UnknownNameError("optimizer", name, known, where=where)
    try:
        return _made(name)
    except UsageError as error:
        error.where = where
        raise


@cache
def _made(name: str) -> Optimizer:
    rule = attrgetter(name.removeprefix(OPTAX))(optax)
    if why := _why_not(name, rule):
        raise UsageError(f"{name} cannot be used: {why}", hint=OWN)
    numbers = dict(_numbers(rule))
    require_addresses()  # trying it starts JAX
    _try(name, rule, numbers, {})
    traced = {k: v for k, v in numbers.items() if _may_be_traced(name, rule, numbers, k)}

    def of_hyper(hyper: Hyper) -> optax.GradientTransformation:
        return rule(**{**numbers, **{k: hyper[k] for k in traced}})

    found = {**traced, "l2": 0.0}
    return Optimizer(penalized(name, of_hyper), found, {k: WITHIN[k] for k in found if k in WITHIN})


def _is_rule(name: str, found: Any) -> bool:
    if name.startswith(("_", "scale_by")) or not inspect.isfunction(found):
        return False
    try:
        return "learning_rate" in inspect.signature(found).parameters
    except (TypeError, ValueError):
        return False


def _why_not(name: str, rule: Callable[..., Any]) -> str:
    """Why a rule that takes a step would not do what is expected of it; "" where it does."""
    if {"key", "seed"} & set(inspect.signature(rule).parameters):
        return "it draws random numbers, which would be the same in all replicates"
    if "schedule_free" in name:
        return "it evaluates other parameters than those that it trains"
    return ""


def _numbers(rule: Callable[..., Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a signature with their defaults; whole ones are sizes, and stay so."""
    for name, parameter in inspect.signature(rule).parameters.items():
        if name == "learning_rate":
            unscaled = parameter.default is None  # of adadelta and adafactor: updates as they are
            given = 1.0 if unscaled else parameter.default
            yield name, given if isinstance(given, float) else LEARNING_RATE
        elif isinstance(parameter.default, float):
            yield name, parameter.default


def _may_be_traced(
    name: str, rule: Callable[..., Any], numbers: Mapping[str, float], one: str
) -> bool:
    """Whether a rule takes a number that is known only when its program runs."""
    try:
        _try(name, rule, numbers, {one: numbers[one]})
    except UsageError:
        return False
    return True


def _try(
    name: str,
    rule: Callable[..., Any],
    numbers: Mapping[str, float],
    traced: Mapping[str, float],
) -> None:
    """One step by shapes alone; raises UsageError where there is none by a gradient alone."""
    params = {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}

    def step(traced: Mapping[str, Any]) -> Any:
        made = rule(**{**numbers, **traced})
        return made.update(params, made.init(params), params)

    try:
        with of_others():
            jax.eval_shape(step, dict(traced))
    except Exception as error:  # a rule may fail as it likes
        raise UsageError(
            f"{name} cannot be used: it needs more than gradients, or options without a default",
            found=short(one_line(error)),
            hint=OWN,
        ) from error
