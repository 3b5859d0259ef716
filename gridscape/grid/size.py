"""How large a study may be: all of its cells are in memory at once, also while it is only read."""

import math
from collections.abc import Mapping, Sized

MOST_CELLS = 2**20  # of some three kilobytes each
MOST_NETWORKS = 2**24


def too_large(axes: Mapping[str, Sized], replicates: int) -> str | None:
    """Why a study of these axes and replicates is too large, in words; None where it is not.

    >>> too_large({"hidden_size": [8, 16]}, 5)
    >>> too_large({"hidden_size": range(3000), "learning_rate": range(3000)}, 5)
    'too many cells (expected at most 1,048,576, found 9,000,000)'
    """
    n_cells = math.prod(map(len, axes.values()))
    if n_cells > MOST_CELLS:
        return _too_many("cells", MOST_CELLS, n_cells)
    if n_cells * replicates > MOST_NETWORKS:
        return _too_many("networks", MOST_NETWORKS, n_cells * replicates)
    return None


def _too_many(what: str, most: int, found: int) -> str:
    number = f"{found:,}" if found < 10**15 else f"{found:.0e}"
    return f"too many {what} (expected at most {most:,}, found {number})"
