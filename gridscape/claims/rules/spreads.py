"""Rules on how much the metric varies."""

from dataclasses import replace

import numpy as np

from gridscape.analysis.cells import CellSummary
from gridscape.analysis.spreads import mean_variances
from gridscape.claims.checks import above
from gridscape.claims.evidence import Evidence
from gridscape.claims.rules.registry import MAIN, Finding, rule
from gridscape.grid.trials import Status


@rule
def spread_larger(evidence: Evidence, axis: str, than: str, metric: str = MAIN) -> Finding:
    """The metric varies more over ``axis`` with all else fixed than over ``than``.

    Compared are the variances of the cells' means along the one and along the other, each within a
    row of cells that share their values of all other axes, averaged over these rows. A run that
    diverged counts as guessing; by a metric of which that is not known, its cell is left out, and
    the claim cannot hold.
    """
    cells, lacking = evidence.settled_in({}, metric)
    chance = evidence.chance(metric)
    if chance is not None:
        cells = [_with_guessing(s, chance) for s in cells]
    elif lost := [s.cell for s in cells if s.n_diverged]:
        cells = [s for s in cells if not s.n_diverged]
        evidence.exclude(lost, "a run of it diverged")
        of_lost = f"a number of {len(lost)} cells of which a run diverged"
        lacking = "; ".join(filter(None, (lacking, of_lost)))
    found = mean_variances(cells, axis, than)
    if found is None:
        return Finding([], {}, lacks=f"two values of both {axis} and {than}")
    evidence.use(cells)
    unit = f"{evidence.meaning(metric).unit} squared".strip()
    name = f"variance over {axis} minus variance over {than}"
    check = above(name, unit, found.difference, 0.0)
    numbers = {
        f"spread over {axis}": max(found.first, 0.0) ** 0.5,
        f"spread over {than}": max(found.second, 0.0) ** 0.5,
    }
    return Finding([replace(check, cells=tuple(s.cell for s in cells))], numbers, lacks=lacking)


def _with_guessing(summary: CellSummary, chance: float) -> CellSummary:
    """A cell with what guessing gives in place of the runs that diverged."""
    diverged = np.array(summary.statuses) == Status.DIVERGED.value
    return replace(summary, values=tuple(np.where(diverged, chance, summary.values).tolist()))
