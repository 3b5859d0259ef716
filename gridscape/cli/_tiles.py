"""A grid as rows of colored tiles, in plain text where the terminal has no color.

The colors are viridis, as in the figures: their order survives color blindness and gray print.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.style import Style
from rich.text import Text

from gridscape.grid.axes import Axis, Value, show

VIRIDIS = (
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
)


@dataclass(frozen=True)
class View:
    """Which axes a table shows: rows down, columns across; one table for each value of the rest.

    further: axes that vary but are neither; fixed: those with one value.
    """

    rows: Axis
    columns: Axis | None
    further: tuple[Axis, ...]
    fixed: tuple[Axis, ...]

    @classmethod
    def of(cls, axes: Sequence[Axis]) -> "View":
        """The first two axes that vary, in the study's order; fixed ones only where those lack."""
        varying = [axis for axis in axes if len(axis.values) > 1]
        fixed = [axis for axis in axes if len(axis.values) == 1]
        chosen = [axis for axis in axes if axis in [*varying, *fixed][:2]]
        return cls(
            rows=chosen[0],
            columns=chosen[1] if len(chosen) > 1 else None,
            further=tuple(axis for axis in varying if axis not in chosen),
            fixed=tuple(axis for axis in fixed if axis not in chosen),
        )

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
    place = min(max(shade, 0.0), 1.0) * (len(VIRIDIS) - 1)
    low = min(int(place), len(VIRIDIS) - 2)
    ends = zip(VIRIDIS[low], VIRIDIS[low + 1], strict=True)
    red, green, blue = (round(a + (place - low) * (b - a)) for a, b in ends)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    ink = "#000000" if luminance > 110 else "#ffffff"
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
