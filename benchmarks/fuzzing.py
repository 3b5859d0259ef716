"""Made-up input to every door of Gridscape: files, folders, arguments, requests; what holds.

    python benchmarks/fuzzing.py [--inputs 10000] [--seed 0] [--guided SECONDS] [--keep]

Every input is taken, or refused in lines of Gridscape's own, in good time and without filling
the memory. With --guided, readers of files are then given bytes by atheris, which looks for ways
through the code that no input took before (pip install atheris). With --keep the counts go to
benchmarks/results.
"""

import argparse
import contextlib
import copy
import http.client
import io
import json
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import harness
import numpy as np
from faults import BrokenError, Place, call, check_lines, cut, flip, report
from PIL import Image

# Of the processor, and by the clock; a plan compiles its programs, which takes most of it.
LONGEST_SECONDS, HANGING_SECONDS = 20, 60
MOST_BYTES = 2**30  # that one input may add
ODD = [None, True, 0, -1, 10**9, 10**400, 2.5, float("nan"), "", "x", "a\0b", "finished"]
ODD += ["n" * 5_000, [], {}, [1], [None], [{}], [[8]], {"a": 1}, ["length", [1]]]
ODD += [2**62, 10**19, "os:system", "1:3:0", [1, 1], [0.1, "0.1"], ["a", 1], "é\x1b[2J"]

STUDY = """\
name = "own"
task = "digits-flat"
model = "mlp"
optimizer = "adam"
updates = 20
batch_size = 32
replicates = 2
schedule = "cosine"
[axes]
hidden_size = [4, 8]
learning_rate = [0.01, 0.1]
"""
RUNS = "h,seed,accuracy,status\n" + "".join(
    f"{h},{seed},{0.5 + h / 50 + seed / 100},finished\n" for h in (4, 8, 16) for seed in range(3)
)
DATA = "a,b,kind\n" + "".join(f"{k},{k % 7}.5,{'xyz'[k % 3]}\n" for k in range(40))
GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    """The bytes that a function writes into a file."""
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def picture(kind: str) -> bytes:
    """A small picture as a file."""
    return saved(lambda file: Image.fromarray(GRAY).save(file, kind))


def idx(array: np.ndarray) -> bytes:
    """Bytes as MNIST's files have them (LeCun et al. 1998)."""
    shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


ARRAYS = {"x": np.tile(GRAY / 64, (12, 1, 1)), "y": np.arange(12) % 3}
# Files of data that are taken as they stand.
TABLES = {"t.csv": DATA.encode(), "t.tsv": DATA.replace(",", "\t").encode()}
TABLES["t.json"] = json.dumps([{"a": k, "kind": "xy"[k % 2]} for k in range(20)]).encode()
ARRAY_FILES = {f"{n}.npy": saved(lambda file, a=a: np.save(file, a)) for n, a in ARRAYS.items()}
ARCHIVES = {"t.npz": saved(lambda file: np.savez(file, **ARRAYS))}
IDX_FILES = {
    "train-images-idx3-ubyte": idx(np.tile(GRAY, (12, 1, 1))),
    "train-labels-idx1-ubyte": idx(np.arange(12, dtype=np.uint8) % 3),
}
PICTURES = {
    f"{label}/{number}.{kind.lower()}": picture(kind)
    for label in "ab"
    for number, kind in enumerate(("PNG", "GIF", "JPEG", "BMP", "PPM", "TIFF", "WEBP"))
}


# ---- mutations ----


def mutant(document, rng: random.Random):
    """A document with some part changed, gone, or under another name."""
    made = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 2])):
        known = list(places(made))
        if not known:
            break
        *path, last = rng.choice(known)
        folder = made
        for name in path:
            folder = folder[name]
        if rng.random() < 0.2:
            del folder[last]
        elif rng.random() < 0.1 and isinstance(folder, dict):
            folder[rng.choice(["x", "a/b", "", "status"])] = folder.pop(last)
        else:
            folder[last] = copy.deepcopy(rng.choice(ODD))
    return made


def places(value, at: tuple = ()) -> Iterator[tuple]:
    """Every place within a document."""
    inner = value.items() if isinstance(value, dict) else ()
    for name, part in enumerate(value) if isinstance(value, list) else inner:
        yield (*at, name)
        yield from places(part, (*at, name))


def inserted(content: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(len(content))
    content[at:at] = rng.choice(
        [b"\0", b",", b"\n", b'"', b"nan", b"1e999", b"\xff\xfe", b"9" * 50]
    )
    return content


def overwritten(content: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(len(content))
    content[at : at + 4] = rng.randbytes(4)
    return content


def repeated(content: bytearray, rng: random.Random) -> bytearray:
    low, high = sorted(rng.randrange(len(content)) for _ in range(2))
    return content[:high] + content[low:]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The bytes changed in one to three places."""
    made = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        if made:
            made = rng.choice([cut, flip, inserted, overwritten, repeated])(made, rng)
    return bytes(made)


# ---- doors: each gives a command something, and tells whether it was refused ----


def refused(*command: object) -> bool:
    """Call a command, which says lines of ours; whether it ended with an error."""
    status, _, lines = call(*command)
    check_lines(lines, status)
    return status != 0


def toml(value) -> str:
    """A value as TOML has it, or nearly."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return "nan" if value != value else json.dumps(value)


def made_up_study(place: Place, rng: random.Random) -> bool:
    """A study file with another word or number, or other bytes."""
    path = place.folder / "own.toml"
    if rng.random() < 0.7:
        document = mutant(tomllib.loads(STUDY), rng)
        path.write_text("".join(f"{json.dumps(k)} = {toml(v)}\n" for k, v in document.items()))
    else:
        path.write_bytes(damaged(STUDY.encode(), rng))
    return refused("plan", path)


def made_up_folder(place: Place, rng: random.Random) -> bool:
    """A study.json or a row of another shape, read by every command that only reads."""
    changed = place.folder / "changed"
    shutil.rmtree(changed, ignore_errors=True)
    shutil.copytree(place.results, changed)
    with contextlib.closing(sqlite3.connect(changed / "ledger.sqlite")) as ledger, ledger:
        if rng.random() < 0.5:
            document = json.loads((changed / "study.json").read_text())
            (changed / "study.json").write_text(json.dumps(mutant(document, rng)))
            ledger.execute("DELETE FROM meta")
        else:
            key, record = ledger.execute("SELECT key, record FROM trials").fetchone()
            text = json.dumps(mutant(json.loads(record), rng))
            ledger.execute("UPDATE trials SET record = ? WHERE key = ?", (text, key))
    refused("claims", changed)  # so small a study has none
    refused("export", changed, "--output", place.folder / "odd.csv")
    return refused("show", changed)


def made_up_runs(place: Place, rng: random.Random) -> bool:
    """A table of runs made elsewhere."""
    runs, results = place.folder / "runs.csv", place.folder / "imported"
    runs.write_bytes(damaged(RUNS.encode(), rng))
    shutil.rmtree(results, ignore_errors=True)
    return refused("import", runs, "--axes", "h", "--replicate", "seed", "--dir", results)


def made_up_data(files: dict[str, bytes], whole: bool):
    """One of these files changed; a folder of them is looked at, or that one."""

    def door(place: Place, rng: random.Random) -> bool:
        folder = place.folder / "data"
        shutil.rmtree(folder, ignore_errors=True)
        changed = rng.choice(list(files))
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(damaged(content, rng) if name == changed else content)
        target = ["--target", "kind"] if files is TABLES else []
        return refused("data", "look", folder if whole else folder / changed, *target)

    return door


WORDS = ["run", "plan", "show", "export", "import", "live", "report", "refine", "decide", "--set"]
WORDS += ["--dir", "--axes", "--metric", "--format", "--output", "--cell", "--replicates", "--port"]
WORDS += ["--updates", "--epochs", "--flops", "--seed", "--host", "--json", "--data", "=", "a=1"]
WORDS += ["hidden_size=", "hidden_size=1:2:3", "[[8]]", "0", "-1", "1e400", "nan", "\0", "/", "é"]
WORDS += ["9" * 400, "/dev/null", "/dev/zero", "tensorboard", "mlflow", "torch:x:y", "optax:lion"]
WORDS += ["data", "look", "list", "axes", "figures", "merge", "compare", "confirm", "control", ""]
TRAIN = ("run", "live", "refine", "decide", "confirm")


def made_up_arguments(place: Place, rng: random.Random) -> bool:
    """Words of the command line in any order; none of them trains anything."""
    words = [rng.choice(WORDS) for _ in range(rng.randint(1, 6))]
    if words[0] in TRAIN:
        words.append("--no-such-option")
    with contextlib.chdir(place.folder):
        return refused(*words)


class Live:
    """The live page of a folder, in a process of its own."""

    def __init__(self, place: Place) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gridscape", "live", str(place.results)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        line = self.process.stdout.readline()  # Live page: http://...
        self.address = urlsplit(line[line.find("http") :].strip())

    def request(self, place: Place, rng: random.Random) -> bool:
        """A request of any form, which is answered, and not by an error of the server."""
        path = "".join(rng.choice("/.%0a?&=#éx") for _ in range(max(0, rng.randint(-9, 30))))
        if rng.random() < 0.5:
            path = f"{self.address.path}{path}"
        method = rng.choice(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "X"])
        link = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=30)
        with contextlib.closing(link):
            host = rng.choice(["a", self.address.netloc])
            raw = f"{method} {path or '/'} HTTP/1.1\r\nHost: {host}"
            raw += f"\r\nContent-Length: {rng.choice(['0', '-1', 'x', '9' * 30])}\r\n\r\n"
            link.connect()
            link.sock.sendall(raw.encode())
            status = link.sock.recv(64).split()[1:2]
        if status and int(status[0]) >= 500:
            raise BrokenError(f"{method} {path}: {status[0]}")
        if self.process.poll() is not None:
            raise BrokenError("the live page ended")
        return not status or int(status[0]) >= 400

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)


DOORS = {
    "study files": made_up_study,
    "results folders": made_up_folder,
    "tables of runs": made_up_runs,
    "tables of data": made_up_data(TABLES, whole=False),
    "arrays": made_up_data(ARRAY_FILES, whole=True),
    "archives of arrays": made_up_data(ARCHIVES, whole=False),
    "IDX files": made_up_data(IDX_FILES, whole=True),
    "pictures": made_up_data(PICTURES, whole=True),
    "arguments": made_up_arguments,
}
REQUESTS = "requests to the live page"


class HangsError(BaseException):
    """The alarm rang; no ``except Exception`` of what is tried takes it."""


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Raise BrokenError for what hangs, works long, or fills the memory."""

    def hangs(number, frame):
        raise HangsError

    before, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(HANGING_SECONDS)
    try:
        yield
    except HangsError:
        raise BrokenError(f"no answer within {HANGING_SECONDS} s") from None
    finally:
        signal.alarm(0)
    if (seconds := time.process_time() - before) > LONGEST_SECONDS:
        raise BrokenError(f"{seconds:.0f} s of work")
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)
    if grown > MOST_BYTES:
        raise BrokenError(f"{grown / 2**20:,.0f} MiB more")


def fuzz(place: Place, seed: int, numbers: Iterable[int], counts: Counter) -> list[str]:
    """As much to every door in turn; each input is made by a seed of its own."""
    live, broken = Live(place), []
    doors = {**DOORS, REQUESTS: live.request}
    try:
        for number in numbers:
            name = list(doors)[number % len(doors)]
            counts[name, "tried"] += 1
            try:
                with bounded():
                    was_refused = doors[name](place, random.Random(f"{seed}-{number}"))
                counts[name, "refused"] += was_refused
                counts[name, "held"] += 1
            except Exception as error:  # a page that does not answer, too
                line = " ".join(f"{type(error).__name__}: {error}".split())
                broken.append(f"{name}, number {number}: {line}")
                print(f"did not hold: {broken[-1]}", file=sys.stderr, flush=True)
    finally:
        live.close()
    return broken


# ---- guided by coverage ----


def readers() -> dict[str, tuple[Callable[[Path], object], dict[str, bytes]]]:
    """What reads a file of each kind, and files that it takes."""
    from gridscape.data.containers import read_arrays
    from gridscape.data.idx import read_idx
    from gridscape.data.pictures import read_pictures
    from gridscape.data.tables import read_table
    from gridscape.study.study import Study

    def pictures(path: Path) -> object:  # its folder is a class beside another one
        other = path.parents[1] / "other"
        if not other.exists():
            shutil.copytree(path.parent, other)
        return read_pictures(path.parents[1])

    return {
        "study files": (Study.load, {"own.toml": STUDY.encode()}),
        "tables of data": (read_table, {"t.csv": DATA.encode()}),
        "arrays": (read_arrays, dict([*ARRAY_FILES.items()][:1])),
        "IDX files": (read_idx, dict([*IDX_FILES.items()][:1])),
        "pictures": (pictures, {"t.png": picture("PNG")}),
    }


def guide(name: str, seconds: int, seed: int) -> None:
    """Give a reader bytes until the time is over; the process ends with 0 where all held."""
    import atheris

    with atheris.instrument_imports(include=["gridscape"]):
        from gridscape.errors import GridscapeError
    with atheris.instrument_imports(include=["gridscape"]):
        read, files = readers()[name]
    folder = Path(tempfile.mkdtemp())
    ((file_name, content),) = files.items()
    path = folder / "file" / "a" / file_name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    read(path)  # as it is, it is taken
    (folder / "corpus").mkdir()
    (folder / "corpus" / "whole").write_bytes(content)

    def one(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read(path)
        except GridscapeError as error:
            check_lines(f"gridscape: {error}", error.exit_status)

    warnings.simplefilter("ignore")
    limits = [f"-max_total_time={seconds}", f"-timeout={HANGING_SECONDS}", "-rss_limit_mb=3072"]
    limits += [f"-seed={seed + 1}", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *limits, str(folder / "corpus")], one)
    atheris.Fuzz()


def guided(name: str, seconds: int, seed: int) -> tuple[int, str]:
    """Inputs that a reader got in a process of its own; what did not hold, if anything."""
    command = [sys.executable, __file__, "--guide", name, "--guided", str(seconds)]
    done = subprocess.run([*command, "--seed", str(seed)], capture_output=True, text=True)
    lines = done.stderr.splitlines()
    runs = [int(found[1]) for line in lines if (found := re.match(r"#(\d+)\s", line))]
    n_inputs = runs[-1] if runs else 0
    return n_inputs, "" if done.returncode == 0 else " ".join(lines[-12:])[-600:]


def by_atheris(asked: argparse.Namespace, counts: Counter, broken: list[str]) -> str:
    """Every reader in turn: what became of it, as a table."""
    labels, found = [f"{name}, by atheris" for name in readers()], []
    for name, label in zip(readers(), labels, strict=True):
        n_inputs, told = guided(name, asked.guided, asked.seed)
        counts[label, "tried"] = n_inputs
        counts[label, "held"] = max(n_inputs - bool(told), 0)
        found += [f"{label}: {told}"] * bool(told)
    broken += found
    return report(labels, counts, found, ("tried", "held"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--number", type=int, help="this input alone, of those of the seed")
    parser.add_argument("--guided", type=int, metavar="SECONDS", help="of atheris, for each reader")
    parser.add_argument("--guide", help=argparse.SUPPRESS)  # a reader, in this process
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results")
    asked = parser.parse_args()
    if asked.guide:
        guide(asked.guide, asked.guided, asked.seed)
        return
    warnings.simplefilter("ignore")
    counts: Counter = Counter()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), updates=300)
        numbers = range(asked.inputs) if asked.number is None else [asked.number]
        broken = fuzz(place, asked.seed, numbers, counts)
    text = f"# Odd input\n\nMade by seed {asked.seed}.\n\n"
    text += report((*DOORS, REQUESTS), counts, broken, ("tried", "refused", "held"))
    if asked.guided:
        text += f"\n\nBytes by atheris.\n\n{by_atheris(asked, counts, broken)}"
    facts = harness.machine()
    text += f"\n\n{harness.describe(facts)}\n"
    if asked.keep:
        record = {"machine": facts, "seed": asked.seed, "broken": broken}
        record["counts"] = {f"{name}: {what}": n for (name, what), n in counts.items()}
        harness.write("fuzzing", facts, text, record)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
