"""What a number means: whether more of it is better, and its unit. Plain data, kept with a study.

A task declares what its metrics mean. Folders that were written before it did are read by how the
names of metrics end, as they were written.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gridscape.errors import StoreError, UsageError, short
from gridscape.grid.names import Variable, curve_of

FRACTION = "fraction"
PER_EXAMPLE = "loss per example"
SIDES = ("higher", "lower")


@dataclass(frozen=True)
class Meaning:
    """Whether more of a number is better, and its unit.

    unit: any text. "fraction" is a number in [0, 1] that is shown in percent; "" has none.
    Raises UsageError for another side and for a unit that cannot be printed.

    >>> Meaning("higher", "fraction").text(0.9712), Meaning("lower", "nats").text(0.9712)
    ('97.1', '0.971')
    """

    better: Literal["higher", "lower"] = "higher"
    unit: str = ""

    def __post_init__(self) -> None:
        _check("better", self.better, self.better in SIDES, " or ".join(map(repr, SIDES)))
        is_text = isinstance(self.unit, str) and self.unit.isprintable()
        _check("unit", self.unit, is_text, 'printable text, or "" for none')

    @property
    def is_higher_better(self) -> bool:
        """Whether more is better."""
        return self.better == "higher"

    @property
    def sign(self) -> int:
        """1 where more is better, else -1: sign * number is larger where it is better."""
        return 1 if self.is_higher_better else -1

    @property
    def is_fraction(self) -> bool:
        """Whether it lies in [0, 1] and is shown in percent."""
        return self.unit == FRACTION

    @property
    def factor(self) -> float:
        """What it is multiplied with to be shown."""
        return 100.0 if self.is_fraction else 1.0

    @property
    def shown_unit(self) -> str:
        """The unit as a reader sees it; of a loss, whose unit says no more than its name, none."""
        return "%" if self.is_fraction else self.unit.replace(PER_EXAMPLE, "")

    def text(self, value: float) -> str:
        """A number without its unit: fractions in percent with one decimal, else three digits."""
        return f"{100 * value:.1f}" if self.is_fraction else digits(value)


def digits(value: float) -> str:
    """Three digits that count; an exponent only where zeros would hide them.

    >>> [digits(x) for x in (0.0, 0.5, 1234.5, 0.01234, 1.234e-7, 3.2e8)]
    ['0', '0.5', '1234', '0.0123', '1.23e-7', '3.2e8']
    """
    if not math.isfinite(value):
        return str(value)
    mantissa, power = f"{value:.2e}".split("e")
    if -5 < int(power) < 6:
        return _without_zeros(f"{value:.{max(0, 2 - int(power))}f}")
    return f"{_without_zeros(mantissa)}e{int(power)}"


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _check(what: str, found: Any, is_right: bool, expected: str) -> None:
    if not is_right:
        raise UsageError("out of range", where=what, expected=expected, found=short(repr(found)))


# Gridscape's own metrics, which have their meaning by name in any task; any other one is a
# ``Meaning()`` unless its task says more.
OWN: Mapping[str, Meaning] = {
    "accuracy": Meaning("higher", FRACTION),
    "bit_accuracy": Meaning("higher", FRACTION),
    "distance": Meaning("lower"),
}

MEASURED: Mapping[str, Meaning] = {
    "seconds": Meaning("lower", "s"),
    "flops": Meaning("lower", "FLOP"),
    "n_parameters": Meaning("lower", "parameters"),
    "memory_bytes": Meaning("lower", "B"),
    "updates": Meaning("lower", "updates"),
    "first_bad_update": Meaning("lower", "updates"),
    "update": Meaning("lower", "updates"),
    "evaluated_at": Meaning("lower", "updates"),
}


def meaning_of(variable: str, metrics: Mapping[str, Meaning], kind: str | None = None) -> Meaning:
    """What a variable of a landscape means: a measured fact, a loss, or a metric.

    metrics: those that the task declares, by their own names. kind: that of its examples.
    """
    if variable in MEASURED:
        return MEASURED[variable]
    parsed = Variable.parse(variable, kind)
    if parsed is not None and parsed.metric in metrics:
        return metrics[parsed.metric]
    return _by_ending(parsed.metric if parsed else curve_of(variable) or variable)


def _by_ending(name: str) -> Meaning:
    """What a loss means, and what a metric meant before tasks declared it."""
    better: Literal["higher", "lower"] = (
        "lower" if name.endswith(("loss", "error", "distance")) else "higher"
    )
    if name.endswith(("accuracy", "match", "share", "error")):
        return Meaning(better, FRACTION)
    return Meaning(better, PER_EXAMPLE if name.endswith("loss") else "")


# Words in the names of what is minimized.
LOWER = (
    *("loss", "error", "err", "mse", "rmse", "mae", "mape", "nll", "perplexity", "ppl", "wer"),
    *("cer", "fid", "distance", "regret", "bpc", "bpb", "brier", "time", "latency"),
)


def sounds_lower(name: str) -> bool:
    """Whether the name of a metric speaks of something of which less is better.

    >>> [sounds_lower(name) for name in ("perplexity", "char_error", "RMSE", "lossless")]
    [True, True, True, False]
    """
    return not words_of(name).isdisjoint(LOWER)


def words_of(name: str) -> set[str]:
    """The words of a name, in small letters."""
    return set(re.split(r"[^a-z0-9]+", name.casefold()))


def to_record(metrics: Mapping[str, Meaning]) -> dict[str, dict[str, str]]:
    """The meanings of metrics as plain data, for study.json."""
    return {name: asdict(meaning) for name, meaning in metrics.items()}


def from_record(study: Mapping[str, Any]) -> dict[str, Meaning]:
    """The meanings of metrics that a study record tells; none in one of long ago.

    Raises StoreError for what is none.
    """
    record = study.get("metrics") or {}
    try:
        return {name: Meaning(said["better"], said["unit"]) for name, said in record.items()}
    except (AttributeError, TypeError, KeyError, UsageError) as error:
        raise StoreError(
            "does not tell the metrics of its task",
            where=f"study {study.get('name', '')}".strip(),
            expected="better and unit of each",
            found=short(repr(record)),
            hint="put study.json back from a copy",
        ) from error


def merged(of_tasks: Iterable[Mapping[str, Meaning]], where: object = None) -> dict[str, Meaning]:
    """The metrics of several tasks; raises UsageError where one means two things."""
    together: dict[str, Meaning] = {}
    for metrics in of_tasks:
        for name, meaning in metrics.items():
            if together.setdefault(name, meaning) != meaning:
                raise UsageError(
                    "tasks of one study have a metric of this name that means another thing",
                    where=where,
                    found=name,
                    hint="rename one of them",
                )
    return together
