"""The compiled programs of a cohort, and its training with them, segment by segment.

Trials are spread over the devices (on a CPU, one device a core), and each core trains its trials
one after the other, a whole segment each. One trial at a time keeps its weights and activations in
the cache of its core, which is faster on a CPU than batched products, and its numbers come from the
same compiled code whatever else is in its cohort. A GPU, which one small network would leave idle,
trains all of its trials at once, and their numbers may differ with their number by rounding. The
number of updates, the hyperparameters and the keys are data, on a CPU the number of trials too:
none of them ever compiles anything again.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from gridscape._compilers import Compilers
from gridscape._cores import n_cores as n_cores
from gridscape._cores import use_all_cores as use_all_cores
from gridscape._slots import Slots, draw_slots, evaluate_slots, init_slots, train_slots
from gridscape._startup import WAITED
from gridscape.base import Array, Split, Stream, Task
from gridscape.cohorts import Cohort
from gridscape.engine import (
    EVALUATION_CHUNK,
    Functions,
    TrialState,
    batch_order,
    order_shapes,
    seed_words,
    state_shapes,
)
from gridscape.grid import content_key
from gridscape.study import Recipe

# Updates of one call at most; calls are cut further by evaluation points and by time.
LONGEST_SEGMENT = 128


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
        n_padded = -(-n_test // EVALUATION_CHUNK) * EVALUATION_CHUNK

        def padded(split: Split) -> Split:
            rows = np.minimum(np.arange(n_padded), split.n_examples - 1)
            return jax.tree.map(lambda x: x[rows], split)

        train = None if isinstance(task.train, Stream) else task.train
        arrays = (train, padded(task.test), padded(task.train_examples))
        train, test, sample = jax.device_put(arrays, self.shared)
        return DeviceData(train, test, sample, n_test, min(n_test, n_train))


@dataclass(frozen=True)
class Program:
    """The compiled functions of one static part.

    slots: trials that a device holds. segment: updates of a call at most. compilers: by
    whom they are compiled. pieces: parts that a batch is cut into. A cohort may be smaller than
    slots x devices: empty slots cost memory, but no time where trials are trained one after the
    other.
    """

    machine: Machine
    task: Task
    data: DeviceData
    recipe: Recipe
    seed: int
    slots: int
    segment: int
    compilers: Compilers
    pieces: int = 1

    def begin(self) -> None:
        """Have all functions compiled; who needs one that is not ready waits for it."""
        _ = self._train, self._init, self._evaluate
        if self.draws:
            _ = self._draw

    @property
    def capacity(self) -> int:
        """Trials that the program holds on all devices."""
        return self.slots * len(self.machine.devices)

    @property
    def init(self) -> jax.stages.Compiled:
        """(counts, words (K, 2), hyper (K,)) -> states (K, ...)."""
        return _awaited(self._init)

    @cached_property
    def _init(self) -> Future[jax.stages.Compiled]:
        parts = (self._slots, self.recipe.model.init, self.recipe.optimizer.make)
        return self._compile(init_slots, parts, (self._words, self._hyper), light=True)

    @property
    def draws(self) -> bool:
        """Whether training examples are drawn without end."""
        return isinstance(self.task.train, Stream)

    @property
    def draw(self) -> jax.stages.Compiled:
        """(counts, words (K, U, 2)) -> the examples of a segment's updates, each (K, U, B, ...).

        Apart from ``train``: random numbers take longest to compile, and one task serves many.
        """
        return _awaited(self._draw)

    @cached_property
    def _draw(self) -> Future[jax.stages.Compiled]:
        assert isinstance(self.task.train, Stream)  # who calls has asked ``draws``
        parts = (self._slots, self.task.train.draw, self.recipe.batch_size)
        words = self._spread((self.segment, 2), jnp.uint32)
        return self._compile(draw_slots, parts, (words,), light=True)

    @property
    def train(self) -> jax.stages.Compiled:
        """(counts, states, words, hyper, order (K, U, ...), stop, train) -> states, traces (K, U).

        ``order``: the indices of the examples, or what ``draw`` gives. The states are donated: they
        are updated in place.
        """
        return _awaited(self._train)

    @cached_property
    def _train(self) -> Future[jax.stages.Compiled]:
        states, order = jax.tree.map(
            lambda s: self._spread(s.shape, s.dtype), (self.one_state, self._one_order)
        )
        return self._compile(
            train_slots,
            (self._slots, self._functions, self.pieces),
            (states, self._words, self._hyper, order),
            (self._scalar, self.data.train),
            donate=(1,),
        )

    @property
    def evaluate(self) -> jax.stages.Compiled:
        """(counts, params, hyper, split, n_examples) -> sums by name, each (K,) or (K, groups)."""
        return _awaited(self._evaluate)

    @cached_property
    def _evaluate(self) -> Future[jax.stages.Compiled]:
        params = jax.tree.map(lambda s: self._spread(s.shape, s.dtype), self.one_state.params)
        return self._compile(
            evaluate_slots,
            (self._slots, self._functions),
            (params, self._hyper),
            (self.data.test, self._scalar),
        )

    @property
    def _functions(self) -> Functions:
        return Functions.of(self.recipe, self.task)

    @property
    def _slots(self) -> Slots:
        return Slots(self.slots, self.machine.is_batched)

    @cached_property
    def one_state(self) -> TrialState:
        """The shapes of the state of one trial."""
        return state_shapes(self.recipe)

    @property
    def _one_order(self) -> Any:
        return order_shapes(self.recipe, self.task, self.segment)

    @property
    def _words(self) -> jax.ShapeDtypeStruct:
        return self._spread((2,), jnp.uint32)

    @property
    def _hyper(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {name: self._spread((), jnp.float32) for name in self.recipe.hyper}

    @property
    def _scalar(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((), jnp.int32, sharding=self.machine.shared)

    def _spread(self, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        full = (self.capacity, *shape)
        return jax.ShapeDtypeStruct(full, dtype, sharding=self.machine.spread)

    def _compile(
        self,
        function: Callable[..., Any],
        parts: tuple[Any, ...],
        spread: tuple[Any, ...],
        shared: tuple[Any, ...] = (),
        donate: tuple[int, ...] = (),
        light: bool = False,
    ) -> Future[jax.stages.Compiled]:
        """``function(*parts, counts, *spread, *shared)``, run by each device on its own trials.

        One of _slots.py: the same parts and shapes make the same program.
        """
        n_devices = len(self.machine.devices)
        counts = jax.ShapeDtypeStruct((n_devices,), jnp.int32, sharding=self.machine.spread)
        mapped = jax.shard_map(
            partial(function, *parts),
            mesh=self.machine.mesh,
            in_specs=(P("devices"),) * (1 + len(spread)) + (P(),) * len(shared),
            out_specs=P("devices"),
            check_vma=False,
        )
        arguments = jax.tree.map(_shape, (counts, *spread, *shared))
        return self.compilers.submit(mapped, arguments, donate, light, same=(function, parts))


def _awaited(program: Future[jax.stages.Compiled]) -> jax.stages.Compiled:
    if program.done():
        return program.result()
    begin = time.perf_counter()
    compiled = program.result()
    jax.monitoring.record_event_duration_secs(WAITED, time.perf_counter() - begin)
    return compiled


def _shape(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(
        array.shape, array.dtype, sharding=array.sharding, weak_type=array.weak_type
    )


class Training:
    """A cohort in training: its states on the devices, advanced segment by segment."""

    def __init__(
        self, program: Program, cohort: Cohort, states: dict[str, np.ndarray] | None = None
    ) -> None:
        """From the beginning, or from the ``states`` of a snapshot of the same trials.

        Raises ValueError for more trials than the program holds.
        """
        self.program, self.cohort, self.update = program, cohort, cohort.start
        machine, n_trials = program.machine, len(cohort.trials)
        if n_trials > program.capacity:
            raise ValueError(f"{n_trials} trials in a program of {program.capacity}")
        n_devices = len(machine.devices)
        index = np.arange(n_trials)
        # Round robin, so that neighbors in the grid, which often stop early together, spread.
        self.rows = index % n_devices * program.slots + index // n_devices
        counts = np.bincount(index % n_devices, minlength=n_devices).astype(np.int32)
        self._counts = jax.device_put(counts, machine.spread)
        names = program.recipe.hyper
        self._hyper = {
            name: self._place(np.array([h[name] for h in cohort.hypers], np.float32))
            for name in names
        }
        if states is None:
            words = self._key_words("weights", content_key(program.recipe.weights))
            self.states = program.init(self._counts, words, self._hyper)
        else:
            self.states = self._unflatten(states)
        self._words = self._key_words("training")
        self._next_order: Any = None
        self._kinds: dict[int, np.ndarray] = {}  # the group of each example, once a split

    def advance(self, stop: int) -> dict[str, np.ndarray]:
        """Train every trial until ``stop`` updates are done; the traces, each (trials, updates).

        Traces of a trial that diverged earlier are NaN from there on.
        """
        program, begin = self.program, self.update
        if not begin < stop <= begin + program.segment:
            raise ValueError(f"a segment of {stop - begin} updates, at most {program.segment}")
        order = self._next_order if self._next_order is not None else self._order(begin)
        limit = jax.device_put(np.int32(stop), program.machine.shared)
        self.states, traces = program.train(
            self._counts, self.states, self._words, self._hyper, order, limit, program.data.train
        )
        self.update = stop
        # While the devices work: networks that take microseconds would wait for it.
        self._next_order = self._order(stop) if stop < program.recipe.updates else None
        return {name: np.asarray(x)[self.rows, : stop - begin] for name, x in traces.items()}

    def evaluate(self, split: Split, n_examples: int) -> dict[str, np.ndarray]:
        """Means over the first examples of a split, by name, each (trials,) or (trials, groups)."""
        count = jax.device_put(np.int32(n_examples), self.program.machine.shared)
        sums = self.program.evaluate(self._counts, self.states.params, self._hyper, split, count)
        of_group = self._group_sizes(split, n_examples)
        return {
            name: np.asarray(x)[self.rows] / (of_group if x.ndim > 1 else np.float32(n_examples))
            for name, x in sums.items()
        }

    def _group_sizes(self, split: Split, n_examples: int) -> np.ndarray:
        """How many of the first examples belong to each group; NaN, not 0, where none does."""
        groups = self.program.task.groups
        if groups is None:
            return np.empty(0)
        if id(split) not in self._kinds:
            # By JAX, as in the programs: NumPy would round some numbers otherwise.
            self._kinds[id(split)] = np.asarray(groups.of(split.targets))
        of = self._kinds[id(split)][:n_examples]
        sizes = np.bincount(of, minlength=len(groups.values)).astype(np.float32)
        return np.where(sizes == 0, np.nan, sizes)

    def outcome(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Updates done, first bad update (0 if none) and bad quantity of every trial."""
        parts = (self.states.update, self.states.bad_update, self.states.bad_quantity)
        updates, bad, quantity = (np.asarray(x)[self.rows] for x in parts)
        return updates, bad, quantity

    def params(self, index: int) -> dict[str, np.ndarray]:
        """The parameters of one trial, by name."""
        return self._of_trial(self.states.params, index)

    def snapshot(self, index: int) -> dict[str, np.ndarray]:
        """The state of one trial, by name: all that is needed to go on later."""
        return self._of_trial(self.states, index)

    def _of_trial(self, tree: Any, index: int) -> dict[str, np.ndarray]:
        """Copies of one trial's arrays, read from its device only."""
        device, slot = divmod(int(self.rows[index]), self.program.slots)

        def read(array: Array) -> np.ndarray:
            shards = {s.index[0].start or 0: s.data for s in array.addressable_shards}
            slots = shards[device * self.program.slots]
            if self.program.machine.shares_memory:
                return np.array(np.asarray(slots)[slot])
            return np.asarray(slots[slot])  # cut there: all slots would have to be brought here

        return {name: read(leaf) for name, leaf in named_leaves(tree).items()}

    def _unflatten(self, arrays: dict[str, np.ndarray]) -> TrialState:
        shapes = self.program.one_state
        leaves = [self._place(arrays[name]) for name in named_leaves(shapes)]
        return jax.tree.unflatten(jax.tree.structure(shapes), leaves)

    def _key_words(self, purpose: str, content: Any = None) -> Array:
        seed = self.program.seed
        words = [seed_words(seed, t.replicate, purpose, content) for t in self.cohort.trials]
        return self._place(np.array(words))

    def _order(self, begin: int) -> Any:
        """What tells the batches of a whole segment, of which a call may train the first."""
        program, recipe = self.program, self.program.recipe
        stop = begin + program.segment

        def of(replicate: int) -> np.ndarray:
            return batch_order(recipe, program.task, program.seed, replicate, begin, stop)

        replicates = [trial.replicate for trial in self.cohort.trials]
        orders = {replicate: of(replicate) for replicate in set(replicates)}
        order = self._place(np.stack([orders[replicate] for replicate in replicates]))
        return program.draw(self._counts, order) if program.draws else order

    def _place(self, per_trial: np.ndarray) -> Array:
        """One value per trial, put into its slot; empty slots hold zeros."""
        slots = np.zeros((self.program.capacity, *per_trial.shape[1:]), per_trial.dtype)
        slots[self.rows] = per_trial
        return jax.device_put(slots, self.program.machine.spread)


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by their path: {"kernel": ..., "layers/0/bias": ...}."""
    paths = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): leaf for p, leaf in paths}
