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

import pytest
import typer

import gridscape
from gridscape.cli.commands import app
from gridscape.study.study import Study

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands(program: str, text: str = README) -> list[list[str]]:
    """The words of every command of a program: in indented lines and in `quotes`."""
    found = re.findall(rf"(?:^    |`)({program} [^`\n]*)", text, re.MULTILINE)
    # Two spaces or a # begin the explanation.
    return [shlex.split(re.split(r"  |#", command)[0])[1:] for command in found]


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    (code,) = blocks("python")
    assert len([line for line in code.splitlines() if line]) <= 10
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nhidden_size") == 2
    assert len((tmp_path / "landscape.csv").read_text().splitlines()) == 1 + 2 * 6 * 5


def test_the_study_files_of_the_readme_are_valid(tmp_path: Path) -> None:
    texts = blocks("toml")
    assert texts
    for number, text in enumerate(texts):
        path = tmp_path / f"study-{number}.toml"
        path.write_text(text)
        assert Study.load(path).grid.cells()


@pytest.mark.parametrize("words", commands("gridscape"), ids=" ".join)
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
    title, size, *_ = output.splitlines()
    assert title == study.title
    axes = " x ".join(f"{len(values)} {name}" for name, values in study.axes.items())
    count = len(study.grid.cells()) * study.replicates
    assert size.replace("\N{MULTIPLICATION SIGN}", "x") == (
        f"{count} networks: {axes} x {study.replicates} replicates,"
        f" {study.updates} updates of {study.batch_size}"
    )
    assert f"trains {count} LSTMs" in re.sub(r"\s+", " ", README)


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README + CONTRIBUTING)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_versions_agree() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert newest
    assert newest.group(1) == gridscape.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == gridscape.__version__


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
