"""The planner: products counted by formula, memory by XLA's own numbers, cuts that fit."""

import math
import os
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import compilations, perceptron, planner_of, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from gridscape.base.task import Task
from gridscape.engine.cohorts import partition
from gridscape.engine.flops import update_flops
from gridscape.engine.machine import Machine
from gridscape.engine.programs import LONGEST_SEGMENT
from gridscape.engine.sizes import tree_bytes
from gridscape.engine.training import Training
from gridscape.errors import OutOfMemoryError
from gridscape.execution import planner as planning
from gridscape.execution.memory import UNLIMITED, _available_bytes, _group_bytes
from gridscape.execution.planner import MOST_SLOTS, Planner, microbatch_counts
from gridscape.execution.schedule import evaluation_points, n_evaluated_examples, segment_length
from gridscape.study.flops import product_flops
from gridscape.sweep import plan

# ---- floating-point operations: 2 m n k for every product that the result needs ----


def recipe_on_zeros(model, input_shape, batch_size, **values):
    """The one recipe of a study on a task of zeros with 10 classes, and the task."""
    x, y = np.zeros((batch_size, *input_shape), np.float32), np.arange(batch_size) % 10
    task = Task.from_arrays((x, y), (x, y), n_outputs=10)
    axes = {"learning_rate": [0.1]}
    resolved = tiny(axes, task=task, model=model, batch_size=batch_size, **values).resolve()
    return resolved.recipe(resolved.study.grid.cells()[0]), task


def lstm_flops(n_steps, n_features, n_hidden, n_batch, n_outputs=10):
    """Of one update: a step's product forward, its weight gradient, and the way back to h.

    The output layer has a product forward and two back.
    """
    n_inner = n_features + n_hidden
    layer = n_steps * n_batch * 8 * n_hidden * (2 * n_inner + n_hidden)
    return layer + 6 * n_batch * n_hidden * n_outputs


@pytest.mark.parametrize(
    ("shape", "flops"),
    [((28, 28, 16, 100), 37_369_600), ((28, 28, 64, 100), 355_916_800), ((8, 8, 5, 10), None)],
)
def test_an_update_of_an_lstm(shape, flops):
    n_steps, n_features, n_hidden, n_batch = shape
    options = {"model_options": {"hidden_size": n_hidden}}
    recipe, task = recipe_on_zeros("lstm", (n_steps, n_features), n_batch, **options)
    assert update_flops(recipe, task) == lstm_flops(*shape)
    assert flops in (None, lstm_flops(*shape))


@pytest.mark.parametrize("widths", [(6, 10), (6, 5, 10), (6, 5, 4, 10)])
def test_an_update_of_a_perceptron(widths):
    """Each layer has one product forward and two back; nothing is led back to the inputs."""
    recipe, task = recipe_on_zeros(perceptron(*widths), (6,), 7)
    products = [2 * 7 * a * b for a, b in pairwise(widths)]
    assert update_flops(recipe, task) == 3 * sum(products) - products[0]


SQUARE = jax.ShapeDtypeStruct((8, 8), jnp.float32)
ONE = 2 * 8**3  # of one product of two squares


@jax.custom_vjp
def product(a, b):
    return a @ b


# A backward pass of its own: three products, one more than differentiation would find.
product.defvjp(
    lambda a, b: (a @ b, (a, b)), lambda saved, d: (d @ saved[1].T, saved[0].T @ (d @ d))
)

N_PRODUCTS = {
    "batched": (lambda a, b: jax.vmap(jnp.matmul, (None, 0))(a, jnp.stack([b, b, b])), 3),
    "scan": (lambda a, b: lax.scan(lambda c, x: (c @ b, x.sum()), a, jnp.ones((5, 2))), 5),
    "nested scans": (
        lambda a, b: lax.fori_loop(
            0, 3, lambda i, c: lax.fori_loop(0, 4, lambda j, d: d @ b, c), a
        ),
        12,
    ),
    "loop of unknown length": (
        lambda a, b: lax.while_loop(lambda c: c.sum() < 9, lambda c: c @ b, a),
        1,
    ),
    "the dearest branch": (
        lambda a, b: lax.cond(a.sum() > 0, lambda: a @ b, lambda: a @ b @ a @ b),
        3,
    ),
    "inside jit": (lambda a, b: jax.jit(lambda x: x @ b)(a), 1),
    "not needed": (lambda a, b: (a @ b, a + b)[1], 0),
    "custom_vjp": (product, 1),
    "custom_vjp, its gradient": (jax.grad(lambda a, b: product(a, b).sum(), (0, 1)), 3),
    "checkpoint": (jax.grad(jax.checkpoint(lambda a, b: jnp.sin(a @ b).sum())), 2),
}


@pytest.mark.parametrize(("function", "n_products"), N_PRODUCTS.values(), ids=N_PRODUCTS)
def test_products_are_counted_wherever_they_stand(function, n_products):
    assert product_flops(function, SQUARE, SQUARE) == n_products * ONE


@pytest.mark.parametrize("n_groups", [1, 3])
def test_a_convolution_and_both_of_its_gradients(n_groups):
    """A kernel as large as its stride reads every input once: all three are equally dear."""
    inputs = jax.ShapeDtypeStruct((5, 6, 8, 3), jnp.float32)  # B, height, width, channels
    kernel = jax.ShapeDtypeStruct((2, 2, 3 // n_groups, 12), jnp.float32)

    def convolve(inputs, kernel):
        return lax.conv_general_dilated(
            inputs,
            kernel,
            window_strides=(2, 2),
            padding="VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=n_groups,
        )

    forward = 2 * (5 * 3 * 4 * 12) * (2 * 2 * 3 // n_groups)
    assert product_flops(convolve, inputs, kernel) == forward

    def loss(inputs, kernel):
        return (convolve(inputs, kernel) ** 2).sum()

    assert product_flops(jax.grad(loss, argnums=(0, 1)), inputs, kernel) == 3 * forward


# ---- evaluation points ----


@pytest.fixture(scope="module")
def recipe():
    resolved = tiny().resolve()
    return resolved.recipe(resolved.study.grid.cells()[0])


@given(updates=st.integers(1, 3000), evaluations=st.integers(1, 60))
@settings(max_examples=50, deadline=None)
def test_evaluation_points_are_even_and_end_with_the_last_update(recipe, updates, evaluations):
    cut, study = replace(recipe, updates=updates), tiny(evaluations=evaluations)
    points = evaluation_points(cut, study)
    assert len(points) == min(evaluations, updates)
    assert points[-1] == updates
    gaps = np.diff([0, *points])
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1
    task = tiny().resolve().task
    assert segment_length(cut, task, study) == min(gaps.max(), LONGEST_SEGMENT)


def test_examples_evaluated_in_the_course_of_a_trial(recipe):
    data = SimpleNamespace(n_test=250, n_validation=0, n_sample=200)
    asked = tiny(evaluations=3, evaluation_examples=100)
    assert n_evaluated_examples(recipe, asked, data) == 3 * 100 + 250 + 200
    asked = tiny(evaluations=3, evaluation_examples=1000)
    assert n_evaluated_examples(recipe, asked, data) == 3 * 250 + 200
    data = SimpleNamespace(n_test=250, n_validation=120, n_sample=200)
    asked = tiny(evaluations=3, evaluation_examples=150)
    assert n_evaluated_examples(recipe, asked, data) == 3 * (150 + 120) + 250 + 200


# ---- memory, and cuts that fit ----


def linear_study(n_rates=26):
    """One cohort of 2 n_rates trials whose programs compile at once: 64 pixels -> 10."""
    rates = [0.01 * (k + 1) for k in range(n_rates)]
    return tiny({"learning_rate": rates}, task="digits-flat", model=perceptron(64, 10))


@pytest.fixture(scope="module")
def planner():
    return planner_of(linear_study())


@pytest.fixture(scope="module")
def cohort(planner):
    (cohort,) = partition(planner.resolved, planner.resolved.trials())
    return cohort


def test_memory_grows_by_the_same_for_every_trial(planner, cohort):
    sizes = np.array([4, 8, 16, 32])
    taken = np.array([planner.memory_bytes(cohort.part(0, n)) for n in sizes])
    per_trial = np.diff(taken) / np.diff(sizes)
    np.testing.assert_allclose(per_trial, per_trial[0], rtol=0.02)
    program = planner.program(cohort)
    assert per_trial[0] >= 2 * tree_bytes(program.one_state)
    assert taken[0] > tree_bytes(program.data[:3]) * len(planner.machine.devices)
    # XLA makes a program for one trial a device of its own: it may need less, never more.
    assert planner.memory_bytes(cohort.part(0, 2)) <= taken[0] - 2 * per_trial[0]


def test_memory_is_what_xla_says_and_the_copies_that_it_does_not_see(planner, cohort):
    program, n_devices = planner.program(cohort), len(planner.machine.devices)
    of_xla = []
    for compiled in (program.train, program.evaluate):
        found = compiled.memory_analysis()
        used = found.argument_size_in_bytes + found.output_size_in_bytes
        of_xla.append(used + found.temp_size_in_bytes - found.alias_size_in_bytes)
    taken = planner.memory_bytes(cohort) / n_devices
    copies = 2 * program.slots * tree_bytes(program.one_state) + tree_bytes(program.data[:3])
    assert max(of_xla) <= taken <= max(of_xla) + copies


@pytest.mark.parametrize("share", [1.0, 0.9, 0.5, 0.2, 0.0])
def test_a_cut_fits_loses_no_trial_and_keeps_one_program(planner, cohort, share):
    least, most = (planner.memory_bytes(c) for c in (cohort.part(0, 2), cohort))
    limit = math.ceil(least + share * (most - least))
    runs = replace(planner, limit_bytes=limit).cut(cohort)
    assert [trial for run in runs for trial in run.trials] == list(cohort.trials)
    assert len({id(planner.program(run)) for run in runs}) == 1
    assert all(planner.memory_bytes(run) <= limit for run in runs)
    assert (len(runs) == 1) == (share == 1.0)
    larger = cohort.part(0, 4 * planner.program(runs[0]).slots)
    assert len(runs) == 1 or planner.memory_bytes(larger) > limit, "cut more than it had to be"


def wide_batches():
    """Batches that take more than networks and evaluation: 64 pixels -> 300 -> 10."""
    axes = {"learning_rate": [0.1, 0.2]}
    model = perceptron(64, 300, 10)
    return tiny(axes, task="digits-flat", model=model, batch_size=1200)


@pytest.fixture(scope="module")
def wide():
    planner = planner_of(wide_batches())
    (cohort,) = partition(planner.resolved, planner.resolved.trials())
    one = cohort.part(0, len(planner.machine.devices))
    sizes = {
        n: planner.memory_bytes(replace(one, n_microbatches=n))
        for n in (1, *microbatch_counts(one))
    }
    return planner, cohort, sizes


@pytest.mark.parametrize("n_microbatches", [2, 4, 8])
def test_a_trial_that_does_not_fit_has_its_batch_in_the_fewest_microbatches_that_do(
    wide, n_microbatches
):
    planner, cohort, sizes = wide
    runs = replace(planner, limit_bytes=sizes[n_microbatches]).cut(cohort)
    assert [trial for run in runs for trial in run.trials] == list(cohort.trials)
    assert {run.n_microbatches for run in runs} == {n_microbatches}
    assert all(planner.memory_bytes(run) <= sizes[n_microbatches] for run in runs)


def test_where_it_is_tight_it_is_not_cut_for_the_last_tenth(wide):
    planner, cohort, sizes = wide
    least = sizes[1200]
    (run, *_) = replace(planner, limit_bytes=least).cut(cohort)
    assert planner.memory_bytes(run) <= 1.1 * least
    assert 1 < run.n_microbatches < 1200


def test_what_does_not_fit_in_single_examples_is_refused_by_the_numbers(wide):
    planner, cohort, sizes = wide
    short = replace(planner, limit_bytes=sizes[1200] - 1)
    with pytest.raises(OutOfMemoryError, match=r"expected at most .* GB, found .* GB"):
        short.cut(cohort)
    with pytest.raises(OutOfMemoryError):
        short.runs(cohort)
    (planned,) = short.plan(planner.resolved.trials()).cohorts
    assert (planned.runs, planned.memory_bytes, planned.seconds) == ((), sizes[1200], None)


def test_a_plan_takes_little_of_what_it_plans(monkeypatch, planner, cohort):
    """Where the networks of a run are large, those that are timed are one a device."""
    monkeypatch.setattr(planning, "PROBE_BYTES", 0)
    begun = []

    class Noted(Training):
        def __init__(self, program, cohort, **more):
            begun.append(program.slots)
            super().__init__(program, cohort, **more)

    monkeypatch.setattr(planning, "Training", Noted)
    plan = planner.plan(cohort.trials)
    assert begun == [1]
    assert plan.seconds > 0


def test_memory_that_a_plan_cannot_have_is_told(monkeypatch):
    def refuse(self, task, *choice):
        raise MemoryError("Unable to allocate 5 TiB")

    monkeypatch.setattr(Machine, "load", refuse)
    with pytest.raises(OutOfMemoryError, match=r"tiny: out of memory .*5 TiB.*; give it more"):
        plan(tiny())


MEMINFO = {
    "new": ("MemTotal: 9 kB\nMemFree: 2 kB\nMemAvailable: 6 kB\nCached: 1 kB\n", 6),
    "old": ("MemTotal: 9 kB\nMemFree: 2 kB\nBuffers: 1 kB\nCached: 3 kB\n", 5),
    "nothing left": ("MemAvailable: 0 kB\nMemFree: 2 kB\n", 0),
}


@pytest.mark.parametrize(("text", "n_kib"), MEMINFO.values(), ids=MEMINFO)
def test_what_the_system_can_give(tmp_path, text, n_kib):
    (tmp_path / "meminfo").write_text(text.replace(": ", ":        "))
    assert _available_bytes(tmp_path / "meminfo") == n_kib * 1024


@pytest.mark.parametrize("text", ["", "MemTotal:\n", "Total: 0\nMemAvailable: many\n", None])
def test_where_the_system_does_not_tell_it_is_all_that_there_is(tmp_path, text):
    if text is not None:
        (tmp_path / "meminfo").write_text(text)
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert _available_bytes(tmp_path / "meminfo") == whole


def test_many_trials_are_several_runs_of_one_program_also_where_they_fit():
    planner = planner_of(linear_study(70))
    (cohort,) = partition(planner.resolved, planner.resolved.trials())
    runs = planner.cut(cohort)
    assert [trial for run in runs for trial in run.trials] == list(cohort.trials)
    assert max(len(run.trials) for run in runs) <= MOST_SLOTS * len(planner.machine.devices)
    assert len(runs) == math.ceil(140 / (MOST_SLOTS * len(planner.machine.devices)))
    assert len({id(planner.program(run)) for run in [cohort, *runs]}) == 1


def test_trials_that_a_device_trains_at_once_have_no_empty_slots_and_share_no_work_space(
    planner, cohort, monkeypatch
):
    monkeypatch.setattr(Machine, "is_batched", True)
    batched = Planner(planner.resolved, planner.machine)
    n_devices = len(planner.machine.devices)
    assert batched.program(cohort).slots == math.ceil(len(cohort.trials) / n_devices)
    whole = batched.memory_bytes(cohort)
    runs = replace(batched, limit_bytes=whole // 2).cut(cohort)
    assert [trial for run in runs for trial in run.trials] == list(cohort.trials)
    assert all(batched.memory_bytes(run) <= whole // 2 for run in runs)


# ---- the plan ----


def test_a_plan_adds_up_and_leaves_out_what_is_stored():
    axes = {"batch_size": [5, 10], "learning_rate": [0.01, 0.1]}
    planner = planner_of(tiny(axes, task="digits-flat", model=perceptron(64, 10)))
    trials = planner.resolved.trials()
    stored = {trials[0].key, trials[5].key, "of another study"}
    plan = planner.plan(trials, stored, timed=False)
    assert (plan.n_trials, plan.n_stored, plan.seconds) == (8, 2, None)
    assert {t.key for c in plan.cohorts for t in c.cohort.trials} == {
        trial.key for trial in trials if trial.key not in stored
    }
    per_trial = [12 * 2 * (2 * n_batch * 64 * 10) for n_batch in (5, 10)]
    assert [c.flops for c in plan.cohorts] == [3 * flops for flops in per_trial]
    assert plan.flops == 3 * sum(per_trial)
    assert plan.memory_bytes == max(c.memory_bytes for c in plan.cohorts)
    nothing = planner.plan(trials, [trial.key for trial in trials])
    assert (nothing.n_stored, nothing.flops, nothing.memory_bytes, nothing.seconds) == (8, 0, 0, 0)


def test_planning_again_compiles_nothing():
    planner = planner_of(linear_study(2))
    first = planner.plan(planner.resolved.trials())
    with compilations() as programs:
        second = planner.plan(planner.resolved.trials())
    assert programs == []
    assert (first.flops, first.memory_bytes) == (second.flops, second.memory_bytes)
    assert 0 < second.seconds < 60


# ---- what control groups leave ----

VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")
VERSION_2 = ("memory.max", "memory.current")


def group(folder, files, limit, cache="inactive_file 4096"):
    """A folder as the kernel shows it, of a group that uses 300,000 bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(
        (*files, "memory.stat"), (limit, 300_000, f"anon 12\n{cache}"), strict=True
    ):
        (folder / name).write_text(f"{text}\n")


def left_bytes(root, *groups):
    """What is left to a process in these groups, as /proc shows them."""
    own = root / "of-the-process"
    own.write_text("".join(f"{line}\n" for line in groups))
    return _group_bytes(root, own)


@pytest.mark.parametrize(
    ("limit", "left"), [(1_000_000, 704_096), ("max", UNLIMITED), (200_000, 0)]
)
def test_what_a_group_of_version_2_leaves(tmp_path, limit, left):
    group(tmp_path, VERSION_2, limit)
    assert left_bytes(tmp_path, "0::/") == left


def test_what_a_group_of_version_1_leaves(tmp_path):
    cache = "inactive_file 1\ntotal_inactive_file 8192"  # the total counts inner groups too
    group(tmp_path / "memory", VERSION_1, 1_000_000, cache)
    assert left_bytes(tmp_path, "4:memory:/", "3:cpu,cpuacct:/", "0::/") == 708_192
    group(tmp_path / "memory", VERSION_1, 2**63 - 4096)  # how version 1 says that there is none
    assert left_bytes(tmp_path, "4:memory:/") >= UNLIMITED


@pytest.mark.parametrize("tightest", ["", "slice", "slice/job", "slice/job/step"])
def test_the_tightest_of_all_groups_that_hold_the_process_counts(tmp_path, tightest):
    for name in ("slice", "slice/job", "slice/job/step"):
        group(tmp_path / name, VERSION_2, "max")
    group(tmp_path / "another", VERSION_2, 400_000)
    assert left_bytes(tmp_path, "0::/slice/job/step") == UNLIMITED
    group(tmp_path / tightest, VERSION_2, 1_000_000)
    assert left_bytes(tmp_path, "0::/slice/job/step") == 704_096


def test_a_group_that_a_container_does_not_show_and_none_at_all(tmp_path):
    assert _group_bytes(tmp_path, tmp_path / "nothing") == UNLIMITED
    assert left_bytes(tmp_path, "0::/docker/12ab") == UNLIMITED
    group(tmp_path, VERSION_2, 1_000_000, cache="slab 34")
    assert left_bytes(tmp_path, "0::/docker/12ab") == 700_000
