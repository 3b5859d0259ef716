"""What a study.json may hold: who reads one asks no more about it."""

from collections.abc import Callable, Mapping
from typing import Any

from gridscape.grid.asked import GRIDS, OTHERS
from gridscape.grid.subgrids import ZIP

MOST_REPLICATES = 10_000  # as a study may ask for


def is_study(study: Any) -> bool:
    """Whether this is the record of a study, as far as results are read by it."""
    return (
        isinstance(study, dict)
        and isinstance(study.get("axes"), dict)
        and len(study["axes"]) > 0
        and all(isinstance(values, list) and values for values in study["axes"].values())
        and _is_whole(study.get("replicates"))
        and 1 <= study["replicates"] <= MOST_REPLICATES
        and all(is_right(study[name]) for name, is_right in _KINDS.items() if name in study)
        and all(_is_number_of(entry, study["axes"]) for entry in study.get(OTHERS, []))
        and all(_is_table(table, study["axes"]) for table in study.get(GRIDS, []))
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return isinstance(value, str | None)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | None) and all(map(_is_text, value or []))


def _are_counts(value: Any) -> bool:
    """Whether these are the examples of each part."""
    return isinstance(value, dict) and all(isinstance(n, int | None) for n in value.values())


def _are_groups(value: Any) -> bool:
    """Whether this is what kinds of examples are told by, and the kinds."""
    match value:
        case None:
            return True
        case [str(), [*kinds]]:
            return all(map(_is_whole, kinds)) and len(set(kinds)) == len(kinds)
    return False


def _are_groups_of(value: Any) -> bool:
    """Whether these are the kinds of examples of each task that an axis chooses."""
    return isinstance(value, list) and all(_are_groups_of_one(entry) for entry in value)


def _are_groups_of_one(entry: Any) -> bool:
    match entry:
        case [dict(), [*kinds]]:
            return all(map(_is_whole, kinds))
    return False


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "name": _is_text,
    **dict.fromkeys(("title", "description", "claims"), _is_text_or_none),
    "source": lambda value: _is_text(value) or _are_texts(value),
    **dict.fromkeys(("classes", "told", "objects"), _are_texts),
    "metrics": lambda value: isinstance(value, dict),
    "n_examples": _are_counts,
    "groups": _are_groups,
    "groups_of": _are_groups_of,
    **dict.fromkeys((OTHERS, GRIDS), lambda value: isinstance(value, list)),
}


def _is_number_of(entry: Any, axes: dict[str, Any]) -> bool:
    """Whether this is a cell with its number of replicates."""
    match entry:
        case [dict(cell), int(number)]:
            return cell.keys() == axes.keys() and 0 <= number <= MOST_REPLICATES
    return False


def _is_table(table: Any, axes: dict[str, Any]) -> bool:
    """Whether this is a sub-grid: values of every axis, and which of them are walked together."""
    if not isinstance(table, dict) or {*table} - {ZIP} != {*axes}:
        return False
    if not all(isinstance(table[name], list) and table[name] for name in axes):
        return False
    groups = table.get(ZIP, [])
    return isinstance(groups, list) and all(
        isinstance(group, list)
        and all(isinstance(name, str) and name in axes for name in group)
        and len({len(table[name]) for name in group}) == 1
        for group in groups
    )
