"""The study: a task, a model, an optimizer, a training budget, axes and replicates.

A study is a TOML file (``gridscape/studies/`` holds the named ones) or is made in Python. It only
declares; ``resolve`` loads its task and says what each cell trains.
"""

import importlib
import inspect
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gridscape import models, optimizers, tasks
from gridscape.base import Model, Optimizer, Task, code_identity
from gridscape.errors import (
    GridscapeError,
    ModelError,
    StudyFileError,
    UnknownNameError,
    UsageError,
)
from gridscape.grid import Axis, Cell, Grid, Trial, Value, content_key

STUDIES = Path(__file__).parent / "studies"

# Raised when the same study would give other numbers than before, so that no old result is reused.
SEMANTICS = 1

# Axes that the study itself reads; all other static axes are options of the model.
STUDY_AXES = ("optimizer", "batch_size", "updates")


class Study(BaseModel):
    """A grid of networks to train.

    updates: per trial. batch_size: examples of an update. replicates: seeds of each cell.
    evaluations: points, evenly spaced, at which the test set is looked at; all but the last use
    its first ``evaluation_examples`` examples only. hyperparameters: traced numbers that are the
    same in all cells. keep_parameters: "all" stores the final parameters of every trial.

    Raises StudyFileError with every mistake at once.

    >>> study = Study(name="tiny", task="digits-rows", model="lstm", updates=10,
    ...               axes={"hidden_size": [4, 8], "learning_rate": [0.01]})
    >>> len(study.grid.cells()), study.replicates
    (2, 3)
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, protected_namespaces=()
    )

    name: str = Field(default="study", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    description: str = ""
    source: list[str] = []
    task: str | Task
    task_options: dict[str, Any] = {}
    model: Any
    model_options: dict[str, Any] = {}
    optimizer: str = "adam"
    hyperparameters: dict[str, float] = {}
    axes: dict[str, list[Value]]
    updates: int = Field(default=400, ge=1, le=10_000_000)
    batch_size: int = Field(default=100, ge=1)
    replicates: int = Field(default=3, ge=1, le=10_000)
    seed: int = Field(default=0, ge=0)
    precision: str = Field(default="float32", pattern="^float32$")
    evaluations: int = Field(default=8, ge=1)
    evaluation_examples: int = Field(default=2_000, ge=1)
    keep_parameters: str = Field(default="none", pattern="^(none|all)$")
    claims: str | None = None
    published: list[str] = []

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise StudyFileError(
                f"study {values.get('name', '')}".strip(), _mistakes(error)
            ) from error

    @field_validator("axes")
    @classmethod
    def _check_axes(cls, axes: dict[str, list[Value]]) -> dict[str, list[Value]]:
        mistakes = [m for name, values in axes.items() for m in _axis_mistakes(name, values)]
        if not axes:
            mistakes.append("a study needs at least one axis")
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return axes

    @field_validator("hyperparameters")
    @classmethod
    def _check_hyperparameters(cls, values: dict[str, float]) -> dict[str, float]:
        for name, value in values.items():
            try:
                optimizers.check_number(name, value)
            except UsageError as error:
                raise ValueError(str(error)) from None
        return values

    @classmethod
    def load(cls, name_or_path: str | Path) -> Self:
        """A named study, or the one in a TOML file."""
        path = find(name_or_path)
        try:
            text = path.read_text(encoding="utf-8")
            content = tomllib.loads(text)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise StudyFileError(path, [str(error)]) from error
        try:
            return cls(**{"name": path.stem, **content})
        except StudyFileError as error:
            lines = [_with_line(mistake, text) for mistake in error.mistakes]
            raise StudyFileError(path, lines) from error

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The study that a results folder tells of; its task and model must go by name.

        Raises UsageError where they were Python objects, which a folder cannot hold.
        """
        values = {name: record[name] for name in cls.model_fields if name in record}
        return cls(**values)

    def override(self, axes: Mapping[str, Iterable[Value]] | None = None, **values: Any) -> Self:
        """The same study with other values; an axis given here replaces or joins its axes.

        Values that are None are left as they are. A new task drops the options of the old one.
        """
        content = {name: getattr(self, name) for name in type(self).model_fields}
        given = {name: value for name, value in values.items() if value is not None}
        if "task" in given and given["task"] != self.task:
            content["task_options"] = {}
        merged = {**self.axes, **{k: list(v) for k, v in (axes or {}).items()}}
        return type(self)(**{**content, **given, "axes": merged})

    @property
    def grid(self) -> Grid:
        """All cells."""
        return Grid(tuple(Axis(name, tuple(values)) for name, values in self.axes.items()))

    def resolve(self, data_dir: str | Path | None = None) -> "ResolvedStudy":
        """Load the task, look the parts up, and check that every cell can be trained.

        Raises StudyFileError with every mistake at once, UnknownNameError, DataError, ModelError.
        """
        return ResolvedStudy(self, load_task(self.task, self.task_options, data_dir))


@dataclass(frozen=True)
class Recipe:
    """What one cell trains: a static part, which is compiled, and traced numbers.

    ``static`` is plain data; cells with equal ``static`` share a program. ``weights`` is the part
    of it that the initial weights depend on: the model, not the optimizer, so that optimizers are
    compared from the same start.
    """

    static: Mapping[str, Any]
    weights: Mapping[str, Any]
    model: Model
    optimizer: Optimizer
    batch_size: int
    updates: int
    hyper: Mapping[str, float]


@dataclass(frozen=True)
class ResolvedStudy:
    """A study whose task is loaded and whose parts are known to fit."""

    study: Study
    task: Task

    def __post_init__(self) -> None:
        mistakes = self._unknown_names()
        if not mistakes:
            mistakes = self._bad_cells()
        if mistakes:
            raise StudyFileError(f"study {self.study.name}", mistakes)

    @cached_property
    def factory(self) -> Callable[..., Model]:
        """The model's factory, from its name, import string or object."""
        return model_factory(self.study.model)

    @cached_property
    def traced(self) -> frozenset[str]:
        """The names of the hyperparameters that are only numbers to the program."""
        used = self.study.axes.get("optimizer", [self.study.optimizer])
        names = {name for o in used for name in load_optimizer(str(o)).hyperparameters}
        return frozenset(names | set(getattr(self.factory, "hyperparameters", {})))

    @cached_property
    def model_options(self) -> dict[str, inspect.Parameter]:
        """The options that the model's factory takes."""
        _, _, *options = inspect.signature(self.factory).parameters.values()
        return {p.name: p for p in options if p.kind is p.KEYWORD_ONLY}

    def _unknown_names(self) -> list[str]:
        known_axes = {*self.traced, *self.model_options, *STUDY_AXES}
        checks = [
            ("axis", self.study.axes, known_axes),
            ("model option", self.study.model_options, self.model_options),
            ("hyperparameter", self.study.hyperparameters, self.traced),
        ]
        return [
            str(UnknownNameError(kind, name, known))
            for kind, names, known in checks
            for name in names
            if name not in known
        ]

    def _bad_cells(self) -> list[str]:
        """One line for each value that no cell can take, found by building each program's parts."""
        mistakes = []
        for cell in self.first_cells():
            try:
                check_model(self.recipe(cell), self.task)
            except UsageError as error:
                mistakes.append(str(error))
        if self.study.batch_size > len(self.task.train.targets):
            mistakes.append(
                f"batch_size: larger than the training set (found {self.study.batch_size},"
                f" expected at most {len(self.task.train.targets)})"
            )
        return list(dict.fromkeys(mistakes))

    def first_cells(self) -> list[Cell]:
        """One cell of each static part."""
        static_axes = [axis for axis in self.study.axes if axis not in self.traced]
        first = {tuple(c[a] for a in static_axes): c for c in reversed(self.study.grid.cells())}
        return list(reversed(first.values()))

    def recipe(self, cell: Cell) -> Recipe:
        """What this cell trains."""
        study = self.study
        settings = {name: cell.get(name, getattr(study, name)) for name in STUDY_AXES}
        options = dict(study.model_options)
        options.update({k: v for k, v in cell.items() if k in self.model_options})
        optimizer = load_optimizer(str(settings["optimizer"]))
        for name in ("batch_size", "updates"):
            _check_whole(name, settings[name])
        defaults = {**getattr(self.factory, "hyperparameters", {}), **optimizer.hyperparameters}
        given = {**study.hyperparameters, **{k: v for k, v in cell.items() if k in self.traced}}
        weights = {"model": model_identity(study.model), "options": options}
        return Recipe(
            static={**weights, **settings},
            weights=weights,
            model=self.factory(self.task.input_shape, self.task.n_outputs, **options),
            optimizer=optimizer,
            batch_size=int(settings["batch_size"]),
            updates=int(settings["updates"]),
            hyper={name: float(given.get(name, default)) for name, default in defaults.items()},
        )

    def trials(self) -> list[Trial]:
        """Every cell with every replicate, and its key: a hash of all that determines the result."""
        return [
            Trial(cell, replicate, content_key({**content, "replicate": replicate}))
            for cell in self.study.grid.cells()
            for content in [self._content(cell)]
            for replicate in range(self.study.replicates)
        ]

    def _content(self, cell: Cell) -> dict[str, Any]:
        recipe = self.recipe(cell)
        return {
            "semantics": SEMANTICS,
            "task": self.task.fingerprint,
            "static": recipe.static,
            "hyper": recipe.hyper,
            "seed": self.study.seed,
            "precision": self.study.precision,
            "evaluations": self.study.evaluations,
            "evaluation_examples": self.study.evaluation_examples,
        }

    def record(self) -> dict[str, Any]:
        """The study as plain data, for the results folder."""
        study = self.study
        plain = {name: getattr(study, name) for name in type(study).model_fields}
        identity = model_identity(study.model)
        plain["task"] = study.task if isinstance(study.task, str) else study.task.name
        plain["model"] = study.model if isinstance(study.model, str) else identity
        return {
            **plain,
            "task_fingerprint": self.task.fingerprint,
            "model_identity": identity,
            "semantics": SEMANTICS,
        }


def names() -> list[str]:
    """The named studies."""
    return sorted(path.stem for path in STUDIES.glob("*.toml"))


def find(name_or_path: str | Path) -> Path:
    """The file of a study, by name or path; raises UnknownNameError with the nearest name."""
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise UsageError("no such study file", where=path)
        return path
    if str(name_or_path) in names():
        return STUDIES / f"{name_or_path}.toml"
    raise UnknownNameError("study", str(name_or_path), names())


def load_object(kind: str, name: str, known: Mapping[str, str]) -> Any:
    """The object behind a name of Gridscape's own, or behind an import string "module:object"."""
    target = known.get(name, name)
    if ":" not in target:
        raise UnknownNameError(kind, name, known)
    module_name, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"cannot import the {kind}",
            where=name,
            expected="an import string module:object",
            found=error,
            hint="is its folder on PYTHONPATH?",
        ) from error


def load_task(task: str | Task, options: Mapping[str, Any], data_dir: str | Path | None) -> Task:
    """The task itself, or the one that a named or imported factory makes."""
    if isinstance(task, Task):
        return task
    factory = load_object("task", task, tasks.NAMES)
    if isinstance(factory, Task):
        return factory
    accepted = inspect.signature(factory).parameters
    for name in options:
        if name not in accepted:
            raise UnknownNameError("task option", name, accepted, where=f"task {task}")
    given = dict(options)
    if "data_dir" in accepted:
        given["data_dir"] = data_dir
    made = factory(**given)
    if not isinstance(made, Task):
        raise UsageError("not a task", where=task, expected="a Task", found=type(made).__name__)
    return made


def load_optimizer(name: str) -> Optimizer:
    """An optimizer by name or import string."""
    made = load_object("optimizer", name, optimizers.NAMES)()
    if not isinstance(made, Optimizer):
        raise UsageError("not an optimizer", where=name, found=type(made).__name__)
    return made


def model_factory(model: Any) -> Callable[..., Model]:
    """A factory (input_shape, n_outputs, **options) -> Model from all that a user may bring.

    That is a name, an import string, a Model, a pair (init, apply) with the signatures of Model,
    or such a factory.
    """
    if isinstance(model, str):
        return model_factory(load_object("model", model, models.NAMES))
    if isinstance(model, tuple):
        pair = Model(*model)

        def fixed(input_shape: tuple[int, ...], n_outputs: int) -> Model:
            return pair

        fixed.hyperparameters = pair.hyperparameters  # type: ignore[attr-defined]
        return fixed
    if callable(model):
        return model
    raise UsageError(
        "not a model",
        expected="a name, an import string, (init, apply) or a factory",
        found=type(model).__name__,
    )


def model_identity(model: Any) -> str:
    """A text that tells models apart in keys: a name, or a name with a hash of the code."""
    if isinstance(model, str):
        code = "" if model in models.NAMES else code_identity(model_factory(model))
        return f"{model} {code}".strip()
    parts = model if isinstance(model, tuple) else (model,)
    return " ".join(code_identity(part) for part in parts if callable(part))


def check_model(recipe: Recipe, task: Task) -> None:
    """Raise ModelError unless the model maps the task's inputs to (B, C), by shapes alone."""
    import jax

    batch = jax.eval_shape(
        task.prepare,
        jax.ShapeDtypeStruct((2, *task.train.inputs.shape[1:]), task.train.inputs.dtype),
    )

    def outputs(inputs: Any) -> Any:
        key = jax.random.key(0)
        return recipe.model.apply(recipe.model.init(key, recipe.hyper), inputs, key, recipe.hyper)

    try:
        found = jax.eval_shape(outputs, batch)
    except GridscapeError:
        raise
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            "the model cannot read the task's inputs",
            where=f"task {task.name}",
            found=f"{type(error).__name__}: {first_line[:200]}",
            hint=f"inputs have shape (B, {', '.join(map(str, task.input_shape))})",
        ) from error
    if getattr(found, "shape", None) != (2, task.n_outputs):
        raise ModelError(
            "the model's output does not fit the task",
            where=f"task {task.name}",
            expected=f"shape (B, {task.n_outputs})",
            found=_shape_words(found),
        )


def _shape_words(found: Any) -> str:
    shape = getattr(found, "shape", None)
    if shape is None:
        return type(found).__name__
    return (
        "shape ("
        + ", ".join(["B" if n == 2 and k == 0 else str(n) for k, n in enumerate(shape)])
        + ")"
    )


def _check_whole(name: str, value: Value) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError("out of range", where=name, expected="a whole number from 1", found=value)


def _axis_mistakes(name: str, values: list[Value]) -> list[str]:
    try:
        Axis(name, tuple(values))
        for value in values:
            if name in optimizers.LIMITS:
                optimizers.check_number(name, value)
            elif isinstance(value, float) and not np.isfinite(value):
                raise UsageError("must be finite", where=f"axis {name}", found=value)
    except UsageError as error:
        return [str(error)]
    return []


def _mistakes(error: ValidationError) -> list[str]:
    """Pydantic's findings, one short line each: key, what, found."""
    known = [*Study.model_fields]
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"] if not str(part).startswith("function"))
        if item["type"] == "extra_forbidden":
            lines.append(str(UnknownNameError("key", key, known)))
        elif item["type"] == "missing":
            lines.append(f"{key}: required, but missing")
        elif item["type"] == "value_error":
            lines.append(f"{key}: {item['ctx']['error']}")
        else:
            found = repr(item["input"])
            short = found if len(found) <= 60 else f"{found[:57]}..."
            lines.append(f"{key}: {item['msg'].lower()} (found {short})")
    return list(dict.fromkeys(lines))


def _with_line(mistake: str, text: str) -> str:
    """The mistake, led by the line of the study file that it is about, where that can be told."""
    quoted = re.search(r"unknown [a-z ]+ '([^']+)'", mistake)
    words = re.findall(r"[A-Za-z_][A-Za-z0-9_]*", quoted.group(1) if quoted else mistake)
    names = [words[-1]] if quoted and words else words
    for name in sorted(set(names), key=names.index):
        if name == "axes":
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if re.match(rf"\s*\[?[\w.]*\b{re.escape(name)}\b\s*[=\]]", line):
                return f"line {number}: {mistake}"
    return mistake
