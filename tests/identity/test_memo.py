"""What is found out about functions is kept by one resolved study, and by no other."""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import pytest
from cohort_tools import tiny

from gridscape.base.parts import Model
from gridscape.engine.trial import state_shapes
from gridscape.identity import memo as memo_module
from gridscape.identity.memo import Memo, key_of


def recipe_of(resolved):
    return resolved.recipe(resolved.study.grid.cells()[0])


def test_a_second_study_leaves_what_the_first_one_has_found_out():
    first = tiny().resolve()
    shapes = state_shapes(recipe_of(first))
    second = tiny().resolve()
    assert state_shapes(recipe_of(first)) is shapes
    assert state_shapes(recipe_of(second)) is not shapes


def test_a_changed_object_is_another_to_the_next_study():
    width = [4]
    model = Model(
        lambda key, hyper: {"w": jnp.zeros((64, width[0])), "v": jnp.zeros((width[0], 10))},
        lambda params, x, key, hyper: x.reshape(len(x), -1) @ params["w"] @ params["v"],
    )

    def resolved():
        return tiny({"learning_rate": [0.1]}, model=lambda input_shape, n_outputs: model).resolve()

    first = resolved()
    assert state_shapes(recipe_of(first)).params["w"].shape == (64, 4)
    width[0] = 6
    assert state_shapes(recipe_of(resolved())).params["w"].shape == (64, 6)
    assert state_shapes(recipe_of(first)).params["w"].shape == (64, 4)


def test_a_memo_keeps_the_latest_only(monkeypatch):
    monkeypatch.setattr(memo_module, "MOST_KEPT", 2)
    asked, memo = Counter(), Memo()

    def twice(number):
        asked.update([number])
        return 2 * number

    assert [memo.of(twice, number) for number in (1, 2, 1, 3, 1)] == [2, 4, 2, 6, 2]
    assert asked == {1: 2, 2: 1, 3: 1}  # 3 took the place of 1


class Text(str):
    """A text that holds more than its letters."""


class Loss(dict):
    """Calls itself equal to any other that holds as little."""

    def __init__(self, power):
        self.power = power

    def __call__(self, outputs, targets):
        return (outputs**self.power).sum(axis=-1)


@dataclass(frozen=True, slots=True)
class Pair:
    x: float
    y: float


@dataclass(frozen=True)
class Open:
    x: float
    y: float


@dataclass(slots=True)
class Changeable:
    x: float
    y: float


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize("make", [lambda: Text("a"), lambda: Loss(2)], ids=["text", "mapping"])
def test_what_derives_from_plain_data_is_told_apart_as_an_object(make):
    one, other = make(), make()
    assert one == other
    assert key_of(one) == key_of(one)
    assert key_of(one) != key_of(other)
    assert key_of((1, one)) != key_of((1, other))


def test_plain_data_is_told_apart_by_what_it_holds():
    assert key_of(Point(1, 2)) == key_of(Point(1, 2)) != key_of((1, 2))
    assert key_of({"a": [1, "b"]}) == key_of({"a": [1, "b"]})
    assert key_of(Pair(1, 2)) == key_of(Pair(1, 2)) != key_of(Point(1, 2))
    assert key_of(Pair(1, 2)) != key_of(Pair(1, 2.0))
    for kind in (Open, Changeable):  # may hold more, or something else later
        assert key_of(kind(1, 2)) != key_of(kind(1, 2))
