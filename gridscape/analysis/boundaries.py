"""Up to which value of an axis each row of the grid still learns."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gridscape.analysis.cells import CellSummary, is_asked, rows_of, summarize
from gridscape.analysis.statistics import Interval, t_interval
from gridscape.errors import UsageError
from gridscape.grid.axes import Axis, Cell
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape, row_axes


@dataclass(frozen=True)
class Boundary:
    """Where along ``axis`` one row of the grid stops learning, going up.

    A trial learns when it finished, is not collapsed, and its metric reaches ``threshold``.
    places: per replicate in use, the edge by the number of values that learn. From the value at
        which most replicates learn on, each value that learns moves it by its own step. So a value
        that learns by luck beyond one that does not moves it by one step, not to itself (Spearman
        1908, Kaerber 1931). None where a replicate learns at no value.
    estimate: the mean of the places (geometric where ``scale`` is "log") with its t interval, half
        a step wider on either side, since the edge may lie anywhere between two values. An end
        beyond the grid is infinite (0 below a log axis). The mean is NaN where a replicate learns
        at no value, or up to the last.
    replicates: those in use; others lack a trial that would decide.
    """

    axis: str
    row: Cell
    metric: str
    threshold: float
    scale: str
    estimate: Interval
    places: tuple[float | None, ...]
    replicates: tuple[int, ...]
    note: str

    def __repr__(self) -> str:
        return f"<{self.row}: learns up to {self.axis} {self.estimate!r}>"


def boundary(
    land: Landscape,
    axis: str = "learning_rate",
    metric: str | None = None,
    threshold: float = 0.5,
) -> tuple[Boundary, ...]:
    """Where along ``axis`` each row (all other axes) stops learning, going up.

    A trial learns when it finished, does not answer one class only, and its metric (default: the
    main one) reaches ``threshold``: is at least that, or at most where less is better. A diverged
    trial does not learn; a failed or missing one leaves its replicate out. Raises UsageError for an
    axis of names.
    """
    found = land.axis(axis)
    if found.scale == "category":
        raise UsageError("a boundary needs an axis of numbers", where=f"axis {axis}")
    rows = rows_of(summarize(land, metric), row_axes(land, axis, None))
    return tuple(_boundary_of_row(found, row, members, threshold) for row, members in rows)


def edge_of_learning(land: Landscape, axis: str, top: CellSummary | None) -> tuple[Boundary, ...]:
    """``boundary`` at half of the way from guessing to the best cell, in each row.

    top: the best cell by the main metric. None on an axis of names, without a best cell, of a
    metric that is no fraction of which more is better (half way is nowhere then), and where every
    row learns up to its last value.
    """
    meaning = land.meaning(land.main_metric)
    is_accuracy = meaning.is_fraction and meaning.is_higher_better
    if top is None or not is_accuracy or land.axis(axis).scale == "category":
        return ()
    threshold = ((land.chance() or 0.0) + top.estimate.mean) / 2
    rows = boundary(land, axis, land.main_metric, threshold)
    return rows if any(math.isfinite(row.estimate.mean) for row in rows) else ()


def _boundary_of_row(
    axis: Axis, row: Cell, members: list[CellSummary], threshold: float
) -> Boundary:
    members = sorted(filter(is_asked, members), key=lambda s: float(s.cell[axis.name]))
    n_replicates = len(members[0].values)
    learns = np.array([[_learns(s, r, threshold) for r in range(n_replicates)] for s in members])
    used = np.flatnonzero(np.isfinite(learns).all(axis=0))
    edges = _edges(axis, [float(s.cell[axis.name]) for s in members])
    places = _places(learns[:, used], edges)
    left_out = n_replicates - len(used)
    return Boundary(
        axis=axis.name,
        row=row,
        metric=members[0].metric,
        threshold=threshold,
        scale=axis.scale,
        estimate=_estimate(places, edges, log=axis.scale == "log"),
        places=tuple(None if math.isnan(p) else _back(axis)(p) for p in places.tolist()),
        replicates=tuple(used.tolist()),
        note=f"{left_out} of {n_replicates} replicates lack a trial that would decide"
        if left_out
        else "",
    )


def _back(axis: Axis) -> Callable[[float], float]:
    return math.exp if axis.scale == "log" else float


def _edges(axis: Axis, values: Sequence[float]) -> np.ndarray:
    """The ends of the stretch that each value stands for (values + 1), on the axis' ruler."""
    heights = np.log(values) if axis.scale == "log" else np.array(values)
    if len(heights) < 2:
        return np.array([heights[0], heights[0]])
    middles = (heights[1:] + heights[:-1]) / 2
    first, last = 2 * heights[0] - middles[0], 2 * heights[-1] - middles[-1]
    return np.concatenate([[first], middles, [last]])


def _places(learns: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(R,) how far the stretches that learn reach, from where most learn on; NaN: nowhere."""
    if not learns.size:
        return np.empty(0)
    shares = learns.mean(axis=1)
    plateau = np.flatnonzero(shares == shares.max())
    start = int(plateau[len(plateau) // 2])
    steps = np.diff(edges)[start:, None]
    reach = edges[-1] - ((1 - learns[start:]) * steps).sum(axis=0)
    return np.where(learns.any(axis=0), reach, np.nan)


def _estimate(places: np.ndarray, edges: np.ndarray, *, log: bool) -> Interval:
    """The mean of the places, its interval half a step wider; open where it leaves the grid.

    A replicate that learns at no value has its place at the lower end of the grid, or below.
    """
    back = math.exp if log else float
    n, nowhere = len(places), np.isnan(places)
    reached = np.where(nowhere, edges[0], places)
    found = t_interval(reached)
    leaves = bool(nowhere.any() or (reached >= edges[-1]).any())
    mean = math.nan if leaves else back(found.mean)
    if n < 2:
        return Interval(mean, math.nan, math.nan, n)
    low = found.low - _half(edges, reached.min())
    high = found.high + _half(edges, reached.max())
    is_open_low, is_open_high = low <= edges[0], high >= edges[-1]
    return Interval(
        mean, back(-math.inf if is_open_low else low), back(math.inf if is_open_high else high), n
    )


def _half(edges: np.ndarray, place: float) -> float:
    """Half of the step around a place."""
    steps = np.diff(edges)
    at = int(np.clip(np.searchsorted(edges, place) - 1, 0, len(steps) - 1))
    return float(steps[at]) / 2


def _learns(summary: CellSummary, replicate: int, threshold: float) -> float:
    """1 where a replicate learns, 0 where it does not, NaN where it did not end."""
    status = summary.statuses[replicate]
    if status == Status.DIVERGED:
        return 0.0
    if status != Status.FINISHED:
        return math.nan
    sign = summary.meaning.sign
    reached = sign * summary.values[replicate] >= sign * threshold
    one_answer = summary.collapsed[replicate] or summary.not_started[replicate]
    return float(reached and not one_answer)
