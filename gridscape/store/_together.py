"""Which trials share a file: small ones of equal shapes that end together, where they are many.

To make a file and to wait for it on its way to the disk takes longer than to train a tiny network,
and 65,536 files are more than many a file system likes. A damaged file costs all of its trials,
which are trained again: larger ones keep a file each.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from gridscape.store.blobs import Content

LEAST, MOST = 16, 256
MOST_BYTES_EACH = 16_384


def together(contents: Sequence[Content]) -> Iterator[list[int]]:
    """The numbers of those that share a file, file by file; of one alone it is the only one."""
    alike: dict[Any, list[int]] = {}
    for number, content in enumerate(contents):
        is_small = content.n_bytes <= MOST_BYTES_EACH
        alike.setdefault(content.shapes if is_small else number, []).append(number)
    for numbers in alike.values():
        for at in range(0, len(numbers), MOST):
            some = numbers[at : at + MOST]
            yield from [some] if len(some) >= LEAST else ([number] for number in some)
