"""How large a study may be: all of its cells are in memory at once, also while it is only read."""

import math
from collections.abc import Mapping, Sized

MOST_CELLS = 2**20  # of some three kilobytes each
MOST_NETWORKS = 2**24


def in_words(number: int) -> str:
    """A number of things, however many."""
    return f"{number:,}" if number < 10**15 else "more than 10^15"


def too_large(axes: Mapping[str, Sized], replicates: int, n_points: int = 0) -> str | None:
    """Why a study of these axes and replicates is too large, in words; None where it is not.

    n_points: the cells of all its sub-grids, some of which several may have.

    >>> too_large({"hidden_size": [8, 16]}, 5)
    >>> too_large({"hidden_size": range(3000), "learning_rate": range(3000)}, 5)
    'too many cells, holes included (expected at most 1,048,576, found 9,000,000)'
    """
    n_cells = max(math.prod(map(len, axes.values())), n_points)
    if n_cells > MOST_CELLS:
        return _too_many("cells", MOST_CELLS, n_cells)
    if n_cells * replicates > MOST_NETWORKS:
        return _too_many("networks", MOST_NETWORKS, n_cells * replicates)
    return None


def _too_many(what: str, most: int, found: int) -> str:
    return f"too many {what}, holes included (expected at most {most:,}, found {in_words(found)})"
