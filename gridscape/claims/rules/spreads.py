"""Rules on how much the metric varies."""

import math
from collections.abc import Sequence

import numpy as np

from gridscape.analysis.cells import CellSummary
from gridscape.analysis.statistics import mean
from gridscape.claims.checks import above
from gridscape.claims.evidence import Evidence, ended_by_cell, grouped, metric_unit
from gridscape.claims.rules.registry import Finding, rule


@rule
def spread_larger(
    evidence: Evidence, axis: str, than: str, metric: str = "test_accuracy"
) -> Finding:
    """The metric varies more over ``axis`` at a fixed ``than`` than the other way round.

    Compared are the standard deviations along the one, averaged over the other.
    """
    fit = evidence.fit_in({}, metric)
    first, second = _spreads(fit, along=axis, per=than), _spreads(fit, along=than, per=axis)
    if first is None or second is None:
        return Finding([], {}, lacks=f"two values of both {axis} and {than}")
    evidence.use(fit)
    check = above(
        f"spread over {axis} minus spread over {than}", metric_unit(metric), first - second, 0.0
    )
    return Finding(
        [check], {f"spread over {axis}": mean(first), f"spread over {than}": mean(second)}
    )


def _spreads(summaries: Sequence[CellSummary], *, along: str, per: str) -> np.ndarray | None:
    """(R',) standard deviations along an axis within each replicate, averaged over the other.

    None where no row has two values.
    """
    values = ended_by_cell(summaries)
    rows = [[values[s.cell] for s in members] for members in grouped(summaries, per).values()]
    per_row = [_column_sd(np.array(row)) for row in rows if len(row) >= 2]
    return np.array([mean(c) for c in np.transpose(per_row)]) if per_row else None


def _column_sd(row: np.ndarray) -> list[float]:
    columns = [column[np.isfinite(column)] for column in row.T]
    return [float(c.std(ddof=1)) if len(c) >= 2 else math.nan for c in columns]
