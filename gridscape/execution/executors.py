"""What an executor is, and the events that it tells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gridscape.engine.cohorts import Cohort
from gridscape.grid.trials import Trial, TrialResult


@dataclass(frozen=True)
class Snapshot:
    """Some trials of a cohort between two segments.

    meta: plain data: ``keys`` of the trials, ``update``, ``seconds`` of their cohort and the
        ``share`` that each gets of them, ``evaluated_at``.
    arrays: ``state/...``, ``trace/...`` and ``test/...``, each (trials, ...).
    """

    meta: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Progress:
    """A segment is done.

    accuracy: of each trial, in the order of the cohort: over the latest batches, or over the
    first test examples where ``evaluated``. alive: trials that have not diverged. seconds: that
    the cohort has been trained for.
    """

    cohort: Cohort
    update: int
    accuracy: np.ndarray
    evaluated: bool
    alive: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Finished:
    """A trial has ended."""

    trial: Trial
    result: TrialResult


Event = Progress | Finished


class Executor(Protocol):
    """Trains cohorts somewhere."""

    def run(self, cohort: Cohort, restored: Snapshot | None = None) -> Iterator[Event]:
        """Train a cohort, from its start or from a snapshot of the same trials.

        Raises OutOfMemoryError where it does not fit; every other trouble of a program is a
        status of its trials.
        """

    def snapshots(self) -> Iterator[Snapshot]:
        """All that is needed to go on from the latest event, in parts of bounded size."""
