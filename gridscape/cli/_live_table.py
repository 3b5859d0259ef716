"""The table that fills while a study trains, for a terminal of any size."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from gridscape.analysis.cells import CellState
from gridscape.cli._run_state import RunState, State
from gridscape.cli._tiles import Tile, View, labels_of, short_labels, stub_width, tile_table
from gridscape.cli.tables import PARTIAL, program_name
from gridscape.grid.axes import Axis, show
from gridscape.grid.trials import Trial
from gridscape.report.words import STATES, duration, plural, with_unit

STORED, MISSING = "s", STATES[CellState.MISSING].sign
HOLE = STATES[CellState.NOT_ASKED].sign
BAD = {
    State.COLLAPSED: STATES[CellState.COLLAPSED],
    State.NOT_STARTED: STATES[CellState.NOT_STARTED],
    State.FAILED: STATES[CellState.FAILED],
    State.DIVERGED: STATES[CellState.DIVERGED],
    State.STOPPED: STATES[CellState.STOPPED],
}
LEGEND = {
    PARTIAL: "some diverged or failed, mean over the others",
    **{found.sign: found.word for found in BAD.values()},
    STORED: "stored before",
    MISSING: "waiting",
    HOLE: STATES[CellState.NOT_ASKED].word,
}
OTHER_LINES = 11  # of the display, besides the rows of the table; one stays free
FEWEST_ROWS = 3  # of the table
MOST_RUNS = 4  # that have a line each, if there is room for them
BAR_WIDTH = 60


@dataclass(frozen=True)
class Form:
    """How much a table tells: digits of a number, labels over the columns, width of a tile."""

    digits: int
    labels: str
    width: int


# The first one that fits is taken; the last one shows a part of the columns where there is no room.
# A tile takes up to 100.0 and a mark, 100 and a mark, or a single character.
FORMS = (
    Form(digits=3, labels="long", width=9),
    Form(digits=3, labels="long", width=7),
    Form(digits=3, labels="short", width=7),
    Form(digits=2, labels="ends", width=5),
    Form(digits=1, labels="ends", width=1),
)


class LiveTable:
    """Draws the state of a run whenever it is asked to. message: replaces what is going on."""

    def __init__(self, run: RunState) -> None:
        self.run, self.view, self.message = run, View.of(run.axes), ""
        names = [axis.name for axis in run.axes]
        shown = [names.index(axis.name) for axis in (self.view.rows, self.view.columns) if axis]
        moved = np.moveaxis(run.numbers, shown, range(len(shown)))
        shape = (len(self.view.rows.values), len(self.view.column_values))
        self._trials = moved.reshape(*shape, -1)  # (rows, columns, trials of a tile)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Title, table, what is going on, how far it is, marks; first what is not as published."""
        now, width = time.perf_counter(), options.max_width
        others = OTHER_LINES + bool(self.run.altered)
        room = max(console.height - others, FEWEST_ROWS)
        doing = self._activities(min(1 + (room - FEWEST_ROWS) // 2, MOST_RUNS))
        table, part, marks = self._table(width, max(room - len(doing) + 1, FEWEST_ROWS))
        if self.run.altered:
            yield _line(self.run.altered, "yellow")
        yield _line(self.run.title, "bold")
        yield _line("; ".join([self._caption(), *part, *self._of_what()]), "dim")
        yield Text()
        yield table
        yield Text()
        for line in doing:
            yield _line(line, "bold" if self.message else "")
        yield _line(self._pace(now))
        yield _bar(self.run.time_left.share_done, min(width, BAR_WIDTH))
        used = [f"{mark} {words}" for mark, words in LEGEND.items() if mark in marks]
        yield _line("   ".join(used), "dim")

    # ---- the lines around the table ----

    def _caption(self) -> str:
        over = [axis.name for axis in self.view.further]
        asked = self.run.asked.reshape(-1, self.run.n_replicates).sum(axis=-1)
        least, most = int(asked[asked > 0].min()), int(asked.max())
        if most > 1:
            over.append(
                plural(most, "replicate") if least == most else f"{least} to {most} replicates"
            )
        mean = f", mean over {' and '.join(over)}" if over else ""
        return f"{with_unit(self.run.metric, self.run.meaning)} so far{mean}"

    def _of_what(self) -> list[str]:
        """On which examples the numbers are: those that train have none on the test set yet."""
        ended = self.run.state[np.isfinite(self.run.value)] >= State.FINISHED
        if not ended.size:
            return []
        if ended.all():
            return ["on the test set"]
        return [
            "ended: test set, others: latest batches" if ended.any() else "of the latest batches"
        ]

    def _activities(self, most: int) -> list[str]:
        """What is going on, in at most so many lines: one for each run that is in training."""
        runs = list(self.run.training.values())
        if self.message:
            return [self.message]
        if not runs:
            cohort = self.run.next_cohort()
            ready = cohort and f"getting ready: {self._networks(cohort.trials)}"
            return [ready or "storing the results"]
        told = len(runs) if len(runs) <= most else most - 1
        lines = [
            f"training {self._networks(run.trials)}: update {run.update:,} of {run.updates:,}"
            for run in runs[:told]
        ]
        if others := runs[told:]:
            n_networks = plural(sum(len(run.trials) for run in others), "network")
            lines.append(f"training {n_networks} in {len(others)} {'more ' if told else ''}runs")
        return lines

    def _networks(self, trials: Sequence[Trial]) -> str:
        name = program_name(trials, self.run.axes)
        return plural(len(trials), "network") + (f", {name}" if name else "")

    def _pace(self, now: float) -> str:
        parts = [f"{self.run.n_ended:,} of {plural(int(self.run.asked.sum()), 'network')} done"]
        speed, left = self.run.time_left.updates_per_second, self.run.time_left.seconds(now)
        if speed and self.run.training:
            parts.append(f"{speed:,.0f} updates/s")
        parts.append(duration(now - self.run.begin))
        if left is not None and left >= 1:
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)

    # ---- the table ----

    def _table(self, width: int, n_rows: int) -> tuple[Text, list[str], set[str]]:
        """The table in the most telling form that fits; what part it shows; the marks in it."""
        room = width - stub_width(self.view)
        n_columns = len(self.view.column_values)
        form = next((f for f in FORMS if self._needs(f) * n_columns <= room), FORMS[-1])
        rows, columns = self._window(0, n_rows), self._window(1, max(room // form.width, 1))
        trials = self._trials[rows.start : rows.stop, columns.start : columns.stop]
        marks, means = self._marks(trials), self._means(trials)
        tiles = [
            [self._tile(mean, mark, form.digits) for mean, mark in zip(*line, strict=True)]
            for line in zip(means, marks, strict=True)
        ]
        training = (self.run.state == State.TRAINING)[trials].any(axis=(1, 2))
        table = tile_table(
            self.view,
            _heads(self.view.columns and _shown(self.view.columns, columns), form.labels),
            labels_of(self.view.rows)[rows.start : rows.stop],
            tiles,
            widths=[self._needs(form)] * len(columns),
            marked=frozenset(np.flatnonzero(training).tolist()),
        )
        notes = _part(self.view.rows, rows) + _part(self.view.columns, columns)
        return table, notes, set(marks.ravel().tolist())

    def _needs(self, form: Form) -> int:
        """The width of a tile of this form; long labels may ask for more than its numbers."""
        if form.labels == "ends":
            return form.width
        return max(form.width, *(len(h) + 1 for h in _heads(self.view.columns, form.labels)))

    def _window(self, dimension: int, size: int) -> range:
        """As many rows (0) or columns (1) as there is room for, around those that train."""
        count = self._trials.shape[dimension]
        if count <= size:
            return range(count)
        others = tuple(d for d in range(3) if d != dimension)
        training = (self.run.state == State.TRAINING)[self._trials].any(axis=others)
        places = np.flatnonzero(training) if training.any() else np.array([0])
        first, last = int(places[0]), int(places[-1])
        middle = (first + last) // 2 if last - first < size else first
        begin = min(max(middle - size // 2, 0), count - size)
        return range(begin, begin + size)

    def _tile(self, mean: float, mark: str, digits: int) -> Tile:
        """A mean with its mark: 97.2 by three digits, 97 by two, 9 (tenths) by one."""
        if np.isnan(mean):
            return Tile((mark if digits == 1 else f"{mark} ",))
        if not self.run.meaning.is_fraction:
            text = {3: _compact(mean), 2: f"{mean:.0e}", 1: mark or "o"}[digits]
            return Tile((text if digits == 1 else f"{text}{mark or ' '}",))
        shade = mean if self.run.meaning.is_higher_better else 1 - mean
        if digits == 1:
            return Tile((mark or str(min(int(10 * mean), 9)),), shade)
        text = f"{100 * mean:.1f}" if digits == 3 else f"{100 * mean:.0f}"
        return Tile((f"{text}{mark or ' '}",), shade)

    def _means(self, trials: np.ndarray) -> np.ndarray:
        """(rows, columns): the mean over the trials of a tile that have a number."""
        values = self.run.value[trials]
        known = np.isfinite(values)
        total, count = np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1)
        return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)

    def _marks(self, trials: np.ndarray) -> np.ndarray:
        """(rows, columns): what most trials came to; nothing while they train, or finished well."""
        state = self.run.state[trials]
        n_begun = (state != State.WAITING).sum(axis=-1)
        marks = np.where(self.run.stored[trials].all(axis=-1), STORED, "")
        is_lost = (state == State.DIVERGED) | (state == State.FAILED)
        marks = np.where(is_lost.any(axis=-1), PARTIAL, marks)
        for bad, words in BAD.items():
            marks = np.where(2 * (state == bad).sum(axis=-1) >= n_begun, words.sign, marks)
        waiting = np.where(self.run.asked[trials].any(axis=-1), MISSING, HOLE)
        return np.where(n_begun == 0, waiting, marks)


def _compact(value: float) -> str:
    """Three digits, in at most six characters.

    >>> _compact(0.0123), _compact(1.234e-07), _compact(0.0)
    ('0.0123', '1.2e-7', '0')
    """
    text = f"{value:.3g}"
    return text if len(text) <= 6 else f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e+")


def _heads(axis: Axis | None, labels: str) -> Sequence[str]:
    """What stands over the columns; one text for all of them where there is no room for more."""
    if labels == "ends" and axis is not None:
        return [f"{show(axis.values[0])} to {show(axis.values[-1])}"]
    values = short_labels(axis) if labels == "short" else labels_of(axis)
    return [f"{value} " for value in values]  # over the number, not over the mark behind it


def _shown(axis: Axis, shown: range) -> Axis:
    """The part of an axis that is shown."""
    return Axis(axis.name, axis.values[shown.start : shown.stop])


def _part(axis: Axis | None, shown: range) -> list[str]:
    """Which values of an axis are shown, where it is not all of them."""
    if axis is None or len(shown) == len(axis.values):
        return []
    return [f"{axis.name}: {shown[0] + 1} to {shown[-1] + 1} of {len(axis.values)} values"]


def _bar(share: float, width: int) -> Text:
    """How much of the work is behind."""
    n_done = round(share * width)
    return Text("\u2501" * n_done, "green").append("\u2500" * (width - n_done), "dim")


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")
