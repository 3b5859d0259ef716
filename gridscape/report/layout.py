"""Which axes run across, run down, have panels; what is read on a log scale.

The same in the terminal, on the page and in figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gridscape.grid.axes import Axis
from gridscape.landscape import sought_axis

FEW_CELLS = 12  # whose curves share one picture
MOST_STYLES = 4  # of lines that are still told apart
# Ticks of an axis that spaces accuracies by their error, in percent; over a wide range the few.
ERROR_TICKS = (
    *(80, 70, 50, 40, 30, 20, 15, 10, 7, 5, 4, 3, 2, 1.5, 1),
    *(0.7, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.04, 0.03, 0.02, 0.015, 0.01),
)
FEW_ERROR_TICKS = (80, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True)
class View:
    """Which axes a table shows: rows down, columns across; one table for each value of the rest.

    rows: None where there is one axis only. further: axes that vary but are neither; fixed: those
    with one value.
    """

    rows: Axis | None
    columns: Axis
    further: tuple[Axis, ...]
    fixed: tuple[Axis, ...]


@dataclass(frozen=True)
class LineView:
    """How the lines of all cells are told apart: by color, by style of line, by panel."""

    color: Axis
    style: Axis | None
    panels: tuple[Axis, ...]


def view(axes: Sequence[Axis]) -> View:
    """Rows and columns at first sight: the axis whose best value is sought runs across.

    The first ordered axis besides it runs down; axes of one value do only where others lack.
    """
    columns = sought_axis(axes) or axes[-1]
    others = [axis for axis in axes if axis is not columns]
    rows = along_axis(axes, columns.name) or next(iter(others), None)
    rest = [axis for axis in others if axis is not rows]
    return View(
        rows=rows,
        columns=columns,
        further=tuple(axis for axis in rest if len(axis.values) > 1),
        fixed=tuple(axis for axis in rest if len(axis.values) == 1),
    )


def along_axis(axes: Sequence[Axis], best_axis: str) -> Axis | None:
    """The axis against which the best value of another is drawn: the first ordered one."""
    others = [axis for axis in axes if axis.name != best_axis and len(axis.values) > 1]
    ordered = [axis for axis in others if axis.scale != "category"]
    return next(iter(ordered or others), None)


def place_on(axis: Axis, value: float) -> float | None:
    """Where a number lies between the values of an axis: 1.5 is half way from its 2nd to its 3rd.

    At most half a step beyond the first and the last; None on an axis whose values do not rise.
    """
    if axis.scale == "category" or math.isnan(value):
        return None
    numbers = np.array(axis.values, float)
    heights = np.log(numbers) if axis.scale == "log" else numbers
    if len(heights) < 2 or (np.diff(heights) <= 0).any():
        return None
    half = np.diff(heights)[[0, -1]] / 2
    ends = [heights[0] - half[0], *heights, heights[-1] + half[1]]
    places = [-0.5, *range(len(heights)), len(heights) - 0.5]
    is_below = axis.scale == "log" and value <= 0
    height = -math.inf if is_below else math.log(value) if axis.scale == "log" else value
    return float(np.interp(height, ends, places))


def line_view(axes: Sequence[Axis]) -> LineView:
    """The first axis that varies by color, the second by style; all others are panels.

    Two axes of many cells: panels for each value of the one whose best value is sought.
    """
    varying = [axis for axis in axes if len(axis.values) > 1] or list(axes[-1:])
    if len(varying) == 1:
        return LineView(varying[0], None, ())
    n_cells = math.prod(len(axis.values) for axis in varying)
    if len(varying) == 2 and n_cells > FEW_CELLS:
        panels = sought_axis(axes) or varying[1]
        color = next(axis for axis in varying if axis is not panels)
        return LineView(color, None, (panels,))
    color, second, *rest = varying
    if len(second.values) > MOST_STYLES:
        return LineView(color, None, (second, *rest))
    return LineView(color, second, tuple(rest))
