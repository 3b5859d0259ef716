"""Values of an axis where they tell most: at the optimum of each row, or at its edge of learning.

Each row has an interval that holds what is sought, between two values that were tried. A round
halves it, on the logarithm where the axis is logarithmic, and trains the new values in this row
only; where what is sought lies beyond the end of the axis, the axis grows by its own step.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gridscape.analysis.cells import CellState, CellSummary, candidates, score
from gridscape.errors import UsageError
from gridscape.execution.executors import Executor
from gridscape.grid.axes import Axis, Cell, Value
from gridscape.landscape import Landscape, sought_axis
from gridscape.study.study import Study
from gridscape.sweep import Listener
from gridscape.sweep.extending import Extender
from gridscape.sweep.questions import Among

WITHIN = 1.3  # ratio, on a logarithmic axis
SHARE = 0.05  # of the range, on a linear one
THRESHOLD = 0.5  # of a fraction: from here on a network learns
MOST_VALUES = 12


@dataclass(frozen=True)
class Bracket:
    """Where what is sought lies in one row: between two values of the axis.

    low, high: None where nothing was tried beyond. value: the best value, or the largest one that
    learns; None where there is none. end: "first" or "last" where that is an end of what was tried
    in this row. added: values that this call added.
    """

    row: str
    low: float | None
    high: float | None
    value: float | None
    end: str
    added: tuple[float, ...]
    is_narrow: bool
    note: str


@dataclass(frozen=True)
class Refined:
    """What a refinement came to. why: "narrow", "values" or "budget": what ended it."""

    sought: str
    axis: str
    within: float
    brackets: tuple[Bracket, ...]
    n_trained: int
    seconds: float
    why: str


def refine(
    directory: str | Path,
    *,
    optimum: bool = False,
    boundary: bool = False,
    axis: str | None = None,
    within: float | None = None,
    at: Mapping[str, Sequence[Value]] | None = None,
    threshold: float | None = None,
    at_most: int = MOST_VALUES,
    minutes: float | None = None,
    study: Study | None = None,
    trust: bool = False,
    data_dir: str | Path | None = None,
    executor: str | Executor = "local",
    listener: Listener = lambda event: None,
) -> Refined:
    """Add values of an axis where its optimum, or its edge of learning, lies in each row.

    axis: of numbers; by default the sought one. Rows where it is unset are passed over. within: the
    interval is narrow enough at this ratio of its ends, on a logarithmic axis (default 1.3), at
    this difference on a linear one (default a twentieth of its range). at: limits the rows.
    threshold: of the metric, from which a network learns (default 0.5 of a fraction; else whoever
    finished does). at_most: new values in a row. minutes: no round begins afterwards. New cells get
    as many replicates as the study has.
    Other arguments are those of ``extend``. Raises UsageError, GridscapeError.
    """
    if optimum == boundary:
        raise UsageError(
            "what shall be refined?",
            expected="one of optimum, boundary",
            found="both" if optimum else "none",
        )
    for name, number in (("minutes", minutes), ("at_most", at_most)):
        if number is not None and not number > 0:
            raise UsageError("nothing to spend", where=name, expected="> 0", found=number)
    with Extender(
        directory, study=study, trust=trust, data_dir=data_dir, executor=executor, listener=listener
    ) as extender:
        land = extender.land
        name = axis or (sought_axis(land.axes) or land.axes[-1]).name
        rows = Among.of(land, name, at, overall=False, margin=0.0)
        step = _Step.of(land, name, within)
        seek = _Optimum(step) if optimum else _Boundary(step, threshold)
        return _Refining(extender, rows, seek, at_most, minutes).run()


@dataclass(frozen=True)
class _Step:
    """How one goes along an axis."""

    axis: str
    is_log: bool
    is_whole: bool
    within: float

    @classmethod
    def of(cls, land: Landscape, axis: str, within: float | None) -> "_Step":
        whole = land.axis(axis)
        # Rows that leave the axis unset have nothing to refine along it.
        found = Axis(axis, tuple(value for value in whole.values if value is not None))
        if found.scale == "category":
            raise UsageError("only an axis of numbers can be refined", where=f"axis {axis}")
        if len(found.values) < 2:
            raise UsageError("one value only: nothing to refine between", where=f"axis {axis}")
        is_log = found.scale == "log"
        numbers = [float(v) for v in found.values]
        least = 1.0 if is_log else 0.0
        usual = WITHIN if is_log else SHARE * (max(numbers) - min(numbers))
        if within is not None and not least < within < math.inf:
            what = "a ratio above 1" if is_log else "a difference above 0"
            raise UsageError("not an interval", where="within", expected=what, found=within)
        is_whole = all(isinstance(v, int) for v in found.values)
        return cls(axis, is_log, is_whole, usual if within is None else within)

    def is_narrow(self, low: float | None, high: float | None) -> bool:
        """Whether the interval is narrow enough, or holds no further value."""
        if low is None or high is None:
            return False
        width = high / low if self.is_log else high - low
        return width <= self.within * (1 + 1e-9)

    def between(self, low: float | None, high: float | None) -> list[float]:
        """The middle; nothing where there is none."""
        if low is None or high is None:
            return []
        middle = math.sqrt(low * high) if self.is_log else (low + high) / 2
        middle = round(middle) if self.is_whole else float(f"{middle:.3g}")
        return [middle] if low < middle < high else []

    def beyond(self, end: float, inside: float) -> list[float]:
        """The next value beyond an end of the axis, by its last step."""
        further = end * end / inside if self.is_log else 2 * end - inside
        further = round(further) if self.is_whole else float(f"{further:.3g}")
        is_possible = further > 0 or not (self.is_log or self.is_whole)
        return [further] if is_possible and further != end else []


@dataclass(frozen=True)
class _Place:
    """What is sought in a row: between low and high; the values that would tell more."""

    low: float | None
    high: float | None
    value: float | None
    wanted: list[float]
    end: str = ""
    note: str = ""


@dataclass(frozen=True)
class _Optimum:
    step: _Step
    words: str = "optimum"

    def place(self, members: Sequence[CellSummary]) -> _Place:
        values = [float(s.cell[self.step.axis]) for s in members]
        fit, _ = candidates(members)
        if not fit:
            return _Place(None, None, None, [], note="no value finishes in most of its replicates")
        best = members.index(max(fit, key=score))
        value = values[best]
        low = values[best - 1] if best > 0 else None
        high = values[best + 1] if best + 1 < len(values) else None
        if low is None or high is None:
            inside = high if low is None else low
            wanted = [] if inside is None else self.step.beyond(value, inside)
            return _Place(low, high, value, wanted, "first" if low is None else "last")
        return _Place(
            low, high, value, self.step.between(low, value) + self.step.between(value, high)
        )


@dataclass(frozen=True)
class _Boundary:
    step: _Step
    threshold: float | None
    words: str = "boundary"

    def place(self, members: Sequence[CellSummary]) -> _Place:
        values = [float(s.cell[self.step.axis]) for s in members]
        shares = [self._share(s) for s in members]
        if max(shares) <= 0.5:
            return _Place(
                None,
                values[0],
                None,
                self.step.beyond(values[0], values[1]) if values[1:] else [],
                "first",
                "no value learns in most of its replicates",
            )
        last = last_that_learns(shares)
        if last + 1 == len(values):
            wanted = self.step.beyond(values[last], values[last - 1]) if last else []
            return _Place(values[last], None, values[last], wanted, "last")
        low, high = values[last], values[last + 1]
        return _Place(low, high, low, self.step.between(low, high))

    def _share(self, summary: CellSummary) -> float:
        """Of the runs of a cell that ended, those that learn."""
        usual = THRESHOLD if summary.meaning.is_fraction else None
        threshold = usual if self.threshold is None else self.threshold
        sign = summary.meaning.sign
        learns = [
            math.isfinite(value)
            and not collapsed
            and (threshold is None or sign * value >= sign * threshold)
            for value, collapsed in zip(summary.values, summary.collapsed, strict=True)
        ]
        return sum(learns) / summary.n_ended if summary.n_ended else 0.0


def last_that_learns(shares: Sequence[float]) -> int:
    """The place of the edge above the values of which most runs learn: that misplaces fewest runs.

    Not the largest value at which most learn: of many values beyond the edge one does by luck.
    Misplaced are runs that learn outside one stretch of values, or fail inside it; of equal
    stretches it is the first, and the shortest. shares: of the runs that learn, by value.

    >>> last_that_learns([0.0, 1.0, 1.0, 0.6, 0.2, 0.0, 0.0, 0.6, 0.0])
    3
    """
    best, last, gain = 0.0, 0, 0.0
    for place, share in enumerate(shares):
        gain = max(gain, 0.0) + share - 0.5
        if gain > best + 1e-9:
            best, last = gain, place
    return last


class _Refining:
    """Rounds over all rows, until their intervals are narrow."""

    def __init__(
        self,
        extender: Extender,
        rows: Among,
        seek: _Optimum | _Boundary,
        at_most: int,
        minutes: float | None,
    ) -> None:
        self.extender, self.rows, self.seek = extender, rows, seek
        self.at_most, self.minutes = at_most, minutes
        self.begin, self.n_trained = time.monotonic(), 0
        self.added: dict[str, list[float]] = {}

    def run(self) -> Refined:
        """Each round adds at least one value to some row, so there are not many."""
        self._train(self._unfinished())
        why = "budget"
        while not self._is_late():
            wanted = self._wanted()
            if not wanted:
                why = "narrow" if all(b.is_narrow or b.note for b in self._brackets()) else "values"
                break
            self._train(wanted)
        return Refined(
            sought=self.seek.words,
            axis=self.rows.axis,
            within=self.seek.step.within,
            brackets=tuple(self._brackets()),
            n_trained=self.n_trained,
            seconds=time.monotonic() - self.begin,
            why=why,
        )

    def _is_late(self) -> bool:
        return self.minutes is not None and time.monotonic() - self.begin > 60 * self.minutes

    def _members(self) -> dict[str, list[CellSummary]]:
        """The cells of each row by their value; what was stopped tells nothing of where to look."""
        axis = self.rows.axis
        found = {
            row: [
                s for s in members if s.cell[axis] is not None and s.state is not CellState.STOPPED
            ]
            for row, members in self.rows.rows(self.extender.land).items()
        }
        return {
            row: sorted(members, key=lambda s: float(s.cell[axis]))
            for row, members in found.items()
            if members
        }

    def _unfinished(self) -> dict[Cell, int]:
        """What an interrupted refinement asked for."""
        own = {s.cell for members in self._members().values() for s in members}
        return {cell: n for cell, n in self.extender.unfinished().items() if cell in own}

    def _wanted(self) -> dict[Cell, int]:
        """New cells: of each row whose interval is not narrow."""
        wanted, replicates = dict[Cell, int](), int(self.extender.store.study["replicates"])
        for row, members in self._members().items():
            place, added = self.seek.place(members), self.added.setdefault(row, [])
            if self.seek.step.is_narrow(place.low, place.high):
                continue
            for value in place.wanted[: self.at_most - len(added)]:
                kept = int(value) if self.seek.step.is_whole else value
                wanted[Cell.of(**{**members[0].cell, self.rows.axis: kept})] = replicates
                added.append(value)
        return wanted

    def _train(self, cells: Mapping[Cell, int]) -> None:
        n_trials = self.extender.todo(cells)
        if n_trials:
            self.extender.extend(cells)
            self.n_trained += n_trials

    def _brackets(self) -> list[Bracket]:
        return [self._bracket(row, members) for row, members in self._members().items()]

    def _bracket(self, row: str, members: Sequence[CellSummary]) -> Bracket:
        place, step = self.seek.place(members), self.seek.step
        is_done = place.low is not None and place.high is not None and not place.wanted
        return Bracket(
            row=row,
            low=place.low,
            high=place.high,
            value=place.value,
            end=place.end,
            added=tuple(self.added.get(row, ())),
            is_narrow=step.is_narrow(place.low, place.high) or is_done,
            note="; ".join(filter(None, (place.note, self._stopped(row)))),
        )

    def _stopped(self, row: str) -> str:
        """How many values of a row were left out, in words."""
        members = self.rows.rows(self.extender.land)[row]
        n = sum(s.state is CellState.STOPPED for s in members)
        return f"{n} value{'s' if n > 1 else ''} left out, stopped" if n else ""
