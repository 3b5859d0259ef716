"""Pictures of the analysis' records, by matplotlib: records in, figures out; computes nothing.

Every function takes records and returns a ``matplotlib.figure.Figure`` of its own: no state is
shared, nothing is shown on a screen. ``save_all`` writes them as PNG and SVG; equal records give
equal bytes.

Accuracies are drawn in percent, everything else in the unit of its record. The colors are viridis,
which keeps its order for color-blind readers and in gray print. Collapsed and diverged cells are
told by pattern, not by color.
"""

import itertools
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np

from gridscape.analysis import selection
from gridscape.analysis.best import BestPerRow
from gridscape.analysis.boundaries import Boundary, edge_of_learning
from gridscape.analysis.cells import CellState, CellSummary, summarize, top_cell
from gridscape.analysis.costs import Pareto, ParetoPoint
from gridscape.analysis.curves import CurveBand, curve_band
from gridscape.analysis.few import FEWEST, told_cell, told_row
from gridscape.analysis.published import (
    Agreement,
    PublishedCell,
    PublishedComparison,
    compare_published,
)
from gridscape.claims.tables import published as published_table
from gridscape.errors import GridscapeError, UsageError, check_known
from gridscape.grid import names
from gridscape.grid.axes import Axis, Cell, Value, is_wide, same, show
from gridscape.grid.meanings import Meaning
from gridscape.grid.names import Variable
from gridscape.landscape import Landscape, sought_axis
from gridscape.report._drawing import (
    ACCENT,
    BAD,
    INK,
    MUTED,
    TEST,
    TRAIN,
    VALIDATION,
    Shown,
    around,
    coordinate,
    escaped,
    finish,
    line_colors,
    name_ticks,
    needs_matplotlib,
    save,
    set_scale,
    study_axis,
    styled,
    times,
)
from gridscape.report.findings import (
    COSTS,
    ByKind,
    Findings,
    curve_names,
    curves_of,
    kinds_of,
    told_band,
)
from gridscape.report.layout import (
    ERROR_TICKS,
    FEW_ERROR_TICKS,
    LineView,
    along_axis,
    line_view,
    place_on,
    view,
)
from gridscape.report.palette import ink_on
from gridscape.report.words import (
    STATES,
    agreement,
    blank,
    chosen_on,
    half_width,
    learns_short,
    spoken,
    with_unit,
)

with needs_matplotlib():
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import Colormap, LogNorm, Normalize, to_rgba
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch, PathPatch, Rectangle
    from matplotlib.path import Path as Outline
    from matplotlib.ticker import (
        EngFormatter,
        FixedFormatter,
        FixedLocator,
        LogLocator,
        NullLocator,
    )

BLANK = (0.957, 0.945, 0.922, 1.0)
FEW_CELLS = 40  # along an axis: so many can be told apart by a gap
NO_RESULT = (CellState.STOPPED, CellState.MISSING, CellState.NOT_ASKED)
HATCHES = {
    CellState.COLLAPSED: "..",
    CellState.NOT_STARTED: "--",
    CellState.DIVERGED: "////",
    CellState.FAILED: "xxx",
}
NOTHING_LEARNED = (CellState.COLLAPSED, CellState.NOT_STARTED)
LETTERS_PER_INCH = 12.5  # of a title
MOST_PANELS = 18  # of the further axes' combinations in one heat map
MOST_BANDS = 9  # lines of a panel that still have bands
MOST_LINES = 60  # of a panel: of more cells, evenly chosen ones are drawn
OF_SPLITS = {"train": TRAIN, "test": TEST, "val": VALIDATION}
SPLIT_WORDS = {"val": "validation"}
SERIES = (TEST, TRAIN, "#0f7a5c", "#8a4f9e", "#7a6a00", MUTED)  # lines without an order
MARKERS = "osD^*p"
STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
MOST_TEXT = 300  # cells of a panel that are still labeled one by one


# ---- the landscape ----


def heat_map(
    axes: Landscape | Sequence[Axis],
    summaries: Sequence[CellSummary] = (),
    best: Sequence[BestPerRow] = (),
    *,
    top: Cell | None = None,
    chosen: str = "",
    edge: Sequence[Boundary] = (),
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
) -> Any:
    """The mean of every cell, laid out as ``view`` says; a figure, or ``ax``.

    axes: of the summaries, or a landscape, of which all else is then taken. ax: where it is drawn,
    for which there may be two axes that vary; size: of a new figure, in inches. Raises UsageError
    for more of them.

    summaries: one per cell, in the grid's order. Each combination of further axes has a panel of
    its own; beyond ``MOST_PANELS`` of them only the one with the best cell (``top``, by default by
    these means) is drawn, and the title says so. chosen: on which set the best was chosen, in
    words. A solid frame marks the best cell of a row, dotted ones those not shown to be worse.
    edge: of learning along the columns, drawn row by row with its interval.
    """
    if isinstance(axes, Landscape):
        return _map_of(axes, ax, size)
    found = view(axes)
    rows, columns = found.rows, found.columns
    further = [axis for axis in axes if axis not in (rows, columns)]
    panels = _panels(further, top or _top(summaries).cell)
    if ax is not None and len(panels) > 1:
        raise UsageError(
            "a single ax has room for two axes that vary",
            found=", ".join(axis.name for axis in axes if len(axis.values) > 1),
            hint="leave ax out: each combination of further axes then has a panel",
        )
    with styled():
        if ax is None:
            figure, boxes = _grid_of(len(panels), *_map_size(columns, rows), size)
        else:
            figure, boxes = None, [ax]
        metric, meaning = summaries[0].metric, summaries[0].meaning
        scale = _scale([meaning.factor * s.estimate.mean for s in summaries], meaning)
        colormap = mpl.colormaps["viridis" if meaning.is_higher_better else "viridis_r"]
        for box, (label, fixed) in zip(boxes, panels, strict=True):
            inside = [s for s in summaries if _matches(s.cell, fixed)]
            _map_panel(box, columns, rows, inside, scale, colormap)
            _frames(box, columns, rows, fixed, best)
            _edge(box, columns, rows, [e for e in edge if _matches(e.row, fixed)])
            box.set_title(escaped(label, 40))
        told = chosen if any(row.best for row in best) else ""
        if figure is None:
            boxes[0].set_title(escaped(with_unit(metric, meaning), 60))
            return ax
        _map_title(figure, summaries, len(panels), further, told)
        _map_legend(figure, summaries, best, edge)
        mappable = mpl.cm.ScalarMappable(scale, colormap)
        label = with_unit(metric, meaning)
        figure.colorbar(mappable, ax=boxes, shrink=0.7, pad=0.01, aspect=30, label=label)
    return figure


def _map_of(land: Landscape, ax: Axes | None, size: tuple[float, float] | None) -> Any:
    """The heat map of a landscape by its main metric, with what it says of the best cells."""
    main = list(map(told_cell, summarize(land, land.main_metric)))
    by_cell = {summary.cell: summary for summary in main}
    best, axis = selection.top(land, by_cell), sought_axis(land.axes)
    rows = selection.best_rows(land, axis.name, by_cell) if axis and best else ()
    return heat_map(
        land.axes,
        main,
        list(map(told_row, rows)),
        top=best.cell if best else None,
        chosen=chosen_on(land),
        edge=edge_of_learning(land, axis.name, best) if axis else (),
        ax=ax,
        size=size,
    )


def _panels(further: Sequence[Axis], top: Cell) -> list[tuple[str, dict[str, Value]]]:
    """Label and fixed values of each panel."""
    names = [axis.name for axis in further]
    points = list(itertools.product(*(axis.values for axis in further)))
    if len(points) > MOST_PANELS:
        points = [tuple(top[name] for name in names)]
    fixed = [dict(zip(names, point, strict=True)) for point in points]
    return [(", ".join(f"{n}={show(v)}" for n, v in values.items()), values) for values in fixed]


def _top(summaries: Sequence[CellSummary]) -> CellSummary:
    """The candidate with the best mean, else the first cell."""
    return top_cell(summaries) or summaries[0]


def _map_size(columns: Axis, rows: Axis | None) -> tuple[float, float]:
    wide = min(1.6 + 0.78 * len(columns.values), 9.5)
    high = min(1.2 + 0.52 * (len(rows.values) if rows else 1), 8.0)
    return max(wide, 3.2), high


def _grid_of(
    count: int, wide: float, high: float, size: tuple[float, float] | None = None
) -> tuple[Figure, list[Axes]]:
    across = min(count, 3)
    down = -(-count // across)
    figure = Shown(figsize=size or (wide * across**0.8 + 0.8, high * down**0.9 + 0.7))
    boxes = list(figure.subplots(down, across, squeeze=False).flat)
    for box in boxes[count:]:
        box.remove()
    return figure, boxes[:count]


def _scale(values: Sequence[float], meaning: Meaning) -> Normalize:
    """The ends of the colors; what is no fraction and lies far apart is colored by its log."""
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if not meaning.is_fraction and is_wide(finite):
        return LogNorm(min(v for v in finite if v > 0), high, clip=True)
    return Normalize(low, high if high > low else low + 1e-9)


def _map_panel(
    box: Axes,
    columns: Axis,
    rows: Axis | None,
    summaries: Sequence[CellSummary],
    scale: Normalize,
    colormap: Colormap,
) -> None:
    labeled = len(summaries) <= MOST_TEXT and len(columns.values) <= 12
    places = _places(columns, rows, [s.cell for s in summaries])
    faces = _faces(summaries, scale, colormap)
    is_few = _longest(columns, rows) <= FEW_CELLS
    of_state: dict[CellState, list[int]] = {state: [] for state in CellState}
    for number, summary in enumerate(summaries):
        of_state[summary.state].append(number)
    if not is_few:
        seen = [n for state in CellState if state not in NO_RESULT for n in of_state[state]]
        _map_image(box, (_length(rows), len(columns.values)), places[seen], faces[seen])
    for state, inside in of_state.items():
        if inside:
            draw = _map_cells if is_few else _map_areas
            draw(box, places[inside], faces[inside], state)
    if labeled:
        for summary, place, face in zip(summaries, places, faces, strict=True):
            _label_cell(box, place, summary, face)
    box.set_xlim(-0.5, len(columns.values) - 0.5)
    box.set_ylim((len(rows.values) if rows else 1) - 0.5, -0.5)
    box.spines[:].set_visible(False)
    box.tick_params(length=0)
    name_ticks(box.xaxis, columns)
    if rows:
        name_ticks(box.yaxis, rows)
    else:
        box.set_yticks([])


def _places(columns: Axis, rows: Axis | None, cells: Iterable[Cell]) -> np.ndarray:
    """Column and row of each cell: (n, 2)."""
    across = {value: x for x, value in enumerate(columns.values)}
    down = {value: y for y, value in enumerate(rows.values)} if rows else {}
    found = [(across[cell[columns.name]], down[cell[rows.name]] if rows else 0) for cell in cells]
    return np.array(found, int).reshape(-1, 2)


def _faces(summaries: Sequence[CellSummary], scale: Normalize, colormap: Colormap) -> np.ndarray:
    """The color of each cell, by its mean: (n, 4)."""
    means = np.array([s.meaning.factor * s.estimate.mean for s in summaries], float)
    known = np.isfinite(means)
    faces = np.full((len(means), 4), to_rgba(BLANK))
    faces[known] = colormap(scale(means[known]))
    return faces


def _length(axis: Axis | None) -> int:
    return len(axis.values) if axis else 1


def _longest(columns: Axis, rows: Axis | None) -> int:
    return max(_length(columns), _length(rows))


def _map_cells(box: Axes, places: np.ndarray, faces: np.ndarray, state: CellState) -> None:
    """The cells of one state, as one collection."""
    side = 0.96  # the rest is the gap between neighbors
    squares = [Rectangle((x - side / 2, y - side / 2), side, side) for x, y in places]
    drawn = PatchCollection(squares, facecolors=faces, linewidth=0)
    drawn.set(**_mark_of(state, faces[0]))
    box.add_collection(drawn)


def _map_image(box: Axes, shape: tuple[int, int], places: np.ndarray, faces: np.ndarray) -> None:
    """All cells as one picture: a gap between them would be thinner than a pixel."""
    pixels = np.zeros((*shape, 4))
    pixels[places[:, 1], places[:, 0]] = faces
    box.imshow(pixels, aspect="auto", interpolation="nearest")


def _map_areas(box: Axes, places: np.ndarray, faces: np.ndarray, state: CellState) -> None:
    """What marks the cells of one state, as one area over the picture of all of them."""
    if mark := _mark_of(state, faces[0]):
        corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5)])
        area = Outline.make_compound_path_from_polys(places[:, None] + corners)
        patch = PathPatch(area, **{"facecolor": "none", "linewidth": 0} | mark)
        box.add_artist(patch)  # add_patch asks each corner for its limits


def _mark_of(state: CellState, face: Any) -> dict[str, Any]:
    """The outline or the hatch by which cells without a result, or that failed, are known."""
    if state in NO_RESULT:
        return {"facecolor": "none", "edgecolor": MUTED, "linestyle": "--", "linewidth": 0.6}
    if state not in HATCHES:
        return {}
    color = BAD if state is CellState.DIVERGED else MUTED
    if state in NOTHING_LEARNED:
        color = ink_on(face)
    return {"hatch": HATCHES[state], "edgecolor": color}


def _label_cell(box: Axes, place: np.ndarray, summary: CellSummary, face: Any) -> None:
    x, y = place
    # Hatches and the edge of learning pass behind the numbers.
    ground = {"facecolor": face, "edgecolor": "none", "pad": 1.5}
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": ink_on(face), "zorder": 4}
    style["bbox"] = ground
    if not math.isfinite(summary.estimate.mean):
        box.text(x, y, blank(summary.state), fontsize=7, **style)
        return
    interval = half_width(summary.estimate, summary.meaning)
    word = STATES[summary.state].word if summary.state in NOTHING_LEARNED else interval
    below = " ".join(filter(None, (word, learns_short(summary))))
    size = 6.5 if len(below) < 12 else 5
    box.text(x, y - (0.1 if below else 0), summary.meaning.text(summary.estimate.mean), **style)
    if below:
        box.text(x, y + 0.22, below, fontsize=size, **style)


def _frames(
    box: Axes,
    columns: Axis,
    rows: Axis | None,
    fixed: Mapping[str, Value],
    best: Sequence[BestPerRow],
) -> None:
    """A solid frame around the best cell of a row, dotted ones around those not shown worse."""
    for row in best:
        for value in row.equivalent or (() if row.value is None else (row.value,)):
            cell = Cell.of(**{**row.row, row.axis: value})
            if not _matches(cell, fixed):
                continue
            ((x, y),) = _places(columns, rows, [cell])
            line = "-" if value == row.value else ":"
            frame = Rectangle((x - 0.44, y - 0.44), 0.88, 0.88, fill=False, ls=line, lw=1.5)
            frame.set_edgecolor(INK)
            box.add_patch(frame)


def _edge(box: Axes, columns: Axis, rows: Axis | None, edge: Sequence[Boundary]) -> None:
    """The edge of learning across each row, and its interval along the row's lower side."""
    for row in edge:
        if row.axis != columns.name:
            continue
        y = rows.values.index(row.row[rows.name]) if rows else 0
        found = row.estimate
        place, low, high = (place_on(columns, v) for v in (found.mean, found.low, found.high))
        if low is not None and high is not None:
            _haloed(box, [low, high], [y + 0.44] * 2, lw=2.5)
        if place is not None:
            _haloed(box, [place] * 2, [y - 0.48, y + 0.48], lw=2)


def _haloed(box: Axes, x: Sequence[float], y: Sequence[float], lw: float) -> None:
    """A line that can be seen on every color."""
    box.plot(x, y, color="white", lw=lw + 1.6, solid_capstyle="butt")
    box.plot(x, y, color=INK, lw=lw, solid_capstyle="butt")


def _map_title(
    figure: Figure,
    summaries: Sequence[CellSummary],
    drawn: int,
    further: Sequence[Axis],
    chosen: str,
) -> None:
    total = math.prod(len(axis.values) for axis in further)
    cut = f"\n{drawn} of {total} slices" if drawn < total else ""
    n = len(summaries[0].statuses)
    several = (
        "mean ± the longer side of its 95 % interval"
        if n >= FEWEST
        else f"mean of {n}, no interval"
    )
    what = several if n > 1 else "one replicate, no interval"
    best = f"\nbest cells {chosen}" if chosen else ""
    share = next(filter(None, map(learns_short, summaries)), "")
    learn = f"\n{share}: so many runs learn; the mean is of those that do" if share else ""
    title = f"{spoken(summaries[0].metric).capitalize()}: {what}{cut}{best}{learn}"
    fitting = int(LETTERS_PER_INCH * figure.get_figwidth())
    lines = [part for line in title.splitlines() for part in wrap(line, fitting)]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10)


def _map_legend(
    figure: Figure,
    summaries: Sequence[CellSummary],
    best: Sequence[BestPerRow],
    edge: Sequence[Boundary],
) -> None:
    states = {s.state for s in summaries}
    marks: list[Patch | Line2D] = [
        Patch(
            facecolor="#eee9df",
            edgecolor=MUTED,
            hatch=HATCHES[state],
            lw=0,
            label=STATES[state].word,
        )
        for state in HATCHES
        if state in states
    ]
    marks += [
        Patch(fill=False, edgecolor=MUTED, ls="--", label=STATES[state].word)
        for state in NO_RESULT
        if state in states
    ]
    if any(row.best for row in best):
        marks.append(Patch(fill=False, edgecolor=INK, label=f"best {escaped(best[0].axis)}"))
    if any(len(row.equivalent) > 1 for row in best):
        marks.append(Patch(fill=False, edgecolor=MUTED, ls=":", label="not shown to be worse"))
    if edge:
        marks.append(Line2D([], [], color=INK, lw=2, label="edge of learning, its interval"))
    if marks:
        columns = _columns([str(mark.get_label()) for mark in marks], figure.get_figwidth())
        figure.legend(handles=marks, loc="outside lower left", ncols=columns)


def _columns(labels: Sequence[str], width: float) -> int:
    """As many columns of a legend, at most 4, as fit beside each other into so many inches."""
    for columns in range(min(len(labels), 4), 1, -1):
        down = -(-len(labels) // columns)  # filled one column after the other
        longest = [max(map(len, labels[k : k + down])) for k in range(0, len(labels), down)]
        if sum(0.6 + 0.075 * n for n in longest) <= width:
            return columns
    return 1


# ---- curves ----


def curves(
    bands: Landscape | Sequence[CurveBand],
    chosen: str = "",
    *,
    cell: Mapping[str, Value] | None = None,
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
) -> Any:
    """The curves of one cell by update: mean, interval, and each replicate as a thin line.

    bands: of the cell, or a landscape, of which ``cell`` is drawn, by default the best one; into an
    ``ax`` the curves of its main metric. ``train_``, ``val_`` and ``test_`` of a number share a
    panel. chosen: in words, how the cell was chosen. size: of a new figure, in inches. Returns the
    figure, or ``ax``. Raises UsageError for an ax and several numbers, for a cell that is not
    there, and where none is the best.
    """
    if isinstance(bands, Landscape):
        bands = _curves_of(bands, cell, only_main=ax is not None)
    kinds = list(dict.fromkeys(_parts(band.curve)[1] for band in bands))
    if ax is not None and len(kinds) != 1:
        raise UsageError(
            "a single ax has room for one number",
            found=", ".join(kinds) or "none",
            hint="hand in the curves of one, or leave ax out",
        )
    with styled():
        if ax is None:
            figure = Shown(figsize=size or (4.2 * max(len(kinds), 1), 3.0))
            boxes = _row_of(figure, len(kinds))
        else:
            figure, boxes = None, [ax]
        for box, kind in zip(boxes, kinds, strict=True):
            shown = [band for band in bands if _parts(band.curve)[1] == kind]
            for band in shown:
                _curve(box, band)
            meaning = shown[0].meaning
            finish(box, "updates", with_unit(kind, meaning))
            _limit(box, meaning, [x for b in shown for x in (b.mean, *b.per_replicate)])
            box.legend()
        title = ", ".join(filter(None, (str(bands[0].cell), chosen))) if bands else ""
        if figure is None:
            boxes[0].set_title(escaped(title, 60))
            return ax
        if title:
            figure.suptitle(escaped(title, 90), x=0.01, ha="left", fontsize=10)
    return figure


def _curves_of(
    land: Landscape, cell: Mapping[str, Value] | None, *, only_main: bool
) -> list[CurveBand]:
    """The curves of a cell of a landscape, by default of its best one; such as have a point."""
    if cell is None:
        top = top_cell(summarize(land, land.selection_metric))
        if top is None:
            raise UsageError("no cell is the best: none finished", hint="name one: cell={...}")
        cell = top.cell
    of_main = _parts(land.main_metric)[1]
    found = (curve_band(land, Cell.of(**cell), name) for name in curve_names(land))
    told = [told_band(band) for band in found if band.updates]
    return [b for b in told if not only_main or _parts(b.curve)[1] == of_main]


def _one_box(
    ax: Axes | None, size: tuple[float, float] | None, own: tuple[float, float]
) -> tuple[Figure | None, Axes]:
    """Where a picture of one box is drawn: into ``ax``, else into a new figure."""
    if ax is not None:
        return None, ax
    figure = Shown(figsize=size or own)
    return figure, figure.subplots()


def _parts(curve: str) -> tuple[str, str]:
    """The split of a curve and its metric, "test" and "accuracy"; answers are those to the test."""
    variable = Variable.parse(curve)
    return (variable.split, variable.metric) if variable else ("test", curve)


def _row_of(figure: Figure, count: int) -> list[Axes]:
    return list(figure.subplots(1, count, squeeze=False).flat) if count else []


def _curve(box: Axes, band: CurveBand) -> None:
    split, _ = _parts(band.curve)
    color, factor = OF_SPLITS.get(split, TEST), band.meaning.factor
    for values in band.per_replicate:
        box.plot(band.updates, times(values, factor), color=color, lw=0.5, alpha=0.5)
    low, high = times(band.low, factor), times(band.high, factor)
    if any(map(math.isfinite, low)):
        box.fill_between(band.updates, low, high, color=color, alpha=0.18, lw=0)
    marker = "o" if len(band.updates) < 3 else None
    mean = times(band.mean, factor)
    label = SPLIT_WORDS.get(split, split or "test")  # a share of answers is of no split
    box.plot(band.updates, mean, color=color, lw=1.6, marker=marker, label=label)


def _limit(box: Axes, meaning: Meaning, lines: Iterable[Sequence[float]]) -> None:
    """Limits by means and replicates; a loss that falls far is read on a log axis."""
    values = [meaning.factor * v for line in lines for v in line if math.isfinite(v)]
    log = not meaning.is_fraction and is_wide(values, 8)
    box.set_yscale("log" if log else "linear")
    box.set_ylim(*around(values, log=log))


# ---- the lines of all cells, side by side ----


class CellLine(NamedTuple):
    """A line of a cell: numbers along ``x``, with the ends of their intervals."""

    cell: Cell
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def curves_side_by_side(
    axes: Landscape | Sequence[Axis],
    bands: Sequence[CurveBand] = (),
    *,
    curve: str | None = None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """One curve of every cell by update: mean over replicates with its interval.

    axes: those of the study, with bands of one curve, one a cell; or a landscape, of which
    ``curve`` is drawn, by default that of its main metric. size: in inches. Colors, styles and
    panels are those of ``line_view``. Raises UnknownNameError for a curve that is not there,
    UsageError where no cell has it.
    """
    if isinstance(axes, Landscape):
        land, axes = axes, axes.axes
        curve = curve or land.main_metric
        check_known("curve", curve, curve_names(land))
        found, *_ = curves_of(land, summarize(land), None)
        bands = [band for of_cell in found.values() for band in of_cell if band.curve == curve]
    if not bands:
        raise UsageError("no cell has this curve", found=curve)
    lines = [CellLine(b.cell, b.updates, b.mean, b.low, b.high) for b in bands]
    view, of = line_view(axes), (bands[0].curve, bands[0].meaning)
    return _family(view, lines, of, "updates", size=size)


def by_kind(
    axes: Landscape | Sequence[Axis],
    record: ByKind | None = None,
    chance: float | None = None,
    *,
    size: tuple[float, float] | None = None,
) -> Figure:
    """A test metric of every cell against a kind of test examples, as their length.

    axes: those of the study, with a record; or a landscape, of which the main metric is drawn, or
    the first that is told apart. chance: what guessing gives, marked where it is known. size: in
    inches. Raises UsageError where no metric is told apart.
    """
    if isinstance(axes, Landscape):
        land, axes = axes, axes.axes
        record = record or next((found for found in kinds_of(land) if found.cells), None)
        chance = land.chance(record.metric) if record and chance is None else chance
    if record is None:
        raise UsageError(
            "no metric of these results is told apart by a kind of test examples",
            hint="a task does that by its groups: see docs/extending.md",
        )
    lines = []
    for cell, summaries in record.cells.items():
        found = [summary.estimate for summary in summaries]
        columns = zip(*[(e.mean, e.low, e.high) for e in found], strict=True)
        lines.append(CellLine(cell, [float(v) for v in record.values], *columns))
    marks = () if chance is None else (chance,)
    meaning = next((s.meaning for of_cell in record.cells.values() for s in of_cell), Meaning())
    of = record.metric, meaning
    figure = _family(line_view(axes), lines, of, record.kind, marks, size=size)
    for box in figure.axes if chance is not None else ():
        _mark_chance(box, meaning.factor * (chance or 0))
    return figure


def _mark_chance(box: Axes, height: float) -> None:
    box.axhline(height, color=MUTED, lw=0.8, ls=(0, (1, 2)), zorder=0)
    box.annotate(
        "chance",
        (0.99, height),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=7,
        color=MUTED,
    )


def _family(
    view: LineView,
    lines: Sequence[CellLine],
    metric: tuple[str, Meaning],
    along: str,
    marks: Sequence[float] = (),
    *,
    size: tuple[float, float] | None = None,
) -> Figure:
    """A panel for each combination of the axes that neither color nor style tells apart.

    metric: its name and what it means. marks: numbers that the panels must have room for.
    """
    name, meaning = metric
    panels: dict[str, list[CellLine]] = {}
    for line in lines:
        label = ", ".join(f"{a.name}={show(line.cell[a.name])}" for a in view.panels)
        panels.setdefault(label, []).append(line)
    shown = list(panels.items())[:MOST_PANELS]
    with styled():
        figure, boxes = _grid_of(len(shown), 3.4 if len(shown) > 1 else 5.4, 2.3, size)
        for box, (label, members) in zip(boxes, shown, strict=True):
            drawn = members[:: -(-len(members) // MOST_LINES)]
            for line in drawn:
                _cell_line(box, line, view, meaning.factor, banded=len(members) <= MOST_BANDS)
            told = f"{len(drawn)} of {len(members)} cells" if len(drawn) < len(members) else ""
            box.set_title(escaped(", ".join(filter(None, (label, told))), 44), fontsize=8)
            box.grid(axis="y", lw=0.5)
            _limit(box, meaning, [*(line.mean for _, part in shown for line in part), marks])
            if not any(math.isfinite(v) for line in members for v in line.mean):
                box.text(0.5, 0.5, "none finished", transform=box.transAxes, ha="center")
        cut = f"; {len(shown)} of {len(panels)} panels" if len(shown) < len(panels) else ""
        figure.suptitle(escaped(f"{spoken(name).capitalize()}{cut}", 90), x=0.01, ha="left")
        figure.supxlabel(escaped(along), fontsize=9)
        figure.supylabel(escaped(with_unit(name, meaning)), fontsize=9)
        figure.legend(handles=_family_legend(view), loc="outside right upper")
    return figure


def _cell_line(box: Axes, line: CellLine, view: LineView, factor: float, *, banded: bool) -> None:
    color, style = _look_of(line.cell, view)
    low, high = times(line.low, factor), times(line.high, factor)
    if banded and any(map(math.isfinite, low)):
        box.fill_between(line.x, low, high, color=color, alpha=0.14, lw=0)
    marker = "." if len(line.x) < 3 else None
    box.plot(line.x, times(line.mean, factor), color=color, ls=style, lw=1.3, marker=marker)


def _look_of(cell: Cell, view: LineView) -> tuple[Any, Any]:
    colors = family_colors(view.color)
    at = view.style.values.index(cell[view.style.name]) if view.style else 0
    return colors[view.color.values.index(cell[view.color.name])], STYLES[at % len(STYLES)]


def family_colors(axis: Axis) -> list[Any]:
    """In order for an ordered axis, else told apart."""
    if axis.scale != "category":
        return line_colors(len(axis.values))
    return [SERIES[i % len(SERIES)] for i in range(len(axis.values))]


def _family_legend(view: LineView) -> list[Line2D]:
    """The values by color, then those by style, each under the name of its axis."""
    pairs = zip(view.color.values, family_colors(view.color), strict=True)
    marks = [Line2D([], [], label=escaped(view.color.name), color="none")]
    marks += [Line2D([], [], color=color, lw=2, label=escaped(show(v))) for v, color in pairs]
    if view.style:
        marks.append(Line2D([], [], label=escaped(view.style.name), color="none"))
        for value, style in zip(view.style.values, itertools.cycle(STYLES), strict=False):
            marks.append(Line2D([], [], color=INK, ls=style, label=escaped(show(value))))
    return marks


# ---- the best value of an axis ----


def best_per_row(
    rows: Landscape | Sequence[BestPerRow],
    axis: Axis | None = None,
    along: Axis | None = None,
    chosen: str = "",
    *,
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
) -> Any:
    """The best value of ``axis`` against ``along``; marks beside it are not shown to be worse.

    rows: those of ``best_per``, or a landscape, of which all else is then taken. A line for each
    combination of any further axes. chosen: on which set, in words. ax: where it is drawn, and
    which is returned; size: of a new figure, in inches. Raises UsageError where fewer than two axes
    vary, or no cell is the best.
    """
    if isinstance(rows, Landscape):
        return _best_of(rows, ax, size)
    if axis is None or along is None:
        raise UsageError("the axes are lacking", hint="hand in axis and along, or a landscape")
    groups: dict[str, list[BestPerRow]] = {}
    for row in rows:
        rest = ", ".join(f"{k}={show(v)}" for k, v in row.row.items() if k != along.name)
        groups.setdefault(rest, []).append(row)
    with styled():
        figure, box = _one_box(ax, size, (7.2 if len(groups) > 4 else 4.8, 3.3))
        colors = [ACCENT] if len(groups) == 1 else line_colors(len(groups))
        for i, (label, group) in enumerate(groups.items()):
            # Side by side where the axis has room between its values.
            aside = 0.6 * (i - (len(groups) - 1) / 2) / len(groups)
            shift = aside if along.scale == "category" else 0.0
            shown = [row for row in group if row.best]
            looks = (colors[i], MARKERS[i % len(MARKERS)])
            _best_line(box, shown, axis, along, looks, label, shift)
        finish(box, along.name, f"best {axis.name}")
        study_axis(box.xaxis, along)
        study_axis(box.yaxis, axis)
        box.set_title(chosen, fontsize=8)
        if len(groups) > 1 and figure is None:
            box.legend()
        elif len(groups) > 1 and figure:
            figure.legend(loc="outside right upper" if len(groups) > 4 else "outside lower left")
    return ax if figure is None else figure


def _best_of(land: Landscape, ax: Axes | None, size: tuple[float, float] | None) -> Any:
    """The best value of the sought axis of a landscape against the first other one."""
    axis = sought_axis(land.axes)
    along = along_axis(land.axes, axis.name) if axis else None
    if axis is None or along is None:
        found = ", ".join(a.name for a in land.axes if len(a.values) > 1) or "none"
        raise UsageError("a best value per row needs two axes that vary", found=found)
    main = list(map(told_cell, summarize(land, land.main_metric)))
    rows = list(map(told_row, selection.best_rows(land, axis.name, main)))
    if not any(row.best for row in rows):
        raise UsageError("no cell is the best: none finished")
    return best_per_row(rows, axis, along, chosen_on(land), ax=ax, size=size)


def _best_line(
    box: Axes,
    rows: Sequence[BestPerRow],
    axis: Axis,
    along: Axis,
    looks: tuple[Any, str],
    label: str,
    shift: float,
) -> None:
    """looks: a color, and a marker that tells lines apart without it."""
    color, marker = looks
    x = [coordinate(along, row.row[along.name]) + shift for row in rows]
    y = [coordinate(axis, row.value) for row in rows if row.value is not None]
    style = "none" if along.scale == "category" else ":"
    box.plot(x, y, color=color, lw=0.8, ls=style, marker=marker, ms=6, label=escaped(label, 40))
    for at, row in zip(x, rows, strict=True):
        for run in _runs(row.equivalent, axis):
            box.plot([at] * len(run), run, color=color, lw=1.4, marker="_", ms=8)


def _runs(values: Sequence[Value], axis: Axis) -> list[list[float]]:
    """Where values lie on their axis, neighbors together: a hole stays one."""
    runs: list[list[float]] = []
    for value in axis.values:
        runs = runs if value in values else [*runs, []]
        if value in values:
            runs = runs or [[]]
            runs[-1].append(coordinate(axis, value))
    return [run for run in runs if run]


# ---- accuracy against cost ----


def pareto(
    record: Landscape | Pareto,
    chosen: str = "",
    *,
    cost: str = "flops",
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
) -> Any:
    """Metric against cost, with the front that no other cell beats.

    record: that of ``analysis.pareto``, or a landscape, of which the main metric is drawn against
    ``cost``: "flops", "seconds", "n_parameters" or "memory_bytes". chosen: on which set the front
    was chosen, in words. ax: where it is drawn, and which is returned; size: of a new figure, in
    inches. Raises UnknownNameError for another cost, UsageError where no cell finished.

    Accuracies are spaced by their error: 98 and 99 percent lie as far apart as 80 and 90.
    """
    if isinstance(record, Landscape):
        land, chosen = record, chosen or chosen_on(record)
        check_known("cost", cost, COSTS)
        main = list(map(told_cell, summarize(land, land.main_metric)))
        record = selection.fronts(land, [cost], main)[cost]
    if not record.points:
        raise UsageError("no cell to draw against its cost: none finished")
    meaning = record.meaning
    is_spaced = meaning.is_fraction and meaning.is_higher_better
    height = _by_error if is_spaced else partial(operator.mul, meaning.factor)
    with styled():
        figure, box = _one_box(ax, size, (5.2, 3.6))
        for on_front, color, width in ((False, MUTED, 4), (True, ACCENT, 6)):
            points = [p for p in record.points if p.on_front is on_front]
            _cost_points(box, points, height, color, width)
        front = record.front
        means = [height(p.summary.estimate.mean) for p in front]
        label = ", ".join(filter(None, ("front", chosen)))
        box.step([p.cost for p in front], means, where="post", color=ACCENT, lw=1.4, label=label)
        finish(box, spoken(record.cost), with_unit(record.metric, meaning))
        _cost_axis(box.xaxis, record)
        if is_spaced:
            _error_axis(box, [height(p.summary.estimate.mean) for p in record.points])
        box.legend(loc="lower right")
    return ax if figure is None else figure


def _cost_points(
    box: Axes,
    points: Sequence[ParetoPoint],
    height: Callable[[float], float],
    color: str,
    size: int,
) -> None:
    known = [p for p in points if p.summary.estimate.known]
    low = [height(p.summary.estimate.low) for p in known]
    high = [height(p.summary.estimate.high) for p in known]
    box.vlines([p.cost for p in known], low, high, color=color, lw=0.7, alpha=0.6)
    means = [height(p.summary.estimate.mean) for p in points]
    box.plot([p.cost for p in points], means, "o", color=color, ms=size, mec="white", mew=0.6)


def _by_error(accuracy: float) -> float:
    """The error in percent, no smaller than the smallest tick."""
    return max(100 * (1 - accuracy), ERROR_TICKS[-1])


def _cost_axis(side: Any, record: Pareto) -> None:
    """A log axis where costs differ much; seconds are written out, the rest as 20k or 5G."""
    costs = [point.cost for point in record.points]
    if costs and 0 < 3 * min(costs) < max(costs):
        set_scale(side, "log")
        few = max(costs) > 1000 * min(costs)
        side.set_major_locator(LogLocator(subs=(1,) if few else (1, 2, 5)))
        side.set_minor_locator(NullLocator())
    plain = record.cost == "seconds"
    side.set_major_formatter("{x:g}" if plain else EngFormatter(sep=""))


def _error_axis(box: Axes, errors: Sequence[float]) -> None:
    box.set_yscale("log")
    low, high = around(errors, log=True)
    box.set_ylim(high, low)
    ticks = FEW_ERROR_TICKS if high > 20 * low else ERROR_TICKS
    box.yaxis.set_major_locator(FixedLocator(ticks))
    box.yaxis.set_major_formatter(FixedFormatter([f"{100 - error:g}" for error in ticks]))
    box.yaxis.set_minor_locator(NullLocator())


# ---- published tables ----


def published(
    comparison: Landscape | PublishedComparison,
    *,
    table: str | None = None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """A published table beside ours: a panel per row of the table, along its last axis.

    comparison: that of ``analysis.compare_published``; or a landscape, which is compared with the
    ``table`` of that name, by default the first one that its study names. size: in inches. Raises
    UnknownNameError for an unknown table, UsageError for a study that names none.

    Our mean with the interval in which ONE new run would lie; a filled dot lies inside it, a
    triangle outside, an open dot cannot be judged, a gray diamond is not comparable: the title says
    what our run has otherwise.
    """
    if isinstance(comparison, Landscape):
        comparison = _beside_published(comparison, table)
    cells = [c for c in comparison.cells if c.agreement is not Agreement.NOT_PUBLISHED]
    if not cells:
        raise GridscapeError("this table holds no number", where=comparison.table.name)
    across = list(cells[0].cell)[-1]
    axis = Axis(across, tuple(dict.fromkeys(c.cell[across] for c in cells)))
    rows: dict[str, list[PublishedCell]] = {}
    for cell in cells:
        label = ", ".join(f"{k}={show(v)}" for k, v in cell.cell.items() if k != across)
        rows.setdefault(label, []).append(cell)
    with styled():
        columns = min(len(rows), 3)
        down = -(-len(rows) // columns)
        figure = Shown(figsize=size or (2.7 * columns + 0.6, 2.0 * down + 0.8))
        grid = figure.subplots(down, columns, squeeze=False, sharex=True, sharey=True)
        boxes = list(grid.flat)
        for box, (label, row) in zip(boxes, rows.items(), strict=False):
            _published_panel(box, row, axis, comparison.meaning.factor)
            box.set_title(escaped(label, 40), fontsize=9)
        for box in boxes[len(rows) - columns : len(rows)]:
            box.set_xlabel(escaped(across))
            box.tick_params(labelbottom=True)
        for box in boxes[len(rows) :]:
            box.remove()
        figure.supylabel(with_unit(comparison.table.metric, comparison.meaning), fontsize=9)
        told = f" (not as published: {comparison.note})" if comparison.note else ""
        figure.suptitle(escaped(comparison.table.source + told, 90), x=0.01, ha="left", fontsize=10)
        figure.legend(handles=_published_legend(cells), loc="outside lower left", ncols=3)
    return figure


def _beside_published(land: Landscape, table: str | None) -> PublishedComparison:
    table = table or next(iter(land.study.get("published") or ()), None)
    if table is None:
        raise UsageError("this study names no published table", hint='table="width_lr_report1"')
    return compare_published(land, published_table(table))


_DOTS: dict[Agreement, tuple[str, str, str]] = {  # marker, face, edge
    Agreement.INSIDE: ("o", TRAIN, TRAIN),
    Agreement.OUTSIDE: ("^", BAD, BAD),
    Agreement.UNKNOWN: ("o", "none", TRAIN),
    Agreement.NOT_RUN: ("o", "none", MUTED),
    Agreement.NOT_COMPARABLE: ("D", "none", MUTED),
    Agreement.NOT_REACHED: ("s", "none", MUTED),
    Agreement.FAILED: ("x", MUTED, MUTED),
}


def _published_panel(box: Axes, cells: Sequence[PublishedCell], axis: Axis, factor: float) -> None:
    x = [coordinate(axis, cell.cell[axis.name]) for cell in cells]
    ours = times([cell.ours.mean for cell in cells], factor)
    low = times([cell.prediction_low for cell in cells], factor)
    high = times([cell.prediction_high for cell in cells], factor)
    box.fill_between(x, low, high, color=TEST, alpha=0.18, lw=0)
    box.plot(x, ours, color=TEST, lw=1.4, marker=".")
    for at, cell in zip(x, cells, strict=True):
        marker, face, edge = _DOTS[cell.agreement]
        y = factor * cell.published
        box.plot([at], [y], marker=marker, mfc=face, mec=edge, ms=5, ls="none")
    box.grid(axis="y", lw=0.5)
    study_axis(box.xaxis, axis)
    box.tick_params(axis="x", labelrotation=45, labelsize=7)


def _published_legend(cells: Sequence[PublishedCell]) -> list[Line2D]:
    found = {cell.agreement for cell in cells}
    marks = [Line2D([], [], color=TEST, marker=".", label="ours, with the interval of one new run")]
    for kind, (marker, face, edge) in _DOTS.items():
        if kind in found:
            marks.append(
                Line2D([], [], ls="none", marker=marker, mfc=face, mec=edge, label=agreement(kind))
            )
    return marks


# ---- files ----


def save_all(folder: Path, found: Findings, chance: float | None = None) -> list[Path]:
    """Writes every figure that the findings allow as PNG and SVG, and returns the paths.

    Raises GridscapeError where a file cannot be written.
    """
    figures = draw_all(found, chance).items()
    return [path for name, figure in figures for path in save(figure, folder, name)]


def draw_all(found: Findings, chance: float | None = None) -> dict[str, Figure]:
    """Every figure that the findings allow, by the name of its file.

    chance: the accuracy of guessing, where it is known.
    """
    return {name: make() for name, make in pictures(found, chance).items()}


def pictures(found: Findings, chance: float | None = None) -> dict[str, Callable[[], Figure]]:
    """What draws every figure that the findings allow, by the name of its file.

    chance: the accuracy of guessing, where it is known.
    """
    axes, best, chosen = found.land.axes, found.best, chosen_on(found.land)
    top = found.top.cell if found.top else None
    landscape = partial(heat_map, axes, found.main, best, top=top, chosen=chosen, edge=found.edge)
    makers: dict[str, Callable[[], Figure]] = {"landscape": landscape}
    if top and top in found.bands:
        makers["curves_of_the_best"] = partial(curves, found.bands[top], f"the best, {chosen}")
    for name in side_by_side(found):
        bands = [b for of_cell in found.bands.values() for b in of_cell if b.curve == name]
        makers[f"curves_{name}"] = partial(curves_side_by_side, axes, bands)
    for record in found.by_kind:
        if record.cells:
            is_accuracy = record.metric == str(Variable("test", "accuracy"))
            known = chance if is_accuracy else None
            makers[names.by_kind(record.metric, record.kind)] = partial(
                by_kind, axes, record, known
            )
    along = along_axis(axes, best[0].axis) if best else None
    if along and any(row.best for row in best):
        axis = found.land.axis(best[0].axis)
        makers[f"best_{axis.name}"] = partial(best_per_row, best, axis, along, chosen)
    for cost in ("flops", "seconds", "n_parameters"):
        if found.paretos[cost].points:
            makers[f"cost_{cost}"] = partial(pareto, found.paretos[cost], chosen)
    for comparison in found.published:
        if any(c.agreement is not Agreement.NOT_PUBLISHED for c in comparison.cells):
            makers[f"published_{comparison.table.name}"] = partial(published, comparison)
    return makers


def side_by_side(found: Findings) -> list[str]:
    """The curves that any cell has, where there is more than one cell to compare."""
    names = dict.fromkeys(band.curve for bands in found.bands.values() for band in bands)
    return list(names) if len(found.bands) > 1 else []


# ---- shared ----


def _matches(cell: Mapping[str, Value], fixed: Mapping[str, Value]) -> bool:
    return all(same(cell[name], value) for name, value in fixed.items())
