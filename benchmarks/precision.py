"""Layers with products in bfloat16 beside float32: milliseconds per trial.

    python benchmarks/precision.py
    python benchmarks/precision.py --networks lstm,mlp --widths 64,128

Forward and backward pass with respect to all parameters, as in training, batch 100, one trial on
one core: recurrent layers of 28 steps of 28 features; perceptrons of one hidden layer on 784
numbers and LeNet5 on images, with loss and dropout. The two precisions take turns within each
round; the best of many calls counts, since other programs only ever slow one down.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from harness import Ratio, describe, interleave, machine, ratio, table, write

from gridscape import kernels
from gridscape.base.parts import Model
from gridscape.models._cells import CELLS
from gridscape.models.feedforward import lenet5, mlp
from gridscape.models.precision import products_in

Loss = Callable[[Any], Any]  # of parameters

T, B, D = 28, 100, 28
N_CLASSES = 10
PRECISIONS = ("float32", "bfloat16")
HYPER = {"forget_bias": 1.0, "init_scale": 1.0, "keep": 0.5, "init_sd": 0.1, "init_bias": 0.1}
# By the layer whose width is told: LeNet5's are those of its paper, its images have another size.
IMAGES = {"lenet5": ((28, 28, 1), (32, 32, 3))}
NETWORKS = (*CELLS, "mlp", *IMAGES)


class Measured(NamedTuple):
    """One network: the best milliseconds of each round by precision."""

    network: str
    size: str
    milliseconds: dict[str, list[float]]

    @property
    def speedup(self) -> Ratio:
        """How many times as fast as float32."""
        return ratio(*(self.milliseconds[name] for name in PRECISIONS))


def main() -> None:
    options = _options()
    facts = machine() | {"kernels": kernels.target() or "XLA"}
    found = [
        measure(name, size, *loss, options.rounds, options.seconds)
        for name in options.networks
        for size, loss in losses(name, options.widths)
    ]
    write("precision", facts, report(facts, found), record(facts, found))


def losses(name: str, widths: Sequence[int]) -> Iterator[tuple[str, tuple[Loss, Any]]]:
    """A loss of parameters, and parameters, of a network of each size."""
    for image in IMAGES.get(name, ()):
        yield "x".join(map(str, image)), of_model(lenet5(image, N_CLASSES), image)
    for width in widths if name not in IMAGES else ():
        if name == "mlp":
            yield str(width), of_model(mlp((784,), N_CLASSES, hidden_size=width), (784,))
        else:
            yield str(width), of_cell(name, width)


def of_cell(cell: str, width: int) -> tuple[Loss, Any]:
    """The squares of a layer's last states."""
    rng = np.random.default_rng(0)
    params = {
        name: jnp.asarray(rng.normal(size=shape) / np.sqrt(sum(shape)), jnp.float32)
        for name, shape in CELLS[cell].shapes(D, width).items()
    }
    inputs = jnp.asarray(rng.random((B, T, D)), jnp.float32)

    def loss(params: Any) -> Any:
        return jnp.square(
            CELLS[cell].states(params, jnp.swapaxes(inputs, 0, 1), HYPER, False)
        ).sum()

    return loss, params


def of_model(model: Model, shape: tuple[int, ...]) -> tuple[Loss, Any]:
    """The cross-entropy of a classifier."""
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.random((B, *shape)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, N_CLASSES, B))

    def loss(params: Any) -> Any:
        outputs = model.apply(params, inputs, jax.random.key(1), HYPER)
        return optax.softmax_cross_entropy_with_integer_labels(outputs, labels).mean()

    return loss, model.init(jax.random.key(0), HYPER)


def measure(
    name: str, size: str, loss: Loss, params: Any, n_rounds: int, seconds: float
) -> Measured:
    """Both precisions of a network, from the same parameters."""

    def turn(precision: str) -> Callable[[], float]:
        def in_precision(params: Any) -> Any:
            with products_in(precision):
                return loss(params)

        gradient = jax.jit(jax.grad(in_precision)).lower(params).compile()

        def call() -> float:
            begin = time.perf_counter()
            jax.block_until_ready(gradient(params))
            return 1e3 * (time.perf_counter() - begin)

        call()
        times = max(3, int(1e3 * seconds / call()))
        return lambda: min(call() for _ in range(times))

    turns = {precision: turn(precision) for precision in PRECISIONS}
    return Measured(name, size, interleave(turns, n_rounds))


def report(facts: Mapping[str, Any], found: Sequence[Measured]) -> str:
    """The table in markdown."""
    parts = [
        "# Layers with products in bfloat16",
        f"{describe(facts)}\n- kernels: {facts['kernels']}",
        f"Forward and backward pass, batch {B}, one core: milliseconds per trial, the best of all "
        f"rounds. Recurrent layers of {T} steps, perceptrons on 784 numbers, LeNet5 on images. The "
        "ratio is the median of those within each round; above 1 bfloat16 is faster.",
        table(["network", "width or image", *PRECISIONS, "ratio", "rounds"], map(_row, found)),
    ]
    return "\n\n".join(parts) + "\n"


def _row(m: Measured) -> list[str]:
    times = [f"{min(m.milliseconds[name]):.3g}" for name in PRECISIONS]
    r = m.speedup
    return [m.network, m.size, *times, f"{r.median:.2f}", f"{r.low:.2f} to {r.high:.2f}"]


def record(facts: Mapping[str, Any], found: Sequence[Measured]) -> dict[str, Any]:
    """All that was measured, as plain data."""
    return {
        "machine": dict(facts),
        "unit": "milliseconds per trial, the best of each round",
        "networks": [{**m._asdict(), "speedup": m.speedup._asdict()} for m in found],
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", type=lambda text: text.split(","), default=NETWORKS)
    parser.add_argument("--widths", type=_whole_numbers, default=[8, 16, 32, 64, 128, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="per precision and round")
    return parser.parse_args()


def _whole_numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
