"""The document of a served page, and what has changed in it since when.

The analysis of a whole study takes seconds where it is large. So the cells in which something
ended are summarized at once, on the part of the grid that holds them, and all else (what is best,
the edge of learning, claims) from time to time, at most a tenth of the time. Readers ask for what
changed since the version that they have: nothing waits for them, and a slow one skips versions.
"""

import math
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np

from gridscape.grid.many import many_records
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.landscape import AT_ONCE, Landscape
from gridscape.report.contract import ChangeData, LiveData, PageData
from gridscape.report.document import document
from gridscape.report.findings import gather
from gridscape.report.html import environment
from gridscape.report.live.folder import Folder, Numbers

SHARE = 0.1  # of the time that analyses may take
# What the part of a grid does not tell of its cells: it needs all of them.
OF_ALL = ("at_edge", "why", "against_best")
COLUMNS = ("mean", "low", "high", "each", "counts")
BY_CELL = ("cells", "metrics", "curves")
Point = tuple[int, bool, float]  # of a curve so far: update, whether of test examples, value
COUNTED = ("finished", "diverged", "failed", "stopped", "missing")


class Shown:
    """The document of a folder and the versions of its parts; used by one thread.

    version: of the document, which only grows. shape: another number where cells or metrics are
    others than before, so that a page has to be loaded again.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.version, self.shape = 0, 0
        self.doc: dict[str, Any] = {}
        self.numbers: Numbers | None = None
        self._parts: dict[str, int] = {}
        self._cells = np.zeros(0, np.int64)  # the version of each cell
        self._curves: dict[str, int] = {}
        self._generation, self._stale = -1, True
        self._next = 0.0  # when the next analysis of all may begin

    def update(self, changed: Collection[str]) -> bool:
        """Take over trials that have changed; whether the document has.

        All is analyzed anew where the grid is another, and from time to time where anything is.
        """
        folder = self.folder
        if not folder.study:
            return False
        self._stale |= bool(changed)
        is_new = folder.generation != self._generation
        if not is_new and not self._stale:
            return False
        if is_new or time.perf_counter() >= self._next:
            begin = time.perf_counter()
            self._analyze()
            now = time.perf_counter()
            self._next = now + (now - begin) * (1 - SHARE) / SHARE
            self._stale = False
            return True
        return bool(changed) and self._fill(changed)

    def since(self, version: int, live: LiveData) -> ChangeData:
        """What has changed since a version of the same shape."""
        at = np.flatnonzero(self._cells > version).tolist()
        doc = self.doc
        return {
            "live": live,
            "parts": {name: doc[name] for name, v in self._parts.items() if v > version},
            "at": at,
            "cells": {n: [column[i] for i in at] for n, column in doc["cells"].items()}
            if at
            else {},
            "metrics": [
                {k: [m[k][i] for i in at] if m[k] is not None else None for k in COLUMNS}
                for m in (doc["metrics"] if at else [])
            ],
            "curves": {k: doc["curves"][k] for k, v in self._curves.items() if v > version},
        }

    # ---- all of it ----

    def _analyze(self) -> None:
        folder = self.folder
        new = self._document(folder.study, folder.trials)
        self.version += 1
        if _shape_of(new) != _shape_of(self.doc):
            self.shape += 1
            self.numbers = Numbers(folder.study)
            n_cells = len(new["cells"]["label"])
            self._cells = np.full(n_cells, self.version)
            self._curves = dict.fromkeys(new["curves"], self.version)
            self._parts = {}
        else:
            self._note(new)
        self.doc, self._generation = new, folder.generation

    def _note(self, new: Mapping[str, Any]) -> None:
        """Which parts, cells and curves are others than before."""
        old, version = self.doc, self.version
        for name, part in new.items():
            if name not in BY_CELL and name != "made" and part != old[name]:
                self._parts[name] = version
        pairs = [(new["cells"][name], column) for name, column in old["cells"].items()]
        for one, other in zip(new["metrics"], old["metrics"], strict=True):
            if any((one[k] is None) != (other[k] is None) for k in COLUMNS):
                self._parts["metrics"] = version
            pairs += [(one[k], other[k]) for k in COLUMNS if one[k] is not None is not other[k]]
        for one, other in pairs:
            if one != other:
                others = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
                self._cells[others] = version
        for cell, curves in new["curves"].items():
            if curves != old["curves"].get(cell):
                self._curves[cell] = version

    def _document(self, study: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
        """The document of these trials on the grid of a study."""
        folder = self.folder
        keys = list(keys)
        with_curves = len(keys) <= AT_ONCE or bool(study.get("groups"))
        if with_curves:
            folder.curves_of(keys)
        with many_records():
            land = Landscape.of(
                study,
                [_with(folder, key) if with_curves else folder.trials[key] for key in keys],
                directory=None if with_curves else folder.directory,
            )
            made = datetime.now(UTC).isoformat(timespec="seconds")
            found = gather(land, folder.directory)
            return cast(dict[str, Any], document(found, folder.directory, made, environment()))

    # ---- the cells in which something ended ----

    def _fill(self, changed: Iterable[str]) -> bool:
        """Summarize the cells of these trials, on the part of the grid that holds them."""
        folder, numbers = self.folder, self.numbers
        assert numbers is not None
        cells = {numbers.of(folder.trials[key][0].cell) for key in changed} - {None}
        if not cells:
            return False
        at = sorted(cast(set[int], cells))
        axes = numbers.box(at)
        inside = Numbers({"axes": axes})
        keys = [key for key, (t, _) in folder.trials.items() if inside.of(t.cell) is not None]
        study = {k: v for k, v in folder.study.items() if k not in ("claims", "published")}
        part = self._document({**study, "axes": axes}, keys)
        if [m["name"] for m in part["metrics"]] != [m["name"] for m in self.doc["metrics"]]:
            return False  # the next analysis tells
        self._take(part, inside, at)
        return True

    def _take(self, part: Mapping[str, Any], inside: Numbers, at: list[int]) -> None:
        numbers, doc = cast(Numbers, self.numbers), self.doc
        self.version += 1
        places = np.unravel_index(at, [len(values) for values in numbers.axes.values()])
        values = [
            [own[i] for i in place]
            for own, place in zip(numbers.axes.values(), places, strict=True)
        ]
        of_part = [inside.of_values(each) for each in zip(*values, strict=True)]
        before = _counts(doc["cells"], at)
        for name, column in part["cells"].items():
            if name not in OF_ALL:
                for i, j in zip(at, of_part, strict=True):
                    doc["cells"][name][i] = column[cast(int, j)]
        for metric, of_box in zip(doc["metrics"], part["metrics"], strict=True):
            for name in COLUMNS:
                if metric[name] is not None and of_box[name] is not None:
                    for i, j in zip(at, of_part, strict=True):
                        metric[name][i] = of_box[name][cast(int, j)]
        after = _counts(doc["cells"], at)
        doc["counts"] = {n: k + after[n] - before[n] for n, k in doc["counts"].items()}
        self._parts["counts"] = self.version
        self._cells[at] = self.version
        if not doc["curves_left_out"]:
            for i, j in zip(at, of_part, strict=True):
                if str(j) in part["curves"]:
                    doc["curves"][str(i)] = part["curves"][str(j)]
                    self._curves[str(i)] = self.version

    def page_document(self, live: LiveData) -> PageData:
        """The whole document, as a page has it that is loaded now."""
        return cast(PageData, {**self.doc, "live": live})


def _with(folder: Folder, key: str) -> tuple[Trial, TrialResult]:
    """A trial with its curves, as far as they can be read."""
    trial, result = folder.trials[key]
    return trial, replace(result, curves=dict(folder.curves.get(key, {})))


def _shape_of(doc: Mapping[str, Any]) -> Any:
    """What must be the same for a page to take over changes."""
    if not doc:
        return None
    metrics = [metric["name"] for metric in doc["metrics"]]
    return doc["axes"], doc["replicates"], metrics, doc["rows"], doc["columns"]


def _counts(cells: Mapping[str, Any], at: Iterable[int]) -> dict[str, int]:
    """How the trials of some cells ended."""
    found = dict.fromkeys(
        ("finished", "collapsed", "not_started", "diverged", "failed", "stopped", "missing"), 0
    )
    for i in at:
        for status in cells["statuses"][i]:
            name = "failed" if status == Status.OUT_OF_MEMORY else status
            if name in COUNTED:
                found[name] += 1
        for name in ("collapsed", "not_started"):
            found[name] += sum(map(bool, cells[name][i]))
    return found


def growing(
    runs: Iterable[Mapping[str, Any]], numbers: Numbers, metric: str
) -> tuple[dict[str, Any], list[int]]:
    """The curves so far of the cells in training, as a document has them, and these cells.

    runs: as a run tells them, from anybody: what is malformed is left out.
    """
    lines: dict[int, list[list[Point]]] = {}
    for run in runs:
        for place, line in _lines(run, numbers):
            lines.setdefault(place, []).append(line)
    curves: dict[str, Any] = {}
    for place, of_cell in lines.items():
        for split, evaluated in (("test", True), ("train", False)):
            chosen = [{u: v for u, e, v in line if e is evaluated} for line in of_cell]
            at = sorted({u for line in chosen for u in line})
            if at:
                each = [[line.get(u) for u in at] for line in chosen]
                mean = [_mean([row[i] for row in each]) for i in range(len(at))]
                none = [None] * len(at)
                curve = {"at": at, "mean": mean, "low": none, "high": none, "each": each}
                curves.setdefault(str(place), {})[f"{split}_{metric}"] = curve
    return curves, sorted(lines)


def _lines(run: Any, numbers: Numbers) -> Iterable[tuple[int, list[Point]]]:
    if not isinstance(run, Mapping):
        return
    trials, points = run.get("trials"), run.get("points")
    if not isinstance(trials, list) or not isinstance(points, list):
        return
    for row, trial in enumerate(trials):
        values = trial[0] if isinstance(trial, list) and trial else None
        place = numbers.of_values(values) if isinstance(values, list) else None
        if place is None:
            continue
        line = []
        for point in points:
            match point:
                case [int(update), bool(evaluated), list(found)] if row < len(found):
                    value = found[row]
                    if isinstance(value, int | float) and math.isfinite(value):
                        line.append((update, evaluated, float(value)))
        yield place, line


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(f"{sum(known) / len(known):.4g}") if known else None
