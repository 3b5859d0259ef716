"""Works that several workers train in parts, told of in the name of the whole works.

What executors with more than one worker have in common: which worker has which part, and what of
its word goes to the sweep.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from gridscape.execution.executors import (
    Begun,
    Cut,
    Done,
    Event,
    Finished,
    Lost,
    Progress,
    Saved,
    Taken,
    Work,
)
from gridscape.execution.parts import Part, Parts, Seat
from gridscape.grid.trials import Trial
from gridscape.study.study import ResolvedStudy


@dataclass(eq=False)
class Member:
    """A worker. part: what it trains; run: of that, what is in training now."""

    seat: Seat = field(kw_only=True)
    part: Part | None = field(default=None, kw_only=True)
    run: tuple[Trial, ...] = field(default=(), kw_only=True)
    state_bytes: int = field(default=0, kw_only=True)


@dataclass(eq=False)
class Out:
    """A work that is out.

    training: how many parts of it are. is_aside: whether trials of it are left that the sweep must
    train with more care.
    """

    work: Work
    saved: Saved
    training: int = 0
    is_taken: bool = False
    is_aside: bool = False
    is_cancelled: bool = False


M = TypeVar("M", bound=Member)
W = TypeVar("W", bound=Out)


class Crew(ABC, Generic[M, W]):
    """Workers, the works that are out, and what is to be told of them."""

    def __init__(self, out: Callable[[Work, Saved], W]) -> None:
        self._new_out = out
        self._clear()

    def _clear(self) -> None:
        self._hands: list[M] = []
        self._parts, self._out = Parts(), dict[int, W]()
        self._told: deque[Event] = deque()

    def _add(self, resolved: ResolvedStudy, work: Work, saved: Saved) -> None:
        """A work to hand out."""
        self._out[work.id] = self._new_out(work, saved)
        self._parts.add_cohort(work.cohort(resolved), work, resolved.study)

    def _note(self, hand: M, event: Event) -> None:
        """Take note of what a worker said of its part."""
        part = hand.part
        if part is None:
            return
        out = self._out[part.of]
        match event:
            case Taken():
                if not out.is_taken:
                    self._told.append(Taken(part.of))
                out.is_taken = True
            case Begun():
                hand.run, hand.state_bytes = event.trials, event.state_bytes
                self._told.append(self._begun(part.of))
            case Progress():
                self._parts.is_compiled(hand.seat, part)
                self._told.append(replace(event, work=part.of))
            case Finished():
                self._told.append(event)
            case Cut():
                cut = {trial.key for trial in event.trials}
                hand.run = tuple(trial for trial in hand.run if trial.key not in cut)
                self._told.append(replace(event, work=part.of))
            case Done():
                self._end(hand, out)

    def _begun(self, work: int) -> Begun:
        """All trials of a work that are in training, by whatever worker."""
        hands = [hand for hand, _ in self._members(work)]
        trials = tuple(trial for hand in hands for trial in hand.run)
        return Begun(work, trials, sum(hand.state_bytes for hand in hands if hand.run))

    def _members(self, work: int) -> list[tuple[M, Part]]:
        """Who has a part of a work, and which."""
        return [(m, m.part) for m in self._hands if m.part is not None and m.part.of == work]

    def cancel(self, work: int) -> None:
        """See Executor."""
        out = self._out.get(work)
        if out is None:
            return
        out.is_cancelled = True
        self._parts.drop(work)
        self._cancel(self._members(work))
        self._end_if_all_done(out)

    @abstractmethod
    def _cancel(self, members: Sequence[tuple[M, Part]]) -> None:
        """Have these workers end after the segment that they are in."""

    def _end(self, hand: M, out: W) -> None:
        """A worker has come to the end of its part."""
        self._parts.leave(hand.seat)
        hand.part, hand.run, hand.state_bytes = None, (), 0
        out.training -= 1
        self._end_if_all_done(out)

    def _end_if_all_done(self, out: W) -> None:
        work = out.work.id
        if work in self._out and not out.training and not self._parts.has(work):
            del self._out[work]
            is_lost = out.is_aside and not out.is_cancelled
            self._told.append(Lost(work) if is_lost else Done(work))
