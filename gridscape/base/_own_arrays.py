"""What a Task is made of where its data is somebody's arrays."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from gridscape.base import _own_sequences as sequences
from gridscape.base import shares
from gridscape.base._arrays import as_examples, as_labels, check_one_each, classified, no_pair
from gridscape.base._own import as_numbers, lacking, outcome
from gridscape.base._rows import repeated
from gridscape.base.data import Sequences, Split
from gridscape.base.own import ArrayOptions
from gridscape.data.arrays import (
    as_array,
    as_parts,
    check_finite,
    in_order,
    laid_out,
    one_hot_classes,
    trouble,
)
from gridscape.data.labels import coded
from gridscape.errors import DataCorruptError, short
from gridscape.identity.code import fingerprint

LABELS = "biufUSOT"  # kinds of arrays, as NumPy writes them, of what may be a label


def array_parts(
    pairs: Mapping[str, Any], options: ArrayOptions, n_outputs: int | None, where: str
) -> dict[str, Any]:
    """The fields of a Task of arrays: train, test, validation, and what is predicted.

    pairs: arranged inputs and targets of each part. n_outputs: of classes that are whole numbers
    from 0; where it is not told, every label that is there is a class.
    """
    targets = _flat({name: pair[1] for name, pair in pairs.items()}, options.predict)
    predicts = options.predict or _predicts(targets, n_outputs)
    if predicts == "numbers":
        fields = _of_numbers(pairs, targets, options)
    else:
        fields = _of_classes(pairs, targets, n_outputs)
    if options.scale == "standard":
        fields = {**fields, **_standardized(fields)}
    if isinstance(fields["train"].targets, Sequences):
        fields = {**fields, **sequences.every_step(fields)}
    told = trouble(sequences.at_steps(fields["train"].inputs))
    for line in told:
        warnings.warn(f"{where}: {line}", stacklevel=4)
    return {**fields, "told": tuple(told)}


class Given(NamedTuple):
    """Inputs and targets of each part, arranged, and the share to be taken for validation.

    told: what is odd about the parts, a line each.
    """

    pairs: dict[str, Any]
    share: float | None
    told: tuple[str, ...] = ()


def given_parts(
    train: Any, test: Any, validation: Any, options: ArrayOptions, seed: int, where: str
) -> Given:
    """The parts that are given; of one set of examples, those that are drawn from it."""
    given = {"validation": validation, "train": train, "test": test}
    left_out = [n for n in ("validation", "test") if given[n] is None or is_share(given[n])]
    pairs = arranged({n: given[n] for n in given if n not in left_out}, options)
    held = "validation" in pairs
    if "test" in pairs:
        share = None if held or validation is None else np.asarray(validation).item()
        return Given({name: pairs[name] for name in _NAMES if name in pairs}, share)
    wanted = shares.SHARES["validation"] if validation is None else validation
    of_test = shares.SHARES["test"] if test is None else test
    drawn = _parted(pairs["train"], options, 0 if held else wanted, of_test, seed)
    told = tuple(told_of_repeats(drawn["train"][0], drawn["test"][0]))
    for line in told:
        warnings.warn(f"{where}: {line}", stacklevel=4)
    return Given({**drawn, **{n: pairs[n] for n in pairs if n != "train"}}, None, told)


def told_of_lacking(parts: Mapping[str, Split | None], names: tuple[str, ...]) -> list[str]:
    """What classes lack in a part, a line each part."""
    counts = {
        part: np.bincount(sequences.at_steps(split.targets), minlength=len(names))
        for part, split in parts.items()
        if split is not None
    }
    return [line for part, n_of in counts.items() for line in lacking(part, n_of, names)]


def told_of_repeats(train: Any, test: Any) -> list[str]:
    """How many test inputs stand in the training part as well, in a line; none where none does."""
    n_both = repeated(sequences.rows_of(train), sequences.rows_of(test))
    told = [f"{n_both} of {len(test)} test inputs are also among the training inputs"]
    return told if n_both else []


def is_share(value: Any) -> bool:
    """Whether a share is given, and no arrays."""
    return isinstance(value, int | float | np.number)


def _parted(
    pair: Any, options: ArrayOptions, validation: Any, test: Any, seed: int
) -> dict[str, Any]:
    """One set of examples as training, validation and test part, of every class alike."""
    inputs, targets = pair
    if not isinstance(inputs, Sequences):
        inputs = as_examples("inputs", inputs)
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind == "f":
        check_finite(inputs, "inputs")  # here, where an example has the number that its owner knows
    kinds, names = np.zeros(len(inputs), np.int32), tuple[str, ...]()
    if isinstance(targets, Sequences):
        return _drawn(inputs, targets, shares.by_share(kinds, validation, test, seed))
    targets = _flat({"labels": targets}, options.predict)["labels"]
    if len(inputs) != len(targets) or not len(inputs):
        raise no_pair("inputs and labels", inputs, targets)
    if (options.predict or _predicts({"labels": targets}, None)) == "classes":
        check_one_each("labels", targets)
        kinds, names = coded(targets, "labels")
    return _drawn(inputs, targets, shares.by_share(kinds, validation, test, seed, names))


def _drawn(inputs: Any, targets: Any, parts: np.ndarray) -> dict[str, Any]:
    """The examples of each part, (N,)."""
    rows = {n: np.flatnonzero(parts == p) for n, p in zip(_NAMES, range(3), strict=True)}
    return {name: (inputs[at], targets[at]) for name, at in rows.items() if len(at)}


_NAMES = ("train", "validation", "test")


def arranged(parts: Mapping[str, Any], options: ArrayOptions) -> dict[str, tuple[Any, Any]]:
    """Inputs of each part in order and laid out, and targets as they are given.

    Where one part has sequences of different lengths, all parts become Sequences of one shape.
    """
    alone = {"train": "inputs and labels"} if "test" not in parts else {}
    given = {n: _given(alone.get(n, n), part) for n, part in parts.items()}
    are_sequences = any(part.are_sequences for part in given.values())
    if are_sequences:
        are_lists = not all(part.is_padded for part in given.values())
        sequences.check_options(options, are_lists=are_lists)
        options = replace(options, layout=None)  # steps are rows
    ordered = {n: _in_order(alone.get(n, n), part, options) for n, part in given.items()}
    if are_sequences:
        return sequences.as_sequences(ordered)
    return {n: (part.inputs, part.targets) for n, part in ordered.items()}


def _given(name: str, part: Any) -> sequences.Given:
    inputs, targets, *lengths = as_parts(part, name)
    if isinstance(inputs, Sequences):
        inputs, lengths = inputs.steps, [inputs.lengths]
    targets = targets.steps if isinstance(targets, Sequences) else targets
    return sequences.Given(inputs, targets, *lengths)


def _in_order(name: str, part: sequences.Given, options: ArrayOptions) -> sequences.Given:
    inputs = part.inputs
    if part.lengths is None and part.are_sequences:
        return part
    if options.order is not None or options.layout is not None:
        inputs = in_order(as_array(inputs, name), options.order)
        inputs = laid_out(inputs, options.layout)
    elif not isinstance(inputs, list | tuple | np.ndarray | jax.Array):
        inputs = as_array(inputs, name)
    return part._replace(inputs=inputs)


def _flat(targets: Mapping[str, Any], predict: str | None) -> dict[str, Any]:
    """Targets of all parts, (N,) where there is one a row; one-hot rows as their classes."""
    found = {}
    for name, given in targets.items():
        given = sequences.at_steps(given)
        is_masked = any(map(np.ma.is_masked, given if isinstance(given, list | tuple) else [given]))
        array = given if is_masked else as_array(given, name)
        if not np.ndim(array):
            expected = "one for each example"
            what = "not an array of numbers or texts"
            raise DataCorruptError(what, where=name, expected=expected, found=short(given))
        if np.ndim(array) == 2 and array.shape[1] == 1:
            array = array[:, 0]
        found[name] = array
    hot = {n: one_hot_classes(a) if isinstance(a, np.ndarray) else None for n, a in found.items()}
    if predict != "numbers" and all(array is not None for array in hot.values()):
        return hot
    return found


def _predicts(targets: Mapping[str, Any], n_outputs: int | None) -> str:
    """Numbers are predicted where some of them are no whole numbers, and no classes are told."""
    if n_outputs is not None:
        return "classes"
    values = list(targets.values())
    are_floats = all(isinstance(v, np.ndarray) and v.dtype.kind == "f" for v in values)
    if not are_floats or any(np.ma.is_masked(v) or not np.isfinite(v).all() for v in values):
        return "classes"
    return "classes" if all((v == np.floor(v)).all() for v in values) else "numbers"


def _of_classes(
    pairs: Mapping[str, tuple[Any, Any]], targets: Mapping[str, Any], n_outputs: int | None
) -> dict[str, Any]:
    names: tuple[str, ...] = ()
    if n_outputs is None and all(map(_may_be_labels, targets.values())):
        texts = {part for part, t in targets.items() if t.dtype.kind not in "biuf"}
        if texts and len(texts) < len(targets):
            kinds = f"texts in {', '.join(sorted(texts))}, numbers in the other parts"
            raise DataCorruptError("labels of two kinds", where="labels", found=kinds)
        everything = np.concatenate(list(targets.values()))
        if not _count_from_zero(everything):
            labels = coded(everything, "labels")
            names, ends = labels.names, np.cumsum([len(t) for t in targets.values()])
            cut = np.split(labels.codes, ends[:-1])
            targets = dict(zip(targets, cut, strict=True))
    splits = {n: _classified(n, pairs[n], targets[n]) for n in pairs}
    top = max(int(sequences.at_steps(split.targets).max()) for split in splits.values()) + 1
    n_outputs = top if n_outputs is None else n_outputs
    if top > n_outputs:
        found, expected = top - 1, f"0 to {n_outputs - 1}"
        raise DataCorruptError("label out of range", where="labels", expected=expected, found=found)
    return {**splits, "n_outputs": n_outputs, "classes": names}


def _classified(name: str, pair: tuple[Any, Any], targets: Any) -> Split:
    """Inputs and labels of a part, one for each example or, of Sequences, for each step."""
    inputs, like = pair
    if not isinstance(inputs, Sequences):
        return Split(*classified(name, (inputs, targets)))
    if not isinstance(like, Sequences) and len(targets) != len(inputs):
        raise no_pair(name, inputs, targets)
    return Split(inputs, sequences.put_back(as_labels(name, targets), like))


def _may_be_labels(targets: Any) -> bool:
    is_array = isinstance(targets, np.ndarray) and not np.ma.is_masked(targets)
    return is_array and targets.ndim == 1 and targets.dtype.kind in LABELS and len(targets) > 0


def _count_from_zero(values: np.ndarray) -> bool:
    """Whether labels are 0, 1, 2 ... and each of them is there: then they need no names.

    So do numbers that are none, which ``classified`` refuses.
    """
    if values.dtype.kind not in "biuf":
        return False
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.floor(values))).all():
        return True
    found = np.unique(values)
    return len(found) == 1 or (found == np.arange(len(found))).all()


def _of_numbers(
    pairs: Mapping[str, tuple[Any, Any]], targets: Mapping[str, Any], options: ArrayOptions
) -> dict[str, Any]:
    columns = {name: _column(name, array) for name, array in targets.items()}
    inputs = {}
    for name, (given, like) in pairs.items():
        # Inputs are checked as those of one class.
        n_asked = len(like if isinstance(like, Sequences) else columns[name])
        inputs[name] = _classified(name, (given, None), np.zeros(n_asked, np.int32)).inputs
    everything = np.concatenate(list(columns.values()))
    sizes = [len(values) for values in columns.values()]
    part = np.repeat(list(columns), sizes)
    outputs = as_numbers(everything, part == "train", "targets")
    of_part = {n: outputs["targets"][part == n] for n in inputs}
    found = {n: Split(x, sequences.put_back(of_part[n], pairs[n][1])) for n, x in inputs.items()}
    content = [(name, inputs[name], columns[name]) for name in sorted(inputs)]
    return {
        **found,
        **outcome(outputs, options.unit),
        "fingerprint": fingerprint("numbers", *content),
    }


def _column(name: str, targets: Any) -> np.ndarray:
    """Numbers as (N, K) float64."""
    if not isinstance(targets, np.ndarray) or targets.dtype.kind not in "biuf" or not targets.ndim:
        found = getattr(targets, "dtype", type(targets).__name__)
        raise DataCorruptError("targets are no numbers", where=name, found=found)
    values = targets.reshape(len(targets), -1).astype(np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        raise DataCorruptError(
            "targets are not all finite",
            where=name,
            found=f"{values[tuple(bad[0])]} at example {bad[0][0]}",
        )
    return values


def _standardized(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The parts with inputs whose every number has mean 0 and spread 1 over the training part."""
    splits = {n: fields[n] for n in _NAMES if n in fields}
    raw = fingerprint("standard", fields.get("fingerprint", ""), *splits.values())
    if isinstance(splits["train"].inputs, Sequences):
        return {**sequences.standardized(splits), "fingerprint": raw}
    train = splits["train"].inputs.astype(np.float64)
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    made = {
        name: Split(((split.inputs - mean) / spread).astype(np.float32), split.targets)
        for name, split in splits.items()
    }
    return {**made, "fingerprint": raw}
