"""Faults drawn at random over runs on a Ray cluster of this machine: what holds.

    nice -n 19 python benchmarks/ray_faults.py [--faults 200] [--seconds 3600] [--seed 0] [--keep]

An episode is one results folder and one command, which is given again whenever it has ended. Faults
fall on its workers, its nodes, and the process that drives it. In the end every trial must be there
once, and the table must be that of a local run in calm, bit for bit. With --keep the counts go to
benchmarks/results.
"""

import argparse
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import faults
import harness
from control_groups import ControlGroup, groups_are_allowed
from faults import BrokenError, Place

from gridscape.execution.ray.cluster import SETTINGS

STUDY = ["quickstart", "--set", "hidden_size=4,8", "--set", "learning_rate=0.001,0.01,0.1"]
STUDY += ["--replicates", "4"]
UPDATES = 15_000
N_NODES = 2  # that train; the one that drives has no cores for workers
PATIENCE = 20.0  # of the runs, so that a worker that hangs is given up soon
EACH_EPISODE = 15
DEADLINE_SECONDS = 400
ENDING_SECONDS = 60  # in which the workers of a run that has ended must have ended, too
# The command line with a shorter patience, set where Ctrl-C is handled already.
DRIVER = f"""\
from gridscape.cli import _streams, main
def stand_in(before=_streams.stand_in):
    before()
    from gridscape.execution.ray.executor import Ray
    Ray.__init__.__kwdefaults__["patience"] = {PATIENCE}
_streams.stand_in = stand_in
main()
"""
RAYS = re.compile(r"\[ray_log_sink\]|^\[\d{4}-[^]]*\] \w+\.cc:\d+: ")  # lines of its log
ENDS = (0, 1, 130, -signal.SIGKILL)  # how a run may end


class Nodes:
    """A cluster of this machine: its head drives, nodes of one core each train."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        os.environ |= SETTINGS
        head = {"num_cpus": 0, "include_dashboard": False}
        with forks_allowed():
            self.cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(N_NODES):
            self.add()

    @property
    def training(self) -> list:
        """Those with cores for workers."""
        return sorted(self.cluster.worker_nodes, key=raylet_of)

    @property
    def address(self) -> str:
        return self.cluster.address

    def add(self) -> None:
        with forks_allowed():
            self.cluster.add_node(num_cpus=1, include_dashboard=False)

    def remove(self, node) -> None:
        self.cluster.remove_node(node, allow_graceful=False)

    def workers(self) -> list[int]:
        """The processes of workers, by their titles and parents."""
        raylets = {raylet_of(node) for node in self.training}
        return [p for p in processes("ray::Station") if parent_of(p) in raylets]

    def close(self) -> None:
        self.cluster.shutdown()


@contextmanager
def forks_allowed() -> Iterator[None]:
    """Ray starts its processes by fork and exec, of which JAX warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*os.fork", category=RuntimeWarning)
        yield


def raylet_of(node) -> int:
    return node.all_processes["raylet"][0].process.pid


def processes(title: str) -> list[int]:
    """All that are called so."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes().startswith(title.encode()):
                found.append(int(path.parent.name))
    return sorted(found)


def parent_of(process: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


class RayPlace(Place):
    """A folder of results, a cluster, the command that fills it, and the table of a local run."""

    def __init__(self, folder: Path, updates: int = UPDATES) -> None:
        super().__init__(folder, updates, STUDY)
        self.nodes = Nodes()
        self.process: subprocess.Popen | None = None
        self.told, self._seen = folder / "told", 0
        self.lacks_memory = False  # whether a worker of this folder did
        self.groups: list[ControlGroup] = []  # of workers that did

    def clear(self) -> None:
        super().clear()
        self.lacks_memory = False
        self._remove_groups()

    def _remove_groups(self) -> None:
        while self.groups:
            if not self.groups.pop().remove():
                raise BrokenError("a worker of a run that has ended does not end")

    def begin(self, path: str = "") -> None:
        """The run, unless it is on its way."""
        if self.process is not None and self.process.poll() is None:
            return
        self.finish()
        paths = [path, str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        command = [*self.command, "--executor", "ray", "--address", self.nodes.address]
        self._seen = 0
        with self.told.open("w") as told:
            self.process = subprocess.Popen(
                [sys.executable, "-c", DRIVER, *command],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                stdout=subprocess.DEVNULL,
                stderr=told,
                preexec_fn=lambda: faults.begin(None),
            )

    def news(self) -> str:
        """What the run has said since this was asked last."""
        text = self.told.read_text() if self.told.exists() else ""
        found, self._seen = text[self._seen :], len(text)
        return found

    def finish(self) -> int:
        """Wait for the end of the run and of its workers; raises BrokenError where it is no end."""
        if self.process is None:
            return 0
        try:
            status = self.process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
            raise BrokenError("a run that does not end") from None
        finally:
            self.process = None
        faults.check_lines(without_rays_log(self.told.read_text()), status)
        if status not in ENDS and not (status == 3 and self.lacks_memory):
            raise BrokenError(f"status {status}: {self.told.read_text()[-600:]}")
        end = time.monotonic() + ENDING_SECONDS
        while left := self.nodes.workers():
            if time.monotonic() > end:
                raise BrokenError(f"workers are left: {left}")
            time.sleep(0.2)
        return status

    def wait_for_worker(self, rng: random.Random) -> int | None:
        """A worker at a random moment; None where the run ends meanwhile."""
        end = time.monotonic() + rng.uniform(0, 5)
        found: list[int] = []
        while self.process is not None and self.process.poll() is None:
            found = self.nodes.workers()
            if found and time.monotonic() > end:
                return rng.choice(found)
            if time.monotonic() > end + 120:
                raise BrokenError("no worker within two minutes")
            time.sleep(0.2)
        return None

    def renew(self) -> None:
        """No run, and another cluster."""
        self.close()
        self.nodes = Nodes()

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None
        self.nodes.close()
        self._remove_groups()


# ---- faults: each takes a place, a worker of the run, and chance ----


def hit(process: int | None, number: int) -> None:
    if process is not None:
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(process, number)


def to_worker(number: int):
    def fault(place: RayPlace, worker: int, rng: random.Random) -> None:
        hit(worker, number)

    return fault


def stopped_and_continued(place: RayPlace, worker: int, rng: random.Random) -> None:
    hit(worker, signal.SIGSTOP)
    time.sleep(2)
    hit(worker, signal.SIGCONT)


def to_all_workers(place: RayPlace, worker: int, rng: random.Random) -> None:
    for each in place.nodes.workers():
        hit(each, signal.SIGKILL)


def short_of_memory(place: RayPlace, worker: int, rng: random.Random) -> None:
    """A worker gets hardly any more: its run is halved, or it dies and is replaced."""
    place.lacks_memory = True
    with suppress(OSError, IndexError):  # it has ended meanwhile
        pages = int(Path(f"/proc/{worker}/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + rng.randrange(2**20, 2**27)
        resource.prlimit(worker, resource.RLIMIT_AS, (limit, limit))


def in_small_group(place: RayPlace, worker: int, rng: random.Random) -> None:
    """The system kills a worker once it takes more than a little besides."""
    place.lacks_memory = True
    place.groups.append(ControlGroup(int(2 ** rng.uniform(20, 27))))
    with suppress(OSError):  # it has ended meanwhile
        place.groups[-1].enter(worker)


def to_driver(number: int):
    def fault(place: RayPlace, worker: int, rng: random.Random) -> None:
        place.process.send_signal(number)
        place.finish()

    return fault


def to_raylet(place: RayPlace, worker: int, rng: random.Random) -> None:
    """Without it a node is gone; another one joins."""
    node = rng.choice(place.nodes.training)
    hit(raylet_of(node), signal.SIGKILL)
    time.sleep(rng.uniform(0, 5))
    place.nodes.remove(node)
    place.nodes.add()


def to_raylet_of_driver(place: RayPlace, worker: int, rng: random.Random) -> None:
    """The machine of the run is gone, and with it the cluster."""
    hit(raylet_of(place.nodes.cluster.head_node), signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        place.process.wait(DEADLINE_SECONDS)
    place.nodes.close()
    place.nodes = Nodes()
    place.finish()


def removed_and_added(place: RayPlace, worker: int, rng: random.Random) -> None:
    place.nodes.remove(rng.choice(place.nodes.training))
    time.sleep(rng.uniform(0, 3))
    place.nodes.add()


def added_and_removed(place: RayPlace, worker: int, rng: random.Random) -> None:
    first = place.nodes.training[0]
    place.nodes.add()
    time.sleep(rng.uniform(0, 10))
    place.nodes.remove(first)


def without_rays_log(told: str) -> str:
    """What was said but for the lines that Ray's own log has, as of a disk without room for it."""
    return "".join(line for line in told.splitlines(keepends=True) if not RAYS.search(line))


def full_disk(place: RayPlace, worker: int, rng: random.Random) -> None:
    """From some moment on, no file of the run may get larger than a few bytes."""
    limit = rng.randrange(1_000, 60_000)
    with suppress(ProcessLookupError):
        resource.prlimit(place.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    if place.finish() and not place.told.read_text():
        raise BrokenError("a full disk, and not a word")


def clock_set_back(place: RayPlace, worker: int, rng: random.Random) -> None:
    """Of the process that drives, from its beginning on."""
    place.process.send_signal(signal.SIGTERM)
    place.finish()
    place.begin(str(place.folder / "clock"))
    place.wait_for_worker(rng)


def watched(place: RayPlace, worker: int, rng: random.Random) -> None:
    """A reader that looks again and again."""
    for _ in range(5):
        if (place.results / "study.json").exists():
            status, _, told = faults.call("show", place.results, "--json")
            faults.check_lines(told, status)
        time.sleep(0.2)


def second_run(place: RayPlace, worker: int, rng: random.Random) -> str:
    """The same command beside it is refused in a line, if the first one has not ended by then."""
    done = place.run()
    if done.returncode and "gridscape: " not in done.stderr:
        raise BrokenError(f"a second run: status {done.returncode}, {done.stderr}")
    return done.stderr


# What falls on workers and nodes comes three times as often as what ends a run.
OFTEN = 3
OF_WORKERS = {
    "kill -9 of a worker": to_worker(signal.SIGKILL),
    "kill -9 of all workers": to_all_workers,
    "SIGTERM to a worker": to_worker(signal.SIGTERM),
    "a worker that hangs": to_worker(signal.SIGSTOP),
    "a worker stopped and continued": stopped_and_continued,
    "a worker short of memory": short_of_memory,
    "a worker in a small control group": in_small_group,
    "kill -9 of a raylet": to_raylet,
    "kill -9 of the run's raylet": to_raylet_of_driver,
    "a node removed, another added": removed_and_added,
    "a node added, another removed": added_and_removed,
    "a viewer": watched,
}
FAULTS = {
    **OF_WORKERS,
    "kill -9 of the run": to_driver(signal.SIGKILL),
    "SIGTERM to the run": to_driver(signal.SIGTERM),
    "Ctrl-C": to_driver(signal.SIGINT),
    "a full disk at the run": full_disk,
    "a clock set back at the run": clock_set_back,
    "a second run in the folder": second_run,
}


def names_here(names: Iterable[str] = FAULTS) -> list[str]:
    """Those that this machine allows."""
    return [name for name in names if FAULTS[name] is not in_small_group or groups_are_allowed()]


class Tally:
    """What was tried, survived and told, by name, and what did not hold."""

    def __init__(self) -> None:
        self.counts: Counter = Counter()
        self.broken: list[str] = []

    @property
    def n_tried(self) -> int:
        return sum(self.counts[name, "tried"] for name in FAULTS)

    def add_broken(self, name: str, error: BrokenError) -> None:
        self.broken.append(f"{name}: {' '.join(str(error).split())}")
        print(f"did not hold: {self.broken[-1]}", file=sys.stderr, flush=True)


def episode(
    place: RayPlace, rng: random.Random, tally: Tally, names: Iterator[str], n_faults: int
) -> None:
    """Faults on one folder, which must be whole in the end; they end when all is trained."""
    place.clear()
    fell, most = [], tally.n_tried + n_faults
    name = "the beginning"
    while tally.n_tried < most:
        try:
            place.begin()
            worker = place.wait_for_worker(rng)
            if worker is None:  # the run has ended
                if place.finish() == 0:
                    break
                continue
            place.news()
            name = next(names)
            tally.counts[name, "tried"] += 1
            print(time.strftime("%H:%M:%S"), name, file=sys.stderr, flush=True)
            told = FAULTS[name](place, worker, rng)
            tally.counts[name, "told"] += bool(told or place.news())
            fell.append(name)
        except BrokenError as error:  # the folder must be whole nevertheless
            tally.add_broken(name, error)
            place.renew()
    for _ in range(3):  # trials that were hit too often are tried again by the next run
        place.begin()
        if place.finish():
            raise BrokenError(f"the last run: {place.told.read_text()}")
        if place.table() == place.calm:
            break
    place.require_whole()
    tally.counts.update((name, "survived") for name in fell)


def drawn(rng: random.Random) -> Iterator[str]:
    """Faults without end: round after round, in which each kind has its turns."""
    return faults.drawn([*names_here(), *(OFTEN - 1) * names_here(OF_WORKERS)], rng)


def report(tally: Tally) -> str:
    """The counts as a table in markdown."""
    return faults.report(FAULTS, tally.counts, tally.broken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rng, tally = random.Random(asked.seed), Tally()
    names, end = drawn(rng), time.monotonic() + asked.seconds
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(folder, "programs")))
        place = RayPlace(Path(folder))
        while (n_left := asked.faults - tally.n_tried) > 0 and time.monotonic() < end:
            try:
                episode(place, rng, tally, names, min(EACH_EPISODE, n_left))
            except BrokenError as error:
                tally.add_broken("an episode", error)
                place.renew()
            print(report(tally), file=sys.stderr, flush=True)
        place.close()
    facts = harness.machine()
    text = f"# Faults on a Ray cluster\n\n{report(tally)}\n\n{harness.describe(facts)}\n"
    if asked.keep:
        record = {"machine": facts, "seed": asked.seed, "broken": tally.broken}
        record["counts"] = {f"{name}: {what}": n for (name, what), n in tally.counts.items()}
        harness.write("ray_faults", facts, text, record)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
