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
    yield from map(compiled, chunks(task))


def chunks(task: Task) -> Iterator[Split]:
    """The test set, chunk by chunk."""
    for part in slices(task.test.n_examples):
        yield jax.tree.map(lambda x, part=part: x[part], task.test)


def slices(n_examples: int) -> Iterator[slice]:
    """So many examples in chunks, equal ones if possible: the odd one is compiled for itself."""
    size = next((n for n in range(CHUNK, CHUNK // 2, -1) if n_examples % n == 0), CHUNK)
    return (slice(begin, begin + size) for begin in range(0, n_examples, size))
