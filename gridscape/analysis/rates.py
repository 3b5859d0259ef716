"""The learning rate over a training, in NumPy: what ``optimizers.schedules`` does, without JAX."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridscape.grid.trials import Status
from gridscape.landscape import Landscape

# As optimizers.schedules has them, which needs JAX; a test compares both.
DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "constant": {"warmup": 0.0},
    "linear": {"warmup": 0.0, "final": 0.0},
    "cosine": {"warmup": 0.0, "final": 0.0},
    "inverse-sqrt": {"warmup": 0.0},
    "step": {"warmup": 0.0, "final": 0.01},
    "one-cycle": {"warmup": 0.3, "final": 4e-6},
}
START = 1 / 25  # of one-cycle
POINTS = 101


@dataclass(frozen=True)
class RateOverTime:
    """The share of the learning rate that each update has. at: updates done before it."""

    schedule: str
    at: tuple[float, ...]
    share: tuple[float, ...]


def share_of_rate(
    schedule: str, numbers: Mapping[str, float], updates: np.ndarray, n_updates: float
) -> np.ndarray:
    """What multiplies the rate in these updates, which count from 0; as ``schedules.factor``.

    >>> share_of_rate("linear", {"warmup": 0.2, "final": 0.1}, np.array([0, 1, 2, 6, 10]), 10)
    array([0.  , 0.5 , 1.  , 0.55, 0.1 ])
    """
    own = {**DEFAULTS[schedule], **numbers}
    warm, final = own["warmup"] * n_updates, own.get("final", 0.0)
    at = np.asarray(updates, float)
    rise = at / max(warm, 1e-9)
    if schedule == "one-cycle":
        rise = START + (1 - START) * (1 - np.cos(np.pi * rise)) / 2
    progress = (at - warm) / (n_updates - warm)
    match schedule:
        case "inverse-sqrt":
            first = max(warm, 1.0)
            fall = np.sqrt(first / np.maximum(at, first))
        case "linear":
            fall = 1 - (1 - final) * progress
        case "cosine" | "one-cycle":
            fall = final + (1 - final) * (1 + np.cos(np.pi * progress)) / 2
        case "step":
            fall = np.where(progress < 0.5, 1.0, np.where(progress < 0.75, final**0.5, final))
        case _:
            fall = np.ones_like(progress)
    return np.where(at < warm, rise, fall)


def rates_over_time(land: Landscape) -> tuple[tuple[RateOverTime, ...], list[int | None]]:
    """The different ways in which the rate changes, and of each cell which one.

    None of a cell whose rate stays the same, or of which too little is known.
    """
    ways: dict[tuple[Any, ...], int] = {}
    found: list[RateOverTime] = []
    of_cells: list[int | None] = []
    if land.study.get("schedule") is None and "schedule" not in (a.name for a in land.axes):
        return (), []
    lengths = _lengths(land)
    for cell, n_updates in zip(land.grid.cells(), lengths, strict=True):
        own = {**land.study, **(land.study.get("hyperparameters") or {}), **cell}
        schedule = str(own.get("schedule"))
        numbers = {n: float(own[n]) for n in DEFAULTS.get(schedule, ()) if _is_number(own, n)}
        key = (schedule, *numbers.items(), n_updates)
        if schedule not in DEFAULTS or not n_updates > 0 or not _changes(schedule, numbers):
            of_cells.append(None)
            continue
        if key not in ways:
            ways[key] = len(found)
            at = np.unique(np.linspace(0, n_updates - 1, min(int(n_updates), POINTS)).round())
            share = share_of_rate(schedule, numbers, at, n_updates)
            found.append(RateOverTime(schedule, tuple(at.tolist()), tuple(share.tolist())))
        of_cells.append(ways[key])
    return tuple(found), of_cells


def rate_of(land: Landscape, cell: Mapping[str, Any]) -> float | None:
    """The learning rate of a cell, where the study or an axis says it."""
    own = {**(land.study.get("hyperparameters") or {}), **cell}
    return float(own["learning_rate"]) if _is_number(own, "learning_rate") else None


def _is_number(table: Mapping[str, Any], name: str) -> bool:
    return isinstance(table.get(name), int | float) and not isinstance(table[name], bool)


def _changes(schedule: str, numbers: Mapping[str, float]) -> bool:
    return schedule != "constant" or numbers.get("warmup", 0.0) > 0


def _lengths(land: Landscape) -> list[float]:
    """Of each cell the updates of a whole training; 0 where they are not known."""
    done = np.where(land.array("status") == Status.FINISHED.value, land.array("updates"), 0.0)
    most = np.nan_to_num(done).max(axis=-1).reshape(-1)
    told = land.setting("updates")
    return [float(n) or (float(told) if isinstance(told, int) else 0.0) for n in most]
