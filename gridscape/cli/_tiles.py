"""A grid as rows of colored tiles, in plain text where the terminal has no color.

The colors are viridis, as in the figures: their order survives color blindness and gray print.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.style import Style
from rich.text import Text

from gridscape.grid.axes import Axis, Value, show
from gridscape.report.layout import view
from gridscape.report.palette import ink_on, viridis


@dataclass(frozen=True)
class View:
    """Which axes a table shows: rows down, columns across; one table for each value of the rest.

    Those of ``layout.view``; an axis that varies alone runs down, since a terminal is narrow.
    further: axes that vary but are neither; fixed: those with one value.
    """

    rows: Axis
    columns: Axis | None
    further: tuple[Axis, ...]
    fixed: tuple[Axis, ...]

    @classmethod
    def of(cls, axes: Sequence[Axis]) -> "View":
        """Of a study's axes."""
        found = view(axes)
        rows, columns = found.rows, found.columns
        if rows is None or len(rows.values) == 1:
            return cls(columns, rows, found.further, found.fixed)
        return cls(rows, columns, found.further, found.fixed)

    @property
    def column_values(self) -> tuple[Value | None, ...]:
        """The values across; a single None where there is one axis only."""
        return self.columns.values if self.columns else (None,)


@dataclass(frozen=True)
class Tile:
    """What stands in a cell, line by line; shade: in [0, 1], None for a plain background."""

    lines: tuple[str, ...]
    shade: float | None = None

    @property
    def width(self) -> int:
        """Characters of the longest line."""
        return max(map(len, self.lines))

    @property
    def style(self) -> Style:
        """The background, and what is legible on it; in 64 steps."""
        return Style.null() if self.shade is None else shade_style(round(self.shade * 64) / 64)


@lru_cache(maxsize=256)
def shade_style(shade: float) -> Style:
    """Viridis at ``shade`` in [0, 1] as a background, with black or white on it."""
    red, green, blue = viridis(shade)
    ink = {"black": "#000000", "white": "#ffffff"}[ink_on([red / 255, green / 255, blue / 255])]
    return Style(color=ink, bgcolor=f"#{red:02x}{green:02x}{blue:02x}")


def tile_table(
    view: View,
    heads: Sequence[str],
    labels: Sequence[str],
    tiles: Sequence[Sequence[Tile]],
    *,
    widths: Sequence[int],
    marked: frozenset[int] = frozenset(),
) -> Text:
    """Rows of tiles, each column of its width, under their column's value and beside their row's.

    heads: what stands over the columns: one text for each, or a single one for all of them.
    marked: rows with a > before their label.
    """
    stub = stub_width(view)
    gap = 1 if min(widths) > 1 else 0  # a tile keeps off its left neighbor
    text = Text(no_wrap=True, overflow="crop")
    if view.columns:
        text.append(f"{'':{stub + gap}}{view.columns.name}\n", "dim")
    text.append(f"{view.rows.name:>{stub - 1}} ", "bold")
    if len(heads) == len(widths):
        text.append("".join(f"{h:>{w}}" for h, w in zip(heads, widths, strict=True)), "bold")
    else:
        text.append(f"{'':{gap}}{heads[0]}", "bold")
    for i, (label, row) in enumerate(zip(labels, tiles, strict=True)):
        for n in range(max(len(tile.lines) for tile in row)):
            mark = ">" if i in marked and not n else " "
            text.append(f"\n{mark}{label if not n else '':>{stub - 2}} ", "bold")
            for tile, width in zip(row, widths, strict=True):
                line = tile.lines[n] if n < len(tile.lines) else ""
                text.append(f"{line:>{width}}", tile.style)
    return text


def stub_width(view: View) -> int:
    """Characters of the labels of the rows, with the mark before and the space behind them."""
    return max(map(len, [view.rows.name, *labels_of(view.rows)])) + 2


def labels_of(axis: Axis | None) -> list[str]:
    """The values of an axis as a reader writes them."""
    return [show(value) for value in axis.values] if axis else [""]


def short_labels(axis: Axis | None) -> list[str]:
    """The same with two digits, and no more than eight characters of a name."""
    values = axis.values if axis else ("",)
    return [f"{v:.2g}" if isinstance(v, float) else show(v)[:8] for v in values]
