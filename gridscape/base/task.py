"""Data, loss and metrics: what is learned."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar, get_args

import numpy as np

from gridscape.base._arrays import check_splits
from gridscape.base._own import table_parts
from gridscape.base._own_arrays import array_parts, given_parts, told_of_lacking, told_of_repeats
from gridscape.base._own_sequences import preparing
from gridscape.base._own_steps import step_parts
from gridscape.base.data import Groups, Sequences, Split, Stream, as_float
from gridscape.base.guessing import class_shares
from gridscape.base.metrics import (
    Metric,
    accuracy,
    cross_entropy,
    declared,
    targets_themselves,
    top_class,
    warn_of_doubt,
)
from gridscape.base.own import ArrayOptions, PictureOptions, TableOptions, checked_options
from gridscape.base.samples import SEED, held_out
from gridscape.base.shapes import prepared
from gridscape.base.types import Array
from gridscape.data.pictures import read_pictures
from gridscape.data.tables import as_table
from gridscape.errors import UsageError, check_numbers, check_whole
from gridscape.grid.meanings import FRACTION, Meaning
from gridscape.grid.names import check_task_names
from gridscape.identity.code import code_identity, fingerprint

T = TypeVar("T", bound="Task")


@dataclass(frozen=True, eq=False)
class Task:
    """Data, loss and metrics.

    ``train`` holds the examples, or draws fresh ones without end.
    ``prepare`` maps stored inputs (B, ...) to what the model reads, (B, *input_shape), float32.
    ``loss(outputs, targets)`` and every entry of ``metrics`` give one number per example, (B,),
        not its mean; a study may choose another loss. Shapes are checked before anything trains.
    ``metrics`` holds Metrics, which say whether more is better and in which unit; the first is the
        one that is spoken of where none is named. Of a plain function more is better, without a
        unit; only "accuracy", "bit_accuracy" (fractions) and "distance" (less is better) have their
        meaning by name.
    ``per_step``: the model answers at every step, (B, T, n_outputs), instead of once, (B,
        n_outputs). Test sequences may then be longer than those of the training.
    ``answer(outputs, targets)`` gives the class of each example, (B,), by which a network that
        answers one class is found; None where there are no classes.
    ``numbers``: the targets are numbers like the outputs, (N, n_outputs), by whose spread a network
        that answers a constant is found.
    ``truth(targets)`` gives what is right: the class of each example, (B,), or one number a step,
        (B, T); ``n_steps(targets)`` how many steps of each example count, (B,), where the others
        are padding. Inspection shows them.
    ``groups`` tells the test metrics apart by a kind of example.
    ``classes`` names the classes; without it they are called by their numbers.
    ``told``: what is odd about the data, as what was left out of it, a line each: page and terminal
        repeat it.
    ``divided_by`` says by what the examples were divided into parts where that is no chance, as
        "group" or "time": replicates then draw no parts of their own.
    ``redraw(seed)`` gives the task with its fixed sets drawn by another seed, a whole number from 0
        below 2**32; for a stream, so that a study may resample it. Shapes stay.
    ``fingerprint`` is a hash of all that determines the task; it is part of every trial's key. It
        is made of data and code unless it is given.

    Inputs, and targets of every step, may be ``Sequences``, of different lengths; ``prepare`` then
    maps these, and the model is given them.

    The inputs and targets of all splits, and of a stream's sample, have the same types and shapes,
    but for N. Raises UsageError or DataCorruptError for what cannot be a task.
    """

    name: str
    train: Split | Stream
    test: Split
    input_shape: tuple[int, ...]
    n_outputs: int
    fingerprint: str = ""
    prepare: Callable[[Array], Array] = as_float
    loss: Callable[[Array, Any], Array] = cross_entropy
    metrics: Mapping[str, Metric | Callable[[Array, Any], Array]] = field(
        default_factory=lambda: {"accuracy": Metric(accuracy, "higher", FRACTION)}
    )
    validation: Split | None = None
    per_step: bool = False
    answer: Callable[[Array, Any], Array] | None = top_class
    groups: Groups | None = None
    truth: Callable[[Any], Any] = targets_themselves
    n_steps: Callable[[Any], Any] | None = None
    classes: tuple[str, ...] = ()
    numbers: bool = False
    told: tuple[str, ...] = ()
    divided_by: str = ""
    redraw: Callable[[int], "Task"] | None = None

    def __post_init__(self) -> None:
        where = f"task {self.name}"
        _check_types(self, where)
        object.__setattr__(self, "n_outputs", _whole(self.n_outputs))
        check_task_names(self.metrics, self.groups and self.groups.name, where)
        for name, metric in self.metrics.items():
            warn_of_doubt(name, metric)
        splits = {"train": self.train_examples, "test": self.test, "validation": self.validation}
        check_splits(where, {name: split for name, split in splits.items() if split is not None})
        shape = prepared(self.prepare, self.train_examples.inputs, where).shape[1:]
        if isinstance(self.train, Split) and shape != tuple(self.input_shape):
            raise UsageError(
                "prepare gives another shape", where=where, expected=self.input_shape, found=shape
            )
        if not self.fingerprint or isinstance(self.fingerprint, _Made):
            object.__setattr__(self, "fingerprint", _Made(_fingerprint(self)))

    @property
    def train_examples(self) -> Split:
        """The training examples, or the fixed sample of those that are drawn."""
        return self.train.sample if isinstance(self.train, Stream) else self.train

    @property
    def why_not_resampled(self) -> str:
        """Why replicates cannot draw splits of their own, in words; "" where they can."""
        if isinstance(self.train, Stream):
            return "" if self.redraw else "draws its training examples and has no redraw"
        if self.divided_by:
            return f"its parts are divided by {self.divided_by}"
        return "trains on its test examples" if self.train is self.test else ""

    @property
    def measured(self) -> dict[str, Metric]:
        """The metrics with what they mean, plain functions as well."""
        return {name: declared(name, metric) for name, metric in self.metrics.items()}

    @property
    def meanings(self) -> dict[str, Meaning]:
        """What the metrics mean, by name."""
        return {name: metric.meaning for name, metric in self.measured.items()}

    @property
    def guessing(self) -> float:
        """The share of the largest class of the test set; 0 where examples have no class."""
        shares = class_shares(self, self.test)
        return 0.0 if shares is None else float(shares.max())

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called: by their numbers where they have no names."""
        return self.classes or tuple(map(str, range(self.n_outputs)))

    @classmethod
    def from_arrays(
        cls,
        train: Any,
        test: Any = None,
        *,
        name: str = "arrays",
        n_outputs: int | None = None,
        validation: Any = None,
        prepare: Callable[[Array], Array] = as_float,
        split_seed: int = 0,
        **options: Any,
    ) -> Self:
        """A task from arrays: inputs (N, ...) and classes (N,), or numbers (N,) or (N, K).

        train, test, validation: each a pair of arrays, of NumPy, pandas, Polars, JAX or PyTorch (a
        TensorDataset as well). validation may be the share of every class that is taken from the
        training examples for it, as 0.1. Without a test part, or with a share for it, ``train`` is
        all there is: 0.15 of every class are the test part and 0.15 the validation part, or such
        shares as are given, drawn by ``split_seed``.
        options: those of ``ArrayOptions``: predict, unit, order, layout, scale.

        Sequences of different lengths are a list of arrays (T_i, D) or (T_i,), or a padded array
        with the lengths, (N,), as a third beside the pair, or ``Sequences``. Their targets may be
        one for each step, likewise a list or padded: the model then answers at every step. Rows
        that are one-hot are a class for each sequence. Arrays (T, D) of one length, in a list with
        targets for each step, are sequences as well.
        ``prepare`` is given the steps, (B, T, D).

        uint8 inputs are read as fractions of 255; others are converted to float32. Labels are
        whole numbers from 0, or any whole numbers or texts, whose classes then have names.

        Raises DataCorruptError where lengths differ, a split is empty, labels are not in [0,
        n_outputs), an input is masked or not a finite number, or splits are of different kinds;
        UsageError where an input is no more than one number, (N,): inputs[:, None] has a feature;
        and for a share out of range, or one that leaves a class without examples on either side.

        >>> task = Task.from_arrays(([[0.0], [1.0]], ["no", "yes"]), ([[0.5]], ["yes"]))
        >>> task.input_shape, task.n_outputs, task.classes
        ((1,), 2, ('no', 'yes'))
        """
        chosen = checked_options(ArrayOptions, options)
        n_outputs = None if n_outputs is None else _whole(n_outputs)
        given = given_parts(train, test, validation, chosen, split_seed, name)
        fields = array_parts(given.pairs, chosen, n_outputs, name)
        fields["told"] = (*given.told, *fields["told"])
        if given.share is not None:
            fields["train"], fields["validation"] = divided(fields["train"], given.share)
        if isinstance(fields["train"].inputs, Sequences):
            prepare = preparing(prepare)
        shape = prepared(prepare, fields["train"].inputs, name).shape[1:]
        if "fingerprint" in fields:
            made = (fields["fingerprint"], given.share, code_identity(prepare))
            fields["fingerprint"] = fingerprint(*made)
        return cls(name=name, input_shape=shape, prepare=prepare, **fields)

    @classmethod
    def from_table(
        cls, table: Any, target: str | Sequence[str] | None = None, **options: Any
    ) -> Self:
        """A task from a table: rows are examples, a column (or several) is what is predicted.

        table: of pandas, Polars or Arrow, columns by name, or the path of a file: .csv, .tsv,
        .parquet and what else pandas reads. target: by default the one column that is named
        target, label, class or y.
        options: those of ``TableOptions``: features, drop, predict, unit, missing, scale, shape,
        validation, test, split, group, time, split_seed, sequence, window, horizon; and name, of
        the task.

        Raises UsageError for a column or an option that is not there, DataError for a file that
        cannot be read, DataCorruptError for missing values where nothing was chosen.

        >>> rows = {"size": list(range(40)), "color": ["red", "blue"] * 20}
        >>> task = Task.from_table({**rows, "kind": ["a", "b", "b", "a"] * 10}, "kind")
        >>> task.input_shape, task.classes, task.test.n_examples
        ((3,), ('a', 'b'), 6)
        """
        name = options.pop("name", "table")
        chosen = checked_options(TableOptions, options)
        parts = table_parts if chosen.sequence is None else step_parts
        return cls(**parts(as_table(table, name), target, chosen, name))

    @classmethod
    def from_images(cls, path: str | Path, **options: Any) -> Self:
        """A task from a folder of pictures, or a .zip of one; their folders name their classes.

        ``class/picture.png``, or ``train/class/picture.png`` with val, validation, test, testing
        and the like beside it, also below one top folder; or pictures beside a table of file names
        and labels. What is no picture is passed over and told. They are read as a person sees them:
        upright, on white, 16 bits as 8; an animation is refused.
        options: those of ``PictureOptions``: layout, size, color, unreadable, labels, target,
        validation, test, split_seed; and name, of the task.

        Raises DataCorruptError where pictures cannot be read, all of them told at once, and where
        they are not of one size and color; DataError where there are none, or one class.
        """
        name = options.pop("name", "images")
        chosen = checked_options(PictureOptions, options)
        reading = ("size", "color", "unreadable", "labels", "target")
        found = read_pictures(Path(path), **{n: getattr(chosen, n) for n in reading})
        for line in found.told:
            warnings.warn(f"{name}: {line}", stacklevel=2)
        made = cls.of_pairs(
            found.pairs,
            name=name,
            layout=chosen.layout,
            validation=chosen.validation,
            test=chosen.test,
            split_seed=chosen.split_seed,
        )
        return replace(made, told=(*found.told, *made.told)) if found.told else made

    @classmethod
    def of_pairs(
        cls, pairs: Mapping[str, Any], *, validation: Any, test: Any, **options: Any
    ) -> Self:
        """A task of the parts that there are, train, validation and test, or of "all".

        validation, test: the shares of those that are not there. options: of ``from_arrays``.
        """
        if "train" not in pairs:
            return cls.from_arrays(pairs["all"], test, validation=validation, **options)
        held = pairs.get("validation", validation)
        if "test" in pairs:
            train, test = pairs["train"], pairs["test"]
            made = cls.from_arrays(train, test, validation=held or None, **options)
            return _telling_of_parts(made)
        return cls.from_arrays(pairs["train"], test, validation=held, **options)


def _telling_of_parts(task: T) -> T:
    """The task, which tells what a class lacks in a part, and what stands in two of them."""
    parts = {"training": task.train_examples, "validation": task.validation, "test": task.test}
    told = [] if task.numbers else told_of_lacking(parts, task.class_names)
    told += told_of_repeats(task.train_examples.inputs, task.test.inputs)
    for line in told:
        warnings.warn(f"{task.name}: {line}", stacklevel=5)
    return replace(task, told=(*task.told, *told)) if told else task


def divided(train: Split, share: Any, seed: int = SEED) -> tuple[Split, Split]:
    """Training and validation examples, the latter a share of every class of labels (N,).

    Of targets that are numbers, (N, K), it is a plain share. Both keep their order.
    Raises UsageError as ``held_out``.
    """
    targets = train.targets
    one_class = np.zeros(len(targets), np.int32)
    kinds = np.asarray(targets) if len(targets.shape) == 1 else one_class
    held = held_out(kinds, share, seed)
    kept, taken = (Split(train.inputs[rows], train.targets[rows]) for rows in (~held, held))
    return kept, taken


class _Made(str):
    """A fingerprint that was made here: one made anew tells what ``replace`` has changed."""


def _fingerprint(task: Task) -> str:
    """A hash of the data and the code of a task; what is as in most tasks adds nothing to it."""
    train, groups = task.train, task.groups
    data = (task.train_examples, task.test, task.validation)
    usual = {"loss": cross_entropy, "accuracy": accuracy}
    measured = {name: metric.function for name, metric in task.measured.items()}
    functions = {"loss": task.loss, **measured}
    others: list[Any] = []
    # By identity: a function of the user's may call itself equal to any other.
    if functions.keys() != usual.keys() or any(functions[n] is not usual[n] for n in usual):
        others += [(name, code_identity(function)) for name, function in functions.items()]
    if isinstance(train, Stream):
        others += [code_identity(train.draw), list(map(int, task.input_shape))]
    if task.redraw is not None:
        others += ["redraw", code_identity(task.redraw)]
    if task.per_step:
        others.append("per_step")
    if groups is not None:
        others += [groups.name, list(map(int, groups.values)), code_identity(groups.of)]
    if task.classes:
        others += ["classes", list(task.classes)]
    if roots := [name for name, metric in task.measured.items() if metric.root]:
        others += ["roots", roots]
    of_means = {name: m.of_mean for name, m in task.measured.items() if m.of_mean is not None}
    if of_means:
        others += ["of_mean", *((name, code_identity(f)) for name, f in of_means.items())]
    of_sets = {name: m.of_set for name, m in task.measured.items() if m.of_set is not None}
    if of_sets:
        others += ["of_set", *((name, code_identity(f)) for name, f in of_sets.items())]
    return fingerprint(task.name, task.n_outputs, code_identity(task.prepare), *data, *others)


def _whole(n_outputs: Any) -> int:
    """A number of outputs, from 1; NumPy's becomes Python's."""
    found = n_outputs.item() if isinstance(n_outputs, np.integer) else n_outputs
    check_whole(n_outputs=found)
    return int(found)


def _check_types(task: Task, where: str) -> None:
    """Raise UsageError for a part of a task that is of another type than it must be."""
    train, groups, metrics = task.train, task.groups, task.metrics
    parts: list[tuple[str, Any, Any]] = [
        ("train", train, Split | Stream),
        ("test", task.test, Split),
        ("validation", task.validation, Split | None),
        ("input_shape", task.input_shape, tuple | list),
        ("prepare", task.prepare, Callable),
        ("loss", task.loss, Callable),
        ("metrics", metrics, Mapping),
        ("answer", task.answer, Callable | None),
        ("truth", task.truth, Callable),
        ("n_steps", task.n_steps, Callable | None),
        ("redraw", task.redraw, Callable | None),
        ("groups", groups, Groups | None),
    ]
    if isinstance(train, Stream):
        parts += [("train.draw", train.draw, Callable), ("train.sample", train.sample, Split)]
    if isinstance(groups, Groups):
        parts += [
            ("groups.of", groups.of, Callable),
            ("groups.values", groups.values, tuple | list),
        ]
    if isinstance(metrics, Mapping):
        parts += [(f"metric {name!r}", metric, Callable) for name, metric in metrics.items()]
    for name, part, kind in parts:
        if not isinstance(part, kind):
            kinds = [one.__name__ for one in get_args(kind) or (kind,)]
            raise UsageError(
                "wrong type",
                where=f"{where}, {name}",
                expected=" or ".join(kinds).replace("NoneType", "None"),
                found=type(part).__name__,
            )
    check_numbers(f"{where}, input_shape", task.input_shape, low=1)
    if groups is not None:
        check_numbers(f"{where}, groups.values", groups.values, once=True)
