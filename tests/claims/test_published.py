"""Published tables as data, and results read along curves and by kind of test example."""

import csv
import math

import numpy as np
import pytest
import xarray as xr
from synthetic import landscape

from gridscape.analysis.cells import summarize
from gridscape.analysis.published import Agreement, PublishedTable, compare_published
from gridscape.analysis.readings import along
from gridscape.claims.tables import FOLDER, published
from gridscape.errors import UnknownNameError, UsageError
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape

AXES = {"position": [1, 2], "hidden_size": [2, 5]}


def rising(cell, final, updates):
    return final * updates / 400


def by_length(land):
    """The landscape, with the test metrics by length: 0.1 lower with each further item."""
    steps = xr.DataArray([0.0, 0.1, 0.2], {"length": [3, 4, 5]}, ["length"])
    return Landscape(
        land.data.assign(test_accuracy_by_length=land.data["test_accuracy"] - steps), land.study
    )


# ---- readings ------------------------------------------------------------------------------------


def test_curves_are_read_between_their_points():
    land = landscape(AXES, lambda c: 0.8, curve=rising, evaluated_at=(100, 200, 400), noise=0.0)
    found = along(land, {"update": [100, 300, 400]})
    assert [axis.name for axis in found.axes] == ["position", "hidden_size", "update"]
    assert found.data.test_accuracy.sel(position=1, hidden_size=5, replicate=0).values == (
        pytest.approx([0.2, 0.6, 0.8])
    )
    assert found.values("train_loss").shape == (2, 2, 3, 3)
    assert len(summarize(found, "test_accuracy")) == 12
    assert found.counts()["finished"] == 36
    outside = along(land, {"update": [50, 500]})
    assert np.isnan(outside.values().values).all()


def test_an_axis_that_is_a_fact_as_well_is_read_along_the_others():
    axes = {"updates": [200, 400], **AXES}
    land = landscape(axes, lambda c: 0.8, curve=rising, evaluated_at=(100, 200), noise=0.0)
    found = along(land, {"update": [150]})
    assert [axis.name for axis in found.axes] == ["updates", "position", "hidden_size", "update"]
    assert found.data.test_accuracy.shape == (2, 2, 2, 1, 3)
    assert found.data.updates.values.tolist() == [200, 400]


def test_a_trial_that_did_not_finish_has_no_readings_that_count():
    def status(cell, replicate):
        return Status.DIVERGED if replicate == 0 else Status.FINISHED

    land = landscape(AXES, lambda c: 0.8, status=status, evaluated_at=(100, 200, 300, 400))
    values = along(land, {"update": [100, 400]}).values()
    assert np.isnan(values.sel(replicate=0)).all()
    assert np.isfinite(values.sel(replicate=1)).all()


def test_kinds_of_test_examples_are_read():
    land = by_length(landscape(AXES, lambda c: 0.8, noise=0.0))
    found = along(land, {"length": [4, 3, 9]})
    assert found.metrics == ("test_accuracy", "test_loss")
    values = found.values().sel(position=1, hidden_size=2, replicate=0)
    assert values.values == pytest.approx([0.7, 0.8, math.nan], nan_ok=True)
    assert np.isnan(found.values("test_loss")).all()  # not told apart


def test_a_fact_that_was_written_without_a_dimension_is_the_same_all_along_it():
    land = landscape(AXES, lambda c: 0.8, curve=rising, evaluated_at=(100, 200))
    land.data["flops"] = land.data["flops"].isel(replicate=0, drop=True) * 0 + 5
    found = along(land, {"update": [150]})
    assert found.data.flops.shape == found.data.status.shape
    assert (found.data.flops == 5).all()


def test_an_axis_that_is_there_already_stays():
    land = landscape(AXES, lambda c: 0.8)
    assert along(land, {"position": [1]}) is land
    with pytest.raises(UnknownNameError, match="unknown axis 'lengths'; did you mean 'length'"):
        along(by_length(land), {"lengths": [3]})


# ---- comparisons ---------------------------------------------------------------------------------


def table(values, metric="test_accuracy", **at):
    return PublishedTable("table", "a report", metric, tuple(values.items()), Cell.of(**at))


def test_a_table_of_curves_is_compared_where_it_was_read():
    land = landscape(
        AXES, lambda c: 0.8, curve=rising, evaluated_at=(100, 200, 400), replicates=5, noise=0.01
    )
    numbers = {
        Cell.of(hidden_size=2, update=300): 0.6,
        Cell.of(hidden_size=5, update=300): 0.8,
        Cell.of(hidden_size=2, update=500): 0.8,
        Cell.of(hidden_size=9, update=300): 0.6,
    }
    found = compare_published(land, table(numbers, position=2))
    assert [cell.agreement for cell in found.cells] == [
        Agreement.INSIDE,
        Agreement.OUTSIDE,
        Agreement.NOT_REACHED,
        Agreement.NOT_RUN,
    ]
    assert found.cells[0].ours.mean == pytest.approx(0.6, abs=0.01)
    with pytest.raises(UsageError, match="axis position"):
        compare_published(land, table(numbers))


def test_a_table_by_length_is_compared_length_by_length():
    land = by_length(landscape(AXES, lambda c: 0.8, replicates=5, noise=0.001))
    numbers = {Cell.of(hidden_size=2, length=n): 0.8 for n in (3, 4)}
    found = compare_published(land, table(numbers, position=1))
    assert [cell.agreement for cell in found.cells] == [Agreement.INSIDE, Agreement.OUTSIDE]


# ---- the files -----------------------------------------------------------------------------------

TABLES = {
    "recurrent_mnist_report3": (63, {"cell": "gru", "layers": "64-64", "update": 800}, 0.94),
    "recurrent_mnist_report3_loss": (9, {"cell": "rnn", "layers": "128", "update": 900}, 2.16),
    "recall_report3": (42, {"hidden_size": 5, "update": 1000}, 1.0),
    "recall_report3_loss": (42, {"hidden_size": 10, "update": 100}, 1.8),
    "binary_addition_report3": (56, {"loss": "mse", "train_length": 3, "length": 20}, 0.29),
    "cell_types_report4": (9, {"cell": "gru", "hidden_size": 128}, 0.9411),
    "lenet_optimizers_report4": (9, {"optimizer": "sgd", "learning_rate": 1e-3}, 0.264),
}


@pytest.mark.parametrize("name", TABLES)
def test_published_tables(name):
    n_numbers, place, number = TABLES[name]
    found = published(name)
    assert len(found.values) == n_numbers
    assert dict(found.values)[Cell.of(**place)] == number
    assert found.metric.startswith("test_")
    for cell, _ in found.values:
        assert set(cell) == set(place)
        assert list(cell)[-1] in ("update", "length", "layers", "cell", "learning_rate")


def test_every_published_number_is_in_a_table():
    """A head that is written wrong in tables.toml would leave its row or column out."""
    in_files = sum(map(numbers_of, FOLDER.glob("*.csv")))
    first = ("width_lr_report1", "width_lr_report2")
    in_tables = sum(len(published(name).values) for name in (*first, *TABLES))
    assert in_tables == in_files


def numbers_of(path):
    with path.open(newline="") as file:
        return sum(len(row) - 1 for row in list(csv.reader(file))[1:])
