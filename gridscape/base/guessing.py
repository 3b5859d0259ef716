"""What guessing gives: the line of chance of a metric, the loss of who knows the shares alone."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gridscape.base import regression
from gridscape.base.classes import GUESSED
from gridscape.base.data import Split
from gridscape.base.foreign import of_others
from gridscape.base.metrics import accuracy, cross_entropy, top_class
from gridscape.base.ranking import guessed_of_top, mean_area, top
from gridscape.errors import UsageError, one_line
from gridscape.grid.names import TEST, TRAIN, VALIDATION, Variable, of_split

if TYPE_CHECKING:
    from gridscape.base.task import Task

ERRORS = ("rmse", "mae", "r2")  # of base/regression.py
UNEQUAL = 1.5  # times the share that equal classes have


def chances(task: "Task") -> dict[str, float]:
    """What answering the largest class of a set always gives, by variable of a landscape.

    Of accuracy that is the share of the class. Of numbers it is what answering the mean of the
    training part gives. Metrics of which nothing is known are left out.
    """
    known: dict[Any, Callable[[np.ndarray], Any]] = {accuracy: np.max, **GUESSED}
    known[mean_area] = lambda shares: 0.5
    known |= {top(k).function: guessed_of_top(k) for k in range(1, task.n_outputs + 1)}
    sets = {TEST: task.test, VALIDATION: task.validation, TRAIN: task.train_examples}
    found: dict[str, float] = {}
    for split, examples in sets.items():
        if examples is not None and task.numbers:
            found |= of_split(split, _of_numbers(task, np.asarray(examples.targets)))
        shares = None if examples is None else class_shares(task, examples)
        if shares is None:
            continue
        for name, metric in task.measured.items():
            if guessed := known.get(metric.of_set or metric.of_mean or metric.function):
                found[str(Variable(split, name))] = float(guessed(shares))
    return found


def _of_numbers(task: "Task", targets: np.ndarray) -> dict[str, float]:
    """By metric of errors; the mean of standardized targets is 0."""
    errors = {name: m for name, m in task.measured.items() if m.root or name in ERRORS}
    mean: Any = np.zeros_like(targets)
    each = {name: np.asarray(m(mean, targets), np.float64).mean() for name, m in errors.items()}
    return {name: float(x**0.5 if errors[name].root else x) for name, x in each.items()}


def class_shares(task: "Task", examples: Split) -> np.ndarray | None:
    """The share of each class in a set, (C,); None where the task has no classes."""
    if task.answer is not top_class or task.per_step:
        return None
    try:
        with of_others():
            classes: Any = np.asarray(task.truth(examples.targets))
    except Exception as error:  # a user's function may raise anything
        where = f"task {task.name}, truth"
        raise UsageError(
            "the classes cannot be told", where=where, found=one_line(error)
        ) from error
    if classes.shape != (examples.n_examples,) or classes.dtype.kind not in "iub":
        return np.full(task.n_outputs, 1 / task.n_outputs)
    counts = np.bincount(classes, minlength=task.n_outputs)
    return counts / counts.sum()


def told_of_classes(task: "Task") -> list[str]:
    """That a set is mostly of one class, in a line: its accuracy says little; none where not so."""
    shares = class_shares(task, task.test)
    if shares is None or shares.max() <= UNEQUAL / task.n_outputs:
        return []
    share, name = 100 * shares.max(), task.class_names[int(shares.argmax())]
    return [
        f"{share:.1f} % of the test examples are of class {name!r}, which answered always is"
        " as accurate"
    ]


def loss_of_guessing(task: "Task", loss: Any, weights: tuple[float, ...] | None) -> float | None:
    """The training loss of answering the shares of the classes, or the mean of the numbers.

    weights: of the classes, where the loss has some. None of a loss of which it is not known, and
    where one class alone counts: who guesses it has no loss.
    """
    if task.numbers:
        return 1.0 if loss is regression.mse else None
    shares = class_shares(task, task.train_examples)
    if shares is None or (loss is not cross_entropy and weights is None):
        return None
    parts = shares if weights is None else shares * np.asarray(weights)
    if np.count_nonzero(parts > 0) < 2:
        return None
    parts = parts[parts > 0] / parts.sum()
    return float(-(parts * np.log(parts)).sum())
