"""Gridscape's own programs, and the same training as one would write it in a JAX notebook."""

import os
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from harness import Work
from jax import lax

from gridscape.base.data import Split, Stream, as_float
from gridscape.base.metrics import cross_entropy
from gridscape.base.types import Array
from gridscape.engine.cohorts import partition
from gridscape.engine.compilers import BACKEND_COMPILE, WAITED
from gridscape.engine.flops import update_flops
from gridscape.engine.machine import Machine
from gridscape.engine.order import data_order
from gridscape.engine.programs import LONGEST_SEGMENT
from gridscape.engine.training import Training
from gridscape.execution.planner import Planner
from gridscape.kernels.cores import n_cores
from gridscape.kernels.library import VARIABLE
from gridscape.models._cells import forget_gate_offset
from gridscape.models.precision import arithmetic, products_in
from gridscape.study.study import ResolvedStudy, Study

# So that one program trains on all cores; before JAX is first used.
jax.config.update("jax_num_cpu_devices", n_cores())

COMPILING = (
    BACKEND_COMPILE,
    WAITED,
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
)


class CompileClock:
    """The seconds for which compiling keeps this thread from now on, and how many programs."""

    def __init__(self) -> None:
        self.seconds, self.n_programs, self._thread = 0.0, 0, threading.get_ident()
        jax.monitoring.register_event_duration_secs_listener(self._note)

    def _note(self, event: str, seconds: float, **_: Any) -> None:
        self.n_programs += event == BACKEND_COMPILE
        if event in COMPILING and threading.get_ident() == self._thread:
            self.seconds += seconds


def study(
    width: int,
    rates: Sequence[float],
    replicates: int,
    data_dir: str | None,
    precision: str = "float32",
) -> Any:
    """One width of the study; compile times are true ones, not those of a cache."""
    jax.config.update("jax_enable_compilation_cache", False)
    axes: dict[str, list[Any]] = {"hidden_size": [width], "learning_rate": list(rates)}
    chosen = Study.load("lstm-width-lr").override(axes, replicates=replicates, precision=precision)
    return chosen.resolve(data_dir)


def cohort(
    width: int,
    rates: Sequence[float],
    replicates: int,
    data_dir: str | None,
    may_diverge: bool = False,
    precision: str = "float32",
) -> Work:
    """A cohort of the width x learning-rate study."""
    return trained(study(width, rates, replicates, data_dir, precision), may_diverge)


def cohort_of(
    name: str,
    cell: dict[str, Any],
    replicates: int,
    data_dir: str | None,
    batch_size: int | None = None,
) -> Work:
    """One cell of a named study, with so many replicates."""
    jax.config.update("jax_enable_compilation_cache", False)
    axes = {axis: [value] for axis, value in cell.items()}
    chosen = Study.load(name).override(axes, replicates=replicates, batch_size=batch_size)
    return trained(chosen.resolve(data_dir))


def plain_cohort_of(*given: Any) -> Work:
    """The same without native kernels."""
    os.environ[VARIABLE] = "off"
    return cohort_of(*given)


def trained(resolved: ResolvedStudy, may_diverge: bool = False) -> Work:
    """The one cohort of a study, by the programs that ``gridscape run`` trains it with.

    A network that diverged is trained no more, which is no speed: that is an error, unless it is
    trained with others as one batch, which takes as long with it as without.
    """
    planner = Planner(resolved, Machine.local())
    (trials,) = partition(resolved, resolved.trials())
    program, n_trials = planner.program(trials), len(trials.trials)
    clock = CompileClock()
    program.begin()
    training = Training(program, trials)
    _ = program.train, program.evaluate
    compile_seconds = clock.seconds
    # A stream draws the examples of a whole segment at once: so many are trained, as by a study.
    step = program.segment if isinstance(trials.task.train, Stream) else 1

    def run(count: int) -> int:
        first = training.update
        stop = first + -(-_updates(count, n_trials) // step) * step
        while training.update < stop:
            training.advance(min(stop, training.update + program.segment))
        if training.outcome()[1].any() and not may_diverge:
            raise RuntimeError("a network diverged and was no longer trained: nothing to compare")
        return n_trials * (stop - first)

    flops = update_flops(trials.recipe, trials.task)
    return Work(run, {"compile_seconds": compile_seconds, "update_flops": flops})


def vmapped_scan(width: int, rates: Sequence[float], replicates: int, data_dir: str | None) -> Work:
    """The same cohort the way of a notebook: vmap over all networks, autodiff of the scan."""
    resolved = study(width, rates, replicates, data_dir)
    recipe = resolved.recipe(resolved.study.grid.cells()[0])
    train = jax.device_put(resolved.task.train)
    states = _initial_states(recipe, rates, replicates)

    def order(begin: int) -> Array:
        each = [
            data_order(0, r, len(train.targets), recipe.batch_size, begin, begin + LONGEST_SEGMENT)
            for r in range(replicates)
        ]
        return jnp.asarray(np.stack(each, axis=1))

    compiled = partial(train_together, jnp.asarray(rates))
    orders = order(0)
    compile_seconds = _seconds(lambda: jax.block_until_ready(compiled(states, orders, 0, train)))
    done = 0

    def run(count: int) -> int:
        nonlocal states, done
        left = updates = _updates(count, len(rates) * replicates)
        while left:
            n = min(left, LONGEST_SEGMENT)
            states = jax.block_until_ready(compiled(states, order(done), n, train))
            done, left = done + n, left - n
        return len(rates) * replicates * updates

    return Work(run, {"compile_seconds": compile_seconds})


def _initial_states(recipe: Any, rates: Sequence[float], replicates: int) -> Any:
    """Parameters and Adam's moments, every leaf (rates, replicates, ...)."""
    keys = jax.random.split(jax.random.key(0), replicates)
    params = jax.vmap(lambda key: recipe.model.init(key, recipe.hyper))(keys)
    params = jax.tree.map(lambda x: jnp.stack([x] * len(rates)), params)
    return params, jax.vmap(jax.vmap(optax.adam(1e-3).init))(params)


@jax.jit
def train_together(rates: Array, states: Any, orders: Array, n: Array, train: Split) -> Any:
    """``n`` updates of all networks; orders (U, replicates, B) are the examples of each."""

    def loss(params: Any, batch: Split) -> Array:
        steps = jnp.swapaxes(as_float(batch.inputs), 0, 1)
        width = params["output_kernel"].shape[0]
        bias = params["bias"] + forget_gate_offset(width, 1.0)
        outputs = scan_layer(params["kernel"], bias, steps) @ params["output_kernel"]
        return cross_entropy(outputs + params["output_bias"], batch.targets).mean()

    def update(rate: Array, state: Any, batch: Split) -> Any:
        params, moments = state
        changes, moments = optax.adam(rate).update(jax.grad(loss)(params, batch), moments)
        return optax.apply_updates(params, changes), moments

    over_replicates = jax.vmap(update, in_axes=(None, 0, 0))
    over_rates = jax.vmap(over_replicates, in_axes=(0, 0, None))

    def body(k: Array, states: Any) -> Any:
        batches = Split(train.inputs[orders[k]], train.targets[orders[k]])
        return over_rates(rates, states, batches)

    return lax.fori_loop(0, n, body, states)


def scan_layer(kernel: Array, bias: Array, inputs: Array) -> Array:
    """The mathematics of Gridscape's LSTM layer, left to JAX to differentiate."""
    zeros = jnp.zeros((inputs.shape[1], kernel.shape[1] // 4))

    def step(carry: tuple[Array, Array], x: Array) -> tuple[tuple[Array, Array], None]:
        h, c = carry
        gates = jnp.concatenate([x, h], axis=-1) @ kernel + bias[None]
        i, j, f, o = jnp.split(gates, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(j)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    (h, _), _ = lax.scan(step, (zeros, zeros), inputs)
    return h


def products(n: int, precision: str = "float32") -> Work:
    """Products of two (n, n) float32 matrices, on every device at once: what the cores can do.

    On a GPU operands are rounded to ``precision`` by the product itself.
    """
    square = np.random.default_rng(0).random((n, n), np.float32)
    operands = [jax.device_put(square, device) for device in jax.local_devices()]
    with products_in(precision):
        product = jax.jit(partial(jnp.matmul, precision=arithmetic()))
    jax.block_until_ready([product(x, x) for x in operands])

    def run(count: int) -> int:
        times = max(1, count // len(operands))
        for _ in range(times):
            jax.block_until_ready([product(x, x) for x in operands])
        return times * len(operands)

    return Work(run, {"flops": 2.0 * n**3})


def _updates(count: int, n_networks: int) -> int:
    return max(1, round(count / n_networks))


def _seconds(work: Any) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
