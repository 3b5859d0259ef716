"""What a landscape says: pure functions of a ``Landscape`` that return frozen records.

No pictures, no files. The rules that hold everywhere:

- A cell has two numbers: the share of its runs that *learn*, with its exact interval, and the mean
  of those, with a t interval. Runs that fail are counted; they are no part of the mean.
- Of fractions the scatter is at least that of the examples, and intervals near 0 and 1 hold there.
- One replicate has no interval: its ends are NaN.
- Replicates share their random numbers between cells, so differences of cells are *paired*. Cells
  that scatter alike and where no run fails share one spread.
- What is not shown is not said: a value that could not be tested may be best.
- A cell of which no more than half of the ended replicates learn is no candidate for best.

What each means, with sources: docs/statistics.md.
"""

from gridscape.analysis.best import BestPerRow, best_per
from gridscape.analysis.boundaries import Boundary, boundary
from gridscape.analysis.budgets import BudgetFit, fit_budget
from gridscape.analysis.cells import (
    CellState,
    CellSummary,
    PairedDifference,
    ended_values,
    paired_difference,
    summarize,
)
from gridscape.analysis.costs import (
    Pareto,
    ParetoPoint,
    SmallestEquivalent,
    pareto,
    smallest_equivalent,
)
from gridscape.analysis.curves import CurveBand, curve_band, interpolate
from gridscape.analysis.differences import Comparison, Difference, against, welch
from gridscape.analysis.looks import Level, Looks
from gridscape.analysis.published import (
    Agreement,
    PublishedCell,
    PublishedComparison,
    PublishedTable,
    compare_published,
)
from gridscape.analysis.readings import along
from gridscape.analysis.spreads import Spread, spread
from gridscape.analysis.statistics import (
    LEVEL,
    Interval,
    hochberg,
    holm,
    mean,
    prediction_interval,
    share_interval,
    share_p_value,
    t_interval,
    t_test,
)
from gridscape.analysis.winner import Winner, winner

__all__ = [
    "LEVEL",
    "Agreement",
    "BestPerRow",
    "Boundary",
    "BudgetFit",
    "CellState",
    "CellSummary",
    "Comparison",
    "CurveBand",
    "Difference",
    "Interval",
    "Level",
    "Looks",
    "PairedDifference",
    "Pareto",
    "ParetoPoint",
    "PublishedCell",
    "PublishedComparison",
    "PublishedTable",
    "SmallestEquivalent",
    "Spread",
    "Winner",
    "against",
    "along",
    "best_per",
    "boundary",
    "compare_published",
    "curve_band",
    "ended_values",
    "fit_budget",
    "hochberg",
    "holm",
    "interpolate",
    "mean",
    "paired_difference",
    "pareto",
    "prediction_interval",
    "share_interval",
    "share_p_value",
    "smallest_equivalent",
    "spread",
    "summarize",
    "t_interval",
    "t_test",
    "welch",
    "winner",
]
