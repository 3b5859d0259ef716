"""Means of cells that have not the same replicates, as if they had.

Replicates of one number share their random numbers in all cells, so that a lucky one lifts every
cell that has it. Where cells lack some, their plain means compare luck as well.
"""

import numpy as np

ROUNDS = 50  # of alternating least squares, each of which halves what is left, or better
FEWEST_ROWS = 3  # that tell what a replicate shares


def balanced_means(values: np.ndarray, steady: np.ndarray) -> np.ndarray:
    """The means (cells,) of values (cells, R), freed of what each replicate shares between cells.

    A cell that has all replicates keeps its plain mean; NaN entries are left out, and a row of them
    is NaN. What a replicate shares is fitted by least squares, as cell plus replicate, over the
    cells that are ``steady``, (cells,), and shrunk by the part of it that is noise: where they
    share nothing, the means stay plain ones.

    >>> values = np.array([[1.0, 2.0, 9.0], [2.1, 3.0, 10.0], [1.0, 2.1, 8.9], [4.0, 5.0, np.nan]])
    >>> np.round(balanced_means(values, np.full(4, True)), 1)
    array([4., 5., 4., 7.])
    """
    known = np.isfinite(values)
    shared = np.zeros(values.shape[-1]) if known.all() else _shared(values[steady])
    count = known.sum(axis=-1)
    total = np.where(known, values - shared, 0.0).sum(axis=-1)
    return total / np.where(count, count, np.nan)


def _shared(values: np.ndarray) -> np.ndarray:
    """What each replicate (R,) adds to all rows of values (cells, R), on average nothing."""
    known = np.isfinite(values)
    rows = known.sum(axis=-1) >= 2
    values, known = values[rows], known[rows]
    per_row, per_replicate = known.sum(axis=-1), known.sum(axis=0)
    free = known.sum() - len(values) - np.count_nonzero(per_replicate) + 1
    found = np.zeros(known.shape[-1])
    if len(values) < FEWEST_ROWS or free < 1:
        return found
    filled, some = np.where(known, values, 0.0), np.maximum(per_replicate, 1)
    for _ in range(ROUNDS):
        level = (filled - known * found).sum(axis=-1) / per_row
        found = (filled - known * level[:, None]).sum(axis=0) / some
    left = filled - known * (level[:, None] + found)
    noise = (left**2).sum() / free / some  # the variance of each replicate's own
    there = per_replicate > 0
    found -= found[there].mean()
    spread = max(0.0, float((found[there] ** 2 - noise[there]).mean()))
    if spread == 0.0:
        return np.zeros_like(found)
    found = np.where(there, found * spread / (spread + noise), 0.0)
    return found - found.mean()
