"""How numbers, names and states are said: the same in the terminal, on the page and in figures.

What the page says comes from here with its document; of the numbers that its scripts write
themselves, ``page/format.js`` repeats the rules, and a test compares the two.
"""

import math
from typing import Literal, NamedTuple

from gridscape.analysis.cells import CellState
from gridscape.analysis.published import Agreement
from gridscape.analysis.statistics import Interval
from gridscape.grid.meanings import Meaning
from gridscape.landscape import Landscape

TIMES, PLUS_MINUS = "\u00d7", "\u00b1"
NONE = "\u2013"  # in place of a number that is not known

Unit = Literal["fraction", "seconds", "flops", "bytes", "count", "number"]
Cost = Literal["flops", "seconds", "n_parameters", "memory_bytes"]
UNITS: dict[str, Unit] = {
    "fraction": "fraction",
    "s": "seconds",
    "FLOP": "flops",
    "B": "bytes",
    "parameters": "count",
}
NAMES: dict[str, str] = {
    "flops": "FLOP of training",
    "seconds": "seconds per trial",
    "n_parameters": "parameters",
    "memory_bytes": "bytes of memory",
}


# ---- names ----


def spoken(name: str) -> str:
    """A variable's name as a reader says it: "test accuracy"."""
    return NAMES.get(name, name.replace("_", " "))


def with_unit(name: str, meaning: Meaning) -> str:
    """The same with the unit of the numbers beside it: "test accuracy in %"."""
    is_told = name in NAMES or not meaning.shown_unit
    return spoken(name) if is_told else f"{spoken(name)} in {meaning.shown_unit}"


def unit(meaning: Meaning) -> Unit:
    """How numbers of this meaning are written."""
    return UNITS.get(meaning.unit, "number")


def plural(count: int, word: str) -> str:
    """A count with its word: "1 network", "18 networks"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


# ---- numbers ----


def half_width(estimate: Interval, meaning: Meaning) -> str:
    """Half of an interval (its longer side), "\u00b10.6"; nothing where there is none."""
    return f"{PLUS_MINUS}{meaning.text(estimate.reach)}" if estimate.known else ""


def number(value: float | None) -> str:
    """Two digits that count, never an exponent.

    >>> [number(x) for x in (0.0, 0.00042, 0.0035, 0.067, 3.28, 1234.5, None)]
    ['0', '<0.001', '0.0035', '0.067', '3.3', '1,234', 'unknown']
    """
    if value is None or not math.isfinite(value):
        return "unknown"
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return "<0.001"
    return f"{value:,.0f}" if abs(value) >= 99.5 else f"{value:.2g}"


def duration(seconds: float | None) -> str:
    """A time as people say it.

    >>> [duration(s) for s in (0.2, 41.7, 100, 5400, 2e5, 9e7, None)]
    ['0.2 s', '42 s', '1.7 min', '1.5 h', '2.3 days', '1,042 days', 'unknown']
    """
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    for word, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{number(seconds / size)} {word}"
    return f"{seconds:.0f} s" if seconds >= 0.95 else f"{seconds:.1f} s"


def memory(size_bytes: float) -> str:
    """An amount of memory as people say it.

    >>> [memory(n) for n in (4e5, 1.8e6, 6.8e7, 1.55e9, 2.4e11)]
    ['0.4 MB', '1.8 MB', '68 MB', '1.6 GB', '240 GB']
    """
    mega = size_bytes / 1e6
    return f"{number(mega)} MB" if mega < 999.5 else f"{number(mega / 1e3)} GB"


# ---- states and marks ----


class StateWords(NamedTuple):
    """What marks a state of cells.

    word: in a legend; short: in a cell that has no number; sign: of one character, for a terminal;
    meaning: a sentence.
    """

    word: str
    short: str
    sign: str
    meaning: str


STATES = {
    CellState.COLLAPSED: StateWords(
        "collapsed",
        NONE,
        "=",
        "The network trained to the end but gives one and the same answer to (nearly) everything: "
        "it learned nothing but a constant.",
    ),
    CellState.DIVERGED: StateWords(
        "diverged",
        "div.",
        TIMES,
        "Loss, gradient or parameters stopped being finite numbers in at least half of the "
        "replicates.",
    ),
    CellState.FAILED: StateWords(
        "failed",
        "failed",
        "!",
        "At least half of the replicates ended in an error or did not fit into memory.",
    ),
    CellState.MISSING: StateWords(
        "not trained yet",
        NONE,
        "\u00b7",
        "No replicate has ended: the study is running, was interrupted, or was extended.",
    ),
}


def blank(state: CellState) -> str:
    """What stands in a cell that has no number."""
    return STATES[state].short if state in STATES else NONE


def agreement(found: Agreement) -> str:
    """How a published number lies to ours, in words."""
    return "cannot be judged" if found is Agreement.UNKNOWN else found.value


# ---- a study ----


def size_of(land: Landscape) -> str:
    """What was trained, and how much of it, without a full stop.

    "72 networks: 4 hidden_size x 6 learning_rate, 3 replicates each, trained on digits-rows for
    400 updates of 100 examples"
    """
    n_replicates = land.n_replicates
    shape = f" {TIMES} ".join(f"{len(axis.values)} {axis.name}" for axis in land.axes)
    each = f"{n_replicates} replicates each" if n_replicates > 1 else "one replicate each"
    task = land.study.get("task")
    on = f", trained on {task}" if isinstance(task, str) and task else ""
    updates, batch = land.setting("updates"), land.setting("batch_size")
    budget = (
        f" for {updates} updates" + (f" of {batch} examples" if batch else "") if updates else ""
    )
    return f"{plural(land.array('status').size, 'network')}: {shape}, {each}{on}{budget}"
