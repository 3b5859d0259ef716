"""How far a run is, told in its folder for whoever looks on: trials in training, time left.

``progress.json`` is replaced about once a second and read by nobody who trains. A disk that has no
room for it does not end the run.
"""

import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from gridscape.engine.cohorts import partition
from gridscape.errors import StoreError
from gridscape.execution.executors import Cut, Done, Event, Finished, Lost, Progress
from gridscape.execution.time_left import TimeLeft
from gridscape.grid.trials import Trial
from gridscape.store.progress import born
from gridscape.store.store import Store
from gridscape.study.study import ResolvedStudy

TELL_SECONDS = 1.0  # between two notes
MOST_TOLD = 256  # trials in training that are named, each with its curve so far
MOST_POINTS = 64  # of such a curve

Run = tuple[int, str]


class Telling:
    """Takes note of the events of one sweep and tells them in its folder."""

    def __init__(
        self, store: Store, resolved: ResolvedStudy, todo: Sequence[Trial], n_stored: int
    ) -> None:
        self._store, self._axes = store, [axis.name for axis in resolved.study.grid.axes]
        self._metric = next(iter(resolved.meanings), "loss")
        self._number = {trial.key: i for i, trial in enumerate(todo)}
        self._ended = set[str]()
        # What is in training: by its work and the first of its trials what is told of it, and
        # which of its trials have not ended. Parts of a work may be trained side by side.
        self._runs = dict[Run, dict[str, Any]]()
        self._left, self._run_of = dict[Run, set[str]](), dict[str, Run]()
        self._begun, self._told = time.time(), 0.0
        self._time_left = TimeLeft.of(
            partition(resolved, todo),
            lambda trial: self._number[trial.key],
            len(todo),
            time.perf_counter(),
        )
        self._fixed = {
            "process": os.getpid(),
            "host": socket.gethostname(),
            "born": born(os.getpid()),
            "command": command(),
            "begun": self._begun,
            "n_stored": n_stored,
            "n_todo": len(todo),
            "metric": self._metric,
        }
        self.tell("training")

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case Progress():
                self._progress(event)
            case Finished():
                self._end(event.trial.key)
            case Cut():
                self._drop((event.work, event.trials[0].key))
            case Done() | Lost():
                for run in [run for run in self._runs if run[0] == event.work]:
                    self._drop(run)
        if time.time() - self._told >= TELL_SECONDS:
            self.tell("training")

    def tell(self, state: str) -> None:
        """Write it down. state: training, ended, or interrupted."""
        self._told = time.time()
        seconds = self._time_left.seconds(time.perf_counter())
        content = {
            **self._fixed,
            "state": state,
            "told": self._told,
            "n_ended": len(self._ended),
            "seconds_left": seconds if state == "training" else None,
            "runs": list(self._runs.values()) if state == "training" else [],
        }
        with suppress(StoreError):  # the run needs no room for it
            self._store.tell(content)

    def _progress(self, event: Progress) -> None:
        numbers = np.array([self._number[trial.key] for trial in event.trials])
        left = event.updates - event.update
        self._time_left.advance(numbers, left, event.alive, time.perf_counter())
        told = event.trials[:MOST_TOLD]
        name = (event.work, told[0].key)
        run = self._runs.get(name)
        if run is None or run["n"] != len(event.trials):
            self._begin(name, event.trials)
            places = [[[t.cell[axis] for axis in self._axes], t.replicate] for t in told]
            run = {"first": told[0].key, "n": len(event.trials), "trials": places, "points": []}
            self._runs[name] = run
        values = [_short(x) for x in event.accuracy[: len(told)].tolist()]
        run |= {"update": event.update, "updates": event.updates}
        run["points"] = _thinned([*run["points"], [event.update, event.evaluated, values]])

    def _begin(self, name: Run, trials: Sequence[Trial]) -> None:
        """A run is in training, instead of others with the same trials whose process died."""
        keys = {trial.key for trial in trials}
        for other in {self._run_of[key] for key in keys if key in self._run_of}:
            self._drop(other)
        self._left[name] = keys
        self._run_of |= dict.fromkeys(keys, name)

    def _drop(self, name: Run) -> None:
        self._runs.pop(name, None)
        for key in self._left.pop(name, ()):
            self._run_of.pop(key, None)

    def _end(self, key: str) -> None:
        self._ended.add(key)
        if run := self._run_of.pop(key, None):
            self._left[run].discard(key)
            if not self._left[run]:
                self._drop(run)
        self._time_left.end(self._number[key], time.perf_counter(), is_idle=not self._runs)


def _thinned(points: list[list[Any]]) -> list[list[Any]]:
    """At most MOST_POINTS points of a curve: test points stay longest."""
    while len(points) > MOST_POINTS:
        rest = [i for i, (_, evaluated, _) in enumerate(points[1:-1], 1) if not evaluated]
        dropped = set((rest or range(1, len(points) - 1))[::2])
        points = [point for i, point in enumerate(points) if i not in dropped]
    return points


def _short(value: float) -> float | None:
    return float(f"{value:.5g}") if np.isfinite(value) else None


def command() -> list[str] | None:
    """The words after ``gridscape`` that this process was begun with; None of other programs."""
    program = Path(sys.argv[0])
    is_ours = program.name == "gridscape" or program.parts[-2:] == ("gridscape", "__main__.py")
    return sys.argv[1:] if is_ours else None
