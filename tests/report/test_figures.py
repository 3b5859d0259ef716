"""Figures: what they show is what the records say, and the same records give the same files."""

import importlib
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from synthetic import RATES, STUDY_AXES, hump, landscape

from gridscape.analysis.best import best_per
from gridscape.analysis.cells import CellState, summarize
from gridscape.analysis.costs import pareto
from gridscape.analysis.curves import curve_band
from gridscape.analysis.published import Agreement, PublishedTable, compare_published
from gridscape.errors import GridscapeError
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape
from gridscape.report import _drawing, figures, palette
from gridscape.report.findings import gather
from gridscape.report.words import blank

pytestmark = pytest.mark.slow

HOSTILE = r"$\frac{1}{$ <b>_^& %" + "x" * 80


def some_lost(cell: Cell, replicate: int) -> Status:
    if cell["learning_rate"] == 1.0 and cell["hidden_size"] >= 64:
        return Status.DIVERGED
    if cell["learning_rate"] == 1e-5:
        return Status.FAILED if cell["hidden_size"] == 16 else Status.MISSING
    return Status.FINISHED


def study() -> Landscape:
    return landscape(
        status=some_lost,
        collapsed=lambda cell, r: cell["learning_rate"] == 1.0 and cell["hidden_size"] < 64,
    )


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for box in figure.axes for text in box.texts]


def draw(figure: Figure) -> Figure:
    """Rendered, so that anything that cannot be drawn fails here; warnings are errors."""
    figure.draw_without_rendering()
    return figure


# ---- the landscape ----


def test_the_heat_map_writes_every_mean_and_half_interval() -> None:
    land = study()
    cells = summarize(land)
    figure = draw(figures.heat_map(land.axes, cells, best_per(land)))
    shown = texts(figure)
    for cell in cells:
        if math.isfinite(cell.estimate.mean):
            assert f"{100 * cell.estimate.mean:.1f}" in shown
    half = cells[2].estimate.high - cells[2].estimate.mean
    assert f"±{100 * half:.1f}" in shown
    assert shown.count("collapsed") == 2
    assert shown.count("div.") == 2
    assert shown.count("failed") == 1


def test_what_went_wrong_has_a_pattern_and_the_rest_has_none() -> None:
    land = study()
    figure = draw(figures.heat_map(land.axes, summarize(land)))
    drawn = [c for c in figure.axes[0].collections if isinstance(c, PatchCollection)]
    by_hatch = {c.get_hatch(): len(c.get_paths()) for c in drawn}
    lost = {hatch: count for hatch, count in by_hatch.items() if hatch}
    assert lost == {"..": 2, "////": 2, "xxx": 1}


def test_what_is_not_trained_yet_says_so_in_ink_that_is_seen() -> None:
    def status(cell: Cell, replicate: int) -> Status:
        return Status.MISSING if cell["hidden_size"] == 32 else Status.FINISHED

    land = landscape({"hidden_size": [16, 32], "learning_rate": [0.1, 1.0]}, status=status)
    figure = figures.heat_map(land)
    words = [text for text in figure.axes[0].texts if text.get_text() == blank(CellState.MISSING)]
    assert [text.get_color() for text in words] == ["black", "black"]


def test_a_map_of_many_cells_is_one_picture_with_the_failures_as_areas() -> None:
    """The color of each cell where it is, whatever the order; those of one fate share a hatch."""
    rates = [round(0.01 * 1.1**k, 6) for k in range(41)]

    def status(cell: Cell, replicate: int) -> Status:
        return Status.DIVERGED if cell["learning_rate"] > rates[30] else Status.FINISHED

    land = landscape({"hidden_size": [16, 32], "learning_rate": rates}, status=status)
    figure = draw(figures.heat_map(land))
    (box, *_) = figure.axes
    (picture,) = box.images
    assert picture.get_array().shape[:2] in ((2, 41), (41, 2))
    assert not [c for c in box.collections if isinstance(c, PatchCollection)]
    areas = {p.get_hatch(): p for p in box.patches if isinstance(p, PathPatch)}
    assert len(areas["////"].get_path().to_polygons()) == 20
    means = summarize(land)
    best = max((m for m in means if math.isfinite(m.estimate.mean)), key=lambda m: m.estimate.mean)
    pixels = np.array(picture.get_array())
    if pixels.shape[0] == 41:
        pixels = pixels.transpose(1, 0, 2)
    place = ([16, 32].index(best.cell["hidden_size"]), rates.index(best.cell["learning_rate"]))
    np.testing.assert_allclose(pixels[place], mpl.colormaps["viridis"](1.0), atol=0.005)


@pytest.mark.parametrize("n_rates", [2, 3, 6])
def test_title_and_legend_fit_a_narrow_map(n_rates: int) -> None:
    """One that diverges, one that collapses, an edge, best cells: all that a map can mark."""

    def status(cell: Cell, replicate: int) -> Status:
        is_last = cell["learning_rate"] == rates[-1]
        return Status.DIVERGED if is_last and cell["hidden_size"] > 16 else Status.FINISHED

    rates = list(RATES)[-n_rates:]
    land = landscape(
        {"hidden_size": [16, 32], "learning_rate": rates},
        status=status,
        collapsed=lambda cell, replicate: cell["hidden_size"] == 16 and cell["learning_rate"] == 1,
    )
    figure = figures.heat_map(land)
    figure.canvas.draw()
    (legend,) = figure.legends
    assert len(legend.get_texts()) >= 3
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    (title,) = (text for text in figure.texts if text.get_text() == figure.get_suptitle())
    assert title.get_window_extent().x1 <= figure.bbox.x1


def test_frames_mark_the_best_and_what_is_not_told_from_it() -> None:
    land = landscape(noise=0.02)
    best = best_per(land)
    figure = draw(figures.heat_map(land.axes, summarize(land), best))
    frames = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    solid = [p for p in frames if p.get_linestyle() in ("-", "solid")]
    assert len(solid) == 4
    assert len(frames) == sum(len(row.equivalent) for row in best)
    assert len(frames) > 4
    columns = [RATES.index(row.value) for row in best]
    assert [round(p.get_x() + p.get_width() / 2) for p in solid] == columns


def test_the_color_of_a_cell_is_its_mean() -> None:
    land = landscape()
    cells = summarize(land)
    figure = figures.heat_map(land.axes, cells)
    (drawn,) = [c for c in figure.axes[0].collections if len(c.get_paths()) == len(cells)]
    means = np.array([c.estimate.mean for c in cells])
    shares = (means - means.min()) / np.ptp(means)
    expected = mpl.colormaps["viridis"](shares)
    np.testing.assert_allclose(drawn.get_facecolor(), expected, atol=0.005)


@pytest.mark.parametrize("color", ["#440154", "#21918c", "#35b779", "#fde725", "#31688e"])
def test_ink_on_a_cell_has_contrast(color: str) -> None:
    face = to_rgba(color)
    ink = to_rgba(palette.ink_on(face))
    low, high = sorted((palette.luminance(face), palette.luminance(ink)))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_further_axes_get_panels() -> None:
    axes = {"optimizer": ["adam", "sgd"], **STUDY_AXES}
    land = landscape(axes, hump)
    figure = draw(figures.heat_map(land.axes, summarize(land), best_per(land)))
    titles = [box.get_title(loc="left") for box in figure.axes]
    assert [title for title in titles if title] == ["optimizer=adam", "optimizer=sgd"]


def test_too_many_panels_become_the_one_with_the_best() -> None:
    names = [f"cell{i}" for i in range(figures.MOST_PANELS + 1)]
    axes = {"cell": names, "hidden_size": [16, 32], "learning_rate": [0.001, 0.01]}
    land = landscape(axes, lambda cell: 0.9 if cell["cell"] == "cell7" else 0.5)
    figure = draw(figures.heat_map(land.axes, summarize(land), best_per(land)))
    titles = [box.get_title(loc="left") for box in figure.axes]
    assert [title for title in titles if title] == ["cell=cell7"]
    assert f"1 of {figures.MOST_PANELS + 1} slices" in str(figure.get_suptitle())


@pytest.mark.parametrize(
    "land",
    [
        landscape({"learning_rate": RATES}, lambda cell: 0.5),
        landscape({"cell": ["rnn", "gru"], "optimizer": ["adam", "sgd"]}, lambda cell: 0.5),
        landscape(replicates=1),
        landscape(status=lambda cell, r: Status.MISSING),
        landscape(status=lambda cell, r: Status.DIVERGED),
        landscape({HOSTILE: [HOSTILE, "a"], "learning_rate": [0.1, 1.0]}, lambda cell: 0.5),
        landscape({"hidden_size": [16], "learning_rate": [0.1]}),
    ],
    ids=[
        "one axis",
        "categories",
        "one replicate",
        "nothing yet",
        "all lost",
        "hostile",
        "one cell",
    ],
)
def test_every_kind_of_study_is_drawn(land: Landscape) -> None:
    drawn = figures.draw_all(gather(land))
    assert "landscape" in drawn
    for figure in drawn.values():
        draw(figure)


def test_whatever_a_study_says_is_saved(tmp_path: Path) -> None:
    land = landscape({HOSTILE: [HOSTILE, "a"], "learning_rate": [0.1, 1.0]}, lambda cell: 0.5)
    paths = figures.save_all(tmp_path, gather(land))
    assert tmp_path / "landscape.svg" in paths
    assert all(path.stat().st_size > 1000 for path in paths)


def test_one_replicate_says_that_there_is_no_interval() -> None:
    land = landscape(replicates=1)
    figure = draw(figures.heat_map(land.axes, summarize(land)))
    assert "no interval" in str(figure.get_suptitle())
    assert not [text for text in texts(figure) if text.startswith("±")]


# ---- the other figures ----


def test_curves_show_mean_band_and_replicates() -> None:
    land = landscape()
    cell = land.grid.cells()[8]
    bands = [curve_band(land, cell, name) for name in ("train_loss", "test_accuracy")]
    figure = draw(figures.curves(bands))
    loss, accuracy = figure.axes
    assert len(loss.lines) == 4  # three replicates and the mean
    assert len(loss.collections) == 1
    np.testing.assert_allclose(accuracy.lines[-1].get_ydata(), np.multiply(bands[1].mean, 100))
    assert accuracy.get_ylabel() == "accuracy in %"


def test_a_panel_of_very_many_cells_draws_evenly_chosen_ones() -> None:
    axes = {"hidden_size": [8], "learning_rate": [1e-5 * 1.05**k for k in range(200)]}
    found = gather(landscape(axes=axes, replicates=2))
    bands = [b for of in found.bands.values() for b in of if b.curve == "test_accuracy"]
    (box,) = figures.curves_side_by_side(found.land.axes, bands).axes
    assert box.get_title("left") == "50 of 200 cells"
    assert len(box.lines) == 50


def test_curves_of_one_replicate_have_no_band() -> None:
    land = landscape(replicates=1)
    figure = draw(figures.curves([curve_band(land, land.grid.cells()[8], "train_loss")]))
    assert not figure.axes[0].collections


def test_best_values_lie_on_log_axes_with_their_bars() -> None:
    land = landscape(noise=0.02)
    best = best_per(land)
    rate, width = land.axis("learning_rate"), land.axis("hidden_size")
    box = draw(figures.best_per_row(best, rate, width)).axes[0]
    assert (box.get_xscale(), box.get_yscale()) == ("log", "log")
    assert list(box.lines[0].get_ydata()) == [row.value for row in best]
    bars = [list(line.get_ydata()) for line in box.lines[1:]]
    assert bars == [list(row.equivalent) for row in best]  # neighbors: a hole would cut a bar
    assert [tick.get_text() for tick in box.get_yticklabels()][:2] == ["1e-05", "0.0001"]


def test_the_front_is_a_staircase_through_its_points() -> None:
    land = landscape()
    record = pareto(land)
    box = draw(figures.pareto(record)).axes[0]
    stairs = box.lines[-1]
    assert list(stairs.get_xdata()) == [point.cost for point in record.front]
    errors = [100 * (1 - point.summary.estimate.mean) for point in record.front]
    np.testing.assert_allclose(stairs.get_ydata(), errors)
    bottom, top = box.get_ylim()
    assert bottom > top  # error falls upwards, so accuracy rises
    assert box.get_xscale() == "log"


def test_published_numbers_are_marked_by_how_they_lie() -> None:
    land = landscape(replicates=5)
    values = tuple((cell, hump(cell) + 0.2 * (i % 2)) for i, cell in enumerate(land.grid.cells()))
    table = PublishedTable("made_up", "A report with a $ sign", "test_accuracy", values)
    comparison = compare_published(land, table)
    figure = draw(figures.published(comparison))
    markers = [line.get_marker() for box in figure.axes for line in box.lines]
    assert markers.count("^") == comparison.count(Agreement.OUTSIDE) > 0
    assert markers.count("o") == comparison.count(Agreement.INSIDE) > 0
    assert len(figure.axes) == 4


def test_a_published_table_without_numbers_is_an_error() -> None:
    land = landscape()
    table = PublishedTable("empty", "x", "test_accuracy", ((land.grid.cells()[0], math.nan),))
    with pytest.raises(GridscapeError, match="holds no number"):
        figures.published(compare_published(land, table))


def test_dollars_stay_dollars() -> None:
    assert _drawing.escaped("a $x$ b") == r"a \$x\$ b"
    assert len(_drawing.escaped("x" * 100)) == 24


# ---- files ----


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    axes = {"hidden_size": [16, 64], "learning_rate": [1e-5, 0.01, 1.0]}
    found = gather(landscape(axes, status=some_lost))
    first = figures.save_all(tmp_path / "a", found)
    second = figures.save_all(tmp_path / "b", found)
    assert len(first) >= 24
    for one, other in zip(first, second, strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes(), one.name


def test_svg_holds_no_date_and_loads_nothing(tmp_path: Path) -> None:
    land = landscape()
    (_, svg, _) = figures.save(figures.heat_map(land.axes, summarize(land)), tmp_path, "a/b c")
    assert svg.name == "a_b_c.svg"
    text = svg.read_text()
    assert "<dc:date>" not in text
    assert "<image" not in text.split("</defs>")[0]


def test_no_state_is_shared_with_pyplot() -> None:
    code = "import sys, gridscape.report.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=600).returncode == 0


def test_style_does_not_leak() -> None:
    before = dict(mpl.rcParams)
    land = landscape()
    draw(figures.heat_map(land.axes, summarize(land)))
    assert dict(mpl.rcParams) == before


def test_a_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in ("gridscape.report._drawing", "gridscape.report.figures"):
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(GridscapeError, match=r"pip install 'gridscape\[report\]'"):
        importlib.import_module("gridscape.report.figures")


def test_a_hole_in_the_set_of_a_row_stays_one() -> None:
    land = landscape(noise=0.02)
    row = replace(best_per(land)[0], equivalent=(1e-5, 1e-3, 1e-2))
    rate, width = land.axis("learning_rate"), land.axis("hidden_size")
    box = draw(figures.best_per_row([row], rate, width)).axes[0]
    assert [list(line.get_ydata()) for line in box.lines[1:]] == [[1e-5], [1e-3, 1e-2]]
