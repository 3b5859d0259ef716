"""Ctrl-C once stops a run where nothing is lost; twice, at once. SIGTERM and SIGHUP do the same."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from importlib.machinery import ExtensionFileLoader
from types import FrameType
from typing import Any, NoReturn, Self

# What a terminal sends, and what a machine sends that is needed for something else: schedulers of
# clusters, containers, preemptible machines. As far as a system has them.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
STATUS = 130  # of a command that one of them ended
# What Python raises in this callback is lost; while a native module begins, it becomes another
# error or ends the process. The signal is sent again, a little later.
DEAF, AGAIN_SECONDS = "_xla_gc_callback", 0.02
BEGIN = {
    ExtensionFileLoader.create_module.__code__,
    ExtensionFileLoader.exec_module.__code__,
}
# Here JAX starts a thread before the ``try`` that ends it: left behind, it keeps the process for a
# minute.
STARTS = "tpu_client_timer_callback"

Handler = Callable[[int, FrameType | None], None]


class InterruptedBySignal(KeyboardInterrupt):
    """A signal asked the work to end."""


class Guard:
    """What a command does at a signal: the first one raises, the second one ends the process.

    line: what is said when it ends at once. heard: whether there was a first one. Signals that were
    ignored before, as by nohup, stay so.
    """

    active: "Guard | None" = None

    def __init__(self, line: str) -> None:
        self.line, self.heard = line, False
        self._number: int | None = None
        self._before: dict[int, Any] = {}

    def begin(self) -> Self:
        """Handle signals from now on."""
        self._before = _taken(self, all_of=True)
        Guard.active = self
        sys.unraisablehook = partial(self._unraised, sys.unraisablehook)
        atexit.register(self._ignore)  # before all others, so that it is called last
        return self

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.heard:
            self._end_now()
        if _put_off(number, frame):
            return
        self.heard, self._number = True, number
        raise InterruptedBySignal

    def _unraised(self, before: Callable[[Any], Any], lost: Any) -> None:
        """What is raised within a callback of native code is lost: the signal comes again."""
        if self._number is None or not issubclass(lost.exc_type, InterruptedBySignal):
            before(lost)
            return
        self.heard = False
        _send_again(self._number)

    def end(self, status: int) -> None:
        """The process ends with its status, signals or not: at the next one it waits for no thread.

        It would wait for those that compile, for minutes. Python takes its handlers away before it
        has ended; the signal would be the status then, so the last thing is to ignore them.
        """
        for number in self._before:
            signal.signal(number, lambda *_: os._exit(status))

    def _ignore(self) -> None:
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def _end_now(self) -> NoReturn:
        """What is stored is whole at any moment."""
        shown = "\x1b[?25h\n" if sys.stderr.isatty() else ""  # a live table hides the cursor
        try:
            os.write(2, f"{shown}gridscape: {self.line}\n".encode())
        finally:
            os._exit(STATUS)


class Interrupt:
    """Turns Ctrl-C into a request that is met after the segment, when all can be kept.

    A second Ctrl-C interrupts at once; with ``at_once`` the first one does. What Python raises
    within a callback, such as that of the garbage collector, is lost: ``raise_if_asked`` still
    knows. Outside the main thread, where Python allows no signal handlers, signals are left as
    they are, and so are those that were ignored, or that somebody else handles.
    """

    def __init__(self, tell: Callable[[], None] = lambda: None, *, at_once: bool = False) -> None:
        self.asked, self._tell, self._at_once = False, tell, at_once
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = _taken(self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        _given_back(self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        again, guard = self.asked, Guard.active
        self.asked = True
        if again or self._at_once:
            if guard is not None:
                guard(number, frame)
                return
            if not _put_off(number, frame):
                raise InterruptedBySignal
        if guard is not None:
            guard.heard = True
        self._tell()

    def raise_if_asked(self) -> None:
        """Raise KeyboardInterrupt when Ctrl-C was pressed."""
        if self.asked:
            raise InterruptedBySignal


def _taken(handler: Handler, all_of: bool = False) -> dict[int, Any]:
    """Have signals handled; what did so before.

    Ctrl-C is taken from whoever has it, the others only from Python and from us.
    """
    before = {}
    for number in [getattr(signal, name) for name in NAMES if hasattr(signal, name)]:
        found = signal.getsignal(number)
        free = found is signal.SIG_DFL or isinstance(found, Guard)
        free = free or isinstance(getattr(found, "__self__", None), Interrupt)
        if found not in (signal.SIG_IGN, None) and (free or all_of or number == signal.SIGINT):
            before[number] = signal.signal(number, handler)
    return before


def _given_back(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)


def _put_off(number: int, frame: FrameType | None) -> bool:
    """Send a signal again, a little later, where it must not raise now; whether that was done."""
    if is_deaf := _is_deaf(frame):
        _send_again(number)
    return is_deaf


def _send_again(number: int) -> None:
    threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()


def _is_deaf(frame: FrameType | None) -> bool:
    """Whether what is raised here is lost, or does harm."""
    if _starts_a_thread(frame):
        return True
    while frame is not None:
        if frame.f_code.co_name == DEAF or frame.f_code in BEGIN:
            return True
        frame = frame.f_back
    return False


def _starts_a_thread(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_globals.get("__name__") == "threading":
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == STARTS


def is_interruption(error: BaseException) -> bool:
    """Whether it is Ctrl-C; before Python 3.12 one that comes while a class is made is wrapped."""
    return isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, KeyboardInterrupt)
