"""What is found out about functions is kept by one resolved study, and by no other."""

from collections import Counter

import jax.numpy as jnp
from cohort_tools import tiny

from gridscape.base.parts import Model
from gridscape.engine.trial import state_shapes
from gridscape.identity import memo as memo_module
from gridscape.identity.memo import Memo


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
