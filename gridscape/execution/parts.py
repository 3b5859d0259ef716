"""Who trains what next: works are cut into parts, the dearest first, for workers anywhere.

A work may be a whole study, so workers are handed parts of it. All parts of a work are of about one
size, so that they share a program. A worker has one part in training and the next one
in reserve, whose program it compiles meanwhile. Who finds nothing left takes half of a reserve.
"""

import math
from bisect import insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from gridscape.base.foreign import of_others
from gridscape.engine.cohorts import Cohort
from gridscape.engine.flops import update_flops
from gridscape.engine.programs import LONGEST_SEGMENT
from gridscape.execution.executors import Care, Work
from gridscape.execution.schedule import evaluation_points, segment_length
from gridscape.grid.trials import Trial
from gridscape.study.study import Study

# Parts that a worker trains in a study: what one idles at the end is less than one of its parts.
PARTS_EACH = 16
# A GPU trains all trials of a part at once: the fewer parts, the better it is used.
PARTS_EACH_OF_GPU = 2
# The trials of a part take so many times as long as what it takes beside them, or longer.
LEAST_WORK = 10
# Trials of a part for each device at most, as many as a program holds.
MOST_EACH = 64
# A core does so many operations a second, and an update and a call of a program take so long at
# least: roughly, to compare works by.
CORE_FLOPS, UPDATE_SECONDS, CALL_SECONDS = 5e9, 2e-6, 2e-3


@dataclass(frozen=True)
class Seat:
    """Where a worker is: what tells how much it is handed, and whose programs it can read.

    node: workers of one share a folder of compiled programs.
    """

    id: int
    node: str
    n_devices: int = 1
    is_batched: bool = False


@dataclass
class Part:
    """Trials of one work for one worker.

    of: the id of the work that they are part of; ``work`` is what the worker is handed, with an id
    of its own. cost: of one trial, in any unit. program: a name, equal for parts that share a
    program. deaths: of workers that had it, since it last got on.
    """

    of: int
    work: Work
    cost: float
    program: str
    deaths: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether nothing speaks against training it beside or before others."""
        return _is_plain(self.work)


@dataclass
class _Pile:
    """What is left of a work."""

    work: Work
    cost: float
    program: str
    part_cost: float
    size: int = 0
    begin: int = 0

    @property
    def n_left(self) -> int:
        return len(self.work.trials) - self.begin


@dataclass
class Parts:
    """All that is not in training yet.

    begins_cheap: whether the very first part is of the cheapest work: where somebody waits for a
    first result.
    """

    begins_cheap: bool = False
    _piles: list[_Pile] = field(default_factory=list)
    _first: deque[Part] = field(default_factory=deque)  # what came back from a lost worker
    _reserves: dict[int, Part] = field(default_factory=dict)  # by worker
    _compiling: dict[tuple[str, str], int] = field(default_factory=dict)  # which worker does
    _compiled: set[tuple[str, str]] = field(default_factory=set)
    _cost: float = 0.0
    _most_workers: int = 1
    _is_fresh: bool = True  # nothing has been handed out
    _ids: Iterator[int] = field(default_factory=count)

    def add(self, work: Work, cost: float, program: str, part_cost: float = 0.0) -> None:
        """A work to hand out.

        cost: of one trial. part_cost: of each part beside, however many trials it has. program: a
        name of what trains it.
        """
        if not self._piles and not self._reserves:
            self._cost, self._is_fresh = 0.0, True
        self._cost += cost * len(work.trials)
        insort(self._piles, _Pile(work, cost, program, part_cost), key=_order)

    def add_cohort(self, cohort: Cohort, work: Work, study: Study) -> None:
        """A work to hand out, with what it takes roughly."""
        cost, part_cost = seconds_of(cohort, study)
        self.add(work, cost, cohort.recipe.program, part_cost)

    def sizes(self, seat: Seat, n_workers: int) -> dict[int, int]:
        """Trials of each part, by work, where all workers are like this one."""
        self._most_workers = max(self._most_workers, n_workers)
        return {pile.work.id: self._size(pile, seat) for pile in self._piles}

    def take(self, seat: Seat, n_workers: int) -> tuple[Part, Part | None] | None:
        """What a worker trains now and what it has in reserve; None where it must wait.

        n_workers: how many there are. It waits for what another worker of its node compiles: it
        will read that.
        """
        self._most_workers = max(self._most_workers, n_workers)
        waiting = self._reserves.pop(seat.id, None) or self._cheapest(seat)
        part = waiting or self._next(seat) or self._share(seat)
        if part is None:
            return None
        self._begin(seat, part)
        reserve = self._next(seat) if part.is_plain else None
        if reserve is not None:
            self._reserves[seat.id] = reserve
        return part, reserve

    def is_compiled(self, seat: Seat, part: Part) -> None:
        """A worker trains with the program of a part: others of its node may, too."""
        place = (seat.node, part.program)
        self._compiling.pop(place, None)
        self._compiled.add(place)

    def leave(self, seat: Seat) -> None:
        """A worker is gone, or has ended a part: it compiles nothing any more."""
        self._compiling = {place: who for place, who in self._compiling.items() if who != seat.id}

    def free(self, seat: Seat) -> None:
        """A worker is gone: others may have what it has in reserve."""
        self.leave(seat)
        if part := self._reserves.pop(seat.id, None):
            self._first.append(part)

    def again(self, part: Part) -> None:
        """A part, or what is left of it, comes before all others; it gets another id."""
        self._first.appendleft(self._of(part, part.work.trials))

    def drop(self, work: int) -> None:
        """Nothing more of a work is handed out."""
        self._piles = [pile for pile in self._piles if pile.work.id != work]
        self._first = deque(part for part in self._first if part.of != work)
        self._reserves = {who: p for who, p in self._reserves.items() if p.of != work}

    def has(self, work: int) -> bool:
        """Whether something of a work is left to hand out."""
        waiting = (*self._first, *self._reserves.values())
        return any(p.work.id == work for p in self._piles) or any(p.of == work for p in waiting)

    def __bool__(self) -> bool:
        return bool(self._piles or self._first or self._reserves)

    # ---- how ----

    def _cheapest(self, seat: Seat) -> Part | None:
        """The first part of all."""
        if not self.begins_cheap or not self._is_fresh or self._first or not self._piles:
            return None
        self._is_fresh, first = False, _order(self._piles[0])
        like_it = [pile for pile in self._piles if _order(pile)[:2] == first[:2]]
        return self._cut(like_it[-1], seat) if _is_plain(self._piles[0].work) else None

    def _next(self, seat: Seat) -> Part | None:
        for part in self._first:
            if self._may(seat, part.program):
                self._first.remove(part)
                return part
        for pile in self._piles:
            if self._may(seat, pile.program):
                return self._cut(pile, seat)
        return None

    def _may(self, seat: Seat, program: str) -> bool:
        """Whether no other worker of the node compiles this program just now."""
        return self._compiling.get((seat.node, program), seat.id) == seat.id

    def _begin(self, seat: Seat, part: Part) -> None:
        place = (seat.node, part.program)
        if place not in self._compiled:
            self._compiling[place] = seat.id

    def _cut(self, pile: _Pile, seat: Seat) -> Part:
        pile.size = pile.size or self._size(pile, seat)
        # Of nearly equal size, so that the last one does not need a program of its own.
        n_parts = -(-pile.n_left // pile.size)
        end = pile.begin + -(-pile.n_left // n_parts)
        trials = pile.work.trials[pile.begin : end]
        pile.begin = end
        if not pile.n_left:
            self._piles.remove(pile)
        work = replace(pile.work, id=next(self._ids), trials=trials, n_sharing=pile.size)
        return Part(pile.work.id, work, pile.cost, pile.program)

    def _size(self, pile: _Pile, seat: Seat) -> int:
        """Trials of each part of a work: the same for all, and some for each device."""
        whole, n_workers = pile.cost * pile.n_left, self._most_workers
        each = PARTS_EACH_OF_GPU if seat.is_batched else PARTS_EACH
        n_parts = whole / self._cost * each * n_workers
        if pile.part_cost:  # what each part takes whatever its size is to be little
            enough = whole / (LEAST_WORK * pile.part_cost)
            n_parts = min(n_parts, max(enough, whole / self._cost * n_workers))
        slots = max(math.ceil(pile.n_left / max(n_parts, 1.0) / seat.n_devices - 1e-9), 1)
        if not seat.is_batched:
            slots = min(slots, MOST_EACH)
            if n_parts > 2 * n_workers and slots > 2 and _is_power_of_two(slots - 1):
                slots -= 1  # parts of one less would need another program, of half the size
        return slots * seat.n_devices

    def _share(self, seat: Seat) -> Part | None:
        """Half of the dearest reserve of another worker; all of it where it is small."""
        may = {w: p for w, p in self._reserves.items() if self._may(seat, p.program)}
        if not may:
            return None
        who, part = max(may.items(), key=lambda item: item[1].cost * len(item[1].work.trials))
        half = len(part.work.trials) // 2
        if half < seat.n_devices:
            return self._reserves.pop(who)
        self._reserves[who] = self._of(part, part.work.trials[:half])
        return self._of(part, part.work.trials[half:])

    def _of(self, part: Part, trials: tuple[Trial, ...]) -> Part:
        """Some trials of a part: another one, for whoever knows the first by its id."""
        return replace(part, work=replace(part.work, id=next(self._ids), trials=trials))


def _is_plain(work: Work) -> bool:
    return work.ahead and work.care is Care.NONE


def _order(pile: _Pile) -> tuple[bool, int, float]:
    """By rank, the dearest first; what needs care, or much memory, last and as it was submitted."""
    if not _is_plain(pile.work):
        return True, 0, 0.0
    return False, pile.work.rank, -pile.cost


def _is_power_of_two(n: int) -> bool:
    return n & (n - 1) == 0


def seconds_of(cohort: Cohort, study: Study) -> tuple[float, float]:
    """About what a trial takes on a core, and a run of however many beside: to compare them by."""
    recipe = cohort.recipe
    n_updates = max(recipe.updates - cohort.start, 1)  # of those left to evaluate alone
    try:
        with of_others():
            flops = update_flops(recipe, cohort.task)
            segment = segment_length(recipe, cohort.task, study)
    except Exception:  # of a user's model: its trials end with that error where they train
        flops, segment = 0.0, LONGEST_SEGMENT
    n_calls = n_updates / segment + 2 * len(evaluation_points(recipe, study))
    return n_updates * (flops / CORE_FLOPS + UPDATE_SECONDS), n_calls * CALL_SECONDS
