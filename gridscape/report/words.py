"""How numbers, names and states are said: the same in the terminal, on the page and in figures.

What the page says comes from here with its document; of the numbers that its scripts write
themselves, ``page/format.js`` repeats the rules, and a test compares the two.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from gridscape.analysis.best import BestPerRow
from gridscape.analysis.boundaries import Boundary
from gridscape.analysis.cells import CellState, CellSummary
from gridscape.analysis.confirmed import Confirmation
from gridscape.analysis.efforts import Efforts
from gridscape.analysis.few import FEWEST, has_few
from gridscape.analysis.published import Agreement
from gridscape.analysis.statistics import LEVEL, Interval
from gridscape.analysis.winner import Winner
from gridscape.grid.axes import Axis, Cell, Value, show
from gridscape.grid.meanings import Meaning
from gridscape.landscape import Landscape
from gridscape.store.imported import is_imported

if TYPE_CHECKING:  # of the claims, whose rules take long to import
    from gridscape.claims.records import Estimate, Verdict

TIMES, PLUS_MINUS = "\u00d7", "\u00b1"
NONE = "\u2013"  # in place of a number that is not known
MOST_LISTED = 3  # cells that are named one by one

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
    "learns": "runs that learn",
    "diverges": "runs that diverge",
    "collapses": "runs that collapse",
}


# ---- names ----


def spoken(name: str) -> str:
    """A variable's name as a reader says it: "test accuracy", "validation loss"."""
    name = f"validation_{name[4:]}" if name.startswith("val_") else name
    return NAMES.get(name, name.replace("_", " "))


def each_for_itself(found: "Sequence[Verdict]") -> str:
    """How likely one of several statements is decided wrongly, since nothing corrects across them.

    Those that are not decided count: they could have been. "" of fewer than two.
    """
    judged = [verdict for verdict in found if verdict.outcome != "not comparable"]
    if len(judged) < 2:
        return ""
    each, shares = 100 * (1 - LEVEL) / 2, sum(map(_is_of_share, judged))
    any_of = (len(judged) + shares) * each
    told = f"Each of these {len(judged)} statements is tested for itself, and decided wrongly in at"
    of_share = f" (where it rests on a share of runs, {2 * each:.3g} %)" if shares else ""
    of_any = f"; one or more of them in at most {any_of:.3g} %" if any_of < 100 else ""
    return f"{told} most {each:.3g} % of cases{of_share}{of_any}."


def _is_of_share(verdict: "Verdict") -> bool:
    """Whether a number of it is a share of runs, which is tested at the whole level."""
    from gridscape.claims.records import MOST_RUNS  # here: who has verdicts has imported it

    return any(estimate.asks == MOST_RUNS for estimate in verdict.estimates)


def chosen_on(land: Landscape) -> str:
    """On which set whatever is called best was chosen: "chosen on the validation set"."""
    return f"chosen on the {land.selection} set"


def with_unit(name: str, meaning: Meaning) -> str:
    """The same with the unit of the numbers beside it: "test accuracy in %"."""
    is_told = name in NAMES or not meaning.shown_unit
    return spoken(name) if is_told else f"{spoken(name)} in {meaning.shown_unit}"


def unit(meaning: Meaning) -> Unit:
    """How numbers of this meaning are written."""
    return UNITS.get(meaning.unit, "number")


def ordinal(number: int) -> str:
    """A place in an order as people write it.

    >>> ordinal(2), ordinal(13), ordinal(21)
    ('2nd', '13th', '21st')
    """
    last = 0 if number % 100 in (11, 12, 13) else number % 10
    return f"{number}{({1: 'st', 2: 'nd', 3: 'rd'}).get(last, 'th')}"


def plural(count: int, word: str) -> str:
    """A count with its word: "1 network", "18 networks"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def guess_words(land: Landscape) -> str:
    """What guessing gives by the main metric, where the study tells it: a sentence, or ""."""
    name = land.main_metric
    told, guessing = land.study.get("chances"), land.chance()
    if not isinstance(told, Mapping) or name not in told or guessing is None:
        return ""
    meaning = land.meaning(name)
    what = "the largest class" if meaning.is_fraction else "the mean of the training targets"
    shown = " ".join(filter(None, (meaning.text(guessing), meaning.shown_unit)))
    return f"To answer {what} always gives {shown}."


# ---- numbers ----


def half_width(estimate: Interval, meaning: Meaning) -> str:
    """How far an interval goes on its longer side, "\u00b10.6"; nothing where there is none."""
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
        "The network trained to the end and gives one and the same answer to everything: it had "
        "learned and fell to it, or its training loss no longer falls.",
    ),
    CellState.NOT_STARTED: StateWords(
        "not started",
        NONE,
        "_",
        "The network trained to the end and is no better than guessing, but its training loss "
        "still falls: more updates or a larger learning rate may help.",
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
    CellState.STOPPED: StateWords(
        "stopped",
        "stop.",
        "#",
        "Somebody stopped its replicates: they are kept as they were, count nowhere, and may go on "
        "from there.",
    ),
    CellState.MISSING: StateWords(
        "not trained yet",
        NONE,
        "\u00b7",
        "No replicate has ended: the study is running, was interrupted, or was extended.",
    ),
    CellState.NOT_ASKED: StateWords(
        "not asked for",
        NONE,
        "-",
        "Nobody asked for this cell: it lies between the grids of the study, or other rows have "
        "further values of an axis.",
    ),
}


def blank(state: CellState) -> str:
    """What stands in a cell that has no number."""
    return STATES[state].short if state in STATES else NONE


def few(land: Landscape) -> str:
    """What a reader must know of a study of too few replicates; "" of any other."""
    if not has_few(land):
        return ""
    n = plural(land.array("status").shape[-1], "replicate")
    told = f"{n}: intervals and verdicts need {FEWEST} or more"
    return (
        told if is_imported(land.study) else f"{told}; gridscape run ... --replicates 5 adds them"
    )


def value_set(values: Sequence[Value], axis: Axis) -> str:
    """A set of values of an axis, holes and all: "0.001, 0.1", or "0.001 to 0.1 (3 values)".

    A span is said only of three or more neighbors of an ordered axis.
    """
    at = [axis.values.index(value) for value in values]
    is_run = len(at) > 2 and at == list(range(at[0], at[-1] + 1))
    if is_run and axis.scale != "category":
        return f"{show(values[0])} to {show(values[-1])} ({len(values)} values)"
    return ", ".join(map(show, values))


def not_worse(row: BestPerRow, axis: Axis) -> str:
    """Which values of a row are not shown to be worse than the best, in a sentence."""
    note = f"; {row.note}" if row.note else ""
    if not row.known or row.note.startswith("the only candidate"):
        return row.note
    if len(row.equivalent) == 1:
        return f"every other value that was tested is shown to be worse{note}"
    return f"not shown to be worse than it: {value_set(row.equivalent, axis)}{note}"


def optimum_words(row: BestPerRow, axis: Axis) -> str:
    """Where the best value of a row lies: "0.012 (0.005 to 0.03)"; "" where nobody knows.

    An interval that reaches the end of the axis is open there: "0.1 (0.05 or more), at the end".
    """
    found = row.optimum
    if not row.known or math.isnan(found.mean):
        return ""
    is_open_low = math.isinf(found.low) or (axis.scale == "log" and found.low == 0)
    span = {
        (False, False): f"{found.low:.2g} to {found.high:.2g}",
        (False, True): f"{found.low:.2g} or more",
        (True, False): f"{found.high:.2g} or less",
        (True, True): "anywhere",
    }[is_open_low, math.isinf(found.high)]
    return f"{found.mean:.2g} ({span}){', at the end' if row.at_end else ''}"


def edge_words(row: Boundary) -> str:
    """Up to which value a row learns: "0.05 (0.03 to 0.1)", "beyond the last value"."""
    found = row.estimate
    if not row.places:
        return "not known"
    nowhere = sum(place is None for place in row.places)
    if nowhere == len(row.places):
        return "at no value"
    if nowhere:
        return f"at no value in {nowhere} of {len(row.places)} runs"
    if math.isnan(found.mean):
        return "the last value, or beyond"
    is_open_low = math.isinf(found.low) or (row.scale == "log" and found.low == 0)
    low = "below the first" if is_open_low else f"{found.low:.2g}"
    high = "beyond the last" if math.isinf(found.high) else f"{found.high:.2g}"
    return f"{found.mean:.2g} ({low} to {high})" if found.known else f"{found.mean:.2g}"


def edge_told(rows: Sequence[Boundary], meaning: Meaning) -> str:
    """What the edge of learning is, for a legend."""
    threshold = f"{meaning.text(rows[0].threshold)} {meaning.shown_unit}"
    return f"edge of learning: up to here runs reach {threshold}, half of the way to the best"


def partly(summary: CellSummary) -> str:
    """How many of a cell's replicates went wrong where not all did: "1 of 2 collapsed"; else ""."""
    parts = [
        f"{count} of {summary.n_finished} {STATES[state].word}"
        for state, count in _wrong(summary)
        if 0 < count < summary.n_finished
    ]
    return ", ".join(parts)


def learns_words(summary: CellSummary) -> str:
    """How many runs of a cell learn: "learns in 4 of 5, 28 to 99 %"; "" where none ended."""
    share = summary.share
    if not share.n:
        return ""
    # An exact interval holds for any number of runs; of one or two it tells nothing.
    span = f", {100 * share.low:.0f} to {100 * share.high:.0f} %" if share.n >= FEWEST else ""
    return f"learns in {summary.n_learns} of {share.n}{span}"


def learns_short(summary: CellSummary) -> str:
    """The same for a narrow cell, "4/5", where some runs learn and some do not; else ""."""
    is_split = 0 < summary.n_learns < summary.share.n
    return f"{summary.n_learns}/{summary.share.n}" if is_split else ""


def cell_words(summary: CellSummary) -> str:
    """The mean of a cell, beside it the share of runs that learn where that is not all of them.

    "97.2 % (96.9 to 97.5), the mean of the runs that learn: it learns in 4 of 5, 28 to 99 %"
    """
    mean = estimate_words(summary.estimate, summary.meaning)
    learns = learns_words(summary)
    if learns_short(summary):
        return f"{mean}, the mean of the runs that learn: it {learns}"
    is_all = summary.n_learns == summary.share.n
    edge = "at the edge: some runs beside it do not learn" if summary.at_edge else ""
    return "; ".join(filter(None, (mean, "" if is_all else f"it {learns}", edge)))


def winner_words(found: Winner, shown: str) -> str:
    """What the luck of the best cell may be, in a sentence; "" where there is nothing to say.

    shown: the metric beside which it stands; another one, by which was chosen, is named.
    """
    if found.n_cells < 2 or found.simultaneous.n < FEWEST or not found.simultaneous.known:
        return ""
    meaning = found.best.meaning
    unit = f" {meaning.shown_unit}" if meaning.shown_unit else ""
    low, high = meaning.text(found.simultaneous.low), meaning.text(found.simultaneous.high)
    by = "" if found.best.metric == shown else f" by {spoken(found.best.metric)}"
    return (
        f"Chosen among {found.n_cells} cells{by}: {low} to {high}{unit} for all of them at once;"
        f" shrunken to their mean {meaning.text(found.shrunken)}{unit}."
    )


def to_quote(found: Confirmation | None, best: Cell, folder: str) -> str:
    """The number of the best cell that may be quoted, or how to get one."""
    finalist = next((f for f in found.finalists if f.cell == best), None) if found else None
    if found is None or finalist is None:
        return f"For a number to quote: gridscape confirm {folder} --top 3"
    words, n = estimate_words(finalist.fresh, found.meaning), finalist.n_fresh
    learns = "" if finalist.n_learns == n else f", learns in {finalist.n_learns} of them"
    return f"The number to quote, of {n} fresh replicates: {words}{learns}."


def _wrong(summary: CellSummary) -> tuple[tuple[CellState, int], ...]:
    """The states of replicates that finished and give nothing, with their number."""
    return (
        (CellState.COLLAPSED, summary.n_collapsed),
        (CellState.NOT_STARTED, summary.n_not_started),
    )


def agreement(found: Agreement) -> str:
    """How a published number lies to ours, in words."""
    return "cannot be judged" if found is Agreement.UNKNOWN else found.value


def estimate_words(estimate: Interval, meaning: Meaning) -> str:
    """A mean with its interval: "97.2 % (96.9 to 97.5)"."""
    unit = f" {meaning.shown_unit}" if meaning.shown_unit else ""
    mean = meaning.text(estimate.mean)
    if not estimate.known:
        return f"{mean}{unit}"
    low, high = meaning.text(estimate.low), meaning.text(estimate.high)
    return f"{mean}{unit} ({low} to {high})"


def confirmed_words(found: Confirmation) -> str:
    """What to know of the numbers of finalists."""
    return (
        f"Chosen by {found.chosen_by} among {found.n_cells} cells: who is best of many was lucky,"
        " too. The number to quote is that of fresh replicates, which the search did not see."
    )


def left_out(verdict: "Verdict") -> list[str]:
    """The cells that a verdict could not use, a line for each reason.

    Many that are all combinations of some values are told by these, others by the first of them.
    """
    by_reason: dict[str, list[Cell]] = {}
    for item in verdict.excluded:
        by_reason.setdefault(item.reason, []).append(item.cell)
    return [f"{_cells_in_words(cells)}: {reason}" for reason, cells in by_reason.items()]


def _cells_in_words(cells: Sequence[Cell]) -> str:
    if len(cells) <= MOST_LISTED:
        return "; ".join(map(str, cells))
    names = list(cells[0])
    values = {name: list(dict.fromkeys(cell.get(name) for cell in cells)) for name in names}
    if math.prod(map(len, values.values())) == len(cells):
        sets = (f"{name} = {', '.join(map(show, own))}" for name, own in values.items())
        return f"{len(cells)} cells, {'; '.join(sets)}"
    first = "; ".join(map(str, cells[:MOST_LISTED]))
    return f"{len(cells)} cells, {first} and {len(cells) - MOST_LISTED} more"


def open_numbers(verdict: "Verdict") -> list["Estimate"]:
    """The numbers of an undecided claim of which something is to be said, each on its line."""
    if verdict.outcome.value != "undecided":
        return []
    return [e for e in verdict.estimates if e.says.value == "undecided" and e.outlook]


def look_words(verdict: "Verdict") -> str:
    """When a verdict fell: "at look 8 of decide"; "" where no look decided it."""
    return f"at look {verdict.decided.look} of decide" if verdict.decided else ""


# ---- a study ----


def size_of(land: Landscape) -> str:
    """What was trained, and how much of it, without a full stop.

    "72 networks: 4 hidden_size x 6 learning_rate, 3 replicates each, trained on digits-rows for
    400 updates of 100 examples"
    """
    shape = f" {TIMES} ".join(f"{len(axis.values)} {axis.name}" for axis in land.axes)
    asked = land.wanted
    numbers = asked.sum(-1)
    each = _replicates_each(numbers[numbers > 0] if numbers.any() else numbers)
    if holes := int((numbers == 0).sum()):
        shape = f"{numbers.size - holes:,} of the {numbers.size:,} cells of {shape}"
    task = land.study.get("task")
    on = f", trained on {task}" if isinstance(task, str) and task else ""
    budget = _length_words(land)
    return f"{plural(int(asked.sum()), 'network')}: {shape}, {each}{on}{budget}"


def _length_words(land: Landscape) -> str:
    """How long each network is trained; "" where that differs by an axis."""
    batch = land.setting("batch_size")
    if updates := land.setting("updates"):
        return f" for {updates} updates" + (f" of {plural(batch, 'example')}" if batch else "")
    in_batches = f" in batches of {batch}" if batch else ""
    if epochs := land.setting("epochs"):
        return f" for {show(epochs)} epoch{'' if epochs == 1 else 's'}{in_batches}"
    if examples := land.setting("examples"):
        return f" for {examples:,} examples{in_batches}"
    flops = land.setting("flops")
    return f" for {flops:.3g} operations each{in_batches}" if flops else ""


# Of a cell that has more of a thing than another one.
MORE = {
    "updates": "do up to {} times as many updates",
    "examples": "see up to {} times as many examples",
    "flops": "take up to {} times the operations",
}


def unequal_words(found: Efforts | None) -> str:
    """What all cells have alike, and what some have more of; "" where nothing differs.

    >>> print(unequal_words(Efforts("updates", {"examples": 10.0})))
    All cells have the same number of updates; some see up to 10 times as many examples as others.
    """
    if found is None or not found.times:
        return ""
    held = {"flops": "operations"}.get(found.held, found.held)
    first, *rest = (
        MORE[name].format(f"{x:.1f}" if x < 9.95 and x % 1 > 0.05 else f"{x:,.0f}")
        for name, x in found.times.items()
    )
    told = ", and ".join([f"{first} as others", *rest])
    return f"All cells have the same number of {held}; some {told}."


def _replicates_each(numbers: np.ndarray) -> str:
    """How many replicates the cells have."""
    least, most = int(numbers.min()), int(numbers.max())
    if least < most:
        return f"{least} to {most} replicates each"
    return f"{most} replicates each" if most > 1 else "one replicate each"
