"""What the page shows, as plain data: records of the analysis become one JSON document.

The page's scripts only pick and draw; every number they show was computed by the analysis. Cells
are numbered in the grid's order (the last axis fastest), and everything refers to them by number.
"""

import json
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridscape.analysis.best import BestPerRow
from gridscape.analysis.cells import CellSummary
from gridscape.analysis.costs import Pareto, SmallestEquivalent
from gridscape.analysis.curves import CurveBand
from gridscape.analysis.published import Agreement, PublishedCell, PublishedComparison
from gridscape.analysis.statistics import Interval
from gridscape.claims.records import Estimate, Verdict
from gridscape.grid.axes import Axis, Cell, Value, show
from gridscape.grid.names import Variable
from gridscape.landscape import Landscape
from gridscape.report.findings import COSTS, ByKind, Findings, along_axis, line_view, view
from gridscape.report.showcase import Showcase

if TYPE_CHECKING:
    from gridscape.inspection.kinds import Look

LABELS = {
    "seconds": "seconds per trial",
    "flops": "FLOP",
    "n_parameters": "parameters",
    "memory_bytes": "memory",
}
KINDS = {  # unit of a variable -> how the page writes its numbers
    "fraction": "fraction",
    "s": "seconds",
    "FLOP": "flops",
    "B": "bytes",
    "parameters": "count",
}
CURVE_NUMBERS = 240_000  # numbers that all curves together may take: about 1.5 MB of the page
MOST_POINTS = 400
NOTHING_SHOWN = Showcase()
FEWEST_POINTS = 40  # below it, the lines of single replicates are left out
FEWEST_OF_MEAN = 6  # below it, all curves are left out


def document(
    found: Findings,
    directory: Path,
    made: str,
    environment: Mapping[str, str],
    shown: Showcase = NOTHING_SHOWN,
) -> dict[str, Any]:
    """The plain data of the page; no NaN and no infinity: unknown numbers are None.

    shown: the networks that were looked at.
    """
    land, study = found.land, found.land.study
    numbers = {cell: i for i, cell in enumerate(land.grid.cells())}
    rows, columns = view(land.axes)
    curves, rule = _curves(found, numbers)
    content = {
        "title": study.get("title") or study.get("name") or "A study",
        "summary": summary(land),
        "version": environment.get("Gridscape", ""),
        "made": made,
        "level": found.main[0].estimate.level,
        "counts": _counts(found.main),
        "facts": _facts(study),
        "environment": [[k, v] for k, v in environment.items()],
        "axes": [_axis(axis) for axis in land.axes],
        "rows": land.axes.index(rows) if rows else None,
        "columns": land.axes.index(columns),
        "replicates": int(land.data.sizes["replicate"]),
        "metrics": _metrics(found),
        "cells": [_cell(found, i, directory) for i in range(len(numbers))],
        "start": numbers[found.top.cell] if found.top else _first_ended(found.main),
        "top": _top(found, numbers),
        "curves": curves,
        "curve_rule": rule,
        "curve_names": [_curve_name(land, name) for name in _curve_names(found)],
        "lines": _line_view(land.axes),
        "kinds": [_kind(land, record, numbers) for record in found.by_kind if record.cells],
        "chance": shown.chance,
        "networks": list(_networks(land, numbers, shown.looks)),
        "network_notes": shown.notes,
        "best": _best(found, numbers),
        "pareto": {k: _pareto(v, numbers) for k, v in found.paretos.items() if _varies(v)},
        "smallest": _smallest(found.smallest, numbers),
        "notes": found.notes,
        "published": [_published(comparison) for comparison in found.published],
        "claims": [_claim(verdict) for verdict in found.verdicts],
    }
    plain: dict[str, Any] = _plain(content)
    return plain


def _networks(
    land: Landscape, numbers: Mapping[Cell, int], looks: Sequence["Look"]
) -> Iterator[dict[str, Any]]:
    if looks:  # without any, a page is written without JAX
        from gridscape.report.network_document import network

        for look in looks:
            yield network(look, numbers[land.grid.find(**look.network.trial.cell)])


def summary(land: Landscape) -> str:
    """One sentence: what was trained, and how much of it.

    "72 networks: 4 hidden_size x 6 learning_rate, 3 replicates each, trained on digits-rows."
    """
    n_replicates = int(land.data.sizes["replicate"])
    shape = " \u00d7 ".join(f"{len(axis.values)} {axis.name}" for axis in land.axes)
    total = n_replicates * math.prod(land.grid.shape)
    each = f"{n_replicates} replicates each" if n_replicates > 1 else "one replicate each"
    task = land.study.get("task")
    on = f", trained on {task}" if isinstance(task, str) and task else ""
    updates, batch = land.setting("updates"), land.setting("batch_size")
    budget = (
        f" for {updates} updates" + (f" of {batch} examples" if batch else "") if updates else ""
    )
    return f"{total} network{'s' * (total > 1)}: {shape}, {each}{on}{budget}."


def _first_ended(summaries: Sequence[CellSummary]) -> int:
    return next((i for i, s in enumerate(summaries) if s.n_ended), 0)


def _counts(summaries: Iterable[CellSummary]) -> dict[str, int]:
    names = ("finished", "collapsed", "diverged", "failed", "missing")
    summaries = list(summaries)
    return {name: sum(getattr(s, f"n_{name}") for s in summaries) for name in names}


def _facts(study: Mapping[str, Any]) -> list[list[str]]:
    """What the study says of itself, without what the page shows elsewhere."""
    elsewhere = {"title", "axes", "claims", "published", "metrics"}
    return [
        [str(name).replace("_", " "), _fact(value)]
        for name, value in study.items()
        if name not in elsewhere and value not in (None, "", [], {})
    ]


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} = {_fact(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value))
    return show(value)


def _axis(axis: Axis) -> dict[str, Any]:
    numbers = None if axis.scale == "category" else [float(value) for value in axis.values]
    labels = [show(value) for value in axis.values]
    return {"name": axis.name, "scale": axis.scale, "labels": labels, "numbers": numbers}


def _metrics(found: Findings) -> list[dict[str, Any]]:
    """What the landscape can show, each with a number per cell: the metrics, then the costs."""
    metrics = [
        {
            **_metric(found.land, name),
            "better": found.land.meaning(name).better,
            "mean": [cell.estimate.mean for cell in cells],
            "low": [cell.estimate.low for cell in cells],
            "high": [cell.estimate.high for cell in cells],
            "each": [cell.values for cell in cells],
        }
        for name, cells in found.summaries.items()
    ]
    costs = [
        {**_metric(found.land, name), "mean": [getattr(c, name) for c in found.main]}
        for name in COSTS
    ]
    return metrics + costs


def _metric(land: Landscape, name: str) -> dict[str, str]:
    """How the page names a variable and writes its numbers; other units are told in the name."""
    meaning = land.meaning(name)
    kind = KINDS.get(meaning.unit, "number")
    unit = f" ({meaning.shown_unit})" if kind == "number" and meaning.shown_unit else ""
    return {"name": name, "label": LABELS.get(name, name.replace("_", " ") + unit), "unit": kind}


def _curve_name(land: Landscape, name: str) -> dict[str, str]:
    """A curve, its split, and the name that it shares with that of the other split."""
    variable = Variable.parse(name)
    split, metric = (variable.split, variable.metric) if variable else ("test", name)
    return {**_metric(land, name), "split": split, "shared": metric.replace("_", " ")}


# ---- cells ----


def _cell(found: Findings, i: int, directory: Path) -> dict[str, Any]:
    main = found.main[i]
    against = found.against_best.get(main.cell)
    return {
        "label": str(main.cell),
        "state": main.state.value,
        "counts": _counts([main]),
        "statuses": main.statuses,
        "collapsed": main.collapsed,
        "keys": main.keys,
        "reasons": _reasons(found.land, main.cell) if main.n_diverged + main.n_failed else None,
        "first_bad_updates": main.first_bad_updates,
        "against_best": against and _interval(against),
        "command": command(directory, main.cell),
    }


def _interval(estimate: Interval) -> dict[str, float]:
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}


def _reasons(land: Landscape, cell: Cell) -> list[str] | None:
    """Why replicates did not finish, one text each; None where all of them did."""
    texts = [str(text) for text in land.data["reason"].sel(dict(cell)).values]
    return texts if any(texts) else None


def command(directory: Path, cell: Cell) -> str:
    """The command that trains a cell again, as a shell takes it."""
    values = ",".join(f"{name}={show(value)}" for name, value in cell.items())
    return f"gridscape replay {shlex.quote(str(directory))} --cell {shlex.quote(values)}"


def _top(found: Findings, numbers: Mapping[Cell, int]) -> dict[str, Any] | None:
    if found.top is None:
        return None
    return {"cell": numbers[found.top.cell], **_interval(found.top.estimate)}


# ---- curves ----


def _curves(found: Findings, numbers: Mapping[Cell, int]) -> tuple[dict[str, Any], str]:
    """The curves by cell number, and the rule by which they were thinned, in words."""
    bands = found.bands
    n_replicates = int(found.land.data.sizes["replicate"])
    lines = sum(len(of_cell) for of_cell in bands.values()) or 1
    points, single = _budget(lines, n_replicates)
    kept = {
        str(numbers[cell]): {band.curve: _curve(band, points, single) for band in of_cell}
        for cell, of_cell in bands.items()
        if points
    }
    longest = max((len(b.updates) for of_cell in bands.values() for b in of_cell), default=0)
    return kept, _rule(longest, points, single, found.stretch)


def _curve_names(found: Findings) -> list[str]:
    return list(dict.fromkeys(b.curve for of_cell in found.bands.values() for b in of_cell))


def _line_view(axes: Sequence[Axis]) -> dict[str, Any]:
    """How the lines of all cells are told apart at first sight, by the numbers of axes."""
    chosen = line_view(axes)
    style = axes.index(chosen.style) if chosen.style else None
    return {"color": axes.index(chosen.color), "style": style}


def _kind(land: Landscape, record: ByKind, numbers: Mapping[Cell, int]) -> dict[str, Any]:
    """A metric by a kind of test examples: the same shape as the curves."""
    return {
        "kind": record.kind,
        "metric": _metric(land, record.metric),
        "values": record.values,
        "cells": {
            str(numbers[cell]): {
                end: [_short(getattr(s.estimate, end)) for s in summaries]
                for end in ("mean", "low", "high")
            }
            for cell, summaries in record.cells.items()
        },
    }


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


def _curve(band: CurveBand, points: int, single: bool) -> dict[str, Any]:
    """Four digits are more than a chart shows."""
    kept = thinned(len(band.updates), points)
    along = {"at": band.updates, "mean": band.mean, "low": band.low, "high": band.high}
    return {
        **{name: [_short(values[i]) for i in kept] for name, values in along.items()},
        "each": [[_short(line[i]) for i in kept] for line in band.per_replicate] if single else [],
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


def _best(found: Findings, numbers: Mapping[Cell, int]) -> dict[str, Any] | None:
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
    return {
        "axis": axis,
        "metric": found.metric,
        "unit": KINDS.get(found.land.meaning(found.metric).unit, "number"),
        "along": [a.name for a in axes].index(along.name) if along else None,
        "cells": sorted(cells),
        "equivalent": sorted(equivalent - cells),
        "rows": [_best_row(row, land_axis, along, numbers) for row in found.best],
    }


def _best_row(
    row: BestPerRow, axis: Axis, along: Axis | None, numbers: Mapping[Cell, int]
) -> dict[str, Any]:
    rest = {name: value for name, value in row.row.items() if not along or name != along.name}
    return {
        "label": str(row.row),
        "group": ", ".join(f"{name}={show(value)}" for name, value in rest.items()),
        "along": along and along.values.index(row.row[along.name]),
        "cell": row.best and numbers[row.best.cell],
        "value": row.value,
        "index": None if row.value is None else axis.values.index(row.value),
        "value_text": "none" if row.value is None else show(row.value),
        "mean": row.best and row.best.estimate.mean,
        "low": row.low,
        "high": row.high,
        "equivalent": [show(value) for value in row.equivalent],
        "note": row.note,
    }


def _cell_at(axes: Sequence[Axis], values: Mapping[str, Value]) -> Cell:
    return Cell(tuple((axis.name, values[axis.name]) for axis in axes))


def _varies(record: Pareto) -> bool:
    """Whether there is anything to weigh: a cost that all cells share says nothing."""
    costs = [point.cost for point in record.points]
    return bool(costs) and max(costs) > min(costs)


def _pareto(record: Pareto, numbers: Mapping[Cell, int]) -> dict[str, Any]:
    """Cells by rising cost; their costs and metrics stand in the landscape."""
    return {
        "cells": [numbers[point.summary.cell] for point in record.points],
        "front": [numbers[point.summary.cell] for point in record.front],
        "excluded": len(record.excluded),
    }


def _smallest(
    record: SmallestEquivalent | None, numbers: Mapping[Cell, int]
) -> dict[str, Any] | None:
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


def _published(comparison: PublishedComparison) -> dict[str, Any]:
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
        "unit": KINDS.get(comparison.meaning.unit, "number"),
        "row_name": ", ".join(n for n in comparison.cells[0].cell if n != across) if rows else "",
        "column_name": across,
        "columns": columns,
        "rows": [
            {"label": label, "cells": [_published_cell(row.get(column)) for column in columns]}
            for label, row in rows.items()
        ],
        "counts": {agreement.value: comparison.count(agreement) for agreement in Agreement},
        "mean_difference": comparison.mean_difference,
        "rmse": comparison.rmse,
    }


def _published_cell(cell: PublishedCell | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    return {
        "published": cell.published,
        "ours": cell.ours.mean,
        "prediction_low": cell.prediction_low,
        "prediction_high": cell.prediction_high,
        "difference": cell.difference,
        "agreement": cell.agreement.value,
    }


def _claim(verdict: Verdict) -> dict[str, Any]:
    claim = verdict.claim
    return {
        "id": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "outcome": verdict.outcome.value,
        "rule": verdict.rule,
        "note": verdict.note,
        "estimates": [_claim_estimate(estimate) for estimate in verdict.estimates],
        "numbers": [[name, f"{value:.4g}"] for name, value in verdict.numbers.items()],
        "excluded": [f"{item.cell}: {item.reason}" for item in verdict.excluded],
    }


def _claim_estimate(estimate: Estimate) -> dict[str, str]:
    low, high = estimate.interval.low, estimate.interval.high
    return {
        "name": estimate.name,
        "text": quantity(estimate.interval.mean, estimate.unit),
        "interval": f"{low:.3g} to {high:.3g}" if estimate.interval.known else "",
        "asks": estimate.asks,
        "says": estimate.says.value,
    }


def quantity(value: float, unit: str) -> str:
    """A number with three digits and its unit."""
    return "unknown" if math.isnan(value) else f"{value:.3g} {unit}".strip()


# ---- plain data ----


def to_json(content: Mapping[str, Any]) -> str:
    """JSON that may stand inside a <script> element: no <, >, & and no line separators."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _plain(value: Any) -> Any:
    """The same without NaN, infinities and needless digits."""
    if isinstance(value, bool) or value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value]
