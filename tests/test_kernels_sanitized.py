"""The kernels under AddressSanitizer and UndefinedBehaviorSanitizer, on buffers of exact size.

Optimized less than what is installed: what they do to memory is the same.
"""

import os
import runpy
import shutil
import subprocess
from pathlib import Path

import jax
import pytest

from gridscape import kernels

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "gridscape" / "kernels" / "src"
COMPILER = shutil.which("g++") or shutil.which("clang++")
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1", "-O1"]
# The kernels of the other instruction sets are the same templates.
FLAGS = ["-std=c++17", "-ffp-contract=fast", "-Wno-psabi", "-Wall", "-Wextra", "-Werror"]


def compiled(source, to, *options):
    include = ["-I", str(SOURCES), "-isystem", jax.ffi.include_dir()]
    command = [COMPILER, *FLAGS, *SANITIZE, *options, *include, "-c", str(source), "-o", str(to)]
    subprocess.run(command, check=True, timeout=280)
    return str(to)


def knows(flags):
    """Whether the compiler has heard of the instruction set."""
    command = [COMPILER, *flags, "-E", "-x", "c++", os.devnull]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def options_of(unit):
    return (*(f"-D{name}={value}" for name, value in unit.macros), *unit.flags)


@pytest.mark.timeout(600)
@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_every_kernel_stays_in_its_buffers_and_reads_nothing_unwritten(tmp_path):
    setup = runpy.run_path(str(ROOT / "setup.py"), run_name="units")
    known = {name: flags for name, flags in setup["TARGETS"].items() if knows(flags)}
    units = [unit for unit in setup["units_of"](known) if not unit.source.stem.endswith("_calls")]
    program = next(unit for unit in units if unit.place == "calls")
    units.append(program._replace(source=ROOT / "tests" / "native" / "exact_buffers.cc"))
    objects = [
        compiled(unit.source, tmp_path / f"{unit.source.stem}-{unit.place}.o", *options_of(unit))
        for unit in units
    ]
    program = tmp_path / "exact_buffers"
    subprocess.run([COMPILER, *SANITIZE, *objects, "-o", str(program)], check=True, timeout=60)
    found = subprocess.run(
        [str(program)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "ASAN_OPTIONS": "detect_stack_use_after_return=1"},
    )
    assert found.returncode == 0, found.stderr[-3000:]
    names = kernels.targets() or ("baseline",)
    assert [line.partition(":")[0] for line in found.stdout.splitlines()][-1] == names[-1]
