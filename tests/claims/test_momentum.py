"""Rules on the steps of gradient descent with momentum."""

import numpy as np
import pytest
from synthetic import landscape
from verdicts import FAILS, HOLDS, MOMENTA, UNDECIDED, verdict

from gridscape import optimizers
from gridscape.claims.rules import momentum
from gridscape.errors import UnknownNameError
from gridscape.grid.axes import Axis

EXACT = {
    "sums_gradients": {"n_steps": 300, "tolerance": 1e-5},
    "step_limit": {"signs": "equal", "n_steps": 1500, "tolerance": 1e-3},
}


@pytest.mark.parametrize("rule", EXACT)
def test_momentum_does_what_is_stated(rule):
    found = verdict(rule, landscape(MOMENTA, lambda c: 0.9), EXACT[rule])
    assert found.outcome is HOLDS, found
    assert len(found.estimates) == 5


@pytest.mark.parametrize("rule", EXACT)
def test_another_optimizer_does_not(rule, monkeypatch):
    wrong = optimizers.nesterov() if rule == "sums_gradients" else optimizers.sgd()
    monkeypatch.setattr(optimizers, "momentum", lambda: wrong)
    found = verdict(rule, landscape(MOMENTA, lambda c: 0.9), EXACT[rule])
    assert found.outcome is FAILS, found


def test_alternating_signs():
    land = landscape(MOMENTA, lambda c: 0.9)
    parameters = EXACT["step_limit"] | {"signs": "alternating"}
    found = verdict("step_limit", land, parameters)
    assert found.outcome is HOLDS
    sizes = [e.interval.mean for e in found.estimates]
    assert sizes == pytest.approx([1, 1 / 1.5, 1 / 1.9], rel=1e-3)
    with pytest.raises(UnknownNameError, match="did you mean 'equal'"):
        verdict("step_limit", land, parameters | {"signs": "equals"})


@pytest.mark.parametrize(
    ("values", "signs"), [([0.0], "equal"), ([0.5, 0.9], "equal"), ([0.0], "alternating")]
)
def test_without_the_momenta_that_are_spoken_of_it_is_undecided(values, signs):
    land = landscape({"momentum": values}, lambda c: 0.9)
    found = verdict("step_limit", land, EXACT["step_limit"] | {"signs": signs})
    assert found.outcome is UNDECIDED
    assert "the landscape lacks a momentum between 0 and 1" in found.note


def test_without_an_axis_of_momentum_it_is_undecided():
    land = landscape({"learning_rate": [0.1]}, lambda c: 0.9)
    axes = (Axis("momentum", (0.0, 0.5)),)
    found = verdict("sums_gradients", land, EXACT["sums_gradients"], axes=axes)
    assert found.outcome is UNDECIDED
    assert "no axis momentum" in found.note


def test_steps_of_the_optimizer():
    taken = momentum.steps(0.5, np.array([1.0, 0.0, 2.0]))
    assert taken == pytest.approx([-0.1, -0.05, -0.225])
