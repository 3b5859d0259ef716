"""Fair timing: interleaved rounds, sides in processes of their own, and who was measured where.

A side is what is compared. Its work is counted in units (an update of one network, a product), and
its time is told in milliseconds a unit.
"""

import datetime
import importlib
import importlib.util
import json
import math
import multiprocessing as mp
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

RESULTS = Path(__file__).parent / "results"
STARTING_SECONDS = 600
N_CORES = len(os.sched_getaffinity(0))

T = TypeVar("T")


class Work(NamedTuple):
    """What a worker process does.

    run(count) does about so many units and returns how many it did, when they are done.
    facts: numbers that were known before, such as compile_seconds.
    """

    run: Callable[[int], int]
    facts: Mapping[str, float]


class Side:
    """One process, or several that work at the same time; idle between their turns.

    factory: "module:function", called in each process with one entry of ``arguments``; it returns
    the Work. What it takes to start, load data and compile is not timed.
    """

    def __init__(self, name: str, factory: str, arguments: Sequence[tuple[Any, ...]]) -> None:
        context = mp.get_context("spawn")
        barrier = context.Barrier(len(arguments))
        self.name, self._pipes, self._processes = name, [], []
        for given in arguments:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, barrier, factory, given), daemon=True
            )
            process.start()
            theirs.close()  # so that the death of the process is seen as the end of the pipe
            self._pipes.append(ours)
            self._processes.append(process)
        self.facts: Mapping[str, float] = self._answers()[0]

    def measure(self, count: int) -> float:
        """Milliseconds a unit of about ``count`` units, spread over the processes."""
        for pipe in self._pipes:
            pipe.send(-(-count // len(self._pipes)))
        answers = self._answers()
        slowest: float = max(seconds for seconds, _ in answers)
        n_done: int = sum(done for _, done in answers)
        return 1e3 * slowest / n_done

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=10)
            if process.is_alive():
                process.terminate()

    def _answers(self) -> list[Any]:
        answers = []
        for pipe in self._pipes:
            if not pipe.poll(STARTING_SECONDS):
                raise TimeoutError(f"{self.name}: no answer within {STARTING_SECONDS} s")
            try:
                answers.append(pipe.recv())
            except EOFError:
                raise RuntimeError(f"{self.name} failed; its error is printed above") from None
        return answers


def _serve(pipe: Any, barrier: Any, factory: str, arguments: tuple[Any, ...]) -> None:
    module, _, function = factory.partition(":")
    work: Work = getattr(importlib.import_module(module), function)(*arguments)
    pipe.send(work.facts)
    while True:
        try:
            count = pipe.recv()
        except EOFError:
            return
        barrier.wait(timeout=60)
        begin = time.perf_counter()
        done = work.run(count)
        pipe.send((time.perf_counter() - begin, done))


def is_installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def race(
    sides: Mapping[str, Side],
    step: int,
    seconds: float,
    n_rounds: int,
    beside: Mapping[str, Callable[[], float]] | None = None,
) -> tuple[dict[str, list[float]], int]:
    """Milliseconds a unit of each side in each round, and the units of a turn.

    A turn is what the slowest side does in about ``seconds``, in whole ``step``s. ``beside`` are
    turns that measure something else in the same rounds.
    """
    slowest = max(_warm(side, step) for side in sides.values())
    count = step * max(1, int(1e3 * seconds / slowest) // step)
    turns = {name: partial(side.measure, count) for name, side in sides.items()}
    return interleave(turns | dict(beside or {}), n_rounds), count


def _warm(side: Side, count: int) -> float:
    side.measure(count)
    return side.measure(4 * count)


def interleave(
    sides: Mapping[str, Callable[[], T]], n_rounds: int, seconds: float = math.inf
) -> dict[str, list[T]]:
    """What each side returns in each round; every round begins with another side.

    A further round begins only if, lasting as long as those before, it ends within ``seconds``.
    """
    names, begin = list(sides), time.perf_counter()
    found: dict[str, list[T]] = {name: [] for name in names}
    for number in range(n_rounds):
        spent = time.perf_counter() - begin
        if number and spent * (number + 1) / number > seconds:
            break
        start = number % len(names)
        for name in names[start:] + names[:start]:
            found[name].append(sides[name]())
    return found


class Ratio(NamedTuple):
    """How much longer one side takes than another: over the rounds, each compared within itself."""

    median: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """ "slower" or "faster" where every round says so, else "undecided"."""
        return "slower" if self.low > 1 else "faster" if self.high < 1 else "undecided"


def ratio(side: Iterable[float], reference: Iterable[float]) -> Ratio:
    """The time of ``side`` as a multiple of the time of ``reference``."""
    each = [a / b for a, b in zip(side, reference, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


def machine() -> dict[str, Any]:
    """What the numbers depend on: processor, system, versions, day."""
    model, flags = _processor()
    classes = {"avx512f": "AVX-512", "avx2": "AVX2", "asimd": "NEON"}
    packages = ("jax", "jaxlib", "numpy", "optax", "torch")
    versions = {name: metadata.version(name) for name in packages if is_installed(name)}
    return {
        "cpu": model,
        "cores": N_CORES,
        "vector_instructions": next((v for k, v in classes.items() if k in flags), "unknown"),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "gridscape": importlib.import_module("gridscape").__version__,
        **versions,
        "date": datetime.date.today().isoformat(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _processor() -> tuple[str, set[str]]:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine(), set()
    lines = [line.partition(":") for line in info.read_text().splitlines()]
    facts = {name.strip(): value.strip() for name, _, value in lines}
    model = facts.get("model name") or platform.machine()
    return model, set((facts.get("flags") or facts.get("Features", "")).split())


def describe(facts: Mapping[str, Any]) -> str:
    """The machine in markdown."""
    lines = [
        f"- {facts['cpu']}, {facts['cores']} cores, {facts['vector_instructions']}; {facts['os']}",
        "- "
        + ", ".join(
            f"{name} {facts[name]}"
            for name in ("gridscape", "python", "jax", "jaxlib", "numpy", "optax", "torch")
            if name in facts
        ),
        f"- {facts['date']}; load average before the run: {facts['load_before']}",
    ]
    if facts["load_before"] > 0.5:
        lines.append("- **The machine was busy with other work: these numbers are rough.**")
    return "\n".join(lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table, all columns but the first to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def whole_numbers(text: str) -> list[int]:
    """The numbers of an option such as ``--widths 16,32``."""
    return [int(part) for part in text.split(",")]


def file_of(name: str, facts: Mapping[str, Any], suffix: str) -> Path:
    """Where a result of this machine lies."""
    slug = re.sub(r"[^a-z0-9]+", "-", str(facts["cpu"]).lower()).strip("-")
    return RESULTS / f"{name}-{slug}.{suffix}"


def write(name: str, facts: Mapping[str, Any], markdown: str, record: Mapping[str, Any]) -> None:
    """The two files of a result, and the markdown on standard output."""
    RESULTS.mkdir(exist_ok=True)
    for suffix, text in (("md", markdown), ("json", json.dumps(record, indent=1) + "\n")):
        file_of(name, facts, suffix).write_text(text, encoding="utf-8")
    sys.stdout.write(markdown)
