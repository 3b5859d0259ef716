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


@pytest.mark.timeout(600)
@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_every_kernel_stays_in_its_buffers_and_reads_nothing_unwritten(tmp_path):
    targets = runpy.run_path(str(ROOT / "setup.py"), run_name="targets")["TARGETS"]
    x86 = ["-DGRIDSCAPE_X86=1"] * ("avx2" in targets)
    objects = [
        compiled(source, tmp_path / f"{source.stem}-{name}.o", f"-DGRIDSCAPE_TARGET={name}", *flags)
        for source in sorted(SOURCES.glob("*_target.cc"))
        for name, flags in targets.items()
    ]
    x86.append('-DGRIDSCAPE_SOURCES="none"')
    objects += [
        compiled(source, tmp_path / f"{source.stem}.o", *x86)
        for source in (SOURCES / "dispatch.cc", ROOT / "tests" / "native" / "exact_buffers.cc")
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
