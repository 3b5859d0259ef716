"""What a landscape says: pure functions of a ``Landscape`` that return frozen records.

No pictures, no files. The rules that hold everywhere:

- Means and intervals are over the replicates of a cell that *learn* (over the finished ones where
  none does); how many learn is a number of its own, with an exact interval.
- Intervals are Student t over replicates, of fractions as ``fractions`` says. One replicate has no
  interval: its ends are NaN.
- Replicates share their random numbers between cells, so differences of cells are *paired*.
- A cell of which half or more of the ended replicates do not learn is no candidate for best.
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
from gridscape.analysis.looks import Looks
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
    holm,
    mean,
    prediction_interval,
    t_interval,
    t_test,
)

__all__ = [
    "LEVEL",
    "Agreement",
    "BestPerRow",
    "Boundary",
    "BudgetFit",
    "CellState",
    "CellSummary",
    "CurveBand",
    "Interval",
    "Looks",
    "PairedDifference",
    "Pareto",
    "ParetoPoint",
    "PublishedCell",
    "PublishedComparison",
    "PublishedTable",
    "SmallestEquivalent",
    "Spread",
    "along",
    "best_per",
    "boundary",
    "compare_published",
    "curve_band",
    "ended_values",
    "fit_budget",
    "holm",
    "interpolate",
    "mean",
    "paired_difference",
    "pareto",
    "prediction_interval",
    "smallest_equivalent",
    "spread",
    "summarize",
    "t_interval",
    "t_test",
]
