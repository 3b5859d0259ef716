"""One pass of the analysis over a landscape: everything that the page and the figures show."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import xarray as xr

from gridscape.analysis import selection
from gridscape.analysis.best import BestPerRow
from gridscape.analysis.boundaries import Boundary, edge_of_learning
from gridscape.analysis.cells import CellSummary, summarize
from gridscape.analysis.confirmed import Confirmation, confirmed
from gridscape.analysis.costs import Pareto, SmallestEquivalent
from gridscape.analysis.curves import CurveBand, curve_band
from gridscape.analysis.differences import against
from gridscape.analysis.few import FEWEST, has_few, told, told_cell, told_row
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
from gridscape.grid.names import CURVES, by_kind, curve_variable
from gridscape.landscape import Landscape, sought_axis
from gridscape.report.words import Cost

# In the order of the page's menu.
COSTS: tuple[Cost, ...] = ("flops", "seconds", "n_parameters", "memory_bytes")
A = TypeVar("A")
B = TypeVar("B")
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

    summaries: by metric, the main metric first, cells in the grid's order. top: the best cell.
    What is best is chosen by ``land.selection_metric``; its numbers are those of the main metric.
    against_best: each cell minus the best one, paired by replicate; they hold together. bands: the
    curves of each cell that has any; stretch: of how many recorded points a point of a train curve
    is the mean.
    by_kind: a record for each test metric that the task tells apart by a kind of examples.
    paretos: by cost. smallest: None for a metric that is no fraction, whose margin would mean
    nothing, and of too few replicates, which have neither intervals nor verdicts: ``few``. why: a
    sentence for each cell of which some replicate went wrong. winner: the best cell by the metric
    that chooses, and what its luck may be. edge: of learning, along the sought axis, in each row.
    shares: of the runs of each cell, those that learn, diverge, collapse. notes: what could not be
    compared, and why.
    """

    land: Landscape
    summaries: Mapping[str, tuple[CellSummary, ...]]
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

    @property
    def metric(self) -> str:
        """The metric that all but the choosable heat map speaks of."""
        return next(iter(self.summaries))

    @property
    def main(self) -> tuple[CellSummary, ...]:
        """The cells by the main metric."""
        return self.summaries[self.metric]


def gather(land: Landscape, folder: Path | None = None, *, trust: bool = False) -> Findings:
    """Runs the analysis once, with the published tables and the claims that the study names.

    folder: where the results lie, for claims that compare them with those of another study.
    trust: read a file of claims that the study names, whoever made it.
    What cannot be compared (a landscape of other axes, a file of claims that is gone) becomes a
    note: the rest of the report is still worth having. A study of which nothing has ended yet
    gives empty findings.
    """
    main = land.main_metric
    metrics = sorted(land.metrics, key=lambda name: name != main)
    summaries = {name: tuple(map(told_cell, summarize(land, name))) for name in metrics}
    axis = sought_axis(land.axes)
    top = selection.top(land, summaries[main])
    best = selection.best_rows(land, axis.name, summaries[main]) if axis and top else ()
    edge = edge_of_learning(land, axis.name, top) if axis else ()
    curves, stretch = _coarse(land)
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
        shares=tuple(map(_told_share, shares(summaries[main]))),
        summaries=summaries,
        best=tuple(map(told_row, best)),
        top=top,
        against_best=_against_best(summaries[main], top) if top else {},
        bands={s.cell: bands for s in summaries[main] if (bands := _bands(curves, s))},
        stretch=stretch,
        by_kind=tuple(_by_kind(land)),
        paretos={cost: selection.front(land, cost, summaries[main]) for cost in COSTS},
        smallest=None if has_few(land) else selection.smallest(land, summaries[main]),
        why=explanations(land, summaries[main]),
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


def _by_kind(land: Landscape) -> Iterator[ByKind]:
    """The test metrics that the task tells apart, the main metric first."""
    name, values = land.study.get("groups") or ("", [])
    if name not in land.data.dims:
        return
    apart = along(land, {name: values})
    told = [m for m in land.metrics if by_kind(m, name) in land.data]
    for metric in sorted(told, key=lambda m: m != land.main_metric):
        cells: dict[Cell, list[CellSummary]] = {}
        for summary in map(told_cell, summarize(apart, metric)):
            cell = Cell(tuple((k, v) for k, v in summary.cell.items() if k != name))
            cells.setdefault(cell, []).append(summary)
        trained = {c: tuple(s) for c, s in cells.items() if any(x.n_finished for x in s)}
        yield ByKind(name, metric, tuple(values), trained)


def _against_best(cells: Sequence[CellSummary], top: CellSummary) -> dict[Cell, Interval]:
    return {cell: told(interval) for cell, interval in against(cells, top).items()}


def _coarse(land: Landscape) -> tuple[Landscape, int]:
    """The curves alone, those of training averaged over stretches; and the points of a stretch.

    A point of a train curve is the mean of the batches since the point before, so the mean of
    consecutive points is the same curve, recorded less often and with less noise.
    """
    names = [curve_variable(name) for name in land.curves]
    data = land.data[["status", *names]]
    length = -(-data.sizes.get("update", 0) // STRETCHES) or 1
    if length > 1:
        clocked = [name for name in names if "update" in data[name].dims]
        means = {name: _mean_of_stretches(data[name], length) for name in clocked}
        for name, array in means.items():
            array.attrs |= data[name].attrs
        ends = data["update"].values[_ends(data.sizes["update"], length)]
        data = data.drop_dims("update").assign(means).assign_coords(update=ends)
    return Landscape(data, land.study), length


def curve_names(land: Landscape) -> list[str]:
    """The curves that a landscape has: loss and accuracy first."""
    found = land.curves
    return [*(n for n in CURVES if n in found), *(n for n in found if n not in CURVES)]


def _ends(points: int, length: int) -> np.ndarray:
    return np.minimum(np.arange(length, points + length, length), points) - 1


def _mean_of_stretches(array: xr.DataArray, length: int) -> xr.DataArray:
    """Means of ``length`` consecutive points, NaN left out; the last stretch may be shorter."""
    moved = array.transpose(..., "update")
    missing = -moved.sizes["update"] % length
    values = np.pad(
        moved.values, [(0, 0)] * (moved.ndim - 1) + [(0, missing)], constant_values=np.nan
    )
    parts = values.reshape(*values.shape[:-1], -1, length)
    count = np.isfinite(parts).sum(axis=-1)
    total = np.where(np.isfinite(parts), parts, 0.0).sum(axis=-1)
    means = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return xr.DataArray(means, dims=moved.dims)


def _bands(curves: Landscape, cell: CellSummary) -> tuple[CurveBand, ...]:
    """The curves of a cell that have any point."""
    if not cell.n_ended:
        return ()
    bands = [curve_band(curves, cell.cell, name) for name in curve_names(curves)]
    return tuple(_told_band(band) for band in bands if band.updates)


def _told_band(band: CurveBand) -> CurveBand:
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
