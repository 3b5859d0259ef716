"""Who trains what next: parts of equal size, the dearest first, halves for who is idle."""

from collections import Counter
from dataclasses import replace

import pytest
from cohort_tools import tiny

from gridscape.execution.executors import Care, Work
from gridscape.execution.parts import MOST_EACH, PARTS_EACH, PARTS_EACH_OF_GPU, Parts, Seat

TRIALS = tuple(
    tiny({"learning_rate": [0.1 + k / 1e4 for k in range(200)]}, replicates=10).resolve().trials()
)


def work(number, n_trials=160, **values):
    return Work(number, TRIALS[:n_trials], **values)


def seat(number, node="a", **values):
    return Seat(number, node, **values)


def trained(parts, seats, n_workers=None):
    """All that workers of equal speed train, each part ready as soon as it is taken."""
    found = []
    while taken := [(s, t) for s in seats if (t := parts.take(s, n_workers or len(seats)))]:
        for who, (part, _) in taken:
            found.append((who.id, part))
            parts.is_compiled(who, part)
            parts.leave(who)
    return found


def keys(found):
    return Counter(trial.key for _, part in found for trial in part.work.trials)


def test_no_trial_is_lost_or_handed_out_twice():
    parts = Parts()
    for number in range(3):
        parts.add(replace(work(number), trials=TRIALS[number * 400 : (number + 1) * 400]), 1.0, "p")
    found = trained(parts, [seat(k, f"node {k % 2}") for k in range(5)])
    assert keys(found) == Counter(trial.key for trial in TRIALS[:1200])
    assert len({part.work.id for _, part in found}) == len(found)
    assert {part.of for _, part in found} == {0, 1, 2}
    assert not parts


def test_the_dearest_comes_first_and_what_needs_care_last():
    parts = Parts()
    parts.add(work(0, 4, care=Care.FEW), 900.0, "a")
    parts.add(work(1, 4, ahead=False), 500.0, "b")
    parts.add(work(2, 4), 1.0, "c")
    parts.add(work(3, 4), 7.0, "d")
    of = [part.of for _, part in trained(parts, [seat(0)])]
    assert list(dict.fromkeys(of)) == [3, 2, 0, 1]


def test_what_shall_come_first_does_whatever_it_takes():
    parts = Parts()
    parts.add(work(0, 4), 9.0, "a")
    parts.add(work(1, 4, rank=-1), 1.0, "b")
    parts.add(work(2, 4, rank=-1), 2.0, "c")
    parts.add(work(3, 4, rank=-2, care=Care.FEW), 1.0, "d")
    of = [part.of for _, part in trained(parts, [seat(0)])]
    assert list(dict.fromkeys(of)) == [2, 1, 0, 3]


def test_where_somebody_waits_the_very_first_part_is_a_cheap_one():
    parts = Parts(begins_cheap=True)
    for _ in range(2):  # of the next study as well
        for number, cost in enumerate((5.0, 9.0, 1.0)):
            parts.add(work(number), cost, str(number))
        of = [part.of for _, part in trained(parts, [seat(0), seat(1)])]
        assert of[:3] == [2, 1, 1]
        assert set(of) == {0, 1, 2}
        assert not parts
    parts.add(work(0, care=Care.FEW), 9.0, "a")
    parts.add(work(1, care=Care.FEW), 1.0, "b")
    assert parts.take(seat(0), 1)[0].of == 0  # who needs care keeps the order


def test_all_parts_of_a_work_are_for_a_program_of_one_size():
    parts = Parts()
    parts.add(work(0, 330), 1.0, "p")
    found = trained(parts, [seat(0), seat(1)])
    (n_sharing,) = {part.work.n_sharing for _, part in found}
    assert n_sharing == max(len(part.work.trials) for _, part in found)


def test_the_parts_of_a_work_share_a_program_and_are_small_enough_to_balance():
    parts = Parts()
    parts.add(work(0, 330), 1.0, "p")
    sizes = [len(part.work.trials) for _, part in trained(parts, [seat(0), seat(1)])]
    assert max(sizes) <= 1 + 330 / (2 * PARTS_EACH)
    assert max(sizes) - min(sizes) <= 1 + max(sizes) // 2  # halves at the very end


def test_tiny_trials_are_not_cut_smaller_than_pays():
    """What a part takes beside its trials is to be little, but every worker gets one."""
    for part_cost, n_parts in ((1000.0, 3), (0.25, 3 * PARTS_EACH), (2.0, 15)):
        parts = Parts()
        parts.add(work(0, 300), 1.0, "p", part_cost)
        found = trained(parts, [seat(k) for k in range(3)])
        assert abs(len(found) - n_parts) <= 3 + n_parts // 4


def test_a_part_is_no_larger_than_a_program():
    parts = Parts()
    parts.add(work(0, 2000), 1.0, "p")
    parts.add(work(1, 1), 1e9, "q")
    found = trained(parts, [seat(0, n_devices=2)])
    assert max(len(part.work.trials) for _, part in found) <= 2 * MOST_EACH


def test_a_gpu_gets_few_parts():
    parts = Parts()
    parts.add(work(0, 2000), 1.0, "p")
    found = trained(parts, [seat(0, is_batched=True)])
    assert len(found) <= 2 * PARTS_EACH_OF_GPU


def test_each_device_gets_a_trial_of_a_part():
    parts = Parts()
    parts.add(work(0, 8), 1.0, "p")
    assert [len(p.work.trials) for _, p in trained(parts, [seat(0, n_devices=4)], 100)] == [4, 4]


def test_two_workers_of_a_node_do_not_compile_the_same_program():
    parts = Parts()
    parts.add(work(0), 9.0, "wide")
    parts.add(work(1), 1.0, "narrow")
    one, other, third, elsewhere = seat(0), seat(1), seat(2), seat(3, "b")
    assert parts.take(one, 4)[0].program == "wide"
    assert parts.take(other, 4)[0].program == "narrow"
    assert parts.take(third, 4) is None  # it will read what they compile
    assert parts.take(elsewhere, 4)[0].program == "wide"
    first, _ = parts.take(one, 4)
    parts.is_compiled(one, first)
    assert parts.take(third, 4)[0].program == "wide"


def test_a_worker_that_is_lost_while_it_compiles_keeps_nobody_waiting():
    parts = Parts()
    parts.add(work(0), 1.0, "p")
    part, reserve = parts.take(seat(0), 2)
    assert parts.take(seat(1), 2) is None
    parts.free(seat(0))
    parts.again(part)
    found = trained(parts, [seat(1)])
    assert keys(found) == Counter(trial.key for trial in TRIALS[:160])
    assert found[0][1].work.trials == part.work.trials  # first, and by another id
    assert found[0][1].work.id not in (part.work.id, reserve.work.id)


def test_who_is_idle_takes_half_of_a_reserve():
    parts = Parts()
    parts.add(work(0, 32), 1.0, "p")
    parts.add(work(1, 1), 1e6, "q")
    one, other = seat(0), seat(1)
    assert parts.take(one, 1)[0].of == 1
    # All of the second work is one part: in reserve of the first worker, until another is idle.
    (half, _) = parts.take(other, 2)
    assert len(half.work.trials) == 16
    parts.is_compiled(other, half)
    rest, _ = parts.take(one, 2)
    assert set(rest.work.trials) | set(half.work.trials) == set(TRIALS[:32])
    assert rest.work.id != half.work.id


def test_what_is_cancelled_is_not_handed_out():
    parts = Parts()
    parts.add(work(0), 2.0, "p")
    parts.add(work(1), 1.0, "q")
    part, reserve = parts.take(seat(0), 1)
    assert part.of == reserve.of == 0
    parts.again(part)
    assert parts.has(0)
    parts.drop(0)
    assert not parts.has(0)
    assert parts.has(1)
    assert {p.of for _, p in trained(parts, [seat(0)])} == {1}


@pytest.mark.parametrize("n_workers", [1, 3, 64])
def test_workers_of_equal_speed_end_at_about_the_same_time(n_workers):
    """By costs alone: dearest first, what the last one idles is small."""
    parts = Parts()
    for number, cost in enumerate((64.0, 16.0, 4.0, 1.0)):
        parts.add(work(number, 2000), cost, f"p{number}")
    seats = [seat(k, f"node {k}") for k in range(n_workers)]
    free = dict.fromkeys(range(n_workers), 0.0)
    while parts:
        who = min(free, key=free.get)
        taken = parts.take(seats[who], n_workers)
        if taken is None:
            break
        part, _ = taken
        parts.is_compiled(seats[who], part)
        free[who] += part.cost * len(part.work.trials)
    assert sum(free.values()) == 2000 * 85
    assert max(free.values()) <= 1.05 * 2000 * 85 / n_workers
