"""How many runs of each cell learn, diverge, collapse: shares with exact intervals, for maps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gridscape.analysis.cells import CellSummary
from gridscape.analysis.statistics import Interval, share_interval


@dataclass(frozen=True)
class Share:
    """What share of the runs of each cell does something; of those that finished or diverged.

    name: "learns", "diverges" or "collapses". counts: by cell, how many do; estimates: their share
    with its exact interval (Clopper and Pearson 1934), NaN where no run ended.
    """

    name: str
    better: Literal["higher", "lower"]
    counts: tuple[int, ...]
    estimates: tuple[Interval, ...]


def shares(summaries: Sequence[CellSummary]) -> tuple[Share, ...]:
    """Of all cells, by what not every run does alike: where all runs learn there is none."""
    found = (
        _share("learns", "higher", summaries, lambda s: s.n_learns),
        _share("diverges", "lower", summaries, lambda s: s.n_diverged),
        _share("collapses", "lower", summaries, lambda s: s.n_collapsed),
    )
    n_runs = sum(s.share.n for s in summaries)
    all_alike = {"learns": n_runs, "diverges": 0, "collapses": 0}
    return tuple(share for share in found if sum(share.counts) != all_alike[share.name])


def _share(
    name: str,
    better: Literal["higher", "lower"],
    summaries: Sequence[CellSummary],
    count: Callable[[CellSummary], int],
) -> Share:
    counts = tuple(count(s) for s in summaries)
    of_cells = zip(counts, summaries, strict=True)
    return Share(name, better, counts, tuple(share_interval(k, s.share.n) for k, s in of_cells))
