"""The contract of the command line: what stands where, exit status, and nothing lost."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from gridscape._version import __version__
from gridscape.cli import commands
from gridscape.store.store import Store

ROOT = Path(__file__).parents[2]
TINY = ["--set", "hidden_size=4,8", "--set", "learning_rate=0.01,0.1", "--updates", "20"]
FINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
DEADLINE_SECONDS = 120


@pytest.fixture(scope="module", autouse=True)
def kept_programs(tmp_path_factory):
    """The command line keeps compiled programs; here in a folder of these tests only."""
    folder = tmp_path_factory.mktemp("programs")
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: jax.config.values[name] for name in names}
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    yield folder
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture(autouse=True)
def quiet_place(tmp_path_factory, monkeypatch):
    """An empty working directory, no data sets, no terminal."""
    place = tmp_path_factory.mktemp("place")
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("GRIDSCAPE_DATA", str(place / "no-data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    return place


@pytest.fixture
def call(capsys):
    """Runs a command in this process: (status, standard output, standard error)."""

    def run(*arguments):
        capsys.readouterr()
        status = commands.exit_status([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The results of a tiny study, the output of its run, and its report's path."""
    folder = tmp_path_factory.mktemp("results") / "tiny"
    command = ["run", "quickstart", *TINY, "--replicates", "2", "--dir", str(folder)]
    out = subprocess.run(
        [sys.executable, "-m", "gridscape", *command],
        env=environment(tmp_path_factory.mktemp("cache")),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert out.returncode == 0, out.stderr
    return folder, out


def environment(cache, **values):
    """Of a subprocess: no terminal, its own cache, this package."""
    # Importing JAX in this process has set the last one.
    dropped = ("FORCE_COLOR", "NO_COLOR", "JAX_COMPILATION_CACHE_DIR", "TF_CPP_MIN_LOG_LEVEL")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    own = {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "XDG_CACHE_HOME": str(cache)}
    return {**kept, **own, "TERM": "xterm-256color", **values}


def widest(text):
    return max(len(line) for line in text.splitlines())


# ---- help -------------------------------------------------------------------------------------


def command_names():
    return sorted(commands.typer.main.get_command(commands.app).commands)


def test_the_commands_are_those_of_the_design():
    designed = {"list", "plan", "run", "show", "report", "claims", "inspect", "replay", "export"}
    assert set(command_names()) == designed | {"data", "doctor"}


def test_help_imports_nothing_slow_and_is_fast():
    code = """
import sys, time
begin = time.process_time()
from gridscape import cli
for arguments in [["--help"], ["--version"]] + [[name, "--help"] for name in sys.argv[1:]]:
    assert cli.exit_status(arguments) == 0, arguments
slow = {"jax", "pandas", "xarray", "matplotlib", "numpy", "scipy", "sklearn", "optax", "plotly"}
print(sorted(slow & set(sys.modules)), time.process_time() - begin, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *command_names()],
        env=environment("nowhere"),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=True,
    )
    imported, seconds = done.stderr.rsplit(maxsplit=1)
    assert imported == "[]"
    assert float(seconds) < 0.5  # all of them together
    assert widest(done.stdout) <= 80


def test_no_command_shows_the_help(call):
    status, out, err = call()
    assert (status, err) == (0, "")
    assert "run      Train what is missing of a study" in out


def test_version(call):
    assert call("--version") == (0, f"gridscape {__version__}\n", "")


# ---- mistakes: one clear line, exit status 1 or 2, nothing written ------------------------------

MISTAKES = [
    ("rnu", 2, "unknown command 'rnu'; did you mean 'run'?"),
    ("data chek", 2, "unknown command 'chek'; did you mean 'check'?"),
    ("data", 2, "missing command; see gridscape data --help"),
    (
        "run --epochs 5",
        2,
        "unknown option '--epochs'; use --updates: updates = epochs x examples / batch_size",
    ),
    ("run --lr 0.1", 2, "unknown option '--lr'; use --set learning_rate=..."),
    ("show x --lr 3", 2, "unknown option '--lr'; see gridscape show --help"),
    ("--versoin", 2, "unknown option '--versoin'; did you mean '--version'?"),
    ("run --replicats 3", 2, "unknown option '--replicats'; did you mean '--replicates'?"),
    ("run --zzz", 2, "unknown option '--zzz'; see gridscape run --help"),
    ("run a b", 2, "unexpected extra argument(s) (b); see gridscape run --help"),
    ("run --updates", 2, "'--updates' requires an argument"),
    ("replay x", 2, "missing option '--cell'; see gridscape replay --help"),
    ("run quickstrat", 2, "unknown study 'quickstrat'; did you mean 'quickstart'?"),
    ("run no.toml", 2, "no.toml: no such study file"),
    ("run --set hiden_size=4", 2, "unknown axis 'hiden_size'; did you mean 'hidden_size'?"),
    ("run --set hidden_size=", 2, "axis hidden_size: an axis needs at least one value"),
    ("run --set hidden_size", 2, "--set: not an axis (expected AXIS=V1,V2"),
    ("run --set =4", 2, "--set: not an axis (expected AXIS=V1,V2"),
    ("run --set hidden_size=4 --set hidden_size=8", 2, "--set: the same axis twice"),
    ("run --set hidden_size=4,4", 2, "lists each value once"),
    ("run --set status=1", 2, "axes.status: no name for an axis: every landscape has something of"),
    ("plan --set a/b=1", 2, "axes: no name for an axis (expected printable text without '/'"),
    ("run --set hidden_size=0", 2, "hidden_size: out of range"),
    ("run --set hidden_size=big", 2, "hidden_size: out of range"),
    ("run --set learning_rate=0", 2, "learning_rate: out of range"),
    ("run --set learning_rate=-1", 2, "learning_rate: out of range"),
    ("run --set learning_rate=nan", 2, "learning_rate: out of range"),
    ("run --set learning_rate=1:0:3", 2, "axis learning_rate: not a range"),
    ("run --set learning_rate=fast", 2, "learning_rate: out of range"),
    ("run --task minst-rows", 2, "unknown task 'minst-rows'; did you mean 'mnist-rows'?"),
    ("run --replicates 0", 2, "replicates: "),
    ("run --replicates many", 2, "'--replicates'"),
    ("run --updates 0", 2, "updates: "),
    ("run --batch-size 100000", 2, "batch_size: larger than the training set"),
    ("run --seed -1", 2, "seed: "),
    ("run --executor lokal", 2, "unknown executor 'lokal'; did you mean 'local'?"),
    ("plan --executor lokal", 2, "unknown executor 'lokal'; did you mean 'local'?"),
    ("run --precision float16", 2, "precision: "),
    ("plan quickstrat", 2, "did you mean 'quickstart'?"),
    ("plan --set hidden_size=0", 2, "hidden_size: out of range"),
    ("show", 2, "no results folder is named (expected DIR, found runs/ has none)"),
    ("show nothing", 2, "unknown results folder 'nothing'"),
    ("show .", 1, "holds no results"),
    ("claims .", 1, "holds no results"),
    ("report .", 1, "holds no results"),
    ("export .", 1, "holds no results"),
    ("replay . --cell hidden_size=4", 1, "holds no results"),
    ("replay . --cell four", 2, "--cell: not a cell"),
    ("export --format xls", 2, "unknown format 'xls'"),
    ("data fetch mnits", 2, "unknown data set 'mnits'; did you mean 'mnist'?"),
    ("data check cifar10-gray28", 1, "the data set is not on this machine"),
    ("run --task cifar10-gray28-rows", 1, "the data set is not on this machine"),
]


@pytest.mark.parametrize(("line", "status", "words"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_one_line_and_writes_nothing(call, quiet_place, line, status, words):
    found, out, err = call(*line.split())
    assert words in err
    assert (found, out) == (status, "")
    assert err.startswith("gridscape: ")
    assert err.count("\n") == 1
    assert list(quiet_place.iterdir()) == []


def test_all_mistakes_of_a_study_file_are_told_at_once(call, quiet_place):
    (quiet_place / "mine.toml").write_text(
        'task = "digits-rows"\nmodel = "lstm"\nupdate = 5\nreplicates = 0\n[axes]\n'
        "hidden_size = [4]\n"
    )
    status, _, err = call("run", "mine.toml")
    assert status == 2
    assert "2 mistakes" in err
    assert "line 3: update: unknown key 'update'; did you mean 'updates'?" in err
    assert "line 4: replicates" in err


def test_debug_shows_the_trace(call):
    status, out, err = call("run", "quickstrat", "--debug")
    assert (status, out) == (2, "")
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("gridscape: unknown study")


def test_an_unexpected_error_is_one_line_and_has_its_trace_on_demand(call, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("no\nway")

    monkeypatch.setattr("gridscape.sweep.plan", broken)
    expected = "gridscape: unexpected ZeroDivisionError: no way; --debug shows the trace\n"
    assert call("plan") == (1, "", expected)
    status, _, err = call("plan", "--debug")
    assert status == 1
    assert "Traceback" in err


def test_a_warning_is_one_line_too(call, monkeypatch, recwarn):
    import warnings

    def careless(*_, **__):
        warnings.warn("something is odd", UserWarning, stacklevel=1)
        raise commands.UsageError("stop")

    monkeypatch.setattr("gridscape.sweep.plan", careless)
    warnings.simplefilter("default")
    status, _, err = call("plan")
    assert (status, err) == (2, "gridscape: warning: something is odd\ngridscape: stop\n")


# ---- a run and what one does with its results ---------------------------------------------------


def test_a_run_without_a_terminal_is_silent_until_its_results(study):
    folder, done = study
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert widest(done.stdout) <= 80
    assert "Test accuracy in %: mean of 2 replicates" in done.stdout
    assert "Best learning rate of each hidden_size" in done.stdout
    assert re.search(r"Trained 8 networks in \d+ s, \d+(\.\d)? s of it compiling\.", done.stdout)
    assert done.stdout.splitlines()[-1] == f"Report: {folder / 'report.html'}"
    assert (folder / "report.html").stat().st_size > 100_000


def test_show_prints_what_the_run_printed(call, study):
    folder, done = study
    status, out, err = call("show", folder)
    assert (status, err) == (0, "")
    assert done.stdout.startswith(out)


def test_running_again_trains_nothing(call, study):
    folder, _ = study
    before = {p: p.stat().st_mtime_ns for p in (folder / "blobs").iterdir()}
    line = ["run", *TINY, "--replicates", "2", "--dir", folder]
    status, out, _ = call(*line)
    assert status == 0
    assert "Nothing was left to train: every network was stored already." in out
    assert {p: p.stat().st_mtime_ns for p in (folder / "blobs").iterdir()} == before


OVERVIEW_KEYS = {
    *("study", "title", "directory", "axes", "replicates", "counts"),
    *("metric", "cells", "best", "smallest"),
}


def test_json_of_show_and_run(call, study):
    folder, _ = study
    status, out, err = call("show", folder, "--json")
    shown = json.loads(out)
    assert (status, err) == (0, "")
    assert shown.keys() == OVERVIEW_KEYS
    assert shown["counts"]["finished"] + shown["counts"]["diverged"] == 8
    assert len(shown["cells"]) == 4
    assert {"state", "cell", "estimate", "values", "statuses", "keys"} <= shown["cells"][0].keys()
    status, out, _ = call("run", *TINY, "--replicates", "2", "--dir", folder, "--json")
    ran = json.loads(out)
    assert status == 0
    assert ran.keys() == OVERVIEW_KEYS | {"effort", "report"}
    assert ran["effort"].keys() == {"n_trained", "seconds", "compile_seconds"}
    assert ran["effort"]["n_trained"] == 0
    assert ran["cells"] == shown["cells"]


def test_without_the_extra_there_is_no_report_but_the_command_for_it(call, study, monkeypatch):
    folder, _ = study
    monkeypatch.setattr(commands, "find_spec", lambda name: None)
    status, out, err = call("run", *TINY, "--replicates", "2", "--dir", folder)
    assert status == 0
    assert "Report:" not in out
    assert err.startswith("gridscape: no report: matplotlib and plotly not installed")
    assert "pip install 'gridscape[report]'" in err


def test_report_prints_its_path(call, study):
    folder, _ = study
    path = folder / "report.html"
    path.unlink()
    assert call("report", folder) == (0, f"{path}\n", "")
    assert path.exists()


def test_a_replay_is_identical(call, study):
    folder, _ = study
    cell = "hidden_size=8,learning_rate=1e-1"
    status, out, err = call("replay", folder, "--cell", cell, "--replicate", "1")
    assert (status, err) == (0, "")
    assert "hidden_size=8, learning_rate=0.1, replicate 1: identical bit for bit" in out
    status, out, _ = call("replay", folder, "--cell", cell, "--json")
    told = json.loads(out)
    assert told["identical"] is True
    assert set(told["differences"].values()) == {0.0}
    names = {"cell", "replicate", "identical", "stored_status", "status", "differences"}
    assert told.keys() == names


def test_a_replay_that_differs_says_where_and_exits_with_1(call, study, monkeypatch):
    from dataclasses import replace

    from gridscape.execution import replay

    original = replay.replay

    def altered(*arguments, **values):
        found = original(*arguments, **values)
        metrics = {**found.stored.metrics, "test_loss": found.stored.metrics["test_loss"] + 0.5}
        return replace(found, stored=replace(found.stored, metrics=metrics))

    monkeypatch.setattr(replay, "replay", altered)
    folder, _ = study
    status, out, _ = call("replay", folder, "--cell", "hidden_size=4,learning_rate=0.01")
    assert status == 1
    assert "differs from what is stored" in out
    assert re.search(r"test_loss +0\.5\b", out)


REPLAY_MISTAKES = [
    ("hidden_size=5,learning_rate=0.01", 0, "no cell has hidden_size=5 (expected one of 4, 8)"),
    ("hiden_size=4", 0, "unknown axis 'hiden_size'; did you mean 'hidden_size'?"),
    ("hidden_size=4", 0, "this names more than one cell; say also learning_rate"),
    ("hidden_size=4,learning_rate=0.1", 7, "unknown replicate '7'; known: 0, 1"),
]


@pytest.mark.parametrize(("cell", "replicate", "words"), REPLAY_MISTAKES)
def test_a_cell_that_is_not_in_the_grid(call, study, cell, replicate, words):
    folder, _ = study
    status, out, err = call("replay", folder, "--cell", cell, "--replicate", replicate)
    assert (status, out) == (2, "")
    assert words in err


@pytest.mark.parametrize(
    ("format", "name"), [("csv", "quickstart.csv"), ("netcdf", "quickstart.nc")]
)
def test_export_prints_the_path_of_what_can_be_read_back(call, study, quiet_place, format, name):
    import pandas as pd
    import xarray as xr

    folder, _ = study
    assert call("export", folder, "--format", format) == (0, f"{name}\n", "")
    if format == "csv":
        assert len(pd.read_csv(quiet_place / name)) == 8
    else:
        with xr.open_dataset(quiet_place / name) as data:
            assert dict(data.sizes)["hidden_size"] == 2


def test_export_to_a_folder_that_is_not_there(call, study):
    folder, _ = study
    status, out, err = call("export", folder, "--output", "nowhere/x.csv")
    assert (status, out) == (1, "")
    assert "no such folder" in err


def test_a_study_without_claims_says_which_have_some(call, study):
    folder, _ = study
    status, out, err = call("claims", folder)
    assert (status, out) == (1, "")
    assert "lstm-width-lr" in err


def test_claims_of_a_study_that_has_them(call, study, monkeypatch):
    from dataclasses import replace

    from gridscape.landscape import Landscape

    read = Landscape.read

    def with_claims(directory):
        land = read(directory)
        return replace(land, study={**land.study, "claims": "lstm-width-lr"})

    monkeypatch.setattr(Landscape, "read", with_claims)
    folder, _ = study
    status, out, _ = call("claims", folder)
    assert status == 0
    assert "undecided" in out
    assert "rule: " in out
    assert widest(out) <= 80
    status, out, _ = call("claims", folder, "--json")
    told = json.loads(out)
    assert told.keys() == {"study", "directory", "claims"}
    names = {"claim", "outcome", "rule", "estimates", "numbers", "used", "excluded", "note"}
    assert told["claims"][0].keys() == names


def test_the_folder_may_go_unnamed_or_by_the_name_of_the_study(call, study, quiet_place):
    folder, _ = study
    (quiet_place / "runs").mkdir()
    (quiet_place / "runs" / "mine").symlink_to(folder)
    (quiet_place / "mine").mkdir()  # holds no results, so that the name means runs/mine
    expected = call("show", folder)
    assert call("show") == expected
    assert call("show", "mine") == expected
    (quiet_place / "runs" / "yours").symlink_to(folder)
    status, _, err = call("show")
    assert status == 2
    assert "runs/ has mine, yours" in err
    status, _, err = call("show", "mien")
    assert status == 2
    assert "unknown results folder 'mien'; did you mean 'mine'?" in err


def test_plan_tells_what_is_stored_and_what_is_left(call, study):
    folder, _ = study
    line = ["plan", *TINY, "--dir", folder]
    status, out, err = call(*line, "--replicates", "2")
    assert (status, err) == (0, "")
    assert "8 networks, 8 stored already, 0 to train" in out
    status, out, _ = call(*line, "--replicates", "3", "--json")
    told = json.loads(out)
    assert status == 0
    names = {"study", "n_trials", "n_stored", "devices", "programs"}
    assert told.keys() == names | {"memory_bytes", "flops", "seconds"}
    assert (told["n_trials"], told["n_stored"]) == (12, 8)
    assert [p["static"]["options"]["hidden_size"] for p in told["programs"]] == [4, 8]
    assert all(p["seconds"] > 0 and p["memory_bytes"] > 0 for p in told["programs"])
    assert told["seconds"] == pytest.approx(
        sum(p["seconds"] + p["compile_seconds"] for p in told["programs"])
    )


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_folder_of_another_study_is_refused(call, study, command):
    folder, _ = study
    status, out, err = call(command, "--updates", "21", "--dir", folder)
    assert (status, out) == (1, "")
    assert "another study: updates differs (expected 21, found 20)" in err
    assert "--dir" in err


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_folder_of_something_else_is_refused(call, tmp_path, command):
    (tmp_path / "thesis.tex").write_text("not yours")
    status, out, err = call(command, *TINY, "--dir", tmp_path)
    assert (status, out) == (1, "")
    assert "holds files but no study.json" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_the_list_marks_what_lacks_its_data_and_fetches_nothing(call, monkeypatch):
    def fetched(*_, **__):
        raise AssertionError("something was fetched")

    monkeypatch.setattr("gridscape.tasks.fetch._fetch_into", fetched)
    status, out, err = call("list", "--json")
    assert (status, err) == (0, "")
    told = {entry["name"]: entry for entry in json.loads(out)["studies"]}
    assert next(iter(told)) == "quickstart"
    assert told["quickstart"]["n_networks"] == 72
    assert told["quickstart"]["flops"] == pytest.approx(3.195e12, rel=0.001)
    assert told["quickstart"]["seconds"] > 0
    assert told["lstm-width-lr"]["missing_data"] == "mnist"
    assert told["lstm-width-lr"]["flops"] is None
    assert told["lstm-width-lr"]["memory_bytes"] is None
    names = {"name", "title", "source", "n_networks", "flops", "seconds", "missing_data"}
    assert told["quickstart"].keys() == names | {"memory_bytes"}
    # About: half to twice what the compiled programs say.
    planned = json.loads(call("plan", "quickstart", "--json")[1])["memory_bytes"]
    assert 0.5 < told["quickstart"]["memory_bytes"] / planned < 2
    status, out, _ = call("list")
    assert "data set mnist is not on this machine" in " ".join(out.split())
    assert widest(out) <= 80


def test_data_list_and_check(call):
    status, out, err = call("data", "list", "--json")
    told = json.loads(out)
    assert (status, err) == (0, "")
    assert told.keys() == {"data_sets", "folders"}
    names = [entry["name"] for entry in told["data_sets"]]
    assert names == ["digits", "mnist", "cifar10-gray28", "cifar10"]
    assert told["data_sets"][1]["found_at"] is None
    status, out, _ = call("data", "check")
    assert status == 0
    assert "digits" in out
    assert "mnist" not in out


def test_doctor(call):
    status, out, err = call("doctor", "--json")
    told = json.loads(out)
    assert (status, err) == (0, "")
    assert told["versions"]["jax"] == jax.__version__
    assert all(check["error"] <= check["tolerance"] for check in told["checks"])
    names = {"versions", "devices", "n_cores", "memory_bytes", "flops_per_second", "kernels"}
    names |= {"bfloat16", "data_folders", "program_cache", "checks", "advice"}
    assert told.keys() == names


def test_doctor_fails_where_a_number_is_wrong(call, monkeypatch):
    from gridscape.cli import doctor

    wrong = (doctor.SelfCheck("matrix product", 0.5),)
    monkeypatch.setattr(doctor, "self_check", lambda: wrong)
    status, out, err = call("doctor")
    assert status == 1
    assert "WRONG" in out
    assert "matrix product" in err


# ---- failures, pipes, interruptions -------------------------------------------------------------

FRAGILE = '''
import gridscape as gs
from gridscape.models.recurrent import lstm

@gs.hyperparameters(**lstm.hyperparameters)
def fragile(input_shape, n_outputs, *, hidden_size=4):
    """Fails in training where hidden_size is 5; the check of shapes is not enough to see it."""
    model = lstm(input_shape, n_outputs, hidden_size=hidden_size)

    def apply(params, inputs, key, hyper):
        if hidden_size == 5 and inputs.shape[0] == 100:
            raise RuntimeError("this cell is broken")
        return model.apply(params, inputs, key, hyper)

    return model._replace(apply=apply)
'''


def test_a_failed_trial_gives_status_3_and_the_others_are_there(
    call, quiet_place, monkeypatch, study
):
    (quiet_place / "my_models.py").write_text(FRAGILE)
    (quiet_place / "mine.toml").write_text(
        'task = "digits-rows"\nmodel = "my_models:fragile"\nupdates = 5\nreplicates = 1\n'
        "[axes]\nhidden_size = [4, 5]\nlearning_rate = [0.1]\n"
    )
    monkeypatch.syspath_prepend(quiet_place)
    status, out, err = call("run", "mine.toml")
    assert status == 3
    assert "! failed, or did not fit into memory" in out
    assert "Report: runs/mine/report.html" in out
    assert err.startswith("gridscape: 1 network failed or did not fit into memory, the first one ")
    assert "hidden_size=5, learning_rate=0.1, replicate 0: RuntimeError: this cell is broken" in err
    assert err.count("\n") == 1


def test_a_closed_pipe_is_silent(study, tmp_path):
    folder, _ = study
    line = f"{sys.executable} -m gridscape show {folder} --json | head -c 20"
    done = subprocess.run(
        ["bash", "-c", line],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.stderr == ""
    assert len(done.stdout) == 20


# Takes the terminal over, so that Ctrl-C typed there reaches the command.
TAKE_OVER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "gridscape", *sys.argv[1:]])
"""


class Terminal:
    """A command in a terminal of 80 x 24, as a user has it before them."""

    def __init__(self, arguments, cache, folder):
        self.text = ""
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        values = environment(cache, COLORTERM="truecolor")
        del values["COLUMNS"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_OVER, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=values,
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, pattern):
        """Reads what is shown until it has the pattern; the match."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (found := re.search(pattern, self.plain)):
            assert time.monotonic() < deadline, self.plain[-2000:]
            assert self._read(), f"ended without {pattern}:\n{self.plain[-2000:]}"
        return found

    def finish(self):
        """Reads to the end; the exit status."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self._read():
            assert time.monotonic() < deadline
        os.close(self._fd)
        return self.process.wait(DEADLINE_SECONDS)

    def type(self, keys):
        os.write(self._fd, keys)

    @property
    def plain(self):
        return FINAL.sub("", self.text).replace("\r\n", "\n")

    def _read(self):
        ready, _, _ = select.select([self._fd], [], [], 1.0)
        if not ready:
            return True
        with contextlib.suppress(OSError):  # how Linux tells that the other side has gone
            if new := os.read(self._fd, 65536):
                self.text += new.decode()
                return True
        return False


def test_the_live_table_in_a_terminal(study, tmp_path, kept_programs):
    # Long enough that each cohort is drawn while it trains: the screen changes four times a second.
    long = ["--replicates", "1", "--updates", "8000"]
    screen = Terminal(["run", *TINY, *long], kept_programs, tmp_path)
    assert screen.finish() == 0
    text = screen.plain
    assert max(len(line) for line in text.replace("\r", "\n").splitlines()) <= 80
    assert "accuracy in % so far" in text
    assert re.search(r"training 2 networks, hidden_size=[48]: update [\d,]+ of 8,000", text)
    assert "48;2;" in screen.text  # colored by accuracy
    end = text[text.rindex("LSTM on 8 x 8 digits") :]
    assert end.splitlines()[1].startswith("4 networks: 2 hidden_size")
    with Store.read(tmp_path / "runs" / "quickstart") as store:
        means = [f"{100 * r.metrics['test_accuracy']:.1f}" for _, r in store.results()]
    assert len(means) == 4
    assert all(mean in end for mean in means)
    assert end.rstrip().endswith("Report: runs/quickstart/report.html")


LONG = ["run", "--set", "hidden_size=4", "--set", "learning_rate=0.01,0.1", "--replicates", "1"]
LONG += ["--updates", "60000", "--batch-size", "20"]


def assert_whole(folder, cache):
    """Both networks are there, and what was interrupted equals what is trained in one go."""
    with Store.read(folder / "runs" / "quickstart") as store:
        assert [r.updates for _, r in store.results()] == [60_000, 60_000]
        assert list(store.checkpoints()) == []
    done = subprocess.run(
        [sys.executable, "-m", "gridscape", "replay", "--cell", "learning_rate=0.1"],
        cwd=folder,
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "identical bit for bit" in done.stdout


def test_ctrl_c_keeps_what_is_done_and_running_again_goes_on(tmp_path, kept_programs):
    screen = Terminal(LONG, kept_programs, tmp_path)
    screen.read_until(r"update [1-9]\d?,\d\d\d of 60,000")
    screen.type(b"\x03")
    assert screen.finish() == 130
    assert "Traceback" not in screen.plain
    message = " ".join(screen.plain[screen.plain.rindex("gridscape: interrupted") :].split())
    assert message.startswith("gridscape: interrupted with 0 of 2 networks done; everything")
    assert message.endswith(f"to go on: gridscape {' '.join(LONG)}")
    reached = [int(n.replace(",", "")) for n in re.findall(r"update ([\d,]+) of", screen.plain)]
    again = Terminal(LONG, kept_programs, tmp_path)
    first = again.read_until(r"update ([\d,]+) of 60,000")
    assert int(first.group(1).replace(",", "")) > max(reached)
    assert again.finish() == 0
    assert "Trained 2 networks" in again.plain
    assert_whole(tmp_path, kept_programs)


def test_kill_9_loses_nothing_that_was_stored(tmp_path, kept_programs):
    screen = Terminal(LONG, kept_programs, tmp_path)
    screen.read_until(r"update [1-9]\d?,\d\d\d of 60,000")
    screen.process.kill()
    assert screen.finish() == -signal.SIGKILL
    again = Terminal(LONG, kept_programs, tmp_path)
    assert again.finish() == 0
    assert_whole(tmp_path, kept_programs)
