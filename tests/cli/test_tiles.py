"""Shades of cells, and which axes span the table."""

import numpy as np
import pytest

from gridscape.cli._tiles import VIRIDIS, View, shade_style
from gridscape.grid.axes import Axis


def test_the_colors_keep_their_order_in_gray_and_their_text_is_legible():
    def luminance(rgb):
        linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    grays = [luminance(rgb) for rgb in VIRIDIS]
    assert grays == sorted(grays)
    for shade in np.linspace(0, 1, 101):
        style = shade_style(float(shade))
        pair = sorted(luminance(color.get_truecolor()) for color in (style.color, style.bgcolor))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5  # WCAG's contrast of normal text


def test_shades_beyond_the_ends_are_the_ends():
    assert shade_style(-1.0) == shade_style(0.0)
    assert shade_style(2.0) == shade_style(1.0)


@pytest.mark.parametrize(
    ("shape", "rows", "columns", "further", "fixed"),
    [
        ({"a": 2, "b": 3}, "a", "b", [], []),
        ({"a": 1, "b": 3, "c": 2}, "b", "c", [], ["a"]),
        ({"a": 2, "b": 1, "c": 1}, "a", "b", [], ["c"]),
        ({"a": 1, "b": 1}, "a", "b", [], []),
        ({"a": 4}, "a", None, [], []),
        ({"a": 2, "b": 3, "c": 4}, "a", "b", ["c"], []),
    ],
)
def test_the_first_two_axes_that_vary_span_the_table(shape, rows, columns, further, fixed):
    view = View.of([Axis(name, tuple(range(size))) for name, size in shape.items()])
    assert view.rows.name == rows
    assert (view.columns and view.columns.name) == columns
    assert [axis.name for axis in view.further] == further
    assert [axis.name for axis in view.fixed] == fixed
