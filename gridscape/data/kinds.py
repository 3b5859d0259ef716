"""Which task reads a file or folder of somebody's."""

from pathlib import Path

from gridscape.data import containers, idx, tables
from gridscape.errors import DataError

# The tasks that read what a path names, and what there is in words.
READERS = {
    "table": "the table",
    "arrays": "the arrays",
    "idx": "the IDX files",
    "images": "the pictures",
    "image-folder": "the pictures",
}


def task_for(path: Path) -> str:
    """The task that reads a path: "table", "arrays", "idx" or "images".

    Raises DataError for a file of an unknown kind.
    """
    if path.is_dir():
        names = [item for item in path.iterdir() if item.is_file()]
        if any(map(idx.is_idx, names)):
            return "idx"
        return "arrays" if any(item.suffix == ".npy" for item in names) else "images"
    if not path.exists() and any(map(idx.is_idx, path.parent.glob(f"{path.name}*"))):
        return "idx"
    kind = tables.suffix_of(path)
    if path.suffix.lower() in containers.SUFFIXES:
        return "arrays"
    if kind in tables.SUFFIXES:
        return "table"
    if path.suffix.lower() == ".zip":
        return "images"
    known = ", ".join((*tables.SUFFIXES, *containers.SUFFIXES, ".zip"))
    raise DataError(
        "which kind of data is this?",
        where=path,
        expected=f"a folder, or one of {known}",
        found=path.suffix or "a name without a suffix",
    )
