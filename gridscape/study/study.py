"""The study: a task, a model, an optimizer, a training budget, axes and replicates.

A study is a TOML file (those of ``gridscape/study/named`` go by name) or is made in Python. It only
declares; ``resolve`` loads its task and says what each cell trains.
"""

import itertools
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gridscape import optimizers, tasks
from gridscape.base.data import Stream
from gridscape.base.guessing import chances, loss_of_guessing, told_of_classes
from gridscape.base.metrics import cross_entropy
from gridscape.base.parts import Model, Optimizer, declared
from gridscape.base.task import Task
from gridscape.data.paths import text_of
from gridscape.errors import ModelError, StudyFileError, UsageError, cut, short
from gridscape.grid import subgrids
from gridscape.grid.axes import Axis, Cell, Grid, Value, same
from gridscape.grid.meanings import Meaning, merged, to_record
from gridscape.grid.names import of_task
from gridscape.grid.size import too_large
from gridscape.grid.trials import SEMANTICS, Trial, content_key
from gridscape.identity.memo import Memo
from gridscape.kernels.cores import require_addresses
from gridscape.models.precision import Precision
from gridscape.optimizers.extras import Extra
from gridscape.optimizers.schedules import LENGTH
from gridscape.study import budgets, grids, mistakes, reach, settings
from gridscape.study.files import beside, find
from gridscape.study.fits import check_batch, check_fit
from gridscape.study.flops import step_flops
from gridscape.study.numbers import number_mistakes
from gridscape.study.parts import (
    Smoothed,
    extras_of,
    in_layout_of,
    in_precision,
    in_weights,
    load_loss,
    load_optimizer,
    load_task,
    make_model,
    metric_identities,
    model_factory,
    model_identity,
    model_options,
    part_identity,
    recorded,
    smoothing_of,
    task_options,
    weights_of,
    with_metrics,
    with_training,
)
from gridscape.study.settings import BUDGETS, SCHEDULE, STUDY_AXES
from gridscape.study.unknown import unknown_names
from gridscape.tasks import losses

# What a study takes as an object, a name or an import string.
PARTS = ("task", "model", "optimizer", "loss")

MOST = 2**63 - 1  # of a whole number: what every file and program has room for
TOO_DEEP = "lists or tables are nested too deep"

# Under which key a record holds the setting "metrics": that name is taken by what metrics mean.
MEASURED = "measured"

NAMES_OF = {"optimizer": optimizers.NAMES, "loss": losses.NAMES}


class Study(BaseModel):
    """A grid of networks to train.

    grids: tables of axes and values, whose union is trained instead of all that ``axes`` span; the
    axes of the study are shared by all of them, and an axis that one leaves unset is None there.
    zip: groups of axes that are walked together, the first values of each, then the second ones.
    updates: per trial; or one of epochs, walks through the training examples, examples, of all
    updates, and flops, operations of the products of all updates: as many whole updates as are in
    it, in each cell for itself. batch_size: examples of an update. replicates: seeds of each cell.
    schedule: of the learning rate, such as "cosine"; its numbers ``warmup`` and ``final``, and
    ``clip_norm`` of the gradient, are hyperparameters or axes; so are ``label_smoothing`` of the
    loss cross_entropy, ``gradient_noise`` and ``ema``, the decay of a moving average of parameters.
    loss: instead of the task's own. class_weights: of the loss cross_entropy, "balanced" or a
    number of each class, in their order or by name, made to have the mean 1 over the training
    examples. metrics: instead of the task's own, the main one first: a list, or a table by name, of
    names of the task's own, import strings, Metrics and functions; in any task of classes also
    "accuracy", "balanced_accuracy", "macro_f1", "recall", that of every class, "f1", of two classes
    that of the second, "auc", "perplexity" and "top_5", or another number.
    sampling: "epochs" walks fresh permutations of the training examples, what is left of one
    joining the next; "draws" draws each batch anew from all.
    evaluations: points, evenly spaced, at which the test and validation sets are looked at, each by
    one choice of ``evaluation_examples`` of its examples; final metrics are over all of them.
    evaluation_sample: "balanced" chooses every class, or kind of example, with its share, the same
    ones for all cells and replicates; "first" takes the first ones. Training examples, on which
    train metrics are measured, are chosen likewise. selection: "validation" or "test", the set by
    which the best is chosen, by default validation where every task has such a set.
    resample: "split" has each replicate draw its own training, validation and test examples, which
    all of its cells share, so that intervals also hold the luck of the test set; by default all
    replicates have the task's own. hyperparameters: traced numbers that are the same in all cells.
    keep_parameters: of which trials
    the final parameters are stored: "none", "all", "best" (of the best cell of each row: of all
    values of the other axes), or a list of cells, each a table that names some axes. Neither it nor
    ``selection`` determines a result, so they are no part of a key: what is stored stays as it is.

    An axis may not have the name of something that every landscape has, such as "status".

    Every value in the axes is kept to 12 digits: more than float32 can tell apart, and few enough
    that a number has one key however it was computed. Raises StudyFileError with every mistake at
    once; names are looked up by ``load`` and ``resolve``.

    >>> study = Study(name="tiny", task="digits-rows", model="lstm", updates=10,
    ...               axes={"hidden_size": [4, 8], "learning_rate": [0.01]})
    >>> len(study.grid.cells()), study.replicates
    (2, 5)
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
    )

    name: Annotated[str, BeforeValidator(settings.study_name)] = "study"
    title: str = ""
    description: str = ""
    source: list[str] = []
    task: Annotated[str | Task | Callable[..., Task], BeforeValidator(settings.task)]
    task_options: Annotated[
        dict[str, Any], BeforeValidator(partial(settings.options, "task_options"))
    ] = {}
    model: Any
    model_options: Annotated[
        dict[str, Any], BeforeValidator(partial(settings.options, "model_options"))
    ] = {}
    optimizer: Annotated[
        str | Optimizer | Callable[[], Optimizer], BeforeValidator(settings.optimizer)
    ] = "adam"
    schedule: Annotated[str | None, BeforeValidator(settings.schedule)] = None
    loss: Annotated[str | Callable[[Any, Any], Any] | None, BeforeValidator(settings.loss)] = None
    metrics: Annotated[
        dict[str, str | Callable[[Any, Any], Any]] | None, BeforeValidator(settings.metrics)
    ] = None
    class_weights: Annotated[
        str | list[float] | dict[str, float] | None, BeforeValidator(settings.class_weights)
    ] = None
    hyperparameters: Annotated[dict[str, float], BeforeValidator(settings.hyperparameters)] = {}
    axes: Annotated[dict[str, list[Any]], BeforeValidator(settings.axes)]
    grids: list[dict[str, Any]] = []
    zip: list[list[str]] = []
    updates: int | None = Field(default=budgets.USUAL, ge=1, le=budgets.MOST)
    epochs: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    examples: int | None = Field(default=None, ge=1, le=MOST)
    flops: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    batch_size: int = Field(default=100, ge=1, le=MOST)
    sampling: Literal["epochs", "draws"] = "epochs"
    # Five of five is the least that shows what most runs do: p = 1/32.
    replicates: int = Field(default=5, ge=1, le=10_000)
    seed: int = Field(default=0, ge=0, le=MOST)
    precision: Precision = "float32"
    evaluations: int = Field(default=8, ge=1, le=MOST)
    evaluation_examples: int = Field(default=2_000, ge=1, le=MOST)
    evaluation_sample: Literal["balanced", "first"] = "balanced"
    resample: Annotated[Literal["split"] | None, BeforeValidator(settings.resample)] = None
    selection: Literal["validation", "test"] | None = None
    keep_parameters: Annotated[
        Literal["none", "best", "all"] | list[dict[str, Value]],
        BeforeValidator(settings.kept_cells),
    ] = "none"
    claims: str | None = None
    published: list[str] = []

    def __init__(self, **values: Any) -> None:
        try:
            given = {
                name: value if name in PARTS else settings.plain(value)
                for name, value in values.items()
            }
        except RecursionError as error:
            raise StudyFileError(_where("study"), [TOO_DEEP]) from error
        given |= budgets.instead_of_updates(given)
        fields = type(self).model_fields
        defaults = {name: f.default for name, f in fields.items() if not f.is_required()}
        content, found = grids.completed({**defaults, **given}, fields)
        found += budgets.mistakes_of(content)
        cause = None
        if given.get("grids") or given.get("zip"):
            given |= {name: content[name] for name in ("grids", "zip")}
            given["axes"] = settings.Checked(content["axes"])
        try:
            super().__init__(**given)
        except ValidationError as error:
            found, cause = [*found, *mistakes.of_validation(error, fields)], error
        except UnicodeEncodeError as error:  # half of a pair of UTF-16
            raise StudyFileError("study", ["a name or text is no Unicode text"]) from error
        if found or number_mistakes(content, imports=False):
            found = mistakes.joined(found, unknown_names(content))
            raise StudyFileError(_where(given.get("name", "study")), found) from cause
        if reason := too_large(self.axes, self.replicates):
            raise StudyFileError(_where(self.name), [f"axes: {reason}"])

    @classmethod
    def load(cls, name_or_path: str | Path) -> Self:
        """A named study, or the one in a TOML file.

        Raises StudyFileError with every mistake and its line, UnknownNameError with the nearest
        name, UsageError for a file that is not there.
        """
        path = find(name_or_path)
        try:
            text = text_of(path)
            content = beside(tomllib.loads(text), path)
        except RecursionError as error:
            raise StudyFileError(path, [TOO_DEEP]) from error
        except OSError as error:
            raise StudyFileError(path, [error.strerror or str(error)]) from error
        except ValueError as error:  # a whole number of thousands of digits, too
            raise StudyFileError(path, [str(error)]) from error
        try:
            study = cls(**{"name": settings.name_of_file(path), **content})
            found = study.unknown_names() + settings.hidden_by_axes(content)
        except StudyFileError as error:
            found = error.mistakes
        if found:
            raise StudyFileError(path, mistakes.with_lines(found, text))
        return study

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], *, trust: bool = False, where: object = None
    ) -> Self:
        """The study that a results folder tells of; its task and model must go by name.

        Raises UsageError where they were Python objects, which a folder cannot hold. Raises
        UntrustedError, before anything is imported, where names are not Gridscape's own: unless
        this user trained this very study with the same code, or ``trust`` is given.
        """
        if not isinstance(record, Mapping):
            expected = "what ResolvedStudy.record tells"
            raise UsageError("no record of a study", expected=expected, found=short(record))
        objects = record.get("objects", [])
        if objects is not None and (not isinstance(objects, list) or objects):
            if not isinstance(objects, list) or not all(isinstance(n, str) for n in objects):
                expected = "names of parts"
                raise UsageError(
                    "wrong type", where="objects", expected=expected, found=short(objects)
                )
            found = told_objects(record)
            raise UsageError(
                f"the {' and the '.join(objects)} of this study came from Python",
                where=_where(record.get("name", "study")),
                found=cut(found, 120),
                hint="hand the study in as well",
            )
        reach.check(record, trust=trust, where=where)
        record = _up_to_date(record)
        given = {name: record[name] for name in cls.model_fields if name in record}
        return cls(**{**given, "metrics": record.get(MEASURED)})

    def override(self, axes: Mapping[str, Iterable[Value]] | None = None, **values: Any) -> Self:
        """The same study with other values; an axis given here replaces or joins its axes.

        Values that are None are left as they are. A new task drops the options of the old one;
        the embedded "digits" come in the layout (rows, flat, image) of the task that they replace.
        Raises UsageError for a value that an axis of the study would hide.
        """
        if axes is not None and not isinstance(axes, Mapping):
            expected = "a table of axes"
            raise UsageError("wrong type", where="axes", expected=expected, found=short(axes))
        content = {name: getattr(self, name) for name in type(self).model_fields}
        given = {name: value for name, value in values.items() if value is not None}
        content |= budgets.without_others({*given, *(axes or {})})
        if "task" in given:
            given["task"] = in_layout_of(self.task, given["task"])
        if "task" in given and not _is_same_part(given["task"], self.task):
            content["task_options"] = {}
        merged: dict[str, Any] = {**self.axes, **(axes or {})}
        for name in given:
            if name in merged:
                raise UsageError(
                    f"{name} is an axis of this study",
                    where=_where(self.name),
                    hint=f"set its values instead: {name}={short(given[name])}",
                )
        if self.grids and axes and "grids" not in given:
            merged, given["grids"] = grids.with_values(self.axes, self.grids, axes)
        return type(self)(**{**content, **given, "axes": merged})

    @property
    def grid(self) -> Grid:
        """What the axes span: all cells, and between sub-grids the holes."""
        return Grid(tuple(Axis(name, tuple(values)) for name, values in self.axes.items()))

    def cells(self) -> list[Cell]:
        """The cells to train, in the order of the grid: all of it, or the union of its grids."""
        grid = self.grid
        return subgrids.cells(self.grids, grid.axes) if self.grids else grid.cells()

    def keeps(self, cell: Cell) -> bool:
        """Whether the parameters of a cell's trials are stored when they end."""
        chosen = self.keep_parameters
        if isinstance(chosen, str):
            return chosen != "none"  # which cells are best shows at the end
        return any(all(same(cell[n], v) for n, v in wanted.items()) for wanted in chosen)

    def unknown_names(self) -> list[str]:
        """One line per unknown name, and per option that the task or the model does not accept."""
        return unknown_names({name: getattr(self, name) for name in type(self).model_fields})

    def resolve(self, data_dir: str | Path | None = None) -> "ResolvedStudy":
        """Load the task, look the parts up, and check that every cell can be trained.

        Raises StudyFileError with every mistake at once, DataError, ModelError.
        """
        if found := self.unknown_names():
            raise StudyFileError(_where(self.name), found)
        require_addresses()  # checking a model may start JAX
        return ResolvedStudy(self, self.load_tasks(data_dir))

    @property
    def task_axes(self) -> tuple[str, ...]:
        """The axes that are options of the task: the study trains on one task for each value."""
        options = task_options(self.task)
        return tuple(name for name in self.axes if name in options)

    def load_tasks(self, data_dir: str | Path | None = None) -> dict[tuple[Value, ...], Task]:
        """The task for each choice of values of the task axes; raises UsageError, DataError."""
        names = self.task_axes
        chosen: Iterable[tuple[Any, ...]]
        chosen = itertools.product(*(self.axes[name] for name in names))
        if self.grids and names:
            chosen = dict.fromkeys(tuple(cell[n] for n in names) for cell in self.cells())
        return {
            values: with_metrics(
                load_task(self.task, {**self.task_options, **_set(names, values)}, data_dir),
                self.metrics,
            )
            for values in chosen
        }


def _set(names: Iterable[str], values: Iterable[Value | None]) -> dict[str, Value]:
    """Values by name, without those that are unset."""
    return {n: v for n, v in zip(names, values, strict=True) if v is not None}


@dataclass(frozen=True)
class Recipe:
    """What one cell trains: a static part, which is compiled, and traced numbers.

    ``static`` is plain data; cells with equal ``static`` share a program, which is named by a hash
    of it. ``weights`` is the part of it that the initial weights depend on: the model, not the
    optimizer, so that optimizers are compared from the same start.
    """

    static: Mapping[str, Any]
    program: str = field(kw_only=True)
    weights: Mapping[str, Any]
    model: Model
    optimizer: Optimizer
    batch_size: int
    updates: int
    hyper: Mapping[str, float]
    loss: Callable[[Any, Any], Any] = cross_entropy
    sampling: str = "epochs"
    smoothed: Smoothed | None = None
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)  # of its resolved study


@dataclass(frozen=True)
class ResolvedStudy:
    """A study whose tasks are loaded and whose parts are known to fit.

    ``tasks`` holds one task for each choice of values of the study's task axes.
    """

    study: Study
    tasks: Mapping[tuple[Value, ...], Task]

    def __post_init__(self) -> None:
        cells = self.first_cells()
        names = [*self._taken_names(), *self._metrics_of_two_meanings(), *self._no_validation()]
        names += [*self._no_resampling(), *self._twice()]
        errors = [*names, *(e for cell in cells for e in self._errors(cell))]
        found = list(dict.fromkeys(map(str, errors)))
        if len(found) == 1 and isinstance(errors[0], ModelError):
            raise errors[0]
        if found:
            raise StudyFileError(_where(self.study.name), found)

    @property
    def task(self) -> Task:
        """The task, or the first of those that an axis chooses among."""
        return next(iter(self.tasks.values()))

    def task_of(self, cell: Cell) -> Task:
        """The task that a cell is trained on."""
        chosen: list[Any] = [cell.get(name) for name in self.study.task_axes]
        return self.tasks[tuple(chosen)]

    @cached_property
    def meanings(self) -> dict[str, Meaning]:
        """What the metrics of all tasks mean, by name, the main one first."""
        of_tasks = (task.meanings for task in self.tasks.values())
        return merged(of_tasks, _where(self.study.name))

    @cached_property
    def factory(self) -> Callable[..., Any]:
        """The model's factory, from its name, import string or object."""
        return model_factory(self.study.model)

    @cached_property
    def memo(self) -> Memo:
        """What JAX has found out about the functions of this study."""
        return Memo()

    @cached_property
    def identity(self) -> str:
        """What tells the model apart from others in keys."""
        return model_identity(self.study.model)

    @cached_property
    def traced(self) -> frozenset[str]:
        """The names of the hyperparameters that are only numbers to the program."""
        axes, study = self.study.axes, self.study
        parts = [part or study.optimizer for part in axes.get("optimizer", [study.optimizer])]
        used = itertools.product(parts, axes.get(SCHEDULE, [study.schedule]))
        names = {name for part in used for name in self._optimizer(*part).hyperparameters}
        return frozenset(names | set(declared(self.factory).hyperparameters))

    @cached_property
    def default_options(self) -> dict[str, Any]:
        """The options of the model's factory with their defaults; objects stay its own affair."""
        defaults = {name: p.default for name, p in model_options(self.factory).items()}
        return {name: v for name, v in defaults.items() if isinstance(v, bool | int | float | str)}

    def _taken_names(self) -> Iterator[UsageError]:
        """Axes whose names the tasks' metrics or kinds of examples have in the landscape."""
        for task in self.tasks.values():
            for name in set(of_task(task.metrics, task.groups and task.groups.name)):
                if name in self.study.axes:
                    yield UsageError(
                        f"no name for an axis: task {task.name} has a metric, or a kind of example,"
                        " of this name",
                        where=f"axes.{name}",
                        hint="rename one of them",
                    )

    def _metrics_of_two_meanings(self) -> list[UsageError]:
        try:
            self.meanings  # noqa: B018
        except UsageError as error:
            return [error]
        return []

    @property
    def n_examples(self) -> dict[str, int]:
        """Test and validation examples, of the task that has the fewest; 0 where one has none."""
        validations = (task.validation for task in self.tasks.values())
        return {
            "test": min(task.test.n_examples for task in self.tasks.values()),
            "validation": min(split.n_examples if split else 0 for split in validations),
        }

    @property
    def selection(self) -> Literal["validation", "test"]:
        """The set by which the best is chosen: "validation" or "test"."""
        default: Literal["validation", "test"] = (
            "validation" if self.n_examples["validation"] else "test"
        )
        return self.study.selection or default

    def _no_validation(self) -> Iterator[UsageError]:
        """Tasks without the validation set by which the study would choose."""
        for task in self.tasks.values():
            if self.study.selection == "validation" and task.validation is None:
                yield UsageError(
                    f"task {task.name} has no validation set",
                    where="selection",
                    expected="test",
                    found="validation",
                    hint="or give the task one (of images: the option validation = 0.1)",
                )

    def _no_resampling(self) -> Iterator[UsageError]:
        """Tasks whose examples cannot be divided anew, though the study asks for it."""
        for task in self.tasks.values() if self.study.resample else ():
            if why := task.why_not_resampled:
                yield UsageError(
                    f"task {task.name} {why}",
                    where="resample",
                    expected="a task of fixed training and test examples, or one that has redraw",
                    hint='leave out resample = "split"',
                )

    def _twice(self) -> Iterator[UsageError]:
        """Two cells of sub-grids that train one and the same, as where a default is written out."""
        seen: dict[Any, Cell] = {}
        for cell in self.study.cells() if self.study.grids else ():
            try:
                recipe = self.recipe(cell)
            except (UsageError, ModelError):  # told of the first cell of its kind
                continue
            first = seen.setdefault((recipe.program, *recipe.hyper.items()), cell)
            if first is not cell:
                yield UsageError(
                    "two cells are the same training: where one has a default, the other names it",
                    where="grids",
                    found=f"{first}; {cell}",
                    hint="leave one of them out",
                )
                return

    def _errors(self, cell: Cell) -> list[UsageError | ModelError]:
        """What keeps a cell from being trained, found by the shapes of its parts."""
        try:
            recipe = self.recipe(cell)
            task = self.task_of(cell)
            train = task.train
            if not isinstance(train, Stream) and recipe.batch_size > train.n_examples:
                raise UsageError(
                    "larger than the training set",
                    where="batch_size",
                    expected=f"at most {train.n_examples}",
                    found=recipe.batch_size,
                )
            check_fit(recipe.model, recipe.hyper, recipe.loss, task, self.memo)
            check_batch(recipe.model, recipe.hyper, task, recipe.batch_size)
        except (UsageError, ModelError) as error:
            return [error]
        return []

    def first_cells(self) -> list[Cell]:
        """One cell of each static part."""
        static_axes = [axis for axis in self.study.axes if axis not in self.traced]
        first = {tuple(c[a] for a in static_axes): c for c in reversed(self.study.cells())}
        return list(reversed(first.values()))

    def recipe(self, cell: Cell) -> Recipe:
        """What this cell trains."""
        told = [(name, value) for name, value in cell.items() if value is not None]
        static = Cell(tuple(item for item in told if item[0] not in self.traced))
        further = self._further_of(cell)
        key = (static, tuple(extra.flag for extra in further))
        if key not in self._recipes:
            self._recipes[key] = self._static_recipe(static, further)
        recipe, numbers = self._recipes[key], dict(told)
        hyper = {name: float(numbers.get(name, number)) for name, number in recipe.hyper.items()}
        return replace(recipe, hyper=hyper)

    @cached_property
    def _recipes(self) -> dict[tuple[Cell, tuple[str, ...]], Recipe]:
        """By static part: reading a user's code to tell it apart takes a millisecond."""
        return {}

    def _static_recipe(self, cell: Cell, further: Iterable[Extra]) -> Recipe:
        """What cells with these values train, with the study's own traced numbers."""
        study, task = self.study, self.task_of(cell)
        kept = [name for name in STUDY_AXES if name not in BUDGETS]
        settings = {name: cell.get(name, getattr(study, name)) for name in kept}
        schedule = cell.get(SCHEDULE, study.schedule)
        settings |= {} if schedule is None else {SCHEDULE: schedule}
        of_task = {name: cell[name] for name in study.task_axes if name in cell}
        others = {*settings, *of_task, *BUDGETS}
        chosen = {name: value for name, value in cell.items() if name not in others}
        options = {**self.default_options, **study.model_options, **chosen}
        optimizer = self._optimizer(settings["optimizer"], schedule, further)
        defaults = {**declared(self.factory).hyperparameters, **optimizer.hyperparameters}
        numbers = {**defaults, **study.hyperparameters}
        weights = {"model": self.identity, "options": options}
        identities = {
            kind: part_identity(kind, settings[kind], known)
            for kind, known in NAMES_OF.items()
            if settings[kind] is not None
        }
        model = self._model(task, options)
        loss = in_weights(load_loss(settings["loss"], task), self._weights(task))
        settings["updates"] = updates = budgets.updates_of(
            *budgets.budget_of(study, cell),
            task,
            settings["batch_size"],
            lambda: step_flops(model, optimizer, loss, task, settings["batch_size"], numbers),
        )
        length = {LENGTH: float(updates)} if optimizer.schedule else {}
        static = {**weights, **settings, **identities, "task": of_task, **self._chosen}
        return Recipe(
            static=static,
            program=content_key(static),
            weights=weights,
            model=model,
            optimizer=optimizer,
            batch_size=settings["batch_size"],
            updates=updates,
            hyper={name: float(numbers[name]) for name in defaults} | length,
            loss=loss,
            sampling=settings["sampling"],
            smoothed=smoothing_of(settings["loss"], task, self._weights(task))
            if optimizer.smooths
            else None,
            memo=self.memo,
        )

    @cached_property
    def _chosen(self) -> dict[str, Any]:
        """What tells metrics and weights apart in keys, where the study chooses them."""
        chosen, weights = self.study.metrics, self.study.class_weights
        return {
            **({} if chosen is None else {"metrics": metric_identities(chosen)}),
            **({} if weights is None else {"class_weights": weights}),
        }

    def _weights(self, task: Task) -> tuple[float, ...] | None:
        return weights_of(self.study.class_weights, task)

    @property
    def chances(self) -> dict[str, float]:
        """What guessing gives, by variable of the landscape; of several tasks the most.

        Of ``train_loss`` where all cells have one loss of which it is known: the least.
        """
        found: dict[str, float] = {}
        losses: set[float | None] = set()
        for task in self.tasks.values():
            for name, value in chances(task).items():
                found[name] = max(value, found.get(name, value))
            if "loss" not in self.study.axes:
                loss = load_loss(self.study.loss, task)
                losses.add(loss_of_guessing(task, loss, self._weights(task)))
        known = [loss for loss in losses if loss is not None]
        return found | ({"train_loss": min(known)} if known and None not in losses else {})

    def _model(self, task: Task, options: Mapping[str, Any]) -> Model:
        """The model of these options: made once, so that tasks of the same shape share programs."""
        key = (tuple(task.input_shape), task.n_outputs, content_key(options))
        if key not in self._models:
            made = make_model(self.factory, task, options)
            self._models[key] = in_precision(made, self.study.precision)
        return self._models[key]

    @cached_property
    def _models(self) -> dict[tuple[Any, ...], Model]:
        return {}

    def _optimizer(
        self, part: Any, schedule: Any, further: Iterable[Extra] | None = None
    ) -> Optimizer:
        """The optimizer of a name or function: made once, for the same reason."""
        made = part if isinstance(part, Optimizer) else self._optimizers.get(part)
        if made is None:
            made = self._optimizers[part] = load_optimizer(part)
        return with_training(made, schedule, self._further if further is None else further)

    @cached_property
    def _further(self) -> tuple[Extra, ...]:
        return extras_of(self._asked, self.factory)

    def _further_of(self, cell: Cell) -> tuple[Extra, ...]:
        """Those of which a number is set in this cell."""
        asked = self._asked - {name for name, value in cell.items() if value is None}
        return tuple(extra for extra in self._further if asked & {*extra.numbers})

    @cached_property
    def _asked(self) -> set[str]:
        return {*self.study.axes, *self.study.hyperparameters}

    @cached_property
    def _optimizers(self) -> dict[Any, Optimizer]:
        return {}

    def trials(
        self,
        chosen: Mapping[Cell, Iterable[int]] | None = None,
        *,
        semantics: int = SEMANTICS,
    ) -> list[Trial]:
        """Every cell with every replicate; the key is a hash of all that determines the result.

        chosen: these cells of the grid with these replicates instead. semantics: of the folder in
        which the keys are looked up; those of earlier ones are others.
        """
        if chosen is None:
            chosen = dict.fromkeys(self.study.cells(), range(self.study.replicates))
        return [
            Trial(cell, replicate, content_key({**content, "replicate": replicate}))
            for cell, replicates in chosen.items()
            for content in [self._content(cell, semantics)]
            for replicate in replicates
        ]

    def _content(self, cell: Cell, semantics: int) -> dict[str, Any]:
        recipe = self.recipe(cell)
        sample = {"evaluation_sample": self.study.evaluation_sample} if semantics > 1 else {}
        return {
            "semantics": semantics,
            "task": self.task_of(cell).fingerprint,
            "static": recipe.static,
            "hyper": recipe.hyper,
            "seed": self.study.seed,
            "precision": self.study.precision,
            "evaluations": self.study.evaluations,
            "evaluation_examples": self.study.evaluation_examples,
            **sample,
            # Not where there is none: those keys stay as they were before there was a choice.
            **({"resample": self.study.resample} if self.study.resample else {}),
        }

    def record(self) -> dict[str, Any]:
        """The study as plain data, for the results folder."""
        study = self.study
        plain = {name: getattr(study, name) for name in type(study).model_fields}
        # Not in the record of a study whose axes span all of its cells, nor other lengths.
        for name in (n for n in ("grids", "zip", "epochs", "examples", "flops") if not plain[n]):
            del plain[name]
        objects = [name for name in PARTS if not isinstance(plain[name], str | None)]
        chosen = study.metrics
        measured = {name: recorded(part) for name, part in (chosen or {}).items()}
        given = [*objects, *(["metrics"] if measured != (chosen or {}) else [])]
        named = {"task": self.task.name, "model": self.identity} | {
            kind: part_identity(kind, plain[kind], known)
            for kind, known in NAMES_OF.items()
            if kind in objects
        }
        return {
            **plain,
            **{name: named[name] for name in objects},
            **({"objects": given} if given else {}),
            **self._groups(),
            **({} if chosen is None else {MEASURED: measured}),
            "selection": self.selection,
            "n_examples": self.n_examples,
            "metrics": to_record(self.meanings),
            "guessing": max(task.guessing for task in self.tasks.values()),
            "chances": self.chances,
            **self._of_data(),
            # Not where an axis chooses the task: the folder may then grow by further tasks.
            "task_fingerprint": None if study.task_axes else self.task.fingerprint,
            "model_identity": self.identity,
            "semantics": SEMANTICS,
        }

    def _of_data(self) -> dict[str, Any]:
        """What classes are called, where all tasks call them so, and what is told of the data."""
        names = {task.classes for task in self.tasks.values()}
        (classes,) = names if len(names) == 1 else ((),)
        tasks = self.tasks.values()
        told = dict.fromkeys(line for t in tasks for line in (*t.told, *told_of_classes(t)))
        return {
            **({"classes": list(classes)} if classes else {}),
            **({"told": list(told)} if told else {}),
        }

    def _groups(self) -> dict[str, Any]:
        """The kinds of examples of all tasks, and of each where an axis chooses among them."""
        if self.task.groups is None:
            return {}
        name, axes = self.task.groups.name, self.study.task_axes
        if not axes:
            return {"groups": [name, list(self.task.groups.values)]}
        kinds_of = {chosen: t.groups.values for chosen, t in self.tasks.items() if t.groups}
        return {
            "groups": [name, sorted({kind for kinds in kinds_of.values() for kind in kinds})],
            "groups_of": [
                [dict(zip(axes, chosen, strict=True)), list(kinds)]
                for chosen, kinds in kinds_of.items()
            ],
        }


def _is_same_part(one: object, other: object) -> bool:
    return one == other if isinstance(one, str) and isinstance(other, str) else one is other


def told_objects(record: Mapping[str, Any]) -> str:
    """The parts of a record that came from Python as objects, as it tells of them."""
    parts = {**record, "metrics": record.get(MEASURED)}
    found = [parts.get(name) for name in record["objects"]]
    each = [list(p.values()) if isinstance(p, dict) else [p] for p in found]
    return ", ".join(str(text) for texts in each for text in texts)


def _up_to_date(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record of a folder as this version says it: one of semantics 1 had no validation set."""
    semantics, task, options = (record.get(n) for n in ("semantics", "task", "task_options"))
    if not isinstance(semantics, int) or semantics != 1 or not isinstance(options, Mapping | None):
        return record
    known = task_options(task) if isinstance(task, str) and task in tasks.NAMES else {}
    none = {name: 0 for name in ("n_validation", "n_validation_per_length") if name in known}
    return {
        **record,
        "evaluation_sample": "first",
        "task_options": {**none, **(options or {})},
    }


def _where(name: object) -> str:
    if isinstance(name, str):
        return "study" if name == "study" else f"study {cut(name, 60)}"
    return f"study {short(name)}"
