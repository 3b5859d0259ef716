"""Whole studies end to end beside scripts of PyTorch: from an empty start to the last number.

    python benchmarks/studies.py                        needs MNIST and cifar10-gray28
    python benchmarks/studies.py --studies recall,mlp   those whose name begins so

Gridscape: ``gridscape run`` in a process of its own, with an empty results folder and no compiled
program kept from before: starting, compiling, training, evaluating, storing and the page are in its
time.
PyTorch: a script (``torch_study.py``) that loads the same examples and trains and evaluates the
same networks one after the other: one process with all threads, and one process a core among which
the networks are dealt; the faster of the two counts. PyTorch's time is linear in networks, updates
and examples evaluated, so each script trains for ``--seconds`` only, all programs in turn, and the
rest of its time is extrapolated; ``--seconds inf`` trains them all.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from harness import describe, interleave, is_installed, machine, ratio, table, write
from sides import GRIDSCAPE, INSTALL_HINT, LOOPS, better_loop
from study_data import examples_of, settings_of

from gridscape.base.task import Task
from gridscape.engine.cohorts import Cohort, partition
from gridscape.execution.schedule import evaluation_points
from gridscape.study.study import ResolvedStudy, Study
from gridscape.tasks.fetch import cache_folder

AGAIN_BELOW_SECONDS = 30  # a study that takes longer is not run again
TORCH_STUDY = Path(__file__).parent / "torch_study.py"


class Entry(NamedTuple):
    """A named study, in full unless said otherwise.

    goal: at least so many times as fast as PyTorch's better loop. axes, replicates, updates:
    instead of the study's own.
    """

    study: str
    goal: float
    axes: Mapping[str, Sequence[Any]] = {}
    replicates: int | None = None
    updates: int | None = None


STUDIES = (
    Entry("quickstart", 1.6),
    Entry("lstm-width-lr", 1.8, {"hidden_size": (16, 32, 64, 128, 256)}, replicates=1),
    Entry("recall", 4),
    Entry("binary-addition", 20),
    Entry("cell-types", 1.8),
    Entry("mlp-digits", 4),
    Entry("lenet-optimizers", 1.6, replicates=2, updates=400),
)


class Turn(NamedTuple):
    """One run of a side: the seconds of the whole study, and what else is known of it."""

    seconds: float
    facts: Mapping[str, Any]


class Measured(NamedTuple):
    """One study: the turns of each side, one a round."""

    entry: Entry
    n_networks: int
    n_programs: int
    updates: int
    turns: dict[str, list[Turn]]

    def seconds(self, side: str) -> list[float]:
        return [turn.seconds for turn in self.turns[side]]

    def median(self, side: str, fact: str) -> float:
        return statistics.median(turn.facts[fact] for turn in self.turns[side])


def main() -> None:
    options = _options()
    wanted = tuple(options.studies.split(","))
    facts = machine()
    entries = [entry for entry in STUDIES if entry.study.startswith(wanted)]
    found = [measure(_limited(entry, options), options) for entry in entries]
    write("studies", facts, report(facts, found), record(facts, found, options))


def _limited(entry: Entry, options: argparse.Namespace) -> Entry:
    """The entry with what the command line asks for."""
    own = entry.updates or Study.load(entry.study).updates
    return entry._replace(
        updates=min(own, options.updates or own),
        replicates=options.replicates or entry.replicates,
    )


def measure(entry: Entry, options: argparse.Namespace) -> Measured:
    """All sides of one study, in turns, in as many rounds as its minutes allow."""
    axes = {name: list(values) for name, values in entry.axes.items()}
    study = Study.load(entry.study).override(
        axes, replicates=entry.replicates, updates=entry.updates
    )
    resolved = study.resolve(options.data_dir)
    cohorts = partition(resolved, resolved.trials())
    with tempfile.TemporaryDirectory() as folder:
        work = plan(resolved, cohorts, Path(folder))
        sides = {GRIDSCAPE: partial(run_gridscape, entry, options.data_dir)}
        for name, (n_threads, n_processes) in LOOPS.items():
            sides[name] = partial(run_torch, work, n_threads, n_processes, options.seconds)
        turns = interleave(sides, options.rounds, 60 * options.minutes)
    return Measured(entry, len(resolved.trials()), len(cohorts), study.updates, turns)


# ---- Gridscape --------------------------------------------------------------------------------


def run_gridscape(entry: Entry, data_dir: str | None) -> Turn:
    """``gridscape run`` as in a fresh installation."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, told = _timed(entry, folder, "results", data_dir)
        again = None
        if seconds < AGAIN_BELOW_SECONDS:
            again, _ = _timed(entry, folder, "again", data_dir)
    facts = {
        "compile_seconds": told["effort"]["compile_seconds"],
        "again_seconds": again,
        "n_diverged": told["counts"]["diverged"],
        "wrote_report": told["report"] is not None,
    }
    return Turn(seconds, facts)


def _timed(
    entry: Entry, folder: str, results: str, data_dir: str | None
) -> tuple[float, dict[str, Any]]:
    """The seconds of one ``gridscape run``, and what it tells."""
    begin = time.perf_counter()
    command = _command(entry, f"{folder}/{results}", data_dir)
    printed = _output(_start(command, _no_kept_programs(folder)))
    return time.perf_counter() - begin, json.loads(printed)


def _command(entry: Entry, folder: str, data_dir: str | None) -> list[str]:
    command = [sys.executable, "-m", "gridscape", "run", entry.study, "--json"]
    for name, values in entry.axes.items():
        command += ["--set", f"{name}={','.join(map(str, values))}"]
    options = {
        "dir": folder,
        "replicates": entry.replicates,
        "updates": entry.updates,
        "data-dir": data_dir,
    }
    for name, value in options.items():
        command += [f"--{name}", str(value)] if value is not None else []
    return command


def _no_kept_programs(folder: str) -> dict[str, str]:
    """A new folder for what is kept from run to run; data sets are where they are."""
    data = os.environ.get("GRIDSCAPE_DATA", str(cache_folder()))
    return {"XDG_CACHE_HOME": f"{folder}/cache", "GRIDSCAPE_DATA": data}


def _start(
    command: Sequence[str | Path], variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    environment = {**os.environ, **(variables or {})}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _output(process: subprocess.Popen[str]) -> str:
    """What it prints, when it has ended; its errors are on standard error."""
    printed, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"failed with status {process.returncode}: {process.args}")
    return printed


# ---- PyTorch ----------------------------------------------------------------------------------


class Work(NamedTuple):
    """What PyTorch's scripts are told.

    job: what does not depend on the script. programs: of each the files of its examples and the
    settings of its networks. amounts: of each what one network takes, by kind of work.
    """

    job: Mapping[str, Any]
    programs: Sequence[Mapping[str, Any]]
    amounts: Sequence[Mapping[str, int]]
    folder: Path


def plan(resolved: ResolvedStudy, cohorts: Sequence[Cohort], folder: Path) -> Work:
    """The study in the words of ``torch_study.py``, its examples in files."""
    study, points = resolved.study, evaluation_points(cohorts[0].recipe, resolved.study)
    tasks = {cohort.task.fingerprint: cohort.task for cohort in cohorts}
    files = {name: _saved(task, folder) for name, task in tasks.items()}
    programs = [
        {
            "examples": files[cohort.task.fingerprint],
            "networks": [settings_of(resolved, trial.cell) for trial in cohort.trials],
        }
        for cohort in cohorts
    ]
    job = {
        "study": study.name,
        "points": points,
        "evaluation_examples": study.evaluation_examples,
    }
    return Work(job, programs, [_amounts(study, c.task, len(points)) for c in cohorts], folder)


def _amounts(study: Study, task: Task, n_points: int) -> dict[str, int]:
    """What one network takes."""
    n_test = task.test.n_examples
    between = (n_points - 1) * min(study.evaluation_examples, n_test)
    at_end = n_test + min(n_test, task.train_examples.n_examples)
    return {"networks": 1, "updates": study.updates, "examples": between + at_end}


def _saved(task: Task, folder: Path) -> dict[str, list[str]]:
    """The files that hold the examples of a task."""
    files: dict[str, list[str]] = {}
    for split, arrays in examples_of(task).items():
        files[split] = [f"{folder}/{task.fingerprint}-{split}-{k}.npy" for k in range(len(arrays))]
        for file, array in zip(files[split], arrays, strict=True):
            np.save(file, array)
    return files


def run_torch(work: Work, n_threads: int, n_processes: int, seconds: float) -> Turn:
    """A script a process, all at the same time, each with its share of the networks."""
    shares = [deal(work.programs, k, n_processes) for k in range(n_processes)]
    processes = []
    for number, share in enumerate(shares):
        path = work.folder / f"job-{number}.json"
        job = {**work.job, "threads": n_threads, "seconds": seconds, "programs": share}
        path.write_text(json.dumps(job))
        processes.append(_start([sys.executable, TORCH_STUDY, path, str(time.time())]))
    told = [json.loads(_output(process)) for process in processes]
    counts = [[len(program["networks"]) for program in share] for share in shares]
    return together(told, counts, work.amounts)


def deal(
    programs: Sequence[Mapping[str, Any]], number: int, n_shares: int
) -> list[Mapping[str, Any]]:
    """The networks of one process, dealt in turn through all programs."""
    dealt, first = [], 0
    for program in programs:
        mine = program["networks"][(number - first) % n_shares :: n_shares]
        dealt.append({**program, "networks": mine})
        first += len(program["networks"])
    return dealt


def together(
    told: Sequence[Mapping[str, Any]],
    counts: Sequence[Sequence[int]],
    amounts: Sequence[Mapping[str, int]],
) -> Turn:
    """The whole study by what each process told; told and counts: one entry a process.

    The processes are taken to end at the same time, as if the networks were dealt perfectly.
    """
    whole = measured = 0.0
    for of_process, n_networks in zip(told, counts, strict=True):
        tallies = iter(of_process["programs"])
        for n, amount in zip(n_networks, amounts, strict=True):
            if n:  # a process tells nothing of a program of which it has no network
                tally = next(tallies)
                whole += n * extrapolated(tally, amount)
                measured += sum(seconds for _, seconds in tally.values())
    start_seconds = max(of_process["start_seconds"] for of_process in told)
    facts = {
        "start_seconds": start_seconds,
        "measured_share": measured / whole,
        "processes": list(told),
    }
    return Turn(start_seconds + whole / len(told), facts)


def extrapolated(tally: Mapping[str, tuple[int, float]], amounts: Mapping[str, int]) -> float:
    """The seconds of one network: of each kind of work its amount, at the measured pace."""
    return sum(amounts[kind] * seconds / count for kind, (count, seconds) in tally.items())


# ---- what is told -----------------------------------------------------------------------------


def report(facts: Mapping[str, Any], found: Sequence[Measured]) -> str:
    """The table in markdown."""
    head = ["study", "networks", "updates", GRIDSCAPE, "of it compiling", *LOOPS, "measured"]
    head += ["better loop / ours", "rounds", "again", "goal"]
    parts = [
        "# Whole studies beside scripts of PyTorch",
        describe(facts),
        "Seconds from the start of the process to its end, compiling included, median of the "
        "interleaved rounds; the ratio is the median of those within each round, above 1 where "
        "Gridscape is faster. Measured: the share of the better loop's time that was measured; the "
        "rest is extrapolated from it. Again: the seconds of a second run, with the programs that "
        f"the first one kept, of studies that take less than {AGAIN_BELOW_SECONDS} s.",
        table(head, map(_row, found)),
        _slower(found),
        _diverged(found),
        NOTES,
    ]
    return "\n\n".join(parts) + "\n"


NOTES = """\
## What was run

- Gridscape: `gridscape run`, a new process with an empty results folder and an empty cache of
  programs. Its time includes what PyTorch's scripts leave out: loss and accuracy of every batch,
  results by the length of a sequence, checkpoints, the store, the landscape and the HTML page.
  Compiling is told by XLA; tracing comes on top of it.
- PyTorch: a new process that reads the examples as float32 arrays, made ready for it outside its
  time; its own layers and initial weights; fused optimizers, but RMSProp, which has none; batches
  cut by index or drawn a hundred at once; evaluation in batches of 1,000 without gradients, at the
  same updates and on the same examples; nothing is stored. Its sequences of recall are as long as
  they need to be, while Gridscape pads them.
"""


def _row(m: Measured) -> list[str]:
    loop = better_loop({side: m.seconds(side) for side in m.turns})
    whole = ratio(m.seconds(loop), m.seconds(GRIDSCAPE))
    again = [turn.facts["again_seconds"] for turn in m.turns[GRIDSCAPE]]
    return [
        m.entry.study,
        str(m.n_networks),
        str(m.updates),
        f"{statistics.median(m.seconds(GRIDSCAPE)):.1f}",
        f"{m.median(GRIDSCAPE, 'compile_seconds'):.1f}",
        *(f"{statistics.median(m.seconds(name)):.1f}" for name in LOOPS),
        f"{m.median(loop, 'measured_share'):.0%}",
        f"**{whole.median:.2f}**",
        f"{whole.low:.2f} to {whole.high:.2f} ({len(m.turns[loop])})",
        "" if None in again else f"{statistics.median(again):.1f}",
        f"{m.entry.goal:g}, {'met' if whole.median >= m.entry.goal else 'missed'}",
    ]


def _slower(found: Sequence[Measured]) -> str:
    """Where a script of PyTorch took less time in some round."""
    lost = [
        m.entry.study
        for m in found
        for ours in [m.seconds(GRIDSCAPE)]
        if any(ratio(m.seconds(loop), ours).low < 1 for loop in LOOPS)
    ]
    if not lost:
        return "Gridscape took less time in every round of every study."
    return f"**A script of PyTorch took less time** in some round of: {', '.join(lost)}."


def _diverged(found: Sequence[Measured]) -> str:
    """What Gridscape did not train to the end, while PyTorch's time counts it in full."""
    counts = {m.entry.study: int(m.median(GRIDSCAPE, "n_diverged")) for m in found}
    told = ", ".join(f"{count} of {study}" for study, count in counts.items() if count)
    return (
        f"Networks that diverged, which Gridscape ends and PyTorch's time counts in full: "
        f"{told or 'none'}."
    )


def record(facts: Mapping[str, Any], found: Sequence[Measured], options: Any) -> dict[str, Any]:
    """All that was measured, as plain data."""
    return {
        "machine": dict(facts),
        "unit": "seconds of a whole study, one entry per round",
        "seconds_of_a_script": str(options.seconds),
        "studies": [
            {
                **m.entry._asdict(),
                "networks": m.n_networks,
                "programs": m.n_programs,
                "updates": m.updates,
                "turns": {s: [turn._asdict() for turn in turns] for s, turns in m.turns.items()},
            }
            for m in found
        ],
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--studies", default="", help="beginnings of names, with commas between")
    parser.add_argument("--updates", type=int, help="of each network, at most")
    parser.add_argument("--replicates", type=int, help="of each cell")
    parser.add_argument("--rounds", type=int, default=3, help="at most (default 3)")
    parser.add_argument(
        "--minutes", type=float, default=3, help="of a study; one round is run in any case"
    )
    parser.add_argument(
        "--seconds", type=float, default=15, help="of a script of PyTorch; inf trains everything"
    )
    parser.add_argument("--data-dir", help="where the data sets are")
    if not is_installed("torch"):
        parser.error(INSTALL_HINT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
