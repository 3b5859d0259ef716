"""Curves of a cell over its replicates."""

from dataclasses import dataclass

import numpy as np

from gridscape.analysis.statistics import LEVEL, t_quantile
from gridscape.errors import UnknownNameError
from gridscape.grid.axes import Cell
from gridscape.grid.meanings import Meaning
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape


@dataclass(frozen=True)
class CurveBand:
    """One curve of a cell over its finished replicates: all tuples run along ``updates``.

    updates: updates done, wherever any replicate has a point. mean, low, high, n: over the finished
    replicates with a value there; of a fraction, the part of the interval in [0, 1].
    per_replicate: (R, len(updates)), NaN where there is no value; diverged replicates are here, up
    to where they diverged, but not in the band. finished: (R,).
    """

    cell: Cell
    curve: str
    meaning: Meaning
    updates: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: tuple[int, ...]
    per_replicate: tuple[tuple[float, ...], ...]
    finished: tuple[bool, ...]


def curve_band(land: Landscape, cell: Cell, curve: str | None = None) -> CurveBand:
    """A curve of a cell over its replicates: "train_loss", "train_accuracy", "test_loss", ...

    By default that of the main metric. Raises UnknownNameError for another curve, UsageError for a
    cell that the grid does not have.
    """
    curve = curve or land.main_metric
    if curve not in land.curves:
        raise UnknownNameError("curve", curve, land.curves)
    found = land.grid.find(**cell)
    place = land.grid.places(found)
    finished = land.array("status")[place] == Status.FINISHED.value
    return band_of(
        found, curve, land.meaning(curve), land.points(curve), land.lines(curve)[place], finished
    )


def band_of(
    cell: Cell,
    curve: str,
    meaning: Meaning,
    updates: np.ndarray,
    lines: np.ndarray,
    finished: np.ndarray,
) -> CurveBand:
    """A curve of a cell from its lines (R, points), NaN where there is no point."""
    there = np.isfinite(lines).any(axis=0)
    lines = lines[:, there]
    mean, low, high, n = _band(lines[finished])
    if meaning.is_fraction:  # as ``statistics.possible``
        fraction = (mean >= 0) & (mean <= 1)
        low, high = (np.where(fraction, np.clip(x, 0, 1), x) for x in (low, high))
    return CurveBand(
        cell=cell,
        curve=curve,
        meaning=meaning,
        updates=tuple(updates[there].tolist()),
        mean=tuple(mean.tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        n=tuple(n.tolist()),
        per_replicate=tuple(tuple(line) for line in lines.tolist()),
        finished=tuple(finished.tolist()),
    )


def _band(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, ends of the t interval, and number of finite values of each column."""
    n = np.isfinite(lines).sum(axis=0)
    total = np.where(np.isfinite(lines), lines, 0.0).sum(axis=0)
    mean = np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
    squares = np.where(np.isfinite(lines), (lines - mean) ** 2, 0.0).sum(axis=0)
    enough = np.maximum(n, 2)
    error = np.sqrt(squares / (enough - 1) / enough)
    half = np.where(n >= 2, t_quantile(LEVEL, enough - 1) * error, np.nan)
    return mean, mean - half, mean + half, n


def interpolate(updates: np.ndarray, lines: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Each of the curves (R, points), read at other updates: (R, len(at)).

    Linear between a curve's own points, which are those that are finite; NaN beyond its ends.

    >>> interpolate(np.array([10, 20]), np.array([[0.5, 0.7]]), np.array([15, 25])).tolist()
    [[0.6, nan]]
    """
    read = np.full((len(lines), len(at)), np.nan)
    for row, line in zip(read, lines, strict=True):
        known = np.isfinite(line)
        if known.any():
            row[:] = np.interp(at, updates[known], line[known], left=np.nan, right=np.nan)
    return read
