"""Rules on the gap between training and test."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gridscape.analysis.cells import CellSummary, candidates, ended_values, score
from gridscape.analysis.differences import Comparison, Difference, mean_of, noise_of
from gridscape.analysis.statistics import mean
from gridscape.claims.checks import Check, above, any_of, within
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
    cells, lacks = evidence.finished_in(where, subtrahend)
    if failing_below is not None:
        healthy = [s.cell for s in cells if mean(s.values) >= failing_below]
        evidence.exclude(healthy, f"does not fail: {subtrahend} is not below {failing_below:g}")
        cells = [s for s in cells if mean(s.values) < failing_below]
    if not cells:
        what = "a cell of the region that fails" if failing_below is not None else "the region"
        return Finding([], {}, lacks=what)
    evidence.use(cells)
    more, less = _region_means(evidence, cells, minuend), _region_means(evidence, cells, subtrahend)
    unit = evidence.meaning(subtrahend).unit or ""
    difference = _gap(more, less, cells)
    check = above(f"{minuend} minus {subtrahend}", unit, difference, exceeds)
    numbers = {f"mean {minuend}": mean(more), f"mean {subtrahend}": mean(less)}
    return Finding([replace(check, cells=tuple(s.cell for s in cells))], numbers, lacks)


def _region_means(evidence: Evidence, cells: Sequence[CellSummary], metric: str) -> np.ndarray:
    """(R',) mean of a metric over cells within each replicate, over those that finished."""
    values = ended_values([evidence.summaries(metric)[s.cell] for s in cells])
    return np.array([mean(column) for column in values.T])


def _gap(more: np.ndarray, less: np.ndarray, cells: Sequence[CellSummary]) -> Difference:
    """The mean of differences of two fractions; their scatter is at least that of the examples."""
    return mean_of(more - less, floor=2 * mean(noise_of(s) for s in cells))


@rule
def underfits(
    evidence: Evidence,
    where: Region,
    gap_within: float,
    short_by: float,
    train: str = MAIN_OF_TRAIN,
    test: str = MAIN,
) -> Finding:
    """In a region train and test are equal, and both are worse than the landscape's best cell.

    Whichever that is: each cell beyond the region is compared with the mean of the region.
    """
    cells, lacks = evidence.finished_in(where, test)
    inside = {s.cell for s in cells}
    beyond, _ = candidates(s for s in evidence.summaries(test).values() if s.cell not in inside)
    if not cells or not beyond:
        return Finding([], {}, lacks="the region" if not cells else "a cell beyond the region")
    evidence.use([*cells, *beyond])
    low_train, low_test = (_region_means(evidence, cells, metric) for metric in (train, test))
    unit = evidence.meaning(test).unit or ""
    ended = [_as_they_end(s) for s in cells]
    leads = [_lead(s, ended, short_by) for s in beyond]
    difference = _gap(low_train, low_test, cells)
    equal = within(f"{train} minus {test}", unit, difference, gap_within)
    best = max(beyond, key=score)
    numbers = {
        f"mean {train}": mean(low_train),
        f"mean {test}": mean(low_test),
        f"{test} of the best cell ({best.cell})": best.estimate.mean,
    }
    return Finding(
        [
            any_of("lead of the best cell over the region's mean", leads),
            replace(equal, cells=tuple(inside)),
        ],
        numbers,
        lacks,
    )


def _as_they_end(summary: CellSummary) -> CellSummary:
    """A cell whose every run that finished counts, whether it learns or not."""
    return replace(summary, learns=tuple(math.isfinite(value) for value in summary.values))


def _lead(best: CellSummary, region: Sequence[CellSummary], by: float) -> Check:
    """One cell is better than the mean of a region by more than a number."""
    weights = [1.0, *[-1 / len(region)] * len(region)]
    found = Comparison([best, *region]).combination([best, *region], weights)
    signed = found if best.meaning.is_higher_better else -found
    check = above(f"lead of {best.cell}", best.meaning.unit or "", signed, by)
    return replace(check, cells=(best.cell, *(s.cell for s in region)))
