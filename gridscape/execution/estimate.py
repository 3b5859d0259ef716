"""About what a run takes in memory, told from shapes: nothing is compiled, nothing is timed.

Data and states are what the planner counts, to the byte. Work space is what is alive at once in
the functions that are compiled, each array for itself. XLA, which the planner asks, fuses steps
that follow each other and lets arrays share their place, so it may need less.
"""

import math
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Literal, jaxprs_in_params

from gridscape.base.data import Split, Stream
from gridscape.base.foreign import of_others
from gridscape.base.task import Task
from gridscape.engine.cohorts import Cohort
from gridscape.engine.evaluation import evaluate_trial
from gridscape.engine.flops import of_update
from gridscape.engine.machine import evaluated_rows
from gridscape.engine.sizes import tree_bytes
from gridscape.engine.trial import (
    Functions,
    order_shapes,
    state_shapes,
)
from gridscape.execution.executors import Room
from gridscape.execution.planner import fewer_slots, needed_slots, rounded_slots
from gridscape.execution.schedule import segment_length
from gridscape.study.flops import traced
from gridscape.study.study import Recipe, Study

# Arrays that no program keeps: what reads them makes them anew.
_MADE_WHEN_READ = {"broadcast_in_dim", "iota"}


def largest_needs(study: Study, updates: Iterable[tuple[Cohort, Any]]) -> "Needs":
    """About what the largest run of a study needs on one device, with a slot for every trial.

    ``updates`` are its cohorts, each with one update as JAX sees it (``traced_update``). Only for
    the run that takes most in training its evaluation is looked at.
    """
    found = [(needs_of(study, cohort, peak_bytes(update), 1), cohort) for cohort, update in updates]
    needs, cohort = max(found, key=lambda pair: pair[0].total)
    work = max(needs.work, evaluation_bytes(cohort.recipe, cohort.task))
    return needs._replace(slots=len(cohort.trials), work=work)


class Needs(NamedTuple):
    """Bytes on one device: of the data, of each of its trials (slots), and of work space.

    A slot is the state of a trial (parameters and what the optimizer keeps), twice as in a plan.
    """

    data: int
    slots: int
    slot: int
    work: int

    @property
    def total(self) -> int:
        """All of them together."""
        return self.data + self.slots * self.slot + self.work

    def on(self, room: Room) -> int:
        """All of them together, with so many slots for each of those that train."""
        return (self.total - self.data) * room.n_devices + self.data * room.n_copies

    def bytes_on(self, room: Room) -> int:
        """What so many trials take there: fewer at a time where less is free."""
        n_devices = room.n_devices
        state_bytes = n_devices * self.slot / 2
        each = self._replace(slots=rounded_slots(-(-self.slots // n_devices), state_bytes))
        excess = each.total - each.data - room.free_bytes / n_devices
        if excess > 0:
            each = each._replace(slots=fewer_slots(each.slots, excess, each.slot))
        return each.on(room)


def needs_of(study: Study, cohort: Cohort, update_bytes: int, n_devices: int) -> Needs:
    """What training a cohort at once takes; update_bytes: the work space of one of its updates."""
    recipe, task = cohort.recipe, cohort.task
    segment = segment_length(recipe, task, study)
    order = tree_bytes(order_shapes(recipe, task, segment))
    history = 4 * segment * (1 + len(task.metrics))
    # Drawing works on as much again as it gives.
    drawing = order if isinstance(task.train, Stream) else 0
    return Needs(
        data=_data_bytes(task),
        slots=needed_slots(cohort, n_devices),
        slot=2 * (tree_bytes(state_shapes(recipe)) + order) + history,
        work=drawing + update_bytes,
    )


def least_bytes(study: Study, cohort: Cohort, room: Room) -> int:
    """About what the smallest run of a cohort takes: one trial a device, its batches whole.

    0 where it cannot be told, as of a model that raises.
    """
    try:
        with of_others():
            update_bytes = int(of_update(peak_bytes, cohort.recipe, cohort.task))
    except Exception:  # the outcome of its trials, which the executor tells
        return 0
    needs = needs_of(study, cohort, update_bytes, room.n_devices)
    if cohort.split is not None:  # each may have another one
        room = room._replace(n_copies=room.n_devices)
    return needs._replace(slots=1).on(room)


def _data_bytes(task: Task) -> int:
    """The arrays of a task on a device: those to train on, and the padded sets to evaluate."""
    train = None if isinstance(task.train, Stream) else task.train
    evaluated = [s for s in (task.test, task.validation, task.train_examples) if s is not None]
    return tree_bytes((train, [_padded(task, split) for split in evaluated]))


def _padded(task: Task, split: Split) -> Split:
    """The shapes of a split as it lies on a device, in whole chunks."""
    n_padded = evaluated_rows(task)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((n_padded, *x.shape[1:]), x.dtype), split)


def evaluation_bytes(recipe: Recipe, task: Task) -> int:
    """Work space of an evaluation: one chunk of examples of one trial."""
    number, count = (jax.ShapeDtypeStruct((), kind) for kind in (jnp.float32, jnp.int32))
    params, hyper = state_shapes(recipe).params, dict.fromkeys(recipe.hyper, number)
    evaluate = partial(evaluate_trial, Functions.of(recipe, task))
    return peak_bytes(traced(evaluate, params, hyper, _padded(task, task.test), count))


def peak_bytes(jaxpr: Any) -> int:
    """The most bytes that are alive at once in a function, what it is handed left out.

    >>> square = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    >>> peak_bytes(traced(lambda a: (a @ a) @ (a @ a) @ a, square)) // square.size // 4
    3
    """
    last = _last_uses(jaxpr)
    alive: dict[Any, int] = {}
    most = 0
    for at, equation in enumerate(jaxpr.eqns):
        inner = max(map(peak_bytes, jaxprs_in_params(equation.params)), default=0)
        made = {v: _made_bytes(equation, v) for v in equation.outvars if v in last}
        most = max(most, sum(alive.values()) + sum(made.values()) + inner)
        alive = {v: size for v, size in {**alive, **made}.items() if last[v] > at}
    return most


def _last_uses(jaxpr: Any) -> dict[Any, int]:
    """The last equation that reads each variable; past the end for those that are returned."""
    reads = [e.invars for e in jaxpr.eqns] + [jaxpr.outvars]
    return {v: at for at, read in enumerate(reads) for v in read if not isinstance(v, Literal)}


def _made_bytes(equation: Any, variable: Any) -> int:
    if equation.primitive.name in _MADE_WHEN_READ:
        return 0
    shape, dtype = variable.aval.shape, variable.aval.dtype
    return math.prod(shape) * dtype.itemsize
