"""Somebody else's code, called so that whatever it raises is an error as any other."""

from collections.abc import Iterator
from contextlib import contextmanager
from opcode import opmap
from types import TracebackType


@contextmanager
def of_others() -> Iterator[None]:
    """Call somebody's code: what ends a process there, as sys.exit, becomes an Exception.

    It keeps its name and text. Ctrl-C is let through, which no statement of that code raises.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and not _is_stated(error):
            raise
        kind = type(type(error).__name__, (Exception,), {})
        raise kind(str(error)) from error


def _is_stated(error: KeyboardInterrupt) -> bool:
    """Whether a ``raise`` made it, and not a signal between any two instructions.

    A handler that raises one of its own raises a kind of its own (execution/interrupt.py).
    """
    innermost = error.__traceback__
    while isinstance(innermost, TracebackType) and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None or type(error) is not KeyboardInterrupt:
        return False
    return innermost.tb_frame.f_code.co_code[innermost.tb_lasti] == opmap["RAISE_VARARGS"]
