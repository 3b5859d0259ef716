"""What a study will take, measured on the very programs that will run it.

Memory comes from the compiled programs, floating-point operations from their products, time from
a few timed updates. Cohorts that are many, or do not fit, are cut into runs of one program.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any, Self

import jax

from gridscape.base.foreign import of_others
from gridscape.base.task import Task
from gridscape.engine.cohorts import Cohort, partition
from gridscape.engine.compilers import Compilers
from gridscape.engine.evaluation import chunk_of
from gridscape.engine.flops import cohort_flops
from gridscape.engine.machine import DeviceData, Machine
from gridscape.engine.programs import Program
from gridscape.engine.sizes import tree_bytes
from gridscape.engine.splits import split_of
from gridscape.engine.training import Training
from gridscape.engine.trial import order_shapes, state_shapes
from gridscape.errors import GridscapeError, OutOfMemoryError
from gridscape.execution.memory import free_memory_bytes
from gridscape.execution.schedule import n_evaluated_examples, segment_length
from gridscape.grid.trials import Trial
from gridscape.kernels.cores import n_cores
from gridscape.study.study import ResolvedStudy, Study

# The share of the free memory that a plan may fill; the rest is for Python and the allocator.
MEMORY_SHARE = 0.7
# Trials that a device holds at most. More slots make each call shorter, while the data prepared for
# it (a segment of batches per trial) grows with the number of trials.
MOST_SLOTS = 64
# Programs that are compiled while another one trains. A few are enough, and each takes memory.
PROGRAMS_AHEAD = min(max(1, n_cores() // 2), 4)
# A timing of a program lasts about this long, and fills at most about so much with its networks.
PROBE_SECONDS = 0.5
PROBE_BYTES = 2**28


@dataclass(frozen=True)
class Cost:
    """What one program takes, as plain data. sizes: trials of each run that it is cut into.

    The others are those of ``CohortPlan``; n_microbatches: of the batches of all runs.
    """

    sizes: tuple[int, ...]
    n_microbatches: int
    memory_bytes: int
    flops: float
    compile_seconds: float
    seconds: float | None


@dataclass(frozen=True)
class Costs:
    """What a worker found of some trials, as plain data: one entry for each of their cohorts.

    Cohorts are told by their trials everywhere alike, so their order is enough.
    """

    devices: tuple[str, ...]
    programs: tuple[Cost, ...]


@dataclass(frozen=True)
class CohortPlan:
    """What one cohort takes.

    runs: the parts it is cut into, so that each fits; none where not even one trial does.
    memory_bytes: of the largest run, on all devices; where none fits, of the smallest that there
    could be. flops: floating-point operations of the products of all its trials. seconds: None
    where nothing was timed, as where it is not sure to fit.
    """

    cohort: Cohort
    runs: tuple[Cohort, ...]
    memory_bytes: int
    flops: float
    compile_seconds: float
    seconds: float | None

    @classmethod
    def of(cls, cohort: Cohort, cost: Cost) -> Self:
        """What a cohort takes, by the cost of its program."""
        bounds = pairwise(accumulate(cost.sizes, initial=0))
        runs = tuple(
            replace(cohort.part(a, b), n_microbatches=cost.n_microbatches) for a, b in bounds
        )
        numbers = (cost.memory_bytes, cost.flops, cost.compile_seconds, cost.seconds)
        return cls(cohort, runs, *numbers)

    @property
    def cost(self) -> Cost:
        """The same as plain data."""
        sizes = tuple(len(run.trials) for run in self.runs)
        n_microbatches = self.runs[0].n_microbatches if self.runs else 1
        numbers = (self.memory_bytes, self.flops, self.compile_seconds, self.seconds)
        return Cost(sizes, n_microbatches, *numbers)


@dataclass(frozen=True)
class Plan:
    """What a study takes: one entry per program."""

    study: Study
    n_trials: int
    n_stored: int
    devices: tuple[str, ...]
    cohorts: tuple[CohortPlan, ...]

    @classmethod
    def of(
        cls,
        resolved: ResolvedStudy,
        trials: Sequence[Trial],
        stored: Iterable[str],
        measure: Callable[[Sequence[Trial]], Costs],
    ) -> Self:
        """The plan of those trials that are not stored yet, as ``measure`` finds them somewhere."""
        known = set(stored)
        missing = [trial for trial in trials if trial.key not in known]
        costs = measure(missing)
        pairs = zip(partition(resolved, missing), costs.programs, strict=True)
        return cls(
            study=resolved.study,
            n_trials=len(trials),
            n_stored=len(trials) - len(missing),
            devices=costs.devices,
            cohorts=tuple(CohortPlan.of(cohort, cost) for cohort, cost in pairs),
        )

    def __repr__(self) -> str:
        seconds = "not timed" if self.seconds is None else f"about {self.seconds:.0f} s"
        return (
            f"<plan of {self.study.name}: {self.n_trials - self.n_stored} of {self.n_trials}"
            f" networks to train in {len(self.cohorts)} programs, {seconds},"
            f" {self.memory_bytes / 1e9:.2g} GB>"
        )

    @property
    def memory_bytes(self) -> int:
        """Of the largest run; runs follow each other."""
        return max((c.memory_bytes for c in self.cohorts), default=0)

    @property
    def flops(self) -> float:
        """Of all trials that are left to train."""
        return sum(c.flops for c in self.cohorts)

    @property
    def seconds(self) -> float | None:
        """Compiling included; None where nothing was timed."""
        parts = [c.seconds for c in self.cohorts]
        if any(s is None for s in parts):
            return None
        return sum(s for s in parts if s is not None) + sum(c.compile_seconds for c in self.cohorts)


@dataclass
class Planner:
    """Makes programs of the right size, once each, for one resolved study on one machine.

    They are compiled in threads, which end when the planner is closed: ``with Planner(...)``.
    limit_bytes: of memory, instead of what is free. n_workers: threads that plan and train with it
    at once, and share the memory.
    """

    resolved: ResolvedStudy
    machine: Machine
    limit_bytes: int | None = None
    n_workers: int = 1
    _programs: dict[tuple[Any, ...], Program] = field(default_factory=dict)
    _data: dict[tuple[str, int | None], DeviceData] = field(default_factory=dict)
    _compilers: Compilers = field(default_factory=Compilers)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _own_bytes: float = math.inf

    def __post_init__(self) -> None:
        if self.n_workers > 1:  # of what is free before any of them takes some
            self._own_bytes = free_memory_bytes(self.machine) / self.n_workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def data(self, task: Task, split: int | None = None) -> DeviceData:
        """The arrays of a task, or of a replicate's split of it, put there when first needed.

        Of all splits only those stay that were used last, one for each worker.
        """
        key = (task.fingerprint, split)
        with self._lock:
            data = self._data.pop(key, None)
            if data is None:
                data = self._load(task, split)
            self._data[key] = data  # the last one to be dropped
            return data

    def _load(self, task: Task, split: int | None) -> DeviceData:
        study = self.resolved.study
        if split is not None:
            splits = [key for key in self._data if key[1] is not None]
            for key in splits[: max(len(splits) + 1 - self.n_workers, 0)]:
                del self._data[key]
            task = split_of(task, study.seed, split)
        return self.machine.load(task, study.evaluation_examples, study.evaluation_sample)

    def data_of(self, cohort: Cohort) -> DeviceData:
        """The arrays that a cohort trains on and is evaluated by."""
        return self.data(cohort.task, cohort.split)

    def task_of(self, cohort: Cohort) -> Task:
        """The task of a cohort, with its own split."""
        if cohort.split is None:
            return cohort.task
        return split_of(cohort.task, self.resolved.study.seed, cohort.split)

    def _shapes(self, cohort: Cohort) -> DeviceData:
        """The arrays of a task; of one that has several splits their shapes, which are the same."""
        if cohort.split is None:
            return self.data(cohort.task)
        return self.machine.shapes(cohort.task)

    def plan(self, trials: Sequence[Trial], stored: Iterable[str] = (), timed: bool = True) -> Plan:
        """The plan of those trials that are not stored yet."""
        return Plan.of(self.resolved, trials, stored, lambda missing: self.costs(missing, timed))

    def costs(self, trials: Iterable[Trial], timed: bool = True) -> Costs:
        """What these trials take here."""
        cohorts = partition(self.resolved, trials)
        plans = [self._plan_cohort(cohort) for cohort in self.ahead(cohorts)]
        if timed:  # when all is compiled: nothing else may run meanwhile
            plans = [self._with_seconds(planned) for planned in plans]
        return Costs(self.devices, tuple(planned.cost for planned in plans))

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices by name."""
        return tuple(str(device) for device in self.machine.devices)

    def runs(self, cohort: Cohort) -> tuple[Cohort, ...]:
        """``cut``, or ``fill`` for a program that cannot be compiled: who trains it meets that."""
        try:
            with of_others():
                return self.cut(cohort)
        except GridscapeError:
            raise
        except Exception:  # the outcome of its trials, which the executor tells
            return self.fill(cohort)

    def cut(self, cohort: Cohort) -> tuple[Cohort, ...]:
        """The cohort in runs that fit its program, and memory by the program's own numbers.

        Batches are cut where one trial a device is too much. Raises OutOfMemoryError where single
        examples are too much, too.
        """
        program, n_devices = self.program(cohort), len(self.machine.devices)
        limit = self._limit_bytes(cohort)
        excess = self.memory_bytes(cohort) - limit
        if excess <= 0:
            return _cut(cohort, program.capacity)
        # Fixed memory is the same for every slot count, so one compiled program suffices.
        slots = fewer_slots(program.slots, excess / n_devices, _slot_bytes(program))
        runs = cohort.cut(slots * n_devices)
        if slots > 1:
            return tuple(runs)
        n_microbatches = self._n_microbatches(runs[0], limit)
        return tuple(replace(run, n_microbatches=n_microbatches) for run in runs)

    def _n_microbatches(self, run: Cohort, limit: float) -> int:
        """The fewest microbatches with which one trial a device fits."""
        if self.memory_bytes(run) <= limit:
            return run.n_microbatches
        counts = [run.n_microbatches, *microbatch_counts(run)]
        least = self.memory_bytes(replace(run, n_microbatches=counts[-1]))
        self._require_room(run, least)
        # Where memory is tight, ever smaller microbatches take ever longer and gain little.
        enough = max(limit, 1.1 * least)
        fitting = (n for n in counts if self.memory_bytes(replace(run, n_microbatches=n)) <= enough)
        return next(fitting)

    def _require_room(self, run: Cohort, least: int) -> None:
        """Raise OutOfMemoryError where the least that a run may take is more than there is."""
        most = self._limit_bytes(run, share=1.0)
        if least > most:
            raise OutOfMemoryError(
                "out of memory",
                expected=f"at most {most / 1e9:.3g} GB",
                found=f"{least / 1e9:.3g} GB for one network a device, {_how_small(run)}",
            )

    def fill(self, cohort: Cohort) -> tuple[Cohort, ...]:
        """The cohort in runs that fill its program, whatever they take in memory."""
        n_devices = len(self.machine.devices)
        slots = needed_slots(cohort, n_devices, self.machine.is_batched)
        return _cut(cohort, slots * n_devices)

    def room_bytes(self, share: float = MEMORY_SHARE) -> float:
        """What may be taken now, beside what has been taken already."""
        if self.limit_bytes is not None:
            return self.limit_bytes
        return min(free_memory_bytes(self.machine), self._own_bytes) * share

    def _limit_bytes(self, cohort: Cohort, share: float = MEMORY_SHARE) -> float:
        """What a program may take; the task's arrays, which it counts, have been taken already."""
        splits = {split for _, split in list(self._data)}
        is_there = cohort.split is None or bool(splits - {None})  # any split makes room for another
        is_measured = self.limit_bytes is None and self.n_workers == 1
        taken = self.data_bytes(cohort) if is_measured and is_there else 0
        return self.room_bytes(share) + taken

    def data_bytes(self, cohort: Cohort) -> int:
        """On all devices; of what all workers share, the part of one."""
        n_sharing = self.n_workers if cohort.split is None else 1
        return tree_bytes(self._shapes(cohort).arrays) * len(self.machine.devices) // n_sharing

    def program(self, cohort: Cohort) -> Program:
        """The program of a cohort; cohorts of about the same size share it."""
        slots = needed_slots(cohort, len(self.machine.devices), self.machine.is_batched)
        segment = segment_length(cohort.recipe, cohort.task, self.resolved.study)
        key = (cohort.recipe.program, slots, segment, cohort.n_microbatches)
        if key not in self._programs:
            self._programs[key] = Program(
                machine=self.machine,
                task=cohort.task,
                data=self._shapes(cohort),
                recipe=cohort.recipe,
                seed=self.resolved.study.seed,
                slots=slots,
                segment=segment,
                compilers=self._compilers,
                n_microbatches=cohort.n_microbatches,
            )
        return self._programs[key]

    def ahead(self, cohorts: Sequence[Cohort]) -> Iterator[Cohort]:
        """Each cohort in turn, while the programs of those that come next are compiled."""
        for index, cohort in enumerate(cohorts):
            self.begin(cohorts[index : index + 1 + PROGRAMS_AHEAD])
            yield cohort

    def begin(self, cohorts: Iterable[Cohort]) -> None:
        """Have the programs of cohorts compiled, and wait for none of them."""
        for cohort in cohorts:
            try:
                with of_others():
                    self.program(cohort).begin()
            except Exception:  # its own turn meets it again, and tells it
                break

    def close(self) -> None:
        """Compile no more."""
        self._compilers.close()

    def memory_bytes(self, cohort: Cohort) -> int:
        """What a cohort takes on all devices: data, states, and the work space of its programs.

        The states count twice, for the copy on the host from which a run is resumed.
        """
        program = self.program(cohort)
        states = program.slots * tree_bytes(program.one_state)
        params = program.slots * tree_bytes(program.one_state.params)
        work = max(
            _compiled_bytes(program.train) - states - tree_bytes(program.data.train),
            _compiled_bytes(program.evaluate) - params - tree_bytes(program.data.test),
            _compiled_bytes(program.draw) if program.draws else 0,
        )
        waiting = program.slots * _order_bytes(program)
        return self.data_bytes(cohort) + (2 * states + work + waiting) * len(self.machine.devices)

    def state_bytes(self, cohort: Cohort) -> int:
        """The states of all its trials, which a checkpoint holds."""
        return len(cohort.trials) * tree_bytes(state_shapes(cohort.recipe))

    def trial_bytes(self, cohort: Cohort) -> int:
        """What one trial takes: its state, and the work space of its device."""
        program = self.program(cohort)
        return tree_bytes(program.one_state) + _work_bytes(program)

    def _plan_cohort(self, cohort: Cohort) -> CohortPlan:
        begin = time.perf_counter()
        runs: tuple[Cohort, ...] = ()
        smallest = cohort.part(0, 1)
        smallest = replace(
            smallest, n_microbatches=[cohort.n_microbatches, *microbatch_counts(cohort)][-1]
        )
        with suppress(OutOfMemoryError):
            runs = self.cut(cohort)
        memory_bytes = self.memory_bytes(runs[0] if runs else smallest)
        compile_seconds = time.perf_counter() - begin
        return CohortPlan(
            cohort=cohort,
            runs=runs,
            memory_bytes=memory_bytes,
            flops=cohort_flops(cohort),
            compile_seconds=compile_seconds,
            seconds=None,
        )

    def _with_seconds(self, planned: CohortPlan) -> CohortPlan:
        if not planned.runs or planned.memory_bytes > self._limit_bytes(planned.cohort):
            return planned
        return replace(planned, seconds=self._probe(planned.runs))

    def _probe(self, runs: Sequence[Cohort]) -> float:
        """Seconds that runs of one program will take, from timed updates of one trial a device."""
        run, study = runs[0], self.resolved.study
        n_devices = len(self.machine.devices)
        few = run.part(0, min(n_devices, len(run.trials)))
        program = self.program(run)
        if program.capacity * tree_bytes(program.one_state) > PROBE_BYTES:
            program = self.program(few)  # another one to compile, but a plan is to be light
        data = self.data_of(run)
        training = Training(program, few, data=data)
        update_seconds = _timed(lambda n: training.advance(training.update + n), program.segment)
        chunk = chunk_of(len(jax.tree.leaves(data.test)[0]))
        chunk_seconds = _timed(
            lambda n: training.evaluate(data.test, min(n * chunk, data.n_test)),
            -(-data.n_test // chunk),
        )
        chunks = n_evaluated_examples(run.recipe, study, data) / chunk
        rounds = sum(-(-len(each.trials) // n_devices) for each in runs)
        if self.machine.is_batched:  # where the empty slots took as long as others
            rounds = len(runs)
        updates = run.recipe.updates - run.start
        return float(rounds * (updates * update_seconds + chunks * chunk_seconds))


def _cut(cohort: Cohort, capacity: int) -> tuple[Cohort, ...]:
    """Runs for a program that holds so many; one that fits as it is keeps what it shares."""
    return (cohort,) if len(cohort.trials) <= capacity else tuple(cohort.cut(capacity))


def _timed(run: Callable[[int], Any], most: int) -> float:
    """Seconds per unit of ``run(n)``, from one long enough call after a first one."""
    begin = time.perf_counter()
    run(1)
    first = time.perf_counter() - begin
    if most == 1 or first > PROBE_SECONDS:
        return first
    begin = time.perf_counter()
    run(min(2, most - 1))
    unit = (time.perf_counter() - begin) / min(2, most - 1)
    count = int(min(most - 3, PROBE_SECONDS / unit))
    if count < 1:
        return unit
    begin = time.perf_counter()
    run(count)
    return (time.perf_counter() - begin) / count


def needed_slots(cohort: Cohort, n_devices: int, is_batched: bool = False) -> int:
    """Trials a device: rounded up to a power of two unless that wastes much memory, or time."""
    if is_batched:  # an empty slot takes as long as any other
        return -(-len(cohort.trials) // n_devices)
    slots = -(-max(len(cohort.trials), cohort.n_sharing) // n_devices)
    return rounded_slots(slots, n_devices * tree_bytes(state_shapes(cohort.recipe)))


def rounded_slots(slots: int, state_bytes: float) -> int:
    """So many, at most MOST_SLOTS, or a power of two; ``state_bytes``: of one on all devices."""
    slots = min(slots, MOST_SLOTS)
    rounded = 1 << (slots - 1).bit_length()
    return rounded if (rounded - slots) * state_bytes < 64 * 2**20 else slots


def fewer_slots(slots: int, excess_bytes: float, slot_bytes: int) -> int:
    """Trials a device where so many need ``excess_bytes`` more than there are.

    A power of two, so that all runs are one program and none is rounded up again.
    """
    fitting = max(1, slots - math.ceil(excess_bytes / slot_bytes))
    return 1 << (fitting.bit_length() - 1)


def microbatch_counts(cohort: Cohort) -> list[int]:
    """Larger numbers of microbatches that divide the batch, each at least twice the one before.

    The last is the batch size: single examples. A model with state has none: the statistics that it
    keeps are those of whole batches.

    >>> from types import SimpleNamespace as Some
    >>> recipe = Some(batch_size=100, model=Some(training=None))
    >>> microbatch_counts(Some(n_microbatches=2, recipe=recipe))
    [4, 10, 20, 50, 100]
    """
    batch_size, counts = cohort.recipe.batch_size, [cohort.n_microbatches]
    if cohort.recipe.model.training is not None:
        return []
    for count in range(cohort.n_microbatches + 1, batch_size + 1):
        if batch_size % count == 0 and (count >= 2 * counts[-1] or count == batch_size):
            counts.append(count)
    return counts[1:]


def _how_small(cohort: Cohort) -> str:
    """What the smallest batches are, in words."""
    if cohort.recipe.model.training is None:
        return "batches in single examples"
    return "batches whole, as the model's statistics need them"


def _slot_bytes(program: Program) -> int:
    """What one more trial takes on a device: its state and its batches twice, and its history."""
    state, history = tree_bytes(program.one_state), 1 + len(program.task.metrics)
    work = _work_bytes(program) if program.machine.is_batched else 0
    return 2 * state + 4 * program.segment * history + 2 * _order_bytes(program) + work


def _work_bytes(program: Program) -> int:
    """Workspace of one trial; trials that a device trains one after the other share it."""
    whole = int(_analysis(program.train).temp_size_in_bytes)
    return whole // program.slots if program.machine.is_batched else whole


def _order_bytes(program: Program) -> int:
    """The batches of one segment of a trial; those of the next one are prepared beside them."""
    return tree_bytes(order_shapes(program.recipe, program.task, program.segment))


def _analysis(compiled: jax.stages.Compiled) -> Any:
    return compiled.memory_analysis()


def _compiled_bytes(compiled: jax.stages.Compiled) -> int:
    """Arguments, results and work space on one device; what is updated in place counts once."""
    found = _analysis(compiled)
    total = found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes
    return int(total - found.alias_size_in_bytes)
