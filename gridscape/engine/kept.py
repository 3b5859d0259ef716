"""Compiled programs kept from run to run, in a folder that all processes of a user share.

A program is kept under a name made of its lowered text and the options it is compiled with, which
is all that XLA sees. To trace and to lower it takes longer than a short study: in a process of
Gridscape's own a program is found by the text of its parts and shapes as well, and nothing is
traced. What is not Gridscape's own has no such text. Either name holds the versions of what is
around, the processor and the settings of JAX; that of the parts also all sources of Gridscape.

JAX's own cache has the same use, and a user's setting of it goes before: nothing is kept here then.
"""

import hashlib
import os
import pickle
import platform
import re
import stat
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import jax
from jax.experimental.serialize_executable import deserialize_and_load

from gridscape.engine.placing import IS_QUIET, Place, Source, Trees, loaded, source_of
from gridscape.identity.text import UntoldError, text_of
from gridscape.identity.version import version_of
from gridscape.kernels.library import in_use, target
from gridscape.tasks.fetch import cache_folder

MOST_BYTES = 256 * 2**20  # of all files: a program takes some 100 kB
PACKAGES = ("jax", "jaxlib", "numpy", "optax")
DROP_EVERY = 50  # programs that a process keeps: to look at all files takes longer than to keep one
CHECKSUM_BYTES = 32
NAME = re.compile(rb"[0-9a-f]{64}")
SETTLED_SECONDS = 10.0  # what changed later may not be what was imported

Compiled = jax.stages.Compiled

_kept_here = count()
# Sizes and times of the sources, in a process of Gridscape's own; else "".
_as_imported = ""


def own_process() -> None:
    """Say that this process is Gridscape's: its functions are what its sources say.

    Programs are found by their parts then, unless sources have only just changed.
    """
    global _as_imported
    with suppress(OSError):  # a source has gone since it was listed: they change just now
        newest = max(path.stat().st_mtime for path in _sources())
        _as_imported = _stamp() if newest < time.time() - SETTLED_SECONDS else ""


def program_folder() -> Path | None:
    """Where programs are kept from run to run, here or by JAX; None where they are not."""
    if not jax.config.values["jax_enable_compilation_cache"]:
        return None
    kept = kept_programs()  # which may tell JAX where
    told = jax.config.values["jax_compilation_cache_dir"]
    return Path(told) if told else kept.folder if kept else None


def kept_programs() -> "KeptPrograms | None":
    """What keeps programs here; None where nothing is to be kept, or can be."""
    settings = jax.config.values
    if settings["jax_compilation_cache_dir"] or not settings["jax_enable_compilation_cache"]:
        return None
    if jax.default_backend() != "cpu":
        if _as_imported:  # in our own process we may choose for all of JAX
            jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "jax"))
        return None
    folder = cache_folder() / "programs"
    return KeptPrograms(folder) if IS_QUIET and _is_ours(folder) else None


@cache
def _is_ours(folder: Path) -> bool:
    """Whether only this user can write there: what is read there is code."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        return False
    if not hasattr(os, "getuid"):
        return True
    about = folder.stat()
    is_shared = about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return about.st_uid == os.getuid() and not is_shared


class KeptPrograms:
    """A folder of programs and numbers. Several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of_parts(self, *parts: Any) -> str | None:
        """The name of a program of these parts; None where it is not told by them."""
        if not _as_imported:
            return None
        try:
            text = text_of((parts, in_use(), target()))
            return _name(text, _digest(_as_imported))
        except (UntoldError, OSError):
            return None

    def of_text(self, text: str, options: Mapping[str, Any]) -> str:
        """The name of a program by its lowered text and what it is compiled with."""
        return _name(text, str(sorted(options.items())))

    def point(self, name: str, same: str) -> None:
        """Have a program found under this name of its parts as well."""
        self._write(name, same.encode())

    def find(
        self, name: str, trees: Trees | None = None, place: Place | None = None
    ) -> Compiled | None:
        """The program of a name, where it is there and whole.

        trees: of arguments and results, where they are known; else those that were kept with it.
        place: where it is to run; by default where it was made for.
        """
        content = self._read(name)
        if NAME.fullmatch(content):
            content = self._read(content.decode())
        try:
            code, options, places, own = pickle.loads(content)
            inputs, outputs = trees or own
            if place and len(place) == len(places) == 1:
                return loaded(Source(code, options), (inputs, outputs), place[0])
            devices = [device for device in jax.devices() if device.id in places]
            program: Compiled = deserialize_and_load(
                code, inputs, outputs, execution_devices=devices
            )
        except Exception:  # whatever ails it, it is compiled again
            return None
        return program

    def keep(self, name: str, program: Compiled) -> None:
        """Keep a program under a name of its text, where that is possible: else it is not there."""
        with suppress(Exception):  # it may hold what belongs to this process only
            source, trees = source_of(program)
            self._write(name, pickle.dumps((*source, _places(program), _known(trees))))
            if next(_kept_here) % DROP_EVERY == 0:
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
        """What is kept under a name; b"" where that is nothing, or damaged."""
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError:
            return b""
        checksum, content = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
        if hashlib.sha256(content).digest() != checksum:
            return b""
        with suppress(OSError):
            os.utime(path)  # it is of use: the last one to be dropped
        return content

    def _write(self, name: str, content: bytes) -> None:
        """A disk without room loses nothing but the time."""
        with suppress(OSError):
            if _as_imported and _stamp_at(int(time.monotonic())) != _as_imported:
                return  # sources have changed since they were imported
            descriptor, temporary = tempfile.mkstemp(dir=self.folder)
            try:
                with open(descriptor, "wb") as file:
                    file.write(hashlib.sha256(content).digest() + content)
                Path(temporary).replace(self.folder / name)
            except OSError:
                Path(temporary).unlink(missing_ok=True)

    def _drop_some(self) -> None:
        """Drop what has not been used for longest, where there is much."""
        files = []
        for path in self.folder.iterdir():
            with suppress(OSError):  # another process drops, too
                about = path.stat()
                files.append((about.st_mtime_ns, about.st_size, path))
        n_bytes = sum(size for _, size, _ in files)
        if n_bytes <= MOST_BYTES:
            return
        for _, size, path in sorted(files):
            path.unlink(missing_ok=True)
            n_bytes -= size
            if n_bytes <= 0.8 * MOST_BYTES:
                break


def _places(program: Compiled) -> set[int]:
    """The devices that a program runs on."""
    shardings = jax.tree.leaves((program.input_shardings, program.output_shardings))
    return {device.id for sharding in shardings for device in sharding.device_set}


def _known(trees: Trees) -> Trees | None:
    """Pytrees that another process can make; None where they hold somebody's own classes."""
    try:
        inputs, outputs = pickle.loads(pickle.dumps(trees))
    except Exception:
        return None
    return inputs, outputs


def compiled(compile: Callable[[], Compiled]) -> tuple[Compiled, bool]:
    """What ``compile()`` gives, and whether it can be kept.

    What JAX's own cache gives cannot: and JAX goes on with a folder that is its setting no more.
    """
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


def _sources() -> list[Path]:
    """All files of Gridscape that decide what is computed."""
    folder = Path(__file__).parent.parent
    return sorted(p for p in folder.rglob("*") if p.suffix in (".py", ".so", ".toml"))


def _stamp() -> str:
    """Sizes and times of the sources: these change with every change on a machine."""
    about = [path.stat() for path in _sources()]
    return str([(each.st_size, each.st_mtime_ns) for each in about])


@lru_cache(maxsize=1)
def _stamp_at(second: int) -> str:
    """The stamp of about now: it takes longer than to write a program."""
    return _stamp()


@cache
def _digest(stamp: str) -> str:
    """A hash of what stands in the sources. Times do not tell it: packages may have all of one."""
    folder, digest = Path(__file__).parent.parent, hashlib.sha256()
    for path in _sources():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _processor() -> str:
    """What a processor can do: programs hold its instructions."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    told = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    return "\n".join([platform.machine(), platform.processor(), *sorted(told)])
