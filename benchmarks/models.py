"""The models of the named studies beside tuned PyTorch loops: milliseconds per update and network.

    python benchmarks/models.py                          all cases; needs MNIST and cifar10-gray28
    python benchmarks/models.py --cases recall,mlp       those whose name begins so

Each case is a cohort of a named study, trained by the programs of ``gridscape run``, beside a loop
of PyTorch on the same data with the same layers, loss, optimizer and batch size: one process with
all threads, and one process a core; the faster of the two counts. The sides take turns within
each round. Compiling is told apart; fresh examples are drawn inside the time by both.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness import Side, describe, machine, race, ratio, table, write
from sides import GRIDSCAPE, LOOPS, better_loop, torch_loops


class Case(NamedTuple):
    """A cohort of a named study. goal: at least so many times as fast as PyTorch's better loop."""

    name: str
    study: str
    cell: Mapping[str, Any]
    goal: float


CASES = (
    *(Case(f"recall H {h}", "recall", {"hidden_size": h, "position": 2}, 10) for h in (2, 5, 10)),
    *(
        Case(
            f"binary-addition H {h}",
            "binary-addition",
            {"hidden_size": h, "train_length": 5, "operands": "report", "loss": "mse"},
            10,
        )
        for h in (2, 5, 10)
    ),
    *(
        Case(
            f"mlp H {h}",
            "mlp-digits",
            {"hidden_size": h, "activation": "tanh", "learning_rate": 0.1},
            5,
        )
        for h in (32, 64)
    ),
    Case("lenet5", "lenet-optimizers", {"optimizer": "adam", "learning_rate": 1e-3}, 1),
    *(
        Case(f"{cell} {h}", "cell-types", {"cell": cell, "hidden_size": h}, 1)
        for cell in ("rnn", "gru", "lstm")
        for h in (64, 128, 256)
    ),
    *(
        Case(
            f"{cell} {layers} both ways",
            "recurrent-mnist",
            {"cell": cell, "layers": layers, "directions": 2, "learning_rate": 1e-3, "l2": 0.0},
            1,
        )
        for cell, layers in (("rnn", "64"), ("gru", "64-64"), ("lstm", "64-64"))
    ),
)


class Measured(NamedTuple):
    """One case: milliseconds per update and network by side, one number a round."""

    case: Case
    milliseconds: dict[str, list[float]]
    compile_seconds: float


def main() -> None:
    options = _options()
    wanted = tuple(options.cases.split(","))
    facts = machine()
    found = [measure(case, options) for case in CASES if case.name.startswith(wanted)]
    write("models", facts, report(facts, found, options.rounds), record(facts, found))


def measure(case: Case, options: argparse.Namespace) -> Measured:
    """All sides of one case, in turns."""
    ours = (case.study, case.cell, options.networks, options.data_dir)
    sides = {
        GRIDSCAPE: Side(GRIDSCAPE, "jax_sides:cohort_of", [ours]),
        **torch_loops(case.study, case.cell, options.data_dir),
    }
    try:
        times, _ = race(sides, options.networks, options.seconds, options.rounds)
    finally:
        for side in sides.values():
            side.close()
    return Measured(case, times, sides[GRIDSCAPE].facts["compile_seconds"])


def report(facts: Mapping[str, Any], found: Sequence[Measured], n_rounds: int) -> str:
    """The table in markdown."""
    head = ["case", GRIDSCAPE, *LOOPS, "better loop / ours", "rounds", "goal", "compiling"]
    parts = [
        "# The models of the named studies beside PyTorch",
        describe(facts),
        f"Milliseconds per update and network, median of {n_rounds} interleaved rounds; the ratio "
        "is the median of those within each round, above 1 where Gridscape is faster. Compiling: "
        "seconds, once per program.",
        table(head, [_row(m) for m in found]),
        NOTES,
    ]
    return "\n\n".join(parts) + "\n"


NOTES = """\
Gridscape's time includes loss and accuracy of every batch and the check that everything is finite.
PyTorch: its own layers on float32 tensors in memory, batches cut by index or drawn a
hundred at once, fused Adam where there is one, RMSProp and Adagrad as torch.optim has them; one
network after the other."""


def _row(m: Measured) -> list[str]:
    def milliseconds(side: str) -> str:
        times = m.milliseconds.get(side)
        return "not measured" if times is None else f"{statistics.median(times):.3g}"

    row = [m.case.name, milliseconds(GRIDSCAPE), *map(milliseconds, LOOPS)]
    loop = better_loop(m.milliseconds)
    if loop is None:
        return [*row, "not measured", "", f"{m.case.goal:g}", f"{m.compile_seconds:.1f}"]
    times = ratio(m.milliseconds[loop], m.milliseconds[GRIDSCAPE])
    met = "" if times.median >= m.case.goal else " (missed)"
    span = f"{times.low:.2f} to {times.high:.2f}"
    goal = f"{m.case.goal:g}{met}"
    return [*row, f"**{times.median:.2f}**", span, goal, f"{m.compile_seconds:.1f}"]


def record(facts: Mapping[str, Any], found: Sequence[Measured]) -> dict[str, Any]:
    """All that was measured, as plain data."""
    return {
        "machine": dict(facts),
        "unit": "milliseconds per update and network, one number per round",
        "cases": [{**m.case._asdict(), **m._asdict(), "case": m.case.name} for m in found],
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", default="", help="beginnings of names, with commas between")
    parser.add_argument("--networks", type=int, default=10, help="in Gridscape's cohort")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of the slowest side, per round")
    parser.add_argument("--data-dir", help="where the data sets are")
    return parser.parse_args()


if __name__ == "__main__":
    main()
