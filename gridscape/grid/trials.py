"""Trials of a cell, by key, and how they ended: plain data, no JAX."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from gridscape.grid.axes import Cell


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
    """How a trial ended. MISSING marks one that has not ended yet."""

    FINISHED = "finished"
    DIVERGED = "diverged"
    FAILED = "failed"
    OUT_OF_MEMORY = "out_of_memory"
    MISSING = "missing"


@dataclass(frozen=True)
class TrialResult:
    """Everything that is stored of one trial.

    metrics: final numbers, by name: test_loss, test_accuracy, train_loss, train_accuracy (over
        the test set and over as many training examples), top_answer_share (the largest share of
        test examples that get one and the same answer: 1.0 is a collapsed network; only where the
        task has answers).
    curves: ``train_loss`` and ``train_accuracy`` of the batches, averaged over each stretch that
        ends at ``recorded_at`` (updates done); ``test_loss`` and ``test_accuracy`` at
        ``evaluated_at``; where the task has groups, "test_accuracy_by_length" of the end.
    first_bad_update, bad_quantity: for a diverged trial, the update (from 1) and what was not
        finite there: "loss", "gradient" or "parameters".
    reason: for a failed trial, the error in one line.
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
