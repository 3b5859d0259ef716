"""What the command line sets up before JAX is first used."""

import os
import resource
import subprocess
import sys
import threading

import pytest
from forks import ROOT
from jax import monitoring

from gridscape.cli._startup import _compile_clock, _compile_seconds, prepare_jax
from gridscape.engine.compilers import BACKEND_COMPILE, WAITED
from gridscape.errors import OutOfMemoryError
from gridscape.kernels.cores import ADDRESSES_PER_CORE, LEAST_ADDRESSES, n_cores, require_addresses


def limited(n_bytes, *arguments, folder):
    """The command line under a limit on its address space, which this process does not get."""
    code = f"import resource as r; r.setrlimit(r.RLIMIT_AS, ({n_bytes},) * 2); from gridscape.cli "
    return subprocess.run(
        [sys.executable, "-c", f"{code}import main; main({list(arguments)!r})"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


COMMANDS = {
    "list": (),
    "plan": ("quickstart",),
    "run": ("quickstart",),
    "inspect": ("results",),
    "replay": ("results", "--cell", "a=1"),
    "doctor": (),
}


@pytest.mark.parametrize("n_mib", [1700, 1200, 400])
@pytest.mark.parametrize(("command", "rest"), COMMANDS.items(), ids=COMMANDS)
def test_too_little_address_space_is_told_in_one_line(tmp_path, command, rest, n_mib):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "study.json").write_text("{}")
    done = limited(n_mib * 2**20, command, *rest, folder=tmp_path)
    assert done.returncode == 1, done.stderr[-500:]
    (line,) = done.stderr.splitlines()
    assert line.startswith("gridscape: ulimit -v: too little address space for JAX (expected at")
    assert f"found {n_mib * 1024:,}" in line
    assert len(line) <= 300


def test_enough_address_space_is_enough(tmp_path):
    """With some room above what is told as the least, a tiny study is compiled and trained."""
    least = LEAST_ADDRESSES + ADDRESSES_PER_CORE * n_cores() + 400 * 2**20
    axes = ["--set", "hidden_size=2", "--set", "learning_rate=0.1"]
    options = [*axes, "--updates", "1", "--replicates", "1", "--dir", str(tmp_path / "run")]
    done = limited(least, "run", "quickstart", *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-500:]


def test_no_limit_and_a_high_one_are_fine(monkeypatch):
    for limit in (resource.RLIM_INFINITY, 2**42):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        require_addresses()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**20, 2**20))
    monkeypatch.setattr("gridscape.kernels.cores._jax_runs", lambda: False)
    with pytest.raises(OutOfMemoryError, match="taskset"):
        require_addresses()


def test_only_the_compiling_that_keeps_this_thread_counts():
    seconds = _compile_clock()
    monitoring.record_event_duration_secs(BACKEND_COMPILE, 2.0)
    monitoring.record_event_duration_secs(WAITED, 3.0)
    monitoring.record_event_duration_secs("/jax/core/compile/jaxpr_trace_duration", 5.0)
    elsewhere = threading.Thread(
        target=monitoring.record_event_duration_secs, args=(BACKEND_COMPILE, 7.0)
    )
    elsewhere.start()
    elsewhere.join(timeout=60)
    assert seconds() == 5.0


def test_a_process_has_one_listener_and_each_clock_starts_at_zero(monkeypatch):
    added = []
    monkeypatch.setattr(monitoring, "register_event_duration_secs_listener", added.append)
    _compile_seconds.cache_clear()
    first = prepare_jax(computes=False)
    added[0](WAITED, 2.0)
    second = prepare_jax(computes=False)
    added[0](WAITED, 3.0)
    _compile_seconds.cache_clear()  # what was added here is heard by nobody
    assert (len(added), first(), second()) == (1, 5.0, 3.0)


LOOKED = """
import gc, sys

class Watching:
    def find_spec(self, name, *_):
        found.setdefault(name, gc.isenabled())

found = {}
sys.meta_path.insert(0, Watching())
from gridscape import cli
try:
    cli.main(["axes", "quickstart"])
except SystemExit as ended:
    assert ended.code == 0
told = ("typer", "jax", "gridscape.study.known_axes")
print([found[name] for name in told], file=sys.stderr)
"""


def test_garbage_is_looked_for_in_a_command_but_not_while_it_is_imported():
    done = subprocess.run(
        [sys.executable, "-c", LOOKED],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr.splitlines()[-1] == "[False, False, True]"


WRAPPED = """
import sys
from gridscape import cli
from gridscape.cli import commands

class Field:
    def __set_name__(self, *_):
        raise KeyboardInterrupt

def load(_):
    class Column:
        cells = Field()

where = {"command": commands.typer.main, "import": None}[sys.argv.pop()]
if where is None:
    from gridscape.cli import _streams
    _streams.stand_in = lambda: load(None)
else:
    where.get_command = load
cli.main(["list"])
"""


@pytest.mark.parametrize("where", ["command", "import"])
def test_ctrl_c_while_a_class_is_made_is_ctrl_c(where):
    """Which Python 3.11 wraps in an error."""
    done = subprocess.run(
        [sys.executable, "-c", WRAPPED, where],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.startswith("gridscape: interrupted")
    assert done.stderr.count("\n") == 1
