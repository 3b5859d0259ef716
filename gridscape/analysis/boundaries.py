"""Up to which value of an axis each row of the grid still learns."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gridscape.analysis.cells import CellSummary, rows_of, summarize
from gridscape.analysis.statistics import Interval, t_interval
from gridscape.errors import UsageError
from gridscape.grid.axes import Axis, Cell
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape, row_axes


@dataclass(frozen=True)
class Boundary:
    """The largest value of ``axis`` at which one row of the grid still learns.

    A trial learns when it finished, is not collapsed, and its metric reaches ``threshold``.
    learns: per replicate in use, the largest value at which it learns (None: at no value).
    fails: per replicate in use, the next larger value (None: it learns up to the axis' end).
    estimate: the boundary lies somewhere between the two; its mean (geometric where ``scale`` is
        "log") takes the middle, its ends are the t interval's lower end of ``learns`` and upper end
        of ``fails``. An end beyond the grid is infinite (0 below a log axis) and its mean is NaN.
    replicates: those in use; others lack a trial that would decide.
    """

    axis: str
    row: Cell
    metric: str
    threshold: float
    scale: str
    estimate: Interval
    learns: tuple[float | None, ...]
    fails: tuple[float | None, ...]
    replicates: tuple[int, ...]
    note: str


def boundary(
    land: Landscape,
    axis: str = "learning_rate",
    metric: str | None = None,
    threshold: float = 0.5,
) -> tuple[Boundary, ...]:
    """The largest value of ``axis`` at which each row (all other axes) still learns.

    A trial learns when it finished, does not answer one class only, and its metric (default: the
    main one) reaches ``threshold``: is at least that, or at most where less is better. A diverged
    trial does not learn; a failed or missing one leaves its replicate out unless the replicate
    learns at a larger value. Raises UsageError for an axis of names.
    """
    found = land.axis(axis)
    if found.scale == "category":
        raise UsageError("a boundary needs an axis of numbers", where=f"axis {axis}")
    rows = rows_of(summarize(land, metric), row_axes(land, axis, None))
    return tuple(_boundary_of_row(found, row, members, threshold) for row, members in rows)


def _boundary_of_row(
    axis: Axis, row: Cell, members: list[CellSummary], threshold: float
) -> Boundary:
    members = sorted(members, key=lambda s: float(s.cell[axis.name]))
    brackets = {
        replicate: bracket
        for replicate in range(len(members[0].values))
        if (bracket := _bracket(axis, members, replicate, threshold)) is not None
    }
    learns = tuple(low for low, _ in brackets.values())
    fails = tuple(high for _, high in brackets.values())
    left_out = len(members[0].values) - len(brackets)
    return Boundary(
        axis=axis.name,
        row=row,
        metric=members[0].metric,
        threshold=threshold,
        scale=axis.scale,
        estimate=_bracketed_interval(learns, fails, log=axis.scale == "log"),
        learns=learns,
        fails=fails,
        replicates=tuple(brackets),
        note=f"{left_out} replicates lack a trial that would decide" if left_out else "",
    )


def _bracket(
    axis: Axis, members: list[CellSummary], replicate: int, threshold: float
) -> tuple[float | None, float | None] | None:
    """The largest value at which a replicate learns and the next one; None: not decided."""
    fails = None
    for summary in reversed(members):
        learns = _learns(summary, replicate, threshold)
        if learns is None:
            return None
        value = float(summary.cell[axis.name])
        if learns:
            return value, fails
        fails = value
    return None, fails


def _learns(summary: CellSummary, replicate: int, threshold: float) -> bool | None:
    status = summary.statuses[replicate]
    if status == Status.DIVERGED:
        return False
    if status != Status.FINISHED:
        return None
    sign = summary.meaning.sign
    reached = sign * summary.values[replicate] >= sign * threshold
    return reached and not (summary.collapsed[replicate] or summary.not_started[replicate])


def _bracketed_interval(
    lows: Sequence[float | None], highs: Sequence[float | None], *, log: bool
) -> Interval:
    """The mean of numbers that are known to lie between ``lows`` and ``highs``."""
    forward: Callable[[float], float] = math.log if log else float
    back: Callable[[float], float] = math.exp if log else float
    low = t_interval(forward(v) for v in lows if v is not None)
    high = t_interval(forward(v) for v in highs if v is not None)
    open_low, open_high = None in lows, None in highs
    if len(lows) < 2:
        ends = (math.nan, math.nan)
    else:
        ends = (
            back(-math.inf) if open_low else back(low.low),
            back(math.inf) if open_high else back(high.high),
        )
    middle = math.nan if open_low or open_high else back((low.mean + high.mean) / 2)
    return Interval(middle, *ends, n=len(lows))
