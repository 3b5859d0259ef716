"""What the names in a study stand for: its task, its optimizers, its model.

Traced numbers and options are declared by these parts, so it is here that unknown ones are found.
"""

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gridscape import losses, models, optimizers, tasks
from gridscape._abstract import batch_of, dimensions, given, lettered, prepared, told
from gridscape._checks import short
from gridscape._names import may_be_axis
from gridscape._precision import products_in
from gridscape._remember import remembered
from gridscape._settings import STUDY_AXES, check_values
from gridscape.base import Hyper, Model, Optimizer, Split, Stream, Task, code_identity
from gridscape.errors import (
    GridscapeError,
    ModelError,
    UnknownNameError,
    UsageError,
    one_line,
)
from gridscape.grid import same, show
from gridscape.models.feedforward import layers_of

Factory = Callable[..., Any]
DRAWN = 7  # examples of a batch that is drawn to see its shapes
Loss = Callable[[Any, Any], Any]
A_FACTORY = (
    "a name, an import string, (init, apply) or a factory (input_shape, n_outputs, **options)"
)
A_MODEL_BY_NAME = (
    "(init, apply), a factory (input_shape, n_outputs, **options) or one annotated -> "
    "gridscape.Model"
)
EQUINOX_HINT = "an Equinox module is brought by gridscape.from_equinox(build)"


def load_object(kind: str, name: str, known: Mapping[str, str], where: object = None) -> Any:
    """The object behind a name of Gridscape's own, or behind an import string "module:object"."""
    module_name, colon, attribute = known.get(name, name).partition(":")
    if not (colon and module_name and attribute):
        raise UnknownNameError(kind, name, known, where=where)
    try:
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
    try:
        return tuple(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        return ()


def _is_pair(found: Any) -> bool:
    return isinstance(found, tuple) and 2 <= len(found) <= 3 and all(map(callable, found[:2]))


# A study names an object of any module. It is called only if it declares what it is, which no
# function does by chance: "os:system" is no task, whatever its options.
DECLARED: Mapping[str, Callable[[Any], bool]] = {
    "task": lambda found: isinstance(found, Task) or _makes(found, Task),
    "optimizer": lambda found: isinstance(found, Optimizer) or _makes(found, Optimizer),
    "model": lambda found: (
        _is_pair(found)
        or _takes(found)[:2] == ("input_shape", "n_outputs")
        or _makes(found, Model)
        or isinstance(getattr(found, "hyperparameters", None), Mapping)
    ),
    "loss": lambda found: _takes(found)[1:2] in (("targets",), ("labels",)),
}
DECLARATIONS = {
    "task": "a Task, or a function annotated -> gridscape.Task",
    "optimizer": "an Optimizer, or a function annotated -> gridscape.Optimizer",
    "model": A_MODEL_BY_NAME,
    "loss": "a function (outputs, targets)",
}


# ---- tasks ----


def task_options(task: str | Task) -> dict[str, inspect.Parameter]:
    """The options that a named or imported task takes; raises UsageError."""
    if isinstance(task, Task):
        return {}
    factory = load_object("task", task, tasks.NAMES, where="task")
    if isinstance(factory, Task):
        return {}
    options = _parameters(factory, "task", "a function that makes a Task")
    return {p.name: p for p in options if p.name != "data_dir"}


def in_layout_of(other: object, task: object) -> object:
    """The task "digits" as its layout that stands in for another task of images; any other as is.

    >>> [in_layout_of(name, "digits") for name in ("mnist-rows", "mnist-flat", "cifar10")]
    ['digits-rows', 'digits-flat', 'digits-image']
    >>> in_layout_of("recall", "digits"), in_layout_of("mnist-flat", "digits-rows")
    ('digits', 'digits-rows')
    """
    if task != "digits" or other == "digits":
        return task
    if not tasks.NAMES.get(str(other), "").startswith("gridscape.tasks.images:"):
        return task
    layout = next((end for end in ("rows", "flat") if str(other).endswith(f"-{end}")), "image")
    return f"digits-{layout}"


def load_task(task: str | Task, options: Mapping[str, Any], data_dir: str | Path | None) -> Task:
    """The task itself, or the one that a named or imported factory makes."""
    if isinstance(task, Task):
        return task
    made = factory = load_object("task", task, tasks.NAMES, where="task")
    if not isinstance(factory, Task):
        takes_folder = "data_dir" in inspect.signature(factory).parameters
        made = factory(**options, **({"data_dir": data_dir} if takes_folder else {}))
    if not isinstance(made, Task):
        raise UsageError("not a task", where=task, expected="a Task", found=type(made).__name__)
    return made


# ---- optimizers ----


def load_optimizer(name: str, where: object = "optimizer") -> Optimizer:
    """An optimizer by name or import string: an Optimizer, or a function that makes one."""
    found = load_object("optimizer", name, optimizers.NAMES, where)
    made = found() if callable(found) and not isinstance(found, Optimizer) else found
    if not isinstance(made, Optimizer):
        raise UsageError(
            "not an optimizer", where=where, expected="an Optimizer", found=type(made).__name__
        )
    return made


# ---- losses ----


def load_loss(name: str | None, task: Task, where: object = "loss") -> Loss:
    """A loss by name or import string; without a name, the task's own."""
    if name is None:
        return task.loss
    found = load_object("loss", name, losses.NAMES, where)
    if not callable(found):
        expected = "a function (outputs, targets) -> (B,)"
        raise UsageError("not a loss", where=where, expected=expected, found=type(found).__name__)
    return found


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

        fixed.hyperparameters = pair.hyperparameters  # type: ignore[attr-defined]
        return fixed
    if callable(model):
        return model
    raise UsageError("not a model", where="model", expected=A_FACTORY, found=type(model).__name__)


def model_options(factory: Factory) -> dict[str, inspect.Parameter]:
    """The options that a model's factory takes after input_shape and n_outputs."""
    parameters = _parameters(factory, "model", A_FACTORY)
    if len(parameters) < 2 or parameters[1].kind is inspect.Parameter.KEYWORD_ONLY:
        raise UsageError(
            "not a model",
            where="model",
            expected=A_FACTORY,
            found=f"a function of ({', '.join(p.name for p in parameters)})",
            hint=EQUINOX_HINT,
        )
    return {p.name: p for p in parameters[2:]}


def make_model(factory: Factory, task: Task, options: Mapping[str, Any]) -> Model:
    """The model of a factory for a task; raises ModelError where it makes none."""
    try:
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
        hint=EQUINOX_HINT,
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

    apply = within(model.apply)
    layers = tuple(x._replace(apply=within(x.apply)) for x in layers_of(model))
    apply.layers = layers  # type: ignore[attr-defined]
    return model._replace(apply=apply)


def named_identity(kind: str, name: str, known: Mapping[str, str]) -> str:
    """A text that tells parts apart in keys: a name of Gridscape's own, or one with a code hash."""
    if name in known:
        return name
    found = load_object(kind, name, known)
    return f"{name} {code_identity(found.make if isinstance(found, Optimizer) else found)}"


def model_identity(model: Any) -> str:
    """A text that tells models apart in keys: a name, or a name with a hash of the code."""
    if isinstance(model, str):
        if model in models.NAMES:
            return model
        return f"{model} {model_identity(load_object('model', model, models.NAMES))}"
    parts = model[:2] if isinstance(model, tuple) else (model,)
    return " ".join(code_identity(part) for part in parts)


# ---- whether the parts fit the task ----


def check_fit(model: Model, hyper: Hyper, loss: Loss, task: Task) -> None:
    """Raise unless model, loss, metrics, answer and groups fit the task, found by shapes alone.

    ModelError where the outputs are not (B, C), or (B, T, C) of a task per step; UsageError where
    another function does not give one number per example, (B,): a mean over the examples would run
    over the padding of the evaluation as well.
    """
    train, test = _training_examples(task), task.test
    _check_on(train, f"task {task.name}", model, hyper, loss, task)
    if dimensions(train) != dimensions(test):  # longer sequences, which not every part can read
        _check_on(test, f"task {task.name}, test sequences", model, hyper, loss, task)


def _training_examples(task: Task) -> Split:
    """Examples as they are trained on, or their shapes where they are drawn."""
    train, where = task.train, f"task {task.name}, train.draw"
    if not isinstance(train, Stream):
        return train
    key = jax.eval_shape(lambda: jax.random.key(0))
    try:
        drawn = jax.eval_shape(lambda key: train.draw(key, DRAWN), key)
    except Exception as error:  # a user's function may raise anything
        raise UsageError("no batch is drawn", where=where, found=one_line(error)) from error
    if not isinstance(drawn, Split) or any(x.shape[:1] != (DRAWN,) for x in jax.tree.leaves(drawn)):
        expected = "a Split of (B, ...)"
        raise UsageError("no batch is drawn", where=where, expected=expected, found=short(drawn))
    return drawn


def _check_on(
    examples: Split, where: str, model: Model, hyper: Hyper, loss: Loss, task: Task
) -> None:
    inputs = prepared(task.prepare, examples.inputs, where)
    # More than any other dimension, so that (C, B) is not taken for (B, C), nor a feature for B.
    n_examples = 1 + max(task.n_outputs, *task.input_shape, *dimensions(examples, inputs))
    batch = batch_of(n_examples, Split(inputs, examples.targets))
    outputs = _outputs(model, hyper, task, batch.inputs, where)
    for asked in _per_example(loss, task, outputs, batch.targets):
        _check_per_example(asked, n_examples, where)


def _outputs(model: Model, hyper: Hyper, task: Task, inputs: Any, where: str) -> Any:
    """The shape of a model's outputs; raises ModelError where it is not what the task needs."""
    n_examples = inputs.shape[0]
    expected = (n_examples, *inputs.shape[1 : 1 + task.per_step], task.n_outputs)
    numbers = {name: jax.ShapeDtypeStruct((), jnp.float32) for name in hyper}
    key = jax.eval_shape(lambda: jax.random.key(0))
    try:
        params = jax.eval_shape(model.init, key, numbers)
        outputs = [jax.eval_shape(model.apply, params, inputs, k, numbers) for k in (key, None)]
    except GridscapeError:
        raise
    except Exception as error:  # a user's model may raise anything
        raise ModelError(
            "the model raises an error",
            where=where,
            found=one_line(error),
            hint=f"it is given inputs of shape {lettered(inputs.shape, n_examples)}, and the"
            f" hyperparameters {', '.join(hyper)}",
        ) from error
    _check_parameters(params)
    for found in outputs:
        if getattr(found, "shape", None) != expected:
            raise ModelError(
                "the model's output does not fit the task",
                where=where,
                expected=f"shape {lettered(expected, n_examples)}",
                found=f"shape {lettered(found.shape, n_examples)}"
                if hasattr(found, "shape")
                else type(found).__name__,
                hint="the task needs an output at every step" if task.per_step else None,
            )
    return outputs[-1]


def _check_parameters(params: Any) -> None:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not leaves:
        raise ModelError("the model has no parameters", expected="a pytree of arrays")
    for path, leaf in leaves:
        if leaf.dtype != jnp.float32:
            is_number = jnp.issubdtype(leaf.dtype, jnp.floating)
            raise ModelError(
                "a parameter that cannot be trained",
                where=jax.tree_util.keystr(path, simple=True, separator="/") or "params",
                expected="a float32 array",
                found=leaf.dtype,
                hint=None if is_number else "keep it in a closure, out of what init returns",
            )


# The types of a number per example, by the word for it.
KINDS = {
    "float": (jnp.floating,),
    "number": (jnp.floating, jnp.integer, jnp.bool_),
    "whole number": (jnp.integer,),
}


class PerExample(NamedTuple):
    """A function that is to give one number per example: a key of KINDS."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    number: str


def _per_example(loss: Loss, task: Task, outputs: Any, targets: Any) -> Iterator[PerExample]:
    both = (outputs, targets)
    yield PerExample("the loss", loss, both, "float")
    for name, metric in task.metrics.items():
        yield PerExample(f"the metric {name!r}", metric, both, "number")
    if task.answer is not None:
        yield PerExample("the task's answer", task.answer, both, "whole number")
    if task.groups is not None:
        kind = f"the kind of example {task.groups.name!r}"
        yield PerExample(kind, task.groups.of, (targets,), "whole number")


def _check_per_example(asked: PerExample, n_examples: int, where: str) -> None:
    what, expected = f"{asked.name} does not fit the task", f"one {asked.number} per example, (B,)"
    try:
        found = _given(asked.function, asked.arguments)
    except Exception as error:  # a user's function may raise anything
        raise UsageError(what, where=where, expected=expected, found=one_line(error)) from error
    shape, kinds = getattr(found, "shape", None), KINDS[asked.number]
    if shape != (n_examples,) or not any(jnp.issubdtype(found.dtype, kind) for kind in kinds):
        raise UsageError(
            what,
            where=where,
            expected=expected,
            found=told(found, n_examples),
            hint=_hint(shape, n_examples),
        )


@remembered
def _given(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return given(function, *arguments)


def _hint(shape: tuple[int, ...] | None, n_examples: int) -> str | None:
    """What to do about a shape that is not (B,)."""
    if shape is None or shape == (n_examples,):
        return None
    if shape[:1] == (n_examples,):
        return "take the mean over all dimensions but the first"
    if n_examples not in shape:
        return "leave out the mean over the examples: Gridscape takes it"
    return "the examples come first"


def _parameters(factory: Any, key: str, expected: str) -> list[inspect.Parameter]:
    """What a factory takes by name; raises UsageError for what is no function."""
    try:
        found = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"not a {key}", where=key, expected=expected, found=type(factory).__name__
        ) from error
    return [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


# ---- names that nothing has ----


def unknown_names(study: Mapping[str, Any]) -> list[str]:
    """One line for every name that nothing has and every option that its part does not take.

    ``study`` may have other mistakes: what cannot be looked at for them is passed over.
    """
    return [
        *_task_mistakes(study),
        *_loss_mistakes(study),
        *_model_mistakes(study),
        *_kept_mistakes(study),
    ]


def _kept_mistakes(study: Mapping[str, Any]) -> list[str]:
    kept, axes = study.get("keep_parameters"), _table(study, "axes")
    cells = [cell for cell in kept if isinstance(cell, Mapping)] if isinstance(kept, list) else []
    missing = [
        str(
            UsageError(
                "no such value on the axis",
                where=f"keep_parameters.{name}",
                expected=", ".join(map(show, axes[name])),
                found=show(value),
            )
        )
        for cell in cells
        for name, value in cell.items()
        if name in axes and not any(same(value, other) for other in axes[name])
    ]
    names = {name for cell in cells for name in cell}
    return [*_unknown("axis", "keep_parameters", names, axes), *missing]


def _task_mistakes(study: Mapping[str, Any]) -> list[str]:
    if not isinstance(study.get("task"), str):
        return []
    try:
        known = task_options(study["task"])
    except UsageError as error:
        return [str(error)]
    given = {**_table(study, "task_options"), **_table(study, "axes")}
    return _option_mistakes("task", study, known, given)


def _options_of_task(study: Mapping[str, Any]) -> set[str]:
    """The options of the task; none where it is not known, which is told elsewhere."""
    try:
        return set(task_options(study["task"]))
    except (KeyError, UsageError):
        return set()


def _loss_mistakes(study: Mapping[str, Any]) -> list[str]:
    axes = _table(study, "axes")
    key, named = ("axes.loss", axes["loss"]) if "loss" in axes else ("loss", [study.get("loss")])
    found = []
    for name in named:
        try:
            if isinstance(name, str):
                load_object("loss", name, losses.NAMES, key)
        except UsageError as error:
            found.append(str(error))
    return found


def _model_mistakes(study: Mapping[str, Any]) -> list[str]:
    axes = _table(study, "axes")
    rules, found = _optimizers(study, axes)
    if "model" not in study:
        return found
    try:
        factory = model_factory(study["model"])
        options = model_options(factory)
    except UsageError as error:
        return [*found, str(error)]
    if rules is None:  # what may be an axis is not known
        return found
    numbers = set(getattr(factory, "hyperparameters", {}))
    traced = numbers.union(*(rule.hyperparameters for rule in rules.values()))
    of_task, of_others = _options_of_task(study), {*traced, *options, *STUDY_AXES}
    return [
        *_unknown("axis", "axes", filter(may_be_axis, axes), of_task | of_others),
        *(
            f"axes.{name}: read by the task and not by it alone"
            for name in of_task & of_others & set(axes)
        ),
        *_unknown("hyperparameter", "hyperparameters", _table(study, "hyperparameters"), traced),
        *_option_mistakes("model", study, options, {**_table(study, "model_options"), **axes}),
        *_idle_axes(axes, traced - numbers, rules),
        *_axes_of_no_numbers(axes, traced),
    ]


def _optimizers(
    study: Mapping[str, Any], axes: Mapping[str, Any]
) -> tuple[dict[str, Optimizer] | None, list[str]]:
    """The optimizers that a study uses, None unless all are known; the mistakes in their names."""
    key = "axes.optimizer" if "optimizer" in axes else "optimizer"
    names = axes.get("optimizer", [study["optimizer"]])
    rules: dict[str, Optimizer] = {}
    found = []
    for name in names:
        try:
            rules |= {name: load_optimizer(name, key)} if isinstance(name, str) else {}
        except UsageError as error:
            found.append(str(error))
    return (rules if set(rules) == set(names) else None), found


def _unknown(kind: str, key: str, names: Iterable[str], known: Iterable[str]) -> list[str]:
    return [
        str(UnknownNameError(kind, name, known, where=f"{key}.{name}"))
        for name in names
        if name not in set(known)
    ]


def _option_mistakes(
    kind: str,
    study: Mapping[str, Any],
    known: Mapping[str, inspect.Parameter],
    given: Iterable[str],
) -> list[str]:
    key = f"{kind}_options"
    missing = [name for name, p in known.items() if p.default is p.empty and name not in given]
    return [
        *_unknown(f"{kind} option", key, _table(study, key), known),
        *(f"{key}.{name}: required by the {kind}, but missing" for name in missing),
    ]


def _idle_axes(
    axes: Iterable[str], of_rules: Iterable[str], rules: Mapping[str, Optimizer]
) -> list[str]:
    """Axes that some optimizer does not read: its cells would be one and the same trial."""
    idle = {
        name: [rule for rule, made in rules.items() if name not in made.hyperparameters]
        for name in axes
        if name in set(of_rules)
    }
    return [
        f"axes.{name}: not read by the optimizer {', '.join(without)}"
        for name, without in idle.items()
        if without
    ]


def _axes_of_no_numbers(axes: Mapping[str, Any], traced: Iterable[str]) -> list[str]:
    found = []
    for name in set(traced) & set(axes):
        try:
            check_values(f"axes.{name}", name, axes[name], optimizers.check_number)
        except UsageError as error:
            found.append(str(error))
    return found


def _table(study: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A table of the study; empty where it is none, and without axes that are no lists."""
    found = study.get(key)
    if not isinstance(found, Mapping):
        return {}
    return {k: v for k, v in found.items() if key != "axes" or isinstance(v, list)}
