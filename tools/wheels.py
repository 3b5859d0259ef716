"""Wheels with the kernels inside, for systems where nobody has a compiler: `make wheels`.

    python tools/wheels.py [--out dist] [TARGET ...]

Zig is the cross compiler (`pip install ziglang`): it brings the C and C++ libraries of every target
and links them in, so that a wheel asks for no more than the tag in its name says.
"""

import argparse
import base64
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FLAGS = ["-fPIC", "-fno-sanitize=undefined", "-DNDEBUG"]
CPU = ROOT / "tools" / "cpu_model.c"
LIBRARY = "gridscape/kernels/_native"


class Target(NamedTuple):
    """What Zig calls a system, its processor, the tag of a wheel, and the suffix of a library."""

    zig: str
    machine: str
    tag: str
    suffix: str = ".so"


TARGETS = {
    # glibc 2.17, of 2012: what manylinux2014 stands for.
    "linux-x86_64": Target("x86_64-linux-gnu.2.17", "x86_64", "manylinux2014_x86_64"),
    "linux-aarch64": Target("aarch64-linux-gnu.2.17", "aarch64", "manylinux2014_aarch64"),
    "macos-arm64": Target("aarch64-macos.11.0", "arm64", "macosx_11_0_arm64"),
    "windows-x86_64": Target("x86_64-windows-gnu", "x86_64", "win_amd64", ".pyd"),
}


def recipe():
    """setup.py as a module: which sources are compiled how often, with which flags."""
    spec = importlib.util.spec_from_file_location("recipe", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiled(target, folder):
    """The library of a target, in a folder."""
    setup = recipe()
    compiler = [sys.executable, "-m", "ziglang", "c++", "-target", target.zig]

    def compile_one(unit):
        made = folder / f"{unit.source.stem}-{unit.place}.o"
        macros = [f"-D{name}={value}" for name, value in unit.macros]
        flags = [*setup.FLAGS, *FLAGS, *unit.flags, *macros, "-I", str(setup.SOURCES)]
        headers = ["-isystem", str(setup.HEADERS)]
        run([*compiler, *flags, *headers, "-c", str(unit.source), "-o", str(made)])
        return str(made)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        objects = list(threads.map(compile_one, setup.units_of(setup.targets_of(target.machine))))
    if target.machine == "x86_64":
        objects.append(str(folder / "cpu_model.o"))
        run(
            [
                *compiler[:-3],
                "cc",
                *compiler[-2:],
                "-O2",
                "-fPIC",
                "-c",
                str(CPU),
                "-o",
                objects[-1],
            ]
        )
    library = folder / f"_native{target.suffix}"
    run([*compiler, "-shared", "-s", *objects, "-o", str(library)])
    return library


def run(command, environment=None):
    """Run a command in the root of the sources; tells its errors, and ends with them."""
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command[:6])} ...: {done.stderr[-2000:]}")


def plain_wheel(folder):
    """A wheel as pip makes it where no compiler is: without a library."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), "."]
    run(command, {**os.environ, "CC": "none", "CXX": "none"})
    (found,) = folder.glob("*.whl")
    return found


def wheel_of(plain, library, target, out):
    """The plain wheel with another library inside, and the tag that goes with it."""
    with zipfile.ZipFile(plain) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files = {name: data for name, data in files.items() if not name.startswith(LIBRARY)}
    files[LIBRARY + target.suffix] = library.read_bytes()
    (about,) = [name for name in files if name.endswith(".dist-info/WHEEL")]
    lines = [line for line in files[about].decode().splitlines() if not line.startswith("Tag:")]
    files[about] = "\n".join([*filter(None, lines), f"Tag: py3-none-{target.tag}", ""]).encode()
    record = about.replace("WHEEL", "RECORD")
    files.pop(record)
    files[record] = "".join([*(listed(n, d) for n, d in files.items()), f"{record},,\n"]).encode()
    name = f"{about.split('.dist-info')[0]}-py3-none-{target.tag}.whl"
    with zipfile.ZipFile(out / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data, 8)
    return out / name


def listed(name, data):
    """The line of a file in RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def main():
    """Make the wheels that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    asked = parser.parse_args()
    if unknown := [name for name in asked.targets if name not in TARGETS]:
        parser.error(f"unknown target {unknown[0]!r}; known: {', '.join(TARGETS)}")
    if importlib.util.find_spec("ziglang") is None:
        sys.exit("the cross compiler is missing: pip install ziglang")
    asked.out.mkdir(parents=True, exist_ok=True)
    out = asked.out.resolve()
    with tempfile.TemporaryDirectory() as place:
        plain = plain_wheel(Path(place))
        for name in asked.targets or TARGETS:
            folder = Path(place) / name
            folder.mkdir()
            library = compiled(TARGETS[name], folder)
            print(wheel_of(plain, library, TARGETS[name], out), flush=True)
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
