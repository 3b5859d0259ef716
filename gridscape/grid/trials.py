"""Trials of a cell, by key, and how they ended: plain data, no JAX."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from gridscape.grid.axes import Cell

# Raised when the same study would give other numbers than before, so that no old result is reused.
# 2: what is evaluated: a validation set, fixed choices of examples, the class answered.
SEMANTICS = 2


@dataclass(frozen=True)
class Trial:
    """A cell and a replicate: the unit that is trained, stored, resumed and replayed."""

    cell: Cell
    replicate: int
    key: str


def content_key(content: Mapping[str, Any]) -> str:
    """A hash of plain data that does not depend on the order in which it was written."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Status(StrEnum):
    """How a trial ended. MISSING marks one that has not ended yet.

    STOPPED marks one that somebody ended: it has a curve so far, counts nowhere, and can go on.
    """

    FINISHED = "finished"
    DIVERGED = "diverged"
    FAILED = "failed"
    OUT_OF_MEMORY = "out_of_memory"
    STOPPED = "stopped"
    MISSING = "missing"


# How trials end that have a result: those of the other statuses are left out of all statistics.
COUNTED = (Status.FINISHED, Status.DIVERGED, Status.FAILED, Status.OUT_OF_MEMORY)


@dataclass(frozen=True)
class TrialResult:
    """Everything that is stored of one trial.

    metrics: final numbers, by name: test_loss, test_accuracy, val_loss, val_accuracy (over all of
        the test set and of the validation set, where there is one), train_loss, train_accuracy
        (over as many training examples as there are test examples), and where the task has answers
        top_answer, the class that most test examples get, and top_answer_share, the share of them
        that get it: 1.0 is a collapsed network.
    curves: ``train_loss`` and ``train_accuracy`` of the batches, averaged over each stretch that
        ends at ``recorded_at`` (updates done); ``test_*``, ``val_*``, ``top_answer`` and
        ``top_answer_share`` at ``evaluated_at``, all on one choice of examples, the last point as
        well: it may differ from the final number; where the task has groups,
        "test_accuracy_by_length" of the end, over all.
    first_bad_update, bad_quantity: for a diverged trial, the update (from 1) and what was not
        finite there: "loss", "gradient" or "parameters".
    reason: for a failed trial, the error in one line; for a stopped one, how far it was.
    seconds: share of the wall time of its cohort times the devices that worked on it.
    flops: floating-point operations of the products of all its updates.
    memory_bytes: what the trial takes on the device while it is trained.
    """

    key: str
    status: Status
    updates: int
    metrics: dict[str, float]
    curves: dict[str, np.ndarray]
    seconds: float
    n_parameters: int
    flops: float
    memory_bytes: int
    first_bad_update: int | None = None
    bad_quantity: str | None = None
    reason: str | None = None
    params_digest: str | None = None
    params: dict[str, np.ndarray] | None = None
