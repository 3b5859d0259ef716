"""The tests' own checks are in force."""

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

from gridscape.engine.order import data_order
from gridscape.models.recurrent import lstm_layer


def test_wrong_shapes_are_refused() -> None:
    kernel, inputs = jnp.zeros((3 + 2, 4 * 2)), jnp.zeros((6, 1, 3))
    assert lstm_layer(kernel, jnp.zeros(8), inputs).shape == (1, 2)
    with pytest.raises(TypeCheckError):
        lstm_layer(kernel, jnp.zeros(9), inputs)
    with pytest.raises(TypeCheckError):
        lstm_layer(kernel, jnp.zeros(8), inputs[0])


def test_other_types_are_left_to_mypy() -> None:
    assert data_order(0, 0, 10, 5, 0, jnp.asarray(2)).shape == (2, 5)


def test_ranks_are_not_promoted() -> None:
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.zeros(3) - jnp.zeros((3, 1))


def test_there_are_two_devices() -> None:
    assert len(jax.local_devices()) == 2
