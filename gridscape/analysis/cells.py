"""Cells over their replicates, and their differences, paired by replicate."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import starmap
from typing import Any

import numpy as np

from gridscape.analysis.fractions import fraction_intervals, resolution
from gridscape.analysis.states import not_started
from gridscape.analysis.statistics import (
    LEVEL,
    Interval,
    mean,
    share_interval,
    t_interval,
    t_quantile,
    t_test,
)
from gridscape.grid.axes import Cell, Value
from gridscape.grid.many import many_records
from gridscape.grid.meanings import Meaning
from gridscape.grid.names import COLLAPSED, VALIDATION, Variable
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape, is_candidate


class CellState(StrEnum):
    """What most of a cell's replicates did; a figure marks a cell by it.

    MISSING: none ended. STOPPED: none ended, and all that were begun or waited were stopped.
    NOT_ASKED: nobody asked for any.
    FAILED: at least half of the ended ones failed or ran out of memory.
    DIVERGED: at least half of the ended ones diverged (or diverged and failed together).
    COLLAPSED: at least half of the finished ones fell to one answer, or learn no more than one.
    NOT_STARTED: at least half of the finished ones have not begun to learn: ``states``. Where only
    both together are half, the more frequent. FINISHED: all else.
    """

    FINISHED = "finished"
    COLLAPSED = "collapsed"
    NOT_STARTED = "not_started"
    DIVERGED = "diverged"
    FAILED = "failed"
    STOPPED = "stopped"
    MISSING = "missing"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True)
class CellSummary:
    """One cell over its replicates: how many of them learn, and how good those are.

    meaning: whether more of the metric is better, and its unit.
    share: of the replicates that finished or diverged, those that learn, with its exact interval.
    estimate: mean and interval over the replicates that learn (over the finished ones where none
        does); of a fraction as in ``fractions``, the part in [0, 1].
    at_edge: some replicate of this cell, or of the next one along an axis, did not learn: the
        spread of such a cell is its own.
    n_examples: on which a fraction was measured; None of another metric.
    learns, values, statuses, collapsed, not_started, keys, first_bad_updates: one entry per
        replicate, in the landscape's order; values are NaN where the replicate did not finish,
        first_bad_updates None where it did not diverge, keys "" and statuses "missing" where it was
        not trained.
    n_failed counts failed and out_of_memory; n_collapsed and n_not_started are parts of
        n_finished, and no replicate is in both. n_missing: those that were asked for and have not
        ended; n_stopped: those that somebody stopped, which count nowhere else; n_not_asked: those
        that other cells have, this not.
    balanced: the mean that the cell is ranked by: that of the estimate, freed of what replicates
        share between cells where some are missing (``Landscape.balanced``).
    seconds, flops, memory_bytes: means over the finished replicates (over the ended ones where
        none finished); NaN where none ended. n_parameters: NaN likewise.
    """

    cell: Cell
    metric: str
    meaning: Meaning
    share: Interval
    estimate: Interval
    at_edge: bool
    n_examples: int | None
    learns: tuple[bool, ...]
    values: tuple[float, ...]
    statuses: tuple[str, ...]
    collapsed: tuple[bool, ...]
    keys: tuple[str, ...]
    first_bad_updates: tuple[int | None, ...]
    n_finished: int
    n_diverged: int
    n_collapsed: int
    n_failed: int
    n_missing: int
    n_parameters: float
    flops: float
    seconds: float
    memory_bytes: float
    balanced: float
    not_started: tuple[bool, ...] = ()
    n_not_started: int = 0
    n_not_asked: int = 0
    n_stopped: int = 0

    def __repr__(self) -> str:
        return (
            f"<{self.cell}: {self.metric} {self.estimate!r}, learns {self.n_learns}/{self.share.n}>"
        )

    @property
    def n_ended(self) -> int:
        """Replicates that ended in any way."""
        return self.n_finished + self.n_diverged + self.n_failed

    @property
    def n_learns(self) -> int:
        """Replicates that learn."""
        return sum(self.learns)

    @property
    def n_told(self) -> int:
        """Replicates that make the estimate: those that learn, or, where none does, finish."""
        return self.n_learns or self.n_finished

    @property
    def is_candidate(self) -> bool:
        """Whether the cell may be called best: more than half of the ended replicates learn."""
        return bool(is_candidate(self.n_finished, self.n_learns, self.n_ended))

    @property
    def state(self) -> CellState:
        """What most of the replicates did."""
        if not self.n_ended:
            none = CellState.STOPPED if self.n_stopped else CellState.NOT_ASKED
            return CellState.MISSING if self.n_missing else none
        if 2 * self.n_finished <= self.n_ended:
            failed_most = self.n_failed > self.n_diverged
            return CellState.FAILED if failed_most else CellState.DIVERGED
        if 2 * (self.n_collapsed + self.n_not_started) < self.n_finished:
            return CellState.FINISHED
        more_collapsed = self.n_collapsed >= self.n_not_started
        return CellState.COLLAPSED if more_collapsed else CellState.NOT_STARTED


@dataclass(frozen=True)
class PairedDifference:
    """Metric of ``a`` minus metric of ``b`` over the replicates that learn in both.

    p_value: two-sided paired t test of "no difference"; NaN with fewer than two replicates.
    """

    a: Cell
    b: Cell
    metric: str
    estimate: Interval
    differences: tuple[float, ...]
    replicates: tuple[int, ...]
    p_value: float


def summarize(land: Landscape, metric: str | None = None) -> tuple[CellSummary, ...]:
    """Every cell of the grid over its replicates, the last axis fastest.

    metric: by default the main one. Raises UnknownNameError for one that the landscape does not
    have.
    """
    metric = metric or land.main_metric
    return land.once(("summaries", metric), lambda: _summaries(land, metric))


@many_records()
def _summaries(land: Landscape, metric: str) -> tuple[CellSummary, ...]:
    """Each column of all cells at once: a cell is then but a row of them."""
    meaning = land.meaning(metric)
    values, learns = _by_cell(land.finished(metric)), _by_cell(land.learns)
    status, slow = _by_cell(land.array("status")), _by_cell(not_started(land))
    finished, missing, diverged, stopped = (
        status == s.value
        for s in (Status.FINISHED, Status.MISSING, Status.DIVERGED, Status.STOPPED)
    )
    ended = ~missing & ~stopped
    collapsed = _by_cell(land.array(COLLAPSED)) & ~slow
    asked = _by_cell(land.wanted)
    n_examples = _n_examples(land, metric, values) if meaning.is_fraction else None
    tried = (finished | diverged).sum(axis=-1)
    costs = np.where(finished.any(axis=-1, keepdims=True), finished, ended)
    columns: dict[str, Iterable[Any]] = {
        "cell": land.grid.cells(),
        "share": map(share_interval, learns.sum(axis=-1).tolist(), tried.tolist()),
        "estimate": _intervals(_estimates(_told(values, learns), n_examples, meaning)),
        "at_edge": _at_edge(land, learns, status).ravel().tolist(),
        "learns": _tuples(learns),
        "values": _tuples(values),
        "statuses": _tuples(status),
        "collapsed": _tuples(collapsed),
        "not_started": _tuples(slow),
        "keys": _tuples(_by_cell(land.array("key"))),
        "first_bad_updates": _whole(_by_cell(land.array("first_bad_update"))),
        "n_finished": _count(finished),
        "n_diverged": _count(diverged),
        "n_collapsed": _count(collapsed),
        "n_not_started": _count(slow),
        "n_failed": _count(ended & ~finished & ~diverged),
        "n_missing": _count(missing & asked),
        "n_not_asked": _count(missing & ~asked),
        "n_stopped": _count(stopped),
        "balanced": land.balanced(metric).ravel().tolist(),
        **{name: _means(_by_cell(land.array(name)), costs) for name in COSTS},
    }
    alike = {"metric": metric, "meaning": meaning, "n_examples": n_examples}
    columns |= {name: [value] * len(values) for name, value in alike.items()}
    rows = zip(*(columns[f.name] for f in fields(CellSummary)), strict=True)
    return tuple(starmap(CellSummary, rows))


@dataclass(frozen=True)
class Estimates:
    """The means and intervals of all cells, by the grid's order: arrays (cells,)."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray


def estimates(land: Landscape, metric: str) -> Estimates:
    """Of every cell the ``estimate`` of its summary, which takes far less time."""
    meaning = land.meaning(metric)
    values, learns = _by_cell(land.finished(metric)), _by_cell(land.learns)
    n_examples = _n_examples(land, metric, values) if meaning.is_fraction else None
    return _estimates(_told(values, learns), n_examples, meaning)


def _intervals(found: Estimates) -> Iterator[Interval]:
    columns = (found.mean, found.low, found.high, found.n)
    return starmap(Interval, zip(*(column.tolist() for column in columns), strict=True))


def _tuples(array: np.ndarray) -> list[tuple[Any, ...]]:
    return list(zip(*array.T.tolist(), strict=True))


def _count(which: np.ndarray) -> list[int]:
    found: list[int] = which.sum(axis=-1).tolist()
    return found


def _whole(array: np.ndarray) -> list[tuple[int | None, ...]]:
    """Whole numbers by cell, None where there is none."""
    known = ~np.isnan(array)
    found = np.where(known, array, 0).astype(int).astype(object)
    found[~known] = None
    return _tuples(found)


def _means(values: np.ndarray, which: np.ndarray) -> list[float]:
    """The mean of each row over these of its finite values; NaN where there are none."""
    whole = (which & np.isfinite(values)).all(axis=-1)
    found = np.where(whole[:, None], values, 0.0).mean(axis=-1)
    for row in np.flatnonzero(~whole):
        found[row] = mean(values[row][which[row]])
    means: list[float] = found.tolist()
    return means


def _n_examples(land: Landscape, metric: str, values: np.ndarray) -> int:
    """On how many examples a fraction was measured; older folders tell it by their values."""
    variable = Variable.parse(metric)
    split = variable.split if variable else ""
    told = (land.study.get("n_examples") or {}).get({VALIDATION: "validation"}.get(split, split))
    return told or resolution(values)


def _told(values: np.ndarray, learns: np.ndarray) -> np.ndarray:
    """The values (..., R) that tell of a cell: of the runs that learn, of all where none does."""
    return np.where(learns | ~learns.any(axis=-1, keepdims=True), values, np.nan)


def learned(summary: CellSummary) -> np.ndarray:
    """(R,) the values that the estimate is made of, NaN elsewhere."""
    return _told(np.array(summary.values), np.array(summary.learns, bool))


def all_learned(cells: Sequence[CellSummary]) -> np.ndarray:
    """(cells, R): ``learned`` of each."""
    values = np.array([s.values for s in cells], float)
    return _told(values, np.array([s.learns for s in cells], bool))


def _estimates(values: np.ndarray, n_examples: int | None, meaning: Meaning) -> Estimates:
    """Mean and interval of each row (cells, R), NaN entries left out; as ``possible``."""
    n = np.isfinite(values).sum(axis=-1)
    middle = np.where(np.isfinite(values), values, 0).sum(axis=-1) / np.where(n, n, np.nan)
    squares = np.where(np.isfinite(values), (values - middle[:, None]) ** 2, 0).sum(axis=-1)
    enough = np.maximum(n, 2)
    half = t_quantile(LEVEL, enough - 1) * np.sqrt(squares / (enough - 1) / enough)
    low, high = (np.where(n >= 2, middle + side * half, np.nan) for side in (-1, 1))
    if n_examples is not None:
        fractions = (middle >= 0) & (middle <= 1)
        low_too, high_too = fraction_intervals(values, n_examples)
        low, high = np.where(fractions, low_too, low), np.where(fractions, high_too, high)
    if meaning.is_fraction:
        able = (middle >= 0) & (middle <= 1) & np.isfinite(low) & np.isfinite(high)
        low, high = (
            np.where(able, np.maximum(low, 0), low),
            np.where(able, np.minimum(high, 1), high),
        )
    return Estimates(middle, low, high, n)


def _at_edge(land: Landscape, learns: np.ndarray, status: np.ndarray) -> np.ndarray:
    """(*axes) whether a run of the cell, or of the next one along an axis of numbers, failed."""
    ended = (status == Status.FINISHED.value) | (status == Status.DIVERGED.value)
    shape = [len(axis.values) for axis in land.axes]
    failing = (ended & ~learns).any(axis=-1).reshape(shape)
    edge = failing.copy()
    for number, axis in enumerate(land.axes):
        if axis.scale != "category":
            along, beside = np.moveaxis(edge, number, 0), np.moveaxis(failing, number, 0)
            along[1:] |= beside[:-1]
            along[:-1] |= beside[1:]
    return edge


COSTS = ("n_parameters", "flops", "seconds", "memory_bytes")


def _by_cell(array: np.ndarray) -> np.ndarray:
    """(*axes, replicate) as (cells, R), in the order of ``Grid.cells``."""
    return array.reshape(-1, array.shape[-1])


def paired_difference(
    land: Landscape, a: Cell, b: Cell, metric: str | None = None
) -> PairedDifference:
    """Metric of cell ``a`` minus cell ``b``, paired by replicate (they share random numbers).

    Raises UsageError for a cell that the grid does not have.
    """
    found = {s.cell: s for s in summarize(land, metric)}
    return paired(found[land.grid.find(**a)], found[land.grid.find(**b)])


def paired(a: CellSummary, b: CellSummary) -> PairedDifference:
    """Cell ``a`` minus cell ``b`` over the replicates that learn in both."""
    differences = learned(a) - learned(b)
    common = np.flatnonzero(np.isfinite(differences))
    shared = tuple(differences[common].tolist())
    return PairedDifference(
        a=a.cell,
        b=b.cell,
        metric=a.metric,
        estimate=t_interval(shared),
        differences=shared,
        replicates=tuple(common.tolist()),
        p_value=t_test(shared),
    )


def ended_values(summaries: Sequence[CellSummary]) -> np.ndarray:
    """(cells, R'): the values of the replicates that ended in every one of these cells.

    NaN where such a replicate diverged or failed. A replicate that is still missing somewhere would
    compare different sets of cells, so it is left out.
    """
    if not summaries:
        return np.empty((0, 0))
    values = np.array([s.values for s in summaries])
    open_ = (Status.MISSING, Status.STOPPED)
    missing = np.array([[st in open_ for st in s.statuses] for s in summaries])
    return values[:, ~missing.any(axis=0)]


def rows_of(
    summaries: Iterable[CellSummary], per: tuple[str, ...]
) -> list[tuple[Cell, list[CellSummary]]]:
    """The cells that share their values of the axes ``per``, rows in the order of the grid.

    A row that nobody asked for, as there are between sub-grids, is none.
    """
    rows: dict[tuple[Value, ...], list[CellSummary]] = {}
    for summary in summaries:
        rows.setdefault(tuple([summary.cell[name] for name in per]), []).append(summary)
    return [
        (Cell(tuple(zip(per, values, strict=True))), members)
        for values, members in rows.items()
        if any(map(is_asked, members))
    ]


def is_asked(summary: CellSummary) -> bool:
    """Whether a cell was asked for, or has results all the same."""
    return summary.n_ended + summary.n_missing + summary.n_stopped > 0


def score(summary: CellSummary) -> float:
    """What a cell is ranked by, signed so that larger is better."""
    return summary.meaning.sign * summary.balanced


def candidates(
    summaries: Iterable[CellSummary],
) -> tuple[list[CellSummary], tuple[Cell, ...]]:
    """Those that may be called best, and the cells of the others that were asked for."""
    fit: list[CellSummary] = []
    others: list[CellSummary] = []
    for summary in summaries:
        if summary.is_candidate and math.isfinite(summary.estimate.mean):
            fit.append(summary)
        elif is_asked(summary):
            others.append(summary)
    return fit, tuple(summary.cell for summary in others)


def top_cell(cells: Sequence[CellSummary]) -> CellSummary | None:
    """The candidate that ranks first, None where there is none."""
    fit, _ = candidates(cells)
    return max(fit, key=score, default=None)
