"""What every image task can be told: a validation part, which images are kept, to center them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, wraps
from inspect import signature
from typing import Any

import jax.numpy as jnp
import numpy as np

from gridscape.base.data import Split
from gridscape.base.parts import Factory
from gridscape.base.samples import check_share
from gridscape.base.task import Task, divided
from gridscape.base.types import Array
from gridscape.errors import UsageError, check_known, check_whole
from gridscape.identity.code import fingerprint

SUBSETS = ("natural", "balanced")
CHUNK_EXAMPLES = 1_000


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Options of every image task beside its own.

    n_train: how many training images are kept, drawn without replacement; all where not given,
        or, balanced, as many of each class as the smallest class has.
    subset: "natural" draws from all images, with the shares of the classes as they fall;
        "balanced" draws n_train / C of each of the C classes.
    subset_seed: of the draw, 0 to 2**32 - 1. By one seed, a smaller subset is a part of a larger
        one, so that the two differ in size alone.
    validation: the share of every class that is taken from the training images, before anything
        else, for a validation set; by default none is. validation_seed: of that choice.
    center: subtract from all inputs, those of the test set too, the mean of the training images,
        pixel by pixel. It is the mean of ALL training images, whatever is kept of them: a study
        over n_train then shows every cell the same test images, and cells differ only in what
        they learn from.

    The kept images stay in their order. Test and validation images are all kept.

    Raises UnknownNameError for another subset, UsageError for a number out of its range, where the
    training images have not that many, for a validation share that leaves a class without images on
    either side, and for one of a task that has a validation set.
    """

    n_train: int | None = None
    subset: str = "natural"
    subset_seed: int = 0
    center: bool = False
    validation: float | None = None
    validation_seed: int = 0

    def __post_init__(self) -> None:
        if self.n_train is not None:
            check_whole(n_train=self.n_train)
        check_known("subset", self.subset, SUBSETS)
        check_whole(0, 2**32 - 1, subset_seed=self.subset_seed)
        check_whole(0, 2**32 - 1, validation_seed=self.validation_seed)
        if self.validation is not None:
            check_share(self.validation)
        if not isinstance(self.center, bool):
            raise UsageError(
                "wrong type", where="center", expected="true or false", found=repr(self.center)
            )

    def applied_to(self, task: Task) -> Task:
        """The task with these options; the same object where they ask for nothing."""
        task = task if self.validation is None else self._divided(task, self.validation)
        task = _centered(task) if self.center else task
        inputs, targets = task.train_examples
        kept = self._kept(targets, task.n_outputs)
        if kept.all():
            return task
        return replace(
            task,
            train=Split(inputs[kept], targets[kept]),
            fingerprint=fingerprint(task.fingerprint, kept),
        )

    def _divided(self, task: Task, share: float) -> Task:
        """The task with a share of its training images as validation set."""
        if task.validation is not None:
            raise UsageError(
                "the task has a validation set already",
                where="validation",
                expected="no share",
                found=share,
                hint='of MNIST, split = "full" has none',
            )
        train, validation = divided(task.train_examples, share, self.validation_seed)
        return replace(
            task,
            train=train,
            validation=validation,
            fingerprint=fingerprint(task.fingerprint, train, validation),
        )

    def _kept(self, targets: np.ndarray, n_classes: int) -> np.ndarray:
        """Which training images are kept, as a mask: (N,) -> (N,)."""
        if self.subset == "natural":
            n_train = len(targets) if self.n_train is None else self.n_train
            _check_size(n_train, len(targets))
            return drawn([np.arange(len(targets))], n_train, self.subset_seed)
        classes = by_class(targets, n_classes)
        smallest = min(map(len, classes))
        n_train = n_classes * smallest if self.n_train is None else self.n_train
        _check_balance(n_train, n_classes, smallest)
        return drawn(classes, n_train // n_classes, self.subset_seed)


def image_task(factory: Callable[..., Task]) -> Factory[..., Task]:
    """The factory of an image task, with ImageOptions beside its own options.

    They are looked at before the factory reads, or fetches, any data.
    """
    own, further = signature(factory), signature(ImageOptions).parameters

    @wraps(factory)
    def make(*args: Any, **options: Any) -> Task:
        chosen = ImageOptions(**{n: options.pop(n) for n in further if n in options})
        return chosen.applied_to(factory(*args, **options))

    parameters = [*own.parameters.values(), *further.values()]
    return Factory(make, signature=own.replace(parameters=parameters))


def by_class(targets: np.ndarray, n_classes: int) -> list[np.ndarray]:
    """The positions of the examples of each class: (N,) -> (n,) each."""
    return [np.flatnonzero(targets == label) for label in range(n_classes)]


def drawn(groups: Sequence[np.ndarray], n_each: int, seed: int) -> np.ndarray:
    """A fixed random choice of ``n_each`` positions of each group, as a mask over all: (N,)."""
    # RandomState: NumPy promises that its numbers never change, those of Generator may.
    random = np.random.RandomState(seed)
    chosen = np.zeros(sum(map(len, groups)), bool)
    for group in groups:
        chosen[random.permutation(group)[:n_each]] = True
    return chosen


def _check_size(n_train: int, n_there: int) -> None:
    if n_train > n_there:
        raise UsageError(
            "larger than the training set",
            where="n_train",
            expected=f"at most {n_there}",
            found=n_train,
        )


def _check_balance(n_train: int, n_classes: int, smallest: int) -> None:
    if n_train % n_classes:
        raise UsageError(
            "not the same number of every class",
            where="n_train",
            expected=f"a multiple of the {n_classes} classes",
            found=n_train,
        )
    if not 0 < n_train <= n_classes * smallest:
        raise UsageError(
            "more of each class than the smallest class has",
            where="n_train",
            expected=f"at most {n_classes * smallest}, {smallest} of each class",
            found=n_train,
        )


def _centered(task: Task) -> Task:
    mean = _mean_input(task)
    return replace(
        task,
        prepare=partial(minus_mean, task.prepare, mean),
        fingerprint=fingerprint(task.fingerprint, mean),
    )


def _mean_input(task: Task) -> np.ndarray:
    """The mean of the training inputs as a model reads them: input_shape, float32."""
    inputs = task.train_examples.inputs
    starts = range(0, len(inputs), CHUNK_EXAMPLES)  # all of them as floats would be large
    chunks = (task.prepare(inputs[start : start + CHUNK_EXAMPLES]) for start in starts)
    total = sum(np.asarray(chunk).sum(axis=0, dtype=np.float64) for chunk in chunks)
    return (total / len(inputs)).astype(np.float32)


def minus_mean(prepare: Callable[[Array], Array], mean: np.ndarray, inputs: Array) -> Array:
    """Prepared inputs minus a fixed mean: (B, ...) -> (B, *input_shape), float32."""
    return prepare(inputs) - jnp.asarray(mean)[None]
