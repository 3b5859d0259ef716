"""``scipy.special``, imported when the first of its functions is used.

Only statistics need it, and nobody who waits for a first network should wait for its import.

>>> from gridscape.base import special
>>> float(special.ndtri(0.5))
0.0
"""

from typing import Any


def __getattr__(name: str) -> Any:
    from scipy import special

    return getattr(special, name)
