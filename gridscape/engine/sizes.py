"""Sizes of states and parameters, in bytes and numbers."""

import math
from typing import Any

import jax
import numpy as np

from gridscape.base.state import parted
from gridscape.engine.trial import state_shapes
from gridscape.study.study import Recipe


def tree_bytes(tree: Any) -> int:
    """Bytes of the arrays of a pytree."""
    leaves = jax.tree.leaves(tree)
    return sum(math.prod(x.shape) * np.dtype(x.dtype).itemsize for x in leaves)


def count_parameters(recipe: Recipe) -> int:
    """Numbers that are optimized; state beside them is none."""
    params, _ = parted(recipe.model.training, state_shapes(recipe).params)
    return sum(math.prod(x.shape) for x in jax.tree.leaves(params))
