"""What may be an axis of a study: its settings, options of its parts, numbers that they read."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gridscape.base.parts import declared
from gridscape.grid.axes import show
from gridscape.grid.names import may_be_axis
from gridscape.optimizers.extras import LIMITS as OF_TRAINING
from gridscape.optimizers.schedules import SCHEDULES
from gridscape.study.parts import (
    load_object,
    load_optimizer,
    model_factory,
    model_options,
    task_options,
)
from gridscape.study.settings import SAMPLINGS, SCHEDULE, STUDY_AXES
from gridscape.study.study import Study
from gridscape.tasks import NAMES as TASKS
from gridscape.tasks import losses

OF_STUDY = {
    "optimizer": "a rule by name, or optax:NAME",
    "batch_size": "examples of an update",
    "sampling": " or ".join(SAMPLINGS),
    "updates": "how long each network is trained",
    "epochs": "the same, in passes over the training part",
    "examples": "the same, in examples",
    SCHEDULE: "how the learning rate changes: " + ", ".join(SCHEDULES),
}


@dataclass(frozen=True)
class KnownAxis:
    """A name that may be an axis of a study.

    of: what reads it: "study", "task", "model", "optimizer", "training". is_traced: a new value
    compiles nothing. default: what it has where it is no axis, as text. values: those that the
    study varies it over, else (). meaning: in words, from the docstring of what reads it.
    """

    name: str
    of: str
    is_traced: bool
    default: str
    values: tuple[Any, ...]
    meaning: str


def known_axes(study: Study) -> tuple[KnownAxis, ...]:
    """Every name that may be an axis of a study, those that it varies first.

    Raises UsageError for a part that cannot be loaded.
    """
    found: dict[str, KnownAxis] = {}
    for axis in _known(study):
        if may_be_axis(axis.name):
            found.setdefault(axis.name, axis)
    return tuple(sorted(found.values(), key=lambda axis: not axis.values))


def _known(study: Study) -> Iterator[KnownAxis]:
    set_to = {**study.task_options, **study.model_options, **study.hyperparameters}

    def axis(name: str, of: str, default: Any, meaning: str, traced: bool = False) -> KnownAxis:
        told = set_to.get(name, default)
        is_plain = isinstance(told, bool | int | float | str)
        values = tuple(study.axes.get(name, ()))
        return KnownAxis(name, of, traced, show(told) if is_plain else "", values, meaning)

    for name in (*STUDY_AXES, SCHEDULE):
        meaning = _losses(study) if name == "loss" else OF_STUDY[name]
        yield axis(name, "study", getattr(study, name, None), meaning)
    factory, task = model_factory(study.model), study.task
    of_task = load_object("task", task, TASKS) if isinstance(task, str) else task
    for name, option in task_options(task).items():
        yield axis(name, "task", option.default, explained(of_task, name))
    for name, option in model_options(factory).items():
        yield axis(name, "model", option.default, explained(factory, name))
    for name, number in dict(declared(factory).hyperparameters).items():
        yield axis(name, "model", number, explained(factory, name), traced=True)
    for part in study.axes.get("optimizer", (study.optimizer,)):
        for name, number in dict(load_optimizer(part).hyperparameters).items():
            yield axis(name, "optimizer", number, "", traced=True)
    for name in OF_TRAINING:
        yield axis(name, "training", None, "", traced=True)


def _losses(study: Study) -> str:
    """What the losses that a study names mean."""
    named = [loss for loss in study.axes.get("loss", (study.loss,)) if loss in losses.NAMES]
    return "; ".join(
        f"{name}: {first_sentence(load_object('loss', name, losses.NAMES))}" for name in named
    )


def explained(part: Any, name: str) -> str:
    """What the docstring of a part says of one of its options; "" where it says nothing."""
    doc = inspect.getdoc(part) or ""
    found = re.search(rf"^(?:\w+, )*{name}(?:, \w+)*: (.+(?:\n +.+)*)", doc, re.MULTILINE)
    return " ".join(found[1].split()).rstrip(".") if found else ""


def first_sentence(part: Any) -> str:
    """The first sentence of a docstring, without shapes."""
    text = (inspect.getdoc(part) or "").split("\n\n")[0]
    sentence = " ".join(text.split()).partition(". ")[0]
    return re.sub(r": \(B.*", "", sentence).rstrip(".")
