"""Whether the numbers of a study are within the limits that the parts which read them declare."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from gridscape import models, optimizers
from gridscape.base.limits import FINITE, Limit
from gridscape.base.parts import declared
from gridscape.errors import UsageError
from gridscape.optimizers import extras, schedules
from gridscape.study.parts import load_optimizer, model_factory
from gridscape.study.settings import check_values


class _Kind(NamedTuple):
    """A kind of part that reads numbers: its names, and what a part declares."""

    names: Iterable[str]
    declares: Callable[[Any], Any]


KINDS = {
    "optimizer": _Kind(optimizers.NAMES, load_optimizer),
    "model": _Kind(models.NAMES, lambda model: declared(model_factory(model))),
}


def number_mistakes(study: Mapping[str, Any], *, imports: bool) -> list[str]:
    """One line for every setting with numbers out of the limits that its part declares.

    imports: whether the modules of import strings are imported for it. Where nothing has the name
    of a part, the limits are those of all parts of its kind.
    """
    limits: dict[str, set[Limit]] = {}
    for reader in _readers(study, imports):
        own = {**dict.fromkeys(reader.hyperparameters, FINITE), **reader.limits}
        for name, limit in own.items():
            limits.setdefault(name, set()).add(limit)
    of_training = {name: {limit} for name, limit in _of_training(study) if name not in limits}
    return [
        line
        for key, name, values in _numbers(study)
        if (line := _mistake(key, name, values, limits.get(name, ())))
        or (
            not key.startswith("model_options")
            and (line := _mistake(key, name, values, of_training.get(name, ())))
        )
    ]


def _of_training(study: Mapping[str, Any]) -> Iterator[tuple[str, Limit]]:
    """The numbers of a schedule, where the study has one, and of the extras, with their limits."""
    axes = study.get("axes")
    has_schedule = study.get("schedule") is not None or "schedule" in (axes or ())
    if has_schedule:
        yield from schedules.LIMITS.items()
    yield from extras.LIMITS.items()


def _readers(study: Mapping[str, Any], imports: bool) -> Iterator[Any]:
    """All parts that read numbers, of those whose names are known."""
    axes = study.get("axes")
    for kind, (names, declares) in KINDS.items():
        varied = axes.get(kind) if isinstance(axes, Mapping) else None
        for part in varied if isinstance(varied, list) else [study.get(kind)]:
            if isinstance(part, str) and ":" in part and not imports:
                continue
            is_unknown = isinstance(part, str) and ":" not in part and part not in names
            for one in names if is_unknown else [part]:
                try:
                    yield declares(one)
                except UsageError:  # told where names are looked up
                    continue


def _numbers(study: Mapping[str, Any]) -> Iterator[tuple[str, str, list[Any]]]:
    """(key, name, values) of every setting that may be a number of a part."""
    for table in ("axes", "hyperparameters", "model_options"):
        found = study.get(table)
        for name, value in found.items() if isinstance(found, Mapping) else ():
            if table != "axes":
                yield f"{table}.{name}", name, [value]
            elif isinstance(value, list):
                yield f"{table}.{name}", name, [v for v in value if v is not None]


def _mistake(key: str, name: str, values: list[Any], limits: Iterable[Limit]) -> str | None:
    for limit in sorted(limits, key=str):
        try:
            check_values(key, name, values, partial(_check, limit))
        except UsageError as error:
            return str(error)
    return None


def _check(limit: Limit, name: str, value: Any) -> None:
    limit.check(value)
