"""Which trials share a program: each once, groups uniform, none that could be merged."""

from collections import Counter
from dataclasses import replace

import pytest
from cohort_tools import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from gridscape.engine.cohorts import partition
from gridscape.grid.trials import content_key

AXES = {
    "hidden_size": [4, 8, 3],
    "learning_rate": [0.1, 0.001],
    "forget_bias": [0.0, 1.0],
    "optimizer": ["adam", "sgd"],
}


@pytest.fixture(scope="module")
def resolved():
    return tiny(AXES, replicates=2).resolve()


@st.composite
def some_trials(draw, resolved):
    """Trials in any order, each with 0, 3 or 6 updates behind it."""
    trials = draw(st.lists(st.sampled_from(resolved.trials()), unique=True, max_size=30))
    progress = {t.key: draw(st.sampled_from([0, 3, 6])) for t in trials if draw(st.booleans())}
    return trials, progress


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_each_trial_once_groups_uniform_and_none_mergeable(resolved, data):
    trials, progress = data.draw(some_trials(resolved))
    cohorts = partition(resolved, trials, progress)
    assert Counter(t for c in cohorts for t in c.trials) == Counter(trials)
    programs = set()
    for cohort in cohorts:
        of_trials = [resolved.recipe(t.cell) for t in cohort.trials]
        statics = {content_key(recipe.static) for recipe in of_trials}
        starts = {progress.get(t.key, 0) for t in cohort.trials}
        assert statics == {content_key(cohort.recipe.static)}
        assert starts == {cohort.start}
        assert list(cohort.hypers) == [recipe.hyper for recipe in of_trials]
        programs.add((*statics, *starts))
    assert len(programs) == len(cohorts)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_order_is_that_of_the_trials(resolved, data):
    trials, _ = data.draw(some_trials(resolved))
    cohorts = partition(resolved, trials)
    firsts = [trials.index(c.trials[0]) for c in cohorts]
    assert firsts == sorted(firsts)
    for cohort in cohorts:
        places = [trials.index(t) for t in cohort.trials]
        assert places == sorted(places)


def test_a_study_is_partitioned_in_the_order_of_its_grid(resolved):
    cohorts = partition(resolved, resolved.trials())
    found = [(c.trials[0].cell["hidden_size"], c.trials[0].cell["optimizer"]) for c in cohorts]
    assert found == [(h, o) for h in AXES["hidden_size"] for o in AXES["optimizer"]]
    assert [len(c.trials) for c in cohorts] == [8] * 6


def test_trials_may_come_from_an_iterator(resolved):
    listed = partition(resolved, resolved.trials())
    assert [c.trials for c in partition(resolved, iter(resolved.trials()))] == [
        c.trials for c in listed
    ]
    assert partition(resolved, []) == []


@given(n_trials=st.integers(1, 48), largest=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_a_cut_loses_no_trial_and_is_balanced(resolved, n_trials, largest):
    trials = tuple(resolved.trials()[:n_trials])
    (first, *_) = partition(resolved, trials)
    cohort = replace(first, trials=trials, hypers=tuple({"n": k} for k in range(n_trials)))
    parts = cohort.cut(largest)
    assert [t for part in parts for t in part.trials] == list(trials)
    assert [h["n"] for part in parts for h in part.hypers] == list(range(n_trials))
    sizes = [len(part.trials) for part in parts]
    assert max(sizes) <= largest
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == -(-n_trials // largest)
    kept = ("recipe", "start", "n_microbatches")
    assert all(getattr(p, name) is getattr(cohort, name) for p in parts for name in kept)


def test_names_follow_from_the_trials_alone(resolved):
    (cohort, *others) = partition(resolved, resolved.trials())
    turned = replace(cohort, trials=cohort.trials[::-1], hypers=cohort.hypers[::-1])
    assert turned.name == cohort.name
    assert len({c.name for c in (cohort, *others)}) == 1 + len(others)
    assert cohort.part(0, 3).name != cohort.name
