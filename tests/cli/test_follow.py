"""What a follower of a run counts and tells."""

from pathlib import Path

from printing import finished, started

from gridscape.cli._follow import Follower
from gridscape.execution.executors import Finished
from gridscape.grid.trials import Status, TrialResult


def test_a_follower_counts_what_ended_and_tells_why_the_first_one_failed():
    follower, event = Follower(), started()
    follower(event)
    trial = event.todo[0]
    result = TrialResult(trial.key, Status.FAILED, 0, {}, {}, 0.0, 0, 0.0, 0, reason="Oops: no")
    follower(Finished(trial, result))
    follower(finished(event.todo[1]))
    assert follower.n_ended == 2
    assert follower.directory == Path("nowhere")
    assert "with 2 of 8 networks done" in follower.kept()
    assert follower.failures().startswith("1 network failed")
    assert "hidden_size=4, learning_rate=0.001, replicate 0: Oops: no" in follower.failures()
