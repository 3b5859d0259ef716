"""The documentation says what holds: its Python runs, its commands exist, its examples are true."""

import ast
import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from scripts import run_python
from test_layers import ROOMS

import gridscape
from gridscape import models, optimizers, tasks
from gridscape.claims.files import load_claims
from gridscape.claims.rules import RULES
from gridscape.cli.commands import app
from gridscape.cli.tables import LEGEND
from gridscape.identity import version
from gridscape.kernels import library
from gridscape.study.files import names as study_names
from gridscape.study.settings import STUDY_AXES
from gridscape.study.study import Study
from gridscape.tasks import losses

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DOCS = ROOT / "docs"
# Every page for users by its path, those that are written by hand first.
BY_HAND = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted(DOCS.glob("*.md")), ROOT / "benchmarks/README.md"]
    if path.name != "reference.md"
}
REFERENCE = (DOCS / "reference.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def write_named(text: str, folder: Path) -> None:
    """The blocks of a page that begin with "# file: name", as files of a folder, in order."""
    for block in (*blocks("python", text), *blocks("toml", text)):
        if named := re.match(r"# file: (\w+\.\w+)\n", block):
            with (folder / named[1]).open("a", encoding="utf-8") as file:
                file.write(block)


def commands(program: str, text: str = README) -> list[list[str]]:
    """The words of every command of a program: in indented lines and in `quotes`."""
    found = re.findall(rf"(?:^    |`)({program} [^`\n]*)", text, re.MULTILINE)
    # Two spaces or a # begin the explanation.
    return [shlex.split(re.split(r"  |#", command)[0])[1:] for command in found]


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    (code,) = blocks("python")
    assert len([line for line in code.splitlines() if line]) <= 10
    printed = run_python(["-c", code], tmp_path)
    assert printed.count("\nhidden_size") == 2
    assert len((tmp_path / "landscape.csv").read_text().splitlines()) == 1 + 2 * 6 * 5


@pytest.mark.parametrize(
    "page", [page for page, text in BY_HAND.items() if page != "README.md" and "```python" in text]
)
def test_the_python_of_a_page_runs(page: str, tmp_path: Path) -> None:
    """As one script, block after block; a block that is a file can be imported, too."""
    write_named(BY_HAND[page], tmp_path)
    run_python(["-c", "\n".join(blocks("python", BY_HAND[page]))], tmp_path, (ROOT, tmp_path))


STUDY_FILES = [(page, text) for page, all_ in BY_HAND.items() for text in blocks("toml", all_)]


@pytest.mark.parametrize(("page", "text"), STUDY_FILES)
def test_the_files_of_a_page_are_valid(page: str, text: str, tmp_path: Path, monkeypatch) -> None:
    write_named(BY_HAND[page], tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "example.toml"
    path.write_text(text)
    assert load_claims(path) if "[[claim]]" in text else Study.load(path).grid.cells()


def test_pages_have_examples() -> None:
    assert len(STUDY_FILES) >= 2
    assert sum("```python" in text for text in BY_HAND.values()) >= 2


def test_the_reference_is_what_the_code_says(tmp_path: Path) -> None:
    """Made in a process of its own: here, the checks of shapes wrap functions."""
    code = "import sys, make_reference; sys.stdout.buffer.write(make_reference.page().encode())"
    made = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{DOCS}"},
        capture_output=True,
        timeout=600,
        check=True,
    ).stdout.decode()
    assert made == REFERENCE, "run python docs/make_reference.py"


def all_commands(group: Any = None, prefix: str = "gridscape") -> Iterator[tuple[str, Any]]:
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from all_commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def test_every_public_name_and_command_has_its_place() -> None:
    assert set(gridscape.__all__) < set(dir(gridscape))
    for name in dir(gridscape):
        assert f"### `gs.{name}`" in REFERENCE, name
    for words, command in all_commands():
        _, found, place = REFERENCE.partition(f"### `{words}`\n")
        assert found, words
        place = place.partition("\n#")[0]
        for parameter in command.params:
            told = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
            assert f"| `{told}" in place, f"{words} {told}"


def test_every_name_of_a_study_has_its_place() -> None:
    for table in (tasks.NAMES, models.NAMES, optimizers.NAMES, losses.NAMES, RULES):
        for name in table:
            assert f"### `{name}`\n" in REFERENCE, name
    for name in (*study_names(), *STUDY_AXES, *Study.model_fields):
        assert f"| `{name}` |" in REFERENCE, name


def test_the_rooms_are_told_in_their_order() -> None:
    table = BY_HAND["docs/architecture.md"].partition("| room |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == [set(row) for row in ROOMS]


def test_every_mark_and_variable_is_explained() -> None:
    page = BY_HAND["docs/coming_from.md"]
    assert LEGEND
    for mark in LEGEND:
        assert f"| `{mark}` |" in page, mark
    sources = [ROOT / "setup.py", *(ROOT / "gridscape").rglob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    variables = {library.VARIABLE, *re.findall(r"environ\.get\(\"(GRIDSCAPE_\w+)", text)}
    assert len(variables) >= 3
    for variable in variables:
        assert f"| `{variable}` |" in page, variable


def test_a_hundred_lines_show_a_landscape(tmp_path: Path) -> None:
    lesson = DOCS / "gridscape_in_100_lines.py"
    lines = lesson.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 100
    assert not any(re.match(r"\s*(import|from) +gridscape", line) for line in lines)
    printed = run_python([str(lesson)], tmp_path)
    rows = re.findall(r"^ +(?:4|16|64) (.*)$", printed, re.MULTILINE)
    assert [len(re.findall(r"[\d.]+ \N{PLUS-MINUS SIGN}[\d.]+|diverged", row)) for row in rows] == [
        6
    ] * 3
    means = [float(mean) for mean in re.findall(r"([\d.]+) \N{PLUS-MINUS SIGN}", rows[-1])]
    assert max(means) > 95  # of 64 units; the widest learns best
    assert all(row.endswith("diverged") for row in rows)
    assert any("=" in row for row in rows)


EVERY_COMMAND = [words for text in BY_HAND.values() for words in commands("gridscape", text)]


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_commands_exist(words: list[str]) -> None:
    group = command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert command is not group
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert not words or command.params, "a command without arguments is given some"


def test_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {
        word
        for words in commands("make") + commands("make", CONTRIBUTING)
        for word in words
        if word.isalpha()
    }
    assert {"run", "test", "lint", "types"} <= named <= targets


def test_the_quoted_landscape_is_of_the_study_that_runs() -> None:
    (output,) = blocks("text")
    study = Study.load("quickstart")
    title, size, budget, *_ = output.splitlines()
    assert title == study.title
    axes = " x ".join(f"{len(values)} {name}" for name, values in study.axes.items())
    count = len(study.grid.cells()) * study.replicates
    assert size.replace("\N{MULTIPLICATION SIGN}", "x") == (
        f"{count} networks: {axes}, {study.replicates} replicates each, trained on {study.task}"
    )
    assert budget == f"for {study.updates} updates of {study.batch_size} examples"
    assert f"trains {count} LSTMs" in re.sub(r"\s+", " ", README)


def test_links_lead_somewhere() -> None:
    pages = {**BY_HAND, "CONTRIBUTING.md": CONTRIBUTING, "docs/reference.md": REFERENCE}
    for page, text in pages.items():
        links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
        for link in links:
            assert link.startswith("https://") or (ROOT / page).parent.joinpath(link).exists(), link
    linked = set(re.findall(r"\]\((docs/[^)#]+)", README))
    assert linked >= {f"docs/{path.name}" for path in DOCS.iterdir() if path.suffix == ".md"}


def test_versions_agree() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert newest
    assert newest.group(1) == gridscape.__version__
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert (
        built["tool"]["setuptools"]["dynamic"]["version"]["attr"]
        == f"{version.__name__}.__version__"
    )
    assert version.__version__ == gridscape.__version__
    assert f"\nversion: {gridscape.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def docstrings() -> Iterator[pytest.param]:
    """Every docstring of the package with an example in it: module, its text, line."""
    for path in sorted((ROOT / "gridscape").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                if ">>>" in text:
                    name = f"{module}.{getattr(node, 'name', '')}"
                    yield pytest.param(module, text, id=name)


# Not --doctest-modules: it passes over functions whose shapes are checked, since they are wrapped.
@pytest.mark.parametrize(("module", "text"), list(docstrings()))
def test_examples_in_docstrings(module: str, text: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = dict(vars(importlib.import_module(module)))
    examples = doctest.DocTestParser().get_doctest(text, names, module, None, None)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples, out=report.append)
    assert not report, "".join(report)
