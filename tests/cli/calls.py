"""What the tests of the command line share: a tiny run, and the surroundings of a process."""

import os
import re
from pathlib import Path

from gridscape.cli import commands

ROOT = Path(__file__).parents[2]


TINY = ["--set", "hidden_size=4,8", "--set", "learning_rate=0.01,0.1", "--updates", "20"]


FINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


DEADLINE_SECONDS = 600


def environment(cache, **values):
    """Of a subprocess: no terminal, its own cache, this package."""
    # Importing JAX in this process has set the last one.
    dropped = {"FORCE_COLOR", "NO_COLOR", "JAX_COMPILATION_CACHE_DIR", "TF_CPP_MIN_LOG_LEVEL"}
    dropped |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    own = {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "XDG_CACHE_HOME": str(cache)}
    return {**kept, **own, "TERM": "xterm-256color", **values}


def widest(text):
    return max(len(line) for line in text.splitlines())


def command_names():
    return sorted(commands.typer.main.get_command(commands.app).commands)
