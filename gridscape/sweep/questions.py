"""What can be decided by adding replicates: claims, the best value of an axis, the order of values.

A question is a set of statements. At each look it says of every statement that is still open what
the replicates so far show, and which cells need more.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from gridscape.analysis.cells import CellSummary, candidates, is_asked, rows_of, score, summarize
from gridscape.analysis.differences import Comparison
from gridscape.analysis.looks import Level
from gridscape.analysis.statistics import Interval
from gridscape.claims.decided import CLAIMS, content_of
from gridscape.claims.evidence import cells_in, in_words
from gridscape.claims.judging import judge
from gridscape.claims.records import Claim, Outcome, Verdict
from gridscape.errors import UnknownNameError, UsageError
from gridscape.grid.axes import Cell, show
from gridscape.grid.trials import content_key
from gridscape.landscape import Landscape

HOLDS, FAILS, UNDECIDED = (
    outcome.value for outcome in Outcome if outcome.value != "not comparable"
)
DECIDED, EQUAL, OPEN, CANNOT = "decided", "practically equal", "open", "cannot be decided"
MARGIN = 0.005  # of a fraction: half a point

Memories = Mapping[str, Mapping[str, Any]]  # what looks had to remember, by name of the statement


@dataclass(frozen=True)
class Said:
    """What one look says of a statement.

    content: tells it apart from another one of the same name. open: the cells that need more
    replicates; none where it is settled. memory: plain data for the next look.
    """

    name: str
    statement: str
    content: str
    outcome: str
    answer: str = ""
    note: str = ""
    open: tuple[Cell, ...] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)


class Question(Protocol):
    """Statements that replicates can decide."""

    @property
    def key(self) -> str:
        """Tells questions apart."""

    def look(self, land: Landscape, level: Level, memories: Memories) -> list[Said]:
        """What a landscape says of all statements at a two-sided level.

        memories: of the look before.
        """


# ---- claims ----


@dataclass(frozen=True)
class ClaimsHold:
    """Whether published statements hold. folder: beside which other studies lie."""

    claims: tuple[Claim, ...]
    folder: Path
    key: str = CLAIMS

    def look(self, land: Landscape, level: Level, memories: Memories) -> list[Said]:
        """See Question."""
        return [_said(verdict, land) for verdict in judged(land, self.claims, self.folder, level)]


def judged(
    land: Landscape, claims: Iterable[Claim], folder: Path, level: Level
) -> tuple[Verdict, ...]:
    """Verdicts at a two-sided level."""
    return judge(land, claims, folder=folder, level=level)


def _said(verdict: Verdict, land: Landscape) -> Said:
    claim, outcome, open_ = verdict.claim, verdict.outcome.value, tuple[Cell, ...]()
    if verdict.outcome is Outcome.UNDECIDED:
        open_ = () if _is_beyond(verdict) else _open_cells(verdict, land)
        outcome = OPEN if open_ else CANNOT
    shown = verdict.estimates[0] if verdict.estimates else None
    answer = f"{shown.interval.mean:.3g} {shown.unit}".strip() if shown else ""
    undecided = (e for e in verdict.estimates if open_ and e.says is Outcome.UNDECIDED)
    outlook = next((f"{e.name}: {e.outlook}" for e in undecided if e.outlook), "")
    note = "; ".join(filter(None, (verdict.note, outlook)))
    return Said(claim.id, claim.statement, content_of(claim), outcome, answer, note, open_)


def _is_beyond(verdict: Verdict) -> bool:
    """Whether no replicate of these cells could decide it: the landscape lacks something else."""
    return bool(verdict.lacks)


def _open_cells(verdict: Verdict, land: Landscape) -> tuple[Cell, ...]:
    """The cells whose replicates are too few; of a point of a curve, the cell that has the curve.

    Those of another study, with which a claim compares this one, are not for this folder to train.
    """
    undecided = [e for e in verdict.estimates if e.says is Outcome.UNDECIDED]
    cells = [cell for e in undecided for cell in e.cells or verdict.used]
    names = {axis.name for axis in land.axes}
    places = ({n: v for n, v in c.items() if n in names} for c in cells or verdict.used)
    found = map(land.grid.look_up, places)
    return tuple(dict.fromkeys(cell for cell in found if cell is not None))


# ---- cells of one axis ----


@dataclass(frozen=True)
class Among:
    """The cells that are compared: rows of those that differ in ``axis`` only.

    at: values of other axes, to which the rows are limited. overall: one row of all these cells.
    margin: differences below it do not matter, in the unit of the metric; 0 where all do.
    """

    axis: str
    at: Mapping[str, Any]
    overall: bool
    metric: str
    margin: float

    @classmethod
    def of(
        cls,
        land: Landscape,
        axis: str,
        at: Mapping[str, Any] | None,
        overall: bool,
        margin: float | None,
    ) -> "Among":
        """Checked against a landscape; raises UnknownNameError, UsageError."""
        land.axis(axis)
        for name, values in (at or {}).items():
            if all(land.axis(name).place(v) is None for v in values):
                known = [show(value) for value in land.axis(name).values]
                raise UnknownNameError(f"value of {name}", show(values[0]), known)
        if margin is not None and not 0 <= margin < math.inf:
            raise UsageError("not a margin", where="margin", expected="0 or more", found=margin)
        metric = land.selection_metric
        usual = MARGIN if land.meaning(metric).is_fraction else 0.0
        return cls(axis, dict(at or {}), overall, metric, usual if margin is None else margin)

    def rows(self, land: Landscape) -> dict[str, list[CellSummary]]:
        """The cells of each row that anybody asked for, by the row in words; "" where it is one."""
        inside = set(cells_in(land.axes, self.at))
        found = [s for s in summarize(land, self.metric) if s.cell in inside and is_asked(s)]
        if self.overall:
            return {"": found}
        varying = [a.name for a in land.axes if a.name != self.axis and len(a.values) > 1]
        return {str(row): members for row, members in rows_of(found, tuple(varying))}

    @property
    def words(self) -> str:
        """Where, and by which margin."""
        parts = [in_words(self.at)] if self.at else []
        parts += [f"of {self.metric}", f"within {self.margin:g}"]
        return ", ".join(["overall", *parts] if self.overall else parts)

    def name(self, cell: Cell) -> str:
        """A cell, as its row speaks of it."""
        return str(cell) if self.overall else show(cell[self.axis])

    def statement(self, words: str, row: str) -> str:
        """The name of what is said of a row."""
        return f"{words} at {row}" if row else words

    def said(
        self, words: str, row: str, members: Sequence[CellSummary], outcome: str, **more: Any
    ) -> Said:
        """What is said of one row; with a further value it is another statement."""
        name = self.statement(words, row)
        content = {"words": self.words, "cells": sorted(str(s.cell) for s in members)}
        return Said(name, name, content_key(content), outcome, **more)


def lead(a: CellSummary, b: CellSummary, level: float, among: Comparison) -> Interval:
    """By how much ``a`` is better than ``b``, with its interval at a two-sided level.

    Unknown where fewer than two replicates learn in both, or where nothing tells their scatter.
    """
    found = among.difference(a, b)
    return (found if a.meaning.is_higher_better else -found).interval(1 - level)


def _is_within(interval: Interval, margin: float) -> bool:
    return -margin < interval.low and interval.high < margin


@dataclass(frozen=True)
class OfRows(ABC):
    """A question that is asked of each row for itself."""

    among: Among

    def look(self, land: Landscape, level: Level, memories: Memories) -> list[Said]:
        """See Question."""
        rows = self.among.rows(land).items()
        return [self._look(row, members, level, memories) for row, members in rows]

    @abstractmethod
    def _look(
        self, row: str, members: Sequence[CellSummary], level: Level, memories: Memories
    ) -> Said:
        """What is said of one row."""


class BestValue(OfRows):
    """Which value of an axis is best in each row: values leave it once another is shown better.

    The true best stays with the confidence of the looks, in each row for itself: each pair has its
    part of the error (Bonferroni over the rivals, since which one leads is seen in the data).
    """

    @property
    def key(self) -> str:
        """See Question."""
        return f"best {self.among.axis} {self.among.words}"

    def _look(
        self, row: str, members: Sequence[CellSummary], level: Level, memories: Memories
    ) -> Said:
        name = self.among.name
        words = f"best {self.among.axis}"
        out = list(memories.get(self.among.statement(words, row), {}).get("out", []))
        fit, lost = candidates(members)
        left = [s for s in fit if name(s.cell) not in out]
        note = f"set aside, half or more did not finish: {_names(map(name, lost))}" if lost else ""
        if len(members) < 2 or not left:
            why = "no value finishes in most of its replicates" if members[1:] else "one value only"
            return self.among.said(words, row, members, CANNOT, note=why)
        each, compared = level.each(len(members) - 1), Comparison(fit)
        beaten = [
            s for s in left if any(lead(o, s, each, compared).low > 0 for o in left if o is not s)
        ]
        out += [name(s.cell) for s in beaten]
        left = [s for s in left if s not in beaten]
        top = max(left, key=score)
        others = [s for s in left if s is not top]
        alike = all(_is_within(lead(top, s, each, compared), self.among.margin) for s in others)
        outcome = DECIDED if not others else EQUAL if alike else OPEN
        return self.among.said(
            words,
            row,
            members,
            outcome,
            answer=_names(name(s.cell) for s in left),
            note=note,
            open=tuple(s.cell for s in left) if outcome == OPEN else (),
            memory={"out": out},
        )


class OrderOf(OfRows):
    """The order of an axis' values in each row: neighbors by their mean are told apart, or equal.

    Which pairs are neighbors is seen in the data, so each pair of the row has a part of the error.
    """

    @property
    def key(self) -> str:
        """See Question."""
        return f"order {self.among.axis} {self.among.words}"

    def _look(
        self, row: str, members: Sequence[CellSummary], level: Level, memories: Memories
    ) -> Said:
        words, name = f"order of {self.among.axis}", self.among.name
        known = dict(memories.get(self.among.statement(words, row), {}).get("pairs", {}))
        fit, lost = candidates(members)
        note = f"set aside, half or more did not finish: {_names(map(name, lost))}" if lost else ""
        if len(fit) < 2:
            why = note or "fewer than two values"
            return self.among.said(words, row, members, CANNOT, note=why)
        each = level.each(math.comb(len(members), 2))
        compared = Comparison(fit)
        ranked, open_, signs = sorted(fit, key=score, reverse=True), list[Cell](), list[str]()
        for a, b in pairwise(ranked):
            pair = f"{name(a.cell)} {name(b.cell)}"
            known[pair] = known.get(pair) or self._sign(lead(a, b, each, compared))
            signs.append(known[pair] or "?")
            open_ += [] if known[pair] else [a.cell, b.cell]
        answer = name(ranked[0].cell) + "".join(
            f" {sign} {name(s.cell)}" for sign, s in zip(signs, ranked[1:], strict=True)
        )
        outcome = OPEN if open_ else EQUAL if set(signs) == {"="} else DECIDED
        return self.among.said(
            words,
            row,
            members,
            outcome,
            answer=answer,
            note=note,
            open=tuple(dict.fromkeys(open_)),
            memory={"pairs": {pair: sign for pair, sign in known.items() if sign}},
        )

    def _sign(self, interval: Interval) -> str:
        if interval.low > 0:
            return ">"
        return "=" if _is_within(interval, self.among.margin) else ""


def _names(names: Iterable[Any]) -> str:
    return ", ".join(map(str, names))
