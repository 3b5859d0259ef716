"""Sub-grids and zipped axes as people write them, made the tables that ``grid.subgrids`` reads."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gridscape.errors import UnknownNameError, UsageError, short
from gridscape.grid import subgrids
from gridscape.grid.axes import Value, same, show
from gridscape.grid.size import MOST_CELLS, in_words
from gridscape.grid.subgrids import ZIP, is_set
from gridscape.study import settings
from gridscape.study.settings import BUDGETS, SCHEDULE, STUDY_AXES, MistakesError, mistake

GRIDS = "grids"
SHAPE = '[["hidden_size", "learning_rate"]]'
Content = dict[str, Any]
_NOTHING = object()


def completed(content: Content, fields: Iterable[str]) -> tuple[Content, list[str]]:
    """A study's content with whole tables as its grids, all their values in its axes; mistakes.

    content: as given, with the defaults of a study. fields: the settings of a study, which no grid
    has for itself but for those that may be axes. Where something is wrong, the content is what
    there is without it, so that other mistakes are found as well.
    """
    shared = content.get("axes", {})
    if not content.get(GRIDS) and not content.get(ZIP):
        return content, []
    try:
        axes = _shared_axes(shared, content.get(ZIP))
        tables = _tables(content, axes, set(fields))
        content = {**content, "axes": _all_axes(axes, tables), GRIDS: tables, ZIP: []}
        _check_span(content["axes"], tables)
    except MistakesError as error:
        return {**content, "axes": {}, GRIDS: [], ZIP: []}, error.lines
    except UsageError as error:
        return {**content, "axes": {}, GRIDS: [], ZIP: []}, [str(error)]
    return content, []


def _shared_axes(given: Any, zipped: Any) -> dict[str, list[Any]]:
    """The axes that all grids share; those that are zipped may have a value more than once."""
    if not isinstance(given, Mapping):
        raise MistakesError([mistake("wrong type", "axes", "a table of axes", given)])
    groups = zipped if isinstance(zipped, list) else []
    together = {
        name
        for group in groups
        if isinstance(group, list)
        for name in group
        if isinstance(name, str)  # any other is told with the settings
    }
    return _each(given, lambda name, v: _values(f"axes.{name}", name, v, name in together))


def _tables(content: Content, axes: Mapping[str, list[Any]], fields: set[str]) -> list[Content]:
    given = content.get(GRIDS) or [dict(axes)]
    if not isinstance(given, list) or not all(isinstance(table, Mapping) for table in given):
        raise MistakesError(
            [mistake("wrong type", GRIDS, "a list of tables of axes: [[grids]]", given)]
        )
    found, tables = [], []
    for number, table in enumerate(given, start=1):
        where = f"{GRIDS}.{number}" if content.get(GRIDS) else ""
        try:
            tables.append(_own(table, where, content, axes, fields))
        except MistakesError as error:
            found += error.lines
        except UsageError as error:
            found.append(str(error))
    if found:
        raise MistakesError(found)
    names = dict.fromkeys([*axes, *(n for table in tables for n in table if n != ZIP)])
    return [_whole(table, names, axes, content) for table in tables]


def _own(
    table: Mapping[str, Any],
    where: str,
    content: Content,
    axes: Mapping[str, list[Any]],
    fields: set[str],
) -> Content:
    """What one table says, each axis with a list of values, and the groups that it zips."""
    if not table:
        expected = "values of an axis, or a setting of its own"
        raise UsageError("an empty grid", where=where, expected=expected, found="nothing")
    own = {str(name): value for name, value in table.items() if name != ZIP}
    groups = _groups(table.get(ZIP, content.get(ZIP)), f"{where}.{ZIP}".lstrip("."))
    known = list(dict.fromkeys([*own, *axes]))
    for name in (name for group in groups for name in group):
        if name not in known:
            raise UnknownNameError("axis", name, known, where=f"{where}.{ZIP}".lstrip("."))
    together = {name for group in groups for name in group}
    for name in own:
        if name in fields - {*STUDY_AXES, SCHEDULE}:
            hint = "write each number or option of a grid by its own name"
            what = "a setting of the whole study, not of a grid"
            raise UsageError(what, where=f"{where}.{name}", hint=hint)
        if name in content.get("hyperparameters", {}):
            what = "also set for the whole study, which a grid would hide"
            hint = f"write hyperparameters.{name} into each grid instead"
            raise UsageError(what, where=f"{where}.{name}", hint=hint)
    values = _each(own, lambda n, v: _own_values(where, n, v, axes, n in together))
    whole = {**axes, **values}
    for group in groups:
        _check_group(group, whole, f"{where}.{ZIP}".lstrip("."))
    return {**values, **({ZIP: groups} if groups else {})}


def _own_values(
    where: str, name: str, given: Any, axes: Mapping[str, list[Any]], repeated: bool
) -> list[Any]:
    """The values that a table names: of a shared axis some of those that it has."""
    key = f"{where}.{name}" if where else f"axes.{name}"
    values = _values(key, name, given if isinstance(given, list) else [given], repeated)
    if name not in axes:
        return values
    found = _among(axes[name], values)
    if lacking := [v for v, own in zip(values, found, strict=True) if own is _NOTHING]:
        raise UsageError(
            f"contradicts the axis {name} of the study",
            where=key,
            expected=f"some of {', '.join(map(show, axes[name]))}",
            found=", ".join(map(show, lacking)),
            hint=f"add it to axes.{name}, or give each grid its own {name}",
        )
    return found


def _among(known: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    """Of each value the known one that is the same, or _NOTHING."""
    there = dict.fromkeys(known)
    return [
        v if v in there else next((own for own in there if same(v, own)), _NOTHING) for v in values
    ]


def _values(key: str, name: str, given: Any, repeated: bool) -> list[Any]:
    """The values of an axis, checked; None, which leaves it unset, is a value here."""
    if isinstance(given, list) and None in given:
        others = [value for value in given if value is not None]
        return [None, *(_values(key, name, others, repeated) if others else [])]
    return settings.axis_values(key, name, given, repeated=repeated)


def _groups(given: Any, where: str) -> list[list[str]]:
    """Groups of axes that are walked together, each of two or more."""
    groups = [] if given is None else given
    is_right = isinstance(groups, list) and all(
        isinstance(group, list) and len(group) > 1 and all(isinstance(n, str) for n in group)
        for group in groups
    )
    if not is_right:
        expected = f"groups of two or more axes, such as {SHAPE}"
        raise UsageError("no groups of axes", where=where, expected=expected, found=short(given))
    names = [name for group in groups for name in group]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError("an axis goes with others once", where=where, found=", ".join(twice))
    return [list(group) for group in groups]


def _check_group(group: Sequence[str], table: Mapping[str, list[Any]], where: str) -> None:
    lengths = {name: len(table[name]) for name in group}
    if len(set(lengths.values())) > 1:
        raise UsageError(
            "axes of unequal lengths",
            where=where,
            expected="as many values of each",
            found=", ".join(f"{name} {length}" for name, length in lengths.items()),
        )
    pairs = list(zip(*(table[name] for name in group), strict=True))
    if twice := [pair for pair, n in Counter(pairs).items() if n > 1]:
        found = ", ".join(f"{n}={show(v)}" for n, v in zip(group, twice[0], strict=True))
        raise UsageError("the same values together twice", where=where, found=found)


def _whole(
    table: Content, names: Iterable[str], axes: Mapping[str, list[Any]], content: Content
) -> Content:
    """The table with values of every axis: its own, the shared ones, else the study's setting."""
    found = {
        name: table.get(name) or axes.get(name) or [_setting(content, table, name)]
        for name in names
    }
    return found | ({ZIP: table[ZIP]} if ZIP in table else {})


def _setting(content: Content, table: Content, name: str) -> Value | None:
    """What the study has of an axis that a grid does not name; None where it says nothing."""
    if name in BUDGETS:
        value = None if any(is_set(table, other) for other in BUDGETS) else content.get(name)
    elif name in (*STUDY_AXES, SCHEDULE):
        value = content.get(name)
    else:
        tables = (content.get(table) for table in ("model_options", "task_options"))
        value = next((t[name] for t in tables if isinstance(t, Mapping) and name in t), None)
    return value if isinstance(value, bool | int | float | str) else None


def _all_axes(axes: Mapping[str, list[Any]], tables: Sequence[Content]) -> dict[str, list[Any]]:
    """Every axis with all of its values: the shared ones as they are, then those of tables."""
    names = dict.fromkeys([*axes, *(n for table in tables for n in table if n != ZIP)])
    return {
        name: list(dict.fromkeys(axes[name]))
        if name in axes
        else subgrids.union(table[name] for table in tables)
        for name in names
    }


def _check_span(axes: Mapping[str, list[Any]], tables: Sequence[Content]) -> None:
    if not axes:
        raise UsageError("a study needs at least one axis", where="axes")
    spanned = math.prod(map(len, axes.values()))
    if spanned > MOST_CELLS:
        counts = " x ".join(f"{len(values)} {name}" for name, values in axes.items())
        raise UsageError(
            "these grids span too many cells, holes included",
            where=GRIDS if len(tables) > 1 else ZIP,
            expected=f"at most {MOST_CELLS:,}",
            found=f"{in_words(spanned)}: {counts}",
            hint="make a study of each grid",
        )


def _each(given: Mapping[str, Any], check: Any) -> dict[str, list[Any]]:
    found, kept = [], {}
    for name, values in given.items():
        try:
            kept[str(name)] = check(str(name), values)
        except UsageError as error:
            found.append(str(error))
    if found:
        raise MistakesError(found)
    return kept


# ---- other values of a study that has grids ----


def with_values(
    axes: Mapping[str, list[Any]], tables: Sequence[Content], given: Mapping[str, Iterable[Any]]
) -> tuple[dict[str, list[Any]], list[Content]]:
    """Axes and tables with these values of axes instead.

    An axis that all tables have the same values of gets the new ones in each. Of one that they
    have different values of, each keeps those that are named; a table that keeps none goes. A new
    axis joins all. Raises UsageError for a value that no table has.
    """
    kept = [dict(table) for table in tables]
    fresh: dict[str, list[Any]] = {}
    for name, values in given.items():
        wanted = _values(f"axes.{name}", name, list(values), repeated=True)
        own = [table[name] for table in kept if is_set(table, name)]
        if not own or all(each == own[0] for each in own):
            fresh[name] = list(dict.fromkeys(wanted))
            kept = [{**t, name: wanted} if is_set(t, name) or not own else t for t in kept]
        else:
            kept = _narrowed(kept, name, wanted)
    names = dict.fromkeys([*axes, *fresh])
    whole = {name: _kept_values(name, axes.get(name, []), fresh, kept) for name in names}
    return whole, kept


def _kept_values(
    name: str, old: list[Any], fresh: Mapping[str, list[Any]], tables: Sequence[Content]
) -> list[Any]:
    """The values of an axis that the tables have, in the order in which they were, or are given."""
    used = {value for table in tables for value in table.get(name, ())}
    return [v for v in dict.fromkeys([*old, *fresh.get(name, ())]) if v in used]


def _narrowed(tables: Sequence[Content], name: str, wanted: Sequence[Any]) -> list[Content]:
    """The tables with those of their values of an axis that are wanted."""
    known = subgrids.union(table[name] for table in tables if is_set(table, name))
    found = _among(known, wanted)
    if lacking := [show(w) for w, v in zip(wanted, found, strict=True) if v is _NOTHING]:
        raise UsageError(
            "no grid of the study has this value",
            where=f"axes.{name}",
            expected=f"some of {', '.join(map(show, known))}",
            found=", ".join(lacking),
            hint="each grid has values of its own: add it to one of [[grids]]",
        )
    stays = {None, *found}
    kept = ({**table, name: [v for v in table[name] if v in stays]} for table in tables)
    return [table for table in kept if table[name]]
