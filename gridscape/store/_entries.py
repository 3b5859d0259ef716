"""What a row of the ledger, and the blob that it names, say of a trial: written, read, checked."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from gridscape.errors import short
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.store.blobs import DamagedError, family

_ARRAYS = ("curves", "params")
_FIELDS = [f.name for f in fields(TrialResult)]
_FACTS = [name for name in _FIELDS if name not in _ARRAYS]


def record_of(trial: Trial, result: TrialResult) -> dict[str, Any]:
    """Everything of a trial but its arrays."""
    plain = {name: getattr(result, name) for name in _FACTS}
    names = {"key": trial.key, "cell": dict(trial.cell), "replicate": trial.replicate}
    return {"trial": names, "result": plain}


def read_record(text: str, where: Path) -> tuple[Trial, TrialResult]:
    """A trial and its result without arrays; raises DamagedError for text of another shape."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(where, text) from error
    trial, result = _parts(record, where)
    cell = Cell(tuple(trial["cell"].items()))
    result |= {"status": _STATUSES[result["status"]], "curves": {}}
    values: Iterable[Any] = map(result.get, _FIELDS)  # what an older folder lacks is None
    return Trial(cell, trial["replicate"], trial["key"]), TrialResult(*values)


def arrays_of(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The curves and parameters of a blob."""
    return {"curves": family(arrays, "curve"), "params": family(arrays, "params") or None}


def _parts(record: Any, where: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = [record.get(name) for name in ("trial", "result")] if _is_table(record) else []
    if not parts or not all(map(_is_table, parts)):
        raise _damaged(where, record)
    trial, result = parts
    _require(_TRIAL, trial, where)
    _require(_RESULT, result, where)
    return trial, result


def _require(kinds: "Mapping[str, Kinds]", found: Mapping[str, Any], where: Path) -> None:
    """Raise DamagedError for another name, or one that lacks or is of another kind."""
    if odd := found.keys() - kinds.keys():
        raise _damaged(where, min(odd))
    for name, right in kinds.items():
        value = found.get(name)
        if type(value) not in right or (name in _FURTHER and not _FURTHER[name](value)):
            raise _damaged(where, f"{name} = {short(value)}")


def _damaged(where: Path, found: object) -> DamagedError:
    return DamagedError("is no record of a trial", where=where, found=short(found))


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_count(value: Any) -> bool:
    return value is None or value >= 0


# JSON makes values of just these types, so that a type tells the kind: a bool is no int here. Of a
# large folder millions of values are looked at.
Kinds = frozenset[type]
_TEXT, _TABLE, _COUNT = frozenset({str}), frozenset({dict}), frozenset({int})
_NUMBER = frozenset({int, float})
_ON_AXES = frozenset({int, float, str, bool, type(None)})
_STATUSES = {status.value: status for status in Status}


def _or_none(kinds: Kinds) -> Kinds:
    """Also None: of runs made elsewhere not all is known, and folders of long ago lack some."""
    return kinds | {type(None)}


_TRIAL: Mapping[str, Kinds] = {"key": _TEXT, "cell": _TABLE, "replicate": _COUNT}
_RESULT: Mapping[str, Kinds] = {
    "key": _TEXT,
    "status": _TEXT,
    "updates": _or_none(_COUNT),
    "metrics": _TABLE,
    **dict.fromkeys(("seconds", "n_parameters", "flops", "memory_bytes"), _or_none(_NUMBER)),
    "first_bad_update": _or_none(_COUNT),
    **dict.fromkeys(("bad_quantity", "reason", "params_digest"), _or_none(_TEXT)),
}
# What a value of the right kind must be besides.
_FURTHER: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("replicate", "updates", "first_bad_update"), _is_count),
    "cell": lambda values: _ON_AXES.issuperset(map(type, values.values())),
    "metrics": lambda values: _NUMBER.issuperset(map(type, values.values())),
    "status": _STATUSES.__contains__,
}
