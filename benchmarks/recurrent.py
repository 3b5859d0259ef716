"""One update of the recurrent layers: native kernels, plain JAX, and loops of PyTorch.

    python benchmarks/recurrent.py                                  needs MNIST
    python benchmarks/recurrent.py --cells lstm --widths 16,128

A cohort of networks of one layer, in PyTorch's convention (two bias vectors, the GRU's reset gate
after its product), reads 28 rows of 28 pixels, 100 images an update, trained by Adam: by the
programs of ``gridscape run`` with and without native kernels, and by PyTorch's own layers. Told is
the median over interleaved rounds of milliseconds per update and network.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from harness import (
    Ratio,
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
    LOOPS,
    N_PRODUCTS,
    PRODUCT_SIZE,
    better_loop,
    gflops,
    large_product,
    torch_loops,
)

STUDY, BATCH_SIZE = "recurrent-mnist", 100
CELLS = ("lstm", "gru", "rnn")
PLAIN = "without kernels"

# Of the LSTM: at least so many times as fast as PyTorch's better loop, by width; and the share of
# the large product's speed that it should reach from MANY_UNITS on.
GOALS = {16: 3.0, 32: 2.0, 64: 1.4, 128: 1.1, 256: 1.1, 512: 1.1}
GOAL_SHARE, MANY_UNITS = 0.7, 32


class Measured(NamedTuple):
    """One cell at one width. milliseconds: per update and network, by side, one number a round.

    product_gflops: of a large product, one number a round. update_flops: of the products of one
    update of one network.
    """

    cell: str
    width: int
    networks: int
    milliseconds: dict[str, list[float]]
    product_gflops: list[float]
    update_flops: float

    @property
    def gflops(self) -> float:
        return self.update_flops / statistics.median(self.milliseconds[GRIDSCAPE]) / 1e6

    def times_as_fast(self, side: str) -> Ratio:
        """As another side, which took so many times as long."""
        return ratio(self.milliseconds[side], self.milliseconds[GRIDSCAPE])


def main() -> None:
    options = _options()
    facts = machine()
    product = large_product()
    found = [
        measure(cell, width, product, options) for cell in options.cells for width in options.widths
    ]
    product.close()
    write("recurrent", facts, report(facts, found, options.rounds), record(facts, found))


def measure(cell: str, width: int, product: Side, options: argparse.Namespace) -> Measured:
    """All sides at one width, in turns."""
    networks = n_networks(width)
    values = {"cell": cell, "layers": str(width), "directions": 1, "learning_rate": 1e-3, "l2": 0.0}
    ours = (STUDY, values, networks, options.data_dir, BATCH_SIZE)
    sides = {
        GRIDSCAPE: Side(GRIDSCAPE, "jax_sides:cohort_of", [ours]),
        PLAIN: Side(PLAIN, "jax_sides:plain_cohort_of", [ours]),
        **torch_loops(STUDY, values, options.data_dir, BATCH_SIZE),
    }
    beside = {"product": partial(product.measure, N_PRODUCTS)}
    try:
        times, _ = race(sides, networks, options.seconds, options.rounds, beside)
    finally:
        for side in sides.values():
            side.close()
    return Measured(
        cell=cell,
        width=width,
        networks=networks,
        milliseconds={name: times[name] for name in sides},
        product_gflops=gflops(product, times["product"]),
        update_flops=sides[GRIDSCAPE].facts["update_flops"],
    )


def n_networks(width: int) -> int:
    """Of a cohort: fewer where they are wide, so that a round stays short."""
    return max(2, min(8, 1024 // width))


# ---- what is told -----------------------------------------------------------------------------


def report(facts: Mapping[str, Any], found: Sequence[Measured], n_rounds: int) -> str:
    """The table in markdown."""
    peak = max(max(m.product_gflops) for m in found)
    head = ["cell", "hidden_size", "networks", GRIDSCAPE, PLAIN, *LOOPS]
    head += ["better loop / ours", "rounds", "goal", "without / with kernels", "GFLOP/s"]
    parts = [
        "# One update of the recurrent layers",
        describe(facts),
        f"28 steps of 28 features, batch {BATCH_SIZE}, Adam: milliseconds per update and network, "
        f"median of {n_rounds} interleaved rounds; the ratios are the medians of those within each "
        "round, above 1 where native kernels are faster. GFLOP/s of the products of Gridscape's "
        f"update, and as a share of the {peak:.0f} GFLOP/s that products of two {PRODUCT_SIZE} x "
        f"{PRODUCT_SIZE} matrices reach on all cores in the same rounds.",
        table(head, [_row(m, peak) for m in found]),
        NOTES,
    ]
    return "\n\n".join(parts) + "\n"


NOTES = f"""\
The goals are those of the LSTM; from {MANY_UNITS} units on it should also reach {GOAL_SHARE:.0%} of
the speed of the large product. Gridscape's time, with and without kernels, includes loss and
accuracy of every batch and the check that everything is finite. PyTorch: its own layers on float32
tensors in memory, batches cut by index, fused Adam; one network in each process.
"""


def _row(m: Measured, peak: float) -> list[str]:
    loop = m.times_as_fast(better_loop(m.milliseconds))
    goal, share = GOALS.get(m.width) if m.cell == "lstm" else None, m.gflops / peak
    is_slow = goal is not None and m.width >= MANY_UNITS and share < GOAL_SHARE
    return [
        m.cell,
        str(m.width),
        str(m.networks),
        *(f"{statistics.median(times):.3g}" for times in m.milliseconds.values()),
        f"**{loop.median:.2f}**",
        f"{loop.low:.2f} to {loop.high:.2f}",
        "" if goal is None else f"{goal:g}, {'met' if loop.median >= goal else 'missed'}",
        f"{m.times_as_fast(PLAIN).median:.2f}",
        f"{m.gflops:.0f} ({share:.0%}{', missed' if is_slow else ''})",
    ]


def record(facts: Mapping[str, Any], found: Sequence[Measured]) -> dict[str, Any]:
    """All that was measured, as plain data."""
    return {
        "machine": dict(facts),
        "unit": "milliseconds per update and network, one number per round",
        "layers": [{**m._asdict(), "gflops": m.gflops} for m in found],
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cells", type=lambda text: text.split(","), default=CELLS)
    parser.add_argument("--widths", type=whole_numbers, default=list(GOALS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.7, help="of the slowest side, per round")
    parser.add_argument("--data-dir", help="where MNIST is")
    if not is_installed("torch"):
        parser.error(INSTALL_HINT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
