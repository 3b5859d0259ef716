"""What several tests of runs need: their results, and processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

from cohort_tools import assert_same

from gridscape.store.store import Store


def stored(directory):
    with Store.read(directory) as store:
        return {(str(t.cell), t.replicate): r for t, r in store.results()}


def assert_equal_tables(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert_same(one[name], other[name])


def environment():
    root = Path(__file__).parents[1]
    return {
        **os.environ,
        "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
