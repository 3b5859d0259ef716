"""Test sequences with what is right and what a network answers."""

from typing import Any

import jax
import numpy as np

from gridscape.base.data import Sequences
from gridscape.base.task import Task
from gridscape.base.types import Array, Params
from gridscape.inspection.answers import truth_of
from gridscape.inspection.records import Sample
from gridscape.models.precision import float32_products
from gridscape.study.study import Recipe
from gridscape.tasks.losses import Bits


def samples(
    recipe: Recipe, task: Task, params: Params, *, per_group: int = 3, answers: Any = None
) -> tuple[Sample, ...]:
    """The first test sequences of each group, with what is right and what the network answers.

    A task without classes answers 1 above 0; of a class for each step, the largest output is the
    answer. Without groups, the first ``per_group`` of all. answers: to all test examples, where
    they are known already.
    """
    rows, of_group = _first_of_groups(task, per_group)
    inputs, targets = jax.tree.map(lambda x: x[rows], task.test)
    every_step = isinstance(targets, Sequences)

    @jax.jit
    @float32_products()
    def answered(inputs: Array, targets: Any) -> Array:
        outputs = recipe.model.apply(params, task.prepare(inputs), None, recipe.hyper)
        if every_step:
            return outputs.argmax(axis=-1)
        return outputs[..., 0] > 0 if task.answer is None else task.answer(outputs, targets)

    answers = answered(inputs, targets) if answers is None else answers[rows]
    answers = np.asarray(answers).astype(int)
    truths = np.asarray(truth_of(task, targets))
    steps = _n_steps(task, targets, inputs)
    inputs = inputs.steps if isinstance(inputs, Sequences) else inputs
    if every_step and task.classes:
        truths, answers = (np.asarray(task.classes)[found] for found in (truths, answers))
    return tuple(
        Sample(
            index=int(row),
            group=of_group[k],
            inputs=inputs[k, : steps[k]],
            truth=truths[k, : steps[k]] if truths.ndim > 1 else truths[k],
            answer=answers[k, : steps[k]] if answers.ndim > 1 else answers[k],
            of_bits=isinstance(targets, Bits),
        )
        for k, row in enumerate(rows)
    )


def _first_of_groups(task: Task, per_group: int) -> tuple[np.ndarray, list[int | None]]:
    """The rows of the test set that are shown, and the group of each."""
    if task.groups is None:
        rows = np.arange(min(per_group, task.test.n_examples))
        return rows, [None] * len(rows)
    of = np.asarray(task.groups.of(task.test.targets))
    firsts = [np.flatnonzero(of == g)[:per_group] for g in range(len(task.groups.values))]
    rows = np.concatenate(firsts)
    return rows, [task.groups.values[g] for g in of[rows]]


def _n_steps(task: Task, targets: Any, inputs: Any) -> np.ndarray:
    """The steps of each sequence without its padding: (N,)."""
    if isinstance(inputs, Sequences):
        return np.asarray(inputs.lengths)
    if task.n_steps is None:
        return np.full(len(inputs), inputs.shape[1])
    return np.asarray(task.n_steps(targets))
