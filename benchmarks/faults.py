"""Faults drawn at random over runs of a small study: what holds.

    nice -n 19 python benchmarks/faults.py [--number 800] [--seconds 7200] [--seed 0] [--keep]

An episode is one results folder. A fault falls on it, the run goes on, another one falls, and at
the end everything must be there: each trial once, the table equal to that of a run in calm, nothing
half written, and a line for whatever was lost. With --keep the counts go to benchmarks/results.
With --forked the runs are processes that have the libraries already, many times as many an hour.
"""

import argparse
import contextlib
import csv
import io
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import harness
from control_groups import ControlGroup, groups_are_allowed
from forked import Forked, import_libraries

STUDY = ["quickstart", "--set", "hidden_size=4,8", "--set", "learning_rate=0.01,0.1"]
STUDY += ["--replicates", "2"]
UPDATES = 3_000
# Of a small quadratic form, for runs that are forked: most of their time is beginning and ending.
QUICK = ["momentum-quadratic", "--set", "learning_rate=0.1,0.2", "--set", "momentum=0,0.5"]
QUICK += ["--replicates", "2"]
QUICK_UPDATES = 30_000
# The share of the time that a network had, and the memory beside others, are of the run.
FREE = ("seconds", "memory_bytes")
LONGEST = 300 + len("gridscape: ")
DEADLINE_SECONDS = 600
EACH_EPISODE = 6
# The clock of a process, which goes back by a day and forth again every second.
BACK = """\
import time
now = time.time
time.time = lambda: now() - 86_400 * (int(time.monotonic()) % 2)
"""


class BrokenError(Exception):
    """Something did not hold."""


class Place:
    """A folder of results, the command that fills it, and the table of a run in calm."""

    longest_seconds = 8.0  # until a signal comes

    def __init__(self, folder: Path, updates: int = UPDATES, study: Sequence[str] = STUDY) -> None:
        self.folder, self.results = folder, folder / "r"
        self.command = ["run", *study, "--updates", str(updates), "--dir", str(self.results)]
        (folder / "clock").mkdir()
        (folder / "clock" / "sitecustomize.py").write_text(BACK)
        done = self.run()
        if done.returncode:
            raise BrokenError(f"the run in calm: {done.stderr}")
        self.calm = self.table()

    def start(self, before=None, path: str = "") -> subprocess.Popen | Forked:
        """The run, in a process of its own: path is a folder with a sitecustomize.py."""
        paths = [path, str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        # JAX, once imported here, would have the run print what XLA says of kept programs.
        env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.Popen(
            [sys.executable, "-m", "gridscape", *self.command],
            env={**env, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: begin(before),
        )

    def end(self, process: subprocess.Popen | Forked) -> subprocess.CompletedProcess:
        """Wait for a process; what it said, which is lines of ours or nothing."""
        try:
            _, told = process.communicate(timeout=DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise BrokenError("a run that does not end") from None
        check_lines(told, process.returncode)
        return subprocess.CompletedProcess(self.command, process.returncode, "", told)

    def run(self, before=None, path: str = "") -> subprocess.CompletedProcess:
        return self.end(self.start(before, path))

    def table(self) -> list[dict[str, str]]:
        """What is exported, without what may differ."""
        out = self.folder / "table.csv"
        status, _, told = call("export", self.results, "--output", out)
        if status:
            raise BrokenError(f"export: {told}")
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return [{k: v for k, v in row.items() if k not in FREE} for row in rows]

    def clear(self) -> None:
        """No folder of results any more."""
        shutil.rmtree(self.results, ignore_errors=True)

    def begin_anew(self) -> None:
        """A folder of a run that died as soon as it trained."""
        self.clear()
        process, told = self.start(), self.results / "progress.json"
        end = time.monotonic() + DEADLINE_SECONDS
        while process.poll() is None and not told.exists() and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        self.end(process)
        if not (self.results / "study.json").exists():
            raise BrokenError("a run that ends, or tells of its progress, without a folder")

    def is_whole(self) -> bool:
        return (self.results / "study.json").exists() and self.table() == self.calm

    def require_whole(self) -> None:
        """All is there as after a run in calm, and nothing else."""
        found = self.table()
        if len({row["key"] for row in found}) != len(found):
            raise BrokenError("a trial twice")
        if found != self.calm:
            raise BrokenError("another table than in calm")
        if left := [p.name for p in self.results.rglob("*.tmp*")]:
            raise BrokenError(f"half written: {left}")
        if left := list((self.results / "checkpoints").iterdir()):
            raise BrokenError(f"checkpoints left: {left}")


class QuickPlace(Place):
    """Runs that are forked, of the small quadratic form."""

    longest_seconds = 2.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, QUICK_UPDATES, QUICK)

    def start(self, before=None, path: str = "") -> Forked:
        return Forked(self.command, self.folder / "told", before, path)


def check_lines(told: str, status: int) -> None:
    """Raise BrokenError where a process said anything but lines of ours."""
    for line in told.splitlines():
        if not line.startswith("gridscape: ") or line.startswith("gridscape: unexpected"):
            raise BrokenError(f"status {status}, told: {told[-600:]}")
        if len(line) > LONGEST:
            raise BrokenError(f"a line of {len(line)} letters: {line}")


def call(*arguments: object) -> tuple[int, str, str]:
    """A command in this process: status, standard output, standard error."""
    from gridscape.cli import commands

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = commands.exit_status([str(a) for a in arguments])
    return status, out.getvalue(), err.getvalue()


def begin(before: Callable[[], None] | None) -> None:
    """In a new process: signals are as in a terminal, also where this runs by nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if before is not None:
        before()


def await_handlers(process: subprocess.Popen | Forked) -> None:
    """Wait until a run handles SIGHUP, the last one: before, a signal meets Python alone."""
    end, bit = time.monotonic() + 60, 1 << (signal.SIGHUP - 1)
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            if any(int(mask, 16) & bit for mask in _caught(lines)):
                return
        time.sleep(0.01)


def _caught(lines: list[str]) -> list[str]:
    return [line.split()[1] for line in lines if line.startswith("SigCgt:")]


# ---- faults: each takes a place and gives the run that met it ----

Done = subprocess.CompletedProcess


def signalled(*numbers: int, after: float = 0.0):
    """A run that gets signals at a random moment."""

    def fault(place: Place, rng: random.Random) -> Done:
        process = place.start()
        time.sleep(rng.uniform(0, place.longest_seconds))
        if signal.SIGKILL not in numbers and signal.SIGSTOP not in numbers:
            await_handlers(process)
        for number in numbers:
            process.send_signal(number)
            time.sleep(after)
        done = place.end(process)
        if done.returncode not in (0, 130, -signal.SIGKILL):
            raise BrokenError(f"status {done.returncode}: {done.stderr}")
        return done

    return fault


def files_of(place: Place) -> list[Path]:
    """The files of a folder, a few of each kind."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(place.results.rglob("*")):
        if path.is_file() and path.stat().st_size:
            kind = path.name if path.parent == place.results else path.parent.name
            kinds.setdefault(kind, []).append(path)
    return [path for paths in kinds.values() for path in paths[:2]]


def cut(content: bytearray, rng: random.Random) -> bytearray:
    return content[: rng.randrange(len(content))]


def flip(content: bytearray, rng: random.Random) -> bytearray:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return content


def damaged(change):
    """A file of the folder that is not as it was written; a blob that is lost must be told."""

    def fault(place: Place, rng: random.Random) -> Done:
        path = rng.choice(files_of(place))
        kept = path.read_bytes()
        path.write_bytes(bytes(change(bytearray(kept), rng)))
        done = place.run()
        if done.returncode:  # told, with what is to be done: put it back from a copy
            path.write_bytes(kept)
            if not done.stderr:
                raise BrokenError(f"{path.name}: status {done.returncode}, and not a word")
        elif path.parent.name == "blobs" and "warning: " not in done.stderr:
            raise BrokenError(f"{path.name} was lost without a word")
        return done

    return fault


def limited(what: int, low: int, high: int):
    """A run under a limit of the system: of file sizes, as on a full disk, or of addresses."""

    def fault(place: Place, rng: random.Random) -> Done:
        limit = rng.randrange(low, high)
        done = place.run(partial(resource.setrlimit, what, (limit, limit)))
        # Of an abort for lack of addresses nobody is left to tell: it counts as a death.
        if done.returncode not in (0, 1, 3, -signal.SIGABRT, -signal.SIGSEGV):
            raise BrokenError(f"status {done.returncode}: {done.stderr}")
        return done

    return fault


def in_small_group(place: Place, rng: random.Random) -> Done:
    """A run that is killed when it, or a process of its own, has more than its group may have."""
    group = ControlGroup(int(2 ** rng.uniform(23, 30)))
    try:
        done = place.run(group.enter)
    finally:
        if not group.remove():
            raise BrokenError("a process of a run that has ended does not end")
    if done.returncode not in (0, 1, 3, -signal.SIGKILL):
        raise BrokenError(f"status {done.returncode}: {done.stderr}")
    return done


def clock_set_back(place: Place, rng: random.Random) -> Done:
    return place.run(path=str(place.folder / "clock"))


def watched(place: Place, rng: random.Random) -> Done:
    """A reader that looks all the time."""
    process, end = place.start(), time.monotonic() + DEADLINE_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if (place.results / "study.json").exists():
            status, _, told = call("show", place.results, "--json")
            check_lines(told, status)
        time.sleep(0.2)
    return place.end(process)


FAULTS = {
    "kill -9": signalled(signal.SIGKILL),
    "SIGTERM": signalled(signal.SIGTERM),
    "SIGHUP": signalled(signal.SIGHUP),
    "Ctrl-C": signalled(signal.SIGINT),
    "Ctrl-C twice": signalled(signal.SIGINT, signal.SIGINT, after=0.2),
    "stopped and continued": signalled(signal.SIGSTOP, signal.SIGCONT, after=1.0),
    "a torn file": damaged(cut),
    "a flipped bit": damaged(flip),
    "no room for files": limited(resource.RLIMIT_FSIZE, 1_000, 60_000),
    "few addresses": limited(resource.RLIMIT_AS, 2**28, 3 * 2**30),
    "a small control group": in_small_group,
    "a clock set back": clock_set_back,
    "a viewer": watched,
}


def names_here() -> list[str]:
    """The faults that this machine allows."""
    return [n for n in FAULTS if FAULTS[n] is not in_small_group or groups_are_allowed()]


def drawn(names: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Faults without end: round after round, in which each has its turn."""
    while True:
        yield from rng.sample(names, len(names))


def episode(
    place: Place, rng: random.Random, counts: Counter, names: Iterator[str], n_faults: int
) -> None:
    """Faults on one folder, which must be whole in the end; half of those that are begin anew."""
    place.begin_anew()
    for _ in range(n_faults):
        is_whole = place.is_whole()
        if is_whole and rng.random() < 0.5:
            place.require_whole()
            place.begin_anew()
            is_whole = place.is_whole()
        name = next(names)
        counts[name, "tried"] += 1
        counts[name, "work left"] += not is_whole
        done = FAULTS[name](place, rng)
        counts[name, "ended the run"] += bool(done.returncode)
        counts[name, "told"] += bool(done.stderr)
        if not (place.results / "study.json").exists():
            place.run()
        counts[name, "survived"] += 1
    done = place.run()
    if done.returncode:
        raise BrokenError(f"the last run: {done.stderr}")
    place.require_whole()


def n_tried(counts: Counter) -> int:
    return sum(n for (_, what), n in counts.items() if what == "tried")


def report(
    names: Iterable[str],
    counts: Counter,
    broken: Sequence[str],
    columns: Sequence[str] = ("tried", "survived", "told"),
) -> str:
    """The counts as a table in markdown, of what was tried."""
    tried = [name for name in names if counts[name, "tried"]]
    rows = [[n, *(f"{counts[n, c]:,}" for c in columns)] for n in tried]
    rows.append(["all", *(f"{sum(counts[n, c] for n in tried):,}" for c in columns)])
    text = harness.table(["what", *columns], rows)
    return text + "\n" + "".join(f"\n- did not hold: {line}" for line in broken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=800, help="of faults")
    parser.add_argument("--seconds", type=float, default=7200.0, help="after which it ends early")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--forked", action="store_true", help="runs that have the libraries")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rng, counts, broken = random.Random(asked.seed), Counter(), []
    names, end = drawn(names_here(), rng), time.monotonic() + asked.seconds
    if asked.forked:
        import_libraries()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(folder, "programs")))
        place = QuickPlace(Path(folder)) if asked.forked else Place(Path(folder))
        while (n_left := asked.number - n_tried(counts)) > 0 and time.monotonic() < end:
            try:
                episode(place, rng, counts, names, min(EACH_EPISODE, n_left))
            except BrokenError as error:
                broken.append(str(error))
                print(f"did not hold: {error}", file=sys.stderr, flush=True)
    facts = harness.machine()
    text = report(
        FAULTS, counts, broken, ["tried", "work left", "ended the run", "survived", "told"]
    )
    text = f"# Faults\n\n{text}\n\n{harness.describe(facts)}\n"
    if asked.keep:
        record = {"machine": facts, "broken": broken}
        record["counts"] = {f"{name}: {what}": n for (name, what), n in counts.items()}
        harness.write("faults_forked" if asked.forked else "faults", facts, text, record)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
