"""Standard output and standard error, also where they are full, closed, or nobody reads them."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gridscape.errors import LONGEST, GridscapeError, cut


class Output:
    """A standard stream that takes everything: what could not be written is told at the end.

    So a command does all that it does beside its output, be its disk full or its terminal closed.
    """

    def __init__(self, stream: Any, trouble: str | None = None) -> None:
        self._stream, self._trouble, self._was_read = stream, trouble, True

    def write(self, text: str) -> int:
        """As of any text stream."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """As of any text stream."""
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except BrokenPipeError:
            self._was_read = False
            forget(self._stream)
        except OSError as error:
            self._trouble = error.strerror or str(error)
            forget(self._stream)

    def end(self) -> None:
        """Write what is left; raises GridscapeError where standard output did not take all.

        Raises BrokenPipeError where its reader, as in ``| head``, has seen enough.
        """
        self.flush()
        if not self._was_read:
            raise BrokenPipeError
        if self._trouble:
            raise GridscapeError(
                "cannot write to standard output",
                found=self._trouble,
                hint="what the command does beside it is done",
            )


def stand_in() -> None:
    """Put a sink in the place of streams that are closed, and ``Output`` before them.

    Else what is opened next stands there, and is written to by whoever means the stream.
    """
    trouble = "it is closed" if sys.stdout is None else None
    with suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(descriptor, True)
        os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    sys.stdout, sys.stderr = Output(sys.stdout, trouble), Output(sys.stderr)


def end_output() -> None:
    """Flush standard output; raises as ``Output.end``."""
    sys.stdout.end() if isinstance(sys.stdout, Output) else sys.stdout.flush()


def forget(stream: Any) -> None:
    """Have what is still to be written go nowhere, also when Python ends."""
    with suppress(OSError, ValueError):
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, stream.fileno())
        os.close(sink)


def complain(text: str, most: int = LONGEST) -> None:
    """One line on standard error; where that takes none, the exit status tells alone.

    What a folder or somebody's code has written into it moves no cursor.
    """
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    try:
        print(f"gridscape: {cut(line, most)}", file=sys.stderr, flush=True)
    except OSError:
        forget(sys.stderr)
