"""A table of runs that were made elsewhere becomes a study record and its trials.

One row is a run, or one step of a run where a column counts steps. The table is data: nothing of
it is run. What was guessed, left out or is odd is told with the study.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gridscape.data import run_columns as columns_of
from gridscape.data.run_columns import find_column, line_of, look_for, numbers_of
from gridscape.errors import DataCorruptError, UsageError, short
from gridscape.grid.axes import Axis, Cell, Value, parse_value, show
from gridscape.grid.meanings import SIDES, Meaning, to_record
from gridscape.grid.names import (
    AXIS_AS_WELL,
    RESERVED,
    TEST,
    VALIDATION,
    Variable,
    check_axis,
    check_name,
    curve_variable,
)
from gridscape.grid.trials import Status, Trial, TrialResult, content_key
from gridscape.store._run import NO_NUMBER, Metric, Run, evaluated
from gridscape.store._run_words import STATUS_OF, names_split, side_of, split_of, unit_of
from gridscape.store.imported import IMPORTED

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES, MOST_CELLS = 1_000, 100_000  # of an axis, of a grid: beyond, nothing is a grid
MOST_LETTERS = 100  # of a text that is a value of an axis


@dataclass(frozen=True)
class Columns:
    """What a user says of a table; "" and None are guessed.

    axes: column of each axis, by its name. metrics: column of each metric, by its name, the main
    one first. better: "higher" or "lower" by metric. replicate, status, step: columns; status
    "none" reads none.
    """

    axes: Mapping[str, str]
    metrics: Mapping[str, str] = field(default_factory=dict)
    better: Mapping[str, str] = field(default_factory=dict)
    replicate: str | None = None
    status: str | None = None
    step: str | None = None


@dataclass(frozen=True)
class Runs:
    """A study record, its trials, and what is to be told of them."""

    study: dict[str, Any]
    trials: list[tuple[Trial, TrialResult]]


def runs_of(table: "pd.DataFrame", asked: Columns, name: str, source: str, where: object) -> Runs:
    """The runs of a table; source: from where, in words that are kept with them.

    Raises UsageError and UnknownNameError for columns that are not there or cannot be what they
    are said to be, DataCorruptError for values that cannot.
    """
    return _Reader(table, asked, where).runs(name, source)


class _Reader:
    """One table, read column by column."""

    def __init__(self, table: "pd.DataFrame", asked: Columns, where: object) -> None:
        self.table, self.asked, self.where = table, asked, where
        self.columns = [str(column) for column in table.columns]
        self.told: list[str] = [str(line) for line in table.attrs.get("told", ())]

    def runs(self, name: str, source: str) -> Runs:
        if not self.asked.axes:
            raise UsageError(
                "no axes are named", where=self.where, expected="the columns that were varied"
            )
        used = {n: find_column(c, self.columns, "setting", self.where) for n, c in self._axes()}
        seeds = self._replicate_column()
        metrics = self._metrics({*used.values(), seeds})
        self._check_names(used, metrics)
        cells, axes, kept = self._cells(used)
        statuses, words = self._statuses()
        steps = self._steps(cells, kept, seeds)
        replicates = self._replicates(cells, kept, seeds, steps, statuses)
        n_replicates = int(max(replicates)) + 1
        if n_replicates > MOST_VALUES:
            raise UsageError(
                "too many replicates of a cell",
                where=self.where,
                expected=f"at most {MOST_VALUES:,}",
                found=f"{n_replicates:,}",
                hint="name all axes that were varied, and a column of replicates",
            )
        facts = self._facts()
        groups: dict[tuple[int, int], list[int]] = {}
        for row in np.flatnonzero(kept):
            at = int(cells[row]), int(replicates[row])
            groups.setdefault(at, []).append(int(row))
        grid = _Grid(axes)
        seen = evaluated(metrics[0], steps)
        trials = []
        for (number, replicate), rows in groups.items():
            cell = grid.cell(number)
            own = self._one_run(rows, steps, statuses, cell, replicate)
            run = Run(metrics, steps, statuses, words, facts, seen, own)
            content = {"imported": source, "cell": dict(cell), "replicate": replicate}
            result = run.result(content_key(content))
            if result is not None:
                trials.append((Trial(cell, replicate, result.key), result))
        self._tell_trials(trials, metrics[0])
        self._tell_holes(grid, n_replicates, Counter(cell for cell, _ in groups))
        return Runs(self._study(name, source, axes, n_replicates, metrics), trials)

    def _study(
        self, name: str, source: str, axes: Sequence[Axis], n: int, metrics: Sequence[Metric]
    ) -> dict[str, Any]:
        twins = {metric.variable for metric in metrics}
        main = metrics[0].variable
        return {
            "name": name,
            "title": name,
            IMPORTED: source,
            "axes": {axis.name: list(axis.values) for axis in axes},
            "replicates": n,
            "metrics": to_record({metric.name: metric.meaning for metric in metrics}),
            "main_metric": main,
            "selection": "validation" if _twin(main) in twins else "test",
            "told": self.told,
        }

    # ---- axes and cells ----

    def _axes(self) -> list[tuple[str, str]]:
        """Name and column of each; a column under its own name is called without its prefix."""
        bare = columns_of.bare_name
        return [
            (bare(name).replace("/", "_") if name == column else name, column)
            for name, column in self.asked.axes.items()
        ]

    def _check_names(self, axes: Mapping[str, str], metrics: Sequence[Metric]) -> None:
        """Raise UsageError for names that a landscape has otherwise, or for a column twice."""
        taken = {metric.variable for metric in metrics}
        taken |= set(map(curve_variable, taken))
        for name, column in axes.items():
            if name in taken or (name in RESERVED and name not in AXIS_AS_WELL):
                raise UsageError(
                    "no name for an axis: every landscape has something of this name",
                    where=f"axis {name}",
                    hint=f"give it another: --axes my_{name}={column}",
                )
            try:
                check_axis(name)
            except UsageError as error:
                error.hint = "give it another: --axes NAME=COLUMN"
                raise
        both = [c for c, n in Counter([*axes.values(), self._replicate_column()]).items() if n > 1]
        if both:
            found = f"column {both[0]} twice"
            raise UsageError("an axis or replicate is named once", where=self.where, found=found)

    def _cells(self, used: Mapping[str, str]) -> tuple[np.ndarray, list[Axis], np.ndarray]:
        """The number of each row's cell, the axes, and which rows have a value of each axis."""
        found = {name: self._axis(name, column) for name, column in used.items()}
        kept = np.logical_and.reduce([places >= 0 for _, places in found.values()])
        if not kept.all():
            left = int((~kept).sum())
            self.told.append(f"{_count(left, 'row')} without a value of an axis: left out")
        if not kept.any():
            names = ", ".join(used)
            raise DataCorruptError("no row has a value of each axis", where=self.where, found=names)
        axes = [axis for axis, _ in found.values()]
        n_cells = math.prod(len(axis.values) for axis in axes)
        if n_cells > MOST_CELLS:
            shape = " x ".join(str(len(axis.values)) for axis in axes)
            raise UsageError(
                "the values of the axes make no grid: nearly all of its cells would be empty",
                where=self.where,
                expected=f"at most {MOST_CELLS:,} cells",
                found=f"{shape} for {_count(len(self.table), 'row')}",
                hint="round or bin the values first, or name fewer axes",
            )
        numbers = np.zeros(len(self.table), np.int64)
        for axis, places in found.values():
            numbers = numbers * len(axis.values) + places
        return np.where(kept, numbers, -1), axes, kept

    def _axis(self, name: str, column: str) -> tuple[Axis, np.ndarray]:
        """An axis and the place of each row on it, -1 where the row has no value."""
        values = [_value(value) for value in self.table[column].tolist()]
        numbers = {type(v) for v in values if v is not None} <= {int, float}
        if numbers and all(float(v).is_integer() for v in values if v is not None):
            values = [None if v is None else int(v) for v in values]
        texts = list(dict.fromkeys(v for v in values if isinstance(v, str)))
        if is_mixed := any(not isinstance(v, str | None) for v in values) and bool(texts):
            values = [None if v is None else show(v) for v in values]
        distinct = list(dict.fromkeys(v for v in values if v is not None))
        if len(distinct) > MOST_VALUES:
            raise UsageError(
                "too many values for an axis",
                where=f"{self.where}, column {column}",
                expected=f"at most {MOST_VALUES:,}",
                found=f"{len(distinct):,} in {_count(len(values), 'row')}",
                hint="round or bin them first, or leave this axis out",
            )
        if not distinct:
            where = f"{self.where}, column {column}"
            raise DataCorruptError("a column without values", where=where)
        if is_mixed:
            some = ", ".join(map(short, texts[:3]))
            self.told.append(f"{name} has text among its numbers, {some}: taken as categories")
        if len(distinct) == 1:
            self.told.append(f"{name} has one value, {show(distinct[0])}")
        ordered = sorted(distinct) if numbers else distinct
        place = {value: at for at, value in enumerate(ordered)}
        places = np.array([-1 if v is None else place[v] for v in values])
        return Axis(name, tuple(ordered)), places

    # ---- metrics ----

    def _metrics(self, others: set[Any]) -> list[Metric]:
        asked = dict(self.asked.metrics)
        if not asked:
            free = [column for column in self.columns if column not in others]
            asked = {columns_of.bare_name(c): c for c in columns_of.measured(free)}
            if not asked:
                raise UsageError(
                    "which column is the metric?",
                    where=self.where,
                    expected="--metric NAME",
                    found=short(", ".join(free)),
                )
            self.told.append(f"taken as metrics: {_some(list(asked.values()))}")
        self._check_better(asked)
        made, guessed, unsplit = [], [], []
        for name, column in asked.items():
            found = find_column(column, self.columns, "metric", self.where)
            metric, is_guess = self._metric(name, found)
            made.append(metric)
            guessed += [f"{name} {metric.meaning.better}"] if is_guess else []
            unsplit += [] if names_split(columns_of.bare_name(name)) else [name]
        if unsplit:
            self.told.append(f"of the test set, since no other is named: {_some(unsplit)}")
        if guessed:
            self.told.append(f"better, by the name: {_some(guessed)} (--better says otherwise)")
        twice = [v for v, n in Counter(m.variable for m in made).items() if n > 1]
        if twice:
            raise UsageError("two metrics of one name", where=self.where, found=twice[0])
        return made

    def _metric(self, name: str, column: str) -> tuple[Metric, bool]:
        split, own = split_of(columns_of.bare_name(name))
        check_name(own, "a metric", str(self.where))
        variable = str(Variable(split, own))
        values = numbers_of(self.table, column, self.where)
        said = self.asked.better.get(name) or self.asked.better.get("")
        guess = side_of(own)
        if not said and guess is None:
            self.told.append(f"more of {name} is taken as better (--better {name}=lower)")
        finite = values[np.isfinite(values)]
        low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
        better: Any = said or guess or "higher"
        meaning = Meaning(better, unit_of(own, low, high))
        return Metric(variable, own, meaning, values), not said and guess is not None

    def _check_better(self, metrics: Mapping[str, str]) -> None:
        for name, side in self.asked.better.items():
            if side not in SIDES:
                expected = " or ".join(SIDES)
                raise UsageError("which is better?", where="better", expected=expected, found=side)
            if name and name not in metrics:
                found, known = name, ", ".join(metrics)
                raise UsageError(
                    "no such metric", where="better", expected=f"one of {known}", found=found
                )

    # ---- statuses ----

    def _statuses(self) -> tuple[list[Status], list[str]]:
        """How each row's run ended, and the word that the table has for it."""
        asked = self.asked.status
        if asked == "none":
            column = None
        elif asked is not None:
            column = find_column(asked, self.columns, "fact", self.where)
        else:
            column = look_for(columns_of.STATUSES, self.columns)
        if column is None:
            return [Status.FINISHED] * len(self.table), [""] * len(self.table)
        words = ["" if columns_of.is_empty(v) else str(v) for v in self.table[column].tolist()]
        return [self._status(word, row, column) for row, word in enumerate(words)], words

    def _status(self, word: str, row: int, column: str) -> Status:
        known = word.strip().casefold().rpartition(".")[2].replace(" ", "_")
        if not known:
            return Status.MISSING
        if known not in STATUS_OF:
            raise DataCorruptError(
                "no status that is known",
                where=f"{self.where}, {line_of(row, self.where)}, column {column}",
                expected="finished, failed, crashed, pruned, running ...",
                found=short(word),
                hint="--status names another column; --status none reads none",
            )
        return Status(STATUS_OF[known])

    # ---- steps and replicates ----

    def _steps(self, cells: np.ndarray, kept: np.ndarray, seeds: str | None) -> np.ndarray | None:
        """The updates done at each row; None where a row is a whole run."""
        column = look_for(columns_of.STEPS, self.columns)
        if self.asked.step is not None:
            column = find_column(self.asked.step, self.columns, "fact", self.where)
        if column is None or column in self.asked.axes.values():
            return None
        runs = list(zip(cells[kept], self._labels(seeds, kept), strict=True))
        if self.asked.step is None and len(set(runs)) == len(runs):
            return None
        steps = numbers_of(self.table, column, self.where)
        is_step = (steps[kept] == np.floor(steps[kept])) & (steps[kept] >= 0)
        if not is_step.all():
            bad = int(np.flatnonzero(kept)[np.argmin(is_step)])
            raise DataCorruptError(
                "no step",
                where=f"{self.where}, {line_of(bad, self.where)}, column {column}",
                expected="a whole number from 0",
                found=short(self.table[column].tolist()[bad]),
            )
        return np.where(kept, steps, 0).astype(np.int64)

    def _replicate_column(self) -> str | None:
        asked = self.asked.replicate
        return None if asked is None else find_column(asked, self.columns, "setting", self.where)

    def _labels(self, seeds: str | None, kept: np.ndarray) -> list[Any]:
        """What the replicate of each kept row is called."""
        rows = np.flatnonzero(kept)
        if seeds is None:
            return [0] * len(rows)
        values = self.table[seeds].tolist()
        for row in rows:
            if columns_of.is_empty(values[row]):
                raise DataCorruptError(
                    "a run without its replicate",
                    where=f"{self.where}, {line_of(int(row), self.where)}, column {seeds}",
                    hint="put a seed there, or leave --replicate out: runs are counted then",
                )
        return [_value(values[row]) for row in rows]

    def _replicates(
        self,
        cells: np.ndarray,
        kept: np.ndarray,
        seeds: str | None,
        steps: np.ndarray | None,
        statuses: Sequence[Status],
    ) -> np.ndarray:
        """The number of each row's replicate, from 0."""
        rows = np.flatnonzero(kept)
        found = np.full(len(cells), -1, np.int64)
        if seeds is None:
            seen: Counter[tuple[int, int]] = Counter()
            for row in rows:
                at = (int(cells[row]), 0 if steps is None else int(steps[row]))
                found[row] = seen[at]
                seen[at] += 1
            self.told.append("no column of replicates is named: counted in the order of the rows")
            return found
        labels = self._labels(seeds, kept)
        of_cells: dict[int, dict[Any, int]] = {}
        for row, label in zip(rows, labels, strict=True):
            of_cell = of_cells.setdefault(int(cells[row]), {})
            found[row] = of_cell.setdefault(label, len(of_cell))
        distinct = list(dict.fromkeys(labels))
        n_runs = sum(map(len, of_cells.values()))
        if len(of_cells) > 1 and len(distinct) == n_runs:
            self.told.append(f"no two cells share a value of {seeds}: counted within each cell")
            return found
        ordered = distinct
        if all(isinstance(label, int | float) for label in distinct):
            ordered = sorted(distinct)
        place = {label: at for at, label in enumerate(ordered)}
        found[rows] = [place[label] for label in labels]
        if ordered != list(range(len(ordered))):
            self.told.append(f"replicates are numbered in the order of {seeds}")
        return found

    def _one_run(
        self,
        rows: list[int],
        steps: np.ndarray | None,
        statuses: Sequence[Status],
        cell: Cell,
        replicate: int,
    ) -> list[int]:
        """The rows of one run, by their steps; of a run that was tried again what ended well."""
        if steps is not None:
            by_step = {int(steps[row]): row for row in rows}  # what was logged last counts
            return [by_step[step] for step in sorted(by_step)]
        ended = [row for row in rows if statuses[row] is Status.FINISHED] or rows[-1:]
        if len(ended) > 1:
            a, b = (line_of(row, self.where) for row in ended[:2])
            raise DataCorruptError(
                "two rows of one replicate",
                where=f"{self.where}, {a} and {b}",
                found=f"{str(cell)[:90]}, replicate {replicate}",
                hint="--step names a column of steps, --replicate one that tells runs apart",
            )
        if len(rows) > 1:
            line = "runs that were tried again: what finished counts"
            self.told += [] if line in self.told else [line]
        return ended

    # ---- facts, and what is told ----

    def _facts(self) -> dict[str, np.ndarray]:
        """Seconds and numbers of parameters of each row, where columns are called so."""
        found = {}
        for fact, names in (
            ("seconds", columns_of.SECONDS),
            ("n_parameters", columns_of.PARAMETERS),
        ):
            column = look_for(names, self.columns) or look_for(
                [f"summary.{name}" for name in names], self.columns
            )
            if column is not None and column not in self.asked.axes.values():
                found[fact] = _lenient(self.table[column])
        for begin, end in columns_of.TIMES:
            if "seconds" not in found and {begin, end} <= {*self.columns}:
                found["seconds"] = _seconds(self.table[begin], self.table[end])
        return found

    def _tell_trials(self, trials: Sequence[tuple[Trial, TrialResult]], main: Metric) -> None:
        lost = [result for _, result in trials if result.reason == NO_NUMBER]
        if lost:
            word = _count(len(lost), "finished run")
            self.told.append(f"{word} without a finite {main.variable}: counted as diverged")
        if not trials:
            self.told.append("no run has ended yet")

    def _tell_holes(self, grid: "_Grid", replicates: int, runs: Mapping[int, int]) -> None:
        empty = grid.n_cells - len(runs)
        fewer = sum(n < replicates for n in runs.values())
        told = [f"{empty} of {_count(grid.n_cells, 'cell')} without runs"] if empty else []
        told += [f"{_count(fewer, 'cell')} with fewer than {replicates} runs"] if fewer else []
        if told:
            self.told.append(f"{'; '.join(told)}: missing")


@dataclass(frozen=True)
class _Grid:
    axes: Sequence[Axis]

    @property
    def n_cells(self) -> int:
        return math.prod(len(axis.values) for axis in self.axes)

    def cell(self, number: int) -> Cell:
        places = np.unravel_index(number, [len(axis.values) for axis in self.axes])
        pairs = zip(self.axes, places, strict=True)
        return Cell(tuple((axis.name, axis.values[int(at)]) for axis, at in pairs))


def _twin(variable: str) -> str:
    """The variable of a test metric on the validation set; any other as it is."""
    parsed = Variable.parse(variable)
    is_test = parsed is not None and parsed.split == TEST
    return str(replace(parsed, split=VALIDATION)) if parsed and is_test else variable


def _value(value: Any) -> Value | None:
    """A value of an axis as people write it; None where there is none.

    Numbers are kept to nine digits, as many as tell two values of an axis apart.
    """
    if columns_of.is_empty(value):
        return None
    if hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, bool | int | float):
        value = parse_value(" ".join(str(value).split())[:MOST_LETTERS])
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return str(value)
    return value if not isinstance(value, str) or value.isprintable() else None


def _lenient(column: "pd.Series[Any]") -> np.ndarray:
    import pandas as pd

    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def _seconds(begin: "pd.Series[Any]", end: "pd.Series[Any]") -> np.ndarray:
    """How long each run took, by two columns of times; NaN where that is not told."""
    import pandas as pd

    ends, begins = (pd.to_datetime(c, errors="coerce", utc=True) for c in (end, begin))
    return (ends - begins).dt.total_seconds().to_numpy(dtype=float, na_value=np.nan)


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def pairs_named(names: Iterator[str] | Sequence[str]) -> dict[str, str]:
    """Columns by name: "lr" is itself, "learning_rate=lr" the column lr under another name."""
    found: dict[str, str] = {}
    for text in names:
        name, equals, column = (part.strip() for part in str(text).partition("="))
        found[name] = column if equals else name
    return found
