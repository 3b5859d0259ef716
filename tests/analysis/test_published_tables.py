"""Published tables beside our cells, and the budget that explains one."""

import math

import numpy as np
import pytest
from landscapes import ONE_AXIS, THREE_AXES, fixed
from scipy import stats
from synthetic import landscape

from gridscape.analysis.budgets import fit_budget
from gridscape.analysis.published import Agreement, PublishedTable, compare_published
from gridscape.errors import UnknownNameError, UsageError
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status


def table(values, metric="test_accuracy"):
    return PublishedTable("table", "a report", metric, tuple(values.items()))


def test_published_cells_inside_outside_and_unknown():
    land = fixed(
        {"learning_rate": [1e-4, 1e-3, 1e-2, 1e-1]},
        [[0.5, 0.52, 0.54]] * 4,
        status=lambda c, r: {
            1e-3: Status.FINISHED if r == 0 else Status.DIVERGED,
            1e-2: Status.MISSING,
        }.get(c["learning_rate"], Status.FINISHED),
    )
    edge = 0.52 + stats.t.ppf(0.975, 2) * 0.02 * math.sqrt(4 / 3)
    values = {
        Cell.of(learning_rate=1e-4): edge - 1e-6,
        Cell.of(learning_rate=0.1): edge + 1e-6,
        Cell.of(learning_rate=1e-3): 0.5,
        Cell.of(learning_rate=1e-2): 0.5,
        Cell.of(learning_rate=1.0): 0.5,
        Cell.of(learning_rate=2.0): math.nan,
    }
    found = compare_published(land, table(values))
    assert [cell.agreement for cell in found.cells] == [
        Agreement.INSIDE,
        Agreement.OUTSIDE,
        Agreement.UNKNOWN,
        Agreement.NOT_RUN,
        Agreement.NOT_RUN,
        Agreement.NOT_PUBLISHED,
    ]
    assert found.count(Agreement.NOT_RUN) == 2
    inside = found.cells[0]
    assert inside.prediction_high == pytest.approx(edge)
    assert inside.difference == pytest.approx(edge - 0.52, abs=1e-5)
    differences = [edge - 0.52, edge - 0.52, 0.0]
    assert found.mean_difference == pytest.approx(np.mean(differences), abs=1e-5)
    assert found.rmse == pytest.approx(np.sqrt(np.mean(np.square(differences))), abs=1e-5)


def test_published_table_needs_its_axes_and_no_further_choice():
    land = landscape(THREE_AXES, lambda c: 0.5)
    values = {Cell.of(hidden_size=16, learning_rate=1e-3): 0.5}
    with pytest.raises(UsageError, match="axis cell"):
        compare_published(land, table(values))
    single = landscape(THREE_AXES | {"cell": ["gru"]}, lambda c: 0.5)
    assert compare_published(single, table(values)).cells[0].agreement is Agreement.INSIDE
    with pytest.raises(UnknownNameError, match="unknown axis"):
        compare_published(landscape(ONE_AXIS, lambda c: 0.5), table(values))


def saturating(cell, final, updates):
    """Accuracy that rises with a time constant of 300 updates, still rising at 400."""
    return 0.1 + (final - 0.1) * (1 - np.exp(-updates / 300))


@pytest.mark.parametrize("truth", [120, 260, 400])
def test_fit_budget_finds_the_number_of_updates_that_made_a_table(truth):
    land = landscape(
        evaluated_at=tuple(range(20, 401, 20)), curve=saturating, noise=0.01, replicates=5
    )
    other = landscape(evaluated_at=(truth,), curve=saturating, noise=0.01, replicates=1, seed=7)
    values = {
        cell: float(other.data["curve_test_accuracy"].sel(**cell).item())
        for cell in other.grid.cells()
    }
    fit = fit_budget(land, table(values))
    assert fit.updates.mean == pytest.approx(truth, abs=15)
    assert fit.updates.low <= truth + 1
    assert fit.updates.high >= truth - 1
    assert fit.updates.high - fit.updates.low < 100
    assert fit.budget == 400
    assert fit.rmse < 0.03
    assert fit.rmse <= fit.rmse_at_budget
    assert fit.rmse == min(fit.rmse_curve)
    scatter = 0.01 * (1 - math.exp(-fit.updates.mean / 300))  # of a trial, at that update
    assert fit.rmse_of_one_run == pytest.approx(scatter * math.sqrt(6 / 5), rel=0.4)


def test_fit_budget_of_part_of_the_grid():
    def status(cell, replicate):
        return Status.DIVERGED if cell["learning_rate"] == 1.0 else Status.FINISHED

    land = landscape(status=status, replicates=1)
    values = dict.fromkeys(land.grid.cells(), 0.5) | {
        Cell.of(hidden_size=4096, learning_rate=1e-3): 0.9,
        Cell.of(hidden_size=8192, learning_rate=1e-3): math.nan,
    }
    fit = fit_budget(land, table(values))
    assert len(fit.used) == 20
    assert {cell["hidden_size"] for cell in fit.excluded} == {16, 32, 64, 128, 4096}
    assert not fit.updates.known  # one replicate
    empty = landscape(status=lambda c, r: Status.MISSING)
    assert fit_budget(empty, table(values)) is None
