"""Imports go downwards only, from the defining module, and outside only to declared packages."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Bottom first. A module imports only from rows above its own in this list; the names of one row do
# not know each other. A folder is one name: its files may import one another. A module that begins
# with an underscore is part of those that import it, and needs no place.
LAYERS = (
    ("errors",),
    ("base", "grid"),
    ("kernels", "losses"),
    ("tasks", "models", "optimizers"),
    ("study",),
    ("cohorts",),
    ("engine",),
    ("programs", "store"),
    ("planner",),
    ("executors", "landscape", "inspection"),
    ("sweep", "replays"),
    ("analysis",),
    ("claims",),
    ("figures", "galleries"),
    ("report",),
    ("live", "doctor"),
    ("terminal",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}


def sources(package: Path) -> dict[str, str]:
    """The source of every module of a package, by its dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path.read_text(encoding="utf-8")
    return found


def imported(source: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of all that a module imports, at its top, in functions, for types only.

    ``from a import b`` gives a.b. Import strings, "a.b:c", count as imports of a.b.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Constant):
            found = re.fullmatch(r"(gridscape(\.\w+)+):\w+", str(node.value))
            if found:
                yield node.lineno, found.group(1)


def violations(modules: Mapping[str, str]) -> list[str]:
    """One line for each import that the layers forbid; the lazy package itself may name all."""
    return [
        f"{module}, line {line}: {trouble}"
        for module in modules
        if module != "gridscape" and not is_private(module)
        for line, name in reached(module, modules)
        if (trouble := judge(module, name, modules))
    ]


def reached(module: str, modules: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """What a module imports itself, and what the private modules do that it imports."""
    seen = {module}
    waiting = list(imported(modules[module]))
    for line, name in waiting:
        yield line, name
        part = defining(name, modules)
        if part and is_private(part) and part not in seen:
            seen.add(part)
            waiting.extend((line, further) for _, further in imported(modules[part]))


def judge(module: str, name: str, modules: Mapping[str, str]) -> str | None:
    """What is wrong with the import of a dotted name into a module, if anything."""
    if name.startswith("."):
        return f"relative import of {name}"
    target = defining(name, modules)
    if target is None or name == "gridscape.__version__" or is_private(target):
        return None
    if target == "gridscape":
        return f"{name} is not imported from its defining module"
    importer, layer = place(module), place(target)
    unknown = [n for n in (importer, layer) if n not in RANK]
    if unknown:
        return f"{unknown[0]} has no place in LAYERS"
    if importer != layer and RANK[layer] >= RANK[importer]:
        return f"{target} is not below {module}"
    return None


def defining(name: str, modules: Mapping[str, str]) -> str | None:
    """The module of the package that a dotted name lies in; None outside the package."""
    found = [module for module in modules if f"{name}.".startswith(f"{module}.")]
    return max(found, key=len, default=None)


def place(module: str) -> str:
    """The name under which a module stands in LAYERS."""
    return module.split(".")[1]


def is_private(module: str) -> bool:
    return re.match(r"gridscape\._(?!_)", module) is not None


def test_imports_go_downwards() -> None:
    modules = sources(ROOT / "gridscape")
    assert {"gridscape.base", "gridscape.sweep", "gridscape.tasks.images"} <= set(modules)
    assert violations(modules) == []


@pytest.mark.parametrize(
    "line",
    [
        "import gridscape.cli",
        "from gridscape.sweep import run",
        "from gridscape import sweep",
        "def f():\n    from gridscape.store import Store",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gridscape.claims",
        "HOME = {'run': 'gridscape.sweep:run'}",
        "from gridscape.optimizers import adam",  # a sibling
        "from gridscape.strange import x",  # a module without a place
        "import gridscape",  # by way of the lazy package
        "from gridscape import Study",
        "from ..base import Task",
        "from gridscape._upward import x",  # by way of a private module
    ],
)
def test_a_planted_import_is_found(line: str) -> None:
    known = [n for row in LAYERS for n in row if n != "tasks"] + ["tasks.images", "strange"]
    modules = {"gridscape": ""} | {f"gridscape.{name}": "" for name in known}
    modules["gridscape._upward"] = "from gridscape._upward import y\nfrom gridscape.cli import main"
    assert len(violations(modules | {"gridscape.tasks.images": line})) == 1


@pytest.mark.parametrize(
    "line",
    [
        "from gridscape.base import Task",
        "from gridscape import __version__, errors",
        "from gridscape.tasks import fetch",  # of the same family
        "from gridscape._downward import x",
        "NAMES = {'digits': 'gridscape.tasks.fetch:load'}",
        "import numpy as np",
        '"""Words about gridscape.sweep: no import."""',
    ],
)
def test_a_downward_import_is_allowed(line: str) -> None:
    known = ["errors", "base", "sweep", "tasks", "tasks.fetch"]
    modules = {"gridscape": ""} | {f"gridscape.{name}": "" for name in known}
    modules["gridscape._downward"] = "from gridscape.errors import DataError"
    assert violations(modules | {"gridscape.tasks.images": line}) == []


def test_packages_are_declared() -> None:
    """What users install holds all that is imported: tests have more and would not notice."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    users = [r for name, rows in extras.items() if name not in ("dev", "bench") for r in rows]
    declared = {distribution(r) for r in [*project["dependencies"], *users]}
    provides = packages_distributions()
    for module, source in sources(ROOT / "gridscape").items():
        for line, name in imported(source):
            top = name.split(".")[0]
            if top != "gridscape" and top not in sys.stdlib_module_names:
                owners = {distribution(owner) for owner in provides.get(top, [])}
                assert owners & declared, f"{module}, line {line}: {top} is not declared"


def distribution(requirement: str) -> str:
    """The normalized name at the head of a requirement: "Foo_Bar>=1" -> "foo-bar"."""
    name = re.match(r"[\w.-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()
