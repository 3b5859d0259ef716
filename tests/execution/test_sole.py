"""The executor of this process: order, what is compiled ahead, snapshots, cancelling, closing."""

from itertools import takewhile

import pytest
from cohort_tools import planner_of, tiny

from gridscape.engine.cohorts import partition
from gridscape.errors import UsageError
from gridscape.execution.executors import Begun, Care, Done, Finished, Progress, Taken, Work
from gridscape.execution.planner import Planner
from gridscape.execution.sole import Sole


def no_snapshot(keys):
    raise AssertionError("none of these works goes on")


@pytest.fixture
def works():
    """Three works of one study, each of a program of its own."""
    resolved = tiny({"hidden_size": [3, 4, 5]}).resolve()
    cohorts = partition(resolved, resolved.trials())
    return resolved, [Work(number, cohort.trials) for number, cohort in enumerate(cohorts)]


@pytest.fixture
def opened(works):
    resolved, todo = works
    local = Sole()
    local.open(resolved)
    for work in todo:
        local.submit(work, no_snapshot)
    yield local
    local.close()


def names(events):
    return [type(event).__name__ for event in events]


def until(events, kind):
    """The next event of a kind."""
    return next(event for event in events if isinstance(event, kind))


def test_works_are_trained_one_after_the_other_and_told_from_taken_to_done(opened, works):
    events = list(opened.events())
    of_works = [event.work for event in events if not isinstance(event, Finished)]
    assert of_works == sorted(of_works)
    for work in works[1]:
        told = [e for e in events if isinstance(e, Finished) or e.work == work.id]
        ended = [e.trial for e in told if isinstance(e, Finished) and e.trial in work.trials]
        assert ended == list(work.trials)
        others = names(e for e in told if not isinstance(e, Finished))
        assert others[:2] == ["Taken", "Begun"]
        assert set(others[2:-1]) == {"Progress"}
        assert others[-1] == "Done"


def test_the_next_programs_are_compiled_while_one_trains_unless_they_are_to_wait(
    monkeypatch, works
):
    resolved, (first, second, third) = works
    begun = []
    monkeypatch.setattr(
        Planner,
        "begin",
        lambda self, cohorts: begun.append([c.trials[0].cell["hidden_size"] for c in cohorts]),
    )
    monkeypatch.setattr("gridscape.execution.sole.PROGRAMS_AHEAD", 1)
    local = Sole()
    local.open(resolved)
    for work in (first, second, Work(third.id, third.trials, ahead=False)):
        local.submit(work, no_snapshot)
    list(local.events())
    local.close()
    assert begun == [[3, 4], [4], []]


def test_snapshots_are_those_of_the_work_that_trains(opened, works):
    events, (first, *_) = opened.events(), works[1]
    until(events, Begun)
    assert list(opened.snapshots(first.id)) == []
    progress = until(events, Progress)
    (snapshot,) = opened.snapshots(first.id)
    assert snapshot.meta["update"] == progress.update
    assert snapshot.meta["keys"] == [trial.key for trial in first.trials]
    assert list(opened.snapshots(first.id + 1)) == []
    until(events, Done)
    assert list(opened.snapshots(first.id)) == []


def test_a_cancelled_work_ends_after_its_segment_and_one_that_waits_is_not_taken(opened):
    events = opened.events()
    until(events, Progress)
    opened.cancel(0)
    opened.cancel(1)
    told = [*takewhile(lambda event: event != Taken(2), events)]
    assert told == [Done(0), Done(1)]
    assert names(events)[-1] == "Done"


def test_works_that_are_submitted_meanwhile_come_last(opened, works):
    events = opened.events()
    until(events, Taken)
    opened.submit(Work(9, works[1][0].trials), no_snapshot)
    assert [event.work for event in events if isinstance(event, Done)] == [0, 1, 2, 9]


@pytest.mark.parametrize(
    ("care", "sizes", "n_microbatches"),
    [
        (Care.NONE, [4], 1),
        (Care.FEW, [2, 2], 1),
        (Care.ALONE, [1] * 4, 1),
        (Care.IN_MICROBATCHES, [1] * 4, 10),
    ],
)
def test_after_deaths_runs_are_smaller(care, sizes, n_microbatches):
    planner = planner_of(tiny({"learning_rate": [0.01, 0.1]}))
    local = Sole()
    local.open(planner.resolved)
    local.submit(Work(0, tuple(planner.resolved.trials()), care=care), no_snapshot)
    begun = []
    for event in local.events():
        if isinstance(event, Begun):
            begun.append(len(event.trials))
        if isinstance(event, Progress):
            assert local._worker._running.cohort.n_microbatches == n_microbatches
    local.close()
    assert begun == sizes


def test_it_says_when_it_is_not_open_and_opens_again(works):
    resolved, todo = works
    local = Sole()
    with pytest.raises(UsageError, match="Local: the executor is not open"):
        local.room()
    for _ in range(2):
        local.open(resolved)
        local.submit(todo[0], no_snapshot)
        assert names(local.events())[-1] == "Done"
        local.close()
        local.close()
