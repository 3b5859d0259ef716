"""The split of a replicate: which examples of a task it trains on, chooses by and is tested on.

Bouthillier et al. 2021, "Accounting for variance in machine learning benchmarks": how the examples
were divided is often the largest part of the luck of a result.
"""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from gridscape.base.data import Split, Stream
from gridscape.base.samples import balanced_order
from gridscape.base.task import Task
from gridscape.engine.machine import kinds_of
from gridscape.engine.order import seed_words
from gridscape.errors import UsageError


def split_of(task: Task, seed: int, replicate: int) -> Task:
    """The task with the split of a replicate, the same one for all cells; functions stay the same.

    Of fixed arrays, training, validation and test examples are drawn anew from all of them
    together: as many of each as before, every class (and kind) with its share in each. Of a stream,
    the fixed sets are drawn by another seed.
    """
    number = int(seed_words(seed, replicate, "split")[0])
    parts = _redrawn(task, number) if isinstance(task.train, Stream) else _divided(task, number)
    # Of equal shapes and functions, so checked already; data of this size takes long to hash.
    return replace(task, **parts, fingerprint=f"{task.fingerprint}/{number}")


def _redrawn(task: Task, number: int) -> dict[str, Any]:
    """The fixed sets of a stream, by another seed; raises UsageError for other sizes."""
    assert isinstance(task.train, Stream)
    assert task.redraw is not None  # a study without is refused
    fresh = task.redraw(number)
    sizes = [_sizes(one) if isinstance(one, Task) else type(one).__name__ for one in (task, fresh)]
    if sizes[0] != sizes[1]:
        raise UsageError(
            "redraw gives another task",
            where=f"task {task.name}",
            expected=f"sets of {sizes[0]}",
            found=sizes[1],
        )
    train = Stream(task.train.draw, fresh.train_examples)
    return {"train": train, "test": fresh.test, "validation": fresh.validation}


def _sizes(task: Task) -> str:
    splits = {"train": task.train_examples, "test": task.test, "validation": task.validation}
    return ", ".join(f"{split.n_examples} {n}" for n, split in splits.items() if split)


def _divided(task: Task, number: int) -> dict[str, Any]:
    """Training, validation and test examples anew, each in the order in which they lie in all."""
    given = {"test": task.test, "validation": task.validation, "train": task.train_examples}
    there = {name: split for name, split in given.items() if split is not None}
    everything = jax.tree.map(lambda *x: np.concatenate(x), *there.values())
    # Every first part of this order has each class with its share, so every stretch has.
    order = balanced_order(kinds_of(task, everything), number)
    bounds = np.cumsum([split.n_examples for split in there.values()])[:-1]
    rows = map(np.sort, np.split(order, bounds))
    return {name: _rows(everything, chosen) for name, chosen in zip(there, rows, strict=True)}


def _rows(examples: Split, chosen: np.ndarray) -> Any:
    return jax.tree.map(lambda x: x[chosen], examples)
