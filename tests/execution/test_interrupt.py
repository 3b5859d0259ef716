"""Signals: the first asks or raises, the second ends at once; nobody's own handlers are lost."""

import _elementtree
import os
import signal
import subprocess
import sys
import time
from importlib.machinery import ExtensionFileLoader
from importlib.util import spec_from_loader
from pathlib import Path

import pytest
from jax._src import xla_bridge
from runs import bounded

from gridscape.execution import interrupt
from gridscape.execution.interrupt import Guard, Interrupt, InterruptedBySignal

SIGNALS = [getattr(signal, name) for name in interrupt.NAMES if hasattr(signal, name)]


@pytest.fixture(autouse=True)
def handlers_stay():
    """What handles signals is the same after a test."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    changed = {n: h for n, h in before.items() if signal.getsignal(n) is not h}
    Guard.active = None
    for number, handler in before.items():
        signal.signal(number, handler)
    assert not changed


@pytest.fixture
def guard():
    """A guard of this process, taken away after the test."""
    before, hook = {number: signal.getsignal(number) for number in SIGNALS}, sys.unraisablehook
    yield Guard("interrupted").begin()
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_while_a_native_module_begins_comes_a_little_later(guard):
    """What is raised in there becomes an ImportError, or ends the process."""
    heard_within = []

    def send(frame, event, called):
        if event == "c_call" and called.__name__ == "create_dynamic":
            sys.setprofile(None)
            signal.raise_signal(signal.SIGTERM)
            heard_within.append(guard.heard)

    path = next(Path(_elementtree.__file__).parent.glob("_bisect*"))
    loader = ExtensionFileLoader("_bisect", str(path))
    sys.setprofile(send)
    try:
        loader.create_module(spec_from_loader("_bisect", loader))
    finally:
        sys.setprofile(None)
    with pytest.raises(InterruptedBySignal):
        time.sleep(10)
    assert heard_within == [False]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_asks_and_the_second_interrupts(number):
    told = []
    with Interrupt(lambda: told.append(1)) as found:
        signal.raise_signal(number)
        assert (found.asked, told) == (True, [1])
        with pytest.raises(InterruptedBySignal):
            signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            found.raise_if_asked()


def test_what_is_ignored_or_handled_by_others_stays(monkeypatch):
    mine = lambda *_: None  # noqa: E731
    for number, handler in [(signal.SIGINT, signal.SIG_IGN), (signal.SIGTERM, mine)]:
        before = signal.signal(number, handler)
        with Interrupt() as found:
            signal.raise_signal(number)
            assert signal.getsignal(number) is handler
            assert not found.asked
        signal.signal(number, before)


def test_the_second_signal_of_a_command_ends_it(guard, monkeypatch):
    ended = []
    monkeypatch.setattr(Guard, "_end_now", lambda self: ended.append(self.line))
    with Interrupt():
        signal.raise_signal(signal.SIGTERM)
        assert ended == []
        with pytest.raises(InterruptedBySignal):  # where the process does not end after all
            signal.raise_signal(signal.SIGTERM)
        assert ended == ["interrupted"]


def test_one_that_would_be_lost_is_sent_again(guard):
    def _xla_gc_callback():
        signal.raise_signal(signal.SIGINT)

    _xla_gc_callback()
    assert not guard.heard
    with pytest.raises(InterruptedBySignal):
        time.sleep(10)


@pytest.mark.parametrize("is_within", [False, True])
def test_one_beside_a_thread_that_jax_starts_is_sent_again(guard, is_within):
    """Between the start of its timer and what takes it away: the process would wait a minute."""
    assert hasattr(xla_bridge, interrupt.STARTS)
    threads = {"__name__": "threading", "signal": signal}
    exec("def start(): signal.raise_signal(signal.SIGINT)", threads)

    def tpu_client_timer_callback():
        threads["start"]() if is_within else signal.raise_signal(signal.SIGINT)

    tpu_client_timer_callback()
    assert not guard.heard
    with pytest.raises(InterruptedBySignal):
        time.sleep(10)


ENDING = """
import os, sys, time
from gridscape.execution.interrupt import Guard
guard = Guard("interrupted and so on").begin()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("first", flush=True)
    time.sleep(60)
"""


def test_the_second_one_is_told_with_status_130():
    command, pipe = [sys.executable, "-c", ENDING], subprocess.PIPE
    with (
        subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process,
        bounded(process),
    ):
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "first\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, "gridscape: interrupted and so on\n")


LOST = """
import os, signal, time, weakref
from gridscape.execution.interrupt import Guard
Guard("interrupted").begin()
thing = type("Thing", (), {})()
keeper = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT) or time.sleep(0))
try:
    del thing
    time.sleep(60)
except KeyboardInterrupt:
    print("raised")
"""


def test_one_that_is_lost_in_a_callback_comes_again_and_nothing_is_told_of_it():
    done = subprocess.run(
        [sys.executable, "-c", LOST], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("raised\n", "")


def test_other_errors_that_are_lost_are_told_as_ever():
    raised = LOST.replace("os.kill(os.getpid(), signal.SIGINT) or time.sleep(0)", "1 / 0")
    done = subprocess.run(
        [sys.executable, "-c", raised.replace("sleep(60)", "sleep(0)")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == ""
    assert "ZeroDivisionError" in done.stderr


WAITING = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from gridscape.execution.interrupt import Guard
guard = Guard("interrupted").begin()
ThreadPoolExecutor(1).submit(time.sleep, 100)
guard.end(7)
print("ready", flush=True)
sys.exit(7)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_that_waits_for_its_threads_at_the_end_can_be_ended(number):
    with (
        subprocess.Popen(
            [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True
        ) as process,
        bounded(process),
    ):
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(timeout=60) == 7


def writer_of(fifo, seconds=60):
    """The end of it where one writes, once another process reads there."""
    end = time.monotonic() + seconds
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads there yet
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_that_is_ended_tells_how_to_go_on(tmp_path, number):
    os.mkfifo(tmp_path / "endless.toml")  # which the command waits for
    process = subprocess.Popen(
        [sys.executable, "-m", "gridscape", "plan", "endless.toml"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, bounded(process), os.fdopen(writer_of(tmp_path / "endless.toml"), "wb"):
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    line = "interrupted and what is stored is kept; to go on: gridscape plan endless.toml"
    assert (process.returncode, told) == (130, f"gridscape: {line}\n")
