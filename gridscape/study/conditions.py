"""Under which conditions published statements were made, and how a run differs from them.

A statement holds of the study that it was made of: its task, its model, how long and by what it
was trained. The source of what a published study fixes is the file of the named study; a file of
claims may state conditions of its own. Fewer or further values of an axis, other replicates and
another seed are no other conditions. Nothing here imports JAX.
"""

import math
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from gridscape.errors import UnknownNameError, short
from gridscape.grid.axes import Value, same, show
from gridscape.study import files

# What conditions are made of, in the order in which differences are told, each with what a study
# file that does not name it means. Tables hold options; those of another task or model say nothing.
SETTINGS: Mapping[str, Any] = {
    "updates": 400,
    "task": None,
    "model": None,
    "optimizer": "adam",
    "schedule": None,
    "loss": None,
    "class_weights": None,
    "batch_size": 100,
    "sampling": "epochs",
    "precision": "float32",
    "resample": None,
}
TABLES: Mapping[str, str | None] = {
    "task_options": "task",
    "model_options": "model",
    "hyperparameters": None,
}
WHOLE = ("updates", "batch_size")

BUDGETS = ("updates", "epochs", "examples", "flops")

# Told beside a verdict, and no reason against one. How products are rounded: no published statement
# is about it, and the reports do not tell theirs. Splits drawn anew: examples of the same kind, and
# intervals that are wider for it.
ONLY_TOLD = ("precision", "resample")

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Conditions:
    """What a published study fixes.

    settings: by name, as in a study file; a tuple allows any of its values, the study's own first.
    varied: the axes of the published grid. whole: what is not named has its default; otherwise it
    is not compared.
    """

    settings: Settings
    varied: tuple[str, ...] = ()
    whole: bool = False


class Difference(NamedTuple):
    """What a run has otherwise than published, in words; reduces: it was trained for less."""

    name: str
    words: str
    reduces: bool = False

    @property
    def matters(self) -> bool:
        """Whether results under it can neither hold nor refute what was published."""
        return self.name not in ONLY_TOLD


# ---- where conditions come from ----


@cache
def of_named(name: str) -> Conditions:
    """What a named study fixes; raises UnknownNameError."""
    content = _content(name)
    settings = {key: content.get(key, default) for key, default in SETTINGS.items()}
    tables = {key: content.get(key, {}) for key in TABLES}
    return Conditions({**settings, **tables}, tuple(content["axes"]), whole=True)


@cache
def of_table(name: str) -> Conditions | None:
    """What the named study fixes that a published table belongs to; None where there is none."""
    of = (study for study in files.names() if name in _content(study).get("published", ()))
    return next(map(of_named, of), None)


def of_claims(name: str, stated: Settings | None, axes: Sequence[str]) -> Conditions | None:
    """The conditions of a file of claims: those of the named study of this name, and stated ones.

    name: "" for a file of somebody's own, of which only what it states counts. None where nothing
    is fixed.
    """
    base = of_named(name) if name in files.names() else None
    if base is None and not stated:
        return None
    of_study = base or Conditions({})
    own = {key: _allowed(value) for key, value in (stated or {}).items()}
    tables = {key: {**of_study.settings.get(key, {}), **own[key]} for key in TABLES if key in own}
    settings = {**of_study.settings, **own, **tables}
    return Conditions(settings, tuple(dict.fromkeys((*of_study.varied, *axes))), base is not None)


def _allowed(stated: Any) -> Any:
    """A list of a file of claims as alternatives; of a table, the lists of its options."""
    if isinstance(stated, Mapping):
        return {name: _allowed(value) for name, value in stated.items()}
    return tuple(stated) if isinstance(stated, list) else stated


def _content(name: str) -> Mapping[str, Any]:
    if name not in files.names():
        raise UnknownNameError("study", name, files.names())
    return tomllib.loads((files.STUDIES / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def _by_title() -> Mapping[str, str]:
    return {_content(name)["title"]: name for name in files.names()}


# ---- what differs ----


def differences(
    study: Settings, conditions: Conditions | None, reads: Sequence[float] = ()
) -> tuple[Difference, ...]:
    """What a run has otherwise than published.

    study: the plain data of a results folder; what a folder of long ago does not tell is not
    compared. An axis that has a published value differs in nothing: ``published_values`` says which
    cells are meant. reads: the updates at which results are read; up to the last one that was
    trained, a run is the same however long it goes on, unless a schedule ends with its updates.
    """
    if conditions is None:
        return ()
    return tuple(_differences(study, conditions, reads))


def published_values(study: Settings, conditions: Conditions | None) -> dict[str, Value]:
    """Of the axes of a run that its conditions fix: the value that was published."""
    if conditions is None:
        return {}
    theirs, axes = _flat(conditions.settings), _table(study, "axes")
    fixed = [name for name in axes if name in theirs and name not in conditions.varied]
    found = {name: _first(axes[name], theirs[name]) for name in fixed}
    return {name: value for name, value in found.items() if value is not None}


def altered(study: Settings) -> str:
    """How a run differs from the named study whose title it bears, in one line; "" for not at all.

    "Reduced run: 200 of 999 updates; task digits-rows instead of mnist-rows".
    """
    title = study.get("title")
    name = _by_title().get(title) if isinstance(title, str) else None
    found = differences(study, of_named(name)) if name else ()
    if not found:
        return ""
    kind = "Reduced" if any(difference.reduces for difference in found) else "Altered"
    return f"{kind} run: {in_words(found)}"


def in_words(found: Sequence[Difference]) -> str:
    """Differences in one line."""
    return "; ".join(difference.words for difference in found)


def _differences(
    study: Settings, conditions: Conditions, reads: Sequence[float]
) -> Iterator[Difference]:
    fixed, axes = conditions.settings, _table(study, "axes")
    objects = study.get("objects") if conditions.whole else ()
    others = set()
    for name in SETTINGS:
        if name in fixed and (name in study or name in axes) and name not in conditions.varied:
            ours = list(axes.get(name, [study.get(name)]))
            is_object = isinstance(objects, list | tuple) and name in objects and name not in axes
            if _first(ours, fixed[name]) is not None and not is_object:
                continue
            if fixed[name] is None and ours == [None] and not is_object:
                continue
            others.add(name)
            scheduled = study.get("schedule") is not None or "schedule" in axes
            if name == "updates" and ours == [None]:
                yield from _other_length(study, fixed[name])
            elif name != "updates" or scheduled or not _are_trained(ours, reads):
                yield _difference(name, ["from Python"] if is_object else ours, fixed)
    for table, owner in TABLES.items():
        if table in fixed and table in study and owner not in others:
            yield from _of_options(_table(study, table), fixed[table], axes, conditions)
    if conditions.whole:
        known = {*_flat(fixed), *conditions.varied, *SETTINGS}
        for name, values in axes.items():  # several values: which one is meant is asked elsewhere
            if name not in known and len(values) == 1:
                yield Difference(name, f"{_spoken(name)} {_text(values[0])}, which was not set")


def _of_options(
    given: Settings, fixed: Settings, axes: Settings, conditions: Conditions
) -> Iterator[Difference]:
    names = [*fixed, *(name for name in given if conditions.whole and name not in fixed)]
    for name in names:
        ours = list(axes.get(name, [given.get(name)]))
        if name in conditions.varied or (name not in fixed and name in axes):
            continue
        if _first(ours, fixed.get(name)) is None:
            yield _difference(name, ours, fixed)


def _difference(name: str, ours: Sequence[Any], fixed: Settings) -> Difference:
    theirs = fixed.get(name)
    if name == "updates" and len(ours) == 1 and _is_count(ours[0]) and _is_count(theirs):
        few = ours[0] < theirs
        word = "of" if few else "instead of"
        return Difference(name, f"{ours[0]:,} {word} {theirs:,} updates", reduces=few)
    told = ", ".join(map(_text, ours))
    return Difference(name, f"{_spoken(name)} {told} instead of {_text(theirs)}")


def _other_length(study: Settings, theirs: Any) -> Iterator[Difference]:
    """That a run is as long as another budget says."""
    axes = _table(study, "axes")
    for name in BUDGETS[1:]:
        ours = axes.get(name, [study.get(name)])
        if ours != [None]:
            told = ", ".join(map(_text, ours))
            yield Difference("updates", f"{name} {told} instead of {_text(theirs)} updates")


def _are_trained(ours: Sequence[Any], reads: Sequence[float]) -> bool:
    """Whether each of these runs was trained as far as results are read."""
    return bool(reads) and all(_is_count(n) and max(reads) <= n for n in ours)


def _first(ours: Sequence[Any], theirs: Any) -> Any:
    """The first published value that is among ours; None where there is none."""
    allowed = theirs if isinstance(theirs, tuple) else (theirs,)
    found = ((mine, value) for value in allowed for mine in ours if _equal(mine, value))
    return next((mine for mine, _ in found), None)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    plain = isinstance(a, int | float | str) and isinstance(b, int | float | str)
    return same(a, b) if plain else a == b


def _flat(settings: Settings) -> dict[str, Any]:
    """Settings and the options of all tables by name, as axes know them."""
    tables = [_table(settings, table) for table in TABLES]
    flat = {name: settings[name] for name in SETTINGS if name in settings}
    return flat | {name: value for table in tables for name, value in table.items()}


def _table(study: Settings, name: str) -> Settings:
    found = study.get(name)
    return found if isinstance(found, Mapping) else {}


# ---- words ----


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _text(value: Any) -> str:
    if value is None:
        return "the default"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return " or ".join(map(_text, value))
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, str):
        return value if value.isprintable() and len(value) <= 60 else short(value)
    return show(value) if isinstance(value, int | float) else short(value)


# ---- what is wrong with conditions that a file of claims states ----


def mistakes(stated: Any, axes: Collection[str]) -> list[str]:
    """Everything that is wrong with stated conditions, one line each."""
    if not isinstance(stated, Mapping):
        return [f"conditions: expected a table of settings, found {short(stated)}"]
    return [
        f"conditions.{mistake}"
        for name, value in stated.items()
        for mistake in _mistakes(name, value, axes)
    ]


def _mistakes(name: str, value: Any, axes: Collection[str]) -> Iterator[str]:
    if name in TABLES:
        if not isinstance(value, Mapping):
            yield f"{name}: expected a table, found {short(value)}"
            return
        yield from (f"{name}.{option}: also an axis" for option in value if option in axes)
        if name == "hyperparameters":
            for option, numbers in value.items():
                if not _all(numbers, _is_number):
                    yield f"{name}.{option}: expected a number, found {short(numbers)}"
    elif name not in SETTINGS:
        yield f"{name}: {UnknownNameError('condition', name, [*SETTINGS, *TABLES])}"
    elif name in axes:
        yield f"{name}: also an axis"
    elif not _all(value, _is_count if name in WHOLE else _is_text):
        expected = "a whole number from 1" if name in WHOLE else "a name"
        yield f"{name}: expected {expected}, or a list of them, found {short(value)}"


def _all(value: Any, fits: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(map(fits, values))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
