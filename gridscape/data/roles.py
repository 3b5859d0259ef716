"""What arrays in a file are, by the names that people give them."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gridscape.errors import DataCorruptError, UnknownNameError

PARTS = {
    "train": "train training tr",
    "validation": "val valid validation dev",
    "test": "test testing te t10k eval",
}
ROLES = {
    "inputs": "x images image imgs img data inputs input features samples examples pixels",
    "targets": "y labels label lab targets target classes class lbl answers",
}
LENGTHS = "lengths"  # the role of the lengths of padded sequences
ORDER = ("inputs", "targets", LENGTHS)
BOTH = {"inputs", "targets"}
SAYS_LENGTHS = {"length", "lengths", "len", "lens", "seqlen", "seqlens"}
MOST_LISTED = 6

# Inputs and targets by part, and a third one where padded sequences have lengths.
Pairs = dict[str, tuple[np.ndarray, ...]]


class Role(NamedTuple):
    """Of an array: the part of the data, "all" for one set, and what it is there.

    role: "inputs", "targets", "lengths" of padded sequences, or "".
    """

    part: str
    role: str


def role_of(name: str) -> Role:
    """What an array is by its name.

    >>> role_of("x_train"), role_of("validationLabels"), role_of("y")
    (Role(part='train', role='inputs'), Role(part='validation', role='targets'), \
Role(part='all', role='targets'))
    """
    words = _words(name)
    words |= {re.sub(r"^([xy])(tr|train|val|valid|te|test)$", r"\1", word) for word in words}
    words |= {re.sub(r"^[xy](tr|train|val|valid|te|test)$", r"\1", word) for word in words}
    part = next((p for p, known in PARTS.items() if words & set(known.split())), "all")
    # "data" is a word for all of it: labels of data are targets.
    is_target = bool(words & set(ROLES["targets"].split()))
    is_input = bool(words & set(ROLES["inputs"].split()))
    role = "targets" if is_target else "inputs" if is_input else ""
    return Role(part, role or (LENGTHS if words & SAYS_LENGTHS else ""))


def _words(name: str) -> set[str]:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).lower()
    return set(re.split(r"[^a-z0-9]+", spaced))


def pairs_of(
    arrays: Mapping[str, np.ndarray],
    where: object,
    inputs: str | None = None,
    targets: str | None = None,
    lengths: str | None = None,
) -> Pairs:
    """Inputs and targets by part: "train" with "test" or "validation", or "all".

    inputs, targets, lengths: the names of the arrays, where they are told. Where inputs and targets
    are found by their names, lengths of padded sequences are as well. Raises UnknownNameError for a
    name that is not there, DataCorruptError where names and shapes do not tell which is which.
    """
    for kind, name in (("inputs", inputs), ("targets", targets), (LENGTHS, lengths)):
        if name is not None and name not in arrays:
            raise UnknownNameError("array", name, arrays, where=f"{where}, {kind}")
    others = {name: array for name, array in arrays.items() if name != lengths}
    found = _named(others, where, inputs, targets)
    if lengths is not None:
        if set(found) != {"all"}:
            raise _unclear(arrays, where)
        found = {"all": (*found["all"][:2], arrays[lengths])}
    return {part: _examples_first(*arrays) for part, arrays in found.items()}


def _named(
    arrays: Mapping[str, np.ndarray], where: object, inputs: str | None, targets: str | None
) -> Pairs:
    if inputs is not None and targets is not None:
        return {"all": (arrays[inputs], arrays[targets])}
    roles = roles_of(arrays)
    if inputs is not None or targets is not None:
        known = inputs or targets
        others = {n: a for n, a in arrays.items() if n != known}
        missing = "targets" if inputs is not None else "inputs"
        named = [n for n in others if roles[n] == Role("all", missing)] or list(others)
        if len(named) == 1:
            return {"all": (arrays[inputs or named[0]], arrays[targets or named[0]])}
        raise _unclear(arrays, where)
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, (part, role) in roles.items():
        if role and role in found.setdefault(part, {}):
            raise _unclear(arrays, where)
        if role:
            found[part][role] = arrays[name]
    found = {p: f for p, f in found.items() if set(f) != {LENGTHS}}
    pairs = {p: tuple(f[r] for r in ORDER if r in f) for p, f in found.items() if set(f) >= BOTH}
    if set(pairs) == {"test"} or set(pairs) == {"validation"}:
        raise _unclear(arrays, where)
    if pairs and len(pairs) == len([f for f in found.values() if f]):
        return pairs if "train" in pairs else {"all": pairs["all"]}
    return {"all": _by_shape(arrays, where)}


def roles_of(arrays: Mapping[str, np.ndarray]) -> dict[str, Role]:
    """What each array is; of two inputs or targets of a part, one called so holds the lengths.

    Where several are called so, none is taken for them.
    """
    roles = {name: role_of(name) for name in arrays}
    counts = Counter(roles.values())
    for name, (part, role) in roles.copy().items():
        says_lengths = bool(_words(name) & SAYS_LENGTHS) and arrays[name].ndim == 1
        if says_lengths and counts[Role(part, role)] > 1:
            roles[name] = Role(part, "" if role == LENGTHS else LENGTHS)
    return roles


def _examples_first(
    inputs: np.ndarray, targets: np.ndarray, *lengths: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Inputs with the examples in front, where only their last axis fits; pixels as uint8."""
    n = len(targets)
    if inputs.ndim > 1 and inputs.shape[0] != n and inputs.shape[-1] == n:
        inputs = np.ascontiguousarray(np.moveaxis(inputs, -1, 0))
    return (inputs if lengths else _as_pixels(inputs)), targets, *lengths


def _as_pixels(inputs: np.ndarray) -> np.ndarray:
    """Pictures of whole numbers in 0 to 255, of which some are large, as uint8."""
    if inputs.dtype == np.uint8 or inputs.dtype.kind not in "iuf" or inputs.ndim < 2:
        return inputs
    if not inputs.size or not (inputs.min() >= 0 and 100 < inputs.max() <= 255):
        return inputs
    is_whole = inputs.dtype.kind in "iu" or bool((inputs == np.floor(inputs)).all())
    return inputs.astype(np.uint8) if is_whole else inputs


def _by_shape(arrays: Mapping[str, np.ndarray], where: object) -> tuple[np.ndarray, np.ndarray]:
    """Of two arrays, the one with a value for each example, and the other."""
    values = list(arrays.values())
    if len(values) != 2:
        raise _unclear(arrays, where)
    flat = [a for a in values if a.ndim == 1 or (a.ndim == 2 and 1 in a.shape)]
    others = [a for a in values if a.ndim > 1 and a.size > max(a.shape)]
    if len(flat) != 1 or len(others) != 1 or flat[0].size not in others[0].shape:
        raise _unclear(arrays, where)
    return others[0], flat[0]


def _unclear(arrays: Mapping[str, np.ndarray], where: object) -> DataCorruptError:
    listed = [f"{name} {array.shape}" for name, array in arrays.items()]
    more = f" and {len(listed) - MOST_LISTED} more" if len(listed) > MOST_LISTED else ""
    return DataCorruptError(
        "which arrays are inputs and targets?",
        where=where,
        found=(", ".join(listed[:MOST_LISTED]) or "none") + more,
        hint="name them: inputs = ..., targets = ...",
    )
