"""Somebody's sequences of different lengths, and targets that are one for each sequence or step."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from gridscape.base._arrays import as_inputs
from gridscape.base.data import Sequences, as_float, only_there
from gridscape.base.metrics import accuracy, cross_entropy, declared
from gridscape.base.per_step import over_steps, steps_of
from gridscape.data.arrays import as_array, one_hot_classes
from gridscape.data.ragged import checked_lengths, has_features, is_ragged, listed, stacked
from gridscape.errors import DataCorruptError, UsageError, short


class Given(NamedTuple):
    """Inputs, targets and lengths of a part as they were given; lengths None where none were."""

    inputs: Any
    targets: Any
    lengths: Any = None

    @property
    def are_sequences(self) -> bool:
        """Whether it says of itself that it is sequences: by their lengths, or its targets."""
        return self.lengths is not None or is_ragged(self.inputs) or self.of_one_length

    @property
    def of_one_length(self) -> bool:
        """Whether it is a list of arrays (T, D), all as long, that have a target for each step."""
        rows = listed(self.inputs)
        if self.lengths is not None or not rows or not has_features(rows[0]):
            return False
        return is_ragged(self.targets) or _are_of_steps(self.targets, (len(rows), len(rows[0])))

    @property
    def is_padded(self) -> bool:
        """Whether the sequences are one array, and no list of them."""
        return self.lengths is not None or listed(self.inputs) is None


def as_sequences(parts: Mapping[str, Given]) -> dict[str, tuple[Sequences, Any]]:
    """Inputs as Sequences, of as many steps as the longest of all parts; targets as they are.

    Targets that are one for each step become Sequences as well. Raises DataCorruptError.
    """
    read = {name: _inputs(name, part) for name, part in parts.items()}
    longest = max(int(inputs.lengths.max()) for inputs in read.values())
    per_step = any(_one_a_step(part, read[name]) for name, part in parts.items())
    found = {}
    for name, (_, targets, _) in parts.items():
        inputs = _of_steps(read[name], longest)
        if per_step:
            is_padded = parts[name].is_padded
            targets = _of_steps(_each_step(name, targets, is_padded, inputs.lengths), longest)
        found[name] = (inputs, targets)
    return found


def _inputs(name: str, part: Given) -> Sequences:
    """Inputs as Sequences, (N, T, ...), padded with zeros; uint8 or float32."""
    if not part.is_padded:
        steps, lengths = stacked(listed(part.inputs) or (), name)
    else:
        steps = as_array(part.inputs, name)
        if steps.ndim < 2 or not steps.size:
            expected, found = "(N, T) or (N, T, D)", f"shape {steps.shape}"
            raise DataCorruptError("no steps", where=name, expected=expected, found=found)
        given = np.full(len(steps), steps.shape[1]) if part.lengths is None else part.lengths
        lengths = checked_lengths(given, len(steps), steps.shape[1], f"{name}, lengths")
    if steps.dtype.kind not in "biuf":
        raise DataCorruptError("not an array of numbers", where=name, found=steps.dtype)
    steps = Sequences(steps, lengths).cleared().steps
    steps = steps[..., None] if steps.ndim == 2 else steps
    return Sequences(as_inputs(name, steps), lengths)


def _of_steps(values: Sequences, n_steps: int) -> Sequences:
    """The same padded to so many steps, or cut to them."""
    missing = n_steps - values.shape[1]
    if missing <= 0:
        return Sequences(values.steps[:, :n_steps], values.lengths)
    more = ((0, 0), (0, missing), *((0, 0),) * (len(values.shape) - 2))
    return Sequences(np.pad(values.steps, more), values.lengths)


def _one_a_step(part: Given, inputs: Sequences) -> bool:
    """Whether targets are one for each step: lists of different lengths, or padded alike."""
    if is_ragged(part.targets) or part.of_one_length:
        return True
    return part.is_padded and _are_of_steps(part.targets, inputs.shape[:2])


def _are_of_steps(targets: Any, shape: tuple[int, ...]) -> bool:
    """Whether targets are (N, T, ...) as the inputs; one-hot rows are a class for a sequence."""
    found = as_array(targets, "targets")
    return found.ndim > 1 and found.shape[:2] == shape and one_hot_classes(found) is None


def _each_step(name: str, targets: Any, is_padded: bool, lengths: np.ndarray) -> Sequences:
    """Targets of every step as Sequences, raw; raises DataCorruptError for other lengths."""
    rows = listed(targets)
    if rows is None or (is_padded and not is_ragged(targets)):
        targets = as_array(targets, name)
        if targets.ndim < 2 or len(targets) != len(lengths) or targets.shape[1] < lengths.max():
            raise DataCorruptError(
                "targets of another length",
                where=name,
                expected=f"one for each of {lengths.max()} steps",
                found=f"shape {targets.shape}",
            )
        return Sequences(targets, lengths)
    steps, n_targets = stacked(rows, f"{name}, targets")
    if len(n_targets) != len(lengths):
        told = f"{len(lengths)} sequences and targets of {len(n_targets)}"
        raise DataCorruptError("targets and sequences differ in number", where=name, found=told)
    if other := np.flatnonzero(n_targets != lengths).tolist():
        at = other[0]
        raise DataCorruptError(
            "targets of another length than their sequence",
            where=f"{name}, sequence {at}",
            expected=f"{lengths[at]}, one for each step",
            found=int(n_targets[at]),
        )
    return Sequences(steps, lengths)


def at_steps(targets: Any) -> Any:
    """Targets one after the other, (M, ...), of Sequences; others as they are."""
    return targets.steps[targets.is_step] if isinstance(targets, Sequences) else targets


def put_back(values: np.ndarray, like: Any) -> Any:
    """Values (M, ...) as ``like`` has them: at the steps of Sequences, or as they are."""
    if not isinstance(like, Sequences):
        return values
    steps = np.zeros((*like.shape[:2], *values.shape[1:]), values.dtype)
    steps[like.is_step] = values
    return Sequences(steps, like.lengths)


def standardized(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Splits of Sequences whose every feature has mean 0 and spread 1 over the training steps."""
    train = at_steps(splits["train"].inputs).astype(np.float64)
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1)

    def scaled(x: Sequences) -> Sequences:
        steps = ((x.steps - mean) / spread).astype(np.float32)
        return Sequences(only_there(x.is_step, steps), x.lengths)

    return {name: split._replace(inputs=scaled(split.inputs)) for name, split in splits.items()}


def rows_of(inputs: Any) -> np.ndarray:
    """Inputs as rows that are equal where inputs are: of Sequences with their lengths."""
    if not isinstance(inputs, Sequences):
        return np.asarray(inputs)
    lengths = inputs.lengths.astype(np.int32)[:, None].view(inputs.dtype)
    return np.hstack([inputs.steps.reshape(len(inputs), -1), lengths])


def every_step(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a task of one answer a sequence one of an answer at every step."""
    measured = fields.get("metrics", {"accuracy": declared("accuracy", accuracy)})
    metrics = {n: replace(m, function=over_steps(m.function)) for n, m in measured.items()}
    return {
        "per_step": True,
        "loss": over_steps(fields.get("loss", cross_entropy)),
        "metrics": metrics,
        "answer": None,
        "truth": steps_of,
    }


def prepare_steps(sequences: Sequences) -> Sequences:
    """Stored sequences as the model reads them: uint8 becomes fractions."""
    return Sequences(as_float(sequences.steps), sequences.lengths)


def preparing(prepare: Any) -> Any:
    """A ``prepare`` of steps (B, T, D) as one of Sequences; what it makes of padding is zero."""
    if prepare is as_float:
        return prepare_steps

    def prepare_sequences(sequences: Sequences) -> Sequences:
        return Sequences(prepare(sequences.steps), sequences.lengths).cleared()

    return prepare_sequences


def check_options(options: Any, *, are_lists: bool) -> None:
    """Raise UsageError for an option that sequences of different lengths have not."""
    if options.order is not None and are_lists:
        what, hint = "not for a list of sequences", "each of them is (T, D)"
        raise UsageError(what, where="order", found=short(options.order), hint=hint)
    if options.layout not in (None, "rows"):
        what, hint = "not for sequences of different lengths", "lstm, gru and rnn read them"
        raise UsageError(what, where="layout", found=options.layout, hint=hint)
