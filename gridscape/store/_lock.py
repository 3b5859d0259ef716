"""Who writes a results folder: one process, held by locks that the system takes back when it dies.

Two are held: the file `.lock`, which tells who it is, and the folder itself, so that whoever
deletes the file lets nobody in. A file system without such locks gets a file that only one process
can make, and whose time it renews.
"""

import errno
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gridscape.errors import StoreError, StoreLockedError
from gridscape.store.record import OTHER_FOLDER

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # all others
    msvcrt = None  # type: ignore[assignment]

LOCK, MADE = ".lock", ".lock.held"
BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0  # six beats: a writer that does not renew its file for so long has died
_HELD = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}
# What file systems without locks say: NFS without its daemon, Lustre without the option.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL}
_AT = 2**20  # where Windows locks a byte: there it may not be read, and here nothing stands


@contextmanager
def locked(directory: Path) -> Iterator[Callable[[], None]]:
    """Hold a folder; gives what raises StoreError once it is not at its place any more.

    Raises StoreLockedError where another process has it.
    """
    with ExitStack() as held:
        descriptor = _opened(directory / LOCK)
        held.callback(os.close, descriptor)
        is_held = [_hold(descriptor, directory, descriptor)]
        is_mine: Callable[[], bool] = lambda: True  # noqa: E731
        if fcntl is not None:  # else folders are not opened, and what is open is not deleted
            folder = os.open(directory, os.O_RDONLY)
            held.callback(os.close, folder)
            is_held.append(_hold(folder, directory, descriptor))
        if not any(is_held):
            is_mine = held.enter_context(_made(directory))
        if os.fstat(descriptor).st_nlink == 1:  # else it is a file elsewhere too
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, _name().encode())
        before = _identity(directory)

        def require_here() -> None:
            if not is_mine():
                raise _taken(directory, "one that took this process for dead")
            if _identity(directory) != before:
                raise StoreError(
                    "was moved or deleted while it was written",
                    where=directory,
                    hint="nothing is written elsewhere: put it back and run again",
                )

        yield require_here


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT
    for name in ("O_NOFOLLOW", "O_BINARY"):  # as far as this system has them
        flags |= getattr(os, name, 0)
    return os.open(path, flags, 0o644)


def _hold(descriptor: int, directory: Path, told_in: int) -> bool:
    """Take the lock of an open file; False where the file system has none."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            os.lseek(descriptor, _AT, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        if error.errno in _HELD:
            os.lseek(told_in, 0, os.SEEK_SET)
            raise _taken(directory, os.read(told_in, 256).decode(errors="replace")) from None
        raise
    return True


@contextmanager
def _made(directory: Path) -> Iterator[Callable[[], bool]]:
    """Hold a folder by a file that is there or not; gives whether it is still this process's.

    Its time is renewed while it is held.
    """
    path, text = directory / MADE, f"{_name()}, {secrets.token_hex(4)}"
    if _is_stale(path):
        path.unlink(missing_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _taken(directory, _text_in(path)) from None
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with suppress(OSError):  # removed by hand: the next write tells
                os.utime(path)

    thread = threading.Thread(target=beat, name="gridscape-lock", daemon=True)
    thread.start()
    try:
        yield lambda: _text_in(path) == text
    finally:
        ended.set()
        thread.join()
        if _text_in(path) == text:
            path.unlink(missing_ok=True)


def _is_stale(path: Path) -> bool:
    """Whether who made it has died: here, or elsewhere by the time that is not renewed."""
    try:
        written = path.stat().st_mtime
    except OSError:
        return False
    number, _, host = _text_in(path).partition(", ")[0].removeprefix("process ").partition(" on ")
    if host == socket.gethostname() and number.isdecimal() and os.name == "posix":
        return not _is_alive(int(number))
    return time.time() - written > STALE_SECONDS


def _text_in(path: Path) -> str:
    """What is written in a small file; nothing where there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(256)
    except OSError:
        return ""


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _taken(directory: Path, holder: str) -> StoreLockedError:
    return StoreLockedError(
        "another process is writing here",
        where=directory,
        found=holder or "a process that has just begun",
        hint=f"wait for it or stop it, or {OTHER_FOLDER}",
    )


def _name() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _identity(directory: Path) -> tuple[int, int] | None:
    """What tells a folder from another one that has taken its place; None where there is none."""
    try:
        found = directory.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
