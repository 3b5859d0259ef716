"""What a result costs: the Pareto front, and the smallest network that will do."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gridscape.analysis.cells import COSTS, CellSummary, candidates, paired, score, summarize
from gridscape.analysis.differences import Comparison, Difference
from gridscape.analysis.statistics import LEVEL, Interval, share_p_value, t_interval
from gridscape.errors import UnknownNameError
from gridscape.grid.axes import Cell
from gridscape.grid.meanings import Meaning
from gridscape.landscape import Landscape


@dataclass(frozen=True)
class ParetoPoint:
    """A candidate cell, its mean cost, and whether no other cell is at once cheaper and better."""

    summary: CellSummary
    cost: float
    on_front: bool


@dataclass(frozen=True)
class Pareto:
    """Metric against cost, points by rising cost. excluded: cells that are no candidates."""

    cost: str
    metric: str
    meaning: Meaning
    points: tuple[ParetoPoint, ...]
    excluded: tuple[Cell, ...]

    @property
    def front(self) -> tuple[ParetoPoint, ...]:
        """The points that no other beats, by rising cost."""
        return tuple(point for point in self.points if point.on_front)


@dataclass(frozen=True)
class SmallestEquivalent:
    """The smallest network that is not worse than the best cell by ``margin`` or more.

    cell: the best cell of the network with the fewest parameters for which this is shown, where
        ``by_interval``; else (replicates do not allow a test) that of the smallest within the
        margin by means. It is the best cell itself where no smaller network is shown to come
        within.
    difference: cell minus best, signed so that negative is worse, paired.
    smallest_by_means: the smallest network within the margin by means alone; where it is smaller
        than ``cell``, more replicates may settle it.
    saves_*: 1 - cell / best, a fraction; 0 where the cell is the best itself.
    """

    metric: str
    margin: float
    best: CellSummary
    cell: CellSummary
    smallest_by_means: CellSummary
    difference: Interval
    by_interval: bool
    saves_parameters: float
    saves_flops: float
    saves_seconds: float
    note: str


def pareto(land: Landscape, cost: str = "flops", metric: str | None = None) -> Pareto:
    """Mean metric against mean cost: "flops", "seconds", "n_parameters" or "memory_bytes".

    metric: by default the main one.
    A cell is on the front when no other is at most as costly and at least as good, and better in
    one of the two, by the means that cells are ranked by (``CellSummary.balanced``). Raises
    UnknownNameError for another cost.
    """
    if cost not in COSTS:
        raise UnknownNameError("cost", cost, COSTS)
    metric = metric or land.main_metric
    fit, excluded = candidates(summarize(land, metric))
    points = by_cost(cost, fit, np.array([score(s) for s in fit]))
    return Pareto(cost, metric, land.meaning(metric), points, excluded)


def by_cost(cost: str, fit: Sequence[CellSummary], scores: np.ndarray) -> tuple[ParetoPoint, ...]:
    """The points of cells by rising cost. scores: (cells,) how good each is, larger is better."""
    costs = np.array([getattr(s, cost) for s in fit], float)
    order = np.argsort(costs, kind="stable")
    on_front = ~_beaten(costs, scores)
    rows = zip(order.tolist(), costs[order].tolist(), on_front[order].tolist(), strict=True)
    return tuple(ParetoPoint(fit[i], cost, on_front) for i, cost, on_front in rows)


def _beaten(costs: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(n,): whether some other is at most as costly and at least as good, and better in one.

    A cost that is not known beats nothing, and is beaten by nothing.
    """
    beaten = np.zeros(len(costs), bool)
    order = np.lexsort((-scores, costs))
    order = order[np.isfinite(costs[order])]
    ascending, falling = costs[order], scores[order]
    first = np.searchsorted(ascending, ascending)  # of those of the same cost: the best of them
    so_far = np.concatenate([[-np.inf], np.maximum.accumulate(falling)])
    beaten[order] = (so_far[first] >= falling) | (falling[first] > falling)
    return beaten


def smallest_equivalent(
    land: Landscape, margin: float = 0.005, metric: str | None = None
) -> SmallestEquivalent | None:
    """The smallest network that comes within ``margin`` of the best cell.

    Networks are the cells of equal number of parameters. Those smaller than the best cell's are
    tested from the largest down, until one is not shown to come within (a fixed sequence: each at
    the whole level). A network comes within where one of its cells, whichever it is, is shown to be
    worse by less than the margin than every cell that may be the best. With one replicate the means
    decide, and ``by_interval`` is False. None where the landscape has no candidate.
    """
    metric = metric or land.main_metric
    fit, _ = candidates(summarize(land, metric))
    if not fit:
        return None
    best = max(fit, key=score)
    networks = _networks(fit)
    smaller = [n for n in networks if n[0].n_parameters < best.n_parameters]
    by_interval = best.estimate.known
    within = [max(n, key=score) for n in smaller]
    within = [s for s in within if score(best) - score(s) < margin]
    cell = _smallest_shown(smaller, fit, best, margin) if by_interval else (within or [best])[0]
    return SmallestEquivalent(
        metric=metric,
        margin=margin,
        best=best,
        cell=cell,
        smallest_by_means=(within or [best])[0],
        difference=_signed_difference(cell, best),
        by_interval=by_interval,
        saves_parameters=_saved(cell.n_parameters, best.n_parameters),
        saves_flops=_saved(cell.flops, best.flops),
        saves_seconds=_saved(cell.seconds, best.seconds),
        note=_equivalent_note(cell, (within or [best])[0], by_interval),
    )


def _networks(fit: Sequence[CellSummary]) -> list[list[CellSummary]]:
    """The cells of equal number of parameters, the smallest first."""
    by_size = sorted(fit, key=lambda s: s.n_parameters)
    return [list(n) for _, n in itertools.groupby(by_size, key=lambda s: s.n_parameters)]


def _smallest_shown(
    smaller: Sequence[Sequence[CellSummary]],
    fit: Sequence[CellSummary],
    best: CellSummary,
    margin: float,
) -> CellSummary:
    """The last network, from the largest down, that is shown to come within the margin."""
    rivals = _may_be_best(fit, best)
    found = best
    for network in reversed(smaller):
        shown = [s for s in network if _within(s, rivals, margin, (1 - LEVEL) / 2 / len(network))]
        if not shown:
            break
        found = max(shown, key=score)
    return found


def _may_be_best(fit: Sequence[CellSummary], best: CellSummary) -> list[CellSummary]:
    """The cells that are not shown to be worse than the best one, at half the level."""
    others = [s for s in fit if s is not best]
    bound = (1 - LEVEL) / max(len(others), 1)
    among = Comparison(fit)
    lags = [_oriented(lag, best).p_above(0.0) for lag in among.lags(best, others)]
    return [best, *(s for s, p in zip(others, lags, strict=True) if not p <= bound)]


def _within(cell: CellSummary, rivals: Sequence[CellSummary], margin: float, level: float) -> bool:
    """Whether a cell learns, and is shown to be worse than each rival by less than a margin."""
    if cell.n_learns < cell.share.n and share_p_value(cell.n_learns, cell.share.n, 0.5) > level:
        return False
    among = Comparison(rivals if any(s is cell for s in rivals) else [cell, *rivals])
    lacks = [_oriented(among.difference(cell, s), cell) for s in rivals if s is not cell]
    return all(lack.p_above(-margin) <= 2 * level for lack in lacks)


def _oriented(found: Difference, cell: CellSummary) -> Difference:
    """A difference, signed so that more is better."""
    return found if cell.meaning.is_higher_better else -found


def _saved(cost: float, of: float) -> float:
    """The share that is saved; NaN where there is nothing to save, as in a model of no products."""
    return 1 - cost / of if of else math.nan


def _signed_difference(a: CellSummary, b: CellSummary) -> Interval:
    """Paired difference a - b, negative where ``a`` is worse."""
    return t_interval(a.meaning.sign * d for d in paired(a, b).differences)


def _equivalent_note(cell: CellSummary, within: CellSummary, by_interval: bool) -> str:
    if not by_interval:
        return "fewer than two replicates: judged by the means alone"
    if cell.cell != within.cell:
        return f"by the means alone {within.cell} would do; more replicates may settle it"
    return ""


MARGIN = 0.005  # "within 0.5 points of the best"


def smallest_network(land: Landscape, metric: str) -> SmallestEquivalent | None:
    """The smallest network within ``MARGIN`` of the best; None for a metric that is no fraction."""
    is_fraction = land.meaning(metric).is_fraction
    return smallest_equivalent(land, MARGIN, metric) if is_fraction else None
