"""The interfaces of Gridscape. Read this file first.

One legend of dimension letters for the whole package:

    N  examples of a split        B  examples of a batch      C  outputs (classes)
    T  time steps of a sequence   D  features of one step     H  hidden units
    K  trials of a cohort         U  updates of a segment     E  evaluation points
    R  replicates

Models, tasks and optimizers are small tuples of pure functions written for ONE trial; the engine
adds the trial dimension K. Traced hyperparameters reach them as ``hyper``, a mapping from name to
number, so that a new value never compiles anything again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Self, TypeVar, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gridscape._abstract import prepared
from gridscape._arrays import check_splits, classified
from gridscape._checks import check_numbers, check_whole
from gridscape._identity import code_identity as code_identity
from gridscape._identity import fingerprint as fingerprint
from gridscape._names import check_task_names
from gridscape.errors import DataCorruptError, UsageError

Array = jax.Array
Key = jax.Array
Params = Any  # a pytree of arrays
Hyper = Mapping[str, Any]  # name -> number, which may be traced
F = TypeVar("F", bound=Callable[..., Any])


class Model(NamedTuple):
    """A network, as two pure functions.

    ``init(key, hyper)`` returns the parameters, a pytree of arrays.
    ``apply(params, inputs, key, hyper)`` maps inputs (B, *input_shape) to outputs (B, C), or to
    (B, T, C) where the task asks for an answer at every step; ``key`` is None when the model is
    evaluated (no dropout then).
    ``hyperparameters`` names the traced numbers that the two read, with their defaults; a factory
    of models declares them with the decorator of that name instead.
    """

    init: Callable[[Key, Hyper], Params]
    apply: Callable[[Params, Array, Key | None, Hyper], Array]
    hyperparameters: Mapping[str, float] = {}


def hyperparameters(**defaults: float) -> Callable[[F], F]:
    """Declare the traced numbers that the models of a factory read, with their defaults."""

    def declare(factory: F) -> F:
        factory.hyperparameters = defaults  # type: ignore[attr-defined]
        return factory

    return declare


class Optimizer(NamedTuple):
    """An update rule whose numbers may be traced.

    ``make(hyper)`` returns an optax transformation; ``hyperparameters`` names the numbers that it
    reads, with their defaults.
    """

    make: Callable[[Hyper], optax.GradientTransformation]
    hyperparameters: Mapping[str, float]


class Split(NamedTuple):
    """Examples and their targets, as NumPy arrays or on a device.

    inputs: (N, ...), uint8 as stored (kept so on the device) or float32.
    targets: (N,), int32 class labels, or whatever the loss and the metrics of the task read: a
        pytree of arrays (N, ...).
    """

    inputs: Any
    targets: Any

    @property
    def n_examples(self) -> int:
        """N."""
        return len(self.inputs)


class Stream(NamedTuple):
    """Training examples without end, made on the device.

    ``draw(key, batch_size)`` returns a fresh batch; it is traced by JAX, batch_size static.
    ``sample`` holds fixed examples of the same kind, on which train metrics are computed.
    """

    draw: Callable[[Key, int], Split]
    sample: Split


class Groups(NamedTuple):
    """Kinds of examples for which every metric is also told apart, as the length of a sequence.

    ``of(targets)`` gives the kind of each example, (B,), as an index into ``values``.
    """

    name: str
    values: tuple[int, ...]
    of: Callable[[Any], Array]


def cross_entropy(outputs: Array, targets: Array) -> Array:
    """Softmax cross-entropy of each example in nats: (B, C), (B,) -> (B,)."""
    # The target's output is chosen by a sum: a gather, whose gradient scatters, takes longer than
    # all else here.
    shifted = outputs - jax.lax.stop_gradient(outputs.max(axis=-1, keepdims=True))
    is_target = jax.nn.one_hot(targets, outputs.shape[-1], dtype=bool)
    of_target = jnp.where(is_target, shifted, 0).sum(axis=-1)
    of_target = jnp.where(is_target.any(axis=-1), of_target, jnp.nan)  # no such class
    return jnp.log(jnp.exp(shifted).sum(axis=-1)) - of_target


def accuracy(outputs: Array, targets: Array) -> Array:
    """1.0 where the largest output is the target, else 0.0: (B, C), (B,) -> (B,)."""
    return (jnp.argmax(outputs, axis=-1) == targets).astype(jnp.float32)


def top_class(outputs: Array, targets: Any) -> Array:
    """The class that each example is given: (B, C) -> (B,)."""
    return jnp.argmax(outputs, axis=-1)


def as_float(inputs: Array) -> Array:
    """Stored inputs as the model reads them: uint8 pixels become fractions in [0, 1]."""
    if inputs.dtype == jnp.uint8:
        return inputs.astype(jnp.float32) / 255
    return inputs


@dataclass(frozen=True, eq=False)
class Task:
    """Data, loss and metrics.

    ``train`` holds the examples, or draws fresh ones without end.
    ``prepare`` maps stored inputs (B, ...) to what the model reads, (B, *input_shape), float32.
    ``loss(outputs, targets)`` and every entry of ``metrics`` give one number per example, (B,),
        not its mean; a study may choose another loss. Shapes are checked before anything trains.
    ``per_step``: the model answers at every step, (B, T, n_outputs), instead of once, (B,
        n_outputs). Test sequences may then be longer than those of the training.
    ``answer(outputs, targets)`` gives the class of each example, (B,), by which a network that
        answers one class is found; None where there are no classes.
    ``groups`` tells the test metrics apart by a kind of example.
    ``fingerprint`` is a hash of all that determines the task; it is part of every trial's key.

    The inputs and targets of all splits, and of a stream's sample, have the same types and shapes,
    but for N. Raises UsageError or DataCorruptError for what cannot be a task.
    """

    name: str
    train: Split | Stream
    test: Split
    input_shape: tuple[int, ...]
    n_outputs: int
    fingerprint: str
    prepare: Callable[[Array], Array] = as_float
    loss: Callable[[Array, Any], Array] = cross_entropy
    metrics: Mapping[str, Callable[[Array, Any], Array]] = field(
        default_factory=lambda: {"accuracy": accuracy}
    )
    validation: Split | None = None
    per_step: bool = False
    answer: Callable[[Array, Any], Array] | None = top_class
    groups: Groups | None = None

    def __post_init__(self) -> None:
        where = f"task {self.name}"
        _check_types(self, where)
        object.__setattr__(self, "n_outputs", _whole(self.n_outputs))
        check_task_names(self.metrics, self.groups and self.groups.name, where)
        splits = {"train": self.train_examples, "test": self.test, "validation": self.validation}
        check_splits(where, {name: split for name, split in splits.items() if split is not None})
        shape = prepared(self.prepare, self.train_examples.inputs, where).shape[1:]
        if isinstance(self.train, Split) and shape != tuple(self.input_shape):
            raise UsageError(
                "prepare gives another shape", where=where, expected=self.input_shape, found=shape
            )

    @property
    def train_examples(self) -> Split:
        """The training examples, or the fixed sample of those that are drawn."""
        return self.train.sample if isinstance(self.train, Stream) else self.train

    @classmethod
    def from_arrays(
        cls,
        train: tuple[Any, Any],
        test: tuple[Any, Any],
        *,
        name: str = "arrays",
        n_outputs: int | None = None,
        validation: tuple[Any, Any] | None = None,
        prepare: Callable[[Array], Array] = as_float,
    ) -> Self:
        """A classification task from arrays (inputs (N, ...), labels (N,) from 0).

        uint8 inputs are read as fractions of 255; others are converted to float32. Raises
        DataCorruptError where lengths differ, a split is empty, labels are no whole numbers in
        [0, n_outputs), an input is masked or not a finite number, or splits are of different kinds;
        UsageError where an input is no more than one number, (N,): inputs[:, None] has a feature.

        >>> task = Task.from_arrays(([[0.0], [1.0]], [0, 1]), ([[0.5]], [1]))
        >>> task.input_shape, task.n_outputs
        ((1,), 2)
        """
        given = {"train": train, "test": test, "validation": validation}
        if validation is None:
            del given["validation"]
        splits = {name: Split(*classified(name, pair)) for name, pair in given.items()}
        top = max(int(split.targets.max()) for split in splits.values()) + 1
        n_outputs = top if n_outputs is None else _whole(n_outputs)
        if top > n_outputs:
            raise DataCorruptError(
                "label out of range", where=name, expected=f"0 to {n_outputs - 1}", found=top - 1
            )
        shape = prepared(prepare, splits["train"].inputs, name).shape[1:]
        return cls(
            name=name,
            train=splits["train"],
            test=splits["test"],
            validation=splits.get("validation"),
            input_shape=shape,
            n_outputs=n_outputs,
            fingerprint=fingerprint(name, n_outputs, code_identity(prepare), *splits.values()),
            prepare=prepare,
        )


def _whole(n_outputs: Any) -> int:
    """A number of outputs, from 1; NumPy's becomes Python's."""
    found = n_outputs.item() if isinstance(n_outputs, np.integer) else n_outputs
    check_whole(n_outputs=found)
    return int(found)


def _check_types(task: Task, where: str) -> None:
    """Raise UsageError for a part of a task that is of another type than it must be."""
    train, groups, metrics = task.train, task.groups, task.metrics
    parts: list[tuple[str, Any, Any]] = [
        ("train", train, Split | Stream),
        ("test", task.test, Split),
        ("validation", task.validation, Split | None),
        ("input_shape", task.input_shape, tuple | list),
        ("prepare", task.prepare, Callable),
        ("loss", task.loss, Callable),
        ("metrics", metrics, Mapping),
        ("answer", task.answer, Callable | None),
        ("groups", groups, Groups | None),
    ]
    if isinstance(train, Stream):
        parts += [("train.draw", train.draw, Callable), ("train.sample", train.sample, Split)]
    if isinstance(groups, Groups):
        parts += [
            ("groups.of", groups.of, Callable),
            ("groups.values", groups.values, tuple | list),
        ]
    if isinstance(metrics, Mapping):
        parts += [(f"metric {name!r}", metric, Callable) for name, metric in metrics.items()]
    for name, part, kind in parts:
        if not isinstance(part, kind):
            kinds = [one.__name__ for one in get_args(kind) or (kind,)]
            raise UsageError(
                "wrong type",
                where=f"{where}, {name}",
                expected=" or ".join(kinds).replace("NoneType", "None"),
                found=type(part).__name__,
            )
    check_numbers(f"{where}, input_shape", task.input_shape, low=1)
    if groups is not None:
        check_numbers(f"{where}, groups.values", groups.values, once=True)


class Status(StrEnum):
    """How a trial ended. MISSING marks one that has not ended yet."""

    FINISHED = "finished"
    DIVERGED = "diverged"
    FAILED = "failed"
    OUT_OF_MEMORY = "out_of_memory"
    MISSING = "missing"


@dataclass(frozen=True)
class TrialResult:
    """Everything that is stored of one trial.

    metrics: final numbers, by name: test_loss, test_accuracy, train_loss, train_accuracy (over
        the test set and over as many training examples), top_answer_share (the largest share of
        test examples that get one and the same answer: 1.0 is a collapsed network; only where the
        task has answers).
    curves: ``train_loss`` and ``train_accuracy`` of the batches, averaged over each stretch that
        ends at ``recorded_at`` (updates done); ``test_loss`` and ``test_accuracy`` at
        ``evaluated_at``; where the task has groups, "test_accuracy_by_length" of the end.
    first_bad_update, bad_quantity: for a diverged trial, the update (from 1) and what was not
        finite there: "loss", "gradient" or "parameters".
    reason: for a failed trial, the error in one line.
    seconds: share of the wall time of its cohort times the devices that worked on it.
    flops: floating-point operations of the products of all its updates.
    memory_bytes: what the trial takes on the device while it is trained.
    """

    key: str
    status: Status
    updates: int
    metrics: dict[str, float]
    curves: dict[str, np.ndarray]
    seconds: float
    n_parameters: int
    flops: float
    memory_bytes: int
    first_bad_update: int | None = None
    bad_quantity: str | None = None
    reason: str | None = None
    params_digest: str | None = None
    params: dict[str, np.ndarray] | None = None
