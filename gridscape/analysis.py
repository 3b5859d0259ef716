"""What a landscape says: pure functions of a ``Landscape`` that return frozen records.

No pictures, no files. The rules that hold everywhere:

- Means and intervals are over the *finished* replicates of a cell; diverged, failed and missing
  ones are left out and counted. A collapsed replicate finished: it is part of the mean.
- Intervals are Student t over replicates. One replicate has no interval: its ends are NaN.
- Replicates share their random numbers between cells, so differences of cells are *paired*.
- A cell of which at least half of the ended replicates diverged or failed is no candidate for best.
"""

from dataclasses import dataclass
from enum import StrEnum

from gridscape.grid import Cell, Value


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval: Student t over ``n`` replicates unless its owner says else.

    ``low`` and ``high`` are NaN where fewer than two replicates exist, never equal to ``mean``.
    """

    mean: float
    low: float
    high: float
    n: int
    level: float = 0.95

    @property
    def known(self) -> bool:
        """Whether there are replicates enough for an interval."""
        return self.low == self.low and self.high == self.high

    def excludes(self, value: float) -> bool:
        """Whether the interval is known and does not hold ``value``."""
        return self.known and not self.low <= value <= self.high


class CellState(StrEnum):
    """What most of a cell's replicates did; a figure marks a cell by it.

    MISSING: none ended. FAILED: at least half of the ended ones failed or ran out of memory.
    DIVERGED: at least half of the ended ones diverged (or diverged and failed together).
    COLLAPSED: at least half of the finished ones answer one class. FINISHED: all else.
    """

    FINISHED = "finished"
    COLLAPSED = "collapsed"
    DIVERGED = "diverged"
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True)
class CellSummary:
    """One cell over its replicates.

    values, statuses, keys, first_bad_updates: one entry per replicate, in the landscape's order;
        values are NaN where the replicate did not finish, first_bad_updates None where it did not
        diverge, keys "" and statuses "missing" where it was not trained.
    n_failed counts failed and out_of_memory; n_collapsed is a part of n_finished.
    seconds, flops, memory_bytes: means over the finished replicates (over the ended ones where
        none finished); NaN where none ended. n_parameters: NaN likewise.
    """

    cell: Cell
    metric: str
    estimate: Interval
    values: tuple[float, ...]
    statuses: tuple[str, ...]
    keys: tuple[str, ...]
    first_bad_updates: tuple[int | None, ...]
    n_finished: int
    n_diverged: int
    n_collapsed: int
    n_failed: int
    n_missing: int
    n_parameters: float
    flops: float
    seconds: float
    memory_bytes: float

    @property
    def n_ended(self) -> int:
        """Replicates that ended in any way."""
        return self.n_finished + self.n_diverged + self.n_failed

    @property
    def is_candidate(self) -> bool:
        """Whether the cell may be called best: more than half of the ended replicates finished."""
        return 2 * self.n_finished > self.n_ended

    @property
    def state(self) -> CellState:
        """What most of the replicates did."""
        if not self.n_ended:
            return CellState.MISSING
        if not self.is_candidate:
            failed_most = self.n_failed > self.n_diverged
            return CellState.FAILED if failed_most else CellState.DIVERGED
        return (
            CellState.COLLAPSED if 2 * self.n_collapsed >= self.n_finished else CellState.FINISHED
        )


@dataclass(frozen=True)
class PairedDifference:
    """Metric of ``a`` minus metric of ``b`` over the replicates that finished in both.

    p_value: two-sided paired t test of "no difference"; NaN with fewer than two replicates.
    """

    a: Cell
    b: Cell
    metric: str
    estimate: Interval
    differences: tuple[float, ...]
    replicates: tuple[int, ...]
    p_value: float


@dataclass(frozen=True)
class BestPerRow:
    """The best value of ``axis`` within one row of the grid.

    row: the values of the axes that name the row. best: the best cell of it, None where the row
        has no candidate; ``value`` is its value of the axis.
    equivalent: the values of the axis that cannot be told from the best one, in the axis' order,
        the best included: the interval of the best value. Empty where it is unknown.
    untested: values with a candidate that shares fewer than two replicates with the best.
    low, high: the ends of ``equivalent`` (None where unknown or where the axis is no number).
    excluded: cells of the row that are no candidates.
    note: in words, what is unknown and why; "" where nothing is.
    """

    axis: str
    row: Cell
    metric: str
    best: CellSummary | None
    value: Value | None
    equivalent: tuple[Value, ...]
    low: float | None
    high: float | None
    untested: tuple[Value, ...]
    excluded: tuple[Cell, ...]
    note: str

    @property
    def known(self) -> bool:
        """Whether the replicates allow an interval on the best value."""
        return bool(self.equivalent)


@dataclass(frozen=True)
class Boundary:
    """The largest value of ``axis`` at which one row of the grid still learns.

    A trial learns when it finished, is not collapsed, and its metric reaches ``threshold``.
    learns: per replicate in use, the largest value at which it learns (None: at no value).
    fails: per replicate in use, the next larger value (None: it learns up to the axis' end).
    estimate: the boundary lies somewhere between the two; its mean (geometric where ``scale`` is
        "log") takes the middle, its ends are the t interval's lower end of ``learns`` and upper end
        of ``fails``. An end beyond the grid is infinite (0 below a log axis) and its mean is NaN.
    replicates: those in use; others lack a trial that would decide.
    """

    axis: str
    row: Cell
    metric: str
    threshold: float
    scale: str
    estimate: Interval
    learns: tuple[float | None, ...]
    fails: tuple[float | None, ...]
    replicates: tuple[int, ...]
    note: str


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
    points: tuple[ParetoPoint, ...]
    excluded: tuple[Cell, ...]

    @property
    def front(self) -> tuple[ParetoPoint, ...]:
        """The points that no other beats, by rising cost."""
        return tuple(point for point in self.points if point.on_front)


@dataclass(frozen=True)
class SmallestEquivalent:
    """The smallest network that is not worse than the best cell by ``margin`` or more.

    cell: the best cell of the network with the fewest parameters for which this is shown: by the
        interval of the paired difference where ``by_interval``, else (replicates do not allow an
        interval) by the means.
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


@dataclass(frozen=True)
class Spread:
    """How much the metric varies over ``axis`` in one row, the other axes fixed.

    range: largest minus smallest value; standard_deviation: over the values of the axis (it does
    not grow with their number). Each is formed within a replicate, the interval is over
    replicates. used, excluded: cells; a cell enters where it finished in every replicate in use.
    """

    axis: str
    row: Cell
    metric: str
    range: Interval
    standard_deviation: Interval
    used: tuple[Cell, ...]
    excluded: tuple[Cell, ...]


@dataclass(frozen=True)
class CurveBand:
    """One curve of a cell over its finished replicates: all tuples run along ``updates``.

    updates: updates done, from 1. low, high: t interval over the replicates that have a value
    there, NaN with fewer than two; n: their number. per_replicate: (R, len(updates)) values.
    """

    cell: Cell
    curve: str
    updates: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: tuple[int, ...]
    per_replicate: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class PublishedTable:
    """A published sweep, one run per cell. ``values`` holds NaN where nothing was published."""

    name: str
    source: str
    metric: str
    values: tuple[tuple[Cell, float], ...]


class Agreement(StrEnum):
    """How a published number lies to ours."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"  # fewer than two finished replicates: no prediction interval
    NOT_RUN = "not run"
    NOT_PUBLISHED = "not published"


@dataclass(frozen=True)
class PublishedCell:
    """A published number beside ours.

    ours: our mean and its interval. difference: published minus our mean.
    prediction_low, prediction_high: where ONE new run would lie with probability ``ours.level``,
        mean -+ t sd sqrt(1 + 1/n): the interval to judge one published run by, not the mean's.
    """

    cell: Cell
    published: float
    ours: Interval
    prediction_low: float
    prediction_high: float
    difference: float
    agreement: Agreement


@dataclass(frozen=True)
class PublishedComparison:
    """A published table beside ours, cell by cell, in the table's order.

    mean_difference: published minus ours; rmse: root mean square of it; both over the cells that
    both have, NaN where there are none.
    """

    table: PublishedTable
    cells: tuple[PublishedCell, ...]
    mean_difference: float
    rmse: float

    def count(self, agreement: Agreement) -> int:
        """The number of cells with this agreement."""
        return sum(cell.agreement is agreement for cell in self.cells)
