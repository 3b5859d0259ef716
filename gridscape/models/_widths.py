"""The widths of hidden layers, in the three ways in which they may be written."""

from collections.abc import Sequence

from gridscape.base.limits import Limit
from gridscape.errors import UsageError, check_whole

Layers = int | str | Sequence[int]
MOST_LAYERS = 10_000
WIDTH = Limit(ge=1, whole=True)


def widths(hidden_size: int, layers: Layers) -> tuple[int, ...]:
    """The widths of the hidden layers: ``layers`` lists them, or is the number of equal ones.

    Raises UsageError unless all are whole numbers from 1.

    >>> widths(16, 2), widths(16, "64-32"), widths(16, [8])
    ((16, 16), (64, 32), (8,))
    """
    if not isinstance(layers, Sequence):
        check_whole(hidden_size=hidden_size)
        check_whole(high=MOST_LAYERS, layers=layers)
        return (hidden_size,) * layers
    listed = layers.split("-") if isinstance(layers, str) else layers
    sizes = tuple(int(size) for size in listed if str(size).isdecimal())
    if not sizes or len(sizes) < len(listed) or 0 in sizes:
        raise UsageError(
            "not a width for each layer",
            where="layers",
            expected='a whole number from 1, or widths such as "64-32"',
            found=repr(layers),
        )
    check_whole(high=MOST_LAYERS, **{"number of layers": len(sizes)})
    return sizes
