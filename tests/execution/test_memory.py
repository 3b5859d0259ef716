"""Memory told from shapes: arrays that are alive at once, held against compiled programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import compilations, perceptron, planner_of, tiny

from gridscape.engine.cohorts import partition
from gridscape.engine.flops import traced_update
from gridscape.engine.sizes import tree_bytes
from gridscape.execution.estimate import largest_needs, needs_of, peak_bytes
from gridscape.execution.executors import Room
from gridscape.execution.memory import UNLIMITED
from gridscape.execution.planner import Planner
from gridscape.study.flops import traced

SQUARE = jax.ShapeDtypeStruct((8, 8), jnp.float32)
ONE = 4 * 8 * 8  # bytes of a square


ALIVE = {
    "the result": (lambda a: a @ a, 1),
    "what is read once more stays": (lambda a: jnp.tanh(b := a @ a) @ a + b, 3),
    "what is not read again goes": (lambda a: a @ a @ a @ a @ a, 2),
    "what is not needed was never there": (lambda a: (a @ a, a @ a @ a)[0], 1),
    "numbers in place of an array": (lambda a: a @ jnp.ones((8, 8)), 1),
    "inside jit, beside its result": (lambda a: jax.jit(lambda x: jnp.sin(x @ x))(a), 3),
}


@pytest.mark.parametrize(("function", "squares"), ALIVE.values(), ids=ALIVE)
def test_arrays_that_are_alive_at_once(function, squares):
    assert peak_bytes(traced(function, SQUARE)) == squares * ONE


def estimate(planner, free_bytes=UNLIMITED):
    cohorts = partition(planner.resolved, planner.resolved.trials())
    updates = [(cohort, traced_update(cohort.recipe, cohort.task)) for cohort in cohorts]
    needs = largest_needs(planner.resolved.study, updates)
    n_devices = len(planner.machine.devices)
    return needs.bytes_on(Room(n_devices, free_bytes, n_copies=n_devices))


STUDIES = {
    "lstm": tiny({"hidden_size": [8, 32], "learning_rate": [0.01, 0.1]}),
    "perceptron": tiny({"learning_rate": [0.1]}, task="digits-flat", model="mlp", replicates=9),
    "momentum": tiny(
        {"momentum": [0.1, 0.9], "learning_rate": list(np.geomspace(0.001, 0.1, 16))},
        task="digits-flat",
        model=perceptron(64, 300, 10),
        optimizer="momentum",
    ),
    "more than run at once": tiny(
        {"learning_rate": list(np.geomspace(0.001, 0.1, 45))}, task="digits-flat", model="mlp"
    ),
    "drawn": tiny(
        {"hidden_size": [5, 10]}, task="recall", model="lstm", model_options={"returns": "every"}
    ),
}


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_it_is_about_what_the_compiled_programs_take(study):
    """Work space is what may differ: from half to twice, of which data and states are exact."""
    planner = planner_of(study)
    with compilations() as programs:
        found = estimate(planner)
    assert programs == []
    cohorts = partition(planner.resolved, planner.resolved.trials())
    taken = max(map(planner.memory_bytes, cohorts))
    assert 0.5 * taken < found < 2 * taken


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_data_and_slots_are_those_of_the_programs(study):
    planner = planner_of(study)
    cohorts = partition(planner.resolved, planner.resolved.trials())
    assert cohorts
    for cohort in cohorts:
        program = planner.program(cohort)
        needs = needs_of(study, cohort, 0, len(planner.machine.devices))
        assert needs.data == tree_bytes(program.data.arrays)
        assert needs.slots == program.slots
        assert needs.slot >= 2 * tree_bytes(program.one_state)


def test_a_study_too_large_is_told_by_the_run_that_fits():
    planner = planner_of(STUDIES["momentum"])
    (cohort,) = partition(planner.resolved, planner.resolved.trials())
    data = len(planner.machine.devices) * tree_bytes(planner.data(cohort.task).arrays)
    limit = data + 0.4 * (estimate(planner) - data)
    found = estimate(planner, limit - data)
    assert found <= limit
    runs = Planner(planner.resolved, planner.machine, int(limit)).cut(cohort)
    assert len(runs) > 1
    assert 0.5 < found / planner.memory_bytes(runs[0]) < 2
