"""Records as tables for a terminal of 80 columns; without one, as clean plain text."""

import itertools
import math
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderHook
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from gridscape.analysis import selection
from gridscape.analysis.best import BestPerRow
from gridscape.analysis.cells import CellState, CellSummary, is_asked, summarize
from gridscape.analysis.conditions import altered
from gridscape.analysis.confirmed import Confirmation, confirmed
from gridscape.analysis.costs import SmallestEquivalent
from gridscape.analysis.efforts import Efforts, efforts
from gridscape.analysis.few import FEWEST, has_few, told_cell, told_row
from gridscape.analysis.statistics import Interval
from gridscape.analysis.winner import Winner, winner
from gridscape.cli._tiles import Tile, View, labels_of, short_labels, stub_width, tile_table
from gridscape.grid.axes import Axis, Cell, Value, is_wide, same, show
from gridscape.grid.many import many_records
from gridscape.grid.trials import Trial
from gridscape.landscape import Landscape, sought_axis
from gridscape.report.words import (
    STATES,
    cell_words,
    chosen_on,
    duration,
    each_for_itself,
    estimate_words,
    few,
    half_width,
    learns_short,
    look_words,
    memory,
    number,
    open_numbers,
    optimum_words,
    ordinal,
    plural,
    size_of,
    spoken,
    to_quote,
    unequal_words,
    value_set,
    winner_words,
    with_unit,
)
from gridscape.store.imported import takes_commands

if TYPE_CHECKING:
    from gridscape.claims.records import Verdict
    from gridscape.cli._catalog import Entry
    from gridscape.cli.doctor import Health
    from gridscape.execution.planner import CohortPlan, Plan
    from gridscape.execution.replay import Replay
    from gridscape.study.known_axes import KnownAxis
    from gridscape.tasks.fetch import DataSetStatus

GOOD, BAD, UNSURE, QUIET = "green", "red", "yellow", "dim"
OUTCOME_STYLES = {"holds": GOOD, "fails": BAD, "undecided": UNSURE, "not comparable": QUIET}
BLANK = (CellState.DIVERGED, CellState.FAILED)  # states whose mean has no color

# What a legend says of the marks of cells: those of states, and one more.
PARTIAL, EDGE = "*", "^"
MOST_VALUES = 40  # of an axis in a table: of more, every 2nd, 3rd ... is shown
MOST_PANELS = 24  # tables of one landscape
MOST_PROGRAMS, SLOWEST = 10, 5  # of a plan: of more programs, the slowest have a row each
MOST_OPEN = 4  # open numbers of a claim that have a line each
LEGEND = {
    STATES[CellState.COLLAPSED].sign: "collapsed to one answer for every test example",
    STATES[
        CellState.NOT_STARTED
    ].sign: "not started: no better than guessing, its loss still falls",
    STATES[CellState.DIVERGED].sign: "diverged: something was not finite",
    STATES[CellState.FAILED].sign: "failed, or did not fit into memory",
    STATES[CellState.STOPPED].sign: "stopped: gridscape run --resume-stopped goes on",
    STATES[CellState.MISSING].sign: STATES[CellState.MISSING].word,
    STATES[CellState.NOT_ASKED].sign: STATES[CellState.NOT_ASKED].word,
    PARTIAL: "some replicates failed, stopped or are not trained yet; mean over the others",
}


def console(*, stderr: bool = False) -> Console:
    """A console that never fails for a character that the terminal lacks."""
    stream = sys.stderr if stderr else sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
    found = Console(file=stream, highlight=False, emoji=False, markup=False)
    found.push_render_hook(_Printable())
    return found


class _Printable(RenderHook):
    """What a folder holds is shown, and moves no cursor: control characters become "?"."""

    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        return [_Shown(each) for each in renderables]


@dataclass(frozen=True)
class _Shown:
    of: Any

    def __rich_console__(self, to: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in to.render(self.of, options):
            text = segment.text
            if not segment.control and not text.replace("\n", "").isprintable():
                text = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
            yield Segment(text, segment.style, segment.control)


# ---- the landscape ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Overview:
    """What is said of a landscape at first sight; records of the analysis.

    cells: in the grid's order, by ``metric``. What is best is chosen by ``land.selection_metric``.
    top: the best cell. best: the best value of the axis that is sought (the learning rate where it
    varies) in each row. smallest: the smallest network that does as well as the best. Of too few
    replicates there are neither intervals nor verdicts: ``analysis.few``. winner: the best cell by
    ``land.selection_metric``, and what its luck may be; chosen: every cell by that metric.
    confirmed: what fresh replicates say of the best cells of ``directory``.
    """

    land: Landscape
    metric: str
    cells: tuple[CellSummary, ...]
    top: CellSummary | None
    best: tuple[BestPerRow, ...]
    smallest: SmallestEquivalent | None
    winner: Winner | None = None
    chosen: tuple[CellSummary, ...] = ()
    confirmed: Confirmation | None = None
    directory: Path | None = None

    @classmethod
    @many_records()
    def of(cls, land: Landscape, directory: Path | None = None) -> "Overview":
        """By the main metric; directory: where the results lie."""
        metric, sought = land.main_metric, sought_axis(land.axes)
        cells = tuple(map(told_cell, summarize(land, metric)))
        top = selection.top(land, cells)
        best = selection.best_rows(land, sought.name, cells) if sought and top else ()
        smallest = None if has_few(land) else selection.smallest(land, cells)
        return cls(
            land,
            metric,
            cells,
            top,
            tuple(map(told_row, best)),
            smallest,
            winner=winner(land, land.selection_metric),
            chosen=tuple(map(told_cell, summarize(land, land.selection_metric))),
            confirmed=confirmed(directory) if directory else None,
            directory=directory,
        )


def overview(found: Overview, width: int) -> Iterator[RenderableType]:
    """What is not as published, the landscape, the best value per row, the smallest network."""
    land = found.land
    study = land.study
    yield from notice(altered(land))
    yield Text(str(study.get("title") or study.get("name") or "landscape"), "bold")
    yield Text(size_of(land), QUIET)
    if line := few(land):
        yield Text(line, UNSURE)
    for line in study.get("told") or ():
        yield Text(f"Of the data: {line}", UNSURE)
    for part in _landscape(found, width):
        yield Text()
        yield part
    if found.best:
        yield Text()
        yield from _best(found)
        yield from _at_ends(found)
    if found.top:
        yield Text()
        yield Text(f"The best, {chosen_on(land)}: {found.top.cell}, {cell_words(found.top)}.")
        yield from _luck(found)
        if found.smallest:
            yield Text(_smallest(found.smallest))


def _luck(found: Overview) -> Iterator[RenderableType]:
    """What the luck of the best cell may be, and the number to quote."""
    luck = winner_words(found.winner, found.metric) if found.winner else ""
    if found.top and (luck or found.confirmed):
        folder = shlex.quote(str(found.directory or "DIR"))
        quote = to_quote(found.confirmed, found.top.cell, folder)
        quote = quote if found.confirmed or takes_commands(found.land.study) else ""
        yield Text(" ".join(filter(None, (luck, quote))))


def notice(line: str) -> Iterator[Text]:
    """What a reader must know before anything else, in the first line; nothing for ""."""
    if line:
        yield Text(line, UNSURE)


def _landscape(found: Overview, width: int) -> Iterator[RenderableType]:
    """One table for each combination of the axes that are neither rows nor columns."""
    whole = View.of(found.land.axes)
    yield Text(_caption(found, whole))
    by_cell = {summary.cell: summary for summary in found.cells}
    view = _thinned(whole)
    panels = _panels(whole, [s.cell for s in found.cells])
    panels = [p for p in panels if any(is_asked(by_cell[cell]) for row in p for cell in row)]
    marks = set[str]()
    for panel in panels[:MOST_PANELS]:
        if view.further:
            shown = {axis.name: panel[0][0][axis.name] for axis in view.further}
            yield Text(", ".join(f"{name}={show(value)}" for name, value in shown.items()), "bold")
        rows = [row[:: every(whole.columns)] for row in panel[:: every(whole.rows)]]
        part, summaries = _without_holes(view, [[by_cell[c] for c in r] for r in rows])
        marks |= {_mark(summary) for row in summaries for summary in row}
        yield from _blocks(part, summaries, width)
    yield from _left_out(whole, len(panels))
    lines = [f"{mark} {words}" for mark, words in LEGEND.items() if mark in marks]
    if share := next(filter(None, map(learns_short, found.cells)), ""):
        lines.append(f"{share} so many of its runs learn; the mean is of those that do")
    if lines:
        yield Text("\n".join(lines), QUIET)


def _without_holes(
    view: View, rows: list[list[CellSummary]]
) -> tuple[View, list[list[CellSummary]]]:
    """A panel without the rows and columns that nobody asked for."""
    asked = [[is_asked(summary) for summary in row] for row in rows]
    down = [i for i, row in enumerate(asked) if any(row)]
    across = [i for i, column in enumerate(zip(*asked, strict=True)) if any(column)]
    if not down:  # of a panel of which not all is shown
        return view, rows

    def of(axis: Axis, kept: Sequence[int]) -> Axis:
        return Axis(axis.name, tuple(axis.values[i] for i in kept))

    columns = view.columns and of(view.columns, across)
    part = View(of(view.rows, down), columns, view.further, view.fixed)
    return part, [[rows[i][k] for k in across] for i in down]


def every(axis: Axis | None) -> int:
    """Every how many values of an axis are shown, so that a reader sees all of it at once."""
    return -(-len(axis.values) // MOST_VALUES) if axis else 1


def _thinned(view: View) -> View:
    """The same with the values that are shown."""

    def of(axis: Axis) -> Axis:
        return Axis(axis.name, axis.values[:: every(axis)])

    columns = view.columns and of(view.columns)
    return View(of(view.rows), columns, view.further, view.fixed)


def _left_out(view: View, n_panels: int) -> Iterator[RenderableType]:
    """What of a large landscape is not shown here."""
    axes = [axis for axis in (view.rows, view.columns) if axis and every(axis) > 1]
    if axes:
        told = " and ".join(f"every {ordinal(every(axis))} value of {axis.name}" for axis in axes)
        n = math.prod(-(-len(a.values) // every(a)) for a in (view.rows, view.columns) if a)
        of = math.prod(len(axis.values) for axis in (view.rows, view.columns) if axis)
        line = f"{told[0].upper()}{told[1:]}: {n:,} of {of:,} cells; the report shows all."
        yield Text(line, QUIET)
    if n_panels > MOST_PANELS:
        yield Text(f"and {n_panels - MOST_PANELS:,} more tables; the report shows all.", QUIET)


def _caption(found: Overview, view: View) -> str:
    numbers = {int(n) for n in found.land.wanted.sum(-1).flat}
    text = with_unit(found.metric, found.land.meaning(found.metric))
    text = text[:1].upper() + text[1:]  # the unit as it is written
    if max(numbers) > 1:
        # A cell that nobody asked for has no mean.
        span = " to ".join(str(n) for n in sorted({min(numbers - {0}), max(numbers)}))
        half = " \u00b1 the longer side of its 95 % interval" if max(numbers) >= FEWEST else ""
        text += f": mean of {span} replicates{half}"
    if view.fixed:
        text += "; " + ", ".join(f"{axis.name}={show(axis.values[0])}" for axis in view.fixed)
    return text


def _panels(view: View, cells: Sequence[Cell]) -> list[list[list[Cell]]]:
    """The cells by the values of the further axes, then by row; columns in the axis' order."""
    panels: dict[tuple[Value, ...], dict[Value, list[Cell]]] = {}
    for cell in cells:
        panel = panels.setdefault(tuple(cell[axis.name] for axis in view.further), {})
        panel.setdefault(cell[view.rows.name], []).append(cell)
    return [list(panel.values()) for panel in panels.values()]


class _Face(NamedTuple):
    """What a cell shows: its mean with a mark before it, half of the interval, its color."""

    value: str
    interval: str
    shade: float | None


def _blocks(view: View, rows: list[list[CellSummary]], width: int) -> Iterator[Text]:
    """A panel in the widest form that fits; in several tables where none does."""
    room, scale = width - stub_width(view), _scale([s for row in rows for s in row])
    columns = [[_face(s, scale) for s in column] for column in zip(*rows, strict=True)]
    labels = (labels_of(view.columns), short_labels(view.columns))
    for form, heads in itertools.product((_one_line, _two_lines), labels):
        tiles = [form(column) for column in columns]
        widths = [
            max(len(head), *(tile.width for tile in column)) + 1
            for head, column in zip(heads, tiles, strict=True)
        ]
        if sum(widths) <= room:
            break
    n_tables = 1 if sum(widths) <= room else -(-len(widths) // max(1, room // max(widths)))
    at_once = -(-len(widths) // n_tables)
    for begin in range(0, len(widths), at_once):
        part = slice(begin, begin + at_once)
        of_rows = list(zip(*tiles[part], strict=True))
        yield tile_table(view, heads[part], labels_of(view.rows), of_rows, widths=widths[part])


def _one_line(column: Sequence[_Face]) -> list[Tile]:
    """Means and intervals side by side, each above each other."""
    widest = max(len(face.interval) for face in column)
    space = 1 if widest else 0
    lines = [f"{face.value}{'':{space}}{face.interval:<{widest}}" for face in column]
    return [Tile((line,), face.shade) for line, face in zip(lines, column, strict=True)]


def _two_lines(column: Sequence[_Face]) -> list[Tile]:
    return [Tile((face.value, face.interval), face.shade) for face in column]


def _face(summary: CellSummary, scale: tuple[float, float]) -> _Face:
    mean, mark = summary.estimate.mean, _mark(summary)
    if not math.isfinite(mean):
        return _Face(mark, "", None)
    low, high = scale
    place = mean
    if is_wide((low, high)):
        place, low, high = (math.log(x) for x in (max(mean, min(scale)), low, high))
    shade = (place - low) / (high - low) if high != low else 1.0
    value = f"{mark}{summary.meaning.text(mean)}"
    half = half_width(summary.estimate, summary.meaning)
    interval = " ".join(filter(None, (half, learns_short(summary))))
    return _Face(value, interval, None if summary.state in BLANK else shade)


def _scale(summaries: Iterable[CellSummary]) -> tuple[float, float]:
    """The values at the two ends of the colors, the better one second."""
    summaries = list(summaries)
    meaning = summaries[0].meaning
    if meaning.is_fraction:
        return (0.0, 1.0) if meaning.is_higher_better else (1.0, 0.0)
    means = [s.estimate.mean for s in summaries if math.isfinite(s.estimate.mean)] or [0.0]
    if is_wide(means):  # zeros are colored as the smallest number above them
        means = [mean for mean in means if mean > 0]
    ends = (min(means), max(means))
    return ends if meaning.is_higher_better else ends[::-1]


def _mark(summary: CellSummary) -> str:
    """What a reader must know of a cell besides its mean."""
    if summary.state in STATES:
        return STATES[summary.state].sign
    return PARTIAL if summary.n_failed + summary.n_missing + summary.n_stopped else ""


def _best(found: Overview) -> Iterator[RenderableType]:
    rows, meaning = found.best, found.land.meaning(found.metric)
    names, axis = list(rows[0].row), found.land.axis(rows[0].axis)
    of_each = f" of each {' and '.join(names)}" if names else ""
    axis_words = spoken(rows[0].axis)
    yield Text(f"Best {axis_words}{of_each}, {chosen_on(found.land)}", "bold")
    table = new_table(
        *names,
        f"best {rows[0].axis}",
        "not shown to be worse",
        with_unit(found.metric, meaning),
        "optimum",
    )
    for column in table.columns:
        column.justify = "right"
        column.min_width = max(map(len, str(column.header).split()))
    table.columns[-1].no_wrap = True
    step = -(-len(rows) // MOST_VALUES)
    for row in rows[::step]:
        cells = [show(value) for value in row.row.values()]
        if row.best is None:
            table.add_row(*cells, "none", "", row.note, "")
            continue
        estimate = row.best.estimate
        numbers = (meaning.text(estimate.mean), half_width(estimate, meaning))
        marks = (learns_short(row.best), EDGE if row.best.at_edge else "")
        mean = " ".join(filter(None, (*numbers, *marks)))
        told = value_set(row.equivalent, axis) if row.known else "unknown"
        table.add_row(*cells, show(row.value or 0), told, mean, optimum_words(row, axis))
    yield table
    if step > 1:
        yield Text(f"Every {ordinal(step)} of {len(rows):,} rows; the report shows all.", QUIET)
    if any(row.best and row.best.at_edge for row in rows):
        words = "at the edge: some of its runs, or of the cells beside it, do not learn"
        yield Text(f"{EDGE} {words}", QUIET)
    if len(rows) > 1 and any(row.known for row in rows):
        yield Text("Not shown to be worse: a set of its own for each row, at 95 %.", QUIET)


def _at_ends(found: Overview) -> Iterator[RenderableType]:
    """Rows whose best value is the first or the last that was tried there."""
    ends = [row for row in found.best if row.at_end]
    if ends:
        axis = ends[0].axis
        where = [str(row.row) or "the only row" for row in ends]
        rows = where[0] if len(where) == 1 else f"{len(where)} rows"
        goes = f" gridscape refine DIR --optimum --axis {axis} goes there."
        goes = goes if takes_commands(found.land.study) else ""
        yield Text(
            f"The best {axis} is the first or last value tried in {rows}: the true one may lie"
            f" beyond.{goes}",
            UNSURE,
        )


def _smallest(record: SmallestEquivalent) -> str:
    points = f"{100 * record.margin:g} points"
    note = f" ({record.note})" if record.note else ""
    if record.cell.cell == record.best.cell:
        return f"It is also the smallest network shown to be within {points} of the best{note}."
    saved = [
        f"{100 * share:.0f} % of the {what}"
        for share, what in (
            (record.saves_parameters, "parameters"),
            (record.saves_flops, "operations"),
            (record.saves_seconds, "time"),
        )
        if share >= 0.005
    ]
    shown = "shown to be within" if record.by_interval else "by its mean alone within"
    return (
        f"The smallest network {shown} {points} of it: {record.cell.cell}, "
        f"{_estimate(record.cell)}. It saves {', '.join(saved) or 'nothing'}{note}."
    )


def _estimate(summary: CellSummary) -> str:
    return estimate_words(summary.estimate, summary.meaning)


def effort_words(effort: Mapping[str, float]) -> str:
    """What a run took: n_trained networks, seconds, compile_seconds."""
    if not effort["n_trained"]:
        return "Nothing was left to train: every network was stored already."
    compiling = f", {duration(effort['compile_seconds'])} of it compiling"
    took = f"{plural(int(effort['n_trained']), 'network')} in {duration(effort['seconds'])}"
    return f"Trained {took}{compiling}."


# ---- plans ------------------------------------------------------------------------------------


def plan(record: "Plan") -> Iterator[RenderableType]:
    """One row per program, and all of them together."""
    n_left = record.n_trials - record.n_stored
    yield Text(f"Plan of {record.study.name}", "bold")
    yield Text(
        f"{plural(record.n_trials, 'network')}, {record.n_stored:,} stored already, "
        f"{n_left:,} to train in {plural(len(record.cohorts), 'program')} "
        f"on {plural(len(record.devices), 'device')}"
    )
    if not n_left:
        yield Text("Nothing is left to train.")
        return
    table = new_table("program", "networks", "runs", "memory", "TFLOP", "time")
    for column in table.columns[1:]:
        column.justify = "right"
    slowest = sorted(record.cohorts, key=lambda c: -(c.seconds or c.flops))
    alone = slowest if len(slowest) <= MOST_PROGRAMS else slowest[:SLOWEST]
    for cohort in [cohort for cohort in record.cohorts if cohort in alone]:
        table.add_row(_program(cohort, record), *_plan_numbers([cohort]))
    if rest := [cohort for cohort in record.cohorts if cohort not in alone]:
        table.add_row(f"{plural(len(rest), 'faster program')}", *_plan_numbers(rest))
    if len(record.cohorts) > 1:
        table.add_section()
        table.add_row("in all", *_plan_numbers(record.cohorts))
    yield table
    if told := unequal_words(_efforts(record)):
        yield Text(told)
    compiling = sum(cohort.compile_seconds for cohort in record.cohorts)
    yield Text(
        f"Takes about {duration(record.seconds)}, {duration(compiling)} of it compiling,"
        f" and {memory(record.memory_bytes)} of memory."
    )


def _efforts(record: "Plan") -> Efforts | None:
    """What the networks that are left to train have alike, and what some have more of."""
    cohorts = [planned.cohort for planned in record.cohorts]
    left = [(c.recipe.updates - c.start) * len(c.trials) for c in cohorts]
    one = [p.flops / n if n else math.nan for p, n in zip(record.cohorts, left, strict=True)]
    return efforts(
        {**vars(record.study), "axes": record.study.axes},
        (
            (c.recipe.updates, c.recipe.updates * c.recipe.batch_size, c.recipe.updates * flops)
            for c, flops in zip(cohorts, one, strict=True)
        ),
    )


def _program(cohort: "CohortPlan", record: "Plan") -> str:
    name = program_name(cohort.cohort.trials, record.study.grid.axes) or record.study.name
    return name + (f", from update {cohort.cohort.start}" if cohort.cohort.start else "")


def _plan_numbers(cohorts: Sequence["CohortPlan"]) -> list[str]:
    """Of some programs together; their runs follow each other, so the largest one counts."""
    seconds = [None if c.seconds is None else c.seconds + c.compile_seconds for c in cohorts]
    known = [s for s in seconds if s is not None]
    return [
        f"{sum(len(c.cohort.trials) for c in cohorts):,}",
        str(sum(len(c.runs) for c in cohorts)),
        memory(max(c.memory_bytes for c in cohorts)),
        number(sum(c.flops for c in cohorts) / 1e12),
        duration(sum(known)) if len(known) == len(seconds) else "unknown",
    ]


def program_name(trials: Sequence[Trial], axes: Sequence[Axis]) -> str:
    """What the cells of a program share: "hidden_size=64"."""
    varying = [axis.name for axis in axes if len(axis.values) > 1]
    first = trials[0].cell
    common = [n for n in varying if all(same(t.cell[n], first[n]) for t in trials)]
    return ", ".join(f"{name}={show(first[name])}" for name in common)


# ---- other records ----------------------------------------------------------------------------


def studies(entries: Sequence["Entry"], width: int = 80) -> Iterator[RenderableType]:
    """The named studies, a line each."""
    table = new_table("study", "networks", "time", "memory", "")
    for column in table.columns[1:4]:
        column.justify = "right"
    rows = [
        (
            entry.name,
            f"{entry.n_networks:,}",
            "" if entry.seconds is None else duration(entry.seconds),
            "" if entry.memory_bytes is None else memory(entry.memory_bytes),
        )
        for entry in entries
    ]
    # The title gives way, not what is to be typed.
    room = width - 1
    for column, *texts in zip(table.columns, *rows, strict=False):
        column.min_width = max(len(str(column.header)), *map(len, texts))
        room -= column.min_width + 2
    for entry, (name, *numbers) in zip(entries, rows, strict=True):
        needs = f"needs {entry.missing_data}: " if entry.missing_data else ""
        words = f"{needs}{entry.title}"
        about = Text(words if len(words) <= room else f"{words[: max(room, 12) - 3]}...")
        about.stylize(UNSURE, 0, len(needs))
        table.add_row(Text(name, "bold"), *numbers, about)
    yield table
    yield Text(
        "Time and memory: about what it takes here; gridscape plan STUDY measures.\n"
        "gridscape list STUDY tells what it reproduces; gridscape axes STUDY what may vary.",
        QUIET,
    )


def study(entry: "Entry", description: str, axes: Mapping[str, Sequence[Value]]) -> Iterator[Text]:
    """One named study: what it is, what it varies, what it reproduces and takes."""
    yield Text(entry.name, "bold") + Text(f": {entry.title}")
    if description:
        yield Text(description)
    for name, values in axes.items():
        yield Text(f"  {name}: {', '.join(map(show, values))}")
    for source in entry.source:
        yield Text(f"Reproduces: {source}", QUIET)
    if entry.missing_data:
        fetch = f"gridscape data fetch {entry.missing_data}"
        yield Text(f"Data set {entry.missing_data} is not on this machine: {fetch}", UNSURE)
    if entry.seconds is not None and entry.memory_bytes is not None and entry.flops is not None:
        yield Text(
            f"{plural(entry.n_networks, 'network')}, about {duration(entry.seconds)} and"
            f" {memory(entry.memory_bytes)} here; {number(entry.flops / 1e12)} TFLOP."
        )


def axes(found: Sequence["KnownAxis"]) -> Iterator[RenderableType]:
    """What a study varies, and what else could vary."""
    for title, part in (
        ("Varied", [axis for axis in found if axis.values]),
        ("May be an axis as well", [axis for axis in found if not axis.values]),
    ):
        if not part:
            continue
        yield Text(title, "bold")
        table = new_table("axis", "of", "values" if part[0].values else "now", "meaning")
        table.columns[0].no_wrap = True
        for axis in part:
            values = ", ".join(map(show, axis.values)) or axis.default
            name = axis.name + ("" if axis.is_traced else " *")
            table.add_row(name, axis.of, values, axis.meaning)
        yield table
    yield Text(
        "* a new value is another program, which is compiled; others compile nothing.", QUIET
    )


def verdicts(found: Sequence["Verdict"]) -> Iterator[RenderableType]:
    """One block per claim: the verdict, the statement, its main estimate, the rule."""
    yield _verdicts(found)
    if told := each_for_itself(found):
        yield Text(told, QUIET)


def _verdicts(found: Sequence["Verdict"]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for verdict in found:
        text = Text(f"{verdict.claim.statement}\n")
        for estimate in verdict.estimates[:1]:
            text.append(f"{_estimated(estimate.interval, estimate.unit)}", "bold")
            text.append(f"  ({estimate.name}; needs {estimate.asks})\n")
        if verdict.note:
            is_gray = verdict.outcome.value == "not comparable"
            text.append(f"{verdict.note}\n", QUIET if is_gray else UNSURE)
        for line in _open_lines(verdict):
            text.append(f"{line}\n", UNSURE)
        text.append(f"rule: {verdict.rule}\n", QUIET)
        style = OUTCOME_STYLES[verdict.outcome]
        outcome = Text(verdict.outcome.value, f"bold {style}")
        if verdict.decided:
            outcome.append(f"\n{look_words(verdict)}", QUIET)
        table.add_row(verdict.claim.id, outcome, text)
    return table


def _open_lines(verdict: "Verdict") -> list[str]:
    """What replicates can show of each number that is open; of many, the first ones."""
    lines = [f"- {e.name}: {e.outlook}" for e in open_numbers(verdict)]
    n_more = len(lines) - MOST_OPEN
    return [*lines[:MOST_OPEN], f"- and {n_more} more: see the report"] if n_more > 1 else lines


def _estimated(interval: Interval, unit: str) -> str:
    if math.isnan(interval.mean):
        return "no estimate"
    text = f"{interval.mean:.3g} {unit}".strip()
    return f"{text} [{interval.low:.3g}, {interval.high:.3g}]" if interval.known else text


def replay(record: "Replay") -> Iterator[RenderableType]:
    """Whether a trial came out the same, and where not."""
    name = f"{record.trial.cell}, replicate {record.trial.replicate}"
    if record.identical:
        yield Text(f"{name}: identical bit for bit ({record.again.status.value})", GOOD)
        return
    yield Text(f"{name}: differs from what is stored", BAD)
    if record.stored.status != record.again.status:
        yield Text(f"{record.again.status.value}, but {record.stored.status.value} is stored")
    table = new_table("largest difference in", "")
    for what, difference in record.differences().items():
        table.add_row(what, "not in both" if math.isnan(difference) else f"{difference:.3g}")
    yield table


def data_sets(
    found: Sequence["DataSetStatus"], folders: Sequence[object]
) -> Iterator[RenderableType]:
    """The data sets, and where they were looked for."""
    table = new_table("data set", "MB", "state", "")
    table.columns[1].justify = "right"
    for data_set in found:
        word, style = _data_state(data_set)
        about = Text(data_set.note)
        if data_set.found_at:
            about = Text(f"{data_set.found_at}\n").append(data_set.note, QUIET)
        size = f"{data_set.size_bytes / 1e6:.1f}" if data_set.size_bytes else ""
        table.add_row(Text(data_set.name, "bold"), size, Text(word, style), about)
    yield table
    yield Text(f"Looked for in: {', '.join(map(str, folders))}", QUIET)


def _data_state(data_set: "DataSetStatus") -> tuple[str, str]:
    if data_set.embedded:
        return "embedded", GOOD
    if data_set.found_at is None:
        return "missing", UNSURE
    if data_set.checksum_ok is False:
        return "damaged", BAD
    return ("verified" if data_set.checksum_ok else "found"), GOOD


def health(found: "Health") -> Iterator[RenderableType]:
    """What doctor found."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, text in _facts(found).items():
        table.add_row(Text(name, QUIET), text)
    yield table
    yield Text()
    checks = new_table("self-check: compiled against NumPy in float64", "error", "allowed", "")
    for column in checks.columns[1:3]:
        column.justify = "right"
    for check in found.checks:
        verdict = Text("right", GOOD) if check.passed else Text("WRONG", f"bold {BAD}")
        checks.add_row(check.name, f"{check.error:.1e}", f"{check.tolerance:.0e}", verdict)
    yield checks
    for line in found.advice:
        yield Text(f"! {line}", UNSURE if found.passed else BAD)


def _facts(found: "Health") -> Mapping[str, str]:
    versions = [f"{name} {version}" for name, version in found.versions.items() if version]
    layers: dict[str, list[str]] = {}
    for layer, kernel in found.kernels.items():
        layers.setdefault(kernel, []).append(layer)
    kernels = [f"{kernel}: {', '.join(of_kernel)}" for kernel, of_kernel in layers.items()]
    return {
        "versions": ", ".join(versions),
        "devices": ", ".join(found.devices),
        "cores": f"{found.n_cores} (as {found.cores_by} says)",
        "free memory": f"{found.memory_bytes / 1e9:.1f} GB",
        "speed": f"{found.flops_per_second / 1e9:,.0f} GFLOP/s in a large matrix product",
        "kernels": "; ".join(kernels),
        "bfloat16": f"products by {found.bfloat16}",
        "data sets": ", ".join(map(str, found.data_folders)),
        "programs": str(found.program_cache or "not kept from run to run"),
    }


# ---- shared -----------------------------------------------------------------------------------


def new_table(*columns: str) -> Table:
    """An empty table with these heads."""
    found = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        found.add_column(column)
    return found
