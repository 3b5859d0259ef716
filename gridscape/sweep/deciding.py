"""Replicates where they are needed: rounds of training until every statement is decided.

Each round adds replicates to the cells of the statements that are still open, up to the next look
(``analysis.looks``), and looks. A look sees the first replicates only, as many as its number says,
so that it says the same whenever it is repeated and whatever else was trained. So there is nothing
to resume: every call takes all looks from the first one, trains what is not there, and keeps what
was decided before.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gridscape.analysis.looks import Looks
from gridscape.claims.decided import FORMAT, no_decisions, questions
from gridscape.claims.files import claims_of
from gridscape.errors import GridscapeError, UsageError
from gridscape.execution.executors import Executor
from gridscape.grid.asked import Asked, grid_of
from gridscape.grid.axes import Cell, Value
from gridscape.landscape import Landscape, sought_axis
from gridscape.store.store import Store
from gridscape.study.study import Study
from gridscape.sweep import Event
from gridscape.sweep.extending import Extender
from gridscape.sweep.questions import (
    CANNOT,
    OPEN,
    UNDECIDED,
    Among,
    BestValue,
    ClaimsHold,
    OrderOf,
    Question,
    Said,
)

AT_MOST = 20


@dataclass(frozen=True)
class Decision:
    """What was said of a statement, and when.

    outcome: "holds", "fails", "not comparable"; of an axis "decided", "practically equal"; else
    "open", "undecided" after the last look, "cannot be decided" by any replicates. answer: the
    value, the order, or the main estimate. look: replicates at which it fell, level: two-sided, of
    that look; None where it did not. date: of the verdict. open: cells that need more replicates.
    """

    name: str
    statement: str
    outcome: str
    answer: str
    note: str
    look: int | None
    level: float | None
    date: str
    content: str
    open: tuple[Cell, ...] = ()


@dataclass(frozen=True)
class Planned:
    """What comes next: trials up to the look at ``look`` replicates, and at most.

    seconds: by what such trials took before, without compiling; NaN where nothing was.
    """

    look: int
    n_trials: int
    seconds: float
    most_trials: int
    most_seconds: float


@dataclass(frozen=True)
class Looked:
    """A look is over. decisions: of all statements; fallen: names of those it decided."""

    look: int
    level: float
    decisions: tuple[Decision, ...]
    fallen: tuple[str, ...]


@dataclass(frozen=True)
class Decided:
    """Where a question stands.

    looks: numbers of replicates at which it is looked at. replicates: of each cell that was asked
    for. n_trained: networks of this call. why: what ended it: "decided", "at most", "budget".
    """

    question: str
    looks: tuple[int, ...]
    decisions: tuple[Decision, ...]
    replicates: Mapping[Cell, int]
    n_trained: int
    seconds: float
    why: str


Listener = Callable[[Event | Planned | Looked], None]


def decide(
    directory: str | Path,
    *,
    claims: bool = False,
    best: bool | str = False,
    order: str | None = None,
    at: Mapping[str, Sequence[Value]] | None = None,
    overall: bool = False,
    margin: float | None = None,
    at_most: int | None = None,
    minutes: float | None = None,
    study: Study | None = None,
    trust: bool = False,
    data_dir: str | Path | None = None,
    executor: str | Executor = "local",
    listener: Listener = lambda event: None,
) -> Decided:
    """Add replicates of a results folder, where they are needed, until a question is decided.

    One of: claims, whether the study's published statements hold; best, the best value of an axis
    (True: of the sought one) in each row of the others, or ``overall``; order, that of an axis'
    values. at: limits the rows, by axis its values. margin: of a difference that does not matter,
    in the unit of the metric; by default half a point of a fraction, else none. at_most:
    replicates of a cell, 20 by default; the first call of a question settles it, since the levels
    of its looks follow from it. minutes: no round begins that is expected to end later. Other
    arguments are those of ``extend``.

    At truth 0, 5 % of statements are decided falsely at any look. What was decided stays so.
    Raises UsageError for a question that cannot be asked, GridscapeError.
    """
    _check(claims, best, order, minutes)
    listen: Listener = listener
    with Extender(
        directory, study=study, trust=trust, data_dir=data_dir, executor=executor, listener=listen
    ) as extender:
        if claims:
            question: Question = _claims(extender, trust)
        else:
            among = _among(extender.land, best, order, at, overall, margin)
            question = OrderOf(among) if order else BestValue(among)
        return Deciding(extender, question, listen, at_most, minutes).run()


def decisions(directory: str | Path) -> dict[str, tuple[Decision, ...]]:
    """What was decided in a results folder so far, by question; raises StoreError."""
    with Store.read(directory) as store:
        entries = questions(store)
    return {key: _decisions_of(entry, directory) for key, entry in entries.items()}


def _check(claims: bool, best: bool | str, order: str | None, minutes: float | None) -> None:
    asked = [
        name for name, given in (("claims", claims), ("best", best), ("order", order)) if given
    ]
    if len(asked) != 1:
        raise UsageError(
            "what shall be decided?",
            expected="one of claims, best, order",
            found=" and ".join(asked) or "none",
        )
    if minutes is not None and not minutes > 0:
        raise UsageError("no time to decide in", where="minutes", expected="> 0", found=minutes)


def _claims(extender: Extender, trust: bool) -> ClaimsHold:
    record = extender.store.study
    if not record.get("claims"):
        raise GridscapeError(
            "this study has no published claims",
            where=extender.directory,
            hint="decide the best value of an axis, or an order",
        )
    found = claims_of(record, trust=trust, where=extender.directory)
    return ClaimsHold(found, extender.directory)


def _among(
    land: Landscape,
    best: bool | str,
    order: str | None,
    at: Mapping[str, Sequence[Value]] | None,
    overall: bool,
    margin: float | None,
) -> Among:
    sought = sought_axis(land.axes) or land.axes[-1]
    axis = order or (best if isinstance(best, str) else sought.name)
    return Among.of(land, axis, at, overall and not order, margin)


class Deciding:
    """One question put to one folder, which the extender holds open."""

    def __init__(
        self,
        extender: Extender,
        question: Question,
        listener: Listener,
        at_most: int | None,
        minutes: float | None,
    ) -> None:
        self.extender, self.question, self.listener = extender, question, listener
        self.begin, self.minutes, self.n_trained = time.monotonic(), minutes, 0
        self.journal = Journal(extender, question.key)
        self.looks = self.journal.looks(at_most)
        self._memories: dict[str, Mapping[str, Any]] = {}

    def run(self) -> Decided:
        """Rounds and looks until nothing is open, or the budget ends."""
        why = "at most"
        for number in self.looks.numbers:
            if not self._train(number):
                why = "budget"
                break
            self._look(number)
            if not self._open():
                break
        if not self._open():
            why = (
                "at most" if any(d.outcome == UNDECIDED for d in self.journal.found) else "decided"
            )
        asked = Asked(self.extender.store.study)
        cells = grid_of(self.extender.store.study["axes"]).cells()
        return Decided(
            question=self.question.key,
            looks=self.looks.numbers,
            decisions=tuple(self.journal.found),
            replicates={cell: asked.of(cell) for cell in cells if asked.of(cell)},
            n_trained=self.n_trained,
            seconds=time.monotonic() - self.begin,
            why=why,
        )

    def _open(self) -> tuple[Cell, ...]:
        """The cells that need more replicates."""
        return tuple(dict.fromkeys(cell for d in self.journal.found for cell in d.open))

    def _train(self, number: int) -> bool:
        """Train what the look needs; False where the budget does not allow it."""
        if number == self.looks.numbers[0]:
            return self._prepare(number)
        return self._round(dict.fromkeys(self._open(), number), number)

    def _prepare(self, number: int) -> bool:
        """Before the first look: what was asked for is trained, and no open cell has fewer."""
        left = {c: min(n, number) for c, n in self.extender.unfinished().items()}
        left = {c: n for c, n in left.items() if self.extender.todo({c: n})}
        if not self._round(left, number):
            return False
        said = self.question.look(self._first(number), self.looks.level(number), {})
        open_ = dict.fromkeys((cell for each in said for cell in each.open), number)
        return self._round(open_, number)

    def _round(self, cells: Mapping[Cell, int], number: int) -> bool:
        n_trials = self.extender.todo(cells)
        if not n_trials:
            return True
        planned = self._plan(cells, number)
        self.listener(planned)
        if self.minutes is not None:
            left = 60 * self.minutes - (time.monotonic() - self.begin)
            if left <= 0 or planned.seconds > left:  # NaN: nobody knows
                return False
        self.extender.extend(cells)
        self.n_trained += n_trials
        return True

    def _plan(self, cells: Mapping[Cell, int], number: int) -> Planned:
        seconds = self.extender.land.data["seconds"]
        each, usual = seconds.mean("replicate"), float(seconds.mean())

        def takes(wanted: Mapping[Cell, int]) -> float:
            total = 0.0
            for cell, n in wanted.items():
                own = float(each.sel(dict(cell))) if _has(each, cell) else usual
                total += self.extender.todo({cell: n}) * (own if own == own else usual)
            return total

        most = dict.fromkeys(cells, self.looks.numbers[-1])
        todo = self.extender.todo
        return Planned(number, todo(cells), takes(cells), todo(most), takes(most))

    def _look(self, number: int) -> None:
        level = self.looks.level(number)
        said = self.question.look(self._first(number), level, self._memories)
        self._memories = {each.name: each.memory for each in said}
        is_last = number == self.looks.numbers[-1]
        fallen = self.journal.note(said, number, level.each(), is_last)
        self.listener(Looked(number, level.each(), tuple(self.journal.found), fallen))

    def _first(self, number: int) -> Landscape:
        """The landscape of the first replicates."""
        land = self.extender.land
        return Landscape(land.data.isel(replicate=slice(0, number)), land.study)


def _has(array: Any, cell: Cell) -> bool:
    return all(value in array[name].values for name, value in cell.items())


class Journal:
    """What the looks at one question said, as the folder keeps it."""

    def __init__(self, extender: Extender, key: str) -> None:
        self._extender, self._key = extender, key
        self._all = questions(extender.store)
        self._entry: dict[str, Any] = self._all.get(key, {})
        known = self._entry and _decisions_of(self._entry, extender.directory)
        self.found = list(known or ())

    def looks(self, at_most: int | None) -> Looks:
        """The looks of this question: those it was begun with, else up to ``at_most``."""
        if not self._entry:
            looks = Looks.up_to(AT_MOST if at_most is None else at_most, self._least())
            self._entry = {"looks": list(looks.numbers), "alpha": looks.alpha}
            self._write()  # before anything is trained: who goes on takes the same looks
            return looks
        looks = Looks(tuple(self._entry["looks"]), self._entry["alpha"])
        if at_most not in (None, looks.numbers[-1]):
            raise UsageError(
                "this question was begun with another largest number of replicates, from which the"
                " levels of its looks follow",
                where=self._extender.directory,
                expected=f"at most {looks.numbers[-1]}",
                found=at_most,
            )
        return looks

    def note(
        self, said: Sequence[Said], number: int, level: float, is_last: bool
    ) -> tuple[str, ...]:
        """Keep what a look said of what was not decided; gives the names of what it decided."""
        before = {(d.name, d.content): d for d in self.found}
        self.found, fallen = [], []
        for each in said:
            old = before.get((each.name, each.content))
            new = _decision(each, number, level, is_last)
            if old is not None and old.look is not None:
                self.found.append(old)
                continue
            self.found.append(new)
            fallen += [new.name] if new.look is not None else []
        self._write()
        return tuple(fallen)

    def _write(self) -> None:
        self._entry["decisions"] = [_to_plain(decision) for decision in self.found]
        self._all = {**self._all, self._key: self._entry}
        self._extender.store.decided({"format": FORMAT, "questions": self._all})

    def _least(self) -> int:
        """The replicates that every cell has which anybody asked for."""
        study = self._extender.store.study
        numbers = [Asked(study).of(cell) for cell in grid_of(study["axes"]).cells()]
        return min(n for n in numbers if n)


def _decision(said: Said, number: int, level: float, is_last: bool) -> Decision:
    falls = said.outcome not in (OPEN, CANNOT)
    decision = Decision(
        name=said.name,
        statement=said.statement,
        outcome=said.outcome,
        answer=said.answer,
        note=said.note,
        look=number if falls else None,
        level=level if falls else None,
        date=datetime.now(UTC).isoformat(timespec="seconds") if falls else "",
        content=said.content,
        open=said.open,
    )
    is_over = decision.outcome == OPEN and is_last
    return replace(decision, outcome=UNDECIDED, open=()) if is_over else decision


def _to_plain(decision: Decision) -> dict[str, Any]:
    return {**vars(decision), "open": [dict(cell) for cell in decision.open]}


def _decisions_of(entry: Mapping[str, Any], directory: str | Path) -> tuple[Decision, ...]:
    try:
        return tuple(
            Decision(**{**each, "open": tuple(Cell(tuple(c.items())) for c in each["open"])})
            for each in entry["decisions"]
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise no_decisions(directory, error) from error
