"""What a study will take, measured on the very programs that will run it.

Memory comes from the compiled programs, floating-point operations from their products, time from
a few timed updates. Cohorts that do not fit are cut into several runs of the same program.
"""

import itertools
import math
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base import Split, Task
from gridscape.cohorts import Cohort, partition
from gridscape.engine import EVALUATION_CHUNK, init_trial, update_trial
from gridscape.grid import Trial, content_key
from gridscape.programs import LONGEST_SEGMENT, DeviceData, Machine, Program, Training
from gridscape.study import Recipe, ResolvedStudy, Study

# The share of the free memory that a plan may fill; the rest is for Python and the allocator.
MEMORY_SHARE = 0.7
# A timing of a program lasts about this long.
PROBE_SECONDS = 0.5


@dataclass(frozen=True)
class CohortPlan:
    """What one cohort takes.

    runs: the parts it is cut into, so that each fits. memory_bytes: of the largest run, on all
    devices. flops: floating-point operations of the products of all its trials. seconds: None
    where nothing was timed.
    """

    cohort: Cohort
    runs: tuple[Cohort, ...]
    memory_bytes: int
    flops: float
    compile_seconds: float
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """What a study takes: one entry per program."""

    study: Study
    n_trials: int
    n_stored: int
    devices: tuple[str, ...]
    cohorts: tuple[CohortPlan, ...]

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
    """Makes programs of the right size, once each, for one resolved study on one machine."""

    resolved: ResolvedStudy
    machine: Machine
    limit_bytes: int | None = None
    _programs: dict[tuple[Any, ...], Program] = field(default_factory=dict)
    _data: DeviceData | None = None

    @property
    def data(self) -> DeviceData:
        """The task's arrays, put on the devices when first needed."""
        if self._data is None:
            self._data = self.machine.load(self.resolved.task)
        return self._data

    def plan(self, trials: Sequence[Trial], stored: Iterable[str] = (), timed: bool = True) -> Plan:
        """The plan of those trials that are not stored yet."""
        known = set(stored)
        missing = [trial for trial in trials if trial.key not in known]
        cohorts = partition(self.resolved, missing)
        return Plan(
            study=self.resolved.study,
            n_trials=len(trials),
            n_stored=len(trials) - len(missing),
            devices=tuple(str(device) for device in self.machine.devices),
            cohorts=tuple(self._plan_cohort(cohort, timed) for cohort in cohorts),
        )

    def cut(self, cohort: Cohort) -> tuple[Cohort, ...]:
        """The cohort in runs that fit into memory, by the compiled program's own numbers."""
        limit = self.limit_bytes or free_memory_bytes(self.machine) * MEMORY_SHARE
        largest, n_devices = len(cohort.trials), len(self.machine.devices)
        excess = self.memory_bytes(cohort) - limit
        if excess > 0:
            # Work space does not depend on the number of trials: one program tells all sizes.
            slot_bytes = 2 * n_devices * tree_bytes(self.program(cohort).one_state)
            slots = max(1, self.program(cohort).slots - math.ceil(excess / slot_bytes))
            largest = min(largest, slots * n_devices)
        return tuple(cohort.cut(largest))

    def program(self, cohort: Cohort) -> Program:
        """The program of a cohort; cohorts of about the same size share it."""
        slots = self._slots(cohort)
        segment = segment_length(cohort.recipe, self.resolved.study)
        key = (content_key(cohort.recipe.static), slots, segment, cohort.pieces)
        if key not in self._programs:
            self._programs[key] = Program(
                machine=self.machine,
                task=self.resolved.task,
                data=self.data,
                recipe=cohort.recipe,
                seed=self.resolved.study.seed,
                slots=slots,
                segment=segment,
                pieces=cohort.pieces,
            )
        return self._programs[key]

    def memory_bytes(self, cohort: Cohort) -> int:
        """What a cohort takes on all devices: its program's arguments, results and work space.

        The states count once more, for the copy on the host from which a run is resumed.
        """
        program = self.program(cohort)
        used = max(_compiled_bytes(program.train), _compiled_bytes(program.evaluate))
        states = program.slots * tree_bytes(program.one_state)
        return (used + states) * len(self.machine.devices)

    def trial_bytes(self, cohort: Cohort) -> int:
        """What one trial takes: its state, and the work space of its device."""
        program = self.program(cohort)
        return tree_bytes(program.one_state) + _analysis(program.train).temp_size_in_bytes

    def _slots(self, cohort: Cohort) -> int:
        """Trials a device: rounded up to a power of two unless that wastes much memory."""
        slots = -(-len(cohort.trials) // len(self.machine.devices))
        rounded = 1 << (slots - 1).bit_length()
        hyper = {name: jnp.float32(0) for name in cohort.recipe.hyper}
        state = jax.eval_shape(
            lambda w: init_trial(cohort.recipe, w, hyper), jnp.zeros(2, "uint32")
        )
        wasted = (rounded - slots) * len(self.machine.devices) * tree_bytes(state)
        return rounded if wasted < 64 * 2**20 else slots

    def _plan_cohort(self, cohort: Cohort, timed: bool) -> CohortPlan:
        begin = time.perf_counter()
        runs = self.cut(cohort)
        memory_bytes = self.memory_bytes(runs[0])
        compile_seconds = time.perf_counter() - begin
        flops = trial_flops(cohort.recipe, self.resolved, cohort.start)
        return CohortPlan(
            cohort=cohort,
            runs=runs,
            memory_bytes=memory_bytes,
            flops=flops * len(cohort.trials),
            compile_seconds=compile_seconds,
            seconds=sum(self._probe(run) for run in runs) if timed else None,
        )

    def _probe(self, run: Cohort) -> float:
        """Seconds that a run will take, from a few timed updates of one trial a device."""
        program, study = self.program(run), self.resolved.study
        n_devices = len(self.machine.devices)
        few = run.part(0, min(n_devices, len(run.trials)))
        training = Training(program, few)
        update_seconds = _timed(lambda n: training.advance(training.update + n), program.segment)
        chunk_seconds = _timed(
            lambda n: training.evaluate(
                self.data.test, min(n * EVALUATION_CHUNK, self.data.n_test)
            ),
            -(-self.data.n_test // EVALUATION_CHUNK),
        )
        chunks = n_evaluated_examples(study, self.data) / EVALUATION_CHUNK
        rounds = len(run.trials) / len(few.trials)
        updates = run.recipe.updates - run.start
        return float(rounds * (updates * update_seconds + chunks * chunk_seconds))


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


def segment_length(recipe: Recipe, study: Study) -> int:
    """Updates of a call at most: up to the next evaluation point."""
    points = [0, *evaluation_points(recipe, study)]
    return min(LONGEST_SEGMENT, max(b - a for a, b in itertools.pairwise(points)))


def evaluation_points(recipe: Recipe, study: Study) -> list[int]:
    """The updates after which the test set is looked at; the last one is the end."""
    count = min(study.evaluations, recipe.updates)
    return [recipe.updates * k // count for k in range(1, count + 1)]


def n_evaluated_examples(study: Study, data: DeviceData) -> int:
    """Examples that are evaluated in the course of one trial."""
    between = (study.evaluations - 1) * min(study.evaluation_examples, data.n_test)
    return between + data.n_test + data.n_sample


def free_memory_bytes(machine: Machine) -> int:
    """Memory that programs may still take: of the device, or of this machine and process."""
    stats = machine.devices[0].memory_stats()
    if stats and "bytes_limit" in stats:
        free = stats["bytes_limit"] - stats.get("bytes_in_use", 0)
        return int(free) * len(machine.devices)
    return min(_available_bytes(), _process_bytes(), _group_bytes())


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("no MemAvailable in /proc/meminfo")


def _process_bytes() -> int:
    """What the limit on this process's address space (ulimit -v) leaves."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return 2**62
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return max(soft - pages * resource.getpagesize(), 0)


def _group_bytes() -> int:
    """What the container's limit (cgroup v2) leaves."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
    except OSError:  # not in a container with such a limit
        return 2**62
    return 2**62 if limit == "max" else max(int(limit) - used, 0)


def _analysis(compiled: jax.stages.Compiled) -> Any:
    return compiled.memory_analysis()


def _compiled_bytes(compiled: jax.stages.Compiled) -> int:
    """Arguments, results and work space on one device; what is updated in place counts once."""
    found = _analysis(compiled)
    total = found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes
    return int(total - found.alias_size_in_bytes)


def tree_bytes(tree: Any) -> int:
    """Bytes of the arrays of a pytree."""
    leaves = jax.tree.leaves(tree)
    return int(sum(np.prod(x.shape) * np.dtype(x.dtype).itemsize for x in leaves))


def count_parameters(recipe: Recipe) -> int:
    """Numbers that training changes."""
    hyper = {name: jnp.float32(0) for name in recipe.hyper}
    state = jax.eval_shape(lambda w: init_trial(recipe, w, hyper), jnp.zeros(2, "uint32"))
    return int(sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(state.params)))


def trial_flops(recipe: Recipe, resolved: ResolvedStudy, start: int = 0) -> float:
    """Floating-point operations of the products of one trial's updates from ``start`` on."""
    return update_flops(recipe, resolved.task) * (recipe.updates - start)


def update_flops(recipe: Recipe, task: Task) -> float:
    """Floating-point operations of the products of one update."""
    hyper = {name: jnp.float32(1) for name in recipe.hyper}
    inputs = task.train.inputs
    batch = Split(
        jax.ShapeDtypeStruct((recipe.batch_size, *inputs.shape[1:]), inputs.dtype),
        jax.ShapeDtypeStruct((recipe.batch_size,), jnp.int32),
    )

    def update(words: Any, batch: Split) -> Any:
        state = init_trial(recipe, words, hyper)
        prepared = Split(task.prepare(batch.inputs), batch.targets)
        key = jax.random.wrap_key_data(words)
        return update_trial(recipe, task, 1, state, prepared, key, hyper)

    words = jax.ShapeDtypeStruct((2,), jnp.uint32)
    return _product_flops(jax.make_jaxpr(update)(words, batch).jaxpr)


def _product_flops(jaxpr: Any) -> float:
    """2 m n k of every product in a jaxpr, loops of known length counted in full."""
    total = 0.0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            inner = np.prod([left[axis] for axis in contracted])
            total += 2 * inner * np.prod(equation.outvars[0].aval.shape)
        elif equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            out_axis = equation.params["dimension_numbers"].rhs_spec[0]
            per_output = np.prod(kernel) / kernel[out_axis]
            total += 2 * per_output * np.prod(equation.outvars[0].aval.shape)
        repeats = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        total += repeats * sum(_product_flops(inner) for inner in _inner_jaxprs(equation))
    return float(total)


def _inner_jaxprs(equation: Any) -> list[Any]:
    """The jaxprs that an equation runs: bodies of loops, branches, called functions."""
    found = []
    for name, value in equation.params.items():
        if name in ("jvp_jaxpr_fun", "fwd_jaxpr_thunk", "bwd"):
            continue
        for item in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(item, "jaxpr", item)
            if hasattr(inner, "eqns"):
                found.append(inner)
    return found
