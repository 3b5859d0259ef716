"""Compiled programs kept from run to run, in a folder that all processes of a machine share.

A program is kept under a name made of its lowered text, which is all that XLA sees. To trace and to
lower it takes longer than a short study: in a process of Gridscape's own a program is found by the
text of its parts and shapes as well, and nothing is traced. What is not Gridscape's own has no such
text. Either name holds what decides besides what comes of it: versions, sources, the processor and
the settings of JAX.

JAX's own cache has the same use, and a user's setting of it goes before: nothing is kept here then.
"""

import contextlib
import hashlib
import os
import pickle
import platform
import re
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax
from jax.experimental.serialize_executable import deserialize_and_load, serialize

from gridscape.identity.text import UntoldError, text_of
from gridscape.identity.version import version_of
from gridscape.kernels.library import in_use, target
from gridscape.tasks.fetch import cache_folder

MOST_FILES, FEWER = 1000, 200  # a program takes some 100 kB
PACKAGES = ("jax", "jaxlib", "numpy", "optax")
CHECKSUM_BYTES = 32

Compiled = jax.stages.Compiled

_is_own_process = False


def own_process() -> None:
    """Say that this process is Gridscape's: nobody has changed its functions since it began."""
    global _is_own_process
    _is_own_process = True


def program_folder() -> Path | None:
    """Where programs are kept from run to run, here or by JAX; None where they are not."""
    if not jax.config.values["jax_enable_compilation_cache"]:
        return None
    if told := jax.config.values["jax_compilation_cache_dir"]:
        return Path(told)
    kept = kept_programs()
    return kept.folder if kept else None


def kept_programs() -> "KeptPrograms | None":
    """What keeps programs here; None where nothing is to be kept, or can be."""
    settings = jax.config.values
    is_told = settings["jax_compilation_cache_dir"] or not settings["jax_enable_compilation_cache"]
    if is_told or jax.default_backend() != "cpu":
        return None
    folder = cache_folder() / "programs"
    return KeptPrograms(folder) if _is_writable(folder) else None


@cache
def _is_writable(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return os.access(folder, os.W_OK)


class KeptPrograms:
    """A folder of programs. Several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of_parts(self, *parts: Any) -> str | None:
        """The name of a program of these parts; None where it is not told by them."""
        if not _is_own_process:
            return None
        try:
            text = text_of((parts, in_use(), target()))
        except UntoldError:
            return None
        return _name(text, _sources())

    def of_text(self, text: str, *beside: Any) -> str:
        """The name of a program by its lowered text, and by what that does not hold."""
        return _name(text, *map(str, beside))

    def point(self, name: str, same: str) -> None:
        """Have a program found under this name as well as under that of its text."""
        self._write(name, same.encode())

    def find(self, name: str) -> Compiled | None:
        """The program of a name, where it is there and whole."""
        content = self._read(name)
        if len(content) == len(name):  # of parts: it points to that of a text
            content = self._read(content.decode())
        checksum, rest = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
        if hashlib.sha256(rest).digest() != checksum:
            return None
        try:
            (code, inputs, outputs), places = pickle.loads(rest)
            devices = [device for device in jax.devices() if device.id in places]
            program: Compiled = deserialize_and_load(
                code, inputs, outputs, execution_devices=devices
            )
        except Exception:  # whatever ails it, it is compiled again
            return None
        return program

    def keep(self, name: str, program: Compiled) -> None:
        """Keep a program under a name of its text."""
        with contextlib.suppress(ValueError, NotImplementedError):  # parts of it are this process's
            rest = pickle.dumps((serialize(program), _places(program)))
            self._write(name, hashlib.sha256(rest).digest() + rest)
            self._drop_some()

    def number(self, name: str) -> float | None:
        """The number of a name, where it is there."""
        try:
            return float(self._read(name))
        except ValueError:
            return None

    def keep_number(self, name: str, number: float) -> None:
        """Keep a number that its parts tell."""
        self._write(name, repr(float(number)).encode())

    def _read(self, name: str) -> bytes:
        path = self.folder / name
        try:
            content = path.read_bytes()
            os.utime(path)  # it is of use: the last one to be dropped
        except (OSError, ValueError):
            return b""
        return content

    def _write(self, name: str, content: bytes) -> None:
        with contextlib.suppress(OSError):  # a full disk: nothing is lost but the time
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(content)
            Path(file.name).replace(self.folder / name)

    def _drop_some(self) -> None:
        """Drop those that have not been used for longest, where there are many."""
        files = [entry for entry in os.scandir(self.folder) if entry.is_file()]
        if len(files) < MOST_FILES:
            return
        files.sort(key=lambda entry: entry.stat().st_mtime_ns)
        for entry in files[:FEWER]:
            Path(entry.path).unlink(missing_ok=True)


def compiled(compile: Callable[[], Compiled]) -> tuple[Compiled, bool]:
    """What ``compile()`` gives, and whether it can be kept: what JAX's own cache gives cannot."""
    reads, here = _reads(), threading.get_ident()
    before = reads[here]
    program = compile()
    return program, reads[here] == before


@cache  # a listener of JAX's stays for good: one is enough
def _reads() -> Counter[int]:
    """How many programs JAX's own cache has given to each thread."""
    reads = Counter[int]()

    def listen(event: str, **_: str | int) -> None:
        if event == "/jax/compilation_cache/cache_hits":
            reads[threading.get_ident()] += 1

    jax.monitoring.register_event_listener(listen)
    return reads


def tells_all(text: str, n_arguments: int) -> bool:
    """Whether equal lowered text means equal programs.

    It does not where Python functions are called back, or constants have become arguments.
    """
    found = re.search(r"func\.func public @main\((.*)\) ->", text)
    arguments = re.findall(r"%arg\d+:", found[1]) if found else []
    return "callback" not in text and len(arguments) == n_arguments


def _places(program: Compiled) -> set[int]:
    """The devices that a program runs on."""
    shardings = jax.tree.leaves((program.input_shardings, program.output_shardings))
    return {device.id for sharding in shardings for device in sharding.device_set}


def _name(*texts: str) -> str:
    flags = {name: str(value) for name, value in jax.config.values.items()}
    settings = sorted({**flags, "XLA_FLAGS": os.environ.get("XLA_FLAGS", "")}.items())
    told = "\n".join([*texts, str(settings), _surroundings()])
    return hashlib.sha256(told.encode()).hexdigest()


@cache
def _surroundings() -> str:
    """What stays as it is for as long as a process lasts."""
    versions = [f"{package} {version_of(package)}" for package in PACKAGES]
    return "\n".join([*versions, platform.python_version(), _processor(), str(jax.devices())])


@cache
def _sources() -> str:
    """A hash of all files of Gridscape that decide what is computed."""
    folder, digest = Path(__file__).parent.parent, hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".so", ".toml"):
            digest.update(f"{path.relative_to(folder)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _processor() -> str:
    """What a processor can do: programs hold its instructions."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    told = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    return "\n".join([platform.machine(), platform.processor(), *sorted(told)])
