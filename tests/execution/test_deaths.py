"""A process that dies with a cohort: that is noted, comes last and smaller, and costs no other."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from cohort_tools import planner_of, tiny
from runs import assert_equal_tables, environment, stored

from gridscape import sweep
from gridscape.engine.cohorts import joined, partition
from gridscape.execution.deaths import MOST_DEATHS, Death, Deaths
from gridscape.execution.executors import Finished, Progress, Work
from gridscape.execution.planner import microbatch_counts
from gridscape.execution.worker import in_small_microbatches
from gridscape.grid.trials import Status
from gridscape.store.store import Store
from gridscape.sweep import run

# ---- what the folder tells ----


@pytest.fixture(scope="module")
def cohort():
    planner = planner_of(tiny())
    return partition(planner.resolved, planner.resolved.trials())[0]


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path, tiny().resolve().record()) as store:
        yield store


def keys_of(*parts):
    return [trial.key for part in parts for trial in part.trials]


def work_of(*parts):
    return Work(7, joined(parts).trials, parts[0].start)


def died(store, part, waiting=()):
    """The next process finds that this one died in training."""
    deaths = Deaths.told_by(store)
    deaths.running(work_of(part, *waiting), keys_of(part, *waiting), keys_of(part))
    return Deaths.told_by(store)


def test_what_ends_in_any_other_way_leaves_no_note(store, cohort, tmp_path):
    deaths = Deaths.told_by(store)
    deaths.begin(work_of(cohort), keys_of(cohort))
    assert (tmp_path / "training.json").exists()
    deaths.end_all()
    assert not (tmp_path / "training.json").exists()
    assert Deaths.told_by(store).found == {}


def test_deaths_add_up_only_where_nothing_is_gained_in_between(store, cohort):
    for times in (1, 2, 3):
        assert died(store, cohort).of(cohort) == times
    later = replace(cohort, start=4)
    assert Deaths.told_by(store).of(later) == 0
    assert died(store, later).of(later) == 1


def test_those_that_waited_are_told_from_the_one_that_was_in_training(store, cohort):
    one, *others = cohort.cut(1)
    deaths = died(store, one, others)
    assert {deaths.of(part) for part in cohort.cut(1)} == {1}
    assert [deaths.hit(part) for part in cohort.cut(1)] == [True, False, False, False]
    assert deaths.of(joined(others)) == 1


def test_what_ends_is_forgotten_and_those_that_wait_are_eased(store, cohort):
    one, *others = cohort.cut(1)
    for _ in range(3):
        deaths = died(store, one, others)
    deaths.forget(one.trials[0].key)
    deaths.ease(keys_of(*others))
    assert [deaths.of(part) for part in cohort.cut(1)] == [0, 2, 2, 2]
    done = [trial.key for trial in cohort.trials]
    assert Deaths.told_by(store, done).found == {}


def test_of_several_works_that_are_out_only_the_one_is_blamed_whose_process_died(store, cohort):
    one, other = cohort.cut(2)
    deaths = Deaths.told_by(store)
    for number, part in enumerate((one, other)):
        deaths.running(Work(number, part.trials), keys_of(part), keys_of(part)[:1])
    ended, *left = keys_of(one)
    deaths.forget(ended)
    deaths.died(0)
    assert deaths.found == {left[0]: Death(1, 0, False)}
    assert store.noted()["training"].keys() == set(keys_of(other))
    deaths.end(1)
    assert Deaths.told_by(store).found == deaths.found


def test_what_is_left_is_noted_once_for_all_runs_of_a_work(store, cohort, tmp_path):
    """Else the note of n trials is written n / 128 times: half a minute of 65,536."""
    one, *others = cohort.cut(1)
    work, left = work_of(one, *others), keys_of(one, *others)
    deaths = Deaths.told_by(store)
    deaths.begin(work, left)
    noted = (tmp_path / "training.json").stat()
    for part in (one, *others):
        deaths.running(work, left, keys_of(part))
        assert json.loads((tmp_path / "running.json").read_text()) == keys_of(part)
    assert (tmp_path / "training.json").stat().st_mtime_ns == noted.st_mtime_ns
    deaths.end(work.id)
    assert not any((tmp_path / name).exists() for name in NOTED)


def test_a_trial_that_failed_by_itself_is_not_blamed_for_a_later_death(store, cohort):
    """The folder does not call it done, since the next run tries it once more."""
    failed, *others = keys_of(cohort)
    deaths = Deaths.told_by(store)
    deaths.running(work_of(cohort), keys_of(cohort), [failed])
    deaths.forget(failed, is_done=False)
    deaths.running(work_of(cohort), others, others[:1])
    assert Deaths.told_by(store).found.keys() == set(others)


def test_easing_what_needs_none_writes_nothing(store, cohort, tmp_path):
    deaths = died(store, cohort)
    deaths.begin(work_of(cohort), keys_of(cohort))
    before = (tmp_path / "training.json").stat().st_mtime_ns
    deaths.ease(keys_of(cohort))
    assert (tmp_path / "training.json").stat().st_mtime_ns == before


def test_a_note_of_before_tells_itself_which_trials_were_in_training(store, cohort, tmp_path):
    hit, waited = keys_of(cohort)[:2]
    content = {"training": {hit: [0, 1], waited: [0, 0]}, "deaths": {}}
    (tmp_path / "training.json").write_text(json.dumps(content))
    assert Deaths.told_by(store).found == {hit: Death(1, 0, True), waited: Death(1, 0, False)}


NOTED = ("training.json", "running.json")
NOTES = ["", "[]", "{", '{"training": 5}', '{"training": {"a": 1, "b": [1]}, "deaths": {"a": "x"}}']


@pytest.mark.parametrize("text", [*NOTES, "\ud800".join("ab"), "[" * 100_000])
def test_a_damaged_note_tells_of_nothing(store, tmp_path, text):
    for name in NOTED:
        (tmp_path / name).write_bytes(text.encode(errors="surrogatepass"))
    assert Deaths.told_by(store).found == {}


@pytest.mark.parametrize("text", ["", "{", "{}", "5", '[{"a": 1}, 2]'])
def test_where_it_cannot_be_read_what_ran_all_that_was_left_only_waited(
    store, cohort, tmp_path, text
):
    deaths = Deaths.told_by(store)
    deaths.running(work_of(cohort), keys_of(cohort), keys_of(cohort))
    (tmp_path / "running.json").write_text(text)
    found = Deaths.told_by(store).found
    assert found == dict.fromkeys(keys_of(cohort), Death(1, 0, False))


# ---- processes that die ----

DYING = """
import os, signal, sys
from cohort_tools import tiny
from gridscape.execution.executors import Progress
from gridscape.execution.sole import Sole
from gridscape.sweep import run

def listen(event):
    if isinstance(event, Progress):
        cell = event.trials[0].cell
        print(cell["hidden_size"], len(event.trials), flush=True)
        if cell["hidden_size"] == 4:
            os.kill(os.getpid(), signal.SIGKILL)

run(tiny(), directory=sys.argv[1], executor=Sole(), listener=listen)
"""


def dying(directory):
    """A run that is killed when a network of width 4 has begun: status, cohorts, what it told."""
    done = subprocess.run(
        [sys.executable, "-c", DYING, str(directory)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    return done.returncode, list(dict.fromkeys(lines)), done.stderr


@pytest.mark.slow
def test_the_rest_is_trained_and_the_culprits_end_with_a_reason(tmp_path):
    code, begun, _ = dying(tmp_path)
    assert (code, begun) == (-signal.SIGKILL, [(4, 4)])
    code, begun, told = dying(tmp_path)
    assert code == -signal.SIGKILL
    assert begun[0] == (8, 4), "what died did not go last"
    assert begun[1][0] == 4
    assert begun[1][1] < 4 or len(os.sched_getaffinity(0)) >= 4
    assert told.count("the process died while training") == 1
    with Store.read(tmp_path) as store:
        assert set(store.statuses().values()) == {Status.FINISHED}
        assert len(store.statuses()) == 4
    for _ in range(2 * MOST_DEATHS):
        code, begun, _ = dying(tmp_path)
        if code == 0:
            break
        assert begun == [(4, 1)]
    results = stored(tmp_path)
    failed = {name: r for name, r in results.items() if r.status is Status.FAILED}
    assert code == 0
    assert {name for name, _ in results if "hidden_size=4" in name} == {n for n, _ in failed}
    assert len(results) == 8
    assert all(f"died {MOST_DEATHS} times" in result.reason for result in failed.values())
    # Nothing is refused for ever: the next run tries again, and here all goes well.
    with pytest.warns(UserWarning, match="died while training"):
        land = run(tiny(), directory=tmp_path)
    assert set(land.data.status.values.ravel()) == {"finished"}
    assert not (tmp_path / "training.json").exists()
    run(tiny(), directory=tmp_path / "calm")
    results = stored(tmp_path)
    assert_equal_tables(results, stored(tmp_path / "calm"))


def test_one_culprit_costs_no_other_trial(tmp_path, monkeypatch):
    """Each death is told in this process: the note is left as a death would leave it."""
    victim = tiny().resolve().trials()[1].key

    class DiedError(BaseException):
        pass

    def listen(event):
        if isinstance(event, Progress) and victim in {t.key for t in event.trials}:
            for name in NOTED:
                (tmp_path / name).write_bytes((tmp_path / "r" / name).read_bytes())
            raise DiedError

    monkeypatch.setattr("warnings.warn", lambda *args, **kwargs: None)
    for _ in range(10):
        try:
            run(tiny(), directory=tmp_path / "r", listener=listen)
            break
        except DiedError:
            for name in NOTED:
                (tmp_path / name).rename(tmp_path / "r" / name)
    else:
        pytest.fail("it never ends")
    with Store.read(tmp_path / "r") as store:
        statuses = store.statuses()
    assert {key for key, status in statuses.items() if status is not Status.FINISHED} == {victim}
    assert len(statuses) == 8
    noted = json.loads((tmp_path / "r/training.json").read_text())
    assert noted["deaths"] == {victim: list(Death(MOST_DEATHS - 1, 0))}


# ---- the order ----


def trained_order(tmp_path, study):
    events = []
    run(study, directory=tmp_path, listener=events.append)
    order = [e.trial.cell["hidden_size"] for e in events if isinstance(e, Finished)]
    assert [t.cell["hidden_size"] for t in events[0].todo] == order
    return list(dict.fromkeys(order))


@pytest.mark.usefixtures("one_after_the_other")
def test_much_memory_comes_last_and_little_in_the_order_of_the_study(tmp_path, monkeypatch):
    study = tiny({"hidden_size": [8, 48, 4, 32], "learning_rate": [0.1]}, updates=2)
    assert trained_order(tmp_path / "a", study) == [8, 48, 4, 32]
    needs = {8: 30, 48: 300, 4: 90, 32: 200}
    monkeypatch.setattr(
        sweep, "least_bytes", lambda study, c, n: needs[c.trials[0].cell["hidden_size"]]
    )
    monkeypatch.setattr(sweep.Sweep, "_is_heavy", lambda sweep, n_bytes: n_bytes > 50)
    assert trained_order(tmp_path / "b", study) == [8, 4, 32, 48]
    assert_equal_tables(stored(tmp_path / "a"), stored(tmp_path / "b"))


def test_small_microbatches_are_some_sixteen(cohort):
    def microbatches_of(batch_size):
        recipe = replace(cohort.recipe, batch_size=batch_size)
        return in_small_microbatches(replace(cohort, recipe=recipe)).n_microbatches

    assert [microbatches_of(n) for n in (1, 7, 10, 100, 1300, 2048)] == [1, 7, 10, 20, 20, 16]
    assert microbatch_counts(replace(cohort, n_microbatches=10)) == []
