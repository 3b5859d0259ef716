"""Sides that several benchmarks start: PyTorch's loops and the large product."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from harness import N_CORES, Side, is_installed

GRIDSCAPE = "Gridscape"
ONE_LOOP = f"PyTorch, {N_CORES} threads"
MANY_LOOPS = f"PyTorch, {N_CORES} processes"
LOOPS = {ONE_LOOP: (N_CORES, 1), MANY_LOOPS: (1, N_CORES)}  # threads of each process, processes
INSTALL_HINT = "PyTorch is not installed (`pip install torch`)"

PRODUCT_SIZE, N_PRODUCTS = 2048, 20


def torch_loops(
    study: str, cell: Mapping[str, Any], data_dir: str | None, batch_size: int | None = None
) -> dict[str, Side]:
    """Both loops on a cell of a named study; none where PyTorch is not installed."""
    if not is_installed("torch"):
        return {}
    return {
        name: Side(
            name,
            "torch_sides:loop_of",
            [(study, dict(cell), batch_size, n_threads, data_dir)] * n_processes,
        )
        for name, (n_threads, n_processes) in LOOPS.items()
    }


def better_loop(times: Mapping[str, Sequence[float]]) -> str | None:
    """The faster of PyTorch's two loops, by the medians; None where neither was measured."""
    loops = [side for side in times if side in LOOPS]
    return min(loops, key=lambda side: statistics.median(times[side]), default=None)


def large_product() -> Side:
    """What the cores can do: a unit is a product of two square matrices."""
    return Side("product", "jax_sides:products", [(PRODUCT_SIZE,)])


def gflops(product: Side, milliseconds: Sequence[float]) -> list[float]:
    """The speed of the large product in each round."""
    return [product.facts["flops"] / each / 1e6 for each in milliseconds]
