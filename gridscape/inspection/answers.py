"""Which class a network answers: mistakes and confusion."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.data import Sequences, Split
from gridscape.base.task import Task
from gridscape.base.types import Array, Hyper, Params
from gridscape.engine.known import KeptFunction
from gridscape.errors import UsageError
from gridscape.inspection._chunks import chunks
from gridscape.inspection.records import Confusion, Example, Mistakes
from gridscape.models.precision import float32_products
from gridscape.study.study import Recipe


class Answers(NamedTuple):
    """Of every test example, (N,); mass: what the probabilities of its classes sum to."""

    truths: Any
    answers: Any
    losses: Any
    probabilities: Any
    mass: Any

    @property
    def is_right(self) -> Any:
        """Which examples are answered as they should be: (N,)."""
        return self.answers == self.truths

    @property
    def known(self) -> bool:
        """Whether the loss tells probabilities: those of all classes sum to 1."""
        return bool(np.allclose(self.mass, 1, atol=1e-3))


def mistakes(
    recipe: Recipe, task: Task, params: Params, *, n_wrong: int = 10, n_right: int = 10
) -> Mistakes:
    """The mistakes with the largest loss, and the first correct examples, of the test set.

    Raises UsageError for a task without classes.
    """
    return mistakes_among(all_answers(recipe, task, params), task, n_wrong=n_wrong, n_right=n_right)


def mistakes_among(seen: Answers, task: Task, *, n_wrong: int = 10, n_right: int = 10) -> Mistakes:
    """As ``mistakes``, of answers that are there already."""
    wrong, right = (np.flatnonzero(seen.is_right == value) for value in (False, True))
    worst = wrong[np.argsort(-seen.losses[wrong], kind="stable")]

    names = task.class_names

    def example(index: int) -> Example:
        answer = int(seen.answers[index])
        return Example(
            index=index,
            truth=int(seen.truths[index]),
            answer=answer,
            probability=float(seen.probabilities[index]) if seen.known else None,
            loss=float(seen.losses[index]),
            inputs=np.asarray(_input(task.test.inputs, index)),
            names=(names[int(seen.truths[index])], names[int(seen.answers[index])]),
            is_sequence=isinstance(task.test.inputs, Sequences),
        )

    return Mistakes(
        wrong=tuple(example(int(i)) for i in worst[:n_wrong]),
        right=tuple(example(int(i)) for i in right[:n_right]),
        n_wrong=len(wrong),
        n_examples=task.test.n_examples,
    )


def _input(inputs: Any, index: int) -> Any:
    return inputs.alone(index) if isinstance(inputs, Sequences) else inputs[index]


def confusion(recipe: Recipe, task: Task, params: Params) -> Confusion:
    """How often each class is answered for each; raises UsageError for a task without classes."""
    return confusion_among(all_answers(recipe, task, params), task)


def confusion_among(seen: Answers, task: Task) -> Confusion:
    """As ``confusion``, of answers that are there already."""
    counts = np.zeros((task.n_outputs, task.n_outputs), np.int64)
    np.add.at(counts, (seen.truths, seen.answers), 1)
    return Confusion(counts, task.classes)


def all_answers(recipe: Recipe, task: Task, params: Params) -> Answers:
    """What a network answers to each test example; raises UsageError for a task without classes."""
    answer = task.answer
    if answer is None:
        raise UsageError(
            "no classes to be mistaken for one another",
            where=f"task {task.name}",
            hint="look at samples instead",
        )

    truths = truth_of(task, task.test.targets)
    functions = recipe.model.apply, recipe.loss, task.prepare, answer, task.truth
    # Networks that have these functions share a program.
    look = recipe.memo.of(_looking, *functions, task.n_outputs)
    hyper = {name: jnp.float32(value) for name, value in recipe.hyper.items()}
    parts = [jax.device_get(look(params, hyper, chunk)) for chunk in chunks(task)]
    found = jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
    return Answers(np.asarray(truths), *found)


def _looking(
    apply: Callable[..., Array],
    loss: Callable[[Array, Any], Array],
    prepare: Callable[[Any], Any],
    answer: Callable[[Array, Any], Array],
    truth: Callable[[Any], Any],
    n_outputs: int,
) -> Callable[[Params, Hyper, Split], tuple[Array, ...]]:
    """Answers, losses, probabilities and their mass, of a batch."""

    @float32_products()
    def look(params: Params, hyper: Hyper, batch: Split) -> tuple[Array, ...]:
        outputs = apply(params, prepare(batch.inputs), None, hyper)
        answers = answer(outputs, batch.targets)
        losses = loss(outputs, batch.targets)

        # A loss is the negative log probability of a class where exp(-loss) sums to 1 over them.
        def probability(label: Array) -> Array:
            return jnp.exp(-loss(outputs, with_truth(truth, batch.targets, label)))

        classes = jnp.arange(n_outputs, dtype=answers.dtype)
        mass = jax.vmap(lambda c: probability(jnp.full_like(answers, c)))(classes).sum(axis=0)
        return answers, losses, probability(answers), mass

    return KeptFunction(look, _looking, apply, loss, prepare, answer, truth, n_outputs)


def truth_of(task: Task, targets: Any) -> Any:
    """What is right, of targets (B, ...); raises UsageError where the task does not tell."""
    found = task.truth(targets)
    if not isinstance(found, np.ndarray | jax.Array):
        raise UsageError(
            "nothing tells which of the targets is the right answer",
            where=f"task {task.name}",
            found=type(found).__name__,
            hint="give the task truth=lambda targets: ...",
        )
    return found


def with_truth(truth: Callable[[Any], Any], targets: Any, labels: Array) -> Any:
    """The targets with other classes as what is right; as they are where none of them is that."""
    right = truth(targets)
    return jax.tree.map(lambda part: labels if part is right else part, targets)
