"""Contrasts of cells that lack some of their replicates, without leaving whole replicates out.

Cells and replicates are fitted by least squares, so that what a replicate shares between its cells
leaves the contrast. Its error takes the replicates as clusters: what the fit leaves of each, made
free of bias under equal spreads (Bell and McCaffrey 2002, "CR2"), with their degrees of freedom.
Of replicates that lack nothing both are those of the paired t interval.
"""

import math
from typing import NamedTuple

import numpy as np

ROUNDING = 1e-9  # eigenvalues and ratios that are none


class Contrast(NamedTuple):
    """A contrast of the means of cells.

    error: its standard error, NaN where the replicates do not tell it. df: the degrees of freedom
    of that. n: replicates that have at least two of the cells; where the error is not told, those
    of the cell that has the fewest. squares: the sum of the squared weights of single values, by
    which a common variance of theirs is that of the contrast.
    """

    mean: float
    error: float
    df: float
    n: int
    squares: float


def contrast(values: np.ndarray, weights: np.ndarray) -> Contrast:
    """The contrast of cells whose values are (cells, R), NaN where a replicate lacks one.

    weights: (cells,), which add up to 0.

    >>> found = contrast(np.array([[1.0, 2.0, 3.0], [0.0, 2.0, 1.0]]), np.array([1.0, -1.0]))
    >>> round(found.mean, 4), round(found.error, 4), round(found.df)
    (1.0, 0.5774, 2)
    """
    known = np.isfinite(values)
    known &= known.sum(axis=0) >= 2
    cell, replicate = np.nonzero(known)
    nothing = Contrast(math.nan, math.nan, math.nan, 0, math.nan)
    if not len(cell):
        return nothing
    n_cells, n_replicates = values.shape
    design = np.hstack([np.eye(n_cells)[cell], np.eye(n_replicates)[replicate]])
    inverse = np.linalg.pinv(design.T @ design, hermitian=True)
    wanted = np.concatenate([weights, np.zeros(n_replicates)])
    of_values = design @ (inverse @ wanted)
    if not np.allclose(design.T @ of_values, wanted, atol=ROUNDING * np.abs(weights).max()):
        return nothing  # some cells share no replicate
    found = values[cell, replicate]
    left = found - design @ (inverse @ (design.T @ found))
    parts, scales, reaches = [], [], []
    for each in np.unique(replicate):
        own = replicate == each
        rest = np.eye(own.sum()) - design[own] @ inverse @ design[own].T
        scaled = _root_of_inverse(rest) @ of_values[own]
        parts.append(float(scaled @ left[own]))
        scales.append(float(scaled @ scaled))
        reaches.append(design[own].T @ scaled)
    mean, squares = float(of_values @ found), float(of_values @ of_values)
    # The covariance of the parts where all values have variance 1: the fit is a projection.
    covariance = np.diag(scales) - np.array(reaches) @ inverse @ np.array(reaches).T
    expected, n = float(np.trace(covariance)), len(parts)
    if expected < (1 - 1e-6) * squares:  # a cell of one value: nothing tells its spread
        fewest = int(known.sum(axis=1)[weights != 0].min())
        return Contrast(mean, math.nan, math.nan, fewest, squares)
    error = math.sqrt(sum(part**2 for part in parts))
    if error <= ROUNDING * np.abs(found).max() * math.sqrt(squares):
        error = 0.0
    return Contrast(mean, error, expected**2 / float((covariance**2).sum()), n, squares)


def _root_of_inverse(matrix: np.ndarray) -> np.ndarray:
    """The root of the inverse of a symmetric matrix, on what it does not map to 0."""
    values, vectors = np.linalg.eigh(matrix)
    able = values > ROUNDING
    roots = np.where(able, 1 / np.sqrt(np.where(able, values, 1.0)), 0.0)
    return np.asarray((vectors * roots) @ vectors.T)
