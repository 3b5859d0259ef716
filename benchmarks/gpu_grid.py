"""The published grid of widths and learning rates on one GPU, beside a loop of PyTorch.

    python benchmarks/gpu_grid.py                       needs a GPU, MNIST, and PyTorch for its rows
    python benchmarks/gpu_grid.py --precision bfloat16
    python benchmarks/gpu_grid.py --without-gpu --widths 16,32 --updates 20      tests this script

All 54 cells: widths 16 to 4096, learning rates 1e-5 to 1, 999 updates of 100 images. Gridscape
trains the cells of a width as one batch and does all updates in each round. PyTorch, whose LSTM on
a GPU is cuDNN's, trains one network after the other; it does a sample of the updates, from which
its time for all is extrapolated. The sides take turns. Last, the whole study by ``gridscape.run``,
with evaluation and storing.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
from harness import Side, Work, describe, interleave, is_installed, machine, ratio, table, write
from jax_sides import CompileClock

import gridscape as gs

WIDTHS = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
SAMPLE = 50  # updates of each network that PyTorch does in a round
PRODUCT_SIZE, N_PRODUCTS = 8192, 20
# What is aimed at on a GPU of the class of an H200.
GOAL_SECONDS, GOAL_RATIO, GOAL_WIDEST = 60, 20, 512
GRIDSCAPE, TORCH = "Gridscape", "PyTorch loop"


class Measured(NamedTuple):
    """One width. milliseconds: per update and network, by side, one number a round."""

    width: int
    milliseconds: dict[str, list[float]]
    update_flops: float
    product_flops: float
    compile_seconds: float

    def median(self, side: str) -> float:
        return statistics.median(self.milliseconds[side])

    @property
    def times_as_fast(self) -> float | None:
        """Gridscape against PyTorch, the median over the rounds; None where not measured."""
        if TORCH not in self.milliseconds:
            return None
        return ratio(self.milliseconds[TORCH], self.milliseconds[GRIDSCAPE]).median

    @property
    def share_of_peak(self) -> float:
        """Of the speed of the large product."""
        return self.update_flops / self.median(GRIDSCAPE) / 1e-3 / self.product_flops


def main() -> None:
    options = _options()
    # Processes that take turns on one GPU: none may take all of its memory.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    device = jax.devices()[0]
    if device.platform != "gpu" and not options.without_gpu:
        sys.exit("JAX finds no GPU here; --without-gpu tests the script on the CPU")
    facts = {**machine(), "device": device.device_kind, "is_gpu": device.platform == "gpu"}
    found = [measure(width, options, facts["is_gpu"]) for width in options.widths]
    whole = dict(
        _facts_of(
            "gpu_grid:whole_grid",
            (options.widths, options.updates, options.data_dir, options.precision),
        )
    )
    record = {
        "machine": facts,
        "unit": "milliseconds per update and network, one number per round",
        "precision": options.precision,
        "updates": options.updates,
        "widths": [m._asdict() for m in found],
        "whole": whole,
    }
    on = facts["device"] if facts["is_gpu"] else facts["cpu"]
    write("gpu_grid", {**facts, "cpu": on}, report(facts, found, whole, options), record)


def measure(width: int, options: argparse.Namespace, is_gpu: bool) -> Measured:
    """Both sides at one width, and the large product, in turns."""
    size = PRODUCT_SIZE if is_gpu else PRODUCT_SIZE // 8
    ours = (width, RATES, options.replicates, options.data_dir, True, options.precision)
    sides = {
        "product": Side("product", "jax_sides:products", [(size, options.precision)]),
        GRIDSCAPE: Side(GRIDSCAPE, "jax_sides:cohort", [ours]),
    }
    if is_installed("torch"):
        tf32 = options.precision != "float32"
        given = ("cuda" if is_gpu else "cpu", width, RATES, tf32, options.data_dir)
        sides[TORCH] = Side(TORCH, "torch_sides:loop_on", [given])
    counts = {
        "product": N_PRODUCTS,
        GRIDSCAPE: len(RATES) * options.replicates * options.updates,
        TORCH: len(RATES) * min(SAMPLE, options.updates),
    }
    try:
        for name, side in sides.items():
            side.measure(counts[name] // 10)
        turns = {name: partial(side.measure, counts[name]) for name, side in sides.items()}
        times = interleave(turns, options.rounds)
    finally:
        for side in sides.values():
            side.close()
    flops = sides["product"].facts["flops"]
    return Measured(
        width=width,
        milliseconds={name: times[name] for name in times if name != "product"},
        update_flops=sides[GRIDSCAPE].facts["update_flops"],
        product_flops=flops / min(times["product"]) / 1e-3,
        compile_seconds=sides[GRIDSCAPE].facts["compile_seconds"],
    )


def _facts_of(factory: str, arguments: tuple[Any, ...]) -> Mapping[str, float]:
    """What a process of its own finds out."""
    side = Side(factory, factory, [arguments])
    side.close()
    return side.facts


def whole_grid(widths: Sequence[int], updates: int, data_dir: str | None, precision: str) -> Work:
    """The study with one replicate, into an empty folder."""
    jax.config.update("jax_enable_compilation_cache", False)
    compiling = CompileClock()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        gs.run(
            "lstm-width-lr",
            set={"hidden_size": widths},
            replicates=1,
            updates=updates,
            precision=precision,
            data_dir=data_dir,
            directory=folder,
        )
    seconds = time.perf_counter() - begin
    facts = {"seconds": seconds - compiling.seconds, "compile_seconds": compiling.seconds}
    return Work(lambda count: count, facts)


# ---- what is told -----------------------------------------------------------------------------


def report(
    facts: Mapping[str, Any],
    found: Sequence[Measured],
    whole: Mapping[str, float],
    options: argparse.Namespace,
) -> str:
    """The tables in markdown."""
    head = ["hidden_size", GRIDSCAPE, TORCH, "times as fast", "share of peak", "compiling (s)"]
    peak = max(m.product_flops for m in found)
    parts = [
        "# The grid of widths and learning rates on one device",
        f"{describe(facts)}\n- trained on: {_device(facts)}",
        f"LSTM on MNIST rows, batch 100, Adam, {options.updates} updates, {len(RATES)} learning "
        f"rates: milliseconds per update and network, median of {options.rounds} interleaved "
        f"rounds. Peak: {peak / 1e12:.3g} TFLOP/s, of a large product in the same precision "
        f"({options.precision if facts['is_gpu'] else 'float32'}). {TORCH}: one network after the "
        f"other, {min(SAMPLE, options.updates)} updates of each.",
        table(head, [_row(m) for m in found]),
        table(["all cells", "seconds"], _totals(found, whole, options.updates)),
        "\n".join(_goals(found, facts, options)),
    ]
    return "\n\n".join(parts) + "\n"


def _device(facts: Mapping[str, Any]) -> str:
    name = str(facts["device"])
    return name if facts["is_gpu"] else f"{name}, **no GPU: only a test of the script**"


def _row(m: Measured) -> list[str]:
    torch, faster = "not measured", "not measured"
    if m.times_as_fast is not None:
        torch, faster = f"{m.median(TORCH):.3g}", f"{m.times_as_fast:.1f}"
    share, compiling = f"{m.share_of_peak:.0%}", f"{m.compile_seconds:.1f}"
    return [str(m.width), f"{m.median(GRIDSCAPE):.3g}", torch, faster, share, compiling]


def _seconds(found: Sequence[Measured], side: str, updates: int) -> float | None:
    """Training of all cells; None where not measured."""
    if any(side not in m.milliseconds for m in found):
        return None
    return sum(m.median(side) for m in found) * len(RATES) * updates / 1e3


def _totals(found: Sequence[Measured], whole: Mapping[str, float], updates: int) -> list[list[str]]:
    ours, torch = (_seconds(found, side, updates) for side in (GRIDSCAPE, TORCH))
    return [
        [f"{GRIDSCAPE}, training", f"{ours:.1f}"],
        [f"{TORCH}, extrapolated", "not measured" if torch is None else f"{torch:.1f}"],
        ["`gridscape.run`, from beginning to end", f"{whole['seconds']:.1f}"],
        ["compiling for it", f"{whole['compile_seconds']:.1f}"],
    ]


def _goals(
    found: Sequence[Measured], facts: Mapping[str, Any], options: argparse.Namespace
) -> list[str]:
    """What was aimed at, and whether it was reached."""
    narrow = [m.times_as_fast for m in found if m.width <= GOAL_WIDEST]
    known = [times for times in narrow if times is not None]
    seconds = _seconds(found, GRIDSCAPE, options.updates)
    is_whole = facts["is_gpu"] and options.widths == WIDTHS and seconds is not None
    in_time = f"{seconds:.1f} s" if is_whole else "not measured"
    slowest = f"{min(known):.1f} at the least" if facts["is_gpu"] and known else "not measured"
    return [
        f"- Goal: all {len(WIDTHS) * len(RATES)} cells in less than {GOAL_SECONDS} s: {in_time}.",
        f"- Goal: {GOAL_RATIO} times as fast as the loop up to width {GOAL_WIDEST}: {slowest}.",
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--widths", type=lambda text: [int(part) for part in text.split(",")], default=WIDTHS
    )
    parser.add_argument("--updates", type=int, default=999)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--precision",
        choices=["float32", "tf32", "bfloat16"],
        default="tf32",
        help="what the operands of products are rounded to (PyTorch: tf32 unless float32)",
    )
    parser.add_argument("--replicates", type=int, default=1, help="trained together by Gridscape")
    parser.add_argument("--without-gpu", action="store_true", help="test this script on the CPU")
    parser.add_argument("--data-dir", help="where MNIST is")
    return parser.parse_args()


if __name__ == "__main__":
    main()
