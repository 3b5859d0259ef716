"""What the page shows, as plain data: records of the analysis become one JSON document.

The page's scripts only pick and draw; every number they show was computed by the analysis. Cells
are numbered in the grid's order (the last axis fastest), and everything refers to them by number.
"""

import itertools
import json
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gridscape.analysis.beside import Beside
from gridscape.analysis.best import BestPerRow
from gridscape.analysis.cells import CellState, CellSummary
from gridscape.analysis.conditions import altered
from gridscape.analysis.confirmed import Confirmation
from gridscape.analysis.costs import Pareto, SmallestEquivalent
from gridscape.analysis.curves import CurveBand
from gridscape.analysis.efforts import efforts_of
from gridscape.analysis.published import Agreement, PublishedCell, PublishedComparison
from gridscape.analysis.rates import rate_of, rates_over_time
from gridscape.analysis.shares import Share
from gridscape.analysis.statistics import LEVEL, Interval, t_quantile
from gridscape.claims.records import Estimate, Verdict
from gridscape.grid.asked import GRIDS, OTHERS
from gridscape.grid.axes import Axis, Cell, Value, show
from gridscape.grid.meanings import FRACTION, Meaning
from gridscape.grid.names import Variable
from gridscape.grid.trials import SEMANTICS, Status
from gridscape.landscape import Landscape
from gridscape.report.beside import beside_data
from gridscape.report.contract import (
    AxisData,
    BestData,
    BestRow,
    CellsData,
    ClaimData,
    ClaimEstimate,
    ConfirmedData,
    Counts,
    CurveData,
    CurveName,
    EdgeData,
    EstimateData,
    KindData,
    LinesData,
    Mark,
    MetricData,
    MetricName,
    NetworkData,
    OfCells,
    PageData,
    ParetoData,
    PublishedCellData,
    PublishedData,
    RatesData,
    SmallestData,
    TopData,
)
from gridscape.report.findings import COSTS, ByKind, Findings
from gridscape.report.layout import (
    ERROR_TICKS,
    FEW_ERROR_TICKS,
    along_axis,
    line_view,
    place_on,
    view,
)
from gridscape.report.palette import VIRIDIS
from gridscape.report.showcase import Showcase
from gridscape.report.story import story, works, works_told
from gridscape.report.words import (
    STATES,
    chosen_on,
    confirmed_words,
    each_for_itself,
    edge_told,
    edge_words,
    estimate_words,
    few,
    guess_words,
    learns_short,
    learns_words,
    left_out,
    look_words,
    not_worse,
    open_numbers,
    optimum_words,
    partly,
    size_of,
    spoken,
    to_quote,
    unequal_words,
    unit,
    winner_words,
    with_unit,
)
from gridscape.store.imported import takes_commands

if TYPE_CHECKING:
    from gridscape.inspection.kinds import Look

CURVE_NUMBERS = 240_000  # numbers that all curves together may take: about 1.5 MB of the page
MOST_POINTS = 400
MOST_COSTS = 2_000  # cells drawn against their cost: of more, evenly chosen ones and the front
NOTHING_SHOWN = Showcase()
FEWEST_POINTS = 40  # below it, the lines of single replicates are left out
FEWEST_OF_MEAN = 6  # below it, all curves are left out


def document(
    found: Findings,
    directory: Path,
    made: str,
    environment: Mapping[str, str],
    shown: Showcase = NOTHING_SHOWN,
    of_studies: Beside | None = None,
    *,
    covered: bool = False,
) -> PageData:
    """The plain data of the page; no NaN and no infinity: unknown numbers are None.

    shown: the networks that were looked at. of_studies: that stand side by side here. covered: for
    a reader who predicts first.
    """
    land, study = found.land, found.land.study
    numbers = {cell: i for i, cell in enumerate(land.grid.cells())}
    shape = view(land.axes)
    curves, rule = _curves(found, numbers)
    content = {
        "altered": altered(land),
        "title": study.get("title") or study.get("name") or "A study",
        "summary": " ".join(
            filter(None, (f"{size_of(land)}.", unequal_words(efforts_of(land)), guess_words(land)))
        ),
        "version": environment.get("Gridscape", ""),
        "made": made,
        "level": found.main[0].estimate.level,
        "marks": {
            "collapsed": _mark(CellState.COLLAPSED),
            "not_started": _mark(CellState.NOT_STARTED),
            "diverged": _mark(CellState.DIVERGED),
            "failed": _mark(CellState.FAILED),
            "stopped": _mark(CellState.STOPPED),
            "missing": _mark(CellState.MISSING),
            "not_asked": _mark(CellState.NOT_ASKED),
        },
        "colors": VIRIDIS,
        "error_ticks": ERROR_TICKS,
        "few_error_ticks": FEW_ERROR_TICKS,
        "counts": _counts(found.main),
        "facts": _facts(study),
        "environment": list(environment.items()),
        "axes": [_axis(axis) for axis in land.axes],
        "rows": land.axes.index(shape.rows) if shape.rows else None,
        "columns": land.axes.index(shape.columns),
        "replicates": land.n_replicates,
        "t_quantiles": _t_quantiles(land.n_replicates),
        "metrics": [],
        "cells": {},
        "replay": replay_command(directory) if _can_replay(study) else "",
        "start": numbers[found.top.cell] if found.top else _first_ended(found.main),
        "top": _top(found, numbers, directory),
        "selection": land.selection,
        "chosen": chosen_on(land),
        "few": few(land),
        "told": study.get("told") or [],
        "curves": curves,
        "curve_rule": rule,
        "batches": _batches(land),
        "curves_left_out": bool(found.without_curves) or len(curves) < len(found.bands),
        "curve_names": [_curve_name(land, name) for name in _curve_names(found)],
        "lines": _line_view(land.axes),
        "kinds": [
            _kind(land, record, numbers, shown.chance) for record in found.by_kind if record.cells
        ],
        "networks": list(_networks(land, numbers, shown.looks)),
        "network_notes": shown.notes,
        "best": _best(found, numbers, directory),
        "edge": _edge(found, numbers),
        "confirmed": _confirmed(found.confirmed, numbers),
        "pareto": {k: _pareto(v, numbers) for k, v in found.paretos.items() if _varies(v)},
        "smallest": _smallest(found.smallest, numbers),
        "notes": found.notes,
        "published": [_published(comparison) for comparison in found.published],
        "claims": [_claim(verdict) for verdict in found.verdicts],
        "claims_told": each_for_itself(found.verdicts),
        "story": story(found),
        "rates": _rates(land),
        "predict": {"works": works(found), "told": works_told(found)} if covered else None,
        "beside": beside_data(of_studies, numbers) if of_studies else None,
    }
    # The columns of all cells are plain as they come: they may be very long.
    plain: PageData = _plain(content)
    return {**plain, "metrics": _metrics(found), "cells": _cells(found)}


def _networks(
    land: Landscape, numbers: Mapping[Cell, int], looks: Sequence["Look"]
) -> Iterator[NetworkData]:
    if looks:  # without any, a page is written without JAX
        from gridscape.report.network_document import network

        for look in looks:
            yield network(look, numbers[land.grid.find(**look.network.trial.cell)])


def _can_replay(study: Mapping[str, Any]) -> bool:
    """Whether a command trains a cell again: not as an earlier version did it."""
    return takes_commands(study) and study.get("semantics", SEMANTICS) == SEMANTICS


def _first_ended(summaries: Sequence[CellSummary]) -> int:
    return next((i for i, s in enumerate(summaries) if s.n_ended), 0)


def _mark(state: CellState) -> Mark:
    words = STATES[state]
    return {"word": words.word, "short": words.short, "meaning": words.meaning}


def _counts(summaries: Sequence[CellSummary]) -> Counts:
    return {
        "finished": sum(s.n_finished for s in summaries),
        "collapsed": sum(s.n_collapsed for s in summaries),
        "not_started": sum(s.n_not_started for s in summaries),
        "diverged": sum(s.n_diverged for s in summaries),
        "failed": sum(s.n_failed for s in summaries),
        "stopped": sum(s.n_stopped for s in summaries),
        "missing": sum(s.n_missing for s in summaries),
    }


def _facts(study: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the study says of itself, without what the page shows elsewhere."""
    elsewhere = {
        "title",
        "axes",
        "claims",
        "published",
        "metrics",
        "chances",
        "told",
        OTHERS,
        GRIDS,
    }
    return [
        (str(name).replace("_", " "), _fact(value))
        for name, value in study.items()
        if name not in elsewhere and value not in (None, "", [], {})
        if name != "guessing" or value  # of numbers there is none
    ]


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} = {_fact(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value))
    return show(value)


def _axis(axis: Axis) -> AxisData:
    numbers = None if axis.scale == "category" else [float(value) for value in axis.values]
    labels = [show(value) for value in axis.values]
    return {"name": axis.name, "scale": axis.scale, "labels": labels, "numbers": numbers}


def _metrics(found: Findings) -> list[MetricData]:
    """What the landscape can show, a number per cell: metrics, shares of runs, costs."""
    metrics = [_metric_of_cells(found, name) for name in found.metrics]
    costs: list[MetricData] = [
        {
            **_metric(found.land, name),
            "better": None,
            "mean": _numbers(getattr(cell, name) for cell in found.main),
            "low": None,
            "high": None,
            "each": None,
            "counts": None,
        }
        for name in COSTS
    ]
    return [*metrics, *map(_share, found.shares), *costs]


def _metric_of_cells(found: Findings, name: str) -> MetricData:
    estimates, values = found.estimates(name), found.values(name)
    # Together: of one replicate the mean is the value.
    columns = [estimates.mean, estimates.low, estimates.high, *values.T]
    mean, low, high, *each = _columns(np.stack(columns))
    return {
        **_metric(found.land, name),
        "better": found.land.meaning(name).better,
        "mean": mean,
        "low": low,
        "high": high,
        "each": list(map(list, zip(*each, strict=True))),
        "counts": None,
    }


def _share(share: Share) -> MetricData:
    meaning, found = Meaning(share.better, FRACTION), share.estimates
    return {
        "name": share.name,
        "label": spoken(share.name),
        "with_unit": f"{spoken(share.name)} in %",
        "unit": unit(meaning),
        "chance": None,
        "better": share.better,
        "mean": _numbers(e.mean for e in found),
        "low": _numbers(e.low for e in found),
        "high": _numbers(e.high for e in found),
        "each": None,
        "counts": [
            f"{k} of {e.n}" if e.n else "" for k, e in zip(share.counts, found, strict=True)
        ],
    }


def _metric(land: Landscape, name: str) -> MetricName:
    meaning = land.meaning(name)
    return {
        "name": name,
        "label": spoken(name),
        "with_unit": with_unit(name, meaning),
        "unit": unit(meaning),
        "chance": _chance(land, name),
    }


def _chance(land: Landscape, name: str) -> float | None:
    """What guessing gives by the main metric, on any set, or by one whose guess is stored."""
    told, main = land.study.get("chances"), Variable.parse(land.main_metric)
    variable = Variable.parse(name)
    is_main = variable is not None and main is not None and variable.metric == main.metric
    return land.chance(name) if is_main or (isinstance(told, Mapping) and name in told) else None


def _rates(land: Landscape) -> RatesData | None:
    """The rate over time, where it is not the same in all updates."""
    ways, of = rates_over_time(land)
    if not ways:
        return None
    return {
        "ways": [{"schedule": w.schedule, "at": w.at, "share": w.share} for w in ways],
        "of": of,
        "rate": [rate_of(land, cell) for cell in land.grid.cells()],
    }


def _t_quantiles(n_replicates: int) -> list[float | None]:
    """Of Student's t by the number of values, for differences that the page makes."""
    return [t_quantile(LEVEL, n - 1) if n > 1 else None for n in range(n_replicates + 1)]


def _curve_name(land: Landscape, name: str) -> CurveName:
    """A curve, its split, and the name that it shares with that of the other split."""
    variable = Variable.parse(name)
    split, metric = (variable.split, variable.metric) if variable else ("test", name)
    return {**_metric(land, name), "split": split, "shared": spoken(metric)}


# ---- cells ----


def _cells(found: Findings) -> CellsData:
    cells, land = found.main, found.land
    reasons = land.array("reason").reshape(len(cells), -1).tolist()
    against = [found.against_best.get(cell.cell) for cell in cells]
    return {
        "label": _labels(land.axes),
        "state": [cell.state for cell in cells],
        "statuses": [_statuses(cell) for cell in cells],
        "collapsed": [list(cell.collapsed) for cell in cells],
        "not_started": [list(cell.not_started) for cell in cells],
        "partly": [partly(cell) for cell in cells],
        "why": [found.why.get(cell.cell, "") for cell in cells],
        "learns": [learns_words(cell) for cell in cells],
        "share": [learns_short(cell) for cell in cells],
        "at_edge": [cell.at_edge for cell in cells],
        "keys": [list(cell.keys) for cell in cells],
        "reasons": [
            texts if cell.n_diverged + cell.n_failed and any(texts) else None
            for cell, texts in zip(cells, reasons, strict=True)
        ],
        "first_bad_updates": [list(cell.first_bad_updates) for cell in cells],
        "against_best": _against_best(against),
    }


def _labels(axes: Sequence[Axis]) -> list[str]:
    """``str`` of every cell of the grid: each value is written once."""
    told = [["" if v is None else f"{a.name}={show(v)}" for v in a.values] for a in axes]
    return [", ".join(filter(None, point)) for point in itertools.product(*told)]


def _against_best(found: Sequence[Interval | None]) -> list[EstimateData | None]:
    known = [one for one in found if one]
    ends = (_numbers(getattr(one, end) for one in known) for end in ("mean", "low", "high"))
    rows = iter([EstimateData(mean=m, low=a, high=b) for m, a, b in zip(*ends, strict=True)])
    return [next(rows) if one else None for one in found]


def _statuses(summary: CellSummary) -> list[str]:
    """By replicate; the last ones of a cell are those that nobody asked for."""
    if not summary.n_not_asked:
        return list(summary.statuses)
    n_asked = len(summary.statuses) - summary.n_not_asked
    return [
        CellState.NOT_ASKED.value if status == Status.MISSING and number >= n_asked else status
        for number, status in enumerate(summary.statuses)
    ]


def _interval(estimate: Interval) -> EstimateData:
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}


def replay_command(directory: Path) -> str:
    """The command that trains a cell again, as a shell takes it, but for the cell."""
    return f"gridscape replay {shlex.quote(str(directory))} --cell"


def _top(found: Findings, numbers: Mapping[Cell, int], directory: Path) -> TopData | None:
    if found.top is None:
        return None
    luck = winner_words(found.winner, found.metric) if found.winner else ""
    quote = to_quote(found.confirmed, found.top.cell, shlex.quote(str(directory)))
    return {
        "cell": numbers[found.top.cell],
        "luck": luck,
        "quote": quote if found.confirmed or (luck and takes_commands(found.land.study)) else "",
        **_interval(found.top.estimate),
    }


# ---- curves ----


def _curves(found: Findings, numbers: Mapping[Cell, int]) -> tuple[dict[str, OfCells], str]:
    """The curves by cell number, and the rule by which they were thinned, in words."""
    bands = found.bands
    n_replicates = found.land.n_replicates
    lines = sum(len(of_cell) for of_cell in bands.values()) or 1
    points, single = _budget(lines, n_replicates)
    kept: dict[str, OfCells] = {
        str(numbers[cell]): {band.curve: _curve(band, points, single) for band in of_cell}
        for cell, of_cell in bands.items()
        if points
    }
    longest = max((len(b.updates) for of_cell in bands.values() for b in of_cell), default=0)
    rule = _rule(longest, points, single, found.stretch)
    if found.without_curves:
        rule = f"Curves are shown of {len(bands):,} evenly chosen cells and the best one. {rule}"
    return kept, rule


def _curve_names(found: Findings) -> list[str]:
    return list(dict.fromkeys(b.curve for of_cell in found.bands.values() for b in of_cell))


def _line_view(axes: Sequence[Axis]) -> LinesData:
    """How the lines of all cells are told apart at first sight, by the numbers of axes."""
    chosen = line_view(axes)
    style = axes.index(chosen.style) if chosen.style else None
    return {"color": axes.index(chosen.color), "style": style}


def _kind(
    land: Landscape, record: ByKind, numbers: Mapping[Cell, int], chance: float | None
) -> KindData:
    """A metric by a kind of test examples: the same shape as the curves.

    chance: of guessing by the main metric, where the landscape does not tell it.
    """
    metric = _metric(land, record.metric)
    if metric["chance"] is None and record.metric == land.main_metric:
        metric["chance"] = chance
    return {
        "kind": record.kind,
        "metric": metric,
        "values": record.values,
        "cells": {
            str(numbers[cell]): {
                "mean": [_short(s.estimate.mean) for s in summaries],
                "low": [_short(s.estimate.low) for s in summaries],
                "high": [_short(s.estimate.high) for s in summaries],
            }
            for cell, summaries in record.cells.items()
        },
    }


def _batches(land: Landscape) -> list[int] | None:
    """The examples of an update by cell, so that curves can be drawn over examples."""
    names = [axis.name for axis in land.axes if len(axis.values) > 1]
    if "batch_size" not in names:
        return None
    return [int(cell["batch_size"]) for cell in land.grid.cells()]


def _budget(lines: int, n_replicates: int) -> tuple[int, bool]:
    """Points of a curve, and whether each replicate has its own line."""
    with_replicates = CURVE_NUMBERS // (lines * (4 + n_replicates))
    if with_replicates >= FEWEST_POINTS:
        return min(with_replicates, MOST_POINTS), True
    means = CURVE_NUMBERS // (lines * 4)
    return (min(means, MOST_POINTS), False) if means >= FEWEST_OF_MEAN else (0, False)


def _rule(longest: int, points: int, single: bool, stretch: int) -> str:
    """How curves were shortened, in words."""
    if not points:
        return "Curves are left out of this page: the study has too many cells for one file."
    rules = []
    if stretch > 1:
        rules.append(f"A point of a train curve is the mean of {stretch} recorded points.")
    if longest > points:
        rules.append(
            f"Curves of more than {points} points show evenly spaced ones, the first and the last "
            "included."
        )
    if not single:
        rules.append("Lines of single replicates are left out.")
    return " ".join(rules) or "Curves show every recorded point and every replicate."


def _curve(band: CurveBand, points: int, single: bool) -> CurveData:
    """Four digits are more than a chart shows."""
    kept = thinned(len(band.updates), points)

    def few(values: Sequence[float]) -> list[float]:
        return [_short(values[i]) for i in kept]

    return {
        "at": few(band.updates),
        "mean": few(band.mean),
        "low": few(band.low),
        "high": few(band.high),
        "each": [few(line) for line in band.per_replicate] if single else [],
    }


def _short(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.4g}")


def thinned(length: int, points: int) -> list[int]:
    """At most ``points`` evenly spaced positions of ``length``, the first and the last included.

    >>> thinned(10, 4), thinned(3, 4)
    ([0, 3, 6, 9], [0, 1, 2])
    """
    if length <= points:
        return list(range(length))
    return [round(i * (length - 1) / (points - 1)) for i in range(points)]


# ---- sections ----


def _confirmed(found: Confirmation | None, numbers: Mapping[Cell, int]) -> ConfirmedData | None:
    if found is None:
        return None
    meaning = found.meaning
    return {
        "metric": with_unit(found.metric, meaning),
        "finalists": [
            {
                "cell": numbers[each.cell],
                "fresh": estimate_words(each.fresh, meaning),
                "learns": f"{each.n_learns} of {each.n_fresh}",
                "searched": estimate_words(each.searched, meaning),
                "luck": meaning.text(each.luck),
            }
            for each in found.finalists
        ],
        "note": confirmed_words(found),
    }


def _best(found: Findings, numbers: Mapping[Cell, int], directory: Path) -> BestData | None:
    if not found.best:
        return None
    axes, axis = found.land.axes, found.best[0].axis
    land_axis = found.land.axis(axis)
    along = along_axis(axes, axis)
    equivalent = {
        numbers[_cell_at(found.land.axes, {**row.row, axis: value})]
        for row in found.best
        for value in row.equivalent
    }
    cells = {numbers[row.best.cell] for row in found.best if row.best}
    edges = {row.row: edge_words(row) for row in found.edge}
    return {
        "axis": axis,
        "metric": found.metric,
        "unit": unit(found.land.meaning(found.metric)),
        "along": [a.name for a in axes].index(along.name) if along else None,
        "cells": sorted(cells),
        "equivalent": sorted(equivalent - cells),
        "rows": [
            _best_row(row, land_axis, along, numbers, edges.get(row.row, "")) for row in found.best
        ],
        "beyond": [str(row.row) for row in found.best if row.at_end],
        "command": f"gridscape refine {shlex.quote(str(directory))} --optimum --axis {axis}"
        if takes_commands(found.land.study)
        else "",
    }


def _best_row(
    row: BestPerRow, axis: Axis, along: Axis | None, numbers: Mapping[Cell, int], edge: str
) -> BestRow:
    rest = {name: value for name, value in row.row.items() if not along or name != along.name}
    return {
        "label": str(row.row),
        "group": ", ".join(f"{name}={show(value)}" for name, value in rest.items()),
        "along": along.place(row.row[along.name]) if along else None,
        "cell": numbers[row.best.cell] if row.best else None,
        "value": row.value,
        "index": None if row.value is None else axis.place(row.value),
        "value_text": "none" if row.value is None else show(row.value),
        "mean": row.best.estimate.mean if row.best else None,
        "low": row.low,
        "high": row.high,
        "equivalent": [show(value) for value in row.equivalent],
        "told": not_worse(row, axis),
        "optimum": optimum_words(row, axis),
        "edge": edge,
        "note": row.note,
    }


def _edge(found: Findings, numbers: Mapping[Cell, int]) -> EdgeData | None:
    if not found.edge:
        return None
    land, name = found.land, found.edge[0].axis
    axis = land.axis(name)
    return {
        "axis": land.axes.index(axis),
        "told": edge_told(found.edge, land.meaning(found.metric)),
        "rows": [
            {
                "cells": [numbers[_cell_at(land.axes, {**r.row, name: v})] for v in axis.values],
                "place": place_on(axis, r.estimate.mean),
                "low": place_on(axis, r.estimate.low),
                "high": place_on(axis, r.estimate.high),
                "text": edge_words(r),
            }
            for r in found.edge
        ],
    }


def _cell_at(axes: Sequence[Axis], values: Mapping[str, Value]) -> Cell:
    return Cell(tuple((axis.name, values[axis.name]) for axis in axes))


def _varies(record: Pareto) -> bool:
    """Whether there is anything to weigh: a cost that all cells share says nothing."""
    costs = [point.cost for point in record.points]
    return bool(costs) and max(costs) > min(costs)


def _pareto(record: Pareto, numbers: Mapping[Cell, int]) -> ParetoData:
    """Cells by rising cost; their costs and metrics stand in the landscape."""
    step = -(-len(record.points) // MOST_COSTS)
    drawn = [p for i, p in enumerate(record.points) if p.on_front or i % step == 0]
    return {
        "cells": [numbers[point.summary.cell] for point in drawn],
        "n_points": len(record.points),
        "front": [numbers[point.summary.cell] for point in record.front],
        "excluded": len(record.excluded),
    }


def _smallest(
    record: SmallestEquivalent | None, numbers: Mapping[Cell, int]
) -> SmallestData | None:
    if record is None:
        return None
    return {
        "margin": record.margin,
        "best": numbers[record.best.cell],
        "best_mean": record.best.estimate.mean,
        "cell": numbers[record.cell.cell],
        "cell_mean": record.cell.estimate.mean,
        "difference": _interval(record.difference),
        "by_interval": record.by_interval,
        "saves_parameters": record.saves_parameters,
        "saves_flops": record.saves_flops,
        "saves_seconds": record.saves_seconds,
        "note": record.note,
    }


def _published(comparison: PublishedComparison) -> PublishedData:
    """A published table in its own shape: its last axis across, all others down."""
    across = list(comparison.cells[0].cell)[-1] if comparison.cells else ""
    columns = list(dict.fromkeys(show(c.cell[across]) for c in comparison.cells))
    rows: dict[str, dict[str, PublishedCell]] = {}
    for cell in comparison.cells:
        label = ", ".join(show(v) for name, v in cell.cell.items() if name != across)
        rows.setdefault(label, {})[show(cell.cell[across])] = cell
    return {
        "name": comparison.table.name,
        "source": comparison.table.source,
        "unit": unit(comparison.meaning),
        "row_name": ", ".join(n for n in comparison.cells[0].cell if n != across) if rows else "",
        "column_name": across,
        "columns": columns,
        "rows": [
            {"label": label, "cells": [_published_cell(row.get(column)) for column in columns]}
            for label, row in rows.items()
        ],
        "counts": {agreement: comparison.count(agreement) for agreement in Agreement},
        "mean_difference": comparison.mean_difference,
        "rmse": comparison.rmse,
        "note": comparison.note,
    }


def _published_cell(cell: PublishedCell | None) -> PublishedCellData | None:
    if cell is None:
        return None
    return {
        "published": cell.published,
        "ours": cell.ours.mean,
        "prediction_low": cell.prediction_low,
        "prediction_high": cell.prediction_high,
        "difference": cell.difference,
        "agreement": cell.agreement,
        "note": cell.note,
    }


def _claim(verdict: Verdict) -> ClaimData:
    claim = verdict.claim
    return {
        "id": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "outcome": verdict.outcome,
        "rule": verdict.rule,
        "note": verdict.note,
        "estimates": [_claim_estimate(estimate) for estimate in verdict.estimates],
        "numbers": [(name, f"{value:.4g}") for name, value in verdict.numbers.items()],
        "excluded": left_out(verdict),
        "look": look_words(verdict),
        "open": [(e.name, e.outlook) for e in open_numbers(verdict)],
    }


def _claim_estimate(estimate: Estimate) -> ClaimEstimate:
    low, high = estimate.interval.low, estimate.interval.high
    return {
        "name": estimate.name,
        "text": quantity(estimate.interval.mean, estimate.unit),
        "interval": f"{low:.3g} to {high:.3g}" if estimate.interval.known else "",
        "asks": estimate.asks,
        "says": estimate.says,
    }


def quantity(value: float, unit: str) -> str:
    """A number with three digits and its unit."""
    return "unknown" if math.isnan(value) else f"{value:.3g} {unit}".strip()


# ---- plain data ----


def to_json(content: PageData) -> str:
    """JSON that may stand inside a <script> element: no <, >, & and no line separators."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _numbers(values: Iterable[float]) -> list[float | None]:
    """The same without NaN, infinities and needless digits; each different number is cut once."""
    array = values if isinstance(values, np.ndarray) else np.fromiter(values, float)
    different, which = np.unique(array, return_inverse=True)
    finite = np.isfinite(different)
    cut: list[float | None] = [None] * len(different)
    # A line of all of them is written and read in far less time than one by one.
    told = (len(different[finite]) * "%.6g ") % tuple(different[finite].tolist())
    for i, number in zip(np.flatnonzero(finite).tolist(), told.split(), strict=True):
        cut[i] = float(number)
    return [cut[i] for i in which.ravel().tolist()]


def _columns(values: np.ndarray) -> list[list[float | None]]:
    """The same of columns of numbers."""
    flat, length = _numbers(values.ravel()), values.shape[-1]
    return [flat[i : i + length] for i in range(0, len(flat), length)]


def _plain(value: Any) -> Any:
    """The same without NaN, infinities and needless digits."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bool) or value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(_plain(k)): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value]
