"""A stored trial trained again, alone: the same bits, or a difference that is told."""

from dataclasses import replace

import pytest
from cohort_tools import tiny

from gridscape.errors import UsageError
from gridscape.execution.replay import replay
from gridscape.sweep import run


def test_replay_is_identical(tmp_path):
    run(tiny(), directory=tmp_path)
    again = replay(tmp_path, {"hidden_size": 8, "learning_rate": 0.1}, replicate=1)
    assert again.identical
    assert set(again.differences().values()) == {0.0}


def test_replay_tells_a_difference(tmp_path):
    run(tiny(), directory=tmp_path)
    found = replay(tmp_path, {"hidden_size": 8, "learning_rate": 0.1})
    metrics = {**found.again.metrics, "test_loss": found.again.metrics["test_loss"] + 0.5}
    changed = replace(found, again=replace(found.again, metrics=metrics))
    assert not changed.identical
    assert changed.differences()["test_loss"] == pytest.approx(0.5)


def test_replay_of_what_is_not_there(tmp_path):
    run(tiny(), directory=tmp_path)
    with pytest.raises(UsageError, match="no cell has hidden_size=9"):
        replay(tmp_path, {"hidden_size": 9, "learning_rate": 0.1})
    with pytest.raises(UsageError, match="replicate"):
        replay(tmp_path, {"hidden_size": 8, "learning_rate": 0.1}, replicate=7)
