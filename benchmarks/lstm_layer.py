"""The LSTM layer alone: Gridscape's custom_vjp beside the plain scan differentiated by JAX.

    python benchmarks/lstm_layer.py
    python benchmarks/lstm_layer.py --widths 16,128

Forward and backward pass with respect to kernel and bias, as in training: 28 steps of 28 features,
batch 100, trials one after the other on each device. The two take turns; told is the median over
the rounds of milliseconds per trial. Before anything is timed the gradients of both, with
respect to the inputs too, are compared with each other.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from harness import describe, interleave, machine, ratio, table, write
from jax import lax
from jax.sharding import PartitionSpec as P
from jax_sides import scan_layer

from gridscape.base import Array
from gridscape.models.recurrent import lstm_layer
from gridscape.programs import Machine, use_all_cores

T, B, D = 28, 100, 28
LAYERS: dict[str, "Layer"] = {"lstm_layer": lstm_layer, "plain scan": scan_layer}
TOLERANCE = 1e-5  # of the largest number: float32 sums of 2,800 terms
CALL_FLOPS = 4e9  # of a device, about: long beside the overhead of a call

Layer = Callable[[Array, Array, Array], Array]


class Measured(NamedTuple):
    """One width: milliseconds per trial by layer, one number a round; the largest difference."""

    width: int
    milliseconds: dict[str, list[float]]
    flops: float
    difference: float


def main() -> None:
    options = _options()
    facts = machine()
    use_all_cores()
    found = [measure(width, options.rounds, options.seconds) for width in options.widths]
    write("lstm_layer", facts, report(facts, found), record(facts, found))


def measure(width: int, n_rounds: int, seconds: float) -> Measured:
    """Both layers at one width, after a comparison of their gradients."""
    devices = Machine.local()
    kernels, biases, inputs, weights = _operands(width, len(devices.devices))
    difference = largest_difference(kernels[0], biases[0], inputs, weights)
    if not difference < TOLERANCE:
        raise ArithmeticError(f"width {width}: gradients differ by {difference:.1e} of the largest")
    trials = jax.device_put((kernels, biases), devices.spread)
    shared = jax.device_put((inputs, weights), devices.shared)

    def turn(layer: Layer) -> Callable[[], float]:
        compiled = gradient_of_trials(layer, devices).lower(*trials, *shared).compile()

        def call(times: int) -> float:
            begin = time.perf_counter()
            for _ in range(times):
                jax.block_until_ready(compiled(*trials, *shared))
            return 1e3 * (time.perf_counter() - begin) / times / len(kernels)

        call(1)
        times = max(1, int(1e3 * seconds / (call(1) * len(kernels))))
        return lambda: call(times)

    turns = {name: turn(layer) for name, layer in LAYERS.items()}
    return Measured(width, interleave(turns, n_rounds), trial_flops(width), difference)


def trial_flops(width: int) -> float:
    """Of the products: gates, their gradient to the state, and the weight gradient."""
    return 2.0 * T * B * 4 * width * ((D + width) + width + (D + width))


def gradient_of_trials(layer: Layer, devices: Machine) -> Any:
    """(kernels (K, ...), biases (K, ...), inputs, weights) -> gradients of every trial."""

    def on_device(kernels: Array, biases: Array, inputs: Array, weights: Array) -> Any:
        def one(trial: tuple[Array, Array]) -> Any:
            return jax.grad(weighted_sum(layer), argnums=(0, 1))(*trial, inputs, weights)

        return lax.map(one, (kernels, biases))

    specs = (P("devices"), P("devices"), P(), P())
    return jax.jit(
        jax.shard_map(
            on_device,
            mesh=devices.mesh,
            in_specs=specs,
            out_specs=P("devices"),
            check_vma=False,
        )
    )


def weighted_sum(layer: Layer) -> Callable[..., Array]:
    """The last state under random weights: a loss whose gradient reaches every unit."""
    return lambda kernel, bias, inputs, weights: (layer(kernel, bias, inputs) * weights).sum()


def largest_difference(kernel: Array, bias: Array, inputs: Array, weights: Array) -> float:
    """Between the gradients of the two layers, as a fraction of the largest number of each."""
    ours, plain = (
        jax.jit(jax.grad(weighted_sum(layer), argnums=(0, 1, 2)))(kernel, bias, inputs, weights)
        for layer in LAYERS.values()
    )
    parts = zip(ours, plain, strict=True)
    return max(float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in parts)


def _operands(width: int, n_devices: int) -> tuple[Any, ...]:
    """Kernels and biases of all trials as training starts from them, inputs, weights."""
    rng = np.random.default_rng(0)
    n_trials = n_devices * min(16, max(1, round(CALL_FLOPS / trial_flops(width))))
    limit = np.sqrt(6 / (D + 5 * width))
    kernels = rng.uniform(-limit, limit, (n_trials, D + width, 4 * width)).astype(np.float32)
    biases = rng.uniform(-0.1, 0.1, (n_trials, 4 * width)).astype(np.float32)
    inputs = rng.random((T, B, D), np.float32)
    weights = rng.standard_normal((B, width), np.float32)
    return kernels, biases, jnp.asarray(inputs), jnp.asarray(weights)


# ---- what is told -----------------------------------------------------------------------------


def report(facts: Mapping[str, Any], found: Sequence[Measured]) -> str:
    """The table in markdown."""
    head = ["hidden_size", "lstm_layer", "plain scan", "plain / ours", "rounds", "difference"]
    parts = [
        "# The LSTM layer beside the plain scan",
        describe(facts),
        f"Forward and backward pass, {T} steps, batch {B}: milliseconds per trial, median of "
        "interleaved rounds, and GFLOP/s of the products, on all cores. The ratio is the median "
        "of those within each round; above 1 the layer is faster. The difference is the largest "
        "between the two gradients, as a fraction of the largest number.",
        table(head, [_row(m) for m in found]),
        _summary(found),
    ]
    return "\n\n".join(parts) + "\n"


def _row(m: Measured) -> list[str]:
    times = {name: statistics.median(values) for name, values in m.milliseconds.items()}
    r = _plain_over_ours(m)
    return [
        str(m.width),
        *(f"{t:.3g} ({m.flops / t / 1e6:.0f} GFLOP/s)" for t in times.values()),
        f"{r.median:.2f}",
        f"{r.low:.2f} to {r.high:.2f}",
        f"{m.difference:.0e}",
    ]


def _plain_over_ours(m: Measured) -> Any:
    return ratio(m.milliseconds["plain scan"], m.milliseconds["lstm_layer"])


def _summary(found: Sequence[Measured]) -> str:
    words = {"slower": "faster in every round", "faster": "**slower in every round**"}
    widths: dict[str, list[str]] = {}
    for m in found:
        verdict = words.get(_plain_over_ours(m).verdict, "level, as far as these rounds tell")
        widths.setdefault(verdict, []).append(str(m.width))
    told = "; ".join(f"{verdict} at {', '.join(at)}" for verdict, at in widths.items())
    return f"The layer is, beside the plain scan: {told}."


def record(facts: Mapping[str, Any], found: Sequence[Measured]) -> dict[str, Any]:
    """All that was measured, as plain data."""
    return {
        "machine": dict(facts),
        "unit": "milliseconds per trial, one number per round",
        "widths": [
            {**m._asdict(), "plain_over_ours": _plain_over_ours(m)._asdict()} for m in found
        ],
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--widths", type=_whole_numbers, default=[16, 32, 64, 128, 256, 512])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="per layer and round")
    return parser.parse_args()


def _whole_numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
