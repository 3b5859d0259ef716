"""Rules on how much the metric varies."""

import numpy as np

from gridscape.analysis.cells import CellSummary
from gridscape.analysis.spreads import deviations
from gridscape.analysis.statistics import mean
from gridscape.claims.checks import above
from gridscape.claims.evidence import Evidence
from gridscape.claims.rules.registry import MAIN, Finding, rule


@rule
def spread_larger(evidence: Evidence, axis: str, than: str, metric: str = MAIN) -> Finding:
    """The metric varies more over ``axis`` with all else fixed than over ``than``.

    Compared are the standard deviations along the one and along the other, each within a row of
    cells that share their values of all other axes, averaged over these rows.
    """
    fit = evidence.fit_in({}, metric)
    first, second = _mean_deviation(fit, axis), _mean_deviation(fit, than)
    if first is None or second is None:
        return Finding([], {}, lacks=f"two values of both {axis} and {than}")
    evidence.use(fit)
    name = f"spread over {axis} minus spread over {than}"
    check = above(name, evidence.meaning(metric).unit, first - second, 0.0)
    return Finding(
        [check], {f"spread over {axis}": mean(first), f"spread over {than}": mean(second)}
    )


def _mean_deviation(summaries: list[CellSummary], axis: str) -> np.ndarray | None:
    """(R',) ``deviations`` averaged over the rows; None where no row has two values."""
    found = deviations(summaries, axis)
    return np.array([mean(column) for column in found.T]) if len(found) else None
