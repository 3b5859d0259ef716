"""The number of updates that explains a published table."""

import numpy as np
import pytest
from study_1 import CLAIMS, FAILS, HOLDS, UNDECIDED, one, verdict
from synthetic import RATES, landscape

from gridscape.analysis.published import PublishedTable
from gridscape.grid.trials import Status


def table_at(share, noise=0.01):
    """A published table as one run of the curves below, read at a share of the budget."""

    def make(name):
        rng = np.random.default_rng(11)
        land = i_landscape(noise=0.0)
        values = land.values().sel(replicate=0).values.ravel()
        read = [
            float(curve(cell, final, np.array([400 * share]))[0]) + noise * rng.standard_normal()
            for cell, final in zip(land.grid.cells(), values, strict=True)
        ]
        cells = tuple(zip(land.grid.cells(), read, strict=True))
        return PublishedTable(name, "a report", "test_accuracy", cells)

    return make


def curve(cell, final, updates):
    return 0.1 + (final - 0.1) * (1 - np.exp(-updates / 300))


def i_landscape(**options):
    return landscape(curve=curve, evaluated_at=tuple(range(20, 401, 20)), **options)


@pytest.mark.parametrize(
    ("share", "noise", "options", "outcome"),
    [
        (0.5, 0.01, {}, HOLDS),
        (0.95, 0.01, {}, FAILS),
        (0.62, 0.1, {}, UNDECIDED),
        (0.5, 0.01, {"replicates": 1}, UNDECIDED),
        (0.5, 0.01, {"axes": {"hidden_size": [16], "learning_rate": [0.01, 0.1]}}, UNDECIDED),
        (0.5, 0.01, {"status": lambda c, r: Status.MISSING}, UNDECIDED),
    ],
    ids=["half", "all", "noisy", "one replicate", "two cells", "nothing"],
)
def test_budget_fit(monkeypatch, share, noise, options, outcome):
    monkeypatch.setattr("gridscape.claims.rules.curves.published", table_at(share, noise))
    found = verdict("i", i_landscape(**{"replicates": 5, **options}))
    assert found.outcome is outcome, found
    if outcome is not UNDECIDED:
        assert found.estimates[0].interval.mean == pytest.approx(share, abs=0.05)
        assert found.numbers["RMSE at the best number"] < 0.02
    if outcome is HOLDS:
        assert found.numbers["RMSE at the full budget"] > 0.05


def test_budget_fit_uses_the_cells_that_both_have(monkeypatch):
    monkeypatch.setattr("gridscape.claims.rules.curves.published", table_at(0.5))
    axes = {"hidden_size": [32, 64, 999], "learning_rate": list(RATES)}
    found = one(CLAIMS["i"], i_landscape(axes=axes, replicates=3))
    assert {cell["hidden_size"] for cell in found.used} == {32, 64}
    assert {x.cell["hidden_size"] for x in found.excluded} >= {16, 128}
