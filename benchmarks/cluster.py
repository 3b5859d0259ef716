"""What a cluster costs and gains: overhead beside Ray Tune, two workers, faults, a thousand.

    python benchmarks/cluster.py                        some 20 minutes on two idle cores
    python benchmarks/cluster.py --trials 20 --faults 5 --updates 50 --rounds 1     a quick look
    python benchmarks/cluster.py --only simulated       a part: overhead, workers, faults, fed,
                                                        simulated; the others stay as they were

Needs ``pip install 'gridscape[ray,bench]'`` and, for lstm-width-lr, MNIST. Sides take turns
within each round. Starting Ray is told apart: a run is timed from its first event on.
"""

import argparse
import dataclasses
import heapq
import json
import os
import signal
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from harness import N_CORES, describe, file_of, interleave, machine, table, whole_numbers, write

import gridscape as gs
from gridscape.execution.executors import Begun, Done, Finished, Progress, Room, Taken, Work
from gridscape.execution.local import Local
from gridscape.execution.parts import Parts, Seat
from gridscape.execution.ray.cluster import SETTINGS
from gridscape.store.store import Store
from gridscape.sweep import Started

FED_TRIALS = (200, 2000)  # between which the store's time is measured
FAULT_SHARE = 0.02  # of the segments
EACH_SECONDS = 300.0  # for the rounds of a number of trials: Ray Tune takes long for many
PARTS = ("overhead", "workers", "faults", "fed", "simulated")


class Timed(NamedTuple):
    """Seconds of a run: until its first event, from there to its end."""

    start: float
    seconds: float


def timed(executor: Any, study: Any, **values: Any) -> Timed:
    """A study, trained anew in a folder of its own."""
    begun: list[float] = []

    def listen(event: object) -> None:
        if isinstance(event, Started):
            begun.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        gs.run(study, directory=folder, executor=executor, listener=listen, **values)
        return Timed(begun[0] - begin, time.perf_counter() - begun[0])


@contextmanager
def forks_allowed() -> Iterator[None]:
    """Ray starts its processes by fork and exec, of which JAX warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*os.fork", category=RuntimeWarning)
        yield


@contextmanager
def nodes(n: int) -> Iterator[Any]:
    """A cluster of so many nodes of one core on this machine."""
    from ray.cluster_utils import Cluster

    os.environ.update(SETTINGS)
    with forks_allowed():
        arguments = {"num_cpus": 1, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=arguments)
        try:
            for _ in range(n - 1):
                cluster.add_node(**arguments)
            yield cluster
        finally:
            cluster.shutdown()


# ---- overhead a trial ----


def toy(n_trials: int) -> Any:
    """A point in a bowl, from so many learning rates."""
    rates = np.geomspace(1e-3, 1e-1, n_trials).tolist()
    axes = {"momentum": [0.5], "learning_rate": rates}
    return gs.Study.load("momentum-quadratic").override(axes, replicates=1, updates=100)


def toy_of_tune(config: dict[str, float]) -> dict[str, float]:
    """The same in NumPy: it takes next to no time, as the trial of Gridscape does."""
    curvatures, point, velocity = np.array([1.0, 25.0]), np.ones(2), np.zeros(2)
    for _ in range(100):
        velocity = 0.5 * velocity - config["learning_rate"] * curvatures * point
        point = point + velocity
    return {"distance": float(np.linalg.norm(point))}


def by_tune(n_trials: int) -> Timed:
    """Ray Tune with a grid of learning rates, on all cores."""
    import ray
    from ray import tune

    os.environ.update(SETTINGS)
    begin = time.perf_counter()
    with forks_allowed():
        ray.init("local", num_cpus=N_CORES, include_dashboard=False, log_to_driver=False)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        space = {"learning_rate": tune.grid_search(np.geomspace(1e-3, 1e-1, n_trials).tolist())}
        run = tune.RunConfig(storage_path=folder, verbose=0)
        tune.Tuner(toy_of_tune, param_space=space, run_config=run).fit()
    end = time.perf_counter()
    ray.shutdown()
    return Timed(started - begin, end - started)


def overhead(options: argparse.Namespace) -> str:
    """Milliseconds a trial."""
    rows = []
    for n in options.trials:
        study = toy(n)
        sides: dict[str, Callable[[], Timed]] = {
            "local": lambda study=study: timed("local", study),
            "Ray": lambda study=study: timed(gs.Ray(), study),
            "Ray Tune": lambda n=n: by_tune(n),
        }
        of_sides = interleave(sides, options.rounds, EACH_SECONDS)
        ours = statistics.median(run.seconds for run in of_sides["Ray"])
        for name, found in of_sides.items():
            seconds = statistics.median(run.seconds for run in found)
            start = statistics.median(run.start for run in found)
            numbers = [1e3 * seconds / n, seconds / ours, start]
            rows.append([f"{n:,}", str(len(found)), name, *(f"{x:.3g}" for x in numbers)])
    return table(["trials", "rounds", "side", "ms a trial", "of Ray's", "s to start"], rows)


# ---- two workers ----


def by_nodes(n: int, study: Any, **values: Any) -> Timed:
    with nodes(n) as cluster:
        return timed(gs.Ray(cluster.address), study, **values)


def workers(options: argparse.Namespace) -> str:
    """Two workers of one core beside one; Ray beside local on all cores."""
    study = gs.Study.load("lstm-width-lr")
    study = study.override({"hidden_size": options.widths}, updates=options.updates)
    sides: dict[str, Callable[[], Timed]] = {
        "one worker": lambda: by_nodes(1, study),
        "two workers": lambda: by_nodes(2, study),
        "local": lambda: timed("local", study),
        "Ray, all cores": lambda: timed(gs.Ray(), study),
    }
    found = interleave(sides, options.rounds)
    seconds = {name: [run.seconds for run in runs] for name, runs in found.items()}
    rows = [
        [
            name,
            f"{statistics.median(s):.3g}",
            f"{statistics.median(r.start for r in found[name]):.3g}",
        ]
        for name, s in seconds.items()
    ]
    gain = _median_ratio(seconds["one worker"], seconds["two workers"])
    cost = _median_ratio(seconds["Ray, all cores"], seconds["local"])
    told = f"\n\nTwo workers: {gain:.3g} times one. Ray: {cost:.3g} times the time of local.\n"
    return table(["side", "s", "s to start"], rows) + told


def _median_ratio(one: Sequence[float], other: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


# ---- faults ----


class RandomFaults:
    """Kills, preempts or stops the worker of which an event tells, every so often."""

    def __init__(self, executor: Any, n: int, seed: int = 0) -> None:
        self.executor, self.left, self.rng = executor, n, np.random.default_rng(seed)
        self.ended: list[str] = []

    def __call__(self, event: object) -> None:
        if isinstance(event, Finished):
            self.ended.append(event.trial.key)
        if isinstance(event, Progress) and self.left and self.rng.random() < FAULT_SHARE:
            for hand in self.executor._hands:
                if hand.run == event.trials:
                    self.left -= 1
                    self._hurt(hand)

    def _hurt(self, hand: Any) -> None:
        kind = self.rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
        os.kill(hand.ready.process, kind)
        if kind == signal.SIGSTOP:
            executor = self.executor
            for _ in range(10):  # what it said before is under way
                is_there = hand in executor._hands
                if not is_there or not executor._ray.wait([hand.asked], timeout=1.0)[0]:
                    break
                executor._hear(hand)
            hand.heard -= self.executor.patience


def faults(options: argparse.Namespace) -> str:
    """Random faults while a study trains: its table is that of an undisturbed run."""
    # Ten trials for each fault: hardly one of them is hit again and again.
    rates = np.geomspace(1e-3, 1e-1, 5 * options.faults).tolist()
    axes = {"hidden_size": [4, 8], "learning_rate": rates}
    study = gs.Study(
        name="faults", task="digits-rows", model="lstm", axes=axes, updates=2000, batch_size=10
    )
    with tempfile.TemporaryDirectory() as folder, nodes(2) as cluster:
        here, there = Path(folder, "local"), Path(folder, "ray")
        gs.run(study, directory=here)
        executor = gs.Ray(cluster.address)
        listener = RandomFaults(executor, options.faults)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="the process died while training")
            gs.run(study, directory=there, executor=executor, listener=listener)
        one, other = _digests(here), _digests(there)
    n_twice = len(listener.ended) - len(set(listener.ended))
    n_other = sum(one[key] != other.get(key) for key in one)
    done = options.faults - listener.left
    return (
        f"{done} faults, {len(one)} trials: {len(one.keys() - other.keys())} lost, {n_twice} twice,"
        f" {n_other} with other parameters.\n"
    )


def _digests(folder: Path) -> dict[str, Any]:
    with Store.read(folder) as store:
        return {trial.key: result.params_digest for trial, result in store.results()}


# ---- results without training ----


class Fed(Local):
    """Ends every trial at once, with the result of one that was trained."""

    def open(self, resolved: Any, data_dir: Any = None) -> None:
        self._works: list[Work] = []
        if not hasattr(self, "result"):
            super().open(resolved, data_dir)
            first = Work(0, tuple(resolved.trials()[:1]))
            found = [e for e in self._worker.run(first) if isinstance(e, Finished)]
            self.result = found[0].result
            super().close()

    def room(self) -> Room:
        return Room.here()

    def submit(self, work: Work, saved: Any) -> None:
        self._works.append(work)

    def events(self) -> Iterator[Any]:
        for work in self._works:
            yield Taken(work.id)
            for begin in range(0, len(work.trials), 64):
                trials = work.trials[begin : begin + 64]
                yield Begun(work.id, trials, 1)
                for trial in trials:
                    yield Finished(trial, dataclasses.replace(self.result, key=trial.key))
            yield Done(work.id)

    def close(self) -> None:
        self._works = []


def fed(options: argparse.Namespace) -> str:
    """What driver and store take: trials a second."""
    rows = []
    for n in options.trials:
        seconds = timed(Fed(), toy(n)).seconds
        rows.append([f"{n:,}", f"{n / seconds:,.0f}"])
    return table(["trials", "trials a second"], rows)


def stored_seconds(n_few: int, n_many: int, rounds: int) -> float:
    """What a trial takes the driver to store, by feeding it: the least of some rounds.

    The slope between two numbers of trials: what a run takes beside its trials is not in it.
    """
    sides = {str(n): partial(timed, Fed(), toy(n)) for n in (n_few, n_many)}
    found = interleave(sides, rounds)
    few, many = (min(run.seconds for run in found[str(n)]) for n in (n_few, n_many))
    if many <= few:
        raise RuntimeError("the machine is too busy to measure the store")
    return (many - few) / (n_many - n_few)


# ---- a simulator of the scheduler ----


class Machinery(NamedTuple):
    """What is measured elsewhere and played here.

    stored, message: seconds of the driver for each trial that it stores, and for what a part says.
    part: seconds that a worker takes to begin and end a part. compile: of a program on a node.
    spread: of the speeds of workers, as the standard deviation of their logarithm. lifetime: mean
    seconds until a worker is lost. snapshot: seconds of work that are lost with it. start: seconds
    until it is replaced.
    """

    stored: float
    message: float = 2e-3
    part: float = 0.05
    compile: float = 3.0
    spread: float = 0.1
    lifetime: float = 4 * 3600.0
    snapshot: float = 10.0
    start: float = 20.0


class Played(NamedTuple):
    """What came of it: useful seconds of workers, of all that there were."""

    efficiency: float
    makespan: float
    lost: int


def play(works: Sequence[tuple[int, float]], n_workers: int, of: Machinery) -> Played:
    """The scheduler with workers that are only clocks.

    works: trials and seconds a trial of each. The driver does one thing at a time.
    """
    rng = np.random.default_rng(0)
    parts, seats = Parts(), [Seat(k, f"node {k}") for k in range(n_workers)]
    speeds = np.exp(of.spread * rng.standard_normal(n_workers))
    for number, (n_trials, seconds) in enumerate(works):
        parts.add(Work(number, range(n_trials)), seconds, str(number))  # type: ignore[arg-type]
    known: set[tuple[int, str]] = set()
    clock = [(0.0, k, 0) for k in range(n_workers)]  # when a worker is free; trials to store then
    driver = end = useful = 0.0
    lost = 0
    while clock:
        now, who, n_ended = heapq.heappop(clock)
        begin = max(driver, now) + of.message
        driver = begin + n_ended * of.stored  # when the worker has its next part
        taken = parts.take(seats[who], n_workers)
        if taken is None:
            continue
        part, _ = taken
        parts.is_compiled(seats[who], part)
        parts.leave(seats[who])
        n_trials, place = len(part.work.trials), (who, part.program)
        ready = of.part + (0.0 if place in known else of.compile)
        work, death = part.cost * n_trials / speeds[who], rng.exponential(of.lifetime)
        known.add(place)
        if death < ready + work:
            lost += 1
            kept = min(max(death - ready - of.snapshot, 0.0) / work, 0.99)
            useful += kept * work
            parts.free(seats[who])
            parts.again(dataclasses.replace(part, cost=part.cost * (1 - kept)))
            known = {other for other in known if other[0] != who}
            heapq.heappush(clock, (begin + death + of.start, who, 0))
            continue
        useful += work
        end = max(end, begin + ready + work)
        heapq.heappush(clock, (begin + ready + work, who, n_trials))
    end = max(end, driver)
    return Played(useful / (n_workers * end), end, lost)


def simulated(options: argparse.Namespace) -> str:
    """Efficiency with 10 to 1,000 workers of one core."""
    study = gs.Study.load("lstm-width-lr")
    widths, rates = (axis.values for axis in study.grid.axes)
    # Seconds a trial of this machine: those of a width of 128, and as the operations grow.
    at_128 = 2.0
    grid = [(10 * len(rates), at_128 * (w * (w + 28)) / (128 * 156)) for w in widths]
    tiny = [(16_777_216, 0.02)]
    measured = options.stored or stored_seconds(*FED_TRIALS, options.rounds)
    rows, of = [], Machinery(measured)
    for name, works in (("full grid, 10 replicates", grid), ("16.8 million tiny networks", tiny)):
        dearest = max(seconds for _, seconds in works)
        whole = sum(n * seconds for n, seconds in works)
        for n_workers in (10, 100, 1000):
            found = play(works, n_workers, of)
            # No faster than the dearest trial, nor than all are stored.
            stored = sum(n for n, _ in works) * (of.stored + of.message / 64)
            bound = min(1.0, whole / (n_workers * max(dearest, stored)))
            numbers = [f"{100 * x:.1f} %" for x in (found.efficiency, bound)]
            rows.append(
                [name, f"{n_workers:,}", *numbers, f"{found.makespan / 3600:.3g}", str(found.lost)]
            )
    head = ["study", "workers", "efficiency", "at most", "hours", "workers lost"]
    how = "as given" if options.stored else "measured by feeding results without training"
    return f"{table(head, rows)}\n\n{1e3 * measured:.3g} ms to store a trial, {how}.\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--trials", type=whole_numbers, default=[100, 1000])
    parser.add_argument("--widths", type=whole_numbers, default=[16, 32, 64, 128])
    parser.add_argument("--updates", type=int, default=999)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    stored = "seconds to store a trial, for the simulator; measured where none are given"
    parser.add_argument("--stored", type=float, help=stored)
    return parser.parse_args()


def main() -> None:
    options, facts = _options(), machine()
    earlier = file_of("cluster", facts, "json")
    texts = json.loads(earlier.read_text())["tables"] if earlier.exists() else {}
    for name in options.only:
        now = machine()
        said = ", ".join(f"{key} {now[key]}" for key in ("date", "gridscape", "jax", "load_before"))
        texts[name] = f"{globals()[name](options)}\n\n({said})\n"
        sys.stderr.write(f"{name}\n{texts[name]}\n")
    titles = {name: (globals()[name].__doc__ or "").splitlines()[0] for name in PARTS}
    body = "\n\n".join(f"## {titles[name]}\n\n{texts[name]}" for name in PARTS if name in texts)
    markdown = f"# A cluster\n\n{describe(facts)}\n\n{body}\n"
    write("cluster", facts, markdown, {"machine": facts, "tables": texts})


if __name__ == "__main__":
    main()
