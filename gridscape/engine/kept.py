"""Compiled programs kept from run to run, in a folder that all processes of a user share.

JAX's own cache has the same use, and a user's setting of it goes before: nothing is kept here then.
"""

import hashlib
import os
import pickle
import re
import stat
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import jax
from jax.experimental.serialize_executable import deserialize_and_load, serialize

from gridscape.engine.naming import is_own_process, sources_have_changed
from gridscape.tasks.fetch import cache_folder

MOST_BYTES = 256 * 2**20  # of all files: a program takes some 100 kB
DROP_EVERY = 50  # programs that a process keeps: to look at all files takes longer than to keep one
CHECKSUM_BYTES = 32
NAME = re.compile(rb"[0-9a-f]{64}")

# Else XLA prints pages of lines when it reads a program: JAX was there before Gridscape.
IS_QUIET = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") >= "3"

Compiled = jax.stages.Compiled
Trees = tuple[Any, Any]  # the pytrees of arguments and results

_kept_here = count()


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
        if is_own_process():  # where we may choose for all of JAX
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

    def point(self, name: str, same: str) -> None:
        """Have a program found under this name of its parts as well."""
        self._write(name, same.encode())

    def find(self, name: str, trees: Trees | None = None) -> Compiled | None:
        """The program of a name, where it is there and whole.

        trees: of arguments and results, where they are known; else those that were kept with it.
        """
        content = self._read(name)
        if NAME.fullmatch(content):
            content = self._read(content.decode())
        try:
            code, places, own = pickle.loads(content)
            inputs, outputs = trees or own
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
            code, *trees = serialize(program)
            self._write(name, pickle.dumps((code, _places(program), _known(trees))))
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
            if sources_have_changed():
                return
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


def _known(trees: list[Any]) -> Trees | None:
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
