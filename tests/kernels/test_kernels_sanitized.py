"""The kernels under sanitizers: on buffers of exact size, and in many calls at once.

Not optimized, which compiles in half the time: what they do to memory is the same.
"""

import os
import runpy
import shutil
import subprocess
from pathlib import Path

import jax
import pytest

from gridscape import kernels

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "gridscape" / "kernels" / "src"
COMPILER = shutil.which("g++") or shutil.which("clang++")
NATIVE = ROOT / "tests" / "native"
PATIENCE_SECONDS = 1000  # of one step: minutes of compiling, where others use the machine, too
FLAGS = ["-std=c++17", "-ffp-contract=fast", "-Wno-psabi", "-Wall", "-Wextra", "-Werror"]
FLAGS += ["-g1", "-O0", "-pthread"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(COMPILER is None, reason="no C++ compiler"),
]


def built(folder, program, targets, *sanitize):
    """The program of a source in tests/native, with the kernels of these instruction sets."""
    units = runpy.run_path(str(ROOT / "setup.py"), run_name="units")["units_of"](targets)
    units = [unit for unit in units if not unit.source.stem.endswith("_calls")]
    dispatch = next(unit for unit in units if unit.place == "calls")
    units.append(dispatch._replace(source=NATIVE / f"{program}.cc"))
    include = ["-I", str(SOURCES), "-isystem", jax.ffi.include_dir()]
    objects = []
    for unit in units:
        objects.append(str(folder / f"{unit.source.stem}-{unit.place}.o"))
        macros = [f"-D{name}={value}" for name, value in unit.macros]
        options = [*FLAGS, *sanitize, *unit.flags, *macros, *include]
        command = [COMPILER, *options, "-c", str(unit.source), "-o", objects[-1]]
        subprocess.run(command, check=True, timeout=PATIENCE_SECONDS)
    to = str(folder / program)
    subprocess.run(
        [COMPILER, *FLAGS, *sanitize, *objects, "-o", to], check=True, timeout=PATIENCE_SECONDS
    )
    return to


def known_targets():
    """Those of setup.py that the compiler has heard of, with their flags."""
    targets = runpy.run_path(str(ROOT / "setup.py"), run_name="targets")["TARGETS"]
    return {name: flags for name, flags in targets.items() if knows(flags)}


def knows(flags):
    """Whether the compiler has heard of the instruction set."""
    command = [COMPILER, *flags, "-E", "-x", "c++", os.devnull]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def run(program, **options):
    return subprocess.run(
        [program],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env={**os.environ, **options},
    )


@pytest.mark.timeout(3000)
def test_every_kernel_stays_in_its_buffers_and_reads_nothing_unwritten(tmp_path, pytestconfig):
    """Plain C++, and the newest instructions of this machine; those between, too, if thorough."""
    names = kernels.targets() or ("baseline",)
    targets = known_targets()
    if not pytestconfig.getoption("thorough"):
        targets = {name: targets[name] for name in dict.fromkeys(["baseline", names[-1]])}
    # The address sanitizer finds these three as well, and each lengthens the compiling.
    others = "-fno-sanitize=null,object-size,pointer-overflow"
    sanitize = ["-fsanitize=address,undefined", others, "-fno-sanitize-recover=all"]
    program = built(tmp_path, "exact_buffers", targets, *sanitize)
    found = run(program, ASAN_OPTIONS="detect_stack_use_after_return=1")
    assert found.returncode == 0, found.stderr[-3000:]
    assert [line.partition(":")[0] for line in found.stdout.splitlines()][-1] == names[-1]


@pytest.mark.timeout(3000)
def test_the_trials_of_calls_at_once_do_not_meet(tmp_path):
    """One instruction set is enough: what threads share is the same in all."""
    program = built(tmp_path, "concurrent_calls", {"baseline": []}, "-fsanitize=thread")
    found = run(program, TSAN_OPTIONS="halt_on_error=1")
    if "FATAL: ThreadSanitizer" in found.stderr:
        pytest.skip("ThreadSanitizer does not run on this system")
    assert found.returncode == 0, found.stderr[-3000:]
    assert found.stdout == "every trial was done once\n"
