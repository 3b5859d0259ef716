"""The names in a landscape: those that every one has, those of a task's metrics, those left free.

The landscape is built from these, and no axis, metric or kind of example may take one of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from gridscape.errors import UsageError, short

STUDY = r"[A-Za-z0-9][A-Za-z0-9._-]*"  # what a study may be called: also the name of a folder

REPLICATE, COLLAPSED = "replicate", "collapsed"
FACTS = ("seconds", "flops", "n_parameters", "memory_bytes", "updates", "first_bad_update")
TEXTS = ("status", "key", "reason")
# What every classification task has: the variables of a study of which nothing has ended yet.
METRICS = ("test_accuracy", "test_loss", "train_accuracy", "train_loss", "top_answer_share")
CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
# Along which curves run, and under which name a trial stores its points.
CLOCKS = {"update": "recorded_at", "evaluated_at": "evaluated_at"}
# A study may have this fact as an axis, whose values then tell it.
AXIS_AS_WELL = ("updates",)
# The class that most test examples are given, and their share: at the end and along the training.
TOP_ANSWER, TOP_SHARE, TOP_CLASS = "top_answer", "top_answer_share", "top_class"
# Of numbers: the spread of the answers to the test examples over that of their targets. Below
# CONSTANT a network answers a constant: it explains less than 1 in 10,000 of the variance.
ANSWER_SPREAD, CONSTANT = "answer_spread", 0.01
OPTAX = "optax:"
# What is told of test examples alone.
ANSWERS = (TOP_ANSWER, TOP_SHARE, ANSWER_SPREAD)
# What the evaluation of a task finds beside its metrics.
EVALUATED = ("loss", "answers", "moments", *ANSWERS)

# A task may have no validation set, and folders of long ago tell nothing of it.
TEST, VALIDATION, TRAIN = "test", "val", "train"
SPLITS = (TEST, VALIDATION, TRAIN)
T = TypeVar("T")


@dataclass(frozen=True)
class Variable:
    """What a variable of a landscape holds: the loss or a metric of a split.

    group: the kind of test example by which it is told apart. is_curve: along the training,
    instead of at its end.

    >>> str(Variable("test", "accuracy", group="length"))
    'test_accuracy_by_length'
    >>> Variable.parse("curve_train_wins_by_margin")
    Variable(split='train', metric='wins_by_margin', group=None, is_curve=True)
    """

    split: str
    metric: str
    group: str | None = None
    is_curve: bool = False

    @classmethod
    def parse(cls, name: str, kind: str | None = None) -> Self | None:
        """The variable of this name; None for a name that is none.

        kind: by which the task tells its examples apart; no metric ends in it.
        """
        whole = curve_of(name) or name
        split, _, metric = whole.partition("_")
        if split not in SPLITS or not metric:
            return None
        group = kind if is_by(metric, kind) else None
        if group is not None:
            metric = metric.removesuffix(by_kind("", group))
        return cls(split, metric, group, is_curve=whole != name)

    def __str__(self) -> str:
        metric = self.metric if self.group is None else by_kind(self.metric, self.group)
        name = f"{self.split}_{metric}"
        return curve_variable(name) if self.is_curve else name


def of_split(split: str, values: Mapping[str, T]) -> dict[str, T]:
    """Values by the names of the loss and of metrics, by those of a split's variables."""
    return {str(Variable(split, metric)): value for metric, value in values.items()}


def of_torch(name: Any) -> str | None:
    """The import string of a build in "torch:module:build"; None of any other name.

    >>> of_torch("torch:nets:build"), of_torch("nets:build")
    ('nets:build', None)
    """
    is_torch = isinstance(name, str) and name.startswith("torch:")
    return name.removeprefix("torch:") if is_torch else None


def is_of_optax(name: Any) -> bool:
    """Whether an optimizer is named as a rule of optax, "optax:lion": looked up in optax alone."""
    return isinstance(name, str) and name.startswith(OPTAX)


def is_one_answer(share: Any, spread: Any) -> Any:
    """Whether a network answers one and the same for everything: NaN is not known, and not so."""
    return (share == 1.0) | (spread < CONSTANT)


def curve_variable(curve: str) -> str:
    """The variable of a curve, which is named as the variable of its end."""
    return f"curve_{curve}"


def curve_of(variable: str) -> str | None:
    """The curve that a variable holds; None for any other."""
    return variable.removeprefix("curve_") if variable.startswith("curve_") else None


def by_kind(metric: str, kind: str) -> str:
    """The name of a metric, or of its variable, that is told apart by a kind of example."""
    return f"{metric}_by_{kind}"


def is_by(name: str, kind: str | None) -> bool:
    """Whether a name tells of a metric by this kind of example."""
    return kind is not None and name.endswith(by_kind("", kind))


# Beside METRICS and CURVES: what only some classification tasks have.
FURTHER = ("val_accuracy", "val_loss", TOP_ANSWER, TOP_CLASS, ANSWER_SPREAD)
FURTHER_CURVES = ("val_loss", "val_accuracy", *ANSWERS)
RESERVED = frozenset(
    (
        *(REPLICATE, COLLAPSED, *FACTS, *TEXTS, *METRICS, *FURTHER, *CLOCKS),
        *map(curve_variable, (*CURVES, *FURTHER_CURVES)),
    )
)


def of_task(metrics: Iterable[str], kind: str | None = None) -> list[str]:
    """The names that a task's loss, metrics and kind of example have in its landscape.

    >>> [name for name in of_task(["hit"], "length") if "test_hit" in name or "val_hit" in name]
    ['test_hit', 'val_hit', 'curve_test_hit', 'curve_val_hit', 'test_hit_by_length']
    """
    each = ("loss", *metrics)
    finals = [Variable(split, name) for split in SPLITS for name in each]
    curves = [replace(variable, is_curve=True) for variable in finals]
    told_apart = [Variable(TEST, name, kind) for name in each if kind is not None]
    return [*map(str, (*finals, *curves, *told_apart)), *([kind] if kind else [])]


def finals_of(metrics: Iterable[str], validated: bool = False) -> list[str]:
    """The variables of a study of which nothing has ended yet, the main one first.

    validated: whether its tasks have a validation set.

    >>> finals_of(["hit"])
    ['test_hit', 'test_loss', 'train_hit', 'train_loss', 'top_answer', 'top_answer_share']
    """
    each = (*metrics, "loss")
    splits = [split for split in SPLITS if validated or split != VALIDATION]
    finals = [str(Variable(split, name)) for split in splits for name in each]
    return [*finals, TOP_ANSWER, TOP_SHARE]


def main_of(metrics: Iterable[str]) -> str:
    """The variable that is spoken of where none is named: of the first metric, else of the loss."""
    return finals_of(metrics)[0]


def check_name(name: Any, what: str, where: str) -> None:
    """Raise UsageError for a name that could not be shown, exported or found again."""
    is_text = isinstance(name, str) and name == name.strip() != "" and name.isprintable()
    if not is_text or "/" in name or set(name) == {"."}:
        expected = "printable text without '/'"
        raise UsageError(f"no name for {what}", where=where, expected=expected, found=short(name))


def check_axis(name: str) -> None:
    """Raise UsageError unless an axis may have this name."""
    check_name(name, "an axis", "axes")
    if set(name) & set("=,"):  # of --set and --cell
        expected = "no '=' and no ','"
        raise UsageError("no name for an axis", where="axes", expected=expected, found=short(name))
    if name in RESERVED and name not in AXIS_AS_WELL:
        raise UsageError(
            "no name for an axis: every landscape has something of this name",
            where=f"axes.{name}",
            hint="rename the model's or the task's option or number",
        )


def may_be_axis(name: str) -> bool:
    """Whether ``check_axis`` accepts a name."""
    try:
        check_axis(name)
    except UsageError:
        return False
    return True


def check_task_names(metrics: Mapping[Any, Any], kind: Any, where: str) -> None:
    """Raise UsageError unless a task's metrics and its kind of example have names of their own."""
    for name in metrics:
        check_name(name, "a metric", where)
    if kind is not None:
        check_name(kind, "a kind of example", where)
    ours = RESERVED.union(of_task(metrics))
    taken = {name for name in metrics if name in EVALUATED or is_by(name, kind)}
    taken |= {kind} & ours
    if taken:
        raise UsageError(
            "a name of a metric or kind of example that is taken",
            where=where,
            found=", ".join(sorted(taken)),
            hint="rename it",
        )
