"""The one tree of errors that Gridscape raises on purpose.

    GridscapeError                    catch this one
    |-- UsageError                    the request cannot be right         (exit status 2)
    |   |-- UnknownNameError          no such study, axis, task, option
    |   `-- StudyFileError            a study file with one or more mistakes
    |-- DataError                     a data set cannot be used           (exit status 1)
    |   |-- DataMissingError          not on this machine, not fetched
    |   `-- DataCorruptError          truncated, altered, out of range
    |-- ModelError                    a model does not fit its task       (exit status 1)
    |   `-- UntranslatedError         a part of a PyTorch module that has no layer here
    |-- StoreError                    a results folder cannot be used     (exit status 1)
    |   |-- StoreLockedError          another process writes it
    |   |-- UntrustedError            it names code or files of somebody else's
    |   `-- StoreFullError            the disk (or quota) is full
    `-- OutOfMemoryError              a program does not fit              (exit status 1)

Every error says what is wrong and, where it is known, where, what was expected, what was found
and what to do next. ``str(error)`` is one line: that is what the command line prints.
"""

import difflib
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from numbers import Integral  # NumPy's whole numbers are such, too
from typing import Any

LONGEST = 300  # characters of an error's line
_SHORTEST = 60  # of each part of one that is too long


class GridscapeError(Exception):
    """What is wrong, where, what was expected, what was found, and the next step."""

    exit_status = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        found: object = None,
        hint: str | None = None,
    ) -> None:
        self.what, self.where, self.expected = what, where, expected
        self.found, self.hint = found, hint
        super().__init__(what)

    def __reduce__(self) -> tuple[Any, ...]:
        # Subclasses take other arguments; an error must survive the way back from another process.
        return _rebuilt, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        names = ("found", "expected", "where", "what", "hint")
        given = {name: getattr(self, name) for name in names}
        parts = {name: _text(value) for name, value in given.items() if value is not None}
        for name, text in parts.items():  # what was found is the easiest to see elsewhere
            too_many = len(_line(parts)) - LONGEST
            if too_many > 0:
                parts[name] = cut(text, max(_SHORTEST, len(text) - too_many))
        return _line(parts)


def _line(parts: dict[str, str]) -> str:
    """The parts of an error in one line."""
    line = f"{parts['where']}: {parts['what']}" if "where" in parts else parts["what"]
    if details := [f"{word} {parts[word]}" for word in ("expected", "found") if word in parts]:
        line += f" ({', '.join(details)})"
    return line + (f"; {parts['hint']}" if parts.get("hint") else "")


def _text(value: object) -> str:
    """A part of an error as it is said; what has no text is told by its kind.

    Names of somebody else's folder may be in it: they move no cursor.
    """
    try:
        return _printable(" ".join(str(value).split()))
    except Exception:
        return short(value)


def _rebuilt(kind: type[GridscapeError], args: tuple[Any, ...], fields: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class UsageError(GridscapeError):
    """The request cannot be right, whatever the state of the machine."""

    exit_status = 2


class UnknownNameError(UsageError):
    """An unknown name; the message ends with ``hint``, else it offers the nearest known one."""

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str],
        *,
        where: object = None,
        hint: str | None = None,
    ) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name[:LONGEST], known, n=1, cutoff=0.5)
        nearest = f"did you mean {near[0]!r}?" if near else f"known: {_listed(known)}"
        self.kind, self.name, self.known = kind, name, known
        super().__init__(f"unknown {kind} {name!r}", where=where, hint=hint or nearest)


class StudyFileError(UsageError):
    """A study with mistakes; ``mistakes`` lists all of them, each with its line or key.

    Its text tells as many as one line holds, and of the others how many there are.
    """

    def __init__(self, where: object, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        count = f"{len(mistakes)} mistakes: " if len(mistakes) > 1 else ""
        where = cut(str(where), LONGEST // 3)
        room = LONGEST - len(f"{where}: {count}")
        super().__init__(count + _as_many_as_fit(mistakes, room), where=where)


class DataError(GridscapeError):
    """A data set cannot be used."""


class DataMissingError(DataError):
    """A data set is not on this machine and could not be fetched."""


class DataCorruptError(DataError):
    """A data file is truncated, altered, or holds values out of range."""


class ModelError(GridscapeError):
    """A model does not fit the task it is given."""


class UntranslatedError(ModelError):
    """A part of a PyTorch module that no layer of Gridscape stands for."""


class StoreError(GridscapeError):
    """A results folder cannot be used."""


class StoreLockedError(StoreError):
    """Another process is writing the same results folder."""


class UntrustedError(StoreError):
    """The study of a results folder names code or files that nobody here vouched for."""


class StoreFullError(StoreError):
    """The disk, or the quota, that holds the results folder is full."""


class OutOfMemoryError(GridscapeError):
    """A program does not fit into memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be had, as Python, NumPy or JAX tells it."""
    # By name: this module must not need JAX.
    of_jax = "JaxRuntimeError" in {kind.__name__ for kind in type(error).__mro__}
    text = str(error)
    refused = of_jax and ("RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower())
    # A library for which there is no address space, and a thread for whose stack there is none.
    unmapped = isinstance(error, ImportError) and "failed to map segment" in text
    stackless = isinstance(error, RuntimeError) and text == "can't start new thread"
    of_another = isinstance(error, ImportError) and isinstance(error.__cause__, MemoryError)
    return (
        isinstance(error, MemoryError | OutOfMemoryError)
        or refused
        or unmapped
        or stackless
        or of_another
    )


@contextmanager
def memory_errors(where: object) -> Iterator[None]:
    """Tell memory that cannot be had, in whatever is done meanwhile, as an OutOfMemoryError."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OutOfMemoryError) or not is_out_of_memory(error):
            raise
        raise out_of_memory(error, where) from error


def out_of_memory(error: Exception, where: object = None) -> OutOfMemoryError:
    """The error of our own that tells of memory which could not be had."""
    hint = "give it more memory, or choose smaller networks or batches"
    return OutOfMemoryError("out of memory", where=where, found=one_line(error)[:150], hint=hint)


def _listed(names: Sequence[str]) -> str:
    """Whole names, as many as leave room for the rest of a line, and how many more there are."""
    ends = accumulate(len(name) + len(", ") for name in names)
    n = max(1, sum(end <= LONGEST // 2 for end in ends))
    return (", ".join(names[:n]) or "none") + (f" and {len(names) - n} more" if names[n:] else "")


def one_line(error: BaseException) -> str:
    """The type of any error and the first line of its text, of what can be printed.

    Of one that was raised in a callback of a compiled program, it is the error of the callback.
    """
    lines = str(error).strip().splitlines() or [""]
    if lines[0].endswith("Traceback (most recent call last):"):
        # Frames are indented; the first line that is not tells the error.
        own = next((line for line in lines[1:] if line[:1].strip()), None)
        return _printable(own[:200]) if own else _printable(lines[0])
    return f"{type(error).__name__}: {_printable(lines[0][:200])}".removesuffix(": ")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def check_known(kind: str, name: Any, names: Iterable[str], *, where: object = None) -> None:
    """Raise UnknownNameError unless a name is one of those known."""
    if name not in list(names):
        raise UnknownNameError(kind, str(name), names, where=where)


def check_whole(low: int = 1, high: float = math.inf, **options: Any) -> None:
    """Raise UsageError unless every option is a whole number from ``low`` to ``high``."""
    expected = f"a whole number from {low}" + (f" to {high}" if high < math.inf else "")
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise UsageError("out of range", where=name, expected=expected, found=repr(value))


def check_numbers(
    where: str, values: Iterable[Any], low: float = -math.inf, once: bool = False
) -> None:
    """Raise UsageError unless there are numbers, all whole and from ``low``, each ``once``."""
    numbers = list(values)
    are_whole = [isinstance(n, Integral) and not isinstance(n, bool) for n in numbers]
    repeated = once and all(are_whole) and len(set(numbers)) < len(numbers)
    if not numbers or not all(are_whole) or min(numbers) < low or repeated:
        expected = "whole numbers" + (f" from {low}" if low > -math.inf else "")
        expected += ", each once" if once else ""
        raise UsageError("out of range", where=where, expected=expected, found=short(values))


def short(value: Any) -> str:
    """A value as it is written, cut where it is long; its kind where it cannot be written."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a whole number of thousands of digits, or any fault of another's class
        text = f"{type(value).__name__} that cannot be written out"
        if isinstance(value, int) and value:
            text = f"a whole number of {int(math.log10(abs(value))) + 1:,} digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def cut(text: str, most: int) -> str:
    """A text without its middle where it is longer than ``most``: paths differ at their ends."""
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[: most - 3 - half]}...{text[-half:]}"


def _as_many_as_fit(lines: list[str], most: int) -> str:
    """Lines in one, the first at least; the number of those that have no room."""
    # No more lines than this fit, be they ever so short.
    for n in range(min(len(lines), most), 1, -1):
        rest = f"; and {len(lines) - n:,} more" if n < len(lines) else ""
        if len(text := "; ".join(lines[:n]) + rest) <= most:
            return text
    rest = f"; and {len(lines) - 1:,} more" if lines[1:] else ""
    return cut(lines[0], most - len(rest)) + rest if lines else ""
