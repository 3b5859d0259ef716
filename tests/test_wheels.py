"""Wheels for other systems: what is inside, and what their names and records say of it."""

import base64
import hashlib
import importlib.util
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheels():
    """tools/wheels.py as a module."""
    spec = importlib.util.spec_from_file_location("wheels", ROOT / "tools" / "wheels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["linux-aarch64", "windows-x86_64"])
def test_a_wheel_has_one_library_and_says_where_it_runs(wheels, tmp_path, name):
    plain = tmp_path / "gridscape-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("gridscape/__init__.py", "x = 1\n")
        archive.writestr("gridscape/kernels/_native.so", "of this machine")
        about = "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n\n"
        archive.writestr("gridscape-0.1.0.dist-info/WHEEL", about)
        archive.writestr("gridscape-0.1.0.dist-info/RECORD", "old")
    (tmp_path / "library").write_bytes(b"of that machine")
    target = wheels.TARGETS[name]
    made = wheels.wheel_of(plain, tmp_path / "library", target, tmp_path)
    assert made.name == f"gridscape-0.1.0-py3-none-{target.tag}.whl"
    with zipfile.ZipFile(made) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    libraries = {name: data for name, data in files.items() if "_native" in name}
    assert libraries == {f"gridscape/kernels/_native{target.suffix}": b"of that machine"}
    lines = files["gridscape-0.1.0.dist-info/WHEEL"].decode().splitlines()
    assert lines[-1] == f"Tag: py3-none-{target.tag}"
    assert sum(line.startswith("Tag:") for line in lines) == 1
    record = files.pop("gridscape-0.1.0.dist-info/RECORD").decode().splitlines()
    assert record[-1] == "gridscape-0.1.0.dist-info/RECORD,,"
    for line, (path, data) in zip(record[:-1], files.items(), strict=True):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        assert line == f"{path},sha256={digest},{len(data)}"


def test_each_processor_has_the_flags_of_its_instruction_sets(wheels):
    setup = wheels.recipe()
    assert list(setup.targets_of("aarch64")) == list(setup.targets_of("arm64")) == ["baseline"]
    assert list(setup.targets_of("x86_64")) == ["baseline", "avx2", "avx512", "avx512bf16"]


def test_without_the_cross_compiler_it_says_so(wheels, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["wheels.py", "--out", str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install ziglang"):
        wheels.main()


FEATURES = ["fma", "avx2", "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512bf16"]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler that tells it, too")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="of x86 processors")
def test_what_a_processor_can_do_is_what_gcc_says(tmp_path):
    told = "".join(f'putchar("01"[!!__builtin_cpu_supports("{name}")]);' for name in FEATURES)
    program = "#include <stdio.h>\nint main() { __builtin_cpu_init(); " + told + "}\n"
    (tmp_path / "told.c").write_text(program)
    found = []
    for sources in ([], [ROOT / "tools" / "cpu_model.c"]):
        made = str(tmp_path / "told")
        command = ["gcc", "-O1", str(tmp_path / "told.c"), *map(str, sources), "-o", made]
        subprocess.run(command, check=True, timeout=60)
        found.append(subprocess.run([made], capture_output=True, timeout=60, check=True).stdout)
    assert found[0] == found[1]
    assert len(found[0]) == len(FEATURES)
