"""The trials of a landscape as runs of a tracker: one record each, which the writers take."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status

MOST_LETTERS = 120  # of the name of a run, which may be that of a folder


@dataclass(frozen=True)
class TrackedRun:
    """One trial that has ended.

    metrics: final numbers by name. curves: by the same names the updates done and the numbers,
    both (points,), all finite. updates: done in all; 0 where that is not known.
    """

    cell: Cell
    replicate: int
    status: Status
    key: str
    reason: str
    metrics: Mapping[str, float]
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
    updates: int
    seconds: float

    @property
    def name(self) -> str:
        """What the run is called: letters that every file system takes."""
        text = re.sub(r"[^A-Za-z0-9._=,+-]+", "_", str(self.cell).replace(", ", ","))
        return f"{text[:MOST_LETTERS]},replicate={self.replicate}"

    @property
    def has_finished(self) -> bool:
        """Whether all of its updates were done."""
        return self.status is Status.FINISHED

    @property
    def was_stopped(self) -> bool:
        """Whether somebody ended it before."""
        return self.status is Status.STOPPED

    def points(self, metric: str) -> list[tuple[int, float]]:
        """A metric along the run, (update, number); at the end it is the final number.

        The last point of a curve is over a choice of examples, the final number over all.
        """
        steps, values = self.curves.get(metric, (np.empty(0), np.empty(0)))
        along = [(int(step), float(value)) for step, value in zip(steps, values, strict=True)]
        if metric not in self.metrics:
            return along
        last = max(self.updates, *(step for step, _ in along), 0)
        return [*(point for point in along if point[0] < last), (last, self.metrics[metric])]

    @property
    def names(self) -> list[str]:
        """All that was measured, final metrics first."""
        return list(dict.fromkeys((*self.metrics, *self.curves)))
