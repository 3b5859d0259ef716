"""The devices that programs run on, and the arrays of a task on them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from gridscape.base.data import Split, Stream
from gridscape.base.foreign import of_others
from gridscape.base.samples import balanced_order
from gridscape.base.shapes import batch_of
from gridscape.base.task import Task
from gridscape.engine.evaluation import in_chunks
from gridscape.errors import UsageError, one_line
from gridscape.kernels.cores import n_cores


class DeviceData(NamedTuple):
    """A task on the devices, images still uint8.

    train is None where examples are drawn. test, validation (None where the task has none) and
    train_sample have one shape, so that one program evaluates them; n_test, n_validation and
    n_sample are the examples that count. Each begins with the examples that are evaluated between.
    """

    train: Split | None
    test: Split
    validation: Split | None
    train_sample: Split
    n_test: int
    n_validation: int
    n_sample: int

    @property
    def arrays(self) -> tuple[Split | None, ...]:
        """All that lies on a device."""
        return self.train, self.test, self.validation, self.train_sample


@dataclass(frozen=True)
class Machine:
    """The devices that programs run on, in one row."""

    devices: tuple[jax.Device, ...]

    @classmethod
    def local(cls) -> "Machine":
        """All local devices of JAX's default backend."""
        return cls(tuple(jax.local_devices()))

    @cached_property
    def mesh(self) -> Mesh:
        """The devices as a JAX mesh."""
        return Mesh(np.array(self.devices), ("devices",))

    @property
    def spread(self) -> NamedSharding:
        """Trials over the devices."""
        return NamedSharding(self.mesh, P("devices"))

    @property
    def shared(self) -> NamedSharding:
        """The same array on every device."""
        return NamedSharding(self.mesh, P())

    @property
    def shares_memory(self) -> bool:
        """Whether NumPy reads the devices' arrays where they lie."""
        return self.devices[0].platform == "cpu"

    @property
    def is_batched(self) -> bool:
        """Whether a device trains its trials at once, as one batch of networks."""
        return self.devices[0].platform == "gpu"

    @property
    def trains_apart(self) -> bool:
        """Whether each core trains by itself: a CPU runs as many programs as threads ask for."""
        return self.shares_memory and n_cores() > 1

    def shapes(self, task: Task) -> DeviceData:
        """The shapes of what ``load`` gives; nothing is placed."""
        test, validation, examples = task.test, task.validation, task.train_examples
        n_padded = evaluated_rows(task)

        def shaped(split: Split, n_examples: int) -> Split:
            return jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.shared),
                batch_of(n_examples, split),
            )

        return DeviceData(
            None if isinstance(task.train, Stream) else shaped(task.train, task.train.n_examples),
            shaped(test, n_padded),
            shaped(validation, n_padded) if validation else None,
            shaped(examples, n_padded),
            *counted(task),
        )

    def load(
        self, task: Task, n_between: int | None = None, sample: str = "balanced"
    ) -> DeviceData:
        """The task's arrays, on every device.

        n_between: examples that are evaluated between; all by default. sample: which ones, as
        ``Study.evaluation_sample`` says. Raises UsageError where the task cannot tell its classes.
        """
        test, validation, examples = task.test, task.validation, task.train_examples
        n_test, n_validation, n_sample = counted(task)
        n_padded = evaluated_rows(task)

        def placed(split: Split, n_counted: int) -> Split:
            is_whole = n_counted >= split.n_examples
            order = np.arange(split.n_examples)
            if not is_whole and sample != "first":
                order = balanced_order(kinds_of(task, split))
            rows = order[np.minimum(np.arange(n_padded), split.n_examples - 1)]
            return jax.tree.map(lambda x: x[rows], split)

        between = n_test + n_validation if n_between is None else n_between
        arrays = (
            None if isinstance(task.train, Stream) else task.train,
            placed(test, between),
            placed(validation, between) if validation else None,
            placed(examples, n_sample),
        )
        train, test, validation, sampled = jax.device_put(arrays, self.shared)
        return DeviceData(train, test, validation, sampled, n_test, n_validation, n_sample)


def counted(task: Task) -> tuple[int, int, int]:
    """The examples that count: of the test set, the validation set and the training sample."""
    n_test, validation = task.test.n_examples, task.validation
    n_validation = validation.n_examples if validation else 0
    return n_test, n_validation, min(n_test, task.train_examples.n_examples)


def evaluated_rows(task: Task) -> int:
    """Examples of each set that is evaluated, with those that fill the last chunk."""
    validation = task.validation.n_examples if task.validation else 0
    return in_chunks(max(task.test.n_examples, validation))


def kinds_of(task: Task, split: Split) -> np.ndarray:
    """The kind of each example: its class and its group, as far as the task tells them: (N,).

    Raises UsageError where a function of the task fails.
    """
    kinds = [np.zeros(split.n_examples, np.int64)]
    if task.answer is not None:
        classes = _told(task, "truth", task.truth, split.targets)
        is_class = classes.shape == kinds[0].shape and classes.dtype.kind in "iub"
        kinds += [classes] if is_class else []
    if task.groups is not None:
        kinds += [_told(task, "groups.of", task.groups.of, split.targets)]
    _, kind = np.unique(np.stack(kinds, axis=1), axis=0, return_inverse=True)
    return kind.reshape(-1)


def _told(task: Task, name: str, function: Any, targets: Any) -> np.ndarray:
    try:
        with of_others():
            return np.asarray(function(targets))
    except Exception as error:  # a user's function may raise anything
        where = f"task {task.name}, {name}"
        raise UsageError(
            "cannot tell examples apart", where=where, found=one_line(error)
        ) from error
