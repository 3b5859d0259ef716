"""One run of a table: how it ended, its final metrics, its curves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridscape.grid.meanings import Meaning
from gridscape.grid.names import CLOCKS
from gridscape.grid.trials import Status, TrialResult
from gridscape.store.arrays import clock_of

NO_NUMBER = "no finite metric"


@dataclass(frozen=True)
class Metric:
    """A metric of a landscape, and its number in each row of a table."""

    variable: str
    name: str
    meaning: Meaning
    values: np.ndarray


@dataclass(frozen=True)
class Run:
    """One run: its rows, by rising steps where there are steps."""

    metrics: Sequence[Metric]
    steps: np.ndarray | None
    statuses: Sequence[Status]
    words: Sequence[str]
    facts: Mapping[str, np.ndarray]
    evaluated: frozenset[int]
    rows: list[int]

    def result(self, key: str) -> TrialResult | None:
        """How it ended; None where it has not."""
        status, word = self.statuses[self.rows[-1]], self.words[self.rows[-1]]
        if status is Status.MISSING:
            return None
        finals = {m.variable: self._last(m) for m in self.metrics}
        finals = {name: value for name, value in finals.items() if math.isfinite(value)}
        bad = self._first_bad(self.metrics[0])
        unknown: Any = None
        reason = word if status not in (Status.FINISHED, Status.DIVERGED) else None
        if status is Status.FINISHED and (bad is not None or self.main not in finals):
            status, reason = Status.DIVERGED, NO_NUMBER
        if status is not Status.FINISHED:
            finals = {}
        last = unknown if self.steps is None else int(self.steps[self.rows[-1]])
        facts = {name: self._fact(values) for name, values in self.facts.items()}
        return TrialResult(
            key=key,
            status=status,
            updates=last,
            metrics=finals,
            curves=self._curves() if self.steps is not None else {},
            seconds=facts.get("seconds", unknown),
            n_parameters=facts.get("n_parameters", unknown),
            flops=unknown,
            memory_bytes=unknown,
            first_bad_update=bad,
            reason=reason,
        )

    @property
    def main(self) -> str:
        return self.metrics[0].variable

    def _last(self, metric: Metric) -> float:
        values = metric.values[self.rows]
        known = values[~np.isnan(values)]
        return float(known[-1]) if len(known) else math.nan

    def _first_bad(self, metric: Metric) -> int | None:
        """The step from which on a metric that others have there is not finite."""
        if self.steps is None:
            return None
        values, steps = metric.values[self.rows], self.steps[self.rows]
        finite = np.flatnonzero(np.isfinite(values))
        after = steps[finite[-1] + 1 :] if len(finite) else steps
        return next((int(step) for step in after if int(step) in self.evaluated), None)

    def _fact(self, values: np.ndarray) -> Any:
        known = values[self.rows][np.isfinite(values[self.rows])]
        return float(known[-1]) if len(known) else None

    def _curves(self) -> dict[str, np.ndarray]:
        """Every metric along the run, on the clock of its split."""
        curves: dict[str, np.ndarray] = {}
        steps = self.steps[self.rows] if self.steps is not None else np.empty(0, np.int64)
        for clock, stored in CLOCKS.items():
            own = [m for m in self.metrics if clock_of(m.variable) == clock]
            lines = [m.values[self.rows] for m in own]
            some = np.logical_or.reduce([~np.isnan(line) for line in lines]) if own else None
            if some is None or not some.any():
                continue
            curves[stored] = steps[some]
            curves |= {m.variable: line[some] for m, line in zip(own, lines, strict=True)}
        return curves


def evaluated(metric: Metric, steps: np.ndarray | None) -> frozenset[int]:
    """The steps at which any run has a metric."""
    return frozenset() if steps is None else frozenset(steps[np.isfinite(metric.values)].tolist())
