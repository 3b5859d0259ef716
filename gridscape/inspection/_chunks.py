"""A function at all test examples, chunk by chunk."""

from collections.abc import Callable, Iterator
from typing import Any

import jax

from gridscape.base.data import Split
from gridscape.base.task import Task
from gridscape.models.precision import float32_products

# Examples that are looked at at once: the activations of all layers, and the patches of one.
CHUNK = 100


def over_chunks(look: Callable[[Split], Any], task: Task) -> Iterator[Any]:
    """``look`` at each chunk of the test set, compiled."""
    compiled = jax.jit(float32_products()(look))
    for begin in range(0, task.test.n_examples, CHUNK):
        yield compiled(jax.tree.map(lambda x, b=begin: x[b : b + CHUNK], task.test))
