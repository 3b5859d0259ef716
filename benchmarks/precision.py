"""Recurrent layers with products in bfloat16 beside float32: milliseconds per trial.

    python benchmarks/precision.py
    python benchmarks/precision.py --cells lstm --widths 64,128

Forward and backward pass with respect to all parameters, as in training: 28 steps of 28 features,
batch 100, one trial on one core. The two take turns within each round; the best of many calls
counts, since other programs only ever slow one down.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from harness import Ratio, describe, interleave, machine, ratio, table, write

from gridscape import kernels
from gridscape.models._cells import CELLS
from gridscape.models.precision import products_in

T, B, D = 28, 100, 28
PRECISIONS = ("float32", "bfloat16")
HYPER = {"forget_bias": 1.0}


class Measured(NamedTuple):
    """One layer: the best milliseconds of each round by precision."""

    cell: str
    width: int
    milliseconds: dict[str, list[float]]

    @property
    def speedup(self) -> Ratio:
        """How many times as fast as float32."""
        return ratio(*(self.milliseconds[name] for name in PRECISIONS))


def main() -> None:
    options = _options()
    facts = machine() | {"kernels": kernels.target() or "XLA"}
    found = [
        measure(cell, width, options.rounds, options.seconds)
        for cell in options.cells
        for width in options.widths
    ]
    write("precision", facts, report(facts, found), record(facts, found))


def measure(cell: str, width: int, n_rounds: int, seconds: float) -> Measured:
    """Both precisions of a layer, from the same parameters."""
    rng = np.random.default_rng(0)
    params = {
        name: jnp.asarray(rng.normal(size=shape) / np.sqrt(sum(shape)), jnp.float32)
        for name, shape in CELLS[cell].shapes(D, width).items()
    }
    inputs = jnp.asarray(rng.random((B, T, D)), jnp.float32)

    def turn(precision: str) -> Callable[[], float]:
        def loss(params: Any) -> Any:
            with products_in(precision):
                last = CELLS[cell].states(params, jnp.swapaxes(inputs, 0, 1), HYPER, False)
            return jnp.square(last).sum()

        gradient = jax.jit(jax.grad(loss)).lower(params).compile()

        def call() -> float:
            begin = time.perf_counter()
            jax.block_until_ready(gradient(params))
            return 1e3 * (time.perf_counter() - begin)

        call()
        times = max(3, int(1e3 * seconds / call()))
        return lambda: min(call() for _ in range(times))

    turns = {precision: turn(precision) for precision in PRECISIONS}
    return Measured(cell, width, interleave(turns, n_rounds))


def report(facts: Mapping[str, Any], found: Sequence[Measured]) -> str:
    """The table in markdown."""
    parts = [
        "# Recurrent layers with products in bfloat16",
        f"{describe(facts)}\n- kernels: {facts['kernels']}",
        f"Forward and backward pass, {T} steps, batch {B}, one core: milliseconds per trial, the "
        "best of all rounds. The ratio is the median of those within each round; above 1 bfloat16 "
        "is faster.",
        table(["cell", "hidden_size", *PRECISIONS, "ratio", "rounds"], map(_row, found)),
    ]
    return "\n\n".join(parts) + "\n"


def _row(m: Measured) -> list[str]:
    times = [f"{min(m.milliseconds[name]):.3g}" for name in PRECISIONS]
    r = m.speedup
    return [m.cell, str(m.width), *times, f"{r.median:.2f}", f"{r.low:.2f} to {r.high:.2f}"]


def record(facts: Mapping[str, Any], found: Sequence[Measured]) -> dict[str, Any]:
    """All that was measured, as plain data."""
    return {
        "machine": dict(facts),
        "unit": "milliseconds per trial, the best of each round",
        "layers": [{**m._asdict(), "speedup": m.speedup._asdict()} for m in found],
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cells", type=lambda text: text.split(","), default=list(CELLS))
    parser.add_argument("--widths", type=_whole_numbers, default=[8, 16, 32, 64, 128, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="per precision and round")
    return parser.parse_args()


def _whole_numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
