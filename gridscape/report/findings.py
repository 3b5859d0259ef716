"""One pass of the analysis over a landscape: everything that the page and the figures show."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from gridscape.analysis import selection
from gridscape.analysis.best import BestPerRow
from gridscape.analysis.boundaries import Boundary, edge_of_learning
from gridscape.analysis.cells import CellSummary, Estimates, estimates, summarize
from gridscape.analysis.confirmed import Confirmation, confirmed
from gridscape.analysis.costs import Pareto, SmallestEquivalent
from gridscape.analysis.curves import CurveBand, band_of
from gridscape.analysis.differences import against
from gridscape.analysis.few import FEWEST, all_told, has_few, told, told_cell, told_row
from gridscape.analysis.published import PublishedComparison, compare_published
from gridscape.analysis.readings import along
from gridscape.analysis.reasons import explanations
from gridscape.analysis.shares import Share, shares
from gridscape.analysis.statistics import Interval
from gridscape.analysis.winner import Winner, winner
from gridscape.claims.decided import as_decided
from gridscape.claims.files import claims_of
from gridscape.claims.judging import judge
from gridscape.claims.records import Claim, Verdict
from gridscape.claims.tables import published
from gridscape.errors import UntrustedError, UsageError
from gridscape.grid.axes import Cell, Value
from gridscape.grid.names import CURVES, TRAIN, Variable, by_kind
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape, sought_axis
from gridscape.report.words import Cost

# In the order of the page's menu.
COSTS: tuple[Cost, ...] = ("flops", "seconds", "n_parameters", "memory_bytes")
A = TypeVar("A")
B = TypeVar("B")
MOST_LINES = 10_000  # curves on a page; of more, FEW_LINES, so that each can be read
FEW_LINES = 1_000
STRETCHES = 80  # points of a train curve: more are averaged


@dataclass(frozen=True)
class ByKind:
    """A test metric of every cell, told apart by a kind of test examples, as their length.

    values: of the kind. cells: of each cell a summary per value; those that have any number.
    """

    kind: str
    metric: str
    values: tuple[Value, ...]
    cells: Mapping[Cell, tuple[CellSummary, ...]]


@dataclass(frozen=True)
class Findings:
    """Everything that the page and the figures show.

    main: every cell by the main metric, in the grid's order. top: the best cell.
    What is best is chosen by ``land.selection_metric``; its numbers are those of the main metric.
    against_best: each cell minus the best one, paired by replicate; they hold together. bands: the
    curves of each cell that has any; stretch: of how many recorded points a point of a train curve
    is the mean; without_curves: of how many cells they are left out, since there are too many.
    by_kind: a record for each test metric that the task tells apart by a kind of examples.
    paretos: by cost. smallest: None for a metric that is no fraction, whose margin would mean
    nothing, and of too few replicates, which have neither intervals nor verdicts: ``few``. why: a
    sentence for each cell of which some replicate went wrong. winner: the best cell by the metric
    that chooses, and what its luck may be. edge: of learning, along the sought axis, in each row.
    shares: of the runs of each cell, those that learn, diverge, collapse. notes: what could not be
    compared, and why.
    """

    land: Landscape
    main: tuple[CellSummary, ...]
    best: tuple[BestPerRow, ...]
    top: CellSummary | None
    against_best: Mapping[Cell, Interval]
    bands: Mapping[Cell, tuple[CurveBand, ...]]
    stretch: int
    by_kind: tuple[ByKind, ...]
    paretos: Mapping[Cost, Pareto]
    smallest: SmallestEquivalent | None
    why: Mapping[Cell, str]
    published: tuple[PublishedComparison, ...]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    confirmed: Confirmation | None = None
    winner: Winner | None = None
    edge: tuple[Boundary, ...] = ()
    shares: tuple[Share, ...] = ()
    without_curves: int = 0

    @property
    def metric(self) -> str:
        """The metric that all but the choosable heat map speaks of."""
        return self.land.main_metric

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that can be chosen, the main one first."""
        return tuple(sorted(self.land.metrics, key=lambda name: name != self.metric))

    def estimates(self, metric: str) -> Estimates:
        """Of every cell its mean and interval, as they may be shown."""
        return all_told(estimates(self.land, metric))

    def values(self, metric: str) -> np.ndarray:
        """(cells, R) the value of each replicate, NaN where it did not finish."""
        found = self.land.finished(metric)
        return found.reshape(-1, found.shape[-1])


def gather(land: Landscape, folder: Path | None = None, *, trust: bool = False) -> Findings:
    """Runs the analysis once, with the published tables and the claims that the study names.

    folder: where the results lie, for claims that compare them with those of another study.
    trust: read a file of claims that the study names, whoever made it.
    What cannot be compared (a landscape of other axes, a file of claims that is gone) becomes a
    note: the rest of the report is still worth having. A study of which nothing has ended yet
    gives empty findings.
    """
    main = tuple(map(told_cell, summarize(land, land.main_metric)))
    axis = sought_axis(land.axes)
    by_cell = {summary.cell: summary for summary in main}
    top = selection.top(land, by_cell)
    best = selection.best_rows(land, axis.name, by_cell) if axis and top else ()
    edge = edge_of_learning(land, axis.name, top) if axis else ()
    bands, stretch, without_curves = curves_of(land, main, top)
    notes = [land.lacks] if land.lacks else []
    tables = _each(land.study.get("published") or (), published, notes)
    claims = land.study.get("claims")
    verdicts = _each(
        [claims] if claims else (),
        lambda _: _judged(land, claims_of(land.study, trust=trust), folder),
        notes,
    )
    confirmations = _each([folder] if folder else (), confirmed, notes)
    return Findings(
        land=land,
        confirmed=next(iter(confirmations), None),
        winner=winner(land, land.selection_metric),
        edge=tuple(replace(row, estimate=told(row.estimate)) for row in edge),
        shares=tuple(map(_told_share, shares(main))),
        main=main,
        best=tuple(map(told_row, best)),
        top=top,
        against_best=_against_best(main, top) if top else {},
        bands=bands,
        stretch=stretch,
        without_curves=without_curves,
        by_kind=tuple(kinds_of(land)),
        paretos=selection.fronts(land, COSTS, by_cell),
        smallest=None if has_few(land) else selection.smallest(land, by_cell),
        why=explanations(land, main),
        published=tuple(_each(tables, lambda table: compare_published(land, table), notes)),
        verdicts=tuple(verdict for of_file in verdicts for verdict in of_file),
        notes=tuple(notes),
    )


def _told_share(share: Share) -> Share:
    """The shares as they may be shown."""
    return replace(share, estimates=tuple(map(told, share.estimates)))


def _judged(land: Landscape, found: Iterable[Claim], folder: Path | None) -> tuple[Verdict, ...]:
    """Verdicts; those that ``decide`` reached in the folder stay."""
    verdicts = judge(land, found, folder=folder)
    return as_decided(verdicts, folder) if folder else verdicts


def kinds_of(land: Landscape) -> Iterator[ByKind]:
    """The test metrics that the task tells apart, the main metric first."""
    name, values = land.study.get("groups") or ("", [])
    if not land.has(name):
        return
    apart = along(land, {name: values})
    told = [m for m in land.metrics if land.has(by_kind(m, name))]
    for metric in sorted(told, key=lambda m: m != land.main_metric):
        cells: dict[Cell, list[CellSummary]] = {}
        for summary in map(told_cell, summarize(apart, metric)):
            cell = Cell(tuple((k, v) for k, v in summary.cell.items() if k != name))
            cells.setdefault(cell, []).append(summary)
        trained = {c: tuple(s) for c, s in cells.items() if any(x.n_finished for x in s)}
        yield ByKind(name, metric, tuple(values), trained)


def _against_best(cells: Sequence[CellSummary], top: CellSummary) -> dict[Cell, Interval]:
    return {cell: told(interval) for cell, interval in against(cells, top).items()}


def curves_of(
    land: Landscape, cells: Sequence[CellSummary], top: CellSummary | None
) -> tuple[dict[Cell, tuple[CurveBand, ...]], int, int]:
    """The curves of the cells that have any, those of training averaged over stretches.

    With them the points of a stretch, and how many cells are left out: of very many cells only
    evenly chosen ones, and the best one, have their curves here. A point of a train curve is the
    mean of the batches since the point before, so the mean of consecutive points is the same curve,
    recorded less often and with less noise.
    """
    names = curve_names(land)
    ended = [i for i, cell in enumerate(cells) if cell.n_ended + cell.n_stopped]
    chosen = _chosen(ended, len(names), cells.index(top) if top else None)
    status = land.array("status").reshape(len(cells), -1)
    found: dict[Cell, list[CurveBand]] = {cells[i].cell: [] for i in chosen}
    stretch = 1
    for name in names:
        updates, lines = land.lines_of(name, chosen)
        variable = Variable.parse(name)
        if variable and variable.split == TRAIN:
            stretch = -(-len(updates) // STRETCHES) or 1
            updates, lines = updates[_ends(len(updates), stretch)], _means(lines, stretch)
        meaning = land.meaning(name)
        for i, line in zip(chosen, lines, strict=True):
            finished = status[i] == Status.FINISHED.value
            band = band_of(cells[i].cell, name, meaning, updates, line, finished)
            if band.updates:
                found[cells[i].cell].append(told_band(band))
    bands = {cell: tuple(of_cell) for cell, of_cell in found.items() if of_cell}
    return bands, stretch, len(ended) - len(chosen)


def _chosen(ended: list[int], n_curves: int, top: int | None) -> list[int]:
    """The numbers of the cells whose curves are shown: all, or evenly chosen ones and the best."""
    if len(ended) * n_curves <= MOST_LINES:
        return ended
    places = np.linspace(0, len(ended) - 1, FEW_LINES // n_curves).round().astype(int)
    return sorted({*(ended[place] for place in places), *([] if top is None else [top])})


def curve_names(land: Landscape) -> list[str]:
    """The curves that a landscape has: loss and accuracy first."""
    found = land.curves
    return [*(n for n in CURVES if n in found), *(n for n in found if n not in CURVES)]


def _ends(points: int, length: int) -> np.ndarray:
    return np.minimum(np.arange(length, points + length, length), points) - 1


def _means(lines: np.ndarray, length: int) -> np.ndarray:
    """Means of ``length`` consecutive points, NaN left out; the last stretch may be shorter."""
    if length == 1:
        return lines
    missing = -lines.shape[-1] % length
    values = np.pad(lines, [(0, 0)] * (lines.ndim - 1) + [(0, missing)], constant_values=np.nan)
    parts = values.reshape(*values.shape[:-1], -1, length)
    count = np.isfinite(parts).sum(axis=-1)
    total = np.where(np.isfinite(parts), parts, 0.0).sum(axis=-1)
    means: np.ndarray = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return means


def told_band(band: CurveBand) -> CurveBand:
    """The band as it may be drawn: nowhere where too few replicates have a point."""
    ends = (
        [x if n >= FEWEST else math.nan for x, n in zip(e, band.n, strict=True)]
        for e in (band.low, band.high)
    )
    low, high = map(tuple, ends)
    return replace(band, low=low, high=high)


def _each(items: Iterable[A], function: Callable[[A], B], notes: list[str]) -> list[B]:
    """The function of every item; an item that does not fit leaves its error as a note."""
    done = []
    for item in items:
        try:
            done.append(function(item))
        except (UsageError, UntrustedError) as error:
            notes.append(f"{getattr(item, 'name', item)} is left out: {error}")
    return done
