"""The executor of this machine: failures and lack of memory are outcomes of trials."""

import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import tiny
from runs import assert_equal_tables, python, stored

from gridscape.engine.machine import Machine
from gridscape.errors import OutOfMemoryError
from gridscape.execution import planner
from gridscape.execution.executors import Finished
from gridscape.execution.local import Local
from gridscape.execution.planner import Planner
from gridscape.grid.trials import Status
from gridscape.store.store import Store
from gridscape.sweep import Cut, Sweep, run


def raising_model():
    def init(key, hyper):
        return {"w": jnp.zeros((64, 10))}

    def apply(params, inputs, key, hyper):
        if len(inputs) == 10:  # the batch size of training: shapes and evaluation are fine
            raise RuntimeError("no such layer")
        return inputs @ params["w"]

    return init, apply


def test_trials_beyond_what_a_program_holds_fail_for_the_same_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(planner, "MOST_SLOTS", 1)
    axes = {"learning_rate": [0.01, 0.02, 0.03]}
    run(tiny(axes, task="digits-flat", model=raising_model()), directory=tmp_path)
    reasons = {result.reason for result in stored(tmp_path).values()}
    assert reasons == {"RuntimeError: no such layer"}


def test_a_failing_program_fails_its_trials_and_no_others(tmp_path):
    study = tiny(
        {"batch_size": [10, 12], "learning_rate": [0.01]},
        task="digits-flat",
        model=raising_model(),
    )
    land = run(study, directory=tmp_path)
    results = stored(tmp_path)
    for (cell, _), result in results.items():
        if "batch_size=10" in cell:
            assert result.status is Status.FAILED
            assert result.reason == "RuntimeError: no such layer"
        else:
            assert result.status is Status.FINISHED
    assert (land.data.status.sel(batch_size=10) == "failed").all()
    events = []
    run(study, directory=tmp_path, listener=events.append)  # a failed trial is tried again
    assert {e.trial.cell["batch_size"] for e in events if isinstance(e, Finished)} == {10}


class Forgetful:
    """An executor without memory for more than ``fits`` trials, or for batches in few pieces."""

    def __init__(self, planner, fits, pieces=1):
        self.inner, self.fits, self.pieces = Local(planner), fits, pieces
        self.asked = []

    def snapshots(self):
        return self.inner.snapshots()

    def run(self, cohort, restored=None):
        self.asked.append((len(cohort.trials), cohort.pieces))
        if len(cohort.trials) > self.fits or cohort.pieces < self.pieces:
            raise OutOfMemoryError("out of memory", found="made up")
        yield from self.inner.run(cohort, restored)


def swept(study, directory, fits, pieces=1):
    resolved = study.resolve()
    planner, events = Planner(resolved, Machine.local()), []
    executor = Forgetful(planner, fits, pieces)
    with Store.create(directory, resolved.record()) as store:
        Sweep(store, resolved, planner, executor, events.append).run()
    return executor, events


def test_out_of_memory_halves_the_run_and_loses_no_trial(tmp_path, undisturbed):
    executor, events = swept(tiny(), tmp_path, fits=1)
    assert executor.asked == [(4, 1), (2, 1), (1, 1), (1, 1), (2, 1), (1, 1), (1, 1)] * 2
    assert sum(isinstance(e, Cut) for e in events) == 6
    assert_equal_tables(stored(tmp_path), undisturbed)


def test_a_trial_that_does_not_fit_alone_gets_its_batch_in_pieces(tmp_path, undisturbed):
    executor, _ = swept(tiny(), tmp_path, fits=1, pieces=5)
    assert max(pieces for _, pieces in executor.asked) == 5
    for name, result in stored(tmp_path).items():
        assert result.status is Status.FINISHED
        # The same mathematics in another order: float32 rounding, grown over twelve updates.
        for metric, value in result.metrics.items():
            assert value == pytest.approx(undisturbed[name].metrics[metric], abs=0.02)


@pytest.mark.slow
def test_out_of_memory_is_the_outcome_of_a_trial_that_never_fits(tmp_path):
    _, events = swept(tiny(), tmp_path, fits=0)
    assert {r.status for r in stored(tmp_path).values()} == {Status.OUT_OF_MEMORY}
    assert sum(isinstance(e, Finished) for e in events) == 8


MEMORY_SCRIPT = """
import resource, sys
import jax, jax.numpy as jnp
from cohort_tools import tiny
from gridscape.executors import Local
from gridscape.planner import Planner
from gridscape.programs import Machine, use_all_cores
from gridscape.store import Store
from gridscape.sweep import Cut, Sweep

use_all_cores()

def init(key, hyper):
    return {"w": jax.random.normal(key, (64, 60_000)) * 0.1, "v": jnp.zeros((60_000, 10))}

def apply(params, x, key, hyper):
    return jnp.tanh(x @ params["w"]) @ params["v"]

rates = [1e-4 * (k + 1) for k in range(12)]
study = tiny({"learning_rate": rates}, task="digits-flat", model=(init, apply), updates=3)
resolved = study.resolve()
planner = Planner(resolved, Machine.local())
Planner(tiny().resolve(), planner.machine).plan(tiny().resolve().trials(), timed=False)  # warm up
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 1200 * 2**20,) * 2)
if sys.argv[2] == "blind":
    planner.limit_bytes = 2**60  # a plan that is wrong
cuts = 0
def listen(event):
    global cuts
    cuts += isinstance(event, Cut)
with Store.create(sys.argv[1], resolved.record()) as store:
    Sweep(store, resolved, planner, Local(planner), listen).run()
    print(cuts, sorted({str(s) for s in store.statuses().values()}), len(store.statuses()))
"""


@pytest.mark.parametrize("plan", ["planned", "blind"])
def test_under_a_real_limit_on_the_memory_of_the_process(tmp_path, plan):
    """24 trials of 53 MB each take 1.3 GB and more: 1.2 GB are left to the process."""
    done = python("-c", MEMORY_SCRIPT, str(tmp_path / "run"), plan)
    assert done.returncode == 0, done.stderr[-2000:]
    cuts, rest = done.stdout.split(maxsplit=1)
    assert rest.strip() == "['finished'] 24"
    assert (int(cuts) > 0) == (plan == "blind")


def test_curves_tell_when_they_were_recorded(undisturbed):
    assert undisturbed
    for result in undisturbed.values():
        np.testing.assert_array_equal(result.curves["recorded_at"], np.arange(1, 13))
        np.testing.assert_array_equal(result.curves["evaluated_at"], [4, 8, 12])
        assert result.curves["test_accuracy"].shape == (3,)
        assert result.curves["test_accuracy"][-1] == pytest.approx(result.metrics["test_accuracy"])
        assert result.curves["train_loss"].shape == (12,)
