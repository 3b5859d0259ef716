"""Training, validation and test part of one set of examples: by share, group, time or column."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gridscape.base.samples import check_share
from gridscape.errors import DataCorruptError, UsageError, check_whole, short

TRAIN, VALIDATION, TEST = 0, 1, 2
PARTS = ("training", "validation", "test")
SHARES = {"validation": 0.15, "test": 0.15}

# What people call the parts, in lower case.
NAMES: Mapping[str, int] = {
    **dict.fromkeys(("train", "training", "tr", "learn"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing", "te", "eval", "evaluation", "holdout"), TEST),
}


def by_share(
    kinds: np.ndarray, validation: Any, test: Any, seed: int, names: tuple[str, ...] = ()
) -> np.ndarray:
    """The part of each example, (N,): every kind has its share in each part, drawn by the seed.

    kinds: (N,), classes, or zeros where there are none. validation, test: shares; None and 0 leave
    a part out, but a test part there must be. Raises UsageError for shares out of range, and
    DataCorruptError where a kind would be missing in a part.
    """
    shares = _shares(validation, test, seed)
    # NumPy promises that the numbers of RandomState never change.
    order = np.random.RandomState(seed).permutation(len(kinds))
    ordered = kinds[order]
    parts = np.full(len(kinds), TRAIN, np.int8)
    for kind in np.unique(kinds):
        rows = order[ordered == kind]
        begin = 0
        for part, share in shares.items():
            n = int(share * len(rows) + 0.5)
            parts[rows[begin : begin + n]] = part
            begin += n
            if not n or begin >= len(rows):
                name = names[kind] if names else ""
                raise DataCorruptError(
                    f"too few examples of class {name!r}" if names else "too few examples",
                    where="the split by shares",
                    expected=f"at least one of every class in {_words(shares)}",
                    found=len(rows),
                    hint="leave such classes out, take larger shares, or validation = 0",
                )
    return parts


def by_group(groups: np.ndarray, validation: Any, test: Any, seed: int) -> np.ndarray:
    """The part of each example, (N,): all examples of a group are in one part.

    Groups are drawn by the seed until a part has its share of the examples. Raises as ``by_share``.
    """
    shares = _shares(validation, test, seed)
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.RandomState(seed).permutation(len(sizes))
    of_group = np.full(len(sizes), TRAIN, np.int8)
    at = 0
    for part, share in shares.items():
        wanted, taken = share * len(codes), 0
        while at < len(order) and (not taken or taken + sizes[order[at]] / 2 <= wanted):
            of_group[order[at]] = part
            taken += int(sizes[order[at]])
            at += 1
    if at >= len(order):
        raise DataCorruptError(
            "too few groups", where="group", expected=f"more than {len(shares)}", found=len(order)
        )
    return np.asarray(of_group[codes])


def by_time(times: np.ndarray, validation: Any, test: Any) -> np.ndarray:
    """The part of each example, (N,): the latest are the test part, those before for validation.

    Examples of one time stand in one part. Raises as ``by_share``.
    """
    shares = _shares(validation, test, 0)
    if np.isnan(times).any():
        raise DataCorruptError("a time is missing", where="time")
    ranked = np.sort(times)
    parts = np.full(len(times), TRAIN, np.int8)
    end = len(times)
    for part in (TEST, VALIDATION):
        if part in shares:
            begin = end - max(1, int(shares[part] * len(times) + 0.5))
            if begin <= 0:
                raise DataCorruptError("too few examples", where="time", found=len(times))
            parts[(times >= ranked[begin]) & (parts == TRAIN)] = part
            end = int(np.searchsorted(ranked, ranked[begin]))
    return _whole(parts, "time")


def by_column(values: np.ndarray) -> np.ndarray:
    """The part of each example, (N,), by its name; raises DataCorruptError for other names."""
    named = {value: NAMES.get(str(value).strip().lower()) for value in set(values.tolist())}
    strange = [value for value, part in named.items() if part is None]
    if strange:
        raise DataCorruptError(
            "not a part of the data",
            where="split",
            expected="train, validation or test",
            found=short(strange[0]),
        )
    return _whole(np.array([named[value] for value in values.tolist()], np.int8), "split")


def _whole(parts: np.ndarray, where: str) -> np.ndarray:
    """The parts; raises DataCorruptError without training or test examples."""
    for part in (TRAIN, TEST):
        if not (parts == part).any():
            raise DataCorruptError(f"no {PARTS[part]} examples", where=where)
    return parts


def _shares(validation: Any, test: Any, seed: int) -> dict[int, float]:
    """The share of each part that there is to be, test first."""
    check_whole(0, 2**32 - 1, split_seed=seed)
    check_share(test, "test")
    if validation in (None, 0) and validation is not False:
        return {TEST: test}
    check_share(validation)
    if test + validation >= 1:
        raise UsageError(
            "nothing is left to learn from",
            where="validation",
            expected="less than 1 with the share of the test part",
            found=f"{validation} and {test}",
        )
    return {TEST: test, VALIDATION: validation}


def _words(shares: Mapping[int, float]) -> str:
    return ", ".join([PARTS[part] for part in (TRAIN, *sorted(shares))])
