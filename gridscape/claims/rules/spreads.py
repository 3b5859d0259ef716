"""Rules on how much the metric varies."""

from dataclasses import replace

from gridscape.analysis.spreads import mean_variances
from gridscape.claims.checks import above
from gridscape.claims.evidence import Evidence
from gridscape.claims.rules.registry import MAIN, Finding, rule


@rule
def spread_larger(evidence: Evidence, axis: str, than: str, metric: str = MAIN) -> Finding:
    """The metric varies more over ``axis`` with all else fixed than over ``than``.

    Compared are the variances of the cells' means along the one and along the other, each within a
    row of cells that share their values of all other axes, averaged over these rows. Runs that fail
    count as they are; a cell of which a run diverged has no number, and its rows are left out.
    """
    cells, lacking = evidence.settled_in({}, metric)
    whole = [s for s in cells if not s.n_diverged]
    evidence.exclude([s.cell for s in cells if s.n_diverged], "a run of it diverged")
    found = mean_variances(whole, axis, than)
    if found is None:
        return Finding([], {}, lacks=f"two values of both {axis} and {than}")
    evidence.use(whole)
    unit = f"{evidence.meaning(metric).unit} squared".strip()
    name = f"variance over {axis} minus variance over {than}"
    check = above(name, unit, found.difference, 0.0)
    numbers = {
        f"spread over {axis}": max(found.first, 0.0) ** 0.5,
        f"spread over {than}": max(found.second, 0.0) ** 0.5,
    }
    return Finding([replace(check, cells=tuple(s.cell for s in whole))], numbers, lacks=lacking)
