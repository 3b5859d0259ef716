"""A worker of several cores: what a driver hears of it, and what goes on from its snapshots."""

import pickle
import threading
import time
from contextlib import contextmanager

import pytest
from cohort_tools import assert_same, tiny
from runs import stored

import gridscape as gs
from gridscape.engine.cohorts import partition
from gridscape.execution import parts
from gridscape.execution.executors import Begun, Care, Done, Finished, Job, Progress, Taken, Work
from gridscape.execution.ray import station as module
from gridscape.execution.ray.station import Station, Wanted, versions
from gridscape.execution.ray.values import packed
from gridscape.kernels.cores import n_cores

pytestmark = pytest.mark.skipif(n_cores() < 2, reason="one core")
LONGEST_SECONDS = 120


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """A worker of all cores, which leaves this process as it is."""
    monkeypatch.setattr(parts, "CALL_SECONDS", 0.0)  # parts, however little there is to train
    for name in ("own_process", "_settle", "_share_gpu"):
        monkeypatch.setattr(module, name, lambda *_: None)
    monkeypatch.setattr(module, "take_cores", lambda n: list(range(n)))
    monkeypatch.setattr(Station, "_listen_for_sigterm", lambda self: None)


@contextmanager
def opened(study):
    station = Station()
    wanted = Wanted(n_cores(), 1, 0.0, versions(), ".", ())
    ready = station.open(wanted, pickle.dumps(Job.of(study.resolve(), None, packed)))
    assert len(ready.devices) == ready.room.n_devices == n_cores()
    yield station
    station._here.close()


def heard(station, until=Done, n=1):
    """What it says, up to the n-th word of a kind."""
    words, end = [], time.monotonic() + LONGEST_SECONDS
    while sum(isinstance(word, until) for word in words) < n:
        assert time.monotonic() < end, words
        words += station.hear(1.0)
        for word in words:
            if isinstance(word, Exception):
                raise word
    return words


def results(words):
    return {word.trial.key: word.result for word in words if isinstance(word, Finished)}


def works(study):
    cohorts = partition(study.resolve(), study.resolve().trials())
    return [Work(7 + number, cohort.trials) for number, cohort in enumerate(cohorts)]


@pytest.fixture(scope="module")
def by_local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    gs.run(tiny(), directory=folder, quiet=True)
    return {result.key: result for result in stored(folder).values()}


def test_its_cores_train_the_numbers_of_a_local_run(by_local):
    first, second = works(tiny())
    with opened(tiny()) as station:
        station.train(first, [second], [])
        words = heard(station)
        station.train(second, [], [])
        words += heard(station)
    own = [w for w in words if not isinstance(w, Finished) and w.work == first.id]
    assert own[0] == Taken(first.id)
    assert own[-1] == Done(first.id)
    assert {t.key for w in own if isinstance(w, Begun) for t in w.trials} == {
        trial.key for trial in first.trials
    }
    found = results(words)
    assert found.keys() == by_local.keys()
    for key, result in found.items():
        assert_same(result, by_local[key])


def test_it_goes_on_from_snapshots_of_all_its_cores():
    """Which are of several runs, each of them after as many updates as it has got."""
    study = tiny({"learning_rate": [0.01, 0.02]}, updates=3000, replicates=2)
    (work,) = works(study)
    with opened(study) as station:
        station.train(work, [], [])
        begun = heard(station, Progress, n=3)
        snapshots = station.snapshots(work.id)
        station.cancel(work.id)
        ended = results(begun + heard(station))
    kept = {key: part for part in snapshots for key in part.meta["keys"]}
    assert kept
    with opened(study) as station:
        found = dict(ended)
        for start in {part.meta["update"] for part in kept.values()}:
            rest = tuple(
                t for t in work.trials
                if t.key in kept and kept[t.key].meta["update"] == start and t.key not in ended
            )  # fmt: skip
            if rest:
                station.train(Work(1, rest, start=start), [], snapshots)
                found |= results(heard(station))
        left = tuple(t for t in work.trials if t.key not in found)
        if left:
            station.train(Work(2, left), [], [])
            found |= results(heard(station))
        station.train(work, [], [])
        whole = results(heard(station))
    assert found.keys() == whole.keys()
    for key, result in found.items():
        assert_same(result, whole[key])


def test_a_work_is_cancelled_from_another_thread_whatever_it_is_about():
    study = tiny({"learning_rate": [0.01, 0.02]}, updates=1_000_000, replicates=2)
    (work,) = works(study)
    with opened(study) as station:
        for number in range(6):
            station.train(Work(number, work.trials), [], [])
            # In training; else before, or while it is compiled.
            words = heard(station, Progress) if number % 2 else []
            ask = threading.Thread(target=station.cancel, args=(number,))
            ask.start()
            ask.join(LONGEST_SECONDS)
            words += [] if Done(number) in words else heard(station)
            assert words[-1] == Done(number)
            assert results(words) == {}


def test_with_care_it_trains_one_at_a_time(by_local):
    first, _ = works(tiny())
    with opened(tiny()) as station:
        station.train(Work(3, first.trials, care=Care.ALONE), [], [])
        words = heard(station)
    assert {len(word.trials) for word in words if isinstance(word, Begun)} == {1}
    for key, result in results(words).items():
        assert_same(result, by_local[key])
