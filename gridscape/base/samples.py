"""Fixed choices among the examples of a split, in which every class has its share."""

from typing import Any

import numpy as np

from gridscape.errors import UsageError, short

SEED = 0  # of what a study evaluates: the same for all of its cells and replicates


def balanced_order(kinds: np.ndarray, seed: int = SEED) -> np.ndarray:
    """An order of examples of which every first part has each kind with its share: (N,) -> (N,).

    So many of each as whole numbers allow (Webster's apportionment), which ones by the seed. A
    measure over a first part is then about the same thing as one over the whole.

    >>> kinds = np.array([0] * 8 + [1] * 4)
    >>> [np.bincount(kinds[balanced_order(kinds)[:n]]).tolist() for n in (3, 6, 12)]
    [[2, 1], [4, 2], [8, 4]]
    """
    # RandomState: NumPy promises that its numbers never change, those of Generator may.
    shuffled = np.random.RandomState(seed).permutation(len(kinds))
    rank, size = _ranks(kinds[shuffled])
    return np.asarray(shuffled[np.argsort((rank + 0.5) / size, kind="stable")])


def held_out(labels: np.ndarray, share: Any, seed: int = SEED) -> np.ndarray:
    """A share of the examples of every class, drawn without replacement, as a mask: (N,) -> (N,).

    Raises UsageError unless the share lies between 0 and 1, and where a class, whose examples are
    rounded to whole ones, would be missing inside or outside of it.

    >>> labels = np.array([0] * 20 + [1] * 10)
    >>> np.bincount(labels[held_out(labels, 0.1)]).tolist()
    [2, 1]
    """
    check_share(share)
    order = balanced_order(labels, seed)
    rank, size = _ranks(labels[order])
    n_held = np.floor(share * size + 0.5)
    for lacking, part in ((n_held == 0, "validation"), (n_held == size, "training")):
        if lacking.any():
            at = int(np.argmax(lacking))
            raise UsageError(
                f"leaves a class without {part} examples",
                where="validation",
                expected="at least one of every class on either side",
                found=f"{share} of {size[at]} examples of class {labels[order[at]]}",
            )
    chosen = np.zeros(len(labels), bool)
    chosen[order[rank < n_held]] = True
    return chosen


def check_share(share: Any, where: str = "validation") -> None:
    """Raise UsageError unless it is a number between 0 and 1, and neither of them."""
    is_number = isinstance(share, int | float) and not isinstance(share, bool)
    if not is_number or not 0 < share < 1:
        raise UsageError(
            "out of range",
            where=where,
            expected="a share of the training examples, between 0 and 1",
            found=short(share),
        )


def _ranks(kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each example: how many of its kind come before it, and how many there are; each (N,)."""
    _, kind, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    together = np.argsort(kind, kind="stable")
    rank = np.empty(len(kinds), np.int64)
    rank[together] = np.arange(len(kinds)) - (np.cumsum(counts) - counts)[kind[together]]
    return rank, counts[kind]
