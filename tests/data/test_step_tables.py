"""Tables whose rows are steps: a column names the sequence of each, of any length."""

import warnings

import numpy as np
import pandas as pd
import pytest

from gridscape.base.task import Task
from gridscape.errors import GridscapeError

N = 40


def visits():
    """Forty people of 1 to 9 minutes: a pulse, a posture, and a finding for each person."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 10, N)
    pulse = rng.normal(60, 10, lengths.sum())
    starts = np.cumsum(lengths) - lengths
    mean = np.add.reduceat(pulse, starts) / lengths
    return pd.DataFrame(
        {
            "person": np.repeat([f"p{i}" for i in range(N)], lengths),
            "minute": np.concatenate([np.arange(n) for n in lengths]),
            "pulse": pulse,
            "posture": rng.choice(["sit", "stand"], len(pulse)),
            "clinic": np.repeat(np.arange(N) % 8, lengths),
            "sick": np.repeat(np.where(mean > 60, "yes", "no"), lengths),
        }
    )


def task_of(table, target="sick", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Task.from_table(
            table, target, **{"sequence": "person", "drop": ["minute", "clinic"], **options}
        )


def splits_of(task):
    return [split for split in (task.train, task.validation, task.test) if split is not None]


def test_rows_of_one_sequence_are_its_steps():
    table = visits()
    task = task_of(table)
    assert task.input_shape == (9, 3)
    assert task.classes == ("no", "yes")
    assert not task.per_step
    splits = splits_of(task)
    assert sum(split.n_examples for split in splits) == N
    lengths = np.concatenate([split.inputs.lengths for split in splits])
    assert sorted(lengths) == sorted(table.groupby("person").size())
    for split in splits:
        assert not split.inputs.steps[~split.inputs.is_step].any()


def test_scaled_by_the_steps_of_the_training_part():
    task = task_of(visits())
    there = task.train.inputs.steps[task.train.inputs.is_step].astype(np.float64)
    # The pulse is the first feature; float32 of some 150 steps.
    assert there[:, 0].mean() == pytest.approx(0, abs=1e-6)
    assert there[:, 0].std() == pytest.approx(1, abs=1e-6)
    assert set(there[:, 1:].ravel()) == {0, 1}


def test_steps_are_in_the_order_of_time_or_as_they_stand():
    table = visits()
    shuffled = table.sample(frac=1, random_state=0)
    people = pd.Categorical(shuffled["person"], table["person"].unique())
    # Whose rows come first decides the order of the examples, not of their steps.
    by_person = shuffled.iloc[np.argsort(people.codes, kind="stable")]
    expected = task_of(table, "sick")
    ordered = task_of(by_person, "sick", time="minute")
    np.testing.assert_array_equal(ordered.train.inputs.steps, expected.train.inputs.steps)
    assert ordered.fingerprint == expected.fingerprint
    assert task_of(by_person).fingerprint != expected.fingerprint
    assert not expected.divided_by


def test_a_target_that_changes_within_a_sequence_is_one_for_each_step():
    table = visits().drop(columns="sick")
    table["level"] = np.where(table["pulse"] > 60, "high", "low")
    task = task_of(table, "level")
    assert task.per_step
    assert task.classes == ("high", "low")
    for split in splits_of(task):
        pulse = split.inputs.steps[split.inputs.is_step][:, 0]
        level = split.targets.steps[split.targets.is_step]
        assert pulse[level == 0].min() > pulse[level == 1].max()


@pytest.mark.parametrize("every_step", [False, True])
def test_numbers_are_predicted_as_well(every_step):
    table = visits().drop(columns="sick")
    of_person = table.groupby("person")["pulse"].transform("sum")
    table["load"] = table["pulse"] * 2 if every_step else of_person
    task = task_of(table, "load", unit="beats", predict="numbers")
    assert task.per_step == every_step
    assert task.meanings["rmse"].unit == "beats"
    there = task.train.targets
    there = there.steps[there.is_step] if every_step else there
    assert there.mean() == pytest.approx(0, abs=1e-6)
    assert there.std() == pytest.approx(1, abs=1e-6)


def test_a_sequence_is_whole_in_one_part():
    table = visits()
    by_group = task_of(table, group="clinic")
    sizes = {n.n_examples for n in splits_of(by_group)}
    assert all(size % 5 == 0 for size in sizes), "whole clinics of five people"
    assert by_group.divided_by == "group"
    number = table["person"].str[1:].astype(int)
    table["part"] = np.where(number < 30, "train", "test")
    told = task_of(table, split="part")
    assert (told.train.n_examples, told.test.n_examples) == (30, 10)


WRONG = {
    "no such column": ({"sequence": "persn"}, "did you mean 'person'?"),
    "a window": ({"window": 3}, "sequence: not with a window"),
    "a shape": ({"shape": [3, 1]}, "shape: not with sequences"),
    "two ways to split": ({"split": "part", "group": "clinic"}, "two ways to split"),
    "a sequence in two parts": ({"split": "part"}, "split: a sequence with several values"),
    "a sequence in two groups": ({"group": "minute"}, "group: a sequence with several values"),
    "no column of that name": ({"sequence": ""}, "sequence: unknown column ''"),
    "several sequences": ({"sequence": ["person"]}, "sequence: wrong type"),
    "several groups": ({"group": ["clinic"]}, "group: wrong type"),
    "a number to drop": ({"drop": 5}, "drop: wrong type"),
    "a time of texts": ({"time": "posture"}, "time, column 'posture': not a column of times"),
    "a cell that holds a list": ({"features": ["pulse", "notes"]}, "cells that hold several value"),
    "the target among the inputs": ({"features": ["pulse", "sick"]}, "among the inputs"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_told_in_one_line(name):
    options, told = WRONG[name]
    table = visits().assign(part=lambda t: np.where(t["minute"] < 1, "train", "test"))
    table["notes"] = ["-"] * (len(table) - 1) + [[1, 2]]
    options = {"features": ["pulse", "posture"], **options}
    if "split" in options and "group" in options:
        table["part"] = "train"
    with pytest.raises(GridscapeError) as caught:
        task_of(table, **{"drop": [], **options})
    text = str(caught.value)
    assert told in text
    assert "\n" not in text
    assert len(text) <= 300


def test_a_step_without_its_sequence_is_told():
    table = visits()
    table.loc[3, "person"] = None
    with pytest.raises(GridscapeError, match="missing values: 1 in 'person'"):
        task_of(table)


@pytest.mark.parametrize("column", ["person", "minute", "clinic", "part"])
def test_what_orders_and_splits_steps_is_never_filled(column):
    table = visits()
    table["part"] = np.where(table["clinic"] < 6, "train", "test")
    table["minute"] = table["minute"].astype(float)
    split = {"split": "part"} if column == "part" else {"group": "clinic"}
    options = {"time": "minute", "missing": "fill", "drop": ["part", "clinic", "minute"], **split}
    holed = table.copy()
    holed[column] = holed[column].where(np.arange(len(table)) != 3, None)
    task, expected = task_of(holed, **options), task_of(table.drop(3), **options)
    assert task.fingerprint == expected.fingerprint
    assert f"missing values (1 in '{column}'): 1 rows left out" in task.told


@pytest.mark.parametrize("window", [None, 3])
def test_a_time_is_never_filled(window):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"at": np.arange(60.0), "x": rng.normal(size=60), "y": rng.random(60)})
    table.loc[3, "at"] = np.nan
    options = {"time": "at", "window": window, "missing": "fill", "sequence": None, "drop": []}
    task = task_of(table, "y", **options)
    assert task.fingerprint == task_of(table.drop(3), "y", **options).fingerprint
    assert any("'at'" in line for line in task.told)
    table["at"] = "noon"
    with pytest.raises(GridscapeError, match="not a column of times"):
        task_of(table, "y", **options)


def test_no_column_to_drop_is_none():
    assert task_of(visits(), drop=None).input_shape == task_of(visits(), drop=[]).input_shape


def test_what_is_odd_is_told_with_the_task():
    table = visits().assign(still=1.0, findings=lambda t: np.where(t["sick"] == "yes", "+", "-"))
    table.attrs["told"] = ("read with a comma",)
    told = task_of(table).told
    assert told[0] == "constant columns, which tell nothing: 'still'"
    assert "read with a comma" in told
    assert "the target is among the inputs: column 'findings' tells every class" in told
