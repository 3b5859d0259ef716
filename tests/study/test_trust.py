"""What a results folder names is neither imported nor read, unless somebody here vouched for it."""

import json
import shutil
import sqlite3
import sys
from contextlib import closing

import pytest

from gridscape.claims.judging import verdicts
from gridscape.cli import commands
from gridscape.errors import GridscapeError, StudyFileError, UntrustedError
from gridscape.execution import replay
from gridscape.landscape import Landscape
from gridscape.report.findings import gather
from gridscape.report.showcase import showcase
from gridscape.store.store import Store
from gridscape.study import reach
from gridscape.study.study import Study
from gridscape.sweep import run

SMALL = {"updates": 4, "batch_size": 20, "evaluations": 1, "replicates": 1}
CELL = {"learning_rate": 0.01}
TELLTALE = """
from pathlib import Path
import gridscape

Path({mark!r}).touch()

def net(input_shape, n_outputs):
    raise RuntimeError("called")

def loss(outputs, targets):
    raise RuntimeError("called")
"""


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Runs a command in this process: (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))

    def run_command(*arguments):
        capsys.readouterr()
        status = commands.exit_status([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run_command


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study of Gridscape's own names whose networks were kept."""
    folder = tmp_path_factory.mktemp("trained") / "tiny"
    axes = {"learning_rate": [0.01]}
    study = Study(
        name="tiny", task="digits-flat", model="mlp", axes=axes, keep_parameters="all", **SMALL
    )
    run(study, directory=folder)
    return folder


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """A file that is there as soon as the module ``telltale`` or a shell command has run."""
    mark = tmp_path / "mark"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "telltale.py").write_text(TELLTALE.format(mark=str(mark)))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    yield mark
    sys.modules.pop("telltale", None)


def tampered(folder, copy, **values):
    """A copy of a folder whose study says something else."""
    shutil.copytree(folder, copy)
    path = copy / "study.json"
    document = json.loads(path.read_text())
    document["study"].update(values)
    path.write_text(json.dumps(document))
    with closing(sqlite3.connect(copy / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("DELETE FROM meta")
    return copy


def hostile(kind, mark):
    """What a folder may name to have code run."""
    shell = {"task": "os:system", "task_options": {"command": f"touch {mark}"}}
    return {
        "shell": {**shell, "groups": ["k", [0]]},
        "task": {"task": "telltale:task"},
        "model": {"model": "telltale:net"},
        "optimizer": {"optimizer": "telltale:rule"},
        "loss": {"loss": "telltale:loss"},
        "metric": {"measured": {"x": "telltale:loss"}},
        "list of metrics": {"measured": ["telltale:loss"]},
        "axis of optimizers": {"axes": {"learning_rate": [0.01], "optimizer": ["telltale:x"]}},
        "axis of losses": {"axes": {"learning_rate": [0.01], "loss": ["telltale:loss"]}},
        "by way of gridscape": {"model": "gridscape.study.parts:importlib.import_module"},
    }[kind]


KINDS = (
    *("shell", "task", "model", "optimizer", "loss", "metric", "list of metrics"),
    *("axis of optimizers", "axis of losses", "by way of gridscape"),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["inspect", "replay"])
def test_a_command_that_needs_the_code_refuses_and_names_it(
    call, trained, mark, tmp_path, kind, command
):
    folder = tampered(trained, tmp_path / "theirs", **hostile(kind, mark))
    status, out, err = call(command, folder, "--cell", "learning_rate=0.01")
    assert (status, out) == (1, "")
    assert "names code or files of its author (found the module '" in err
    assert "--trust" in err
    assert err.count("\n") == 1
    assert len(err) <= 300
    assert not mark.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_report_reads_runs_nothing(call, trained, mark, tmp_path, kind):
    folder = tampered(trained, tmp_path / "theirs", **hostile(kind, mark))
    land = Landscape.read(folder)
    gather(land, folder)
    shown = showcase(folder, land)
    assert shown.looks == ()
    assert not mark.exists()
    if "axes" not in hostile(kind, mark):  # else the network lies outside of the grid
        assert "names code or files of its author" in shown.notes[0]


@pytest.mark.parametrize("command", ["report", "show", "export", "claims"])
def test_opening_a_folder_runs_nothing(call, trained, mark, tmp_path, command):
    folder = tampered(trained, tmp_path / "theirs", **hostile("shell", mark), claims="x.toml")
    status, _, err = call(command, folder)
    assert status == (1 if command == "claims" else 0), err
    assert not mark.exists()
    assert ("--trust" in err) == (command in ("claims", "report"))
    if command == "report":
        assert "networks are not shown" in err
        assert "names code or files of its author" in (folder / "report.html").read_text()


def test_plan_reads_a_folder_as_data(call, trained, mark, tmp_path):
    folder = tampered(trained, tmp_path / "theirs", **hostile("shell", mark))
    status, _, err = call("plan", "quickstart", "--dir", folder)
    assert status == 1
    assert "holds results of another study" in err
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["task", "model", "optimizer", "loss"])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_study_file_calls_only_what_declares_itself(call, mark, tmp_path, command, kind):
    named = {"task": "digits-flat", "model": "mlp", "optimizer": "adam", kind: "os:system"}
    lines = [f'{key} = "{name}"' for key, name in named.items()]
    options = [f'task_options = {{ command = "touch {mark}" }}'] if kind == "task" else []
    axes = ["[axes]", "learning_rate = [0.1]"]
    (tmp_path / "mine.toml").write_text("\n".join([*lines, *options, *axes]))
    status, _, err = call(command, "mine.toml")
    assert status == 2
    assert f"{kind}: not a" in err
    assert "'os:system'" in err
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["os:popen", "shutil:rmtree", "subprocess:run", "sys:exit", "builtins:eval", "os:path"]
)
@pytest.mark.parametrize("kind", ["task", "model", "optimizer", "loss"])
def test_nothing_of_the_standard_library_declares_itself(kind, name):
    named = {"task": "digits-flat", "model": "mlp", kind: name}
    study = Study(axes={"learning_rate": [0.1]}, **named)
    with pytest.raises(StudyFileError, match=f"{kind}: not a"):
        study.resolve()


OWN = """
import jax.numpy as jnp
import gridscape as gs
from gridscape.optimizers import sgd
from gridscape.tasks.images import digits_flat

TASK = digits_flat()

def task(*, n: int = 3) -> gs.Task:
    return TASK

def later() -> "gs.Task":
    return TASK

class Sub(gs.Task):
    pass

def net(input_shape, n_outputs, *, scale=1.0):
    def init(key, hyper):
        return {"w": scale * jnp.ones((*input_shape, n_outputs))}

    def apply(params, inputs, key, hyper):
        return inputs @ params["w"]

    return gs.Model(init, apply)

def net_by_annotation(shape, n) -> gs.Model:
    return net(shape, n)

PAIR = net((64,), 10)
RULE = sgd()

def rule() -> gs.Optimizer:
    return sgd()

def loss(outputs, targets):
    return ((outputs - 1) ** 2).sum(-1)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module with parts of every kind, declared in every way."""
    place = tmp_path / "own"
    place.mkdir()
    (place / "own_parts.py").write_text(OWN)
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    yield place / "own_parts.py"
    sys.modules.pop("own_parts", None)


@pytest.mark.parametrize(
    "named",
    [
        {"task": "own_parts:TASK"},
        {"task": "own_parts:task", "task_options": {"n": 4}},
        {"task": "own_parts:later"},
        {"model": "own_parts:net"},
        {"model": "own_parts:net_by_annotation"},
        {"model": "own_parts:PAIR"},
        {"optimizer": "own_parts:RULE"},
        {"optimizer": "own_parts:rule"},
        {"loss": "own_parts:loss"},
        {"loss": "optax.losses:softmax_cross_entropy_with_integer_labels"},
    ],
)
def test_own_parts_may_be_declared_in_several_ways(own, named):
    parts = {"task": "digits-flat", "model": "mlp", **named}
    assert Study(axes={"learning_rate": [0.1]}, **parts).resolve().trials()


@pytest.fixture
def mine(own, tmp_path):
    """Results that this user has trained, with a model of the user's own."""
    axes = {"learning_rate": [0.01]}
    study = Study(name="mine", task="digits-flat", model="own_parts:net", axes=axes, **SMALL)
    run(study, directory=tmp_path / "mine")
    return tmp_path / "mine"


def test_what_this_user_trained_is_trusted_and_told(call, mine, own):
    status, _, err = call("replay", mine, "--cell", "learning_rate=0.01")
    assert status == 0
    assert err == f"gridscape: uses the module 'own_parts' from {str(own)!r}\n"


def test_a_folder_that_grows_stays_trusted(mine):
    run(
        Study.from_record(study_of(mine)),
        set={"learning_rate": [0.1]},
        replicates=2,
        directory=mine,
    )
    assert len(study_of(mine)["axes"]["learning_rate"]) == 2
    assert reach.is_known(study_of(mine))


def study_of(folder):
    with Store.read(folder) as store:
        return store.study


def test_trust_is_lost_with_the_code_and_with_any_option(mine, own, tmp_path):
    assert reach.is_known(study_of(mine))
    assert not reach.is_known({**study_of(mine), "model_options": {"scale": 2.0}})
    text = own.read_text()
    own.write_text(text + "\n# changed\n")
    assert not reach.is_known(study_of(mine))
    own.write_text(text)
    assert reach.is_known(study_of(mine))


def test_nothing_in_the_folder_makes_it_trusted(mine, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another-user"))
    with pytest.raises(UntrustedError, match="own_parts"):
        replay.replay(mine, CELL)
    assert replay.replay(mine, CELL, trust=True).identical
    assert replay.replay(mine, CELL, study=Study.from_record(study_of(mine), trust=True)).identical


def test_values_that_somebody_else_put_into_a_folder_are_not_taken_for_mine(
    mine, monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another-user"))
    study = Study.from_record(study_of(mine), trust=True)
    run(study, set={"learning_rate": [0.1]}, directory=mine)
    assert not reach.is_known(study_of(mine))
    run(study, set={"learning_rate": [0.01, 0.1]}, directory=mine)  # all that is there
    assert reach.is_known(study_of(mine))


def test_what_cannot_be_noted_is_told(own, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    study = Study(
        task="digits-flat", model="own_parts:net", axes={"learning_rate": [0.01]}, **SMALL
    )
    with pytest.warns(UserWarning, match="cannot note that this study is yours"):
        run(study, directory=tmp_path / "results")


def test_pictures_that_a_folder_names_are_not_read(trained, tmp_path):
    folder = tampered(
        trained, tmp_path / "theirs", task="image-folder", task_options={"path": str(tmp_path)}
    )
    with pytest.raises(UntrustedError, match="the pictures in"):
        replay.replay(folder, CELL)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "../published/tables"])
def test_claims_go_by_the_names_of_gridscape(trained, tmp_path, name):
    folder = tampered(trained, tmp_path / "theirs", claims=name)
    with pytest.raises(GridscapeError, match="unknown claims"):
        verdicts(folder)


@pytest.mark.parametrize("end", ["", "/", "/."])
def test_a_file_of_claims_is_read_where_it_is_trusted(trained, tmp_path, end):
    path = tmp_path / "their.toml"
    path.write_text("[axes]\n")
    folder = tampered(trained, tmp_path / "theirs", claims=f"{path}{end}")
    with pytest.raises(UntrustedError, match="the claims in"):
        verdicts(folder)
    with pytest.raises(StudyFileError):  # read, and found to hold none
        verdicts(folder, trust=True)


def test_a_module_is_found_without_an_import(tmp_path, monkeypatch):
    package = tmp_path / "pack" / "sub"
    package.mkdir(parents=True)
    for path in (package.parent / "__init__.py", package / "__init__.py", package / "part.py"):
        path.write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = reach._files("pack.sub.part")
    assert found == (package.parent / "__init__.py", package / "__init__.py", package / "part.py")
    assert reach._files("pack.none") == reach._files("../x") == reach._files("sys") == ()
