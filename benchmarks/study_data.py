"""What PyTorch's loops need of a study: settings as plain values, examples as arrays."""

from typing import Any

import jax
import numpy as np

from gridscape.base.data import Split, Stream
from gridscape.base.task import Task
from gridscape.grid.axes import Cell
from gridscape.study.study import ResolvedStudy


def settings_of(resolved: ResolvedStudy, cell: Cell) -> dict[str, Any]:
    """All numbers and names that a network of this cell is trained by."""
    recipe = resolved.recipe(cell)
    optimizer = recipe.static["optimizer"]
    return {**recipe.hyper, "optimizer": optimizer, "batch_size": recipe.batch_size, **cell}


def examples_of(task: Task) -> dict[str, list[np.ndarray]]:
    """Inputs as a model reads them, then the parts of the targets: of "train", "test", "sample".

    sample: as many training examples as the test set has, for the final numbers of training.
    train: () where examples are drawn without end.
    """
    n_test = task.test.n_examples
    return {
        "train": [] if isinstance(task.train, Stream) else _arrays(task, task.train),
        "test": _arrays(task, task.test),
        "sample": [part[:n_test] for part in _arrays(task, task.train_examples)],
    }


def _arrays(task: Task, split: Split) -> list[np.ndarray]:
    parts = [task.prepare(split.inputs), *jax.tree.leaves(split.targets)]
    return [np.array(part) for part in parts]
