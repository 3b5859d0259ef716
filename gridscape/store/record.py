"""The study that a results folder holds: its document, and what a further run may add to it."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from gridscape.errors import StoreError
from gridscape.grid.asked import GRIDS, OTHERS, Asked, grid_of, joined, others_of
from gridscape.grid.size import too_large
from gridscape.grid.subgrids import ZIP
from gridscape.grid.subgrids import n_points as n_points_of
from gridscape.identity.version import __version__
from gridscape.store._study_shape import is_study
from gridscape.store.blobs import DamagedError
from gridscape.store.imported import is_imported, require_own

# 2: many trials may share a file. Of 1 nothing reads otherwise.
FORMAT, FORMER = 2, {1}
DESCRIPTIVE = (
    *("title", "description", "source", "claims", "published", "keep_parameters"),
    *("selection", "n_examples", "guessing", "chances", "classes", "told"),
)
OTHER_DATA = "holds results of other data: what the task reads has changed since"
OTHER_STUDY = "holds results of another study"
OTHER_FOLDER = "choose another folder with --dir"


def study_document(study: dict[str, Any]) -> str:
    """The text of study.json."""
    document = {"format": FORMAT, "gridscape": __version__, "study": study}
    return json.dumps(document, indent=1) + "\n"


def parse_study(data: bytes | str, where: Path) -> dict[str, Any]:
    """The study in a study.json; raises DamagedError, or StoreError for a newer format."""
    hint = f"put it back from a copy, or {OTHER_FOLDER}"
    try:
        document = json.loads(data)
        written, study = document["format"], document["study"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedError("is no study record, or a torn one", where=where, hint=hint) from error
    if isinstance(written, int) and written > FORMAT:
        raise StoreError(
            "written by a newer Gridscape",
            where=where.parent,
            expected=f"format {FORMAT} (Gridscape {__version__})",
            found=f"format {written} (Gridscape {document.get('gridscape', 'unknown')})",
            hint="upgrade Gridscape",
        )
    # Not asked of a set: what stands there may be a list, which none can hold.
    if written not in (FORMAT, *FORMER) or not is_study(study):
        raise DamagedError("is no study record", where=where, hint=hint)
    if reason := _too_large(study):  # as a changed record may tell
        raise DamagedError(reason, where=where, hint=hint)
    return dict(study)


def _too_large(study: dict[str, Any]) -> str | None:
    """Why no memory holds a study, in words."""
    n_points = sum(map(n_points_of, study.get(GRIDS) or []))
    return too_large(study["axes"], Asked(study).most, n_points)


def merge_studies(stored: dict[str, Any], asked: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The stored study with the axis values and replicates that are asked for as well.

    Of each cell the larger number of replicates counts; a cell of neither has none.
    """
    if not is_imported(asked):
        require_own(stored, directory)
    _require_semantics(asked, stored, directory)
    require_same(asked, stored, directory, OTHER_STUDY)
    axes = {name: joined(values, asked["axes"][name]) for name, values in stored["axes"].items()}
    described = {name: asked[name] for name in DESCRIPTIVE if name in asked}
    replicates = max(stored["replicates"], asked["replicates"])
    if reason := too_large(axes, replicates):
        raise StoreError(reason, where=directory, hint=OTHER_FOLDER)
    both = Asked(stored), Asked(asked)
    numbers = {cell: max(one.of(cell) for one in both) for cell in grid_of(axes).cells()}
    grown = {"axes": axes, "replicates": replicates, **_merged_grids(stored, asked)}
    grown |= others_of(grown, numbers)
    grown |= _merged_groups(stored, asked)
    if "task_options" in asked:  # where the data lies now
        grown["task_options"] = asked["task_options"]
    if "metrics" in asked:  # a further task may have others; what is said last of one counts
        grown["metrics"] = {**asked["metrics"], **_others(stored, asked)}
    kept = {name: value for name, value in stored.items() if name != OTHERS}
    return {**kept, **described, **grown}


def _merged_grids(stored: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """The sub-grids of both; those of a study whose axes span all of its cells are one."""
    if not stored.get(GRIDS) and not asked.get(GRIDS):
        return {}
    tables = [table for study in (stored, asked) for table in study.get(GRIDS) or [study["axes"]]]
    return {GRIDS: list({json.dumps(table, sort_keys=True): table for table in tables}.values())}


def _require_semantics(asked: dict[str, Any], stored: dict[str, Any], directory: Path) -> None:
    """Raise StoreError where a version wrote the folder that evaluates in another way."""
    now, then = asked.get("semantics"), stored.get("semantics")
    if isinstance(now, int) and isinstance(then, int) and now != then:
        other = "an earlier" if then < now else "a later"
        raise StoreError(
            f"was trained by {other} version of Gridscape, which evaluates in another way",
            where=directory,
            expected=f"semantics {now}",
            found=f"semantics {then}",
            hint=f"it can be read, but not added to: {OTHER_FOLDER}",
        )


def _merged_groups(stored: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """The kinds of examples of both: a further task may have others."""
    if "groups" not in stored or "groups_of" not in asked:
        return {}
    (name, kinds), (_, others) = stored["groups"], asked["groups"]
    of_tasks = joined(stored.get("groups_of", []), asked["groups_of"])
    return {"groups": [name, sorted({*kinds, *others})], "groups_of": of_tasks}


def _others(stored: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """The metrics that only the stored study has."""
    known = stored.get("metrics") or {}
    return {name: known[name] for name in known if name not in asked["metrics"]}


def require_same(
    expected: dict[str, Any], found: dict[str, Any], directory: Path, what: str
) -> None:
    """Raise StoreError, with the first key that differs, unless both are one study."""
    difference = _difference(_identity(expected), _identity(found))
    if difference:
        key, one, other = difference
        if key == "task_fingerprint" and what == OTHER_STUDY:
            raise StoreError(
                OTHER_DATA,
                where=directory,
                hint=f"put the data back as it was, or {OTHER_FOLDER}",
            )
        raise StoreError(
            f"{what}: {key} differs",
            where=directory,
            expected=_short(one),
            found=_short(other),
            hint=OTHER_FOLDER,
        )


def first_difference(
    one: dict[str, Any], other: dict[str, Any], but: Collection[str] = ()
) -> tuple[str, str, str] | None:
    """The first key, as text with both values, by which two studies are not one.

    but: keys that may differ.
    """
    first, second = ({k: v for k, v in of.items() if k not in but} for of in (one, other))
    found = _difference(_identity(first), _identity(second))
    return (found[0], _short(found[1]), _short(found[2])) if found else None


def _identity(study: dict[str, Any]) -> dict[str, Any]:
    """What must be equal for two requests to share a folder."""
    free = (
        "axes",
        "replicates",
        OTHERS,
        GRIDS,
        ZIP,
        "groups",
        "groups_of",
        "metrics",
        *DESCRIPTIVE,
    )
    fixed = {name: value for name, value in study.items() if name not in free}
    if fixed.get("task_fingerprint") and isinstance(fixed.get("task_options"), dict):
        # The content of data is what counts, and not where it lies.
        options = fixed["task_options"].items()
        fixed["task_options"] = {name: value for name, value in options if name != "path"}
    return {**fixed, "axes": sorted(study["axes"])}


def _difference(one: Any, other: Any, at: str = "") -> tuple[str, Any, Any] | None:
    """The first key (dotted) whose values differ, with both; a key that lacks counts as null."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in {**one, **other}:
            path = f"{at}.{name}" if at else name
            if found := _difference(one.get(name), other.get(name), path):
                return found
        return None
    return None if one == other else (at, one, other)


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
