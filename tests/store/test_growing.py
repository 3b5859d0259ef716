"""A results folder grows by new values, replicates and tasks."""

import pytest
from stored import STUDY, contents, put, study

from gridscape.errors import StoreError
from gridscape.grid.trials import Status
from gridscape.store.store import Store


def test_axes_and_replicates_grow(tmp_path):
    put(tmp_path, "a1")
    larger = study(
        axes={"learning_rate": [0.1, 1.0], "hidden_size": [8, 64, 16]},
        replicates=5,
        title="A better title",
    )
    with Store.create(tmp_path, larger) as store:
        assert store.study["axes"] == {
            "hidden_size": [8, 16, 32, 64],
            "learning_rate": [0.01, 0.1, 1.0],
        }
        assert list(store.study["axes"]) == ["hidden_size", "learning_rate"]
        assert (store.study["replicates"], store.study["title"]) == (5, "A better title")
        assert store.statuses() == {"a1": Status.FINISHED}
        grown = store.study
    with Store.create(tmp_path, study()) as store:
        assert store.study == {**grown, "title": STUDY["title"]}
    with Store.read(tmp_path) as store:
        assert store.study["replicates"] == 5


@pytest.mark.parametrize(
    ("stored", "asked", "merged"),
    [
        ([1, 2], [3, 0.5], [0.5, 1, 2, 3]),
        ([2, 1], [3], [2, 1, 3]),
        (["lstm", "gru"], ["a", "gru"], ["lstm", "gru", "a"]),
        ([True], [False], [True, False]),
        ([1, 2], ["all", 0], [1, 2, "all", 0]),
    ],
)
def test_order_of_merged_values(tmp_path, stored, asked, merged):
    with Store.create(tmp_path, study(axes={"x": stored})):
        pass
    with Store.create(tmp_path, study(axes={"x": asked})) as store:
        assert store.study["axes"]["x"] == merged


def test_a_further_task_may_tell_other_kinds_of_examples_apart(tmp_path):
    def longest(length):
        kinds = list(range(3, length + 1))
        groups = {"groups": ["length", kinds], "groups_of": [[{"longest": length}, kinds]]}
        return study(axes={"longest": [length]}, **groups)

    for length in (5, 4):
        with Store.create(tmp_path, longest(length)):
            pass
    with Store.read(tmp_path) as store:
        assert store.study["axes"] == {"longest": [4, 5]}
        assert store.study["groups"] == ["length", [3, 4, 5]]
        assert store.study["groups_of"] == [[{"longest": 5}, [3, 4, 5]], [{"longest": 4}, [3, 4]]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 2}, "seed differs (expected 2, found 1)"),
        ({"name": "other"}, 'name differs (expected "other", found "tiny")'),
        ({"task": {"name": "digits"}}, "task.validation differs (expected nothing, found 0.1)"),
        ({"new": "y" * 99}, f'new differs (expected "{"y" * 56}..., found nothing)'),
        (
            {"axes": {"hidden_size": [16]}},
            'axes differs (expected ["hidden_size"], found ["hidden_size", "learning_rate"])',
        ),
    ],
)
def test_results_of_another_study(tmp_path, changes, message):
    put(tmp_path, "a1")
    before = contents(tmp_path)
    with pytest.raises(StoreError) as caught:
        Store.create(tmp_path, study(**changes))
    assert f"{tmp_path}: holds results of another study: {message}; " in str(caught.value)
    assert "--dir" in caught.value.hint
    assert contents(tmp_path) == before
