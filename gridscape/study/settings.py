"""The settings of a study as plain data: numbers, texts, lists and tables, each in its range.

Every function returns what the study keeps, or raises MistakesError with all that is wrong.
"""

import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optax

from gridscape.base.limits import FINITE
from gridscape.base.metrics import Metric
from gridscape.base.parts import Optimizer
from gridscape.base.task import Task
from gridscape.errors import UnknownNameError, UsageError, short
from gridscape.grid import names
from gridscape.grid.axes import Axis, Value, written
from gridscape.optimizers import rules
from gridscape.optimizers.schedules import SCHEDULES

# Axes that the study itself reads; all other static axes are options of the model.
STUDY_AXES = ("optimizer", "loss", "batch_size", "sampling", "updates", "epochs", "examples")
# How long a network is trained: one of them, whatever else there is. Only what it comes to in
# updates is a part of a trial.
BUDGETS = ("updates", "epochs", "examples", "flops")
# Not in the keys of a study that has none.
SCHEDULE = "schedule"

# How the examples of a batch are chosen: fresh permutations walked without replacement, or each
# batch drawn anew from all examples.
SAMPLINGS = ("epochs", "draws")
CHOICES = {"sampling": SAMPLINGS, SCHEDULE: tuple(SCHEDULES)}

LISTED = "layers"  # the axis whose values may be lists: of widths

# Settings that are whole numbers from 1 wherever they stand.
WHOLE = ("batch_size", "updates", "examples")


class MistakesError(ValueError):
    """What is wrong with a setting: whole lines, each led by its key."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = list(dict.fromkeys(lines))
        super().__init__("; ".join(self.lines))


def mistake(what: str, key: str, expected: str, found: Any) -> str:
    """One mistake in one line."""
    return str(UsageError(what, where=key, expected=expected, found=short(found)))


def plain(value: Any) -> Any:
    """A setting without NumPy's types and tuples: 64, not np.int64(64)."""
    if isinstance(value, np.floating):
        return float(str(value))  # 0.01 for np.float32(0.01), not 0.009999999776
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple) and not isinstance(value, Optimizer):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    return value


def study_name(name: Any) -> str:
    """A name that can be a folder's."""
    if not isinstance(name, str) or not re.fullmatch(names.STUDY, name):
        raise MistakesError([mistake("not a name", "name", "letters, digits, '.', '_', '-'", name)])
    return name


def name_of_file(path: Path) -> str:
    """The name of a study without one: its file's, without what a name may not hold."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-") or "study"


def task(given: Any) -> Any:
    """A task, a function that makes one, or the name of one."""
    return _part("task", "the name of a task, a Task, or a function that makes one", given, Task)


def optimizer(given: Any) -> Any:
    """An optimizer, a function that makes one, or the name of one."""
    if isinstance(given, optax.GradientTransformation):
        return rules.fixed(given)
    expected = "the name of an optimizer, an Optimizer, or an optax transformation"
    return _part("optimizer", expected, given, Optimizer)


def schedule(given: Any) -> str | None:
    """The name of a schedule of the learning rate; None for none."""
    if given is None or given == "none":
        return None
    if not isinstance(given, str):
        raise MistakesError([mistake("wrong type", SCHEDULE, "the name of a schedule", given)])
    if given in SCHEDULES:
        return given
    error = UnknownNameError("schedule", given, SCHEDULES, where=SCHEDULE)
    raise MistakesError([str(error)])


def loss(given: Any) -> Any:
    """A loss or the name of one; None for the task's own."""
    return _part("loss", "the name of a loss, or a function (outputs, targets)", given, type(None))


def metrics(given: Any) -> dict[str, Any] | None:
    """What is measured, by name; None for the metrics of the task.

    A list is named by what stands in it: "accuracy" by itself, "module:perplexity" and a function
    by the function's name.
    """
    if given is None:
        return None
    if isinstance(given, str | Metric) or not isinstance(given, Mapping | list):
        expected = "a list of metrics, or a table of them by name"
        raise MistakesError([mistake("wrong type", "metrics", expected, given)])
    pairs = list(given.items()) if isinstance(given, Mapping) else [(_name(x), x) for x in given]
    found = [line for name, part in pairs for line in _metric_mistakes(name, part)]
    counts = Counter(name for name, _ in pairs)
    found += [f"metrics: {name} more than once" for name, count in counts.items() if count > 1]
    if found:
        raise MistakesError(found)
    try:
        names.check_task_names(dict(pairs), None, "metrics")
    except UsageError as error:
        raise MistakesError([str(error)]) from error
    return dict(pairs)


def class_weights(given: Any) -> Any:
    """Weights of classes: "balanced", numbers from 0, or a table of them; "none" is nothing."""
    if given is None or given == "none":
        return None
    if isinstance(given, str) and given == "balanced":
        return given
    numbers = given.values() if isinstance(given, Mapping) else given
    if isinstance(given, str) or not isinstance(numbers, Iterable) or not _are_weights(numbers):
        expected = '"balanced", or a finite number from 0 for each class'
        raise MistakesError([mistake("not weights", "class_weights", expected, given)])
    if isinstance(given, Mapping):
        return {name: float(number) for name, number in given.items()}
    return [float(number) for number in given]


def _are_weights(numbers: Iterable[Any]) -> bool:
    found = list(numbers)
    are_numbers = all(isinstance(n, int | float) and not isinstance(n, bool) for n in found)
    return bool(found) and are_numbers and all(0 <= n <= sys.float_info.max for n in found)


def _metric_mistakes(name: str | None, part: Any) -> list[str]:
    if not isinstance(part, str) and (isinstance(part, tuple) or not callable(part)):
        expected = "the name of a metric, a Metric, or a function (outputs, targets)"
        return [mistake("wrong type", "metrics", expected, part)]
    if name is None:
        expected = "a table, metrics = {name: function}"
        return [mistake("a metric without a name", "metrics", expected, part)]
    return []


def _name(part: Any) -> str | None:
    """What a metric in a list is called; None for a function without a name."""
    if isinstance(part, str):
        return part.rpartition(":")[2].rpartition(".")[2]
    name = getattr(part.function if isinstance(part, Metric) else part, "__name__", "<lambda>")
    return None if name == "<lambda>" else name


def _part(key: str, expected: str, given: Any, kind: type) -> Any:
    """What may stand for a part of a study: a text as such, or an object as it is."""
    if isinstance(given, str):
        return str(given)
    if isinstance(given, kind) or (callable(given) and not isinstance(given, tuple)):
        return given
    raise MistakesError([mistake("wrong type", key, expected, given)])


def axes(given: Any) -> dict[str, list[Value]]:
    """Every axis with its values, in the order in which they are given."""
    if isinstance(given, Checked):
        return dict(given)
    if not isinstance(given, Mapping):
        raise MistakesError([mistake("wrong type", "axes", "a table of axes", given)])
    found = {} if given else {"axes": "axes: a study needs at least one axis"}
    kept: dict[str, list[Value]] = {}
    for name, values in given.items():
        try:
            kept[str(name)] = axis_values(f"axes.{name}", str(name), values)
        except UsageError as error:
            found[name] = str(error)
    if found:
        raise MistakesError(found.values())
    return kept


class Checked(dict[str, list[Any]]):
    """Axes whose values were checked: those of sub-grids, which may be unset."""


def axis_values(key: str, name: str, values: Any, *, repeated: bool = False) -> list[Value]:
    """The values of an axis as a study keeps them; raises UsageError, with the key, for others.

    repeated: a value may stand there more than once, as where it goes with those of another axis.
    """
    names.check_axis(name)
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise UsageError("wrong type", where=key, expected="a list of values", found=short(values))
    kept = [_rounded(_listed(key, name, plain(value))) for value in values]
    check_values(key, name, kept, _check_value)
    try:
        Axis(name, tuple(dict.fromkeys(kept) if repeated else kept))
    except UsageError as error:
        error.where = key
        raise
    return kept


def _rounded(value: Any) -> Any:
    """A number to 12 digits, so that 1e-05 has one key however it was computed.

    Networks are trained in float32, which tells 7 digits apart.
    """
    return float(f"{value:.12g}") if isinstance(value, float) else value


def _listed(key: str, name: str, value: Any) -> Any:
    """A value of an axis: the widths of layers may be a list, which is kept as "64-32"."""
    if name != LISTED or not isinstance(value, list):
        return value
    if not value or not all(type(width) is int and width > 0 for width in value):
        expected = 'a list of whole numbers from 1, such as [64, 32], or "64-32"'
        raise UsageError("no widths of layers", where=key, expected=expected, found=short(value))
    return written(value)


def check_values(
    key: str, name: str, values: Iterable[Any], check: Callable[[str, Any], None]
) -> None:
    """Raise one UsageError about all the values that ``check`` refuses to a setting."""
    errors = []
    for value in values:
        try:
            check(name, value)
        except UsageError as error:
            errors.append(error)
    if errors:
        first, found = errors[0], ", ".join(str(error.found) for error in errors)
        raise UsageError(
            first.what, where=key, expected=first.expected, found=found, hint=first.hint
        )


def _check_value(name: str, value: Any) -> None:
    if name in WHOLE:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            expected = "a whole number from 1"
            raise UsageError("out of range", expected=expected, found=short(value))
    elif name == "epochs":
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            expected = "a number above 0"
            raise UsageError("out of range", expected=expected, found=short(value))
    elif name in ("optimizer", "loss") and not isinstance(value, str):
        expected = f"names or import strings of {'losses' if name == 'loss' else 'optimizers'}"
        # A folder, a table and --cell tell the values of an axis by what is written.
        hint = "put an object in a module and name it 'module:object'"
        raise UsageError("wrong type", expected=expected, found=short(value), hint=hint)
    elif name in ("task", "model") and not isinstance(value, int | float | str):
        expected = f"no such axis: make a study of each {name}"
        raise UsageError("wrong type", expected=expected, found=short(value))
    elif name in CHOICES and value not in CHOICES[name]:
        expected = " or ".join(CHOICES[name])
        raise UsageError("out of range", expected=expected, found=short(value))
    elif not isinstance(value, int | float | str):
        expected = "numbers, texts, true or false"
        raise UsageError("wrong type", expected=expected, found=short(value))
    elif isinstance(value, float) and not math.isfinite(value):
        raise UsageError("out of range", expected="a finite number", found=short(value))
    elif isinstance(value, str) and not value.isprintable():
        raise UsageError("out of range", expected="printable text", found=short(value))


def kept_cells(given: Any) -> Any:
    """Which cells keep their parameters: a word, or tables of axis and value."""
    words = ("none", "best", "all")
    tables = isinstance(given, list) and all(isinstance(cell, Mapping) for cell in given)
    if given not in words and not tables:
        expected = f"{', '.join(words)}, or a list of cells such as {{ hidden_size = 64 }}"
        raise MistakesError([mistake("out of range", "keep_parameters", expected, given)])
    return [dict(cell) for cell in given] if tables else given


def resample(given: Any) -> Any:
    """What each replicate draws anew; "none" is nothing."""
    return None if given == "none" else given


def hidden_by_axes(content: Mapping[str, Any]) -> list[str]:
    """One line for each setting of a study file that has an axis of the same name."""
    tables = ("hyperparameters", "model_options", "task_options")
    keys = {name: name for name in content}
    keys |= {name: f"{table}.{name}" for table in tables for name in content.get(table, {})}
    both = [name for name in content.get("axes", {}) if name in keys]
    return [f"{keys[name]}: also an axis, which would hide it; remove one of them" for name in both]


def hyperparameters(given: Any) -> dict[str, float]:
    """Traced numbers that are the same in all cells."""
    if not isinstance(given, Mapping):
        raise MistakesError([mistake("wrong type", "hyperparameters", "a table of numbers", given)])
    numbers: dict[str, Any] = plain(given)
    _collect(
        lambda name, value: FINITE.check(value, where=f"hyperparameters.{name}"),
        numbers,
    )
    return {name: float(number) for name, number in numbers.items()}


def options(key: str, given: Any) -> dict[str, Any]:
    """The options of a task or a model: data that a study file can hold."""
    if not isinstance(given, Mapping):
        raise MistakesError([mistake("wrong type", key, "a table of options", given)])
    values: dict[str, Any] = plain(given)

    def check(name: str, value: Any) -> None:
        if not _is_data(value):
            expected = "numbers, texts, lists or tables"
            raise UsageError(
                "wrong type", where=f"{key}.{name}", expected=expected, found=short(value)
            )
        if name in WHOLE:
            check_values(f"{key}.{name}", name, [value], _check_value)

    _collect(check, values)
    return values


def _collect(check: Callable[[str, Any], None], values: Mapping[str, Any]) -> None:
    found = []
    for name, value in values.items():
        try:
            check(name, value)
        except UsageError as error:
            found.append(str(error))
    if found:
        raise MistakesError(found)


def _is_data(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_data, value))
    if isinstance(value, Mapping):
        return all(map(_is_data, value.values()))
    return value is None or isinstance(value, bool | int | float | str)
