"""Processes forked from one that has imported the libraries: each begins in milliseconds.

Python has one such server a process, whoever asks first; so all tests take this one.
"""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parent.parent

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["forks_preload"])


def start_server() -> None:
    """Start the process that is forked, where it finds what it imports; only the first time."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with mock.patch.dict(os.environ, PYTHONPATH=paths):
        forkserver.ensure_running()


def process(
    target: Callable[..., object], args: tuple[object, ...], daemon: bool = False
) -> BaseProcess:
    """One that will call ``target(*args)``; a daemon ends with this one, and starts no other."""
    start_server()
    return context.Process(target=target, args=args, daemon=daemon)
