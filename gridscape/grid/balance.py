"""Means of cells that have not the same replicates, as if they had.

Replicates of one number share their random numbers in all cells, so that a lucky one lifts every
cell that has it. Where cells lack some, their plain means compare luck as well.
"""

import numpy as np

FEWEST_ROWS = 3  # that tell what a replicate shares
WILDEST = 4.0  # a variance, in medians of all cells, up to which a cell tells it


def balanced_means(values: np.ndarray, steady: np.ndarray) -> np.ndarray:
    """The means (cells,) of values (cells, R), freed of what each replicate shares between cells.

    A cell that has all replicates keeps its plain mean; NaN entries are left out, and a row of them
    is NaN. What a replicate shares is fitted by least squares, as cell plus replicate, over the
    cells that are ``steady``, (cells,), and scatter about as the others do. It is shrunk by what of
    it is noise: where replicates share nothing, the means stay plain ones.

    >>> values = np.array([[1.0, 2.0, 9.0], [2.1, 3.0, 10.0], [1.0, 2.1, 8.9], [4.0, 5.0, np.nan]])
    >>> np.round(balanced_means(values, np.full(4, True)), 1)
    array([4., 5., 4., 7.])
    """
    known = np.isfinite(values)
    with np.errstate(over="ignore", invalid="ignore"):  # squares of what has nearly diverged
        shared = np.zeros(values.shape[-1]) if known.all() else _shared(values[steady])
    count = known.sum(axis=-1)
    total = np.where(known, values - shared, 0.0).sum(axis=-1)
    return total / np.where(count, count, np.nan)


def _shared(values: np.ndarray) -> np.ndarray:
    """What each replicate (R,) adds to all rows of values (cells, R), on average nothing."""
    values = _alike(values)
    known = np.isfinite(values)
    per_row, per_replicate = known.sum(axis=-1), known.sum(axis=0)
    there = per_replicate > 0
    free = known.sum() - len(values) - np.count_nonzero(there) + 1
    nothing = np.zeros(known.shape[-1])
    if len(values) < FEWEST_ROWS or free < 1:
        return nothing
    # The normal equations of the replicates, those of the cells being solved already.
    filled = np.where(known, values, 0.0)
    above = np.where(known, values - (filled.sum(axis=-1) / per_row)[:, None], 0.0)
    equations = np.diag(per_replicate) - known.T @ (known / per_row[:, None])
    found = np.linalg.pinv(equations, hermitian=True) @ above.sum(axis=0)
    left = above - known * found
    left -= known * (left.sum(axis=-1) / per_row)[:, None]
    noise = (left**2).sum() / free / np.maximum(per_replicate, 1)  # of each replicate's mean
    spread = max(0.0, float((found[there] ** 2 - noise[there]).mean()))
    if spread == 0.0:
        return nothing
    found = np.where(there, found * spread / (spread + noise), 0.0)
    return np.asarray(found - found.mean())


def _alike(values: np.ndarray) -> np.ndarray:
    """The rows of two values or more that do not scatter far more than most."""
    values = values[np.isfinite(values).sum(axis=-1) >= 2]
    if not len(values):
        return values
    variances = np.nanvar(values, axis=-1, ddof=1)
    return values[variances <= WILDEST * np.median(variances)]
