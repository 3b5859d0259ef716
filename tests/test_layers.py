"""Rooms in order: imports go downwards, name the defining module, and leave private files alone."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Bottom first: a room imports only from rooms above its own in this list; those of one row do not
# know each other. A room is a folder, or a file of the hall. Inside a room what is imported when
# modules are loaded has no cycle.
ROOMS = (
    ("errors",),
    ("identity",),
    ("grid", "data"),
    ("base",),
    ("kernels",),
    ("tasks", "models", "optimizers"),
    ("store",),
    ("study",),
    ("landscape",),
    ("engine",),
    ("execution", "analysis"),
    ("claims",),
    ("inspection",),
    ("sweep",),
    ("report",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, row in enumerate(ROOMS) for name in row}
# What objects of a lower room offer and a room above makes, imported when it is asked for.
ABOVE = {
    ("gridscape.landscape", "report.notebook"),  # land.page() and land.plot()
    ("gridscape.sweep", "report.following"),  # the progress of gs.run
}
MOST_ENTRIES = 22  # in the hall: what a newcomer sees at once
LONGEST_TEST_FILE = 520

# The rules of claims register themselves when this package is imported.
REGISTRIES = {"gridscape.claims.rules.RULES"}


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
    """One line for each import that is not allowed; the lazy package itself may name all."""
    return [
        f"{module}, line {line}: {trouble}"
        for module, source in modules.items()
        if module != "gridscape"
        for line, name in imported(source)
        if (trouble := judge(module, name, modules))
    ]


def judge(module: str, name: str, modules: Mapping[str, str]) -> str | None:
    """What is wrong with the import of a dotted name into a module, if anything."""
    if name.startswith("."):
        return f"relative import of {name}"
    target = defining(name, modules)
    if target is None:
        return None
    if target == "gridscape":
        return f"{name} is not imported from its defining module"
    own, other = room(module), room(target)
    unknown = [n for n in (own, other) if n not in RANK]
    if unknown:
        return f"{unknown[0]} has no place in ROOMS"
    if own != other and RANK[other] >= RANK[own]:
        return f"{target} is not below {module}"
    if own != other and is_private(target):
        return f"{target} is private to its room"
    if name != target and name not in REGISTRIES and not is_front(module, target):
        return not_defined(name, target, modules[target])
    return None


def not_defined(name: str, target: str, source: str) -> str | None:
    wanted = name.removeprefix(f"{target}.")
    return None if wanted in defined(source) else f"{wanted} is not defined in {target}"


def is_front(module: str, target: str) -> bool:
    """Whether a module is the package of another, which shows its names to users."""
    return target.startswith(f"{module}.")


@cache  # many import from the same module
def defined(source: str) -> set[str]:
    """The names that a module makes itself, at its top."""
    names = set[str]()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            names |= {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
    return names


def defining(name: str, modules: Mapping[str, str]) -> str | None:
    """The module of the package that a dotted name lies in; None outside the package."""
    found = [module for module in modules if f"{name}.".startswith(f"{module}.")]
    return max(found, key=len, default=None)


def room(module: str) -> str:
    """The room of a module: the folder, or the file, that stands in the hall."""
    return module.split(".")[1]


def is_private(module: str) -> bool:
    """Whether only its room may import a module, or what lies in its folder."""
    return any(part.startswith("_") for part in module.split(".")[2:])


def cycle(modules: Mapping[str, str]) -> list[str]:
    """Modules that import one another when they are loaded, if any do."""
    below = {
        module: {defining(name, modules) for name in at_top(source)} - {None, module}
        for module, source in modules.items()
        if module != "gridscape"
    }
    try:
        list(TopologicalSorter(below).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def at_top(source: str) -> Iterable[str]:
    """Dotted names of what a module imports when it is loaded."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.fixture(scope="module")
def modules() -> dict[str, str]:
    found = sources(ROOT / "gridscape")
    assert {"gridscape.base", "gridscape.sweep", "gridscape.tasks.images"} <= set(found)
    return found


def test_imports_go_downwards_and_name_the_defining_module(modules: dict[str, str]) -> None:
    assert violations(modules) == []


def test_what_a_room_above_makes_is_named_here(modules: dict[str, str]) -> None:
    assert set(made_above(modules)) == ABOVE


def made_above(modules: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Modules of the package that are imported by a text, and by which: their texts too."""
    for module, source in modules.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and called(node) in ("above", "import_module"):
                texts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                found = [text for text in texts if isinstance(text, str)]
                is_own = called(node) == "above" or any(t.startswith("gridscape") for t in found)
                if is_own and module not in ("gridscape", "gridscape.identity.above"):
                    yield from ((module, text) for text in found if "." in text)


def called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_another_import_by_a_text_is_found() -> None:
    by_text = 'importlib.import_module(f"gridscape.report.{name}")'
    planted = {"gridscape.tasks.a": by_text, "gridscape.store.b": "above('cli.tables')"}
    assert {module for module, _ in made_above(planted)} == set(planted)


def test_tests_mirror_the_rooms() -> None:
    rooms = {room for row in ROOMS for room in row}
    folders = {p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and p.name[0] != "_"}
    assert folders - rooms == {"assets", "browser", "native"}


def test_no_file_of_tests_is_long() -> None:
    lengths = {p.name: p.read_text().count("\n") for p in (ROOT / "tests").rglob("*.py")}
    assert len(lengths) > 100
    assert {name: n for name, n in lengths.items() if n > LONGEST_TEST_FILE} == {}


def test_no_cycle(modules: dict[str, str]) -> None:
    assert cycle(modules) == []


def test_a_planted_cycle_is_found() -> None:
    a, b = "from gridscape.study.b import x", "from gridscape.study import a"
    assert cycle({"gridscape": "", "gridscape.study.a": a, "gridscape.study.b": b})


def test_the_hall_can_be_seen_at_once() -> None:
    entries = [p for p in (ROOT / "gridscape").iterdir() if p.name != "__pycache__"]
    assert 10 < len(entries) <= MOST_ENTRIES, sorted(p.name for p in entries)


def test_every_room_has_its_place(modules: dict[str, str]) -> None:
    assert {room(module) for module in modules if module != "gridscape"} == set(RANK)


def planted(line: str) -> list[str]:
    """Violations of one line in a module of the tasks."""
    rooms = {f"gridscape.{name}": "" for name in RANK} | {"gridscape.strange": ""}
    rooms["gridscape.errors"] = "class DataError: ..."
    modules = {
        "gridscape": "",
        **rooms,
        "gridscape.base": "from gridscape.errors import DataError\nclass Task: ...",
        "gridscape.store._ledger": "class Ledger: ...",
        "gridscape.kernels._table": "ROWS = 1",
        "gridscape.tasks._idx": "def read(): ...",
        "gridscape.tasks.fetch": "def load(): ...",
        "gridscape.tasks.images": line,
    }
    return violations(modules)


@pytest.mark.parametrize(
    "line",
    [
        "import gridscape.cli",
        "from gridscape.sweep import run",
        "from gridscape import sweep",
        "def f():\n    from gridscape.store import Store",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gridscape.claims",
        "HOME = {'run': 'gridscape.sweep:run'}",
        "from gridscape.optimizers import adam",  # of the same row
        "from gridscape.strange import x",  # a room without a place
        "import gridscape",  # by way of the lazy package
        "from gridscape import Study",
        "from ..base import Task",
        "from gridscape.base import DataError",  # which is defined elsewhere
        "from gridscape.kernels import _table",  # private to a room below
        "from gridscape.kernels._table import ROWS",
    ],
)
def test_a_planted_import_is_found(line: str) -> None:
    assert len(planted(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "from gridscape.base import Task",
        "from gridscape import errors",
        "from gridscape.tasks import fetch",  # of the same room
        "from gridscape.tasks._idx import read",
        "NAMES = {'digits': 'gridscape.tasks.fetch:load'}",
        "import numpy as np",
        '"""Words about gridscape.sweep: no import."""',
    ],
)
def test_a_downward_import_is_allowed(line: str) -> None:
    assert planted(line) == []


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
                # Of an extra that is not installed here one knows the name alone.
                owners = {distribution(owner) for owner in provides.get(top, [top])}
                owners |= {"mlflow-skinny"} if top == "mlflow" else set()
                assert owners & declared, f"{module}, line {line}: {top} is not declared"


def distribution(requirement: str) -> str:
    """The normalized name at the head of a requirement: "Foo_Bar>=1" -> "foo-bar"."""
    name = re.match(r"[\w.-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()
