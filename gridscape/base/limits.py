"""What a number may be, declared beside it by the part that reads it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gridscape.errors import UsageError, short


@dataclass(frozen=True)
class Limit:
    """The bounds of a finite number: at least ``ge``, above ``gt``, at most ``le``, below ``lt``.

    whole: a whole number, which true and false are not.

    >>> str(Limit(gt=0)), str(Limit(ge=0, lt=1)), str(Limit(ge=1, whole=True))
    ('a finite number above 0', 'a number in [0, 1)', 'a whole number from 1')
    """

    ge: float = -math.inf
    gt: float = -math.inf
    le: float = math.inf
    lt: float = math.inf
    whole: bool = False

    def allows(self, number: float) -> bool:
        """Whether a number is finite and within the bounds."""
        is_within = self.ge <= number <= self.le and self.gt < number < self.lt
        return is_within and -math.inf < number < math.inf

    def __str__(self) -> str:
        low, high = max(self.ge, self.gt), min(self.le, self.lt)
        if low > -math.inf and high < math.inf and not self.whole:
            opened, closed = "(" if self.gt == low else "[", ")" if self.lt == high else "]"
            return f"a number in {opened}{low:g}, {high:g}{closed}"
        words = "a whole number" if self.whole else "a finite number"
        if low > -math.inf:
            words += f" {'above' if self.gt == low else 'from'} {low:g}"
        if high < math.inf:
            words += f" {'below' if self.lt == high else 'up to'} {high:g}"
        return words

    def check(self, value: object, *, where: object = None) -> None:
        """Raise UsageError unless ``value`` is a number within the bounds.

        What counts is the number as float32, with which networks are trained; of a whole number,
        itself.
        """
        if isinstance(value, int | float) and not isinstance(value, bool):
            found = self._refused_as(value)
        else:
            found = short(value)
        if found is not None:
            raise UsageError("out of range", where=where, expected=str(self), found=found)

    def _refused_as(self, value: float) -> str | None:
        """The number in words where it is refused, None where it is allowed."""
        if self.whole:
            return None if isinstance(value, int) and self.allows(value) else short(value)
        trained = _float32(value)
        number = value if math.isfinite(trained) else trained  # a huge int is no float at all
        if self.allows(number) and self.allows(trained):
            return None
        too_large = isinstance(value, int) and math.isinf(trained)
        told = too_large or (isinstance(value, float) and self.allows(value))
        return short(value) + (f", which is {trained} as float32" if told else "")


Limits = Mapping[str, Limit]

FINITE = Limit()


def check_number(name: str, value: object, limits: Limits, *, where: object = None) -> None:
    """Raise UsageError unless ``value`` is a number that the hyperparameter ``name`` may take."""
    limits.get(name, FINITE).check(value, where=where or name)


def _float32(value: float) -> float:
    """The value as networks are trained with it; infinite where it is too large."""
    try:
        with np.errstate(over="ignore", under="ignore"):
            return float(np.float32(value))
    except OverflowError:
        return math.inf
