"""What a row of the ledger, and the blob that it names, say of a trial: written, read, checked."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from gridscape.errors import short
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.store.blobs import DamagedError, family

_ARRAYS = ("curves", "params")
_FACTS = [f.name for f in fields(TrialResult) if f.name not in _ARRAYS]


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
    cell, status = Cell(tuple(trial["cell"].items())), Status(result["status"])
    return (
        Trial(cell, trial["replicate"], trial["key"]),
        TrialResult(**{**dict.fromkeys(_FACTS), **result, "status": status, "curves": {}}),
    )


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


def _require(kinds: "Mapping[str, Kind]", found: Mapping[str, Any], where: Path) -> None:
    """Raise DamagedError for another name, or one that lacks or is of another kind."""
    if odd := found.keys() - kinds.keys():
        raise _damaged(where, min(odd))
    for name, is_right in kinds.items():
        if not is_right(found.get(name)):
            raise _damaged(where, f"{name} = {short(found.get(name))}")


def _damaged(where: Path, found: object) -> DamagedError:
    return DamagedError("is no record of a trial", where=where, found=short(found))


Kind = Callable[[Any], bool]


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_cell(value: Any) -> bool:
    return isinstance(value, dict) and all(
        v is None or isinstance(v, str | int | float) for v in value.values()
    )


def _are_metrics(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _or_none(kind: Kind) -> Kind:
    """Also None: of runs made elsewhere not all is known, and folders of long ago lack some."""
    return lambda value: value is None or kind(value)


_TRIAL: Mapping[str, Kind] = {"key": _is_text, "cell": _is_cell, "replicate": _is_whole}
_RESULT: Mapping[str, Kind] = {
    "key": _is_text,
    "status": lambda value: value in list(Status),
    "updates": _or_none(_is_whole),
    "metrics": _are_metrics,
    **dict.fromkeys(("seconds", "n_parameters", "flops", "memory_bytes"), _or_none(_is_number)),
    "first_bad_update": _or_none(_is_whole),
    **dict.fromkeys(("bad_quantity", "reason", "params_digest"), _or_none(_is_text)),
}
