"""Unknown names and options in a study, with the nearest known ones."""

import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from gridscape.base.parts import Optimizer, declared
from gridscape.errors import UnknownNameError, UsageError
from gridscape.grid.axes import same, show
from gridscape.grid.names import may_be_axis
from gridscape.grid.subgrids import ZIP, Table, is_set
from gridscape.optimizers.extras import Extra
from gridscape.optimizers.schedules import SCHEDULES
from gridscape.study import synonyms
from gridscape.study.numbers import number_mistakes
from gridscape.study.parts import (
    extras_of,
    load_object,
    load_optimizer,
    model_factory,
    model_options,
    task_options,
    with_training,
)
from gridscape.study.settings import SCHEDULE, STUDY_AXES
from gridscape.tasks import losses

# What is unknown where a study has no schedule.
OF_SCHEDULES = {
    "warmup": 'read by a schedule of the learning rate: schedule = "constant", or another one',
    "final": 'read by a schedule of the learning rate: schedule = "cosine", or another one',
}


def unknown_names(study: Mapping[str, Any]) -> list[str]:
    """One line per unknown name, and per option that the task or the model does not accept.

    ``study`` may have other mistakes: parts that cannot be checked because of them are skipped.
    """
    tables = study.get("grids") or []
    if tables:
        study = _told(study)
    found = [
        *_task_mistakes(study),
        *_loss_mistakes(study),
        *_metric_mistakes(study),
        *_model_mistakes(study),
        *number_mistakes(study, imports=True),
        *_kept_mistakes(study),
    ]
    return _of_grids(found, tables) if tables else found


def _told(study: Mapping[str, Any]) -> dict[str, Any]:
    """The study with what its grids leave unset taken from it, where it says anything."""
    axes = {}
    for name, values in _table(study, "axes").items():
        instead = study.get(name) if name in ("optimizer", SCHEDULE) else None
        told = [instead if value is None else value for value in values]
        axes[name] = told if name == SCHEDULE else [v for v in told if v is not None]
    return {**study, "axes": {name: values for name, values in axes.items() if values}}


def _of_grids(found: Iterable[str], tables: Sequence[Table]) -> list[str]:
    """The same lines, each led by the first grid that sets the axis which it is about."""
    return [_led(line, tables) for line in found]


def _led(line: str, tables: Sequence[Table]) -> str:
    key, colon, rest = line.partition(":")
    name = key.removeprefix("axes.")
    having = {number: t[name] for number, t in enumerate(tables, start=1) if is_set(t, name)}
    lists = list(having.values())
    is_shared = len(having) == len(tables) and all(values == lists[0] for values in lists)
    if key == name or not having or is_shared:
        return line
    told = (n for n, values in having.items() if any(repr(value) in rest for value in values))
    return f"grids.{next(told, next(iter(having)))}.{name}{colon}{rest}"


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
    if "task" not in study:
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


def _metric_mistakes(study: Mapping[str, Any]) -> list[str]:
    """Those of import strings; whether a task has a metric of a name shows when it is loaded."""
    found = []
    for name, part in _table(study, "metrics").items():
        try:
            if isinstance(part, str) and ":" in part:
                load_object("metric", part, {}, f"metrics.{name}")
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
    numbers = set(declared(factory).hyperparameters)
    traced = numbers.union(*(rule.hyperparameters for rule in rules.values()))
    of_task, of_others = _options_of_task(study), {*traced, *options, *STUDY_AXES, SCHEDULE}
    return [
        *_unknown("axis", "axes", filter(may_be_axis, axes), of_task | of_others, study),
        *(
            f"axes.{name}: read by the task and not by it alone"
            for name in of_task & of_others & set(axes)
        ),
        *_unknown(
            "hyperparameter", "hyperparameters", _table(study, "hyperparameters"), traced, study
        ),
        *_option_mistakes("model", study, options, {**_table(study, "model_options"), **axes}),
        *_idle(study, axes, traced - numbers, rules),
    ]


def _idle(
    study: Mapping[str, Any],
    axes: Mapping[str, Any],
    of_rules: set[str],
    rules: Mapping[str, Optimizer],
) -> list[str]:
    """``_idle_axes``, of a study with grids in each of them."""
    tables = study.get("grids") or []
    if not tables:
        return _idle_axes(axes, of_rules, rules)
    found, known = [], dict[str, list[str]]()
    for number, table in enumerate(tables, start=1):
        own = {name: table[name] for name in table if name != ZIP and is_set(table, name)}
        of_training = {name: own.get(name) for name in ("optimizer", SCHEDULE)}
        alike = repr((of_training, sorted(own)))  # of very many grids, most are
        if alike not in known:
            known[alike] = _idle_axes(own, of_rules, _optimizers(study, own)[0] or {})
        lines = known[alike]
        found += [f"grids.{number}{line.removeprefix('axes')}" for line in lines]
    return found


def _optimizers(
    study: Mapping[str, Any], axes: Mapping[str, Any]
) -> tuple[dict[str, Optimizer] | None, list[str]]:
    """The optimizers that a study uses, None unless all are known; the mistakes in their names."""
    key = "axes.optimizer" if "optimizer" in axes else "optimizer"
    rules: dict[str, Optimizer] = {}
    found = []
    for part in axes.get("optimizer", [study["optimizer"]]):
        try:
            rules[part if isinstance(part, str) else "that is given"] = load_optimizer(part, key)
        except UsageError as error:
            found.append(str(error))
    if found:
        return None, found
    try:
        return _in_training(rules, study, axes), []
    except UsageError as error:
        return None, [str(error)]


def _in_training(
    rules: Mapping[str, Optimizer], study: Mapping[str, Any], axes: Mapping[str, Any]
) -> dict[str, Optimizer]:
    """The rules with each schedule of a study, which reads further numbers."""
    given = axes.get(SCHEDULE, [study.get(SCHEDULE)])
    known = [s for s in given if s is None or (isinstance(s, str) and s in SCHEDULES)]
    further = _further({*axes, *_table(study, "hyperparameters")}, study.get("model"))
    return {
        name + (f" with the schedule {schedule}" if schedule else ""): with_training(
            rule, schedule, further
        )
        for name, rule in rules.items()
        for schedule in known or [None]
    }


def _further(numbers: Collection[str], model: Any) -> tuple[Extra, ...]:
    try:
        return extras_of(numbers, model_factory(model))
    except UsageError:  # told where the model is looked up
        return ()


def _unknown(
    kind: str, key: str, names: Iterable[str], known: Iterable[str], study: Iterable[str] = ()
) -> list[str]:
    """One line for every name that is not known; ``study``: the keys of the study itself."""
    unknown = [name for name in names if name not in set(known)]
    of_schedules = OF_SCHEDULES if key in ("axes", "hyperparameters") else {}
    hints = {
        name: of_schedules.get(name) or synonyms.hint(name, key, known, study) for name in unknown
    }
    return [
        str(UnknownNameError(kind, name, known, where=f"{key}.{name}", hint=hints[name]))
        for name in unknown
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
        *_unknown(f"{kind} option", key, _table(study, key), known, study),
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


def _table(study: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A table of the study; empty where it is none, and without axes that are no lists."""
    found = study.get(key)
    if not isinstance(found, Mapping):
        return {}
    return {k: v for k, v in found.items() if key != "axes" or isinstance(v, list)}
