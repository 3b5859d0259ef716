"""Studies side by side: their shared cells as one landscape, what differs, and tests of it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridscape.analysis.cells import CellSummary, learned, summarize
from gridscape.analysis.differences import Comparison, Difference, noise_of, welch
from gridscape.analysis.few import FEWEST, told
from gridscape.analysis.statistics import LEVEL, Interval, holm
from gridscape.errors import UsageError, cut
from gridscape.grid.asked import OTHERS, others_of
from gridscape.grid.axes import Axis, Cell, Value, show
from gridscape.grid.many import many_records
from gridscape.grid.meanings import Meaning
from gridscape.grid.trials import Trial, TrialResult
from gridscape.landscape import Landscape
from gridscape.store.imported import IMPORTED
from gridscape.store.record import DESCRIPTIVE
from gridscape.store.store import Store
from gridscape.study.conditions import TABLES

AXIS = "study"
MOST_STUDIES = 8
# What says nothing of how networks are trained, or is told elsewhere.
_TOLD_ELSEWHERE = {
    *DESCRIPTIVE,
    *("axes", "replicates", OTHERS, "grids", "zip", "name", "metrics", "main_metric"),
    *("groups", "groups_of", "objects", "origin"),
}


@dataclass(frozen=True)
class Change:
    """A setting that is not the same in all studies. values: of each; None where it has none."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True, repr=False)
class CellBeside:
    """A cell of a study beside the same cell of the first one.

    difference: this study minus the first, over the replicates that learn; paired by replicate
    where these share their seeds, with one spread for all cells where these allow it, else
    Welch's. p_value: of "no difference", corrected for all cells of the study (Holm 1979); NaN
    with fewer than two replicates. meaning: of the metric.
    """

    cell: Cell
    study: str
    first: Interval
    other: Interval
    difference: Interval
    p_value: float
    meaning: Meaning

    @property
    def is_shown(self) -> bool:
        """Whether the replicates show a difference."""
        return self.p_value <= 1 - LEVEL

    @property
    def is_better(self) -> bool:
        """Whether this study is shown to be better than the first."""
        return self.is_shown and self.meaning.sign * self.difference.mean > 0

    def __repr__(self) -> str:
        return f"<{self.study} at {self.cell}: {self.difference.mean:+.4g}, p {self.p_value:.2g}>"


@dataclass(frozen=True, repr=False)
class Beside:
    """Studies side by side on the axes that they share.

    land: their shared cells as one landscape with the further axis "study". names: of the studies,
    the first one is that which the others are compared with. is_paired: whether replicates share
    their seeds. changes: of settings. notes: what is left out, or was chosen.
    """

    land: Landscape
    names: tuple[str, ...]
    metric: str
    is_paired: bool
    changes: tuple[Change, ...]
    cells: tuple[CellBeside, ...]
    notes: tuple[str, ...]

    def of(self, study: str) -> list[CellBeside]:
        """The cells of one study."""
        return [cell for cell in self.cells if cell.study == study]

    def table(self) -> Any:
        """A pandas DataFrame: a row for each cell of each study but the first."""
        import pandas as pd

        return pd.DataFrame(
            [
                (
                    *(found.study, *found.cell.values(), found.first.mean, found.other.mean),
                    *(found.difference.mean, found.difference.low, found.difference.high),
                    found.p_value,
                )
                for found in self.cells
            ],
            columns=[
                *(axis.name for axis in self.land.axes),
                *("first", "other", "difference", "low", "high", "p_value"),
            ],
        )

    def __repr__(self) -> str:
        shown = sum(cell.is_shown for cell in self.cells)
        return (
            f"<{' beside '.join(self.names)}: {self.metric} of {len(self.cells)} cells,"
            f" {shown} shown to differ; {len(self.changes)} settings differ>"
        )


@many_records()
def compare(*folders: str | Path) -> Beside:
    """Studies side by side, by their results folders, each compared with the first.

    An axis that only some have is held at the value that the others were trained with; where they
    tell none, the best value of each cell is taken, and told. Raises UsageError for one folder or
    more than 8, without a shared axis, value or metric, StoreError for a folder that cannot be
    used.
    """
    if not 2 <= len(folders) <= MOST_STUDIES:
        expected = f"2 to {MOST_STUDIES} results folders"
        raise UsageError("nothing to compare", expected=expected, found=str(len(folders)))
    lands = [Landscape.read(folder) for folder in folders]
    names = _names([Path(folder) for folder in folders])
    axes = _shared_axes(lands, names)
    metric = _shared_metric(lands, names)
    held = [_held(land, [axis.name for axis in axes], lands) for land in lands]
    record = _record(lands, names, axes)
    joined = [
        pair
        for folder, name, of_study in zip(folders, names, held, strict=True)
        for pair in _trials(folder, name, axes, of_study)
    ]
    record |= _asked(record, joined)
    land = Landscape.of(record, joined)
    seeds = {study.study.get("seed") for study in lands}
    is_paired = len(seeds) == 1 and None not in seeds
    of = {s.cell: s for s in summarize(land, metric)}
    cells = [c for name in names[1:] for c in _compared(of, names[0], name, is_paired)]
    notes = [*_left_out(lands, names, axes), *_held_words(names, held), *_lost(of, names, cells)]
    if not is_paired:
        notes.append("replicates do not share their seeds: differences are not paired")
    return Beside(land, names, metric, is_paired, _changes(lands, axes), tuple(cells), tuple(notes))


def _names(folders: Sequence[Path]) -> tuple[str, ...]:
    """What the studies are called: their folders' names, with more of the path where these are
    the same."""
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(Path(*folder.resolve().parts[-2:])) for folder in folders]
    if len(set(names)) < len(names):
        names = [f"{number} {name}" for number, name in enumerate(names, 1)]
    return tuple(names)


# ---- what is shared ----


def _shared_axes(lands: Sequence[Landscape], names: Sequence[str]) -> tuple[Axis, ...]:
    """The axes that all have, with the values that all have."""
    first, *others = lands
    own = [{axis.name: axis for axis in land.axes} for land in others]
    axes = [axis for axis in first.axes if all(axis.name in of for of in own)]
    if not axes:
        told = "; ".join(
            f"{name} has {', '.join(axis.name for axis in land.axes)}"
            for name, land in zip(names, lands, strict=True)
        )
        raise UsageError("these studies share no axis", found=cut(told, 160))
    shared = []
    for axis in axes:
        values = [v for v in axis.values if all(of[axis.name].place(v) is not None for of in own)]
        if not values:
            raise UsageError("these studies share no value of an axis", where=f"axis {axis.name}")
        shared.append(Axis(axis.name, tuple(values)))
    if AXIS in (axis.name for axis in shared):
        raise UsageError('an axis called "study" cannot stand beside the studies themselves')
    return tuple(shared)


def _shared_metric(lands: Sequence[Landscape], names: Sequence[str]) -> str:
    metric = lands[0].main_metric
    for land, name in zip(lands, names, strict=True):
        if metric not in land.metrics:
            found = f"{name} has {', '.join(land.metrics)}"
            raise UsageError(f"not all of these studies have {metric}", found=cut(found, 160))
    return metric


@dataclass(frozen=True)
class _Held:
    """Where a study stands along the axes that the others lack.

    values: of all cells; best: for each shared cell the chosen values; over: their axes.
    """

    values: Mapping[str, Value]
    best: Mapping[Cell, Cell]
    over: tuple[str, ...] = ()


def _held(land: Landscape, shared: Sequence[str], lands: Sequence[Landscape]) -> _Held:
    further = [axis for axis in land.axes if axis.name not in shared]
    values: dict[str, Value] = {}
    for axis in further:
        told: list[Value | None] = [axis.values[0]] if len(axis.values) == 1 else []
        told += [_setting(other, axis.name) for other in lands if other is not land]
        place = next((p for v in told if v is not None and (p := axis.place(v)) is not None), None)
        if place is not None:
            values[axis.name] = axis.values[place]
    over = tuple(axis.name for axis in further if axis.name not in values)
    if not over:
        return _Held(values, {})
    held = {name: land.axis(name).values.index(value) for name, value in values.items()}
    part = Landscape(land.data.isel({n: [i] for n, i in held.items()}), land.study)
    best = part.best_of_rows(over[0], per=list(shared))
    return _Held(values, {row: cell for row, cell in best.items() if cell is not None}, over)


def _setting(land: Landscape, name: str) -> Value | None:
    """What a study gives a setting in all of its cells, wherever it stands."""
    if name in (axis.name for axis in land.axes):
        return None
    tables = [land.study.get(table) or {} for table in TABLES]
    found = next((of[name] for of in (land.study, *tables) if name in of), None)
    return found if isinstance(found, int | float | str) else None


# ---- as one landscape ----


def _record(
    lands: Sequence[Landscape], names: Sequence[str], axes: Sequence[Axis]
) -> dict[str, Any]:
    """The study of them all: what they have in common, and no more."""
    first, *others = (land.study for land in lands)
    common = {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}
    for gone in ("claims", "published", "told", "objects", "grids", "zip", "title", "description"):
        common.pop(gone, None)
    metrics = first.get("metrics")
    if isinstance(metrics, Mapping):
        known = [other.get("metrics") or {} for other in others]
        common["metrics"] = {n: m for n, m in metrics.items() if all(n in of for of in known)}
    told = [
        f"{name}: {line}"
        for name, land in zip(names, lands, strict=True)
        for line in land.study.get("told") or ()
    ]
    return {
        **common,
        **({"main_metric": first["main_metric"]} if "main_metric" in first else {}),
        "name": " beside ".join(names),
        "title": " beside ".join(names),
        "axes": {AXIS: list(names), **{axis.name: list(axis.values) for axis in axes}},
        "replicates": max(land.n_replicates for land in lands),
        IMPORTED: "several studies",
        "told": told,
    }


def _trials(
    folder: str | Path, name: str, axes: Sequence[Axis], held: _Held
) -> Iterator[tuple[Trial, TrialResult]]:
    """The trials of a study that lie at shared cells, as trials of the joined landscape."""
    with Store.read(folder) as store:
        for trial, result in store.results():
            places = [axis.place(trial.cell[axis.name]) for axis in axes]
            if None in places or any(trial.cell[n] != v for n, v in held.values.items()):
                continue
            row = Cell(tuple((a.name, a.values[p or 0]) for a, p in zip(axes, places, strict=True)))
            if held.over:
                best = held.best.get(row)
                if best is None or any(trial.cell[n] != best[n] for n in held.over):
                    continue
            yield Trial(Cell(((AXIS, name), *row.items())), trial.replicate, trial.key), result


def _asked(
    record: Mapping[str, Any], joined: Sequence[tuple[Trial, TrialResult]]
) -> dict[str, Any]:
    """How many replicates each cell has: a study may have fewer than another."""
    grid = Landscape.of(record, ()).grid
    numbers = dict.fromkeys(grid.cells(), 0)
    for trial, _ in joined:
        numbers[trial.cell] = max(numbers[trial.cell], trial.replicate + 1)
    return others_of(dict(record), numbers)


# ---- what differs ----


def _compared(
    summaries: Mapping[Cell, CellSummary], first: str, name: str, is_paired: bool
) -> Iterator[CellBeside]:
    pairs = []
    for cell, of_other in summaries.items():
        if cell[AXIS] != name:
            continue
        row = Cell(tuple((n, v) for n, v in cell.items() if n != AXIS))
        of_first = summaries[Cell(((AXIS, first), *row.items()))]
        if of_first.n_told and of_other.n_told:
            pairs.append((row, of_first, of_other))
    among = Comparison(s for _, a, b in pairs for s in (a, b)) if is_paired else None
    tests = [among.difference(b, a) if among else _apart(b, a) for _, a, b in pairs]
    corrected = holm(list(map(_p_value, tests)))
    for (row, a, b), found, p in zip(pairs, tests, corrected, strict=True):
        difference = told(found.interval())
        yield CellBeside(row, name, told(a.estimate), told(b.estimate), difference, p, b.meaning)


def _apart(a: CellSummary, b: CellSummary) -> Difference:
    """Of cells that share no seeds; a fraction is never surer than its number of examples."""
    return welch(learned(a), learned(b), (noise_of(a), noise_of(b)))


def _p_value(found: Difference) -> float:
    """Of no difference. Where nothing is random, replicates that differ alike leave no doubt."""
    if found.n >= FEWEST and not found.error > 0:
        return 0.0 if found.mean else 1.0
    return min(found.p_above(0.0), found.p_below(0.0)) if found.error > 0 else math.nan


def _changes(lands: Sequence[Landscape], axes: Sequence[Axis]) -> tuple[Change, ...]:
    """The settings that are not the same in all, tables by their entries."""
    shared = {axis.name for axis in axes}
    flat = [dict(_settings(land.study, land)) for land in lands]
    names = dict.fromkeys(name for of in flat for name in of)
    found = (Change(name, tuple(of.get(name) for of in flat)) for name in names)
    return tuple(
        change
        for change in found
        if change.name not in shared and any(v != change.values[0] for v in change.values[1:])
    )


def _settings(study: Mapping[str, Any], land: Landscape) -> Iterator[tuple[str, Any]]:
    for name, value in study.items():
        if name in _TOLD_ELSEWHERE or (name == "task_fingerprint" and _is_named(study)):
            continue
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", of) for key, of in value.items())
        else:
            yield name, value
    for axis in land.axes:
        told = [show(value) for value in axis.values]
        yield axis.name, ", ".join(told) if len(told) > 1 else axis.values[0]


def _is_named(study: Mapping[str, Any]) -> bool:
    """Whether the task's name tells its data: a fingerprint then only repeats it."""
    return isinstance(study.get("task"), str)


def _left_out(
    lands: Sequence[Landscape], names: Sequence[str], axes: Sequence[Axis]
) -> Iterator[str]:
    for axis in axes:
        for land, name in zip(lands, names, strict=True):
            gone = [v for v in land.axis(axis.name).values if axis.place(v) is None]
            if gone:
                values = cut(", ".join(map(show, gone)), 80)
                yield f"only {name} has {axis.name} {values}: left out"


def _held_words(names: Sequence[str], held: Sequence[_Held]) -> Iterator[str]:
    for name, found in zip(names, held, strict=True):
        for axis, value in found.values.items():
            yield f"{name} at {axis}={show(value)}"
        for axis in found.over:
            told = f"{name} at the best {axis} of each cell, chosen from its own results"
            yield f"{told}, which flatters it"


def _lost(
    summaries: Mapping[Cell, CellSummary], names: Sequence[str], cells: Sequence[CellBeside]
) -> Iterator[str]:
    """What the numbers do not tell, since runs failed or are missing."""
    first, *others = names
    n_shared = sum(cell[AXIS] == first for cell in summaries)
    for name in others:
        compared = [found.cell for found in cells if found.study == name]
        if n := n_shared - len(compared):
            yield f"{n} more shared cells have no number in {first} or {name}: not compared"
        both = (
            [summaries[Cell(((AXIS, of), *c.items()))] for of in (first, name)] for c in compared
        )
        if n := sum(any(s.n_learns < s.share.n for s in pair) for pair in both):
            where = f"in {n} cells of {first} or {name} not all runs learn"
            yield f"{where}: numbers are of those that do"
