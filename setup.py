"""The native kernels: one shared library, its hot code compiled once for each instruction set.

Without a C++17 compiler the installation goes on without them: models then run their plain JAX
path, and ``gridscape doctor`` says so. No flag asks for the machine that compiles; which
instruction set runs is chosen when the library is loaded.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jaxlib
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

RECIPE = Path(__file__).read_text()
SOURCES = Path("gridscape/kernels/src")
# What the library was made of: code of another version must not call it (kernels/library.py).
DIGEST = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(SOURCES.iterdir()))).hexdigest()[
    :16
]
HEADERS = Path(jaxlib.__file__).parent / "include"  # of XLA's foreign function interface
FLAGS = ["-std=c++17", "-O3", "-g0", "-ffp-contract=fast", "-Wno-psabi"]
# For sanitizers: GRIDSCAPE_CXXFLAGS="-fsanitize=address -g".
EXTRA_FLAGS = shlex.split(os.environ.get("GRIDSCAPE_CXXFLAGS", ""))
FLAGS += EXTRA_FLAGS


def targets_of(machine: str) -> dict[str, list[str]]:
    """The flags of every instruction set of a processor that is compiled for."""
    found = {"baseline": list[str]()}
    if machine.lower() in ("x86_64", "amd64"):
        avx512 = [f"-mavx512{part}" for part in ("f", "dq", "bw", "vl")]
        found["avx2"] = ["-mavx2", "-mfma"]
        found["avx512"] = [*avx512, "-mfma", "-mprefer-vector-width=512"]
        found["avx512bf16"] = [*found["avx512"], "-mavx512bf16"]
    return found


TARGETS = targets_of(platform.machine())


def _kept_library(compiler: str) -> Path:
    """Where a library is kept that this compiler makes of these very sources and flags.

    It knows nothing of Python: all environments of a checkout share it. `make clean` removes it.
    """
    version = subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout
    flags = [os.environ.get(name) for name in ("CPPFLAGS", "CFLAGS", "CXXFLAGS", "LDFLAGS")]
    made_of = [DIGEST, RECIPE, FLAGS, flags, jaxlib.__version__, version]
    return Path("build/kernels") / f"{hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]}.so"


class Unit(NamedTuple):
    """One source, compiled once.

    What ends in _target is compiled for every instruction set, what ends in the name of one for
    that one.
    """

    source: Path
    place: str
    macros: list[tuple[str, str]]
    flags: list[str]


def ext_sources() -> list[Path]:
    """All that is compiled."""
    return sorted(SOURCES.glob("*.cc"))


def units_of(targets: dict[str, list[str]]) -> Iterator[Unit]:
    """All sources, for these instruction sets."""
    macros = {"avx512": "GRIDSCAPE_X86", "avx512bf16": "GRIDSCAPE_AVX512BF16"}
    there = [(macro, "1") for name, macro in macros.items() if name in targets]
    for source in ext_sources():
        names = _names_of(source)
        if names is None:
            yield Unit(source, "calls", [*there, ("GRIDSCAPE_SOURCES", f'"{DIGEST}"')], [])
        for name in names or ():
            if name in targets:
                yield Unit(source, name, [("GRIDSCAPE_TARGET", name)], targets[name])


def _names_of(source: Path) -> list[str] | None:
    """The instruction sets that a source is compiled for; None: it is for no one of them."""
    last = source.stem.rpartition("_")[2]
    if last == "target":
        return [name for name in TARGETS if name != "avx512bf16" or "bfloat16" in source.stem]
    return [last] if last.startswith("avx") else None


class BuildKernels(build_ext):
    """Compiles the sources of the kernels several times, each time with other flags."""

    def get_ext_filename(self, fullname: str) -> str:
        """The library knows nothing of Python: one serves all versions."""
        return str(Path(*fullname.split(".")).with_suffix(".so"))

    def build_extension(self, ext: Extension) -> None:
        """The objects of all targets, and the calls of JAX beside them, as one library."""
        output = Path(self.get_ext_fullpath(ext.name))
        output.parent.mkdir(parents=True, exist_ok=True)
        output.unlink(missing_ok=True)  # what cannot be compiled is missing, not old
        compiler = shutil.which(self.compiler.compiler_so_cxx[0])
        if compiler is None:
            raise CompileError("no C++ compiler was found")
        kept = _kept_library(compiler)
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            made = kept.with_suffix(f".{os.getpid()}")  # whole or not there
            self._build(made)
            made.replace(kept)
        shutil.copyfile(kept, output)

    def _build(self, output: Path) -> None:
        known = {name: flags for name, flags in TARGETS.items() if self._knows(flags)}
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            objects = list(threads.map(self._compile, units_of(known)))
        self.compiler.link_shared_object(
            objects, str(output), extra_postargs=["-pthread", *EXTRA_FLAGS], target_lang="c++"
        )

    def _knows(self, flags: list[str]) -> bool:
        """Whether the compiler does: a new instruction set is no reason to have no kernels."""
        empty = Path(self.build_temp) / "empty.cc"
        empty.parent.mkdir(parents=True, exist_ok=True)
        empty.touch()
        try:
            self.compiler.compile([str(empty)], output_dir=str(empty.parent), extra_postargs=flags)
        except CompileError:
            return False
        return True

    def _compile(self, unit: Unit) -> str:
        (compiled,) = self.compiler.compile(
            [str(unit.source)],
            output_dir=str(Path(self.build_temp) / unit.place),
            macros=unit.macros,
            include_dirs=[str(SOURCES)],
            extra_postargs=[*FLAGS, "-isystem", str(HEADERS), *unit.flags],
        )
        return compiled


if __name__ == "__main__":
    setup(
        ext_modules=[
            Extension(
                "gridscape.kernels._native",
                sources=[str(path) for path in ext_sources()],
                depends=[str(path) for path in SOURCES.glob("*.h")],
                language="c++",
                optional=True,
            )
        ],
        cmdclass={"build_ext": BuildKernels},
    )
