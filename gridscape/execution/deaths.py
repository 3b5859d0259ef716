"""What was in training when a process died: the kernel's killer, a crash, kill -9, a power cut.

The folder holds which trials are in training now. Who finds that there, and the folder unlocked,
knows that the process died with them. One death proves nothing: they come last, then in smaller
parts. Only a death without progress counts together with the one before, so that whoever kills a
run that gets on loses nothing.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gridscape.engine.cohorts import Cohort
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
    """The deaths that a folder tells of, by trial."""

    store: Store
    found: dict[str, Death] = field(default_factory=dict)

    @classmethod
    def told_by(cls, store: Store, done: Collection[str] = ()) -> "Deaths":
        """Those of trials that are not done yet; a note that cannot be read tells of none."""
        noted = store.noted()
        found = {key: Death(n, at, bool(hit)) for key, (n, at, hit) in _items(noted, "deaths", 3)}
        for key, (update, hit) in _items(noted, "training", 2):
            old = found.get(key, Death(0, update))
            old = old if old.update == update else Death(0, update)  # it got on
            hit_before = old.hit and old.times > ALONE
            found[key] = Death(old.times + 1, update, bool(hit) or hit_before)
        return cls(store, {key: death for key, death in found.items() if key not in done})

    def of(self, cohort: Cohort) -> int:
        """How many times the process died with these trials since they last got on."""
        return max((death.times for death in self._of(cohort)), default=0)

    def hit(self, cohort: Cohort) -> bool:
        """Whether one of these trials was in training then."""
        return any(death.hit for death in self._of(cohort))

    def _of(self, cohort: Cohort) -> list[Death]:
        found = [self.found[trial.key] for trial in cohort.trials if trial.key in self.found]
        return [death for death in found if death.update == cohort.start]

    def one_less(self, cohort: Cohort) -> None:
        """Let these trials, whose end is recorded, be tried once by the next run."""
        self.found |= {t.key: Death(MOST_DEATHS - 1, cohort.start) for t in cohort.trials}
        self._note({})

    def forget(self, key: str) -> None:
        """A trial has ended."""
        self.found.pop(key, None)

    def ease(self, waiting: Iterable[Cohort]) -> None:
        """A part of a cohort has ended, so that those which wait do not share its fate."""
        for trial in (trial for cohort in waiting for trial in cohort.trials):
            if trial.key in self.found:
                death = self.found[trial.key]
                self.found[trial.key] = death._replace(times=min(death.times, ALONE))

    @contextmanager
    def training(self, part: Cohort | None, waiting: Iterable[Cohort]) -> Iterator[None]:
        """Note that a part of a cohort is in training, until that ends in any way but a death.

        None: what is to be trained is being compiled.
        """
        noted = {trial.key: (cohort.start, 0) for cohort in waiting for trial in cohort.trials}
        noted |= {trial.key: (part.start, 1) for trial in part.trials} if part else {}
        self._note(noted)
        try:
            yield
        finally:
            self._note({})

    def _note(self, training: Mapping[str, tuple[int, int]]) -> None:
        content = {"training": training, "deaths": self.found}
        self.store.note(content if training or self.found else None)


def _items(noted: Mapping[str, Any], name: str, length: int) -> Iterator[tuple[str, list[int]]]:
    """What a note says of each trial, ``length`` whole numbers; what is damaged is left out."""
    trials = noted.get(name)
    for key, numbers in trials.items() if isinstance(trials, dict) else ():
        whole = isinstance(numbers, list) and all(isinstance(n, int) for n in numbers)
        if whole and len(numbers) == length:
            yield key, numbers
