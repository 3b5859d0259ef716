"""The devices that programs run on, and the arrays of a task on them."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from gridscape.base.data import Split, Stream
from gridscape.base.task import Task
from gridscape.engine.trial import in_chunks


class DeviceData(NamedTuple):
    """A task on the devices, images still uint8.

    train is None where examples are drawn. train_sample has the shape of test and begins with the
    first training examples, so that one program evaluates both; n_test and n_sample are the
    examples that count.
    """

    train: Split | None
    test: Split
    train_sample: Split
    n_test: int
    n_sample: int


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

    def load(self, task: Task) -> DeviceData:
        """The task's arrays, on every device."""
        n_test, n_train = task.test.n_examples, task.train_examples.n_examples
        n_padded = in_chunks(n_test)

        def padded(split: Split) -> Split:
            rows = np.minimum(np.arange(n_padded), split.n_examples - 1)
            return jax.tree.map(lambda x: x[rows], split)

        train = None if isinstance(task.train, Stream) else task.train
        arrays = (train, padded(task.test), padded(task.train_examples))
        train, test, sample = jax.device_put(arrays, self.shared)
        return DeviceData(train, test, sample, n_test, min(n_test, n_train))
