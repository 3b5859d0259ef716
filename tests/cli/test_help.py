"""Help and versions: fast, narrow, and importing nothing slow."""

import subprocess
import sys

import pytest
from calls import DEADLINE_SECONDS, command_names, environment, widest

from gridscape.identity.version import __version__

pytestmark = pytest.mark.usefixtures("quiet_place")


def test_the_commands_are_those_of_the_design():
    designed = {"list", "plan", "run", "show", "report", "claims", "inspect", "replay", "export"}
    further = {
        "compare",
        "confirm",
        "control",
        "data",
        "decide",
        "doctor",
        "figures",
        "import",
        "live",
    }
    further |= {"refine", "merge", "axes"}
    assert set(command_names()) == designed | further


def test_help_imports_nothing_slow_and_is_fast():
    code = """
import sys, time
begin = time.process_time()
from gridscape.cli.commands import exit_status
for arguments in [["--help"], ["--version"]] + [[name, "--help"] for name in sys.argv[1:]]:
    assert exit_status(arguments) == 0, arguments
slow = {"jax", "pandas", "xarray", "matplotlib", "numpy", "scipy", "sklearn", "optax"}
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
    assert float(seconds) < 2  # all of them together: .2 to .6 of a core that others share
    assert widest(done.stdout) <= 80


def test_no_command_shows_the_help(call):
    status, out, err = call()
    assert (status, err) == (0, "")
    assert "run      Train what is missing of a study" in out


def test_version(call):
    assert call("--version") == (0, f"gridscape {__version__}\n", "")
