"""What was in training when a process died: the kernel's killer, a crash, kill -9, a power cut.

The folder holds which trials are in training now. Who finds that there, and the folder unlocked,
knows that the process died with them. One death proves nothing: they come last, then in smaller
parts. Only a death without progress counts together with the one before, so that whoever kills a
run that gets on loses nothing.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gridscape.engine.cohorts import Cohort
from gridscape.execution.executors import Work
from gridscape.store.store import Store

# After so many deaths trials are trained one by one, and after two more not at all in this run.
ALONE = 2
MOST_DEATHS = ALONE + 2


class Death(NamedTuple):
    """How many times the process died with a trial's cohort, each time from the same update on.

    hit: whether it was that very trial, of those that had not ended: the last time, or ever since
    they are trained one by one.
    """

    times: int
    update: int
    hit: bool = False


@dataclass
class Deaths:
    """The deaths that a folder tells of, by trial, and what is in training, by work."""

    store: Store
    found: dict[str, Death] = field(default_factory=dict)
    _out: dict[int, dict[str, int]] = field(default_factory=dict)  # of each trial its first update
    _running: dict[int, frozenset[str]] = field(default_factory=dict)  # trials, by work
    _is_stale: bool = False  # the note has trials that ended, and of which nothing else tells so

    @classmethod
    def told_by(cls, store: Store, done: Collection[str] = ()) -> "Deaths":
        """Those of trials that are not done yet; a note that cannot be read tells of none."""
        noted = store.noted()
        found = {key: Death(n, at, bool(hit)) for key, (n, at, hit) in _items(noted, "deaths", 3)}
        deaths = cls(store, found)
        hits = frozenset(store.noted_running())
        for key, (update, hit) in _items(noted, "training", 2):
            deaths._count(key, update, bool(hit) or key in hits)
        for key in done:
            deaths.forget(key)
        return deaths

    def _count(self, key: str, update: int, hit: bool) -> None:
        """The process died once more while it had this trial."""
        old = self.found.get(key, Death(0, update))
        old = old if old.update == update else Death(0, update)  # it got on
        hit_before = old.hit and old.times > ALONE
        self.found[key] = Death(old.times + 1, update, hit or hit_before)

    def of(self, trials: Cohort | Work) -> int:
        """How many times the process died with these trials since they last got on."""
        return max((death.times for death in self._of(trials)), default=0)

    def hit(self, trials: Cohort | Work) -> bool:
        """Whether one of these trials was in training then."""
        return any(death.hit for death in self._of(trials))

    def _of(self, trials: Cohort | Work) -> list[Death]:
        found = [self.found[trial.key] for trial in trials.trials if trial.key in self.found]
        return [death for death in found if death.update == trials.start]

    def one_less(self, work: Work) -> None:
        """Let these trials, whose end is recorded, be tried once by the next run."""
        self.found |= {t.key: Death(MOST_DEATHS - 1, work.start) for t in work.trials}
        self._note()

    def forget(self, key: str, *, is_done: bool = True) -> None:
        """A trial has ended; not done: the next run of the folder will train it once more."""
        self.found.pop(key, None)
        for out in self._out.values():
            out.pop(key, None)
        self._is_stale |= not is_done

    def ease(self, waiting: Iterable[str]) -> None:
        """A run of a work has ended, so that those which wait do not share its fate."""
        eased = {
            key: self.found[key]._replace(times=ALONE)
            for key in waiting
            if key in self.found and self.found[key].times > ALONE
        }
        if eased:
            self.found |= eased
            self._note()

    def begin(self, work: Work, left: Iterable[str]) -> None:
        """Note what is left of a work, of which nothing is in training yet.

        So it is while its programs are compiled, which takes memory too.
        """
        self._out[work.id] = dict.fromkeys(left, work.start)
        self._running.pop(work.id, None)
        self._note_running()
        self._note()

    def running(self, work: Work, left: Iterable[str], run: Iterable[str]) -> None:
        """Note which run of a work is in training.

        What is left of the work is noted once for all its runs: of what has ended since, the folder
        tells that it is done, but for trials that failed.
        """
        if work.id not in self._out:
            self.begin(work, left)
        elif self._is_stale:
            self._note()
        self._running[work.id] = frozenset(run)
        self._note_running()

    def end(self, work: int) -> None:
        """A work has ended in any way but a death."""
        self._out.pop(work, None)
        self._running.pop(work, None)
        self._note_running()
        self._note()

    def died(self, work: int) -> None:
        """The process that trained a work died, and this one did not."""
        hits = self._running.get(work, frozenset())
        for key, update in self._out.get(work, {}).items():
            self._count(key, update, key in hits)
        self.end(work)

    def end_all(self) -> None:
        """Nothing is in training any more."""
        self._out.clear()
        self._running.clear()
        self._note_running()
        self._note()

    def _note(self) -> None:
        self._is_stale = False
        training = {key: (at, 0) for out in self._out.values() for key, at in out.items()}
        content = {"training": training, "deaths": self.found}
        self.store.note(content if training or self.found else None)

    def _note_running(self) -> None:
        """A note of its own: there are as many runs as the folder has trials, by the hundred."""
        self.store.note_running(sorted(key for run in self._running.values() for key in run))


def _items(noted: Mapping[str, Any], name: str, length: int) -> Iterator[tuple[str, list[int]]]:
    """What a note says of each trial, ``length`` whole numbers; what is damaged is left out."""
    trials = noted.get(name)
    for key, numbers in trials.items() if isinstance(trials, dict) else ():
        whole = isinstance(numbers, list) and all(isinstance(n, int) for n in numbers)
        if whole and len(numbers) == length:
            yield key, numbers
