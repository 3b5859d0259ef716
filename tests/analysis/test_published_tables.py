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
        [[0.51, 0.52, 0.53]] * 4,
        status=lambda c, r: {
            1e-3: Status.FINISHED if r == 0 else Status.DIVERGED,
            1e-2: Status.MISSING,
        }.get(c["learning_rate"], Status.FINISHED),
    )
    edge = 0.52 + stats.t.ppf(0.975, 2) * 0.01 * math.sqrt(4 / 3)
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
    differences = [edge - 0.52, edge - 0.52, 0.5 - 0.51]
    assert found.mean_difference == pytest.approx(np.mean(differences), abs=1e-5)
    assert found.rmse == pytest.approx(np.sqrt(np.mean(np.square(differences))), abs=1e-5)


@pytest.mark.parametrize(
    ("ours", "published", "agreement"),
    [
        ([0.51, 0.52, 0.53], 0.52, Agreement.INSIDE),  # +- 5.0 points
        ([0.50, 0.52, 0.54], 0.52, Agreement.UNKNOWN),  # +- 9.9 points: too wide to say anything
        ([0.50, 0.52, 0.54], 0.1, Agreement.OUTSIDE),  # but far enough away
        ([0.51, 0.51], 0.51, Agreement.UNKNOWN),  # two replicates judge nothing
        ([0.51, 0.51], 0.9, Agreement.UNKNOWN),
        ([0.95, 0.98, 1.0], 0.99, Agreement.UNKNOWN),
    ],
)
def test_inside_is_said_only_of_an_interval_that_says_something(ours, published, agreement):
    land = fixed({"learning_rate": [0.1]}, [ours])
    (found,) = compare_published(land, table({Cell.of(learning_rate=0.1): published})).cells
    assert found.agreement is agreement
    assert not found.prediction_high > 1


@pytest.mark.parametrize(("noise", "agreement"), [(0.001, "inside"), (0.2, "unknown")])
def test_the_interval_of_a_loss_is_measured_against_the_loss(noise, agreement):
    land = landscape({"learning_rate": [0.1]}, lambda c: 0.1, noise=0.1 * noise, replicates=5)
    values = {Cell.of(learning_rate=0.1): float(land.data["test_loss"].mean())}
    (found,) = compare_published(land, table(values, "test_loss")).cells
    assert found.agreement == agreement


def test_what_was_not_trained_that_far_or_failed_says_so():
    def diverges(cell, replicate):
        return Status.DIVERGED if cell["learning_rate"] == 0.1 else Status.FINISHED

    land = landscape({"learning_rate": [1e-3, 0.1]}, lambda c: 0.5, status=diverges, noise=1e-4)
    place = {(1e-3, 300): "inside", (1e-3, 600): "not trained that far", (0.1, 600): "ours failed"}
    values = {
        Cell.of(learning_rate=rate, update=update): 0.4 for rate, update in (*place, (1.0, 300))
    }
    found = compare_published(land, table(values)).cells
    assert [cell.agreement for cell in found] == [*place.values(), "not run"]
    notes = [
        "",
        "not trained that far: 400 of 600 updates",
        "",
        "not asked for, or not trained yet",
    ]
    assert [cell.note for cell in found] == notes


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
