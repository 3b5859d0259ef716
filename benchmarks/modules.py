"""The landscape of somebody's PyTorch module: Gridscape beside a loop of PyTorch.

    python benchmarks/modules.py                    needs MNIST and PyTorch
    python benchmarks/modules.py --cases mlp --updates 50 --rounds 1     a quick look
    python benchmarks/modules.py --go-on --cases cnn --rounds 1          beside the cases stored
    python benchmarks/modules.py --go-on --cases mlp:6000 --rounds 1     a longer training

A case is a module of ``modules_of_torch.py``: a two-layer LSTM, a small CNN, an MLP. Every turn
trains all learning rates and replicates of it, in new processes, from the first import to the last
number: Gridscape with an empty folder and no program kept, compiling, comparing with PyTorch and
writing the page as well; PyTorch in one loop on all cores, and in a loop a core. The sides take
turns. The ratio is to the faster of both loops. Beside it stands the most that it could be on this
machine: what the products of all updates alone would take at the speed of a large product.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from harness import N_CORES, Ratio, describe, file_of, interleave, machine, ratio, table, write
from sides import GRIDSCAPE, MANY_LOOPS, N_PRODUCTS, ONE_LOOP, large_product

HERE = Path(__file__).parent
TASKS = {"lstm": "mnist-rows", "cnn": "mnist-image", "mlp": "mnist-flat"}
GOALS = {"lstm": 2.0, "cnn": 1.2, "mlp": 5.0}
PRODUCT = "large product"
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
BATCH = 100


class Case(NamedTuple):
    """A module and how long it is trained; written "mlp", or "mlp:6000" for other updates."""

    module: str
    updates: int

    @classmethod
    def parse(cls, text: str, updates: int) -> "Case":
        """The case of a text; without updates of its own it has these."""
        module, colon, own = text.partition(":")
        is_number = own.isascii() and own.isdigit() and int(own) > 0
        if module not in GOALS or (colon and not is_number):
            raise SystemExit(f"no case {text}: expected {', '.join(GOALS)}, or such as mlp:6000")
        return cls(module, int(own) if colon else updates)


class Turn(NamedTuple):
    """The seconds of a turn, the best mean accuracy that it found, and its operations.

    Of the large product: the seconds of one, and its operations.
    """

    seconds: float
    accuracy: float = math.nan
    flops: float = math.nan


def main() -> None:
    options = _options()
    if options.train:
        print(json.dumps(_landscape(options)))
        return
    facts = machine()
    found = _stored(facts, options) if options.go_on else {}
    cases = [Case.parse(text, options.updates) for text in options.cases.split(",")]
    for case in dict.fromkeys(cases):
        found[case] = measure(case, options)
        turns = {
            f"{c.module}:{c.updates}": {n: list(map(_plain, ts)) for n, ts in f.items()}
            for c, f in found.items()
        }
        record = {"machine": facts, "settings": _settings(options), "turns": turns}
        write("modules", facts, report(facts, found, options), record)


def _plain(turn: Turn) -> dict[str, float]:
    return {name: value for name, value in turn._asdict().items() if not math.isnan(value)}


def _settings(options: argparse.Namespace) -> dict[str, int]:
    return {"replicates": options.replicates}


def _stored(
    facts: Mapping[str, Any], options: argparse.Namespace
) -> dict[Case, dict[str, list[Turn]]]:
    """The turns of the cases that were measured before, with the same settings."""
    stored = file_of("modules", facts, "json")
    if not stored.exists():
        raise SystemExit(f"nothing is stored to go on from: {stored}")
    record = json.loads(stored.read_text(encoding="utf-8"))
    if record["settings"] != _settings(options):
        raise SystemExit(f"the stored cases have other settings: {record['settings']}")
    return {
        Case.parse(case, options.updates): {
            name: [Turn(**turn) for turn in turns] for name, turns in sides.items()
        }
        for case, sides in record["turns"].items()
    }


def measure(case: Case, options: argparse.Namespace) -> dict[str, list[Turn]]:
    """Every turn of each side."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "examples.npz"
        np.savez(file, **_examples(case.module, options))
        shares = [RATES[k::N_CORES] or RATES[:1] for k in range(N_CORES)]
        loop = partial(_loops, case, file, options)
        product = large_product()
        sides: dict[str, Callable[[], Turn]] = {
            GRIDSCAPE: partial(_gridscape, case, options),
            ONE_LOOP: partial(loop, [RATES], N_CORES),
            MANY_LOOPS: partial(loop, shares, 1),
            PRODUCT: lambda: Turn(product.measure(N_PRODUCTS) / 1e3, flops=product.facts["flops"]),
        }
        try:
            return interleave(sides, options.rounds)
        finally:
            product.close()


# ---- sides ----


def _gridscape(case: Case, options: argparse.Namespace) -> Turn:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--train", case.module, "--dir", f"{folder}/results"]
        command += ["--updates", str(case.updates), "--replicates", str(options.replicates)]
        command += ["--data-dir", options.data_dir] if options.data_dir else []
        cache = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/programs"}
        begin = time.perf_counter()
        text = subprocess.run(
            command, env={**os.environ, **cache}, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        return Turn(time.perf_counter() - begin, **json.loads(text.splitlines()[-1]))


def _landscape(options: argparse.Namespace) -> dict[str, float]:
    """What ``--train`` does: the study and its page; the best mean accuracy, and operations."""
    from modules_of_torch import CASES

    import gridscape as gs

    study = gs.Study(
        name=options.train,
        task=TASKS[options.train],
        model=gs.from_torch(CASES[options.train]),
        axes={"learning_rate": list(RATES)},
        updates=options.updates,
        batch_size=BATCH,
        replicates=options.replicates,
    )
    land = gs.run(study, directory=options.dir, data_dir=options.data_dir)
    gs.report.write(options.dir)
    accuracy = float(land.data.test_accuracy.mean("replicate").max())
    return {"accuracy": accuracy, "flops": float(land.data.flops.sum())}


def _loops(
    case: Case,
    file: Path,
    options: argparse.Namespace,
    shares: Sequence[Sequence[float]],
    threads: int,
) -> Turn:
    """One process for each share of the learning rates, all at the same time."""
    seeds = ",".join(map(str, range(options.replicates)))
    script, begin = str(HERE / "modules_of_torch.py"), time.perf_counter()
    processes = []
    for rates in shares:
        numbers = [",".join(map(str, rates)), seeds, case.updates, BATCH, threads]
        command = [sys.executable, script, case.module, str(file), *map(str, numbers)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    try:
        texts = [process.communicate(timeout=options.most)[0] for process in processes]
    except subprocess.TimeoutExpired:
        raise SystemExit(f"a loop took over {options.most:g} s: see --most, --updates") from None
    finally:
        for process in processes:
            process.kill()
    if any(process.returncode for process in processes):
        raise RuntimeError("a loop of PyTorch failed; its error is printed above")
    seconds = time.perf_counter() - begin
    each = np.concatenate([np.reshape(json.loads(t), (-1, options.replicates)) for t in texts])
    return Turn(seconds, float(each.mean(axis=1).max()))


def _examples(module: str, options: argparse.Namespace) -> dict[str, np.ndarray]:
    """What PyTorch is given: float32 in its own order of axes, and int64 labels."""
    from gridscape.study.parts import load_task

    task, found = load_task(TASKS[module], {}, options.data_dir), {}
    for name, split in (("train", task.train), ("test", task.test)):
        inputs = np.asarray(split.inputs, np.float32) / 255
        inputs = inputs.transpose(0, 3, 1, 2) if module == "cnn" else inputs
        found[f"{name}_inputs"] = np.ascontiguousarray(inputs)
        found[f"{name}_targets"] = np.asarray(split.targets, np.int64)
    return found


# ---- what is told ----


def report(
    facts: Mapping[str, Any], found: Mapping[Case, Mapping[str, Sequence[Turn]]], options: Any
) -> str:
    """The table in markdown."""
    sides = (GRIDSCAPE, ONE_LOOP, MANY_LOOPS)
    head = [
        "module",
        "updates",
        "rounds",
        *sides,
        "times as fast",
        "goal",
        "at most",
        "best accuracy",
    ]
    n_networks = len(RATES) * options.replicates
    return "\n\n".join(
        [
            "# The landscape of a PyTorch module: Gridscape beside PyTorch",
            describe(facts),
            f"Seconds from the first import to the last number of {n_networks} networks:"
            f" {len(RATES)} learning rates x {options.replicates} replicates,"
            f" so many updates of {BATCH} examples of MNIST, Adam; medians of the rounds."
            " Times as fast as the faster loop: median and range. At most: that loop's time as"
            " multiples of what the products of all updates alone would take at the speed of a"
            " large one, measured in the same rounds. Accuracies: Gridscape, then both loops.",
            table(head, [_row(case, turns) for case, turns in found.items()]) + "\n",
        ]
    )


def times_as_fast(turns: Mapping[str, Sequence[Turn]]) -> Ratio:
    """The seconds of the faster loop, by its median, as multiples of Gridscape's."""
    loops = ([t.seconds for t in turns[name]] for name in (ONE_LOOP, MANY_LOOPS))
    return ratio(min(loops, key=statistics.median), [t.seconds for t in turns[GRIDSCAPE]])


def most_times_as_fast(turns: Mapping[str, Sequence[Turn]]) -> float:
    """The same of a side that did nothing but the products, as fast as large ones; NaN: unknown."""
    if PRODUCT not in turns:
        return math.nan
    speed = statistics.median(t.flops / t.seconds for t in turns[PRODUCT])
    least = statistics.median(t.flops for t in turns[GRIDSCAPE]) / speed
    return _faster_loop(turns) / least


def _faster_loop(turns: Mapping[str, Sequence[Turn]]) -> float:
    return min(statistics.median(t.seconds for t in turns[n]) for n in (ONE_LOOP, MANY_LOOPS))


def _row(case: Case, turns: Mapping[str, Sequence[Turn]]) -> list[str]:
    sides = (GRIDSCAPE, ONE_LOOP, MANY_LOOPS)
    seconds = [f"{statistics.median(t.seconds for t in turns[side]):.1f}" for side in sides]
    accuracies = [f"{statistics.median(t.accuracy for t in turns[s]):.3f}" for s in sides]
    fast = times_as_fast(turns)
    reached = "reached" if fast.median >= GOALS[case.module] else "missed"
    times = f"**{fast.median:.2f}** ({fast.low:.2f} to {fast.high:.2f})"
    n_rounds, most = str(len(turns[GRIDSCAPE])), most_times_as_fast(turns)
    bound = "" if math.isnan(most) else f"{most:.2f}"
    goal = f"{GOALS[case.module]:g}, {reached}"
    names = [case.module, f"{case.updates:,}", n_rounds]
    return [*names, *seconds, times, goal, bound, ", ".join(accuracies)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default="lstm,cnn,mlp")
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--replicates", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--go-on", action="store_true", help="keep the cases stored before")
    parser.add_argument("--data-dir")
    parser.add_argument("--most", type=float, default=3600, help="seconds of a loop")
    parser.add_argument("--train", help=argparse.SUPPRESS)  # one turn of Gridscape, of this case
    parser.add_argument("--dir", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
