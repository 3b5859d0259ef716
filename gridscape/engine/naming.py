"""Names of programs and numbers: hashes of all that decides what they are.

A program is named by its lowered text and the options it is compiled with, which is all that XLA
sees. To trace and to lower it takes longer than a short study: in a process of Gridscape's own a
program is named by the text of its parts and shapes as well, and nothing is traced. What is not
Gridscape's own has no such text. Either name holds the versions of what is around, the processor
and the settings of JAX; that of the parts also all sources of Gridscape.
"""

import hashlib
import os
import platform
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jax

from gridscape.identity.text import UntoldError, text_of
from gridscape.identity.version import version_of
from gridscape.kernels.library import in_use, target

PACKAGES = ("jax", "jaxlib", "numpy", "optax")
SETTLED_SECONDS = 10.0  # what changed later may not be what was imported

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


def is_own_process() -> bool:
    """Whether ``own_process`` said so."""
    return bool(_as_imported)


def sources_have_changed() -> bool:
    """Whether they are no longer what this process has imported; raises OSError for lost ones."""
    return is_own_process() and _stamp_at(int(time.monotonic())) != _as_imported


def of_parts(*parts: Any) -> str | None:
    """The name of what these parts tell; None where they do not tell all."""
    if not is_own_process():
        return None
    try:
        text = text_of((parts, in_use(), target()))
        return _name(text, _digest(_as_imported))
    except (UntoldError, OSError):
        return None


def of_text(text: str, options: Mapping[str, Any]) -> str:
    """The name of a program by its lowered text and what it is compiled with."""
    return _name(text, str(sorted(options.items())))


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
