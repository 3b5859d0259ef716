"""What a study names or holds: its task, its optimizers, its loss, its model.

Each is an object, a name of Gridscape's own or an import string.

Traced numbers and options are declared by these parts, so it is here that unknown ones are found.
"""

import importlib
import inspect
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import cache, reduce, wraps
from operator import attrgetter
from pathlib import Path
from typing import Any

import optax

from gridscape import models, optimizers, tasks
from gridscape.base.classes import class_weights, recalls, weighted
from gridscape.base.data import Sequences
from gridscape.base.foreign import of_others
from gridscape.base.guessing import class_shares
from gridscape.base.metrics import Metric, cross_entropy, top_class
from gridscape.base.metrics import declared as declared_metric
from gridscape.base.parts import Factory as Declared
from gridscape.base.parts import Model, Optimizer, declared
from gridscape.base.per_step import over_steps
from gridscape.base.ranking import top
from gridscape.base.task import Task
from gridscape.errors import (
    GridscapeError,
    ModelError,
    UnknownNameError,
    UsageError,
    memory_errors,
    one_line,
)
from gridscape.grid.names import is_of_optax, of_torch
from gridscape.identity.code import code_identity
from gridscape.models.precision import products_in
from gridscape.models.torch import from_torch
from gridscape.models.torch_weights import installed
from gridscape.optimizers import extras, rules, schedules
from gridscape.optimizers.from_optax import of_optax
from gridscape.tasks import losses

Factory = Callable[..., Any]
Loss = Callable[[Any, Any], Any]
Smoothed = Callable[[Any, Any, Any], Any]
A_TASK = "a Task, or a function that makes one"
AN_OPTIMIZER = "an Optimizer, an optax transformation, or a function that makes an Optimizer"
A_FACTORY = (
    "a name, an import string, (init, apply) or a factory (input_shape, n_outputs, **options)"
)
A_MODEL_BY_NAME = (
    "(init, apply), a factory (input_shape, n_outputs, **options) or one annotated -> "
    "gridscape.Model"
)
MODULE_HINT = (
    "an Equinox module is brought by gridscape.from_equinox(build), a Flax module by"
    " gridscape.from_flax(build), a PyTorch module by gridscape.from_torch(build)"
)
MODULE = "build of a PyTorch module"  # the kind of what stands behind "torch:"


def load_object(kind: str, name: str, known: Mapping[str, str], where: object = None) -> Any:
    """The object behind a name of Gridscape's own, or behind an import string "module:object"."""
    if kind == "model" and (build := of_torch(name)) is not None:
        installed()  # told before a module that imports PyTorch fails
        return _from_torch(load_object(MODULE, build, {}, where))
    module_name, colon, attribute = known.get(name, name).partition(":")
    if not (colon and module_name and attribute):
        raise UnknownNameError(kind, name, known, where=where)
    try:
        with of_others():
            found = attrgetter(attribute)(importlib.import_module(module_name))
    except Exception as error:  # a user's module may raise anything
        missing = isinstance(error, ModuleNotFoundError)
        raise UsageError(
            f"cannot import the {kind} {name!r}",
            where=where,
            found=one_line(error),
            hint="is its folder on PYTHONPATH?" if missing else None,
        ) from error
    if name not in known and not DECLARED[kind](found):
        raise UsageError(
            f"not {'an' if kind[0] in 'aeiou' else 'a'} {kind}",
            where=where,
            expected=DECLARATIONS[kind],
            found=f"{name!r}, {type(found).__name__}",
        )
    return found


@cache
def _from_torch(build: Any) -> Factory:
    """The same factory for the same build, so that it is read and compiled once."""
    return from_torch(build)


# ---- what an import string may name: looked at before anything is called ----


def _makes(found: Any, kind: type) -> bool:
    """Whether a function or class says of itself that it makes a Task, a Model, an Optimizer."""
    if isinstance(found, type):
        return issubclass(found, kind)
    try:
        made = inspect.signature(found, eval_str=True).return_annotation
    except Exception:  # no function, or annotations that name what is not there
        return False
    return isinstance(made, type) and issubclass(made, kind)


def _takes(found: Any) -> tuple[str, ...]:
    """The names of what a function takes; none where it cannot be told."""
    if not callable(found):
        return ()
    for called in (found, found.__call__):  # the latter of objects with an odd ``__eq__``
        try:
            return tuple(inspect.signature(called).parameters)
        except (TypeError, ValueError):
            continue
    return ()


def _is_pair(found: Any) -> bool:
    is_pair = isinstance(found, Model) or (isinstance(found, tuple) and 2 <= len(found) <= 3)
    return is_pair and all(map(callable, found[:2]))


# A study names an object of any module. It is called only if it declares what it is, which no
# function does by chance: "os:system" is no task, whatever its options.
DECLARED: Mapping[str, Callable[[Any], bool]] = {
    "task": lambda found: isinstance(found, Task) or _makes(found, Task),
    "optimizer": lambda found: (
        isinstance(found, Optimizer | optax.GradientTransformation) or _makes(found, Optimizer)
    ),
    "model": lambda found: (
        _is_pair(found)
        or _takes(found)[:2] == ("input_shape", "n_outputs")
        or _makes(found, Model)
        or bool(declared(found).hyperparameters)
    ),
    "loss": lambda found: _takes(found)[1:2] in (("targets",), ("labels",)),
    "metric": lambda found: (
        isinstance(found, Metric) or _takes(found)[1:2] in (("targets",), ("labels",))
    ),
    MODULE: lambda found: _makes(found, installed().nn.Module),
}
DECLARATIONS = {
    "task": "a Task, or a function annotated -> gridscape.Task",
    "optimizer": "an Optimizer, an optax transformation, or a function annotated -> "
    "gridscape.Optimizer",
    "model": A_MODEL_BY_NAME,
    "loss": "a function (outputs, targets)",
    "metric": "a Metric, or a function (outputs, targets)",
    MODULE: "a module class, or a function annotated -> torch.nn.Module",
}


def _made(kind: str, where: object, factory: Factory, **options: Any) -> Any:
    """What a factory makes; raises UsageError for errors that are not Gridscape's own.

    Raises OutOfMemoryError where memory does not suffice.
    """
    try:
        with memory_errors(where), of_others():
            return factory(**options)
    except GridscapeError:
        raise
    except Exception as error:  # a user's function may raise anything
        what = f"the {kind} cannot be made"
        raise UsageError(what, where=where, found=one_line(error)) from error


# ---- tasks ----


def task_options(task: Any) -> dict[str, inspect.Parameter]:
    """The options that a task's factory takes; raises UsageError."""
    factory = _task_or_factory(task)
    if isinstance(factory, Task):
        return {}
    options = _parameters(factory, "task", A_TASK)
    return {p.name: p for p in options if p.name != "data_dir"}


def data_set_of(task: Any) -> str | None:
    """The data set that a task's factory declares to read; raises UsageError."""
    factory = _task_or_factory(task)
    return None if isinstance(factory, Task) else declared(factory).reads


def _task_or_factory(task: Any) -> Any:
    return load_object("task", task, tasks.NAMES, where="task") if isinstance(task, str) else task


def in_layout_of(other: object, task: object) -> object:
    """The task "digits" as its layout that stands in for another task of images; any other as is.

    >>> [in_layout_of(name, "digits") for name in ("mnist-rows", "mnist-flat", "cifar10")]
    ['digits-rows', 'digits-flat', 'digits-image']
    >>> in_layout_of("recall", "digits"), in_layout_of("mnist-flat", "digits-rows")
    ('digits', 'digits-rows')
    """
    if not (isinstance(task, str) and task == "digits") or other == "digits":
        return task
    if not tasks.NAMES.get(str(other), "").startswith("gridscape.tasks.images:"):
        return task
    layout = next((end for end in ("rows", "flat") if str(other).endswith(f"-{end}")), "image")
    return f"digits-{layout}"


def load_task(task: Any, options: Mapping[str, Any], data_dir: str | Path | None) -> Task:
    """The task itself, or the one that its factory makes."""
    made = factory = _task_or_factory(task)
    if not isinstance(factory, Task):
        takes_folder = "data_dir" in inspect.signature(factory).parameters
        folder = {"data_dir": data_dir} if takes_folder else {}
        made = _made("task", "task", factory, **options, **folder)
    if not isinstance(made, Task):
        where = task if isinstance(task, str) else "task"
        raise UsageError("not a task", where=where, expected="a Task", found=type(made).__name__)
    return made


# ---- optimizers ----


def load_optimizer(optimizer: Any, where: object = "optimizer") -> Optimizer:
    """An Optimizer itself, an optax transformation as one, or what a function makes."""
    made = _optimizer_or_factory(optimizer, where)
    if callable(made) and not isinstance(made, tuple):
        made = _made("optimizer", where, made)
    if isinstance(made, optax.GradientTransformation):
        made = rules.fixed(made)
    if not isinstance(made, Optimizer):
        raise UsageError(
            "not an optimizer", where=where, expected=AN_OPTIMIZER, found=type(made).__name__
        )
    for extra in extras.EXTRAS:
        lacking = sorted({*extra.numbers} - {*made.hyperparameters})
        if getattr(made, extra.flag) and lacking:
            expected = f"hyperparameter {lacking[0]}"
            raise UsageError(f"{extra.flag} without a number", where=where, expected=expected)
    if made.native and made.native_rule is None:
        message = (
            "an optimizer with another make than its native step was written for is trained without"
            " that step, which is slower; native=None says that this is meant"
        )
        warnings.warn(message, stacklevel=2)
    return made


def with_training(
    optimizer: Optimizer, schedule: str | None, further: Iterable[extras.Extra]
) -> Optimizer:
    """The optimizer with the schedule of a study, and with clipping and what else it asks for.

    An optimizer that reads a clip_norm of its own clips by itself. Raises UsageError for one that
    has a schedule of its own, or numbers of the names that the schedule reads.
    """
    if schedule is not None:
        numbers = schedules.SCHEDULES[schedule].numbers
        if own := sorted(set(numbers) & set(optimizer.hyperparameters)):
            found = ", ".join(own)
            raise UsageError(
                "the optimizer reads such numbers itself", where="schedule", found=found
            )
        if optimizer.schedule is not None:
            raise UsageError("the optimizer has a schedule of its own", where="schedule")
        optimizer = schedules.scheduled(optimizer, schedule)
    return reduce(extras.extended, further, optimizer)


def extras_of(names: Collection[str], factory: Factory) -> tuple[extras.Extra, ...]:
    """What these numbers of a study add to a rule; the model reads none of them as its own."""
    return extras.named(names, {*declared(factory).hyperparameters, *model_options(factory)})


def _optimizer_or_factory(optimizer: Any, where: object = None) -> Any:
    if is_of_optax(optimizer):
        return of_optax(optimizer, where)
    if isinstance(optimizer, str):
        return load_object("optimizer", optimizer, optimizers.NAMES, where)
    return optimizer


# ---- losses ----


def load_loss(loss: Any, task: Task, where: object = "loss") -> Loss:
    """A loss itself, or by name or import string; the task's own where there is None."""
    if loss is None:
        return task.loss
    found = load_object("loss", loss, losses.NAMES, where) if isinstance(loss, str) else loss
    if not callable(found):
        expected = "a function (outputs, targets) -> (B,)"
        raise UsageError("not a loss", where=where, expected=expected, found=type(found).__name__)
    if isinstance(loss, str) and loss in OF_ONE_ANSWER and _answers_each_step(task):
        return over_steps(found)
    return found


# Losses of (B, C), which of sequences with a target for each step are taken step by step.
OF_ONE_ANSWER = ("cross_entropy", "squared_error", "mse", "mae", "huber")


def _answers_each_step(task: Task) -> bool:
    return isinstance(task.test.targets, Sequences)


def weights_of(given: Any, task: Task) -> tuple[float, ...] | None:
    """The weight of each class of a task in the loss; None where a study gives none.

    Raises UsageError for a task without classes, and for weights that do not fit them.
    """
    if given is None:
        return None
    shares = class_shares(task, task.train_examples)
    if shares is None:
        raise UsageError(f"task {task.name} has no classes", where="class_weights", found=given)
    return class_weights(given, shares, task.class_names)


def in_weights(loss: Loss, weights: tuple[float, ...] | None) -> Loss:
    """A loss with weights of classes; raises UsageError for another one than cross-entropy."""
    if weights is None:
        return loss
    if loss is not cross_entropy:
        found, expected = getattr(loss, "__name__", "another"), "the loss cross_entropy"
        raise UsageError("of no meaning", where="class_weights", expected=expected, found=found)
    return weighted(weights)


def smoothing_of(loss: Any, task: Task, weights: tuple[float, ...] | None) -> Smoothed:
    """The loss of smoothed labels; raises UsageError for another one than cross-entropy.

    loss: as ``load_loss`` takes it.
    """
    found = load_loss(loss, task)
    if found is cross_entropy:
        return extras.smoothed(in_weights(found, weights), weights)
    if found is over_steps(cross_entropy) and weights is None:
        return extras.smoothed_over_steps(weights)
    name, expected = getattr(found, "__name__", "another"), "the loss cross_entropy"
    raise UsageError("of no meaning", where="label_smoothing", expected=expected, found=name)


# ---- metrics ----

METRICS = {  # that any task of classes may measure
    "accuracy": "gridscape.base.metrics:accuracy",
    "balanced_accuracy": "gridscape.base.classes:balanced_accuracy",
    "macro_f1": "gridscape.base.classes:macro_f1",
    "f1": "gridscape.base.classes:f1",
    "auc": "gridscape.base.ranking:auc",
    "perplexity": "gridscape.base.ranking:perplexity",
}
OF_CLASSES = ("f1", "auc", "perplexity")
OF_WHOLE_EXAMPLES = ("f1", "auc")
TOP = re.compile(r"top_([1-9]\d*)")  # top_5: whether the class is among the 5 largest outputs
RECALL = "recall"  # that of every class


def with_metrics(task: Task, metrics: Mapping[str, Any] | None) -> Task:
    """The task with other metrics; its fingerprint stays, as with another loss.

    Raises UsageError for a name that neither the task nor Gridscape has.
    """
    if metrics is None:
        return task
    found: dict[str, Any] = {}
    for name, part in metrics.items():
        where = f"metrics.{name}"
        if part == RECALL and part not in task.measured:
            found |= _recalls(task, where)
        else:
            found[name] = _metric(part, task, where)
    return replace(task, metrics=found, fingerprint=str(task.fingerprint))


def _metric(part: Any, task: Task, where: str) -> Any:
    if not isinstance(part, str):
        return part
    if part in task.measured:
        return task.measured[part]
    of_classes = {RECALL: "", **recalls(task.class_names)} if task.answer is top_class else {}
    if part in of_classes:
        return of_classes[part]
    ranked = TOP.fullmatch(part)
    if ranked or part in OF_CLASSES:
        _require_classes(part, task, where)
    if ranked:
        return _top(int(ranked[1]), task, where)
    if part == "f1" and task.n_outputs != 2:
        found, hint = f"{task.n_outputs} of task {task.name}", "macro_f1 is the mean over classes"
        raise UsageError("not of two classes", where=where, found=found, hint=hint)
    known = {**METRICS, **dict.fromkeys((*task.measured, *of_classes, "top_5"), "")}
    found = load_object("metric", part, known, where)
    return declared_metric(part, found) if part in METRICS else found


def _require_classes(part: str, task: Task, where: str) -> None:
    """Raise UsageError for a task without classes, or with one at each step of a sequence."""
    if task.answer is None or task.numbers:
        raise UsageError(f"task {task.name} has no classes", where=where, found=part)
    if task.per_step and part in OF_WHOLE_EXAMPLES:
        found = f"{part} of task {task.name}"
        raise UsageError("not for answers at every step", where=where, found=found)


def _top(k: int, task: Task, where: str) -> Metric:
    """Top-k accuracy, of answers at each step its mean over the steps; raises UsageError."""
    if k >= task.n_outputs:
        expected, found = f"less than the {task.n_outputs} classes of task {task.name}", f"top_{k}"
        raise UsageError("always right", where=where, expected=expected, found=found)
    metric = top(k)
    of_steps = _answers_each_step(task)
    return replace(metric, function=over_steps(metric.function)) if of_steps else metric


def _recalls(task: Task, where: str) -> dict[str, Metric]:
    """The recall of every class; raises UsageError for a task without classes."""
    if task.answer is not top_class or task.per_step:
        raise UsageError(f"task {task.name} has no classes", where=where, found=RECALL)
    return recalls(task.class_names)


def metric_identities(metrics: Mapping[str, Any]) -> dict[str, str]:
    """By name, a text that tells a metric apart in keys: what it means is no part of it."""
    return {
        name: f"{part} {_code_of(load_object('metric', part, {}))}"
        if isinstance(part, str) and ":" in part
        else recorded(part)
        for name, part in metrics.items()
    }


def recorded(metric: Any) -> str:
    """A metric as a text for study.json: its name or import string, else a hash of its code."""
    return metric if isinstance(metric, str) else _code_of(metric)


# ---- models ----


def model_factory(model: Any) -> Factory:
    """A factory (input_shape, n_outputs, **options) -> Model from all that a user may bring.

    That is a name, an import string, a Model, a pair (init, apply) with the signatures of Model,
    or such a factory. Raises UsageError for anything else.
    """
    if isinstance(model, str):
        return model_factory(load_object("model", model, models.NAMES, where="model"))
    if _is_pair(model):
        pair = Model(*model)

        def fixed(input_shape: tuple[int, ...], n_outputs: int) -> Model:
            return pair

        return Declared(fixed, pair.hyperparameters, pair.limits)
    if callable(model):
        return model
    raise UsageError("not a model", where="model", expected=A_FACTORY, found=type(model).__name__)


def model_options(factory: Factory) -> dict[str, inspect.Parameter]:
    """The options that a model's factory takes after input_shape and n_outputs."""
    parameters = _parameters(factory, "model", A_FACTORY)
    if hasattr(factory, "forward"):  # a module of PyTorch's or its class
        found = f"a PyTorch module, {getattr(factory, '__name__', type(factory).__name__)}"
        raise UsageError("not a model", where="model", found=found, hint=MODULE_HINT)
    if len(parameters) < 2 or parameters[1].kind is inspect.Parameter.KEYWORD_ONLY:
        raise UsageError(
            "not a model",
            where="model",
            expected=A_FACTORY,
            found=f"a function of ({', '.join(p.name for p in parameters)})",
            hint=MODULE_HINT,
        )
    return {p.name: p for p in parameters[2:]}


def make_model(factory: Factory, task: Task, options: Mapping[str, Any]) -> Model:
    """The model of a factory for a task; raises ModelError where it makes none."""
    try:
        with of_others():
            made = factory(task.input_shape, task.n_outputs, **options)
    except GridscapeError:
        raise
    except Exception as error:  # a user's factory may raise anything
        raise ModelError(
            "the model cannot be made", where=f"task {task.name}", found=one_line(error)
        ) from error
    if _is_pair(made):
        return Model(*made)
    raise ModelError(
        "the factory makes no model",
        expected="a Model or (init, apply)",
        found=type(made).__name__,
        hint=MODULE_HINT,
    )


def in_precision(model: Model, precision: str) -> Model:
    """The model with the products of its layers in a precision, those of inspection too."""
    if precision == "float32":
        return model

    def within(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def apply(*arguments: Any) -> Any:
            with products_in(precision):
                return function(*arguments)

        return apply

    layers = tuple(x._replace(apply=within(x.apply)) for x in model.layers)
    training = model.training and within(model.training)
    return model._replace(apply=within(model.apply), layers=layers, training=training)


def part_identity(kind: str, part: Any, known: Mapping[str, str]) -> str:
    """A text that tells parts apart in keys: a name of Gridscape's own, or a hash of the code."""
    if not isinstance(part, str):
        return _code_of(part)
    if kind == "optimizer" and is_of_optax(part):
        return f"{part} {optax.__version__}"
    if part in known:
        return part
    return f"{part} {_code_of(load_object(kind, part, known))}"


def _code_of(found: Any) -> str:
    if isinstance(found, optax.GradientTransformation):
        found = rules.fixed(found)
    if isinstance(found, Metric):
        makers = [f for f in (found.of_mean, found.of_set) if f is not None]
        return " ".join(map(code_identity, (found.function, *makers)))
    if not isinstance(found, Optimizer):
        return code_identity(found)
    schedule = [code_identity(found.schedule)] if found.schedule else []
    return " ".join([code_identity(found.make), *schedule, *extras.flags(found)])


def model_identity(model: Any) -> str:
    """A text that tells models apart in keys: a name, or a name with a hash of the code."""
    if isinstance(model, str):
        if model in models.NAMES:
            return model
        return f"{model} {model_identity(load_object('model', model, models.NAMES))}"
    parts = model[:2] if isinstance(model, tuple) else (model,)
    if isinstance(model, Model) and model.training is not None:
        parts = (*parts, model.training)
    return " ".join(code_identity(_told_by(part)) for part in parts)


def _told_by(part: Any) -> Any:
    """The function whose code tells a part apart."""
    return part.code or part.make if isinstance(part, Declared) else part


# ---- whether the parts fit the task ----


def _parameters(factory: Any, key: str, expected: str) -> list[inspect.Parameter]:
    """What a factory takes by name; raises UsageError for what is no function."""
    try:
        found = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"not a {key}", where=key, expected=expected, found=type(factory).__name__
        ) from error
    return [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
