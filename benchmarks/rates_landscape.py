"""A landscape of 256 x 256 tiny networks by the learning rates of their two layers.

    python benchmarks/rates_landscape.py                 65,536 networks: about 2 minutes
    python benchmarks/rates_landscape.py --side 32       a quick look: 1,024 of them

One hidden layer of 16 tanh units and 500 full-batch updates, as in "The boundary of neural network
trainability is fractal" (Sohl-Dickstein 2024). First, networks per second of Gridscape's programs
beside a loop of vmap in JAX, in turns; then the whole study by ``gridscape.run``, from the first
line to the picture that Gridscape's own figures draw.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import nan
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from harness import N_CORES, RESULTS, Side, Work, describe, interleave, machine, ratio, table, write
from jax import lax
from jax_sides import trained

import gridscape as gs
from gridscape.analysis.cells import CellSummary, summarize
from gridscape.analysis.statistics import Interval
from gridscape.base.data import Split
from gridscape.base.parts import Model
from gridscape.base.task import Task
from gridscape.base.types import Array, Hyper, Params
from gridscape.grid.many import many_records
from gridscape.identity.code import fingerprint
from gridscape.report import figures
from gridscape.study.study import Study

WIDTH, UPDATES = 16, 500
N_EXAMPLES = WIDTH * WIDTH + WIDTH  # as many as the network has parameters
RATES_1, RATES_2 = (0.1, 100.0), (0.05, 5.0)  # across the boundary
COMPARED_RATES = (1e-3, 1e-1)  # at which no network diverges: both sides train all updates
CHUNKS = (1, 8, 64)  # networks that one vmap trains: the fastest of these is timed

GRIDSCAPE = "Gridscape"
NOTEBOOK, NOTEBOOKS = "JAX vmap, 1 process", f"JAX vmap, {N_CORES} processes"


def teacher_task() -> Task:
    """Random inputs and what a random network of the same kind answers."""
    random = np.random.default_rng(0)
    inputs = random.standard_normal((N_EXAMPLES, WIDTH), np.float32)
    hidden, output = (random.standard_normal((WIDTH, n), np.float32) / 4 for n in (WIDTH, 1))
    targets = np.tanh(inputs @ hidden) @ output
    split = Split(inputs, targets)
    return Task(
        name="teacher",
        train=split,
        test=split,
        input_shape=(WIDTH,),
        n_outputs=1,
        fingerprint=fingerprint("teacher", inputs, targets),
        loss=squared_error,
        metrics={},
        answer=None,
    )


def squared_error(outputs: Array, targets: Array) -> Array:
    """(B, C), (B, C) -> (B,)."""
    return jnp.square(outputs - targets).sum(axis=-1)


def two_rates() -> gs.Optimizer:
    """Plain descent with a learning rate for each layer: a user's own optimizer, by import name."""

    def make(hyper: Hyper) -> optax.GradientTransformation:
        rules = {
            "dense1": optax.sgd(hyper["learning_rate_1"]),
            "output": optax.sgd(hyper["learning_rate_2"]),
        }
        return optax.multi_transform(rules, {name: name for name in rules})

    return gs.Optimizer(make, {"learning_rate_1": 0.1, "learning_rate_2": 0.1})


def study(side: int, rates_1: tuple[float, float], rates_2: tuple[float, float]) -> Study:
    """``side`` x ``side`` networks that start from the same weights."""
    return Study(
        name="rates",
        task=teacher_task(),
        model="mlp",
        model_options={"hidden_size": WIDTH, "activation": "tanh", "bias": False},
        optimizer="rates_landscape:two_rates",
        axes={
            "learning_rate_1": _spaced(*rates_1, side),
            "learning_rate_2": _spaced(*rates_2, side),
        },
        updates=UPDATES,
        batch_size=N_EXAMPLES,
        replicates=1,
        evaluations=1,
    )


def _spaced(low: float, high: float, count: int) -> list[float]:
    """Even ratios, in four digits, for which ticks have room."""
    return [float(f"{rate:.4g}") for rate in np.geomspace(low, high, count)]


# ---- the sides --------------------------------------------------------------------------------


def cohort() -> Work:
    """64 networks by the programs of ``gridscape.run``."""
    jax.config.update("jax_enable_compilation_cache", False)
    return trained(study(8, COMPARED_RATES, COMPARED_RATES).resolve())


def notebook() -> Work:
    """vmap over a chunk of networks, a scan over the updates, chunk after chunk."""
    resolved = study(8, COMPARED_RATES, COMPARED_RATES).resolve()
    recipe = resolved.recipe(resolved.study.grid.cells()[0])
    chunks = {size: _chunk(recipe.model, resolved.task, size) for size in CHUNKS}
    for train in chunks.values():
        train()
    seconds = {size: _seconds(train) / size for size, train in chunks.items()}
    best = min(seconds, key=lambda size: seconds[size])

    def run(count: int) -> int:
        times = max(1, count // (best * UPDATES))
        for _ in range(times):
            chunks[best]()
        return times * best * UPDATES

    return Work(run, {"chunk": best})


def _chunk(model: Model, task: Task, size: int) -> Any:
    """A function that trains so many networks from their beginning to their end."""
    data: Split = jax.device_put(task.train)
    rates = jnp.geomspace(*COMPARED_RATES, size)

    def loss(params: Params) -> Array:
        outputs = jnp.tanh(data.inputs @ params["dense1"]["kernel"]) @ params["output"]["kernel"]
        return squared_error(outputs, data.targets).mean()

    def train_one(rate_1: Array, rate_2: Array, params: Params) -> Any:
        rate_of = {"dense1": rate_1, "output": rate_2}

        def update(params: Params, _: None) -> tuple[Params, Array]:
            now, grads = jax.value_and_grad(loss)(params)
            changed = {
                layer: {"kernel": arrays["kernel"] - rate_of[layer] * grads[layer]["kernel"]}
                for layer, arrays in params.items()
            }
            return changed, now

        return lax.scan(update, params, length=UPDATES)

    compiled = jax.jit(jax.vmap(train_one, in_axes=(0, 0, None)))
    params = model.init(jax.random.key(0), {"init_scale": 1.0})
    return lambda: jax.block_until_ready(compiled(rates, rates[::-1], params))


def _seconds(work: Any) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def compare(options: argparse.Namespace) -> tuple[dict[str, list[float]], Mapping[str, float]]:
    """Milliseconds per update and network by side, one number a round; what is known of ours."""
    sides = {
        GRIDSCAPE: Side(GRIDSCAPE, "rates_landscape:cohort", [()]),
        NOTEBOOK: Side(NOTEBOOK, "rates_landscape:notebook", [()]),
        NOTEBOOKS: Side(NOTEBOOKS, "rates_landscape:notebook", [()] * N_CORES),
    }
    try:
        slowest = max(side.measure(64 * UPDATES) for side in sides.values())
        count = max(64 * UPDATES, int(1e3 * options.seconds / slowest))
        turns = {name: partial(side.measure, count) for name, side in sides.items()}
        return interleave(turns, options.rounds), sides[GRIDSCAPE].facts
    finally:
        for side in sides.values():
            side.close()


# ---- the whole study --------------------------------------------------------------------------


class Whole(NamedTuple):
    """The study from the first line to the landscape, and the picture after it, in seconds."""

    n_trials: int
    n_diverged: int
    seconds: float
    training_seconds: float
    drawing_seconds: float


def whole(options: argparse.Namespace) -> Whole:
    """Run the study of all networks and draw it."""
    asked = study(options.side, RATES_1, RATES_2)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        land = gs.run(asked, directory=folder)
        seconds = time.perf_counter() - begin
        begin = time.perf_counter()
        draw(land)  # while the folder is there: its curves are read when they are asked for
        drawing_seconds = time.perf_counter() - begin
    return Whole(
        n_trials=land.array("status").size,
        n_diverged=land.counts()["diverged"],
        seconds=seconds,
        training_seconds=float(land.array("seconds").sum()) / N_CORES,
        drawing_seconds=drawing_seconds,
    )


@many_records()
def draw(land: gs.Landscape) -> None:
    """The loss at the end, as a share of that of answering 0: at most 1, or the scale shows no more
    than the few networks that are about to diverge.
    """
    of_zero = float(np.square(teacher_task().train.targets).mean())

    def error(found: CellSummary) -> CellSummary:
        share = min(found.estimate.mean / of_zero, 1.0)  # NaN where it diverged
        return replace(found, metric="final_error", estimate=Interval(share, nan, nan, 1))

    picture = figures.heat_map(land.axes, list(map(error, summarize(land, "train_loss"))))
    RESULTS.mkdir(exist_ok=True)
    picture.savefig(RESULTS / "rates_landscape.png", dpi=150)


# ---- what is told -----------------------------------------------------------------------------


def main() -> None:
    options = _options()
    facts = machine()
    times, known = compare(options)
    found = whole(options)
    record = {
        "machine": facts,
        "unit": "milliseconds per update and network, one number per round",
        "milliseconds": times,
        "compile_seconds": known["compile_seconds"],
        "whole": found._asdict(),
    }
    write("rates_landscape", facts, report(facts, times, found, options), record)


def report(
    facts: Mapping[str, Any],
    times: Mapping[str, Sequence[float]],
    found: Whole,
    options: argparse.Namespace,
) -> str:
    """The tables in markdown."""
    rest = found.seconds - found.training_seconds
    rows = [
        ["networks", f"{found.n_trials:,}"],
        ["of these diverged", f"{found.n_diverged:,}"],
        ["seconds", f"{found.seconds:.1f}"],
        ["of these training and evaluation", f"{found.training_seconds:.1f}"],
        ["networks per second", f"{found.n_trials / found.seconds:.0f}"],
        ["milliseconds per network beside training", f"{1e3 * rest / found.n_trials:.2f}"],
        ["seconds to draw the picture", f"{found.drawing_seconds:.1f}"],
    ]
    parts = [
        "# A landscape of learning rates, layer by layer",
        describe(facts),
        f"Networks of {WIDTH} inputs, {WIDTH} tanh units and one output, trained for {UPDATES} "
        f"updates on all {N_EXAMPLES} examples. Networks per second while they are trained, median "
        f"of {options.rounds} interleaved rounds, at rates at which none diverges; compiling, "
        "storing and the rest are not included. Gridscape also keeps the last finite state and "
        "watches for numbers that are not.",
        table(["", "networks per second", "time / Gridscape's"], [_row(s, times) for s in times]),
        f"The whole study by `gridscape.run`: planning, compiling, training, evaluation, storing "
        f"each network, reading the landscape. {options.side} rates of each layer, from "
        f"{RATES_1[0]:g} to {RATES_1[1]:g} and from {RATES_2[0]:g} to {RATES_2[1]:g}.",
        table(["", GRIDSCAPE], rows),
    ]
    return "\n\n".join(parts) + "\n"


def _row(side: str, times: Mapping[str, Sequence[float]]) -> list[str]:
    each = 1e3 / (statistics.median(times[side]) * UPDATES)
    against = ratio(times[side], times[GRIDSCAPE])
    return [side, f"{each:.0f}", f"{against.median:.2f} ({against.low:.2f} to {against.high:.2f})"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--side", type=int, default=256, help="rates of each layer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of the slowest side, per round")
    return parser.parse_args()


if __name__ == "__main__":
    main()
