"""What several tests of runs need: their results, and processes of their own."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
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


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


@contextlib.contextmanager
def bounded(process, seconds=240):
    """A process that is killed then, so that nobody waits for its next line for ever."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()


def python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
