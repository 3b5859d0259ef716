"""Rules on the gap between training and test."""

from collections.abc import Sequence

import numpy as np

from gridscape.analysis.cells import CellSummary, ended_values, top_cell
from gridscape.analysis.statistics import mean
from gridscape.claims.checks import above, within
from gridscape.claims.evidence import Evidence, Region
from gridscape.claims.rules.registry import MAIN, MAIN_OF_TRAIN, Finding, rule


@rule
def gap(
    evidence: Evidence,
    where: Region,
    minuend: str,
    subtrahend: str,
    exceeds: float,
    failing_below: float | None = None,
) -> Finding:
    """The gap between two metrics, averaged over a region, is above a bound.

    failing_below: only cells whose mean of the subtrahend is below it take part.
    """
    cells = evidence.fit_in(where, subtrahend)
    if failing_below is not None:
        healthy = [s.cell for s in cells if s.estimate.mean >= failing_below]
        evidence.exclude(healthy, f"does not fail: {subtrahend} is not below {failing_below:g}")
        cells = [s for s in cells if s.estimate.mean < failing_below]
    if not cells:
        what = "a cell of the region that fails" if failing_below is not None else "the region"
        return Finding([], {}, lacks=what)
    evidence.use(cells)
    more, less = _region_means(evidence, cells, minuend), _region_means(evidence, cells, subtrahend)
    check = above(
        f"{minuend} minus {subtrahend}", evidence.meaning(subtrahend).unit, more - less, exceeds
    )
    return Finding([check], {f"mean {minuend}": mean(more), f"mean {subtrahend}": mean(less)})


def _region_means(evidence: Evidence, cells: Sequence[CellSummary], metric: str) -> np.ndarray:
    """(R',) mean of a metric over cells within each replicate, over those that finished."""
    values = ended_values([evidence.summaries(metric)[s.cell] for s in cells])
    return np.array([mean(column) for column in values.T])


@rule
def underfits(
    evidence: Evidence,
    where: Region,
    gap_within: float,
    short_by: float,
    train: str = MAIN_OF_TRAIN,
    test: str = MAIN,
) -> Finding:
    """In a region train and test are equal, and both are worse than the landscape's best cell."""
    cells = evidence.fit_in(where, test)
    best = top_cell(tuple(evidence.summaries(test).values()))
    if not cells or best is None:
        return Finding([], {}, lacks="the region")
    evidence.use([*cells, best])
    low_train, low_test = (_region_means(evidence, cells, metric) for metric in (train, test))
    joint = ended_values([*cells, best])
    short = best.meaning.sign * (joint[-1] - np.array([mean(c) for c in joint[:-1].T]))
    ends = [f"{test} of the best cell ({best.cell})", "the region's"]
    return Finding(
        [
            above(
                " minus ".join(ends if best.meaning.is_higher_better else reversed(ends)),
                evidence.meaning(test).unit,
                short,
                short_by,
            ),
            within(
                f"{train} minus {test}",
                evidence.meaning(test).unit,
                low_train - low_test,
                gap_within,
            ),
        ],
        {f"mean {train}": mean(low_train), f"mean {test}": mean(low_test)},
    )
