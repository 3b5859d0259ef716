"""What arrays in a file are, by the names that people give them."""

import re
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
MOST_LISTED = 6

Pairs = dict[str, tuple[np.ndarray, np.ndarray]]  # inputs and targets by part


class Role(NamedTuple):
    """Of an array: the part of the data, "all" for one set, and "inputs", "targets" or ""."""

    part: str
    role: str


def role_of(name: str) -> Role:
    """What an array is by its name.

    >>> role_of("x_train"), role_of("validationLabels"), role_of("y")
    (Role(part='train', role='inputs'), Role(part='validation', role='targets'), \
Role(part='all', role='targets'))
    """
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).lower()
    words = set(re.split(r"[^a-z0-9]+", spaced))
    words |= {re.sub(r"^([xy])(tr|train|val|valid|te|test)$", r"\1", word) for word in words}
    words |= {re.sub(r"^[xy](tr|train|val|valid|te|test)$", r"\1", word) for word in words}
    part = next((p for p, known in PARTS.items() if words & set(known.split())), "all")
    # "data" is a word for all of it: labels of data are targets.
    is_target = bool(words & set(ROLES["targets"].split()))
    is_input = bool(words & set(ROLES["inputs"].split()))
    role = "targets" if is_target else "inputs" if is_input else ""
    return Role(part, role)


def pairs_of(
    arrays: Mapping[str, np.ndarray],
    where: object,
    inputs: str | None = None,
    targets: str | None = None,
) -> Pairs:
    """Inputs and targets by part: "train" with "test" or "validation", or "all".

    inputs, targets: the names of the arrays, where they are told. Raises UnknownNameError for a
    name that is not there, DataCorruptError where names and shapes do not tell which is which.
    """
    for kind, name in (("inputs", inputs), ("targets", targets)):
        if name is not None and name not in arrays:
            raise UnknownNameError("array", name, arrays, where=f"{where}, {kind}")
    found = _named(arrays, where, inputs, targets)
    return {part: _examples_first(*pair) for part, pair in found.items()}


def _named(
    arrays: Mapping[str, np.ndarray], where: object, inputs: str | None, targets: str | None
) -> Pairs:
    if inputs is not None and targets is not None:
        return {"all": (arrays[inputs], arrays[targets])}
    roles = {name: role_of(name) for name in arrays}
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
    pairs = {p: (f["inputs"], f["targets"]) for p, f in found.items() if len(f) == 2}
    if set(pairs) == {"test"} or set(pairs) == {"validation"}:
        raise _unclear(arrays, where)
    if pairs and len(pairs) == len([f for f in found.values() if f]):
        return pairs if "train" in pairs else {"all": pairs["all"]}
    return {"all": _by_shape(arrays, where)}


def _examples_first(inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs with the examples in front, where only their last axis fits; pixels as uint8."""
    n = len(targets)
    if inputs.ndim > 1 and inputs.shape[0] != n and inputs.shape[-1] == n:
        inputs = np.ascontiguousarray(np.moveaxis(inputs, -1, 0))
    return _as_pixels(inputs), targets


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
