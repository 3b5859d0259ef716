"""Cost per trial as the grid grows from 1 to 1,000 trials: seconds, programs, memory.

    python benchmarks/scaling.py                        about 5 minutes; needs no data set
    python benchmarks/scaling.py --sizes 1,10,100       a quick look

Each size is a study that a process of its own runs from beginning to end, as ``gridscape run``
does: planning, training, evaluation, storing every trial, the landscape. Starting and compiling are
told apart. What the plan says of memory stands beside what the process takes.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from harness import Side, Work, describe, machine, table, write
from jax_sides import CompileClock

import gridscape as gs
from gridscape.execution.executors import Progress
from gridscape.sweep import Event

SIZES = [1, 3, 10, 30, 100, 300, 1000]


class Case(NamedTuple):
    """A study whose grid grows by more replicates, or else by more learning rates."""

    name: str
    study: str
    settings: Mapping[str, Any]
    axes: Mapping[str, Any]
    by_replicates: bool

    def grown(self, n_trials: int) -> dict[str, Any]:
        """The arguments of ``gs.run`` for so many trials."""
        rates = [0.01] if self.by_replicates else np.geomspace(1e-3, 1e-1, n_trials).tolist()
        replicates = n_trials if self.by_replicates else 1
        axes = {**self.axes, "learning_rate": rates}
        return {**self.settings, "set": axes, "replicates": replicates}


LSTM = Case("LSTM on digits, replicates", "quickstart", {}, {"hidden_size": [16]}, True)
MLP = Case(
    "MLP on digits, learning rates",
    "mlp-digits",
    {"task": "digits-flat", "updates": 1000},
    {"hidden_size": [32], "activation": ["tanh"]},
    False,
)


class Measured(NamedTuple):
    """One size of a grid.

    seconds: of the whole run but for compiling. programs: compiled by XLA. planned_bytes: what the
    plan says. taken_bytes: by how much the process has grown at its peak, once training began.
    """

    case: str
    n_trials: int
    seconds: float
    compile_seconds: float
    programs: int
    planned_bytes: int
    taken_bytes: int


def main() -> None:
    options = _options()
    facts = machine()
    found = [[measure(case, size) for size in options.sizes] for case in (LSTM, MLP)]
    write("scaling", facts, report(facts, found), record(facts, found))


def measure(case: Case, n_trials: int) -> Measured:
    """One size, in a process of its own."""
    side = Side(case.name, "scaling:whole_run", [(case.study, case.grown(n_trials))])
    side.close()
    return Measured(case.name, n_trials, **side.facts)  # type: ignore[arg-type]


def whole_run(study: str, settings: Mapping[str, Any]) -> Work:
    """Run a study into an empty folder; what that takes are the facts, nothing is left to do."""
    jax.config.update("jax_enable_compilation_cache", False)
    with tempfile.TemporaryDirectory() as folder:
        # Planned first, which also imports and starts all that a run needs.
        plan = gs.plan(study, directory=folder, timed=False, **settings)
        gc.collect()
        resident = _memory_bytes("VmRSS")
        compiling = CompileClock()
        begin = time.perf_counter()
        gs.run(study, directory=folder, listener=_forget_peak_once(), **settings)
        seconds = time.perf_counter() - begin
    facts = {
        "seconds": seconds - compiling.seconds,
        "compile_seconds": compiling.seconds,
        "programs": compiling.n_programs,
        "planned_bytes": plan.memory_bytes,
        "taken_bytes": _memory_bytes("VmHWM") - resident,
    }
    return Work(lambda count: count, facts)


def _forget_peak_once() -> Any:
    """A listener that, when the first segment is trained, forgets the peak that compiling left."""
    seen: list[Event] = []

    def listener(event: Event) -> None:
        if isinstance(event, Progress) and not seen:
            seen.append(event)
            Path("/proc/self/clear_refs").write_text("5")

    return listener


def _memory_bytes(name: str) -> int:
    """VmRSS, what this process has in memory, or VmHWM, the peak of it (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = [line for line in lines if line.startswith(f"{name}:")]
    return int(found.split()[1]) * 1024


# ---- what is told -----------------------------------------------------------------------------


def report(facts: Mapping[str, Any], found: Sequence[Sequence[Measured]]) -> str:
    """The tables in markdown."""
    head = [
        "trials",
        "seconds",
        "ms per trial",
        "ms per further trial",
        "programs",
        "compiling (s)",
        "planned (MB)",
        "taken (MB)",
    ]
    parts = ["# Cost per trial as the grid grows", describe(facts), NOTES]
    for sizes in found:
        parts += [f"## {sizes[0].case}", table(head, _rows(sizes)), _verdict(sizes)]
    return "\n\n".join(parts) + "\n"


NOTES = """\
Each row is a study run from beginning to end in a process of its own. Seconds: of all of it but for
compiling; the first trials pay for loading data and opening results. Per further trial: the seconds
over those of the row above, divided by the trials that it has more. Planned: what `gridscape plan`
says. Taken: the peak of the process from the first segment on, above what it had before the run;
that includes what no plan counts: compiled programs, Python's own objects, the landscape."""


def _rows(sizes: Sequence[Measured]) -> list[list[str]]:
    return [
        [
            f"{m.n_trials:,}",
            f"{m.seconds:.2f}",
            f"{1e3 * m.seconds / m.n_trials:.3g}",
            "" if before is None else f"{_further(before, m):.3g}",
            str(m.programs),
            f"{m.compile_seconds:.1f}",
            f"{m.planned_bytes / 1e6:.0f}",
            f"{m.taken_bytes / 1e6:.0f}",
        ]
        for before, m in zip([None, *sizes], sizes, strict=False)
    ]


def _further(before: Measured, after: Measured) -> float:
    """Milliseconds of each trial that the one has more than the other."""
    return 1e3 * (after.seconds - before.seconds) / (after.n_trials - before.n_trials)


def _verdict(sizes: Sequence[Measured]) -> str:
    """The largest grid beside one of about the size of the first cohort."""
    first = min(sizes, key=lambda m: abs(m.n_trials - 100))
    last = sizes[-1]
    growth = (last.seconds / last.n_trials) / (first.seconds / first.n_trials)
    return (
        f"A trial of {last.n_trials:,} takes {growth:.2f} x the time of one of {first.n_trials:,}."
    )


def record(facts: Mapping[str, Any], found: Sequence[Sequence[Measured]]) -> dict[str, Any]:
    """All that was measured, as plain data."""
    return {"machine": dict(facts), "sizes": [m._asdict() for sizes in found for m in sizes]}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--sizes", type=lambda text: [int(part) for part in text.split(",")], default=SIZES
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
