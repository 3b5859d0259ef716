"""Why a cell failed, in one sentence made of what is stored."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, count

import numpy as np

from gridscape.analysis.cells import CellSummary
from gridscape.analysis.states import ACCURACY, TRAIN_LOSS, practically_one
from gridscape.grid.axes import Cell
from gridscape.grid.meanings import digits
from gridscape.grid.names import ANSWER_SPREAD, CONSTANT, TOP_SHARE, curve_variable
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape

CROSS_ENTROPY = (None, "cross_entropy")  # the losses of which guessing has ln C
SAME = 0.01  # a loss this near to that of guessing, as a share of it, is that of guessing
MOST_READ = 1_000  # cells whose curves are looked at: of further ones less is told
MOST_CLASSES = 4  # that are named
_FAILED = (Status.FAILED, Status.OUT_OF_MEMORY)


def explanations(land: Landscape, cells: Iterable[CellSummary]) -> dict[Cell, str]:
    """A sentence for each cell of which some replicate went wrong, as by one answer, or diverging.

    cells: all of the landscape, in the grid's order. What an older folder does not tell (the class
    that is answered, since when) is left out.

    "from update 30 on one answer (2) for everything; training loss 5.5, above guessing (2.3)"
    """
    cells = list(cells)
    nearly = practically_one(land).reshape(-1, land.n_replicates)
    is_nearly = np.asarray(nearly.any(axis=-1))
    wrong = [n for n, cell in enumerate(cells) if is_nearly[n] or _went_wrong(cell)]
    told = _Told.of(land, wrong)
    return {
        cells[number].cell: "; ".join(parts)
        for number in wrong
        if (parts := list(_parts(told, number, cells[number], nearly[number])))
    }


@dataclass(frozen=True)
class _Told:
    """Numbers of every trial, (cells, R), and curves; {} where there are none.

    curves: of some cells, (cells, R, points); rows: of each such cell its place among them.
    guessing: the loss of guessing, NaN where it is not known. classes: their names, if any.
    """

    numbers: Mapping[str, np.ndarray]
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
    rows: Mapping[int, int]
    guessing: float
    classes: tuple[str, ...]

    @classmethod
    def of(cls, land: Landscape, wrong: list[int]) -> "_Told":
        shape = (-1, land.n_replicates)
        numbers = {
            name: land.array(name).reshape(shape)
            for name in (TRAIN_LOSS, "top_answer", TOP_SHARE, "first_bad_update", "reason")
            if land.has(name)
        }
        read = wrong[:MOST_READ]
        names = (TRAIN_LOSS, TOP_SHARE, ANSWER_SPREAD)
        curves = {n: land.lines_of(n, read) for n in names if land.has(curve_variable(n))}
        rows = {number: row for row, number in enumerate(read)}
        return cls(numbers, curves, rows, _loss_of_guessing(land), land.class_names)


def _loss_of_guessing(land: Landscape) -> float:
    """As the study tells it; in a folder of before, that of classes of equal shares."""
    chances = land.study.get("chances")
    if isinstance(chances, Mapping):
        told = chances.get(TRAIN_LOSS)
        return float(told) if isinstance(told, int | float) else math.nan
    guessing = land.chance(ACCURACY)
    known = guessing and land.setting("loss") in CROSS_ENTROPY and not _varies(land, "loss")
    return -math.log(guessing) if known and guessing else math.nan


def _went_wrong(cell: CellSummary) -> bool:
    return bool(cell.n_collapsed + cell.n_not_started + cell.n_diverged + cell.n_failed)


def _varies(land: Landscape, name: str) -> bool:
    return any(axis.name == name for axis in land.axes)


def _parts(
    told: _Told, cell: int, summary: CellSummary, is_nearly_one: np.ndarray
) -> Iterator[str]:
    """What is said of each way in which replicates of a cell went wrong."""
    slow = summary.not_started or (False,) * len(summary.statuses)
    nearly = [one and not too for one, too in zip(is_nearly_one.tolist(), slow, strict=True)]
    ways = (
        (summary.collapsed, _of_collapsed),
        (nearly, _of_nearly_one),
        (slow, _of_not_started),
        ([status == Status.DIVERGED for status in summary.statuses], _of_diverged),
        ([status in _FAILED for status in summary.statuses], _of_failed),
    )
    for which, words in ways:
        if rows := list(compress(count(), which)):
            n, of = len(rows), summary.n_ended
            some = f"{n} of {of} replicates: " if n < of else ""
            yield some + words(told, cell, np.array(rows))


def _of_collapsed(told: _Told, cell: int, rows: np.ndarray) -> str:
    since = _since(told, cell, rows)
    what = "a constant" if ANSWER_SPREAD in told.curves else "one answer"
    answer = f"{since} {what}{_classes(told, cell, rows)} for everything".strip()
    return ", ".join(filter(None, (answer, _loss(told, cell, rows, "training loss"))))


def _of_nearly_one(told: _Told, cell: int, rows: np.ndarray) -> str:
    share = np.nanmin(told.numbers[TOP_SHARE][cell, rows])
    least = "" if len(rows) == 1 else "at least "
    some = f"for {least}{100 * math.floor(1000 * share) / 1000:.1f} % of the test examples"
    answer = f"practically one answer{_classes(told, cell, rows)}, {some}"
    return ", ".join(filter(None, (answer, _loss(told, cell, rows, "training loss"))))


def _of_not_started(told: _Told, cell: int, rows: np.ndarray) -> str:
    first = _mean(_ends(told, cell, rows)[0])
    was = f"its training loss still falls, from {digits(first)} to"
    parts = ("it has not begun to learn", _loss(told, cell, rows, was))
    return ": ".join(filter(None, parts))


def _of_diverged(told: _Told, cell: int, rows: np.ndarray) -> str:
    reasons = _texts(told, cell, rows) or "something not finite"
    at = _range(told.numbers["first_bad_update"][cell, rows])
    before = _loss(told, cell, rows, "training loss before", at_end_only=False)
    return ", ".join(filter(None, (f"{reasons} at update {at}" if at else reasons, before)))


def _of_failed(told: _Told, cell: int, rows: np.ndarray) -> str:
    return _texts(told, cell, rows) or "failed without a stated reason"


# ---- the words for single facts ----


def _since(told: _Told, cell: int, rows: np.ndarray) -> str:
    """From which evaluation on all got one answer: "from update 30 to 60 on"; "" if not told."""
    name = ANSWER_SPREAD if ANSWER_SPREAD in told.curves else TOP_SHARE
    if name not in told.curves or cell not in told.rows:
        return ""
    updates, values = told.curves[name]
    lines = values[told.rows[cell], rows]
    unlike = lines >= CONSTANT if name == ANSWER_SPREAD else lines < 1
    others = np.where(np.isfinite(lines), unlike, np.nan)
    begins = [_begin(updates, line) for line in others]
    span = _range([begin for begin in begins if begin is not None])
    return f"from update {span} on" if span else ""


def _begin(updates: np.ndarray, others: np.ndarray) -> int | None:
    """The first of the evaluations that all found one answer, and no others, up to the last."""
    known = np.flatnonzero(np.isfinite(others))
    other = np.flatnonzero(others[known] > 0)
    own = known[other[-1] + 1 if len(other) else 0 :]
    return int(updates[own[0]]) if len(own) else None


def _classes(told: _Told, cell: int, rows: np.ndarray) -> str:
    if "top_answer" not in told.numbers:
        return ""
    found = told.numbers["top_answer"][cell, rows]
    classes = sorted({int(c) for c in found[np.isfinite(found)]})
    names = [told.classes[c] if c < len(told.classes) else str(c) for c in classes]
    return f" ({', '.join(names)})" if 0 < len(classes) <= MOST_CLASSES else ""


def _loss(told: _Told, cell: int, rows: np.ndarray, name: str, *, at_end_only: bool = True) -> str:
    """The training loss of the end against that of guessing."""
    final = told.numbers.get(TRAIN_LOSS) if at_end_only else None
    loss = _mean(_ends(told, cell, rows)[1] if final is None else final[cell, rows])
    if math.isnan(loss):
        return ""
    return f"{name} {digits(loss)}" + _against(loss, told.guessing)


def _against(loss: float, guessing: float) -> str:
    if not guessing > 0:  # not known; folders of before hold 0 where one class alone counts
        return ""
    far = loss / guessing - 1
    side = "that of" if abs(far) <= SAME else "above" if far > 0 else "below"
    return f", {side} guessing ({digits(guessing)})"


def _ends(told: _Told, cell: int, rows: np.ndarray) -> tuple[list[float], list[float]]:
    """The first and the last training loss that each trial has."""
    if TRAIN_LOSS not in told.curves or cell not in told.rows:
        return [], []
    of_cell = told.curves[TRAIN_LOSS][1][told.rows[cell], rows]
    lines = [line[np.isfinite(line)] for line in of_cell]
    return [float(li[0]) for li in lines if len(li)], [float(li[-1]) for li in lines if len(li)]


def _mean(values: Sequence[float] | np.ndarray) -> float:
    known = np.array([value for value in values if math.isfinite(value)])
    return float(known.mean()) if len(known) else math.nan


def _range(values: Iterable[float]) -> str:
    known = [int(value) for value in values if math.isfinite(value)]
    low, high = min(known, default=0), max(known, default=0)
    return "" if not known else str(low) if low == high else f"{low} to {high}"


def _texts(told: _Told, cell: int, rows: np.ndarray) -> str:
    """The different reasons that are stored."""
    return "; ".join(filter(None, dict.fromkeys(map(str, told.numbers["reason"][cell, rows]))))
