"""Gridscape against PyTorch and a JAX notebook: the width x learning-rate study on MNIST.

    python benchmarks/width_lr.py                       needs MNIST (gridscape data fetch mnist)
    python benchmarks/width_lr.py --widths 256,512      the wide networks

Each side is a process of its own, started and warm before the first round. In a round every side
trains the same number of updates (forward, backward, Adam; batches of 100 images gathered
inside the time); the sides take turns, so that a slow moment of the machine meets all of them.
Told is the median over the rounds of milliseconds per update and network, and as a multiple the
median of each round's ratio to Gridscape.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from harness import (
    N_CORES,
    Side,
    describe,
    is_installed,
    machine,
    race,
    ratio,
    table,
    whole_numbers,
    write,
)
from sides import (
    GRIDSCAPE,
    INSTALL_HINT,
    MANY_LOOPS,
    N_PRODUCTS,
    ONE_LOOP,
    PRODUCT_SIZE,
    gflops,
    large_product,
)

RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
REPLICATES, UPDATES = 5, 999  # of the study
WIDEST_IN_FULL = 128  # above it one replicate is timed, so that a round stays short

SCAN = "JAX scan, vmap"
LOADER = "PyTorch, DataLoader"
TORCH = (ONE_LOOP, MANY_LOOPS, LOADER)
SIDES = (GRIDSCAPE, *TORCH, SCAN)


class Measured(NamedTuple):
    """One width. milliseconds: per update and network, by side, one number a round.

    product_gflops: of a large product, one number a round. update_flops: of the products of one
    update of one network. compile_seconds: by side, outside all other times.
    """

    width: int
    replicates: int
    updates: int
    milliseconds: dict[str, list[float]]
    product_gflops: list[float]
    update_flops: float
    compile_seconds: dict[str, float]

    def median(self, side: str) -> float:
        return statistics.median(self.milliseconds[side])

    def gflops(self, side: str) -> float:
        return self.update_flops / self.median(side) / 1e6


def main() -> None:
    options = _options()
    facts = machine()
    found = [measure(width, options) for width in options.widths]
    write("width_lr", facts, report(facts, found, options), record(facts, found, options))


def measure(width: int, options: argparse.Namespace) -> Measured:
    """All sides at one width."""
    replicates = options.replicates if width <= WIDEST_IN_FULL else 1
    sides = start(width, replicates, options.data_dir)
    cohort = len(RATES) * replicates
    try:
        product = sides.pop("product")
        beside = {"product": partial(product.measure, N_PRODUCTS)}
        times, count = race(sides, cohort, options.seconds, options.rounds, beside)
    finally:
        for side in (product, *sides.values()):
            side.close()
    return Measured(
        width=width,
        replicates=replicates,
        updates=count // cohort,
        milliseconds={name: times[name] for name in sides},
        product_gflops=gflops(product, times["product"]),
        update_flops=sides[GRIDSCAPE].facts["update_flops"],
        compile_seconds={name: sides[name].facts["compile_seconds"] for name in (GRIDSCAPE, SCAN)},
    )


def start(width: int, replicates: int, data_dir: str | None) -> dict[str, Side]:
    """Every side that can be measured here, and the large product."""
    cohort = (width, RATES, replicates, data_dir)
    sides = {
        "product": large_product(),
        GRIDSCAPE: Side(GRIDSCAPE, "jax_sides:cohort", [cohort]),
        SCAN: Side(SCAN, "jax_sides:vmapped_scan", [cohort]),
    }
    if is_installed("torch"):
        shares = [RATES[k::N_CORES] or RATES[:1] for k in range(N_CORES)]
        loops: dict[str, list[tuple[Any, ...]]] = {
            ONE_LOOP: [(width, RATES, N_CORES, False, data_dir)],
            MANY_LOOPS: [(width, share, 1, False, data_dir) for share in shares],
            LOADER: [(width, RATES, N_CORES, True, data_dir)],
        }
        sides |= {name: Side(name, "torch_sides:loop", given) for name, given in loops.items()}
    return sides


# ---- what is told -----------------------------------------------------------------------------


def report(facts: Mapping[str, Any], found: Sequence[Measured], options: Any) -> str:
    """The tables in markdown."""
    peak = _peak(found)
    head = ["hidden_size", *SIDES]
    parts = [
        "# Width x learning rate: Gridscape beside PyTorch and a JAX notebook",
        describe(facts),
        f"LSTM on MNIST rows, batch 100, Adam: milliseconds per update and network, median of "
        f"{options.rounds} interleaved rounds; in brackets the time as a multiple of Gridscape's.",
        table(head, [[str(m.width), *(_time(m, side) for side in SIDES)] for m in found]),
        f"GFLOP/s of the update's products, and as a share of the {peak:.0f} GFLOP/s that products "
        f"of two {PRODUCT_SIZE} x {PRODUCT_SIZE} matrices reach on all cores in the same rounds.",
        table(head, [[str(m.width), *(_speed(m, side, peak) for side in SIDES)] for m in found]),
        f"All {len(RATES)} learning rates x {REPLICATES} replicates x {UPDATES} updates at these "
        "widths, extrapolated from the medians above; evaluation and compiling not included.",
        table(["", *SIDES], [["minutes", *(_total_words(found, side) for side in SIDES)]]),
        "Compiling, once per width (seconds): "
        + "; ".join(f"{name} {_compiling(found, name)}" for name in (GRIDSCAPE, SCAN))
        + ". PyTorch compiles nothing.",
        "## Where another is faster\n\n" + "\n".join(_faster(found)),
        NOTES,
    ]
    return "\n\n".join(parts) + "\n"


NOTES = f"""\
## What was run

- Gridscape: a cohort of the study `lstm-width-lr`, 6 learning rates x {REPLICATES} replicates (one
  replicate above width {WIDEST_IN_FULL}), trained by the programs of `gridscape run`. Its time
  includes what the others leave out: loss and accuracy of every batch, and the check that
  everything is finite.
- PyTorch: `nn.LSTM` (two bias vectors), fused Adam, the 6 learning rates one after the other, on
  float32 tensors in memory. {ONE_LOOP}: one process. {MANY_LOOPS}: of one thread each, which share
  the learning rates. DataLoader: as the first, with `DataLoader(shuffle=True)` over these tensors.
- JAX scan, vmap: the same cohort in one jitted loop of updates, `vmap` over learning rates and
  replicates, `lax.scan` differentiated by JAX, batches gathered inside.
"""


def _time(m: Measured, side: str) -> str:
    if side not in m.milliseconds:
        return f"not measured: {INSTALL_HINT}"
    if side == GRIDSCAPE:
        return f"{m.median(side):.3g}"
    multiple = ratio(m.milliseconds[side], m.milliseconds[GRIDSCAPE]).median
    return f"{m.median(side):.3g} ({multiple:.2f} x)"


def _speed(m: Measured, side: str, peak: float) -> str:
    if side not in m.milliseconds:
        return "not measured"
    return f"{m.gflops(side):.0f} ({m.gflops(side) / peak:.0%})"


def _peak(found: Sequence[Measured]) -> float:
    return max(max(m.product_gflops) for m in found)


def _total_minutes(found: Sequence[Measured], side: str) -> float | None:
    """Of all trials at the measured widths, by the medians; None where not measured."""
    if any(side not in m.milliseconds for m in found):
        return None
    return sum(m.median(side) for m in found) * len(RATES) * REPLICATES * UPDATES / 60e3


def _total_words(found: Sequence[Measured], side: str) -> str:
    minutes, ours = _total_minutes(found, side), _total_minutes(found, GRIDSCAPE)
    if minutes is None or ours is None:
        return "not measured"
    return f"{minutes:.2f}" + ("" if side == GRIDSCAPE else f" ({minutes / ours:.2f} x)")


def _compiling(found: Sequence[Measured], side: str) -> str:
    return ", ".join(f"{m.compile_seconds[side]:.1f}" for m in found)


def _faster(found: Sequence[Measured]) -> list[str]:
    """Sides that beat Gridscape in every round, and those that cannot be told apart from it."""
    lines = []
    for m in found:
        for side in [s for s in m.milliseconds if s != GRIDSCAPE]:
            r = ratio(m.milliseconds[side], m.milliseconds[GRIDSCAPE])
            span = f"{r.median:.2f} x Gridscape's time (rounds: {r.low:.2f} to {r.high:.2f})"
            if r.verdict == "faster":
                lines.append(f"- Width {m.width}: **{side} is faster than Gridscape**, {span}.")
            elif r.verdict == "undecided":
                lines.append(f"- Width {m.width}: {side} and Gridscape are level, {span}.")
    return lines or ["Nowhere: Gridscape took less time in every round at every width."]


def record(facts: Mapping[str, Any], found: Sequence[Measured], options: Any) -> dict[str, Any]:
    """All that was measured, as plain data."""
    return {
        "machine": dict(facts),
        "unit": "milliseconds per update and network, one number per round",
        "rounds": options.rounds,
        "rates": RATES,
        "product_size": PRODUCT_SIZE,
        "peak_gflops": _peak(found),
        "widths": [
            {
                **m._asdict(),
                "median_milliseconds": {s: m.median(s) for s in m.milliseconds},
                "multiple_of_gridscape": {
                    s: ratio(m.milliseconds[s], m.milliseconds[GRIDSCAPE])._asdict()
                    for s in m.milliseconds
                },
                "gflops": {s: m.gflops(s) for s in m.milliseconds},
            }
            for m in found
        ],
        "total": {
            "trials_per_width": len(RATES) * REPLICATES,
            "updates": UPDATES,
            "extrapolated_minutes": {s: _total_minutes(found, s) for s in SIDES},
        },
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--widths", type=whole_numbers, default=[16, 32, 64, 128])
    parser.add_argument("--replicates", type=int, default=REPLICATES, help="in Gridscape's cohort")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of the slowest side, per round (default 2)"
    )
    parser.add_argument("--data-dir", help="where MNIST is")
    return parser.parse_args()


if __name__ == "__main__":
    main()
