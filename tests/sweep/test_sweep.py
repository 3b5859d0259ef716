"""The one verb: exactly once, resumed bit for bit, extended, failed, out of memory, replayed."""

import random
import signal
import sys
import time
import types
import warnings

import forks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import tiny
from runs import assert_equal_tables, press_ctrl_c, python, stored

from gridscape import sweep
from gridscape.base.metrics import cross_entropy
from gridscape.errors import OutOfMemoryError, StoreError
from gridscape.execution import checkpoints, planner, worker
from gridscape.execution.cohort_run import CohortRun
from gridscape.execution.executors import Cut, Finished, Progress, Taken
from gridscape.execution.interrupt import Interrupt
from gridscape.grid.trials import Status
from gridscape.store.store import Store
from gridscape.sweep import Started, run
from gridscape.tasks.losses import squared_error


def test_every_trial_is_recorded_and_the_second_run_trains_nothing(tmp_path, undisturbed):
    events = []
    land = run(tiny(), directory=tmp_path, listener=events.append)
    finished = [e.trial.key for e in events if isinstance(e, Finished)]
    assert len(finished) == len(set(finished)) == 8
    assert set(land.data.status.values.ravel()) == {"finished"}
    assert_equal_tables(stored(tmp_path), undisturbed)
    again = []
    run(tiny(), directory=tmp_path, listener=again.append)
    (started,) = again
    assert isinstance(started, Started)
    assert (started.todo, started.n_stored) == ((), 8)


def test_extending_an_axis_or_adding_replicates_trains_only_the_new_trials(tmp_path):
    def trained(**values):
        events = []
        run(tiny(), directory=tmp_path, listener=events.append, **values)
        return {(str(e.trial.cell), e.trial.replicate) for e in events if isinstance(e, Finished)}

    assert len(trained()) == 8
    wider = trained(set={"hidden_size": [4, 8, 5]})
    assert wider == {
        (f"hidden_size=5, learning_rate={rate}", k) for rate in (0.001, 0.1) for k in (0, 1)
    }
    more = trained(replicates=3)
    assert len(more) == 4
    assert {replicate for _, replicate in more} == {2}


class StopError(Exception):
    pass


@pytest.fixture
def checkpoint_after_every_segment(monkeypatch):
    monkeypatch.setattr(sweep.CheckpointClock, "is_due", lambda clock: True)


def fall_over():
    raise StopError


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("how", [press_ctrl_c, fall_over])
@pytest.mark.usefixtures("checkpoint_after_every_segment", "one_after_the_other")
def test_interrupted_and_resumed_equals_undisturbed(tmp_path, undisturbed, after, how):
    seen = []

    def listener(event):
        if isinstance(event, Progress):
            seen.append(event)
            if len(seen) == after:
                how()

    with pytest.raises((KeyboardInterrupt, StopError)):
        run(tiny(), directory=tmp_path, listener=listener)
    with Store.read(tmp_path) as store:
        checkpoints = [meta["update"] for _, meta, _ in store.checkpoints()]
    kept = seen if how is press_ctrl_c else seen[:-1]
    assert checkpoints == [event.update for event in kept[-1:]]
    events = []
    run(tiny(), directory=tmp_path, listener=events.append)
    first = next(e.update for e in events if isinstance(e, Progress))
    assert first > max(checkpoints, default=0)  # it went on, it did not begin again
    assert_equal_tables(stored(tmp_path), undisturbed)
    with Store.read(tmp_path) as store:
        assert not list(store.checkpoints())


def test_a_large_first_checkpoint_waits_for_twenty_times_what_it_may_take(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "perf_counter", lambda: now[0])
    large, small = sweep.CheckpointClock(int(5e9)), sweep.CheckpointClock(1000)
    now[0] = 390.0  # 20 times 20 seconds have not passed
    assert (small.is_due(), large.is_due()) == (True, False)
    now[0] = 401.0
    assert large.is_due()
    with large.timing():
        now[0] = 402.0
    now[0] = 423.0  # it took one second
    assert large.is_due()


def test_the_first_ctrl_c_asks_and_the_second_interrupts():
    told, before = [], signal.getsignal(signal.SIGINT)
    interrupt = Interrupt(lambda: told.append(1))
    with interrupt:
        press_ctrl_c()
        assert interrupt.asked
        assert told == [1]
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("one_after_the_other")
def test_ctrl_c_saves_what_no_checkpoint_has_saved_yet(tmp_path, undisturbed):
    def listener(event):
        if isinstance(event, Progress) and event.update == 4:
            press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        run(tiny(), directory=tmp_path, listener=listener)
    with Store.read(tmp_path) as store:
        assert [meta["update"] for _, meta, _ in store.checkpoints()] == [4]
    run(tiny(), directory=tmp_path)
    assert_equal_tables(stored(tmp_path), undisturbed)


@pytest.mark.usefixtures("checkpoint_after_every_segment")
def test_resuming_a_study_that_was_extended_meanwhile(tmp_path):
    def listener(event):
        if isinstance(event, Progress) and event.update > 1:
            fall_over()

    with pytest.raises(StopError):
        run(tiny(), directory=tmp_path / "a", listener=listener)
    larger = {"learning_rate": [0.001, 0.1, 0.01], "hidden_size": [4]}
    run(tiny(), directory=tmp_path / "a", set=larger, replicates=3)
    run(tiny(), directory=tmp_path / "b", set=larger, replicates=3)
    assert_equal_tables(stored(tmp_path / "a"), stored(tmp_path / "b"))


def test_results_of_changed_code_are_not_mixed_with_the_old_ones(tmp_path, monkeypatch):
    own = types.ModuleType("own_losses")
    monkeypatch.setitem(sys.modules, own.__name__, own)
    own.loss = cross_entropy
    study = tiny({"learning_rate": [0.01]}, task="digits-flat", model="mlp", loss="own_losses:loss")
    run(study, directory=tmp_path)
    run(study, directory=tmp_path, replicates=3)
    own.loss = squared_error
    with pytest.raises(StoreError, match=r"other code or other data \(found learning_rate=0.01"):
        run(study, directory=tmp_path)
    assert len(stored(tmp_path)) == 3


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


def test_trials_that_end_are_stored_before_the_next_progress_and_in_lots(monkeypatch):
    small = types.SimpleNamespace(curves={}, params=None)
    ended = [Finished(trial=None, result=small) for _ in range(4)]
    between = Taken(1)
    lots = list(sweep._together([ended[0], ended[1], between, ended[2], ended[3]]))
    assert lots == [ended[:2], [between], ended[2:]]
    monkeypatch.setattr(sweep, "STORED_TOGETHER_BYTES", -1)
    assert list(sweep._together(ended)) == [[event] for event in ended]


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


ONE_WIDTH = {"hidden_size": [4], "learning_rate": [0.001, 0.1]}  # half of the programs of tiny()


def swept(study, directory, monkeypatch, fits, n_microbatches=1):
    """A run without memory for more than ``fits`` trials, or for batches in few microbatches."""
    asked, events = [], []

    class Forgetful(CohortRun):
        def events(self, restored=None):
            asked.append((len(self.cohort.trials), self.cohort.n_microbatches))
            if len(self.cohort.trials) > fits or self.cohort.n_microbatches < n_microbatches:
                raise OutOfMemoryError("out of memory", found="made up")
            yield from super().events(restored)

    monkeypatch.setattr(worker, "CohortRun", Forgetful)
    run(study, directory=directory, listener=events.append)
    return asked, events


@pytest.mark.usefixtures("one_after_the_other")
def test_out_of_memory_halves_the_run_and_loses_no_trial(tmp_path, monkeypatch, undisturbed):
    asked, events = swept(tiny(), tmp_path, monkeypatch, fits=1)
    assert asked == [(4, 1), (2, 1), (1, 1), (1, 1), (2, 1), (1, 1), (1, 1)] * 2
    assert [(len(e.trials), e.n_runs) for e in events if isinstance(e, Cut)] == [
        (4, 2),
        (2, 2),
        (2, 2),
    ] * 2
    assert_equal_tables(stored(tmp_path), undisturbed)


def test_a_trial_that_does_not_fit_alone_gets_its_batch_in_microbatches(
    tmp_path, monkeypatch, undisturbed
):
    asked, _ = swept(tiny(ONE_WIDTH), tmp_path, monkeypatch, fits=1, n_microbatches=5)
    assert max(n_microbatches for _, n_microbatches in asked) == 5
    for name, result in stored(tmp_path).items():
        assert result.status is Status.FINISHED
        # The same mathematics in another order: float32 rounding, grown over twelve updates.
        for metric, value in result.metrics.items():
            assert value == pytest.approx(undisturbed[name].metrics[metric], abs=0.02)


@pytest.mark.slow
def test_out_of_memory_is_the_outcome_of_a_trial_that_never_fits(tmp_path, monkeypatch):
    _, events = swept(tiny(ONE_WIDTH, batch_size=2), tmp_path, monkeypatch, fits=0)
    assert {r.reason for r in stored(tmp_path).values()} == {"out of memory (found made up)"}
    assert {r.status for r in stored(tmp_path).values()} == {Status.OUT_OF_MEMORY}
    assert sum(isinstance(e, Finished) for e in events) == 4


MEMORY_SCRIPT = """
import resource, sys
import jax, jax.numpy as jnp
from cohort_tools import tiny
from gridscape.engine.machine import Machine
from gridscape.execution.planner import Planner
from gridscape.execution.sole import Sole
from gridscape.store.store import Store
from gridscape.sweep import Cut, run

jax.config.update("jax_num_cpu_devices", 2)

def init(key, hyper):
    return {"w": jax.random.normal(key, (64, 60_000)) * 0.1, "v": jnp.zeros((60_000, 10))}

def apply(params, x, key, hyper):
    return jnp.tanh(x @ params["w"]) @ params["v"]

rates = [1e-4 * (k + 1) for k in range(12)]
study = tiny(
    {"learning_rate": rates},
    task="digits-flat", model=(init, apply), updates=3, evaluations=1, evaluation_examples=50,
)
Planner(tiny().resolve(), Machine.local()).plan(tiny().resolve().trials(), timed=False)  # warm up
study.resolve()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 1200 * 2**20,) * 2)
limit_bytes = 2**60 if sys.argv[2] == "blind" else None  # a plan that is wrong
cuts = 0
def listen(event):
    global cuts
    cuts += isinstance(event, Cut)
run(study, directory=sys.argv[1], executor=Sole(limit_bytes), listener=listen)
with Store.read(sys.argv[1]) as store:
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


KILLS, MORE_KILLS = 6, 30


def train_and_tell(directory, cache, told):
    """What is killed."""
    jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    sweep.CheckpointClock.is_due = lambda clock: True
    sweep.MOST_DEATHS = 1000  # these are no trial's fault
    told.send("ready")
    run(tiny(), directory=directory, listener=lambda event: told.send("event"))
    told.send("done")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_again_and_again_every_trial_exactly_once(tmp_path, undisturbed, pytestconfig):
    """kill -9 at random moments, until the study is done; then begin the next folder."""
    wanted = MORE_KILLS if pytestconfig.getoption("thorough") else KILLS
    rng = random.Random(0)
    cache, kills, folder = tmp_path / "cache", 0, 0
    finished_folders = []
    deadline = time.monotonic() + 900
    while kills < wanted:
        assert time.monotonic() < deadline, f"only {kills} kills in time"
        directory = tmp_path / f"run-{folder}"
        told, telling = forks.context.Pipe(duplex=False)
        process = forks.process(train_and_tell, (directory, cache, telling))
        process.start()
        telling.close()
        # By the count of its events, not by the clock: every stage of the run is hit, however
        # busy the machine. The delay then moves the kill into the middle of what follows.
        while told.poll(240) and told.recv() != "done" and rng.random() >= 0.15:
            pass
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.join(timeout=30)
        told.close()
        if process.exitcode == -signal.SIGKILL:
            kills += 1
        if directory.exists() and len(_ended(directory)) == 8:
            finished_folders.append(directory)
            folder += 1
    if directory not in finished_folders:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the process died while training")
            run(tiny(), directory=directory)
        finished_folders.append(directory)
    for directory in finished_folders:
        assert_equal_tables(stored(directory), undisturbed)


def _ended(directory):
    try:
        with Store.read(directory) as store:
            statuses = store.statuses()
    except StoreError:  # killed before the folder was made
        return {}
    # One that failed after many deaths in a row is tried again.
    ended = (Status.FINISHED, Status.DIVERGED)
    return {key: status for key, status in statuses.items() if status in ended}


def test_curves_tell_when_they_were_recorded(undisturbed):
    for result in undisturbed.values():
        np.testing.assert_array_equal(result.curves["recorded_at"], np.arange(1, 13))
        np.testing.assert_array_equal(result.curves["evaluated_at"], [4, 8, 12])
        assert result.curves["test_accuracy"].shape == (3,)
        assert (result.curves["test_accuracy"] >= 0).all()  # of a sample: final metrics are of all
        assert result.curves["train_loss"].shape == (12,)
