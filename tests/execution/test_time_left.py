"""How long a run still takes, from operations, speed and the programs to come."""

import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import tiny

from gridscape.engine.cohorts import partition
from gridscape.execution.time_left import TimeLeft


def time_left(**values):
    # Two programs of two trials, 100 updates each; the second one's updates cost ten times more.
    return TimeLeft(
        flops=np.array([1.0, 1.0, 10.0, 10.0]),
        program=np.array([0, 0, 1, 1]),
        left=np.full(4, 100),
        now=0.0,
        **values,
    )


ALIVE = np.array([True, True])


def test_nothing_is_told_before_there_is_something_to_tell_it_by():
    clock = time_left()
    assert clock.seconds(1.0) is None
    clock.advance(np.array([0, 1]), 99, ALIVE, 5.0)
    clock.advance(np.array([0, 1]), 98, ALIVE, 5.1)
    assert clock.seconds(5.1) is None
    assert clock.updates_per_second is None


def test_time_left_follows_from_operations_speed_and_the_programs_to_come():
    clock = time_left()
    clock.advance(np.array([0, 1]), 99, ALIVE, 5.0)  # ready after 5 s
    clock.advance(np.array([0, 1]), 49, ALIVE, 10.0)  # 50 updates each in 5 s
    assert clock.updates_per_second == pytest.approx(20)
    # 98 operations and 2,000 more at 20 a second, and 5 s until the second program is ready.
    assert clock.seconds(10.0) == pytest.approx(98 / 20 + 2000 / 20 + 5)
    assert clock.share_done == pytest.approx(1 - 2098 / 2200)


def test_waiting_for_a_program_counts_down_and_its_speed_is_its_own():
    clock = time_left()
    clock.advance(np.array([0, 1]), 99, ALIVE, 5.0)
    clock.advance(np.array([0, 1]), 0, ALIVE, 14.9)
    for trial in (0, 1):
        clock.end(trial, 15.0)
    assert clock.seconds(15.0) - clock.seconds(17.0) == pytest.approx(2)
    clock.advance(np.array([2, 3]), 99, ALIVE, 20.0)
    assert clock.updates_per_second is None
    clock.advance(np.array([2, 3]), 59, ALIVE, 22.0)  # 800 operations in 2 s
    assert clock.seconds(22.0) == pytest.approx(2 * 59 * 10 / 400)


def test_a_run_that_ends_while_another_trains_stops_no_clock():
    clock = time_left()
    clock.advance(np.array([0, 1]), 99, ALIVE, 5.0)
    clock.advance(np.array([2, 3]), 99, ALIVE, 6.0)  # its program is ready, too
    clock.advance(np.array([0, 1]), 0, ALIVE, 7.0)
    speed = clock.updates_per_second
    for trial in (0, 1):
        clock.end(trial, 7.0, is_idle=False)
    clock.advance(np.array([2, 3]), 89, ALIVE, 8.0)
    assert speed is not None
    assert clock.updates_per_second == pytest.approx((2 * 99 + 2 * 1 + 2 * 10) / 3)
    # 20 operations of 1 update each, and 198 and 200 more, in 3 s; nothing is to get ready.
    assert clock.seconds(8.0) == pytest.approx(2 * 89 * 10 / ((198 + 20 + 200) / 3))


def test_a_diverged_trial_is_no_work_done_and_none_to_do():
    clock = time_left()
    clock.advance(np.array([0, 1]), 99, ALIVE, 5.0)
    clock.advance(np.array([0, 1]), 89, np.array([True, False]), 6.0)
    assert clock.updates_per_second == pytest.approx(10)
    assert clock.left.tolist() == [89, 0, 100, 100]


def test_old_speeds_are_forgotten():
    clock = time_left()
    for second in range(20):  # 1 update a second, then 4
        left = 99 - second if second < 10 else 90 - 4 * (second - 9)
        clock.advance(np.array([0, 1]), left, ALIVE, 5.0 + second)
    assert clock.updates_per_second == pytest.approx(8)


def test_a_run_with_nothing_to_do_is_done():
    clock = TimeLeft(np.zeros(2), np.array([-1, -1]), np.zeros(2), 0.0)
    assert clock.share_done == 1.0
    assert clock.seconds(1.0) is None


def test_a_model_that_raises_counts_nothing_and_the_others_count():
    def init(key, hyper):
        return {"w": jnp.zeros((64, 10))}

    def apply(params, inputs, key, hyper):
        if len(inputs) == 10:  # the batch size of training
            raise RuntimeError("no such layer")
        return inputs @ params["w"]

    axes = {"batch_size": [10, 12], "learning_rate": [0.01]}
    resolved = tiny(axes, task="digits-flat", model=(init, apply)).resolve()
    trials = resolved.trials()
    clock = TimeLeft.of(partition(resolved, trials), trials.index, len(trials), 0.0)
    counted = {
        trial.cell["batch_size"]: f > 0 for trial, f in zip(trials, clock.flops, strict=True)
    }
    assert counted == {10: False, 12: True}
