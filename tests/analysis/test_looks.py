"""Looking again does not raise the error, and costs little power."""

import numpy as np
import pytest
from scipy import special

from gridscape.analysis.looks import Looks
from gridscape.errors import UsageError

LOOKS = Looks.up_to(20)
N_WORLDS = 40_000


def p_values(values, numbers):
    """(looks, worlds, cells) two-sided p values of Student's t over the first n of (w, c, n)."""
    found = []
    for n in numbers:
        x = values[..., :n]
        t = x.mean(axis=-1) / (x.std(axis=-1, ddof=1) / np.sqrt(n))
        found.append(2 * special.stdtr(n - 1, -np.abs(t)))
    return np.array(found)


def levels(looks, of=1):
    return np.array([looks.level(n).each(of) for n in looks.numbers])


def share(events):
    """A share of worlds with the standard error of its simulation."""
    return events.mean(), np.sqrt(events.mean() * (1 - events.mean()) / len(events))


@pytest.mark.parametrize("noise", ["normal", "t3"])
def test_false_verdicts_over_all_looks(noise):
    rng = np.random.default_rng(1)
    shape = (N_WORLDS, 1, 20)
    values = rng.normal(size=shape) if noise == "normal" else rng.standard_t(3, shape)
    p = p_values(values, LOOKS.numbers)[..., 0]
    false, error = share((p <= levels(LOOKS)[:, None]).any(axis=0))
    assert false - 3 * error <= 0.05  # spent whole, so that half of all seeds lie above
    assert false > 0.02  # it is not idle either
    each, error = share((p <= 0.05).any(axis=0))
    assert each - 3 * error > 0.12  # what looking again costs without control


def test_cells_that_the_data_choose_to_look_at_again():
    """Eight rivals of equal truth, each tested at a eighth; only the open ones get replicates.

    Who is decided at a look gets no more, and is tested again beside the others with what it has:
    a statement is false where any rival is ever found different.
    """
    rng = np.random.default_rng(2)
    values = rng.normal(size=(N_WORLDS // 2, 8, 20))
    p = p_values(values, LOOKS.numbers)
    has = np.zeros(p.shape[1:], int)  # at which look a rival got its last replicates
    false = np.zeros(len(values), bool)
    for k, level in enumerate(levels(LOOKS, 8)):
        tempting = p[max(k - 1, 0)] < 0.5  # the data choose who is looked at, too
        has = np.where(tempting | (k == 0), k, has)
        now = np.take_along_axis(p, has[None], axis=0)[0]
        fresh = has == k
        false |= ((now <= level) & fresh).any(axis=1)
    found, error = share(false)
    assert found - 3 * error <= 0.05


def test_a_difference_is_found_with_fewer_replicates():
    """Of two standard deviations: with power above .95 and half of the replicates."""
    rng = np.random.default_rng(3)
    p = p_values(rng.normal(2.0, 1.0, size=(4000, 1, 20)), LOOKS.numbers)[..., 0]
    decided = p <= levels(LOOKS)[:, None]
    at = np.where(decided.any(axis=0), decided.argmax(axis=0), len(LOOKS.numbers) - 1)
    assert decided.any(axis=0).mean() > 0.99
    assert np.array(LOOKS.numbers)[at].mean() < 10


@pytest.mark.parametrize(
    ("most", "first", "numbers"),
    [
        (20, 1, (3, 5, 8, 12, 16, 20)),
        (10, 3, (3, 5, 8, 10)),
        (20, 6, (6, 8, 12, 16, 20)),
        (3, 3, (3,)),
        (40, 20, (20, 25, 31, 38, 40)),
    ],
)
def test_levels_grow_and_add_up_to_what_looks_share(most, first, numbers):
    """Of many tests, each of which has next to nothing, to what would hold without any sharing."""
    looks = Looks.up_to(most, first)
    assert looks.numbers == numbers
    assert (np.diff(levels(looks)) > 0).all()
    one, ten, many = (of * levels(looks, of).sum() for of in (1, 10, 5000))
    assert 0.1 > one >= ten >= many == pytest.approx(0.05)
    assert (one > 0.055) == (len(numbers) > 1)
    assert looks.level(numbers[0]).each() == Looks.up_to(most, first).level(numbers[0]).each()


@pytest.mark.parametrize(("most", "first"), [(2, 1), (0, 1), (4, 5)])
def test_no_room_for_a_look(most, first):
    with pytest.raises(UsageError, match="expected at least"):
        Looks.up_to(most, first)
