"""Whether a model, a loss and a task fit together, found by shapes alone."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.data import Sequences, Split, Stream
from gridscape.base.foreign import of_others
from gridscape.base.parts import Model
from gridscape.base.shapes import batch_of, dimensions, given, lettered, prepared, told
from gridscape.base.state import STATE, parted
from gridscape.base.task import Task
from gridscape.base.types import Hyper
from gridscape.errors import GridscapeError, ModelError, UsageError, one_line, short
from gridscape.grid.size import in_words
from gridscape.identity.memo import Memo
from gridscape.study.parts import Loss

MOST_BYTES = 2**48  # of parameters, far beyond what any machine has
DRAWN = 7  # examples of a batch that is drawn to see its shapes


def check_fit(model: Model, hyper: Hyper, loss: Loss, task: Task, memo: Memo | None = None) -> None:
    """Raise unless model, loss, metrics, answer and groups fit the task, found by shapes alone.

    ModelError where the outputs are not (B, C), or (B, T, C) of a task per step; UsageError where
    another function does not give one number per example, (B,): a mean over the examples would run
    over the padding of the evaluation as well. memo: keeps what was found of a function.
    """
    memo = memo or Memo()
    train, test = _training_examples(task), task.test
    _check_on(train, f"task {task.name}", model, hyper, loss, task, memo)
    if dimensions(train) != dimensions(test):  # longer sequences, which not every part can read
        _check_on(test, f"task {task.name}, test sequences", model, hyper, loss, task, memo)
    if model.check_inputs is not None:
        memo.of(_check_inputs, model.check_inputs, task)


def check_batch(model: Model, hyper: Hyper, task: Task, batch_size: int) -> None:
    """Raise ModelError where a model with state cannot be trained on batches of this size."""
    if model.training is None:
        return
    where = f"task {task.name}, batch_size {batch_size}"
    inputs = prepared(task.prepare, _training_examples(task).inputs, where)
    numbers = {name: jax.ShapeDtypeStruct((), jnp.float32) for name in hyper}
    key = _key_shape()
    try:
        with of_others():
            params = jax.eval_shape(model.init, key, numbers)
            _trained(model, params, batch_of(batch_size, inputs), key, numbers)
    except GridscapeError:
        raise
    except Exception as error:  # a user's model may raise anything
        raise ModelError(
            "the model raises an error in training", where=where, found=one_line(error)
        ) from error


def _check_inputs(check: Callable[[Any], None], task: Task) -> None:
    """Have a model look at the least and the largest of every input, over all examples."""
    splits = (task.train_examples, task.test, task.validation)
    ends = [_ends(split.inputs) for split in splits if split is not None]
    both: Any = np.stack([np.min(ends, axis=(0, 1)), np.max(ends, axis=(0, 1))])
    inputs = task.train_examples.inputs
    if isinstance(inputs, Sequences):
        n_steps = inputs.shape[1]
        steps = np.repeat(both, n_steps, axis=1)
        both = Sequences(steps, np.full(2, n_steps, np.int32))
    check(task.prepare(both))


def _ends(inputs: Any) -> np.ndarray:
    """The least and the largest of every input, (2, ...); of Sequences over their steps, too."""
    if isinstance(inputs, Sequences):
        steps = inputs.cleared().steps
        return np.stack([f(steps, axis=(0, 1))[None] for f in (np.min, np.max)])
    return np.stack([f(inputs, axis=0) for f in (np.min, np.max)])


def _training_examples(task: Task) -> Split:
    """Examples as they are trained on, or their shapes where they are drawn."""
    train, where = task.train, f"task {task.name}, train.draw"
    if not isinstance(train, Stream):
        return train
    key = _key_shape()
    try:
        with of_others():
            drawn = jax.eval_shape(lambda key: train.draw(key, DRAWN), key)
    except Exception as error:  # a user's function may raise anything
        raise UsageError("no batch is drawn", where=where, found=one_line(error)) from error
    if not isinstance(drawn, Split) or any(x.shape[:1] != (DRAWN,) for x in jax.tree.leaves(drawn)):
        expected = "a Split of (B, ...)"
        raise UsageError("no batch is drawn", where=where, expected=expected, found=short(drawn))
    return drawn


def _check_on(
    examples: Split,
    where: str,
    model: Model,
    hyper: Hyper,
    loss: Loss,
    task: Task,
    memo: Memo,
) -> None:
    inputs = prepared(task.prepare, examples.inputs, where)
    # More than any other dimension, so that (C, B) is not taken for (B, C), nor a feature for B.
    n_examples = 1 + max(task.n_outputs, *task.input_shape, *dimensions(examples, inputs))
    batch = batch_of(n_examples, Split(inputs, examples.targets))
    outputs = _outputs(model, hyper, task, batch.inputs, where)
    for asked in _per_example(loss, task, outputs, batch.targets):
        _check_per_example(asked, n_examples, where, memo)


def _key_shape() -> Any:
    return jax.eval_shape(lambda: jax.random.key(0))


def _outputs(model: Model, hyper: Hyper, task: Task, inputs: Any, where: str) -> Any:
    """The shape of a model's outputs; raises ModelError where it is not what the task needs."""
    n_examples = inputs.shape[0]
    expected = (n_examples, *inputs.shape[1 : 1 + task.per_step], task.n_outputs)
    numbers = {name: jax.ShapeDtypeStruct((), jnp.float32) for name in hyper}
    key = _key_shape()
    try:
        with of_others():
            params = jax.eval_shape(model.init, key, numbers)
            trained = _trained(model, params, inputs, key, numbers)
            outputs = [trained, jax.eval_shape(model.apply, params, inputs, None, numbers)]
    except GridscapeError:
        raise
    except Exception as error:  # a user's model may raise anything
        if isinstance(inputs, Sequences):
            raise _not_reading(where, error) from error
        raise ModelError(
            "the model raises an error",
            where=where,
            found=one_line(error),
            hint=f"it is given inputs of shape {lettered(inputs.shape, n_examples)}, and the"
            f" hyperparameters {', '.join(hyper)}",
        ) from error
    _check_parameters(parted(model.training, params)[0])
    _check_size(params)
    for found in outputs:
        if getattr(found, "shape", None) != expected:
            raise ModelError(
                "the model's output does not fit the task",
                where=where,
                expected=f"shape {lettered(expected, n_examples)}",
                found=f"shape {lettered(found.shape, n_examples)}"
                if hasattr(found, "shape")
                else type(found).__name__,
                hint='the task needs an output at every step: returns = "every"'
                if task.per_step
                else None,
            )
    return outputs[-1]


def _check_size(params: Any) -> None:
    """Raise ModelError for more parameters than any memory holds: XLA would end the process."""
    n_bytes = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(params))
    if n_bytes > MOST_BYTES:
        raise ModelError(
            "the model is too large",
            expected=f"parameters of at most {MOST_BYTES:,} bytes",
            found=in_words(n_bytes),
        )


def _not_reading(where: str, error: Exception) -> ModelError:
    return ModelError(
        "the model does not read sequences of different lengths",
        where=where,
        found=one_line(error)[:100],
        hint="take lstm, gru or rnn; a model of yours is given inputs.steps (B, T, D) and"
        " inputs.lengths (B,)",
    )


def _trained(model: Model, params: Any, *given: Any) -> Any:
    """The shape of the outputs in training; raises ModelError for a state that is no such."""
    if model.training is None:
        return jax.eval_shape(model.apply, params, *given)
    if not isinstance(params, dict) or STATE not in params:
        raise ModelError(
            "a model with training has no state",
            where="what init returns",
            expected=f"a dict of parameters, with what training gives anew under {STATE!r}",
            found=type(params).__name__ if not isinstance(params, dict) else ", ".join(params),
        )
    found = jax.eval_shape(model.training, params, *given)
    if not isinstance(found, tuple) or len(found) != 2:
        expected = "(outputs, state)"
        raise ModelError("training gives no state", expected=expected, found=type(found).__name__)
    before, after = (_told_leaves(tree) for tree in (params[STATE], found[1]))
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            raise ModelError(
                "training gives another state than it is given",
                where=f"{STATE}/{name}".rstrip("/"),
                expected=before.get(name, "nothing"),
                found=after.get(name, "nothing"),
            )
    return found[0]


def _told_leaves(tree: Any) -> dict[str, str]:
    """Type and shape of each array, by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    name = partial(jax.tree_util.keystr, simple=True, separator="/")
    return {name(path): f"{leaf.dtype} {list(leaf.shape)}" for path, leaf in leaves}


def _check_parameters(params: Any) -> None:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not leaves:
        raise ModelError("the model has no parameters", expected="a pytree of arrays")
    for path, leaf in leaves:
        if leaf.dtype != jnp.float32:
            is_number = jnp.issubdtype(leaf.dtype, jnp.floating)
            raise ModelError(
                "a parameter that cannot be trained",
                where=jax.tree_util.keystr(path, simple=True, separator="/") or "params",
                expected="a float32 array",
                found=leaf.dtype,
                hint=None if is_number else "keep it in a closure, out of what init returns",
            )


# The types of a number per example, by the word for it.
KINDS = {
    "float": (jnp.floating,),
    "number": (jnp.floating, jnp.integer, jnp.bool_),
    "whole number": (jnp.integer,),
}


class PerExample(NamedTuple):
    """A function that is to give one number per example: a key of KINDS."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    number: str
    of_mean: Callable[..., Any] | None = None
    of_set: Callable[..., Any] | None = None


def _per_example(loss: Loss, task: Task, outputs: Any, targets: Any) -> Iterator[PerExample]:
    both = (outputs, targets)
    yield PerExample("the loss", loss, both, "float")
    for name, metric in task.measured.items():
        makers = metric.of_mean, metric.of_set
        yield PerExample(f"the metric {name!r}", metric.function, both, "number", *makers)
    if task.answer is not None:
        yield PerExample("the task's answer", task.answer, both, "whole number")
    if task.groups is not None:
        kind = f"the kind of example {task.groups.name!r}"
        yield PerExample(kind, task.groups.of, (targets,), "whole number")


def _check_per_example(asked: PerExample, n_examples: int, where: str, memo: Memo) -> None:
    what, expected = f"{asked.name} does not fit the task", f"one {asked.number} per example, (B,)"
    try:
        with of_others():
            found = memo.of(given, asked.function, *asked.arguments)
    except Exception as error:  # a user's function may raise anything
        raise UsageError(what, where=where, expected=expected, found=one_line(error)) from error
    if asked.of_mean is not None or asked.of_set is not None:
        _check_of_all(asked, found, n_examples, where, memo)
        return
    shape, kinds = getattr(found, "shape", None), KINDS[asked.number]
    if shape != (n_examples,) or not any(jnp.issubdtype(found.dtype, kind) for kind in kinds):
        raise UsageError(
            what,
            where=where,
            expected=expected,
            found=told(found, n_examples),
            hint=_hint(shape, n_examples),
        )


def _check_of_all(asked: PerExample, found: Any, n_examples: int, where: str, memo: Memo) -> None:
    """Raise UsageError unless a metric makes one number of what examples have, or of its mean."""
    what = f"{asked.name} does not fit the task"
    if getattr(found, "shape", ())[:1] != (n_examples,):
        expected, shape = "an array of each example, (B, ...)", told(found, n_examples)
        raise UsageError(what, where=where, expected=expected, found=shape)
    expected, counted = "one float, ()", jax.ShapeDtypeStruct((n_examples,), jnp.bool_)
    mean = jax.ShapeDtypeStruct(found.shape[1:], jnp.float32)
    name, made = ("of_mean", (mean,)) if asked.of_mean else ("of_set", (found, counted))
    where, function = f"{where}, {name}", asked.of_mean or asked.of_set
    assert function is not None  # who calls has asked
    try:
        with of_others():
            number = memo.of(given, function, *made)
    except Exception as error:  # a user's function may raise anything
        raise UsageError(what, where=where, expected=expected, found=one_line(error)) from error
    if getattr(number, "shape", None) != () or not jnp.issubdtype(number.dtype, jnp.floating):
        raise UsageError(what, where=where, expected=expected, found=told(number, n_examples))


def _hint(shape: tuple[int, ...] | None, n_examples: int) -> str | None:
    """What to do about a shape that is not (B,)."""
    if shape is None or shape == (n_examples,):
        return None
    if shape[:1] == (n_examples,):
        return "take the mean over all dimensions but the first"
    if n_examples not in shape:
        return "leave out the mean over the examples: Gridscape takes it"
    return "the examples come first"
