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
MOST_DIFFERENT = 1000  # tables whose names and types are remembered
_decode = json.JSONDecoder().raw_decode  # of a text without spaces around it, as it was written
_FACTS = [name for name in _FIELDS if name not in _ARRAYS]


def record_of(trial: Trial, result: TrialResult) -> dict[str, Any]:
    """Everything of a trial but its arrays."""
    plain = {name: getattr(result, name) for name in _FACTS}
    names = {"key": trial.key, "cell": dict(trial.cell), "replicate": trial.replicate}
    return {"trial": names, "result": plain}


def read_record(text: str, where: Path) -> tuple[Trial, TrialResult]:
    """A trial and its result without arrays; raises DamagedError for text of another shape."""
    try:
        record, end = _decode(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(where, text) from error
    if end != len(text):
        raise _damaged(where, text)
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
    _TRIAL.require(trial, where)
    _RESULT.require(result, where)
    return trial, result


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


class _Table:
    """What a table holds: names, the types of their values, and what a value must be besides."""

    def __init__(
        self, kinds: Mapping[str, Kinds], further: Mapping[str, Callable[[Any], bool]]
    ) -> None:
        self.kinds, self.further = kinds, further
        # Names and types together of tables that were found right: those of a folder hardly differ.
        self._right: set[tuple[Any, ...]] = set()

    def require(self, found: Mapping[str, Any], where: Path) -> None:
        """Raise DamagedError for another name, or one that lacks or is of another kind."""
        names_and_types = (*found, *map(type, found.values()))
        if names_and_types not in self._right:
            self._require_types(found, where)
            if len(self._right) < MOST_DIFFERENT:
                self._right.add(names_and_types)
        for name, is_right in self.further.items():
            if not is_right(found.get(name)):
                raise _odd_value(where, name, found)

    def _require_types(self, found: Mapping[str, Any], where: Path) -> None:
        if odd := found.keys() - self.kinds.keys():
            raise _damaged(where, min(odd))
        for name, right in self.kinds.items():
            if type(found.get(name)) not in right:
                raise _odd_value(where, name, found)


def _odd_value(where: Path, name: str, found: Mapping[str, Any]) -> DamagedError:
    return _damaged(where, f"{name} = {short(found.get(name))}")


_TRIAL = _Table(
    {"key": _TEXT, "cell": _TABLE, "replicate": _COUNT},
    {
        "replicate": _is_count,
        "cell": lambda values: _ON_AXES.issuperset(map(type, values.values())),
    },
)
_RESULT = _Table(
    {
        "key": _TEXT,
        "status": _TEXT,
        "updates": _or_none(_COUNT),
        "metrics": _TABLE,
        **dict.fromkeys(("seconds", "n_parameters", "flops", "memory_bytes"), _or_none(_NUMBER)),
        "first_bad_update": _or_none(_COUNT),
        **dict.fromkeys(("bad_quantity", "reason", "params_digest"), _or_none(_TEXT)),
    },
    {
        "updates": _is_count,
        "first_bad_update": _is_count,
        "metrics": lambda values: _NUMBER.issuperset(map(type, values.values())),
        "status": _STATUSES.__contains__,
    },
)
