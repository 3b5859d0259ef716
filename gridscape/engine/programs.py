"""The compiled programs of a cohort, and its training with them, segment by segment.

Trials are spread over the devices of a machine. A core calls programs of one device, which train
its trials one after the other, a whole segment each. One trial at a time keeps its weights and
activations in the cache of its core, which is faster on a CPU than batched products, and its
numbers come from the same compiled code whatever else is in its cohort. A GPU, which one small
network would leave idle, trains all of its trials at once, and their numbers may differ with their
number by rounding. The number of updates, the hyperparameters and the keys are data, on a CPU the
number of trials too: none of them ever compiles anything again.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from gridscape.base.data import Stream
from gridscape.base.task import Task
from gridscape.engine._slots import Slots, draw_slots, evaluate_slots, init_slots, train_slots
from gridscape.engine.compilers import WAITED, Compilers
from gridscape.engine.machine import DeviceData, Machine
from gridscape.engine.trial import Functions, TrialState, order_shapes, state_shapes
from gridscape.study.study import Recipe

# Updates of one call at most; calls are cut further by evaluation points and by time.
LONGEST_SEGMENT = 128


@dataclass(eq=False)
class Program:
    """The compiled functions of one static part.

    Nothing is compiled before ``begin``, or before a function is asked for, which begins with it
    and waits; either way, threads of ``compilers`` do it, once.

    data: the arrays of the task, or their shapes where each cohort brings arrays of its own.
    slots: trials that a device holds. segment: updates of a call at most. compilers: by
    whom they are compiled. n_microbatches: parts of a batch. A cohort may be smaller than
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
    n_microbatches: int = 1

    def begin(self) -> None:
        """Start compiling all functions; a caller waits only for the one that it needs."""
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
        model, rule = self.recipe.model, self.recipe.optimizer
        parts = (self._slots, model.init, rule.make, rule.averages, model.training)
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
        """(counts, states, words, hyper, order (K, U, ...), stop, train) -> states, history (K, U).

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
            (self._slots, self._functions, self.n_microbatches),
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
