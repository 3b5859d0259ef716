"""Folders of runs that were made elsewhere: they are read as any other, and not trained further."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gridscape.errors import StoreError

IMPORTED = "imported"  # the key of a study record that tells from where
SEEDS = "seeds"  # of a merge: the seed and replicate of each replicate


def is_imported(study: Mapping[str, Any]) -> bool:
    """Whether the runs of a study (its plain data) were made elsewhere."""
    return bool(study.get(IMPORTED))


def takes_commands(study: Mapping[str, Any]) -> bool:
    """Whether a command line can train more of a study (its plain data).

    Not of runs made elsewhere, and not of Python objects, which cannot be handed in there.
    """
    return not is_imported(study) and not study.get("objects")


def require_own(study: Mapping[str, Any], where: object) -> None:
    """Raise StoreError for runs that were made elsewhere: what trained them is not known."""
    if study.get(SEEDS):
        raise StoreError(
            "joins several seeds, which can be trained further only in their own folders",
            where=where,
            found=str(study[IMPORTED])[:80],
            hint="gridscape show, report, figures, claims and export read them",
        )
    if is_imported(study):
        raise StoreError(
            "holds runs made elsewhere, which cannot be trained again, added to or looked into",
            where=where,
            found=f"imported from {study[IMPORTED]}"[:80],
            hint="gridscape show, report, figures, claims and export read them",
        )


def require_new(directory: Path) -> None:
    """Raise StoreError where runs cannot be imported since results are there."""
    if (directory / "study.json").exists():
        raise StoreError(
            "holds results already",
            where=directory,
            expected="a new folder",
            hint="choose another one with --dir, or remove it",
        )


def folder_name(name: str) -> str:
    """A name as one of a folder: letters that every file system takes, "" where none are left.

    >>> folder_name("../../my study")
    'my-study'
    """
    return re.sub("[^A-Za-z0-9._-]+", "-", name)[:100].strip("-._")
